// SPDX-License-Identifier: GPL-2.0
/* What a task has besides its memory, files and registers. */

#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/hrtimer.h>
#include <linux/landlock.h>
#include <linux/oom.h>
#include <linux/pid_namespace.h>
#include <linux/ptrace.h>
#include <linux/rseq.h>
#include <linux/sched/coredump.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/seccomp.h>
#include <linux/signal.h>
#include <linux/syscalls.h>
#include <linux/utsname.h>

#include "../futex/futex.h"
#include "internal.h"

static_assert(_NSIG == CKPT_SIGNALS && sizeof(sigset_t) == sizeof(u64));
static_assert(RLIM_NLIMITS == CKPT_RLIMITS);

/* The size and alignment of the first version of struct rseq; larger ones have the second ABI. */
#define RSEQ_LEAST	32

/* That of this kernel, whatever a namespace says. */
const char *ckpt_release(void)
{
	return init_uts_ns.name.release;
}

/* Whether the caller may make images, or also restore. */
int ckpt_may(bool restore)
{
	struct user_namespace *ns = current_user_ns();

	if (!checkpoint_restore_ns_capable(ns) ||
	    (restore && !ns_capable(ns, CAP_SYS_ADMIN)))
		return -EPERM;
	return 0;
}

/* What new tasks would inherit from the caller although their image does not have it. */
const char *ckpt_confined(void)
{
#ifdef CONFIG_SECCOMP
	if (current->seccomp.mode != SECCOMP_MODE_DISABLED)
		return "the caller is confined by seccomp";
#endif
	if (landlock_confines(current))
		return "the caller is confined by Landlock";
	return NULL;
}

/* Whether the caller is the user that has @cred. */
bool ckpt_is_user(const struct cred *cred)
{
	return cred->user_ns == current_user_ns() && uid_eq(cred->euid, current_euid());
}

/* Whether the caller may see all of a task. */
int ckpt_task_may(struct task_struct *task)
{
	return ptrace_may_access(task, PTRACE_MODE_ATTACH_REALCREDS) ? 0 : -EPERM;
}

/* Whether a task that was at rest was killed: its memory is not what it was. */
bool ckpt_task_killed(struct task_struct *task)
{
	return fatal_signal_pending(task) || (READ_ONCE(task->flags) & PF_EXITING);
}

/* How long a task that was frozen again may take to notice. */
#define SETTLE_TIMEOUT	(10 * HZ)

/*
 * Wait until a frozen, stopped or parked task is off its CPU; false if it is
 * none of that any more. One that is frozen again before it has noticed that it
 * was let go still counts as frozen, and runs once more.
 */
bool ckpt_task_settle(struct task_struct *task)
{
	unsigned long end = jiffies + SETTLE_TIMEOUT;

	while (!wait_task_inactive(task, TASK_NORMAL | TASK_WAKEKILL | TASK_FREEZABLE |
				   TASK_FROZEN | __TASK_STOPPED | __TASK_TRACED)) {
		if (ckpt_task_killed(task) || fatal_signal_pending(current) ||
		    time_after(jiffies, end))
			return false;
		schedule_timeout_uninterruptible(1);
	}
	return true;
}

/* How many children it has. */
u32 ckpt_task_children(struct task_struct *task)
{
	guard(read_lock)(&tasklist_lock);
	return list_count_nodes(&task->children);
}

/* Numbers are those that the caller's namespace has; 0 is a task outside of it. */
void ckpt_task_ids(struct task_struct *task, struct ckpt_ids *ids)
{
	struct pid_namespace *ns = task_active_pid_ns(current);

	memset(ids, 0, sizeof(*ids));
	rcu_read_lock();
	ids->pid = task_pid_nr_ns(task, ns);
	ids->parent = task_tgid_nr_ns(rcu_dereference(task->real_parent), ns);
	ids->pgrp = task_pgrp_nr_ns(task, ns);
	ids->session = task_session_nr_ns(task, ns);
	rcu_read_unlock();
	ids->exit_signal = task->exit_signal;
	ids->personality = task->personality;
	ids->timer_slack = task->timer_slack_ns;
	ids->oom_score_adj = task->signal->oom_score_adj;
	ids->dumpable = task_exec_state_get_dumpable(task);
	ids->no_new_privs = task_no_new_privs(task);
	get_task_comm(ids->comm, task);
}

/* Make the current task, which is new and has no children yet, lead a session. */
int ckpt_task_lead(void)
{
	int ret = ksys_setsid();

	return ret < 0 ? ret : 0;
}

/* Of the current task, which is new; its number it has from the start. */
int ckpt_task_set_ids(const struct ckpt_ids *ids)
{
	if (!valid_signal(ids->exit_signal) ||
	    ids->oom_score_adj < OOM_SCORE_ADJ_MIN ||
	    ids->oom_score_adj > OOM_SCORE_ADJ_MAX ||
	    ids->dumpable > TASK_DUMPABLE_OWNER)
		return -EINVAL;
	/* It cannot be taken away, so the caller must not have it either. */
	if (!ids->no_new_privs && task_no_new_privs(current))
		return -EPERM;
	if (ids->oom_score_adj < current->signal->oom_score_adj_min &&
	    !capable(CAP_SYS_RESOURCE))
		return -EPERM;

	set_personality(ids->personality);
	current->timer_slack_ns = ids->timer_slack;
	current->signal->oom_score_adj = ids->oom_score_adj;
	task_exec_state_set_dumpable(ids->dumpable);
	if (ids->no_new_privs)
		task_set_no_new_privs(current);
	set_task_comm(current, ids->comm);
	return 0;
}

int ckpt_task_signals(struct task_struct *task, struct ckpt_signals *signals,
		      struct ckpt_action actions[CKPT_SIGNALS])
{
	unsigned long flags;
	int i;

	memset(signals, 0, sizeof(*signals));
	if (!lock_task_sighand(task, &flags))
		return -ESRCH;

	signals->blocked = task->blocked.sig[0];
	signals->saved = task->saved_sigmask.sig[0];
	signals->restore_saved = test_tsk_restore_sigmask(task);
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

	signals->stack = task->sas_ss_sp;
	signals->stack_size = task->sas_ss_size;
	signals->stack_flags = task->sas_ss_flags;
	return 0;
}

/* Of the current task. SIGKILL and SIGSTOP stay as they are, whatever is asked for. */
int ckpt_task_set_signals(const struct ckpt_signals *signals,
			  const struct ckpt_action actions[CKPT_SIGNALS])
{
	const u64 always = sigmask(SIGKILL) | sigmask(SIGSTOP);
	sigset_t blocked = { .sig = { signals->blocked & ~always } };
	int i;

	if ((signals->stack_flags & ~(u32)(SS_FLAG_BITS | SS_DISABLE)) ||
	    (signals->stack_size && signals->stack_size < MINSIGSTKSZ))
		return -EINVAL;
	for (i = 0; i < CKPT_SIGNALS; i++)
		if (actions[i].flags & ~(u64)UAPI_SA_FLAGS)
			return -EINVAL;

	spin_lock_irq(&current->sighand->siglock);
	for (i = 0; i < CKPT_SIGNALS; i++) {
		struct sigaction *sa = &current->sighand->action[i].sa;

		if (always & (1ULL << i)) {
			memset(sa, 0, sizeof(*sa));
			continue;
		}
		sa->sa_handler = (__sighandler_t)(unsigned long)actions[i].handler;
		sa->sa_flags = actions[i].flags;
		sa->sa_restorer = (__sigrestore_t)(unsigned long)actions[i].restorer;
		sa->sa_mask.sig[0] = actions[i].mask & ~always;
	}
	current->saved_sigmask.sig[0] = signals->saved & ~always;
	spin_unlock_irq(&current->sighand->siglock);

	current->sas_ss_sp = signals->stack;
	current->sas_ss_size = signals->stack_size;
	current->sas_ss_flags = signals->stack_flags;
	set_current_blocked(&blocked);
	if (signals->restore_saved)
		set_restore_sigmask();
	return 0;
}

void ckpt_task_thread(struct task_struct *task, struct ckpt_thread *thread)
{
	memset(thread, 0, sizeof(*thread));
#ifdef CONFIG_RSEQ
	thread->rseq = (unsigned long)task->rseq.usrptr;
	thread->rseq_len = task->rseq.len;
	thread->rseq_sig = task->rseq.sig;
#endif
	thread->robust = (unsigned long)task->futex.robust_list;
	thread->clear_tid = (unsigned long)task->clear_child_tid;
}

/*
 * Of the current task, in its new address space. A task that was stopped within
 * a critical section must not go on there, although it did not come from an
 * interrupt: user_irq makes the kernel look.
 */
int ckpt_task_set_thread(const struct ckpt_thread *thread)
{
	current->futex.robust_list = (void __user *)thread->robust;
	current->clear_child_tid = (void __user *)thread->clear_tid;
#ifdef CONFIG_RSEQ
	rseq_reset(current);
	if (thread->rseq) {
		if (!IS_ALIGNED(thread->rseq, RSEQ_LEAST) ||
		    thread->rseq_len < RSEQ_LEAST ||
		    thread->rseq_len > PAGE_SIZE ||
		    !access_ok((void __user *)thread->rseq, thread->rseq_len))
			return -EINVAL;
		current->rseq.usrptr = (void __user *)thread->rseq;
		current->rseq.len = thread->rseq_len;
		current->rseq.sig = thread->rseq_sig;
		current->rseq.event.has_rseq =
			thread->rseq_len == RSEQ_LEAST ? 1 : 2;
	}
#else
	if (thread->rseq)
		return -EOPNOTSUPP;
#endif
	return 0;
}

int ckpt_task_restart(struct task_struct *task, struct ckpt_restart *restart)
{
	const struct restart_block *block = &task->restart_block;

	memset(restart, 0, sizeof(*restart));
	if (!ckpt_arch_restarts(task) || block->fn == do_no_restart_syscall)
		return 0;
	if (block->fn == hrtimer_nanosleep_restart) {
		ktime_t now;

		switch (block->nanosleep.clockid) {
		case CLOCK_MONOTONIC:
			now = ktime_get();
			break;
		case CLOCK_BOOTTIME:
			now = ktime_get_boottime();
			break;
		default:
			return -EOPNOTSUPP;
		}
		if (block->nanosleep.type == TT_COMPAT)
			return -EOPNOTSUPP;
		restart->kind = CKPT_RESTART_NANOSLEEP;
		restart->clock = block->nanosleep.clockid;
		restart->address = block->nanosleep.type == TT_NATIVE ?
			(unsigned long)block->nanosleep.rmtp : 0;
		restart->left = ktime_sub(block->nanosleep.expires, now);
		return 0;
	}
	if (block->fn == do_restart_poll) {
		restart->kind = CKPT_RESTART_POLL;
		restart->address = (unsigned long)block->poll.ufds;
		restart->count = block->poll.nfds;
		restart->left = block->poll.has_timeout ?
			ktime_sub(timespec64_to_ktime(block->poll.end_time), ktime_get()) :
			KTIME_MAX;
		return 0;
	}
	if (block->fn == futex_wait_restart) {
		const u32 known = FLAGS_SIZE_MASK | FLAGS_SHARED | FLAGS_CLOCKRT |
				  FLAGS_HAS_TIMEOUT;

		if ((block->futex.flags & ~known) ||
		    (block->futex.flags & FLAGS_SIZE_MASK) != FLAGS_SIZE_32)
			return -EOPNOTSUPP;
		restart->kind = CKPT_RESTART_FUTEX;
		if (block->futex.flags & FLAGS_SHARED)
			restart->clock |= CKPT_FUTEX_SHARED;
		if (block->futex.flags & FLAGS_CLOCKRT)
			restart->clock |= CKPT_FUTEX_REALTIME;
		restart->address = (unsigned long)block->futex.uaddr;
		restart->count = (u64)block->futex.bitset << 32 | block->futex.val;
		restart->left = KTIME_MAX;
		if (block->futex.flags & FLAGS_HAS_TIMEOUT)
			restart->left = block->futex.flags & FLAGS_CLOCKRT ?
				block->futex.time :
				ktime_sub(block->futex.time, ktime_get());
		return 0;
	}
	return -EOPNOTSUPP;
}

int ckpt_task_set_restart(struct task_struct *task,
			  const struct ckpt_restart *restart)
{
	struct restart_block *block = &task->restart_block;
	ktime_t left = max_t(s64, restart->left, 0);

	memset(block, 0, sizeof(*block));
	block->fn = do_no_restart_syscall;
	switch (restart->kind) {
	case CKPT_RESTART_NONE:
		return 0;
	case CKPT_RESTART_NANOSLEEP:
		if (restart->clock == CLOCK_MONOTONIC)
			block->nanosleep.expires = ktime_add_safe(ktime_get(), left);
		else if (restart->clock == CLOCK_BOOTTIME)
			block->nanosleep.expires = ktime_add_safe(ktime_get_boottime(), left);
		else
			return -EINVAL;
		block->nanosleep.clockid = restart->clock;
		block->nanosleep.type = restart->address ? TT_NATIVE : TT_NONE;
		block->nanosleep.rmtp = (void __user *)restart->address;
		block->fn = hrtimer_nanosleep_restart;
		return 0;
	case CKPT_RESTART_POLL:
		if (restart->count > INT_MAX)
			return -EINVAL;
		block->poll.ufds = (void __user *)restart->address;
		block->poll.nfds = restart->count;
		block->poll.has_timeout = restart->left != KTIME_MAX;
		if (block->poll.has_timeout)
			block->poll.end_time =
				ktime_to_timespec64(ktime_add_safe(ktime_get(), left));
		block->fn = do_restart_poll;
		return 0;
	case CKPT_RESTART_FUTEX:
		if (restart->clock & ~(CKPT_FUTEX_SHARED | CKPT_FUTEX_REALTIME) ||
		    !(restart->count >> 32))
			return -EINVAL;
		block->futex.uaddr = (void __user *)restart->address;
		block->futex.val = restart->count;
		block->futex.bitset = restart->count >> 32;
		block->futex.flags = FLAGS_SIZE_32;
		if (restart->clock & CKPT_FUTEX_SHARED)
			block->futex.flags |= FLAGS_SHARED;
		if (restart->clock & CKPT_FUTEX_REALTIME)
			block->futex.flags |= FLAGS_CLOCKRT;
		if (restart->left != KTIME_MAX) {
			block->futex.flags |= FLAGS_HAS_TIMEOUT;
			block->futex.time = restart->clock & CKPT_FUTEX_REALTIME ?
				left : ktime_add_safe(ktime_get(), left);
		}
		block->fn = futex_wait_restart;
		return 0;
	}
	return -EINVAL;
}

void ckpt_task_rlimits(struct task_struct *task, u64 limits[2 * CKPT_RLIMITS])
{
	int i;

	task_lock(task->group_leader);
	for (i = 0; i < CKPT_RLIMITS; i++) {
		limits[2 * i] = task->signal->rlim[i].rlim_cur;
		limits[2 * i + 1] = task->signal->rlim[i].rlim_max;
	}
	task_unlock(task->group_leader);
}

/* Of the current task, with its rights. */
int ckpt_task_set_rlimits(const u64 limits[2 * CKPT_RLIMITS])
{
	struct rlimit *rlim = current->signal->rlim;
	int i, ret = 0;

	task_lock(current->group_leader);
	for (i = 0; i < CKPT_RLIMITS; i++) {
		u64 soft = limits[2 * i], hard = limits[2 * i + 1];

		if (soft > hard)
			ret = -EINVAL;
		else if (hard > rlim[i].rlim_max && !capable(CAP_SYS_RESOURCE))
			ret = -EPERM;
		if (ret)
			break;
		rlim[i] = (struct rlimit) { .rlim_cur = soft, .rlim_max = hard };
	}
	task_unlock(current->group_leader);
	return ret;
}
