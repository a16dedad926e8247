// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel that was told to do without the controller.
 *
 * Boot with: cgroup_disable=bc
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_util.h"

/* More than a stock has, so that a charge would not go unseen. */
#define OBJECTS	(4 * BC_STOCK_NUMFILE)

/* No cgroup offers it, takes it, or has files of it. */
static int test_disabled_absent(const char *root)
{
	int ret = KSFT_FAIL;
	char *cgroup;

	if (unmet(!bc_lists(root, "cgroup.controllers", "bc")) ||
	    differs(bc_enable(root), -EINVAL))
		return KSFT_FAIL;

	cgroup = bc_cgroup(root, "bc_disabled");
	if (!cgroup)
		return KSFT_FAIL;

	if (unmet(!bc_has(cgroup, "bc.current")) ||
	    unmet(!bc_has(cgroup, "bc.max")))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	return bc_remove(cgroup, ret);
}

/* Open files, and fork; is anything refused? */
static int use_objects(const char *cgroup, void *arg)
{
	int i, fds[OBJECTS], status;

	for (i = 0; i < OBJECTS; i++) {
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (fds[i] < 0)
			return KSFT_FAIL;
	}
	for (i = 0; i < OBJECTS; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return KSFT_FAIL;
		if (!pid)
			_exit(0);
		if (waitpid(pid, &status, 0) != pid || status)
			return KSFT_FAIL;
	}
	for (i = 0; i < OBJECTS; i++)
		close(fds[i]);

	return KSFT_PASS;
}

/* What would be charged is had, and given back, as ever. */
static int test_disabled_objects(const char *root)
{
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_disabled");
	if (!cgroup)
		return KSFT_FAIL;

	if (!differs(cg_run(cgroup, use_objects, NULL), KSFT_PASS))
		ret = KSFT_PASS;

	return bc_remove(cgroup, ret);
}

/* OpenVZ's files would claim that something is counted. */
static int test_disabled_module(const char *root __maybe_unused)
{
	int err = bc_load("user_beancounters");

	if (err == -ENOENT) {
		ksft_print_msg("no module user_beancounters\n");
		return KSFT_SKIP;
	}
	if (!err)
		bc_unload("user_beancounters");
	if (differs(err, -ENODEV) ||
	    unmet(access("/proc/user_beancounters", F_OK)) ||
	    unmet(access("/proc/bc", F_OK)))
		return KSFT_FAIL;

	return KSFT_PASS;
}

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_disabled_absent),
	T(test_disabled_objects),
	T(test_disabled_module),
};

#undef T

int main(void)
{
	char root[PATH_MAX];
	size_t i;

	ksft_print_header();
	if (geteuid())
		ksft_exit_skip("the tests need root\n");
	if (!bc_lists("/proc", "cmdline", "cgroup_disable=bc"))
		ksft_exit_skip("the kernel was not booted with cgroup_disable=bc\n");
	if (cg_find_unified_root(root, sizeof(root), NULL))
		ksft_exit_skip("cgroup v2 isn't mounted\n");

	ksft_set_plan(ARRAY_SIZE(tests));
	for (i = 0; i < ARRAY_SIZE(tests); i++)
		ksft_test_result_code(tests[i].fn(root), tests[i].name, NULL);
	ksft_finished();
}
