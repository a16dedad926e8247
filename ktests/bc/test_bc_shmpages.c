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
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
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
	{ "MAP_NORESERVE", share_noreserve, 12, 0 },
	{ "touching", touch_area, 5, 5 },
	{ "munmap", unmap, 0, -5, .later = true },
};

/* Every way to get shared memory and to give it back. */
static int test_shmpages_steps(const char *root)
{
	return bc_std_steps(root, SHMPAGES, steps, ARRAY_SIZE(steps));
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

static char mounted[32] = "/tmp/bc_shmpages_XXXXXX";

/* A file of so many pages in the tmpfs, which is text's. */
static long write_file(long nr, const char *text)
{
	char path[PATH_MAX];
	long ret = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", mounted, text);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
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
	if (!mkdtemp(mounted) || mount("bc", mounted, "tmpfs", 0, NULL))
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
	umount2(mounted, MNT_DETACH);
	rmdir(mounted);
	return bc_remove(cgroup, ret);
}

static const struct bc_kind * const kinds[] = { &shmpages };

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_shmpages_absurd),
	T(test_shmpages_owner),
	T(test_shmpages_refused),
	T(test_shmpages_steps),
	T(test_shmpages_tmpfs),
};

#undef T

int main(void)
{
	return bc_std_main(kinds, ARRAY_SIZE(kinds), tests, ARRAY_SIZE(tests));
}
