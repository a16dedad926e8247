// SPDX-License-Identifier: GPL-2.0
/* Timers of a process. */

#include <linux/hrtimer.h>
#include <linux/hrtimer_bases.h>
#include <linux/posix-timers.h>
#include <linux/sched/cputime.h>
#include <linux/sched/signal.h>
#include <linux/signal.h>

#include "../time/posix-timers.h"
#include "internal.h"

static_assert(CKPT_ITIMERS == ITIMER_PROF + 1);

/* Clock of the timer that runs by the time that a process uses. */
static int cpu_clock(int which)
{
	return which == ITIMER_VIRTUAL ? CPUCLOCK_VIRT : CPUCLOCK_PROF;
}

/* As getitimer(2). What is about to go off has a nanosecond left. */
int ckpt_task_itimers(struct task_struct *task, struct ckpt_itimers *timers)
{
	struct signal_struct *signal = task->signal;
	unsigned long flags;
	int which;

	memset(timers, 0, sizeof(*timers));
	if (!lock_task_sighand(task, &flags))
		return -ESRCH;
	if (hrtimer_active(&signal->real_timer))
		timers->left[ITIMER_REAL] =
			max_t(s64, hrtimer_get_remaining(&signal->real_timer), 1);
	timers->interval[ITIMER_REAL] = signal->it_real_incr;
	for (which = ITIMER_VIRTUAL; which <= ITIMER_PROF; which++) {
		const struct cpu_itimer *timer = &signal->it[cpu_clock(which)];
		u64 used[CPUCLOCK_MAX];

		timers->interval[which] = timer->incr;
		if (!timer->expires)
			continue;
		thread_group_sample_cputime(task, used);
		timers->left[which] =
			max_t(s64, timer->expires - used[cpu_clock(which)], 1);
	}
	unlock_task_sighand(task, &flags);
	return 0;
}

/* Of the current process, which has none yet. */
int ckpt_task_set_itimers(const struct ckpt_itimers *timers)
{
	struct signal_struct *signal = current->signal;
	int which;

	for (which = ITIMER_REAL; which <= ITIMER_PROF; which++)
		if (timers->left[which] > KTIME_MAX || timers->interval[which] > KTIME_MAX)
			return -EINVAL;

	spin_lock_irq(&current->sighand->siglock);
	/* If its signal waits, it is set again when that is taken. */
	signal->it_real_incr = timers->interval[ITIMER_REAL];
	if (timers->left[ITIMER_REAL])
		hrtimer_start(&signal->real_timer, timers->left[ITIMER_REAL],
			      HRTIMER_MODE_REL);
	for (which = ITIMER_VIRTUAL; which <= ITIMER_PROF; which++) {
		struct cpu_itimer *timer = &signal->it[cpu_clock(which)];
		u64 expires = timers->left[which], before = 0;

		if (expires)
			set_process_cpu_timer(current, cpu_clock(which), &expires, &before);
		timer->expires = expires;
		timer->incr = timers->interval[which];
	}
	spin_unlock_irq(&current->sighand->siglock);
	return 0;
}

/* Whether a timer goes off when the real-time clock says so, and not after some time. */
static bool is_absolute(const struct k_itimer *timer)
{
	return timer->it_clock == CLOCK_REALTIME && timer->it_status == POSIX_TIMER_ARMED &&
	       timer->it.real.timer.base->clockid == CLOCK_REALTIME;
}

/* False if it is being deleted. */
static bool describe(struct task_struct *task, struct k_itimer *timer, struct ckpt_timer *into)
{
	const struct kernel_siginfo *info = &timer->sigq.info;
	struct itimerspec64 setting = {};

	guard(spinlock_irqsave)(&timer->it_lock);
	if (timer->it_signal != task->signal)
		return false;
	timer->kclock->timer_get(timer, &setting);
	*into = (struct ckpt_timer) {
		.id = timer->it_id,
		.clock = timer->it_clock,
		.notify = timer->it_sigev_notify,
		.signal = info->si_signo,
		.thread = timer->it_pid_type == PIDTYPE_PID ?
			pid_nr_ns(timer->it_pid, ns_of_pid(timer->it_pid)) : 0,
		.flags = list_empty(&timer->sigq.list) ? 0 : CKPT_TIMER_QUEUED,
		.value = (unsigned long)info->si_value.sival_ptr,
		.left = timespec64_to_ns(&setting.it_value),
		.interval = timespec64_to_ns(&setting.it_interval),
		.overrun = timer->it_overrun,
		.overrun_last = timer->it_overrun_last,
	};
	if (is_absolute(timer)) {
		into->flags |= CKPT_TIMER_ABSOLUTE;
		into->left = hrtimer_get_expires(&timer->it.real.timer);
	}
	return true;
}

/*
 * List the POSIX timers of a process that is at rest. Return how many there are, whether or not
 * there is room.
 */
size_t ckpt_task_timers(struct task_struct *task, struct ckpt_timer *timers, size_t size)
{
	struct k_itimer *timer;
	size_t nr = 0;

	guard(rcu)();
	hlist_for_each_entry_rcu(timer, &task->signal->posix_timers, list)
		if (nr >= size || describe(task, timer, &timers[nr]))
			nr++;
	return nr;
}

static struct k_itimer *find(timer_t id)
{
	struct k_itimer *timer;

	hlist_for_each_entry_rcu(timer, &current->signal->posix_timers, list)
		if (timer->it_id == id)
			return timer;
	return NULL;
}

/* Keep a timer of the current process from going off, and when that would be. */
static void unset(struct k_itimer *timer)
{
	if (timer->kclock->timer_try_to_cancel) {
		timer->kclock->timer_try_to_cancel(timer);
		return;
	}
	guard(spinlock)(&current->sighand->siglock);
	cpu_timer_dequeue(&timer->it.cpu);
}

/* Make a timer of the current process, whose threads are all there. */
int ckpt_task_add_timer(const struct ckpt_timer *from)
{
	const bool absolute = from->flags & CKPT_TIMER_ABSOLUTE;
	const bool queued = from->flags & CKPT_TIMER_QUEUED;
	struct sigevent event = {
		.sigev_value.sival_ptr = (void __user *)(unsigned long)from->value,
		.sigev_signo = from->signal,
		.sigev_notify = from->notify,
		.sigev_notify_thread_id = from->thread,
	};
	struct itimerspec64 setting = {
		.it_value = ns_to_timespec64(from->left),
		.it_interval = ns_to_timespec64(from->interval),
	};
	struct k_itimer *timer;
	int ret;

	if (from->id < 0 || from->flags & ~CKPT_TIMER_FLAGS || from->left > KTIME_MAX ||
	    from->interval > KTIME_MAX || (absolute && from->clock != CLOCK_REALTIME))
		return -EINVAL;
	/* Without a signal, none can wait. */
	if (from->notify == SIGEV_NONE ? queued :
	    from->signal < 1 || !valid_signal(from->signal))
		return -EINVAL;
	/* Of a clock that counts for somebody, or a device, only for this process. */
	if (from->clock < 0 &&
	    ((from->clock & CLOCKFD_MASK) == CLOCKFD || CPUCLOCK_PID(from->clock)))
		return -EINVAL;
	ret = posix_timer_create(from->clock, &event, from->id, NULL);
	if (!ret)
		ret = do_timer_settime(from->id, absolute ? TIMER_ABSTIME : 0, &setting, NULL);
	if (ret)
		return ret;

	guard(rcu)();
	timer = find(from->id);
	if (!timer)
		return -ESRCH;
	guard(spinlock_irqsave)(&timer->it_lock);
	timer->it_overrun = from->overrun;
	timer->it_overrun_last = from->overrun_last;
	if (queued) {
		/* It is set again when its signal is taken; it may just have sent that. */
		unset(timer);
		posix_timer_queue_signal(timer);
	}
	return 0;
}
