// SPDX-License-Identifier: GPL-2.0
/*
 * Sequences of random changes to mappings, of a process that forks and is
 * moved. After each sequence what its container holds is compared with what
 * /proc shows of every process, and with what a model of single pages says.
 *
 * The arguments are the number of sequences and the seed of the first.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_util.h"

#define SEQUENCES	500
#define STEPS		25
#define PAGES		64
#define CHILDREN	3
#define NAME		"bc_mappings"

#define RW		(PROT_READ | PROT_WRITE)
#define PRIVATE		(MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)
#define SHARED		(MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED)

/*
 * One page of the area. Whether a page that was not touched goes on counting
 * when it is made read-only depends on its neighbours, with which it may share
 * what remembers the touch: then the model only knows what it cannot be.
 */
struct page {
	bool mapped;
	bool shared;
	bool writable;
	bool locked;
	bool no_fork;
	bool touched;
	bool must;	/* it counts */
	bool may;	/* it may count */
};

/* Of a process: the least and the most that may count. */
struct bounds {
	pid_t pid;
	long least;
	long most;
	bool is_new;	/* another program: nobody knows */
};

/* What the agent tells; the program made it before there were agents. */
static struct told {
	struct bounds processes[1 + CHILDREN];
	int nr;
	long locked;
	int step;
	const char *op;
} *told;

static long sequences = SEQUENCES;
static unsigned long first_seed = 1;

/* In the agent */

static struct page pages[PAGES];
static struct bounds children[CHILDREN];
static int nr_children;
static char *area;
static long page, base, more_brk;
static uint64_t state;

static unsigned int draw(unsigned int below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 20) % below;
}

static char *at(int nr)
{
	return area + nr * page;
}

/* A range that is not empty. */
static void range(int *first, int *end)
{
	*first = draw(PAGES);
	*end = *first + 1 + draw(draw(4) ? 8 : PAGES);
	if (*end > PAGES)
		*end = PAGES;
}

static bool all_mapped(int first, int end)
{
	while (first < end && pages[first].mapped)
		first++;
	return first == end;
}

static void forget(int first, int end)
{
	memset(&pages[first], 0, (end - first) * sizeof(*pages));
}

static int map(int first, int end)
{
	static const int prots[] = { PROT_NONE, PROT_READ, RW, RW };
	int prot = prots[draw(4)], i;
	bool shared = !draw(4);
	int flags = (shared ? SHARED : PRIVATE) | (draw(3) ? 0 : MAP_NORESERVE) |
		    (prot == RW && !draw(6) ? MAP_LOCKED : 0);

	if (mmap(at(first), (end - first) * page, prot, flags, -1, 0) ==
	    MAP_FAILED)
		return -1;
	forget(first, end);
	for (i = first; i < end; i++) {
		pages[i].mapped = true;
		pages[i].shared = shared;
		pages[i].writable = prot == RW;
		pages[i].locked = flags & MAP_LOCKED;
		pages[i].must = !shared && prot == RW;
		pages[i].may = pages[i].must;
	}
	return 0;
}

static int unmap(int first, int end)
{
	forget(first, end);
	return munmap(at(first), (end - first) * page);
}

static int protect(int first, int end)
{
	static const int prots[] = { PROT_NONE, PROT_READ, RW, RW };
	int prot = prots[draw(4)], i;

	if (!all_mapped(first, end))
		return 0;
	if (mprotect(at(first), (end - first) * page, prot))
		return -1;
	for (i = first; i < end; i++) {
		pages[i].writable = prot == RW;
		if (pages[i].shared)
			continue;
		pages[i].must = prot == RW || pages[i].touched;
		pages[i].may |= prot == RW;
	}
	return 0;
}

static int touch(int first, int end)
{
	int i;

	for (i = first; i < end; i++) {
		if (!pages[i].writable)
			continue;
		__atomic_store_n(at(i), 1, __ATOMIC_RELAXED);
		pages[i].touched = true;
	}
	return 0;
}

static int advise(int first, int end)
{
	static const int advices[] = {
		MADV_DONTNEED, MADV_DONTFORK, MADV_DOFORK, MADV_WIPEONFORK,
		MADV_KEEPONFORK, MADV_NORMAL, MADV_RANDOM,
	};
	int advice = advices[draw(ARRAY_SIZE(advices))], i;

	if (!all_mapped(first, end))
		return 0;
	/* Not everything goes everywhere, and then the first part may be done. */
	for (i = first; i < end; i++) {
		if (madvise(at(i), page, advice))
			continue;
		if (advice == MADV_DONTFORK)
			pages[i].no_fork = true;
		else if (advice == MADV_DOFORK)
			pages[i].no_fork = false;
	}
	return 0;
}

static int lock(int first, int end)
{
	bool on = draw(2);
	int i;

	if (!all_mapped(first, end))
		return 0;
	/* Not at once what cannot be accessed. */
	if (on ? mlock2(at(first), (end - first) * page, MLOCK_ONFAULT) :
		 munlock(at(first), (end - first) * page))
		return -1;
	for (i = first; i < end; i++)
		pages[i].locked = on;
	return 0;
}

/* A page goes elsewhere, becomes two, or leaves an empty one behind. */
static int move(int first, int end)
{
	bool twice = draw(2) && end - first > 1;
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED, to = draw(PAGES - 1), i;
	struct page moved = pages[first];

	if (!moved.mapped || to == first || (twice && to + 1 == first))
		return 0;
	/* The second page of what is shared and new is beyond its end. */
	if (moved.shared)
		twice = false;
	if (!twice && !draw(3) && !moved.shared)
		flags |= MREMAP_DONTUNMAP;
	if (mremap(at(first), page, (1 + twice) * page, flags, at(to)) ==
	    MAP_FAILED)
		return -1;
	for (i = to; i <= to + twice; i++)
		pages[i] = moved;
	/* What stays behind has forgotten that it was touched. */
	moved.locked = false;
	moved.touched = false;
	pages[first] = flags & MREMAP_DONTUNMAP ? moved : (struct page){};
	return 0;
}

static int grow_brk(int first, int end)
{
	long nr = draw(2) && more_brk >= end - first ? first - end :
						       end - first;

	if (sbrk(nr * page) == (void *)-1)
		return -1;
	more_brk += nr;
	return 0;
}

static void bounds_of(struct bounds *bounds, bool child)
{
	int i;

	bounds->least = base + more_brk;
	bounds->most = bounds->least;
	for (i = 0; i < PAGES; i++) {
		if (child && pages[i].no_fork)
			continue;
		bounds->least += pages[i].must;
		bounds->most += pages[i].may;
	}
}

/* A child that is up. */
static void wait_for_end(int up)
{
	if (write(up, "", 1) != 1)
		_exit(EXIT_FAILURE);
	while (true)
		pause();
}

static int make_child(int first, int end __maybe_unused)
{
	struct bounds *child = &children[nr_children];
	char text[12], byte;
	int up[2];

	if (nr_children == CHILDREN)
		return 0;
	child->is_new = !(first % 4);
	bounds_of(child, true);
	if (pipe(up))
		return -1;
	child->pid = fork();
	if (!child->pid) {
		snprintf(text, sizeof(text), "%d", up[1]);
		if (child->is_new)
			execl("/proc/self/exe", NAME, text, NULL);
		wait_for_end(up[1]);
	}
	if (child->pid < 0)
		return -1;
	nr_children++;
	/* It is what it is going to be. */
	close(up[1]);
	if (read(up[0], &byte, 1) != 1)
		return -1;
	return close(up[0]);
}

static int end_child(int first, int end __maybe_unused)
{
	int nr;

	if (!nr_children)
		return 0;
	nr = first % nr_children;
	kill(children[nr].pid, SIGKILL);
	if (waitpid(children[nr].pid, NULL, 0) != children[nr].pid)
		return -1;
	children[nr] = children[--nr_children];
	return 0;
}

static long end_children(long arg __maybe_unused,
			 const char *text __maybe_unused)
{
	while (nr_children) {
		if (end_child(0, 0))
			return -1;
	}
	return 0;
}

static const struct {
	const char *name;
	int (*fn)(int first, int end);
	int weight;
} ops[] = {
	{ "mmap", map, 6 },
	{ "munmap", unmap, 3 },
	{ "mprotect", protect, 5 },
	{ "touching", touch, 4 },
	{ "madvise", advise, 3 },
	{ "mlock", lock, 2 },
	{ "mremap", move, 4 },
	{ "brk", grow_brk, 2 },
	{ "fork", make_child, 1 },
	{ "the end of a child", end_child, 1 },
};

static void tell(void)
{
	int i;

	told->nr = 0;
	told->processes[told->nr].pid = getpid();
	told->processes[told->nr].is_new = false;
	bounds_of(&told->processes[told->nr++], false);
	for (i = 0; i < nr_children; i++)
		told->processes[told->nr++] = children[i];
	for (told->locked = 0, i = 0; i < PAGES; i++)
		told->locked += pages[i].locked;
}

static long sequence(long seed, const char *text __maybe_unused)
{
	int total = 0, step, first, end;
	size_t i;

	/* Neighbouring seeds give other numbers. */
	state = seed * 0x9e3779b97f4a7c15ULL | 1;
	for (i = 0; i < 4; i++)
		draw(1);
	for (i = 0; i < ARRAY_SIZE(ops); i++)
		total += ops[i].weight;
	for (step = 0; step < STEPS; step++) {
		int drawn = draw(total);

		for (i = 0; drawn >= ops[i].weight; i++)
			drawn -= ops[i].weight;
		range(&first, &end);
		told->step = step;
		told->op = ops[i].name;
		if (ops[i].fn(first, end))
			return -1;
	}
	tell();
	return 0;
}

/* Pages of the agent that count when the area is empty. */
static long begin(long held, const char *text __maybe_unused)
{
	page = sysconf(_SC_PAGESIZE);
	base = held;
	area = mmap(NULL, PAGES * page, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		return -1;
	return munmap(area, PAGES * page);
}

/* In the program */

/* Sums up the mappings of a process that have a flag, in pages. */
static bool sum(pid_t pid, const char *flag, long *nr)
{
	static char text[1 << 20];
	char path[64], *line, *next;
	long kib = 0;

	snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
	if (bc_read(path, text, sizeof(text)) < 0)
		return false;
	for (line = text; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (sscanf(line, "Size: %ld", &kib) == 1)
			continue;
		if (!strncmp(line, "VmFlags:", 8) && strstr(line, flag))
			*nr += kib * 1024 / sysconf(_SC_PAGESIZE);
	}
	return true;
}

static bool compare(const char *cgroup)
{
	long shown = 0, locked = 0;
	int i;

	for (i = 0; i < told->nr; i++) {
		const struct bounds *process = &told->processes[i];
		long nr = 0;

		if (unmet(sum(process->pid, " pv", &nr)) ||
		    unmet(sum(process->pid, " lo", &locked)))
			return false;
		shown += nr;
		if (!process->is_new && (unmet(nr >= process->least) ||
					 unmet(nr <= process->most))) {
			ksft_print_msg("process %d counts %ld, not %ld to %ld\n",
				       i, nr, process->least, process->most);
			return false;
		}
	}
	return !(differs(bc_held(cgroup, PRIVVMPAGES), shown) ||
		 differs(bc_held(cgroup, LOCKEDPAGES), locked) ||
		 differs(locked, told->locked));
}

static int test_mappings(const char *root)
{
	struct bc_agent *agent = NULL;
	char *cgroups[2] = {};
	int ret = KSFT_FAIL;
	long i, held;

	cgroups[0] = bc_cgroup(root, "bc_one");
	cgroups[1] = bc_cgroup(root, "bc_other");
	if (!cgroups[0] || !cgroups[1])
		goto cleanup;
	agent = bc_agent(cgroups[0]);
	if (!agent)
		goto cleanup;
	held = bc_held(cgroups[0], PRIVVMPAGES);
	if (differs(bc_call(agent, begin, held, NULL), 0) ||
	    differs(bc_held(cgroups[0], PRIVVMPAGES), held))
		goto cleanup;

	for (i = 0; i < sequences; i++) {
		const char *here = cgroups[i / 10 % 2];
		int j;

		/* Every ten sequences all of them move. */
		for (j = 0; i % 10 == 0 && j < told->nr; j++) {
			if (differs(cg_enter(here, told->processes[j].pid), 0))
				goto cleanup;
		}
		if (differs(bc_call(agent, sequence, first_seed + i, NULL), 0) ||
		    unmet(compare(here)) ||
		    differs(bc_held(cgroups[(i / 10 + 1) % 2], PRIVVMPAGES),
			    0)) {
			ksft_print_msg("seed %ld, sequence %ld of the agent, step %d, %s: %s\n",
				       first_seed + i, i, told->step, told->op,
				       strerror(agent->err));
			goto cleanup;
		}
	}
	ksft_print_msg("%ld sequences of %d changes\n", sequences, STEPS);
	if (differs(bc_call(agent, end_children, 0, NULL), 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(cgroups[0], ret);
	return bc_remove(cgroups[1], ret);
}

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_mappings),
};

#undef T

int main(int argc, char **argv)
{
	/* A child that runs another program: this one. */
	if (!strcmp(argv[0], NAME))
		wait_for_end(atoi(argv[1]));
	if (argc > 1)
		sequences = atol(argv[1]);
	if (argc > 2)
		first_seed = atol(argv[2]);
	told = mmap(NULL, sizeof(*told), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (told == MAP_FAILED)
		ksft_exit_fail_perror("mmap");

	return bc_main(tests, ARRAY_SIZE(tests));
}
