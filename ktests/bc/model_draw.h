/* SPDX-License-Identifier: GPL-2.0 */
/* Steps by chance. */
#ifndef _SELFTESTS_BC_MODEL_DRAW_H
#define _SELFTESTS_BC_MODEL_DRAW_H

#include <stdbool.h>
#include <stdint.h>

#include "model_run.h"
#include "model_step.h"

#define DRAW_MOST	2000

/* A step that was drawn; its meaning depends on what there is by then. */
struct draw {
	enum model_op op;
	uint32_t a, b, c, d;
	int window;	/* those of one are done at once; 0: alone */
};

struct draw_plan {
	struct draw draws[DRAW_MOST];
	int nr;
};

/* The same steps for the same seed. */
void draw_plan(struct draw_plan *plan, uint64_t seed, enum run_mode mode,
	       int steps);
/* What a draw means now; false when it means nothing. */
bool draw_resolve(const struct draw *draw, struct model_step *step);
/* What is said of who does such a step. */
const char *draw_name(enum model_op op);

#endif /* _SELFTESTS_BC_MODEL_DRAW_H */
