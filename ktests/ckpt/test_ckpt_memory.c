// SPDX-License-Identifier: GPL-2.0
/* The memory of processes that are saved, ended, and restored. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest.h"
#include "ckpt_finding.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#endif

#define PROT_RW	(PROT_READ | PROT_WRITE)

static char *map(size_t size, int flags)
{
	char *at = mmap(NULL, size, PROT_RW, flags | MAP_ANONYMOUS, -1, 0);

	expect(at != MAP_FAILED);
	return at;
}

#define PAGES	600

/* Private and shared memory, of nothing and of a file, with and without holes. */
static void memory(void)
{
	const int prot = PROT_READ | PROT_WRITE;
	long page = sysconf(_SC_PAGESIZE), i;
	char *anon, *shared, *of_file, *hidden, *heap;
	int fd = open("file", O_RDWR | O_CREAT, 0600);

	anon = mmap(NULL, PAGES * page, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shared = mmap(NULL, PAGES * page, prot, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	hidden = mmap(NULL, page, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	expect(!ftruncate(fd, 4 * page));
	of_file = mmap(NULL, 4 * page, prot, MAP_PRIVATE, fd, 0);
	heap = sbrk(3 * page);
	expect(anon != MAP_FAILED && shared != MAP_FAILED && of_file != MAP_FAILED);
	for (i = 0; i < PAGES; i += 3) {
		anon[i * page] = i;
		shared[i * page + 1] = i + 1;
	}
	of_file[page] = 'p';
	heap[page] = 'h';
	strcpy(hidden, "hidden");
	expect(!mprotect(hidden, page, PROT_NONE));

	be_saved();

	for (i = 0; i < PAGES; i++) {
		expect(anon[i * page] == (i % 3 ? 0 : (char)i));
		expect(shared[i * page + 1] == (i % 3 ? 0 : (char)(i + 1)));
	}
	expect(of_file[page] == 'p' && !of_file[0] && heap[page] == 'h');
	expect(sbrk(0) == heap + 3 * page);
	expect(!mprotect(hidden, page, PROT_READ) && !strcmp(hidden, "hidden"));
	/* Private stays private. */
	expect(!pread(fd, anon, 1, page + 1) || !*anon);
	all_is_well();
}

/* How much is locked, in kB. */
static long locked_now(void)
{
	char text[4096] = "", *at;
	int fd = open("/proc/self/status", O_RDONLY);

	expect(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	at = strstr(text, "VmLck:");
	return at ? strtol(at + 6, NULL, 10) : -1;
}

#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT	1
#endif

/* Memory that is locked stays so, whether or not all of it is there. */
static void locked(void)
{
	long page = sysconf(_SC_PAGESIZE);
	char *all = map(8 * page, MAP_PRIVATE), *some = map(8 * page, MAP_PRIVATE);
	unsigned char in[8];
	int i;

	expect(!mlock(all, 8 * page));
	expect(!syscall(SYS_mlock2, some, 8 * page, MLOCK_ONFAULT));
	all[page] = 'a';
	some[page] = 's';
	expect(locked_now() == 64);

	be_saved();

	expect(locked_now() == 64 && all[page] == 'a' && !all[0]);
	expect(!mincore(all, 8 * page, in));
	for (i = 0; i < 8; i++)
		expect(in[i] & 1);
	expect(!mincore(some, 8 * page, in));
	for (i = 0; i < 8; i++)
		expect((in[i] & 1) == (i == 1));
	expect(some[page] == 's' && !munlock(some, 8 * page) && locked_now() == 32);
	all_is_well();
}

/* What is written through a shared mapping of a file is in the file. */
static void shared_file(void)
{
	long page = sysconf(_SC_PAGESIZE);
	int fd = open("file", O_RDWR | O_CREAT, 0600);
	char *at, text[4] = "";

	expect(!ftruncate(fd, 2 * page));
	at = mmap(NULL, 2 * page, PROT_RW, MAP_SHARED, fd, 0);
	expect(at != MAP_FAILED);
	strcpy(at + page, "old");
	be_saved();
	expect(!strcmp(at + page, "old"));
	strcpy(at + page, "new");
	expect(pread(fd, text, 4, page) == 4 && !strcmp(text, "new"));
	all_is_well();
}

/* Pages that nobody may touch. */
static void guards(void)
{
	long page = sysconf(_SC_PAGESIZE);
	char *at = map(16 * page, MAP_PRIVATE);
	int file = open("file", O_RDWR | O_CREAT, 0600), i;

	memset(at, 'x', 16 * page);
	expect(!madvise(at + 3 * page, 2 * page, MADV_GUARD_INSTALL));
	expect(!madvise(at + 9 * page, page, MADV_GUARD_INSTALL));
	be_saved();
	for (i = 0; i < 16; i++) {
		bool guard = i == 3 || i == 4 || i == 9;

		expect(write(file, at + i * page, 1) == (guard ? -1 : 1));
		expect(guard || at[i * page] == 'x');
	}
	all_is_well();
}

/* Huge pages, with a hole. */
static void huge(void)
{
	const size_t huge = 2 << 20;
	char *at = map(4 * huge, MAP_PRIVATE);
	size_t i;

	madvise(at, 4 * huge, MADV_HUGEPAGE);
	for (i = 0; i < 4 * huge; i += 4096)
		if (i / huge != 2)
			at[i] = i >> 12 | 1;
	be_saved();
	for (i = 0; i < 4 * huge; i += 4096)
		expect(at[i] == (i / huge == 2 ? 0 : (char)(i >> 12 | 1)));
	all_is_well();
}

static char before[64 << 10], after[64 << 10];

/* All that a file of proc says about us. */
static void read_proc(const char *name, char *into)
{
	int fd = open(name, O_RDONLY);
	ssize_t len, at = 0;

	while ((len = read(fd, into + at, sizeof(before) - 1 - at)) > 0)
		at += len;
	into[at] = '\0';
	expect(at > 0 && !close(fd));
}

/* Every mapping is where it was, and what it was, down to its name. */
static void map_lines(void)
{
	char *named = map(3 << 12, MAP_PRIVATE);

	prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, named, 1 << 12, "a name");
	expect(!mprotect(named + (2 << 12), 1 << 12, PROT_READ));
	read_proc("/proc/self/maps", before);
	expect(strstr(before, "[anon:a name]"));
	be_saved();
	read_proc("/proc/self/maps", after);
	expect(!strcmp(before, after));
	all_is_well();
}

/* The flags of the mapping at an address, as smaps has them. */
static char *flags_of(const void *at)
{
	char start[32], *line;

	read_proc("/proc/self/smaps", after);
	snprintf(start, sizeof(start), "%lx-", (unsigned long)at);
	line = strstr(after, start);
	expect(line);
	line = strstr(line, "VmFlags:");
	expect(line);
	*strchr(line, '\n') = '\0';
	return line;
}

/* What madvise() said about memory. */
static void advice(void)
{
	static const struct {
		int advice;
		const char *flag;
	} of[] = {
		{ MADV_DONTFORK, " dc" },
		{ MADV_WIPEONFORK, " wf" },
		{ MADV_DONTDUMP, " dd" },
		{ MADV_HUGEPAGE, " hg" },
		{ MADV_NOHUGEPAGE, " nh" },
		{ MADV_SEQUENTIAL, " sr" },
		{ MADV_RANDOM, " rr" },
	};
	char *at[ARRAY_SIZE(of)];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(of); i++) {
		at[i] = map(2 << 12, MAP_PRIVATE | MAP_NORESERVE);
		/* No neighbour that it could be joined with. */
		expect(!munmap(at[i] + (1 << 12), 1 << 12));
		expect(!madvise(at[i], 1 << 12, of[i].advice));
		expect(strstr(flags_of(at[i]), of[i].flag));
	}
	be_saved();
	for (i = 0; i < ARRAY_SIZE(of); i++) {
		expect(strstr(flags_of(at[i]), of[i].flag));
		expect(strstr(flags_of(at[i]), " nr"));
	}
	all_is_well();
}

/* The auxiliary vector, the executable, the arguments, and the list of robust futexes. */
static void layout(void)
{
	static char auxv[sizeof(before)], exe[PATH_MAX], line[sizeof(before)];
	struct robust_list_head *head, *same;
	size_t len;

	read_proc("/proc/self/auxv", auxv);
	read_proc("/proc/self/cmdline", line);
	expect(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
	expect(!syscall(SYS_get_robust_list, 0, &head, &len));
	be_saved();
	read_proc("/proc/self/auxv", after);
	expect(!memcmp(auxv, after, sizeof(auxv)));
	memset(after, 0, sizeof(after));
	read_proc("/proc/self/cmdline", after);
	expect(!memcmp(line, after, sizeof(line)));
	memset(after, 0, sizeof(after));
	expect(readlink("/proc/self/exe", after, PATH_MAX) > 0 && !strcmp(exe, after));
	expect(!syscall(SYS_get_robust_list, 0, &same, &len) && head == same);
	expect(getauxval(AT_SYSINFO_EHDR));
	all_is_well();
}

/* The stack grows on. */
static int deep(int left)
{
	char room[4096];

	room[0] = left % 100;
	asm volatile("" : : "r" (room) : "memory");
	return left ? deep(left - 1) + room[0] - left % 100 : 0;
}

static void stack(void)
{
	expect(!deep(50));
	be_saved();
	expect(!deep(400));
	all_is_well();
}

#define T(f) { f, check_finding, "test_" #f }
static const struct ckpt_test tests[] = {
	T(advice),
	T(guards),
	T(huge),
	T(layout),
	T(locked),
	T(map_lines),
	T(memory),
	T(shared_file),
	T(stack),
};

#undef T

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
