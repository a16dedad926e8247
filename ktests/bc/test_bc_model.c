// SPDX-License-Identifier: GPL-2.0
/*
 * For a minute, what workers do by chance is compared with a model of the
 * controller's accounting. What is found there is told with the steps that show
 * it.
 */
#include <limits.h>

#include "kselftest.h"
#include "bc_util.h"
#include "model_ops.h"
#include "model_run.h"

#define SECONDS		60

static int test_model(const char *root)
{
	run_options.count = ULLONG_MAX;
	run_options.seconds = SECONDS;
	return run_seeds(root);
}

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_model),
};

#undef T

int main(int argc, char **argv)
{
	ops_idle(argc, argv);
	return bc_main(tests, ARRAY_SIZE(tests));
}
