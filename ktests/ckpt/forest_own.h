/* SPDX-License-Identifier: GPL-2.0 */
/* What the processes of a tree get for themselves, and whether they still have it. */
#ifndef _SELFTESTS_CKPT_FOREST_OWN_H
#define _SELFTESTS_CKPT_FOREST_OWN_H

#include "forest_plan.h"

/* What children inherit: memory and pipes. Made before there are any. */
void forest_make_common(const struct forest_plan *plan, int me);
void forest_find_common(const struct forest_plan *plan, int me);
/* What the others have written in the meantime. */
void forest_find_written(const struct forest_plan *plan, int me);

/* What belongs to a process; by its first thread. */
void forest_make_own(const struct forest_plan *plan, int me, const char *dir);
/* Signals for it, by the thread that takes them. */
void forest_make_signals(const struct forest_plan *plan, int me);
void forest_find_own(const struct forest_plan *plan, int me);

/* What belongs to a thread. */
void forest_make_thread(const struct forest_plan *plan, int me, int nr);
void forest_find_thread(const struct forest_plan *plan, int me, int nr);

/* The signals that wait are blocked by all. */
void forest_block(void);

#endif /* _SELFTESTS_CKPT_FOREST_OWN_H */
