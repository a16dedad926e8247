/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SELFTESTS_CKPT_UTIL_H
#define _SELFTESTS_CKPT_UTIL_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

/* How long something that comes about by itself is waited for. */
#define CKPT_POLL_USEC	(10 * 1000)
#define CKPT_POLL_TIMES	2000

/*
 * A process that is saved and restored. It runs fn() in a session and a cgroup
 * of its own, with nothing open but /dev/null and what it opens itself, and
 * tells what it does in numbers that the test reads.
 */
struct ckpt_subject {
	char *cgroup;
	pid_t pid;
	bool init;		/* of a pid namespace, in which it is 1 */
	char dir[64];
};

typedef void (*ckpt_fn)(void);

struct ckpt_test {
	ckpt_fn fn;		/* what the subject does */
	int (*check)(struct ckpt_subject *subject);
	const char *name;
	const void *arg;	/* what ckpt_arg is meanwhile */
	bool init;		/* the subject is the init of a pid namespace */
};

extern const void *ckpt_arg;

int ckpt_main(const struct ckpt_test *tests, size_t nr);
int ckpt_skip(const char *reason);

bool ckpt_has_landlock(void);
int ckpt_enter_domain(void);
/* From here on this system call fails with @error, by a filter; flags of seccomp(). */
int ckpt_forbid(int nr, int error, unsigned int flags);

/* Expectations: true, and a line says so, when something is wrong. */
#define unmet(condition) \
	ckpt_differs(!!(condition), 1, #condition, __FILE__, __LINE__)
#define differs(got, want) \
	ckpt_differs(got, want, #got, __FILE__, __LINE__)
bool ckpt_differs(long got, long want, const char *what, const char *file,
		  int line);

/* For the subject: tell number @at; all are 0 at first. */
#define CKPT_NUMBERS	64
void ckpt_tell(int at, long value);
/* For the test: the number, at once or when it is at least @least. */
long ckpt_told(struct ckpt_subject *subject, int at);
long ckpt_await(struct ckpt_subject *subject, int at, long least);

/* The verbs. All return 0 or -errno, and say why they failed. */
int ckpt_open(void);
/* This one says nothing: the explanation is the result. */
int ckpt_check(int session, struct ckpt_subject *subject);
bool ckpt_explains(int session, const char *text);
int ckpt_suspend(int session, struct ckpt_subject *subject);
int ckpt_dump(int session, const char *image);
/* Take a snapshot of a subject, which goes on, and read it into a file. */
int ckpt_snapshot(int session, struct ckpt_subject *subject);
int ckpt_keep(int session, const char *image);
int ckpt_resume(int session);
int ckpt_kill(int session);
/* Bury all that were killed: a number is in use as long as somebody has it as session. */
void ckpt_bury(void);
int ckpt_restore(int session, struct ckpt_subject *subject, const char *image);

/* Suspend, dump, kill, and restore; the subject goes on when this returns 0. */
int ckpt_cycle(struct ckpt_subject *subject);
/* The same with a snapshot; what the subject does before it is ended is lost. */
int ckpt_cycle_snapshot(struct ckpt_subject *subject);

#endif /* _SELFTESTS_CKPT_UTIL_H */
