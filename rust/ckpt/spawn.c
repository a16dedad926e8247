// SPDX-License-Identifier: GPL-2.0
/*
 * Tasks that are being restored. Each is made by its parent, rebuilds itself,
 * and parks on its way into user space, behind the point where the kernel
 * would overwrite registers of a new task; there it gets the old ones.
 */

#include <linux/completion.h>
#include <linux/rseq.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/task_work.h>
#include <linux/wait.h>
#include <uapi/linux/wait.h>

#include "internal.h"

/* Called on the way to user space. Signals come next, as after the call that was frozen. */
static void park(struct callback_head *work)
{
	struct ckpt_parking *parking = container_of(work, struct ckpt_parking, work);

	complete_all(&parking->parked);
	if (!(current->flags & PF_EXITING))
		wait_for_completion_killable(&parking->released);
	ckpt_forget(parking->arg);
#ifdef CONFIG_RSEQ
	/* As after an interrupt: the task may have been in a critical section. */
	if (current->rseq.event.has_rseq) {
		current->rseq.event.user_irq = true;
		rseq_force_update();
	}
#endif
	set_thread_flag(TIF_SIGPENDING);
}

static int begin(void *data)
{
	struct ckpt_parking *parking = data;
	int ret = 0;

	/* What the caller has of it is not for the memory of others. */
	current->personality = PER_LINUX;
	/* The parent waits for that: who runs out of memory must not be ended with it. */
	if (parking->renews)
		ret = ckpt_mm_renew();
	/* It would wait for ever for what does not come. */
	if (ret)
		mm_exit_exec_release(current, current->mm);
	/* Until the parent has written what it knows. */
	wait_for_completion(&parking->begun);

	parking->result = ret ?: ckpt_rebuild(parking->arg);
	/* One that could not be rebuilt has none. */
	complete_all(&parking->mapped);
	init_task_work(&parking->work, park);
	if (!parking->result && !parking->ends)
		parking->result = task_work_add(current, &parking->work, TWA_RESUME);
	if (parking->result || parking->ends) {
		const bool failed = parking->result;
		const u32 status = parking->status;
		void *arg = parking->arg;

		complete_all(&parking->parked);
		ckpt_forget(arg);
		if (failed)
			do_group_exit(SIGKILL);
		do_exit(status);
	}
	return 0;
}

u64 ckpt_signals_block(void)
{
	sigset_t all, before = current->blocked;

	sigfillset(&all);
	set_current_blocked(&all);
	return before.sig[0];
}

void ckpt_signals_unblock(u64 before)
{
	sigset_t set = { .sig = { before } };

	set_current_blocked(&set);
}

void ckpt_parking_init(struct ckpt_parking *parking)
{
	memset(parking, 0, sizeof(*parking));
	init_completion(&parking->begun);
	init_completion(&parking->mapped);
	init_completion(&parking->parked);
	init_completion(&parking->released);
	init_completion(&parking->told);
}

/* The task ends by itself when it has made its children and its other threads. */
void ckpt_parking_end(struct ckpt_parking *parking, u32 status)
{
	parking->ends = true;
	parking->status = status;
}

void ckpt_parking_destroy(struct ckpt_parking *parking)
{
	if (parking->task)
		put_task_struct(parking->task);
	if (parking->mm)
		mmput(parking->mm);
	if (parking->origin)
		mmput(parking->origin);
}

/*
 * Make a child or a thread of the current task, which calls ckpt_rebuild(@arg), and in the end
 * ckpt_forget(@arg). It begins with an empty address space, or with that of its parent, and without
 * anybody to tell of its death.
 */
int ckpt_spawn(struct ckpt_parking *parking, void *arg, int pid, int cgroup,
	       u32 flags)
{
	pid_t number = pid;
	struct kernel_clone_args args = {
		.flags = CLONE_VM | CLONE_UNTRACED,
		.set_tid = &number,
		.set_tid_size = 1,
		.fn = begin,
		.fn_arg = parking,
	};
	pid_t ret;

	if (flags & CKPT_SPAWN_THREAD)
		args.flags |= CLONE_THREAD | CLONE_SIGHAND | CLONE_SYSVSEM;
	if (flags & CKPT_SPAWN_FILES)
		args.flags |= CLONE_FILES;
	if (flags & CKPT_SPAWN_FS)
		args.flags |= CLONE_FS;
	if (flags & CKPT_SPAWN_SIBLING)
		args.flags |= CLONE_PARENT;
	if (flags & CKPT_SPAWN_INIT)
		args.flags |= CLONE_NEWPID;
	parking->renews = !(flags & (CKPT_SPAWN_THREAD | CKPT_SPAWN_MEMORY));
	if (parking->renews)
		args.flags |= CLONE_VFORK;
	if (cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = cgroup;
	}
	parking->arg = arg;
	ret = kernel_clone(&args);
	if (ret < 0)
		return ret == -ERESTARTNOINTR ? -EINTR : ret;

	/* The child waits for us, even if it was killed, so it is still there. */
	rcu_read_lock();
	parking->task = get_task_struct(find_task_by_vpid(ret));
	rcu_read_unlock();
	parking->pid = ret;
	complete(&parking->begun);
	return 0;
}

/* The address space of the current task is as it should be, but for what is in its pages. */
void ckpt_parking_mapped(struct ckpt_parking *parking)
{
	mmget(current->mm);
	parking->mm = current->mm;
	complete_all(&parking->mapped);
}

/* Wait for that address space; return it with a reference. */
struct mm_struct *ckpt_parking_mm(struct ckpt_parking *parking)
{
	int ret = wait_for_completion_killable(&parking->mapped);

	if (ret)
		return ERR_PTR(ret);
	if (!parking->mm)
		return ERR_PTR(parking->result ?: -ESRCH);
	mmget(parking->mm);
	return parking->mm;
}

/* The pages of @origin, which the task will share, are complete. */
void ckpt_parking_tell(struct ckpt_parking *parking, struct mm_struct *origin)
{
	mmget(origin);
	parking->origin = origin;
	complete_all(&parking->told);
}

/* Wait for that, as the task itself; return the origin. */
struct mm_struct *ckpt_parking_origin(struct ckpt_parking *parking)
{
	int ret = wait_for_completion_killable(&parking->told);

	return ret ? ERR_PTR(ret) : parking->origin;
}

/* Wait until the task is parked, or has ended; return what became of it. */
int ckpt_parking_wait(struct ckpt_parking *parking)
{
	int ret = wait_for_completion_killable(&parking->parked);

	if (ret || parking->result || !parking->ends)
		return ret ?: parking->result;
	while (!READ_ONCE(parking->task->exit_state)) {
		if (fatal_signal_pending(current))
			return -EINTR;
		schedule_timeout_uninterruptible(1);
	}
	return 0;
}

/* Have the parent be told of the death of a task from now on. */
void ckpt_task_set_exit_signal(struct task_struct *task, int signal)
{
	WRITE_ONCE(task->exit_signal, signal);
}

/* Let the task go on. */
void ckpt_parking_release(struct ckpt_parking *parking)
{
	complete(&parking->released);
}

/* End the process of a task, and wait until that makes no others any more. */
void ckpt_parking_kill(struct ckpt_parking *parking)
{
	if (!parking->task)
		return;
	/* Its first thread may have ended. */
	do_send_sig_info(SIGKILL, SEND_SIG_PRIV, parking->task, PIDTYPE_TGID);
	wait_for_completion(&parking->parked);
}

/*
 * Wait until a killed process is gone, whose parent is: it is a child of the caller now, or of
 * somebody else, who waits for it.
 */
void ckpt_parking_bury(struct ckpt_parking *parking)
{
	struct task_struct *task = parking->task;
	pid_t number;

	while (task && (number = task_pid_vnr(task))) {
		if (kernel_wait4(number, NULL, __WALL, NULL) == number)
			return;
		if (READ_ONCE(task->exit_state) && thread_group_empty(task))
			return;
		schedule_timeout_uninterruptible(1);
	}
}
