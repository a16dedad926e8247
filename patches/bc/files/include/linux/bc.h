/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Beancounters: containers' counted resources, the part that other subsystems see.
 *
 * Documentation/admin-guide/beancounters.rst says what is counted. An object of a counted kind
 * remembers who pays for it in a field of its own, so that the uncharge hits the holder whatever
 * was migrated, removed or switched off meanwhile.
 */
#ifndef _LINUX_BC_H
#define _LINUX_BC_H

#include <linux/cgroup.h>
#include <linux/err.h>
#include <linux/filelock.h>
#include <linux/fs.h>
#include <linux/jump_label_ratelimit.h>
#include <linux/mutex_types.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/signal_types.h>
#include <linux/tty.h>
#include <linux/workqueue_types.h>

/* Each has a row of the same name in kernel/cgroup/bc/resource.rs. */
enum bc_resource {
	BC_NUMPROC,
	BC_NUMFILE,
	BC_NUMPTY,
	BC_NUMFLOCK,
	BC_NUMTCPSOCK,
	BC_NUMOTHERSOCK,
	BC_NUMSIGINFO,
	BC_NUMIPTENT,
	BC_PRIVVMPAGES,
	BC_LOCKEDPAGES,
	BC_SHMPAGES,
	BC_TCPSNDBUF,
	BC_TCPRCVBUF,
	BC_DGRAMRCVBUF,
	BC_NR_RESOURCES,
};

/* How hard a request is to refuse; decided by the site that makes it. */
enum bc_severity {
	/* An ordinary request: refused above the barrier. */
	BC_STRICT,
	/* Its refusal would do harm: refused above the limit. */
	BC_LENIENT,
	/* Cannot be refused: what is asked for is there. */
	BC_FORCED,
	/* As strict, but who is refused comes again: nobody has refused anything yet. */
	BC_TEST,
};

struct bc_cgroup;

#ifdef CONFIG_CGROUP_BC

/*
 * Units that were charged to @bc in advance. Each carries a reference on it, in the stock and, when
 * it was taken, in the object.
 */
struct bc_stock {
	int avail[BC_NR_RESOURCES];
	/* How many this CPU may keep: 0 near a limit, when isolated, after the cgroup's death. */
	int max[BC_NR_RESOURCES];
	struct bc_cgroup *bc;
	struct work_struct drain;
};

/* What the inlined paths read; the counters follow it in memory, in Rust. */
struct bc_cgroup {
	struct cgroup_subsys_state css;
	/* NULL for the root, which pays for nothing. */
	struct bc_stock __percpu *stock;
	bool online;
	/* Something may be in stock since the last recall. */
	bool stocked;
	/* Held until what a recall found is back. */
	struct mutex recall_lock;
	/* A recall for someone who could not wait for it. */
	struct work_struct recall;
	struct rcu_work close;
	struct cgroup_file events_file;
	struct cgroup_file events_local_file;
};

extern struct static_key_false_deferred bc_enabled_key;

struct bc_cgroup *__bc_charge(struct bc_cgroup *bc, enum bc_resource res);
void __bc_uncharge(struct bc_cgroup *bc, unsigned long res);
int __bc_charge_task(struct bc_cgroup **owner, enum bc_resource res, struct task_struct *task,
		     enum bc_severity severity);
int __bc_charge_like(struct bc_cgroup **owner, enum bc_resource res, struct bc_cgroup *bc);
int __bc_charge_nr(struct bc_cgroup **owner, enum bc_resource res, unsigned int nr);
int bc_charge_to(struct bc_cgroup *bc, enum bc_resource res, unsigned int nr);
void __bc_uncharge_nr(struct bc_cgroup *bc, enum bc_resource res, unsigned int nr);
void __bc_recall(enum bc_resource res);

/**
 * bc_charge - charge one unit to the container of the current task
 * @owner: where the object keeps who pays; NULL when nobody does, also after a refusal
 * @res: what is asked for, an enum bc_resource as wide as the register that it indexes by
 *
 * The request is strict: it is refused above the barrier of any level of the hierarchy. May sleep,
 * also for work items on other CPUs when the request is about to be refused.
 *
 * Return: 0, or the resource's errno when it was refused.
 */
static __always_inline int bc_charge(struct bc_cgroup **owner, unsigned long res)
{
	struct bc_stock __percpu *stock;
	struct bc_cgroup *bc;

	if (!static_branch_unlikely(&bc_enabled_key.key)) {
		*owner = NULL;
		return 0;
	}

	/* Keeps the task's css from going away, and the task on the CPU whose stock it takes. */
	preempt_disable();
	bc = container_of(task_css_check(current, bc_cgrp_id, true), struct bc_cgroup, css);
	stock = bc->stock;
	if (!stock) {
		bc = NULL;
	} else if (unlikely(this_cpu_dec_return(stock->avail[res]) < 0)) {
		bc = __bc_charge(bc, res);
		*owner = IS_ERR(bc) ? NULL : bc;
		return PTR_ERR_OR_ZERO(bc);
	}
	*owner = bc;
	preempt_enable();
	return 0;
}

/**
 * bc_uncharge - give one unit back
 * @bc: who pays for it, as bc_charge() left it
 * @res: what it is
 *
 * Context: any but NMI.
 */
static __always_inline void bc_uncharge(struct bc_cgroup *bc, unsigned long res)
{
	/* The rest is out of line, so that the caller stays small enough to be inlined itself. */
	if (bc)
		__bc_uncharge(bc, res);
}

/**
 * bc_charge_task - charge one unit to the container of any task, and do not sleep
 * @owner: where the object keeps who pays, as bc_charge() leaves it
 * @res: what is asked for
 * @task: who gets the object; something keeps it from being released
 * @severity: which setting refuses it
 *
 * May refuse early, by at most what other CPUs have in stock, which it has sent back then.
 *
 * Context: any but NMI.
 * Return: 0, or the resource's errno when it was refused.
 */
static __always_inline int bc_charge_task(struct bc_cgroup **owner, enum bc_resource res,
					  struct task_struct *task, enum bc_severity severity)
{
	if (!static_branch_unlikely(&bc_enabled_key.key)) {
		*owner = NULL;
		return 0;
	}
	return __bc_charge_task(owner, res, task, severity);
}

/**
 * bc_charge_like - charge one unit to who pays for another object, and do not sleep
 * @owner: where the object keeps who pays, as bc_charge() leaves it
 * @res: what is asked for
 * @bc: who pays for the other object, which stays meanwhile
 *
 * Strict; as exact as bc_charge_task().
 *
 * Context: any but NMI.
 * Return: 0, or the resource's errno when it was refused.
 */
static __always_inline int bc_charge_like(struct bc_cgroup **owner, enum bc_resource res,
					  struct bc_cgroup *bc)
{
	*owner = NULL;
	return bc ? __bc_charge_like(owner, res, bc) : 0;
}

/**
 * bc_charge_nr - charge several units to the container of the current task
 * @owner: where the object keeps who pays, as bc_charge() leaves it
 * @res: what is asked for: a resource without stock
 * @nr: how many units
 *
 * Strict, exact, and does not sleep. All units are granted or none.
 *
 * Return: 0, or the resource's errno when it was refused.
 */
static __always_inline int bc_charge_nr(struct bc_cgroup **owner, enum bc_resource res,
					unsigned int nr)
{
	*owner = NULL;
	if (!static_branch_unlikely(&bc_enabled_key.key))
		return 0;
	return __bc_charge_nr(owner, res, nr);
}

/**
 * bc_uncharge_nr - give several units back
 * @bc: who pays for them
 * @res: what they are
 * @nr: how many
 *
 * Context: any but NMI.
 */
static __always_inline void bc_uncharge_nr(struct bc_cgroup *bc, enum bc_resource res,
					   unsigned int nr)
{
	if (bc)
		__bc_uncharge_nr(bc, res, nr);
}

static inline int bc_charge_file(struct file *file)
{
	return bc_charge(&file->f_bc, BC_NUMFILE);
}

static inline void bc_uncharge_file(struct file *file)
{
	bc_uncharge(file->f_bc, BC_NUMFILE);
}

static inline int bc_charge_pty(struct bc_cgroup **owner)
{
	return bc_charge_nr(owner, BC_NUMPTY, 1);
}

/* Either end may be the last one that is closed. */
static inline void bc_own_pty(struct tty_struct *master, struct bc_cgroup *owner)
{
	if (!owner)
		return;
	master->bc = owner;
	master->link->bc = owner;
}

static inline void bc_uncharge_pty(struct bc_cgroup *owner)
{
	bc_uncharge_nr(owner, BC_NUMPTY, 1);
}

static inline void bc_close_pty(struct tty_struct *tty)
{
	bc_uncharge_pty(tty->bc);
}

/* What file_lock_core::flc_bc_state says. */
enum bc_flock_state {
	/* Nothing yet. */
	BC_FLOCK_FREE,
	/* A lock that was applied: flc_bc, in the place of flc_wait, is who pays, or NULL. */
	BC_FLOCK_CHARGED,
	/* A request: what it needs may be in stock elsewhere. */
	BC_FLOCK_REFUSED,
	/* A request after a recall of the stocks: the next refusal is one. */
	BC_FLOCK_RECALLED,
};

bool __bc_charge_flock(struct file_lock *fl, struct file_lock *rest, struct file_lock *request);
bool __bc_charge_flock_rest(struct file_lock *rest, struct file_lock *request);
void __bc_replace_flock(struct file_lock *new, struct file_lock *old);
bool __bc_recall_flock(struct file_lock *request);
void __bc_uncharge_flock(struct file_lock *fl);

/*
 * Charges a lock that is about to be inserted for @request, under a spinlock, and @rest, the second
 * half of one that it cuts in two, if there is that; or refuses both.
 */
static __always_inline bool bc_charge_flock(struct file_lock *fl, struct file_lock *rest,
					    struct file_lock *request)
{
	if (!static_branch_unlikely(&bc_enabled_key.key))
		return true;
	return __bc_charge_flock(fl, rest, request);
}

/* Charges the second half of a lock whose middle is about to be unlocked. */
static __always_inline bool bc_charge_flock_rest(struct file_lock *rest, struct file_lock *request)
{
	if (!static_branch_unlikely(&bc_enabled_key.key))
		return true;
	return __bc_charge_flock_rest(rest, request);
}

/* One lock takes another's place: nothing is asked for. */
static inline void bc_replace_flock(struct file_lock *new, struct file_lock *old)
{
	if (unlikely(old->c.flc_bc_state == BC_FLOCK_CHARGED))
		__bc_replace_flock(new, old);
}

static __always_inline void bc_uncharge_flock(struct file_lock *fl)
{
	if (unlikely(fl->c.flc_bc_state == BC_FLOCK_CHARGED))
		__bc_uncharge_flock(fl);
}

/* Whether a request that failed with @error is to be made once more; sleeps then. */
static inline bool bc_recall_flock(struct file_lock *request, int error)
{
	return static_branch_unlikely(&bc_enabled_key.key) && error == -ENOLCK &&
	       __bc_recall_flock(request);
}

/* The request that bc_recall_flock() had made again is over. */
static inline void bc_recalled_flock(struct file_lock *request)
{
	request->c.flc_bc_state = BC_FLOCK_FREE;
}

/* The receiver pays. A signal that must not fail is refused by the limit, and goes without @q. */
static inline int bc_charge_sigqueue(struct sigqueue *q, struct task_struct *t, bool must_queue)
{
	return bc_charge_task(&q->bc, BC_NUMSIGINFO, t, must_queue ? BC_LENIENT : BC_STRICT);
}

static inline int bc_charge_timer(struct sigqueue *q)
{
	return bc_charge(&q->bc, BC_NUMSIGINFO);
}

static inline void bc_uncharge_sigqueue(struct sigqueue *q)
{
	bc_uncharge(q->bc, BC_NUMSIGINFO);
}

#else /* !CONFIG_CGROUP_BC */

static inline int bc_charge_file(struct file *file)
{
	return 0;
}

static inline void bc_uncharge_file(struct file *file) { }

static inline int bc_charge_pty(struct bc_cgroup **owner)
{
	return 0;
}

static inline void bc_own_pty(struct tty_struct *master, struct bc_cgroup *owner) { }
static inline void bc_uncharge_pty(struct bc_cgroup *owner) { }
static inline void bc_close_pty(struct tty_struct *tty) { }

static inline bool bc_charge_flock(struct file_lock *fl, struct file_lock *rest,
				   struct file_lock *request)
{
	return true;
}

static inline bool bc_charge_flock_rest(struct file_lock *rest, struct file_lock *request)
{
	return true;
}

static inline void bc_replace_flock(struct file_lock *new, struct file_lock *old) { }
static inline void bc_uncharge_flock(struct file_lock *fl) { }

static inline bool bc_recall_flock(struct file_lock *request, int error)
{
	return false;
}

static inline void bc_recalled_flock(struct file_lock *request) { }

static inline int bc_charge_sigqueue(struct sigqueue *q, struct task_struct *t, bool must_queue)
{
	return 0;
}

static inline int bc_charge_timer(struct sigqueue *q)
{
	return 0;
}

static inline void bc_uncharge_sigqueue(struct sigqueue *q) { }

#endif /* CONFIG_CGROUP_BC */

#endif /* _LINUX_BC_H */
