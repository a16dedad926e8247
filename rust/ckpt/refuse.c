// SPDX-License-Identifier: GPL-2.0
/*
 * What cannot be saved, by the name that people have for it. Whatever a task
 * can have and no other file here saves is listed in this one.
 */

#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/fdtable.h>
#include <linux/filelock.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/io_uring.h>
#include <linux/kdev_t.h>
#include <linux/landlock.h>
#include <linux/magic.h>
#include <linux/major.h>
#include <linux/mempolicy.h>
#include <linux/nsproxy.h>
#include <linux/pid_namespace.h>
#include <linux/posix-timers.h>
#include <linux/sched/jobctl.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sem.h>

#include "internal.h"

static bool of_the_kernel(struct task_struct *task)
{
	return task->flags & (PF_KTHREAD | PF_USER_WORKER);
}

static bool shared_handlers(struct task_struct *task)
{
	unsigned long flags;
	bool shared;

	if (!lock_task_sighand(task, &flags))
		return false;
	shared = refcount_read(&task->sighand->count) > get_nr_threads(task);
	unlock_task_sighand(task, &flags);
	return shared;
}

/* Its code has breakpoints. */
static bool probed(struct task_struct *task)
{
	struct mm_struct *mm = get_task_mm(task);
	bool has = mm && mm_flags_test(MMF_HAS_UPROBES, mm);

	if (mm)
		mmput(mm);
	return has;
}

static bool traced(struct task_struct *task)
{
	return task->ptrace || !list_empty(&task->ptraced);
}

/* Whoever is frozen has stopped before. */
static bool stopping(struct task_struct *task)
{
	return task->jobctl & JOBCTL_STOP_PENDING;
}

static bool vfork(struct task_struct *task)
{
	return task->vfork_done;
}

/* Which thread it is, a timer does not tell, and another process may be gone. */
static bool timers_of_others(struct task_struct *task)
{
	struct k_itimer *timer;

	guard(rcu)();
	hlist_for_each_entry_rcu(timer, &task->signal->posix_timers, list) {
		const clockid_t clock = timer->it_clock;

		guard(spinlock_irqsave)(&timer->it_lock);
		/* It is being deleted. */
		if (timer->it_signal != task->signal)
			continue;
		if (clock < 0 && ((clock & CLOCKFD_MASK) == CLOCKFD || CPUCLOCK_PID(clock) ||
				  (CPUCLOCK_PERTHREAD(clock) && !thread_group_empty(task))))
			return true;
		/* For a thread that has ended. */
		if (timer->it_pid_type == PIDTYPE_PID &&
		    !pid_task(timer->it_pid, PIDTYPE_PID))
			return true;
	}
	return false;
}

static bool has_io_uring(struct task_struct *task)
{
#ifdef CONFIG_IO_URING
	return task->io_uring;
#else
	return false;
#endif
}

/* Of rings that it does not have yet. */
static bool limits_io_uring(struct task_struct *task)
{
#ifdef CONFIG_IO_URING
	return task->io_uring_restrict;
#else
	return false;
#endif
}

/* Nobody waits for it when it ends. */
static bool reaps_itself(struct task_struct *task)
{
	return task->signal->autoreap;
}

static bool user_events(struct task_struct *task)
{
#ifdef CONFIG_USER_EVENTS
	return task->user_event_mm;
#else
	return false;
#endif
}

/* A new task takes the cookie over from the caller. */
static bool core_scheduling(struct task_struct *task)
{
#ifdef CONFIG_SCHED_CORE
	return task->core_cookie != current->core_cookie;
#else
	return false;
#endif
}

static bool time_slices(struct task_struct *task)
{
#ifdef CONFIG_RSEQ_SLICE_EXTENSION
	return task->rseq.slice.state.enabled;
#else
	return false;
#endif
}

static bool aio(struct task_struct *task)
{
#ifdef CONFIG_AIO
	struct mm_struct *mm = get_task_mm(task);
	bool has = mm && rcu_access_pointer(mm->ioctx_table);

	if (mm)
		mmput(mm);
	return has;
#else
	return false;
#endif
}

static bool scheduling(struct task_struct *task)
{
	return task->policy > SCHED_IDLE;
}

#ifdef CONFIG_UCLAMP_TASK
static bool utilization(struct task_struct *task)
{
	return task->uclamp_req[UCLAMP_MIN].user_defined ||
	       task->uclamp_req[UCLAMP_MAX].user_defined;
}
#else
static bool utilization(struct task_struct *task)
{
	return false;
}
#endif

static bool policy(struct task_struct *task)
{
#ifdef CONFIG_NUMA
	return task->mempolicy;
#else
	return false;
#endif
}

static bool dispatch(struct task_struct *task)
{
#ifdef CONFIG_GENERIC_ENTRY
	return test_task_syscall_work(task, SYSCALL_USER_DISPATCH);
#else
	return false;
#endif
}

static bool perf(struct task_struct *task)
{
#ifdef CONFIG_PERF_EVENTS
	return task->perf_event_ctxp;
#else
	return false;
#endif
}

/* A new address space takes these over from the caller's. */
static bool memory_settings(struct task_struct *task)
{
	struct mm_struct *mm = get_task_mm(task);
	bool differ;

	if (!mm)
		return false;
	differ = (mm->def_flags ^ current->mm->def_flags) & VM_INIT_DEF_MASK ||
		 (__mm_flags_get_word(mm) ^ __mm_flags_get_word(current->mm)) &
		 MMF_INIT_LEGACY_MASK;
	mmput(mm);
	return differ;
}

/* As mlockall(MCL_FUTURE) has it. */
static bool locks_future(struct task_struct *task)
{
	struct mm_struct *mm = get_task_mm(task);
	bool locks;

	if (!mm)
		return false;
	locks = mm->def_flags & (VM_LOCKED | VM_LOCKONFAULT);
	mmput(mm);
	return locks;
}

static bool membarrier(struct task_struct *task)
{
#ifdef CONFIG_MEMBARRIER
	struct mm_struct *mm = get_task_mm(task);
	bool has = mm && atomic_read(&mm->membarrier_state);

	if (mm)
		mmput(mm);
	return has;
#else
	return false;
#endif
}

/* A new task takes these over from the caller. */
static bool prctl_settings(struct task_struct *task)
{
	const unsigned int flags = PF_MCE_PROCESS | PF_MCE_EARLY |
				   PF_MEMALLOC_NOIO | PF_LOCAL_THROTTLE;

	return (task->flags ^ current->flags) & flags ||
	       (task->atomic_flags ^ current->atomic_flags) & ~BIT(PFA_NO_NEW_PRIVS);
}

static bool terminal(struct task_struct *task)
{
	return task->signal->tty;
}

static bool namespaces(struct task_struct *task)
{
	const struct nsproxy *mine = current->nsproxy;
	bool differ;

	task_lock(task);
	differ = task->nsproxy &&
		 (task->nsproxy->uts_ns != mine->uts_ns ||
		  task->nsproxy->ipc_ns != mine->ipc_ns ||
		  task->nsproxy->mnt_ns != mine->mnt_ns ||
		  task->nsproxy->net_ns != mine->net_ns ||
		  task->nsproxy->cgroup_ns != mine->cgroup_ns);
	task_unlock(task);
	return differ;
}

static bool pid_namespace_for_children(struct task_struct *task)
{
	bool differs;

	task_lock(task);
	differs = task->nsproxy &&
		  task->nsproxy->pid_ns_for_children != task_active_pid_ns(task);
	task_unlock(task);
	return differs;
}

/* Numbers of users mean something else in another namespace. */
static bool user_namespace(struct task_struct *task)
{
	guard(rcu)();
	return __task_cred(task)->user_ns != current_user_ns();
}

/* They have no number there. */
static bool unknown_users(struct task_struct *task)
{
	guard(rcu)();
	return !ckpt_cred_known(__task_cred(task));
}

/* A new task takes the session's over from the caller. */
static bool keyrings(struct task_struct *task)
{
#ifdef CONFIG_KEYS
	const struct cred *cred;

	guard(rcu)();
	cred = __task_cred(task);
	return cred->thread_keyring || cred->process_keyring ||
	       cred->session_keyring != current_cred()->session_keyring;
#else
	return false;
#endif
}

static const struct {
	bool (*has)(struct task_struct *task);
	const char *what;
	bool common;	/* to all threads of a process */
} refused[] = {
	{ of_the_kernel, "a thread of the kernel" },
	{ shared_handlers, "signal handlers that are shared", true },
	{ probed, "probes of its code", true },
	{ traced, "a tracer" },
	{ stopping, "a stop that is under way" },
	{ vfork, "a parent that waits in vfork()" },
	{ reaps_itself, "an end that no parent waits for", true },
	{ timers_of_others, "a timer for the time that a certain thread or process uses", true },
	{ has_io_uring, "io_uring" },
	{ limits_io_uring, "limits of io_uring" },
	{ aio, "asynchronous I/O", true },
	{ scheduling, "a scheduling policy with a deadline, or of a program" },
	{ utilization, "limits of its utilization" },
	{ policy, "a memory policy" },
	{ core_scheduling, "a cookie of core scheduling other than the caller's" },
	{ time_slices, "extensions of its time slice" },
	{ dispatch, "dispatch of system calls to user space" },
	{ perf, "performance events" },
	{ user_events, "events of user space" },
	{ sem_has_undo, "undo values of semaphores" },
	{ memory_settings, "settings of its memory other than the caller's", true },
	{ locks_future, "memory that is locked when it comes", true },
	{ membarrier, "a registration of membarrier", true },
	{ prctl_settings, "settings of prctl other than the caller's" },
	{ terminal, "a controlling terminal", true },
	{ namespaces, "namespaces other than the caller's" },
	{ pid_namespace_for_children, "another pid namespace for its children" },
	{ user_namespace, "a user namespace other than the caller's" },
	{ unknown_users, "users or groups that are not in the caller's namespace" },
	{ keyrings, "keyrings other than the caller's" },
	{ landlock_confines, "a domain of Landlock" },
};

/*
 * The first thing of a task, from number *@from on, that cannot be saved; NULL
 * if there is none. Move *@from behind it. What all threads have is only said of
 * the first.
 */
const char *ckpt_refuse_task(struct task_struct *task, bool first, u32 *from)
{
	while (*from < ARRAY_SIZE(refused)) {
		u32 i = (*from)++;

		if ((first || !refused[i].common) && refused[i].has(task))
			return refused[i].what;
	}
	return (*from)++ == ARRAY_SIZE(refused) ? ckpt_arch_refuse(task) : NULL;
}

/* What new tasks would inherit from the caller although their image does not have it. */
const char *ckpt_confined(void)
{
	if (ckpt_seccomp_mode(current) != SECCOMP_MODE_DISABLED)
		return "the caller is confined by seccomp";
	if (landlock_confines(current))
		return "the caller is confined by Landlock";
	if (limits_io_uring(current))
		return "the caller has limits of io_uring";
	if (policy(current))
		return "the caller has a memory policy";
	if (utilization(current))
		return "the caller has limits of its utilization";
#ifdef CONFIG_SCHED_CORE
	if (current->core_cookie)
		return "the caller has a cookie of core scheduling";
#endif
	return NULL;
}

/* Devices without a state. */
static bool is_null_like(dev_t dev)
{
	if (MAJOR(dev) != MEM_MAJOR)
		return false;
	switch (MINOR(dev)) {
	case 3:		/* null */
	case 5:		/* zero */
	case 7:		/* full */
	case 8:		/* random */
	case 9:		/* urandom */
		return true;
	}
	return false;
}

/* Whose the locks are is not asked: who opens a locked file again would have to. */
static bool is_locked(const struct inode *inode)
{
	const struct file_lock_context *locks = locks_inode_context(inode);

	return locks && (!list_empty_careful(&locks->flc_flock) ||
			 !list_empty_careful(&locks->flc_posix) ||
			 !list_empty_careful(&locks->flc_lease));
}

/* Why files like this one cannot be saved; NULL if they can. */
const char *ckpt_refuse_kind(struct file *file)
{
	const struct inode *inode = file_inode(file);

	switch (inode->i_mode & S_IFMT) {
	case S_IFBLK:
		return "a block device";
	case S_IFIFO:
		return "a pipe with a name";
	case S_IFSOCK:
		return "a socket";
	case S_IFCHR:
		if (!is_null_like(inode->i_rdev))
			return "a device";
		break;
	}
	if (IS_PRIVATE(inode) || inode->i_sb->s_flags & SB_NOUSER)
		return "a file without a name";
	/* What has a state for each time that it was opened, or may have. */
	switch (inode->i_sb->s_magic) {
	case PROC_SUPER_MAGIC:
		return "a file of proc";
	case DEBUGFS_MAGIC:
		return "a file of debugfs";
	case TRACEFS_MAGIC:
		return "a file of tracefs";
	case CGROUP2_SUPER_MAGIC:
		if (S_ISREG(inode->i_mode) && (file->f_mode & FMODE_WRITE))
			return "a file of a cgroup that is open for writing";
		break;
	}
	return NULL;
}

/* Whether the caller has a path to it; that d_path() has one for him does not say so. */
static bool is_within_root(struct file *file)
{
	struct path root;
	bool is;

	get_fs_root(current->fs, &root);
	is = path_is_under(file_user_path(file), &root);
	path_put(&root);
	return is;
}

/* Whether who has opened it still has the right to. */
static bool may_reopen(struct file *file, const struct cred *owner)
{
	const struct cred *opener = ckpt_file_opener(file, owner);
	int mask = 0, ret = -EACCES;

	if (!opener)
		return true;
	if (file->f_mode & FMODE_READ)
		mask |= MAY_READ;
	if (file->f_mode & FMODE_WRITE)
		mask |= MAY_WRITE;
	scoped_with_creds(opener)
		ret = inode_permission(file_mnt_idmap(file), file_inode(file), mask);
	return !ret;
}

/* Why an open file that @owner has cannot be saved; NULL if it can. */
const char *ckpt_refuse_file(struct file *file, const struct cred *owner)
{
	const char *kind;
	u32 files;

	if (file_f_owner(file))
		return "a file that sends signals";
	if (ckpt_pipe_key(file, &files))
		return ckpt_pipe_refuse(file);
	kind = ckpt_refuse_kind(file);
	if (kind)
		return kind;
	if (!is_within_root(file))
		return "a file outside of the root directory";
	if (is_locked(file_inode(file)))
		return "a file with locks";
	if (ckpt_deleted_key(file))
		return ckpt_deleted_refuse(file);
	if (!may_reopen(file, owner))
		return "a file that who opened it has no right to any more";
	return NULL;
}
