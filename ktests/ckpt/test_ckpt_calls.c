// SPDX-License-Identifier: GPL-2.0
/*
 * Processes are saved within a call that waits. It goes on with what remained of
 * its time, and a signal does to it what it does to one that was never saved.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "ckpt_util.h"

/* What the subject tells. */
enum {
	READY,		/* 1 before the call */
	DONE,		/* 1 after it */
	RESULT,		/* what it returned, or -errno */
	HANDLED,	/* 1 if the handler ran */
	WORD,		/* the futex; the test sets it to let a wait end */
};

/* What happens while the call waits. */
enum what {
	NOTHING,
	HANDLER,
	RESTART,	/* a handler with SA_RESTART */
};

typedef long (*call_fn)(const struct timespec *time);

static _Atomic long *shared;

static long result(long ret)
{
	return ret < 0 ? -errno : ret;
}

static long nanosleep_(const struct timespec *time)
{
	struct timespec left;

	return result(nanosleep(time, &left));
}

static long sleep_of(clockid_t clock, const struct timespec *time)
{
	return -clock_nanosleep(clock, 0, time, NULL);
}

static long sleep_monotonic(const struct timespec *time)
{
	return sleep_of(CLOCK_MONOTONIC, time);
}

static long sleep_boottime(const struct timespec *time)
{
	return sleep_of(CLOCK_BOOTTIME, time);
}

static long sleep_until(const struct timespec *time)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += time->tv_sec;
	return -clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static long poll_(const struct timespec *time)
{
	return result(poll(NULL, 0, time->tv_sec * 1000));
}

static long ppoll_(const struct timespec *time)
{
	sigset_t none;

	sigemptyset(&none);
	return result(ppoll(NULL, 0, time, &none));
}

static long select_(const struct timespec *time)
{
	struct timeval val = { .tv_sec = time->tv_sec };

	return result(select(0, NULL, NULL, NULL, &val));
}

static long pselect_(const struct timespec *time)
{
	sigset_t none;

	sigemptyset(&none);
	return result(pselect(0, NULL, NULL, NULL, time, &none));
}

static long futex(const struct timespec *time)
{
	return result(syscall(SYS_futex, &shared[WORD], FUTEX_WAIT, 0, time, NULL, 0));
}

static long futex_timed(const struct timespec *time)
{
	return futex(time);
}

static long futex_realtime(const struct timespec *time)
{
	const int op = FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME;
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += time->tv_sec;
	return result(syscall(SYS_futex, &shared[WORD], op, 0, &until, NULL,
			      FUTEX_BITSET_MATCH_ANY));
}

static long futex_endless(const struct timespec *time)
{
	return futex(NULL);
}

static long pause_(const struct timespec *time)
{
	return result(pause());
}

static long sigsuspend_(const struct timespec *time)
{
	sigset_t none, before, after;
	long ret;

	sigemptyset(&none);
	sigemptyset(&before);
	sigaddset(&before, SIGUSR2);
	sigaddset(&before, SIGUSR1);
	sigprocmask(SIG_SETMASK, &before, NULL);
	ret = result(sigsuspend(&none));
	sigprocmask(SIG_BLOCK, NULL, &after);
	return memcmp(&before, &after, sizeof(long)) ? -EDOM : ret;
}

static pid_t child;

/* A child that ends when the word is set; its number would be another each time. */
static void make_child(void)
{
	child = fork();
	if (child)
		return;
	while (!shared[WORD])
		usleep(1000);
	_exit(0);
}

static long wait_(const struct timespec *time)
{
	int status;
	pid_t found = waitpid(child, &status, 0);

	return found == child ? 0 : result(found);
}

static void on_signal(int sig)
{
	shared[HANDLED] = 1;
}

/* A call, what happens while it waits, and its result. */
struct row {
	const char *name;
	call_fn call;
	enum what what;
	long want;
	bool word;	/* whether the word is set then */
};

static void subject(void)
{
	const struct row *row = ckpt_arg;
	struct sigaction act = {
		.sa_handler = on_signal,
		.sa_flags = row->what == RESTART ? SA_RESTART : 0,
	};
	const struct timespec time = { .tv_sec = row->what == NOTHING ? 1 : 1000 };

	ckpt_tell(WORD, 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0);
	if (shared == MAP_FAILED || (row->what != NOTHING && sigaction(SIGUSR1, &act, NULL)))
		_exit(1);
	/* In fork() it would wait, too, though not for that. */
	if (row->call == wait_)
		make_child();
	shared[READY] = 1;
	shared[RESULT] = row->call(&time);
	shared[DONE] = 1;
	_exit(0);
}

/* The first line of a file of proc about the subject; false if there is none. */
static bool look(struct ckpt_subject *subject, const char *name, char *line, int size)
{
	char path[64];
	FILE *file;
	bool there;

	snprintf(path, sizeof(path), "/proc/%d/%s", subject->pid, name);
	file = fopen(path, "r");
	there = file && fgets(line, size, file);
	if (file)
		fclose(file);
	return there;
}

/*
 * Wait until the subject waits in its call, or has left it. Only then does a signal interrupt the
 * call: one that is about to be woken waits for nothing, although its call is told, and who waits
 * for a page is in no call.
 */
static bool waits(struct ckpt_subject *subject)
{
	char where[256], call[256];
	int i;

	for (i = 0; i < CKPT_POLL_TIMES; i++) {
		if (!look(subject, "wchan", where, sizeof(where)) ||
		    !look(subject, "syscall", call, sizeof(call)) ||
		    ckpt_told(subject, DONE))
			return true;
		if (strcmp(where, "0") && call[0] >= '0' && call[0] <= '9')
			return true;
		usleep(CKPT_POLL_USEC);
	}
	ksft_print_msg("it does not wait: %s in %s", where, call);
	return false;
}

/* Let a wait for the word end. */
static int set_word(struct ckpt_subject *subject)
{
	_Atomic long *numbers;
	char path[128];
	int fd, i;

	snprintf(path, sizeof(path), "%s/numbers", subject->dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	numbers = mmap(NULL, sizeof(*numbers), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (numbers == MAP_FAILED)
		return -1;
	numbers[WORD] = 1;
	for (i = 0; i < CKPT_POLL_TIMES && !numbers[DONE]; i++) {
		syscall(SYS_futex, &numbers[WORD], FUTEX_WAKE, 1);
		usleep(CKPT_POLL_USEC);
	}
	munmap(numbers, sizeof(*numbers));
	return 0;
}

static int check(struct ckpt_subject *subject)
{
	const struct row *row = ckpt_arg;

	if (ckpt_await(subject, READY, 1) < 0 || !waits(subject) || ckpt_cycle(subject))
		return KSFT_FAIL;
	/* A signal between two attempts of a call would come before the second one. */
	if (unmet(waits(subject)))
		return KSFT_FAIL;
	if (row->what != NOTHING && (unmet(!kill(subject->pid, SIGUSR1)) ||
				     ckpt_await(subject, HANDLED, 1) < 0))
		return KSFT_FAIL;
	if (row->word && set_word(subject))
		return KSFT_FAIL;
	if (ckpt_await(subject, DONE, 1) < 0)
		return KSFT_FAIL;
	/* A futex that is not waited for yet when the word is set is not waited for at all. */
	if (row->word && ckpt_told(subject, RESULT) == -EAGAIN)
		return KSFT_PASS;
	return differs(ckpt_told(subject, RESULT), row->want) ? KSFT_FAIL : KSFT_PASS;
}

static const struct row rows[] = {
	{ "nanosleep", nanosleep_, NOTHING, 0 },
	{ "nanosleep", nanosleep_, HANDLER, -EINTR },
	{ "nanosleep", nanosleep_, RESTART, -EINTR },
	{ "sleep_monotonic", sleep_monotonic, NOTHING, 0 },
	{ "sleep_monotonic", sleep_monotonic, HANDLER, -EINTR },
	{ "sleep_boottime", sleep_boottime, NOTHING, 0 },
	{ "sleep_boottime", sleep_boottime, HANDLER, -EINTR },
	{ "sleep_until", sleep_until, NOTHING, 0 },
	{ "sleep_until", sleep_until, HANDLER, -EINTR },
	{ "sleep_until", sleep_until, RESTART, -EINTR },
	{ "poll", poll_, NOTHING, 0 },
	{ "poll", poll_, HANDLER, -EINTR },
	{ "poll", poll_, RESTART, -EINTR },
	{ "ppoll", ppoll_, NOTHING, 0 },
	{ "ppoll", ppoll_, HANDLER, -EINTR },
	{ "ppoll", ppoll_, RESTART, -EINTR },
	{ "select", select_, NOTHING, 0 },
	{ "select", select_, HANDLER, -EINTR },
	{ "select", select_, RESTART, -EINTR },
	{ "pselect", pselect_, NOTHING, 0 },
	{ "pselect", pselect_, HANDLER, -EINTR },
	{ "pselect", pselect_, RESTART, -EINTR },
	{ "futex_timed", futex_timed, NOTHING, -ETIMEDOUT },
	{ "futex_timed", futex_timed, HANDLER, -EINTR },
	{ "futex_timed", futex_timed, RESTART, -EINTR },
	{ "futex_realtime", futex_realtime, NOTHING, -ETIMEDOUT },
	{ "futex_realtime", futex_realtime, HANDLER, -EINTR },
	{ "futex_endless", futex_endless, NOTHING, 0, true },
	{ "futex_endless", futex_endless, HANDLER, -EINTR },
	{ "futex_endless", futex_endless, RESTART, 0, true },
	{ "pause", pause_, HANDLER, -EINTR },
	{ "pause", pause_, RESTART, -EINTR },
	{ "sigsuspend", sigsuspend_, HANDLER, -EINTR },
	{ "sigsuspend", sigsuspend_, RESTART, -EINTR },
	{ "wait", wait_, NOTHING, 0, true },
	{ "wait", wait_, HANDLER, -EINTR },
	{ "wait", wait_, RESTART, 0, true },
};

int main(void)
{
	static const char *const what[] = { "undisturbed", "handler", "restart" };
	static char names[ARRAY_SIZE(rows)][64];
	struct ckpt_test tests[ARRAY_SIZE(rows)];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		snprintf(names[i], sizeof(names[i]), "test_%s_%s", rows[i].name,
			 what[rows[i].what]);
		tests[i] = (struct ckpt_test){ subject, check, names[i], &rows[i] };
	}
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
