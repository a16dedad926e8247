/* SPDX-License-Identifier: GPL-2.0 */
/* What a tree looks like from outside. */
#ifndef _SELFTESTS_CKPT_FOREST_LOOK_H
#define _SELFTESTS_CKPT_FOREST_LOOK_H

#include <stdio.h>

#include "forest_live.h"
#include "forest_plan.h"

/* Lines, each of which says what it is of. */
struct forest_look {
	char *text;
	size_t len;
	FILE *file;
	/* Pipes by the order in which they were seen. */
	int nr_pipes;
	unsigned long pipes[FOREST_SLOTS];
};

/* Returns 0, or -errno. */
int forest_look(struct forest_look *look, const struct forest_plan *plan,
		const struct forest_told *told);
void forest_look_end(struct forest_look *look);
/* Prints where they differ. */
bool forest_looks_differ(const struct forest_look *before, const struct forest_look *after);

/* The state of a thread as a letter; 0 if there is none. */
char forest_state(int pid, int tid);
/* Prints where the marks of threads are not where they should be. */
bool forest_marks_differ(const struct forest_plan *plan, const struct forest_told *told,
			 const char *dir);

#endif /* _SELFTESTS_CKPT_FOREST_LOOK_H */
