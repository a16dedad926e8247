// SPDX-License-Identifier: GPL-2.0
/*
 * privvmpages: what may become private memory, charged to who has the address
 * space, wherever that is moved.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_memory.h"
#include "bc_standard.h"

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE	0x08
#endif

#define PRIVATE		(MAP_PRIVATE | MAP_ANONYMOUS)
#define RW		(PROT_READ | PROT_WRITE)

/* Where an agent keeps what it has mapped: no memory of its own is needed. */
#define MOST		256
static struct {
	char *addr;
	size_t len;
} kept[MOST];
static int nr_kept;

static long keep(void *addr, long pages)
{
	if (addr == MAP_FAILED)
		return -1;
	kept[nr_kept].addr = addr;
	kept[nr_kept++].len = pages * bc_page();
	return 0;
}

static char *newest(void)
{
	return kept[nr_kept - 1].addr;
}

static long drop_all(long arg __maybe_unused, const char *text __maybe_unused)
{
	while (nr_kept) {
		nr_kept--;
		munmap(kept[nr_kept].addr, kept[nr_kept].len);
	}
	return 0;
}

/* Each a page with a hole behind it, so that they are mappings of their own. */
static long make(long nr, const char *text __maybe_unused)
{
	static char *area;
	long i;

	if (!area) {
		area = mmap(NULL, 2 * MOST * bc_page(), PROT_NONE,
			    PRIVATE | MAP_NORESERVE, -1, 0);
		if (area == MAP_FAILED)
			return -1;
	}
	for (i = 0; i < nr && nr_kept < MOST; i++) {
		if (keep(mmap(area + 2 * nr_kept * bc_page(), bc_page(), RW,
			      PRIVATE | MAP_FIXED, -1, 0), 1))
			break;
	}

	return i;
}

static long drop(long nr, const char *text __maybe_unused)
{
	long i;

	for (i = 0; i < nr && nr_kept; i++) {
		nr_kept--;
		munmap(kept[nr_kept].addr, kept[nr_kept].len);
	}

	return i;
}

static const struct bc_kind privvmpages = {
	.name = "privvmpages",
	.resource = PRIVVMPAGES,
	.err = ENOMEM,
	.make = make,
	.drop = drop,
};

static long map(long pages, const char *text __maybe_unused)
{
	return keep(mmap(NULL, pages * bc_page(), RW, PRIVATE, -1, 0), pages);
}

static long map_noreserve(long pages, const char *text __maybe_unused)
{
	return keep(mmap(NULL, pages * bc_page(), RW, PRIVATE | MAP_NORESERVE, -1,
			 0), pages);
}

static long map_droppable(long pages, const char *text __maybe_unused)
{
	return keep(mmap(NULL, pages * bc_page(), RW,
			 MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0), pages);
}

static long map_readonly(long pages, const char *text __maybe_unused)
{
	return keep(mmap(NULL, pages * bc_page(), PROT_READ, PRIVATE, -1, 0),
		    pages);
}

static long map_none(long pages, const char *text __maybe_unused)
{
	return keep(mmap(NULL, pages * bc_page(), PROT_NONE,
			 PRIVATE | MAP_NORESERVE, -1, 0), pages);
}

static long map_shared(long pages, const char *text __maybe_unused)
{
	return keep(mmap(NULL, pages * bc_page(), RW, MAP_SHARED | MAP_ANONYMOUS,
			 -1, 0), pages);
}

static long map_file(int prot, int flags, long pages)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	long ret;

	if (fd < 0)
		return -1;
	ret = keep(mmap(NULL, pages * bc_page(), prot, flags, fd, 0), pages);
	close(fd);
	return ret;
}

static long map_private_file(long pages, const char *text __maybe_unused)
{
	return map_file(RW, MAP_PRIVATE, pages);
}

static long map_text(long pages, const char *text __maybe_unused)
{
	return map_file(PROT_READ | PROT_EXEC, MAP_PRIVATE, pages);
}

/* Takes the place of the first pages of the newest. */
static long map_over(long pages, const char *text __maybe_unused)
{
	return -(mmap(newest(), pages * bc_page(), RW, PRIVATE | MAP_FIXED, -1,
		      0) == MAP_FAILED);
}

static long map_over_readonly(long pages, const char *text __maybe_unused)
{
	return -(mmap(newest(), pages * bc_page(), PROT_READ, PRIVATE | MAP_FIXED,
		      -1, 0) == MAP_FAILED);
}

static long unmap(long pages, const char *text __maybe_unused)
{
	return munmap(newest(), pages * bc_page());
}

/* From its second page on. */
static long unmap_inside(long pages, const char *text __maybe_unused)
{
	return munmap(newest() + bc_page(), pages * bc_page());
}

static long protect(long pages, const char *text __maybe_unused)
{
	return mprotect(newest(), pages * bc_page(), PROT_READ);
}

static long unprotect(long pages, const char *text __maybe_unused)
{
	return mprotect(newest(), pages * bc_page(), RW);
}

static long touch(long pages, const char *text __maybe_unused)
{
	long i;

	for (i = 0; i < pages; i++)
		newest()[i * bc_page()] = 1;
	return 0;
}

/* The newest, which has so many pages, gets twice as many or half of them. */
static long resize(long pages, long to, int flags)
{
	void *addr = mremap(newest(), pages * bc_page(), to * bc_page(), flags);

	if (addr == MAP_FAILED)
		return -1;
	kept[nr_kept - 1].addr = addr;
	kept[nr_kept - 1].len = to * bc_page();
	return 0;
}

static long grow(long pages, const char *text __maybe_unused)
{
	return resize(pages, 2 * pages, MREMAP_MAYMOVE);
}

static long shrink(long pages, const char *text __maybe_unused)
{
	return resize(pages, pages / 2, MREMAP_MAYMOVE);
}

static long move_to(long pages, int flags)
{
	/* Nothing is there; the hint is kept from being used meanwhile. */
	void *to = mmap(NULL, pages * bc_page(), PROT_NONE,
			PRIVATE | MAP_NORESERVE, -1, 0);

	if (to == MAP_FAILED)
		return -1;
	to = mremap(newest(), pages * bc_page(), pages * bc_page(),
		    MREMAP_MAYMOVE | MREMAP_FIXED | flags, to);
	if (to == MAP_FAILED)
		return -1;
	if (flags & MREMAP_DONTUNMAP)
		return keep(to, pages);
	kept[nr_kept - 1].addr = to;
	return 0;
}

static long move(long pages, const char *text __maybe_unused)
{
	return move_to(pages, 0);
}

static long move_dontunmap(long pages, const char *text __maybe_unused)
{
	return move_to(pages, MREMAP_DONTUNMAP);
}

static long dont_need(long pages, const char *text __maybe_unused)
{
	return madvise(newest(), pages * bc_page(), MADV_DONTNEED);
}

static long break_by(long pages, const char *text __maybe_unused)
{
	return -(sbrk(pages * bc_page()) == (void *)-1);
}

static const struct bc_step steps[] = {
	{ "mmap", map, 8, 8 },
	{ "touching", touch, 8, 0 },
	{ "MADV_DONTNEED", dont_need, 8, 0 },
	{ "munmap of some", unmap, 3, -3 },
	{ "munmap of all", drop_all, 0, -5 },
	{ "a hole", map, 9, 9 },
	{ "munmap inside", unmap_inside, 4, -4 },
	{ "munmap around", drop_all, 0, -5 },
	{ "MAP_NORESERVE", map_noreserve, 7, 7 },
	{ "its protection", protect, 7, -7 },
	{ "its writing", unprotect, 7, 7 },
	{ "its touch", touch, 7, 0 },
	{ "its protection, touched", protect, 7, 0 },
	{ "its writing again", unprotect, 7, 0 },
	{ "its end", drop_all, 0, -7 },
	{ "read-only", map_readonly, 6, 0 },
	{ "made writable in part", unprotect, 2, 2 },
	{ "made writable", unprotect, 6, 4 },
	{ "its end", drop_all, 0, -6 },
	{ "PROT_NONE", map_none, 100, 0 },
	{ "replaced", map_over, 10, 10 },
	{ "replaced by read-only", map_over_readonly, 4, -4 },
	{ "replaced by itself", map_over, 10, 4 },
	{ "its end", drop_all, 0, -10 },
	{ "shared", map_shared, 5, 0 },
	{ "replaced by private", map_over, 2, 2 },
	{ "its end", drop_all, 0, -2 },
	{ "a private file", map_private_file, 4, 4 },
	{ "its protection", protect, 4, 0 },
	{ "its end", drop_all, 0, -4 },
	{ "text", map_text, 4, 0 },
	{ "its patching", unprotect, 1, 1 },
	{ "its end", drop_all, 0, -1 },
	{ "mmap", map, 4, 4 },
	{ "mremap to twice as much", grow, 4, 4 },
	{ "mremap elsewhere", move, 8, 0 },
	{ "mremap to half", shrink, 8, -4 },
	{ "mremap and keep", move_dontunmap, 4, 4 },
	{ "its end", drop_all, 0, -8 },
	{ "MAP_NORESERVE", map_noreserve, 4, 4 },
	{ "its mremap to twice as much", grow, 4, 4 },
	{ "its mremap elsewhere", move, 8, 0 },
	{ "its mremap and keep", move_dontunmap, 8, 8 },
	{ "its end", drop_all, 0, -16 },
	{ "brk", break_by, 12, 12 },
	{ "brk back", break_by, -12, -12 },
	{ "droppable", map_droppable, 3, 3 },
	{ "its end", drop_all, 0, -3 },
};

/* Every way to come to private memory and to get rid of it. */
static int test_privvmpages_steps(const char *root)
{
	return bc_std_steps(root, PRIVVMPAGES, steps, ARRAY_SIZE(steps));
}

static long set_overcommit(long mode, const char *text __maybe_unused)
{
	char value[] = { '0' + mode, '\0' };

	return bc_write_path(OVERCOMMIT, value);
}

static const struct bc_step mixed[] = {
	{ "mode 1", set_overcommit, 1, 0 },
	{ "MAP_NORESERVE", map_noreserve, 50, 50 },
	{ "mode 2", set_overcommit, 2, 0 },
	{ "its protection in part", protect, 10, -10 },
	{ "its writing", unprotect, 10, 10 },
	{ "its touch", touch, 20, 0 },
	{ "its mremap to twice as much", grow, 50, 50 },
	{ "MAP_NORESERVE", map_noreserve, 30, 30 },
	{ "mode 0", set_overcommit, 0, 0 },
	{ "munmap of some", unmap, 20, -20 },
	{ "its end", drop_all, 0, -110 },
};

/* What the machine promises is a matter of its own. */
static int test_privvmpages_overcommit(const char *root)
{
	static const char * const modes[] = { "0", "1", "2" };
	int ret = bc_need_promises();
	size_t i;

	for (i = 0; ret == KSFT_PASS && i < ARRAY_SIZE(modes); i++) {
		if (differs(bc_setting(OVERCOMMIT, modes[i]), 0))
			ret = KSFT_FAIL;
		else
			ret = test_privvmpages_steps(root);
	}
	if (ret == KSFT_PASS)
		ret = bc_std_steps(root, PRIVVMPAGES, mixed, ARRAY_SIZE(mixed));

	bc_restore();
	return ret;
}

static long map_thp(long pages, const char *text __maybe_unused)
{
	return keep(bc_map_thp(pages), pages);
}

/* There are so many of them. */
static long has_thp(long nr, const char *text __maybe_unused)
{
	long want = nr * BC_HUGE_PAGES * bc_page() / 1024;

	return -(bc_number("/proc/self/smaps_rollup", "AnonHugePages:") < want);
}

static const struct bc_step thp[] = {
	{ "mmap", map_thp, 1024, 1024 },
	{ "touching", touch, 1024, 0 },
	{ "huge pages", has_thp, 1, 0 },
	{ "protection in part", protect, 100, 0 },
	{ "writing again", unprotect, 100, 0 },
	{ "MADV_DONTNEED of some", dont_need, 600, 0 },
	{ "mremap to twice as much", grow, 1024, 1024 },
	{ "munmap of some", unmap, 300, -300 },
	{ "its end", drop_all, 0, -1748 },
};

/* How large the pages are makes no difference. */
static int test_privvmpages_thp(const char *root)
{
	int ret = bc_need_thp();

	return ret == KSFT_PASS ?
		bc_std_steps(root, PRIVVMPAGES, thp, ARRAY_SIZE(thp)) : ret;
}

static long page_out(long pages, const char *text __maybe_unused)
{
	return bc_page_out(newest(), pages);
}

static const struct bc_step swap[] = {
	{ "mmap", map, 64, 64 },
	{ "touching", touch, 64, 0 },
	{ "MADV_PAGEOUT", page_out, 64, 0 },
	{ "protection", protect, 64, 0 },
	{ "writing again", unprotect, 64, 0 },
	{ "munmap of some", unmap, 20, -20 },
	{ "its end", drop_all, 0, -44 },
	{ "mmap", map, 64, 64 },
	{ "touching", touch, 64, 0 },
	{ "MADV_PAGEOUT", page_out, 64, 0 },
	{ "touching again", touch, 64, 0 },
	{ "its end", drop_all, 0, -64 },
};

/* Neither does where they are. */
static int test_privvmpages_swap(const char *root)
{
	int ret = bc_need_swap();

	if (ret == KSFT_PASS)
		ret = bc_std_steps(root, PRIVVMPAGES, swap, ARRAY_SIZE(swap));
	bc_end_swap();
	return ret;
}

static long map_huge(long pages, const char *text __maybe_unused)
{
	return keep(mmap(NULL, pages * bc_page(), RW, PRIVATE | MAP_HUGETLB | MAP_HUGE_2MB, -1,
			 0), pages);
}

/* Nothing is reserved: there need not be any. */
static long map_huge_noreserve(long pages, const char *text __maybe_unused)
{
	return keep(mmap(NULL, pages * bc_page(), RW,
			 PRIVATE | MAP_HUGETLB | MAP_HUGE_2MB |
			 MAP_NORESERVE, -1, 0), pages);
}

static const struct bc_step huge[] = {
	{ "mmap", map_huge, BC_HUGE_PAGES, 0 },
	{ "touching", touch, BC_HUGE_PAGES, 0 },
	{ "its protection", protect, BC_HUGE_PAGES, 0 },
	{ "its writing", unprotect, BC_HUGE_PAGES, 0 },
	{ "MAP_NORESERVE", map_huge_noreserve, BC_HUGE_PAGES, 0 },
	{ "its touch", touch, BC_HUGE_PAGES, 0 },
	{ "its protection", protect, BC_HUGE_PAGES, 0 },
	{ "its end", drop_all, 0, 0 },
};

/* They come from a pool of their own. */
static int test_privvmpages_huge(const char *root)
{
	int ret = bc_need_hugetlb(2);

	if (ret == KSFT_PASS)
		ret = bc_std_steps(root, PRIVVMPAGES, huge, ARRAY_SIZE(huge));
	bc_restore();
	return ret;
}

/* As many pages more than what is held now. */
static int set_above(const char *cgroup, const char *file, long pages)
{
	char text[64];

	snprintf(text, sizeof(text), PRIVVMPAGES " %ld",
		 bc_held(cgroup, PRIVVMPAGES) + pages);
	return bc_write(cgroup, file, text);
}

/* What is asked for at a barrier is refused, and nothing of it stays. */
static int test_privvmpages_barrier(const char *root)
{
	static const struct bc_step refused[] = {
		{ "mmap", map, 11 },
		{ "MAP_NORESERVE", map_noreserve, 11 },
		{ "a private file", map_private_file, 11 },
		{ "brk", break_by, 11 },
	};
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	long held;
	size_t i;

	cgroup = bc_cgroup(root, "bc_barrier");
	agent = bc_agent(cgroup);
	if (!agent || differs(set_above(cgroup, "bc.high", 10), 0))
		goto cleanup;

	held = bc_held(cgroup, PRIVVMPAGES);
	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		if (differs(bc_call(agent, refused[i].fn, refused[i].arg, NULL),
			    -1) ||
		    differs(agent->err, ENOMEM) ||
		    differs(bc_held(cgroup, PRIVVMPAGES), held) ||
		    miscounted(cgroup, "bc.events", PRIVVMPAGES, i + 1, 0)) {
			ksft_print_msg("at %s\n", refused[i].name);
			goto cleanup;
		}
	}

	/* So is what would need no more than the barrier if it were less. */
	if (differs(bc_call(agent, map, 6, NULL), 0) ||
	    differs(bc_call(agent, grow, 6, NULL), -1) ||
	    differs(agent->err, ENOMEM) ||
	    differs(bc_call(agent, move, 6, NULL), 0) ||
	    differs(bc_call(agent, move_dontunmap, 6, NULL), -1) ||
	    differs(agent->err, ENOMEM) ||
	    differs(bc_held(cgroup, PRIVVMPAGES), held + 6) ||
	    differs(bc_call(agent, map, 4, NULL), 0) ||
	    differs(bc_call(agent, map_over, 4, NULL), 0) ||
	    differs(bc_held(cgroup, PRIVVMPAGES), held + 10) ||
	    differs(bc_peak(cgroup, PRIVVMPAGES), held + 10))
		goto cleanup;
	if (differs(bc_call(agent, drop_all, 0, NULL), 0) ||
	    differs(bc_held(cgroup, PRIVVMPAGES), held) ||
	    differs(bc_call(agent, map, 10, NULL), 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* To be made writable, and for a stack, there is what the limit leaves. */
static long use_stack(long pages, const char *text __maybe_unused)
{
	size_t len = pages * bc_page();
	char *data = alloca(len);
	size_t i;

	/* Downwards, as the guard gap wants it. */
	for (i = len; i > 0; i -= bc_page())
		__atomic_store_n(&data[i - 1], 1, __ATOMIC_RELAXED);
	return 0;
}

static long use_stack_in_child(long pages, const char *text)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		use_stack(pages, text);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static int test_privvmpages_lenient(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	long held;

	cgroup = bc_cgroup(root, "bc_lenient");
	agent = bc_agent(cgroup);
	if (!agent || differs(bc_call(agent, map_readonly, 8, NULL), 0))
		goto cleanup;
	held = bc_held(cgroup, PRIVVMPAGES);
	if (differs(set_above(cgroup, "bc.high", 0), 0) ||
	    differs(set_above(cgroup, "bc.max", 4), 0))
		goto cleanup;

	if (differs(bc_call(agent, map, 1, NULL), -1) ||
	    differs(bc_call(agent, unprotect, 3, NULL), 0) ||
	    differs(bc_held(cgroup, PRIVVMPAGES), held + 3) ||
	    differs(bc_call(agent, unprotect, 8, NULL), -1) ||
	    differs(agent->err, ENOMEM) ||
	    differs(bc_held(cgroup, PRIVVMPAGES), held + 3) ||
	    miscounted(cgroup, "bc.events", PRIVVMPAGES, 1, 1))
		goto cleanup;

	/* A child needs as much as its parent; then there is more for a stack. */
	if (differs(set_above(cgroup, "bc.high", held + 3), 0) ||
	    differs(set_above(cgroup, "bc.max", held + 3 + 200), 0) ||
	    differs(bc_call(agent, use_stack_in_child, 150, NULL), 0) ||
	    unsettled(cgroup, PRIVVMPAGES, held + 3) ||
	    differs(bc_call(agent, use_stack_in_child, 400, NULL), SIGSEGV) ||
	    unsettled(cgroup, PRIVVMPAGES, held + 3) ||
	    miscounted(cgroup, "bc.events", PRIVVMPAGES, 1, 2))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

static pid_t child;

static long end_one(long arg __maybe_unused, const char *text __maybe_unused)
{
	kill(child, SIGKILL);
	return -(waitpid(child, NULL, 0) != child);
}

static long dont_fork(long pages, const char *text __maybe_unused)
{
	return madvise(newest(), pages * bc_page(), MADV_DONTFORK);
}

/* A child costs what its parent does, but for what it does not get. */
static int test_privvmpages_fork(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	long held;

	cgroup = bc_cgroup(root, "bc_fork");
	agent = bc_agent(cgroup);
	if (!agent || differs(bc_call(agent, map, 50, NULL), 0) ||
	    differs(bc_call(agent, map_noreserve, 30, NULL), 0) ||
	    differs(bc_call(agent, map_shared, 30, NULL), 0))
		goto cleanup;

	held = bc_held(cgroup, PRIVVMPAGES);
	if (differs(bc_fork(agent, 1), 1) ||
	    differs(bc_held(cgroup, PRIVVMPAGES), 2 * held) ||
	    differs(bc_end_children(agent), 1) ||
	    unsettled(cgroup, PRIVVMPAGES, held))
		goto cleanup;

	if (differs(bc_call(agent, map, 20, NULL), 0) ||
	    differs(bc_call(agent, dont_fork, 20, NULL), 0) ||
	    differs(bc_fork(agent, 1), 1) ||
	    differs(bc_held(cgroup, PRIVVMPAGES), 2 * held + 20) ||
	    differs(bc_end_children(agent), 1) ||
	    unsettled(cgroup, PRIVVMPAGES, held + 20))
		goto cleanup;

	/* What it does not get does not count, not even for a moment. */
	if (differs(bc_call(agent, map, 5000, NULL), 0) ||
	    differs(bc_call(agent, dont_fork, 5000, NULL), 0) ||
	    differs(set_above(cgroup, "bc.high", held + 100), 0) ||
	    differs(bc_fork(agent, 1), 1) ||
	    differs(bc_end_children(agent), 1) ||
	    differs(bc_call(agent, unmap, 5000, NULL), 0) ||
	    unsettled(cgroup, PRIVVMPAGES, held + 20) ||
	    miscounted(cgroup, "bc.events", PRIVVMPAGES, 0, 0))
		goto cleanup;

	/* There is none where it would not fit. */
	if (differs(set_above(cgroup, "bc.high", held - 1), 0) ||
	    differs(bc_fork(agent, 1), 0) ||
	    differs(agent->err, ENOMEM) ||
	    unsettled(cgroup, PRIVVMPAGES, held + 20) ||
	    unsettled(cgroup, NUMPROC, 1) ||
	    miscounted(cgroup, "bc.events", PRIVVMPAGES, 1, 0) ||
	    differs(bc_write(cgroup, "bc.high", PRIVVMPAGES " max"), 0) ||
	    differs(bc_fork(agent, 1), 1) ||
	    differs(bc_end_children(agent), 1))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* Runs another program, which waits, and tells when it is there. */
static long exec_one(long arg __maybe_unused, const char *text __maybe_unused)
{
	char fd[12], byte;
	int up[2], ret;

	if (pipe(up))
		return -1;
	child = fork();
	if (!child) {
		snprintf(fd, sizeof(fd), "%d", up[1]);
		execl("/proc/self/exe", "bc_sleep", fd, NULL);
		_exit(1);
	}
	close(up[1]);
	ret = child < 0 || read(up[0], &byte, 1) != 1;
	close(up[0]);
	return -ret;
}

/* What the old program is told; how it was killed, negative; or 0. */
static long exec_failed(long arg __maybe_unused,
			const char *text __maybe_unused)
{
	int status;

	child = fork();
	if (!child) {
		execl("/proc/self/exe", "bc_sleep", "not", NULL);
		_exit(errno);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* A new program costs what it has itself, and not what the old one had. */
static int test_privvmpages_exec(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	long held, sleeper, failed;

	cgroup = bc_cgroup(root, "bc_exec");
	agent = bc_agent(cgroup);
	if (!agent || differs(bc_call(agent, map, 3000, NULL), 0))
		goto cleanup;

	held = bc_held(cgroup, PRIVVMPAGES);
	if (differs(bc_call(agent, exec_one, 0, NULL), 0))
		goto cleanup;
	sleeper = bc_held(cgroup, PRIVVMPAGES) - held;
	if (unmet(sleeper > 0) || unmet(sleeper < 3000) ||
	    differs(bc_call(agent, end_one, 0, NULL), 0) ||
	    unsettled(cgroup, PRIVVMPAGES, held))
		goto cleanup;

	/* Between barrier and limit it starts, though it asks for more. */
	if (differs(bc_call(agent, drop_all, 0, NULL), 0))
		goto cleanup;
	held = bc_held(cgroup, PRIVVMPAGES);
	if (differs(set_above(cgroup, "bc.high", held + 2), 0) ||
	    differs(bc_call(agent, exec_one, 0, NULL), 0) ||
	    differs(bc_call(agent, end_one, 0, NULL), 0) ||
	    unsettled(cgroup, PRIVVMPAGES, held))
		goto cleanup;
	/* Where there is not even that, the old program hears of it, or dies. */
	if (differs(set_above(cgroup, "bc.max", held), 0))
		goto cleanup;
	failed = bc_call(agent, exec_failed, 0, NULL);
	if (unmet(failed == ENOMEM || failed == -SIGKILL || failed == -SIGSEGV) ||
	    unsettled(cgroup, PRIVVMPAGES, held))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* An address space goes where its process does, above any limit. */
static int test_privvmpages_migration(const char *root)
{
	struct bc_agent *agent = NULL;
	char *from, *to = NULL;
	int ret = KSFT_FAIL;
	long held;

	from = bc_cgroup(root, "bc_from");
	to = bc_cgroup(root, "bc_to");
	agent = bc_agent(from);
	if (!agent || !to || differs(bc_call(agent, map, 40, NULL), 0) ||
	    differs(bc_write(to, "bc.max", PRIVVMPAGES " 5"), 0))
		goto cleanup;

	held = bc_held(from, PRIVVMPAGES);
	if (differs(cg_enter(to, agent->pid), 0) ||
	    differs(bc_held(from, PRIVVMPAGES), 0) ||
	    differs(bc_held(to, PRIVVMPAGES), held) ||
	    differs(bc_call(agent, map, 1, NULL), -1) ||
	    differs(agent->err, ENOMEM) ||
	    differs(bc_call(agent, unmap, 10, NULL), 0) ||
	    differs(bc_held(to, PRIVVMPAGES), held - 10))
		goto cleanup;

	/* In the root nobody pays, and later somebody does again. */
	if (differs(cg_enter(root, agent->pid), 0) ||
	    differs(bc_held(to, PRIVVMPAGES), 0) ||
	    differs(bc_call(agent, map, 7, NULL), 0) ||
	    differs(cg_enter(from, agent->pid), 0) ||
	    differs(bc_held(from, PRIVVMPAGES), held - 10 + 7))
		goto cleanup;
	bc_stop(agent);
	agent = NULL;
	if (unsettled(from, PRIVVMPAGES, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(from, ret);
	return bc_remove(to, ret);
}

/* Who comes in from where nobody pays brings what can be written, or was. */
static int test_privvmpages_enter(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	long held;

	cgroup = bc_cgroup(root, "bc_enter");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	held = bc_held(cgroup, PRIVVMPAGES);
	if (differs(cg_enter(root, agent->pid), 0) ||
	    differs(bc_held(cgroup, PRIVVMPAGES), 0) ||
	    differs(bc_call(agent, map, 10, NULL), 0) ||
	    differs(bc_call(agent, map_noreserve, 20, NULL), 0) ||
	    differs(bc_call(agent, map_readonly, 5, NULL), 0) ||
	    differs(bc_call(agent, map_none, 40, NULL), 0) ||
	    differs(bc_call(agent, map_shared, 30, NULL), 0) ||
	    differs(bc_call(agent, map_private_file, 3, NULL), 0) ||
	    differs(bc_call(agent, map_text, 2, NULL), 0) ||
	    differs(bc_call(agent, map, 8, NULL), 0) ||
	    differs(bc_call(agent, touch, 8, NULL), 0) ||
	    differs(bc_call(agent, protect, 8, NULL), 0) ||
	    differs(bc_call(agent, map, 6, NULL), 0) ||
	    differs(bc_call(agent, protect, 6, NULL), 0))
		goto cleanup;
	if (differs(cg_enter(cgroup, agent->pid), 0) ||
	    differs(bc_held(cgroup, PRIVVMPAGES), held + 10 + 20 + 3 + 8) ||
	    differs(bc_call(agent, unprotect, 6, NULL), 0) ||
	    differs(bc_held(cgroup, PRIVVMPAGES), held + 10 + 20 + 3 + 8 + 6) ||
	    differs(bc_call(agent, drop_all, 0, NULL), 0) ||
	    differs(bc_held(cgroup, PRIVVMPAGES), held))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* The controller comes and goes under it. */
static int test_privvmpages_toggle(const char *root)
{
	struct bc_agent *agent = NULL;
	char *parent, *child = NULL;
	int ret = KSFT_FAIL;
	long held;

	parent = bc_cgroup(root, "bc_toggle");
	child = bc_cgroup(parent, "child");
	agent = bc_agent(child);
	if (!agent || differs(bc_call(agent, map, 10, NULL), 0))
		goto cleanup;

	held = bc_held(parent, PRIVVMPAGES);
	if (differs(bc_enable(parent), 0) ||
	    differs(bc_held(child, PRIVVMPAGES), held) ||
	    differs(bc_held(parent, PRIVVMPAGES), held) ||
	    differs(bc_call(agent, map, 4, NULL), 0) ||
	    differs(bc_held(child, PRIVVMPAGES), held + 4))
		goto cleanup;
	if (differs(bc_disable(parent), 0) ||
	    differs(bc_held(parent, PRIVVMPAGES), held + 4) ||
	    differs(bc_call(agent, drop_all, 0, NULL), 0) ||
	    unsettled(parent, PRIVVMPAGES, held - 10))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

/* The parent's limit counts for all below, and it is told so. */
static int test_privvmpages_parent_refuses(const char *root)
{
	struct bc_agent *agent = NULL;
	char *parent, *child = NULL;
	int ret = KSFT_FAIL;
	long held;

	parent = bc_cgroup(root, "bc_parent");
	child = bc_cgroup(parent, "child");
	if (!child || differs(bc_enable(parent), 0))
		goto cleanup;
	agent = bc_agent(child);
	if (!agent || differs(set_above(parent, "bc.max", 20), 0))
		goto cleanup;

	held = bc_held(child, PRIVVMPAGES);
	if (differs(bc_call(agent, map, 21, NULL), -1) ||
	    differs(bc_held(child, PRIVVMPAGES), held) ||
	    differs(bc_held(parent, PRIVVMPAGES), held) ||
	    miscounted(parent, "bc.events.local", PRIVVMPAGES, 0, 1) ||
	    miscounted(child, "bc.events", PRIVVMPAGES, 0, 0) ||
	    differs(bc_call(agent, map, 20, NULL), 0) ||
	    differs(bc_held(parent, PRIVVMPAGES), held + 20))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

/* What CPUs have ready is nobody's loss, and there is no more than granted. */
static int test_privvmpages_stock(const char *root)
{
	struct bc_agent *scatterer = NULL, *agent = NULL;
	char *parent, *one = NULL, *other = NULL;
	int ret = KSFT_FAIL;
	long held;
	int i;

	parent = bc_cgroup(root, "bc_stock");
	one = bc_cgroup(parent, "one");
	other = bc_cgroup(parent, "other");
	if (!one || !other || differs(bc_enable(parent), 0))
		goto cleanup;
	scatterer = bc_agent(one);
	agent = bc_agent(other);
	if (!scatterer || !agent ||
	    differs(set_above(parent, "bc.max", 1000 * bc_cpus()), 0))
		goto cleanup;

	held = bc_held(parent, PRIVVMPAGES);
	for (i = 0; i < bc_cpus(); i++) {
		if (differs(bc_pin(scatterer, i), 0) ||
		    differs(bc_call(scatterer, map, 30, NULL), 0) ||
		    differs(bc_call(scatterer, drop_all, 0, NULL), 0))
			goto cleanup;
	}
	if (unsettled(parent, PRIVVMPAGES, held) ||
	    differs(bc_call(agent, map, 1000 * bc_cpus(), NULL), 0) ||
	    differs(bc_held(parent, PRIVVMPAGES), held + 1000 * bc_cpus()) ||
	    miscounted(parent, "bc.events", PRIVVMPAGES, 0, 0) ||
	    differs(bc_call(scatterer, map, 1, NULL), -1))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(scatterer);
	bc_stop(agent);
	ret = bc_remove(one, ret);
	ret = bc_remove(other, ret);
	return bc_remove(parent, ret);
}

/* Makes a child in another cgroup. */
static long clone_into(long arg __maybe_unused, const char *cgroup)
{
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
	};
	int fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	args.cgroup = fd;
	child = syscall(SYS_clone3, &args, sizeof(args));
	if (!child) {
		while (true)
			pause();
	}
	close(fd);
	return child;
}

/* Who starts elsewhere is charged there, and refused there. */
static int test_privvmpages_clone_into(const char *root)
{
	struct bc_agent *agent = NULL;
	char *from, *to = NULL;
	int ret = KSFT_FAIL;
	char text[64];
	long held;

	from = bc_cgroup(root, "bc_from");
	to = bc_cgroup(root, "bc_to");
	agent = bc_agent(from);
	if (!agent || !to || differs(bc_call(agent, map, 40, NULL), 0))
		goto cleanup;

	held = bc_held(from, PRIVVMPAGES);
	if (unmet(bc_call(agent, clone_into, 0, to) > 0) ||
	    differs(bc_held(from, PRIVVMPAGES), held) ||
	    differs(bc_held(to, PRIVVMPAGES), held) ||
	    differs(bc_call(agent, end_one, 0, NULL), 0) ||
	    unsettled(to, PRIVVMPAGES, 0))
		goto cleanup;
	snprintf(text, sizeof(text), PRIVVMPAGES " %ld", held - 1);
	if (differs(bc_write(to, "bc.max", text), 0) ||
	    differs(bc_call(agent, clone_into, 0, to), -1) ||
	    differs(agent->err, ENOMEM) || unsettled(to, PRIVVMPAGES, 0) ||
	    unsettled(from, PRIVVMPAGES, held) || unsettled(to, NUMPROC, 0) ||
	    miscounted(to, "bc.events", PRIVVMPAGES, 0, 1) ||
	    miscounted(from, "bc.events", PRIVVMPAGES, 0, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(from, ret);
	return bc_remove(to, ret);
}

/* Lets the sharer have a child of its own. */
static bool sharer_forks;

static long let_fork(long on, const char *text __maybe_unused)
{
	__atomic_store_n(&sharer_forks, on, __ATOMIC_RELAXED);
	return 0;
}

/* A process that has its parent's memory, and so makes no use of libc's. */
static int live_in_it(void *arg __maybe_unused)
{
	static const struct timespec moment = { .tv_nsec = 1000000 };
	bool forked = false;

	while (true) {
		if (!forked && __atomic_load_n(&sharer_forks, __ATOMIC_RELAXED)) {
			forked = true;
			syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
		}
		syscall(SYS_nanosleep, &moment, NULL);
	}
	return 0;
}

static long clone_sharer(long arg __maybe_unused,
			 const char *text __maybe_unused)
{
	static char stack[64 * 1024] __aligned(16);

	child = clone(live_in_it, stack + sizeof(stack), CLONE_VM | SIGCHLD,
		      NULL);
	return child;
}

/* Who only shares an address space does not take it along. */
static int test_privvmpages_shared_mm(const char *root)
{
	struct bc_agent *agent = NULL;
	char *from, *to = NULL;
	int ret = KSFT_FAIL;
	long held, sharer;

	from = bc_cgroup(root, "bc_from");
	to = bc_cgroup(root, "bc_to");
	agent = bc_agent(from);
	if (!agent || !to)
		goto cleanup;

	held = bc_held(from, PRIVVMPAGES);
	sharer = bc_call(agent, clone_sharer, 0, NULL);
	if (unmet(sharer > 0) || differs(cg_enter(to, sharer), 0) ||
	    differs(bc_held(from, PRIVVMPAGES), held) ||
	    differs(bc_held(to, PRIVVMPAGES), 0) ||
	    differs(cg_enter(root, sharer), 0) ||
	    differs(bc_held(from, PRIVVMPAGES), held) ||
	    differs(cg_enter(to, agent->pid), 0) ||
	    differs(bc_held(from, PRIVVMPAGES), 0) ||
	    differs(bc_held(to, PRIVVMPAGES), held) ||
	    differs(bc_call(agent, end_one, 0, NULL), 0) ||
	    differs(bc_held(to, PRIVVMPAGES), held))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(from, ret);
	return bc_remove(to, ret);
}

/* Nobody pays for its parent's memory, and somebody does for a child's. */
static int test_privvmpages_sharer_forks(const char *root)
{
	struct bc_agent *agent = NULL;
	char *cgroup, *after = NULL;
	int i, ret = KSFT_FAIL;
	long held, sharer;

	cgroup = bc_cgroup(root, "bc_sharer");
	after = bc_cgroup(root, "bc_after");
	agent = bc_agent(root);
	if (!agent || !after || differs(bc_call(agent, map, 50, NULL), 0) ||
	    differs(bc_call(agent, let_fork, false, NULL), 0))
		goto cleanup;
	sharer = bc_call(agent, clone_sharer, 0, NULL);
	if (unmet(sharer > 0) || differs(cg_enter(cgroup, sharer), 0) ||
	    differs(bc_held(cgroup, PRIVVMPAGES), 0) ||
	    differs(bc_call(agent, let_fork, true, NULL), 0) ||
	    unsettled(cgroup, NUMPROC, 2))
		goto cleanup;

	held = bc_held(cgroup, PRIVVMPAGES);
	if (unmet(held > 50) || differs(cg_enter(after, agent->pid), 0) ||
	    differs(bc_held(after, PRIVVMPAGES), held) ||
	    differs(bc_held(cgroup, PRIVVMPAGES), held) ||
	    differs(bc_write(cgroup, "cgroup.kill", "1"), 0) ||
	    differs(bc_call(agent, end_one, 0, NULL), 0))
		goto cleanup;
	/* The sharer's child has come to the program. */
	for (i = 0; i < BC_POLL_TIMES && bc_held(cgroup, NUMPROC); i++)
		bc_pause();

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(cgroup, ret);
	return bc_remove(after, ret);
}

/* A process with many threads costs one address space, which moves once. */
static int test_privvmpages_threads(const char *root)
{
	struct bc_agent *agent = NULL;
	char *from, *to = NULL;
	int ret = KSFT_FAIL;
	long held;

	from = bc_cgroup(root, "bc_from");
	to = bc_cgroup(root, "bc_to");
	agent = bc_agent(from);
	if (!agent || !to || differs(bc_threads(agent, 20), 20))
		goto cleanup;

	held = bc_held(from, PRIVVMPAGES);
	if (differs(cg_enter(to, agent->pid), 0) ||
	    differs(bc_held(from, PRIVVMPAGES), 0) ||
	    differs(bc_held(to, PRIVVMPAGES), held) ||
	    differs(bc_end_threads(agent), 20) ||
	    unmet(bc_held(to, PRIVVMPAGES) <= held))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(from, ret);
	return bc_remove(to, ret);
}

/* Maps and unmaps until it is told to stop. */
static long map_on(long arg, const char *text __maybe_unused)
{
	int len = 1;

	bc_meet();
	while (!__atomic_load_n(&bc_shared->stop, __ATOMIC_RELAXED)) {
		void *addr = mmap(NULL, len * bc_page(), RW, PRIVATE, -1, 0);

		if (addr == MAP_FAILED || munmap(addr, len * bc_page()))
			return -1;
		len = len % 300 + 1;
		if (arg && len % 64 == 0) {
			pid_t pid = fork();

			if (!pid)
				_exit(0);
			if (pid < 0 || waitpid(pid, NULL, 0) != pid)
				return -1;
		}
		__atomic_add_fetch(&bc_shared->progress, 1, __ATOMIC_RELAXED);
	}
	return 0;
}

/* Held becomes what so many agents have, which may have grown a little. */
static bool holds_not_agents(const char *cgroup, long nr, long each)
{
	long held = BC_NONE;
	int i;

	for (i = 0; i < BC_POLL_TIMES; i++) {
		held = bc_held(cgroup, PRIVVMPAGES);
		if (held >= nr * each && held <= nr * (each + 50))
			return false;
		bc_pause();
	}
	return differs(held, nr * each);
}

/*
 * Moves it about while it maps, forks and ends. Who is moved while it maps has
 * its address space locked, and may be followed by it later.
 */
static int test_privvmpages_races(const char *root)
{
	struct bc_agent *agents[4] = {};
	char *one, *other = NULL;
	int ret = KSFT_FAIL;
	long base, in_one;
	size_t i, j;

	one = bc_cgroup(root, "bc_one");
	other = bc_cgroup(root, "bc_other");
	bc_gather();
	for (i = 0; i < ARRAY_SIZE(agents); i++) {
		agents[i] = bc_agent(one);
		if (!agents[i])
			goto cleanup;
	}
	base = bc_held(one, PRIVVMPAGES);
	for (i = 0; i < ARRAY_SIZE(agents); i++) {
		if (differs(bc_post(agents[i], map_on, i % 2, NULL), 0))
			goto cleanup;
	}
	if (differs(bc_release(ARRAY_SIZE(agents)), 0))
		goto cleanup;

	for (j = 0; j < 200; j++) {
		in_one = 0;
		for (i = 0; i < ARRAY_SIZE(agents); i++) {
			char *to = (i + j) % 3 ? other : one;

			if (differs(cg_enter(j % 7 ? to : root, agents[i]->pid),
				    0))
				goto cleanup;
			in_one += to == one;
		}
	}
	__atomic_store_n(&bc_shared->stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < ARRAY_SIZE(agents); i++) {
		if (differs(bc_collect(agents[i]), 0))
			goto cleanup;
	}
	base /= ARRAY_SIZE(agents);
	if (unmet(bc_shared->progress > 100) ||
	    holds_not_agents(one, in_one, base) ||
	    holds_not_agents(other, ARRAY_SIZE(agents) - in_one, base))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	for (i = 0; i < ARRAY_SIZE(agents); i++)
		bc_stop(agents[i]);
	ret = bc_remove(one, ret);
	return bc_remove(other, ret);
}

static int test_privvmpages_faults(const char *root)
{
	return bc_std_faults(root, &privvmpages);
}

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_privvmpages_barrier),
	T(test_privvmpages_clone_into),
	T(test_privvmpages_enter),
	T(test_privvmpages_exec),
	T(test_privvmpages_faults),
	T(test_privvmpages_fork),
	T(test_privvmpages_huge),
	T(test_privvmpages_lenient),
	T(test_privvmpages_migration),
	T(test_privvmpages_overcommit),
	T(test_privvmpages_parent_refuses),
	T(test_privvmpages_races),
	T(test_privvmpages_shared_mm),
	T(test_privvmpages_sharer_forks),
	T(test_privvmpages_steps),
	T(test_privvmpages_stock),
	T(test_privvmpages_swap),
	T(test_privvmpages_thp),
	T(test_privvmpages_threads),
	T(test_privvmpages_toggle),
};

#undef T

int main(int argc __maybe_unused, char **argv)
{
	/* What test_privvmpages_exec runs. */
	if (!strcmp(argv[0], "bc_sleep")) {
		if (!strcmp(argv[1], "not"))
			return EXIT_SUCCESS;
		if (write(atoi(argv[1]), "", 1) != 1)
			return EXIT_FAILURE;
		while (true)
			pause();
	}

	return bc_main(tests, ARRAY_SIZE(tests));
}
