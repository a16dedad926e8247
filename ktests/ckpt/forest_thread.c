// SPDX-License-Identifier: GPL-2.0
/* What a thread of a tree gets, a portrait of it, and another one in the end. */
#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest.h"
#include "forest_live.h"
#include "forest_own.h"
#include "forest_thread.h"

#define SIGNALS		4
#define GROUPS		4
#define CAP(name)	(1ULL << CAP_##name)

struct action {
	unsigned long handler;
	unsigned long flags;
	unsigned long restorer;
	uint64_t mask;
};

/* As it sees itself. */
struct portrait {
	pid_t tid;
	pid_t parent;
	pid_t group;
	pid_t session;
	char name[16];
	uint64_t blocked;
	void *stack;
	size_t stack_size;
	int stack_flags;
	int policy;
	int priority;
	int nice;
	cpu_set_t cpus;
	long slack;
	int death;
	uid_t uids[4];
	gid_t gids[4];
	int nr_groups;
	gid_t groups[GROUPS];
	struct __user_cap_data_struct caps[2];
	uint64_t bounding;
	uint64_t ambient;
	long securebits;
	long no_new_privs;
	/* Of the process. */
	long dumpable;
	int subreaper;
	struct rlimit limits[RLIM_NLIMITS];
	struct action actions[64];
};

static struct portrait before[FOREST_THREADS];

static void draw_process(struct portrait *at)
{
	int i;

	at->dumpable = prctl(PR_GET_DUMPABLE);
	prctl(PR_GET_CHILD_SUBREAPER, &at->subreaper);
	for (i = 0; i < RLIM_NLIMITS; i++)
		getrlimit(i, &at->limits[i]);
	for (i = 0; i < 64; i++)
		syscall(SYS_rt_sigaction, i + 1, NULL, &at->actions[i], 8);
}

static void draw(struct portrait *at, bool of_process)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct sched_param param = { };
	stack_t stack = { };
	int i;

	memset(at, 0, sizeof(*at));
	at->tid = syscall(SYS_gettid);
	at->parent = getppid();
	at->group = getpgrp();
	at->session = getsid(0);
	prctl(PR_GET_NAME, at->name);
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &at->blocked, 8);
	sigaltstack(NULL, &stack);
	at->stack = stack.ss_sp;
	at->stack_size = stack.ss_size;
	at->stack_flags = stack.ss_flags;
	at->policy = sched_getscheduler(0);
	sched_getparam(0, &param);
	at->priority = param.sched_priority;
	at->nice = getpriority(PRIO_PROCESS, at->tid);
	sched_getaffinity(0, sizeof(at->cpus), &at->cpus);
	at->slack = prctl(PR_GET_TIMERSLACK);
	prctl(PR_GET_PDEATHSIG, &at->death);
	getresuid(&at->uids[0], &at->uids[1], &at->uids[2]);
	at->uids[3] = setfsuid(-1);
	getresgid(&at->gids[0], &at->gids[1], &at->gids[2]);
	at->gids[3] = setfsgid(-1);
	at->nr_groups = getgroups(GROUPS, at->groups);
	syscall(SYS_capget, &head, at->caps);
	for (i = 0; i <= CAP_LAST_CAP; i++) {
		if (prctl(PR_CAPBSET_READ, i) == 1)
			at->bounding |= 1ULL << i;
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1)
			at->ambient |= 1ULL << i;
	}
	at->securebits = prctl(PR_GET_SECUREBITS);
	at->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	if (of_process)
		draw_process(at);
}

static void find_same(int nr, bool of_process)
{
	const struct portrait *was = &before[nr];
	struct portrait now;

	draw(&now, of_process);
	forest_expect(now.tid == was->tid);
	forest_expect(now.parent == was->parent);
	forest_expect(now.group == was->group);
	forest_expect(now.session == was->session);
	forest_expect(!memcmp(now.name, was->name, sizeof(now.name)));
	forest_expect(now.blocked == was->blocked);
	forest_expect(now.stack == was->stack && now.stack_size == was->stack_size);
	forest_expect(now.stack_flags == was->stack_flags);
	forest_expect(now.policy == was->policy && now.priority == was->priority);
	forest_expect(now.nice == was->nice);
	forest_expect(!memcmp(&now.cpus, &was->cpus, sizeof(now.cpus)));
	forest_expect(now.slack == was->slack);
	forest_expect(now.death == was->death);
	forest_expect(!memcmp(now.uids, was->uids, sizeof(now.uids)));
	forest_expect(!memcmp(now.gids, was->gids, sizeof(now.gids)));
	forest_expect(now.nr_groups == was->nr_groups);
	forest_expect(!memcmp(now.groups, was->groups, sizeof(now.groups)));
	forest_expect(!memcmp(now.caps, was->caps, sizeof(now.caps)));
	forest_expect(now.bounding == was->bounding && now.ambient == was->ambient);
	forest_expect(now.securebits == was->securebits);
	forest_expect(now.no_new_privs == was->no_new_privs);
	forest_expect(now.dumpable == was->dumpable);
	forest_expect(now.subreaper == was->subreaper);
	forest_expect(!memcmp(now.limits, was->limits, sizeof(now.limits)));
	forest_expect(!memcmp(now.actions, was->actions, sizeof(now.actions)));
}

void forest_block(void)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	for (sig = FOREST_SIGNAL_SHARED; sig <= FOREST_SIGNAL_FIRED; sig++)
		sigaddset(&set, sig);
	forest_expect(!sigprocmask(SIG_BLOCK, &set, NULL));
}

/* Signals that wait for the thread: one that is not counted, and some with values. */

static int signal_of(const struct forest_thread *thread, int i)
{
	return FOREST_SIGNAL_OWN + forest_pick(thread->pick + i, FOREST_OWN_SIGNALS, 2);
}

static int value_of(const struct forest_thread *thread, int i)
{
	return forest_pick(thread->pick - i, FOREST_OWN_SIGNALS, 1000000);
}

static void make_signals(const struct forest_thread *thread)
{
	const pid_t pid = getpid(), tid = syscall(SYS_gettid);
	int i;

	forest_expect(!syscall(SYS_tgkill, pid, tid, SIGUSR1));
	for (i = 0; i < SIGNALS; i++) {
		siginfo_t info = { .si_code = SI_QUEUE };

		info.si_pid = pid;
		info.si_uid = getuid();
		info.si_value.sival_int = value_of(thread, i);
		forest_expect(!syscall(SYS_rt_tgsigqueueinfo, pid, tid, signal_of(thread, i),
				       &info));
	}
}

/* The next one that waits; the library would give another code for one of tgkill(2). */
static int take(const sigset_t *set, siginfo_t *info)
{
	const struct timespec now = { };

	return syscall(SYS_rt_sigtimedwait, set, info, &now, 8);
}

static void find_signals(const struct forest_thread *thread)
{
	siginfo_t info;
	sigset_t set;
	int i, sig;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, FOREST_SIGNAL_OWN);
	sigaddset(&set, FOREST_SIGNAL_OWN + 1);
	if (forest_thread_has(thread, FOREST_OWN_SIGNALS)) {
		forest_expect(take(&set, &info) == SIGUSR1);
		forest_expect(info.si_code == SI_TKILL && info.si_pid == getpid());
		for (sig = FOREST_SIGNAL_OWN; sig < FOREST_SIGNAL_OWN + 2; sig++) {
			for (i = 0; i < SIGNALS; i++) {
				if (signal_of(thread, i) != sig)
					continue;
				forest_expect(take(&set, &info) == sig);
				forest_expect(info.si_code == SI_QUEUE);
				forest_expect(info.si_value.sival_int == value_of(thread, i));
			}
		}
	}
	forest_expect(take(&set, &info) < 0 && errno == EAGAIN);
}

/* Who it is */

static void make_caps(const struct forest_thread *thread)
{
	static const int some[] = { CAP_CHOWN, CAP_KILL, CAP_SYS_TIME, CAP_SYS_NICE, CAP_MKNOD };
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	unsigned int how = forest_pick(thread->pick, FOREST_CAPS, 1 << 16);
	uint64_t permitted = CAP(SETUID) | CAP(SETGID) | CAP(SETPCAP) | CAP(DAC_OVERRIDE);
	struct __user_cap_data_struct data[2] = { };
	uint64_t inheritable = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(some); i++) {
		if (how & 1 << i)
			permitted |= 1ULL << some[i];
		if (how & 1 << i && how & 32 << i)
			inheritable |= 1ULL << some[i];
	}
	data[0] = (struct __user_cap_data_struct){ permitted, permitted, inheritable };
	forest_expect(!syscall(SYS_capset, &head, data));
	for (i = 0; i < ARRAY_SIZE(some); i++) {
		if (inheritable & 1ULL << some[i])
			forest_expect(!prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, some[i], 0, 0));
		if (how & 1024 << i)
			forest_expect(!prctl(PR_CAPBSET_DROP, some[i]));
	}
	if (how & 1)
		forest_expect(!prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS));
}

/* The library would make it so for all threads. */
static void make_users(const struct forest_thread *thread)
{
	unsigned int how = forest_pick(thread->pick, FOREST_USERS, 1 << 16);
	const gid_t groups[GROUPS] = { 7, 100 + how % 100, 1000 + how % 50, 1000000 };

	forest_expect(!syscall(SYS_setgroups, how % (GROUPS + 1), groups));
	forest_expect(!syscall(SYS_setresgid, 10 + how % 3, 20 + how % 5, 30 + how % 7));
	forest_expect(!syscall(SYS_setresuid, 1000 + how % 3, how & 64 ? 0 : 1000, 1000 + how % 5));
	if (how & 64)
		syscall(SYS_setfsuid, 1000 + how % 7);
	if (how & 128)
		forest_expect(!prctl(PR_SET_DUMPABLE, 1));
}

static struct forest_timer timers[FOREST_THREADS];

static void make_timer(const struct forest_thread *thread, int nr)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = FOREST_SIGNAL_FAR,
		._sigev_un._tid = syscall(SYS_gettid),
	};

	forest_set_timer(&timers[nr], CLOCK_MONOTONIC, &event,
			 forest_pick(thread->pick, FOREST_OWN_TIMER, 1 << 20));
}

/*
 * Whoever ends, or waits for that, turns in the kernel until others are done
 * with its entry in /proc. On one CPU these never are if they are much less
 * urgent: so real-time priorities are the same in all of a tree, and none has
 * both them and SCHED_IDLE.
 */
static void make_policy(const struct forest_plan *plan, const struct forest_thread *thread)
{
	const int policies[] = { SCHED_BATCH, plan->seed % 2 ? SCHED_RR : SCHED_IDLE };
	unsigned int how = forest_pick(thread->pick, FOREST_POLICY, 1 << 16);
	struct sched_param param = { };
	int policy = policies[how % 2];

	if (policy == SCHED_RR)
		param.sched_priority = 1 + plan->seed % 99;
	if (how & 8)
		policy |= SCHED_RESET_ON_FORK;
	forest_expect(!sched_setscheduler(0, policy, &param));
}

static void make_blocked(const struct forest_thread *thread)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGCHLD, SIGWINCH };
	unsigned int how = forest_pick(thread->pick, FOREST_BLOCKED, 1 << 16);
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < ARRAY_SIZE(signals); i++)
		if (how & 1 << i)
			sigaddset(&set, signals[i]);
	sigaddset(&set, SIGRTMIN + 8 + how / 256 % 16);
	forest_expect(!pthread_sigmask(SIG_BLOCK, &set, NULL));
}

static void make_stack(int nr)
{
	static char stacks[FOREST_THREADS][64 * 1024];
	stack_t stack = { .ss_sp = stacks[nr], .ss_size = sizeof(stacks[nr]) };

	forest_expect(!sigaltstack(&stack, NULL));
}

void forest_make_thread(const struct forest_plan *plan, int me, int nr)
{
	const struct forest_thread *thread = &plan->procs[me].threads[nr];
	char name[16];
	cpu_set_t cpu;

	if (forest_thread_has(thread, FOREST_OWN_FILES))
		forest_expect(!unshare(CLONE_FILES));
	if (forest_thread_has(thread, FOREST_OWN_FS))
		forest_expect(!unshare(CLONE_FS));
	snprintf(name, sizeof(name), "tree %d (%d) x", me, nr);
	if (forest_thread_has(thread, FOREST_NAME))
		forest_expect(!prctl(PR_SET_NAME, name));
	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	if (forest_thread_has(thread, FOREST_BOUND))
		forest_expect(!sched_setaffinity(0, sizeof(cpu), &cpu));
	if (forest_thread_has(thread, FOREST_BLOCKED))
		make_blocked(thread);
	if (forest_thread_has(thread, FOREST_STACK))
		make_stack(nr);
	if (forest_thread_has(thread, FOREST_SLACK))
		forest_expect(!prctl(PR_SET_TIMERSLACK, 1000 + nr));
	if (forest_thread_has(thread, FOREST_NICE))
		forest_expect(!setpriority(PRIO_PROCESS, syscall(SYS_gettid),
					   (int)forest_pick(thread->pick, FOREST_NICE, 11) - 5));
	if (forest_thread_has(thread, FOREST_POLICY))
		make_policy(plan, thread);
	if (forest_thread_has(thread, FOREST_OWN_TIMER))
		make_timer(thread, nr);
	if (forest_thread_has(thread, FOREST_OWN_SIGNALS))
		make_signals(thread);
	/* From here on it has no rights. */
	if (forest_thread_has(thread, FOREST_CAPS))
		make_caps(thread);
	if (forest_thread_has(thread, FOREST_USERS))
		make_users(thread);
	if (forest_thread_has(thread, FOREST_NO_NEW_PRIVS))
		forest_expect(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	/* Other credentials would have it forgotten. */
	if (forest_thread_has(thread, FOREST_DEATH_SIGNAL))
		forest_expect(!prctl(PR_SET_PDEATHSIG, SIGUSR2));
	draw(&before[nr], nr == plan->procs[me].main);
}

void forest_find_thread(const struct forest_plan *plan, int me, int nr)
{
	const struct forest_thread *thread = &plan->procs[me].threads[nr];

	find_same(nr, nr == plan->procs[me].main);
	find_signals(thread);
	if (forest_thread_has(thread, FOREST_OWN_TIMER))
		forest_find_timer(&timers[nr]);
}
