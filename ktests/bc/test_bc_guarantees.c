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

/* What sysctls are while a test changes them. */
static const char * const sysctls[] = {
	"/proc/sys/vm/overcommit_memory",
	"/proc/sys/vm/overcommit_kbytes",
	"/proc/sys/vm/overcommit_ratio",
};

static char saved[ARRAY_SIZE(sysctls)][32];

static bool save(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sysctls); i++) {
		if (bc_read(sysctls[i], saved[i], sizeof(saved[i])) <= 0)
			return false;
	}
	return true;
}

static void restore(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sysctls); i++) {
		/* Of the two ways to set a limit, the one that is not 0. */
		if (saved[i][0] && (!i || strcmp(saved[i], "0\n")))
			bc_write_path(sysctls[i], saved[i]);
	}
}

/* A line of /proc/meminfo, in KiB. */
static long kib_of(const char *name)
{
	char buf[4096], *line;

	if (bc_read("/proc/meminfo", buf, sizeof(buf)) < 0)
		return -1;
	line = strstr(buf, name);
	return line ? strtol(line + strlen(name), NULL, 10) : -1;
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
		 kib_of("Committed_AS:") + pages * bc_page() / 1024);
	return !bc_write_path("/proc/sys/vm/overcommit_kbytes", text) &&
	       !bc_write_path("/proc/sys/vm/overcommit_memory", "2");
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

	parent = bc_cgroup(root, "bc_promised");
	child = bc_cgroup(parent, "child");
	if (!child || differs(bc_enable(parent), 0))
		goto cleanup;
	agent = bc_agent(child);
	if (!agent || unmet(save()) || unmet(overcommit(1000)))
		goto cleanup;

	held = bc_held(child, PRIVVMPAGES);
	if (differs(bc_call(agent, map, 4000, NULL), -1) ||
	    differs(agent->err, ENOMEM) ||
	    differs(bc_held(child, PRIVVMPAGES), held) ||
	    differs(set(child, VMGUARPAGES, held + 5000), 0) ||
	    differs(bc_call(agent, map, 4000, NULL), -1) ||
	    differs(set(parent, VMGUARPAGES, held + 6000), 0) ||
	    differs(bc_call(agent, map, 4000, NULL), 0) ||
	    differs(bc_held(child, PRIVVMPAGES), held + 4000))
		goto cleanup;

	/* Shared memory is promised as well; above there is no more. */
	if (differs(bc_call(agent, share, 2000, NULL), -1) ||
	    differs(bc_call(agent, share, 1000, NULL), 0) ||
	    differs(bc_call(agent, map, 100, NULL), -1) ||
	    differs(bc_held(child, PRIVVMPAGES), held + 4000) ||
	    differs(bc_held(child, SHMPAGES), 1000) ||
	    differs(set(child, VMGUARPAGES, BC_MAX), 0) ||
	    differs(bc_call(agent, map, 1100, NULL), -1) ||
	    differs(bc_call(agent, map, 900, NULL), 0))
		goto cleanup;

	/* A guarantee is no limit. */
	restore();
	if (differs(bc_call(agent, map, 4000, NULL), 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	restore();
	bc_stop(agent);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

static pid_t eater;

/* A child that touches so many pages, and waits to be ended. */
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

		for (i = 0; addr != MAP_FAILED && i < pages; i++)
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

/* Whether it is still there; it is not after that. */
static long end_eater(long arg __maybe_unused, const char *text __maybe_unused)
{
	int status;
	pid_t pid;

	pid = waitpid(eater, &status, WNOHANG);
	if (pid == eater)
		return 0;
	kill(eater, SIGKILL);
	return waitpid(eater, &status, 0) == eater ? 1 : -1;
}

/* Two containers want more than there is: which of them is killed? */
static int last_one(const char *root, bool guaranteed)
{
	struct bc_agent *large = NULL, *small = NULL;
	char *one, *other = NULL;
	int ret = KSFT_FAIL;
	long pages;

	one = bc_cgroup(root, "bc_large");
	other = bc_cgroup(root, "bc_small");
	large = bc_agent(one);
	small = bc_agent(other);
	pages = kib_of("MemAvailable:") * 1024 / bc_page();
	if (!large || !small || unmet(pages > 0))
		goto cleanup;

	/* Once the first is gone there is enough for the second. */
	if ((guaranteed && differs(set(one, OOMGUARPAGES, pages * 7 / 10), 0)) ||
	    differs(bc_call(large, eat, pages * 6 / 10, NULL), 1) ||
	    differs(bc_call(small, eat, pages * 55 / 100, NULL), !guaranteed) ||
	    differs(bc_call(large, end_eater, 0, NULL), guaranteed) ||
	    differs(bc_call(small, end_eater, 0, NULL), !guaranteed))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(large);
	bc_stop(small);
	ret = bc_remove(one, ret);
	return bc_remove(other, ret);
}

static int test_guarantees_oom(const char *root)
{
	int ret;

	if (kib_of("SwapTotal:") > 0)
		return bc_skip("there is swap");
	if (cg_write(root, "cgroup.subtree_control", "+memory"))
		return bc_skip("memory is not counted");

	ret = last_one(root, false);
	if (ret == KSFT_PASS)
		ret = last_one(root, true);

	cg_write(root, "cgroup.subtree_control", "-memory");
	return ret;
}

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_guarantees_file),
	T(test_guarantees_oom),
	T(test_guarantees_vm),
};

#undef T

int main(void)
{
	return bc_main(tests, ARRAY_SIZE(tests));
}
