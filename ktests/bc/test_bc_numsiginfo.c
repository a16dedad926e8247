// SPDX-License-Identifier: GPL-2.0
/*
 * numsiginfo: queued signals, charged to who gets them, and POSIX timers, which
 * have one ready.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_standard.h"

#define MOST_TIMERS	512

/* Signals wait until they are collected. */
static void block_all(void)
{
	sigset_t set;

	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static long queue_to(long pid, long nr)
{
	union sigval value = {};
	long i;

	for (i = 0; i < nr; i++) {
		if (sigqueue(pid, SIGRTMIN, value))
			break;
	}

	return i;
}

static long make_signals(long nr, const char *text __maybe_unused)
{
	block_all();
	return queue_to(getpid(), nr);
}

/* Collects a signal that is pending; fails with EAGAIN when none is. */
static int collect(int sig, siginfo_t *info)
{
	struct timespec none = {};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	return sigtimedwait(&set, info, &none);
}

static long drop_signals(long nr, const char *text __maybe_unused)
{
	siginfo_t info;
	long i;

	for (i = 0; i < nr; i++) {
		if (collect(SIGRTMIN, &info) != SIGRTMIN)
			break;
	}

	return i;
}

static const struct bc_kind numsiginfo = {
	.name = "numsiginfo",
	.resource = NUMSIGINFO,
	.err = EAGAIN,
	.make = make_signals,
	.drop = drop_signals,
	.may_be_early = true,
};

static timer_t timers_made[MOST_TIMERS];
static long oldest, newest;

static long make_timers(long nr, const char *text __maybe_unused)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = SIGRTMIN,
	};
	long i;

	block_all();
	for (i = 0; i < nr && newest < MOST_TIMERS; i++) {
		if (timer_create(CLOCK_MONOTONIC, &event,
				 &timers_made[newest]))
			break;
		newest++;
	}

	return i;
}

static long drop_timers(long nr, const char *text __maybe_unused)
{
	long i;

	for (i = 0; i < nr && oldest < newest; i++) {
		if (timer_delete(timers_made[oldest]))
			break;
		oldest++;
	}

	return i;
}

static const struct bc_kind timers = {
	.name = "timers",
	.resource = NUMSIGINFO,
	.err = EAGAIN,
	.make = make_timers,
	.drop = drop_timers,
};

static long block(long arg __maybe_unused, const char *text __maybe_unused)
{
	block_all();
	return 0;
}

static long send_one(long pid, const char *text __maybe_unused)
{
	return queue_to(pid, 1);
}

/* Who gets the signal pays; who sends it is told. */
static int test_numsiginfo_receiver_pays(const char *root)
{
	struct bc_agent *sender = NULL, *receiver = NULL;
	char *from, *to = NULL;
	int ret = KSFT_FAIL;

	from = bc_cgroup(root, "bc_sender");
	to = bc_cgroup(root, "bc_receiver");
	sender = bc_agent(from);
	receiver = bc_agent(to);
	if (!sender || !receiver ||
	    differs(bc_write(from, "bc.max", "numsiginfo 0"), 0) ||
	    differs(bc_write(to, "bc.max", "numsiginfo 2"), 0) ||
	    differs(bc_call(receiver, block, 0, NULL), 0))
		goto cleanup;

	if (differs(bc_call(sender, send_one, receiver->pid, NULL), 1) ||
	    differs(bc_call(sender, send_one, receiver->pid, NULL), 1) ||
	    differs(bc_held(from, NUMSIGINFO), 0) ||
	    differs(bc_held(to, NUMSIGINFO), 2) ||
	    differs(bc_call(sender, send_one, receiver->pid, NULL), 0) ||
	    differs(sender->err, EAGAIN))
		goto cleanup;
	if (miscounted(to, "bc.events.local", NUMSIGINFO, 0, 1) ||
	    miscounted(from, "bc.events", NUMSIGINFO, 0, 0) ||
	    differs(bc_call(receiver, drop_signals, 3, NULL), 2) ||
	    differs(bc_held(to, NUMSIGINFO), 0) ||
	    differs(bc_call(sender, send_one, receiver->pid, NULL), 1) ||
	    differs(bc_held(to, NUMSIGINFO), 1))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(sender);
	bc_stop(receiver);
	ret = bc_remove(from, ret);
	return bc_remove(to, ret);
}

static long kill_self(long sig, const char *text __maybe_unused)
{
	block_all();
	return kill(getpid(), sig);
}

/* Which process sent it, 0 when that got lost, and -1 when it is not there. */
static long who_sent(long sig, const char *text __maybe_unused)
{
	siginfo_t info;

	return collect(sig, &info) == sig ? info.si_pid : -1;
}

/*
 * kill() cannot fail: the barrier does not stop it, and at the limit only what
 * comes with the signal gets lost.
 */
static int test_numsiginfo_kill(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_kill");
	agent = bc_agent(cgroup);
	if (!agent ||
	    differs(bc_write(cgroup, "bc.high", "numsiginfo 1"), 0) ||
	    differs(bc_write(cgroup, "bc.max", "numsiginfo 2"), 0) ||
	    differs(bc_call(agent, make_signals, 2, NULL), 1) ||
	    miscounted(cgroup, "bc.events", NUMSIGINFO, 1, 0))
		goto cleanup;

	if (differs(bc_call(agent, kill_self, SIGUSR1, NULL), 0) ||
	    differs(bc_held(cgroup, NUMSIGINFO), 2) ||
	    miscounted(cgroup, "bc.events", NUMSIGINFO, 1, 0) ||
	    differs(bc_call(agent, kill_self, SIGUSR2, NULL), 0) ||
	    differs(bc_held(cgroup, NUMSIGINFO), 2) ||
	    miscounted(cgroup, "bc.events", NUMSIGINFO, 1, 1))
		goto cleanup;

	/* A signal that is pending already asks for nothing. */
	if (differs(bc_call(agent, kill_self, SIGUSR2, NULL), 0) ||
	    miscounted(cgroup, "bc.events", NUMSIGINFO, 1, 1))
		goto cleanup;

	if (differs(bc_call(agent, who_sent, SIGUSR1, NULL), agent->pid) ||
	    differs(bc_held(cgroup, NUMSIGINFO), 1) ||
	    differs(bc_call(agent, who_sent, SIGUSR2, NULL), 0) ||
	    differs(bc_call(agent, who_sent, SIGUSR2, NULL), -1) ||
	    differs(bc_held(cgroup, NUMSIGINFO), 1))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

static long ignore_signals(long arg __maybe_unused,
			   const char *text __maybe_unused)
{
	sigset_t set;

	signal(SIGRTMIN, SIG_IGN);
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	return queue_to(getpid(), 5);
}

/* What nobody will ever collect is not queued, and so asks for nothing. */
static int test_numsiginfo_ignored(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_ignored");
	agent = bc_agent(cgroup);
	if (!agent || differs(bc_write(cgroup, "bc.max", "numsiginfo 0"), 0) ||
	    differs(bc_call(agent, ignore_signals, 0, NULL), 5) ||
	    differs(bc_held(cgroup, NUMSIGINFO), 0) ||
	    miscounted(cgroup, "bc.events", NUMSIGINFO, 0, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* Arms the newest timer and waits for its signal. */
static long fire(long arg __maybe_unused, const char *text __maybe_unused)
{
	struct itimerspec when = { .it_value = { .tv_nsec = 1 } };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	if (timer_settime(timers_made[newest - 1], 0, &when, NULL))
		return -1;
	return sigwaitinfo(&set, &info) == SIGRTMIN ? 0 : -1;
}

/* A timer can always fire: its signal was charged with it. */
static int test_numsiginfo_timer_fires(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	int i;

	cgroup = bc_cgroup(root, "bc_fires");
	agent = bc_agent(cgroup);
	if (!agent || differs(bc_write(cgroup, "bc.max", "numsiginfo 1"), 0) ||
	    differs(bc_call(agent, make_timers, 2, NULL), 1))
		goto cleanup;

	for (i = 0; i < 3; i++) {
		if (differs(bc_call(agent, fire, 0, NULL), 0) ||
		    differs(bc_held(cgroup, NUMSIGINFO), 1))
			goto cleanup;
	}
	if (differs(bc_call(agent, drop_timers, 1, NULL), 1) ||
	    unsettled(cgroup, NUMSIGINFO, 0) ||
	    miscounted(cgroup, "bc.events", NUMSIGINFO, 0, 1))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

static const struct bc_kind * const kinds[] = {
	&numsiginfo,
	&timers,
};

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_numsiginfo_ignored),
	T(test_numsiginfo_kill),
	T(test_numsiginfo_receiver_pays),
	T(test_numsiginfo_timer_fires),
};

#undef T

int main(void)
{
	return bc_std_main(kinds, ARRAY_SIZE(kinds), tests,
			   ARRAY_SIZE(tests));
}
