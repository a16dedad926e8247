/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Beancounters: who pays for an address space.
 *
 * It is the container of the process that has it, for all that is charged to it: it goes where its
 * owner is moved. Others that share it do not take it along.
 */
#ifndef _LINUX_BC_MM_H
#define _LINUX_BC_MM_H

#include <linux/bc.h>
#include <linux/mm_types.h>
#include <linux/workqueue.h>

#ifdef CONFIG_CGROUP_BC

void bc_move_mm_work(struct work_struct *work);
void __bc_init_mm(struct mm_struct *mm);
void __bc_exec_mm(struct mm_struct *mm);
void __bc_exit_mm(struct mm_struct *mm);
int __bc_charge_private(struct mm_struct *mm, unsigned long nr, enum bc_severity severity);
int bc_charge_mapping(struct mm_struct *mm, const struct file *file, vma_flags_t *flags,
		      unsigned long nr, struct vm_area_struct *first, struct ma_state *all);
void bc_cancel_mapping(struct mm_struct *mm, const vma_flags_t *flags, unsigned long nr,
		       struct vm_area_struct *first, struct ma_state *all);
void bc_take_over(const vma_flags_t *flags, struct vm_area_struct *first, struct ma_state *all);
void bc_uncharge_unmapped(struct mm_struct *mm, struct vm_area_struct *first,
			  struct ma_state *all, unsigned long locked);
void bc_count_private(struct mm_struct *mm);
int bc_charge_pages(struct bc_cgroup *bc, unsigned long res, unsigned long nr,
		    enum bc_severity severity);
void bc_uncharge_pages(struct bc_cgroup *bc, unsigned long res, unsigned long nr);
int bc_charge_pages_nowait(struct bc_cgroup *bc, unsigned long res, unsigned long nr,
			   enum bc_severity severity);
struct bc_cgroup *__bc_get_current(void);
void __bc_put(struct bc_cgroup *bc);

/* Gives back what __bc_charge_private() has charged. */
static inline void __bc_uncharge_private(struct mm_struct *mm, unsigned long nr)
{
	mm->private_vm -= nr;
	bc_uncharge_pages(mm->bc, BC_PRIVVMPAGES, nr);
}

extern struct static_key_false_deferred bc_guarantee_key;
bool __bc_vm_guaranteed(const struct mm_struct *mm);
void __bc_oom_prepare(void);
bool __bc_oom_guaranteed(struct task_struct *task);

/* Whether more than the machine can promise has to be promised to @mm. */
static inline bool bc_vm_guaranteed(const struct mm_struct *mm)
{
	return static_branch_unlikely(&bc_guarantee_key.key) && mm && __bc_vm_guaranteed(mm);
}

/* Tasks are about to be compared, by what is in use now. May sleep. */
static inline void bc_oom_prepare(void)
{
	if (static_branch_unlikely(&bc_guarantee_key.key))
		__bc_oom_prepare();
}

/* Whether @task is to be killed after all others only. */
static inline bool bc_oom_guaranteed(struct task_struct *task)
{
	return static_branch_unlikely(&bc_guarantee_key.key) && __bc_oom_guaranteed(task);
}

/* A new address space, of the current task or of a child that it is about to make. */
static inline void bc_init_mm(struct mm_struct *mm)
{
	mm->bc = NULL;
	mm->private_vm = 0;
	INIT_WORK(&mm->bc_work, bc_move_mm_work);
	if (static_branch_unlikely(&bc_enabled_key.key))
		__bc_init_mm(mm);
}

/* The current task begins to use an address space that it made some time ago. */
static inline void bc_exec_mm(struct mm_struct *mm)
{
	if (static_branch_unlikely(&bc_enabled_key.key))
		__bc_exec_mm(mm);
}

/* Nothing is mapped any more, and nobody looks. */
static inline void bc_exit_mm(struct mm_struct *mm)
{
	if (unlikely(mm->bc))
		__bc_exit_mm(mm);
}

#else /* !CONFIG_CGROUP_BC */

static inline void bc_init_mm(struct mm_struct *mm) { }
static inline void bc_exec_mm(struct mm_struct *mm) { }
static inline void bc_exit_mm(struct mm_struct *mm) { }

static inline int bc_charge_mapping(struct mm_struct *mm, const struct file *file,
				    vma_flags_t *flags, unsigned long nr,
				    struct vm_area_struct *first, struct ma_state *all)
{
	return 0;
}

static inline void bc_cancel_mapping(struct mm_struct *mm, const vma_flags_t *flags,
				     unsigned long nr, struct vm_area_struct *first,
				     struct ma_state *all) { }
static inline void bc_take_over(const vma_flags_t *flags, struct vm_area_struct *first,
				struct ma_state *all) { }
static inline void bc_uncharge_unmapped(struct mm_struct *mm, struct vm_area_struct *first,
					struct ma_state *all, unsigned long locked) { }

static inline bool bc_vm_guaranteed(const struct mm_struct *mm)
{
	return false;
}

static inline void bc_oom_prepare(void) { }

static inline bool bc_oom_guaranteed(struct task_struct *task)
{
	return false;
}

#endif /* CONFIG_CGROUP_BC */

#endif /* _LINUX_BC_MM_H */
