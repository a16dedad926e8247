/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Beancounters: what a mapping may cost its container.
 *
 * A mapping counts in full, whether it is touched or not, as soon as its pages may become the
 * process's own: it is private and was writable once. VMA_PRIVVM_BIT says so, and mm->private_vm is
 * the sum of all that have it. The bit stays when a mapping is made read-only, as its pages do; and
 * neither MAP_NORESERVE nor a mode of overcommitment changes anything. Huge pages of hugetlbfs come
 * from a pool of their own, and do not count.
 *
 * While nobody pays nothing of that is done. Who begins to pay has all mappings looked at, by
 * bc_count_private().
 *
 * All of it is under mmap_lock, held for writing.
 */
#ifndef __MM_BC_H
#define __MM_BC_H

#include <linux/bc_mm.h>
#include <linux/mm.h>

#include "internal.h"

/* What a mapping that is moved has been charged. */
struct bc_hold {
#ifdef CONFIG_CGROUP_BC
	struct bc_cgroup *bc;
	unsigned long private;
	unsigned long locked;
	/* The old and the new mapping have both been charged in full. */
	bool paid_twice;
#endif
};

#ifdef CONFIG_CGROUP_BC

/* Whether somebody pays for what is mapped. */
static inline bool bc_pays(const struct mm_struct *mm)
{
	/* On as long as anybody pays, also who is gone. */
	return static_branch_unlikely(&bc_enabled_key.key) && mm->bc;
}

static inline int bc_charge_private(struct mm_struct *mm, unsigned long nr,
				    enum bc_severity severity)
{
	return bc_pays(mm) ? __bc_charge_private(mm, nr, severity) : 0;
}

static inline void bc_set_private(const struct mm_struct *mm, vma_flags_t *flags)
{
	if (bc_pays(mm))
		vma_flags_set(flags, VMA_PRIVVM_BIT);
}

/* The mappings of @oldmm are about to be copied to @mm, which is charged by their flags. */
static inline void bc_dup_mm(struct mm_struct *mm, struct mm_struct *oldmm)
{
	if (bc_pays(mm) && !oldmm->bc)
		bc_count_private(oldmm);
}

/* A mapping with these flags is about to have @nr more pages. */
static inline int bc_charge_flags(struct mm_struct *mm, const vma_flags_t *flags, unsigned long nr,
				  enum bc_severity severity)
{
	if (!bc_pays(mm) || !vma_flags_test(flags, VMA_PRIVVM_BIT))
		return 0;
	return __bc_charge_private(mm, nr, severity);
}

static inline void bc_uncharge_flags(struct mm_struct *mm, const vma_flags_t *flags,
				     unsigned long nr)
{
	if (bc_pays(mm) && vma_flags_test(flags, VMA_PRIVVM_BIT))
		__bc_uncharge_private(mm, nr);
}

static inline int bc_charge_locked(struct mm_struct *mm, unsigned long nr,
				   enum bc_severity severity)
{
	return bc_pays(mm) ? bc_charge_pages(mm->bc, BC_LOCKEDPAGES, nr, severity) : 0;
}

static inline void bc_uncharge_locked(struct mm_struct *mm, unsigned long nr)
{
	if (bc_pays(mm))
		bc_uncharge_pages(mm->bc, BC_LOCKEDPAGES, nr);
}

/* A mapping with these flags is about to have @nr more pages. */
static inline int bc_charge_locking(struct mm_struct *mm, const vma_flags_t *flags,
				    unsigned long nr, enum bc_severity severity)
{
	if (!bc_pays(mm) || !vma_flags_test(flags, VMA_LOCKED_BIT))
		return 0;
	return bc_charge_pages(mm->bc, BC_LOCKEDPAGES, nr, severity);
}

static inline void bc_uncharge_locking(struct mm_struct *mm, const vma_flags_t *flags,
				       unsigned long nr)
{
	if (bc_pays(mm) && vma_flags_test(flags, VMA_LOCKED_BIT))
		bc_uncharge_pages(mm->bc, BC_LOCKEDPAGES, nr);
}

/* Gives back what was paid for, and is not locked, after all or any more. */
static inline void bc_settle_locked(struct mm_struct *mm, unsigned long paid)
{
	bc_uncharge_locked(mm, paid - mm->locked_vm);
}

/*
 * A mapping of @nr pages is about to change its protection: charges it when that makes it writable
 * for the first time.
 */
static inline int bc_charge_writable(struct mm_struct *mm, const vma_flags_t *before,
				     vma_flags_t *after, unsigned long nr)
{
	if (!bc_pays(mm) || vma_flags_test_any(before, VMA_SHARED_BIT, VMA_HUGETLB_BIT))
		return 0;
	/* Not everybody derives the new flags from the old ones. */
	vma_flags_set(after, VMA_PRIVVM_BIT);
	if (vma_flags_test(before, VMA_PRIVVM_BIT))
		return 0;
	return __bc_charge_private(mm, nr, BC_LENIENT);
}

/* Nothing was written to a mapping that is about to lose the right. */
static inline void bc_drop_unwritten(const struct vm_area_struct *vma, vma_flags_t *after)
{
	if (!bc_pays(vma->vm_mm))
		return;
	if (!vma_flags_test(after, VMA_WRITE_BIT) && vma_is_anonymous(vma) && !vma->anon_vma)
		vma_flags_clear(after, VMA_PRIVVM_BIT);
}

/* Uncharges @nr pages that counted @before, and do no longer. */
static inline void bc_uncharge_cleared(struct mm_struct *mm, const vma_flags_t *before,
				       const vma_flags_t *after, unsigned long nr)
{
	if (!vma_flags_test(after, VMA_PRIVVM_BIT))
		bc_uncharge_flags(mm, before, nr);
}

/*
 * The source of a mapping of @nr pages that was moved is about to be unmapped, or, when that
 * failed, the new one. Nothing is given back meanwhile: nobody else may have what is only moved.
 */
static inline struct bc_hold bc_hold_moved(struct vm_area_struct *vma, unsigned long nr,
					   bool paid_twice)
{
	struct bc_hold hold = {
		.bc = vma->vm_mm->bc,
		.private = vma_test(vma, VMA_PRIVVM_BIT) ? nr : 0,
		.paid_twice = paid_twice,
		.locked = vma_test(vma, VMA_LOCKED_BIT) ? nr : 0,
	};

	vma->vm_mm->bc = NULL;
	return hold;
}

static inline void bc_release_moved(struct mm_struct *mm, struct bc_hold hold, bool unmapped)
{
	mm->bc = hold.bc;
	if (unmapped) {
		if (hold.paid_twice && bc_pays(mm))
			__bc_uncharge_private(mm, hold.private);
		return;
	}
	/* Both are there. */
	if (!hold.paid_twice)
		bc_charge_private(mm, hold.private, BC_FORCED);
	bc_charge_locked(mm, hold.locked, BC_FORCED);
}

#else /* !CONFIG_CGROUP_BC */

static inline bool bc_pays(const struct mm_struct *mm)
{
	return false;
}

static inline int bc_charge_locked(struct mm_struct *mm, unsigned long nr,
				   enum bc_severity severity)
{
	return 0;
}

static inline void bc_uncharge_locked(struct mm_struct *mm, unsigned long nr) { }

static inline int bc_charge_locking(struct mm_struct *mm, const vma_flags_t *flags,
				    unsigned long nr, enum bc_severity severity)
{
	return 0;
}

static inline void bc_uncharge_locking(struct mm_struct *mm, const vma_flags_t *flags,
				       unsigned long nr) { }
static inline void bc_settle_locked(struct mm_struct *mm, unsigned long paid) { }

static inline void bc_set_private(const struct mm_struct *mm, vma_flags_t *flags) { }
static inline void bc_dup_mm(struct mm_struct *mm, struct mm_struct *oldmm) { }

static inline int bc_charge_flags(struct mm_struct *mm, const vma_flags_t *flags, unsigned long nr,
				  enum bc_severity severity)
{
	return 0;
}

static inline void bc_uncharge_flags(struct mm_struct *mm, const vma_flags_t *flags,
				     unsigned long nr) { }

static inline int bc_charge_writable(struct mm_struct *mm, const vma_flags_t *before,
				     vma_flags_t *after, unsigned long nr)
{
	return 0;
}

static inline void bc_drop_unwritten(const struct vm_area_struct *vma, vma_flags_t *after) { }
static inline void bc_uncharge_cleared(struct mm_struct *mm, const vma_flags_t *before,
				       const vma_flags_t *after, unsigned long nr) { }

static inline struct bc_hold bc_hold_moved(struct vm_area_struct *vma, unsigned long nr,
					   bool paid_twice)
{
	return (struct bc_hold){};
}

static inline void bc_release_moved(struct mm_struct *mm, struct bc_hold hold, bool unmapped) { }

#endif /* CONFIG_CGROUP_BC */

#endif /* __MM_BC_H */
