// SPDX-License-Identifier: GPL-2.0
/* What signals do, which of them wait, and who is stopped by one. */

#include <linux/sched/jobctl.h>
#include <linux/sched/signal.h>
#include <linux/signal.h>

#include "internal.h"

static_assert(_NSIG == CKPT_SIGNALS && sizeof(sigset_t) == sizeof(u64));
static_assert(sizeof(struct kernel_siginfo) == CKPT_SIGINFO);
static_assert(sizeof(struct ckpt_siginfo) == CKPT_SIGINFO);

/* What nobody can block or handle. */
#define ALWAYS ((u64)(sigmask(SIGKILL) | sigmask(SIGSTOP)))

void ckpt_task_mask(struct task_struct *task, struct ckpt_mask *mask)
{
	*mask = (struct ckpt_mask) {
		.blocked = task->blocked.sig[0],
		.saved = task->saved_sigmask.sig[0],
		.restore_saved = test_tsk_restore_sigmask(task),
		.stack = task->sas_ss_sp,
		.stack_size = task->sas_ss_size,
		.stack_flags = task->sas_ss_flags,
	};
}

/* Of the current task. */
int ckpt_task_set_mask(const struct ckpt_mask *mask)
{
	sigset_t blocked = { .sig = { mask->blocked & ~ALWAYS } };
	const u32 mode = mask->stack_flags & ~SS_FLAG_BITS;

	if ((mode && mode != SS_DISABLE && mode != SS_ONSTACK) ||
	    (mask->stack_size && mask->stack_size < MINSIGSTKSZ))
		return -EINVAL;

	current->sas_ss_sp = mask->stack;
	current->sas_ss_size = mask->stack_size;
	current->sas_ss_flags = mask->stack_flags;
	current->saved_sigmask.sig[0] = mask->saved & ~ALWAYS;
	set_current_blocked(&blocked);
	if (mask->restore_saved)
		set_restore_sigmask();
	return 0;
}

int ckpt_task_actions(struct task_struct *task,
		      struct ckpt_action actions[CKPT_SIGNALS])
{
	unsigned long flags;
	int i;

	if (!lock_task_sighand(task, &flags))
		return -ESRCH;
	for (i = 0; i < CKPT_SIGNALS; i++) {
		const struct sigaction *sa = &task->sighand->action[i].sa;

		actions[i] = (struct ckpt_action) {
			.handler = (unsigned long)sa->sa_handler,
			.flags = sa->sa_flags & UAPI_SA_FLAGS,
			.restorer = (unsigned long)sa->sa_restorer,
			.mask = sa->sa_mask.sig[0],
		};
	}
	unlock_task_sighand(task, &flags);
	return 0;
}

/* Of the current process. SIGKILL and SIGSTOP stay as they are, whatever is asked for. */
int ckpt_task_set_actions(const struct ckpt_action actions[CKPT_SIGNALS])
{
	int i;

	for (i = 0; i < CKPT_SIGNALS; i++)
		if (actions[i].flags & ~(u64)UAPI_SA_FLAGS)
			return -EINVAL;

	spin_lock_irq(&current->sighand->siglock);
	for (i = 0; i < CKPT_SIGNALS; i++) {
		struct sigaction *sa = &current->sighand->action[i].sa;

		if (ALWAYS & (1ULL << i)) {
			memset(sa, 0, sizeof(*sa));
			continue;
		}
		sa->sa_handler = (__sighandler_t)(unsigned long)actions[i].handler;
		sa->sa_flags = actions[i].flags;
		sa->sa_restorer = (__sigrestore_t)(unsigned long)actions[i].restorer;
		sa->sa_mask.sig[0] = actions[i].mask & ~ALWAYS;
	}
	spin_unlock_irq(&current->sighand->siglock);
	return 0;
}

static void note(struct ckpt_siginfo *infos, size_t size, size_t nr,
		 const struct kernel_siginfo *info)
{
	if (nr < size)
		memcpy(&infos[nr], info, sizeof(infos[nr]));
}

/*
 * List the signals that wait for a thread, or for any of its process, in the order in which they
 * came; return how many there are, whether or not there is room.
 */
long ckpt_task_pending(struct task_struct *task, bool shared,
		       struct ckpt_siginfo *infos, size_t size)
{
	const struct sigpending *pending;
	const struct sigqueue *queued;
	unsigned long flags;
	sigset_t bare;
	size_t nr = 0;
	int signal;

	if (!lock_task_sighand(task, &flags))
		return -ESRCH;
	pending = shared ? &task->signal->shared_pending : &task->pending;
	bare = pending->signal;
	list_for_each_entry(queued, &pending->list, list) {
		/* That of a timer is a part of it. */
		if (!(queued->flags & SIGQUEUE_PREALLOC))
			note(infos, size, nr++, &queued->info);
		sigdelset(&bare, queued->info.si_signo);
	}
	/* There was no memory to say where these came from. */
	for (signal = 1; signal <= CKPT_SIGNALS; signal++) {
		struct kernel_siginfo info;

		if (!sigismember(&bare, signal))
			continue;
		clear_siginfo(&info);
		info.si_signo = signal;
		info.si_code = SI_USER;
		note(infos, size, nr++, &info);
	}
	unlock_task_sighand(task, &flags);
	return nr;
}

/* For the current task or its process, whose actions are set, and which blocks everything. */
int ckpt_task_add_pending(bool shared, const struct ckpt_siginfo *words)
{
	struct kernel_siginfo info;

	memcpy(&info, words, sizeof(info));
	if (info.si_signo < 1 || !valid_signal(info.si_signo) || info.si_signo == SIGKILL)
		return -EINVAL;
	return do_send_sig_info(info.si_signo, &info, current,
				shared ? PIDTYPE_TGID : PIDTYPE_PID);
}

/* Have a process, all threads of which are parked, stop before they reach user space. */
int ckpt_task_stop(struct task_struct *task, u32 signal)
{
	const unsigned long stop = signal | JOBCTL_STOP_PENDING | JOBCTL_STOP_CONSUME;
	struct task_struct *thread;
	unsigned long flags;

	if (!lock_task_sighand(task, &flags))
		return -ESRCH;
	task->signal->group_stop_count = 0;
	for_each_thread(task, thread)
		if (!thread->exit_state && task_set_jobctl_pending(thread, stop))
			task->signal->group_stop_count++;
	unlock_task_sighand(task, &flags);
	return 0;
}

/* The process has stopped, and its parent is to be told, or not. */
void ckpt_task_stopped(struct task_struct *task, u32 told)
{
	unsigned long flags;

	if (!lock_task_sighand(task, &flags))
		return;
	if (task->signal->flags & SIGNAL_STOP_STOPPED)
		task->signal->group_exit_code = told;
	unlock_task_sighand(task, &flags);
}

static struct sigaction *child_action(struct task_struct *task)
{
	return &task->sighand->action[SIGCHLD - 1].sa;
}

/*
 * Have a process get no signals for children that stop, as these have stopped before; true if it
 * had got them.
 */
bool ckpt_task_hush(struct task_struct *task)
{
	unsigned long flags;
	bool changed;

	if (!lock_task_sighand(task, &flags))
		return false;
	changed = !(child_action(task)->sa_flags & SA_NOCLDSTOP);
	child_action(task)->sa_flags |= SA_NOCLDSTOP;
	unlock_task_sighand(task, &flags);
	return changed;
}

void ckpt_task_unhush(struct task_struct *task)
{
	unsigned long flags;

	if (!lock_task_sighand(task, &flags))
		return;
	child_action(task)->sa_flags &= ~SA_NOCLDSTOP;
	unlock_task_sighand(task, &flags);
}
