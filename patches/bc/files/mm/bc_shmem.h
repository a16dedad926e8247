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
	return bc_pays_by_page(info) ?
	       __bc_charge_shmem(info->bc, nr, again ? BC_TEST : BC_STRICT) : 0;
}

static inline void bc_uncharge_shmem_pages(struct shmem_inode_info *info, unsigned long nr)
{
	if (bc_pays_by_page(info))
		__bc_uncharge_shmem(info->bc, nr);
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
		err = __bc_charge_shmem(info->bc, nr - info->bc_pages, BC_STRICT);
		if (err)
			return err;
	} else {
		__bc_uncharge_shmem(info->bc, info->bc_pages - nr);
	}
	info->bc_pages = nr;
	return 0;
}

/* SHM_LOCK */
static inline int bc_charge_shmem_lock(struct shmem_inode_info *info, loff_t size)
{
	unsigned long nr = bc_shmem_pages(size);
	int err = 0;

	if (unlikely(info->bc))
		err = __bc_charge_shmem_lock(info->bc, nr);
	if (!err)
		info->bc_locked = nr;
	return err;
}

static inline void bc_uncharge_shmem_lock(struct shmem_inode_info *info)
{
	if (unlikely(info->bc))
		__bc_uncharge_shmem_lock(info->bc, info->bc_locked);
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
