// SPDX-License-Identifier: GPL-2.0
/* Where images go: a container is restored from what came out there. */
#include <errno.h>
#include <fcntl.h>
#include <linux/ckpt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "ckpt_util.h"

#define SIZE	(8 << 20)

/* Memory of which each page is another, and a count of how often it was found so. */
static void compare(void)
{
	char *at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long n, i;

	if (at == MAP_FAILED)
		_exit(1);
	for (i = 0; i < SIZE; i += 4096)
		memset(at + i, 1 + i / 4096 % 250, 4096);
	for (n = 1; ; n++) {
		for (i = 0; i < SIZE; i += 4096)
			if (at[i] != at[i + 4095] || at[i] != (char)(1 + i / 4096 % 250))
				_exit(1);
		ckpt_tell(0, n);
	}
}

typedef int (*sink_fn)(int session, int image);

/* Dump through @sink, end the subject, and restore it. */
static int through(struct ckpt_subject *subject, sink_fn sink)
{
	char path[PATH_MAX];
	int session, image, ret = KSFT_FAIL;
	long before;

	if (ckpt_await(subject, 0, 2) < 0)
		return KSFT_FAIL;
	session = ckpt_open();
	snprintf(path, sizeof(path), "%s/image", subject->dir);
	image = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (session < 0 || image < 0 || ckpt_suspend(session, subject) ||
	    differs(ioctl(session, CKPT_DUMP), 0) || differs(sink(session, image), 0) ||
	    ckpt_kill(session))
		goto out;
	ckpt_bury();
	before = ckpt_told(subject, 0);
	if (ckpt_restore(session, subject, path) || ckpt_resume(session) ||
	    ckpt_await(subject, 0, before + 2) < 0)
		goto out;
	ret = KSFT_PASS;
out:
	close(image);
	close(session);
	return ret;
}

/* From a descriptor into a file, until there is no more. */
static int drain(int from, int image, ssize_t left)
{
	static char buffer[64 << 10];

	while (left > 0) {
		ssize_t len = read(from, buffer, sizeof(buffer));

		if (len <= 0 || write(image, buffer, len) != len)
			return -EIO;
		left -= len;
	}
	return 0;
}

/* Pages as they are into a pipe, which is read. */
static int splice_read(int session, int image)
{
	ssize_t len;
	int fds[2];

	if (pipe(fds))
		return -errno;
	while ((len = splice(session, NULL, fds[1], NULL, SIZE, 0)) > 0)
		if (drain(fds[0], image, len))
			return -EIO;
	close(fds[0]);
	close(fds[1]);
	return len ? -errno : 0;
}

static int test_splice(struct ckpt_subject *subject)
{
	return through(subject, splice_read);
}

/* And from the pipe into a file. */
static int splice_file(int session, int image)
{
	ssize_t len, moved;
	int fds[2];

	if (pipe(fds) || fcntl(fds[1], F_SETPIPE_SZ, 1 << 20) < 0)
		return -errno;
	while ((len = splice(session, NULL, fds[1], NULL, SIZE, 0)) > 0) {
		for (; len > 0; len -= moved) {
			moved = splice(fds[0], NULL, image, NULL, len, 0);
			if (moved <= 0)
				return -EIO;
		}
	}
	close(fds[0]);
	close(fds[1]);
	return len ? -errno : 0;
}

static int test_splice_file(struct ckpt_subject *subject)
{
	return through(subject, splice_file);
}

/* And from the pipe into a socket. */
static int splice_socket(int session, int image)
{
	int fds[2], sockets[2];
	ssize_t len;

	if (pipe(fds) || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets))
		return -errno;
	while ((len = splice(session, NULL, fds[1], NULL, SIZE, 0)) > 0)
		if (splice(fds[0], NULL, sockets[1], NULL, len, 0) != len ||
		    drain(sockets[0], image, len))
			return -EIO;
	close(fds[0]);
	close(fds[1]);
	close(sockets[0]);
	close(sockets[1]);
	return len ? -errno : 0;
}

static int test_socket(struct ckpt_subject *subject)
{
	return through(subject, splice_socket);
}

/* The kernel writes by itself, at most @most bytes at once. */
static int push(int session, int image, __u64 most)
{
	struct ckpt_write args = { .fd = image };

	do {
		args.bytes = most;
		if (ioctl(session, CKPT_WRITE, &args))
			return -errno;
		if (unmet(args.bytes <= most))
			return -EIO;
	} while (args.bytes);
	return 0;
}

static int push_all(int session, int image)
{
	return push(session, image, -1);
}

static int test_write(struct ckpt_subject *subject)
{
	return through(subject, push_all);
}

static int push_odd(int session, int image)
{
	return push(session, image, 4999);
}

static int test_write_odd(struct ckpt_subject *subject)
{
	return through(subject, push_odd);
}

/* Odd sizes: nothing depends on where the pieces are cut. */
static int read_odd(int session, int image)
{
	char buffer[4999];
	ssize_t len;

	while ((len = read(session, buffer, sizeof(buffer))) > 0)
		if (write(image, buffer, len) != len)
			return -errno;
	return len ? -errno : 0;
}

static int test_read_odd(struct ckpt_subject *subject)
{
	return through(subject, read_odd);
}

/* Pass a file on in pieces of odd sizes, from a process of its own, as long as somebody reads. */
static pid_t feed(int image, const int fds[2])
{
	static char buffer[64 << 10];
	size_t size = 1;
	ssize_t len;
	pid_t pid = fork();

	if (pid)
		return pid;
	close(fds[0]);
	while ((len = read(image, buffer, size)) > 0 && write(fds[1], buffer, len) == len)
		size = size * 3 % (sizeof(buffer) - 1) + 1;
	_exit(len ? 1 : 0);
}

/* An image comes through a pipe, in pieces that end anywhere. */
static int test_from_pipe(struct ckpt_subject *subject)
{
	char path[PATH_MAX];
	struct ckpt_restore args = { };
	int session, image = -1, fds[2], status, ret = KSFT_FAIL;
	long before;
	pid_t pid;

	if (ckpt_await(subject, 0, 2) < 0 || pipe2(fds, O_CLOEXEC))
		return KSFT_FAIL;
	session = ckpt_open();
	snprintf(path, sizeof(path), "%s/image", subject->dir);
	if (session < 0 || ckpt_suspend(session, subject) || ckpt_dump(session, path) ||
	    ckpt_kill(session))
		goto out;
	ckpt_bury();
	before = ckpt_told(subject, 0);
	image = open(path, O_RDONLY | O_CLOEXEC);
	pid = feed(image, fds);
	close(fds[1]);
	fds[1] = -1;
	args.image = fds[0];
	args.cgroup = open(subject->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!differs(ioctl(session, CKPT_RESTORE, &args), 0) && !ckpt_resume(session) &&
	    ckpt_await(subject, 0, before + 2) >= 0)
		ret = KSFT_PASS;
	close(args.cgroup);
	close(fds[0]);
	fds[0] = -1;
	if (differs(waitpid(pid, &status, 0), pid) || differs(status, 0))
		ret = KSFT_FAIL;
out:
	close(image);
	close(fds[0]);
	close(fds[1]);
	close(session);
	return ret;
}

/* A file system that is full: the error is told, and the container goes on. */
static int test_full(struct ckpt_subject *subject)
{
	char dir[PATH_MAX], path[PATH_MAX + 8];
	struct ckpt_write args = { .fd = -1 };
	int session, ret = KSFT_FAIL;
	long before;

	if (ckpt_await(subject, 0, 2) < 0)
		return KSFT_FAIL;
	session = ckpt_open();
	snprintf(dir, sizeof(dir), "%s/small", subject->dir);
	if (mkdir(dir, 0700) || mount("small", dir, "tmpfs", 0, "size=1m"))
		goto out;
	snprintf(path, sizeof(path), "%s/image", dir);
	args.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (ckpt_suspend(session, subject) || differs(ioctl(session, CKPT_DUMP), 0))
		goto out_umount;
	do {
		args.bytes = -1;
		errno = 0;
	} while (!ioctl(session, CKPT_WRITE, &args) && args.bytes);
	before = ckpt_told(subject, 0);
	if (differs(errno, ENOSPC) || ckpt_resume(session) ||
	    ckpt_await(subject, 0, before + 2) < 0)
		goto out_umount;
	ret = KSFT_PASS;
out_umount:
	close(args.fd);
	umount(dir);
out:
	close(session);
	return ret;
}

/* What is not for writing, flags that are none, and no bytes. */
static int test_bad(struct ckpt_subject *subject)
{
	struct ckpt_write args = { .fd = open("/dev/null", O_RDONLY | O_CLOEXEC), .bytes = 1 };
	int session = ckpt_open(), ret = KSFT_FAIL;

	if (differs(ioctl(session, CKPT_WRITE, &args), -1) || differs(errno, ENODATA) ||
	    ckpt_await(subject, 0, 1) < 0 || ckpt_suspend(session, subject) ||
	    differs(ioctl(session, CKPT_DUMP), 0) ||
	    differs(ioctl(session, CKPT_WRITE, &args), -1) || differs(errno, EBADF))
		goto out;
	args.flags = 1;
	if (differs(ioctl(session, CKPT_WRITE, &args), -1) || differs(errno, EINVAL))
		goto out;
	args.flags = 0;
	args.bytes = 0;
	if (differs(ioctl(session, CKPT_WRITE, &args), -1) || differs(errno, EINVAL))
		goto out;
	ret = KSFT_PASS;
out:
	close(args.fd);
	close(session);
	return ret;
}

#define T(f) { compare, f, #f }
static const struct ckpt_test tests[] = {
	T(test_bad),
	T(test_from_pipe),
	T(test_full),
	T(test_read_odd),
	T(test_socket),
	T(test_splice),
	T(test_splice_file),
	T(test_write),
	T(test_write_odd),
};

#undef T

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
