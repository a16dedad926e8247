// SPDX-License-Identifier: GPL-2.0
/* Parents and children have what neither of them has written to since fork() only once. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "ckpt_finding.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#define MADV_GUARD_REMOVE	103
#endif

#define PAGE	4096L
#define PAGES	700

/* Numbers that members of the family tell, each in a place of its own. */
enum {
	WRITTEN = 10,
	LOOKED = 20,
};

static char *memory;

/* Whether there is memory that can be read. */
static bool readable(const char *at)
{
	return !access(at, F_OK) || errno != EFAULT;
}

/* Which page frames a process has at @memory; 0 is none. */
static void frames_of(pid_t pid, unsigned long frames[PAGES])
{
	char path[64];
	int fd, i;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY);
	expect(pread(fd, frames, PAGES * sizeof(*frames), (long)memory / PAGE * sizeof(*frames)) ==
	       PAGES * sizeof(*frames));
	close(fd);
	/* The number of the frame, if there is one. */
	for (i = 0; i < PAGES; i++)
		frames[i] = frames[i] >> 63 ? frames[i] & ((1UL << 55) - 1) : 0;
}

struct look {
	int content[PAGES];	/* -1: it cannot be read */
	bool shared[PAGES];	/* with the parent */
};

static void look_at(struct look *look)
{
	unsigned long mine[PAGES], parents[PAGES];
	int i;

	/* Reading makes pages where there are none. */
	frames_of(getpid(), mine);
	frames_of(getppid(), parents);
	for (i = 0; i < PAGES; i++) {
		look->shared[i] = mine[i] && mine[i] == parents[i];
		look->content[i] = readable(memory + i * PAGE) ?
			(unsigned char)memory[i * PAGE] : -1;
	}
}

/* Where a child has other protection than its parent, its pages become its own. */
#define OTHER_FIRST	400
#define OTHER_END	420

static void find_again(struct look *before)
{
	static struct look after;
	int i;

	look_at(&after);
	for (i = 0; i < PAGES; i++) {
		expect(after.content[i] == before->content[i]);
		if (i < OTHER_FIRST || i >= OTHER_END)
			expect(after.shared[i] == before->shared[i]);
	}
}

static void write_each(int nth, char what)
{
	int i;

	for (i = 0; i < PAGES; i += nth)
		if (i < 600 && readable(memory + i * PAGE))
			memory[i * PAGE] = what;
}

/*
 * What the second child does differently, besides writing. It has no children: whose parent has
 * other mappings by now, gets pages of its own.
 */
static void differ(void)
{
	expect(!madvise(memory + 100 * PAGE, 50 * PAGE, MADV_DONTNEED));
	expect(!munmap(memory + 200 * PAGE, 20 * PAGE));
	expect(!mprotect(memory + OTHER_FIRST * PAGE, (OTHER_END - OTHER_FIRST) * PAGE, PROT_READ));
	/* Zeros instead of something. */
	memset(memory + 301 * PAGE, 0, PAGE);
	/* The parent has guards at 620 .. 622. */
	expect(!madvise(memory + 621 * PAGE, PAGE, MADV_GUARD_REMOVE));
	memory[621 * PAGE] = 'g';
	expect(!madvise(memory + 630 * PAGE, 2 * PAGE, MADV_GUARD_INSTALL));
}

/* Someone in the family, who has a number. */
static void member(int number, int nth, void (*also)(void), pid_t child)
{
	static struct look before;

	write_each(nth, 'a' + number);
	if (also)
		also();
	ckpt_tell(WRITTEN + number, 1);
	told_by_child(WRITTEN);
	look_at(&before);
	ckpt_tell(LOOKED + number, 1);
	wait_for_go();
	find_again(&before);
	if (child)
		ended_well(child);
	_exit(0);
}

static void family(void)
{
	pid_t first, second;
	int i;

	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	expect(memory != MAP_FAILED && !madvise(memory, PAGES * PAGE, MADV_NOHUGEPAGE));
	for (i = 0; i < PAGES - 10; i++)
		memory[i * PAGE] = 'A';
	expect(!madvise(memory + 620 * PAGE, 3 * PAGE, MADV_GUARD_INSTALL));
	first = fork();
	expect(first >= 0);
	if (!first) {
		pid_t grandchild = fork();

		expect(grandchild >= 0);
		if (!grandchild)
			member(2, 5, NULL, 0);
		told_by_child(WRITTEN + 2);
		member(1, 4, NULL, grandchild);
	}
	told_by_child(WRITTEN + 1);
	second = fork();
	expect(second >= 0);
	if (!second)
		member(3, 6, differ, 0);
	told_by_child(WRITTEN + 3);
	write_each(7, 'a');
	ckpt_tell(WRITTEN, 1);
	for (i = 1; i < 4; i++)
		told_by_child(LOOKED + i);
	be_saved();
	ended_well(first);
	ended_well(second);
	all_is_well();
}

/* Private pages of a file go back to what the file has. */
static void of_file(void)
{
	int fd = open("file", O_RDWR | O_CREAT, 0600), i;
	pid_t child;

	for (i = 0; i < 8; i++)
		expect(pwrite(fd, "f", 1, i * PAGE) == 1);
	memory = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	for (i = 0; i < 4; i++)
		memory[i * PAGE] = 'p';
	/* There is something else in the file. */
	memory[4 * PAGE] = 0;
	child = fork();
	expect(child >= 0);
	if (!child) {
		expect(!madvise(memory + PAGE, PAGE, MADV_DONTNEED));
		memory[2 * PAGE] = 0;
		memory[5 * PAGE] = 'c';
		ckpt_tell(WRITTEN, 1);
		wait_for_go();
		expect(memory[0] == 'p' && memory[PAGE] == 'f' && !memory[2 * PAGE]);
		expect(memory[3 * PAGE] == 'p' && !memory[4 * PAGE] && memory[5 * PAGE] == 'c');
		expect(memory[6 * PAGE] == 'f');
		_exit(0);
	}
	told_by_child(WRITTEN);
	be_saved();
	expect(memory[0] == 'p' && memory[PAGE] == 'p' && memory[2 * PAGE] == 'p');
	expect(memory[3 * PAGE] == 'p' && !memory[4 * PAGE] && memory[5 * PAGE] == 'f');
	ended_well(child);
	all_is_well();
}

#define GENERATION	3
#define CHILDREN	(3 * GENERATION)

/* What was in some pages when a child was made, and is there later. */
#define REWRITTEN	100

static char of_generation(int number)
{
	return 'A' + number / GENERATION;
}

/*
 * One of those that have not written to anything; the first one of each generation stays until all
 * of it have looked.
 */
static void idle_child(int number, pid_t first)
{
	static unsigned long mine[PAGES], firsts[PAGES];
	int i, place = number % GENERATION;

	wait_for_go();
	for (i = 1; !place && i < GENERATION; i++)
		told_by_child(LOOKED + number + i);
	if (place) {
		frames_of(getpid(), mine);
		frames_of(first, firsts);
	}
	for (i = 0; i < PAGES; i++) {
		expect(memory[i * PAGE] == (i < REWRITTEN ? of_generation(number) : 'A'));
		expect(!place == !mine[i] && mine[i] == firsts[i]);
	}
	ckpt_tell(LOOKED + number, 1);
	_exit(0);
}

/* What only the parent has written to since, its children still have once. */
static void left_behind(void)
{
	pid_t children[CHILDREN];
	int i, number;

	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	expect(memory != MAP_FAILED && !madvise(memory, PAGES * PAGE, MADV_NOHUGEPAGE));
	for (i = 0; i < PAGES; i++)
		memory[i * PAGE] = 'A';
	for (number = 0; number < CHILDREN; number++) {
		for (i = 0; number % GENERATION == 0 && i < REWRITTEN; i++)
			memory[i * PAGE] = of_generation(number);
		children[number] = fork();
		expect(children[number] >= 0);
		if (!children[number])
			idle_child(number, children[number - number % GENERATION]);
	}
	for (i = 0; i < REWRITTEN; i++)
		memory[i * PAGE] = 'p';
	be_saved();
	for (number = 0; number < CHILDREN; number++)
		ended_well(children[number]);
	for (i = 0; i < PAGES; i++)
		expect(memory[i * PAGE] == (i < REWRITTEN ? 'p' : 'A'));
	all_is_well();
}

/* The same memory, in two processes. */
static volatile long by_parent, by_child;

static int sharer(void *arg)
{
	wait_for_go();
	by_child = 1;
	while (!by_parent)
		usleep(1000);
	return 0;
}

static void one_memory(void)
{
	static char stack[16 * PAGE];
	pid_t child = clone(sharer, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);

	expect(child > 0);
	be_saved();
	while (!by_child)
		usleep(1000);
	by_parent = 1;
	ended_well(child);
	all_is_well();
}

/* Who has memory in common with others than its parent is refused by name. */
static int lone_sharer(void *arg)
{
	for (;;)
		usleep(1000);
	return 0;
}

static void siblings(void)
{
	static char stacks[2][16 * PAGE];
	pid_t middle = fork();

	expect(middle >= 0);
	if (!middle) {
		/* Both are children of the one who is our parent. */
		expect(clone(lone_sharer, stacks[0] + sizeof(stacks[0]),
			     CLONE_VM | CLONE_PARENT | SIGCHLD, NULL) > 0);
		expect(clone(lone_sharer, stacks[1] + sizeof(stacks[1]),
			     CLONE_VM | CLONE_PARENT | SIGCHLD, NULL) > 0);
		_exit(0);
	}
	expect(waitpid(middle, NULL, 0) == middle);
	be_saved();
}

static int test_siblings(struct ckpt_subject *subject)
{
	return check_refusal(subject, "an address space that it shares with others");
}

static const struct ckpt_test tests[] = {
	{ family, check_finding, "test_family" },
	{ family, check_snapshot, "test_family_snapshot" },
	{ left_behind, check_finding, "test_left_behind" },
	{ left_behind, check_snapshot, "test_left_behind_snapshot" },
	{ of_file, check_finding, "test_of_file" },
	{ of_file, check_snapshot, "test_of_file_snapshot" },
	{ one_memory, check_finding, "test_one_memory" },
	{ one_memory, check_snapshot, "test_one_memory_snapshot" },
	{ siblings, test_siblings, "test_siblings" },
};

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
