// SPDX-License-Identifier: GPL-2.0
/*
 * lockedpages: memory that cannot be reclaimed, charged to who has the address
 * space, or the segment of shared memory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_memory.h"
#include "bc_standard.h"

#define PRIVATE		(MAP_PRIVATE | MAP_ANONYMOUS)
#define RW		(PROT_READ | PROT_WRITE)

/*
 * What is locked and unlocked page by page, oldest first; every other one, so
 * that they are mappings of their own.
 */
#define MOST		1024
#define PAGE		4096
static char pages[MOST][PAGE] __aligned(PAGE);
static int first, end;

static long make(long nr, const char *text __maybe_unused)
{
	long i;

	for (i = 0; i < nr; i++) {
		if (mlock(pages[2 * end % MOST], PAGE))
			break;
		end++;
	}

	return i;
}

static long drop(long nr, const char *text __maybe_unused)
{
	long i;

	for (i = 0; i < nr && first < end; i++)
		munlock(pages[2 * first++ % MOST], PAGE);

	return i;
}

static const struct bc_kind lockedpages = {
	.name = "lockedpages",
	.resource = LOCKEDPAGES,
	.err = ENOMEM,
	.make = make,
	.drop = drop,
	.moves = true,
};

static char *area;
static long area_pages;

static long map_with(long nr, int flags)
{
	void *addr = mmap(NULL, nr * bc_page(), RW, PRIVATE | flags, -1, 0);

	if (addr == MAP_FAILED)
		return -1;
	area = addr;
	area_pages = nr;
	return 0;
}

static long map(long nr, const char *text __maybe_unused)
{
	return map_with(nr, 0);
}

static long map_locked(long nr, const char *text __maybe_unused)
{
	return map_with(nr, MAP_LOCKED);
}

static long unmap(long arg __maybe_unused, const char *text __maybe_unused)
{
	return munmap(area, area_pages * bc_page());
}

static long unmap_some(long nr, const char *text __maybe_unused)
{
	return munmap(area + bc_page(), nr * bc_page());
}

static long lock(long nr, const char *text __maybe_unused)
{
	return mlock(area, nr * bc_page());
}

static long lock_on_fault(long nr, const char *text __maybe_unused)
{
	return mlock2(area, nr * bc_page(), MLOCK_ONFAULT);
}

static long unlock(long nr, const char *text __maybe_unused)
{
	return munlock(area, nr * bc_page());
}

/* The second page is read-only: there are three mappings then. */
static long split(long arg __maybe_unused, const char *text __maybe_unused)
{
	return mprotect(area + bc_page(), bc_page(), PROT_READ);
}

static long resize(long nr, const char *text __maybe_unused)
{
	void *addr = mremap(area, area_pages * bc_page(), nr * bc_page(),
			    MREMAP_MAYMOVE);

	if (addr == MAP_FAILED)
		return -1;
	area = addr;
	area_pages = nr;
	return 0;
}

static long move(int flags)
{
	void *to = mmap(NULL, area_pages * bc_page(), PROT_NONE, PRIVATE, -1, 0);

	if (to == MAP_FAILED)
		return -1;
	to = mremap(area, area_pages * bc_page(), area_pages * bc_page(),
		    MREMAP_MAYMOVE | MREMAP_FIXED | flags, to);
	if (to == MAP_FAILED)
		return -1;
	area = to;
	return 0;
}

static long move_away(long arg __maybe_unused, const char *text __maybe_unused)
{
	return move(0);
}

/* What is left behind is empty and not locked. */
static long move_keep(long arg __maybe_unused, const char *text __maybe_unused)
{
	return move(MREMAP_DONTUNMAP);
}

static long map_over(long nr, const char *text __maybe_unused)
{
	return -(mmap(area, nr * bc_page(), RW, PRIVATE | MAP_FIXED, -1, 0) ==
		 MAP_FAILED);
}

static const struct bc_step steps[] = {
	{ "mmap", map, 10, 0 },
	{ "mlock", lock, 4, 4 },
	{ "mlock again", lock, 4, 0 },
	{ "mlock of more", lock, 10, 6 },
	{ "mlock2 of the same", lock_on_fault, 10, 0 },
	{ "munlock", unlock, 3, -3 },
	{ "munlock again", unlock, 3, 0 },
	{ "mlock2", lock_on_fault, 3, 3 },
	{ "munmap of some", unmap_some, 2, -2 },
	{ "munmap", unmap, 0, -8 },
	{ "MAP_LOCKED", map_locked, 6, 6 },
	{ "mapped over", map_over, 2, -2 },
	{ "locked again", lock, 6, 2 },
	{ "mremap to more", resize, 9, 3 },
	{ "mremap elsewhere", move_away, 0, 0 },
	{ "mremap to less", resize, 5, -4 },
	{ "mremap and keep", move_keep, 0, 0 },
	{ "munmap", unmap, 0, -5 },
};

/* Every way to lock memory and to unlock it. */
static int test_lockedpages_steps(const char *root)
{
	return bc_std_steps(root, LOCKEDPAGES, steps, ARRAY_SIZE(steps));
}

static long map_thp(long nr, const char *text __maybe_unused)
{
	void *addr = bc_map_thp(nr);

	if (addr == MAP_FAILED)
		return -1;
	area = addr;
	area_pages = nr;
	return 0;
}

static const struct bc_step thp[] = {
	{ "mmap", map_thp, 1024, 0 },
	{ "mlock of some", lock, 600, 600 },
	{ "munlock of some", unlock, 100, -100 },
	{ "munmap of some", unmap_some, 200, -101 },
	{ "munmap", unmap, 0, -399 },
};

/* Pages count, however large they are. */
static int test_lockedpages_thp(const char *root)
{
	int ret = bc_need_thp();

	return ret == KSFT_PASS ?
		bc_std_steps(root, LOCKEDPAGES, thp, ARRAY_SIZE(thp)) : ret;
}

static long map_huge(long nr, const char *text __maybe_unused)
{
	return map_with(nr, MAP_HUGETLB | MAP_HUGE_2MB);
}

static long map_huge_locked(long nr, const char *text __maybe_unused)
{
	return map_with(nr, MAP_HUGETLB | MAP_HUGE_2MB | MAP_LOCKED);
}

static const struct bc_step huge[] = {
	{ "mmap", map_huge, BC_HUGE_PAGES, 0 },
	{ "mlock", lock, BC_HUGE_PAGES, 0 },
	{ "munlock", unlock, BC_HUGE_PAGES, 0 },
	{ "munmap", unmap, 0, 0 },
	{ "MAP_LOCKED", map_huge_locked, BC_HUGE_PAGES, 0 },
	{ "munmap", unmap, 0, 0 },
};

/* Those of hugetlbfs are never reclaimed, locked or not. */
static int test_lockedpages_huge(const char *root)
{
	int ret = bc_need_hugetlb(2);

	if (ret == KSFT_PASS)
		ret = bc_std_steps(root, LOCKEDPAGES, huge, ARRAY_SIZE(huge));
	bc_restore();
	return ret;
}

static long lock_nothing(long arg __maybe_unused,
			 const char *text __maybe_unused)
{
	return mlock(NULL, 0);
}

/* What is refused is not locked in part; each call has its own error. */
static int test_lockedpages_refused(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_refused");
	agent = bc_agent(cgroup);
	if (!agent || differs(bc_write(cgroup, "bc.high", "lockedpages 5"), 0))
		goto cleanup;

	if (differs(bc_call(agent, lock_nothing, 0, NULL), 0) ||
	    differs(bc_peak(cgroup, LOCKEDPAGES), 0) ||
	    differs(bc_call(agent, map, 6, NULL), 0) ||
	    differs(bc_call(agent, split, 0, NULL), 0) ||
	    differs(bc_call(agent, lock, 6, NULL), -1) ||
	    differs(agent->err, ENOMEM) ||
	    differs(bc_held(cgroup, LOCKEDPAGES), 0) ||
	    differs(bc_call(agent, lock, 3, NULL), 0) ||
	    differs(bc_call(agent, lock, 5, NULL), 0) ||
	    differs(bc_call(agent, lock, 6, NULL), -1) ||
	    differs(bc_held(cgroup, LOCKEDPAGES), 5) ||
	    differs(bc_peak(cgroup, LOCKEDPAGES), 5) ||
	    miscounted(cgroup, "bc.events", LOCKEDPAGES, 2, 0))
		goto cleanup;

	if (differs(bc_call(agent, unmap, 0, NULL), 0) ||
	    differs(bc_call(agent, map_locked, 6, NULL), -1) ||
	    differs(agent->err, EAGAIN) ||
	    differs(bc_held(cgroup, LOCKEDPAGES), 0) ||
	    differs(bc_call(agent, map_locked, 4, NULL), 0) ||
	    differs(bc_call(agent, resize, 6, NULL), -1) ||
	    differs(bc_held(cgroup, LOCKEDPAGES), 4) ||
	    differs(bc_call(agent, move_away, 0, NULL), 0) ||
	    differs(bc_held(cgroup, LOCKEDPAGES), 4) ||
	    miscounted(cgroup, "bc.events", LOCKEDPAGES, 4, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

static long lock_all(long flags, const char *text __maybe_unused)
{
	return mlockall(flags);
}

static long unlock_all(long arg __maybe_unused, const char *text __maybe_unused)
{
	return munlockall();
}

/* In pages, as /proc has it. */
static long locked(long arg __maybe_unused, const char *text __maybe_unused)
{
	char line[256];
	long kib = -1;
	FILE *file = fopen("/proc/self/status", "r");

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "VmLck: %ld", &kib) == 1)
			break;
	}
	if (file)
		fclose(file);
	return kib < 0 ? -1 : kib * 1024 / bc_page();
}

/* All there is, and all there will be. */
static int test_lockedpages_all(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	long held;

	cgroup = bc_cgroup(root, "bc_all");
	agent = bc_agent(cgroup);
	if (!agent || differs(bc_write(cgroup, "bc.max", "lockedpages 20"), 0))
		goto cleanup;

	if (differs(bc_call(agent, lock_all, MCL_CURRENT, NULL), -1) ||
	    differs(agent->err, ENOMEM) ||
	    differs(bc_held(cgroup, LOCKEDPAGES), 0) ||
	    miscounted(cgroup, "bc.events", LOCKEDPAGES, 0, 1) ||
	    differs(bc_call(agent, lock_all, MCL_FUTURE, NULL), 0) ||
	    differs(bc_call(agent, map, 21, NULL), -1) ||
	    differs(agent->err, EAGAIN) ||
	    differs(bc_call(agent, map, 9, NULL), 0) ||
	    differs(bc_held(cgroup, LOCKEDPAGES), 9) ||
	    differs(bc_call(agent, unlock_all, 0, NULL), 0) ||
	    differs(bc_held(cgroup, LOCKEDPAGES), 0))
		goto cleanup;
	if (differs(bc_write(cgroup, "bc.max", "lockedpages max"), 0) ||
	    differs(bc_call(agent, lock_all, MCL_CURRENT, NULL), 0))
		goto cleanup;
	held = bc_held(cgroup, LOCKEDPAGES);
	if (unmet(held > 9) ||
	    differs(bc_call(agent, locked, 0, NULL), held) ||
	    differs(bc_call(agent, unlock_all, 0, NULL), 0) ||
	    differs(bc_held(cgroup, LOCKEDPAGES), 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* A child has nothing locked; the process takes along what it has. */
static int test_lockedpages_migration(const char *root)
{
	struct bc_agent *agent = NULL;
	char *from, *to = NULL;
	int ret = KSFT_FAIL;

	from = bc_cgroup(root, "bc_from");
	to = bc_cgroup(root, "bc_to");
	agent = bc_agent(from);
	if (!agent || !to || differs(bc_write(to, "bc.max", "lockedpages 2"), 0))
		goto cleanup;

	if (differs(bc_call(agent, map_locked, 7, NULL), 0) ||
	    differs(bc_fork(agent, 1), 1) ||
	    differs(bc_held(from, LOCKEDPAGES), 7) ||
	    differs(cg_enter(to, agent->pid), 0) ||
	    differs(bc_held(from, LOCKEDPAGES), 0) ||
	    differs(bc_held(to, LOCKEDPAGES), 7) ||
	    differs(bc_end_children(agent), 1) ||
	    differs(bc_call(agent, map_locked, 1, NULL), -1) ||
	    differs(bc_call(agent, unmap, 0, NULL), 0) ||
	    differs(bc_held(to, LOCKEDPAGES), 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(from, ret);
	return bc_remove(to, ret);
}

static long segment(long nr, const char *text __maybe_unused)
{
	return shmget(IPC_PRIVATE, nr * bc_page(), IPC_CREAT | 0600);
}

static long control(long id, const char *text)
{
	int cmd = !strcmp(text, "lock") ? SHM_LOCK :
		  !strcmp(text, "unlock") ? SHM_UNLOCK : IPC_RMID;

	return shmctl(id, cmd, NULL);
}

/* Who made a segment pays for its lock, whoever locks it. */
static int test_lockedpages_segment(const char *root)
{
	struct bc_agent *maker = NULL, *locker = NULL;
	char *made, *locks = NULL;
	int ret = KSFT_FAIL;
	long id = -1;

	made = bc_cgroup(root, "bc_made");
	locks = bc_cgroup(root, "bc_locks");
	maker = bc_agent(made);
	locker = bc_agent(locks);
	if (!maker || !locker ||
	    differs(bc_write(made, "bc.max", "lockedpages 6"), 0))
		goto cleanup;

	id = bc_call(maker, segment, 6, NULL);
	if (unmet(id >= 0) ||
	    differs(bc_call(locker, control, id, "lock"), 0) ||
	    differs(bc_held(made, LOCKEDPAGES), 6) ||
	    differs(bc_held(locks, LOCKEDPAGES), 0) ||
	    differs(bc_call(locker, control, id, "lock"), 0) ||
	    differs(bc_held(made, LOCKEDPAGES), 6) ||
	    differs(bc_call(maker, control, id, "unlock"), 0) ||
	    differs(bc_held(made, LOCKEDPAGES), 0))
		goto cleanup;
	if (differs(bc_write(made, "bc.max", "lockedpages 5"), 0) ||
	    differs(bc_call(locker, control, id, "lock"), -1) ||
	    differs(locker->err, ENOMEM) ||
	    differs(bc_held(made, LOCKEDPAGES), 0) ||
	    differs(bc_write(made, "bc.max", "lockedpages 6"), 0) ||
	    differs(bc_call(locker, control, id, "lock"), 0) ||
	    differs(bc_call(maker, control, id, "remove"), 0) ||
	    unsettled(made, LOCKEDPAGES, 0))
		goto cleanup;
	id = -1;

	ret = KSFT_PASS;

cleanup:
	if (id >= 0)
		shmctl(id, IPC_RMID, NULL);
	bc_stop(maker);
	bc_stop(locker);
	ret = bc_remove(made, ret);
	return bc_remove(locks, ret);
}

static const struct bc_kind * const kinds[] = { &lockedpages };

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_lockedpages_all),
	T(test_lockedpages_huge),
	T(test_lockedpages_migration),
	T(test_lockedpages_refused),
	T(test_lockedpages_segment),
	T(test_lockedpages_steps),
	T(test_lockedpages_thp),
};

#undef T

int main(void)
{
	return bc_std_main(kinds, ARRAY_SIZE(kinds), tests, ARRAY_SIZE(tests));
}
