/* SPDX-License-Identifier: GPL-2.0 */
/* Lets trees of processes grow, saves and restores them, and sees that they are as before. */
#ifndef _SELFTESTS_CKPT_FOREST_RUN_H
#define _SELFTESTS_CKPT_FOREST_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "forest_plan.h"

/*
 * Calls fn(), which runs trees and finishes the test, while another process,
 * outside of them, counts. With @dry, trees are not saved, and no device is
 * needed. Returns what the program ends with.
 */
int forest_main(void (*fn)(void), bool dry);

/* NULL, or what was wrong, by one word; it is printed in more of them. */
const char *forest_run(const struct forest_plan *plan);
/* The same with less patience, and without a word. */
const char *forest_try(const struct forest_plan *plan);

/* Draws and runs one tree, and says so; false if there was a difference. */
bool forest_seed(struct forest_plan *plan, uint64_t seed, const char **what);

#endif /* _SELFTESTS_CKPT_FOREST_RUN_H */
