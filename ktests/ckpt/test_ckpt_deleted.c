// SPDX-License-Identifier: GPL-2.0
/* Files that were deleted while they were open. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest.h"
#include "ckpt_finding.h"

/* Content with holes, two open files of it, and a mapping. */
static void deleted_file(void)
{
	int fd = open("gone", O_RDWR | O_CREAT, 0640), twin = open("gone", O_RDONLY);
	char text[32] = "", link[64], *at;
	struct stat before, st;

	expect(write(fd, "start", 5) == 5 && pwrite(fd, "middle", 6, 1 << 20) == 6);
	expect(!ftruncate(fd, (2 << 20) + 100) && pwrite(fd, "end", 3, 2 << 20) == 3);
	at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	expect(at != MAP_FAILED && lseek(twin, 2, SEEK_SET) == 2);
	expect(!fchown(fd, 1234, 5678) && !fchmod(fd, 02640));
	expect(!futimens(fd, (struct timespec[]){ { 1000, 1 }, { 2000, 2 } }));
	expect(!unlink("gone") && !fstat(fd, &before));

	be_saved();

	expect(!fstat(fd, &st) && !st.st_nlink && st.st_size == before.st_size);
	expect(st.st_mode == before.st_mode && st.st_uid == 1234 && st.st_gid == 5678);
	expect(st.st_mtim.tv_sec == 2000 && st.st_mtim.tv_nsec == 2);
	expect(st.st_atim.tv_sec == 1000 && st.st_atim.tv_nsec == 1);
	expect(st.st_blocks <= before.st_blocks);
	expect(lseek(fd, 0, SEEK_CUR) == 5 && read(twin, text, 3) == 3 && !strcmp(text, "art"));
	expect(pread(fd, text, 6, 1 << 20) == 6 && !strcmp(text, "middle"));
	expect(pread(fd, text, 32, 2 << 20) == 32 && !strcmp(text, "end"));
	expect(pread(fd, text, 32, (2 << 20) + 90) == 10);
	/* It is one file still. */
	expect(!memcmp(at, "start", 5));
	memcpy(at, "START", 5);
	expect(pread(twin, text, 5, 0) == 5 && !memcmp(text, "START", 5));
	expect(write(twin, "x", 1) < 0 && errno == EBADF);
	expect(access("gone", F_OK) && errno == ENOENT);
	expect(readlink("/proc/self/fd/4", link, sizeof(link)) > 0);
	expect(strstr(link, "/gone (deleted)"));
	all_is_well();
}

/* There is another file of its name now, which is not touched. */
static void replaced(void)
{
	int fd = open("gone", O_RDWR | O_CREAT, 0600), other;
	char text[8] = "";

	expect(write(fd, "old", 3) == 3 && !unlink("gone"));
	other = open("gone", O_RDWR | O_CREAT | O_EXCL, 0600);
	expect(write(other, "new", 3) == 3);
	be_saved();
	expect(pread(fd, text, 8, 0) == 3 && !strcmp(text, "old"));
	expect(pread(other, text, 8, 0) == 3 && !strcmp(text, "new"));
	all_is_well();
}

/* It never had a name, and is empty. */
static void nameless(void)
{
	int fd = open(".", O_RDWR | O_TMPFILE, 0600);
	struct stat st;

	expect(fd == 4);
	be_saved();
	expect(!fstat(fd, &st) && !st.st_nlink && !st.st_size && S_ISREG(st.st_mode));
	expect(write(fd, "x", 1) == 1);
	all_is_well();
}

/* Private memory of a deleted file: some of it was written to. */
static void private(void)
{
	int fd = open("gone", O_RDWR | O_CREAT, 0600);
	long page = sysconf(_SC_PAGESIZE);
	char *at;

	expect(pwrite(fd, "first", 6, 0) == 6 && pwrite(fd, "second", 7, page) == 7);
	at = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	expect(at != MAP_FAILED);
	strcpy(at, "other");
	expect(!close(fd) && !unlink("gone"));
	be_saved();
	expect(!strcmp(at, "other") && !strcmp(at + page, "second"));
	all_is_well();
}

/* Mapped when it was deleted already, which a tmpfs takes for memory without a file. */
static void mapped_later(void)
{
	int fd = open("gone", O_RDWR | O_CREAT, 0600);
	char text[8] = "", *at;

	expect(write(fd, "first", 6) == 6 && !unlink("gone"));
	at = mmap(NULL, 6, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	expect(at != MAP_FAILED);
	be_saved();
	expect(!strcmp(at, "first"));
	strcpy(at, "other");
	expect(pread(fd, text, 8, 0) == 6 && !strcmp(text, "other"));
	all_is_well();
}

#define T(f) { f, check_finding, "test_" #f }
static const struct ckpt_test tests[] = {
	T(deleted_file),
	T(mapped_later),
	T(nameless),
	T(private),
	T(replaced),
};

#undef T

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
