// SPDX-License-Identifier: GPL-2.0
/*
 * A verb is cut off: its caller dies, there is no room for the image, the
 * container is killed or runs out of memory. A container that is saved goes on
 * then, or is gone if it was killed; of one that is restored nothing is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ckpt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "ckpt_state.h"

/* What the image of a subject of ours may have at most. */
#define MOST_RECORDS	1000

/* Memory beyond what a small limit allows. */
#define MUCH		(8 << 20)
#define LITTLE		"1M"

static void count_in_much_memory(void)
{
	char *much = mmap(NULL, MUCH, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (much == MAP_FAILED)
		_exit(108);
	memset(much, 1, MUCH);
	ckpt_count();
}

static void count_in_much_shared_memory(void)
{
	char *much = mmap(NULL, MUCH, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (much == MAP_FAILED)
		_exit(108);
	memset(much, 1, MUCH);
	ckpt_count();
}

/* A process whose first thread has ended, and its child. */

static void *live_on(void *arg)
{
	long n;

	for (n = 1; ; n++) {
		ckpt_tell(0, n);
		usleep(1000);
	}
	return NULL;
}

static void count_without_first_thread(void)
{
	pthread_t thread;
	pid_t child = fork();

	if (child < 0)
		_exit(106);
	if (!child)
		for (;;)
			pause();
	if (pthread_create(&thread, NULL, live_on, NULL))
		_exit(105);
	syscall(SYS_exit, 0);
}

static bool is_counting(struct ckpt_subject *subject)
{
	return ckpt_await(subject, 0, 3) > 0;
}

/* Suspend a subject that runs; returns the session, or -errno. */
static int suspended_when(struct ckpt_subject *subject, bool (*runs)(struct ckpt_subject *subject))
{
	int session, ret;

	if (!runs(subject))
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

static int suspended(struct ckpt_subject *subject)
{
	return suspended_when(subject, ckpt_goes_on);
}

/* Save, end it, and return the image for reading, or -errno. */
static int saved_when(struct ckpt_subject *subject, bool (*runs)(struct ckpt_subject *subject))
{
	char path[PATH_MAX];
	int session = suspended_when(subject, runs), image, ret;

	if (session < 0)
		return session;
	snprintf(path, sizeof(path), "%s/image", subject->dir);
	ret = ckpt_dump(session, path) ?: ckpt_kill(session);
	close(session);
	if (differs(ret, 0))
		return ret;
	ckpt_bury();
	image = open(path, O_RDONLY | O_CLOEXEC);
	return unmet(image >= 0) ? -errno : image;
}

static int saved(struct ckpt_subject *subject)
{
	return saved_when(subject, ckpt_goes_on);
}

/* Restore from the start of an image; the subject goes on when this returns 0. */
static int restored_from(struct ckpt_subject *subject, int image)
{
	int session = ckpt_open(), ret;

	if (session < 0)
		return session;
	lseek(image, 0, SEEK_SET);
	ret = ckpt_try_restore(session, subject, image) ?: ckpt_resume(session);
	close(session);
	if (ret < 0)
		ksft_print_msg("a good image cannot be restored: %s\n", strerror(-ret));
	return ret ?: ckpt_goes_on(subject) ? 0 : -ESRCH;
}

/* How many records it has, with the magic as one; none are missing. */
static int count_records(int image)
{
	int total = 0;

	lseek(image, 0, SEEK_SET);
	while (ckpt_copy_record(image, -1, !total) > 0)
		total++;
	return unmet(total > 20) ? -EBADMSG : total;
}

/* Wait until somebody else has read all that is in a pipe. */
static bool is_drained(int pipe)
{
	int i, left;

	for (i = 0; i < CKPT_POLL_TIMES; i++) {
		if (!ioctl(pipe, FIONREAD, &left) && !left)
			return true;
		usleep(1000);
	}
	return false;
}

/*
 * Save in a process of its own, which stops reading after @records and @more
 * bytes, says so, and waits to be killed. It ends with 0 if the image does.
 */
static pid_t reader(struct ckpt_subject *subject, int records, size_t more, int tell)
{
	char bytes[8];
	int session, i, ret = 1;
	pid_t pid = fork();

	if (pid)
		return pid;
	session = ckpt_open();
	if (session < 0 || ckpt_suspend(session, subject) || ioctl(session, CKPT_DUMP))
		_exit(1);
	for (i = 0; i < records && ret > 0; i++)
		ret = ckpt_copy_record(session, -1, !i);
	if (ret <= 0)
		_exit(ret ? 1 : 0);
	if (more && read(session, bytes, more) < 0)
		_exit(1);
	if (write(tell, "", 1) != 1)
		_exit(1);
	pause();
	_exit(1);
}

/* Who reads the image dies between any two records, and within them. */
static int test_caller_killed_while_saving(struct ckpt_subject *subject)
{
	int ends[2], status, records;
	char byte;
	pid_t pid;

	for (records = 0; records < 2 * MOST_RECORDS; records++) {
		if (!ckpt_goes_on(subject) || pipe2(ends, O_CLOEXEC))
			return KSFT_FAIL;
		pid = reader(subject, records / 2, records % 2 ? sizeof(byte) * 8 : 0, ends[1]);
		close(ends[1]);
		if (pid > 0 && read(ends[0], &byte, 1) == 1)
			kill(pid, SIGKILL);
		close(ends[0]);
		if (differs(waitpid(pid, &status, 0), pid))
			return KSFT_FAIL;
		if (WIFSIGNALED(status))
			continue;
		/* All was read. */
		if (unmet(WIFEXITED(status) && !WEXITSTATUS(status)) || unmet(records > 20))
			return KSFT_FAIL;
		break;
	}
	return differs(ckpt_cycle(subject), 0) || !ckpt_goes_on(subject) ? KSFT_FAIL : KSFT_PASS;
}

/* The image does not fit; the session can save again, where there is room. */
static int test_no_room(struct ckpt_subject *subject)
{
	char dir[PATH_MAX], path[PATH_MAX + 8];
	int session, image, ret = KSFT_FAIL;

	snprintf(dir, sizeof(dir), "%s/small", subject->dir);
	if (mkdir(dir, 0700) || mount("none", dir, "tmpfs", 0, "size=16k")) {
		ksft_perror("a small tmpfs");
		return KSFT_FAIL;
	}
	snprintf(path, sizeof(path), "%s/image", dir);
	session = suspended(subject);
	image = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (session < 0 || unmet(image >= 0) ||
	    differs(ckpt_try_dump(session, image), -ENOSPC))
		goto out;
	snprintf(path, sizeof(path), "%s/image", subject->dir);
	if (differs(ckpt_dump(session, path), 0) || ckpt_kill(session))
		goto out;
	ckpt_bury();
	if (!ckpt_restore(session, subject, path) && !ckpt_resume(session) &&
	    ckpt_goes_on(subject))
		ret = KSFT_PASS;
out:
	close(image);
	close(session);
	if (differs(umount(dir), 0))
		ret = KSFT_FAIL;
	return ret;
}

/* Nobody reads what is written any more. */
static int test_broken_pipe(struct ckpt_subject *subject)
{
	int session, ends[2], ret = KSFT_FAIL;

	if (pipe2(ends, O_CLOEXEC))
		return KSFT_FAIL;
	close(ends[0]);
	session = suspended(subject);
	signal(SIGPIPE, SIG_IGN);
	if (session >= 0 && !differs(ckpt_try_dump(session, ends[1]), -EPIPE) &&
	    !ckpt_resume(session) && ckpt_goes_on(subject))
		ret = KSFT_PASS;
	signal(SIGPIPE, SIG_DFL);
	close(ends[1]);
	close(session);
	return ret;
}

/* What befalls a container: all of its tasks end. */

static bool by_signal(struct ckpt_subject *subject)
{
	return !cg_killall(subject->cgroup) &&
	       waitpid(subject->pid, NULL, 0) == subject->pid;
}

static bool by_memory(struct ckpt_subject *subject)
{
	return !cg_write(subject->cgroup, "memory.max", "0") &&
	       waitpid(subject->pid, NULL, 0) == subject->pid &&
	       !cg_write(subject->cgroup, "memory.max", "max");
}

/*
 * Read so many records into a file, let @end befall the container, and read on.
 * 1 if the image is whole then, 0 if that failed, -1 if something is wrong.
 */
static int save_until(struct ckpt_subject *subject, int records, int image,
		      bool (*end)(struct ckpt_subject *subject))
{
	int session = suspended(subject), ret = 1, i;

	if (session < 0)
		return -1;
	if (differs(ioctl(session, CKPT_DUMP), 0))
		goto out;
	for (i = 0; i < records && ret > 0; i++)
		ret = ckpt_copy_record(session, image, !i);
	if (unmet(ret >= 0) || unmet(end(subject))) {
		ret = -1;
		goto out;
	}
	for (; ret > 0 && i < MOST_RECORDS; i++)
		ret = ckpt_copy_record(session, image, !i);
	ret = !ret;
out:
	close(session);
	return unmet(ckpt_nothing_left(subject)) ? -1 : ret;
}

/*
 * A container that ends while it is read is gone, whatever was read. Reading
 * fails, or the image is like any other.
 */
static int ends_while_saved(struct ckpt_subject *subject,
			    bool (*end)(struct ckpt_subject *subject))
{
	char path[PATH_MAX];
	int good, ret = KSFT_FAIL, records, total, torn, whole;

	/* Who was restored has credentials of his own that files were opened with. */
	if (!ckpt_goes_on(subject) || differs(ckpt_cycle(subject), 0))
		return KSFT_FAIL;
	good = saved(subject);
	snprintf(path, sizeof(path), "%s/torn", subject->dir);
	torn = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (good < 0 || torn < 0)
		goto out;
	total = count_records(good);
	if (total < 0 || restored_from(subject, good))
		goto out;
	for (records = 0; ; records += records < total / 2 ? 7 : 2) {
		/* All records with data are at the end; who has all of them has an image. */
		if (records > total)
			records = total;
		if (ftruncate(torn, 0) || lseek(torn, 0, SEEK_SET))
			goto out;
		whole = save_until(subject, records, torn, end);
		if (whole < 0 || (records == total && unmet(whole)) ||
		    restored_from(subject, whole ? torn : good)) {
			ksft_print_msg("ended after %d of %d records, which are %s\n",
				       records, total, whole > 0 ? "whole" : "not whole");
			goto out;
		}
		if (records == total)
			break;
	}
	ret = KSFT_PASS;
out:
	close(good);
	close(torn);
	return ret;
}

static int test_killed_while_saved(struct ckpt_subject *subject)
{
	return ends_while_saved(subject, by_signal);
}

/* Whether the cgroups of subjects can be limited. */
static bool has_memory(struct ckpt_subject *subject)
{
	char root[PATH_MAX];

	snprintf(root, sizeof(root), "%s/..", subject->cgroup);
	return !cg_write(root, "cgroup.subtree_control", "+memory");
}

static int test_out_of_memory_while_saved(struct ckpt_subject *subject)
{
	if (!has_memory(subject))
		return ckpt_skip("there is no memory controller");
	return ends_while_saved(subject, by_memory);
}

/* What befalls a restore; true if it may succeed nevertheless. */

static bool caller_killed(struct ckpt_subject *subject, pid_t caller, int image, int pipe)
{
	kill(caller, SIGKILL);
	return false;
}

static bool image_ends(struct ckpt_subject *subject, pid_t caller, int image, int pipe)
{
	return false;
}

static bool tasks_killed(struct ckpt_subject *subject, pid_t caller, int image, int pipe)
{
	char procs[64] = "";
	bool none;

	cg_read(subject->cgroup, "cgroup.procs", procs, sizeof(procs));
	none = !procs[0];
	cg_killall(subject->cgroup);
	while (ckpt_copy_record(image, pipe, false) > 0)
		;
	return none;
}

typedef bool (*befall_fn)(struct ckpt_subject *subject, pid_t caller, int image, int pipe);

/*
 * Restore in a process of its own, from a pipe, and let something befall that
 * when it has so many records.
 */
static bool restore_until(struct ckpt_subject *subject, int image, int records, befall_fn befall)
{
	bool may_succeed, fed = true;
	int ends[2], status, i;
	pid_t pid;

	lseek(image, 0, SEEK_SET);
	if (pipe2(ends, O_CLOEXEC))
		return false;
	pid = fork();
	if (!pid) {
		int session = ckpt_open();

		close(ends[1]);
		_exit(session < 0 ? 2 : ckpt_try_restore(session, subject, ends[0]) ? 1 : 0);
	}
	close(ends[0]);
	for (i = 0; i < records && fed; i++)
		fed = !differs(ckpt_copy_record(image, ends[1], !i), 1);
	if (fed)
		fed = !unmet(is_drained(ends[1]));
	may_succeed = befall(subject, pid, image, ends[1]);
	close(ends[1]);
	if (differs(waitpid(pid, &status, 0), pid) || unmet(ckpt_nothing_left(subject)))
		return false;
	if (WIFSIGNALED(status))
		return fed && !differs(WTERMSIG(status), SIGKILL);
	if (!WEXITSTATUS(status) && may_succeed)
		return fed;
	return fed && !differs(WEXITSTATUS(status), 1);
}

static int befalls_a_restore(struct ckpt_subject *subject, befall_fn befall)
{
	int image = saved(subject), ret = KSFT_FAIL, records, total;

	if (image < 0)
		return KSFT_FAIL;
	signal(SIGPIPE, SIG_IGN);
	total = count_records(image);
	/* Not the last one: with that it is restored. */
	for (records = 1; records < total; records++) {
		if (!restore_until(subject, image, records, befall)) {
			ksft_print_msg("after %d of %d records\n", records, total);
			goto out;
		}
	}
	if (total > 0 && !restored_from(subject, image))
		ret = KSFT_PASS;
out:
	signal(SIGPIPE, SIG_DFL);
	close(image);
	return ret;
}

static int test_caller_killed_while_restoring(struct ckpt_subject *subject)
{
	return befalls_a_restore(subject, caller_killed);
}

static int test_image_ends_while_restored(struct ckpt_subject *subject)
{
	return befalls_a_restore(subject, image_ends);
}

static int test_killed_while_restored(struct ckpt_subject *subject)
{
	return befalls_a_restore(subject, tasks_killed);
}

/* Where it had room it does not fit any more; nothing of it is left, and the caller lives. */
static int test_out_of_memory_while_restored(struct ckpt_subject *subject)
{
	int image, session, ret = KSFT_FAIL;

	if (!has_memory(subject))
		return ckpt_skip("there is no memory controller");
	image = saved(subject);
	session = ckpt_open();
	if (image < 0 || session < 0)
		goto out;
	if (differs(cg_write(subject->cgroup, "memory.max", LITTLE), 0) ||
	    unmet(ckpt_try_restore(session, subject, image) < 0) ||
	    unmet(ckpt_nothing_left(subject)) ||
	    differs(cg_write(subject->cgroup, "memory.max", "max"), 0))
		goto out;
	if (!restored_from(subject, image))
		ret = KSFT_PASS;
out:
	close(image);
	close(session);
	return ret;
}

/* At once, and not just soon, nothing is left of what could not be restored. */
static int test_nothing_left_at_once(struct ckpt_subject *subject)
{
	int image = saved_when(subject, is_counting), session, records, total, ends[2], i;
	int ret = KSFT_FAIL;
	char procs[64];

	if (image < 0)
		return KSFT_FAIL;
	session = ckpt_open();
	total = count_records(image);
	for (records = total / 2; records < total; records++) {
		if (lseek(image, 0, SEEK_SET) || pipe2(ends, O_CLOEXEC))
			goto out;
		if (fcntl(ends[1], F_SETPIPE_SZ, 1 << 20) < 0)
			goto out;
		for (i = 0; i < records; i++)
			if (differs(ckpt_copy_record(image, ends[1], !i), 1))
				goto out;
		close(ends[1]);
		if (differs(ckpt_try_restore(session, subject, ends[0]), -EPIPE))
			goto out;
		close(ends[0]);
		if (differs(waitpid(-1, NULL, WNOHANG | __WALL), -1) || differs(errno, ECHILD) ||
		    differs(cg_read(subject->cgroup, "cgroup.procs", procs, sizeof(procs)), 0) ||
		    differs(procs[0], 0)) {
			ksft_print_msg("after %d of %d records\n", records, total);
			goto out;
		}
	}
	ret = KSFT_PASS;
out:
	close(session);
	close(image);
	return ret;
}

/*
 * Signals for the process group of who restores are not for what he restores. He waits for the rest
 * of the image meanwhile.
 */
static int test_signals_of_others(struct ckpt_subject *subject)
{
	int image = saved(subject), ends[2], done[2], status, i, total, ret = KSFT_FAIL;
	pid_t pid;
	char byte;

	if (image < 0 || pipe2(ends, O_CLOEXEC) || pipe2(done, O_CLOEXEC))
		return KSFT_FAIL;
	total = count_records(image);
	lseek(image, 0, SEEK_SET);
	pid = fork();
	if (!pid) {
		int session = ckpt_open();

		signal(SIGUSR2, SIG_IGN);
		if (setpgid(0, 0) || write(done[1], "", 1) != 1)
			_exit(2);
		close(ends[1]);
		close(done[1]);
		if (ckpt_try_restore(session, subject, ends[0]) || ckpt_resume(session) ||
		    !ckpt_goes_on(subject))
			_exit(1);
		_exit(0);
	}
	close(ends[0]);
	close(done[1]);
	if (differs(read(done[0], &byte, 1), 1))
		goto out;
	for (i = 0; i < total; i++) {
		if (differs(ckpt_copy_record(image, ends[1], !i), 1))
			goto out;
		if (i < total - 1 && (unmet(is_drained(ends[1])) || kill(-pid, SIGUSR2)))
			goto out;
	}
	ret = KSFT_PASS;
out:
	close(ends[1]);
	close(done[0]);
	close(image);
	if (differs(waitpid(pid, &status, 0), pid) || differs(status, 0))
		ret = KSFT_FAIL;
	return ret;
}

#define T(f) { ckpt_count, f, #f }
#define M(f) { count_in_much_memory, f, #f }
#define S(f) { count_in_much_shared_memory, f, #f "_shared" }
static const struct ckpt_test tests[] = {
	T(test_broken_pipe),
	T(test_caller_killed_while_restoring),
	T(test_caller_killed_while_saving),
	T(test_image_ends_while_restored),
	T(test_killed_while_restored),
	T(test_killed_while_saved),
	T(test_no_room),
	T(test_out_of_memory_while_saved),
	M(test_out_of_memory_while_restored),
	S(test_out_of_memory_while_restored),
	{ count_without_first_thread, test_nothing_left_at_once, "test_nothing_left_at_once" },
	T(test_signals_of_others),
};

#undef T
#undef M
#undef S

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
