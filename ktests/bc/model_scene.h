/* SPDX-License-Identifier: GPL-2.0 */
/* A run that is under way: what the model has, and what there is for it. */
#ifndef _SELFTESTS_BC_MODEL_SCENE_H
#define _SELFTESTS_BC_MODEL_SCENE_H

#include <limits.h>
#include <stdbool.h>

#include "bc_util.h"
#include "model_ops.h"
#include "model_world.h"

/* What was wrong. */
struct difference {
	bool found;
	int step;
	char what[48];
	char text[PATH_MAX + 256];
};

struct run {
	const char *root;
	char *paths[MODEL_CGROUPS];
	struct bc_agent *agents[MODEL_WORKERS];
	long names;	/* of listeners */
	int step;
	long patience;	/* in milliseconds */
	bool tells;	/* what it does */
	struct difference difference;
	long done;
	long comparisons;
};

extern struct run run;
extern struct world world;
extern struct ops_support support;

#endif /* _SELFTESTS_BC_MODEL_SCENE_H */
