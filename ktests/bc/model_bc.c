// SPDX-License-Identifier: GPL-2.0
/*
 * Compares the controller with a model of its accounting, by chance.
 *
 *	model_bc [-s SEED] [-n COUNT] [-t SECONDS] [-l STEPS] [-m MODE]
 *
 * COUNT seeds are gone through, or as many as begin within some time, but one
 * at least. A seed is the same steps each time; what they lead to in the mode
 * "parallel" depends on the scheduler, too. It is not run with the tests:
 * test_bc_model is, which does the same for a minute.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest.h"
#include "bc_util.h"
#include "model_ops.h"
#include "model_run.h"

static bool choose(const char *mode)
{
	int i, known = 0;

	for (i = 0; i < RUN_MODES; i++) {
		run_options.modes[i] = !strcmp(mode, run_modes[i]);
		known += run_options.modes[i];
	}
	return known;
}

static int misused(const char *name)
{
	fprintf(stderr,
		"usage: %s [-s SEED] [-n COUNT] [-t SECONDS] [-l STEPS] [-m MODE]\n",
		name);
	return KSFT_FAIL;
}

int main(int argc, char **argv)
{
	static const struct bc_test test = { run_seeds, "model" };
	bool timed = false, counted = false;
	int option;

	ops_idle(argc, argv);
	while ((option = getopt(argc, argv, "s:n:t:l:m:")) != -1) {
		switch (option) {
		case 's':
			run_options.seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			run_options.count = strtoull(optarg, NULL, 0);
			counted = true;
			break;
		case 't':
			run_options.seconds = strtol(optarg, NULL, 0);
			timed = true;
			break;
		case 'l':
			run_options.steps = atoi(optarg);
			break;
		case 'm':
			if (!choose(optarg))
				return misused(argv[0]);
			break;
		default:
			return misused(argv[0]);
		}
	}
	if (timed && !counted)
		run_options.count = ULLONG_MAX;
	if (!timed)
		run_options.seconds = LONG_MAX / 2000;
	return bc_main(&test, 1);
}
