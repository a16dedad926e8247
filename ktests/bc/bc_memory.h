/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SELFTESTS_BC_MEMORY_H
#define _SELFTESTS_BC_MEMORY_H

#include <linux/memfd.h>
#include <linux/mman.h>

/* What tests of memory share: settings of the machine, huge pages and swap. */

/* The number that follows a word in a file such as /proc/meminfo; -1 if none does. */
long bc_number(const char *path, const char *name);

#define OVERCOMMIT	"/proc/sys/vm/overcommit_memory"

/*
 * Write a setting of the machine; 0 or -errno. bc_restore() puts back what was
 * there before, the last one first. NULL only remembers.
 */
int bc_setting(const char *path, const char *value);
void bc_restore(void);

/*
 * What the machine needs to have for a test: KSFT_PASS, or what the test is to
 * return. Promises are what it may overcommit. Huge pages go with bc_restore(),
 * swap with bc_end_swap(), also when it was not to be had.
 */
int bc_need_promises(void);
int bc_need_thp(void);
int bc_need_hugetlb(long nr);
int bc_need_swap(void);
void bc_end_swap(void);

/* How many pages a huge one has; it is skipped where they have another size. */
#define BC_HUGE_PAGES	512

/* Private memory that begins as a huge page does and may have such ones. */
void *bc_map_thp(long pages);

/* Gets memory out to swap: 0, or -1 if the kernel does not do so. */
long bc_page_out(void *addr, long pages);

#endif /* _SELFTESTS_BC_MEMORY_H */
