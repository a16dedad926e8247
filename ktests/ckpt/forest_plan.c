// SPDX-License-Identifier: GPL-2.0
/* Draws trees, and takes parts of them away. */
#include <stdio.h>
#include <string.h>

#include "kselftest.h"
#include "forest_plan.h"

#define GOLDEN	0x9e3779b97f4a7c15ULL
/* Bits of processes or threads. */
#define HAS(name)	(1U << FOREST_##name)
#define ENDS		(HAS(EXITED) | HAS(KILLED) | HAS(GONE))

struct bit {
	const char *name;
	unsigned int percent;
};

static const struct bit proc_bits[FOREST_PROC_BITS] = {
	[FOREST_EXITED] = { "has exited", 10 },
	[FOREST_KILLED] = { "was killed", 8 },
	[FOREST_GONE] = { "is gone", 12 },
	[FOREST_SESSION] = { "session", 12 },
	[FOREST_GROUP] = { "group", 20 },
	[FOREST_JOIN] = { "joins a group", 30 },
	[FOREST_OF_THREAD] = { "child of a thread", 25 },
	[FOREST_SUBREAPER] = { "subreaper", 20 },
	[FOREST_FILES] = { "shares files", 15 },
	[FOREST_FS] = { "shares fs", 15 },
	[FOREST_STOPPED] = { "stopped", 15 },
	[FOREST_STOP_TOLD] = { "stop was told", 50 },
	[FOREST_LEADER_GONE] = { "leader gone", 25 },
	[FOREST_PIPE] = { "pipe", 25 },
	[FOREST_CLOSES] = { "closes pipes", 25 },
	[FOREST_MEMORY] = { "memory", 30 },
	[FOREST_DROPS] = { "drops memory", 25 },
	[FOREST_SHARED_MEMORY] = { "shared memory", 25 },
	[FOREST_SIGNALS] = { "signals", 25 },
	[FOREST_HANDLERS] = { "handlers", 25 },
	[FOREST_ITIMER] = { "itimer", 20 },
	[FOREST_TIMERS] = { "timers", 20 },
	[FOREST_FIRED] = { "fired timer", 15 },
	[FOREST_UMASK] = { "umask", 20 },
	[FOREST_CWD] = { "cwd", 20 },
	[FOREST_RLIMITS] = { "rlimits", 20 },
	[FOREST_OOM] = { "oom", 15 },
};

static const struct bit thread_bits[FOREST_THREAD_BITS] = {
	[FOREST_NAME] = { "name", 30 },
	[FOREST_NICE] = { "nice", 25 },
	[FOREST_POLICY] = { "policy", 25 },
	[FOREST_BOUND] = { "bound", 15 },
	[FOREST_BLOCKED] = { "blocked", 25 },
	[FOREST_STACK] = { "stack", 25 },
	[FOREST_SLACK] = { "slack", 15 },
	[FOREST_OWN_SIGNALS] = { "signals", 25 },
	[FOREST_OWN_TIMER] = { "timer", 15 },
	[FOREST_OWN_FILES] = { "own files", 15 },
	[FOREST_OWN_FS] = { "own fs", 15 },
	[FOREST_FUTEX] = { "futex", 30 },
	[FOREST_USERS] = { "users", 8 },
	[FOREST_CAPS] = { "capabilities", 8 },
	[FOREST_NO_NEW_PRIVS] = { "no new privs", 5 },
	[FOREST_DEATH_SIGNAL] = { "death signal", 20 },
};

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

unsigned int forest_pick(uint64_t pick, int bit, unsigned int n)
{
	return mix(pick + (bit + 1) * GOLDEN) % n;
}

static uint64_t state;

static uint64_t draw(void)
{
	state += GOLDEN;
	return mix(state);
}

static unsigned int draw_bits(const struct bit *bits, int nr)
{
	unsigned int has = 0;
	int i;

	for (i = 0; i < nr; i++)
		if (draw() % 100 < bits[i].percent)
			has |= 1U << i;
	return has;
}

static void drop(struct forest_proc *proc, unsigned int bits)
{
	proc->has &= ~bits;
}

/* Who adopts the children of a process that ends. */
static int adopter(const struct forest_plan *plan, int proc)
{
	for (proc = plan->procs[proc].maker; proc >= 0; proc = plan->procs[proc].maker)
		if (!plan->procs[proc].ends && forest_has(&plan->procs[proc], FOREST_SUBREAPER))
			return proc;
	return FOREST_OUTSIDE;
}

/* What it is in the tree. */
static void place(struct forest_plan *plan, int nr)
{
	struct forest_proc *proc = &plan->procs[nr], *maker = &plan->procs[proc->maker];
	int i;

	if (forest_has(proc, FOREST_GONE))
		drop(proc, HAS(EXITED) | HAS(KILLED));
	if (forest_has(proc, FOREST_EXITED))
		drop(proc, HAS(KILLED));
	proc->ends = proc->has & ENDS;
	proc->parent = maker->ends ? adopter(plan, proc->maker) : proc->maker;
	if (proc->ends && proc->parent == FOREST_OUTSIDE) {
		/* Who has ended, and is nobody's child in the container, is not of it. */
		drop(proc, HAS(EXITED) | HAS(KILLED));
		proc->has |= HAS(GONE);
	}
	if (maker->ends || maker->nr_threads < 2)
		drop(proc, HAS(OF_THREAD));
	if (forest_has(proc, FOREST_OF_THREAD))
		drop(proc, HAS(FILES) | HAS(FS));
	if (forest_has(proc, FOREST_FILES))
		drop(proc, HAS(CLOSES));

	if (forest_has(proc, FOREST_SESSION))
		drop(proc, HAS(GROUP) | HAS(JOIN));
	if (forest_has(proc, FOREST_GROUP))
		drop(proc, HAS(JOIN));
	proc->session = forest_has(proc, FOREST_SESSION) ? nr : maker->session;
	proc->group = proc->has & (HAS(SESSION) | HAS(GROUP)) ? nr : maker->group;
	for (i = nr - 1; i > proc->maker && forest_has(proc, FOREST_JOIN); i--) {
		const struct forest_proc *other = &plan->procs[i];

		/* It is made before, and stays in its group. */
		if (other->maker != proc->maker ||
		    forest_has(other, FOREST_OF_THREAD) != forest_has(proc, FOREST_OF_THREAD) ||
		    other->has & (HAS(SESSION) | HAS(GONE)) || other->group == proc->group)
			continue;
		proc->group = other->group;
		break;
	}
	if (proc->group == maker->group)
		drop(proc, HAS(JOIN));
}

/* What it is by itself. */
static void settle(struct forest_plan *plan, int nr)
{
	struct forest_proc *proc = &plan->procs[nr];
	const struct forest_proc *parent = &plan->procs[proc->parent < 0 ? 0 : proc->parent];
	int i;

	if (proc->ends) {
		proc->nr_threads = 1;
		proc->threads[0].has = 0;
		drop(proc, ~(ENDS | HAS(SESSION) | HAS(GROUP) | HAS(JOIN) | HAS(OF_THREAD) |
			     HAS(SUBREAPER) | HAS(FILES) | HAS(FS) | HAS(PIPE) | HAS(CLOSES) |
			     HAS(MEMORY) | HAS(SHARED_MEMORY)));
	}
	if (proc->nr_threads < 2)
		drop(proc, HAS(LEADER_GONE));
	proc->main = forest_has(proc, FOREST_LEADER_GONE);
	if (proc->main)
		proc->threads[0].has = 0;

	/* Nobody who is stopped can be told; groups that are orphaned do not stop by a terminal. */
	if (!forest_has(proc, FOREST_STOPPED) ||
	    (proc->parent >= 0 && forest_has(parent, FOREST_STOPPED)))
		drop(proc, HAS(STOP_TOLD));
	proc->stop_by_terminal = nr && proc->parent >= 0 && proc->session == parent->session &&
				 proc->group != parent->group &&
				 forest_pick(proc->pick, FOREST_STOPPED, 2);

	for (i = 0; i < proc->nr_threads; i++) {
		struct forest_thread *thread = &proc->threads[i];

		if (!i)
			thread->has &= ~(HAS(OWN_FILES) | HAS(OWN_FS));
		if (i == proc->main)
			thread->has &= ~HAS(FUTEX);
		thread->files = forest_slot(nr, i);
		thread->fs = forest_slot(nr, i);
		if (i && !forest_thread_has(thread, FOREST_OWN_FILES))
			thread->files = proc->threads[0].files;
		if (i && !forest_thread_has(thread, FOREST_OWN_FS))
			thread->fs = proc->threads[0].fs;
		if (!i && forest_has(proc, FOREST_FILES))
			thread->files = plan->procs[proc->maker].threads[0].files;
		if (!i && forest_has(proc, FOREST_FS))
			thread->fs = plan->procs[proc->maker].threads[0].fs;
	}
}

/* Leave out what cannot be, and say what follows from the rest. */
static void resolve(struct forest_plan *plan)
{
	struct forest_proc *root = &plan->procs[0];
	int i;

	root->maker = FOREST_OUTSIDE;
	root->parent = FOREST_OUTSIDE;
	drop(root, ENDS | HAS(SESSION) | HAS(GROUP) | HAS(JOIN) | HAS(OF_THREAD) |
	     HAS(FILES) | HAS(FS) | HAS(CLOSES));
	settle(plan, 0);
	for (i = 1; i < plan->nr; i++) {
		place(plan, i);
		settle(plan, i);
	}
}

void forest_draw(struct forest_plan *plan, uint64_t seed)
{
	int i, j, a, b;

	memset(plan, 0, sizeof(*plan));
	state = mix(seed + GOLDEN);
	plan->seed = seed;
	plan->snapshot = draw() % 2;
	/* Small ones more often. */
	a = draw() % FOREST_PROCS;
	b = draw() % FOREST_PROCS;
	plan->nr = 1 + (a < b ? a : b);
	for (i = 0; i < plan->nr; i++) {
		struct forest_proc *proc = &plan->procs[i];

		proc->maker = i ? (int)(draw() % i) : FOREST_OUTSIDE;
		proc->nr_threads = draw() % 2 ? 1 + draw() % FOREST_THREADS : 1;
		proc->pick = draw();
		proc->has = draw_bits(proc_bits, FOREST_PROC_BITS);
		for (j = 0; j < FOREST_THREADS; j++) {
			proc->threads[j].pick = draw();
			proc->threads[j].has = draw_bits(thread_bits, FOREST_THREAD_BITS);
		}
	}
	resolve(plan);
}

int forest_threads(const struct forest_plan *plan)
{
	int i, nr = 0;

	for (i = 0; i < plan->nr; i++)
		nr += plan->procs[i].nr_threads;
	return nr;
}

static void append(char *text, size_t size, unsigned int has, const struct bit *bits, int nr)
{
	const char *with = " ";
	int i;

	for (i = 0; i < nr; i++) {
		size_t len = strlen(text);

		if (!(has & 1U << i))
			continue;
		snprintf(text + len, size - len, "%s%s", with, bits[i].name);
		with = ", ";
	}
}

void forest_print(const struct forest_plan *plan)
{
	char text[1024];
	int i, j;

	ksft_print_msg("tree: seed %llu, %d processes, %s\n", (unsigned long long)plan->seed,
		       plan->nr, plan->snapshot ? "by a snapshot" : "suspended");
	for (i = 0; i < plan->nr; i++) {
		const struct forest_proc *proc = &plan->procs[i];

		text[0] = '\0';
		append(text, sizeof(text), proc->has, proc_bits, FOREST_PROC_BITS);
		if (i)
			ksft_print_msg("process %d, made by %d, child of %d:%s\n", i, proc->maker,
				       proc->parent, text);
		else
			ksft_print_msg("process 0:%s\n", text);
		for (j = 0; j < proc->nr_threads; j++) {
			text[0] = '\0';
			append(text, sizeof(text), proc->threads[j].has, thread_bits,
			       FOREST_THREAD_BITS);
			if (j || text[0])
				ksft_print_msg("  thread %d:%s\n", j, text);
		}
	}
}

/* Without those whom it has made, or they are made by its maker. Later ones move up. */
static void remove_proc(struct forest_plan *plan, int nr, bool with_others)
{
	bool removed[FOREST_PROCS] = { };
	int to[FOREST_PROCS], i, left = 0;

	for (i = 0; i < plan->nr; i++) {
		int maker = plan->procs[i].maker;

		if (maker == nr && !with_others)
			maker = plan->procs[nr].maker;
		removed[i] = i == nr || (maker >= 0 && removed[maker]);
		if (removed[i])
			continue;
		to[i] = left;
		if (maker >= 0)
			plan->procs[i].maker = to[maker];
		if (left != i)
			plan->procs[left] = plan->procs[i];
		left++;
	}
	plan->nr = left;
}

int forest_without(struct forest_plan *plan, int part)
{
	const int threads = 2 * FOREST_PROCS, proc_has = threads + FOREST_SLOTS;
	const int thread_has = proc_has + FOREST_PROCS * FOREST_PROC_BITS;
	const int last = thread_has + FOREST_SLOTS * FOREST_THREAD_BITS;
	struct forest_proc *proc;
	unsigned int *has;
	int slot;

	if (part > last)
		return -1;
	if (part == last) {
		if (!plan->snapshot)
			return 0;
		plan->snapshot = false;
		return 1;
	}
	if (part < threads) {
		const int nr = part % FOREST_PROCS;

		if (!nr || nr >= plan->nr)
			return 0;
		remove_proc(plan, nr, part == nr);
	} else if (part < proc_has) {
		slot = part - threads;
		proc = &plan->procs[slot / FOREST_THREADS];
		slot %= FOREST_THREADS;
		if (proc >= plan->procs + plan->nr || !slot || slot >= proc->nr_threads)
			return 0;
		proc->nr_threads--;
		memmove(proc->threads + slot, proc->threads + slot + 1,
			(proc->nr_threads - slot) * sizeof(*proc->threads));
	} else {
		const bool of_proc = part < thread_has;
		const int bits = of_proc ? FOREST_PROC_BITS : FOREST_THREAD_BITS;

		part -= of_proc ? proc_has : thread_has;
		slot = part / bits * (of_proc ? FOREST_THREADS : 1);
		proc = &plan->procs[slot / FOREST_THREADS];
		slot %= FOREST_THREADS;
		if (proc >= plan->procs + plan->nr || slot >= proc->nr_threads)
			return 0;
		has = of_proc ? &proc->has : &proc->threads[slot].has;
		if (!(*has & 1U << part % bits))
			return 0;
		*has &= ~(1U << part % bits);
	}
	resolve(plan);
	return 1;
}
