/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The controller's accounting once more, as its documentation has it: no
 * stocks, one number per level, one step after the other. It knows nothing of
 * what is counted, and nothing of a kernel.
 */
#ifndef _SELFTESTS_BC_MODEL_H
#define _SELFTESTS_BC_MODEL_H

#include <stdbool.h>

enum model_resource {
	MODEL_NUMPROC,
	MODEL_NUMFILE,
	MODEL_NUMPTY,
	MODEL_NUMFLOCK,
	MODEL_NUMTCPSOCK,
	MODEL_NUMOTHERSOCK,
	MODEL_NUMSIGINFO,
	MODEL_NUMIPTENT,
	MODEL_RESOURCES,
};

struct model_kind {
	const char *name;
	int err;
	/* CPUs may have some in stock: up to so many. */
	int stock;
};

extern const struct model_kind model_kinds[MODEL_RESOURCES];

enum model_severity {
	MODEL_STRICT,
	MODEL_LENIENT,
	MODEL_FORCED,
};

/* The barrier and the limit. */
enum model_setting {
	MODEL_HIGH,
	MODEL_MAX,
	MODEL_SETTINGS,
};

#define MODEL_ACCOUNTS	1024
/* Who pays for what is made in the root. */
#define MODEL_NOBODY	-1

/* One resource of an account. */
struct model_row {
	long held;
	/* What the peak is at least, and at most because of stocks. */
	long peak;
	long ceiling;
	long set[MODEL_SETTINGS];
	/* Refusals by these settings, and also by those of accounts below. */
	long refused[MODEL_SETTINGS];
	long below[MODEL_SETTINGS];
	/* Since model_open_window(). */
	struct {
		long held;
		long asked;
		long loosest[MODEL_SETTINGS];
		long tightest[MODEL_SETTINGS];
	} window;
};

/* A cgroup that has the controller, also when it was removed and still pays. */
struct model_account {
	int parent;
	bool live;
	/* Accounts at and below this one. */
	int subtree;
	struct model_row rows[MODEL_RESOURCES];
};

struct model {
	struct model_account accounts[MODEL_ACCOUNTS];
	int nr;
	int cpus;
	/*
	 * Several requests are under way: who asked for what is known, but not
	 * in which order.
	 */
	bool window;
};

void model_reset(struct model *model, int cpus);
/* The number of a new account, or MODEL_NOBODY when there are too many. */
int model_open(struct model *model, int parent);
void model_close(struct model *model, int account);

/*
 * Charges one unit; false when that is refused. The refusal is counted then. In
 * a window everything is granted: model_refuse() says what was not.
 */
bool model_charge(struct model *model, int account, int resource,
		  enum model_severity severity);
void model_uncharge(struct model *model, int account, int resource);
/* A process changes its account. */
void model_move(struct model *model, int from, int to, int resource);
void model_set(struct model *model, int account, int resource,
	       enum model_setting setting, long value);

/* Would a charge be refused, and at which account? */
bool model_would_refuse(struct model *model, int account, int resource,
			enum model_severity severity, int *at);
/* Counts refusals by a setting of an account. */
void model_refuse(struct model *model, int at, int resource,
		  enum model_setting setting, long nr);
/*
 * Whether a request that must not sleep may be refused there although there is
 * room: CPUs may have in stock what is left.
 */
bool model_may_be_early(struct model *model, int at, int resource);
/* The value that a request may not pass, and whose it is. */
long model_bound(const struct model_row *row, enum model_severity severity,
		 enum model_setting *setting);
/* The most that may be in stock at and below an account. */
long model_stock(const struct model *model, int account, int resource);

void model_open_window(struct model *model);
/* In a window: a request was made, whatever became of it. */
void model_asked(struct model *model, int account, int resource);
void model_close_window(struct model *model);
/* The most that can have been granted in the window. */
long model_window_most(const struct model *model, int account, int resource);

#endif /* _SELFTESTS_BC_MODEL_H */
