/* SPDX-License-Identifier: GPL-2.0 */
/* A tree of processes as it is drawn: who makes whom, and what each has. */
#ifndef _SELFTESTS_CKPT_FOREST_PLAN_H
#define _SELFTESTS_CKPT_FOREST_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#define FOREST_PROCS	25
#define FOREST_THREADS	5	/* of a process, with the first one */
#define FOREST_SLOTS	(FOREST_PROCS * FOREST_THREADS)

/* The parent of those whom nobody in the tree has adopted. */
#define FOREST_OUTSIDE	(-1)

/* What a process can have, or be. */
enum forest_proc_bit {
	/* It makes its children, and ends: as a zombie, or waited for by who made it. */
	FOREST_EXITED,
	FOREST_KILLED,
	FOREST_GONE,
	/* Where it belongs to. */
	FOREST_SESSION,
	FOREST_GROUP,
	FOREST_JOIN,		/* the group of a sibling */
	FOREST_OF_THREAD,	/* another thread than the first one has made it */
	FOREST_SUBREAPER,
	/* It shares them with who made it. */
	FOREST_FILES,
	FOREST_FS,
	FOREST_STOPPED,
	FOREST_STOP_TOLD,
	FOREST_LEADER_GONE,
	FOREST_PIPE,
	FOREST_CLOSES,		/* an end of the pipes that it has got */
	FOREST_MEMORY,
	FOREST_DROPS,		/* pages of memory that it has got */
	FOREST_SHARED_MEMORY,
	FOREST_SIGNALS,
	FOREST_HANDLERS,
	FOREST_ITIMER,
	FOREST_TIMERS,
	FOREST_FIRED,		/* a timer whose signal waits */
	FOREST_UMASK,
	FOREST_CWD,
	FOREST_RLIMITS,
	FOREST_OOM,
	FOREST_PROC_BITS,
};

enum forest_thread_bit {
	FOREST_NAME,
	FOREST_NICE,
	FOREST_POLICY,
	FOREST_BOUND,		/* to a processor */
	FOREST_BLOCKED,
	FOREST_STACK,
	FOREST_SLACK,
	FOREST_OWN_SIGNALS,
	FOREST_OWN_TIMER,
	FOREST_OWN_FILES,
	FOREST_OWN_FS,
	FOREST_FUTEX,		/* it waits for the others there */
	FOREST_USERS,
	FOREST_CAPS,
	FOREST_NO_NEW_PRIVS,
	FOREST_DEATH_SIGNAL,
	FOREST_THREAD_BITS,
};

/* A bit that is taken away changes none of the values that come with others. */
struct forest_thread {
	unsigned int has;
	uint64_t pick;
	/* What follows: whose tables it has, as the slot of a thread. */
	int files;
	int fs;
};

struct forest_proc {
	int maker;
	int nr_threads;
	unsigned int has;
	uint64_t pick;
	struct forest_thread threads[FOREST_THREADS];
	/* What follows from that. */
	bool ends;
	int parent;
	int session;		/* both by who leads them */
	int group;
	int main;		/* the thread that speaks for it */
	bool stop_by_terminal;
};

struct forest_plan {
	uint64_t seed;
	bool snapshot;
	int nr;
	struct forest_proc procs[FOREST_PROCS];
};

void forest_draw(struct forest_plan *plan, uint64_t seed);
void forest_print(const struct forest_plan *plan);
int forest_threads(const struct forest_plan *plan);

/*
 * Take the part with this number away, if it is there: processes, with their
 * descendants or without, threads, bits. Returns 1 if it was, 0 if not, -1 if
 * there are no more parts.
 */
int forest_without(struct forest_plan *plan, int part);

/* Below @n, always the same for these. */
unsigned int forest_pick(uint64_t pick, int bit, unsigned int n);

static inline bool forest_has(const struct forest_proc *proc, enum forest_proc_bit bit)
{
	return proc->has & 1U << bit;
}

static inline bool forest_thread_has(const struct forest_thread *thread,
				     enum forest_thread_bit bit)
{
	return thread->has & 1U << bit;
}

static inline int forest_slot(int proc, int thread)
{
	return proc * FOREST_THREADS + thread;
}

/* Whether a thread is there when the tree is saved. */
static inline bool forest_lives(const struct forest_plan *plan, int proc, int thread)
{
	return !plan->procs[proc].ends && thread >= plan->procs[proc].main &&
	       thread < plan->procs[proc].nr_threads;
}

/* Whether @of is @proc, or made who made it, and so on. */
static inline bool forest_descends(const struct forest_plan *plan, int proc, int of)
{
	while (proc > of)
		proc = plan->procs[proc].maker;
	return proc == of;
}

#endif /* _SELFTESTS_CKPT_FOREST_PLAN_H */
