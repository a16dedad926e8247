// SPDX-License-Identifier: GPL-2.0
/*
 * The stock: what each CPU may take and give back without touching a shared counter.
 *
 * A CPU's stock is changed by that CPU only, by operations that an interrupt cannot split, and with
 * preemption off from reading the css to touching its stock. Who shrinks it from elsewhere sends a
 * work item. How much may be in stock is decided in stock.rs.
 */

#include <linux/bc_mm.h>
#include <linux/cleanup.h>
#include <linux/cpuhotplug.h>
#include <linux/export.h>
#include <linux/sched/isolation.h>
#include <linux/workqueue.h>

#include "internal.h"

/*
 * On while a container has a stock, which is until nothing refers to it any more: also who gives
 * back may rely on it. One that comes right after the last one has gone patches no code.
 */
DEFINE_STATIC_KEY_DEFERRED_FALSE(bc_enabled_key, HZ);
EXPORT_SYMBOL_GPL(bc_enabled_key);

static struct workqueue_struct *bc_wq __ro_after_init;

/* Takes what @stock has above @keep. The CPU that owns it must be this one, or dead. */
static int bc_stock_trim(struct bc_stock *stock, enum bc_resource res, int keep)
{
	int avail = READ_ONCE(stock->avail[res]);

	do {
		if (avail <= keep)
			return 0;
	} while (!try_cmpxchg_local(&stock->avail[res], &avail, keep));

	return avail - keep;
}

/* The CPU may fill it again when it is asked for more. */
static void bc_stock_empty(struct bc_stock *stock)
{
	enum bc_resource res;

	for (res = 0; res < BC_NR_RESOURCES; res++) {
		int nr;

		WRITE_ONCE(stock->max[res], 0);
		nr = bc_stock_trim(stock, res, 0);
		if (nr)
			bc_release(stock->bc, res, nr);
	}
}

/**
 * bc_stock_trim_surplus - take what this CPU has and may not keep, but for half of that
 * @bc: whose stock it is
 * @res: a resource of pages
 *
 * Context: preemption is off.
 */
void bc_stock_trim_surplus(struct bc_cgroup *bc, enum bc_resource res)
{
	int surplus = bc_stock_trim(this_cpu_ptr(bc->stock), res,
				    this_cpu_read(bc->stock->max[res]) / 2);

	if (surplus)
		bc_release(bc, res, surplus);
}

/**
 * __bc_charge - bc_charge() when the stock of this CPU is empty
 * @bc: whose stock it was
 * @res: what is asked for
 *
 * Context: entered with preemption off and one unit taken too many, left with preemption on.
 * Return: who pays, NULL when nobody does, or the resource's errno.
 */
struct bc_cgroup *__bc_charge(struct bc_cgroup *bc, enum bc_resource res)
{
	int err = 0;

	this_cpu_inc(bc->stock->avail[res]);
	preempt_enable();

	/* Another one when the task was moved meanwhile, and then possibly the root. */
	bc = css_bc(task_get_css(current, bc_cgrp_id));
	if (bc->stock) {
		err = bc_refill(bc, res);
		if (!err)
			return bc;
	}
	css_put(&bc->css);
	return ERR_PTR(err);
}

/**
 * __bc_uncharge - give one unit back to the stock of this CPU
 * @bc: who pays
 * @res: what is given back, an enum bc_resource as wide as the register that it indexes by
 *
 * Of more than this CPU may keep, half stays, so that the next requests find something.
 */
void __bc_uncharge(struct bc_cgroup *bc, unsigned long res)
{
	struct bc_stock __percpu *stock = bc->stock;
	int nr;

	guard(preempt)();
	/* What was there before: the comparison costs one instruction less. */
	if (likely(this_cpu_inc_return(stock->avail[res]) - 1 < this_cpu_read(stock->max[res])))
		return;

	nr = bc_stock_trim(this_cpu_ptr(stock), res, this_cpu_read(stock->max[res]) / 2);
	if (nr)
		bc_release(bc, res, nr);
}

/**
 * bc_charge_unstocked - charge one unit that bc_charge_stocked() did not find
 * @owner: who pays; NULL when nobody does
 * @res: what is asked for
 * @task: who gets it
 * @severity: which setting refuses it
 * @final: a refusal is one, and not a reason to come again after a recall
 *
 * Apart, so that who finds something in stock saves no registers for it.
 *
 * Return: 0, or the resource's errno.
 */
noinline int bc_charge_unstocked(struct bc_cgroup **owner, enum bc_resource res,
				 struct task_struct *task, enum bc_severity severity, bool final)
{
	/* Another one when the task was moved meanwhile, and then possibly the root. */
	struct bc_cgroup *bc = css_bc(task_get_css(task, bc_cgrp_id));
	int err = 0;

	*owner = NULL;
	if (bc->stock) {
		err = bc_grant(bc, res, 1, severity, final);
		if (!err)
			*owner = bc;
	}
	/* Granted units have references of their own. */
	css_put(&bc->css);
	return err;
}

/**
 * __bc_charge_task - bc_charge_task() when the controller is in use
 * @owner: who pays; NULL when nobody does
 * @res: what is asked for
 * @task: who gets it
 * @severity: which setting refuses it
 *
 * Return: 0, or the resource's errno.
 */
int __bc_charge_task(struct bc_cgroup **owner, enum bc_resource res, struct task_struct *task,
		     enum bc_severity severity)
{
	if (bc_charge_stocked(owner, res, task))
		return 0;
	return bc_charge_unstocked(owner, res, task, severity, true);
}

/**
 * __bc_charge_like - bc_charge_like() when somebody pays for the other object
 * @owner: who pays
 * @res: what is asked for
 * @bc: who pays for the other object
 *
 * Return: 0, or the resource's errno.
 */
int __bc_charge_like(struct bc_cgroup **owner, enum bc_resource res, struct bc_cgroup *bc)
{
	bool stocked;
	int err = 0;

	scoped_guard(preempt)
		stocked = bc_stock_take(bc->stock, res);
	if (!stocked)
		err = bc_grant(bc, res, 1, BC_STRICT, true);
	if (!err)
		*owner = bc;
	return err;
}

/**
 * __bc_charge_nr - bc_charge_nr() when the controller is in use
 * @owner: who pays; left alone when nobody does
 * @res: what is asked for
 * @nr: how many units
 *
 * Return: 0, or the resource's errno.
 */
int __bc_charge_nr(struct bc_cgroup **owner, enum bc_resource res, unsigned int nr)
{
	struct bc_cgroup *bc = css_bc(task_get_css(current, bc_cgrp_id));
	int err = 0;

	/* The references of the units keep who pays: without any there must be nobody. */
	if (bc->stock && nr) {
		err = bc_grant(bc, res, nr, BC_STRICT, true);
		if (!err)
			*owner = bc;
	}
	css_put(&bc->css);
	return err;
}
EXPORT_SYMBOL_GPL(__bc_charge_nr);

/**
 * bc_charge_to - charge several units to who pays for other objects
 * @bc: who pays for them; the caller has one of them, or a reference
 * @res: what is asked for: a resource without stock
 * @nr: how many units
 *
 * As bc_charge_nr().
 *
 * Return: 0, or the resource's errno when it was refused.
 */
int bc_charge_to(struct bc_cgroup *bc, enum bc_resource res, unsigned int nr)
{
	return bc_grant(bc, res, nr, BC_STRICT, true);
}
EXPORT_SYMBOL_GPL(bc_charge_to);

/**
 * __bc_uncharge_nr - give several units back, past the stock
 * @bc: who pays
 * @res: what is given back
 * @nr: how many units
 */
void __bc_uncharge_nr(struct bc_cgroup *bc, enum bc_resource res, unsigned int nr)
{
	guard(rcu)();
	bc_release(bc, res, nr);
}
EXPORT_SYMBOL_GPL(__bc_uncharge_nr);

/**
 * bc_charge_pages - charge pages
 * @bc: who pays; stays as long as it pays for any
 * @res: what is asked for: a resource of pages
 * @nr: how many
 * @severity: which setting refuses them
 *
 * May sleep. All pages are granted or none.
 *
 * Return: 0, or the resource's errno when they were refused.
 */
int bc_charge_pages(struct bc_cgroup *bc, unsigned long res, unsigned long nr,
		    enum bc_severity severity)
{
	if (likely(bc_stock_take_pages(bc, res, nr)))
		return 0;
	return bc_refill_pages(bc, res, nr, severity);
}

/**
 * bc_charge_pages_nowait - bc_charge_pages() for who cannot sleep
 * @bc: who pays
 * @res: what is asked for
 * @nr: how many
 * @severity: which setting refuses them
 *
 * May refuse early, by at most what CPUs have in stock, which it has sent back then.
 *
 * Context: any but NMI.
 * Return: 0, or the resource's errno when they were refused.
 */
int bc_charge_pages_nowait(struct bc_cgroup *bc, unsigned long res, unsigned long nr,
			   enum bc_severity severity)
{
	if (likely(bc_stock_take_pages(bc, res, nr)))
		return 0;
	return bc_grant_pages(bc, res, nr, severity);
}

/**
 * bc_uncharge_pages - give pages back
 * @bc: who pays
 * @res: what they are
 * @nr: how many
 */
void bc_uncharge_pages(struct bc_cgroup *bc, unsigned long res, unsigned long nr)
{
	bc_stock_put_pages(bc, res, nr);
}

/* What @root and its descendants have in stock; exact when nobody charges or uncharges. */
long bc_stock_sum(struct bc_cgroup *root, enum bc_resource res)
{
	struct cgroup_subsys_state *css;
	long sum = 0;
	int cpu;

	guard(rcu)();
	css_for_each_descendant_pre(css, &root->css) {
		struct bc_cgroup *bc = css_bc(css);

		if (!bc->stock)
			continue;
		for_each_possible_cpu(cpu)
			sum += READ_ONCE(per_cpu_ptr(bc->stock, cpu)->avail[res]);
	}
	return sum;
}

/**
 * bc_stock_fill - charge to the stock of this CPU in advance
 * @bc: the cgroup
 * @res: the resource
 *
 * Charging and filling is one section without preemption, so that a work item sent to this CPU
 * finds all or nothing of it.
 */
void bc_stock_fill(struct bc_cgroup *bc, enum bc_resource res)
{
	int avail, max = 0;

	guard(preempt)();
	avail = max(this_cpu_read(bc->stock->avail[res]), 0);
	if (READ_ONCE(bc->online) && !cpu_is_isolated(smp_processor_id())) {
		WRITE_ONCE(bc->stocked, true);
		/* Pairs with bc_stock_recall(): it sees this, or its settings are seen here. */
		smp_mb();
		max = bc_advance(bc, res, num_online_cpus(), avail);
	}
	this_cpu_write(bc->stock->max[res], max);
	if (max > avail)
		this_cpu_add(bc->stock->avail[res], max - avail);
}

static void bc_drain_work(struct work_struct *work)
{
	guard(preempt)();
	bc_stock_empty(container_of(work, struct bc_stock, drain));
}

/* Whether @cpu is better left alone: it got nothing since it was isolated. */
static bool bc_stock_quiet(struct bc_stock *stock, int cpu)
{
	enum bc_resource res;

	guard(rcu)();
	if (!cpu_is_isolated(cpu))
		return false;
	for (res = 0; res < BC_NR_RESOURCES; res++)
		if (READ_ONCE(stock->avail[res]) || READ_ONCE(stock->max[res]))
			return false;
	return true;
}

/*
 * Has the CPUs empty their stocks of @bc, and waits for it. Also those that seem to have none: a
 * unit may be on its way there. The caller has a reference and holds CPU hotplug off, so that each
 * work item runs on the CPU whose stock it is for.
 */
static void bc_drain(struct bc_cgroup *bc)
{
	int cpu;

	for_each_online_cpu(cpu) {
		struct bc_stock *stock = per_cpu_ptr(bc->stock, cpu);

		if (!bc_stock_quiet(stock, cpu))
			queue_work_on(cpu, bc_wq, &stock->drain);
	}
	for_each_online_cpu(cpu)
		flush_work(&per_cpu_ptr(bc->stock, cpu)->drain);
}

/**
 * bc_stock_recall - empty the stocks of a whole subtree
 * @root: its top; the caller has a reference
 * @hotplug: wait for CPUs that come or go, instead of recalling nothing
 *
 * Sleeps until the CPUs have done it. Who charges must not wait for hotplug: it may be the task
 * that moves the CPUs.
 */
void bc_stock_recall(struct bc_cgroup *root, bool hotplug)
{
	struct cgroup_subsys_state *css;

	if (hotplug)
		cpus_read_lock();
	else if (!cpus_read_trylock())
		return;

	/* Between the caller's change of a setting and looking for stocks; see bc_stock_fill(). */
	smp_mb();
	rcu_read_lock();
	css_for_each_descendant_pre(css, &root->css) {
		struct bc_cgroup *bc = css_bc(css);

		if (!bc->stock || !css_tryget(css))
			continue;
		rcu_read_unlock();
		/* Who comes second waits until the first has got everything. */
		scoped_guard(mutex, &bc->recall_lock)
			if (xchg(&bc->stocked, false))
				bc_drain(bc);
		rcu_read_lock();
		css_put(css);
	}
	rcu_read_unlock();
	cpus_read_unlock();
}

static void bc_recall_work(struct work_struct *work)
{
	struct bc_cgroup *bc = container_of(work, struct bc_cgroup, recall);

	bc_stock_recall(bc, true);
	css_put(&bc->css);
}

/**
 * bc_stock_recall_later - bc_stock_recall() for who cannot wait
 * @root: top of the subtree, at or above a cgroup that the caller has a reference on
 */
void bc_stock_recall_later(struct bc_cgroup *root)
{
	css_get(&root->css);
	if (!queue_work(system_dfl_wq, &root->recall))
		css_put(&root->css);
}

/**
 * __bc_recall - have all CPUs send back what stands in the way of the current task
 * @res: what the task was refused
 *
 * Sleeps until they have done it.
 */
void __bc_recall(enum bc_resource res)
{
	struct bc_cgroup *bc = css_bc(task_get_css(current, bc_cgrp_id));

	bc_make_room(bc, res);
	css_put(&bc->css);
}

/* Second half of bc_stock_close(): nobody fills the stock any more. */
static void bc_close_work(struct work_struct *work)
{
	struct bc_cgroup *bc = container_of(to_rcu_work(work), struct bc_cgroup, close);

	cpus_read_lock();
	bc_drain(bc);
	cpus_read_unlock();
	css_put(&bc->css);
}

/**
 * bc_stock_close - end the stock of a cgroup that was removed
 * @bc: the cgroup
 *
 * Does not wait. Once it is done, every object that goes takes its reference with it.
 */
void bc_stock_close(struct bc_cgroup *bc)
{
	WRITE_ONCE(bc->online, false);
	/*
	 * Who saw it online without preemption has filled the stock a grace period later; who
	 * starts then sees that it is not. The work items end what was allowed to each CPU.
	 */
	css_get(&bc->css);
	queue_rcu_work(system_percpu_wq, &bc->close);
}

int bc_stock_alloc(struct bc_cgroup *bc)
{
	int cpu;

	bc->stock = alloc_percpu_gfp(struct bc_stock, GFP_KERNEL_ACCOUNT);
	if (!bc->stock)
		return -ENOMEM;

	for_each_possible_cpu(cpu) {
		struct bc_stock *stock = per_cpu_ptr(bc->stock, cpu);

		stock->bc = bc;
		INIT_WORK(&stock->drain, bc_drain_work);
	}
	mutex_init(&bc->recall_lock);
	INIT_WORK(&bc->recall, bc_recall_work);
	INIT_RCU_WORK(&bc->close, bc_close_work);
	static_branch_deferred_inc(&bc_enabled_key);
	return 0;
}

void bc_stock_free(struct bc_cgroup *bc)
{
	if (!bc->stock)
		return;
	static_branch_slow_dec_deferred(&bc_enabled_key);
	free_percpu(bc->stock);
}

/* A CPU is gone: nobody else would ever take what it has in stock. */
static int bc_cpu_dead(unsigned int cpu)
{
	struct cgroup_subsys_state *root = init_css_set.subsys[bc_cgrp_id];
	struct cgroup_subsys_state *css;

	rcu_read_lock();
	css_for_each_descendant_pre(css, root)
		if (css_bc(css)->stock)
			bc_stock_empty(per_cpu_ptr(css_bc(css)->stock, cpu));
	rcu_read_unlock();
	return 0;
}

static int __init bc_stock_init(void)
{
	int ret;

	/* Whoever waits for it may hold locks of file systems. */
	bc_wq = alloc_workqueue("bc", WQ_MEM_RECLAIM | WQ_PERCPU, 0);
	if (!bc_wq)
		return -ENOMEM;

	ret = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN, "cgroup/bc:dead", NULL, bc_cpu_dead);
	return min(ret, 0);
}
core_initcall(bc_stock_init);
