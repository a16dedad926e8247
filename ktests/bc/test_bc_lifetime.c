// SPDX-License-Identifier: GPL-2.0
/*
 * Objects that outlive the cgroup, and the control files, that they were
 * charged in: nothing is lost, nothing is left, nothing goes negative.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_util.h"

static long dying(const char *cgroup)
{
	return bc_value(cgroup, "cgroup.stat", "nr_dying_subsys_bc");
}

/* The number of dying states below a cgroup comes down to what is wanted. */
static bool lingers_below(const char *cgroup, long want)
{
	int i;

	if (dying(cgroup) == BC_NONE)
		return false;

	for (i = 0; i < BC_POLL_TIMES && dying(cgroup) != want; i++)
		bc_pause();

	return differs(dying(cgroup), want);
}

/*
 * A cgroup is removed while a file that was opened in it is still open
 * somewhere else. Its parent has the charge until that file is closed.
 */
static int test_lifetime_death_with_charges(const char *root)
{
	struct bc_agent *opener = NULL, *survivor = NULL;
	char *parent, *child = NULL, *other = NULL;
	int ret = KSFT_FAIL;
	int i, fd;

	parent = bc_cgroup(root, "bc_death");
	child = bc_cgroup(parent, "child");
	other = bc_cgroup(root, "bc_survivor");
	if (!child || differs(bc_enable(parent), 0))
		goto cleanup;
	survivor = bc_agent(other);
	opener = bc_agent(child);
	if (!opener || !survivor)
		goto cleanup;

	for (i = 0; i < 3; i++) {
		if (differs(bc_open(opener, 1), 1))
			goto cleanup;
		fd = bc_take(opener);
		if (unmet(fd >= 0) || differs(bc_give(survivor, fd), 0))
			goto cleanup;
		close(fd);
	}
	if (differs(bc_open(opener, 20), 20))
		goto cleanup;

	bc_stop(opener);
	opener = NULL;
	if (unsettled(child, NUMPROC, 0) || unsettled(child, NUMFILE, 3) ||
	    differs(bc_held(parent, NUMFILE), 3))
		goto cleanup;

	/* Not bc_remove(), as that wants nothing to be held. */
	if (differs(rmdir(child), 0) || lingers_below(parent, 1) ||
	    differs(bc_held(parent, NUMFILE), 3) ||
	    differs(bc_held(parent, NUMPROC), 0))
		goto cleanup;

	/* The charge still counts against the parent's limit. */
	if (differs(cg_create(child), 0) ||
	    differs(bc_write(parent, "bc.max", "numfile 5"), 0))
		goto cleanup;
	opener = bc_agent(child);
	if (!opener || differs(bc_held(child, NUMFILE), 0) ||
	    differs(bc_open(opener, 5), 2) ||
	    differs(bc_held(parent, NUMFILE), 5))
		goto cleanup;

	if (differs(bc_close(survivor, 1), 1) ||
	    unsettled(parent, NUMFILE, 4) || lingers_below(parent, 1))
		goto cleanup;
	if (differs(bc_close(survivor, 2), 2) ||
	    unsettled(parent, NUMFILE, 2) || lingers_below(parent, 0) ||
	    differs(bc_held(child, NUMFILE), 2))
		goto cleanup;

	/* All five are there again. */
	if (differs(bc_open(opener, 9), 3))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(opener);
	bc_stop(survivor);
	ret = bc_remove(child, ret);
	ret = bc_remove(parent, ret);
	return bc_remove(other, ret);
}

/* The whole branch dies, down to the last file. */
static int test_lifetime_death_of_branch(const char *root)
{
	struct bc_agent *agent = NULL;
	char *top, *middle = NULL, *bottom = NULL;
	int ret = KSFT_FAIL;

	top = bc_cgroup(root, "bc_branch");
	middle = bc_cgroup(top, "middle");
	bottom = bc_cgroup(middle, "bottom");
	if (!bottom || differs(bc_enable(top), 0) ||
	    differs(bc_enable(middle), 0))
		goto cleanup;
	agent = bc_agent(bottom);
	if (!agent || differs(bc_open(agent, 10), 10))
		goto cleanup;

	/* The opener goes away from there and keeps its files. */
	if (differs(cg_enter(root, agent->pid), 0) ||
	    differs(rmdir(bottom), 0) || differs(rmdir(middle), 0) ||
	    differs(bc_held(top, NUMFILE), 10) ||
	    differs(bc_held(top, NUMPROC), 0) || lingers_below(top, 2))
		goto cleanup;

	if (differs(bc_close(agent, 9), 9) || unsettled(top, NUMFILE, 1) ||
	    differs(bc_close(agent, 1), 1) || unsettled(top, NUMFILE, 0) ||
	    lingers_below(top, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(bottom, ret);
	ret = bc_remove(middle, ret);
	return bc_remove(top, ret);
}

/* Stock that lies around on the CPUs does not keep a removed cgroup. */
static int test_lifetime_no_residue(const char *root)
{
	struct bc_agent *agent = NULL;
	char *parent, *child = NULL;
	int ret = KSFT_FAIL;
	int i;

	parent = bc_cgroup(root, "bc_residue");
	if (!parent || differs(bc_enable(parent), 0))
		goto cleanup;

	for (i = 0; i < 4; i++) {
		child = bc_cgroup(parent, "child");
		agent = bc_agent(child);
		if (!agent ||
		    differs(bc_scatter(agent, 3), 0) ||
		    differs(bc_fork(agent, 2), 2))
			goto cleanup;
		bc_stop(agent);
		agent = NULL;
		ret = bc_remove(child, KSFT_PASS);
		child = NULL;
		if (differs(ret, KSFT_PASS))
			goto cleanup;
		ret = KSFT_FAIL;
		if (differs(bc_held(parent, NUMFILE), 0) ||
		    differs(bc_held(parent, NUMPROC), 0) ||
		    lingers_below(parent, 0))
			goto cleanup;
	}

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

static bool held_differs(const char *cgroup, long numproc, long numfile)
{
	return differs(bc_held(cgroup, NUMPROC), numproc) ||
	       differs(bc_held(cgroup, NUMFILE), numfile);
}

/*
 * The controller comes and goes under live objects. Each file stays charged
 * where it was opened; each process counts where the controller is now.
 */
static int test_lifetime_toggle(const char *root)
{
	struct bc_agent *agent = NULL;
	char *parent, *child = NULL;
	int ret = KSFT_FAIL;

	parent = bc_cgroup(root, "bc_toggle");
	child = bc_cgroup(parent, "child");
	agent = bc_agent(child);
	if (!agent)
		goto cleanup;

	if (differs(bc_open(agent, 2), 2) || differs(bc_fork(agent, 1), 1) ||
	    held_differs(parent, 2, 2))
		goto cleanup;

	if (differs(bc_enable(parent), 0) || held_differs(child, 2, 0) ||
	    held_differs(parent, 2, 2))
		goto cleanup;
	if (differs(bc_open(agent, 3), 3) || differs(bc_fork(agent, 2), 2) ||
	    held_differs(child, 4, 3) || held_differs(parent, 4, 5))
		goto cleanup;

	if (differs(bc_disable(parent), 0) || held_differs(parent, 4, 5))
		goto cleanup;
	if (differs(bc_open(agent, 4), 4) || held_differs(parent, 4, 9))
		goto cleanup;

	if (differs(bc_enable(parent), 0) || held_differs(child, 4, 0) ||
	    held_differs(parent, 4, 9))
		goto cleanup;
	if (differs(bc_open(agent, 5), 5) || held_differs(child, 4, 5) ||
	    held_differs(parent, 4, 14))
		goto cleanup;

	/* Oldest first: before, during, between, and after. */
	if (differs(bc_close_first(agent, 2), 2) ||
	    unsettled(parent, NUMFILE, 12) || held_differs(child, 4, 5))
		goto cleanup;
	if (differs(bc_close_first(agent, 3), 3) ||
	    unsettled(parent, NUMFILE, 9) || held_differs(child, 4, 5))
		goto cleanup;
	if (differs(bc_close_first(agent, 4), 4) ||
	    unsettled(parent, NUMFILE, 5) || held_differs(child, 4, 5))
		goto cleanup;

	/* The last ones lose their owner once more before they go. */
	if (differs(bc_disable(parent), 0) || held_differs(parent, 4, 5) ||
	    differs(bc_end_children(agent), 3) ||
	    unsettled(parent, NUMPROC, 1) ||
	    differs(bc_close(agent, BC_ALL), 5) ||
	    unsettled(parent, NUMFILE, 0))
		goto cleanup;

	/* If anything were lost or left, a limit would show it. */
	if (lingers_below(parent, 0) ||
	    differs(bc_write(parent, "bc.max", "numfile 3\nnumproc 3"), 0) ||
	    differs(bc_open(agent, 9), 3) || differs(bc_fork(agent, 9), 2))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

/* A child of its own that the files are closed in, when its state is new. */
static int test_lifetime_toggle_often(const char *root)
{
	struct bc_agent *agent = NULL;
	char *parent, *child = NULL;
	int ret = KSFT_FAIL;
	int i;

	parent = bc_cgroup(root, "bc_toggle_often");
	child = bc_cgroup(parent, "child");
	agent = bc_agent(child);
	if (!agent)
		goto cleanup;

	for (i = 1; i <= 6; i++) {
		if (differs(bc_enable(parent), 0) ||
		    differs(bc_open(agent, 2), 2) ||
		    held_differs(child, 1, 2) ||
		    held_differs(parent, 1, 2 * i))
			goto cleanup;
		if (differs(bc_disable(parent), 0) ||
		    held_differs(parent, 1, 2 * i))
			goto cleanup;
	}

	/* Six generations, each with two files. */
	if (lingers_below(parent, 6) || differs(bc_enable(parent), 0))
		goto cleanup;
	for (i = 5; i >= 0; i--) {
		if (differs(bc_close(agent, 2), 2) ||
		    unsettled(parent, NUMFILE, 2 * i) ||
		    held_differs(child, 1, 0) || lingers_below(parent, i))
			goto cleanup;
	}

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

/* Settings belong to the state of the controller, and go with it. */
static int test_lifetime_toggle_resets(const char *root)
{
	struct bc_agent *agent = NULL;
	char *parent, *child = NULL;
	int ret = KSFT_FAIL;

	parent = bc_cgroup(root, "bc_toggle_resets");
	child = bc_cgroup(parent, "child");
	if (!child || differs(bc_enable(parent), 0))
		goto cleanup;
	agent = bc_agent(child);
	if (!agent || differs(bc_write(child, "bc.max", "numfile 2"), 0) ||
	    differs(bc_open(agent, 5), 2) ||
	    miscounted(child, "bc.events", NUMFILE, 0, 1))
		goto cleanup;

	if (differs(bc_disable(parent), 0) || differs(bc_open(agent, 5), 5) ||
	    differs(bc_enable(parent), 0))
		goto cleanup;
	if (differs(bc_value(child, "bc.max", NUMFILE), BC_MAX) ||
	    miscounted(child, "bc.events", NUMFILE, 0, 0) ||
	    differs(bc_peak(child, NUMFILE), 0) ||
	    /* The parent remembers what it was told. */
	    miscounted(parent, "bc.events", NUMFILE, 0, 1) ||
	    differs(bc_held(parent, NUMFILE), 7))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

/*
 * Files that were opened while the controller was in use nowhere are nobody's;
 * when they are closed, nobody may be given back anything.
 */
static int test_lifetime_toggle_at_root(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_toggle_root");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	if (bc_disable(root)) {
		ret = bc_skip("bc is in use by others");
		goto cleanup;
	}
	if (unmet(!bc_has(cgroup, "bc.current")) ||
	    differs(bc_open(agent, 3), 3) || differs(bc_fork(agent, 1), 1))
		goto cleanup;

	if (differs(bc_enable(root), 0) || held_differs(cgroup, 2, 0) ||
	    differs(bc_open(agent, 2), 2) || held_differs(cgroup, 2, 2))
		goto cleanup;
	if (differs(bc_close_first(agent, 3), 3) || held_differs(cgroup, 2, 2))
		goto cleanup;

	/* Charged ones are closed when the controller has gone. */
	if (differs(bc_disable(root), 0) || differs(bc_close(agent, 2), 2) ||
	    differs(bc_end_children(agent), 1) ||
	    differs(bc_enable(root), 0) || unsettled(cgroup, NUMPROC, 1) ||
	    held_differs(cgroup, 1, 0))
		goto cleanup;

	if (differs(bc_write(cgroup, "bc.max", "numfile 2\nnumproc 2"), 0) ||
	    differs(bc_open(agent, 9), 2) || differs(bc_fork(agent, 9), 1))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_enable(root);
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_lifetime_death_of_branch),
	T(test_lifetime_death_with_charges),
	T(test_lifetime_no_residue),
	T(test_lifetime_toggle),
	T(test_lifetime_toggle_at_root),
	T(test_lifetime_toggle_often),
	T(test_lifetime_toggle_resets),
};

#undef T

int main(void)
{
	return bc_main(tests, ARRAY_SIZE(tests));
}
