// SPDX-License-Identifier: GPL-2.0
/* The content of memory. */

#include <linux/highmem.h>
#include <linux/leafops.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pagewalk.h>
#include <linux/sched/mm.h>
#include <linux/shmem_fs.h>

#include "internal.h"

/* A page that is not there to be looked at. */
#define ELSEWHERE ((struct page *)1)

/* Looks at the places of a mapping, one after the other. */
struct scan {
	/* What is there, of its own pages: NULL is none. Other than 0 ends the scan. */
	int (*see)(struct scan *scan, unsigned long addr, struct page *page);
	struct page **pages;
	struct ckpt_run *run;
	/* Where the first page is ELSEWHERE; 0 is nowhere. */
	unsigned long absent;
	/* Where there is no page, are zeros, and not what a file has. */
	bool anon;
};

static bool is_zero(struct page *page)
{
	void *data = kmap_local_page(page);
	bool zero = !memchr_inv(data, 0, PAGE_SIZE);

	kunmap_local(data);
	return zero;
}

/* Take a page into the run; 1 if it is of another one, or the last that fits. */
static int take(struct scan *scan, u64 position, struct page *page)
{
	struct ckpt_run *run = scan->run;

	if (!run->nr)
		run->position = position;
	else if (position != run->position + (u64)run->nr * PAGE_SIZE)
		return 1;
	get_page(page);
	scan->pages[run->nr++] = page;
	return run->nr == CKPT_RUN;
}

/* The private page of an entry that is there; NULL is one of the file, or zeros of nothing. */
static struct page *private_page(struct vm_area_struct *vma, unsigned long addr, pte_t entry)
{
	struct page *page = vm_normal_page(vma, addr, entry);

	/* In a mapping of a file, zeros are something: KSM has shared a page that was written. */
	if (!page && !vma_is_anonymous(vma) && is_zero_pfn(pte_pfn(entry)))
		return pte_page(entry);
	return page && PageAnon(page) ? page : NULL;
}

static int scan_pmd(pmd_t *pmd, unsigned long addr, unsigned long end,
		    struct mm_walk *walk)
{
	struct vm_area_struct *vma = walk->vma;
	struct scan *scan = walk->private;
	spinlock_t *ptl; /* of the page table */
	pte_t *start, *pte;
	int ret = 0;

	ptl = pmd_trans_huge_lock(pmd, vma);
	if (ptl) {
		struct page *page = ELSEWHERE;

		if (pmd_present(*pmd)) {
			page = vm_normal_page_pmd(vma, addr, *pmd);
			page = page && PageAnon(page) ?
				page + ((addr & ~HPAGE_PMD_MASK) >> PAGE_SHIFT) : NULL;
		}
		for (; !ret && addr < end; addr += PAGE_SIZE) {
			ret = scan->see(scan, addr, page);
			if (page && page != ELSEWHERE)
				page++;
		}
		spin_unlock(ptl);
		return ret;
	}

	start = pte_offset_map_lock(walk->mm, pmd, addr, &ptl);
	if (!start) {
		walk->action = ACTION_AGAIN;
		return 0;
	}
	for (pte = start; !ret && addr < end; pte++, addr += PAGE_SIZE) {
		pte_t entry = ptep_get(pte);
		struct page *page = NULL;

		if (pte_present(entry)) {
			page = private_page(vma, addr, entry);
		} else if (!pte_none(entry)) {
			const softleaf_t leaf = softleaf_from_pte(entry);

			if (softleaf_is_poison_marker(leaf)) {
				ret = -EHWPOISON;
				break;
			}
			page = softleaf_is_marker(leaf) ? NULL : ELSEWHERE;
		}
		ret = scan->see(scan, addr, page);
	}
	pte_unmap_unlock(start, ptl);
	return ret;
}

static const struct mm_walk_ops scan_ops = {
	.pmd_entry = scan_pmd,
	.walk_lock = PGWALK_RDLOCK,
};

/* Look at a part of one mapping; the caller has the lock of @mm for reading. */
static int scan_locked(struct mm_struct *mm, u64 from, u64 end, struct scan *scan)
{
	struct vm_area_struct *vma = find_vma(mm, from);

	if (!vma || vma->vm_start > from || vma->vm_end < end)
		return -EFAULT;
	scan->anon = vma_is_anonymous(vma);
	return min(walk_page_range_vma(vma, from, end, &scan_ops, scan), 0);
}

static int scan_range(struct mm_struct *mm, u64 from, u64 end, struct scan *scan)
{
	int ret = mmap_read_lock_killable(mm);

	if (ret)
		return ret;
	ret = scan_locked(mm, from, end, scan);
	mmap_read_unlock(mm);
	return ret;
}

static int see_any(struct scan *scan, unsigned long addr, struct page *page)
{
	struct ckpt_run *run = scan->run;

	if (run->hole && (!page || addr != run->position + run->hole))
		return 1;
	if (!page)
		return 0;
	if (!run->hole)
		run->position = addr;
	run->hole += PAGE_SIZE;
	return 0;
}

/* Find the first pages that the origin has between @from and @end. */
static int find_hole(struct mm_struct *origin, u64 from, u64 end, struct ckpt_run *hole)
{
	struct scan scan = { .see = see_any, .run = hole };

	return from < end ? scan_range(origin, from, end, &scan) : 0;
}

static int see_all(struct scan *scan, unsigned long addr, struct page *page)
{
	scan->pages[(addr - scan->run->position) >> PAGE_SHIFT] = page;
	return 0;
}

/* Look up what the origin has in the place of each page; no references are taken. */
static int look_up(struct mm_struct *origin, struct ckpt_run *run,
		   struct page **others)
{
	struct scan scan = { .see = see_all, .pages = others, .run = run };
	u32 i;
	int ret;

	memset(others, 0, run->nr * sizeof(*others));
	ret = scan_range(origin, run->position,
			 run->position + (u64)run->nr * PAGE_SIZE, &scan);
	if (ret)
		return ret;

	/* What both had swapped out is the same page again when both have it. */
	for (i = 0; i < run->nr; i++) {
		struct page *page;
		long nr;

		if (others[i] != ELSEWHERE)
			continue;
		ret = mmap_read_lock_killable(origin);
		if (ret)
			return ret;
		nr = get_user_pages_remote(origin, run->position + (u64)i * PAGE_SIZE, 1,
					   FOLL_DUMP | FOLL_FORCE, &page, NULL);
		mmap_read_unlock(origin);
		if (nr == 1) {
			others[i] = page;
			put_page(page);
		}
	}
	return 0;
}

/* Whether a page is left out: the origin has the same, or there would be zeros anyway. */
static bool is_known(struct page *page, struct page *other, bool anon)
{
	return page == other || (anon && !other && is_zero(page));
}

/* Leave the known pages at the start out, and end the run before the next of them. */
static void trim(struct page **pages, struct page **others, bool anon,
		 struct ckpt_run *run, u64 *from)
{
	u32 skip, end, i;

	for (skip = 0; skip < run->nr; skip++)
		if (!is_known(pages[skip], others ? others[skip] : NULL, anon))
			break;
	for (end = skip; end < run->nr; end++)
		if (is_known(pages[end], others ? others[end] : NULL, anon))
			break;
	for (i = 0; i < skip; i++)
		put_page(pages[i]);
	for (i = end; i < run->nr; i++)
		put_page(pages[i]);
	memmove(pages, pages + skip, (end - skip) * sizeof(*pages));
	*from = run->position + (u64)end * PAGE_SIZE;
	run->position += (u64)skip * PAGE_SIZE;
	run->nr = end - skip;
}

/* See pages that are to be saved. */
static int see_own(struct scan *scan, unsigned long addr, struct page *page)
{
	if (page == ELSEWHERE) {
		scan->absent = addr;
		return 1;
	}
	return page ? take(scan, addr, page) : 0;
}

/*
 * Find the next private pages between *@from and @end, as they are, and move *@from behind them;
 * without any, to @end.
 */
static int scan_run(struct mm_struct *mm, u64 *from, u64 end, struct page **pages,
		    struct ckpt_run *run, bool *anon)
{
	struct scan scan = { .see = see_own, .pages = pages, .run = run };
	int ret;

	ret = mmap_read_lock_killable(mm);
	if (ret)
		return ret;
	ret = scan_locked(mm, *from, end, &scan);
	if (!ret && !run->nr && scan.absent) {
		long nr = get_user_pages_remote(mm, scan.absent, 1,
						FOLL_DUMP | FOLL_FORCE,
						pages, NULL);

		if (nr == 1) {
			run->position = scan.absent;
			run->nr = 1;
		} else {
			ret = nr ?: -EFAULT;
		}
	}
	mmap_read_unlock(mm);
	*anon = scan.anon;
	*from = run->nr ? run->position + (u64)run->nr * PAGE_SIZE : end;
	return ret;
}

/*
 * Find the next private pages between *@from and @end, which are within one mapping, and move
 * *@from behind them. Each has a reference. What @origin has, too, is left out; the run may be a
 * hole instead, where that has pages and @mm has none. Return 1, or 0 if there are no more, or
 * -errno, and then there are none in the run. @others is room for CKPT_RUN pages.
 */
int ckpt_pages_scan(struct mm_struct *mm, struct mm_struct *origin, u64 *from,
		    u64 end, struct page **pages, struct page **others,
		    struct ckpt_run *run)
{
	while (*from < end) {
		const u64 start = *from;
		struct ckpt_run hole = {};
		bool anon;
		int ret;

		*run = (struct ckpt_run) {};
		ret = scan_run(mm, from, end, pages, run, &anon);
		if (!ret && origin)
			ret = find_hole(origin, start, run->nr ? run->position : end, &hole);
		if (!ret && origin && run->nr && !hole.hole)
			ret = look_up(origin, run, others);
		if (ret || hole.hole) {
			ckpt_pages_put(pages, run->nr);
			*run = hole;
			*from = hole.position + hole.hole;
			return ret ?: 1;
		}
		if (!run->nr)
			return 0;
		trim(pages, origin ? others : NULL, anon, run, from);
		if (run->nr)
			return 1;
	}
	*run = (struct ckpt_run) {};
	return 0;
}

/* The page of a file at an offset, with a reference; NULL if it is one of zeros. */
static struct page *page_of_file(struct file *file, u64 at)
{
	struct inode *inode = file_inode(file);
	struct folio *folio = NULL;
	struct page *page;
	loff_t pos = at;
	ssize_t ret;

	if (shmem_mapping(inode->i_mapping)) {
		ret = shmem_get_folio(inode, at >> PAGE_SHIFT, 0, &folio, SGP_READ);
		if (ret)
			return ERR_PTR(ret);
		if (!folio)
			return NULL;
		folio_unlock(folio);
		return folio_file_page(folio, at >> PAGE_SHIFT);
	}

	/* The page cache of others is theirs. */
	page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!page)
		return ERR_PTR(-ENOMEM);
	ret = kernel_read(file, page_address(page), PAGE_SIZE, &pos);
	if (ret >= 0)
		return page;
	put_page(page);
	return ERR_PTR(ret);
}

/* Take adjacent pages between @at and @end, which has no hole. */
static int scan_file(struct file *file, u64 at, u64 end, struct scan *scan)
{
	int ret = 0;

	for (; !ret && at < end; at += PAGE_SIZE) {
		struct page *page = page_of_file(file, at);

		if (IS_ERR(page))
			return PTR_ERR(page);
		if (!page && scan->run->nr)
			return 0;
		if (!page)
			continue;
		ret = take(scan, at, page);
		put_page(page);
	}
	return 0;
}

/*
 * The same for a shared memory object or a file, whose position is an offset;
 * all of it. The position of the file is moved.
 */
int ckpt_pages_file(struct file *file, u64 *from, struct page **pages,
		    struct ckpt_run *run)
{
	u64 size = i_size_read(file_inode(file));

	*run = (struct ckpt_run) {};
	while (*from < size) {
		struct scan scan = { .pages = pages, .run = run };
		loff_t start, end;
		int ret;

		start = vfs_llseek(file, *from, SEEK_DATA);
		if (start == -ENXIO)
			break;
		end = start < 0 ? start : vfs_llseek(file, start, SEEK_HOLE);
		if (end < 0)
			return end;

		start = round_down(start, PAGE_SIZE);
		ret = scan_file(file, start, end, &scan);
		if (ret) {
			ckpt_pages_put(pages, run->nr);
			run->nr = 0;
			return ret;
		}
		*from = round_up(end, PAGE_SIZE);
		if (!run->nr)
			continue;
		trim(pages, NULL, true, run, from);
		if (run->nr)
			return 1;
	}
	*from = max(*from, size);
	return 0;
}

static int guard_pte(pte_t *pte, unsigned long addr, unsigned long next,
		     struct mm_walk *walk)
{
	struct ckpt_run *run = walk->private;
	pte_t entry = ptep_get(pte);
	bool guard = !pte_none(entry) && !pte_present(entry) &&
		     softleaf_is_guard_marker(softleaf_from_pte(entry));

	if (!guard)
		return run->nr ? 1 : 0;
	if (!run->nr)
		run->position = addr;
	else if (addr != run->position + (u64)run->nr * PAGE_SIZE)
		return 1;
	run->nr++;
	return 0;
}

/* There are no guards within huge pages, which stay as they are. */
static int guard_pmd(pmd_t *pmd, unsigned long addr, unsigned long next,
		     struct mm_walk *walk)
{
	const pmd_t entry = pmdp_get_lockless(pmd);

	if (pmd_none(entry) || (pmd_present(entry) && !pmd_leaf(entry)))
		return 0;
	walk->action = ACTION_CONTINUE;
	return 0;
}

static const struct mm_walk_ops guard_ops = {
	.pmd_entry = guard_pmd,
	.pte_entry = guard_pte,
	.walk_lock = PGWALK_RDLOCK,
};

/*
 * Find the next guard pages between *@from and @end, which are within one
 * mapping; they end where *@from is then. Return 1, or 0 if there are no more,
 * or -errno.
 */
int ckpt_pages_guard(struct mm_struct *mm, u64 *from, u64 end, u64 *start)
{
	struct ckpt_run run = {};
	struct vm_area_struct *vma;
	int ret;

	ret = mmap_read_lock_killable(mm);
	if (ret)
		return ret;
	vma = find_vma(mm, *from);
	ret = !vma || vma->vm_start > *from || vma->vm_end < end ? -EFAULT :
		walk_page_range_vma(vma, *from, end, &guard_ops, &run);
	mmap_read_unlock(mm);
	if (ret < 0)
		return ret;

	*start = run.position;
	*from = run.nr ? run.position + (u64)run.nr * PAGE_SIZE : end;
	return run.nr ? 1 : 0;
}

/* Write a page to a place in a file. */
int ckpt_page_to_file(struct page *page, struct file *file, u64 at)
{
	void *from = kmap_local_page(page);
	int ret = ckpt_file_write(file, from, PAGE_SIZE, at);

	kunmap_local(from);
	return ret;
}

void ckpt_pages_put(struct page **pages, u32 nr)
{
	while (nr)
		put_page(pages[--nr]);
}

/*
 * Write into private memory, whatever its protection: whole pages, of which the
 * task that they belong to sees nothing yet.
 */
int ckpt_pages_fill(struct mm_struct *mm, u64 address, const void *buf,
		    size_t size)
{
	struct page *pages[16];
	long nr, i;
	int ret;

	if (!PAGE_ALIGNED(address) || !PAGE_ALIGNED(size))
		return -EINVAL;

	ret = mmap_read_lock_killable(mm);
	if (ret)
		return ret;
	for (; size; size -= nr * PAGE_SIZE) {
		nr = get_user_pages_remote(mm, address,
					   min(size >> PAGE_SHIFT, ARRAY_SIZE(pages)),
					   FOLL_WRITE | FOLL_FORCE, pages, NULL);
		if (nr <= 0) {
			ret = nr ?: -EFAULT;
			break;
		}
		for (i = 0; i < nr; i++) {
			memcpy_to_page(pages[i], 0, buf, PAGE_SIZE);
			set_page_dirty_lock(pages[i]);
			buf += PAGE_SIZE;
			address += PAGE_SIZE;
		}
		ckpt_pages_put(pages, nr);
	}
	mmap_read_unlock(mm);
	return ret;
}
