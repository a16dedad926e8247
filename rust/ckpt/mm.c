// SPDX-License-Identifier: GPL-2.0
/* Address spaces: their layout and their mappings. */

#include <linux/binfmts.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/rmap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <asm/tlb.h>

#include "../../mm/internal.h"
#include "internal.h"

/* Each flag of a mapping, and the advice that sets it where mmap() does not. */
static const struct {
	u32 flag;
	vm_flags_t vm;
	int advice;
} flags[] = {
	{ CKPT_VMA_READ, VM_READ },
	{ CKPT_VMA_WRITE, VM_WRITE },
	{ CKPT_VMA_EXEC, VM_EXEC },
	{ CKPT_VMA_GROWSDOWN, VM_GROWSDOWN },
	{ CKPT_VMA_NORESERVE, VM_NORESERVE },
	{ CKPT_VMA_DONTFORK, VM_DONTCOPY, MADV_DONTFORK },
	{ CKPT_VMA_WIPEONFORK, VM_WIPEONFORK, MADV_WIPEONFORK },
	{ CKPT_VMA_DONTDUMP, VM_DONTDUMP, MADV_DONTDUMP },
	{ CKPT_VMA_HUGEPAGE, VM_HUGEPAGE, MADV_HUGEPAGE },
	{ CKPT_VMA_NOHUGEPAGE, VM_NOHUGEPAGE, MADV_NOHUGEPAGE },
	{ CKPT_VMA_SEQUENTIAL, VM_SEQ_READ, MADV_SEQUENTIAL },
	{ CKPT_VMA_RANDOM, VM_RAND_READ, MADV_RANDOM },
	{ CKPT_VMA_MERGEABLE, VM_MERGEABLE, MADV_MERGEABLE },
	{ CKPT_VMA_ACCOUNT, VM_ACCOUNT },
	{ CKPT_VMA_LOCKED, VM_LOCKED },
	{ CKPT_VMA_ONFAULT, VM_LOCKONFAULT },
};

/* What the controller of beancounters charges, where that is. */
#ifndef VM_PRIVVM
#define VM_PRIVVM	VM_NONE
#endif

/* Flags that follow from others, or say nothing about the content. */
#define DERIVED (VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | VM_SHARED | VM_MAYSHARE | \
		 VM_SOFTDIRTY | VM_STACK | VM_MAYBE_GUARD | VM_PRIVVM)

static const struct {
	vm_flags_t vm;
	const char *what;
} refused[] = {
	{ VM_HUGETLB, "huge pages of hugetlbfs" },
	{ VM_PFNMAP | VM_MIXEDMAP | VM_IO, "memory of a device" },
	{ VM_UFFD_MISSING | VM_UFFD_WP | VM_UFFD_MINOR, "userfaultfd" },
	{ VM_SEALED, "a sealed mapping" },
	{ VM_DROPPABLE, "droppable memory" },
	{ VM_SHADOW_STACK, "a shadow stack" },
	{ VM_GROWSUP, "a mapping that grows upwards" },
	{ VM_SYNC, "a synchronous mapping" },
};

static_assert(CKPT_VMA_NAME == ANON_VMA_NAME_MAX_LEN);

struct mm_struct *ckpt_mm_get(struct task_struct *task)
{
	return get_task_mm(task);
}

/*
 * What tells the address space of a task from all others, and how many processes have it; whoever
 * just looks at it does not count.
 */
u64 ckpt_mm_key(struct task_struct *task, u32 *users)
{
	struct mm_struct *mm = get_task_mm(task);
	struct task_struct *process, *thread;

	*users = 0;
	if (!mm)
		return 0;
	/* One is ours. */
	if (atomic_read(&mm->mm_users) == 2) {
		*users = 1;
	} else {
		guard(rcu)();
		for_each_process(process)
			for_each_thread(process, thread)
				if (READ_ONCE(thread->mm) == mm) {
					++*users;
					break;
				}
	}
	mmput(mm);
	return (unsigned long)mm;
}

/* A copy that stays as it is, with a reference, or NULL; what children do not get is not in it. */
struct mm_struct *ckpt_mm_snapshot(struct mm_struct *mm)
{
	struct mm_struct *copy = mm_snapshot(mm, NULL);

	/* Nobody would be charged for what became larger. */
	if (copy)
		mm_flags_set(MMF_DISABLE_THP_COMPLETELY, copy);
	return copy;
}

void ckpt_mm_layout(struct mm_struct *mm, struct ckpt_layout *layout)
{
	mmap_read_lock(mm);
	spin_lock(&mm->arg_lock);
	*layout = (struct ckpt_layout) {
		.start_code = mm->start_code,
		.end_code = mm->end_code,
		.start_data = mm->start_data,
		.end_data = mm->end_data,
		.start_brk = mm->start_brk,
		.brk = mm->brk,
		.start_stack = mm->start_stack,
		.arg_start = mm->arg_start,
		.arg_end = mm->arg_end,
		.env_start = mm->env_start,
		.env_end = mm->env_end,
		.mmap_base = mm->mmap_base,
		.vdso = ckpt_arch_vdso(mm),
		.vdso_crc = ckpt_arch_vdso_crc(),
	};
	spin_unlock(&mm->arg_lock);
	mmap_read_unlock(mm);
}

/* Return the size of the auxiliary vector. */
size_t ckpt_mm_auxv(struct mm_struct *mm, void *buf, size_t size)
{
	size = min(size, sizeof(mm->saved_auxv));
	memcpy(buf, mm->saved_auxv, size);
	return sizeof(mm->saved_auxv);
}

struct file *ckpt_mm_exe(struct mm_struct *mm)
{
	return get_mm_exe_file(mm);
}

static void describe(struct vm_area_struct *vma, struct ckpt_vma *out)
{
	vm_flags_t known = DERIVED;
	size_t i;

	*out = (struct ckpt_vma) { .start = vma->vm_start, .end = vma->vm_end };
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		known |= flags[i].vm;
		if (flags[i].vm && (vma->vm_flags & flags[i].vm) == flags[i].vm)
			out->flags |= flags[i].flag;
	}

	if (ckpt_arch_is_vdso(vma)) {
		out->kind = CKPT_VMA_VDSO;
		return;
	}
	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		if (vma->vm_flags & refused[i].vm) {
			out->refusal = refused[i].what;
			return;
		}
	}
	if (vma->vm_flags & ~known & ~VM_DONTEXPAND) {
		out->refusal = "a mapping with unknown flags";
		return;
	}
	out->guarded = vma->vm_flags & VM_MAYBE_GUARD;
	if (vma->anon_vma)
		out->family = (unsigned long)vma->anon_vma->root;
	if (anon_vma_name(vma))
		strscpy(out->name, anon_vma_name(vma)->name, sizeof(out->name));
	if (vma_policy(vma))
		out->refusal = "a memory policy";
	else if (vma_is_anonymous(vma) && !vma->vm_file && !(vma->vm_flags & VM_SHARED))
		out->kind = CKPT_VMA_ANON;
	else if (!vma->vm_file)
		out->refusal = "memory of the kernel";
	/* A deleted file of a tmpfs has the same operations, but is not the kernel's own. */
	else if ((vma->vm_flags & VM_MAYSHARE) && vma_is_anon_shmem(vma) &&
		 IS_PRIVATE(file_inode(vma->vm_file)))
		out->kind = CKPT_VMA_SHMEM;
	else if (vma->vm_flags & VM_DONTEXPAND)
		out->refusal = "memory of a driver";
	else if (vma->vm_flags & VM_MAYSHARE)
		out->kind = CKPT_VMA_SHARED;
	else
		out->kind = CKPT_VMA_PRIVATE;
	if (out->refusal || out->kind == CKPT_VMA_ANON)
		return;
	out->offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	out->file = get_file(vma->vm_file);
}

/* Describe the first mapping that ends after @from; -ENOENT if there is none. */
int ckpt_mm_vma(struct mm_struct *mm, u64 from, struct ckpt_vma *vma)
{
	struct vm_area_struct *found;
	int ret;

	ret = mmap_read_lock_killable(mm);
	if (ret)
		return ret;
	found = find_vma(mm, from);
	if (found)
		describe(found, vma);
	else
		ret = -ENOENT;
	mmap_read_unlock(mm);
	return ret;
}

/* Give the current task, which is new and alone, another address space, or put that. */
static int take_mm(struct mm_struct *mm)
{
	struct mm_struct *old = NULL;
	int ret;

	/* As execve() does, so that the old space gets its concurrency ID back. */
	sched_mm_cid_before_execve(current);
	ret = exec_replace_mm(mm, current_user_ns(), &old);
	if (!ret) {
		up_write(&current->signal->exec_update_lock);
		if (old)
			exec_mm_put_old(old);
	} else {
		mmput(mm);
	}
	sched_mm_cid_after_execve(current);
	return ret;
}

/* Begin with an empty one. */
int ckpt_mm_renew(void)
{
	/* What writes a core dump of the restorer does so for those whom it restores. */
	struct linux_binfmt *binfmt = current->mm->binfmt;
	struct mm_struct *mm = mm_alloc();
	int ret;

	if (!mm)
		return -ENOMEM;
	mm->task_size = TASK_SIZE;
	ret = take_mm(mm);
	if (!ret)
		set_binfmt(binfmt);
	return ret;
}

/* Begin with what a child of @origin would have. */
int ckpt_mm_fork(struct mm_struct *origin)
{
	struct mm_struct *mm = mm_snapshot(origin, current);

	return mm ? take_mm(mm) : -ENOMEM;
}

static int advise(const struct ckpt_vma *vma)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		int ret;

		if (!flags[i].advice || !(vma->flags & flags[i].flag))
			continue;
		ret = do_madvise(current->mm, vma->start, vma->end - vma->start,
				 flags[i].advice);
		if (ret)
			return ret;
	}
	return 0;
}

/* Make a mapping readable only; it goes on to be accounted as one that can be written to. */
static int protect(const struct ckpt_vma *map)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma, *prev;
	struct mmu_gather tlb;
	int ret = -ENOMEM;

	if (mmap_write_lock_killable(mm))
		return -EINTR;
	VMA_ITERATOR(vmi, mm, map->start);
	prev = vma_prev(&vmi);
	vma = vma_find(&vmi, map->end);
	if (vma && vma->vm_start <= map->start && vma->vm_end >= map->end) {
		if (map->start > vma->vm_start)
			prev = vma;
		tlb_gather_mmu(&tlb, mm);
		/* What never had a page would not be accounted any more. */
		ret = anon_vma_prepare(vma);
		if (!ret)
			ret = mprotect_fixup(&vmi, &tlb, vma, &prev, map->start, map->end,
					     vma->vm_flags & ~VM_WRITE);
		tlb_finish_mmu(&tlb);
	}
	mmap_write_unlock(mm);
	return ret;
}

/* mmap(), of memory that is locked as if mlockall() had asked for that before. */
static unsigned long map_locked(const struct ckpt_vma *vma, unsigned long prot,
				unsigned long map)
{
	struct mm_struct *mm = current->mm;
	vm_flags_t locked = 0;
	unsigned long ret;

	if (vma->flags & CKPT_VMA_LOCKED)
		locked |= VM_LOCKED;
	if (vma->flags & CKPT_VMA_ONFAULT)
		locked |= VM_LOCKONFAULT;
	if (locked == VM_LOCKONFAULT)
		return -EINVAL;
	if (locked && !can_do_mlock())
		return -EPERM;
	/* The task is new, and nobody else has its address space yet: no lock is needed. */
	mm->def_flags |= locked;
	ret = vm_mmap(vma->file, vma->start, vma->end - vma->start, prot, map,
		      vma->offset);
	mm->def_flags &= ~locked;
	return ret;
}

/* Map into the address space of the current task. */
int ckpt_mm_map(const struct ckpt_vma *vma)
{
	const u32 account = CKPT_VMA_ACCOUNT | CKPT_VMA_WRITE;
	unsigned long ret, prot = 0, map = MAP_FIXED_NOREPLACE;
	bool was_writable = (vma->flags & account) == CKPT_VMA_ACCOUNT;

	if (vma->kind == CKPT_VMA_VDSO)
		return 0;
	if (vma->flags & CKPT_VMA_READ)
		prot |= PROT_READ;
	if (vma->flags & CKPT_VMA_WRITE || was_writable)
		prot |= PROT_WRITE;
	if (vma->flags & CKPT_VMA_EXEC)
		prot |= PROT_EXEC;
	if (vma->flags & CKPT_VMA_GROWSDOWN)
		map |= MAP_GROWSDOWN;
	if (vma->flags & CKPT_VMA_NORESERVE)
		map |= MAP_NORESERVE;
	switch (vma->kind) {
	case CKPT_VMA_ANON:
		map |= MAP_PRIVATE | MAP_ANONYMOUS;
		break;
	case CKPT_VMA_PRIVATE:
		map |= MAP_PRIVATE;
		break;
	case CKPT_VMA_SHARED:
	case CKPT_VMA_SHMEM:
		map |= MAP_SHARED;
		break;
	default:
		return -EINVAL;
	}

	ret = map_locked(vma, prot, map);
	if (IS_ERR_VALUE(ret))
		return ret;
	if (ret != vma->start)
		return -ENOMEM;
	if (was_writable) {
		ret = protect(vma);
		if (IS_ERR_VALUE(ret))
			return ret;
	}
	if (vma->name[0]) {
		ret = name_anon_vma(vma->start, vma->end - vma->start, vma->name);
		if (IS_ERR_VALUE(ret))
			return ret;
	}
	return advise(vma);
}

int ckpt_mm_unmap(u64 start, u64 end)
{
	end = min(end, TASK_SIZE);
	return start < end ? vm_munmap(start, end - start) : 0;
}

/* Make guard pages in the address space of the current task. */
int ckpt_mm_guard(u64 start, u64 end)
{
	return do_madvise(current->mm, start, end - start, MADV_GUARD_INSTALL);
}

int ckpt_mm_unguard(u64 start, u64 end)
{
	return do_madvise(current->mm, start, end - start, MADV_GUARD_REMOVE);
}

/* Have no private pages between two addresses of one mapping. */
int ckpt_mm_drop(struct mm_struct *mm, u64 start, u64 end)
{
	struct vm_area_struct *vma;
	int ret;

	ret = mmap_read_lock_killable(mm);
	if (ret)
		return ret;
	vma = vma_lookup(mm, start);
	if (vma && vma->vm_end >= end)
		zap_vma_range(vma, start, end - start);
	else
		ret = -EFAULT;
	mmap_read_unlock(mm);
	return ret;
}

/* Whether PR_SET_MM_MAP would take a file as the executable. */
static bool may_execute(struct file *exe)
{
	return S_ISREG(file_inode(exe)->i_mode) && !path_noexec(&exe->f_path) &&
	       !file_permission(exe, MAY_EXEC);
}

/* The vDSO, and what /proc and brk() go by. */
int ckpt_mm_set_layout(const struct ckpt_layout *layout, const void *auxv,
		       size_t size, struct file *exe)
{
	struct mm_struct *mm = current->mm;
	struct prctl_mm_map map = {
		.start_code = layout->start_code,
		.end_code = layout->end_code,
		.start_data = layout->start_data,
		.end_data = layout->end_data,
		.start_brk = layout->start_brk,
		.brk = layout->brk,
		.start_stack = layout->start_stack,
		.arg_start = layout->arg_start,
		.arg_end = layout->arg_end,
		.env_start = layout->env_start,
		.env_end = layout->env_end,
	};
	u64 at;
	int ret;

	if (size != sizeof(mm->saved_auxv) || !PAGE_ALIGNED(layout->mmap_base) ||
	    layout->mmap_base >= TASK_SIZE)
		return -EINVAL;
	if (exe && !may_execute(exe))
		return -EACCES;
	/* In which direction there is room: the limit is the restored one. */
	arch_pick_mmap_layout(mm, &current->signal->rlim[RLIMIT_STACK]);
	if (layout->vdso) {
		ret = ckpt_arch_map_vdso(layout->vdso);
		if (ret)
			return ret;
		mmap_read_lock(mm);
		at = ckpt_arch_vdso(mm);
		mmap_read_unlock(mm);
		/* The kernel takes the address for a hint only. */
		if (at != layout->vdso)
			return -ENOMEM;
	}
	ret = mm_set_layout(mm, &map, auxv);
	if (ret)
		return ret;
	mm->mmap_base = layout->mmap_base;
	return set_mm_exe_file(mm, exe);
}
