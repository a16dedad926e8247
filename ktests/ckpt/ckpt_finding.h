/* SPDX-License-Identifier: GPL-2.0 */
/* Subjects that look, after they were restored, whether they find what they had. */
#ifndef _SELFTESTS_CKPT_FINDING_H
#define _SELFTESTS_CKPT_FINDING_H

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
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

static inline void wait_for(const char *file)
{
	while (access(file, F_OK))
		usleep(1000);
}

/* Wait until the test has restored us: a file appears. */
static inline void wait_for_go(void)
{
	wait_for("go");
}

static inline void be_saved_until(const char *go)
{
	ckpt_tell(0, READY);
	wait_for(go);
}

static inline void be_saved(void)
{
	be_saved_until("go");
}

/* What a child has told in a place of its own, when it has; that is not 0. */
static inline long told_by_child(int at)
{
	long value = 0;

	/* Behind the end of the file there is nothing yet. */
	while (!value) {
		expect(pread(3, &value, sizeof(value), at * sizeof(value)) >= 0);
		usleep(1000);
	}
	return value;
}

static inline void ended_well(pid_t child)
{
	int status;

	expect(waitpid(child, &status, 0) == child);
	expect(WIFEXITED(status) && !WEXITSTATUS(status));
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

/* Whether a subject that is ready is refused, with this said about it. */
static inline int check_refusal(struct ckpt_subject *subject, const char *what)
{
	int session = ckpt_open(), ret = KSFT_FAIL;

	if (session >= 0 && ckpt_await(subject, 0, READY) > 0 &&
	    !differs(ckpt_check(session, subject), -EOPNOTSUPP) &&
	    !unmet(ckpt_explains(session, what)))
		ret = KSFT_PASS;
	close(session);
	return ret;
}

#endif /* _SELFTESTS_CKPT_FINDING_H */
