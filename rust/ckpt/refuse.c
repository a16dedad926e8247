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
#include <linux/iocontext.h>
#include <linux/io_uring.h>
#include <linux/kdev_t.h>
#include <linux/landlock.h>
#include <linux/magic.h>
#include <linux/major.h>
#include <linux/mempolicy.h>
#include <linux/nsproxy.h>
#include <linux/pid_namespace.h>
#include <linux/sched/jobctl.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/seccomp.h>

#include "internal.h"

static bool threads(struct task_struct *task)
{
	return !thread_group_leader(task) || !thread_group_empty(task);
}

static bool of_the_kernel(struct task_struct *task)
{
	return task->flags & (PF_KTHREAD | PF_USER_WORKER);
}

/* Whether another process has the same; whoever just looks at it does not count. */
static bool shared_mm(struct task_struct *task)
{
	struct task_struct *process, *thread;
	struct mm_struct *mm = READ_ONCE(task->mm);

	if (!mm || atomic_read(&mm->mm_users) == 1)
		return false;
	guard(rcu)();
	for_each_process_thread(process, thread)
		if (READ_ONCE(thread->mm) == mm && !same_thread_group(thread, task))
			return true;
	return false;
}

static bool shared_files(struct task_struct *task)
{
	return task->files && atomic_read(&task->files->count) > 1;
}

static bool shared_fs(struct task_struct *task)
{
	return task->fs && task->fs->users > 1;
}

static bool shared_handlers(struct task_struct *task)
{
	return refcount_read(&task->sighand->count) > 1;
}

static bool zombies(struct task_struct *task)
{
	struct task_struct *child;

	guard(read_lock)(&tasklist_lock);
	list_for_each_entry(child, &task->children, sibling)
		if (READ_ONCE(child->exit_state))
			return true;
	return false;
}

static bool traced(struct task_struct *task)
{
	return task->ptrace || !list_empty(&task->ptraced);
}

static bool stopped(struct task_struct *task)
{
	return task->jobctl & (JOBCTL_STOP_PENDING | JOBCTL_STOPPED) ||
	       task->signal->flags & SIGNAL_STOP_STOPPED;
}

static bool pending(struct task_struct *task)
{
	return !list_empty(&task->pending.list) ||
	       !list_empty(&task->signal->shared_pending.list) ||
	       !sigisemptyset(&task->pending.signal) ||
	       !sigisemptyset(&task->signal->shared_pending.signal);
}

static bool vfork(struct task_struct *task)
{
	return task->vfork_done;
}

static bool posix_timers(struct task_struct *task)
{
	return !hlist_empty(&task->signal->posix_timers);
}

static bool itimers(struct task_struct *task)
{
	const struct signal_struct *signal = task->signal;

	return hrtimer_active(&signal->real_timer) || signal->it_real_incr ||
	       signal->it[0].expires || signal->it[1].expires;
}

static bool has_seccomp(struct task_struct *task)
{
#ifdef CONFIG_SECCOMP
	return task->seccomp.mode != SECCOMP_MODE_DISABLED;
#else
	return false;
#endif
}

static bool has_io_uring(struct task_struct *task)
{
#ifdef CONFIG_IO_URING
	return task->io_uring;
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
	return task->policy != current->policy ||
	       task->static_prio != current->static_prio;
}

static bool affinity(struct task_struct *task)
{
	return !cpumask_equal(&task->cpus_mask, &current->cpus_mask);
}

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

static bool undo(struct task_struct *task)
{
#ifdef CONFIG_SYSVIPC
	return task->sysvsem.undo_list;
#else
	return false;
#endif
}

static bool io_priority(struct task_struct *task)
{
#ifdef CONFIG_BLOCK
	bool own;

	task_lock(task);
	own = task->io_context && task->io_context->ioprio;
	task_unlock(task);
	return own;
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
	differ = mm->def_flags != current->mm->def_flags ||
		 (__mm_flags_get_word(mm) ^ __mm_flags_get_word(current->mm)) &
		 MMF_INIT_LEGACY_MASK;
	mmput(mm);
	return differ;
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

static bool parent_death(struct task_struct *task)
{
	return task->pdeath_signal;
}

static bool subreaper(struct task_struct *task)
{
	return task->signal->is_child_subreaper;
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
		  task->nsproxy->cgroup_ns != mine->cgroup_ns ||
		  task->nsproxy->pid_ns_for_children != mine->pid_ns_for_children);
	task_unlock(task);
	return differ || task_active_pid_ns(task) != task_active_pid_ns(current);
}

static bool credentials(struct task_struct *task)
{
	const struct cred *mine = current_cred();
	const struct cred *cred = get_task_cred(task);
	bool differ;

	differ = cred->user_ns != mine->user_ns ||
#ifdef CONFIG_KEYS
		 cred->thread_keyring || cred->process_keyring ||
		 cred->session_keyring != mine->session_keyring ||
#endif
		 !uid_eq(cred->uid, mine->uid) || !uid_eq(cred->euid, mine->euid) ||
		 !uid_eq(cred->suid, mine->suid) || !uid_eq(cred->fsuid, mine->fsuid) ||
		 !gid_eq(cred->gid, mine->gid) || !gid_eq(cred->egid, mine->egid) ||
		 !gid_eq(cred->sgid, mine->sgid) || !gid_eq(cred->fsgid, mine->fsgid) ||
		 cred->securebits != mine->securebits ||
		 memcmp(&cred->cap_effective, &mine->cap_effective, sizeof(kernel_cap_t)) ||
		 memcmp(&cred->cap_permitted, &mine->cap_permitted, sizeof(kernel_cap_t)) ||
		 memcmp(&cred->cap_inheritable, &mine->cap_inheritable, sizeof(kernel_cap_t)) ||
		 memcmp(&cred->cap_ambient, &mine->cap_ambient, sizeof(kernel_cap_t)) ||
		 memcmp(&cred->cap_bset, &mine->cap_bset, sizeof(kernel_cap_t)) ||
		 cred->group_info->ngroups != mine->group_info->ngroups ||
		 memcmp(cred->group_info->gid, mine->group_info->gid,
			cred->group_info->ngroups * sizeof(kgid_t));
	put_cred(cred);
	return differ;
}

static const struct {
	bool (*has)(struct task_struct *task);
	const char *what;
} refused[] = {
	{ of_the_kernel, "a thread of the kernel" },
	{ threads, "several threads" },
	{ shared_mm, "an address space that is shared" },
	{ shared_files, "a table of open files that is shared" },
	{ shared_fs, "a working directory that is shared" },
	{ shared_handlers, "signal handlers that are shared" },
	{ zombies, "a child that ended and was not waited for" },
	{ traced, "a tracer" },
	{ stopped, "a stop by a signal" },
	{ pending, "pending signals" },
	{ vfork, "a parent that waits in vfork()" },
	{ posix_timers, "POSIX timers" },
	{ itimers, "interval timers" },
	{ has_seccomp, "seccomp" },
	{ has_io_uring, "io_uring" },
	{ aio, "asynchronous I/O" },
	{ scheduling, "a scheduling policy or priority of its own" },
	{ affinity, "a CPU affinity of its own" },
	{ policy, "a memory policy" },
	{ dispatch, "dispatch of system calls to user space" },
	{ perf, "performance events" },
	{ undo, "undo values of semaphores" },
	{ io_priority, "an I/O priority of its own" },
	{ memory_settings, "settings of its memory other than the caller's" },
	{ membarrier, "a registration of membarrier" },
	{ prctl_settings, "settings of prctl other than the caller's" },
	{ parent_death, "a signal for the death of its parent" },
	{ subreaper, "being a subreaper" },
	{ terminal, "a controlling terminal" },
	{ namespaces, "namespaces other than the caller's" },
	{ credentials, "credentials other than the caller's" },
	{ landlock_confines, "a domain of Landlock" },
};

/*
 * The first thing of a task, from number *@from on, that cannot be saved; NULL
 * if there is none. Move *@from behind it.
 */
const char *ckpt_refuse_task(struct task_struct *task, u32 *from)
{
	while (*from < ARRAY_SIZE(refused)) {
		u32 i = (*from)++;

		if (refused[i].has(task))
			return refused[i].what;
	}
	return (*from)++ == ARRAY_SIZE(refused) ? ckpt_arch_refuse(task) : NULL;
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
		return "a pipe";
	case S_IFSOCK:
		return "a socket";
	case S_IFCHR:
		if (!is_null_like(inode->i_rdev))
			return "a device";
		break;
	}
	if (IS_PRIVATE(inode) || inode->i_sb->s_flags & SB_NOUSER)
		return "a file without a name";
	if (inode->i_sb->s_magic == PROC_SUPER_MAGIC)
		return "a file of proc";
	return NULL;
}

/* Why an open file cannot be saved; NULL if it can. */
const char *ckpt_refuse_file(struct file *file)
{
	const char *kind = ckpt_refuse_kind(file);

	if (kind)
		return kind;
	if (file_f_owner(file))
		return "a file that sends signals";
	if (is_locked(file_inode(file)))
		return "a file with locks";
	return ckpt_deleted_key(file) ? ckpt_deleted_refuse(file) : NULL;
}
