// SPDX-License-Identifier: GPL-2.0
/*
 * Many containers, again and again: what memory the kernel has while they are
 * there and after they have gone, and what it takes to make them.
 *
 *	containers_bc [-n COUNT] [-r ROUNDS] [-w ROUNDS]
 *	containers_bc -c [-n COUNT] [-r ROUNDS]
 *
 * The former makes COUNT of them in each round, and tells of the memory; the
 * last rounds (-w) are without the controller, for comparison. The latter
 * tells of the time on the processor, with and without the controller in turn;
 * where there is none, only without. In each round it is seen that all hold
 * what they should, and that nothing stays.
 *
 * It is not run with the tests, since it takes long, and says figures which
 * somebody has to judge: "cargo xtask bench containers" does.
 */
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_container.h"
#include "bc_util.h"

#define SLABS		"/sys/kernel/slab"
#define NET		"net_namespace"

static long count = 1000, rounds = 20, without = 3;
static struct bc_container *containers;
static char root[PATH_MAX];
static char *parent;
static bool has_bc;

/* Memory */

/* What meminfo has of the kernel's own use, what there is, and what is left. */
static const char * const amounts[] = {
	"MemTotal", "MemAvailable", "SReclaimable", "SUnreclaim", "KernelStack",
	"PageTables", "Percpu",
};

/* Objects of a cache, or -1. */
static long objects(const char *cache)
{
	char line[512], name[64];
	long active, found = -1;
	FILE *file = fopen("/proc/slabinfo", "re");

	while (file && found < 0 && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%63s %ld", name, &active) == 2 &&
		    !strcmp(name, cache))
			found = active;
	}
	if (file)
		fclose(file);
	return found;
}

/* Give back what is only kept in case that it is wanted again. */
static void give_back(void)
{
	struct dirent *entry;
	char path[PATH_MAX];
	DIR *dir;

	sync();
	bc_write_path("/proc/sys/vm/drop_caches", "3");
	dir = opendir(SLABS);
	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), SLABS "/%s/shrink", entry->d_name);
		bc_write_path(path, "1");
	}
	if (dir)
		closedir(dir);
}

/* Tell of the memory: "memory with 3 rest MemAvailable=123 ...", in KiB. */
static int tell(bool with, long round, const char *when)
{
	const char *mode = with ? "with" : "without";
	char line[512], text[512], name[64];
	long value, size;
	size_t i, len = 0;
	FILE *file;

	give_back();
	file = fopen("/proc/meminfo", "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%63[^:]: %ld kB", name, &value) != 2)
			continue;
		for (i = 0; i < ARRAY_SIZE(amounts); i++) {
			if (!strcmp(name, amounts[i]))
				len += snprintf(text + len, sizeof(text) - len,
						" %s=%ld", name, value);
		}
	}
	if (file)
		fclose(file);
	if (!len)
		return -ENOENT;
	ksft_print_msg("memory %s %ld %s%s\n", mode, round, when, text);

	file = fopen("/proc/slabinfo", "re");
	if (!file)
		return -errno;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%63s %ld %*d %ld", name, &value, &size) == 3 &&
		    value)
			ksft_print_msg("slab %s %ld %s %s %ld %ld\n", mode,
				       round, when, name, value, size);
	}
	fclose(file);
	return 0;
}

/* A network namespace that comes and goes: the kernel frees those before it. */
static int pass_by(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(unshare(CLONE_NEWNET) ? EXIT_FAILURE : EXIT_SUCCESS);
	return pid < 0 || waitpid(pid, NULL, 0) != pid ? -1 : 0;
}

/* All namespaces have gone, but for the last one: their end is for a worker. */
static bool networks_stay(long want)
{
	long now = LONG_MAX, before;
	int i;

	for (i = 0; i < BC_POLL_TIMES && now > want + 1; i++) {
		if (differs(pass_by(), 0))
			return true;
		bc_pause();
		give_back();
		before = now;
		now = objects(NET);
		/* However long it takes, it goes on. */
		if (now < before)
			i = 0;
	}

	return unmet(now <= want + 1);
}

/* Rounds */

static int set_mode(bool with)
{
	if (!has_bc)
		return with ? -ENODEV : 0;
	if (with)
		return bc_enable(root) ?: bc_enable(parent);
	return bc_disable(parent) ?: bc_disable(root);
}

static void add(struct bc_container_cost *sum,
		const struct bc_container_cost *cost)
{
	sum->make += cost->make;
	sum->load += cost->load;
	sum->end += cost->end;
}

static int make_all(bool with, struct bc_container_cost *sum)
{
	struct bc_container_cost cost;
	long i;

	for (i = 0; i < count; i++) {
		if (differs(bc_container_make(&containers[i], parent, i, &cost),
			    0))
			return -1;
		add(sum, &cost);
	}
	for (i = 0; with && i < count; i++) {
		if (holds_not(containers[i].cgroup, 1))
			return -1;
	}

	return with && holds_not(parent, count) ? -1 : 0;
}

static int end_all(struct bc_container_cost *sum)
{
	struct bc_container_cost cost = {};
	int ret = 0;
	long i;

	for (i = 0; i < count; i++) {
		if (!containers[i].cgroup)
			continue;
		if (differs(bc_container_end(&containers[i], &cost), 0))
			ret = -1;
		add(sum, &cost);
	}

	return something_stays(parent) ? -1 : ret;
}

static int measure_memory(void)
{
	struct bc_container_cost ignored = {};
	long networks, round;
	bool with = has_bc;

	give_back();
	networks = objects(NET);
	if (unmet(networks >= 0) || differs(set_mode(with), 0) ||
	    networks_stay(networks) || differs(tell(with, 0, "rest"), 0))
		return KSFT_FAIL;

	for (round = 1; round <= rounds + without; round++) {
		/* The one before the comparison begins anew. */
		if (round == rounds + 1) {
			with = false;
			if (differs(set_mode(with), 0) ||
			    differs(tell(with, rounds, "rest"), 0))
				return KSFT_FAIL;
		}
		if (make_all(with, &ignored) ||
		    differs(tell(with, round, "loaded"), 0) ||
		    end_all(&ignored) || networks_stay(networks) ||
		    differs(tell(with, round, "rest"), 0))
			return KSFT_FAIL;
	}

	return KSFT_PASS;
}

/* Tell of the cost of one container: "cost with make=123 load=45 end=67". */
static int measure_cost(void)
{
	long round;
	int mode;

	for (round = 0; round <= rounds; round++) {
		for (mode = 0; mode <= has_bc; mode++) {
			struct bc_container_cost sum = {};

			if (differs(set_mode(mode), 0) ||
			    make_all(mode, &sum) || end_all(&sum))
				return KSFT_FAIL;
			/* The first one finds nothing ready. */
			if (!round)
				continue;
			ksft_print_msg("cost %s make=%llu load=%llu end=%llu\n",
				       mode ? "with" : "without",
				       sum.make / count, sum.load / count,
				       sum.end / count);
		}
	}

	return KSFT_PASS;
}

static bool number(const char *text, long least, long *value)
{
	char *end;

	*value = strtol(text, &end, 10);
	return end != text && !*end && *value >= least && *value <= 1000000;
}

int main(int argc, char **argv)
{
	struct bc_container_cost ignored = {};
	bool cost = false, was_enabled;
	int option, ret;

	while ((option = getopt(argc, argv, "cn:r:w:")) != -1) {
		if (option == 'c') {
			cost = true;
		} else if (!(option == 'n' && number(optarg, 1, &count)) &&
			   !(option == 'r' && number(optarg, 1, &rounds)) &&
			   !(option == 'w' && number(optarg, 0, &without))) {
			fprintf(stderr, "see the beginning of %s\n", __FILE__);
			return KSFT_FAIL;
		}
	}

	ksft_print_header();
	ksft_set_plan(1);
	if (cg_find_unified_root(root, sizeof(root), NULL))
		ksft_exit_skip("cgroup v2 isn't mounted\n");
	has_bc = bc_lists(root, "cgroup.controllers", "bc");
	was_enabled = bc_lists(root, "cgroup.subtree_control", "bc");
	containers = calloc(count, sizeof(*containers));
	parent = bc_cgroup(root, "bc_containers");
	if (!containers || !parent)
		ksft_exit_fail_perror("a cgroup");
	prctl(PR_SET_CHILD_SUBREAPER, 1);

	ret = cost ? measure_cost() : measure_memory();
	if (ret)
		end_all(&ignored);
	ret = bc_remove(parent, ret);
	if (has_bc)
		was_enabled ? bc_enable(root) : bc_disable(root);
	ksft_test_result_code(ret, cost ? "cost" : "memory", NULL);
	ksft_finished();
}
