// SPDX-License-Identifier: GPL-2.0
/* Which processes there are, and who belongs to whom. */

#include <linux/binfmts.h>
#include <linux/cleanup.h>
#include <linux/oom.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched/autogroup.h>
#include <linux/sched/coredump.h>
#include <linux/sched/jobctl.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/syscalls.h>
#include <linux/tty.h>

#include "internal.h"

static_assert(sizeof_field(struct ckpt_group, left) == PIDTYPE_MAX * sizeof(struct pid *));

/* The thread that has the number of its process, with a reference. */
struct task_struct *ckpt_task_leader(struct task_struct *task)
{
	guard(rcu)();
	/* Of one that is gone for good, nothing says how long the other one is there. */
	return get_task_struct(pid_alive(task) ? task->group_leader : task);
}

/* Numbers are those that the namespace of the task has; 0 is a task outside of it. */
s32 ckpt_task_tid(struct task_struct *task)
{
	guard(rcu)();
	return task_pid_nr_ns(task, task_active_pid_ns(task));
}

/* The number that the caller's namespace has for it. */
s32 ckpt_task_outer_tid(struct task_struct *task)
{
	return task_pid_vnr(task);
}

/* Whether a task is in the pid namespace of another one, or of the caller. */
bool ckpt_task_in_pidns(struct task_struct *task, struct task_struct *other)
{
	guard(rcu)();
	return task_active_pid_ns(task) == task_active_pid_ns(other ?: current);
}

/* Whether nothing is left of a thread but what it ended with. */
bool ckpt_task_ended(struct task_struct *task)
{
	return READ_ONCE(task->exit_state);
}

/* What a thread has ended with, as its parent will get it. */
u32 ckpt_task_status(struct task_struct *task)
{
	const struct signal_struct *signal = task->signal;

	return thread_group_empty(task) && (signal->flags & SIGNAL_GROUP_EXIT) ?
	       signal->group_exit_code : task->exit_code;
}

/*
 * List the children of all threads of a process, each with a reference, and those too that have
 * ended and were not waited for. Return how many there are, whether or not there is room.
 */
long ckpt_children(struct task_struct *leader, struct task_struct **children,
		   size_t size)
{
	struct task_struct *thread, *child;
	size_t nr = 0;

	guard(read_lock)(&tasklist_lock);
	for_each_thread(leader, thread)
		list_for_each_entry(child, &thread->children, sibling) {
			if (nr < size)
				children[nr] = get_task_struct(child);
			nr++;
		}
	return nr;
}

/* How many processes are in a process group, or in a session; @of, if it is there, knows it. */
long ckpt_members(struct task_struct *of, s32 number, bool session)
{
	const enum pid_type type = session ? PIDTYPE_SID : PIDTYPE_PGID;
	struct pid_namespace *ns;
	struct task_struct *task;
	struct pid *pid;
	long nr = 0;

	guard(read_lock)(&tasklist_lock);
	ns = task_active_pid_ns(of);
	if (!ns)
		return -ESRCH;
	pid = find_pid_ns(number, ns);
	do_each_pid_task(pid, type, task) {
		nr++;
	} while_each_pid_task(pid, type, task);
	return nr;
}

void ckpt_task_process(struct task_struct *task, struct ckpt_process *process)
{
	const struct signal_struct *signal = task->signal;
	struct task_struct *thread;
	struct pid_namespace *ns;

	guard(rcu)();
	ns = task_active_pid_ns(task);
	memset(process, 0, sizeof(*process));
	process->pid = task_pid_nr_ns(task, ns);
	process->pgrp = task_pgrp_nr_ns(task, ns);
	process->session = task_session_nr_ns(task, ns);
	process->exit_signal = task->exit_signal;
	process->oom_score_adj = signal->oom_score_adj;
	process->oom_score_adj_min = signal->oom_score_adj_min;
	process->dumpable = task_exec_state_get_dumpable(task);
	if (signal->is_child_subreaper)
		process->flags |= CKPT_PROCESS_SUBREAPER;
	if (signal->flags & SIGNAL_STOP_CONTINUED)
		process->flags |= CKPT_PROCESS_CONTINUED;
	if (process->pid == 1 && ns != task_active_pid_ns(current))
		process->flags |= CKPT_PROCESS_INIT;

	if (pid_alive(task))
		process->parent = task_tgid_nr_ns(rcu_dereference(task->real_parent), ns);
	if (!(signal->flags & SIGNAL_STOP_STOPPED))
		return;
	process->stop_told = signal->group_exit_code;
	for_each_thread(task, thread)
		if (thread->jobctl & JOBCTL_STOP_SIGMASK)
			process->stop = thread->jobctl & JOBCTL_STOP_SIGMASK;
	if (!process->stop)
		process->stop = process->stop_told ?: SIGSTOP;
}

/* Of the current process, which is new and has no children yet. */
int ckpt_task_set_process(const struct ckpt_process *process)
{
	struct signal_struct *signal = current->signal;

	if (!valid_signal(process->exit_signal) ||
	    !valid_signal(process->stop) || !valid_signal(process->stop_told) ||
	    process->oom_score_adj_min < OOM_SCORE_ADJ_MIN ||
	    process->oom_score_adj < process->oom_score_adj_min ||
	    process->oom_score_adj > OOM_SCORE_ADJ_MAX ||
	    process->dumpable > TASK_DUMPABLE_ROOT)
		return -EINVAL;
	if (process->oom_score_adj_min < signal->oom_score_adj_min &&
	    !capable(CAP_SYS_RESOURCE))
		return -EPERM;

	if (process->flags & CKPT_PROCESS_CONTINUED) {
		spin_lock_irq(&current->sighand->siglock);
		if (!(signal->flags & SIGNAL_GROUP_EXIT))
			signal_set_stop_flags(signal, SIGNAL_STOP_CONTINUED);
		spin_unlock_irq(&current->sighand->siglock);
	}
	signal->oom_score_adj = process->oom_score_adj;
	signal->oom_score_adj_min = process->oom_score_adj_min;
	/* Children find out when they are made. */
	signal->is_child_subreaper = process->flags & CKPT_PROCESS_SUBREAPER;
	return 0;
}

/*
 * Leave the process group and the session of the caller. Signals for them are not for the new
 * tasks: neither those to come, nor those that came before.
 */
int ckpt_task_leave(void)
{
	int ret = ksys_setsid();

	if (ret < 0)
		return ret;
	guard(spinlock_irq)(&current->sighand->siglock);
	if (current->signal->flags & SIGNAL_GROUP_EXIT)
		return -EINTR;
	flush_sigqueue(&current->pending);
	flush_sigqueue(&current->signal->shared_pending);
	recalc_sigpending();
	return 0;
}

/*
 * Of the current process, which has its own address space by now. To be dumped for root is what the
 * administrator allows, or does not.
 */
void ckpt_task_set_dumpable(u32 dumpable)
{
	if (dumpable == TASK_DUMPABLE_ROOT && suid_dumpable != TASK_DUMPABLE_ROOT)
		dumpable = TASK_DUMPABLE_OFF;
	task_exec_state_set_dumpable(dumpable);
}

/* Number of a new process, which stays as long as that is there. */
struct pid *ckpt_pid_of(struct task_struct *task)
{
	return task_pid(task);
}

/* The number of a process that is gone, and whose group or session @member will be in. */
struct pid *ckpt_pid_new(struct task_struct *member, s32 number)
{
	struct pid *of = get_task_pid(member, PIDTYPE_PID), *pid;
	pid_t nr = number;

	if (!of)
		return ERR_PTR(-ESRCH);
	pid = alloc_pid(ns_of_pid(of), &nr, 1);
	put_pid(of);
	return pid;
}

/* What a new pid namespace would not have, but that of a task has. */
bool ckpt_pidns_differs(struct task_struct *task)
{
	struct pid_namespace *ns;

	guard(rcu)();
	ns = task_active_pid_ns(task);
	if (!ns)
		return false;
#if defined(CONFIG_SYSCTL) && defined(CONFIG_MEMFD_CREATE)
	if (ns->memfd_noexec_scope != pidns_memfd_noexec_scope(task_active_pid_ns(current)))
		return true;
#endif
	return ns->pid_max != PID_MAX_LIMIT;
}

/* The next number in the pid namespace of a task is a larger one, if there is one. */
void ckpt_pidns_pass(struct task_struct *task, s32 number)
{
	struct pid *pid = get_task_pid(task, PIDTYPE_PID);

	if (!pid)
		return;
	if (idr_get_cursor(&ns_of_pid(pid)->idr) <= number)
		idr_set_cursor(&ns_of_pid(pid)->idr, number + 1);
	put_pid(pid);
}

/* Nobody has got it. */
void ckpt_pid_free(struct pid *pid)
{
	free_pid(pid);
}

/*
 * Put new processes into their groups and sessions: all at once, or none if one of them was
 * killed. A number of a process that is gone belongs to its members from then on.
 */
int ckpt_groups_set(struct ckpt_group *groups, size_t nr)
{
	size_t i;

	write_lock_irq(&tasklist_lock);
	for (i = 0; i < nr; i++)
		if (!pid_alive(groups[i].task)) {
			write_unlock_irq(&tasklist_lock);
			return -ESRCH;
		}
	for (i = 0; i < nr; i++) {
		struct task_struct *task = groups[i].task;

		if (task_session(task) != groups[i].session)
			change_pid(groups[i].left, task, PIDTYPE_SID, groups[i].session);
		if (task_pgrp(task) != groups[i].pgrp)
			change_pid(groups[i].left, task, PIDTYPE_PGID, groups[i].pgrp);
		task->signal->leader = groups[i].session == task_pid(task);
		proc_clear_tty(task);
	}
	write_unlock_irq(&tasklist_lock);

	for (i = 0; i < nr; i++) {
		struct task_struct *task = groups[i].task;

		free_pids(groups[i].left);
		if (task->signal->leader && !(READ_ONCE(task->flags) & PF_EXITING))
			sched_autogroup_create_attach(task);
	}
	return 0;
}
