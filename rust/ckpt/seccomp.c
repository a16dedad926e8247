// SPDX-License-Identifier: GPL-2.0
/* Which system calls a thread may make. */

#include <linux/filter.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/uaccess.h>

#include "internal.h"

static_assert(BPF_MAXINSNS * sizeof(struct sock_filter) == CKPT_FILTER);

u32 ckpt_seccomp_mode(struct task_struct *task)
{
#ifdef CONFIG_SECCOMP
	return READ_ONCE(task->seccomp.mode);
#else
	return SECCOMP_MODE_DISABLED;
#endif
}

#ifdef CONFIG_SECCOMP_FILTER
/* Tell the filter that has @newer newer ones; its instructions go to @insns as far as they fit. */
int ckpt_seccomp_filter(struct task_struct *task, u32 newer, struct ckpt_filter *filter,
			void *insns, size_t size)
{
	struct seccomp_saved saved;
	int ret;

	ret = seccomp_save_filter(task, newer, &saved, insns,
				  size / sizeof(struct sock_filter));
	if (ret)
		return ret;
	*filter = (struct ckpt_filter) {
		.key = saved.key,
		.flags = saved.flags & SECCOMP_FILTER_FLAG_LOG ? CKPT_FILTER_LOG : 0,
		.size = saved.len * sizeof(struct sock_filter),
		.listener = saved.listener,
	};
	return 0;
}

/* Give the current task a filter, whose instructions the kernel takes from user space only. */
int ckpt_seccomp_add(u32 flags, const void *insns, size_t size)
{
	struct sock_fprog prog = { .len = size / sizeof(struct sock_filter) };
	unsigned long at;
	long ret = -EFAULT;
	int left;

	if (!size || size > CKPT_FILTER || size % sizeof(struct sock_filter) ||
	    flags & ~CKPT_FILTER_LOG)
		return -EINVAL;
	at = vm_mmap(NULL, 0, PAGE_ALIGN(sizeof(prog) + size), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (IS_ERR_VALUE(at))
		return at;
	prog.filter = (struct sock_filter __user *)(at + sizeof(prog));
	/* What the mitigations are, is a setting of its own. */
	if (!copy_to_user((void __user *)at, &prog, sizeof(prog)) &&
	    !copy_to_user(prog.filter, insns, size))
		ret = seccomp_add_filter(SECCOMP_FILTER_FLAG_SPEC_ALLOW |
					 (flags & CKPT_FILTER_LOG ? SECCOMP_FILTER_FLAG_LOG : 0),
					 (struct sock_fprog __user *)at);
	left = vm_munmap(at, PAGE_ALIGN(sizeof(prog) + size));
	return ret ?: left;
}

/* Give the current task, which has none, those of another one up to that which has @older ones. */
int ckpt_seccomp_share(struct task_struct *with, u32 older)
{
	return seccomp_share_filters(with, older);
}
#else
int ckpt_seccomp_filter(struct task_struct *task, u32 newer, struct ckpt_filter *filter,
			void *insns, size_t size)
{
	return -EINVAL;
}

int ckpt_seccomp_add(u32 flags, const void *insns, size_t size)
{
	return -EOPNOTSUPP;
}

int ckpt_seccomp_share(struct task_struct *with, u32 older)
{
	return -EOPNOTSUPP;
}
#endif

/* Leave the current task read(), write(), exit() and sigreturn(). */
int ckpt_seccomp_strict(void)
{
	return prctl_set_seccomp(SECCOMP_MODE_STRICT, NULL);
}
