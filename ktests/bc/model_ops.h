/* SPDX-License-Identifier: GPL-2.0 */
/* The steps of workers, for real. */
#ifndef _SELFTESTS_BC_MODEL_OPS_H
#define _SELFTESTS_BC_MODEL_OPS_H

#include <stdbool.h>

#include "model_step.h"

#define OPS_BATCH	64

/* What a worker is to do, and what came of it; it shares that memory. */
struct ops_batch {
	int nr;
	struct model_step steps[OPS_BATCH];
	struct model_result results[OPS_BATCH];
	long idle;	/* how many of its children have become so */
};

extern struct ops_batch *ops_batches;

/* What this machine has. */
struct ops_support {
	bool network;
	bool rules;
	bool ptys;
};

/*
 * In the program, which is in the root, before there are workers: whatever they
 * need for the steps is made here, so that nobody pays for it. 0 or -errno.
 */
int ops_prepare(struct ops_support *support);
void ops_finish(void);
/* Removes all tables. */
void ops_clear_tables(void);

/* In a worker: does its batch. */
long ops_run(long worker, const char *text);

/* First in main(): the program may be one that was executed to do nothing. */
void ops_idle(int argc, char **argv);

#endif /* _SELFTESTS_BC_MODEL_OPS_H */
