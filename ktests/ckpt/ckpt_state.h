/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SELFTESTS_CKPT_STATE_H
#define _SELFTESTS_CKPT_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "ckpt_util.h"

/*
 * What becomes of a subject whatever befalls a verb: it goes on, or nothing of
 * it is left.
 */

/* For the subject: count in number 0, and look after all that it has. */
void ckpt_count(void);
/* Whether it counts on; it has found nothing wrong then. */
bool ckpt_goes_on(struct ckpt_subject *subject);
/* Forget what a subject has told that is not there any more. */
void ckpt_forget(struct ckpt_subject *subject);

/* Whether no task is left, neither in the cgroup nor as a child, and no file is open. */
bool ckpt_nothing_left(struct ckpt_subject *subject);

/* A verb that may fail, and says nothing; 0 or -errno. */
int ckpt_try_suspend(int session, struct ckpt_subject *subject);
int ckpt_try_restore(int session, struct ckpt_subject *subject, int image);
/* Dump, and read all of it into a file; -1 is nowhere. */
int ckpt_try_dump(int session, int image);

/*
 * Copy a record of an image, or its magic when @first. -1 as @to is nowhere.
 * 1 if there was one, 0 at the end, or -errno.
 */
int ckpt_copy_record(int from, int to, bool first);

#endif /* _SELFTESTS_CKPT_STATE_H */
