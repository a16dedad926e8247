/* SPDX-License-Identifier: GPL-2.0 */
/* Subjects that look, after they were restored, whether they find what they had. */
#ifndef _SELFTESTS_CKPT_FINDING_H
#define _SELFTESTS_CKPT_FINDING_H

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "kselftest.h"
#include "ckpt_util.h"

/*
 * Number 0 says how far the subject is: 1 when it may be saved. What it finds
 * afterwards it tells in number 1: 1 if all is as it was, else a line.
 */
#define READY	1
#define expect(condition) \
	do { \
		if (!(condition)) { \
			ckpt_tell(1, -__LINE__); \
			_exit(1); \
		} \
	} while (0)

/* Wait until the test has restored us: a file appears. */
static inline void be_saved_until(const char *go)
{
	ckpt_tell(0, READY);
	while (access(go, F_OK))
		usleep(1000);
}

static inline void be_saved(void)
{
	be_saved_until("go");
}

static inline void all_is_well(void)
{
	ckpt_tell(1, 1);
	_exit(0);
}

/* Looks at what a subject finds that was saved when it was ready. */
static inline int check_finding_of(struct ckpt_subject *subject,
				   int (*cycle)(struct ckpt_subject *subject))
{
	char path[PATH_MAX];
	long found = 0;
	int fd, i;

	if (ckpt_await(subject, 0, READY) < 0) {
		ksft_print_msg("not ready in line %ld\n", -ckpt_told(subject, 1));
		return KSFT_FAIL;
	}
	if (cycle(subject))
		return KSFT_FAIL;
	snprintf(path, sizeof(path), "%s/go", subject->dir);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	for (i = 0; i < CKPT_POLL_TIMES; i++) {
		found = ckpt_told(subject, 1);
		if (found)
			break;
		usleep(CKPT_POLL_USEC);
	}
	if (found < 0)
		ksft_print_msg("not so in line %ld\n", -found);
	return found == 1 ? KSFT_PASS : KSFT_FAIL;
}

static inline int check_finding(struct ckpt_subject *subject)
{
	return check_finding_of(subject, ckpt_cycle);
}

static inline int check_snapshot(struct ckpt_subject *subject)
{
	return check_finding_of(subject, ckpt_cycle_snapshot);
}

#endif /* _SELFTESTS_CKPT_FINDING_H */
