// SPDX-License-Identifier: GPL-2.0
/*
 * Locks of files as POSIX and flock(2) have them: what an owner asks for takes
 * the place of what it had there, and neighbours of the same type are one.
 */
#include <errno.h>
#include <string.h>

#include "model_locks.h"

static struct model_piece *put(struct model_locks *locks, int owner,
			       enum model_lock type, long start, long end,
			       int account)
{
	struct model_piece *piece = &locks->pieces[locks->nr];

	if (locks->nr == MODEL_PIECES)
		return NULL;
	*piece = (struct model_piece){ owner, type, start, end, account };
	locks->nr++;
	return piece;
}

static void take_out(struct model_locks *locks, int i)
{
	locks->nr--;
	memmove(&locks->pieces[i], &locks->pieces[i + 1],
		(locks->nr - i) * sizeof(locks->pieces[0]));
}

static bool conflicts(const struct model_locks *locks, int owner,
		      enum model_lock type, long start, long end)
{
	int i;

	for (i = 0; i < locks->nr; i++) {
		const struct model_piece *piece = &locks->pieces[i];

		if (piece->owner != owner && piece->start <= end &&
		    piece->end >= start && (type == MODEL_EXCLUSIVE ||
					    piece->type == MODEL_EXCLUSIVE))
			return true;
	}

	return false;
}

int model_flock(struct model_locks *locks, int owner, enum model_lock type,
		const struct model_payer *payer)
{
	bool found = false, conflict;
	int account = 0, i;

	for (i = 0; i < locks->nr && !found; i++) {
		struct model_piece *piece = &locks->pieces[i];

		if (piece->owner != owner)
			continue;
		if (piece->type == type)
			return 0;
		/* Even if what comes in its place does not. */
		found = true;
		account = piece->account;
		take_out(locks, i);
	}
	if (type == MODEL_UNLOCK) {
		if (found)
			payer->uncharge(payer->data, account);
		return 0;
	}

	conflict = conflicts(locks, owner, type, 0, MODEL_END);
	if (payer->conflicts(payer->data, conflict)) {
		if (found)
			payer->uncharge(payer->data, account);
		return -EAGAIN;
	}
	if (!found && !payer->charge(payer->data, false, &account))
		return -ENOLCK;
	if (!put(locks, owner, type, 0, MODEL_END, account))
		payer->uncharge(payer->data, account);
	return 0;
}

/* The owner's lowest piece from an address on. */
static int next(const struct model_locks *locks, int owner, long from)
{
	int i, found = -1;

	for (i = 0; i < locks->nr; i++) {
		const struct model_piece *piece = &locks->pieces[i];

		if (piece->owner == owner && piece->start >= from &&
		    (found < 0 || piece->start < locks->pieces[found].start))
			found = i;
	}

	return found;
}

int model_lock_range(struct model_locks *locks, int owner,
		     enum model_lock type, long start, long end,
		     const struct model_payer *payer)
{
	int account = 0, rest = 0, i;
	bool placed = type == MODEL_UNLOCK, split = false;
	long at;

	if (type != MODEL_UNLOCK &&
	    payer->conflicts(payer->data,
			     conflicts(locks, owner, type, start, end)))
		return -EAGAIN;

	/* A piece that reaches beyond both ends becomes two, and a third. */
	for (i = 0; i < locks->nr; i++) {
		struct model_piece *piece = &locks->pieces[i];

		if (piece->owner == owner && piece->type != type &&
		    piece->start < start && piece->end > end)
			split = true;
	}
	if (split && !payer->charge(payer->data, true, &rest))
		return -ENOLCK;
	/*
	 * From the lowest on, the first piece that the new one takes up, or
	 * takes the place of, has paid for it.
	 */
	for (at = 0; (i = next(locks, owner, at)) >= 0 && !placed;
	     at = locks->pieces[i].start + 1) {
		struct model_piece *piece = &locks->pieces[i];

		if (piece->type == type ?
		    piece->end >= start - 1 && piece->start - 1 <= end :
		    piece->start >= start && piece->end <= end) {
			placed = true;
			account = piece->account;
			break;
		}
	}
	if (!placed && !payer->charge(payer->data, false, &account)) {
		if (split)
			payer->uncharge(payer->data, rest);
		return -ENOLCK;
	}

	placed = type == MODEL_UNLOCK;
	for (at = 0; (i = next(locks, owner, at)) >= 0;) {
		struct model_piece *piece = &locks->pieces[i];

		at = piece->start + 1;
		if (piece->type == type ?
		    piece->end < start - 1 || piece->start - 1 > end :
		    piece->end < start || piece->start > end)
			continue;
		if (piece->type == type) {
			if (piece->start < start)
				start = piece->start;
			if (piece->end > end)
				end = piece->end;
		} else if (piece->start < start && piece->end > end) {
			put(locks, owner, piece->type, piece->start, start - 1,
			    rest);
			piece->start = end + 1;
			at = piece->start + 1;
			continue;
		} else if (piece->start < start) {
			piece->end = start - 1;
			continue;
		} else if (piece->end > end) {
			piece->start = end + 1;
			at = piece->start + 1;
			continue;
		}
		/* The first of those has become the new one. */
		if (placed)
			payer->uncharge(payer->data, piece->account);
		placed = true;
		take_out(locks, i);
	}
	if (type != MODEL_UNLOCK)
		put(locks, owner, type, start, end, account);
	return 0;
}

void model_unlock_all(struct model_locks *locks, int owner,
		      const struct model_payer *payer)
{
	int i;

	for (i = 0; i < locks->nr;) {
		int account = locks->pieces[i].account;

		if (locks->pieces[i].owner != owner) {
			i++;
			continue;
		}
		take_out(locks, i);
		payer->uncharge(payer->data, account);
	}
}
