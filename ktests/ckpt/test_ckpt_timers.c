// SPDX-License-Identifier: GPL-2.0
/* Timers go on with what remained of their time. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "ckpt_finding.h"

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	alarms++;
}

static long long microseconds(const struct timeval *time)
{
	return time->tv_sec * 1000000LL + time->tv_usec;
}

/* Of real time; its signal comes after that. */
static void real(void)
{
	struct itimerval timer = {
		.it_value = { .tv_sec = 3 },
		.it_interval = { .tv_usec = 1000 },
	}, now;

	expect(signal(SIGALRM, on_alarm) != SIG_ERR);
	expect(!setitimer(ITIMER_REAL, &timer, NULL));
	be_saved();
	expect(!getitimer(ITIMER_REAL, &now));
	expect(microseconds(&now.it_interval) == 1000);
	expect(microseconds(&now.it_value) > 0 && microseconds(&now.it_value) <= 3000000);
	/* More than once, so the interval is there, too. */
	while (alarms < 5)
		pause();
	all_is_well();
}

/* Of the time that the process uses. */
static void used(void)
{
	struct itimerval virt = { .it_value = { .tv_sec = 1000 }, .it_interval = { .tv_sec = 7 } };
	struct itimerval prof = { .it_value = { .tv_usec = 100000 } }, now;

	expect(signal(SIGPROF, on_alarm) != SIG_ERR);
	expect(!setitimer(ITIMER_VIRTUAL, &virt, NULL));
	be_saved();
	expect(!getitimer(ITIMER_VIRTUAL, &now) && now.it_interval.tv_sec == 7);
	/* As much as it had, less the little that it has used. */
	expect(now.it_value.tv_sec > 900 && now.it_value.tv_sec <= 1000);
	expect(!getitimer(ITIMER_PROF, &now) && !microseconds(&now.it_value));
	expect(!setitimer(ITIMER_PROF, &prof, NULL));
	while (!alarms)
		;
	all_is_well();
}

/* Its signal waits already; when that is taken, it goes on. */
static void real_queued(void)
{
	struct itimerval often = {
		.it_value = { .tv_usec = 1000 },
		.it_interval = { .tv_usec = 1000 },
	};
	sigset_t set, waiting;
	int i, sig;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	expect(!sigprocmask(SIG_BLOCK, &set, NULL));
	expect(!setitimer(ITIMER_REAL, &often, NULL));
	do
		expect(!sigpending(&waiting));
	while (!sigismember(&waiting, SIGALRM));
	be_saved();
	for (i = 0; i < 3; i++)
		expect(!sigwait(&set, &sig) && sig == SIGALRM);
	all_is_well();
}

/* None is there that was not set, and children have none. */
static void none(void)
{
	struct itimerval timer = { .it_value = { .tv_sec = 1000 } }, now;
	pid_t child;
	int status;

	expect(!setitimer(ITIMER_REAL, &timer, NULL));
	child = fork();
	expect(child >= 0);
	if (!child) {
		wait_for_go();
		_exit(getitimer(ITIMER_REAL, &now) || microseconds(&now.it_value));
	}
	be_saved();
	expect(waitpid(child, &status, 0) == child && !status);
	expect(!getitimer(ITIMER_REAL, &now) && now.it_value.tv_sec > 900);
	all_is_well();
}

static timer_t make_timer(clockid_t clock, int sig, int value)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = sig,
		.sigev_value.sival_int = value,
	};
	timer_t timer;

	expect(!timer_create(clock, &event, &timer));
	return timer;
}

static void block(sigset_t *set, int sig)
{
	sigemptyset(set);
	sigaddset(set, sig);
	expect(!sigprocmask(SIG_BLOCK, set, NULL));
}

/* Numbers with gaps between them, and what is left of each. */
static void posix(void)
{
	const struct itimerspec far = {
		.it_value = { .tv_sec = 1000 }, .it_interval = { .tv_nsec = 5000000 },
	}, near = { .it_value = { .tv_sec = 2 } };
	const int sig = SIGRTMIN + 2;
	timer_t first = make_timer(CLOCK_MONOTONIC, sig, 1);
	timer_t gone = make_timer(CLOCK_MONOTONIC, sig, 2);
	timer_t idle = make_timer(CLOCK_BOOTTIME, sig, 3);
	timer_t used = make_timer(CLOCK_PROCESS_CPUTIME_ID, sig, 4);
	timer_t last = make_timer(CLOCK_REALTIME, sig, 5);
	struct itimerspec now;
	siginfo_t info;
	sigset_t set;

	block(&set, sig);
	expect(!timer_delete(gone));
	expect(!timer_settime(first, 0, &far, NULL) && !timer_settime(used, 0, &far, NULL));
	expect(!timer_settime(last, 0, &near, NULL));

	be_saved();

	expect(!timer_gettime(first, &now) && now.it_interval.tv_nsec == 5000000);
	expect(now.it_value.tv_sec > 900 && now.it_value.tv_sec <= 1000);
	expect(!timer_gettime(used, &now) && now.it_value.tv_sec > 900);
	expect(!timer_gettime(idle, &now) && !now.it_value.tv_sec && !now.it_value.tv_nsec);
	expect(timer_gettime(gone, &now) < 0 && errno == EINVAL);
	expect(sigwaitinfo(&set, &info) == sig && info.si_code == SI_TIMER);
	expect(info.si_value.sival_int == 5 && info.si_timerid == (int)(long)last);
	/* New ones take free numbers. */
	expect(make_timer(CLOCK_MONOTONIC, sig, 6) != first);
	expect(!timer_delete(first) && !timer_delete(idle));
	all_is_well();
}

/* Its signal waits already, and tells how often it went off until it was taken. */
static void queued(void)
{
	const struct itimerspec often = {
		.it_value = { .tv_nsec = 1000000 }, .it_interval = { .tv_nsec = 1000000 },
	}, once = { .it_value = { .tv_nsec = 1000000 } };
	const int sig = SIGRTMIN + 2, other = SIGRTMIN + 3;
	timer_t periodic = make_timer(CLOCK_MONOTONIC, sig, 7);
	timer_t single = make_timer(CLOCK_MONOTONIC, other, 8);
	timer_t used = make_timer(CLOCK_PROCESS_CPUTIME_ID, SIGRTMIN + 4, 9);
	sigset_t set, pending;
	siginfo_t info;

	block(&set, SIGRTMIN + 4);
	block(&set, other);
	block(&set, sig);
	expect(!timer_settime(used, 0, &often, NULL));
	expect(!timer_settime(periodic, 0, &often, NULL) && !timer_settime(single, 0, &once, NULL));
	do {
		usleep(20000);
		expect(!sigpending(&pending));
		while (!sigismember(&pending, SIGRTMIN + 4))
			expect(!sigpending(&pending));
	} while (!sigismember(&pending, sig) || !sigismember(&pending, other));

	be_saved();

	expect(sigwaitinfo(&set, &info) == sig && info.si_value.sival_int == 7);
	/* It had gone off for 20 ms. */
	expect(info.si_overrun >= 10 && timer_getoverrun(periodic) == info.si_overrun);
	/* And does so again. */
	expect(sigwaitinfo(&set, &info) == sig && info.si_value.sival_int == 7);
	block(&set, other);
	expect(sigwaitinfo(&set, &info) == other && info.si_value.sival_int == 8);
	block(&set, SIGRTMIN + 4);
	expect(sigwaitinfo(&set, &info) == SIGRTMIN + 4 && info.si_value.sival_int == 9);
	all_is_well();
}

/* By the clock on the wall it goes off when that says so, whatever was between. */
static void absolute(void)
{
	const int sig = SIGRTMIN + 2;
	timer_t timer = make_timer(CLOCK_REALTIME, sig, 9);
	struct itimerspec then = { };
	struct timespec now;
	siginfo_t info;
	sigset_t set;

	block(&set, sig);
	expect(!clock_gettime(CLOCK_REALTIME, &now));
	then.it_value = now;
	then.it_value.tv_sec += 3;
	expect(!timer_settime(timer, TIMER_ABSTIME, &then, NULL));
	be_saved();
	expect(sigwaitinfo(&set, &info) == sig && info.si_value.sival_int == 9);
	expect(!clock_gettime(CLOCK_REALTIME, &now));
	expect(now.tv_sec > then.it_value.tv_sec ||
	       (now.tv_sec == then.it_value.tv_sec && now.tv_nsec >= then.it_value.tv_nsec));
	all_is_well();
}

/* The signal is for one thread only. */
static void *take(void *arg)
{
	const int sig = SIGRTMIN + 2;
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD_ID,
		.sigev_signo = sig,
		._sigev_un._tid = syscall(SYS_gettid),
	};
	const struct itimerspec soon = { .it_value = { .tv_sec = 2 } };
	timer_t timer;
	sigset_t set;
	int got;

	sigemptyset(&set);
	sigaddset(&set, sig);
	expect(!timer_create(CLOCK_MONOTONIC, &event, &timer));
	expect(!timer_settime(timer, 0, &soon, NULL));
	__atomic_store_n((int *)arg, 1, __ATOMIC_SEQ_CST);
	expect(!sigwait(&set, &got) && got == sig);
	return NULL;
}

static void of_thread(void)
{
	pthread_t thread;
	sigset_t set;
	int ready = 0;

	block(&set, SIGRTMIN + 2);
	expect(!pthread_create(&thread, NULL, take, &ready));
	while (!__atomic_load_n(&ready, __ATOMIC_SEQ_CST))
		usleep(1000);
	be_saved();
	expect(!pthread_join(thread, NULL));
	all_is_well();
}

#define T(f) { f, check_finding, "test_" #f }
#define S(f) { f, check_snapshot, "test_" #f "_snapshot" }
static const struct ckpt_test tests[] = {
	T(absolute), S(absolute),
	T(none), S(none),
	T(of_thread), S(of_thread),
	T(posix), S(posix),
	T(queued), S(queued),
	T(real), S(real),
	T(real_queued), S(real_queued),
	T(used), S(used),
};

#undef S
#undef T

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
