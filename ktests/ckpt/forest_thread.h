/* SPDX-License-Identifier: GPL-2.0 */
/* What a thread of a tree has for itself, and timers, which processes have, too. */
#ifndef _SELFTESTS_CKPT_FOREST_THREAD_H
#define _SELFTESTS_CKPT_FOREST_THREAD_H

#include <signal.h>
#include <time.h>

#include "forest_plan.h"

/* All of these are blocked by everybody; of two there is the next one, too. */
#define FOREST_SIGNAL_SHARED	(SIGRTMIN + 1)
#define FOREST_SIGNAL_OWN	(SIGRTMIN + 3)
#define FOREST_SIGNAL_FAR	(SIGRTMIN + 5)
#define FOREST_SIGNAL_FIRED	(SIGRTMIN + 6)

struct forest_timer {
	timer_t id;
	time_t seconds;
	long interval;
};

/* One that does not go off; now and then one that is not set. */
void forest_set_timer(struct forest_timer *timer, clockid_t clock, struct sigevent *event,
		      unsigned int how);
void forest_find_timer(const struct forest_timer *timer);

#endif /* _SELFTESTS_CKPT_FOREST_THREAD_H */
