// SPDX-License-Identifier: GPL-2.0
/*
 * Many containers come and go: each holds what it should, the cgroup above
 * them holds the sum, and nothing stays.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_container.h"
#include "bc_util.h"

#define CONTAINERS	50
#define ROUNDS		3

static struct bc_container containers[CONTAINERS];

/* End those that there are. */
static int end_all(void)
{
	int i, ret = 0;

	for (i = 0; i < CONTAINERS; i++) {
		if (containers[i].cgroup)
			ret = bc_container_end(&containers[i], NULL) ?: ret;
	}

	return ret;
}

static int test_containers_leave_nothing(const char *root)
{
	char *parent = bc_cgroup(root, "bc_containers");
	int i, round, ret = KSFT_FAIL;

	if (!parent || differs(bc_enable(parent), 0))
		goto cleanup;

	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < CONTAINERS; i++) {
			if (differs(bc_container_make(&containers[i], parent,
						      i, NULL), 0))
				goto cleanup;
		}
		for (i = 0; i < CONTAINERS; i++) {
			if (holds_not(containers[i].cgroup, 1))
				goto cleanup;
		}
		if (holds_not(parent, CONTAINERS) || differs(end_all(), 0) ||
		    something_stays(parent))
			goto cleanup;
	}
	for (i = 0; i < bc_container_nr_shares; i++) {
		const struct bc_container_share *share = &bc_container_shares[i];
		struct bc_row row;

		if (differs(bc_stat(parent, share->resource, &row), 0) ||
		    unmet(row.maxheld >= CONTAINERS * share->held) ||
		    differs(row.failcnt, 0))
			goto cleanup;
	}

	ret = KSFT_PASS;

cleanup:
	end_all();
	return bc_remove(parent, ret);
}

/* There are as many as the cgroup above has room for, and no half of one. */
static int test_containers_end_at_the_parents_limit(const char *root)
{
	char *parent = bc_cgroup(root, "bc_containers");
	int i, ret = KSFT_FAIL;
	char text[64];

	if (!parent || differs(bc_enable(parent), 0) ||
	    differs(bc_write(parent, "bc.max", "numpty 5"), 0))
		goto cleanup;

	for (i = 0; i < 5; i++) {
		if (differs(bc_container_make(&containers[i], parent, i, NULL),
			    0))
			goto cleanup;
	}
	if (differs(bc_container_make(&containers[5], parent, 5, NULL),
		    -ENOSPC) ||
	    holds_not(parent, 5) ||
	    miscounted(parent, "bc.events.local", NUMPTY, 0, 1))
		goto cleanup;

	/* And as many processes: the last one cannot even begin. */
	snprintf(text, sizeof(text), "numpty max\nnumproc %ld",
		 bc_held(parent, NUMPROC));
	if (differs(bc_write(parent, "bc.max", text), 0) ||
	    differs(bc_container_make(&containers[5], parent, 5, NULL),
		    -EAGAIN) ||
	    holds_not(parent, 5) || differs(end_all(), 0) ||
	    something_stays(parent))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	end_all();
	return bc_remove(parent, ret);
}

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_containers_end_at_the_parents_limit),
	T(test_containers_leave_nothing),
};

#undef T

int main(void)
{
	return bc_main(tests, ARRAY_SIZE(tests));
}
