// SPDX-License-Identifier: GPL-2.0
/*
 * numpty: pairs of pseudoterminals, charged to who opens the master until both
 * ends are closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_standard.h"

/* An instance of devpts that nobody else uses. */
static char pts[32];

static pid_t program;

static void unmount(void)
{
	if (getpid() != program)
		return;
	umount(pts);
	rmdir(pts);
}

static int open_master(void)
{
	char path[sizeof(pts) + sizeof("/ptmx")];

	snprintf(path, sizeof(path), "%s/ptmx", pts);
	return open(path, O_RDWR | O_NOCTTY);
}

static long make_ptys(long nr, const char *text __maybe_unused)
{
	long i;

	for (i = 0; i < nr; i++) {
		if (bc_self_keep(open_master()))
			break;
	}

	return i;
}

static const struct bc_kind numpty = {
	.name = "numpty",
	.resource = NUMPTY,
	.err = ENOSPC,
	.make = make_ptys,
	.drop = bc_self_close_first,
	.in_files = true,
};

/* Keeps the slave of the newest master, too. */
static long open_slave(long arg __maybe_unused, const char *text __maybe_unused)
{
	char path[sizeof(pts) + 16];
	int master = bc_self_newest();
	unsigned int nr;
	int zero = 0;

	if (ioctl(master, TIOCSPTLCK, &zero) || ioctl(master, TIOCGPTN, &nr))
		return -1;
	snprintf(path, sizeof(path), "%s/%u", pts, nr);
	return bc_self_keep(open(path, O_RDWR | O_NOCTTY));
}

/* A pair is one, whichever end is closed last. */
static int test_numpty_pair(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_pair");
	agent = bc_agent(cgroup);
	if (!agent || differs(bc_write(cgroup, "bc.max", "numpty 1"), 0))
		goto cleanup;

	if (differs(bc_call(agent, make_ptys, 1, NULL), 1) ||
	    differs(bc_call(agent, open_slave, 0, NULL), 0) ||
	    differs(bc_call(agent, open_slave, 0, NULL), -1) ||
	    differs(bc_held(cgroup, NUMPTY), 1))
		goto cleanup;

	/* The master goes first. */
	if (differs(bc_close_first(agent, 1), 1) ||
	    differs(bc_held(cgroup, NUMPTY), 1) ||
	    differs(bc_call(agent, make_ptys, 1, NULL), 0) ||
	    differs(bc_close(agent, 1), 1) || unsettled(cgroup, NUMPTY, 0))
		goto cleanup;

	/* The slave goes first. */
	if (differs(bc_call(agent, make_ptys, 1, NULL), 1) ||
	    differs(bc_call(agent, open_slave, 0, NULL), 0) ||
	    differs(bc_close(agent, 1), 1) ||
	    differs(bc_held(cgroup, NUMPTY), 1) ||
	    differs(bc_close(agent, 1), 1) || unsettled(cgroup, NUMPTY, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* Where the instance itself has no more, nothing is left charged. */
static int test_numpty_instance_full(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	int i;

	cgroup = bc_cgroup(root, "bc_full");
	agent = bc_agent(cgroup);
	if (!agent ||
	    differs(mount(NULL, pts, NULL, MS_REMOUNT, "ptmxmode=0666,max=3"),
		    0))
		goto cleanup;

	for (i = 0; i < 3; i++) {
		if (differs(bc_call(agent, make_ptys, 5, NULL), i ? 0 : 3) ||
		    differs(agent->err, ENOSPC) ||
		    differs(bc_held(cgroup, NUMPTY), 3) ||
		    miscounted(cgroup, "bc.events", NUMPTY, 0, 0))
			goto cleanup;
	}

	ret = KSFT_PASS;

cleanup:
	mount(NULL, pts, NULL, MS_REMOUNT, "ptmxmode=0666,max=1024");
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

static const struct bc_kind * const kinds[] = {
	&numpty,
};

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_numpty_instance_full),
	T(test_numpty_pair),
};

#undef T

int main(void)
{
	program = getpid();
	strcpy(pts, "/tmp/bc_pts_XXXXXX");
	if (!mkdtemp(pts) ||
	    mount("devpts", pts, "devpts", 0, "ptmxmode=0666")) {
		ksft_print_header();
		ksft_exit_skip("no devpts: %s\n", strerror(errno));
	}
	atexit(unmount);

	return bc_std_main(kinds, ARRAY_SIZE(kinds), tests,
			   ARRAY_SIZE(tests));
}
