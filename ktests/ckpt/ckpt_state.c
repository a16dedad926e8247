// SPDX-License-Identifier: GPL-2.0
/* What becomes of a subject whatever befalls a verb. */
#include <errno.h>
#include <fcntl.h>
#include <linux/ckpt.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "ckpt_state.h"

#define ARRAY	(3 * 4096)

/* The numbers of the subject: how far it has counted, and what it found wrong. */
#define COUNT	0
#define WRONG	1

/*
 * Besides its own memory the subject has some that it shares with a child, and
 * a part of a file. It ends when any of that is not as it was, or its thread is
 * not the one that it has registered.
 */
void ckpt_count(void)
{
	static volatile int tid;
	volatile char *own, *shared, *file;
	pid_t self = getpid(), child;
	long n;
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
	shared[0] = 2;
	file[0] = 3;
	tid = self;
	syscall(SYS_set_tid_address, &tid);

	child = fork();
	while (!child)
		usleep(1000);
	if (child < 0)
		_exit(106);

	for (n = 1; ; n++) {
		int wrong = own[0] != 1 ? 1 : shared[0] != 2 ? 2 : file[0] != 3 ? 3 :
			    tid != self ? 4 : kill(child, 0) ? 5 : 0;

		if (wrong) {
			ckpt_tell(WRONG, wrong);
			_exit(107);
		}
		ckpt_tell(COUNT, n);
		usleep(1000);
	}
}

bool ckpt_goes_on(struct ckpt_subject *subject)
{
	static const char * const wrong[] = {
		"", "its memory", "shared memory", "what it mapped of a file",
		"what its thread registered", "its child"
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
