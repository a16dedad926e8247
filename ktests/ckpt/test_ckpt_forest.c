// SPDX-License-Identifier: GPL-2.0
/*
 * Trees of processes that are drawn by chance, though always the same ones, are
 * saved and restored for a minute, or as many as CKPT_FOREST_TREES in the
 * environment says.
 */
#include <stdlib.h>
#include <time.h>

#include "kselftest.h"
#include "forest_run.h"

#define SECONDS		60
/* However slow the machine is. */
#define TREES		20
#define FIRST_SEED	1

static long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}

static void go_through(void)
{
	const char *trees = getenv("CKPT_FOREST_TREES"), *what;
	int least = trees ? atoi(trees) : TREES, nr;
	long until = now() + (trees ? 0 : SECONDS);
	struct forest_plan plan;
	bool passed = true;

	if (least < 1)
		ksft_exit_skip("no trees are wanted\n");
	ksft_set_plan(1);
	for (nr = 0; nr < least || now() < until; nr++) {
		if (forest_seed(&plan, FIRST_SEED + nr, &what))
			continue;
		ksft_print_msg("see forest_ckpt --seed %d\n", FIRST_SEED + nr);
		passed = false;
	}
	ksft_print_msg("%d trees\n", nr);
	ksft_test_result(passed, "trees\n");
	ksft_finished();
}

int main(void)
{
	return forest_main(go_through, false);
}
