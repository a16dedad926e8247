// SPDX-License-Identifier: GPL-2.0
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <unistd.h>

#include "kselftest.h"
#include "bc_memory.h"
#include "bc_util.h"

#define THP		"/sys/kernel/mm/transparent_hugepage"
#define HUGETLB		"/sys/kernel/mm/hugepages/hugepages-%ldkB"
#define MOST_SETTINGS	8
#define SWAP_PAGES	4096

static struct {
	char path[128];
	char was[32];
} settings[MOST_SETTINGS];
static int nr_settings;
static pid_t restorer;

long bc_number(const char *path, const char *name)
{
	char buf[8192], *line;

	if (bc_read(path, buf, sizeof(buf)) < 0)
		return -1;
	line = strstr(buf, name);
	return line ? strtol(line + strlen(name), NULL, 10) : -1;
}

/* Also when the program ends in the middle of a test; agents do not. */
static void restore_at_exit(void)
{
	if (getpid() == restorer)
		bc_restore();
}

int bc_setting(const char *path, const char *value)
{
	char *was;

	if (!restorer) {
		restorer = getpid();
		atexit(restore_at_exit);
	}
	if (nr_settings == MOST_SETTINGS)
		return -ENOSPC;
	was = settings[nr_settings].was;
	if (bc_read(path, was, sizeof(settings[0].was)) <= 0)
		return -ENOENT;
	snprintf(settings[nr_settings++].path, sizeof(settings[0].path), "%s",
		 path);
	return value ? bc_write_path(path, value) : 0;
}

void bc_restore(void)
{
	for (; nr_settings; nr_settings--)
		bc_write_path(settings[nr_settings - 1].path,
			      settings[nr_settings - 1].was);
}

int bc_need_promises(void)
{
	long limit = bc_number("/proc/meminfo", "CommitLimit:");
	long promised = bc_number("/proc/meminfo", "Committed_AS:");

	if (limit - promised < 128 * 1024)
		return bc_skip("the machine has promised too much already");
	return KSFT_PASS;
}

static long huge_size(void)
{
	return BC_HUGE_PAGES * bc_page();
}

int bc_need_thp(void)
{
	char text[64];

	if (bc_read(THP "/hpage_pmd_size", text, sizeof(text)) <= 0)
		return bc_skip("the kernel has no transparent huge pages");
	if (atol(text) != huge_size())
		return bc_skip("huge pages have another size");
	if (bc_read(THP "/enabled", text, sizeof(text)) <= 0 ||
	    strstr(text, "[never]"))
		return bc_skip("there are to be no transparent huge pages");
	return KSFT_PASS;
}

int bc_need_hugetlb(long nr)
{
	char dir[64], path[128], text[32];
	long was;

	snprintf(dir, sizeof(dir), HUGETLB, huge_size() / 1024);
	snprintf(path, sizeof(path), "%s/nr_hugepages", dir);
	was = bc_number(path, "");
	if (was < 0)
		return bc_skip("the kernel has no huge pages of that size");
	snprintf(text, sizeof(text), "%ld", was + nr);
	if (bc_setting(path, text))
		return KSFT_FAIL;
	snprintf(path, sizeof(path), "%s/free_hugepages", dir);
	if (bc_number(path, "") < nr) {
		bc_restore();
		return bc_skip("there is no memory for huge pages");
	}
	return KSFT_PASS;
}

/* A device that has its room in memory, which is locked: it is not swapped to itself. */
static int swap = -1;
static char swap_device[32];
static bool swap_is_on;
static void *swap_room = MAP_FAILED;

static size_t swap_size(void)
{
	return SWAP_PAGES * bc_page();
}

static int make_room(void)
{
	const unsigned int header[] = { 1, SWAP_PAGES - 1, 0 };
	int memory = memfd_create("swap", MFD_CLOEXEC);

	if (memory < 0 || ftruncate(memory, swap_size()))
		return -1;
	swap_room = mmap(NULL, swap_size(), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_LOCKED, memory, 0);
	if (swap_room == MAP_FAILED)
		return -1;
	memcpy(swap_room + 1024, header, sizeof(header));
	memcpy(swap_room + bc_page() - 10, "SWAPSPACE2", 10);
	return memory;
}

/* Others may look for a device as well. */
static int attach(int memory)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int i, nr;

	for (i = 0; i < 10; i++) {
		nr = ioctl(control, LOOP_CTL_GET_FREE);
		if (nr < 0)
			break;
		snprintf(swap_device, sizeof(swap_device), "/dev/loop%d", nr);
		swap = open(swap_device, O_RDWR | O_CLOEXEC);
		if (swap >= 0 && !ioctl(swap, LOOP_SET_FD, memory))
			break;
		close(swap);
		swap = -1;
	}
	close(control);
	return swap;
}

int bc_need_swap(void)
{
	int memory;

	if (access("/proc/swaps", F_OK))
		return bc_skip("the kernel has no swap");
	if (access("/dev/loop-control", F_OK))
		return bc_skip("the kernel has no loop devices");
	memory = make_room();
	if (memory < 0 || attach(memory) < 0 || swapon(swap_device, 0)) {
		ksft_print_msg("swap on %s: %s\n", swap_device,
			       strerror(errno));
		return KSFT_FAIL;
	}
	close(memory);
	swap_is_on = true;
	return KSFT_PASS;
}

void bc_end_swap(void)
{
	if (swap_is_on)
		swapoff(swap_device);
	swap_is_on = false;
	if (swap >= 0) {
		ioctl(swap, LOOP_CLR_FD, 0);
		close(swap);
	}
	swap = -1;
	if (swap_room != MAP_FAILED)
		munmap(swap_room, swap_size());
	swap_room = MAP_FAILED;
}

void *bc_map_thp(long pages)
{
	size_t len = pages * bc_page();
	char *addr;

	/* What is before and behind is not made use of. */
	addr = mmap(NULL, len + huge_size(), PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (addr == MAP_FAILED)
		return addr;
	addr += -(uintptr_t)addr % huge_size();
	addr = mmap(addr, len, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (addr != MAP_FAILED && madvise(addr, len, MADV_HUGEPAGE))
		return MAP_FAILED;
	return addr;
}

long bc_page_out(void *addr, long pages)
{
	static const char rollup[] = "/proc/self/smaps_rollup";
	long want = bc_number(rollup, "Swap:") + pages * bc_page() / 1024;
	int i;

	for (i = 0; i < BC_POLL_TIMES; i++) {
		/* The kernel need not do so at once. */
		if (madvise(addr, pages * bc_page(), MADV_PAGEOUT))
			return -1;
		if (bc_number(rollup, "Swap:") >= want)
			return 0;
		bc_pause();
	}
	errno = ETIME;
	return -1;
}
