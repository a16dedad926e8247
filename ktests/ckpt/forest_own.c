// SPDX-License-Identifier: GPL-2.0
/* What a process of a tree has: memory and pipes, and what its threads have in common. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "forest_live.h"
#include "forest_own.h"
#include "forest_thread.h"

#define PAGE_WORDS	1024
#define MOST_PAGES	32
#define MOST_PIECES	6
#define MOST_TIMERS	3

/* So far in the future that it never comes, in seconds; and how long all of a test may take. */
#define FAR		10000
#define TAKES		5000

static unsigned int pick(const struct forest_plan *plan, int nr, int bit, unsigned int n)
{
	return forest_pick(plan->procs[nr].pick, bit, n);
}

/* Memory: of each process, its children have what they got; where it is shared, the same. */

static unsigned int *private[FOREST_PROCS], *shared[FOREST_PROCS];

static unsigned int mark_of(int nr)
{
	return 0x600d0000 + nr;
}

static int pages_of(const struct forest_plan *plan, int nr)
{
	return 1 + pick(plan, nr, FOREST_MEMORY, MOST_PAGES);
}

static unsigned int *map(int pages, int flags)
{
	void *at = mmap(NULL, pages * PAGE_WORDS * sizeof(int), PROT_READ | PROT_WRITE,
			flags | MAP_ANONYMOUS, -1, 0);

	forest_expect(at != MAP_FAILED);
	return at;
}

/* The word that a process writes into the private memory of @of. */
static unsigned int *word_in(const struct forest_plan *plan, int of, int nr)
{
	return &private[of][nr % pages_of(plan, of) * PAGE_WORDS + 1 + nr];
}

/* The page that a process drops of the private memory of @of. */
static int dropped_of(const struct forest_plan *plan, int of, int nr)
{
	return forest_pick(plan->procs[nr].pick + of, FOREST_DROPS, pages_of(plan, of));
}

/* Who was the last to drop a page that @me has from @of; -1 is nobody. */
static int dropper(const struct forest_plan *plan, int of, int me, int page)
{
	for (; me != of; me = plan->procs[me].maker)
		if (forest_has(&plan->procs[me], FOREST_DROPS) &&
		    dropped_of(plan, of, me) == page)
			return me;
	return -1;
}

static void make_memory(const struct forest_plan *plan, int me)
{
	const size_t page = PAGE_WORDS * sizeof(int);
	int i;

	if (forest_has(&plan->procs[me], FOREST_MEMORY)) {
		private[me] = map(pages_of(plan, me), MAP_PRIVATE);
		for (i = 0; i < pages_of(plan, me); i++)
			private[me][i * PAGE_WORDS] = mark_of(me) + (i << 8);
	}
	if (forest_has(&plan->procs[me], FOREST_SHARED_MEMORY)) {
		shared[me] = map(1, MAP_SHARED);
		shared[me][PAGE_WORDS - 1] = mark_of(me);
	}
	for (i = 0; i < me; i++)
		if (private[i] && forest_has(&plan->procs[me], FOREST_DROPS))
			forest_expect(!madvise(&private[i][dropped_of(plan, i, me) * PAGE_WORDS],
					       page, MADV_DONTNEED));
	for (i = 0; i <= me; i++)
		if (private[i])
			*word_in(plan, i, me) = mark_of(me);
}

/* It has what they wrote that come between, since somebody dropped that, and nobody else. */
static bool has_word_of(const struct forest_plan *plan, int of, int me, int nr)
{
	int last;

	if (!forest_descends(plan, me, nr) || !forest_descends(plan, nr, of))
		return false;
	last = dropper(plan, of, me, nr % pages_of(plan, of));
	return last < 0 || forest_descends(plan, nr, last);
}

static void find_memory(const struct forest_plan *plan, int me)
{
	int i, j;

	for (i = 0; i <= me; i++) {
		if (private[i]) {
			for (j = 0; j < pages_of(plan, i); j++) {
				bool dropped = dropper(plan, i, me, j) >= 0;

				forest_expect(private[i][j * PAGE_WORDS] ==
					      (dropped ? 0 : mark_of(i) + (j << 8)));
			}
			for (j = 0; j < plan->nr; j++)
				forest_expect(*word_in(plan, i, j) ==
					      (has_word_of(plan, i, me, j) ? mark_of(j) : 0));
		}
		if (shared[i]) {
			forest_expect(shared[i][PAGE_WORDS - 1] == mark_of(i));
			shared[i][me] = mark_of(me);
		}
	}
}

void forest_find_written(const struct forest_plan *plan, int me)
{
	int i, j;

	for (i = 0; i <= me; i++)
		for (j = i; shared[i] && j < plan->nr; j++)
			if (!plan->procs[j].ends && forest_descends(plan, j, i))
				forest_expect(shared[i][j] == mark_of(j));
}

/* Pipes, whose ends children inherit, with something in them. */

static int pipes[FOREST_PROCS][2];

static unsigned int piece_len(const struct forest_plan *plan, int nr, int piece)
{
	return 1 + forest_pick(plan->procs[nr].pick + piece, FOREST_PIPE, 2000);
}

static int pieces_of(const struct forest_plan *plan, int nr)
{
	return 1 + pick(plan, nr, FOREST_PIPE, MOST_PIECES);
}

static void fill(char *at, unsigned int len, int nr, int piece)
{
	unsigned int i;

	for (i = 0; i < len; i++)
		at[i] = nr * 31 + piece * 7 + i;
}

static int pipe_flags(const struct forest_plan *plan, int nr)
{
	static const int flags[] = { 0, O_DIRECT, O_NONBLOCK, O_CLOEXEC };

	return flags[forest_pick(plan->procs[nr].pick, FOREST_PROC_BITS + FOREST_PIPE, 4)];
}

static void make_pipe(const struct forest_plan *plan, int me)
{
	char piece[2000];
	int i;

	forest_expect(!pipe2(pipes[me], pipe_flags(plan, me)));
	if (pick(plan, me, FOREST_PIPE, 2))
		forest_expect(fcntl(pipes[me][1], F_SETPIPE_SZ, 8 * 4096) == 8 * 4096);
	for (i = 0; i < pieces_of(plan, me); i++) {
		ssize_t len = piece_len(plan, me, i);

		fill(piece, len, me, i);
		forest_expect(write(pipes[me][1], piece, len) == len);
	}
}

static int closed_end(const struct forest_plan *plan, int nr)
{
	if (!forest_has(&plan->procs[nr], FOREST_CLOSES))
		return -1;
	return pick(plan, nr, FOREST_CLOSES, 2);
}

/* Who made it, or a child of that. */
static int reader_of(const struct forest_plan *plan, int nr)
{
	int i;

	if (!plan->procs[nr].ends)
		return nr;
	for (i = nr + 1; i < plan->nr; i++)
		if (plan->procs[i].maker == nr && !plan->procs[i].ends && closed_end(plan, i))
			return i;
	return -1;
}

static void find_pipe(const struct forest_plan *plan, int of)
{
	char found[MOST_PIECES * 2000], wanted[sizeof(found)];
	ssize_t got = 0, all = 0, len;
	int fd = pipes[of][0], flags = fcntl(fd, F_GETFL), i;

	forest_expect(flags >= 0 && !fcntl(fd, F_SETFL, flags | O_NONBLOCK));
	for (i = 0; i < pieces_of(plan, of); i++) {
		len = piece_len(plan, of, i);
		fill(wanted + all, len, of, i);
		all += len;
		/* A packet comes by itself. */
		if (pipe_flags(plan, of) == O_DIRECT) {
			forest_expect(read(fd, found + got, sizeof(found) - got) == len);
			got += len;
		}
	}
	while (got < all) {
		len = read(fd, found + got, sizeof(found) - got);
		forest_expect(len > 0);
		got += len;
	}
	forest_expect(got == all && !memcmp(found, wanted, all));
	/* And there is no more. */
	forest_expect(read(fd, found, 1) <= 0);
}

void forest_make_common(const struct forest_plan *plan, int me)
{
	int end = closed_end(plan, me), i;

	for (i = 0; end >= 0 && i < me; i++) {
		if (!pipes[i][end])
			continue;
		forest_expect(!close(pipes[i][end]));
		pipes[i][end] = 0;
	}
	make_memory(plan, me);
	if (forest_has(&plan->procs[me], FOREST_PIPE))
		make_pipe(plan, me);
}

void forest_find_common(const struct forest_plan *plan, int me)
{
	int i;

	find_memory(plan, me);
	for (i = 0; i <= me; i++)
		if (forest_has(&plan->procs[i], FOREST_PIPE) && reader_of(plan, i) == me)
			find_pipe(plan, i);
}

/* Timers */

static bool remains(time_t left, time_t of)
{
	return left > of - TAKES && left <= of + 1;
}

void forest_set_timer(struct forest_timer *timer, clockid_t clock, struct sigevent *event,
		      unsigned int how)
{
	struct itimerspec setting = { .it_interval.tv_nsec = how % 1000 * 1000 };

	timer->seconds = how % 5 ? FAR + how % 1000 : 0;
	setting.it_value.tv_sec = timer->seconds;
	forest_expect(!timer_create(clock, event, &timer->id));
	forest_expect(!timer_settime(timer->id, 0, &setting, NULL));
	/* Without a value there is no interval either. */
	timer->interval = timer->seconds ? setting.it_interval.tv_nsec : 0;
}

void forest_find_timer(const struct forest_timer *timer)
{
	struct itimerspec now;

	forest_expect(!timer_gettime(timer->id, &now));
	if (timer->seconds) {
		forest_expect(remains(now.it_value.tv_sec, timer->seconds));
		forest_expect(now.it_interval.tv_nsec == timer->interval);
	} else {
		forest_expect(!now.it_value.tv_sec && !now.it_value.tv_nsec);
	}
}

static struct forest_timer timers[MOST_TIMERS];

static int timers_of(const struct forest_plan *plan, int nr)
{
	return 1 + pick(plan, nr, FOREST_TIMERS, MOST_TIMERS);
}

static void make_timers(const struct forest_plan *plan, int me)
{
	static const clockid_t clocks[] = {
		CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME, CLOCK_PROCESS_CPUTIME_ID,
	};
	struct forest_timer gap;
	int i;

	for (i = 0; i < timers_of(plan, me); i++) {
		unsigned int how = forest_pick(plan->procs[me].pick + i, FOREST_TIMERS, 1 << 20);
		struct sigevent event = {
			.sigev_notify = how & 4 ? SIGEV_SIGNAL : SIGEV_NONE,
			.sigev_signo = FOREST_SIGNAL_FAR,
			.sigev_value.sival_int = how,
		};

		/* Their numbers have gaps. */
		if (how & 8)
			forest_set_timer(&gap, CLOCK_MONOTONIC, &event, how);
		forest_set_timer(&timers[i], clocks[how % 4], &event, how);
		if (how & 8)
			forest_expect(!timer_delete(gap.id));
	}
}

/* Its signal waits. */
static void make_fired(int me)
{
	struct itimerspec soon = { .it_value.tv_nsec = 1 };
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = FOREST_SIGNAL_FIRED,
		.sigev_value.sival_int = me,
	};
	sigset_t pending;
	timer_t timer;

	forest_expect(!timer_create(CLOCK_MONOTONIC, &event, &timer));
	forest_expect(!timer_settime(timer, 0, &soon, NULL));
	do {
		usleep(1000);
		forest_expect(!sigpending(&pending));
	} while (!sigismember(&pending, FOREST_SIGNAL_FIRED));
}

static void find_fired(int me)
{
	const struct timespec now = { };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, FOREST_SIGNAL_FIRED);
	forest_expect(sigtimedwait(&set, &info, &now) == FOREST_SIGNAL_FIRED);
	forest_expect(info.si_code == SI_TIMER && info.si_value.sival_int == me);
}

static void make_itimer(const struct forest_plan *plan, int me)
{
	struct itimerval setting = {
		.it_value.tv_sec = FAR,
		.it_interval.tv_usec = pick(plan, me, FOREST_ITIMER, 1000),
	};

	forest_expect(!setitimer(pick(plan, me, FOREST_ITIMER, 3), &setting, NULL));
}

static void find_itimer(const struct forest_plan *plan, int me)
{
	struct itimerval now;

	forest_expect(!getitimer(pick(plan, me, FOREST_ITIMER, 3), &now));
	forest_expect(remains(now.it_value.tv_sec, FAR));
	forest_expect(now.it_interval.tv_usec == pick(plan, me, FOREST_ITIMER, 1000));
}

/* Signals that wait for the process. */

#define SIGNALS	4

static int signal_of(const struct forest_plan *plan, int nr, int i)
{
	const int other = forest_pick(plan->procs[nr].pick + i, FOREST_SIGNALS, 2);

	return FOREST_SIGNAL_SHARED + other;
}

void forest_make_signals(const struct forest_plan *plan, int me)
{
	int i;

	for (i = 0; forest_has(&plan->procs[me], FOREST_SIGNALS) && i < SIGNALS; i++)
		forest_expect(!sigqueue(getpid(), signal_of(plan, me, i),
					(union sigval){ .sival_int = 100 * me + i }));
}

/* By number, then as they came. */
static void find_signals(const struct forest_plan *plan, int me)
{
	const struct timespec now = { };
	siginfo_t info;
	sigset_t set;
	int i, sig;

	sigemptyset(&set);
	sigaddset(&set, FOREST_SIGNAL_SHARED);
	sigaddset(&set, FOREST_SIGNAL_SHARED + 1);
	for (sig = FOREST_SIGNAL_SHARED; sig < FOREST_SIGNAL_SHARED + 2; sig++) {
		for (i = 0; forest_has(&plan->procs[me], FOREST_SIGNALS) && i < SIGNALS; i++) {
			if (signal_of(plan, me, i) != sig)
				continue;
			forest_expect(sigtimedwait(&set, &info, &now) == sig);
			forest_expect(info.si_code == SI_QUEUE && info.si_pid == getpid());
			forest_expect(!info.si_uid && info.si_value.sival_int == 100 * me + i);
		}
	}
	forest_expect(sigtimedwait(&set, &info, &now) < 0 && errno == EAGAIN);
}

static void on_signal(int sig)
{
}

static void make_handlers(const struct forest_plan *plan, int me)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGPIPE, SIGWINCH, SIGTERM, SIGCHLD };
	static const int flags[] = { 0, SA_RESTART, SA_NODEFER, SA_ONSTACK, SA_RESETHAND };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(signals); i++) {
		unsigned int how = forest_pick(plan->procs[me].pick + i, FOREST_HANDLERS, 1 << 16);
		struct sigaction act = { .sa_flags = flags[how % ARRAY_SIZE(flags)] };

		/* Children end and stop meanwhile, which must not change it. */
		if (signals[i] == SIGCHLD)
			act.sa_flags &= ~SA_RESETHAND;
		/* Who ignores the end of children has no zombies. */
		act.sa_handler = how & 64 && signals[i] != SIGCHLD ? SIG_IGN : on_signal;
		sigemptyset(&act.sa_mask);
		sigaddset(&act.sa_mask, SIGRTMIN + how / 128 % 16);
		if (how & 32)
			forest_expect(!sigaction(signals[i], &act, NULL));
	}
}

static void make_rlimits(const struct forest_plan *plan, int me)
{
	static const struct {
		int resource;
		rlim_t least;
	} limits[] = {
		{ RLIMIT_CORE, 0 },
		{ RLIMIT_NOFILE, 512 },
		{ RLIMIT_FSIZE, 64 << 20 },
		{ RLIMIT_MSGQUEUE, 1000 },
		{ RLIMIT_STACK, 4 << 20 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		unsigned int how = forest_pick(plan->procs[me].pick + i, FOREST_RLIMITS, 512);
		struct rlimit limit;

		forest_expect(!getrlimit(limits[i].resource, &limit));
		if (limit.rlim_max > limits[i].least + how + 100)
			limit.rlim_max = limits[i].least + how + 100;
		limit.rlim_cur = limits[i].least + how;
		if (limit.rlim_cur > limit.rlim_max)
			limit.rlim_cur = limit.rlim_max;
		if (how & 1)
			forest_expect(!setrlimit(limits[i].resource, &limit));
	}
}

void forest_make_own(const struct forest_plan *plan, int me, const char *dir)
{
	const struct forest_proc *proc = &plan->procs[me];
	char path[128];

	snprintf(path, sizeof(path), "%s/d%d", dir, forest_slot(me, 1));
	if (forest_has(proc, FOREST_UMASK))
		umask(pick(plan, me, FOREST_UMASK, 01000));
	if (forest_has(proc, FOREST_CWD))
		forest_expect(!chdir(path));
	if (forest_has(proc, FOREST_RLIMITS))
		make_rlimits(plan, me);
	if (forest_has(proc, FOREST_HANDLERS))
		make_handlers(plan, me);
	if (forest_has(proc, FOREST_ITIMER))
		make_itimer(plan, me);
	if (forest_has(proc, FOREST_TIMERS))
		make_timers(plan, me);
	if (forest_has(proc, FOREST_FIRED))
		make_fired(me);
}

void forest_find_own(const struct forest_plan *plan, int me)
{
	const struct forest_proc *proc = &plan->procs[me];
	int i;

	find_signals(plan, me);
	if (forest_has(proc, FOREST_ITIMER))
		find_itimer(plan, me);
	for (i = 0; forest_has(proc, FOREST_TIMERS) && i < timers_of(plan, me); i++)
		forest_find_timer(&timers[i]);
	if (forest_has(proc, FOREST_FIRED))
		find_fired(me);
}
