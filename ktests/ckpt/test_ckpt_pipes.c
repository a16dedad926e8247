// SPDX-License-Identifier: GPL-2.0
/* Pipes within the container, with what is in them. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "ckpt_finding.h"

/* What was written comes out, to the byte; then the end. */
static void content(void)
{
	char text[32] = "";
	int fds[2];

	expect(!pipe(fds) && write(fds[1], "hello ", 6) == 6 && write(fds[1], "world", 5) == 5);
	be_saved();
	expect(read(fds[0], text, 3) == 3 && !strcmp(text, "hel"));
	expect(write(fds[1], "!", 1) == 1);
	expect(read(fds[0], text, sizeof(text)) == 9 && !memcmp(text, "lo world!", 9));
	expect(!close(fds[1]) && !read(fds[0], text, 1));
	all_is_well();
}

/* A full one, of a size of its own. */
static void full(void)
{
	static char block[4096];
	const int size = 256 * 1024;
	int fds[2], i;

	expect(!pipe2(fds, O_NONBLOCK) && fcntl(fds[1], F_SETPIPE_SZ, size) == size);
	for (i = 0; write(fds[1], block, sizeof(block)) == sizeof(block); i++)
		memset(block, i + 1, sizeof(block));
	expect(errno == EAGAIN && i == size / 4096);
	be_saved();
	expect(fcntl(fds[0], F_GETPIPE_SZ) == size);
	expect(write(fds[1], block, 1) < 0 && errno == EAGAIN);
	for (i = 0; i < size / 4096; i++)
		expect(read(fds[0], block, sizeof(block)) == sizeof(block) &&
		       block[0] == (char)i && block[4095] == (char)i);
	expect(read(fds[0], block, 1) < 0 && errno == EAGAIN);
	all_is_well();
}

/* Each write is read by itself. */
static void packets(void)
{
	char text[16];
	int fds[2];

	expect(!pipe2(fds, O_DIRECT) && write(fds[1], "one", 3) == 3);
	expect(write(fds[1], "three", 5) == 5);
	be_saved();
	expect(write(fds[1], "two", 3) == 3);
	expect(read(fds[0], text, 16) == 3 && !memcmp(text, "one", 3));
	expect(read(fds[0], text, 2) == 2 && read(fds[0], text, 16) == 3);
	expect(!memcmp(text, "two", 3));
	expect(fcntl(fds[1], F_GETFL) & O_DIRECT);
	all_is_well();
}

/* One end only: the other one is gone. */
static void one_end(void)
{
	int in[2], out[2];
	char text[8];

	expect(!pipe(in) && !pipe(out) && write(in[1], "left", 4) == 4);
	expect(!close(in[1]) && !close(out[0]) && signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	be_saved();
	expect(read(in[0], text, 8) == 4 && !read(in[0], text, 8));
	expect(write(out[1], "x", 1) < 0 && errno == EPIPE);
	all_is_well();
}

/* The same open end in several processes, which wait at it. */
static void shared(void)
{
	int there[2], back[2], i, sum = 0, status;
	char byte;

	expect(!pipe(there) && !pipe(back));
	for (i = 0; i < 4; i++) {
		pid_t child = fork();

		expect(child >= 0);
		if (child)
			continue;
		close(there[1]);
		close(back[0]);
		while (read(there[0], &byte, 1) == 1)
			expect(write(back[1], &byte, 1) == 1);
		_exit(0);
	}
	close(there[0]);
	close(back[1]);
	be_saved();
	for (i = 1; i <= 100; i++) {
		byte = i;
		expect(write(there[1], &byte, 1) == 1);
	}
	/* They see the end only if nobody else has that of the writer. */
	close(there[1]);
	while (read(back[0], &byte, 1) == 1)
		sum += byte;
	expect(sum == 5050);
	for (i = 0; i < 4; i++)
		expect(wait(&status) > 0 && !status);
	all_is_well();
}

/* A freeze ends a call that has written a part, whoever freezes. */
static void write_all(int fd, const char *from, size_t size)
{
	ssize_t len;

	for (; size; from += len, size -= len) {
		len = write(fd, from, size);
		expect(len > 0);
	}
}

/* Waits for room, and with poll(). */
static void waits(void)
{
	static char block[128 * 1024];
	struct pollfd fd;
	int fds[2], status;
	pid_t child;
	long got = 0, n;

	expect(!pipe(fds));
	child = fork();
	expect(child >= 0);
	if (!child) {
		close(fds[0]);
		write_all(fds[1], block, sizeof(block));
		_exit(0);
	}
	close(fds[1]);
	/* It is full by then. */
	fd = (struct pollfd){ .fd = fds[0], .events = POLLIN };
	expect(poll(&fd, 1, -1) == 1);
	usleep(100000);
	be_saved();
	while ((n = read(fds[0], block, sizeof(block))) > 0)
		got += n;
	expect(got == sizeof(block));
	expect(waitpid(child, &status, 0) == child && !status);
	all_is_well();
}

/* What was spliced is a page of a file. */
static void spliced(void)
{
	int fds[2], file = open("file", O_RDWR | O_CREAT, 0600);
	char text[16];

	expect(write(file, "0123456789", 10) == 10 && !lseek(file, 0, SEEK_SET) && !pipe(fds));
	expect(splice(file, NULL, fds[1], NULL, 10, 0) == 10);
	be_saved();
	expect(read(fds[0], text, 16) == 10 && !memcmp(text, "0123456789", 10));
	all_is_well();
}

/* Another open of the same end. */
static void reopened(void)
{
	char path[32], byte = 7;
	int fds[2], other;

	expect(!pipe(fds));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[1]);
	other = open(path, O_WRONLY | O_NONBLOCK);
	expect(other >= 0);
	be_saved();
	expect(fcntl(other, F_GETFL) & O_NONBLOCK && !(fcntl(fds[1], F_GETFL) & O_NONBLOCK));
	expect(write(other, &byte, 1) == 1 && !close(other) && !close(fds[1]));
	expect(read(fds[0], &byte, 1) == 1 && byte == 7 && !read(fds[0], &byte, 1));
	all_is_well();
}

#define T(f) { f, check_finding, "test_" #f }
#define S(f) { f, check_snapshot, "test_" #f "_snapshot" }
static const struct ckpt_test tests[] = {
	T(content), S(content),
	T(full), S(full),
	T(one_end), S(one_end),
	T(packets), S(packets),
	T(reopened), S(reopened),
	T(shared), S(shared),
	T(spliced), S(spliced),
	T(waits), S(waits),
};

#undef S
#undef T

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
