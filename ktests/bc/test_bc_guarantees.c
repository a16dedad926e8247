// SPDX-License-Identifier: GPL-2.0
/*
 * bc.low: what a container may rely on when the machine has promised too much,
 * or has nothing left.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_memory.h"
#include "bc_util.h"

#define RW		(PROT_READ | PROT_WRITE)

#define VMGUARPAGES	"vmguarpages"
#define OOMGUARPAGES	"oomguarpages"

static int set(const char *cgroup, const char *name, long pages)
{
	char text[64];

	snprintf(text, sizeof(text), "%s %ld", name, pages);
	return bc_write(cgroup, "bc.low", text);
}

/* The file: nothing is guaranteed unless somebody says so. */
static int test_guarantees_file(const char *root)
{
	char *cgroup = bc_cgroup(root, "bc_low");
	int ret = KSFT_FAIL;

	if (!cgroup || unmet(!bc_has(root, "bc.low")) ||
	    differs(bc_value(cgroup, "bc.low", VMGUARPAGES), 0) ||
	    differs(bc_value(cgroup, "bc.low", OOMGUARPAGES), 0) ||
	    differs(bc_write(cgroup, "bc.low", "vmguarpages 5\noomguarpages 7"),
		    0) ||
	    differs(bc_value(cgroup, "bc.low", VMGUARPAGES), 5) ||
	    differs(bc_value(cgroup, "bc.low", OOMGUARPAGES), 7) ||
	    differs(bc_write(cgroup, "bc.low", "vmguarpages max"), 0) ||
	    differs(bc_value(cgroup, "bc.low", VMGUARPAGES), BC_MAX) ||
	    differs(bc_value(cgroup, "bc.low", OOMGUARPAGES), 7) ||
	    differs(bc_write(cgroup, "bc.low", "vmguarpages 1\nnumfile 2"),
		    -EINVAL) ||
	    differs(bc_value(cgroup, "bc.low", VMGUARPAGES), BC_MAX) ||
	    differs(bc_write(cgroup, "bc.max", "vmguarpages 1"), -EINVAL) ||
	    differs(bc_value(cgroup, "bc.stat", VMGUARPAGES), BC_NONE))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	return bc_remove(cgroup, ret);
}

static long map(long pages, const char *text __maybe_unused)
{
	void *addr = mmap(NULL, pages * bc_page(), RW,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return -(addr == MAP_FAILED);
}

static long share(long pages, const char *text __maybe_unused)
{
	void *addr = mmap(NULL, pages * bc_page(), RW,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return -(addr == MAP_FAILED);
}

/* Promises nothing beyond what was promised, but for some pages. */
static bool overcommit(long pages)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld",
		 bc_number("/proc/meminfo", "Committed_AS:") +
		 pages * bc_page() / 1024);
	/* Of the two ways to say how much, each one ends the other. */
	return !bc_setting("/proc/sys/vm/overcommit_ratio", NULL) &&
	       !bc_setting("/proc/sys/vm/overcommit_kbytes", text) &&
	       !bc_setting(OVERCOMMIT, "2");
}

/*
 * The machine has promised all it has. Only who has a guarantee gets more, up
 * to the guarantee, and only if all levels above have one.
 */
static int test_guarantees_vm(const char *root)
{
	struct bc_agent *agent = NULL;
	char *parent, *child = NULL;
	int ret = KSFT_FAIL;
	long held;

	if (bc_number("/proc/sys/vm/overcommit_kbytes", "") > 0)
		return bc_skip("the machine has a limit that would be lost");
	parent = bc_cgroup(root, "bc_promised");
	child = bc_cgroup(parent, "child");
	if (!child || differs(bc_enable(parent), 0))
		goto cleanup;
	agent = bc_agent(child);
	if (!agent || unmet(overcommit(10000)))
		goto cleanup;

	held = bc_held(child, PRIVVMPAGES);
	if (differs(bc_call(agent, map, 40000, NULL), -1) ||
	    differs(agent->err, ENOMEM) ||
	    differs(bc_held(child, PRIVVMPAGES), held) ||
	    differs(set(child, VMGUARPAGES, held + 50000), 0) ||
	    differs(bc_call(agent, map, 40000, NULL), -1) ||
	    differs(set(parent, VMGUARPAGES, held + 60000), 0) ||
	    differs(bc_call(agent, map, 40000, NULL), 0) ||
	    differs(bc_held(child, PRIVVMPAGES), held + 40000))
		goto cleanup;

	/* Shared memory is promised as well; above there is no more. */
	if (differs(bc_call(agent, share, 20000, NULL), -1) ||
	    differs(bc_call(agent, share, 10000, NULL), 0) ||
	    differs(bc_call(agent, map, 1000, NULL), -1) ||
	    differs(bc_held(child, PRIVVMPAGES), held + 40000) ||
	    differs(bc_held(child, SHMPAGES), 10000) ||
	    differs(set(child, VMGUARPAGES, BC_MAX), 0) ||
	    differs(bc_call(agent, map, 11000, NULL), -1) ||
	    differs(bc_call(agent, map, 9000, NULL), 0))
		goto cleanup;

	/* A guarantee is no limit. */
	bc_restore();
	if (differs(bc_call(agent, map, 40000, NULL), 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_restore();
	bc_stop(agent);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

static pid_t eater;

/*
 * A child that touches so many pages, and waits to be ended. The killer takes
 * it and its like before anybody else.
 */
static long eat(long pages, const char *text __maybe_unused)
{
	int up[2];
	char byte;
	long i;

	if (pipe(up))
		return -1;
	eater = fork();
	if (!eater) {
		char *addr = mmap(NULL, pages * bc_page(), RW,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
				  -1, 0);

		if (addr == MAP_FAILED ||
		    bc_write_path("/proc/self/oom_score_adj", "1000"))
			_exit(EXIT_FAILURE);
		for (i = 0; i < pages; i++)
			addr[i * bc_page()] = i + 1;
		if (write(up[1], "", 1) != 1)
			_exit(EXIT_FAILURE);
		while (true)
			pause();
	}
	close(up[1]);
	/* 1 when it has eaten all, 0 when it has ended before. */
	i = eater < 0 ? -1 : read(up[0], &byte, 1);
	close(up[0]);
	return i;
}

static long end_eater(long arg __maybe_unused, const char *text __maybe_unused)
{
	return kill(eater, SIGKILL) || waitpid(eater, NULL, 0) != eater;
}

/* Whether it has ended by itself, if that is the word. */
static long killed(long arg __maybe_unused, const char *text __maybe_unused)
{
	return waitpid(eater, NULL, WNOHANG) == eater;
}

/*
 * Two containers want so many pages: which of them is killed? When there are
 * fewer, or when somebody asks for it.
 */
static int last_one(const char *root, bool guaranteed, long large_pages,
		    long small_pages, bool asked)
{
	struct bc_agent *large = NULL, *small = NULL;
	long large_ended = 0, small_ended = 0;
	char *one, *other = NULL;
	int i, ret = KSFT_FAIL;

	one = bc_cgroup(root, "bc_large");
	other = bc_cgroup(root, "bc_small");
	large = bc_agent(one);
	small = bc_agent(other);
	if (!large || !small ||
	    (guaranteed &&
	     differs(set(one, OOMGUARPAGES, large_pages * 11 / 10), 0)) ||
	    differs(bc_call(large, eat, large_pages, NULL), 1) ||
	    differs(bc_call(small, eat, small_pages, NULL),
		    asked || !guaranteed) ||
	    (asked && differs(bc_write_path("/proc/sysrq-trigger", "f"), 0)))
		goto cleanup;

	for (i = 0; i < BC_POLL_TIMES && !large_ended && !small_ended; i++) {
		bc_pause();
		large_ended = bc_call(large, killed, 0, NULL);
		small_ended = bc_call(small, killed, 0, NULL);
	}
	if (differs(large_ended, !guaranteed) ||
	    differs(small_ended, guaranteed) ||
	    differs(bc_call(guaranteed ? large : small, end_eater, 0, NULL), 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(large);
	bc_stop(small);
	ret = bc_remove(one, ret);
	return bc_remove(other, ret);
}

static int victims(const char *root, long large, long small, bool asked)
{
	bool was = bc_lists(root, "cgroup.subtree_control", "memory");
	int ret;

	if (!was && cg_write(root, "cgroup.subtree_control", "+memory"))
		return bc_skip("memory is not counted");

	ret = last_one(root, false, large, small, asked);
	if (ret == KSFT_PASS)
		ret = last_one(root, true, large, small, asked);

	if (!was)
		cg_write(root, "cgroup.subtree_control", "-memory");
	return ret;
}

/* Once the first is gone there is enough for the second. */
static int test_guarantees_oom(const char *root)
{
	long pages = bc_number("/proc/meminfo", "MemAvailable:") * 1024 /
		     bc_page();

	if (bc_number("/proc/meminfo", "SwapTotal:") > 0)
		return bc_skip("there is swap");
	if (unmet(pages > 0))
		return KSFT_FAIL;
	return victims(root, pages * 6 / 10, pages * 55 / 100, false);
}

/* What was touched a moment ago counts as well. */
static int test_guarantees_asked(const char *root)
{
	if (access("/proc/sysrq-trigger", W_OK))
		return bc_skip("nobody can ask for the killer");
	return victims(root, 20000, 10000, true);
}

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_guarantees_asked),
	T(test_guarantees_file),
	T(test_guarantees_oom),
	T(test_guarantees_vm),
};

#undef T

int main(void)
{
	return bc_main(tests, ARRAY_SIZE(tests));
}
