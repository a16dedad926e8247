// SPDX-License-Identifier: GPL-2.0
/* What becomes of the subject when a session, or a restore, ends early. */
#include <errno.h>
#include <fcntl.h>
#include <linux/ckpt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "ckpt_util.h"

static void count(void)
{
	long n;

	for (n = 1; ; n++) {
		ckpt_tell(0, n);
		usleep(1000);
	}
}

static bool goes_on(struct ckpt_subject *subject)
{
	long before = ckpt_told(subject, 0);

	return ckpt_await(subject, 0, before + 5) > 0;
}

/* Suspend a subject that runs; returns the session, or -errno. */
static int suspended(struct ckpt_subject *subject)
{
	int session, ret;

	if (ckpt_await(subject, 0, 5) < 0)
		return -ETIMEDOUT;
	session = ckpt_open();
	if (session < 0)
		return session;
	ret = ckpt_suspend(session, subject);
	if (!ret)
		return session;
	close(session);
	return ret;
}

/* Who dies while the container is suspended leaves it as it was. */
static int test_close_resumes(struct ckpt_subject *subject)
{
	int session = suspended(subject);
	long before;

	if (session < 0)
		return KSFT_FAIL;
	before = ckpt_told(subject, 0);
	usleep(50 * 1000);
	if (differs(ckpt_told(subject, 0), before))
		return KSFT_FAIL;
	close(session);
	return goes_on(subject) ? KSFT_PASS : KSFT_FAIL;
}

/* Nobody thaws it, nobody moves, and killing works. */
static int test_hold(struct ckpt_subject *subject)
{
	char procs[PATH_MAX], pid[16];
	int session = suspended(subject), status, fd, ret = KSFT_FAIL;
	long before;

	if (session < 0)
		return KSFT_FAIL;
	before = ckpt_told(subject, 0);
	cg_write(subject->cgroup, "cgroup.freeze", "0");
	usleep(50 * 1000);
	if (differs(ckpt_told(subject, 0), before))
		goto out;

	snprintf(procs, sizeof(procs), "%s/../cgroup.procs", subject->cgroup);
	snprintf(pid, sizeof(pid), "%d", subject->pid);
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	errno = 0;
	if (differs(write(fd, pid, strlen(pid)), -1) || differs(errno, EBUSY)) {
		close(fd);
		goto out;
	}
	close(fd);

	if (differs(kill(subject->pid, SIGKILL), 0) ||
	    differs(waitpid(subject->pid, &status, 0), subject->pid))
		goto out;
	ret = KSFT_PASS;
out:
	close(session);
	return ret;
}

/* Who is in it would stop himself, and nothing can stop the root. */
static int test_hold_oneself(struct ckpt_subject *subject)
{
	struct ckpt_suspend args = { .timeout = 10000 };
	char root[PATH_MAX];
	int session = ckpt_open(), status, ret = KSFT_FAIL;
	pid_t child;

	if (ckpt_await(subject, 0, 5) < 0)
		return KSFT_FAIL;
	child = fork();
	if (!child) {
		if (cg_enter_current(subject->cgroup))
			_exit(99);
		_exit(-ckpt_suspend(session, subject));
	}
	if (differs(waitpid(child, &status, 0), child) || unmet(WIFEXITED(status)) ||
	    differs(WEXITSTATUS(status), EDEADLK) ||
	    differs(cg_find_unified_root(root, sizeof(root), NULL), 0))
		goto out;
	args.cgroup = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!differs(ioctl(session, CKPT_SUSPEND, &args), -1) && !differs(errno, EINVAL) &&
	    goes_on(subject))
		ret = KSFT_PASS;
	close(args.cgroup);
out:
	close(session);
	return ret;
}

/* Dump into a file, kill, and return the session. */
static int dumped(struct ckpt_subject *subject, char *image)
{
	int session = suspended(subject);

	if (session < 0)
		return session;
	sprintf(image, "%s/image", subject->dir);
	if (ckpt_dump(session, image) || ckpt_kill(session)) {
		close(session);
		return -EIO;
	}
	ckpt_bury();
	return session;
}

/* No task is left, neither in the cgroup nor as a child. */
static bool nothing_left(struct ckpt_subject *subject)
{
	char buf[64];
	int i;

	for (i = 0; i < CKPT_POLL_TIMES; i++) {
		if (!cg_read(subject->cgroup, "cgroup.procs", buf, sizeof(buf)) && !buf[0])
			break;
		usleep(CKPT_POLL_USEC);
	}
	errno = 0;
	return i < CKPT_POLL_TIMES && waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD;
}

/* A restored container that was never resumed ends with its session. */
static int test_close_ends_what_was_restored(struct ckpt_subject *subject)
{
	char image[PATH_MAX];
	int session = dumped(subject, image);

	if (session < 0 || ckpt_restore(session, subject, image))
		return KSFT_FAIL;
	close(session);
	if (differs(waitpid(subject->pid, NULL, 0), subject->pid))
		return KSFT_FAIL;
	return nothing_left(subject) ? KSFT_PASS : KSFT_FAIL;
}

/* Restore an image that must not be; returns -errno. */
static int try(int session, struct ckpt_subject *subject, const char *image)
{
	struct ckpt_restore args = { };
	int ret;

	args.image = open(image, O_RDONLY | O_CLOEXEC);
	args.cgroup = open(subject->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = ioctl(session, CKPT_RESTORE, &args) ? -errno : 0;
	close(args.cgroup);
	close(args.image);
	return ret;
}

/* An image that ends anywhere is refused, and leaves nothing. */
static int test_truncated(struct ckpt_subject *subject)
{
	char image[PATH_MAX];
	int session = dumped(subject, image), ret = KSFT_FAIL, i;
	struct stat st;

	if (session < 0 || stat(image, &st))
		return KSFT_FAIL;
	/* The last one, without the closing record, has all tasks and pages. */
	for (i = 0; i < 16; i++) {
		off_t size = i ? st.st_size * (16 - i) / 16 : st.st_size - 8;

		if (truncate(image, size) ||
		    differs(try(session, subject, image), -EPIPE) ||
		    unmet(nothing_left(subject)))
			goto out;
	}
	ret = KSFT_PASS;
out:
	close(session);
	return ret;
}

/* One byte that is wrong in the metadata is found. */
static int test_damaged(struct ckpt_subject *subject)
{
	char image[PATH_MAX], byte;
	int session = dumped(subject, image), ret = KSFT_FAIL, fd, i;

	if (session < 0)
		return KSFT_FAIL;
	fd = open(image, O_RDWR | O_CLOEXEC);
	for (i = 0; i < 3000; i += 61) {
		if (pread(fd, &byte, 1, i) != 1)
			goto out;
		byte ^= 0x10;
		if (pwrite(fd, &byte, 1, i) != 1)
			goto out;
		if (unmet(try(session, subject, image) < 0) ||
		    unmet(nothing_left(subject)))
			goto out;
		byte ^= 0x10;
		if (pwrite(fd, &byte, 1, i) != 1)
			goto out;
	}
	if (differs(try(session, subject, image), 0) || ckpt_resume(session))
		goto out;
	ret = goes_on(subject) ? KSFT_PASS : KSFT_FAIL;
out:
	close(fd);
	close(session);
	return ret;
}

/* Who cannot be read, and where nobody can be made. */
static int test_no_image_no_place(struct ckpt_subject *subject)
{
	struct ckpt_restore args = { };
	char image[PATH_MAX];
	int session = dumped(subject, image), ret = KSFT_FAIL;

	if (session < 0)
		return KSFT_FAIL;
	args.image = open(image, O_WRONLY | O_CLOEXEC);
	args.cgroup = open(subject->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (differs(ioctl(session, CKPT_RESTORE, &args), -1) || differs(errno, EBADF) ||
	    differs(cg_write(subject->cgroup, "cgroup.freeze", "1"), 0) ||
	    differs(try(session, subject, image), -EBUSY) ||
	    unmet(ckpt_explains(session, "the cgroup is frozen")) ||
	    differs(cg_write(subject->cgroup, "cgroup.freeze", "0"), 0) ||
	    ckpt_restore(session, subject, image) || ckpt_resume(session) || !goes_on(subject))
		goto out;
	ret = KSFT_PASS;
out:
	close(args.cgroup);
	close(args.image);
	close(session);
	return ret;
}

/* An image is within a file; reading it ends where it ends. */
static int test_within_a_file(struct ckpt_subject *subject)
{
	static const char other[1000] = "not of the image";
	char image[PATH_MAX], buffer[4096];
	int session = dumped(subject, image), from = -1, ret = KSFT_FAIL;
	struct ckpt_restore args = { };
	off_t end = sizeof(other);
	ssize_t len;

	snprintf(buffer, sizeof(buffer), "%s/within", subject->dir);
	args.image = open(buffer, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	args.cgroup = open(subject->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (session >= 0)
		from = open(image, O_RDONLY | O_CLOEXEC);
	if (from < 0 || write(args.image, other, sizeof(other)) != sizeof(other))
		goto out;
	for (; (len = read(from, buffer, sizeof(buffer))) > 0; end += len)
		if (write(args.image, buffer, len) != len)
			goto out;
	if (write(args.image, other, sizeof(other)) != sizeof(other))
		goto out;

	lseek(args.image, sizeof(other), SEEK_SET);
	if (!differs(ioctl(session, CKPT_RESTORE, &args), 0) &&
	    !differs(lseek(args.image, 0, SEEK_CUR), end) &&
	    !ckpt_resume(session) && goes_on(subject))
		ret = KSFT_PASS;
out:
	close(from);
	close(args.cgroup);
	close(args.image);
	close(session);
	return ret;
}

/* At the path of a file is a pipe now, which nobody must wait to open. */
static int test_stale(struct ckpt_subject *subject)
{
	char image[PATH_MAX], path[PATH_MAX];
	int session = dumped(subject, image), ret = KSFT_FAIL;

	if (session < 0)
		return KSFT_FAIL;
	snprintf(path, sizeof(path), "%s/numbers", subject->dir);
	if (!unlink(path) && !mkfifo(path, 0600) &&
	    !differs(try(session, subject, image), -ESTALE) &&
	    !unmet(nothing_left(subject)))
		ret = KSFT_PASS;
	close(session);
	return ret;
}

/* A session that restores is busy, so it is no image for itself, and does not wait either. */
static int test_own_image(struct ckpt_subject *subject)
{
	struct ckpt_restore args = { };
	int session = ckpt_open(), ret = KSFT_FAIL;

	args.image = session;
	args.cgroup = open(subject->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!differs(ioctl(session, CKPT_RESTORE, &args), -1) && !differs(errno, EBUSY))
		ret = KSFT_PASS;
	close(args.cgroup);
	close(session);
	return ret;
}

/* A process ID that is in use, or a cgroup that is. */
static int test_in_use(struct ckpt_subject *subject)
{
	char image[PATH_MAX];
	struct ckpt_subject other;
	int session = suspended(subject), ret = KSFT_FAIL;

	if (session < 0)
		return KSFT_FAIL;
	sprintf(image, "%s/image", subject->dir);
	other = *subject;
	other.cgroup = cg_name(subject->cgroup, "other");
	if (ckpt_dump(session, image) || ckpt_resume(session) ||
	    differs(try(session, subject, image), -EBUSY) ||
	    differs(cg_create(other.cgroup), 0) ||
	    differs(try(session, &other, image), -EEXIST) ||
	    unmet(goes_on(subject)))
		goto out;
	ret = KSFT_PASS;
out:
	close(session);
	rmdir(other.cgroup);
	free(other.cgroup);
	return ret;
}

/* Suspend, or restore, and leave it so; returns 0 or -errno. */
static int leave(struct ckpt_subject *subject, const char *image)
{
	struct ckpt_suspend suspend = { .timeout = 10000, .flags = CKPT_DETACH };
	struct ckpt_restore restore = { .flags = CKPT_DETACH };
	int session = ckpt_open(), ret;

	suspend.cgroup = open(subject->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	restore.cgroup = suspend.cgroup;
	restore.image = image ? open(image, O_RDONLY | O_CLOEXEC) : -1;
	ret = image ? ioctl(session, CKPT_RESTORE, &restore) :
		      ioctl(session, CKPT_SUSPEND, &suspend);
	ret = ret ? -errno : 0;
	close(restore.image);
	close(suspend.cgroup);
	close(session);
	return ret;
}

static int attach(int session, struct ckpt_subject *subject)
{
	int cgroup = open(subject->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = ioctl(session, CKPT_ATTACH, cgroup) ? -errno : 0;

	close(cgroup);
	return ret;
}

static bool stands_still(struct ckpt_subject *subject)
{
	long before = ckpt_told(subject, 0);

	usleep(50 * 1000);
	return ckpt_told(subject, 0) == before;
}

/* It stays suspended without a session, and another one takes over, for good. */
static int test_detach(struct ckpt_subject *subject)
{
	char image[PATH_MAX];
	int session = ckpt_open(), ret = KSFT_FAIL;

	snprintf(image, sizeof(image), "%s/image", subject->dir);
	if (ckpt_await(subject, 0, 5) < 0 || differs(attach(session, subject), -ENOENT) ||
	    differs(leave(subject, NULL), 0) || unmet(stands_still(subject)) ||
	    differs(leave(subject, NULL), -EBUSY) ||
	    differs(attach(session, subject), 0) || unmet(stands_still(subject)) ||
	    differs(attach(session, subject), -EBUSY))
		goto out;
	/* Who takes over leaves it as it was, too. */
	close(session);
	session = ckpt_open();
	if (unmet(stands_still(subject)) || differs(attach(session, subject), 0) ||
	    ckpt_dump(session, image) || ckpt_kill(session))
		goto out;
	ckpt_bury();
	if (differs(leave(subject, image), 0) || unmet(stands_still(subject)) ||
	    differs(attach(session, subject), 0) || ckpt_resume(session) ||
	    unmet(goes_on(subject)))
		goto out;
	ret = KSFT_PASS;
out:
	close(session);
	return ret;
}

/* Another user does not take it over, whatever his capabilities are. */
static int test_detach_user(struct ckpt_subject *subject)
{
	int session, status;
	pid_t other;

	if (ckpt_await(subject, 0, 5) < 0 || differs(leave(subject, NULL), 0))
		return KSFT_FAIL;
	other = fork();
	if (!other) {
		session = ckpt_open();
		if (prctl(PR_SET_KEEPCAPS, 1) || setresuid(1234, 1234, 0) || session < 0)
			_exit(99);
		_exit(-attach(session, subject));
	}
	if (differs(waitpid(other, &status, 0), other) || differs(WEXITSTATUS(status), EPERM))
		return KSFT_FAIL;
	session = ckpt_open();
	status = differs(attach(session, subject), 0) || ckpt_resume(session) ||
		 unmet(goes_on(subject));
	close(session);
	return status ? KSFT_FAIL : KSFT_PASS;
}

/* Whoever was left behind when the cgroup went away is nobody's any more. */
static int test_detach_gone(struct ckpt_subject *subject)
{
	int i;

	if (ckpt_await(subject, 0, 5) < 0 || differs(leave(subject, NULL), 0) ||
	    differs(kill(subject->pid, SIGKILL), 0))
		return KSFT_FAIL;
	ckpt_bury();
	for (i = 0; i < 3; i++) {
		if (differs(rmdir(subject->cgroup), 0) || differs(cg_create(subject->cgroup), 0) ||
		    differs(leave(subject, NULL), 0))
			return KSFT_FAIL;
	}
	return KSFT_PASS;
}

/* Each verb at the wrong time says so. */
static int test_order(struct ckpt_subject *subject)
{
	struct ckpt_suspend args = { .flags = 2 };
	int session = suspended(subject), second = ckpt_open(), ret = KSFT_FAIL;
	char byte;

	if (session < 0 || second < 0)
		return KSFT_FAIL;
	if (differs(ioctl(second, CKPT_DUMP), -1) || differs(errno, ENOENT) ||
	    differs(ioctl(second, CKPT_RESUME), -1) || differs(errno, ENOENT) ||
	    differs(read(second, &byte, 1), -1) || differs(errno, ENODATA) ||
	    differs(ioctl(second, CKPT_SUSPEND, &args), -1) || differs(errno, EINVAL) ||
	    differs(ioctl(second, _IO(CKPT_IOC_MAGIC, 99)), -1) || differs(errno, ENOTTY))
		goto out;
	args.flags = 0;
	args.cgroup = open(subject->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (differs(ioctl(second, CKPT_SUSPEND, &args), -1) || differs(errno, EBUSY) ||
	    differs(ioctl(session, CKPT_SUSPEND, &args), -1) || differs(errno, EBUSY))
		goto out_close;
	ret = KSFT_PASS;
out_close:
	close(args.cgroup);
out:
	close(second);
	close(session);
	return ret;
}

/* Images carry a note, which is no obstacle. */
static int test_note(struct ckpt_subject *subject)
{
	static const char text[] = "pids.max 17\n";
	struct ckpt_note note = { .text = (unsigned long)text, .length = sizeof(text) - 1 };
	char image[PATH_MAX], found[8192];
	int session = suspended(subject), ret = KSFT_FAIL, fd;
	ssize_t size;

	snprintf(image, sizeof(image), "%s/image", subject->dir);
	if (session < 0 || unmet(!ioctl(session, CKPT_NOTE, &note)) ||
	    ckpt_dump(session, image))
		goto out;
	fd = open(image, O_RDONLY | O_CLOEXEC);
	size = read(fd, found, sizeof(found));
	close(fd);
	if (size < 0 || unmet(memmem(found, size, text, sizeof(text) - 1)) ||
	    ckpt_kill(session))
		goto out;
	ckpt_bury();
	if (ckpt_restore(session, subject, image) || ckpt_resume(session))
		goto out;
	note.length = CKPT_NOTE_MAX + 1;
	if (differs(ioctl(session, CKPT_NOTE, &note), -1) || differs(errno, EINVAL))
		goto out;
	note.length = 1;
	note.text = 0;
	if (differs(ioctl(session, CKPT_NOTE, &note), -1) || differs(errno, EFAULT))
		goto out;
	ret = KSFT_PASS;
out:
	close(session);
	return ret;
}

#define T(f) { count, f, #f }
static const struct ckpt_test tests[] = {
	T(test_close_ends_what_was_restored),
	T(test_close_resumes),
	T(test_damaged),
	T(test_detach),
	T(test_detach_gone),
	T(test_detach_user),
	T(test_hold),
	T(test_hold_oneself),
	T(test_in_use),
	T(test_no_image_no_place),
	T(test_note),
	T(test_order),
	T(test_own_image),
	T(test_stale),
	T(test_truncated),
	T(test_within_a_file),
};

#undef T

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
