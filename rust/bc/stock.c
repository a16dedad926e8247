// SPDX-License-Identifier: GPL-2.0
/*
 * The stock: what each CPU may take and give back without touching a shared counter.
 *
 * A CPU's stock is changed by that CPU only, by operations that an interrupt cannot split, and with
 * preemption off from reading the css to touching its stock. Who shrinks it from elsewhere sends a
 * work item. How much may be in stock is decided in stock.rs.
 */

#include <linux/cpuhotplug.h>
#include <linux/sched/isolation.h>
#include <linux/workqueue.h>

#include "internal.h"

DEFINE_STATIC_KEY_FALSE(bc_enabled_key);
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

static void bc_stock_empty(struct bc_stock *stock)
{
	enum bc_resource res;

	for (res = 0; res < BC_NR_RESOURCES; res++) {
		int nr = bc_stock_trim(stock, res, 0);

		if (nr)
			bc_release(stock->bc, res, nr);
	}
}

/**
 * __bc_charge - bc_charge() when the stock of this CPU is empty
 * @bc: whose stock it was
 * @owner: where the object keeps who pays
 * @res: what is asked for
 *
 * Context: entered with preemption off and one unit taken too many, left with preemption on.
 * Return: 0, or the resource's errno.
 */
int __bc_charge(struct bc_cgroup *bc, struct bc_cgroup **owner, enum bc_resource res)
{
	int err;

	this_cpu_inc(bc->stock->avail[res]);
	preempt_enable();

	/* Another one when the task was moved meanwhile, and then possibly the root. */
	bc = css_bc(task_get_css(current, bc_cgrp_id));
	err = bc->stock ? bc_refill(bc, res) : 0;
	if (err || !bc->stock)
		css_put(&bc->css);
	else
		*owner = bc;
	return err;
}
EXPORT_SYMBOL_GPL(__bc_charge);

/**
 * __bc_uncharge - bc_uncharge() when this CPU has more than it may keep
 * @bc: who pays
 * @res: what is given back
 *
 * Half of what it may keep stays, so that the next requests find something.
 *
 * Context: preemption is off.
 */
void __bc_uncharge(struct bc_cgroup *bc, enum bc_resource res)
{
	int nr = bc_stock_trim(this_cpu_ptr(bc->stock), res, READ_ONCE(bc->stock_max[res]) / 2);

	if (nr)
		bc_release(bc, res, nr);
}
EXPORT_SYMBOL_GPL(__bc_uncharge);

/* What @root and its descendants have in stock; exact when nobody charges or uncharges. */
long bc_stock_sum(struct bc_cgroup *root, enum bc_resource res)
{
	struct cgroup_subsys_state *css;
	long sum = 0;
	int cpu;

	rcu_read_lock();
	css_for_each_descendant_pre(css, &root->css)
		for_each_possible_cpu(cpu)
			sum += READ_ONCE(per_cpu_ptr(css_bc(css)->stock, cpu)->avail[res]);
	rcu_read_unlock();
	return sum;
}

/*
 * Puts @nr charged units into this CPU's stock. They are the caller's to give back when the cgroup
 * has died: bc_stock_close() waits for whoever saw it online here.
 */
bool bc_stock_fill(struct bc_cgroup *bc, enum bc_resource res, int nr)
{
	bool online;

	preempt_disable();
	online = READ_ONCE(bc->online);
	if (online) {
		WRITE_ONCE(bc->stock_max[res], nr);
		this_cpu_add(bc->stock->avail[res], nr);
	}
	preempt_enable();
	return online;
}

/*
 * How many CPUs share what is left below a limit; 0 where nothing may be in stock: an isolated CPU
 * is not to be disturbed by recalls.
 */
unsigned int bc_stock_cpus(void)
{
	return cpu_is_isolated(raw_smp_processor_id()) ? 0 : num_online_cpus();
}

static void bc_drain_work(struct work_struct *work)
{
	bc_stock_empty(container_of(work, struct bc_stock, drain));
}

/*
 * Has the CPUs empty their stocks of @bc and waits for it. The caller has a reference and holds CPU
 * hotplug off, so that each work item runs on the CPU whose stock it is for.
 */
static void bc_drain(struct bc_cgroup *bc, bool isolated_too)
{
	bool sent = false;
	int cpu;

	for_each_online_cpu(cpu) {
		struct bc_stock *stock = per_cpu_ptr(bc->stock, cpu);
		enum bc_resource res;

		if (!isolated_too && cpu_is_isolated(cpu))
			continue;
		for (res = 0; res < BC_NR_RESOURCES; res++) {
			if (READ_ONCE(stock->avail[res]) > 0) {
				queue_work_on(cpu, bc_wq, &stock->drain);
				sent = true;
				break;
			}
		}
	}
	if (!sent)
		return;
	for_each_online_cpu(cpu)
		flush_work(&per_cpu_ptr(bc->stock, cpu)->drain);
}

/**
 * bc_stock_recall - empty the stocks of a resource in a whole subtree
 * @root: its top; the caller has a reference
 * @res: the resource whose stocks stay empty until the next charge looks at what is left
 *
 * Sleeps until the CPUs have done it. While CPUs come or go nothing is recalled: the caller may be
 * the one who moves them.
 */
void bc_stock_recall(struct bc_cgroup *root, enum bc_resource res)
{
	struct cgroup_subsys_state *css;

	if (!cpus_read_trylock())
		return;

	rcu_read_lock();
	css_for_each_descendant_pre(css, &root->css) {
		if (!css_tryget(css))
			continue;
		rcu_read_unlock();
		WRITE_ONCE(css_bc(css)->stock_max[res], 0);
		/* Pairs with the barrier between filling a stock and looking again in stock.rs. */
		smp_mb();
		bc_drain(css_bc(css), false);
		rcu_read_lock();
		css_put(css);
	}
	rcu_read_unlock();
	cpus_read_unlock();
}

/* Second half of bc_stock_close(): nobody adds to the stock any more. */
static void bc_close_work(struct work_struct *work)
{
	struct bc_cgroup *bc = container_of(to_rcu_work(work), struct bc_cgroup, close);
	enum bc_resource res;

	/* Again, because a last bc_stock_fill() may have raised it. */
	for (res = 0; res < BC_NR_RESOURCES; res++)
		WRITE_ONCE(bc->stock_max[res], 0);

	cpus_read_lock();
	bc_drain(bc, true);
	cpus_read_unlock();
	css_put(&bc->css);
}

/**
 * bc_stock_close - end the stock of a cgroup that was removed
 * @bc: the cgroup
 *
 * Does not wait. From here on every object that goes takes its reference with it.
 */
void bc_stock_close(struct bc_cgroup *bc)
{
	enum bc_resource res;

	WRITE_ONCE(bc->online, false);
	for (res = 0; res < BC_NR_RESOURCES; res++)
		WRITE_ONCE(bc->stock_max[res], 0);

	/*
	 * Whoever saw the old values with preemption off has touched its stock a grace period
	 * later; whoever starts then sees the new ones.
	 */
	css_get(&bc->css);
	queue_rcu_work(system_percpu_wq, &bc->close);
}

int bc_stock_alloc(struct bc_cgroup *bc)
{
	int cpu;

	bc->stock = alloc_percpu(struct bc_stock);
	if (!bc->stock)
		return -ENOMEM;

	for_each_possible_cpu(cpu) {
		struct bc_stock *stock = per_cpu_ptr(bc->stock, cpu);

		stock->bc = bc;
		INIT_WORK(&stock->drain, bc_drain_work);
	}
	INIT_RCU_WORK(&bc->close, bc_close_work);
	return 0;
}

void bc_stock_free(struct bc_cgroup *bc)
{
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
	bc_wq = alloc_workqueue("bc", WQ_PERCPU, 0);
	if (!bc_wq)
		return -ENOMEM;

	return cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN, "cgroup/bc:dead", NULL, bc_cpu_dead);
}
core_initcall(bc_stock_init);
