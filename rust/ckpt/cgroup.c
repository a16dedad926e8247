// SPDX-License-Identifier: GPL-2.0
/* The container as cgroups see it. */

#include <linux/cgroup.h>
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "internal.h"

struct cgroup *ckpt_cgroup_get(int fd)
{
	return cgroup_get_from_fd(fd);
}

void ckpt_cgroup_put(struct cgroup *cgrp)
{
	cgroup_put(cgrp);
}

/* Call @fn for each thread in @cgrp and below, until it returns something else than 0. */
static long walk_threads(struct cgroup *cgrp,
			 long (*fn)(struct task_struct *task, void *arg),
			 void *arg)
{
	struct cgroup_subsys_state *css;
	struct css_task_iter it;
	struct task_struct *task;
	long ret = 0;

	rcu_read_lock();
	css_for_each_descendant_pre(css, &cgrp->self) {
		if (!css_tryget(css))
			continue;
		rcu_read_unlock();

		css_task_iter_start(css, 0, &it);
		while (!ret && (task = css_task_iter_next(&it)))
			ret = fn(task, arg);
		css_task_iter_end(&it);

		rcu_read_lock();
		css_put(css);
		if (ret)
			break;
	}
	rcu_read_unlock();

	return ret;
}

/* Whether a task is in @cgrp itself, and not below. */
bool ckpt_cgroup_has(struct cgroup *cgrp, struct task_struct *task)
{
	guard(rcu)();
	return task_dfl_cgroup(task) == cgrp;
}

static long one(struct task_struct *task, void *arg)
{
	return 1;
}

/* Whether nobody is in @cgrp or below. */
bool ckpt_cgroup_empty(struct cgroup *cgrp)
{
	return !walk_threads(cgrp, one, NULL);
}

static long may_not(struct task_struct *task, void *arg)
{
	return ckpt_task_may(task);
}

/* Whether the caller may see all of everybody in @cgrp and below. */
int ckpt_cgroup_may(struct cgroup *cgrp)
{
	return walk_threads(cgrp, may_not, NULL);
}

static long holds_parent(struct task_struct *task, void *arg)
{
	return in_vfork(task);
}

/* Whether somebody has the memory of a parent that waits in vfork(). */
bool ckpt_cgroup_vforks(struct cgroup *cgrp)
{
	return walk_threads(cgrp, holds_parent, NULL);
}

/* Whether it was removed. */
bool ckpt_cgroup_gone(struct cgroup *cgrp)
{
	return !css_is_online(&cgrp->self) || css_is_dying(&cgrp->self);
}

struct list_of_tasks {
	struct task_struct **tasks;
	size_t size;
	size_t nr;
};

static long enlist(struct task_struct *task, void *arg)
{
	struct list_of_tasks *list = arg;

	if (list->nr == list->size)
		return -E2BIG;
	get_task_struct(task);
	list->tasks[list->nr++] = task;
	return 0;
}

/*
 * List the threads in @cgrp and below, each with a reference. Return how many, or -E2BIG if there
 * is no room for all.
 */
long ckpt_cgroup_tasks(struct cgroup *cgrp, struct task_struct **tasks,
		       size_t size)
{
	struct list_of_tasks list = { .tasks = tasks, .size = size };
	long ret;

	ret = walk_threads(cgrp, enlist, &list);
	if (!ret)
		return list.nr;

	while (list.nr)
		put_task_struct(tasks[--list.nr]);
	return ret;
}

static long end(struct task_struct *task, void *arg)
{
	send_sig(SIGKILL, task, 1);
	return 0;
}

/* End everybody who is in @cgrp and below; nobody new comes while it is held. */
void ckpt_cgroup_kill(struct cgroup *cgrp)
{
	walk_threads(cgrp, end, NULL);
}

/* Whether cgroup.freeze, there or above, has it frozen. */
bool ckpt_cgroup_frozen(struct cgroup *cgrp)
{
	return test_bit(CGRP_FREEZE, &cgrp->flags);
}

/* Charge what the current task allocates for a container, and no process of it, to that. */
void ckpt_charge_begin(struct ckpt_charge *charge, struct cgroup *cgrp)
{
	charge->memcg = NULL;
#ifdef CONFIG_MEMCG
	charge->memcg = mem_cgroup_from_css(cgroup_get_e_css(cgrp, &memory_cgrp_subsys));
#endif
	charge->before = set_active_memcg(charge->memcg);
}

void ckpt_charge_end(struct ckpt_charge *charge)
{
	set_active_memcg(charge->before);
	mem_cgroup_put(charge->memcg);
}
