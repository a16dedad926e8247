// SPDX-License-Identifier: GPL-2.0
/*
 * Counts: in a file, and in memory of every kind, all of which is compared with
 * what it should be in each round. A child sleeps meanwhile, in a single call.
 * SIGTERM ends it with a verdict.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORDS	8192
#define BYTES	(WORDS * sizeof(uint64_t))

struct region {
	const char *name;
	uint64_t *words;
};

static volatile sig_atomic_t ending;
static uint64_t data[WORDS];

static void end(int signal)
{
	(void)signal;
	ending = 1;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* What is at a place in a round. */
static uint64_t value(size_t region, size_t at, uint64_t round)
{
	return (region + 1) * 0x100000001b3 + at * 0x9e3779b97f4a7c15 + round;
}

static int file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || ftruncate(fd, BYTES))
		fail(path);
	return fd;
}

static uint64_t *map(int flags, int fd)
{
	void *words = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (words == MAP_FAILED)
		fail("mmap");
	return words;
}

static void compare(const char *name, size_t region, const uint64_t *words,
		    uint64_t round)
{
	size_t at;

	for (at = 0; at < WORDS; at++) {
		if (words[at] == value(region, at, round))
			continue;
		fprintf(stderr, "round %llu: %s is damaged at %zu\n",
			(unsigned long long)round, name, at);
		exit(1);
	}
}

static void set(size_t region, uint64_t *words, uint64_t round)
{
	size_t at;

	for (at = 0; at < WORDS; at++)
		words[at] = value(region, at, round);
}

int main(int argc, char **argv)
{
	const struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };
	const struct timespec long_pause = { .tv_sec = 3600 };
	struct timespec sleep = { .tv_sec = argc > 1 ? atoi(argv[1]) : 20 };
	struct sigaction action = { .sa_handler = end };
	uint64_t stack[WORDS], content[WORDS], round = 0;
	struct region regions[] = {
		{ "private memory", map(MAP_PRIVATE | MAP_ANONYMOUS, -1) },
		{ "shared memory", map(MAP_SHARED | MAP_ANONYMOUS, -1) },
		{ "a private mapping of a file", map(MAP_PRIVATE, file("private")) },
		{ "a shared mapping of a file", map(MAP_SHARED, file("shared")) },
		{ "the heap", malloc(BYTES) },
		{ "the stack", stack },
		{ "static data", data },
	};
	const size_t count = sizeof(regions) / sizeof(regions[0]);
	volatile int *woke = (int *)map(MAP_SHARED | MAP_ANONYMOUS, -1);
	int deleted = file("deleted");
	size_t i;
	pid_t child;

	if (unlink("deleted"))
		fail("deleted");
	for (i = 0; i < count; i++)
		set(i, regions[i].words, round);
	set(count, content, round);
	if (pwrite(deleted, content, BYTES, 0) != BYTES)
		fail("deleted");

	child = fork();
	if (child < 0)
		fail("fork");
	if (!child) {
		*woke = nanosleep(&sleep, NULL) ? -1 : 1;
		for (;;)
			nanosleep(&long_pause, NULL);
	}

	sigaction(SIGTERM, &action, NULL);
	while (!ending) {
		for (i = 0; i < count; i++)
			compare(regions[i].name, i, regions[i].words, round);
		memset(content, 0, BYTES);
		if (pread(deleted, content, BYTES, 0) != BYTES)
			fail("deleted");
		compare("the deleted file", count, content, round);

		round++;
		for (i = 0; i < count; i++)
			set(i, regions[i].words, round);
		set(count, content, round);
		if (pwrite(deleted, content, BYTES, 0) != BYTES)
			fail("deleted");
		printf("%llu\n", (unsigned long long)round);
		fflush(stdout);
		nanosleep(&pause, NULL);
	}
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	fprintf(stderr, "kinds=%zu woke=%d\n", count + 1, *woke);
	return 0;
}
