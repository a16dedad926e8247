// SPDX-License-Identifier: GPL-2.0
/* Files that the image does not have: they are called by a name, and handed in. */
#include <errno.h>
#include <fcntl.h>
#include <linux/ckpt.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest.h"
#include "ckpt_util.h"

static int fds[2];

/* The subject writes into a pipe, twice open, that only the test reads. */
static void write_out(void)
{
	char text;
	long n;

	if (pipe(fds) || dup2(fds[1], 9) != 9)
		_exit(1);
	for (n = 1; ; n++) {
		text = '0' + n % 10;
		if (access("quiet", F_OK) && (write(fds[1], &text, 1) != 1 ||
					      read(fds[0], &text, 1) != 1))
			_exit(2);
		if (!access("loud", F_OK) && write(9, "!", 1) != 1)
			_exit(3);
		ckpt_tell(0, n);
		usleep(1000);
	}
}

static int name(int session, pid_t pid, int fd, const char *name)
{
	struct ckpt_external args = {
		.pid = pid,
		.fd = fd,
		.name = (unsigned long)name,
		.length = strlen(name),
	};

	return ioctl(session, CKPT_EXTERNAL, &args) ? -errno : 0;
}

static int touch(struct ckpt_subject *subject, const char *file)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", subject->dir, file);
	return close(open(path, O_WRONLY | O_CREAT, 0600));
}

static int test_handed_in(struct ckpt_subject *subject)
{
	struct ckpt_restore args = { };
	char image[PATH_MAX], text;
	int session, mine[2], ret = KSFT_FAIL;
	long before;

	if (touch(subject, "quiet") || ckpt_await(subject, 0, 10) < 0)
		return KSFT_FAIL;
	before = ckpt_told(subject, 0);
	if (ckpt_await(subject, 0, before + 2) < 0)
		return KSFT_FAIL;
	session = ckpt_open();
	snprintf(image, sizeof(image), "%s/image", subject->dir);
	/* Without names it is a pipe like others; with one, it is that of somebody else. */
	if (ckpt_suspend(session, subject) || differs(ioctl(session, CKPT_DUMP), 0) ||
	    differs(name(session, subject->pid, 4, "in"), 0) ||
	    differs(ioctl(session, CKPT_DUMP), -1) || differs(errno, EOPNOTSUPP) ||
	    unmet(ckpt_explains(session, " fd 5: a pipe that is open outside, too")) ||
	    differs(name(session, subject->pid, 5, "out"), 0) ||
	    ckpt_dump(session, image) || ckpt_kill(session))
		goto out;
	ckpt_bury();
	close(session);

	session = ckpt_open();
	args.image = open(image, O_RDONLY | O_CLOEXEC);
	args.cgroup = open(subject->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (pipe2(mine, O_CLOEXEC) || differs(name(session, 0, mine[0], "in"), 0) ||
	    differs(ioctl(session, CKPT_RESTORE, &args), -1) || differs(errno, ENOENT) ||
	    unmet(ckpt_explains(session, "out: a file that was not handed in")) ||
	    differs(name(session, 0, mine[1], "out"), 0) || lseek(args.image, 0, SEEK_SET) ||
	    differs(ioctl(session, CKPT_RESTORE, &args), 0) || ckpt_resume(session) ||
	    touch(subject, "loud"))
		goto out_close;
	if (differs(read(mine[0], &text, 1), 1) || differs(text, '!'))
		goto out_close;
	ret = KSFT_PASS;
out_close:
	close(args.cgroup);
	close(args.image);
	close(mine[0]);
	close(mine[1]);
out:
	close(session);
	return ret;
}

/* Names that are none, twice the same, and of nothing. */
static int test_bad_names(struct ckpt_subject *subject)
{
	static char longest[CKPT_NAME_MAX + 2];
	int session = ckpt_open(), ret = KSFT_FAIL;

	memset(longest, 'x', CKPT_NAME_MAX + 1);
	if (differs(name(session, 0, 0, ""), -EINVAL) ||
	    differs(name(session, 0, 0, "a\nb"), -EINVAL) ||
	    differs(name(session, 0, 0, longest), -EINVAL) ||
	    differs(name(session, 0, 0, longest + 1), 0) ||
	    differs(name(session, 0, 0, longest + 1), -EEXIST) ||
	    differs(name(session, 0, 999, "closed"), -EBADF) ||
	    /* It would keep itself open, and suspended what it has. */
	    differs(name(session, 0, session, "session"), -EINVAL) ||
	    differs(name(session, subject->pid, 99, "nothing"), 0) ||
	    differs(ckpt_check(session, subject), -EBADF) ||
	    unmet(ckpt_explains(session, " fd 99: nothing that could have a name")))
		goto out;
	ret = KSFT_PASS;
out:
	close(session);
	return ret;
}

#define T(f) { write_out, f, #f }
static const struct ckpt_test tests[] = {
	T(test_bad_names),
	T(test_handed_in),
};

#undef T

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
