// SPDX-License-Identifier: GPL-2.0
/* A snapshot is what a container was at one moment, whatever it does while that is saved. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/ckpt.h>

#include "kselftest.h"
#include "ckpt_finding.h"

#define WORDS	(512 * 1024)

/*
 * Write the same number everywhere, then the next one, and so on. At every moment there is one
 * place before which all is a number, and behind which all is the one before. Number 0 is how far
 * it is.
 */
static void sweep(volatile long *words)
{
	long round, i, at;

	for (round = 1; ; round++) {
		for (i = 0; i < WORDS; i++) {
			words[i] = round;
			if (i % 4096)
				continue;
			ckpt_tell(0, round);
			if (!access("go", F_OK)) {
				for (at = 0; at <= i; at++)
					expect(words[at] == round);
				for (; at < WORDS; at++)
					expect(words[at] == round - 1);
				all_is_well();
			}
		}
	}
}

static void private(void)
{
	sweep(mmap(NULL, WORDS * sizeof(long), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

/* This is copied while the container is stopped. */
static void shared(void)
{
	sweep(mmap(NULL, WORDS * sizeof(long), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0));
}

/* It goes on while the image is read, which is as it was. */
static int test_sweep(struct ckpt_subject *subject)
{
	char image[PATH_MAX], go[PATH_MAX];
	int session = ckpt_open(), i, ret = KSFT_FAIL;
	long before, found = 0;

	snprintf(image, sizeof(image), "%s/image", subject->dir);
	snprintf(go, sizeof(go), "%s/go", subject->dir);
	if (session < 0 || ckpt_await(subject, 0, 3) < 0 || ckpt_snapshot(session, subject))
		goto out;
	before = ckpt_told(subject, 0);
	if (ckpt_await(subject, 0, before + 3) < 0 || ckpt_keep(session, image) ||
	    ckpt_suspend(session, subject) || ckpt_kill(session))
		goto out;
	ckpt_bury();
	close(open(go, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	if (ckpt_restore(session, subject, image) || ckpt_resume(session))
		goto out;
	for (i = 0; i < CKPT_POLL_TIMES && !found; i++) {
		found = ckpt_told(subject, 1);
		usleep(CKPT_POLL_USEC);
	}
	if (found < 0)
		ksft_print_msg("not so in line %ld\n", -found);
	ret = found == 1 ? KSFT_PASS : KSFT_FAIL;
out:
	close(session);
	return ret;
}

static void count(void)
{
	long n;

	for (n = 1; ; n++) {
		ckpt_tell(0, n);
		usleep(1000);
	}
}

/* There is nothing to resume, and the session takes another one. */
static int test_goes_on(struct ckpt_subject *subject)
{
	int session = ckpt_open(), ret = KSFT_FAIL;
	char image[PATH_MAX];
	long before;

	snprintf(image, sizeof(image), "%s/image", subject->dir);
	if (session < 0 || ckpt_await(subject, 0, 5) < 0 || ckpt_snapshot(session, subject) ||
	    differs(ioctl(session, CKPT_RESUME) ? errno : 0, ENOENT))
		goto out;
	before = ckpt_told(subject, 0);
	/* The first one is not read to its end. */
	if (ckpt_await(subject, 0, before + 5) < 0 || ckpt_snapshot(session, subject) ||
	    ckpt_keep(session, image) || ckpt_suspend(session, subject) ||
	    ckpt_resume(session))
		goto out;
	ret = KSFT_PASS;
out:
	close(session);
	return ret;
}

/* What a child would not get, a snapshot does not have. */
static void not_forked(void)
{
	char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memory[0] = 1;
	expect(!madvise(memory, 4096, MADV_DONTFORK));
	count();
}

static int test_refused(struct ckpt_subject *subject)
{
	struct ckpt_suspend args = { .timeout = 10000 };
	int session = ckpt_open(), ret = KSFT_FAIL;
	long before;

	args.cgroup = open(subject->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (session < 0 || ckpt_await(subject, 0, 5) < 0 ||
	    differs(ioctl(session, CKPT_SNAPSHOT, &args) ? errno : 0, EOPNOTSUPP) ||
	    unmet(ckpt_explains(session, ": a snapshot has only what a child would get")))
		goto out;
	before = ckpt_told(subject, 0);
	if (ckpt_await(subject, 0, before + 5) < 0)
		goto out;
	args.flags = CKPT_DETACH;
	if (differs(ioctl(session, CKPT_SNAPSHOT, &args) ? errno : 0, EINVAL))
		goto out;
	ret = KSFT_PASS;
out:
	close(args.cgroup);
	close(session);
	return ret;
}

static const struct ckpt_test tests[] = {
	{ count, test_goes_on, "test_goes_on" },
	{ private, test_sweep, "test_private" },
	{ not_forked, test_refused, "test_refused" },
	{ shared, test_sweep, "test_shared" },
};

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
