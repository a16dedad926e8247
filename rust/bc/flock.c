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

/* Apart, so that one lock alone saves no registers. */
static noinline bool bc_charge_flocks(struct file_lock *fl, struct file_lock *rest,
				      struct file_lock *request)
{
	if (!__bc_charge_flock_rest(rest, request))
		return false;
	if (bc_charge_flock_now(fl, request, BC_STRICT))
		return true;
	/* Who frees it does not look: it was not applied. */
	__bc_uncharge_flock(rest);
	return false;
}

/**
 * __bc_charge_flock - bc_charge_flock() when the controller is in use
 * @fl: the lock, about to be inserted
 * @rest: the second half of another one, likewise, or NULL
 * @request: what they are made for; remembers a refusal that may be one too early
 *
 * Return: whether they were granted.
 */
bool __bc_charge_flock(struct file_lock *fl, struct file_lock *rest, struct file_lock *request)
{
	if (unlikely(rest))
		return bc_charge_flocks(fl, rest, request);
	return bc_charge_flock_now(fl, request, BC_STRICT);
}

/**
 * __bc_charge_flock_rest - bc_charge_flock_rest() when the controller is in use
 * @rest: the second half
 * @request: why the lock is cut: often its middle is unlocked, which a refusal prevents
 *
 * Return: whether it was granted.
 */
bool __bc_charge_flock_rest(struct file_lock *rest, struct file_lock *request)
{
	return bc_charge_flock_now(rest, request, BC_LENIENT);
}

/* Takes from a charged lock who pays, or NULL; to free it, its wait queue has to look empty. */
static struct bc_cgroup *bc_disown_flock(struct file_lock *fl)
{
	struct bc_cgroup *owner = fl->c.flc_bc;

	INIT_LIST_HEAD(&fl->c.flc_wait.head);
	fl->c.flc_bc_state = BC_FLOCK_FREE;
	return owner;
}

/**
 * __bc_replace_flock - bc_replace_flock() of a lock that was charged
 * @new: the lock that is about to be inserted
 * @old: the lock whose place it takes
 */
void __bc_replace_flock(struct file_lock *new, struct file_lock *old)
{
	new->c.flc_bc = bc_disown_flock(old);
	new->c.flc_bc_state = BC_FLOCK_CHARGED;
}

/**
 * __bc_uncharge_flock - bc_uncharge_flock() of a lock that was charged
 * @fl: the lock
 */
void __bc_uncharge_flock(struct file_lock *fl)
{
	bc_uncharge(bc_disown_flock(fl), BC_NUMFLOCK);
}

/**
 * __bc_recall_flock - bc_recall_flock() of a request that failed with ENOLCK
 * @request: what was tried
 *
 * Has all CPUs send back what stands in the way, and sleeps until they have done it.
 *
 * Return: true when it was refused as one lock too many, without a recall.
 */
bool __bc_recall_flock(struct file_lock *request)
{
	if (request->c.flc_bc_state != BC_FLOCK_REFUSED)
		return false;
	__bc_recall(BC_NUMFLOCK);
	request->c.flc_bc_state = BC_FLOCK_RECALLED;
	return true;
}
