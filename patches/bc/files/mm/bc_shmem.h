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
	return ((u64)size + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

static inline int bc_charge_shmem_pages(struct shmem_inode_info *info, unsigned long nr, bool again)
{
	enum bc_severity severity = again ? BC_TEST : BC_STRICT;

	return bc_pays_by_page(info) ? bc_charge_pages(info->bc, BC_SHMPAGES, nr, severity) : 0;
}

static inline void bc_uncharge_shmem_pages(struct shmem_inode_info *info, unsigned long nr)
{
	if (bc_pays_by_page(info))
		bc_uncharge_pages(info->bc, BC_SHMPAGES, nr);
}

/*
 * The size is going to be another one; nothing is refused to what shrinks. What was charged is
 * remembered, as there are ways to a size that do not come by here.
 */
static inline int bc_charge_shmem_size(struct shmem_inode_info *info, loff_t size)
{
	unsigned long nr = bc_shmem_pages(size);
	int err;

	if (!bc_pays_by_size(info))
		return 0;
	if (nr > info->bc_pages) {
		err = bc_charge_pages(info->bc, BC_SHMPAGES, nr - info->bc_pages, BC_STRICT);
		if (err)
			return err;
	} else {
		bc_uncharge_pages(info->bc, BC_SHMPAGES, info->bc_pages - nr);
	}
	info->bc_pages = nr;
	return 0;
}

/* SHM_LOCK, which has a spinlock. */
static inline int bc_charge_shmem_lock(struct shmem_inode_info *info, loff_t size)
{
	unsigned long nr = bc_shmem_pages(size);
	int err = 0;

	if (unlikely(info->bc))
		err = bc_charge_pages_nowait(info->bc, BC_LOCKEDPAGES, nr, BC_STRICT);
	if (!err)
		info->bc_locked = nr;
	return err;
}

static inline void bc_uncharge_shmem_lock(struct shmem_inode_info *info)
{
	if (unlikely(info->bc))
		bc_uncharge_pages(info->bc, BC_LOCKEDPAGES, info->bc_locked);
}

#else /* !CONFIG_CGROUP_BC */

static inline void bc_own_shmem(struct shmem_inode_info *info) { }
static inline void bc_disown_shmem(struct shmem_inode_info *info) { }

static inline int bc_charge_shmem_pages(struct shmem_inode_info *info, unsigned long nr, bool again)
{
	return 0;
}

static inline void bc_uncharge_shmem_pages(struct shmem_inode_info *info, unsigned long nr) { }

static inline int bc_charge_shmem_size(struct shmem_inode_info *info, loff_t size)
{
	return 0;
}

static inline int bc_charge_shmem_lock(struct shmem_inode_info *info, loff_t size)
{
	return 0;
}

static inline void bc_uncharge_shmem_lock(struct shmem_inode_info *info) { }

#endif /* CONFIG_CGROUP_BC */

#endif /* __MM_BC_SHMEM_H */
