// SPDX-License-Identifier: GPL-2.0
/* What becomes of a subject whatever befalls a verb. */
#include <errno.h>
#include <fcntl.h>
#include <linux/ckpt.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "ckpt_state.h"

#define ARRAY	(3 * 4096)

/* The numbers of the subject: how far it has counted, and what it found wrong. */
#define COUNT	0
#define WRONG	1

/* What the subject has in common with its child. */
#define MARK	2
#define CALL	SYS_ioprio_get	/* which nobody needs */

static volatile struct {
	long mark;
	long child, thread;	/* how often each of them was there */
	long wrong;		/* what the child found */
} *shared;

static void *be_thread(void *arg)
{
	for (;;) {
		shared->thread++;
		usleep(1000);
	}
	return NULL;
}

/*
 * The child leads a process group, and has a thread, a child that ended, a timer, a signal that
 * waits, and a call that is forbidden. A fault that is meant for the engine may come here: it does
 * not count.
 */
static void be_child(void)
{
	const struct itimerspec in_days = { .it_value.tv_sec = 1 << 20 };
	struct sigevent silent = { .sigev_notify = SIGEV_NONE };
	struct itimerspec left;
	pid_t self = getpid(), ended;
	pthread_t thread;
	timer_t timer;
	sigset_t set;
	siginfo_t info;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	if (setpgid(0, 0) || sigprocmask(SIG_BLOCK, &set, NULL) || kill(self, SIGUSR1))
		_exit(109);
	ended = fork();
	if (!ended)
		_exit(3);
	if (waitid(P_PID, ended, &info, WEXITED | WNOWAIT) ||
	    timer_create(CLOCK_MONOTONIC, &silent, &timer) ||
	    timer_settime(timer, 0, &in_days, NULL) || ckpt_forbid(CALL, E2BIG, 0) ||
	    pthread_create(&thread, NULL, be_thread, NULL))
		_exit(110);

	for (;; usleep(1000)) {
		info.si_status = 0;
		if (getpgrp() != self)
			shared->wrong = 6;
		else if (!sigpending(&set) && !sigismember(&set, SIGUSR1))
			shared->wrong = 7;
		else if (waitid(P_PID, ended, &info, WEXITED | WNOWAIT | WNOHANG) ?
			 errno == ECHILD : info.si_status != 3)
			shared->wrong = 8;
		else if (timer_gettime(timer, &left) ?
			 errno == EINVAL : !left.it_value.tv_sec)
			shared->wrong = 9;
		else if (syscall(CALL, -1, -1) >= 0 || errno != E2BIG)
			shared->wrong = 10;
		else
			shared->child++;
	}
}

/*
 * Besides its own memory the subject has some that it shares with a child, and
 * a part of a file. It ends when any of that is not as it was, or its thread is
 * not the one that it has registered, or the child is not what it was.
 */
void ckpt_count(void)
{
	static volatile int tid;
	volatile char *own, *file;
	pid_t self = getpid(), child;
	long n, wrong = 0;
	int fd;

	own = mmap(NULL, ARRAY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shared = mmap(NULL, ARRAY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	fd = open("mapped", O_RDWR | O_CREAT, 0600);
	if (own == MAP_FAILED || shared == MAP_FAILED || fd < 0 || ftruncate(fd, ARRAY))
		_exit(104);
	file = mmap(NULL, ARRAY, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (file == MAP_FAILED)
		_exit(105);
	own[0] = 1;
	shared->mark = MARK;
	file[0] = 3;
	tid = self;
	syscall(SYS_set_tid_address, &tid);

	child = fork();
	if (child < 0)
		_exit(106);
	if (!child)
		be_child();

	for (n = 1; ; n++) {
		long of_child = shared->child, of_thread = shared->thread;

		/* Until both have been there again. */
		while (!wrong && (shared->child == of_child || shared->thread == of_thread)) {
			siginfo_t info = { .si_pid = 0 };
			bool gone;

			usleep(1000);
			gone = waitid(P_PID, child, &info, WEXITED | WNOWAIT | WNOHANG) ?
				errno == ECHILD : info.si_pid;
			wrong = own[0] != 1 ? 1 : shared->mark != MARK ? 2 : file[0] != 3 ? 3 :
				tid != self ? 4 : gone ? 5 : shared->wrong;
		}
		if (wrong) {
			ckpt_tell(WRONG, wrong);
			_exit(107);
		}
		ckpt_tell(COUNT, n);
	}
}

bool ckpt_goes_on(struct ckpt_subject *subject)
{
	static const char * const wrong[] = {
		"", "its memory", "shared memory", "what it mapped of a file",
		"what its thread registered", "its child", "a process group",
		"a signal that waits", "a child that ended", "a timer", "a forbidden call"
	};
	long before = ckpt_told(subject, COUNT), found;
	int i;

	for (i = 0; i < CKPT_POLL_TIMES; i++) {
		/* A new one may have told nothing yet. */
		if (ckpt_told(subject, COUNT) >= (before < 0 ? 1 : before + 3))
			return true;
		found = ckpt_told(subject, WRONG);
		if (found > 0 && found < (long)ARRAY_SIZE(wrong)) {
			ksft_print_msg("the subject finds that %s is not as it was\n",
				       wrong[found]);
			return false;
		}
		usleep(i < 100 ? 1000 : CKPT_POLL_USEC);
	}
	ksft_print_msg("the subject does not go on at %ld\n", before);
	return false;
}

void ckpt_forget(struct ckpt_subject *subject)
{
	static const long zeros[2];
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/numbers", subject->dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (pwrite(fd, zeros, sizeof(zeros), 0) != sizeof(zeros))
		ksft_perror("numbers");
	close(fd);
}

/* Nobody else has a file open if a lease on it can be had. */
static bool is_closed(struct ckpt_subject *subject, const char *name)
{
	char path[PATH_MAX];
	bool closed;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", subject->dir, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT;
	closed = !fcntl(fd, F_SETLEASE, F_WRLCK);
	if (closed)
		fcntl(fd, F_SETLEASE, F_UNLCK);
	close(fd);
	return closed;
}

static bool is_over(struct ckpt_subject *subject)
{
	char procs[64];

	if (cg_read(subject->cgroup, "cgroup.procs", procs, sizeof(procs)) || procs[0])
		return false;
	while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
		;
	return waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD &&
	       is_closed(subject, "numbers") && is_closed(subject, "mapped");
}

bool ckpt_nothing_left(struct ckpt_subject *subject)
{
	int i;

	for (i = 0; i < CKPT_POLL_TIMES; i++) {
		if (is_over(subject))
			return true;
		usleep(i < 100 ? 1000 : CKPT_POLL_USEC);
	}
	ksft_print_msg("a task or a file is left\n");
	return false;
}

int ckpt_try_suspend(int session, struct ckpt_subject *subject)
{
	struct ckpt_suspend args = { .timeout = 10000 };
	int ret;

	args.cgroup = open(subject->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = ioctl(session, CKPT_SUSPEND, &args) ? -errno : 0;
	close(args.cgroup);
	return ret;
}

int ckpt_try_restore(int session, struct ckpt_subject *subject, int image)
{
	struct ckpt_restore args = { .image = image };
	int ret;

	args.cgroup = open(subject->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = ioctl(session, CKPT_RESTORE, &args) ? -errno : 0;
	close(args.cgroup);
	return ret;
}

/* Copy so many bytes, fewer at the end; -errno if they cannot be read or written. */
static ssize_t copy(int from, int to, size_t size)
{
	static char buffer[64 * 1024];
	size_t done = 0;

	while (done < size) {
		size_t most = size - done < sizeof(buffer) ? size - done : sizeof(buffer);
		ssize_t len = read(from, buffer, most), written;

		if (len <= 0)
			return len ? -errno : done;
		written = to < 0 ? len : write(to, buffer, len);
		if (written != len)
			return written < 0 ? -errno : -ENOSPC;
		done += len;
	}
	return done;
}

int ckpt_try_dump(int session, int image)
{
	ssize_t len;

	if (ioctl(session, CKPT_DUMP))
		return -errno;
	len = copy(session, image, SIZE_MAX);
	return len < 0 ? len : 0;
}

/* As Documentation/userspace-api/ckpt-image.rst has them. */
#define MAGIC	8
#define DATA	2

struct record {
	uint16_t type;
	uint8_t flags;
	uint8_t head;
	uint32_t len;
	uint32_t seq;
	uint32_t crc;
};

/* Read what a record has before its payload, or the start of that, and pass it on. */
static ssize_t pass(int from, int to, void *bytes, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t len = read(from, bytes + done, size - done);

		if (len <= 0)
			return len ? -errno : done;
		done += len;
	}
	if (to >= 0 && write(to, bytes, size) != (ssize_t)size)
		return -errno;
	return size;
}

int ckpt_copy_record(int from, int to, bool first)
{
	struct record record;
	uint64_t data = 0;
	size_t left;
	ssize_t len;

	if (first) {
		len = copy(from, to, MAGIC);
		return len < 0 ? len : len == MAGIC;
	}
	len = pass(from, to, &record, sizeof(record));
	if (len <= 0)
		return len;
	if (len != sizeof(record))
		return -EPIPE;
	left = (record.len + 7) & ~7UL;
	if (record.flags & DATA) {
		len = pass(from, to, &data, sizeof(data));
		if (len != sizeof(data))
			return len < 0 ? len : -EPIPE;
		left -= sizeof(data);
	}
	len = copy(from, to, left + data);
	if (len < 0)
		return len;
	return (size_t)len == left + data ? 1 : -EPIPE;
}
