// SPDX-License-Identifier: GPL-2.0
/* What the clocks of a container say: they go on, whatever those of the machine do. */

#include <linux/ktime.h>
#include <linux/nsproxy.h>
#include <linux/sched/task.h>
#include <linux/time_namespace.h>
#include <linux/timekeeping.h>

#include "internal.h"

/* Whether two tasks, or one of them and its children, do not have the same clocks. */
bool ckpt_clocks_differ(struct task_struct *task, struct task_struct *other)
{
	struct time_namespace *clocks = NULL;
	bool differ = false;

	task_lock(other);
	if (other->nsproxy)
		clocks = other->nsproxy->time_ns;
	task_unlock(other);

	task_lock(task);
	if (task->nsproxy)
		differ = task->nsproxy->time_ns != clocks ||
			 task->nsproxy->time_ns_for_children != clocks;
	task_unlock(task);
	return differ;
}

void ckpt_clocks(struct task_struct *task, struct ckpt_clocks *clocks)
{
	struct timens_offsets offsets = {};

	task_lock(task);
	if (task->nsproxy)
		offsets = task->nsproxy->time_ns->offsets;
	task_unlock(task);

	clocks->monotonic = ktime_add(ktime_get(), timespec64_to_ktime(offsets.monotonic));
	clocks->boottime = ktime_add(ktime_get_boottime(), timespec64_to_ktime(offsets.boottime));
}

/* As a time namespace allows it: no clock gets near to the end of its range. */
static bool is_time(s64 time)
{
	return time >= 0 && time / NSEC_PER_SEC < KTIME_SEC_MAX / 2;
}

/* Give the current task, which is new and has no children yet, a time namespace of its own. */
int ckpt_clocks_set(const struct ckpt_clocks *clocks)
{
	struct timens_offsets *offsets;
	struct nsproxy *proxy;
	int ret;

	if (!is_time(clocks->monotonic) || !is_time(clocks->boottime))
		return -EINVAL;
	ret = unshare_nsproxy_namespaces(CLONE_NEWTIME, &proxy, NULL, NULL);
	if (ret)
		return ret;

	offsets = &proxy->time_ns_for_children->offsets;
	offsets->monotonic = ktime_to_timespec64(clocks->monotonic - ktime_get());
	offsets->boottime = ktime_to_timespec64(clocks->boottime - ktime_get_boottime());
	timens_on_fork(proxy, current);
	switch_task_namespaces(current, proxy);
	return 0;
}
