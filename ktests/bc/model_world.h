/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What there is: cgroups, workers in them, and their objects, each with who
 * pays for it. What a step does to it is what it should do in the kernel.
 */
#ifndef _SELFTESTS_BC_MODEL_WORLD_H
#define _SELFTESTS_BC_MODEL_WORLD_H

#include "model.h"
#include "model_locks.h"
#include "model_step.h"

#define MODEL_FILES	1024
#define MODEL_SOCKS	1024
#define MODEL_PTYS	64
#define MODEL_PENDING	8
#define MODEL_QUEUED	32

/* Of an entry that is not in use. */
#define MODEL_NONE	-2

struct world_cgroup {
	bool exists;
	bool controls;		/* the controller is on for its children */
	int parent;
	int account;		/* MODEL_NONE where the controller is off */
};

struct world_file {
	int refs;
	int account;
	int sock;		/* or MODEL_NONE, as the next ones */
	int pty;
	int inode;
	bool master;
	bool listens;
};

struct world_sock {
	bool used;
	int account;
	int resource;
	bool closed;
	int peer;		/* of a Unix socket: neither goes alone */
	bool unix_listener;
	long name;		/* port or name of a listener */
	int pending[MODEL_PENDING];
	int nr_pending;
};

struct world_pty {
	int ends;
	int account;
};

struct world_child {
	bool used;
	int cgroup;
	int exe;		/* who pays for the file that it runs */
	int files[MODEL_SLOTS];
};

struct world_worker {
	bool alive;
	int cgroup;		/* -1 in the root */
	int files[MODEL_SLOTS];
	int timers[MODEL_TIMERS];
	struct world_child children[MODEL_CHILDREN];
	int threads;
	int queued[MODEL_QUEUED];
	int nr_queued;
	bool pending[SIGNALS];
	int paid[SIGNALS];	/* of the latter two, or MODEL_NONE */
};

struct world_table {
	bool exists;
	int account;
	long rules;
};

struct world {
	struct model model;
	struct world_cgroup cgroups[MODEL_CGROUPS];
	struct world_worker workers[MODEL_WORKERS];
	struct world_file files[MODEL_FILES];
	struct world_sock socks[MODEL_SOCKS];
	struct world_pty ptys[MODEL_PTYS];
	struct world_table tables[MODEL_TABLES];
	struct model_locks flocks[MODEL_INODES], ranges[MODEL_INODES];
	/* A result that is taken over in a window, and what is left of it. */
	const struct model_result *got;
	bool explained;
	/* How many requests were refused. */
	long refusals[MODEL_RESOURCES];
};

void world_reset(struct world *world, int cpus);

/*
 * Does a step: what has to come of it. In a window the result is known already;
 * then it is -EPROTO when there is no way to that result.
 */
struct model_result world_do(struct world *world, const struct model_step *step,
			     const struct model_result *got);

/* Who pays for what a worker makes, or what is made in a cgroup. */
int world_account(const struct world *world, int cgroup);
/* Whether another worker has the same file. */
bool world_shares(const struct world *world, int worker, int slot);
/* Why a cgroup is no place for a process, or 0. */
int world_forbids(const struct world *world, int cgroup);

#endif /* _SELFTESTS_BC_MODEL_WORLD_H */
