// SPDX-License-Identifier: GPL-2.0
/*
 * Where guarantees have an effect. What they are is in guarantee.rs.
 */

#include <linux/bc_mm.h>
#include <linux/memcontrol.h>
#include <linux/oom.h>
#include <linux/sched.h>

#include "internal.h"

/* On while there is a guarantee anywhere. */
DEFINE_STATIC_KEY_DEFERRED_FALSE(bc_guarantee_key, HZ);

void bc_guarantees_count(int nr)
{
	bc_key_count(&bc_guarantee_key, nr);
}

/**
 * __bc_vm_guaranteed - bc_vm_guaranteed() when there are guarantees
 * @mm: the address space that asks
 *
 * Return: whether what it asks for, which is charged already, is within a guarantee.
 */
bool __bc_vm_guaranteed(const struct mm_struct *mm)
{
	struct bc_cgroup *bc;

	/* Shared memory is asked for without mmap_lock, under which who pays may change. */
	guard(rcu)();
	bc = READ_ONCE(mm->bc);
	return bc && bc_guarantee_vm(bc);
}

/**
 * __bc_oom_prepare - bc_oom_prepare() when there are guarantees
 *
 * What was counted since the last time is still with the CPUs: whoever has taken all there is has
 * done so just now, and would seem to use nothing.
 */
void __bc_oom_prepare(void)
{
	mem_cgroup_flush_stats(NULL);
}

/**
 * __bc_oom_guaranteed - bc_oom_guaranteed() when there are guarantees
 * @task: a candidate; the caller is in an RCU read side
 *
 * Return: whether its container is below its guarantee.
 */
bool __bc_oom_guaranteed(struct task_struct *task)
{
	/* A first thread that has ended was not moved with the others. */
	struct task_struct *thread = find_lock_task_mm(task);
	struct bc_cgroup *bc;

	if (!thread)
		return false;
	bc = css_bc(task_css_check(thread, bc_cgrp_id, true));
	task_unlock(thread);
	return bc->stock && bc_guarantee_oom(bc);
}

/**
 * bc_memory_in_use - what only swap or a kill can set free, and what was swapped out
 * @bc: the cgroup; the caller is in an RCU read side
 *
 * Return: in pages, or -1 where memory is not counted.
 */
long bc_memory_in_use(struct bc_cgroup *bc)
{
#ifdef CONFIG_MEMCG
	struct cgroup_subsys_state *css = rcu_dereference(bc->css.cgroup->subsys[memory_cgrp_id]);
	struct mem_cgroup *memcg;

	if (!css || !(READ_ONCE(css->flags) & CSS_VISIBLE))
		return -1;
	memcg = mem_cgroup_from_css(css);
	return memcg_page_state(memcg, NR_ANON_MAPPED) + memcg_page_state(memcg, NR_SHMEM) +
	       page_counter_read(&memcg->swap);
#else
	return -1;
#endif
}
