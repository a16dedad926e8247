// SPDX-License-Identifier: GPL-2.0
/* What each thread of a process has for itself, and what they have in common. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "ckpt_finding.h"

#define THREADS	16

/* Where all threads are when the process may be saved, and when it was restored. */
static pthread_barrier_t barrier;

static pthread_t start(void *(*fn)(void *arg), long nr)
{
	pthread_t thread;

	expect(!pthread_create(&thread, NULL, fn, (void *)nr));
	return thread;
}

/* All threads get here, are saved, and go on. */
static void gather(void)
{
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
}

/* The same for the one that asks for it. */
static void gather_and_be_saved(void)
{
	pthread_barrier_wait(&barrier);
	be_saved();
	pthread_barrier_wait(&barrier);
}

static __thread long local;

/* Its number, its registers, its name, its signals, its memory, its way of being scheduled. */
static void *own(void *arg)
{
	register uint64_t r14 asm("r14") = 0x1400000000000000 + (long)arg;
	static char stacks[THREADS][64 * 1024];
	const long nr = (long)arg;
	stack_t ss = { .ss_sp = stacks[nr], .ss_size = sizeof(stacks[nr]) }, was;
	pid_t tid = syscall(SYS_gettid);
	char name[16], now[16];
	sigset_t set, mask;

	local = nr;
	snprintf(name, sizeof(name), "thread %ld", nr);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + nr);
	expect(!prctl(PR_SET_NAME, name) && !pthread_sigmask(SIG_BLOCK, &set, NULL));
	expect(!sigaltstack(&ss, NULL) && !setpriority(PRIO_PROCESS, tid, nr));
	expect(!prctl(PR_SET_TIMERSLACK, 1000 + nr));
	asm volatile("" : "+r" (r14));
	gather();
	asm volatile("" : "+r" (r14));

	expect(syscall(SYS_gettid) == tid && local == nr);
	expect(r14 == 0x1400000000000000 + (uint64_t)nr);
	expect(!prctl(PR_GET_NAME, now) && !strcmp(now, name));
	expect(!pthread_sigmask(SIG_BLOCK, NULL, &mask));
	expect(sigismember(&mask, SIGRTMIN + nr) && !sigismember(&mask, SIGRTMIN + nr + 1));
	expect(!sigaltstack(NULL, &was) && was.ss_sp == stacks[nr]);
	errno = 0;
	expect(getpriority(PRIO_PROCESS, tid) == nr && !errno);
	expect(prctl(PR_GET_TIMERSLACK) == 1000 + nr);
	return arg;
}

static void threads(void)
{
	pthread_t thread[THREADS];
	void *ret;
	long i;

	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	for (i = 0; i < THREADS; i++)
		thread[i] = start(own, i);
	gather_and_be_saved();
	/* The end of a thread is told through memory. */
	for (i = 0; i < THREADS; i++)
		expect(!pthread_join(thread[i], &ret) && ret == (void *)i);
	all_is_well();
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int waiting, freed;

/* Wait in a call that ends when another thread says so. */
static void *wait_for_cond(void *arg)
{
	pthread_mutex_lock(&mutex);
	waiting++;
	while (!freed)
		pthread_cond_wait(&cond, &mutex);
	waiting--;
	pthread_mutex_unlock(&mutex);
	return NULL;
}

static void futexes(void)
{
	pthread_t thread[THREADS];
	int i;

	for (i = 0; i < THREADS; i++)
		thread[i] = start(wait_for_cond, i);
	while (__atomic_load_n(&waiting, __ATOMIC_SEQ_CST) < THREADS)
		usleep(1000);
	be_saved();
	pthread_mutex_lock(&mutex);
	freed = 1;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&mutex);
	for (i = 0; i < THREADS; i++)
		expect(!pthread_join(thread[i], NULL));
	expect(!waiting);
	all_is_well();
}

/* It has another table of files, and is somewhere else. */
static void *apart(void *arg)
{
	expect(!unshare(CLONE_FILES | CLONE_FS));
	expect(!mkdir("dir", 0700) && !chdir("dir"));
	umask(0077);
	expect(open("file", O_RDWR | O_CREAT, 0600) == 4);
	gather();

	expect(fcntl(4, F_GETFD) >= 0 && fcntl(5, F_GETFD) < 0);
	expect(!access("file", F_OK) && umask(0) == 0077);
	gather();
	return NULL;
}

/* It has those of the first thread. */
static void *together(void *arg)
{
	gather();

	expect(fcntl(4, F_GETFD) < 0 && !access("dir", F_OK));
	expect(dup2(3, 5) == 5 && !chdir("/"));
	gather();
	return NULL;
}

static void tables(void)
{
	char cwd[PATH_MAX];

	pthread_barrier_init(&barrier, NULL, 3);
	umask(0022);
	start(together, 0);
	start(apart, 0);
	gather_and_be_saved();

	gather();
	expect(fcntl(5, F_GETFD) >= 0 && fcntl(4, F_GETFD) < 0);
	expect(getcwd(cwd, sizeof(cwd)) && !strcmp(cwd, "/") && umask(0) == 0022);
	all_is_well();
}

/* What is left of the process when its first thread has gone. */
static void *survive(void *arg)
{
	const pid_t pid = getpid();
	char text[64];

	/* Not before it is a zombie. */
	do {
		FILE *file = fopen("/proc/self/stat", "r");

		usleep(1000);
		expect(file && fgets(text, sizeof(text), file));
		fclose(file);
	} while (!strstr(text, ") Z "));

	be_saved();
	expect(getpid() == pid && syscall(SYS_gettid) != pid);
	/* It has the number of the process, and nothing else. */
	expect(!syscall(SYS_tgkill, pid, pid, 0));
	all_is_well();
	return NULL;
}

static void leader_gone(void)
{
	start(survive, 0);
	syscall(SYS_exit, 7);
}

/* Threads make children, and any of them may wait for these. */
static void *have_child(void *arg)
{
	pid_t child = fork();

	expect(child >= 0);
	if (!child) {
		wait_for_go();
		_exit(9);
	}
	return (void *)(long)child;
}

static void children(void)
{
	pid_t child[4];
	int i, status;
	void *ret;

	for (i = 0; i < (int)ARRAY_SIZE(child); i++) {
		expect(!pthread_join(start(have_child, i), &ret));
		child[i] = (long)ret;
	}
	be_saved();
	for (i = 0; i < (int)ARRAY_SIZE(child); i++) {
		expect(waitpid(child[i], &status, 0) == child[i]);
		expect(WIFEXITED(status) && WEXITSTATUS(status) == 9);
	}
	all_is_well();
}

static int caught[THREADS];

static void on_signal(int sig)
{
	caught[local]++;
}

/* Each is sent a signal that it blocks until it was restored. */
static void *hit(void *arg)
{
	sigset_t set;

	local = (long)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	expect(!pthread_sigmask(SIG_BLOCK, &set, NULL));
	pthread_barrier_wait(&barrier);
	gather();
	expect(!pthread_sigmask(SIG_UNBLOCK, &set, NULL));
	expect(caught[local] == (local % 2));
	return NULL;
}

static void signals(void)
{
	struct sigaction act = { .sa_handler = on_signal };
	pthread_t thread[THREADS];
	long i;

	expect(!sigaction(SIGUSR1, &act, NULL));
	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	for (i = 0; i < THREADS; i++)
		thread[i] = start(hit, i);
	pthread_barrier_wait(&barrier);
	for (i = 1; i < THREADS; i += 2)
		expect(!pthread_kill(thread[i], SIGUSR1));
	gather_and_be_saved();
	for (i = 0; i < THREADS; i++)
		expect(!pthread_join(thread[i], NULL));
	all_is_well();
}

/* One processor for one, all for the other. */
static void *bound(void *arg)
{
	cpu_set_t one, now, before;

	expect(!sched_getaffinity(0, sizeof(before), &before));
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	expect(!sched_setaffinity(0, sizeof(one), &one));
	gather();
	expect(!sched_getaffinity(0, sizeof(now), &now) && CPU_EQUAL(&now, &one));
	expect(!sched_setaffinity(0, sizeof(before), &before));
	return NULL;
}

static void affinity(void)
{
	cpu_set_t before, now;
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, 2);
	expect(!sched_getaffinity(0, sizeof(before), &before));
	thread = start(bound, 0);
	gather_and_be_saved();
	expect(!sched_getaffinity(0, sizeof(now), &now) && CPU_EQUAL(&now, &before));
	expect(!pthread_join(thread, NULL));
	all_is_well();
}

static const struct {
	int policy;
	int priority;
	int nice;
} policy[] = {
	{ SCHED_OTHER, 0, -5 },
	{ SCHED_OTHER | SCHED_RESET_ON_FORK, 0, 4 },
	{ SCHED_BATCH, 0, 3 },
	{ SCHED_IDLE, 0, -14 },
	{ SCHED_IDLE | SCHED_RESET_ON_FORK, 0, 9 },
	{ SCHED_FIFO, 1, 8 },
	{ SCHED_RR, 7, -8 },
	{ SCHED_RR | SCHED_RESET_ON_FORK, 99, 2 },
};

/* A nice value is kept while it has no effect. */
static void *scheduled(void *arg)
{
	const long nr = (long)arg;
	struct sched_param param = { .sched_priority = policy[nr].priority }, now;

	expect(!setpriority(PRIO_PROCESS, 0, policy[nr].nice));
	expect(!sched_setscheduler(0, policy[nr].policy, &param));
	gather();
	expect(sched_getscheduler(0) == policy[nr].policy);
	expect(!sched_getparam(0, &now) && now.sched_priority == policy[nr].priority);
	expect(getpriority(PRIO_PROCESS, 0) == policy[nr].nice);
	param.sched_priority = 0;
	expect(!sched_setscheduler(0, SCHED_OTHER, &param));
	gather();
	return NULL;
}

static void policies(void)
{
	long i;

	pthread_barrier_init(&barrier, NULL, ARRAY_SIZE(policy) + 1);
	for (i = 0; i < (long)ARRAY_SIZE(policy); i++)
		start(scheduled, i);
	gather_and_be_saved();
	gather();
	all_is_well();
}

/* I/O priorities, as ioprio_set(2) has them. */
#define BEST_EFFORT_6	(2 << 13 | 6)

static void io_priority(void)
{
	expect(!syscall(SYS_ioprio_set, 1, 0, BEST_EFFORT_6));
	be_saved();
	expect(syscall(SYS_ioprio_get, 1, 0) == BEST_EFFORT_6);
	all_is_well();
}

#define T(f) { f, check_finding, "test_" #f }
#define S(f) { f, check_snapshot, "test_" #f "_snapshot" }
static const struct ckpt_test tests[] = {
	T(affinity), S(affinity),
	T(children), S(children),
	T(futexes), S(futexes),
	T(io_priority), S(io_priority),
	T(leader_gone), S(leader_gone),
	T(policies), S(policies),
	T(signals), S(signals),
	T(tables), S(tables),
	T(threads), S(threads),
};

#undef S
#undef T

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
