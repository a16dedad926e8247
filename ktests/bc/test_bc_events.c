// SPDX-License-Identifier: GPL-2.0
/*
 * How one learns of a refusal: the events files, poll() on them, and the
 * tracepoint that says why.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_util.h"

#define POLL_MSEC	30000

/* Each refusal is counted once, by what refused it, and for its resource. */
static int test_events_count(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	int i;

	cgroup = bc_cgroup(root, "bc_events");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	if (differs(bc_write(cgroup, "bc.high", "numfile 2\nnumproc 9"), 0) ||
	    differs(bc_write(cgroup, "bc.max", "numfile 9\nnumproc 1"), 0) ||
	    differs(bc_open(agent, 2), 2))
		goto cleanup;

	for (i = 1; i <= 10; i++) {
		if (differs(bc_open(agent, 1), 0) ||
		    miscounted(cgroup, "bc.events", NUMFILE, i, 0) ||
		    miscounted(cgroup, "bc.events", NUMPROC, 0, i - 1))
			goto cleanup;
		if (differs(bc_fork(agent, 1), 0) ||
		    miscounted(cgroup, "bc.events", NUMFILE, i, 0) ||
		    miscounted(cgroup, "bc.events", NUMPROC, 0, i))
			goto cleanup;
	}
	if (miscounted(cgroup, "bc.events.local", NUMFILE, 10, 0) ||
	    miscounted(cgroup, "bc.events.local", NUMPROC, 0, 10))
		goto cleanup;

	/* What is granted is no event, nor is a change of the settings. */
	if (differs(bc_close(agent, 2), 2) || differs(bc_open(agent, 2), 2) ||
	    differs(bc_write(cgroup, "bc.high", "numfile 1"), 0) ||
	    miscounted(cgroup, "bc.events", NUMFILE, 10, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

struct watch {
	int fd;
};

/* A watch has read the file: from then on a change is news to it. */
static int watch_rewind(struct watch *watch)
{
	char buf[BUF_SIZE];

	return pread(watch->fd, buf, sizeof(buf), 0) > 0 ? 0 : -1;
}

static int watch_start(struct watch *watch, const char *cgroup,
		       const char *file)
{
	watch->fd = cg_open(cgroup, file, O_RDONLY | O_CLOEXEC);
	if (watch->fd < 0)
		return -1;

	return watch_rewind(watch);
}

static void watch_end(struct watch *watch)
{
	if (watch->fd >= 0)
		close(watch->fd);
}

/* Whether there is news within so many milliseconds. */
static bool watch_news(struct watch *watch, int msec)
{
	struct pollfd pollfd = { .fd = watch->fd, .events = POLLPRI };
	int ret;

	do {
		ret = poll(&pollfd, 1, msec);
	} while (ret < 0 && errno == EINTR);

	return ret == 1 && (pollfd.revents & POLLPRI);
}

static int check_poll(const char *root, const char *file)
{
	struct bc_agent *agent = NULL;
	struct watch watch = { -1 };
	int ret = KSFT_FAIL;
	char *cgroup;
	int i;

	cgroup = bc_cgroup(root, "bc_poll");
	agent = bc_agent(cgroup);
	if (!agent || differs(watch_start(&watch, cgroup, file), 0))
		goto cleanup;

	if (differs(bc_write(cgroup, "bc.max", "numfile 2\nnumproc 1"), 0) ||
	    differs(bc_open(agent, 2), 2) || unmet(!watch_news(&watch, 0)))
		goto cleanup;

	for (i = 0; i < 3; i++) {
		if (differs(bc_open(agent, 1), 0) ||
		    unmet(watch_news(&watch, POLL_MSEC)) ||
		    differs(watch_rewind(&watch), 0) ||
		    unmet(!watch_news(&watch, 0)))
			goto cleanup;
		if (differs(bc_fork(agent, 1), 0) ||
		    unmet(watch_news(&watch, POLL_MSEC)) ||
		    differs(watch_rewind(&watch), 0) ||
		    unmet(!watch_news(&watch, 0)))
			goto cleanup;
	}

	ret = KSFT_PASS;

cleanup:
	watch_end(&watch);
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* Who polls for a refusal is woken by each, and by nothing else. */
static int test_events_poll(const char *root)
{
	return check_poll(root, "bc.events");
}

static int test_events_poll_local(const char *root)
{
	return check_poll(root, "bc.events.local");
}

/* A refusal in the child is news to the parent, but not in its local file. */
static int test_events_poll_parent(const char *root)
{
	struct watch all = { -1 }, local = { -1 }, below = { -1 };
	struct bc_agent *agent = NULL;
	char *parent, *child = NULL;
	int ret = KSFT_FAIL;

	parent = bc_cgroup(root, "bc_poll_parent");
	child = bc_cgroup(parent, "child");
	if (!child || differs(bc_enable(parent), 0))
		goto cleanup;
	agent = bc_agent(child);
	if (!agent ||
	    differs(watch_start(&all, parent, "bc.events"), 0) ||
	    differs(watch_start(&local, parent, "bc.events.local"), 0) ||
	    differs(watch_start(&below, child, "bc.events"), 0))
		goto cleanup;

	if (differs(bc_write(child, "bc.max", "numfile 1"), 0) ||
	    differs(bc_open(agent, 2), 1) ||
	    unmet(watch_news(&below, POLL_MSEC)) ||
	    unmet(watch_news(&all, POLL_MSEC)) ||
	    unmet(!watch_news(&local, 0)))
		goto cleanup;
	if (differs(watch_rewind(&all), 0) || differs(watch_rewind(&below), 0))
		goto cleanup;

	/* The other way round nothing is told below. */
	if (differs(bc_write(child, "bc.max", "numfile max"), 0) ||
	    differs(bc_write(parent, "bc.max", "numfile 2"), 0) ||
	    differs(bc_open(agent, 2), 1) ||
	    unmet(watch_news(&all, POLL_MSEC)) ||
	    unmet(watch_news(&local, POLL_MSEC)) ||
	    unmet(!watch_news(&below, 0)))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	watch_end(&all);
	watch_end(&local);
	watch_end(&below);
	bc_stop(agent);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

/* The tracepoint says who was refused what, by which setting, and where. */
static int test_events_trace(const char *root)
{
	struct bc_agent *agent = NULL;
	char *parent = NULL, *child = NULL;
	unsigned long above, below;
	int ret, pid;
	char want[256];

	ret = bc_trace_start();
	if (ret != KSFT_PASS)
		goto cleanup;
	ret = KSFT_FAIL;

	parent = bc_cgroup(root, "bc_trace");
	child = bc_cgroup(parent, "child");
	if (!child || differs(bc_enable(parent), 0))
		goto cleanup;
	agent = bc_agent(child);
	if (!agent)
		goto cleanup;
	above = bc_id(parent);
	below = bc_id(child);
	pid = agent->pid;

	/* By the child's barrier. */
	if (differs(bc_write(child, "bc.high", "numfile 3"), 0) ||
	    differs(bc_write(child, "bc.max", "numfile 5"), 0) ||
	    differs(bc_open(agent, 4), 3))
		goto cleanup;
	snprintf(want, sizeof(want),
		 "cgroup=%lu resource=numfile requested=1 held=3 barrier=3 limit=5 refused_by=high at=%lu level=2 comm=bc_agent pid=%d",
		 below, below, pid);
	if (bc_trace_differs(below, want))
		goto cleanup;

	/* By its limit. */
	if (differs(bc_write(child, "bc.high", "numfile 10"), 0) ||
	    differs(bc_open(agent, 3), 2))
		goto cleanup;
	snprintf(want, sizeof(want),
		 "cgroup=%lu resource=numfile requested=1 held=5 barrier=10 limit=5 refused_by=max at=%lu level=2 comm=bc_agent pid=%d",
		 below, below, pid);
	if (bc_trace_differs(below, want))
		goto cleanup;

	/* By the parent. */
	if (differs(bc_write(child, "bc.high", "numfile max"), 0) ||
	    differs(bc_write(child, "bc.max", "numfile max"), 0) ||
	    differs(bc_write(parent, "bc.high", "numfile 7"), 0) ||
	    differs(bc_write(parent, "bc.max", "numfile 9"), 0) ||
	    differs(bc_open(agent, 3), 2))
		goto cleanup;
	snprintf(want, sizeof(want),
		 "cgroup=%lu resource=numfile requested=1 held=7 barrier=7 limit=9 refused_by=high at=%lu level=1 comm=bc_agent pid=%d",
		 below, above, pid);
	if (bc_trace_differs(below, want))
		goto cleanup;

	/* A process. */
	if (differs(bc_write(child, "bc.high", "numproc 4"), 0) ||
	    differs(bc_write(child, "bc.max", "numproc 2"), 0) ||
	    differs(bc_fork(agent, 2), 1))
		goto cleanup;
	snprintf(want, sizeof(want),
		 "cgroup=%lu resource=numproc requested=1 held=2 barrier=4 limit=2 refused_by=max at=%lu level=2 comm=bc_agent pid=%d",
		 below, below, pid);
	if (bc_trace_differs(below, want))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_trace_end();
	bc_stop(agent);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_events_count),
	T(test_events_poll),
	T(test_events_poll_local),
	T(test_events_poll_parent),
	T(test_events_trace),
};

#undef T

int main(void)
{
	return bc_main(tests, ARRAY_SIZE(tests));
}
