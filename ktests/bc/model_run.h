/* SPDX-License-Identifier: GPL-2.0 */
/* Lets workers and the model do the same by chance, and compares the two. */
#ifndef _SELFTESTS_BC_MODEL_RUN_H
#define _SELFTESTS_BC_MODEL_RUN_H

#include <stdbool.h>

enum run_mode {
	/* One step after the other: each result is foreseen. */
	RUN_SEQUENTIAL,
	/* Workers at once: what they report is taken over, and adds up. */
	RUN_PARALLEL,
	RUN_MODES,
};

struct run_options {
	unsigned long long seed;	/* the first one */
	unsigned long long count;	/* of seeds */
	long seconds;			/* after which no other one begins */
	int steps;			/* of each run */
	bool modes[RUN_MODES];
};

extern const char * const run_modes[RUN_MODES];
extern struct run_options run_options;

/* As a test: until the time is over, at least one seed. */
int run_seeds(const char *root);

#endif /* _SELFTESTS_BC_MODEL_RUN_H */
