/* SPDX-License-Identifier: GPL-2.0 */
/* The processes of a tree, which make each other, and tell the test how far they are. */
#ifndef _SELFTESTS_CKPT_FOREST_LIVE_H
#define _SELFTESTS_CKPT_FOREST_LIVE_H

#include <stddef.h>
#include <sys/types.h>

#include "kselftest.h"
#include "forest_plan.h"

/* What the test wants of all of them, one after the other. */
enum forest_phase {
	FOREST_BUILD,
	FOREST_SETTLE,		/* see that children have stopped */
	FOREST_FIND,		/* look whether all is as it was, and leave marks */
	FOREST_END,
};

/* How far a process is. */
enum forest_step {
	FOREST_PLACED = 1,	/* it is in its group */
	FOREST_READY,
	FOREST_SETTLED,
	FOREST_FOUND,
};

/* A file that all have open: nobody needs a right to go on. */
struct forest_told {
	int phase;
	struct {
		int pid;
		int step;
		int tids[FOREST_THREADS];
		char wrong[128];
	} procs[FOREST_PROCS];
};

#define FOREST_TOLD	3	/* where it is open */
#define FOREST_MARKS	100	/* and, in the end, from here on: one for each thread */

/* What threads leave as marks in what they have in common. */
static inline unsigned int forest_umask(int fs)
{
	return 0007 + 0010 * (fs % 64);
}

/* Be the first process; there is a directory d<N> in @dir for each slot. */
__noreturn void forest_live(const struct forest_plan *plan, const char *dir, pid_t outside);

/* For its parts: say what is wrong, and end. */
#define forest_expect(condition) \
	do { \
		if (!(condition)) \
			forest_wrong(__FILE__, __LINE__, #condition); \
	} while (0)

__noreturn void forest_wrong(const char *file, int line, const char *what);

#endif /* _SELFTESTS_CKPT_FOREST_LIVE_H */
