/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Locks of files: which there are after a request, and who pays for each.
 */
#ifndef _SELFTESTS_BC_MODEL_LOCKS_H
#define _SELFTESTS_BC_MODEL_LOCKS_H

#include <stdbool.h>

/* More than a run has steps for. */
#define MODEL_PIECES	4096
/* Behind the last byte that a lock may have. */
#define MODEL_END	1000000L

enum model_lock {
	MODEL_UNLOCK,
	MODEL_SHARED,
	MODEL_EXCLUSIVE,
};

/* A lock on the bytes from start to end, or on the whole file for flock(). */
struct model_piece {
	int owner;
	enum model_lock type;
	long start, end;
	int account;
};

struct model_locks {
	struct model_piece pieces[MODEL_PIECES];
	int nr;
};

/* How the locks ask for a unit, and give one back. */
struct model_payer {
	bool (*charge)(void *data, bool lenient, int *account);
	void (*uncharge)(void *data, int account);
	/* Whether a conflict is one; in a window the kernel has decided. */
	bool (*conflicts)(void *data, bool expected);
	void *data;
};

/* Both return 0, -EAGAIN for a conflict, or -ENOLCK for a refusal. */
int model_flock(struct model_locks *locks, int owner, enum model_lock type,
		const struct model_payer *payer);
int model_lock_range(struct model_locks *locks, int owner,
		     enum model_lock type, long start, long end,
		     const struct model_payer *payer);
/* All of an owner go, when it does. */
void model_unlock_all(struct model_locks *locks, int owner,
		      const struct model_payer *payer);

#endif /* _SELFTESTS_BC_MODEL_LOCKS_H */
