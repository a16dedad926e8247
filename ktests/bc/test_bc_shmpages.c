// SPDX-License-Identifier: GPL-2.0
/*
 * shmpages: shared memory, charged to who made the file, the segment or the
 * mapping, for as long as it is there.
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
#include <sys/mount.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_memory.h"
#include "bc_standard.h"

#define RW		(PROT_READ | PROT_WRITE)

/* Each a file of one page. */
static long make(long nr, const char *text __maybe_unused)
{
	long i;

	for (i = 0; i < nr; i++) {
		int fd = memfd_create("bc", MFD_CLOEXEC);

		if (fd < 0)
			break;
		if (write(fd, "x", 1) != 1) {
			int err = errno;

			close(fd);
			errno = err;
			break;
		}
		if (bc_self_keep(fd))
			break;
	}

	return i;
}

static const struct bc_kind shmpages = {
	.name = "shmpages",
	.resource = SHMPAGES,
	.err = ENOSPC,
	.make = make,
	.drop = bc_self_close_first,
	.in_files = true,
};

static long memfd(long nr, const char *text __maybe_unused)
{
	int fd = memfd_create("bc", MFD_CLOEXEC);

	if (bc_self_keep(fd))
		return -1;
	return ftruncate(fd, nr * bc_page());
}

static long fill(long nr, const char *text __maybe_unused)
{
	return posix_fallocate(bc_self_newest(), 0, nr * bc_page());
}

static long punch(long nr, const char *text __maybe_unused)
{
	return fallocate(bc_self_newest(),
			 FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			 nr * bc_page());
}

static long truncate_to(long nr, const char *text __maybe_unused)
{
	return ftruncate(bc_self_newest(), nr * bc_page());
}

/* The whole newest file, of so many pages, is written to through a mapping. */
static long touch(long nr, const char *text __maybe_unused)
{
	char *addr = mmap(NULL, nr * bc_page(), RW, MAP_SHARED, bc_self_newest(),
			  0);
	long i;

	if (addr == MAP_FAILED)
		return -1;
	for (i = 0; i < nr; i++)
		addr[i * bc_page()] = 1;
	return munmap(addr, nr * bc_page());
}

static long close_all(long arg __maybe_unused, const char *text __maybe_unused)
{
	return -(bc_self_close(BC_ALL, NULL) < 1);
}

static char *area;
static long area_pages;

static long share(long nr, const char *text __maybe_unused)
{
	void *addr = mmap(NULL, nr * bc_page(), RW, MAP_SHARED | MAP_ANONYMOUS,
			  -1, 0);

	if (addr == MAP_FAILED)
		return -1;
	area = addr;
	area_pages = nr;
	return 0;
}

static long share_noreserve(long nr, const char *text __maybe_unused)
{
	void *addr = mmap(NULL, nr * bc_page(), RW,
			  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (addr == MAP_FAILED)
		return -1;
	area = addr;
	area_pages = nr;
	return 0;
}

static long touch_area(long nr, const char *text __maybe_unused)
{
	long i;

	for (i = 0; i < nr; i++)
		area[i * bc_page()] = 1;
	return 0;
}

static long unmap_some(long nr, const char *text __maybe_unused)
{
	return munmap(area, nr * bc_page());
}

static long unmap(long arg __maybe_unused, const char *text __maybe_unused)
{
	return munmap(area, area_pages * bc_page());
}

static const struct bc_step steps[] = {
	{ "memfd_create", memfd, 10, 0 },
	{ "fallocate", fill, 6, 6 },
	{ "fallocate again", fill, 6, 0 },
	{ "touching", touch, 8, 2 },
	{ "a hole", punch, 3, -3, .later = true },
	{ "ftruncate", truncate_to, 4, -4, .later = true },
	{ "close", close_all, 0, -1, .later = true },
	{ "shared anonymous", share, 12, 12 },
	{ "touching", touch_area, 12, 0 },
	{ "munmap of some", unmap_some, 5, 0 },
	{ "munmap", unmap, 0, -12, .later = true },
};

static const struct bc_step noreserve[] = {
	{ "MAP_NORESERVE", share_noreserve, 12, 0 },
	{ "touching", touch_area, 5, 5 },
	{ "munmap", unmap, 0, -5, .later = true },
};

static const struct bc_step noreserve_refused[] = {
	{ "MAP_NORESERVE", share_noreserve, 12, 12 },
	{ "touching", touch_area, 5, 0 },
	{ "munmap", unmap, 0, -12, .later = true },
};

/* Every way to get shared memory and to give it back. */
static int test_shmpages_steps(const char *root)
{
	return bc_std_steps(root, SHMPAGES, steps, ARRAY_SIZE(steps));
}

/* Only a machine that promises no more than it has makes a difference. */
static int test_shmpages_overcommit(const char *root)
{
	static const char * const modes[] = { "0", "1", "2" };
	int ret = bc_need_promises();
	size_t i;

	for (i = 0; ret == KSFT_PASS && i < ARRAY_SIZE(modes); i++) {
		if (differs(bc_setting(OVERCOMMIT, modes[i]), 0)) {
			ret = KSFT_FAIL;
			break;
		}
		ret = test_shmpages_steps(root);
		if (ret != KSFT_PASS)
			break;
		if (!strcmp(modes[i], "2"))
			ret = bc_std_steps(root, SHMPAGES, noreserve_refused,
					   ARRAY_SIZE(noreserve_refused));
		else
			ret = bc_std_steps(root, SHMPAGES, noreserve,
					   ARRAY_SIZE(noreserve));
	}

	bc_restore();
	return ret;
}

static long page_out(long nr, const char *text __maybe_unused)
{
	return bc_page_out(area, nr);
}

static const struct bc_step swap[] = {
	{ "shared anonymous", share, 64, 64 },
	{ "touching", touch_area, 64, 0 },
	{ "MADV_PAGEOUT", page_out, 64, 0 },
	{ "touching again", touch_area, 30, 0 },
	{ "munmap", unmap, 0, -64, .later = true },
	{ "MAP_NORESERVE", share_noreserve, 64, 0 },
	{ "touching", touch_area, 64, 64 },
	{ "MADV_PAGEOUT", page_out, 64, 0 },
	{ "touching again", touch_area, 30, 0 },
	{ "munmap", unmap, 0, -64, .later = true },
};

/* What is swapped out is still there. */
static int test_shmpages_swap(const char *root)
{
	int ret = bc_need_swap();

	if (ret == KSFT_PASS)
		ret = bc_std_steps(root, SHMPAGES, swap, ARRAY_SIZE(swap));
	bc_end_swap();
	return ret;
}

static long huge_memfd(long nr, const char *text __maybe_unused)
{
	int fd = memfd_create("bc", MFD_CLOEXEC | MFD_HUGETLB |
			      MFD_HUGE_2MB);

	if (bc_self_keep(fd))
		return -1;
	return ftruncate(fd, nr * bc_page());
}

static const struct bc_step huge[] = {
	{ "memfd_create", huge_memfd, BC_HUGE_PAGES, 0 },
	{ "touching", touch, BC_HUGE_PAGES, 0 },
	{ "close", close_all, 0, 0 },
};

/* What comes from the pool of hugetlbfs. */
static int test_shmpages_huge(const char *root)
{
	int ret = bc_need_hugetlb(1);

	if (ret == KSFT_PASS)
		ret = bc_std_steps(root, SHMPAGES, huge, ARRAY_SIZE(huge));
	bc_restore();
	return ret;
}

static long segment(long nr, const char *text __maybe_unused)
{
	return shmget(IPC_PRIVATE, nr * bc_page(), IPC_CREAT | 0600);
}

static long remove_segment(long id, const char *text __maybe_unused)
{
	return shmctl(id, IPC_RMID, NULL);
}

static long absurd_segment(long arg __maybe_unused,
			   const char *text __maybe_unused)
{
	return shmget(IPC_PRIVATE, LONG_MAX, IPC_CREAT | 0600);
}

/* A size that nobody can have leaves no trace. */
static int test_shmpages_absurd(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_absurd");
	agent = bc_agent(cgroup);
	if (!agent || differs(bc_call(agent, share, 3, NULL), 0) ||
	    differs(bc_call(agent, absurd_segment, 0, NULL), -1) ||
	    unsettled(cgroup, SHMPAGES, 3) ||
	    differs(bc_write(cgroup, "bc.max", "shmpages 5"), 0) ||
	    differs(bc_call(agent, absurd_segment, 0, NULL), -1) ||
	    unsettled(cgroup, SHMPAGES, 3) ||
	    differs(bc_call(agent, share, 3, NULL), -1) ||
	    differs(bc_call(agent, share, 2, NULL), 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* What has a size is refused when it is made. */
static int test_shmpages_refused(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	long id;

	cgroup = bc_cgroup(root, "bc_refused");
	agent = bc_agent(cgroup);
	if (!agent || differs(bc_write(cgroup, "bc.high", "shmpages 10"), 0))
		goto cleanup;

	if (differs(bc_call(agent, share, 11, NULL), -1) ||
	    differs(agent->err, ENOMEM) ||
	    differs(bc_call(agent, segment, 11, NULL), -1) ||
	    differs(agent->err, ENOMEM) ||
	    unsettled(cgroup, SHMPAGES, 0) ||
	    miscounted(cgroup, "bc.events", SHMPAGES, 2, 0))
		goto cleanup;
	id = bc_call(agent, segment, 6, NULL);
	if (unmet(id >= 0) || differs(bc_held(cgroup, SHMPAGES), 6) ||
	    differs(bc_call(agent, share, 5, NULL), -1) ||
	    differs(bc_call(agent, share, 4, NULL), 0) ||
	    differs(bc_held(cgroup, SHMPAGES), 10) ||
	    differs(bc_call(agent, remove_segment, id, NULL), 0) ||
	    unsettled(cgroup, SHMPAGES, 4))
		goto cleanup;

	/* What grows is refused as by a full disk. */
	if (differs(bc_call(agent, memfd, 20, NULL), 0) ||
	    differs(bc_call(agent, fill, 7, NULL), ENOSPC) ||
	    unsettled(cgroup, SHMPAGES, 4) ||
	    differs(bc_call(agent, fill, 6, NULL), 0) ||
	    differs(bc_held(cgroup, SHMPAGES), 10))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

static long touch_in_child(long nr, const char *text)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		signal(SIGBUS, SIG_DFL);
		_exit(touch(nr, text));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

/* Whoever touches a page: the file's maker pays, and its limit counts. */
static int test_shmpages_owner(const char *root)
{
	struct bc_agent *maker = NULL, *user = NULL;
	char *made, *uses = NULL;
	int fd, ret = KSFT_FAIL;

	made = bc_cgroup(root, "bc_made");
	uses = bc_cgroup(root, "bc_uses");
	maker = bc_agent(made);
	user = bc_agent(uses);
	if (!maker || !user ||
	    differs(bc_write(uses, "bc.max", "shmpages 0"), 0) ||
	    differs(bc_call(maker, memfd, 8, NULL), 0))
		goto cleanup;

	fd = bc_take(maker);
	if (unmet(fd >= 0) || differs(bc_give(user, fd), 0))
		goto cleanup;
	close(fd);
	if (differs(bc_call(user, touch, 5, NULL), 0) ||
	    differs(bc_held(made, SHMPAGES), 5) ||
	    differs(bc_held(uses, SHMPAGES), 0) ||
	    differs(bc_write(made, "bc.max", "shmpages 6"), 0) ||
	    differs(bc_call(user, touch_in_child, 8, NULL), SIGBUS) ||
	    differs(bc_held(made, SHMPAGES), 6) ||
	    miscounted(made, "bc.events", SHMPAGES, 0, 1))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(maker);
	bc_stop(user);
	ret = bc_remove(made, ret);
	return bc_remove(uses, ret);
}

static char mounted[32];

/* A tmpfs, until unmount_tmpfs(). */
static bool mount_tmpfs(const char *options)
{
	strcpy(mounted, "/tmp/bc_shmpages_XXXXXX");
	return mkdtemp(mounted) && !mount("bc", mounted, "tmpfs", 0, options);
}

static void unmount_tmpfs(void)
{
	umount2(mounted, MNT_DETACH);
	rmdir(mounted);
}

/* A file of the tmpfs, by its name. */
static int open_file(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", mounted, name);
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

/* A file of so many pages in the tmpfs, which is text's. */
static long write_file(long nr, const char *text)
{
	int fd = open_file(text);
	long ret = 0;

	if (fd < 0)
		return -1;
	if (posix_fallocate(fd, 0, nr * bc_page()))
		ret = -1;
	close(fd);
	return ret;
}

/* A file of a tmpfs stays charged while it has a name. */
static int test_shmpages_tmpfs(const char *root)
{
	struct bc_agent *agent = NULL;
	char *cgroup, path[PATH_MAX];
	int ret = KSFT_FAIL;

	cgroup = bc_cgroup(root, "bc_tmpfs");
	/* The agent has to know the name. */
	if (!mount_tmpfs(NULL))
		goto cleanup;
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	if (differs(bc_call(agent, write_file, 9, "file"), 0) ||
	    differs(bc_held(cgroup, SHMPAGES), 9))
		goto cleanup;
	bc_stop(agent);
	agent = NULL;
	snprintf(path, sizeof(path), "%s/file", mounted);
	if (unsettled(cgroup, NUMPROC, 0) ||
	    differs(bc_held(cgroup, SHMPAGES), 9) ||
	    differs(unlink(path), 0) || unsettled(cgroup, SHMPAGES, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	unmount_tmpfs();
	return bc_remove(cgroup, ret);
}

/* A file of the tmpfs, with a size but without pages. */
static long sparse(long nr, const char *text)
{
	int fd = open_file(text);

	if (bc_self_keep(fd))
		return -1;
	return ftruncate(fd, nr * bc_page());
}

/* How many pages the newest file has. */
static long blocks(long arg __maybe_unused, const char *text __maybe_unused)
{
	struct stat st;

	if (fstat(bc_self_newest(), &st))
		return -1;
	return st.st_blocks * 512 / bc_page();
}

static long touch_some(long nr, const char *text __maybe_unused)
{
	return pwrite(bc_self_newest(), "x", 1, (nr - 1) * bc_page()) - 1;
}

/* Huge pages are counted as what they are, and split when need be. */
static int test_shmpages_thp(const char *root)
{
	static const struct bc_step changes[] = {
		{ "touching", touch_some, 1 },
		{ "a hole", punch, 3 },
		{ "more", touch_some, 600 },
		{ "less", truncate_to, 100 },
	};
	struct bc_agent *agent = NULL;
	int ret = bc_need_thp();
	char *cgroup = NULL;
	size_t i;

	if (ret != KSFT_PASS)
		return ret;
	ret = KSFT_FAIL;
	if (!mount_tmpfs("huge=always")) {
		ret = bc_skip("no tmpfs has transparent huge pages");
		goto cleanup;
	}
	cgroup = bc_cgroup(root, "bc_thp");
	agent = bc_agent(cgroup);
	if (!agent || differs(bc_call(agent, sparse, 1024, "file"), 0))
		goto cleanup;

	for (i = 0; i < ARRAY_SIZE(changes); i++) {
		long has;

		if (differs(bc_call(agent, changes[i].fn, changes[i].arg, NULL),
			    0))
			goto cleanup;
		has = bc_call(agent, blocks, 0, NULL);
		if (!i && has < BC_HUGE_PAGES) {
			ret = bc_skip("there is no memory for a huge page");
			goto cleanup;
		}
		if (unmet(has > 0) || unsettled(cgroup, SHMPAGES, has)) {
			ksft_print_msg("at %s\n", changes[i].name);
			goto cleanup;
		}
	}
	if (differs(bc_call(agent, truncate_to, 0, NULL), 0) ||
	    unsettled(cgroup, SHMPAGES, 0))
		goto cleanup;

	/* Where there is none to be had, there are smaller ones. */
	if (differs(bc_write(cgroup, "bc.max", "shmpages 100"), 0) ||
	    differs(bc_call(agent, truncate_to, 1024, NULL), 0) ||
	    differs(bc_call(agent, fill, 100, NULL), 0) ||
	    differs(bc_held(cgroup, SHMPAGES), 100) ||
	    differs(bc_call(agent, touch_some, 101, NULL), -2) ||
	    differs(agent->err, ENOSPC) ||
	    differs(bc_held(cgroup, SHMPAGES), 100))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	unmount_tmpfs();
	return bc_remove(cgroup, ret);
}

static const struct bc_kind * const kinds[] = { &shmpages };

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_shmpages_absurd),
	T(test_shmpages_huge),
	T(test_shmpages_overcommit),
	T(test_shmpages_owner),
	T(test_shmpages_refused),
	T(test_shmpages_steps),
	T(test_shmpages_swap),
	T(test_shmpages_thp),
	T(test_shmpages_tmpfs),
};

#undef T

int main(void)
{
	return bc_std_main(kinds, ARRAY_SIZE(kinds), tests, ARRAY_SIZE(tests));
}
