// SPDX-License-Identifier: GPL-2.0
/*
 * Limits above limits: who refuses, who is told, and what may be delegated.
 */
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_util.h"

#define OTHER_UID (TEST_UID - 1)

/* The parent refuses what the child's own limit would have granted. */
static int test_hierarchy_parent_refuses(const char *root)
{
	struct bc_agent *agent = NULL;
	char *parent, *child = NULL;
	int ret = KSFT_FAIL;
	int i;

	parent = bc_cgroup(root, "bc_parent");
	child = bc_cgroup(parent, "child");
	if (!child || differs(bc_enable(parent), 0))
		goto cleanup;
	agent = bc_agent(child);
	if (!agent)
		goto cleanup;

	if (differs(bc_write(parent, "bc.max", "numfile 6\nnumproc 3"), 0) ||
	    differs(bc_write(child, "bc.max", "numfile 60\nnumproc 30"), 0))
		goto cleanup;

	if (differs(bc_open(agent, 9), 6) || differs(agent->err, ENFILE) ||
	    differs(bc_fork(agent, 9), 2) || differs(agent->err, EAGAIN))
		goto cleanup;

	/* What the parent refused, the child does not hold, and never did. */
	if (differs(bc_held(child, NUMFILE), 6) ||
	    differs(bc_held(parent, NUMFILE), 6) ||
	    differs(bc_held(child, NUMPROC), 3) ||
	    differs(bc_held(parent, NUMPROC), 3) ||
	    differs(bc_peak(child, NUMFILE), 6) ||
	    differs(bc_peak(child, NUMPROC), 3))
		goto cleanup;

	/* The refusal is the parent's. */
	if (miscounted(parent, "bc.events.local", NUMFILE, 0, 1) ||
	    miscounted(parent, "bc.events", NUMFILE, 0, 1) ||
	    miscounted(child, "bc.events.local", NUMFILE, 0, 0) ||
	    miscounted(child, "bc.events", NUMFILE, 0, 0))
		goto cleanup;
	if (miscounted(parent, "bc.events.local", NUMPROC, 0, 1) ||
	    miscounted(parent, "bc.events", NUMPROC, 0, 1) ||
	    miscounted(child, "bc.events.local", NUMPROC, 0, 0) ||
	    miscounted(child, "bc.events", NUMPROC, 0, 0))
		goto cleanup;

	/*
	 * Had the child kept anything of it, its own limit would now come too
	 * early.
	 */
	for (i = 0; i < 5; i++) {
		if (differs(bc_open(agent, 1), 0) ||
		    differs(bc_fork(agent, 1), 0))
			goto cleanup;
	}
	if (differs(bc_write(parent, "bc.max", "numfile max\nnumproc max"),
		    0) ||
	    differs(bc_write(child, "bc.max", "numfile 8\nnumproc 5"), 0) ||
	    differs(bc_open(agent, 9), 2) || differs(bc_fork(agent, 9), 2))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

/* The child refuses what the parent would have granted, and the parent hears. */
static int test_hierarchy_child_refuses(const char *root)
{
	struct bc_agent *agent = NULL;
	char *parent, *child = NULL;
	int ret = KSFT_FAIL;

	parent = bc_cgroup(root, "bc_parent");
	child = bc_cgroup(parent, "child");
	if (!child || differs(bc_enable(parent), 0))
		goto cleanup;
	agent = bc_agent(child);
	if (!agent)
		goto cleanup;

	if (differs(bc_write(parent, "bc.max", "numfile 60\nnumproc 30"), 0) ||
	    differs(bc_write(child, "bc.high", "numfile 6\nnumproc 3"), 0))
		goto cleanup;
	if (differs(bc_open(agent, 9), 6) || differs(bc_fork(agent, 9), 2))
		goto cleanup;
	if (differs(bc_held(parent, NUMFILE), 6) ||
	    differs(bc_held(parent, NUMPROC), 3))
		goto cleanup;

	if (miscounted(child, "bc.events.local", NUMFILE, 1, 0) ||
	    miscounted(child, "bc.events", NUMFILE, 1, 0) ||
	    miscounted(parent, "bc.events.local", NUMFILE, 0, 0) ||
	    miscounted(parent, "bc.events", NUMFILE, 1, 0))
		goto cleanup;
	if (miscounted(child, "bc.events.local", NUMPROC, 1, 0) ||
	    miscounted(child, "bc.events", NUMPROC, 1, 0) ||
	    miscounted(parent, "bc.events.local", NUMPROC, 0, 0) ||
	    miscounted(parent, "bc.events", NUMPROC, 1, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

/* Of three levels the middle one refuses: told to it and above, not below. */
static int test_hierarchy_middle_refuses(const char *root)
{
	struct bc_agent *agent = NULL;
	char *top, *middle = NULL, *bottom = NULL;
	int ret = KSFT_FAIL;

	top = bc_cgroup(root, "bc_top");
	middle = bc_cgroup(top, "middle");
	bottom = bc_cgroup(middle, "bottom");
	if (!bottom || differs(bc_enable(top), 0) ||
	    differs(bc_enable(middle), 0))
		goto cleanup;
	agent = bc_agent(bottom);
	if (!agent)
		goto cleanup;

	if (differs(bc_write(top, "bc.max", "numfile 30"), 0) ||
	    differs(bc_write(middle, "bc.high", "numfile 10"), 0) ||
	    differs(bc_write(bottom, "bc.max", "numfile 20"), 0))
		goto cleanup;
	if (differs(bc_open(agent, 11), 10) || differs(bc_open(agent, 1), 0))
		goto cleanup;
	if (differs(bc_held(top, NUMFILE), 10) ||
	    differs(bc_held(middle, NUMFILE), 10) ||
	    differs(bc_held(bottom, NUMFILE), 10))
		goto cleanup;

	if (miscounted(bottom, "bc.events", NUMFILE, 0, 0) ||
	    miscounted(bottom, "bc.events.local", NUMFILE, 0, 0) ||
	    miscounted(middle, "bc.events", NUMFILE, 2, 0) ||
	    miscounted(middle, "bc.events.local", NUMFILE, 2, 0) ||
	    miscounted(top, "bc.events", NUMFILE, 2, 0) ||
	    miscounted(top, "bc.events.local", NUMFILE, 0, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(bottom, ret);
	ret = bc_remove(middle, ret);
	return bc_remove(top, ret);
}

/* Siblings share what their parent has, and a refusal costs neither of them. */
static int test_hierarchy_siblings_share(const char *root)
{
	struct bc_agent *one = NULL, *two = NULL;
	char *parent, *first = NULL, *second = NULL;
	int ret = KSFT_FAIL;

	parent = bc_cgroup(root, "bc_shared");
	first = bc_cgroup(parent, "first");
	second = bc_cgroup(parent, "second");
	if (!first || !second || differs(bc_enable(parent), 0))
		goto cleanup;
	one = bc_agent(first);
	two = bc_agent(second);
	if (!one || !two)
		goto cleanup;

	if (differs(bc_write(parent, "bc.max", "numfile 30\nnumproc 5"), 0))
		goto cleanup;

	if (differs(bc_open(one, 20), 20) || differs(bc_open(two, 20), 10) ||
	    differs(bc_open(one, 1), 0) ||
	    differs(bc_held(parent, NUMFILE), 30) ||
	    differs(bc_held(first, NUMFILE), 20) ||
	    differs(bc_held(second, NUMFILE), 10))
		goto cleanup;
	if (differs(bc_close(one, 15), 15) || differs(bc_open(two, 20), 15) ||
	    differs(bc_held(parent, NUMFILE), 30) ||
	    differs(bc_held(first, NUMFILE), 5) ||
	    differs(bc_held(second, NUMFILE), 25))
		goto cleanup;

	if (differs(bc_fork(one, 2), 2) || differs(bc_fork(two, 2), 1) ||
	    differs(bc_end_children(one), 2) || unsettled(first, NUMPROC, 1) ||
	    differs(bc_fork(two, 9), 2) ||
	    differs(bc_held(parent, NUMPROC), 5))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(one);
	bc_stop(two);
	ret = bc_remove(first, ret);
	ret = bc_remove(second, ret);
	return bc_remove(parent, ret);
}

/* What is in stock for one child is there for its sibling in time of need. */
static int test_hierarchy_sibling_stock(const char *root)
{
	struct bc_agent *one = NULL, *two = NULL;
	char *parent, *first = NULL, *second = NULL;
	int ret = KSFT_FAIL;
	char text[64];
	long granted;

	parent = bc_cgroup(root, "bc_sibling_stock");
	first = bc_cgroup(parent, "first");
	second = bc_cgroup(parent, "second");
	if (!first || !second || differs(bc_enable(parent), 0))
		goto cleanup;
	one = bc_agent(first);
	two = bc_agent(second);
	if (!one || !two)
		goto cleanup;

	/* The limit is there first. */
	granted = 4 * BC_STOCK_NUMFILE * bc_cpus();
	snprintf(text, sizeof(text), "numfile %ld", granted);
	if (differs(bc_write(parent, "bc.max", text), 0) ||
	    differs(bc_scatter(one, 5), 0) ||
	    unsettled(parent, NUMFILE, 0))
		goto cleanup;
	if (differs(bc_open(two, BC_ALL), granted) ||
	    differs(bc_held(parent, NUMFILE), granted) ||
	    differs(bc_held(first, NUMFILE), 0) ||
	    differs(bc_close(two, BC_ALL), granted) ||
	    unsettled(parent, NUMFILE, 0))
		goto cleanup;

	/* The stock is there first. */
	if (differs(bc_write(parent, "bc.max", "numfile max"), 0) ||
	    differs(bc_scatter(one, 5), 0) ||
	    differs(bc_write(parent, "bc.max", "numfile 4"), 0))
		goto cleanup;
	if (differs(bc_open(two, 9), 4) ||
	    differs(bc_held(parent, NUMFILE), 4) ||
	    differs(bc_open(one, 1), 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(one);
	bc_stop(two);
	ret = bc_remove(first, ret);
	ret = bc_remove(second, ret);
	return bc_remove(parent, ret);
}

/* A move within the subtree changes nothing above it. */
static int test_hierarchy_migration_inside(const char *root)
{
	struct bc_agent *agent = NULL;
	char *parent, *first = NULL, *second = NULL;
	int ret = KSFT_FAIL;
	int i;

	parent = bc_cgroup(root, "bc_inside");
	first = bc_cgroup(parent, "first");
	second = bc_cgroup(parent, "second");
	if (!first || !second || differs(bc_enable(parent), 0))
		goto cleanup;
	agent = bc_agent(first);
	if (!agent || differs(bc_threads(agent, 2), 2))
		goto cleanup;

	/* The parent is full, which a move inside must not notice. */
	if (differs(bc_write(parent, "bc.max", "numproc 3"), 0))
		goto cleanup;
	for (i = 0; i < 6; i++) {
		if (differs(cg_enter(i % 2 ? first : second, agent->pid), 0) ||
		    differs(bc_held(parent, NUMPROC), 3) ||
		    differs(bc_held(first, NUMPROC), i % 2 ? 3 : 0) ||
		    differs(bc_held(second, NUMPROC), i % 2 ? 0 : 3))
			goto cleanup;
	}
	if (miscounted(parent, "bc.events", NUMPROC, 0, 0) ||
	    unmet(bc_peak(parent, NUMPROC) <= 6))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(first, ret);
	ret = bc_remove(second, ret);
	return bc_remove(parent, ret);
}

static long become(long uid, const char *text __maybe_unused)
{
	if (setgroups(0, NULL) || setresgid(uid, uid, uid) ||
	    setresuid(uid, uid, uid))
		return -1;

	/* A change of credentials clears it. */
	return prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static long make_directory(long arg __maybe_unused, const char *path)
{
	return mkdir(path, 0755);
}

/* Hand the directory and what delegation covers to a user. */
static int delegate(const char *cgroup)
{
	static const char * const names[] = {
		".", "cgroup.procs", "cgroup.subtree_control",
		"cgroup.threads",
	};
	char path[PATH_MAX];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", cgroup, names[i]);
		if (chown(path, TEST_UID, TEST_UID))
			return -errno;
	}

	return 0;
}

/*
 * A user who was given a subtree sets limits and moves tasks inside it, and
 * stays within what the subtree itself was given.
 */
static int test_hierarchy_delegation(const char *root)
{
	struct bc_agent *agent = NULL, *other = NULL;
	char *top, *start = NULL, *own = NULL;
	int ret = KSFT_FAIL;

	top = bc_cgroup(root, "bc_delegated");
	start = bc_cgroup(top, "start");
	if (!start || differs(bc_write(top, "bc.max", "numfile 8\nnumproc 4"),
			      0))
		goto cleanup;
	if (differs(delegate(top), 0) || differs(delegate(start), 0))
		goto cleanup;
	agent = bc_agent(start);
	other = bc_agent(root);
	own = cg_name(top, "own");
	if (!agent || !other || !own)
		goto cleanup;
	if (differs(bc_call(agent, become, TEST_UID, NULL), 0) ||
	    differs(bc_call(other, become, OTHER_UID, NULL), 0))
		goto cleanup;

	/* The user enables the controller, and makes and enters a cgroup. */
	if (differs(bc_agent_write(agent, top, "cgroup.subtree_control", "+bc"),
		    0) ||
	    differs(bc_call(agent, make_directory, 0, own), 0) ||
	    differs(bc_agent_write(agent, own, "bc.max", "numfile 5"), 0) ||
	    differs(bc_agent_write(agent, own, "bc.high", "numproc 3"), 0) ||
	    differs(bc_agent_write(agent, own, "cgroup.procs", "0"), 0))
		goto cleanup;
	if (differs(bc_held(own, NUMPROC), 1) ||
	    differs(bc_held(start, NUMPROC), 0) ||
	    differs(bc_held(top, NUMPROC), 1))
		goto cleanup;

	/* The user's own limits hold. */
	if (differs(bc_open(agent, 9), 5) || differs(bc_fork(agent, 9), 2) ||
	    miscounted(own, "bc.events.local", NUMFILE, 0, 1) ||
	    miscounted(own, "bc.events.local", NUMPROC, 1, 0))
		goto cleanup;

	/* Without them, those of the subtree do. One file to write with. */
	if (differs(bc_close(agent, 1), 1) ||
	    differs(bc_agent_write(agent, own, "bc.max", "numfile max"), 0) ||
	    differs(bc_agent_write(agent, own, "bc.high", "numproc max"), 0) ||
	    differs(bc_open(agent, 9), 4) || differs(bc_fork(agent, 9), 1) ||
	    differs(bc_held(top, NUMFILE), 8) ||
	    differs(bc_held(top, NUMPROC), 4) ||
	    miscounted(top, "bc.events.local", NUMFILE, 0, 1) ||
	    miscounted(top, "bc.events.local", NUMPROC, 0, 1))
		goto cleanup;

	/* Those are not the user's to change, nor is the way out. */
	if (differs(bc_close(agent, BC_ALL), 8) ||
	    differs(bc_agent_write(agent, top, "bc.max", "numfile max"),
		    -EACCES) ||
	    differs(bc_agent_write(agent, top, "bc.high", "numfile 1"),
		    -EACCES) ||
	    differs(bc_agent_write(agent, root, "cgroup.procs", "0"),
		    -EACCES) ||
	    differs(bc_value(top, "bc.max", NUMFILE), 8))
		goto cleanup;

	/* Another user may look, but not touch. */
	if (differs(bc_agent_write(other, own, "bc.max", "numfile 1"),
		    -EACCES) ||
	    differs(bc_agent_write(other, own, "cgroup.procs", "0"),
		    -EACCES) ||
	    differs(bc_value(own, "bc.max", NUMFILE), BC_MAX))
		goto cleanup;

	/* And back inside the subtree. */
	if (differs(bc_agent_write(agent, start, "cgroup.procs", "0"), 0) ||
	    differs(bc_held(start, NUMPROC), 1) ||
	    differs(bc_held(own, NUMPROC), 3))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	bc_stop(other);
	ret = bc_remove(own, ret);
	ret = bc_remove(start, ret);
	return bc_remove(top, ret);
}

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_hierarchy_child_refuses),
	T(test_hierarchy_delegation),
	T(test_hierarchy_middle_refuses),
	T(test_hierarchy_migration_inside),
	T(test_hierarchy_parent_refuses),
	T(test_hierarchy_sibling_stock),
	T(test_hierarchy_siblings_share),
};

#undef T

int main(void)
{
	return bc_main(tests, ARRAY_SIZE(tests));
}
