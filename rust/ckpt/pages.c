// SPDX-License-Identifier: GPL-2.0
/* The content of memory. */

#include <linux/highmem.h>
#include <linux/leafops.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pagewalk.h>
#include <linux/sched/mm.h>
#include <linux/shmem_fs.h>
#include <linux/sizes.h>
#include <linux/uio.h>

#include "internal.h"

/* A page that is not there to be looked at. */
#define ELSEWHERE ((struct page *)1)

/* How far two address spaces are compared at once: one may have much where the other has none. */
#define WINDOW	SZ_64M

/* How far to estimate what they have in common: that is for many processes, which are at rest. */
#define SAMPLE	SZ_128K

/* The private pages of a mapping, one after the other. */
struct scan {
	/* Those that are there, at most CKPT_PAGES. */
	struct ckpt_place *places;
	u32 nr;
	/* Whether each gets a reference; that ends before one that is elsewhere. */
	bool refs;
	/* Where the scan ended. */
	unsigned long end;
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

/* The private page of an entry that is there; NULL is one of the file, or zeros of nothing. */
static struct page *private_page(struct vm_area_struct *vma, unsigned long addr, pte_t entry)
{
	struct page *page = vm_normal_page(vma, addr, entry);

	/* In a mapping of a file, zeros are something: KSM has shared a page that was written. */
	if (!page && !vma_is_anonymous(vma) && is_zero_pfn(pte_pfn(entry)))
		return pte_page(entry);
	return page && PageAnon(page) ? page : NULL;
}

/* See what is at an address; NULL is nothing. 1 ends the scan. */
static int see(struct scan *scan, unsigned long addr, struct page *page)
{
	if (!page)
		return 0;
	if (scan->nr == CKPT_PAGES || (scan->refs && page == ELSEWHERE)) {
		scan->end = addr;
		return 1;
	}
	if (scan->refs)
		get_page(page);
	scan->places[scan->nr++] = (struct ckpt_place) { addr, page };
	return 0;
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
			ret = see(scan, addr, page);
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
		ret = see(scan, addr, page);
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

/*
 * List private pages between two addresses; the first one is read in if it is elsewhere and is to
 * get a reference.
 */
static int list(struct mm_struct *mm, u64 from, u64 end, struct scan *scan)
{
	int ret;

	scan->end = end;
	ret = mmap_read_lock_killable(mm);
	if (ret)
		return ret;
	ret = scan_locked(mm, from, end, scan);
	if (!ret && !scan->nr && scan->end < end) {
		struct page *page;
		long nr = get_user_pages_remote(mm, scan->end, 1, FOLL_DUMP | FOLL_FORCE,
						&page, NULL);

		if (nr == 1) {
			scan->places[scan->nr++] = (struct ckpt_place) { scan->end, page };
			scan->end += PAGE_SIZE;
		} else {
			ret = nr ?: -EFAULT;
		}
	}
	mmap_read_unlock(mm);
	return ret;
}

/* Whether @page is what the origin has at an address, where it has some page. */
static int is_shared(struct mm_struct *origin, struct ckpt_place *other, struct page *page)
{
	long nr;
	int ret;

	if (other->page != ELSEWHERE)
		return other->page == page;
	/* What both had swapped out is the same page again when both have it. */
	ret = mmap_read_lock_killable(origin);
	if (ret)
		return ret;
	nr = get_user_pages_remote(origin, other->at, 1, FOLL_DUMP | FOLL_FORCE, &other->page,
				   NULL);
	mmap_read_unlock(origin);
	if (nr == 1)
		put_page(other->page);
	return nr == 1 && other->page == page;
}

static bool is_full(const struct ckpt_found *found)
{
	return found->nr_pages == CKPT_PAGES || found->nr_runs == CKPT_RUNS;
}

/*
 * Add a page, or NULL for a place without one, to the runs from number @first on, which are of the
 * same memory; false if there is no room.
 */
static bool add(struct ckpt_found *found, u32 first, u64 at, struct page *page)
{
	struct ckpt_run *run = NULL;

	if (found->nr_runs > first)
		run = &found->runs[found->nr_runs - 1];
	if (page && found->nr_pages == CKPT_PAGES)
		return false;
	if (!run || run->hole != !page || run->position + run->bytes != at) {
		if (found->nr_runs == CKPT_RUNS)
			return false;
		run = &found->runs[found->nr_runs++];
		*run = (struct ckpt_run) { .position = at, .hole = !page };
	}
	run->bytes += PAGE_SIZE;
	if (page)
		found->pages[found->nr_pages++] = page;
	return true;
}

/*
 * Add what differs between two lists to the runs from number @first on, and move *@from to where
 * that ends: early if there is no room, or at an error. What the origin has, too, is left out, and
 * so are zeros where there would be zeros anyway. A place where only the origin has a page is a
 * hole.
 */
static int merge(struct mm_struct *origin, struct scan *own, struct scan *others, u64 *from,
		 struct ckpt_found *found, u32 first)
{
	const u64 end = own->end;
	u32 i = 0, j = 0;
	int ret = 0;

	for (;;) {
		const u64 mine = i < own->nr ? own->places[i].at : end;
		const u64 theirs = j < others->nr ? others->places[j].at : end;
		struct page *page;

		*from = min3(mine, theirs, end);
		if (*from == end)
			break;
		page = mine == *from ? own->places[i].page : NULL;
		ret = 0;
		if (mine == theirs)
			ret = is_shared(origin, &others->places[j], page);
		else if (page && own->anon)
			ret = is_zero(page);
		if (ret < 0 || (!ret && !add(found, first, *from, page)))
			break;
		if (ret)
			put_page(page);
		i += mine == *from;
		j += theirs == *from;
	}
	for (; i < own->nr; i++)
		put_page(own->places[i].page);
	return min(ret, 0);
}

/*
 * Find the next private pages between *@from and @end, which are within one mapping, add them to
 * what was found, and move *@from behind them. What @origin has, too, is left out; where only that
 * has pages are holes. Return 1 if there may be more, 0 if not, or -errno; nothing was added then.
 */
int ckpt_pages_scan(struct mm_struct *mm, struct mm_struct *origin, u64 *from,
		    u64 end, struct ckpt_found *found)
{
	const u32 before = found->nr_runs;
	int ret = 0;

	while (!ret && *from < end && !is_full(found)) {
		struct scan own = { .places = found->own, .refs = true };
		struct scan others = { .places = found->others };

		/* As long as ours have references, no other page can take their place. */
		ret = fatal_signal_pending(current) ? -EINTR :
		      list(mm, *from, min(end, *from + WINDOW), &own);
		if (!ret && origin) {
			ret = list(origin, *from, own.end, &others);
			own.end = min(own.end, others.end);
		}
		if (ret)
			own.end = *from;
		ret = merge(origin, &own, &others, from, found, before) ?: ret;
	}
	if (ret && found->nr_runs == before)
		return ret;
	return *from < end;
}

/*
 * How many private pages @mm and @other have in common where a mapping of both begins, or -errno.
 * Nothing keeps them as they are, so it is an estimate.
 */
int ckpt_pages_in_common(struct mm_struct *mm, struct mm_struct *other, u64 from, u64 end,
			 struct ckpt_found *room)
{
	struct scan own = { .places = room->own }, others = { .places = room->others };
	u32 i, j = 0;
	int ret, nr = 0;

	end = min(end, from + SAMPLE);
	ret = list(mm, from, end, &own) ?: list(other, from, own.end, &others);
	if (ret)
		return ret;
	for (i = 0; i < own.nr; i++) {
		const struct ckpt_place *place = &own.places[i];

		while (j < others.nr && others.places[j].at < place->at)
			j++;
		if (j < others.nr && others.places[j].at == place->at &&
		    others.places[j].page == place->page && place->page != ELSEWHERE)
			nr++;
	}
	return nr;
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
		page = folio_file_page(folio, at >> PAGE_SHIFT);
		if (!PageHWPoison(page))
			return page;
		put_page(page);
		return ERR_PTR(-EHWPOISON);
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

/* Add the pages between *@from and @end, where there is no hole, and move *@from behind them. */
static int scan_file(struct file *file, u64 *from, u64 end, struct ckpt_found *found, u32 first)
{
	for (; *from < end; *from += PAGE_SIZE) {
		struct page *page;

		if (fatal_signal_pending(current))
			return -EINTR;
		page = page_of_file(file, *from);
		if (IS_ERR(page))
			return PTR_ERR(page);
		if (!page)
			continue;
		if (is_zero(page)) {
			put_page(page);
		} else if (!add(found, first, *from, page)) {
			put_page(page);
			break;
		}
	}
	return 0;
}

/*
 * The same for a shared memory object or a file, whose position is an offset;
 * all of it. The position of the file is moved.
 */
int ckpt_pages_file(struct file *file, u64 *from, struct ckpt_found *found)
{
	const u64 size = i_size_read(file_inode(file));
	const u32 first = found->nr_runs;
	int ret = 0;

	while (!ret && *from < size && !is_full(found)) {
		loff_t start, end;

		start = vfs_llseek(file, *from, SEEK_DATA);
		if (start == -ENXIO) {
			*from = size;
			break;
		}
		end = start < 0 ? start : vfs_llseek(file, start, SEEK_HOLE);
		if (end < 0) {
			ret = end;
			break;
		}
		*from = round_down(start, PAGE_SIZE);
		ret = scan_file(file, from, end, found, first);
	}
	if (ret && found->nr_runs == first)
		return ret;
	return *from < size;
}

static int guard_pte(pte_t *pte, unsigned long addr, unsigned long next,
		     struct mm_walk *walk)
{
	struct ckpt_run *run = walk->private;
	pte_t entry = ptep_get(pte);
	bool guard = !pte_none(entry) && !pte_present(entry) &&
		     softleaf_is_guard_marker(softleaf_from_pte(entry));

	if (!guard)
		return run->bytes ? 1 : 0;
	if (!run->bytes)
		run->position = addr;
	else if (addr != run->position + run->bytes)
		return 1;
	run->bytes += PAGE_SIZE;
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
	*from = run.bytes ? run.position + run.bytes : end;
	return run.bytes ? 1 : 0;
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

/* Pages that are filled at once. */
#define PINNED	32

/*
 * Pin the first of some whole pages of private memory, whatever its protection, of which the task
 * that they belong to sees nothing yet; return how many, or -errno.
 */
static long pin(struct mm_struct *mm, u64 address, size_t size, struct page **pages)
{
	long nr;
	int ret;

	if (!PAGE_ALIGNED(address) || !PAGE_ALIGNED(size))
		return -EINVAL;
	ret = mmap_read_lock_killable(mm);
	if (ret)
		return ret;
	nr = pin_user_pages_remote(mm, address, min(size >> PAGE_SHIFT, PINNED),
				   FOLL_WRITE | FOLL_FORCE, pages, NULL);
	mmap_read_unlock(mm);
	return nr ?: -EFAULT;
}

/*
 * Read from where a file is into private memory; return how many bytes, or
 * -errno: fewer only where the file ends, or if there were many.
 */
long ckpt_pages_read(struct mm_struct *mm, u64 address, size_t size, struct file *file)
{
	struct page *pages[PINNED];
	struct bio_vec bvec[PINNED];
	struct iov_iter to;
	long nr, i, ret;

	nr = pin(mm, address, size, pages);
	if (nr < 0)
		return nr;
	for (i = 0; i < nr; i++)
		bvec_set_page(&bvec[i], pages[i], PAGE_SIZE, 0);
	iov_iter_bvec(&to, ITER_DEST, bvec, nr, nr * PAGE_SIZE);
	do {
		ret = vfs_iter_read(file, &to, ckpt_file_pos(file), 0);
	} while (ret > 0 && iov_iter_count(&to));
	unpin_user_pages_dirty_lock(pages, nr, true);
	return ret < 0 ? ret : nr * PAGE_SIZE - iov_iter_count(&to);
}

/* Write into private memory. */
int ckpt_pages_fill(struct mm_struct *mm, u64 address, const void *buf,
		    size_t size)
{
	struct page *pages[PINNED];
	long nr, i;

	for (; size; size -= nr * PAGE_SIZE) {
		nr = pin(mm, address, size, pages);
		if (nr < 0)
			return nr;
		for (i = 0; i < nr; i++) {
			memcpy_to_page(pages[i], 0, buf, PAGE_SIZE);
			buf += PAGE_SIZE;
			address += PAGE_SIZE;
		}
		unpin_user_pages_dirty_lock(pages, nr, true);
	}
	return 0;
}
