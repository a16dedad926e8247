// SPDX-License-Identifier: GPL-2.0
/* What threads must not do before they were saved, they must not do afterwards. */
#include <errno.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "ckpt_finding.h"

static int error_of(int nr)
{
	return syscall(nr, -1, -1, -1) < 0 ? errno : 0;
}

/* Calls that nothing here uses. */
#define FIRST	SYS_ioprio_get
#define SECOND	SYS_sched_getparam
#define THIRD	SYS_getpriority
#define FOURTH	SYS_sched_getattr

static pthread_barrier_t saved;

/* Has the first filter, and what the others synchronize. */
static void *thread(void *arg)
{
	expect(error_of(FIRST) == E2BIG && error_of(SECOND) == EINVAL);
	pthread_barrier_wait(&saved);
	/* Restored. */
	pthread_barrier_wait(&saved);
	expect(error_of(FIRST) == E2BIG && error_of(SECOND) == EINVAL);
	pthread_barrier_wait(&saved);
	/* Synchronized. */
	pthread_barrier_wait(&saved);
	expect(error_of(SECOND) == EDOM && error_of(FOURTH) == ENODEV);
	return NULL;
}

static void filters(void)
{
	pthread_t other;
	pid_t child;

	expect(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	expect(!ckpt_forbid(FIRST, E2BIG, 0));
	pthread_barrier_init(&saved, NULL, 2);
	expect(!pthread_create(&other, NULL, thread, NULL));
	expect(!ckpt_forbid(SECOND, EDOM, SECCOMP_FILTER_FLAG_LOG));
	child = fork();
	expect(child >= 0);
	if (!child) {
		expect(!ckpt_forbid(THIRD, EXDEV, 0));
		ckpt_tell(10, 1);
		wait_for_go();
		expect(error_of(FIRST) == E2BIG && error_of(SECOND) == EDOM);
		expect(error_of(THIRD) == EXDEV);
		_exit(0);
	}
	pthread_barrier_wait(&saved);
	told_by_child(10);

	be_saved();

	expect(error_of(FIRST) == E2BIG && error_of(SECOND) == EDOM);
	expect(error_of(THIRD) != EXDEV);
	pthread_barrier_wait(&saved);
	pthread_barrier_wait(&saved);
	/* That goes only if its filters are the older ones of these. */
	expect(!ckpt_forbid(FOURTH, ENODEV, SECCOMP_FILTER_FLAG_TSYNC));
	pthread_barrier_wait(&saved);
	expect(!pthread_join(other, NULL));
	ended_well(child);
	all_is_well();
}

static void strict(void)
{
	int to[2], status;
	pid_t child;
	char byte;

	expect(!pipe(to));
	child = fork();
	expect(child >= 0);
	if (!child) {
		close(to[1]);
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
		/* Only this is allowed, and what comes then is not. */
		syscall(SYS_read, to[0], &byte, 1);
		syscall(SYS_write, 3, &(long){ 0 }, 0);
		syscall(SYS_getpid);
		syscall(SYS_exit, 0);
	}
	close(to[0]);
	do {
		char path[64], text[4096] = "";
		int fd;

		usleep(1000);
		snprintf(path, sizeof(path), "/proc/%d/status", child);
		fd = open(path, O_RDONLY);
		expect(read(fd, text, sizeof(text) - 1) > 0);
		close(fd);
		status = !!strstr(text, "Seccomp:\t1\n");
	} while (!status);

	be_saved();

	expect(write(to[1], "", 1) == 1);
	expect(waitpid(child, &status, 0) == child);
	expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	all_is_well();
}

static void listener(void)
{
	expect(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	expect(ckpt_forbid(FIRST, E2BIG, SECCOMP_FILTER_FLAG_NEW_LISTENER) >= 0);
	be_saved();
}

static int test_listener(struct ckpt_subject *subject)
{
	return check_refusal(subject, ": a filter of seccomp with a listener");
}

static void *end_at_once(void *arg)
{
	return NULL;
}

/* Threads that have filters end all the time, and with that their filters. */
static void ending(void)
{
	pthread_t thread;

	expect(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	expect(!ckpt_forbid(FIRST, E2BIG, 0) && !ckpt_forbid(SECOND, EDOM, 0));
	ckpt_tell(0, READY);
	for (;;)
		if (!pthread_create(&thread, NULL, end_at_once, NULL))
			pthread_detach(thread);
}

/* They are looked at nevertheless. */
static int test_ending(struct ckpt_subject *subject)
{
	int session = ckpt_open(), ret = KSFT_FAIL, found, i;

	if (session < 0 || ckpt_await(subject, 0, READY) < 0)
		goto out;
	for (i = 0; i < 300; i++) {
		found = ckpt_check(session, subject);
		if (found && found != -EAGAIN && found != -EOPNOTSUPP && found != -ESRCH) {
			differs(found, 0);
			goto out;
		}
	}
	if (differs(ckpt_cycle(subject), 0))
		goto out;
	ret = KSFT_PASS;
out:
	close(session);
	return ret;
}

static const struct ckpt_test tests[] = {
	{ ending, test_ending, "test_ending" },
	{ filters, check_finding, "test_filters" },
	{ filters, check_snapshot, "test_filters_snapshot" },
	{ listener, test_listener, "test_listener" },
	{ strict, check_finding, "test_strict" },
	{ strict, check_snapshot, "test_strict_snapshot" },
};

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
