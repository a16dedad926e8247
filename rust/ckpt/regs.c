// SPDX-License-Identifier: GPL-2.0
/*
 * Registers, in the form that core dumps and ptrace have. Setting them this
 * way is as safe as ptrace: the regset refuses what may not be. A task that was
 * killed meanwhile has no stack any more, which is where they are.
 */

#include <linux/regset.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>

#include "internal.h"

static const struct user_regset *find(struct task_struct *task, u32 note)
{
	const struct user_regset_view *view = task_user_regset_view(task);
	unsigned int i;

	for (i = 0; i < view->n; i++)
		if (view->regsets[i].core_note_type == note)
			return &view->regsets[i];
	return NULL;
}

/* How many bytes a set has on this machine; 0 if there is none. */
size_t ckpt_regs_size(u32 note)
{
	const struct user_regset *set = find(current, note);

	return set ? (size_t)set->n * set->size : 0;
}

/* Return how many bytes the set has, or -errno; @task is off its CPU. */
long ckpt_regs(struct task_struct *task, u32 note, void *buf, size_t size)
{
	const struct user_regset *set = find(task, note);

	long ret;

	if (!set)
		return -ENODEV;
	if (!try_get_task_stack(task))
		return -ESRCH;
	ret = regset_get(task, set, size, buf);
	put_task_stack(task);
	return ret;
}

/* The whole set; @task is off its CPU, and not the current one. */
int ckpt_set_regs(struct task_struct *task, u32 note, const void *buf,
		  size_t size)
{
	const struct user_regset *set = find(task, note);
	int ret;

	if (!set || !set->set)
		return -ENODEV;
	if (!size || size % set->size || size > set->n * set->size)
		return -EINVAL;
	if (!try_get_task_stack(task))
		return -ESRCH;
	ret = set->set(task, set, 0, size, buf, NULL);
	put_task_stack(task);
	return ret;
}
