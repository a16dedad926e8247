// SPDX-License-Identifier: GPL-2.0
/* Who belongs to whom, and what becomes of those who have ended or were stopped. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "ckpt_finding.h"

/* A child that is told when to go on, and tells what it finds. */
static pid_t child_of(void (*fn)(void))
{
	pid_t child = fork();

	expect(child >= 0);
	if (!child) {
		fn();
		_exit(0);
	}
	return child;
}

/* The state of a process, as a letter; 0 if there is none. */
static char state_of(pid_t pid)
{
	char path[64], text[256];
	FILE *file;
	char *at;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	if (!file)
		return 0;
	at = fgets(text, sizeof(text), file) ? strrchr(text, ')') : NULL;
	fclose(file);
	return at ? at[2] : 0;
}

static void await_state(pid_t pid, char state)
{
	while (state_of(pid) != state)
		usleep(1000);
}

/* Each number is a place where a child says what it finds in the end. */
static pid_t first;

static void own_session(void)
{
	expect(setsid() == getpid());
	ckpt_tell(10, 1);
	wait_for_go();
	expect(getsid(0) == getpid() && getpgrp() == getpid() && getppid() == first);
}

static void own_group(void)
{
	expect(!setpgid(0, 0));
	ckpt_tell(11, 1);
	wait_for_go();
	expect(getsid(0) == first && getpgrp() == getpid());
	expect(setsid() < 0);
}

static void sessions(void)
{
	pid_t leader, group, member;

	first = getpid();
	leader = child_of(own_session);
	group = child_of(own_group);
	told_by_child(10);
	told_by_child(11);
	/* Another one joins. */
	member = child_of(wait_for_go);
	expect(!setpgid(member, group));
	be_saved();
	expect(getpgid(member) == group && getsid(leader) == leader);
	expect(getsid(group) == first && getsid(0) == first);
	ended_well(leader);
	ended_well(group);
	ended_well(member);
	all_is_well();
}

/* The leader of a session, and of a group in another, go before those who are in it. */
static void stay(void)
{
	const pid_t session = getsid(0), group = getpgrp();

	ckpt_tell(12, getpid());
	wait_for_go();
	expect(getsid(0) == session && getpgrp() == group);
	expect(session != getpid() && group == session);
	ckpt_tell(13, 1);
}

static void lead_and_go(void)
{
	expect(setsid() == getpid());
	child_of(stay);
	told_by_child(12);
}

static void leaders_gone(void)
{
	/* What is left of it comes to us. */
	expect(!prctl(PR_SET_CHILD_SUBREAPER, 1));
	ended_well(child_of(lead_and_go));
	be_saved();
	expect(wait(NULL) > 0);
	expect(told_by_child(13) == 1);
	all_is_well();
}

static void end_with_3(void)
{
	_exit(3);
}

static void end_by_signal(void)
{
	raise(SIGTERM);
}

static int deaths;

static void on_death(int sig)
{
	deaths++;
}

/* They wait to be collected, and nobody is told once more. */
static void zombies(void)
{
	pid_t exited = child_of(end_with_3), killed = child_of(end_by_signal);
	int status;

	await_state(exited, 'Z');
	await_state(killed, 'Z');
	signal(SIGCHLD, on_death);
	be_saved();
	expect(!deaths && state_of(exited) == 'Z');
	expect(waitpid(killed, &status, 0) == killed);
	expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	expect(waitpid(exited, &status, 0) == exited);
	expect(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	expect(wait(NULL) < 0 && errno == ECHILD);
	all_is_well();
}

/* Whose parent ends comes to whoever adopts orphans, also when that happens afterwards. */
static void be_orphaned(void)
{
	const pid_t parent = getppid();

	ckpt_tell(15, 1);
	while (getppid() == parent)
		usleep(1000);
	expect(getppid() == first);
	ckpt_tell(14, 1);
}

static void have_orphan(void)
{
	child_of(be_orphaned);
	wait_for_go();
}

static void orphans(void)
{
	first = getpid();
	expect(!prctl(PR_SET_CHILD_SUBREAPER, 1));
	child_of(have_orphan);
	told_by_child(15);
	be_saved();
	expect(wait(NULL) > 0 && wait(NULL) > 0);
	expect(told_by_child(14) == 1);
	all_is_well();
}

/* Until the parent has looked. */
static void wait_for_end(void)
{
	wait_for("end");
}

static void let_end(void)
{
	expect(!close(open("end", O_CREAT | O_WRONLY, 0600)));
}

/* Stopped, and the parent knows; or not yet. It is continued afterwards. */
static void stopped_child(bool known)
{
	pid_t child = child_of(wait_for_end);
	int status;

	signal(SIGCHLD, on_death);
	/* Nobody in the group would continue it after SIGTSTP, which does nothing then. */
	expect(!kill(child, SIGSTOP));
	await_state(child, 'T');
	if (known)
		expect(waitpid(child, &status, WUNTRACED) == child);
	deaths = 0;
	be_saved();
	expect(state_of(child) == 'T' && !deaths);
	if (known) {
		expect(!waitpid(child, &status, WUNTRACED | WNOHANG));
	} else {
		expect(waitpid(child, &status, WUNTRACED | WNOHANG) == child);
		expect(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	}
	expect(!kill(child, SIGCONT));
	expect(waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
	let_end();
	expect(waitpid(child, &status, 0) == child && WIFEXITED(status));
	/* It was told of the going on and of the end. */
	expect(deaths >= 1);
	all_is_well();
}

static void stopped(void)
{
	stopped_child(true);
}

static void stopped_untold(void)
{
	stopped_child(false);
}

/* It goes on, and the parent was not told yet. */
static void continued(void)
{
	pid_t child = child_of(wait_for_end);
	int status;

	expect(!kill(child, SIGSTOP));
	await_state(child, 'T');
	expect(waitpid(child, &status, WUNTRACED) == child);
	expect(!kill(child, SIGCONT));
	await_state(child, 'S');
	be_saved();
	expect(waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
	let_end();
	ended_well(child);
	all_is_well();
}

/* Signals that wait keep their order, and what they came with. */
static void pending(void)
{
	const int rt = SIGRTMIN + 1;
	const struct timespec now = { };
	union sigval value;
	siginfo_t info;
	sigset_t set;
	pid_t child;
	int i;

	sigemptyset(&set);
	sigaddset(&set, rt);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGCHLD);
	expect(!sigprocmask(SIG_BLOCK, &set, NULL));
	for (i = 0; i < 5; i++) {
		value.sival_int = 100 + i;
		expect(!sigqueue(getpid(), rt, value));
	}
	/* One for the thread, one for the process. */
	expect(!raise(SIGUSR1) && !kill(getpid(), SIGUSR1));
	child = child_of(end_with_3);
	await_state(child, 'Z');

	be_saved();

	/* Those of the thread first, then by number; the C library takes both for the same. */
	for (i = 0; i < 2; i++)
		expect(sigtimedwait(&set, &info, &now) == SIGUSR1 && info.si_code == SI_USER);
	expect(info.si_pid == getpid() && info.si_uid == getuid());
	expect(sigtimedwait(&set, &info, &now) == SIGCHLD && info.si_code == CLD_EXITED);
	expect(info.si_pid == child && info.si_status == 3);
	for (i = 0; i < 5; i++) {
		expect(sigtimedwait(&set, &info, &now) == rt && info.si_code == SI_QUEUE);
		expect(info.si_value.sival_int == 100 + i);
	}
	expect(sigtimedwait(&set, &info, &now) < 0 && errno == EAGAIN);
	all_is_well();
}

static volatile sig_atomic_t seen[2], order;

static void on_order(int sig)
{
	seen[sig == SIGUSR2] = ++order;
}

/* They are blocked for one call only, which they end. */
static void suspended(void)
{
	struct sigaction act = { .sa_handler = on_order };
	sigset_t set, none;

	expect(!sigaction(SIGUSR1, &act, NULL) && !sigaction(SIGUSR2, &act, NULL));
	sigemptyset(&none);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	expect(!sigprocmask(SIG_BLOCK, &set, NULL) && !raise(SIGUSR2));
	be_saved();
	expect(!order);
	expect(sigsuspend(&none) < 0 && errno == EINTR);
	expect(seen[1] == 1 && !seen[0]);
	all_is_well();
}

/* The death of a parent is told to who asked for it. */
static void mourn(void)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	expect(!sigprocmask(SIG_BLOCK, &set, NULL) && !prctl(PR_SET_PDEATHSIG, SIGUSR1));
	ckpt_tell(15, 1);
	expect(!sigwait(&set, &sig) && sig == SIGUSR1);
	ckpt_tell(16, 1);
}

static void be_mourned(void)
{
	child_of(mourn);
	wait_for_go();
}

static void death_signal(void)
{
	expect(!prctl(PR_SET_CHILD_SUBREAPER, 1));
	child_of(be_mourned);
	expect(told_by_child(15) == 1);
	be_saved();
	expect(wait(NULL) > 0 && wait(NULL) > 0);
	expect(told_by_child(16) == 1);
	all_is_well();
}

/* Many children of one process. */
#define MANY	100

static void many(void)
{
	pid_t child[MANY];
	int i;

	for (i = 0; i < MANY; i++)
		child[i] = child_of(wait_for_go);
	be_saved();
	for (i = 0; i < MANY; i++)
		ended_well(child[i]);
	all_is_well();
}

/* Where there is room for some of the processes only, there is room for none. */
static int test_limits(struct ckpt_subject *subject)
{
	char image[PATH_MAX], parent[PATH_MAX], left[16];
	int session = ckpt_open(), ret = KSFT_FAIL;

	snprintf(image, sizeof(image), "%s/image", subject->dir);
	snprintf(parent, sizeof(parent), "%s/..", subject->cgroup);
	if (cg_write(parent, "cgroup.subtree_control", "+pids")) {
		close(session);
		return ckpt_skip("the controller of pids is not there");
	}
	if (session < 0 || ckpt_await(subject, 0, READY) < 0 ||
	    ckpt_suspend(session, subject) || ckpt_dump(session, image) || ckpt_kill(session))
		goto out;
	ckpt_bury();
	if (unmet(!cg_write(subject->cgroup, "pids.max", "50")) ||
	    differs(ckpt_restore(session, subject, image), -EAGAIN) ||
	    unmet(!cg_read(subject->cgroup, "cgroup.procs", left, sizeof(left)) && !left[0]))
		goto out;
	ckpt_bury();
	if (unmet(!cg_write(subject->cgroup, "pids.max", "101")) ||
	    ckpt_restore(session, subject, image) || ckpt_kill(session))
		goto out;
	ckpt_bury();
	ret = KSFT_PASS;
out:
	close(session);
	return ret;
}

#define T(f) { f, check_finding, "test_" #f }
#define S(f) { f, check_snapshot, "test_" #f "_snapshot" }
static const struct ckpt_test tests[] = {
	T(continued), S(continued),
	T(death_signal), S(death_signal),
	T(leaders_gone), S(leaders_gone),
	{ many, test_limits, "test_limits" },
	T(many), S(many),
	T(orphans), S(orphans),
	T(pending), S(pending),
	T(sessions), S(sessions),
	T(stopped), S(stopped),
	T(stopped_untold), S(stopped_untold),
	T(suspended), S(suspended),
	T(zombies), S(zombies),
};

#undef S
#undef T

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
