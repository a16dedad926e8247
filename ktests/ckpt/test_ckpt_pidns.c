// SPDX-License-Identifier: GPL-2.0
/* A pid namespace is saved as a whole, and its processes keep their numbers in it. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "ckpt_finding.h"

/* All numbers, as the namespace has them, after what ended in between took some. */
static void whole(void)
{
	pid_t child, zombie, orphan = 0;
	int pipe_of[2], status, i;

	expect(getpid() == 1);
	for (i = 0; i < 10; i++) {
		child = fork();
		expect(child >= 0);
		if (!child)
			_exit(0);
		expect(waitpid(child, NULL, 0) == child);
	}
	expect(!pipe(pipe_of));
	child = fork();
	expect(child >= 0);
	if (!child) {
		/* In a session of its own, with a child that becomes init's. */
		pid_t own = fork();

		if (!own) {
			setsid();
			own = getpid();
			expect(write(pipe_of[1], &own, sizeof(own)) == sizeof(own));
			wait_for_go();
			_exit(getsid(0) == getpid() && getpid() == own && getppid() == 1 ? 7 : 8);
		}
		_exit(0);
	}
	expect(waitpid(child, &status, 0) == child);
	expect(read(pipe_of[0], &orphan, sizeof(orphan)) == sizeof(orphan));
	zombie = fork();
	if (!zombie)
		_exit(3);
	expect(!waitid(P_PID, zombie, NULL, WEXITED | WNOWAIT));
	expect(!close(pipe_of[0]) && !close(pipe_of[1]));

	be_saved();

	expect(getpid() == 1 && !getppid());
	expect(waitpid(zombie, &status, 0) == zombie && WEXITSTATUS(status) == 3);
	expect(waitpid(orphan, &status, 0) == orphan && WEXITSTATUS(status) == 7);
	/* The next number is a new one. */
	child = fork();
	if (!child)
		_exit(0);
	expect(child > zombie && child > orphan);
	/* An init is not killed from within. */
	expect(!kill(1, SIGKILL));
	all_is_well();
}

/* Someone of the namespace is outside of the cgroup. */
static void with_nested(void)
{
	pid_t child;

	expect(!unshare(CLONE_NEWPID));
	child = fork();
	expect(child >= 0);
	if (!child)
		for (;;)
			pause();
	ckpt_tell(0, READY);
	for (;;)
		pause();
}

static int test_nested(struct ckpt_subject *subject)
{
	return check_refusal(subject, "processes of several pid namespaces");
}

/* Only what init has made is in the container, not init. */
static void without_init(void)
{
	pid_t child = fork();

	expect(child >= 0);
	if (child) {
		/* The cgroup above this one. */
		ckpt_tell(2, child);
		for (;;)
			pause();
	}
	setsid();
	ckpt_tell(0, READY);
	for (;;)
		pause();
}

static int test_without_init(struct ckpt_subject *subject)
{
	char path[PATH_MAX], text[16];
	int ret = KSFT_FAIL, fd;

	snprintf(path, sizeof(path), "%s/../cgroup.procs", subject->cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	snprintf(text, sizeof(text), "%d", subject->pid);
	if (ckpt_await(subject, 0, READY) > 0 && write(fd, text, strlen(text)) > 0)
		ret = check_refusal(subject, "a pid namespace whose init is outside");
	kill(subject->pid, SIGKILL);
	close(fd);
	return ret;
}

static const struct ckpt_test tests[] = {
	{ whole, check_finding, "test_whole", .init = true },
	{ whole, check_snapshot, "test_whole_snapshot", .init = true },
	{ with_nested, test_nested, "test_nested" },
	{ without_init, test_without_init, "test_without_init", .init = true },
};

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
