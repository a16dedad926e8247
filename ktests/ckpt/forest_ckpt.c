// SPDX-License-Identifier: GPL-2.0
/*
 * Saves and restores trees of processes that are drawn by chance.
 *
 *	forest_ckpt [--seed SEED] [--trees COUNT] [--minutes MINUTES] [--dry]
 *
 * COUNT trees are gone through, from SEED on, or as many as begin within some
 * time, but one at least. The first one that is not as before is made smaller
 * as long as it shows the same, and printed. With --dry nothing is saved, which
 * tests the test. It is not run with the tests: test_ckpt_forest is, which does
 * the same for some trees.
 */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kselftest.h"
#include "forest_run.h"

/* For how long parts are taken away, in seconds. */
#define SHRINK_SECONDS	180

static unsigned long long first = 1, count = 1;
static long seconds = LONG_MAX / 2;

static long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}

/* Take away what has no part in it, again and again. */
static int shrink(struct forest_plan *plan, const char *what)
{
	long until = now() + SHRINK_SECONDS;
	struct forest_plan smaller;
	int part, there, runs = 0;
	bool removed;

	do {
		removed = false;
		for (part = 0; now() < until; part++) {
			const char *shown;

			smaller = *plan;
			there = forest_without(&smaller, part);
			if (there < 0)
				break;
			/* What is taken away may come back by a rule. */
			if (!there || !memcmp(&smaller, plan, sizeof(smaller)))
				continue;
			runs++;
			shown = forest_try(&smaller);
			if (!shown || strcmp(shown, what))
				continue;
			*plan = smaller;
			removed = true;
			/* The same number is another part now. */
			part--;
		}
	} while (removed && now() < until);
	return runs;
}

static void tell(struct forest_plan *plan, const char *what)
{
	int nr = plan->nr, runs = shrink(plan, what);

	ksft_print_msg("of %d processes %d are left after %d runs:\n", nr, plan->nr, runs);
	forest_print(plan);
	ksft_print_msg("then: %s\n", forest_run(plan) ?: "as before, so it comes by chance");
	ksft_print_msg("see forest_ckpt --seed %llu\n", (unsigned long long)plan->seed);
}

static void go_through(void)
{
	const long until = now() + seconds;
	struct forest_plan plan;
	unsigned long long i;
	const char *what;

	ksft_set_plan(1);
	for (i = 0; i < count; i++) {
		if (i && now() >= until)
			break;
		if (forest_seed(&plan, first + i, &what))
			continue;
		tell(&plan, what);
		ksft_test_result_fail("forest\n");
		ksft_finished();
	}
	ksft_print_msg("%llu trees from seed %llu\n", i, first);
	ksft_test_result_pass("forest\n");
	ksft_finished();
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "trees", required_argument, NULL, 't' },
		{ "minutes", required_argument, NULL, 'm' },
		{ "dry", no_argument, NULL, 'd' },
		{ }
	};
	bool counted = false, dry = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			first = strtoull(optarg, NULL, 0);
			break;
		case 't':
			count = strtoull(optarg, NULL, 0);
			counted = true;
			break;
		case 'm':
			seconds = 60 * strtol(optarg, NULL, 0);
			if (!counted)
				count = ULLONG_MAX;
			break;
		case 'd':
			dry = true;
			break;
		default:
			fprintf(stderr,
				"usage: %s [--seed SEED] [--trees COUNT] [--minutes MINUTES] [--dry]\n",
				argv[0]);
			return KSFT_FAIL;
		}
	}
	return forest_main(go_through, dry);
}
