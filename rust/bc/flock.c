// SPDX-License-Identifier: GPL-2.0
/*
 * File locks: charged under the spinlock of their file, right before they are applied, and
 * uncharged when they are disposed of, which is the only way out of the lists of a file. So
 * locks_free_lock() has nothing to look at.
 */

#include <linux/filelock.h>

#include "internal.h"

/* Apart, so that who finds something in stock saves no registers for it. */
static noinline bool bc_charge_flock_unstocked(struct file_lock *fl, struct file_lock *request,
					       enum bc_severity severity)
{
	bool final = request->c.flc_bc_state == BC_FLOCK_RECALLED;
	struct bc_cgroup *owner;

	if (bc_charge_unstocked(&owner, BC_NUMFLOCK, current, severity, final)) {
		if (!final)
			request->c.flc_bc_state = BC_FLOCK_REFUSED;
		return false;
	}
	fl->c.flc_bc = owner;
	fl->c.flc_bc_state = BC_FLOCK_CHARGED;
	return true;
}

static __always_inline bool bc_charge_flock_now(struct file_lock *fl, struct file_lock *request,
						enum bc_severity severity)
{
	/* This leaves the wait queue alone unless the lock is charged. */
	if (!bc_charge_stocked(&fl->c.flc_bc, BC_NUMFLOCK, current))
		return bc_charge_flock_unstocked(fl, request, severity);
	fl->c.flc_bc_state = BC_FLOCK_CHARGED;
	return true;
}

/**
 * __bc_charge_flock - bc_charge_flock() when the controller is in use
 * @fl: the lock, about to be inserted
 * @request: what it is made for; remembers a refusal that may be one too early
 *
 * Return: whether it was granted.
 */
bool __bc_charge_flock(struct file_lock *fl, struct file_lock *request)
{
	return bc_charge_flock_now(fl, request, BC_STRICT);
}

/**
 * bc_charge_flock_rest - charge the second half of a lock that is about to be cut in two
 * @fl: the second half
 * @request: why it is cut: often its middle is unlocked, which a refusal prevents
 *
 * Too rare for a branch to patch in the caller.
 *
 * Return: whether it was granted.
 */
bool bc_charge_flock_rest(struct file_lock *fl, struct file_lock *request)
{
	if (!static_branch_unlikely(&bc_enabled_key.key))
		return true;
	return bc_charge_flock_now(fl, request, BC_LENIENT);
}

/**
 * __bc_retry_flock - whether a request that seemed to be one lock too many is to be made again
 * @request: what was tried; a later attempt begins anew when this one is over
 *
 * Has all CPUs send back what stands in the way, and sleeps until they have done it.
 *
 * Return: true after the first refusal of an attempt.
 */
bool __bc_retry_flock(struct file_lock *request)
{
	if (request->c.flc_bc_state != BC_FLOCK_REFUSED) {
		request->c.flc_bc_state = BC_FLOCK_FREE;
		return false;
	}
	__bc_recall(BC_NUMFLOCK);
	request->c.flc_bc_state = BC_FLOCK_RECALLED;
	return true;
}
