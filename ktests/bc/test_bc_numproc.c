// SPDX-License-Identifier: GPL-2.0
/*
 * numproc: processes and threads, charged where they are.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_standard.h"

/* A fork at the barrier fails with EAGAIN and leaves nothing behind. */
static int test_numproc_barrier(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	int i;

	cgroup = bc_cgroup(root, "bc_proc_barrier");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	if (differs(bc_held(cgroup, NUMPROC), 1) ||
	    differs(bc_write(cgroup, "bc.high", "numproc 4"), 0) ||
	    differs(bc_write(cgroup, "bc.max", "numproc 9"), 0))
		goto cleanup;
	if (differs(bc_fork(agent, 3), 3) ||
	    differs(bc_held(cgroup, NUMPROC), 4) ||
	    miscounted(cgroup, "bc.events.local", NUMPROC, 0, 0))
		goto cleanup;

	for (i = 1; i <= 5; i++) {
		if (differs(bc_fork(agent, 1), 0) ||
		    differs(agent->err, EAGAIN) ||
		    differs(bc_held(cgroup, NUMPROC), 4) ||
		    miscounted(cgroup, "bc.events.local", NUMPROC, i, 0))
			goto cleanup;
	}

	if (differs(bc_end_children(agent), 3) ||
	    unsettled(cgroup, NUMPROC, 1) || differs(bc_fork(agent, 9), 3))
		goto cleanup;

	/* A process limit is no business of files. */
	if (differs(bc_open(agent, 20), 20) ||
	    miscounted(cgroup, "bc.events", NUMFILE, 0, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

static int test_numproc_limit_alone(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_proc_limit");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	if (differs(bc_write(cgroup, "bc.max", "numproc 3"), 0) ||
	    differs(bc_fork(agent, 5), 2) || differs(agent->err, EAGAIN) ||
	    differs(bc_held(cgroup, NUMPROC), 3) ||
	    miscounted(cgroup, "bc.events.local", NUMPROC, 0, 1))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

static int test_numproc_barrier_above_limit(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_proc_above");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	if (differs(bc_write(cgroup, "bc.high", "numproc 9"), 0) ||
	    differs(bc_write(cgroup, "bc.max", "numproc 3"), 0) ||
	    differs(bc_fork(agent, 5), 2) ||
	    miscounted(cgroup, "bc.events.local", NUMPROC, 0, 1))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* There is no stock of processes, so the peak is exact. */
static int test_numproc_peak(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_proc_peak");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	if (differs(bc_peak(cgroup, NUMPROC), 1) ||
	    differs(bc_fork(agent, 4), 4) ||
	    differs(bc_peak(cgroup, NUMPROC), 5))
		goto cleanup;
	if (differs(bc_end_children(agent), 4) ||
	    unsettled(cgroup, NUMPROC, 1) ||
	    differs(bc_fork(agent, 2), 2) ||
	    differs(bc_peak(cgroup, NUMPROC), 5))
		goto cleanup;

	/* What was refused was never held. */
	if (differs(bc_write(cgroup, "bc.max", "numproc 7"), 0) ||
	    differs(bc_fork(agent, 9), 4) ||
	    differs(bc_peak(cgroup, NUMPROC), 7))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* A thread counts like a process and is refused like one. */
static int test_numproc_threads(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_threads");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	if (differs(bc_threads(agent, 4), 4) ||
	    differs(bc_held(cgroup, NUMPROC), 5))
		goto cleanup;
	if (differs(bc_end_threads(agent), 4) ||
	    unsettled(cgroup, NUMPROC, 1))
		goto cleanup;

	if (differs(bc_write(cgroup, "bc.max", "numproc 4"), 0) ||
	    differs(bc_threads(agent, 8), 3) || differs(agent->err, EAGAIN) ||
	    differs(bc_held(cgroup, NUMPROC), 4) ||
	    miscounted(cgroup, "bc.events.local", NUMPROC, 0, 1))
		goto cleanup;
	if (differs(bc_fork(agent, 1), 0) ||
	    miscounted(cgroup, "bc.events.local", NUMPROC, 0, 2))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

static long enter_thread(long arg __maybe_unused, const char *cgroup)
{
	return cg_enter_current_thread(cgroup);
}

/* The controller is not threaded: threads count where their process does. */
static int test_numproc_threaded_subtree(const char *root)
{
	struct bc_agent *agent = NULL;
	char *domain, *threaded = NULL;
	int ret = KSFT_FAIL;

	domain = bc_cgroup(root, "bc_domain");
	threaded = bc_cgroup(domain, "threaded");
	if (!threaded ||
	    differs(bc_write(threaded, "cgroup.type", "threaded"), 0))
		goto cleanup;
	agent = bc_agent(domain);
	if (!agent)
		goto cleanup;

	if (unmet(!bc_has(threaded, "bc.current")) ||
	    differs(bc_threads(agent, 3), 3) ||
	    differs(bc_call(agent, enter_thread, 0, threaded), 0) ||
	    unmet(!cg_read_strstr(threaded, "cgroup.threads", "\n")))
		goto cleanup;
	if (differs(bc_held(domain, NUMPROC), 4))
		goto cleanup;

	/* What starts in the threaded cgroup counts in the domain as well. */
	if (differs(bc_write(domain, "bc.max", "numproc 6"), 0) ||
	    differs(bc_threads(agent, 5), 2) ||
	    differs(bc_held(domain, NUMPROC), 6) ||
	    differs(bc_open(agent, 2), 2) ||
	    differs(bc_held(domain, NUMFILE), 2))
		goto cleanup;
	if (differs(bc_end_threads(agent), 5) || unsettled(domain, NUMPROC, 1))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(threaded, ret);
	return bc_remove(domain, ret);
}

/* A process takes its charge along when it moves, and all its threads. */
static int test_numproc_migration(const char *root)
{
	struct bc_agent *agent = NULL;
	char *from, *to = NULL;
	int ret = KSFT_FAIL;

	from = bc_cgroup(root, "bc_proc_from");
	to = bc_cgroup(root, "bc_proc_to");
	agent = bc_agent(from);
	if (!agent || !to)
		goto cleanup;

	if (differs(bc_fork(agent, 3), 3) || differs(bc_threads(agent, 2), 2) ||
	    differs(bc_held(from, NUMPROC), 6))
		goto cleanup;

	/* The children stay. */
	if (differs(cg_enter(to, agent->pid), 0) ||
	    differs(bc_held(from, NUMPROC), 3) ||
	    differs(bc_held(to, NUMPROC), 3))
		goto cleanup;
	if (differs(bc_fork(agent, 1), 1) ||
	    differs(bc_held(from, NUMPROC), 3) ||
	    differs(bc_held(to, NUMPROC), 4))
		goto cleanup;

	if (differs(bc_end_threads(agent), 2) || unsettled(to, NUMPROC, 2) ||
	    differs(bc_held(from, NUMPROC), 3))
		goto cleanup;
	if (differs(bc_end_children(agent), 4) || unsettled(to, NUMPROC, 1) ||
	    unsettled(from, NUMPROC, 0))
		goto cleanup;

	if (differs(cg_enter(from, agent->pid), 0) ||
	    differs(bc_held(from, NUMPROC), 1) ||
	    differs(bc_held(to, NUMPROC), 0))
		goto cleanup;
	if (unmet(bc_peak(from, NUMPROC) == 6) ||
	    unmet(bc_peak(to, NUMPROC) == 4))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(from, ret);
	return bc_remove(to, ret);
}

/* A move is never refused, even if it goes over both settings. */
static int test_numproc_migration_over_limit(const char *root)
{
	struct bc_agent *agent = NULL, *other = NULL;
	char *from, *to = NULL;
	int ret = KSFT_FAIL;

	from = bc_cgroup(root, "bc_over_from");
	to = bc_cgroup(root, "bc_over_to");
	agent = bc_agent(from);
	if (!agent || !to)
		goto cleanup;

	if (differs(bc_threads(agent, 2), 2) ||
	    differs(bc_write(to, "bc.high", "numproc 1"), 0) ||
	    differs(bc_write(to, "bc.max", "numproc 2"), 0))
		goto cleanup;

	if (differs(cg_enter(to, agent->pid), 0) ||
	    differs(bc_held(to, NUMPROC), 3) ||
	    differs(bc_held(from, NUMPROC), 0))
		goto cleanup;
	other = bc_agent(to);
	if (!other || differs(bc_held(to, NUMPROC), 4) ||
	    differs(bc_peak(to, NUMPROC), 4))
		goto cleanup;

	/* That was no refusal, but a fork from there is one. */
	if (miscounted(to, "bc.events", NUMPROC, 0, 0))
		goto cleanup;
	if (differs(bc_fork(agent, 1), 0) || differs(agent->err, EAGAIN) ||
	    miscounted(to, "bc.events", NUMPROC, 1, 0))
		goto cleanup;

	/* Enough have to go before one may come. */
	if (differs(bc_end_threads(agent), 2) || unsettled(to, NUMPROC, 2) ||
	    differs(bc_fork(agent, 1), 0))
		goto cleanup;
	if (differs(bc_write(to, "bc.high", "numproc 3"), 0) ||
	    differs(bc_write(to, "bc.max", "numproc 3"), 0) ||
	    differs(bc_fork(agent, 2), 1))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(other);
	bc_stop(agent);
	ret = bc_remove(from, ret);
	return bc_remove(to, ret);
}

static long clone_into(long arg __maybe_unused, const char *cgroup)
{
	int status, fd;
	pid_t pid;

	fd = dirfd_open_opath(cgroup);
	if (fd < 0)
		return -1;
	pid = clone_into_cgroup(fd);
	if (!pid)
		_exit(0);
	close(fd);
	if (pid > 0 && waitpid(pid, &status, 0) != pid)
		return -1;

	return pid > 0 ? 0 : -1;
}

/* A child that starts in another cgroup is charged there, and only there. */
static int test_numproc_clone_into_cgroup(const char *root)
{
	struct bc_agent *agent = NULL;
	char *from, *to = NULL;
	int ret = KSFT_FAIL;

	from = bc_cgroup(root, "bc_clone_from");
	to = bc_cgroup(root, "bc_clone_to");
	agent = bc_agent(from);
	if (!agent || !to)
		goto cleanup;

	/* The parent's cgroup is full, which does not matter. */
	if (differs(bc_write(from, "bc.max", "numproc 1"), 0))
		goto cleanup;
	if (differs(bc_call(agent, clone_into, 0, to), 0) ||
	    differs(bc_peak(to, NUMPROC), 1) ||
	    differs(bc_peak(from, NUMPROC), 1) ||
	    unsettled(to, NUMPROC, 0) || differs(bc_held(from, NUMPROC), 1) ||
	    miscounted(from, "bc.events", NUMPROC, 0, 0))
		goto cleanup;

	/* When the target is full it is refused there. */
	if (differs(bc_write(from, "bc.max", "numproc max"), 0) ||
	    differs(bc_write(to, "bc.max", "numproc 0"), 0))
		goto cleanup;
	if (differs(bc_call(agent, clone_into, 0, to), -1) ||
	    differs(agent->err, EAGAIN) || differs(bc_held(to, NUMPROC), 0) ||
	    differs(bc_held(from, NUMPROC), 1) ||
	    miscounted(to, "bc.events.local", NUMPROC, 0, 1) ||
	    miscounted(from, "bc.events", NUMPROC, 0, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(from, ret);
	return bc_remove(to, ret);
}

/*
 * Of two controllers that have a say in a fork, the one that agreed has to be
 * told when the other refuses. Both ways round.
 */
static int test_numproc_refused_by_another(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	bool was_enabled;
	char *cgroup = NULL;
	int i;

	was_enabled = !cg_read_strstr(root, "cgroup.subtree_control", "pids");
	if (bc_write(root, "cgroup.subtree_control", "+pids"))
		return bc_skip("pids controller isn't available");

	cgroup = bc_cgroup(root, "bc_and_pids");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	if (differs(bc_write(cgroup, "pids.max", "3"), 0))
		goto cleanup;
	for (i = 0; i < 5; i++) {
		if (differs(bc_fork(agent, 9), i ? 0 : 2) ||
		    differs(agent->err, EAGAIN) ||
		    differs(bc_held(cgroup, NUMPROC), 3) ||
		    miscounted(cgroup, "bc.events", NUMPROC, 0, 0))
			goto cleanup;
	}

	if (differs(bc_write(cgroup, "pids.max", "max"), 0) ||
	    differs(bc_write(cgroup, "bc.max", "numproc 5"), 0))
		goto cleanup;
	for (i = 0; i < 5; i++) {
		if (differs(bc_fork(agent, 9), i ? 0 : 2) ||
		    differs(agent->err, EAGAIN) ||
		    differs(bc_held(cgroup, NUMPROC), 5) ||
		    differs(cg_read_long(cgroup, "pids.current"), 5))
			goto cleanup;
	}

	/* All that there is can still be had. */
	if (differs(bc_end_children(agent), 4) ||
	    unsettled(cgroup, NUMPROC, 1) || differs(bc_fork(agent, 9), 4))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(cgroup, ret);
	if (!was_enabled)
		bc_write(root, "cgroup.subtree_control", "-pids");
	return ret;
}

/* All at once: nobody here asks for less. */
static long end_all(long nr __maybe_unused, const char *text)
{
	return bc_self_end_children(0, text);
}

static const struct bc_kind numproc = {
	.name = "numproc",
	.resource = NUMPROC,
	.err = EAGAIN,
	.make = bc_self_fork,
	.drop = end_all,
};

static int test_numproc_faults(const char *root)
{
	return bc_std_faults(root, &numproc);
}

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_numproc_barrier),
	T(test_numproc_barrier_above_limit),
	T(test_numproc_clone_into_cgroup),
	T(test_numproc_faults),
	T(test_numproc_limit_alone),
	T(test_numproc_migration),
	T(test_numproc_migration_over_limit),
	T(test_numproc_peak),
	T(test_numproc_refused_by_another),
	T(test_numproc_threaded_subtree),
	T(test_numproc_threads),
};

#undef T

int main(void)
{
	return bc_main(tests, ARRAY_SIZE(tests));
}
