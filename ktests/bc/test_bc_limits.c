// SPDX-License-Identifier: GPL-2.0
/*
 * Barrier and limit of one cgroup, and how exact its counters are while stock
 * is out on the CPUs.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_util.h"

/*
 * With such settings exactly so many files can be opened; the one after is
 * refused by the barrier or by the limit, and counted there.
 */
struct bounds {
	const char *high;
	const char *max;
	long granted;
	bool by_limit;
};

static int check_bounds(const char *root, const struct bounds *bounds)
{
	struct bc_agent *agent = NULL;
	long high = !bounds->by_limit;
	long max = bounds->by_limit;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_bounds");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	if (bounds->high &&
	    differs(bc_write(cgroup, "bc.high", bounds->high), 0))
		goto cleanup;
	if (bounds->max && differs(bc_write(cgroup, "bc.max", bounds->max), 0))
		goto cleanup;

	if (differs(bc_open(agent, bounds->granted), bounds->granted) ||
	    differs(bc_held(cgroup, NUMFILE), bounds->granted) ||
	    miscounted(cgroup, "bc.events.local", NUMFILE, 0, 0))
		goto cleanup;

	if (differs(bc_open(agent, 1), 0) || differs(agent->err, ENFILE))
		goto cleanup;
	if (differs(bc_held(cgroup, NUMFILE), bounds->granted) ||
	    miscounted(cgroup, "bc.events.local", NUMFILE, high, max) ||
	    miscounted(cgroup, "bc.events", NUMFILE, high, max))
		goto cleanup;

	/* What is given back can be had again, and not more. */
	if (bounds->granted) {
		if (differs(bc_close(agent, 1), 1) ||
		    unsettled(cgroup, NUMFILE, bounds->granted - 1) ||
		    differs(bc_open(agent, 2), 1))
			goto cleanup;
		if (miscounted(cgroup, "bc.events.local", NUMFILE, 2 * high,
			       2 * max))
			goto cleanup;
	}

	/* A file limit is no business of processes. */
	if (differs(bc_fork(agent, 2), 2) ||
	    miscounted(cgroup, "bc.events", NUMPROC, 0, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

static int test_limits_barrier_alone(const char *root)
{
	static const struct bounds bounds = {
		.high = "numfile 5", .granted = 5, .by_limit = false,
	};

	return check_bounds(root, &bounds);
}

static int test_limits_limit_alone(const char *root)
{
	static const struct bounds bounds = {
		.max = "numfile 5", .granted = 5, .by_limit = true,
	};

	return check_bounds(root, &bounds);
}

static int test_limits_barrier_below_limit(const char *root)
{
	static const struct bounds bounds = {
		.high = "numfile 4", .max = "numfile 9",
		.granted = 4, .by_limit = false,
	};

	return check_bounds(root, &bounds);
}

static int test_limits_barrier_above_limit(const char *root)
{
	static const struct bounds bounds = {
		.high = "numfile 9", .max = "numfile 4",
		.granted = 4, .by_limit = true,
	};

	return check_bounds(root, &bounds);
}

static int test_limits_barrier_equals_limit(const char *root)
{
	static const struct bounds bounds = {
		.high = "numfile 4", .max = "numfile 4",
		.granted = 4, .by_limit = true,
	};

	return check_bounds(root, &bounds);
}

static int test_limits_zero_barrier(const char *root)
{
	static const struct bounds bounds = {
		.high = "numfile 0", .granted = 0, .by_limit = false,
	};

	return check_bounds(root, &bounds);
}

static int test_limits_zero_limit(const char *root)
{
	static const struct bounds bounds = {
		.max = "numfile 0", .granted = 0, .by_limit = true,
	};

	return check_bounds(root, &bounds);
}

/* Far more than a CPU's stock, so that the way to the limit uses it. */
static int test_limits_beyond_stock(const char *root)
{
	static const struct bounds bounds = {
		.high = "numfile 100", .max = "numfile 120",
		.granted = 100, .by_limit = false,
	};

	return check_bounds(root, &bounds);
}

/* The largest number there is, and no setting at all, refuse nothing. */
static int test_limits_largest_number(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_largest");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	if (differs(bc_open(agent, 50), 50))
		goto cleanup;
	if (differs(bc_write(cgroup, "bc.high",
			     "numfile 9223372036854775807"), 0) ||
	    differs(bc_write(cgroup, "bc.max",
			     "numfile 9223372036854775807"), 0) ||
	    differs(bc_write(cgroup, "bc.max",
			     "numproc 9223372036854775806"), 0))
		goto cleanup;
	if (differs(bc_open(agent, 50), 50) || differs(bc_fork(agent, 2), 2))
		goto cleanup;
	if (differs(bc_held(cgroup, NUMFILE), 100) ||
	    differs(bc_held(cgroup, NUMPROC), 3))
		goto cleanup;
	if (miscounted(cgroup, "bc.events", NUMFILE, 0, 0) ||
	    miscounted(cgroup, "bc.events", NUMPROC, 0, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* What was refused is granted once the setting is raised or taken away. */
static int test_limits_raise(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_raise");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	if (differs(bc_write(cgroup, "bc.max", "numfile 3"), 0) ||
	    differs(bc_open(agent, 4), 3))
		goto cleanup;
	if (differs(bc_write(cgroup, "bc.max", "numfile 20"), 0) ||
	    differs(bc_open(agent, 20), 17))
		goto cleanup;
	if (differs(bc_write(cgroup, "bc.max", "numfile max"), 0) ||
	    differs(bc_open(agent, 30), 30))
		goto cleanup;
	if (differs(bc_held(cgroup, NUMFILE), 50) ||
	    miscounted(cgroup, "bc.events.local", NUMFILE, 0, 2))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/*
 * A limit may be set below what is held: nothing is taken away, nothing more
 * is granted until enough has been given back.
 */
static int test_limits_lower_below_held(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_lower_below_held");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	if (differs(bc_open(agent, 30), 30) || differs(bc_fork(agent, 4), 4))
		goto cleanup;
	if (differs(bc_write(cgroup, "bc.max", "numfile 10\nnumproc 2"), 0))
		goto cleanup;
	if (differs(bc_held(cgroup, NUMFILE), 30) ||
	    differs(bc_held(cgroup, NUMPROC), 5))
		goto cleanup;
	if (differs(bc_open(agent, 1), 0) || differs(agent->err, ENFILE) ||
	    differs(bc_fork(agent, 1), 0) || differs(agent->err, EAGAIN))
		goto cleanup;

	if (differs(bc_close(agent, 20), 20) || differs(bc_open(agent, 1), 0))
		goto cleanup;
	if (differs(bc_close(agent, 1), 1) || differs(bc_open(agent, 2), 1))
		goto cleanup;
	if (differs(bc_held(cgroup, NUMFILE), 10))
		goto cleanup;

	if (differs(bc_end_children(agent), 4) ||
	    unsettled(cgroup, NUMPROC, 1) || differs(bc_fork(agent, 2), 1))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* Leave stock of a cgroup on every CPU; how many files are held after it. */
static long scatter(struct bc_agent *agent)
{
	long held = 0;
	int i;

	for (i = 0; i < bc_cpus(); i++) {
		if (bc_pin(agent, i) ||
		    bc_open(agent, 3) != 3 || bc_close(agent, 2) != 2)
			return -1;
		held++;
	}

	return held;
}

/* Held counts the files and nothing that waits on a CPU, at every step. */
static int test_limits_held_is_exact(const char *root)
{
	struct bc_agent *agent = NULL;
	char *parent, *child = NULL;
	int ret = KSFT_FAIL;
	int i;

	parent = bc_cgroup(root, "bc_exact");
	child = bc_cgroup(parent, "child");
	if (!child || differs(bc_enable(parent), 0))
		goto cleanup;
	agent = bc_agent(child);
	if (!agent)
		goto cleanup;

	for (i = 1; i <= 3 * BC_STOCK_NUMFILE; i++) {
		if (differs(bc_pin(agent, i), 0) ||
		    differs(bc_open(agent, 1), 1) ||
		    differs(bc_held(child, NUMFILE), i) ||
		    differs(bc_held(parent, NUMFILE), i))
			goto cleanup;
	}

	/* From another CPU than the one that opened. */
	for (i = 3 * BC_STOCK_NUMFILE - 1; i >= 0; i--) {
		if (differs(bc_pin(agent, i), 0) ||
		    differs(bc_close(agent, 1), 1) ||
		    unsettled(child, NUMFILE, i) ||
		    unsettled(parent, NUMFILE, i))
			goto cleanup;
	}

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

/* Stock that is out when a limit comes cannot carry anyone across it. */
static int test_limits_lower_recalls_stock(const char *root)
{
	static const char * const settings[] = { "bc.high", "bc.max" };
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char text[64];
	char *cgroup;
	size_t i;
	long held;
	int j;

	cgroup = bc_cgroup(root, "bc_recall");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	for (i = 0; i < ARRAY_SIZE(settings); i++) {
		held = scatter(agent);
		if (differs(held, bc_cpus()) ||
		    unsettled(cgroup, NUMFILE, held))
			goto cleanup;

		/* Exactly what is held: no CPU may grant one more. */
		snprintf(text, sizeof(text), "numfile %ld", held);
		if (differs(bc_write(cgroup, settings[i], text), 0))
			goto cleanup;
		for (j = 0; j < bc_cpus(); j++) {
			if (differs(bc_pin(agent, j), 0) ||
			    differs(bc_open(agent, 1), 0) ||
			    differs(agent->err, ENFILE))
				goto cleanup;
		}
		if (differs(bc_held(cgroup, NUMFILE), held))
			goto cleanup;

		if (differs(bc_write(cgroup, settings[i], "numfile max"), 0) ||
		    differs(bc_close(agent, BC_ALL), held) ||
		    unsettled(cgroup, NUMFILE, 0))
			goto cleanup;
	}

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* Stock on other CPUs takes nothing from what a limit grants. */
static int test_limits_stock_takes_nothing(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char text[64];
	char *cgroup;
	long held;

	cgroup = bc_cgroup(root, "bc_takes_nothing");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	held = scatter(agent);
	if (differs(held, bc_cpus()))
		goto cleanup;
	snprintf(text, sizeof(text), "numfile %ld", held + 2);
	if (differs(bc_write(cgroup, "bc.max", text), 0))
		goto cleanup;
	if (differs(bc_open(agent, 5), 2))
		goto cleanup;
	if (differs(bc_held(cgroup, NUMFILE), held + 2) ||
	    miscounted(cgroup, "bc.events.local", NUMFILE, 0, 1))
		goto cleanup;

	/* The same with a limit that was there before the stock. */
	if (differs(bc_close(agent, BC_ALL), held + 2) ||
	    unsettled(cgroup, NUMFILE, 0))
		goto cleanup;
	snprintf(text, sizeof(text), "numfile %d",
		 (BC_STOCK_NUMFILE + 2) * bc_cpus());
	if (differs(bc_write(cgroup, "bc.max", text), 0) ||
	    differs(scatter(agent), held))
		goto cleanup;
	if (differs(bc_open(agent, BC_ALL),
		    (BC_STOCK_NUMFILE + 2) * bc_cpus() - held))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* The peak is never below the truth, nor above it by more than the stock. */
static int test_limits_peak(const char *root)
{
	struct bc_agent *agent = NULL;
	char *parent, *child = NULL;
	int ret = KSFT_FAIL;
	long peak, slack;

	parent = bc_cgroup(root, "bc_peak");
	child = bc_cgroup(parent, "child");
	if (!child || differs(bc_enable(parent), 0))
		goto cleanup;
	agent = bc_agent(child);
	if (!agent)
		goto cleanup;

	slack = BC_STOCK_NUMFILE * bc_cpus();
	if (differs(bc_open(agent, 40), 40))
		goto cleanup;
	peak = bc_peak(child, NUMFILE);
	if (unmet(peak >= 40) || unmet(peak <= 40 + slack))
		goto cleanup;
	if (unmet(bc_peak(parent, NUMFILE) >= 40) ||
	    unmet(bc_peak(parent, NUMFILE) <= 40 + slack))
		goto cleanup;

	/* It stays when what made it is gone, and less does not change it. */
	if (differs(bc_close(agent, 35), 35) || unsettled(child, NUMFILE, 5))
		goto cleanup;
	if (unmet(bc_peak(child, NUMFILE) >= 40) ||
	    unmet(bc_peak(child, NUMFILE) <= 40 + slack))
		goto cleanup;
	if (differs(bc_open(agent, 20), 20) ||
	    unmet(bc_peak(child, NUMFILE) >= 40) ||
	    unmet(bc_peak(child, NUMFILE) <= 40 + slack))
		goto cleanup;

	if (differs(bc_open(agent, 75), 75) ||
	    unmet(bc_peak(child, NUMFILE) >= 100) ||
	    unmet(bc_peak(child, NUMFILE) <= 100 + slack))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

/* Where a limit holds, the peak does not claim that it was passed. */
static int test_limits_peak_within_limit(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	int i;

	cgroup = bc_cgroup(root, "bc_peak_limit");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	if (differs(bc_write(cgroup, "bc.high", "numfile 10"), 0))
		goto cleanup;
	for (i = 0; i < 3; i++) {
		if (differs(bc_open(agent, 20), 10) ||
		    differs(bc_close(agent, BC_ALL), 10) ||
		    unsettled(cgroup, NUMFILE, 0))
			goto cleanup;
	}
	if (differs(bc_peak(cgroup, NUMFILE), 10))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/*
 * A CPU that was isolated is left alone: what it had in stock is recalled when
 * a setting asks for it, and nothing more is put there.
 */
static int test_limits_isolated_cpu(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup = NULL;
	bool was_enabled;
	char cpu[16];

	was_enabled = !cg_read_strstr(root, "cgroup.subtree_control", "cpuset");
	if (bc_cpus() < 2 ||
	    bc_write(root, "cgroup.subtree_control", "+cpuset"))
		return bc_skip("no CPU that can be isolated");

	cgroup = bc_cgroup(root, "bc_isolated");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	snprintf(cpu, sizeof(cpu), "%d", bc_cpu(bc_cpus() - 1));
	if (differs(bc_write(cgroup, "cpuset.cpus", cpu), 0) ||
	    differs(bc_open(agent, 3), 3) ||
	    differs(bc_write(cgroup, "cpuset.cpus.partition", "isolated"),
		    0) ||
	    unmet(!cg_read_strcmp(cgroup, "cpuset.cpus.partition",
				  "isolated\n")))
		goto cleanup;

	if (differs(bc_write(cgroup, "bc.max", "numfile 3"), 0) ||
	    differs(bc_open(agent, 1), 0) ||
	    differs(bc_held(cgroup, NUMFILE), 3))
		goto cleanup;

	/* Without stock the peak is exact; it has seen all that there was. */
	if (differs(bc_write(cgroup, "bc.max", "numfile max"), 0) ||
	    differs(bc_open(agent, 20), 20) ||
	    differs(bc_peak(cgroup, NUMFILE), 23))
		goto cleanup;

	if (differs(bc_close(agent, BC_ALL), 23) ||
	    unsettled(cgroup, NUMFILE, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(cgroup, ret);
	if (!was_enabled)
		bc_write(root, "cgroup.subtree_control", "-cpuset");
	return ret;
}

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_limits_barrier_above_limit),
	T(test_limits_barrier_alone),
	T(test_limits_barrier_below_limit),
	T(test_limits_barrier_equals_limit),
	T(test_limits_beyond_stock),
	T(test_limits_held_is_exact),
	T(test_limits_isolated_cpu),
	T(test_limits_largest_number),
	T(test_limits_limit_alone),
	T(test_limits_lower_below_held),
	T(test_limits_lower_recalls_stock),
	T(test_limits_peak),
	T(test_limits_peak_within_limit),
	T(test_limits_raise),
	T(test_limits_stock_takes_nothing),
	T(test_limits_zero_barrier),
	T(test_limits_zero_limit),
};

#undef T

int main(void)
{
	return bc_main(tests, ARRAY_SIZE(tests));
}
