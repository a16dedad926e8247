// SPDX-License-Identifier: GPL-2.0
/*
 * Tests that every resource passes whose objects stay charged where they were
 * made.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_standard.h"

#define POLL_MSEC	30000
/* More than anything here asks for. */
#define MOST_FAULTS	1000

static long make(struct bc_agent *agent, const struct bc_kind *kind, long nr)
{
	return bc_call(agent, kind->make, nr, NULL);
}

static long drop(struct bc_agent *agent, const struct bc_kind *kind, long nr)
{
	return bc_call(agent, kind->drop, nr, NULL);
}

/* Writes a value for the resource. */
static int set(const char *cgroup, const char *file,
	       const struct bc_kind *kind, long value)
{
	char text[64];

	if (value == BC_MAX)
		snprintf(text, sizeof(text), "%s max", kind->resource);
	else
		snprintf(text, sizeof(text), "%s %ld", kind->resource, value);

	return bc_write(cgroup, file, text);
}

/* Each one counts as one, at each level, and is given back. */
static int test_count(const char *root, const struct bc_kind *kind)
{
	struct bc_agent *agent = NULL;
	char *parent, *child = NULL;
	int ret = KSFT_FAIL;
	int i;

	parent = bc_cgroup(root, "bc_count");
	child = bc_cgroup(parent, "child");
	if (!child || differs(bc_enable(parent), 0))
		goto cleanup;
	agent = bc_agent(child);
	if (!agent || differs(bc_held(child, kind->resource), 0))
		goto cleanup;

	for (i = 1; i <= 20; i++) {
		if (differs(make(agent, kind, 1), 1) ||
		    differs(bc_held(child, kind->resource), i) ||
		    differs(bc_held(parent, kind->resource), i))
			goto cleanup;
	}
	if (unmet(bc_peak(child, kind->resource) >= 20))
		goto cleanup;

	for (i = 19; i >= 0; i--) {
		if (differs(drop(agent, kind, 1), 1) ||
		    unsettled(child, kind->resource, i) ||
		    unsettled(parent, kind->resource, i))
			goto cleanup;
	}
	if (unmet(bc_peak(child, kind->resource) >= 20) ||
	    miscounted(parent, "bc.events", kind->resource, 0, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

/* At a setting there is an error, and nothing that stays behind. */
static int stops_at(const char *root, const struct bc_kind *kind, bool by_max)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	int i;

	cgroup = bc_cgroup(root, "bc_stops");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	if (differs(set(cgroup, by_max ? "bc.max" : "bc.high", kind, 4), 0) ||
	    (!by_max && differs(set(cgroup, "bc.max", kind, 9), 0)))
		goto cleanup;

	if (differs(make(agent, kind, 4), 4) ||
	    differs(bc_held(cgroup, kind->resource), 4) ||
	    miscounted(cgroup, "bc.events.local", kind->resource, 0, 0))
		goto cleanup;
	for (i = 1; i <= 5; i++) {
		if (differs(make(agent, kind, 1), 0) ||
		    differs(agent->err, kind->err) ||
		    differs(bc_held(cgroup, kind->resource), 4) ||
		    miscounted(cgroup, "bc.events.local", kind->resource,
			       by_max ? 0 : i, by_max ? i : 0))
			goto cleanup;
	}
	if (differs(bc_peak(cgroup, kind->resource), 4))
		goto cleanup;

	/* What is given back can be had again, and not more. */
	if (differs(drop(agent, kind, 2), 2) ||
	    unsettled(cgroup, kind->resource, 2) ||
	    differs(make(agent, kind, 5), 2) ||
	    differs(bc_held(cgroup, kind->resource), 4))
		goto cleanup;

	/* Nothing is taken away, nor granted until enough was given back. */
	if (differs(set(cgroup, "bc.max", kind, 2), 0) ||
	    differs(bc_held(cgroup, kind->resource), 4) ||
	    differs(drop(agent, kind, 2), 2) ||
	    unsettled(cgroup, kind->resource, 2) ||
	    differs(make(agent, kind, 1), 0))
		goto cleanup;

	if (differs(set(cgroup, "bc.max", kind, BC_MAX), 0) ||
	    differs(set(cgroup, "bc.high", kind, BC_MAX), 0) ||
	    differs(make(agent, kind, 30), 30) ||
	    differs(bc_held(cgroup, kind->resource), 32) ||
	    differs(drop(agent, kind, 32), 32) ||
	    unsettled(cgroup, kind->resource, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

static int test_barrier(const char *root, const struct bc_kind *kind)
{
	return stops_at(root, kind, false);
}

static int test_limit(const char *root, const struct bc_kind *kind)
{
	return stops_at(root, kind, true);
}

/* The parent refuses, is told so, and the child keeps nothing of it. */
static int test_parent_refuses(const char *root, const struct bc_kind *kind)
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

	if (differs(set(parent, "bc.max", kind, 3), 0) ||
	    differs(set(child, "bc.max", kind, 30), 0) ||
	    differs(make(agent, kind, 5), 3) || differs(agent->err, kind->err))
		goto cleanup;
	for (i = 0; i < 4; i++) {
		if (differs(make(agent, kind, 1), 0))
			goto cleanup;
	}
	if (differs(bc_held(child, kind->resource), 3) ||
	    differs(bc_held(parent, kind->resource), 3) ||
	    miscounted(parent, "bc.events.local", kind->resource, 0, 5) ||
	    miscounted(parent, "bc.events", kind->resource, 0, 5) ||
	    miscounted(child, "bc.events.local", kind->resource, 0, 0) ||
	    miscounted(child, "bc.events", kind->resource, 0, 0))
		goto cleanup;

	/* If it had, the child's own limit would come too early now. */
	if (differs(set(parent, "bc.max", kind, BC_MAX), 0) ||
	    differs(set(child, "bc.max", kind, 6), 0) ||
	    differs(make(agent, kind, 9), 3) ||
	    differs(drop(agent, kind, 6), 6))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

/* The child refuses, and the parent hears of it. */
static int test_child_refuses(const char *root, const struct bc_kind *kind)
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

	if (differs(set(parent, "bc.max", kind, 30), 0) ||
	    differs(set(child, "bc.high", kind, 3), 0) ||
	    differs(make(agent, kind, 5), 3) ||
	    differs(bc_held(parent, kind->resource), 3))
		goto cleanup;
	if (miscounted(child, "bc.events.local", kind->resource, 1, 0) ||
	    miscounted(child, "bc.events", kind->resource, 1, 0) ||
	    miscounted(parent, "bc.events.local", kind->resource, 0, 0) ||
	    miscounted(parent, "bc.events", kind->resource, 1, 0) ||
	    differs(drop(agent, kind, 3), 3))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

/* Who takes all it can get leaves its neighbour what is the neighbour's. */
static int test_siblings(const char *root, const struct bc_kind *kind)
{
	struct bc_agent *greedy = NULL, *modest = NULL;
	char *one, *other = NULL;
	int ret = KSFT_FAIL;

	one = bc_cgroup(root, "bc_greedy");
	other = bc_cgroup(root, "bc_modest");
	greedy = bc_agent(one);
	modest = bc_agent(other);
	if (!greedy || !modest)
		goto cleanup;

	if (differs(set(one, "bc.max", kind, 5), 0) ||
	    differs(make(greedy, kind, 9), 5) ||
	    differs(make(modest, kind, 9), 9) ||
	    differs(bc_held(one, kind->resource), 5) ||
	    differs(bc_held(other, kind->resource), 9))
		goto cleanup;
	if (miscounted(one, "bc.events", kind->resource, 0, 1) ||
	    miscounted(other, "bc.events", kind->resource, 0, 0) ||
	    differs(drop(greedy, kind, 5), 5) ||
	    differs(drop(modest, kind, 9), 9))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(greedy);
	bc_stop(modest);
	ret = bc_remove(one, ret);
	return bc_remove(other, ret);
}

/* Who moves leaves them behind, and gives each back where it was made. */
static int test_migration(const char *root, const struct bc_kind *kind)
{
	struct bc_agent *agent = NULL;
	char *from, *to = NULL;
	int ret = KSFT_FAIL;

	from = bc_cgroup(root, "bc_from");
	to = bc_cgroup(root, "bc_to");
	agent = bc_agent(from);
	if (!agent || !to)
		goto cleanup;

	if (differs(set(from, "bc.max", kind, 4), 0) ||
	    differs(set(to, "bc.max", kind, 3), 0) ||
	    differs(make(agent, kind, 5), 4) ||
	    differs(cg_enter(to, agent->pid), 0) ||
	    differs(bc_held(from, kind->resource), 4) ||
	    differs(bc_held(to, kind->resource), 0))
		goto cleanup;

	/* The limit of where it is counts, and what it has left does not. */
	if (differs(make(agent, kind, 4), 3) ||
	    differs(bc_held(from, kind->resource), 4) ||
	    differs(bc_held(to, kind->resource), 3))
		goto cleanup;
	if (differs(drop(agent, kind, 3), 3) ||
	    unsettled(from, kind->resource, 1) ||
	    differs(bc_held(to, kind->resource), 3) ||
	    differs(make(agent, kind, 1), 0))
		goto cleanup;
	if (differs(drop(agent, kind, 2), 2) ||
	    unsettled(from, kind->resource, 0) ||
	    unsettled(to, kind->resource, 2) ||
	    differs(make(agent, kind, 2), 1) ||
	    differs(drop(agent, kind, 3), 3))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(from, ret);
	return bc_remove(to, ret);
}

/* Who just ends leaves nothing. */
static int test_exit(const char *root, const struct bc_kind *kind)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	int i;

	cgroup = bc_cgroup(root, "bc_exit");
	if (!cgroup || differs(set(cgroup, "bc.max", kind, 6), 0))
		goto cleanup;

	for (i = 0; i < 4; i++) {
		agent = bc_agent(cgroup);
		if (!agent || differs(make(agent, kind, 9), 6))
			goto cleanup;
		/* In turn by its own will and by force. */
		if (i % 2)
			kill(agent->pid, SIGKILL);
		bc_stop(agent);
		agent = NULL;
		if (unsettled(cgroup, kind->resource, 0))
			goto cleanup;
	}

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* The number of dying states below a cgroup comes down to what is wanted. */
static bool lingers_below(const char *cgroup, long want)
{
	long got = BC_NONE;
	int i;

	for (i = 0; i < BC_POLL_TIMES && got != want; i++) {
		bc_pause();
		got = bc_value(cgroup, "cgroup.stat", "nr_dying_subsys_bc");
	}

	return differs(got, want);
}

/* Their cgroup is removed: the parent has them until they are gone. */
static int test_death(const char *root, const struct bc_kind *kind)
{
	struct bc_agent *agent = NULL;
	char *parent, *child = NULL;
	int ret = KSFT_FAIL;

	parent = bc_cgroup(root, "bc_death");
	child = bc_cgroup(parent, "child");
	if (!child || differs(bc_enable(parent), 0))
		goto cleanup;
	agent = bc_agent(child);
	if (!agent || differs(make(agent, kind, 12), 12))
		goto cleanup;

	if (differs(cg_enter(root, agent->pid), 0) ||
	    differs(rmdir(child), 0) || lingers_below(parent, 1) ||
	    differs(bc_held(parent, kind->resource), 12))
		goto cleanup;

	if (differs(drop(agent, kind, 11), 11) ||
	    unsettled(parent, kind->resource, 1) || lingers_below(parent, 1) ||
	    differs(drop(agent, kind, 1), 1) ||
	    unsettled(parent, kind->resource, 0) || lingers_below(parent, 0))
		goto cleanup;

	/* In the root nobody pays for anything. */
	if (differs(make(agent, kind, 3), 3) ||
	    differs(bc_held(parent, kind->resource), 0) ||
	    differs(drop(agent, kind, 3), 3))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

/* What a CPU has ready for a neighbour takes nothing from what a limit grants. */
static int test_stock(const char *root, const struct bc_kind *kind)
{
	struct bc_agent *scatterer = NULL, *agent = NULL;
	char *parent, *one = NULL, *other = NULL;
	long limit = 10 * bc_cpus();
	int ret = KSFT_FAIL;
	long made;
	int i;

	parent = bc_cgroup(root, "bc_stock");
	one = bc_cgroup(parent, "one");
	other = bc_cgroup(parent, "other");
	if (!one || !other || differs(bc_enable(parent), 0) ||
	    differs(set(parent, "bc.max", kind, limit), 0))
		goto cleanup;
	scatterer = bc_agent(one);
	agent = bc_agent(other);
	if (!scatterer || !agent)
		goto cleanup;

	for (i = 0; i < bc_cpus(); i++) {
		if (differs(bc_pin(scatterer, i), 0) ||
		    differs(make(scatterer, kind, 3), 3) ||
		    differs(drop(scatterer, kind, 3), 3))
			goto cleanup;
	}
	if (unsettled(parent, kind->resource, 0))
		goto cleanup;

	made = make(agent, kind, limit + 5);
	for (i = 0; kind->may_be_early && made < limit && i < BC_POLL_TIMES;
	     i++) {
		bc_pause();
		made += make(agent, kind, limit + 5 - made);
	}
	if (differs(made, limit) ||
	    differs(bc_held(parent, kind->resource), limit) ||
	    differs(bc_held(other, kind->resource), limit) ||
	    (!kind->may_be_early &&
	     miscounted(parent, "bc.events", kind->resource, 0, 1)))
		goto cleanup;
	if (differs(drop(agent, kind, limit), limit))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(scatterer);
	bc_stop(agent);
	ret = bc_remove(one, ret);
	ret = bc_remove(other, ret);
	return bc_remove(parent, ret);
}

/* Who gets one in a message does not get its charge, nor when its maker ends. */
static int test_scm_rights(const char *root, const struct bc_kind *kind)
{
	struct bc_agent *maker = NULL, *receiver = NULL;
	char *from, *to = NULL;
	int ret = KSFT_FAIL;
	int fd;

	from = bc_cgroup(root, "bc_scm_from");
	to = bc_cgroup(root, "bc_scm_to");
	maker = bc_agent(from);
	receiver = bc_agent(to);
	if (!maker || !receiver || differs(set(to, "bc.max", kind, 0), 0) ||
	    differs(make(maker, kind, 1), 1))
		goto cleanup;

	fd = bc_take(maker);
	if (unmet(fd >= 0) || differs(bc_give(receiver, fd), 0))
		goto cleanup;
	close(fd);
	bc_stop(maker);
	maker = NULL;
	if (unsettled(from, NUMPROC, 0) ||
	    differs(bc_held(from, kind->resource), 1) ||
	    differs(bc_held(to, kind->resource), 0))
		goto cleanup;
	if (differs(bc_close(receiver, 1), 1) ||
	    unsettled(from, kind->resource, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(maker);
	bc_stop(receiver);
	ret = bc_remove(from, ret);
	return bc_remove(to, ret);
}

/* The controller comes and goes under them. */
static int test_toggle(const char *root, const struct bc_kind *kind)
{
	struct bc_agent *agent = NULL;
	char *parent, *child = NULL;
	int ret = KSFT_FAIL;

	parent = bc_cgroup(root, "bc_toggle");
	child = bc_cgroup(parent, "child");
	agent = bc_agent(child);
	if (!agent)
		goto cleanup;

	if (differs(make(agent, kind, 2), 2) || differs(bc_enable(parent), 0) ||
	    differs(bc_held(child, kind->resource), 0) ||
	    differs(make(agent, kind, 3), 3) ||
	    differs(bc_held(child, kind->resource), 3) ||
	    differs(bc_held(parent, kind->resource), 5))
		goto cleanup;
	if (differs(bc_disable(parent), 0) || differs(make(agent, kind, 4), 4) ||
	    differs(bc_enable(parent), 0) ||
	    differs(bc_held(child, kind->resource), 0) ||
	    differs(bc_held(parent, kind->resource), 9) ||
	    differs(make(agent, kind, 5), 5) ||
	    differs(bc_held(parent, kind->resource), 14))
		goto cleanup;

	/* Oldest first: before, during, between, and after. */
	if (differs(drop(agent, kind, 2), 2) ||
	    unsettled(parent, kind->resource, 12) ||
	    differs(drop(agent, kind, 3), 3) ||
	    unsettled(parent, kind->resource, 9) ||
	    differs(drop(agent, kind, 4), 4) ||
	    unsettled(parent, kind->resource, 5) ||
	    differs(bc_held(child, kind->resource), 5))
		goto cleanup;
	if (differs(bc_disable(parent), 0) || differs(drop(agent, kind, 5), 5) ||
	    unsettled(parent, kind->resource, 0) || lingers_below(parent, 0))
		goto cleanup;

	/* If anything were lost or left, a limit would show it. */
	if (differs(set(parent, "bc.max", kind, 3), 0) ||
	    differs(make(agent, kind, 9), 3) || differs(drop(agent, kind, 3), 3))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

/* A refusal wakes who polls, and says why. */
static int test_trace(const char *root, const struct bc_kind *kind)
{
	char path[PATH_MAX], want[256], buf[BUF_SIZE];
	struct bc_agent *agent = NULL;
	struct pollfd events = { .fd = -1, .events = POLLPRI };
	char *cgroup = NULL;
	int ret;

	ret = bc_trace_start();
	if (ret != KSFT_PASS)
		goto cleanup;
	ret = KSFT_FAIL;

	cgroup = bc_cgroup(root, "bc_refused");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;
	if (differs(set(cgroup, "bc.high", kind, 3), 0) ||
	    differs(set(cgroup, "bc.max", kind, 5), 0) ||
	    differs(make(agent, kind, 3), 3))
		goto cleanup;

	snprintf(path, sizeof(path), "%s/bc.events", cgroup);
	events.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (unmet(read(events.fd, buf, sizeof(buf)) > 0) ||
	    differs(poll(&events, 1, 0), 0) ||
	    differs(make(agent, kind, 1), 0) ||
	    differs(poll(&events, 1, POLL_MSEC), 1))
		goto cleanup;

	snprintf(want, sizeof(want),
		 "cgroup=%lu resource=%s requested=1 held=3 barrier=3 limit=5 refused_by=high at=%lu level=1 comm=bc_agent pid=%d",
		 bc_id(cgroup), kind->resource, bc_id(cgroup), agent->pid);
	if (bc_trace_differs(bc_id(cgroup), want) ||
	    differs(drop(agent, kind, 3), 3))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	if (events.fd >= 0)
		close(events.fd);
	bc_stop(agent);
	ret = bc_remove(cgroup, ret);
	bc_trace_end();
	return ret;
}

/* What is made while what the kernel asks for itself fails at one place. */
static const struct bc_kind *faulty;

static long make_faulty(long nth, const char *text __maybe_unused)
{
	long made;
	int err;

	if (bc_self_fail(nth))
		return -1;
	made = faulty->make(1, NULL);
	err = errno;
	/* Two for each that was made, and one when there was no such place. */
	made = 2 * made + !bc_self_failed();
	errno = err;
	return made;
}

/* Memory fails at each place on the way: nothing is charged but what is made. */
int bc_std_faults(const char *root, const struct bc_kind *kind)
{
	long ret, before, nth, made = 0, failed = 0;
	struct bc_agent *agent = NULL;
	int result = KSFT_FAIL;
	char *cgroup;

	if (!bc_may_fail())
		return bc_skip("the kernel injects no faults");

	/* The agent knows it from the program. */
	faulty = kind;
	cgroup = bc_cgroup(root, "bc_faults");
	if (!cgroup || differs(set(cgroup, "bc.max", kind, 1000), 0))
		goto cleanup;
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	/* So that what is only asked for once does not hide what comes after. */
	before = bc_held(cgroup, kind->resource);
	made = make(agent, kind, 1);
	if (differs(made, 1))
		goto cleanup;
	for (nth = 1; nth < MOST_FAULTS; nth++) {
		ret = bc_call(agent, make_faulty, nth, NULL);
		if (unmet(ret >= 0) || unmet(ret < 4))
			goto cleanup;
		made += ret / 2;
		failed += ret < 2;
		if (unsettled(cgroup, kind->resource, before + made)) {
			ksft_print_msg("after failing number %ld\n", nth);
			goto cleanup;
		}
		if (ret % 2)
			break;
	}
	if (unmet(nth < MOST_FAULTS) || unmet(failed > 0) ||
	    miscounted(cgroup, "bc.events", kind->resource, 0, 0))
		goto cleanup;
	ksft_print_msg("%ld places, %ld refused for want of memory\n", nth - 1,
		       failed);
	if (differs(drop(agent, kind, made), made) ||
	    unsettled(cgroup, kind->resource, before))
		goto cleanup;

	result = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, result);
}

int bc_std_steps(const char *root, const char *resource,
		 const struct bc_step *steps, size_t nr)
{
	struct bc_agent *agent = NULL;
	int result = KSFT_FAIL;
	char *cgroup;
	long held;
	size_t i;

	cgroup = bc_cgroup(root, "bc_steps");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	held = bc_held(cgroup, resource);
	for (i = 0; i < nr; i++) {
		held += steps[i].adds;
		if (differs(bc_call(agent, steps[i].fn, steps[i].arg, NULL), 0) ||
		    (steps[i].later ? unsettled(cgroup, resource, held) :
		     differs(bc_held(cgroup, resource), held))) {
			ksft_print_msg("at step %zu, %s: %s\n", i,
				       steps[i].name, strerror(agent->err));
			goto cleanup;
		}
	}

	result = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, result);
}

static const struct {
	const char *name;
	int (*fn)(const char *root, const struct bc_kind *kind);
	bool of_files;
	bool of_stayers;
} standard[] = {
	{ "barrier", test_barrier },
	{ "child_refuses", test_child_refuses },
	{ "count", test_count },
	{ "death", test_death, .of_stayers = true },
	{ "exit", test_exit },
	{ "faults", bc_std_faults },
	{ "limit", test_limit },
	{ "migration", test_migration, .of_stayers = true },
	{ "parent_refuses", test_parent_refuses },
	{ "scm_rights", test_scm_rights, .of_files = true },
	{ "siblings", test_siblings },
	{ "stock", test_stock },
	{ "toggle", test_toggle, .of_stayers = true },
	{ "trace", test_trace },
};

int bc_std_main(const struct bc_kind * const kinds[], size_t nr_kinds,
		const struct bc_test *tests, size_t nr_tests)
{
	struct bc_test *all;
	size_t i, j, nr = 0;

	all = calloc(nr_kinds * ARRAY_SIZE(standard) + nr_tests, sizeof(*all));
	if (!all)
		ksft_exit_fail_perror("calloc");

	for (i = 0; i < nr_kinds; i++) {
		for (j = 0; j < ARRAY_SIZE(standard); j++) {
			char *name;

			if ((standard[j].of_files && !kinds[i]->in_files) ||
			    (standard[j].of_stayers && kinds[i]->moves))
				continue;
			if (asprintf(&name, "test_%s_%s", kinds[i]->name,
				     standard[j].name) < 0)
				ksft_exit_fail_perror("asprintf");
			all[nr++] = (struct bc_test) {
				.of_kind = standard[j].fn,
				.kind = kinds[i],
				.name = name,
			};
		}
	}
	memcpy(&all[nr], tests, nr_tests * sizeof(*tests));

	return bc_main(all, nr + nr_tests);
}
