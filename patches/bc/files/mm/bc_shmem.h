/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Beancounters: shared memory, which belongs to an inode.
 *
 * As with overcommitment, there are two ways to count it. What has a size from the start, such as
 * shared anonymous mappings and segments of System V, is charged by its size, so that whoever asks
 * for too much is told. Files that grow are charged by the page.
 */
#ifndef __MM_BC_SHMEM_H
#define __MM_BC_SHMEM_H

#include <linux/bc_mm.h>
#include <linux/shmem_fs.h>

#ifdef CONFIG_CGROUP_BC

/* Who makes the inode pays for it until it is gone. */
static inline void bc_own_shmem(struct shmem_inode_info *info)
{
	info->bc = static_branch_unlikely(&bc_enabled_key.key) ? __bc_get_current() : NULL;
}

static inline void bc_disown_shmem(struct shmem_inode_info *info)
{
	if (unlikely(info->bc))
		__bc_put(info->bc);
	info->bc = NULL;
}

static inline bool bc_pays_by_page(const struct shmem_inode_info *info)
{
	return unlikely(info->bc) && (info->flags & SHMEM_F_NORESERVE);
}

static inline bool bc_pays_by_size(const struct shmem_inode_info *info)
{
	return unlikely(info->bc) && !(info->flags & SHMEM_F_NORESERVE);
}

static inline unsigned long bc_shmem_pages(loff_t size)
{
	return PAGE_ALIGN(size) >> PAGE_SHIFT;
}

/* Who comes @again after a refusal has not been refused yet. */
static inline int bc_charge_shmem_pages(struct shmem_inode_info *info, unsigned long nr, bool again)
{
	return bc_pays_by_page(info) ?
	       __bc_charge_shmem(info->bc, nr, again ? BC_TEST : BC_STRICT) : 0;
}

static inline void bc_uncharge_shmem_pages(struct shmem_inode_info *info, unsigned long nr)
{
	if (bc_pays_by_page(info))
		__bc_uncharge_shmem(info->bc, nr);
}

/* The size changes; nothing is refused to what shrinks. */
static inline int bc_charge_shmem_size(struct shmem_inode_info *info, loff_t from, loff_t to)
{
	unsigned long before = bc_shmem_pages(from), after = bc_shmem_pages(to);

	if (!bc_pays_by_size(info))
		return 0;
	if (after > before)
		return __bc_charge_shmem(info->bc, after - before, BC_STRICT);
	__bc_uncharge_shmem(info->bc, before - after);
	return 0;
}

/* SHM_LOCK */
static inline int bc_charge_shmem_lock(struct shmem_inode_info *info, loff_t size)
{
	return unlikely(info->bc) ? __bc_charge_shmem_lock(info->bc, bc_shmem_pages(size)) : 0;
}

static inline void bc_uncharge_shmem_lock(struct shmem_inode_info *info, loff_t size)
{
	if (unlikely(info->bc))
		__bc_uncharge_shmem_lock(info->bc, bc_shmem_pages(size));
}

#else /* !CONFIG_CGROUP_BC */

static inline void bc_own_shmem(struct shmem_inode_info *info) { }
static inline void bc_disown_shmem(struct shmem_inode_info *info) { }

static inline int bc_charge_shmem_pages(struct shmem_inode_info *info, unsigned long nr, bool again)
{
	return 0;
}

static inline void bc_uncharge_shmem_pages(struct shmem_inode_info *info, unsigned long nr) { }

static inline int bc_charge_shmem_size(struct shmem_inode_info *info, loff_t from, loff_t to)
{
	return 0;
}

static inline int bc_charge_shmem_lock(struct shmem_inode_info *info, loff_t size)
{
	return 0;
}

static inline void bc_uncharge_shmem_lock(struct shmem_inode_info *info, loff_t size) { }

#endif /* CONFIG_CGROUP_BC */

#endif /* __MM_BC_SHMEM_H */
