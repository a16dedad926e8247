// SPDX-License-Identifier: GPL-2.0
/* Memory that was swapped out is saved like any other. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "kselftest.h"
#include "ckpt_finding.h"

#define PAGE	4096
#define PAGES	64
#define SWAP	(8 << 20)

/* How much is swapped out; nobody else has memory that is. */
static size_t swapped_out(void)
{
	struct sysinfo info;

	expect(!sysinfo(&info));
	return (info.totalswap - info.freeswap) * info.mem_unit;
}

static char *filled(int flags)
{
	char *at = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
	int i;

	expect(at != MAP_FAILED);
	for (i = 0; i < PAGES; i++)
		memset(at + i * PAGE, i + 1, PAGE);
	return at;
}

static void swapped(void)
{
	char *private = filled(MAP_PRIVATE), *shared = filled(MAP_SHARED);
	int i;

	/* The kernel need not do so at once. */
	for (i = 0; i < 1000 && swapped_out() < 2 * PAGES * PAGE; i++) {
		madvise(private, PAGES * PAGE, MADV_PAGEOUT);
		madvise(shared, PAGES * PAGE, MADV_PAGEOUT);
		usleep(1000);
	}
	expect(swapped_out() >= 2 * PAGES * PAGE);
	be_saved();
	for (i = 0; i < PAGES * PAGE; i++)
		expect(private[i] == i / PAGE + 1 && shared[i] == i / PAGE + 1);
	all_is_well();
}

/* Swap on a device that has its room in memory; returns the device, or -errno. */
static int make_swap(char *name, size_t size)
{
	const unsigned int header[] = { 1, SWAP / PAGE - 1, 0 };
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int nr = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	int memory = memfd_create("swap", MFD_CLOEXEC), loop;

	close(control);
	if (nr < 0 || memory < 0)
		return -ENODEV;
	snprintf(name, size, "/dev/loop%d", nr);
	loop = open(name, O_RDWR | O_CLOEXEC);
	if (loop < 0 || ftruncate(memory, SWAP) ||
	    pwrite(memory, header, sizeof(header), 1024) != sizeof(header) ||
	    pwrite(memory, "SWAPSPACE2", 10, PAGE - 10) != 10 ||
	    ioctl(loop, LOOP_SET_FD, memory))
		return -errno;
	close(memory);
	return swapon(name, 0) ? -errno : loop;
}

static char device[32];
static int loop;

static void unmake_swap(void)
{
	swapoff(device);
	ioctl(loop, LOOP_CLR_FD);
}

int main(void)
{
	static const struct ckpt_test tests[] = {
		{ swapped, check_finding, "test_swapped" },
	};

	loop = make_swap(device, sizeof(device));
	if (loop < 0) {
		ksft_print_header();
		ksft_exit_skip("no swap on a loop device: %s\n", strerror(-loop));
	}
	atexit(unmake_swap);
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
