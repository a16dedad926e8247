// SPDX-License-Identifier: GPL-2.0
/*
 * Trees of processes that are drawn by chance, though always the same ones, are
 * saved and restored. How many is CKPT_FOREST_TREES in the environment.
 */
#include <stdlib.h>

#include "kselftest.h"
#include "forest_run.h"

#define TREES		40
#define TREES_OF_TEST	20
#define FIRST_SEED	1

static void go_through(void)
{
	const char *trees = getenv("CKPT_FOREST_TREES"), *what;
	int nr = trees ? atoi(trees) : TREES, tests, i, seed = 0;
	struct forest_plan plan;

	if (nr < 1)
		ksft_exit_skip("no trees are wanted\n");
	tests = (nr + TREES_OF_TEST - 1) / TREES_OF_TEST;
	ksft_set_plan(tests);
	for (i = 0; i < tests; i++) {
		const int first = FIRST_SEED + seed;
		bool passed = true;

		for (; seed < nr && seed < (i + 1) * TREES_OF_TEST; seed++) {
			if (forest_seed(&plan, FIRST_SEED + seed, &what))
				continue;
			ksft_print_msg("see forest_ckpt --seed %d\n", FIRST_SEED + seed);
			passed = false;
		}
		ksft_test_result(passed, "trees from seed %d on\n", first);
	}
	ksft_finished();
}

int main(void)
{
	return forest_main(go_through, false);
}
