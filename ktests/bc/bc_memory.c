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
#include <sys/sysinfo.h>
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

long bc_number(const char *path, const char *name)
{
	char buf[8192], *line;

	if (bc_read(path, buf, sizeof(buf)) < 0)
		return -1;
	line = strstr(buf, name);
	return line ? strtol(line + strlen(name), NULL, 10) : -1;
}

int bc_setting(const char *name, const char *value)
{
	char *path = settings[nr_settings].path;
	char *was = settings[nr_settings].was;

	if (nr_settings == MOST_SETTINGS)
		return -ENOSPC;
	snprintf(path, sizeof(settings[0].path), "/proc/sys/%s", name);
	if (bc_read(path, was, sizeof(settings[0].was)) <= 0)
		return -ENOENT;
	nr_settings++;
	return value ? bc_write_path(path, value) : 0;
}

void bc_restore(void)
{
	for (; nr_settings; nr_settings--)
		bc_write_path(settings[nr_settings - 1].path,
			      settings[nr_settings - 1].was);
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
	char text[80];

	snprintf(text, sizeof(text), HUGETLB, huge_size() / 1024);
	if (access(text, F_OK))
		return bc_skip("the kernel has no huge pages of that size");
	snprintf(text, sizeof(text), "%ld", nr);
	if (bc_setting("vm/nr_hugepages", text))
		return KSFT_FAIL;
	if (bc_read("/proc/sys/vm/nr_hugepages", text, sizeof(text)) <= 0 ||
	    atol(text) < nr) {
		bc_restore();
		return bc_skip("there is no memory for huge pages");
	}
	return KSFT_PASS;
}

static int swap = -1;
static char swap_device[32];

/* A device that has its room in memory. */
static int attach(void)
{
	const unsigned int header[] = { 1, SWAP_PAGES - 1, 0 };
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int memory = memfd_create("swap", MFD_CLOEXEC);
	int nr = ioctl(control, LOOP_CTL_GET_FREE);
	int ret = -1;

	close(control);
	if (nr < 0 || memory < 0)
		goto out;
	snprintf(swap_device, sizeof(swap_device), "/dev/loop%d", nr);
	swap = open(swap_device, O_RDWR | O_CLOEXEC);
	if (swap >= 0 && !ftruncate(memory, SWAP_PAGES * bc_page()) &&
	    pwrite(memory, header, sizeof(header), 1024) == sizeof(header) &&
	    pwrite(memory, "SWAPSPACE2", 10, bc_page() - 10) == 10)
		ret = ioctl(swap, LOOP_SET_FD, memory);
out:
	close(memory);
	return ret;
}

int bc_need_swap(void)
{
	if (access("/proc/swaps", F_OK))
		return bc_skip("the kernel has no swap");
	if (access("/dev/loop-control", F_OK))
		return bc_skip("the kernel has no loop devices");
	if (attach() || swapon(swap_device, 0)) {
		ksft_print_msg("swap on %s: %s\n", swap_device,
			       strerror(errno));
		bc_end_swap();
		return KSFT_FAIL;
	}
	return KSFT_PASS;
}

void bc_end_swap(void)
{
	if (swap < 0)
		return;
	swapoff(swap_device);
	ioctl(swap, LOOP_CLR_FD, 0);
	close(swap);
	swap = -1;
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

/* Of the whole machine; nobody but the tests has memory that is. */
static long swapped(void)
{
	struct sysinfo info;

	if (sysinfo(&info))
		return 0;
	return (info.totalswap - info.freeswap) * info.mem_unit / bc_page();
}

long bc_page_out(void *addr, long pages)
{
	long want = swapped() + pages;
	int i;

	for (i = 0; i < BC_POLL_TIMES; i++) {
		/* The kernel need not do so at once. */
		if (madvise(addr, pages * bc_page(), MADV_PAGEOUT))
			return -1;
		if (swapped() >= want)
			return 0;
		bc_pause();
	}
	errno = ETIME;
	return -1;
}
