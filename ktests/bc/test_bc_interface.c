// SPDX-License-Identifier: GPL-2.0
/*
 * The files of the bc controller: which there are, what they say, and what
 * they accept.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_util.h"

static const struct {
	const char *name;
	mode_t mode;
} files[] = {
	{ "bc.current", 0444 },
	{ "bc.events", 0444 },
	{ "bc.events.local", 0444 },
	{ "bc.high", 0644 },
	{ "bc.max", 0644 },
	{ "bc.peak", 0444 },
	{ "bc.stat", 0444 },
};

/* How many files of the controller a cgroup has. */
static int count_files(const char *cgroup)
{
	struct dirent *entry;
	int nr = 0;
	DIR *dir;

	dir = opendir(cgroup);
	if (!dir)
		return -errno;

	while ((entry = readdir(dir))) {
		if (!strncmp(entry->d_name, "bc.", strlen("bc.")))
			nr++;
	}
	closedir(dir);

	return nr;
}

static bool mode_differs(const char *cgroup, const char *name, mode_t mode)
{
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", cgroup, name);
	if (differs(stat(path, &st), 0) ||
	    differs(st.st_mode & 07777, mode)) {
		ksft_print_msg("the file is %s\n", name);
		return true;
	}

	return false;
}

/*
 * A cgroup has the files of the controller when its parent enables it, and
 * only then; the root never has any.
 */
static int test_interface_files(const char *root)
{
	char *parent, *child = NULL;
	int ret = KSFT_FAIL;
	size_t i;

	parent = bc_cgroup(root, "bc_files");
	child = bc_cgroup(parent, "child");
	if (!child)
		goto cleanup;

	if (differs(count_files(root), 0))
		goto cleanup;
	if (differs(count_files(child), 0))
		goto cleanup;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (mode_differs(parent, files[i].name, files[i].mode))
			goto cleanup;
	}

	if (differs(bc_enable(parent), 0))
		goto cleanup;
	if (differs(count_files(child), count_files(parent)))
		goto cleanup;
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (mode_differs(child, files[i].name, files[i].mode))
			goto cleanup;
	}

	if (differs(bc_disable(parent), 0))
		goto cleanup;
	if (differs(count_files(child), 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

/* The names at the line starts of a file, each with a blank behind it. */
static int read_keys(const char *cgroup, const char *file, char *keys,
		     size_t size)
{
	char path[PATH_MAX], buf[BUF_SIZE];
	char *line, *state;
	int nr = 0;

	snprintf(path, sizeof(path), "%s/%s", cgroup, file);
	if (bc_read(path, buf, sizeof(buf)) < 0)
		return -1;

	keys[0] = '\0';
	for (line = strtok_r(buf, "\n", &state); line;
	     line = strtok_r(NULL, "\n", &state)) {
		size_t len = strcspn(line, " ");
		size_t used = strlen(keys);

		if (used + len + 2 > size)
			return -1;
		snprintf(keys + used, size - used, "%.*s ", (int)len, line);
		nr++;
	}

	return nr;
}

/* Every resource has a row in every file, everywhere in the same order. */
static int test_interface_rows(const char *root)
{
	static const char * const flat[] = {
		"bc.high", "bc.max", "bc.peak", "bc.stat",
	};
	static const char * const events[] = {
		"bc.events", "bc.events.local",
	};
	char keys[BUF_SIZE], others[BUF_SIZE], expected[2 * BUF_SIZE];
	char *cgroup, *key, *state;
	int ret = KSFT_FAIL;
	size_t i;
	int nr;

	cgroup = bc_cgroup(root, "bc_rows");
	if (!cgroup)
		goto cleanup;

	nr = read_keys(cgroup, "bc.current", keys, sizeof(keys));
	if (unmet(nr >= 2))
		goto cleanup;
	if (unmet(strstr(keys, "numproc ")) || unmet(strstr(keys, "numfile ")))
		goto cleanup;

	for (i = 0; i < ARRAY_SIZE(flat); i++) {
		if (differs(read_keys(cgroup, flat[i], others, sizeof(others)),
			    nr) ||
		    differs(strcmp(keys, others), 0)) {
			ksft_print_msg("the file is %s\n", flat[i]);
			goto cleanup;
		}
	}

	expected[0] = '\0';
	for (key = strtok_r(keys, " ", &state); key;
	     key = strtok_r(NULL, " ", &state)) {
		size_t used = strlen(expected);

		snprintf(expected + used, sizeof(expected) - used,
			 "%s.high %s.max ", key, key);
	}

	for (i = 0; i < ARRAY_SIZE(events); i++) {
		if (differs(read_keys(cgroup, events[i], others,
				      sizeof(others)), 2 * nr) ||
		    differs(strcmp(expected, others), 0)) {
			ksft_print_msg("the file is %s\n", events[i]);
			goto cleanup;
		}
	}

	ret = KSFT_PASS;

cleanup:
	return bc_remove(cgroup, ret);
}

static bool not_fresh(const char *cgroup, const char *resource)
{
	struct bc_row row;

	if (differs(bc_held(cgroup, resource), 0) ||
	    differs(bc_peak(cgroup, resource), 0) ||
	    differs(bc_value(cgroup, "bc.high", resource), BC_MAX) ||
	    differs(bc_value(cgroup, "bc.max", resource), BC_MAX))
		return true;
	if (miscounted(cgroup, "bc.events", resource, 0, 0) ||
	    miscounted(cgroup, "bc.events.local", resource, 0, 0))
		return true;

	return differs(bc_stat(cgroup, resource, &row), 0) ||
	       differs(row.held, 0) || differs(row.maxheld, 0) ||
	       differs(row.barrier, BC_MAX) || differs(row.limit, BC_MAX) ||
	       differs(row.failcnt, 0);
}

/* A new cgroup holds nothing and is not limited. */
static int test_interface_defaults(const char *root)
{
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_defaults");
	if (!cgroup)
		goto cleanup;

	if (not_fresh(cgroup, NUMPROC) || not_fresh(cgroup, NUMFILE))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	return bc_remove(cgroup, ret);
}

/* What is counted cannot be written, not even by root. */
static int test_interface_read_only(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	size_t i;

	cgroup = bc_cgroup(root, "bc_read_only");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	if (differs(bc_open(agent, 3), 3))
		goto cleanup;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (files[i].mode & 0222)
			continue;
		if (unmet(bc_write(cgroup, files[i].name, "numfile 0") < 0) ||
		    unmet(bc_write(cgroup, files[i].name, "0") < 0)) {
			ksft_print_msg("the file is %s\n", files[i].name);
			goto cleanup;
		}
	}

	if (differs(bc_held(cgroup, NUMFILE), 3))
		goto cleanup;
	if (unmet(bc_peak(cgroup, NUMFILE) >= 3))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

static bool settings_differ(const char *cgroup, const char *file, long numproc,
			    long numfile)
{
	return differs(bc_value(cgroup, file, NUMPROC), numproc) ||
	       differs(bc_value(cgroup, file, NUMFILE), numfile);
}

/* One key is written at a time, and nothing else changes. */
static int test_interface_write_one_key(const char *root)
{
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_write_one_key");
	if (!cgroup)
		goto cleanup;

	if (differs(bc_write(cgroup, "bc.max", "numfile 100"), 0) ||
	    settings_differ(cgroup, "bc.max", BC_MAX, 100))
		goto cleanup;
	if (differs(bc_write(cgroup, "bc.max", "numproc 7\n"), 0) ||
	    settings_differ(cgroup, "bc.max", 7, 100))
		goto cleanup;
	if (settings_differ(cgroup, "bc.high", BC_MAX, BC_MAX))
		goto cleanup;

	if (differs(bc_write(cgroup, "bc.high", "numfile 0\n"), 0) ||
	    settings_differ(cgroup, "bc.high", BC_MAX, 0))
		goto cleanup;
	if (differs(bc_write(cgroup, "bc.high", "numproc 1234567890123"), 0) ||
	    settings_differ(cgroup, "bc.high", 1234567890123, 0))
		goto cleanup;

	if (differs(bc_write(cgroup, "bc.max", "numfile max\n"), 0) ||
	    settings_differ(cgroup, "bc.max", 7, BC_MAX))
		goto cleanup;
	if (settings_differ(cgroup, "bc.high", 1234567890123, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	return bc_remove(cgroup, ret);
}

static const struct {
	const char *text;
	int err;
} bad_writes[] = {
	/* No write at all, says the cgroup core. */
	{ "", 0 },
	{ "\n", -EINVAL },
	{ " ", -EINVAL },
	{ "numfile", -EINVAL },
	{ "numfile\n", -EINVAL },
	{ "numfile ", -EINVAL },
	{ "5", -EINVAL },
	{ "max", -EINVAL },
	{ "5 numfile", -EINVAL },
	{ "numfile 5 6", -EINVAL },
	{ "numfile 5 numproc 6", -EINVAL },
	{ "numfile=5", -EINVAL },
	{ "nosuchthing 5", -EINVAL },
	{ "numfiles 5", -EINVAL },
	{ "numfil 5", -EINVAL },
	{ "NUMFILE 5", -EINVAL },
	{ "numfile.max 5", -EINVAL },
	{ "numfile -1", -EINVAL },
	{ "numfile -9223372036854775808", -EINVAL },
	{ "numfile x", -EINVAL },
	{ "numfile 5x", -EINVAL },
	{ "numfile 5k", -EINVAL },
	{ "numfile 0x5", -EINVAL },
	{ "numfile 5.5", -EINVAL },
	{ "numfile MAX", -EINVAL },
	{ "numfile maximum", -EINVAL },
	{ "numfile ma", -EINVAL },
	{ "numfile 9223372036854775808", -ERANGE },
	{ "numfile 18446744073709551615", -ERANGE },
	{ "numfile 18446744073709551617", -ERANGE },
	{ "numfile 100000000000000000000000000000", -ERANGE },
};

/* A write that makes no sense says so and changes nothing. */
static int test_interface_bad_writes(const char *root)
{
	static const char * const writable[] = { "bc.high", "bc.max" };
	int ret = KSFT_FAIL;
	char *cgroup;
	size_t i, j;

	cgroup = bc_cgroup(root, "bc_bad_writes");
	if (!cgroup)
		goto cleanup;

	for (i = 0; i < ARRAY_SIZE(writable); i++) {
		if (differs(bc_write(cgroup, writable[i], "numproc 40"), 0) ||
		    differs(bc_write(cgroup, writable[i], "numfile 50"), 0))
			goto cleanup;

		for (j = 0; j < ARRAY_SIZE(bad_writes); j++) {
			if (differs(bc_write(cgroup, writable[i],
					     bad_writes[j].text),
				    bad_writes[j].err) ||
			    settings_differ(cgroup, writable[i], 40, 50)) {
				ksft_print_msg("\"%s\" to %s\n",
					       bad_writes[j].text,
					       writable[i]);
				goto cleanup;
			}
		}
	}

	ret = KSFT_PASS;

cleanup:
	return bc_remove(cgroup, ret);
}

/* Several lines in one write all take effect. */
static int test_interface_many_lines(const char *root)
{
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_many_lines");
	if (!cgroup)
		goto cleanup;

	if (differs(bc_write(cgroup, "bc.max", "numproc 10\nnumfile 20\n"),
		    0) ||
	    settings_differ(cgroup, "bc.max", 10, 20))
		goto cleanup;
	if (differs(bc_write(cgroup, "bc.max", "numfile 21\nnumproc max"), 0) ||
	    settings_differ(cgroup, "bc.max", BC_MAX, 21))
		goto cleanup;
	if (settings_differ(cgroup, "bc.high", BC_MAX, BC_MAX))
		goto cleanup;

	if (differs(bc_write(cgroup, "bc.high", "numproc 5\nnumfile 6"), 0) ||
	    settings_differ(cgroup, "bc.high", 5, 6))
		goto cleanup;
	if (settings_differ(cgroup, "bc.max", BC_MAX, 21))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	return bc_remove(cgroup, ret);
}

/* One bad line among several, and none takes effect. */
static int test_interface_many_lines_one_bad(const char *root)
{
	static const struct {
		const char *text;
		int err;
	} writes[] = {
		{ "numproc 1\nnumfile\n", -EINVAL },
		{ "numproc 1\nnumfile x\n", -EINVAL },
		{ "numproc 1\nnumfile -1", -EINVAL },
		{ "numproc 1\nnumfile 2\nnosuchthing 3\n", -EINVAL },
		{ "nosuchthing 3\nnumproc 1\nnumfile 2\n", -EINVAL },
		{ "numfile 2\nnumproc 1 1\n", -EINVAL },
		{ "numfile 2\nnumproc 9223372036854775808\n", -ERANGE },
		{ "numfile 9223372036854775808\nnumproc 1\n", -ERANGE },
	};
	int ret = KSFT_FAIL;
	char *cgroup;
	size_t i;

	cgroup = bc_cgroup(root, "bc_one_bad_line");
	if (!cgroup)
		goto cleanup;

	if (differs(bc_write(cgroup, "bc.max", "numproc 40"), 0) ||
	    differs(bc_write(cgroup, "bc.max", "numfile 50"), 0))
		goto cleanup;

	for (i = 0; i < ARRAY_SIZE(writes); i++) {
		if (differs(bc_write(cgroup, "bc.max", writes[i].text),
			    writes[i].err) ||
		    settings_differ(cgroup, "bc.max", 40, 50)) {
			ksft_print_msg("write %zu\n", i);
			goto cleanup;
		}
	}

	ret = KSFT_PASS;

cleanup:
	return bc_remove(cgroup, ret);
}

static bool stat_differs(const char *cgroup, const char *resource, long held,
			 long barrier, long limit, long failcnt)
{
	struct bc_row row;

	return differs(bc_stat(cgroup, resource, &row), 0) ||
	       differs(row.held, held) ||
	       differs(row.held, bc_held(cgroup, resource)) ||
	       differs(row.maxheld, bc_peak(cgroup, resource)) ||
	       differs(row.barrier, barrier) || differs(row.limit, limit) ||
	       differs(row.failcnt, failcnt);
}

/* bc.stat says in one place what the other files say. */
static int test_interface_stat(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_stat");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	/* Also while there is something in stock. */
	if (differs(bc_open(agent, 1), 1) ||
	    stat_differs(cgroup, NUMFILE, 1, BC_MAX, BC_MAX, 0) ||
	    differs(bc_close(agent, 1), 1) || unsettled(cgroup, NUMFILE, 0))
		goto cleanup;

	if (differs(bc_write(cgroup, "bc.high", "numfile 4"), 0) ||
	    differs(bc_write(cgroup, "bc.max", "numproc 2\nnumfile 6"), 0))
		goto cleanup;

	/* Two refusals by the barrier and one by the limit. */
	if (differs(bc_open(agent, 5), 4) || differs(bc_open(agent, 1), 0))
		goto cleanup;
	if (differs(bc_write(cgroup, "bc.high", "numfile 10"), 0) ||
	    differs(bc_open(agent, 3), 2))
		goto cleanup;
	if (differs(bc_fork(agent, 2), 1))
		goto cleanup;

	if (miscounted(cgroup, "bc.events.local", NUMFILE, 2, 1) ||
	    miscounted(cgroup, "bc.events.local", NUMPROC, 0, 1))
		goto cleanup;
	if (stat_differs(cgroup, NUMFILE, 6, 10, 6, 3) ||
	    stat_differs(cgroup, NUMPROC, 2, BC_MAX, 2, 1))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* A hierarchy of cgroup v1 can neither have the controller nor any of its files. */
static int test_interface_v1(const char *root)
{
	char dir[] = "/tmp/bc_v1_XXXXXX";
	int ret = KSFT_FAIL;

	if (!mkdtemp(dir)) {
		ksft_perror(dir);
		return KSFT_FAIL;
	}

	if (unmet(mount("bc", dir, "cgroup", 0, "bc"))) {
		umount2(dir, MNT_DETACH);
		goto cleanup;
	}
	if (errno == ENODEV) {
		ret = bc_skip("the kernel has no cgroup v1");
		goto cleanup;
	}
	if (differs(errno, EINVAL))
		goto cleanup;

	if (differs(mount("bc", dir, "cgroup", 0, "none,name=bc_v1"), 0))
		goto cleanup;
	if (!differs(count_files(dir), 0))
		ret = KSFT_PASS;
	umount2(dir, MNT_DETACH);

cleanup:
	rmdir(dir);
	return ret;
}

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_interface_bad_writes),
	T(test_interface_defaults),
	T(test_interface_files),
	T(test_interface_many_lines),
	T(test_interface_many_lines_one_bad),
	T(test_interface_read_only),
	T(test_interface_rows),
	T(test_interface_stat),
	T(test_interface_v1),
	T(test_interface_write_one_key),
};

#undef T

int main(void)
{
	return bc_main(tests, ARRAY_SIZE(tests));
}
