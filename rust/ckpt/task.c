// SPDX-License-Identifier: GPL-2.0
/* What a thread has besides its memory, files and registers. */

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/hrtimer.h>
#include <linux/iocontext.h>
#include <linux/ioprio.h>
#include <linux/posix-timers.h>
#include <linux/ptrace.h>
#include <linux/rseq.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/seccomp.h>
#include <linux/signal.h>
#include <linux/syscalls.h>
#include <linux/utsname.h>
#include <uapi/linux/sched/types.h>

#include "../futex/futex.h"
#include "internal.h"

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

void ckpt_task_settings(struct task_struct *task, struct ckpt_settings *settings)
{
	memset(settings, 0, sizeof(*settings));
	settings->personality = task->personality;
	settings->no_new_privs = task_no_new_privs(task);
	settings->timer_slack = task->timer_slack_ns;
	settings->death_signal = task->pdeath_signal;
	get_task_comm(settings->comm, task);
	settings->policy = task->policy;
	settings->nice = task_nice(task);
	settings->priority = task->rt_priority;
	settings->sched_flags = task->sched_reset_on_fork;
	if (task->se.custom_slice)
		settings->slice = task->se.slice;
#ifdef CONFIG_BLOCK
	task_lock(task);
	if (task->io_context)
		settings->io_priority = task->io_context->ioprio;
	task_unlock(task);
#endif
	settings->login = from_kuid(current_user_ns(), audit_get_loginuid(task));
}

/*
 * Of the current task, with its rights; what it starts inherits that, and the session of audit,
 * which is the caller's or a new one. In a namespace that lacks the user he looks like nobody.
 */
int ckpt_task_set_login(u32 login)
{
	struct user_namespace *ns = current_user_ns();
	const kuid_t user = make_kuid(ns, login);

	if (login == from_kuid(ns, audit_get_loginuid(current)))
		return 0;
	if (login != (uid_t)-1 && !uid_valid(user))
		return -EINVAL;
#ifdef CONFIG_AUDIT
	return audit_set_loginuid(user);
#else
	return -EOPNOTSUPP;
#endif
}

static int set_policy(const struct ckpt_settings *settings)
{
	struct sched_attr attr = {
		.size = sizeof(attr),
		.sched_nice = settings->nice,
		.sched_runtime = settings->slice,
	};
	int ret = 0;

	/* Only system calls are looked at by the scheduler itself. */
	if (settings->policy > SCHED_IDLE || settings->sched_flags > 1 ||
	    settings->nice < MIN_NICE || settings->nice > MAX_NICE)
		return -EINVAL;
	/* Other policies have no nice value, but keep it for when they change. */
	if (settings->policy != SCHED_NORMAL && settings->policy != SCHED_BATCH) {
		ret = sched_setattr(current, &attr);
		attr.sched_runtime = 0;
	}
	attr.sched_policy = settings->policy;
	attr.sched_priority = settings->priority;
	if (settings->sched_flags)
		attr.sched_flags |= SCHED_FLAG_RESET_ON_FORK;
	return ret ?: sched_setattr(current, &attr);
}

static int set_io_priority(const struct ckpt_settings *settings)
{
#ifdef CONFIG_BLOCK
	const int class = IOPRIO_PRIO_CLASS(settings->io_priority);
	int ret;

	if (settings->io_priority > USHRT_MAX)
		return -EINVAL;
	if (settings->io_priority == (current->io_context ? current->io_context->ioprio : 0))
		return 0;
	if (class != IOPRIO_CLASS_NONE) {
		ret = ioprio_check_cap(settings->io_priority);
		if (ret)
			return ret;
	}
	return set_task_ioprio(current, settings->io_priority);
#else
	return settings->io_priority ? -EOPNOTSUPP : 0;
#endif
}

/* Of the current task, with its rights. */
int ckpt_task_set_scheduling(const struct ckpt_settings *settings)
{
	return set_policy(settings) ?: set_io_priority(settings);
}

/* Of the current task; the name ends with a 0. */
void ckpt_task_set_name(const char *name)
{
	char comm[TASK_COMM_LEN];

	strscpy_pad(comm, name);
	set_task_comm(current, comm);
}

/* Of the current task, which is new. */
int ckpt_task_set_settings(const struct ckpt_settings *settings)
{
	if (!valid_signal(settings->death_signal))
		return -EINVAL;
	/* It cannot be taken away, so the caller must not have it either. */
	if (!settings->no_new_privs && task_no_new_privs(current))
		return -EPERM;

	set_personality(settings->personality);
	current->timer_slack_ns = settings->timer_slack;
	if (settings->no_new_privs)
		task_set_no_new_privs(current);
	set_task_comm(current, settings->comm);
	return 0;
}

/* Of a new task, when all that are to end have ended: the end of a thread tells it, too. */
void ckpt_task_set_death_signal(struct task_struct *task, u32 signal)
{
	task->pdeath_signal = signal;
}

/*
 * The processors that a task may use, the first in the lowest bit of the first byte; return the
 * size of that, 0 if they are all.
 */
size_t ckpt_task_affinity(struct task_struct *task, void *mask, size_t size)
{
	const cpumask_t *cpus = &task->cpus_mask;
	u8 *bytes = mask;
	unsigned int cpu;

	if (cpumask_subset(cpu_online_mask, cpus))
		return 0;
	size = min(size, DIV_ROUND_UP(nr_cpu_ids, BITS_PER_BYTE));
	memset(bytes, 0, size);
	for_each_cpu(cpu, cpus)
		if (cpu / BITS_PER_BYTE < size)
			bytes[cpu / BITS_PER_BYTE] |= BIT(cpu % BITS_PER_BYTE);
	return size;
}

/* Of the current task; as many of them as this machine, and its cpuset, have. */
int ckpt_task_set_affinity(const void *mask, size_t size)
{
	const u8 *bytes = mask;
	cpumask_var_t cpus;
	unsigned int cpu;
	int ret;

	if (!size)
		return cpumask_subset(cpu_online_mask, &current->cpus_mask) ? 0 :
			sched_setaffinity(0, cpu_possible_mask);
	if (!zalloc_cpumask_var(&cpus, GFP_KERNEL))
		return -ENOMEM;
	for_each_possible_cpu(cpu)
		if (cpu / BITS_PER_BYTE < size &&
		    bytes[cpu / BITS_PER_BYTE] & BIT(cpu % BITS_PER_BYTE))
			cpumask_set_cpu(cpu, cpus);
	ret = sched_setaffinity(0, cpus);
	free_cpumask_var(cpus);
	return ret;
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

/*
 * Of the current task, with its rights: what it will have is allowed, and what it has may be more,
 * so that nothing is in the way meanwhile. The limit of the stack says where memory is.
 */
int ckpt_task_raise_rlimits(const u64 limits[2 * CKPT_RLIMITS])
{
	struct rlimit *rlim = current->signal->rlim;
	int i;

	guard(task_lock)(current->group_leader);
	for (i = 0; i < CKPT_RLIMITS; i++) {
		const u64 soft = limits[2 * i], hard = limits[2 * i + 1];

		if (soft > hard)
			return -EINVAL;
		if (hard > rlim[i].rlim_max && !capable(CAP_SYS_RESOURCE))
			return -EPERM;
		rlim[i].rlim_max = max(rlim[i].rlim_max, hard);
		rlim[i].rlim_cur = i == RLIMIT_STACK ? soft : rlim[i].rlim_max;
	}
	return 0;
}

/* Of a task that is parked, and has raised them. */
int ckpt_task_set_rlimits(struct task_struct *task, const u64 limits[2 * CKPT_RLIMITS])
{
	const u64 cpu = limits[2 * RLIMIT_CPU];
	int i;

	scoped_guard(task_lock, task->group_leader)
		for (i = 0; i < CKPT_RLIMITS; i++)
			task->signal->rlim[i] = (struct rlimit) {
				.rlim_cur = limits[2 * i],
				.rlim_max = limits[2 * i + 1],
			};
	return cpu == RLIM_INFINITY ? 0 : update_rlimit_cpu(task, cpu);
}
