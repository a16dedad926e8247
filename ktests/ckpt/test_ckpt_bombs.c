// SPDX-License-Identifier: GPL-2.0
/* Processes, or threads, that make more of themselves all the time are saved like others. */
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "ckpt_util.h"

/* How many tasks there may be, and how often they are saved. */
#define MOST	"60"
#define ROUNDS	5

static bool stopped(void)
{
	return !access("stop", F_OK);
}

/* Some end, so that there is room for others. */
static void fork_bomb(void)
{
	const pid_t first = getpid();

	ckpt_tell(0, 1);
	while (!stopped()) {
		if (!fork())
			srandom(getpid());
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (getpid() != first && random() % 8 == 0)
			break;
	}
	if (getpid() == first)
		ckpt_tell(1, 1);
	_exit(0);
}

static void *more(void *arg)
{
	unsigned int seed = (unsigned long)&seed;
	pthread_t thread;

	while (!stopped()) {
		if (!pthread_create(&thread, NULL, more, NULL))
			pthread_detach(thread);
		if (rand_r(&seed) % 8 == 0)
			break;
	}
	return NULL;
}

static void thread_bomb(void)
{
	pthread_t thread;

	ckpt_tell(0, 1);
	while (!stopped()) {
		if (!pthread_create(&thread, NULL, more, NULL))
			pthread_detach(thread);
		usleep(1000);
	}
	ckpt_tell(1, 1);
	_exit(0);
}

static void reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static long tasks(struct ckpt_subject *subject)
{
	static char list[65536];
	long nr = 0;
	char *at;

	if (cg_read(subject->cgroup, "cgroup.threads", list, sizeof(list)))
		return -1;
	for (at = list; *at; at++)
		nr += *at == '\n';
	return nr;
}

static int test_bomb(struct ckpt_subject *subject)
{
	char image[PATH_MAX], stop[PATH_MAX], parent[PATH_MAX];
	int session = ckpt_open(), ret = KSFT_FAIL, i;
	long before;

	snprintf(image, sizeof(image), "%s/image", subject->dir);
	snprintf(stop, sizeof(stop), "%s/stop", subject->dir);
	snprintf(parent, sizeof(parent), "%s/..", subject->cgroup);
	if (cg_write(parent, "cgroup.subtree_control", "+pids") ||
	    cg_write(subject->cgroup, "pids.max", MOST)) {
		close(session);
		return ckpt_skip("the controller of pids is not there");
	}
	if (session < 0 || ckpt_await(subject, 0, 1) < 0)
		goto out;
	for (i = 0; i < ROUNDS; i++) {
		usleep(100 * 1000);
		reap();
		if (ckpt_suspend(session, subject))
			goto out;
		/* Who has ended is still in its group until somebody has waited for it. */
		reap();
		before = tasks(subject);
		if (ckpt_dump(session, image) || ckpt_kill(session))
			goto out;
		ckpt_bury();
		if (ckpt_restore(session, subject, image) ||
		    differs(tasks(subject), before) || ckpt_resume(session))
			goto out;
	}
	close(open(stop, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	if (ckpt_await(subject, 1, 1) < 0)
		goto out;
	ret = KSFT_PASS;
out:
	close(session);
	return ret;
}

static const struct ckpt_test tests[] = {
	{ fork_bomb, test_bomb, "test_fork_bomb" },
	{ thread_bomb, test_bomb, "test_thread_bomb" },
};

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
