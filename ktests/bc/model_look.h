/* SPDX-License-Identifier: GPL-2.0 */
/* What the controller shows, compared with what the model has. */
#ifndef _SELFTESTS_BC_MODEL_LOOK_H
#define _SELFTESTS_BC_MODEL_LOOK_H

#include <stdbool.h>

#include "model.h"

/* All that a cgroup shows of one resource. */
struct look_row {
	long held;
	long peak;
	long set[MODEL_SETTINGS];
	long failcnt;
	long refused[MODEL_SETTINGS];
	long below[MODEL_SETTINGS];
};

bool look_at(int cgroup, struct look_row *rows);
/* Whether anything stays different, also if it is given time to come right. */
bool look_differs(void);

/* Say in the run what was wrong; true when something was. */
bool __printf(2, 3) differs_by(const char *what, const char *format, ...);
bool look_is_not(int cgroup, int resource, const char *what, long got,
		 long least, long most);

/* Names for whom it is told to. */
const char *look_cgroup(long nr);
const char *look_value(long value);
long look_clock(void);

#endif /* _SELFTESTS_BC_MODEL_LOOK_H */
