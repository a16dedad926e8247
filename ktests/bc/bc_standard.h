/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SELFTESTS_BC_STANDARD_H
#define _SELFTESTS_BC_STANDARD_H

#include "bc_util.h"

/*
 * What is true of every resource whose objects stay charged where they were
 * made. A test program says how its objects come and go.
 */
struct bc_kind {
	/* In the names of its tests. */
	const char *name;
	const char *resource;
	/* errno of a refusal */
	int err;
	/*
	 * Run in an agent: make that many, up to the first refusal; let go of
	 * the oldest ones. Both return how many it were.
	 */
	bc_fn make;
	bc_fn drop;
	/* What other CPUs have ready may refuse one, but not for long. */
	bool may_be_early;
	/* They come and go with the files that the agent keeps. */
	bool in_files;
	/* They go where the agent goes: what depends on their staying is not tested. */
	bool moves;
};

/*
 * The whole of a test program: those tests of each kind, then its own ones.
 */
int bc_std_main(const struct bc_kind * const kinds[], size_t nr_kinds,
		const struct bc_test *tests, size_t nr_tests);

/* One of them, for what else is charged. */
int bc_std_faults(const char *root, const struct bc_kind *kind);

/* What an agent does, and what that adds to what its container holds. */
struct bc_step {
	const char *name;
	bc_fn fn;
	long arg;
	long adds;
	/* What is given back is seen some time later. */
	bool later;
};

/* A test: all of them, by one agent. */
int bc_std_steps(const char *root, const char *resource,
		 const struct bc_step *steps, size_t nr);

#endif /* _SELFTESTS_BC_STANDARD_H */
