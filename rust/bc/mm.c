// SPDX-License-Identifier: GPL-2.0
/*
 * Address spaces: each is charged to one container as a whole, and moves with the process that owns
 * it. The totals are kept in struct mm_struct while somebody pays, so that moving one to another
 * container takes the same time whatever is mapped.
 */

#include <linux/bc_mm.h>
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/workqueue.h>

#include "internal.h"

/* As many mappings are looked at while all migrations of the machine wait. */
#define BC_ENTER_MAPPINGS	4096

/* Who pays for what a task of @bc has: nobody in the root. */
static struct bc_cgroup *bc_payer(struct bc_cgroup *bc)
{
	return bc->stock ? bc : NULL;
}

/**
 * __bc_get_current - who pays for what the current task makes
 *
 * Return: the container, with a reference, or NULL.
 */
struct bc_cgroup *__bc_get_current(void)
{
	struct bc_cgroup *bc = css_bc(task_get_css(current, bc_cgrp_id));

	if (bc_payer(bc))
		return bc;
	css_put(&bc->css);
	return NULL;
}

/**
 * __bc_put - give back what __bc_get_current() returned
 * @bc: the container, for which nothing is charged any more
 */
void __bc_put(struct bc_cgroup *bc)
{
	css_put(&bc->css);
}

/**
 * __bc_init_mm - bc_init_mm() when the controller is in use
 * @mm: the new address space
 */
void __bc_init_mm(struct mm_struct *mm)
{
	mm->bc = __bc_get_current();
}

/**
 * bc_count_private - say what counts of an address space for which nobody has paid
 * @mm: the address space; the caller has mmap_lock
 *
 * What can be written, and what was: it has memory of its own. Also what counted before, when
 * somebody has paid once.
 */
void bc_count_private(struct mm_struct *mm)
{
	VMA_ITERATOR(vmi, mm, 0);
	struct vm_area_struct *vma;

	mm->private_vm = 0;
	for_each_vma(vmi, vma) {
		if (vma_test_any(vma, VMA_SHARED_BIT, VMA_HUGETLB_BIT))
			continue;
		if (vma_test(vma, VMA_WRITE_BIT) || vma->anon_vma)
			vma_set_atomic_flag(vma, VMA_PRIVVM_BIT);
		if (vma_test(vma, VMA_PRIVVM_BIT))
			mm->private_vm += vma_pages(vma);
	}
}

/*
 * Moves the charges of @mm, which nobody changes meanwhile, to @bc, to which the caller has a
 * reference.
 */
static int bc_rebind_mm(struct mm_struct *mm, struct bc_cgroup *bc, enum bc_severity severity)
{
	struct bc_cgroup *from = mm->bc, *to = bc_payer(bc);
	int err;

	if (from == to)
		return 0;

	if (!from)
		bc_count_private(mm);
	err = bc_transfer_pages(from, to, BC_PRIVVMPAGES, mm->private_vm, severity);
	if (err)
		return err;
	/* Nothing is refused after that: a child has nothing locked. */
	bc_transfer_pages(from, to, BC_LOCKEDPAGES, mm->locked_vm, BC_FORCED);

	if (to)
		css_get(&to->css);
	mm->bc = to;
	if (from)
		css_put(&from->css);
	return 0;
}

/**
 * bc_fork_mm - have the container of a new task pay for its address space
 * @task: the new task, which nobody sees yet
 * @bc: its container, which may be another one than that of its parent
 *
 * Return: 0, or the errno of the resource of which @bc has not enough left.
 */
int bc_fork_mm(struct task_struct *task, struct bc_cgroup *bc)
{
	struct mm_struct *mm = task->mm;
	int err;

	/* One that is shared with the parent is not the child's. */
	if (!mm || mm == current->mm || mm->bc == bc_payer(bc))
		return 0;

	mmap_read_lock(mm);
	err = bc_rebind_mm(mm, bc, BC_STRICT);
	mmap_read_unlock(mm);
	return err;
}

/*
 * Moves the charges of @mm to where its owner is. Nobody changes them meanwhile, and nobody else
 * does this.
 */
static void bc_follow_owner(struct mm_struct *mm)
{
	struct task_struct *owner, *thread;
	struct bc_cgroup *bc;

	scoped_guard(rcu) {
		owner = rcu_dereference(mm->owner);
		if (!owner)
			return;
		/* A thread that is exiting stays where it was, whatever the others do. */
		if (READ_ONCE(owner->flags) & PF_EXITING)
			for_each_thread(owner, thread)
				if (!(READ_ONCE(thread->flags) & PF_EXITING)) {
					owner = thread;
					break;
				}
		do {
			bc = css_bc(task_css_check(owner, bc_cgrp_id, true));
		} while (!css_tryget(&bc->css));
	}
	bc_rebind_mm(mm, bc, BC_FORCED);
	css_put(&bc->css);
}

/**
 * bc_move_mm_work - bc_move_mm() when the lock is there
 * @work: that of the address space
 */
void bc_move_mm_work(struct work_struct *work)
{
	struct mm_struct *mm = container_of(work, struct mm_struct, bc_work);

	mmap_write_lock(mm);
	bc_follow_owner(mm);
	mmap_write_unlock(mm);
	mmput(mm);
}

/**
 * bc_move_mm - move the address space of a task that was moved
 * @task: the task
 *
 * Nothing is refused: policy does not stand in the way of organisation. Whoever has the address
 * space locked does not, either: all migrations of the machine would wait for him, so that it is
 * moved later then. So is one that has to be looked at and has very many mappings.
 */
void bc_move_mm(struct task_struct *task)
{
	struct mm_struct *mm = get_task_mm(task);
	struct task_struct *owner;
	bool owned, few;

	if (!mm)
		return;

	/* Any thread stands for the process: the one that is the owner may just be exiting. */
	scoped_guard(rcu) {
		owner = rcu_dereference(mm->owner);
		owned = owner && same_thread_group(owner, task);
	}
	/* Just a guess without the lock, of how long it takes. */
	few = READ_ONCE(mm->bc) || READ_ONCE(mm->map_count) <= BC_ENTER_MAPPINGS;
	/* Who charges has it for writing, and there is one migration at a time. */
	if (owned && few && mmap_read_trylock(mm)) {
		bc_follow_owner(mm);
		mmap_read_unlock(mm);
	} else if (owned && queue_work(system_dfl_wq, &mm->bc_work)) {
		/* The work item has the reference. */
		return;
	}
	mmput_async(mm);
}

/**
 * __bc_exec_mm - bc_exec_mm() when the controller is in use
 * @mm: the address space, which is that of the current task since now
 *
 * The task may have been moved since it made @mm. Either it is found here to have been, or who
 * moves it finds @mm.
 */
void __bc_exec_mm(struct mm_struct *mm)
{
	struct bc_cgroup *bc = css_bc(task_get_css(current, bc_cgrp_id));

	if (READ_ONCE(mm->bc) != bc_payer(bc)) {
		mmap_write_lock(mm);
		/* Perhaps it was moved once more, by who took the lock first. */
		bc_follow_owner(mm);
		mmap_write_unlock(mm);
	}
	css_put(&bc->css);
}

/**
 * __bc_exit_mm - bc_exit_mm() when somebody pays
 * @mm: the address space
 */
void __bc_exit_mm(struct mm_struct *mm)
{
	struct bc_cgroup *bc = mm->bc;

	/* A device may still unpin pages. */
	mmap_write_lock(mm);
	bc_uncharge_pages(bc, BC_PRIVVMPAGES, mm->private_vm);
	bc_uncharge_pages(bc, BC_LOCKEDPAGES, mm->locked_vm);
	mm->private_vm = 0;
	mm->bc = NULL;
	mmap_write_unlock(mm);
	css_put(&bc->css);
}

/**
 * __bc_charge_private - charge what may become private memory, when somebody pays
 * @mm: the address space
 * @nr: how many pages
 * @severity: which setting refuses them
 *
 * Return: 0, or the resource's errno.
 */
int __bc_charge_private(struct mm_struct *mm, unsigned long nr, enum bc_severity severity)
{
	int err;

	/* Half way from one program to the next, a refusal kills. */
	if (severity == BC_STRICT && current->in_execve)
		severity = BC_LENIENT;
	err = bc_charge_pages(mm->bc, BC_PRIVVMPAGES, nr, severity);
	if (!err)
		mm->private_vm += nr;
	return err;
}

/* What was charged for mappings that are detached: @first, or @all of them if there are more. */
static unsigned long bc_private_of(struct vm_area_struct *first, struct ma_state *all)
{
	struct vm_area_struct *vma;
	unsigned long nr = 0;

	if (!all)
		return first && vma_test(first, VMA_PRIVVM_BIT) ? vma_pages(first) : 0;

	mas_set(all, 0);
	mas_for_each(all, vma, ULONG_MAX) {
		if (vma_test(vma, VMA_PRIVVM_BIT))
			nr += vma_pages(vma);
	}
	return nr;
}

/**
 * bc_charge_mapping - charge a new mapping, when somebody pays
 * @mm: the address space
 * @file: what is mapped, or NULL
 * @flags: its flags, which say that it counts afterwards, if it does
 * @nr: how many pages it has
 * @first: the first mapping whose place it takes, or NULL
 * @all: all of them, if there are more; or NULL
 *
 * What they were charged is not charged again. Once the new mapping cannot fail for want of memory
 * any more, bc_take_over() has to be called, or else bc_cancel_mapping().
 *
 * Context: mmap_lock is held for writing, as for the three that follow; nobody else knows of the
 * mappings that were detached.
 * Return: 0, or the errno of mmap().
 */
int bc_charge_mapping(struct mm_struct *mm, const struct file *file, vma_flags_t *flags,
		      unsigned long nr, struct vm_area_struct *first, struct ma_state *all)
{
	bool locked = vma_flags_test(flags, VMA_LOCKED_BIT);
	int err;

	/* As RLIMIT_MEMLOCK, what is replaced is not taken into account. */
	if (locked && bc_charge_pages(mm->bc, BC_LOCKEDPAGES, nr, BC_STRICT))
		return -EAGAIN;
	if (!vma_flags_test(flags, VMA_WRITE_BIT) || vma_flags_test(flags, VMA_SHARED_BIT))
		return 0;
	if (file && is_file_hugepages(file))
		return 0;
	err = __bc_charge_private(mm, nr - bc_private_of(first, all), BC_STRICT);
	if (err) {
		if (locked)
			bc_uncharge_pages(mm->bc, BC_LOCKEDPAGES, nr);
		return err;
	}
	vma_flags_set(flags, VMA_PRIVVM_BIT);
	return 0;
}

/**
 * bc_cancel_mapping - undo bc_charge_mapping()
 * @mm: the address space
 * @flags: those of the new mapping
 * @nr: how many pages it was to have
 * @first: the first mapping that stays
 * @all: all of them, if there are more; or NULL
 */
void bc_cancel_mapping(struct mm_struct *mm, const vma_flags_t *flags, unsigned long nr,
		       struct vm_area_struct *first, struct ma_state *all)
{
	if (vma_flags_test(flags, VMA_LOCKED_BIT))
		bc_uncharge_pages(mm->bc, BC_LOCKEDPAGES, nr);
	if (!vma_flags_test(flags, VMA_PRIVVM_BIT))
		return;
	__bc_uncharge_private(mm, nr - bc_private_of(first, all));
}

/**
 * bc_take_over - what mappings were charged is a new mapping's from now on, if that counts
 * @flags: those of the new mapping
 * @first: the first mapping whose place it takes, or NULL
 * @all: all of them, if there are more; or NULL
 */
void bc_take_over(const vma_flags_t *flags, struct vm_area_struct *first, struct ma_state *all)
{
	struct vm_area_struct *vma;

	if (!first || !vma_flags_test(flags, VMA_PRIVVM_BIT))
		return;
	if (!all) {
		vma_flags_clear(&first->flags, VMA_PRIVVM_BIT);
		return;
	}
	mas_set(all, 0);
	mas_for_each(all, vma, ULONG_MAX)
		vma_flags_clear(&vma->flags, VMA_PRIVVM_BIT);
}

/**
 * bc_uncharge_unmapped - uncharge mappings that are gone, when somebody pays
 * @mm: the address space
 * @first: the first of them
 * @all: all of them, if there are more; or NULL
 * @locked: how many of their pages were locked
 */
void bc_uncharge_unmapped(struct mm_struct *mm, struct vm_area_struct *first, struct ma_state *all,
			  unsigned long locked)
{
	unsigned long private = bc_private_of(first, all);

	if (private)
		__bc_uncharge_private(mm, private);
	if (locked)
		bc_uncharge_pages(mm->bc, BC_LOCKEDPAGES, locked);
}
