// SPDX-License-Identifier: GPL-2.0
/* What depends on the architecture. */

#include <linux/crc32.h>
#include <linux/errno.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task_stack.h>
#include <linux/syscalls.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#include <asm/mmu.h>
#include <asm/ptrace.h>
#include <asm/syscall.h>
#include <asm/vdso.h>
#include <asm/vdso/vsyscall.h>

#include "internal.h"

/* What tells the code that this kernel maps from that of others. */
u32 ckpt_arch_vdso_crc(void)
{
	return crc32c(~0, vdso64_image.data, vdso64_image.size);
}

bool ckpt_arch_is_vdso(struct vm_area_struct *vma)
{
	const struct mm_struct *mm = vma->vm_mm;
	unsigned long vdso = (unsigned long)mm->context.vdso;
	unsigned long start = vdso - __VDSO_PAGES * PAGE_SIZE;

	return vdso && (vma->vm_flags & VM_DONTEXPAND) && vma->vm_start >= start &&
	       vma->vm_end <= vdso + mm->context.vdso_image->size;
}

/* Where the vDSO is, with the data before it; 0 if there is none, any more. @mm is locked. */
u64 ckpt_arch_vdso(struct mm_struct *mm)
{
	unsigned long vdso = (unsigned long)mm->context.vdso;
	struct vm_area_struct *vma = vdso ? vma_lookup(mm, vdso) : NULL;

	return vma && ckpt_arch_is_vdso(vma) ? vdso - __VDSO_PAGES * PAGE_SIZE : 0;
}

int ckpt_arch_map_vdso(u64 address)
{
	return map_vdso_once(&vdso64_image, address);
}

/* Whether the task goes on with the call in its restart block, which is stale otherwise. */
bool ckpt_arch_restarts(struct task_struct *task)
{
	struct pt_regs *regs;
	bool restarts;

	if (!try_get_task_stack(task))
		return false;
	regs = task_pt_regs(task);
	restarts = syscall_get_nr(task, regs) != -1 && regs->ax == -ERESTART_RESTARTBLOCK;
	put_task_stack(task);
	return restarts;
}

static bool is_32bit(struct task_struct *task)
{
	bool is;

	if (!try_get_task_stack(task))
		return false;
	is = !user_64bit_mode(task_pt_regs(task));
	put_task_stack(task);
	return is;
}

static const char *refuse_mm(const struct mm_struct *mm)
{
#ifdef CONFIG_ADDRESS_MASKING
	if (mm->context.lam_cr3_mask)
		return "masked addresses";
#endif
#ifdef CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS
	/* Key 0 is that of all memory. */
	if (mm->context.pkey_allocation_map & ~1)
		return "memory protection keys";
#endif
#ifdef CONFIG_MODIFY_LDT_SYSCALL
	if (mm->context.ldt)
		return "a local descriptor table";
#endif
	return NULL;
}

/* Which of the states that have to be asked for a process may use; a new one inherits that. */
static u64 state_permissions(struct task_struct *task)
{
	guard(rcu)();
	/* Of one that is gone for good, nothing says how long the other one is there. */
	return pid_alive(task) ? READ_ONCE(x86_task_fpu(task->group_leader)->perm.__state_perm) : 0;
}

const char *ckpt_arch_refuse(struct task_struct *task)
{
	const struct thread_struct *thread = &task->thread;
	const char *what = NULL;
	struct mm_struct *mm;
	int i;

	if (is_32bit(task))
		return "32-bit code";
	if (test_tsk_thread_flag(task, TIF_IO_BITMAP) || thread->iopl_emul)
		return "access to I/O ports";
	/* Strict seccomp disables it by itself. */
	if (test_tsk_thread_flag(task, TIF_NOTSC) &&
	    ckpt_seccomp_mode(task) != SECCOMP_MODE_STRICT)
		return "a disabled time stamp counter";
	if (test_tsk_thread_flag(task, TIF_NOCPUID))
		return "a disabled CPUID";
	if (test_tsk_thread_flag(task, TIF_SPEC_L1D_FLUSH))
		return "flushes of the L1 data cache";
	if (!(task->flags & (PF_KTHREAD | PF_USER_WORKER)) &&
	    state_permissions(task) != state_permissions(current))
		return "permissions for extended states other than the caller's";
	for (i = 0; i < HBP_NUM; i++)
		if (thread->ptrace_bps[i])
			return "hardware breakpoints";
	for (i = 0; i < GDT_ENTRY_TLS_ENTRIES; i++)
		if (memchr_inv(&thread->tls_array[i], 0, sizeof(thread->tls_array[i])))
			return "segments of thread-local storage";
	mm = get_task_mm(task);
	if (mm) {
		what = refuse_mm(mm);
		mmput(mm);
	}
	return what;
}
