// SPDX-License-Identifier: GPL-2.0
/*
 * Shared memory: each inode is charged to the container of who made it, for as long as it is there.
 */

#include <linux/bc_mm.h>

#include "internal.h"

/**
 * __bc_charge_shmem - charge pages of an inode of shared memory
 * @bc: who pays for the inode
 * @nr: how many
 * @severity: which setting refuses them
 *
 * Return: 0, or the resource's errno.
 */
int __bc_charge_shmem(struct bc_cgroup *bc, unsigned long nr, enum bc_severity severity)
{
	return bc_charge_pages(bc, BC_SHMPAGES, nr, severity);
}

/**
 * __bc_uncharge_shmem - give back what __bc_charge_shmem() took
 * @bc: who pays for the inode
 * @nr: how many
 */
void __bc_uncharge_shmem(struct bc_cgroup *bc, unsigned long nr)
{
	bc_uncharge_pages(bc, BC_SHMPAGES, nr);
}

/**
 * __bc_charge_shmem_lock - charge pages of an inode that are about to be locked
 * @bc: who pays for the inode
 * @nr: how many
 *
 * Who locks a segment has a spinlock.
 *
 * Return: 0, or the resource's errno.
 */
int __bc_charge_shmem_lock(struct bc_cgroup *bc, unsigned long nr)
{
	return bc_charge_pages_nowait(bc, BC_LOCKEDPAGES, nr);
}

/**
 * __bc_uncharge_shmem_lock - give back what __bc_charge_shmem_lock() took
 * @bc: who pays for the inode
 * @nr: how many
 */
void __bc_uncharge_shmem_lock(struct bc_cgroup *bc, unsigned long nr)
{
	bc_uncharge_pages(bc, BC_LOCKEDPAGES, nr);
}
