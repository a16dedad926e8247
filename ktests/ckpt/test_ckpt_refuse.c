// SPDX-License-Identifier: GPL-2.0
/* What cannot be saved is refused, by name, and the subject goes on. */
#include <fcntl.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/aio_abi.h>
#include <linux/ckpt.h>
#include <linux/io_uring.h>
#include <linux/membarrier.h>
#include <linux/sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "ckpt_util.h"

#define READY	1

/* Tell that everything is there, and then again and again that we live. */
static void live(void)
{
	long n;

	for (n = READY; ; n++) {
		ckpt_tell(0, n);
		usleep(1000);
	}
}

/* Neither the check nor the dump takes it, both say why, and it goes on. */
static int refused(struct ckpt_subject *subject, const char *why)
{
	char image[PATH_MAX], text[128];
	int session, ret = KSFT_FAIL;
	long before;

	if (ckpt_await(subject, 0, READY) < 0)
		return KSFT_FAIL;
	session = ckpt_open();
	if (session < 0)
		return KSFT_FAIL;
	snprintf(text, sizeof(text), "pid %d%s", subject->pid, why);
	if (differs(ckpt_check(session, subject), -EOPNOTSUPP) ||
	    unmet(ckpt_explains(session, text)))
		goto out;

	snprintf(image, sizeof(image), "%s/image", subject->dir);
	if (differs(ckpt_suspend(session, subject), 0) ||
	    differs(ckpt_dump(session, image), -EOPNOTSUPP) ||
	    unmet(access(image, F_OK)) ||
	    differs(ckpt_resume(session), 0))
		goto out;
	before = ckpt_told(subject, 0);
	if (ckpt_await(subject, 0, before + 5) > 0)
		ret = KSFT_PASS;
out:
	close(session);
	return ret;
}

#define REFUSED(name, why, ...) \
	static void name(void) \
	{ \
		__VA_ARGS__; \
		live(); \
	} \
	static int test_refuses_##name(struct ckpt_subject *subject) \
	{ \
		return refused(subject, why); \
	}

static void *idle(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

static void undo_semaphore(void)
{
	struct sembuf up = { .sem_op = 1, .sem_flg = SEM_UNDO };
	int id = semget(IPC_PRIVATE, 1, 0600);

	if (semop(id, &up, 1))
		_exit(1);
	ckpt_tell(1, id);
	live();
}

static int test_refuses_semaphore_undo(struct ckpt_subject *subject)
{
	int ret = refused(subject, ": undo values of semaphores");

	semctl(ckpt_told(subject, 1), 0, IPC_RMID);
	return ret;
}

static void have_child(void)
{
	if (!fork())
		idle(NULL);
}

static clockid_t clock_of_child(void)
{
	clockid_t clock;
	pid_t child = fork();

	if (!child)
		idle(NULL);
	if (clock_getcpuclockid(child, &clock))
		_exit(1);
	return clock;
}

static timer_t timer;

static aio_context_t context;

/* The subject has 0 to 2, and 3 for its numbers. */
REFUSED(aio, ": asynchronous I/O", syscall(SYS_io_setup, 1, &context))
REFUSED(deleted_dir, " fd 4: a deleted directory", mkdir("gone", 0700);
	open("gone", O_RDONLY); rmdir("gone"))
REFUSED(deleted_name, " fd 4: a deleted name of a file that has others",
	open("gone", O_RDWR | O_CREAT, 0600); link("gone", "here"); unlink("gone"))
REFUSED(deleted_within, " fd 4: a deleted file of a deleted directory", mkdir("gone", 0700);
	open("gone/it", O_RDWR | O_CREAT, 0600); unlink("gone/it"); rmdir("gone"))
REFUSED(epoll, " fd 4: a file without a name (anon_inode:[eventpoll])", epoll_create1(0))
REFUSED(eventfd_, " fd 4: a file without a name (anon_inode:[eventfd])", eventfd(0, 0))
REFUSED(handler_of_file, " fd 3: a file that sends signals", fcntl(3, F_SETOWN, getpid()))
REFUSED(locks, " fd 3: a file with locks", flock(3, LOCK_EX))
REFUSED(membarrier_, ": a registration of membarrier",
	syscall(__NR_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0))
REFUSED(memory_setting, ": settings of its memory other than the caller's",
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
REFUSED(fifo, " fd 4: a pipe with a name", mkfifo("fifo", 0600); open("fifo", O_RDWR))
REFUSED(timer_of_child, ": a timer for the time that a certain thread or process uses",
	timer_create(clock_of_child(), NULL, &timer))
REFUSED(proc, " fd 4: a file of proc", open("/proc/self/maps", O_RDONLY))
REFUSED(socket_, " fd 4: a socket", socket(AF_UNIX, SOCK_STREAM, 0))
REFUSED(device, " fd 4: a device", open("/dev/kmsg", O_RDONLY))

/* It is in a cgroup below that of the container. */
static int test_refuses_below(struct ckpt_subject *subject)
{
	char *inner = cg_name(subject->cgroup, "inner");
	int ret = KSFT_FAIL;

	/* When it is ready, it has entered the other one. */
	if (ckpt_await(subject, 0, READY) > 0 && !cg_create(inner) &&
	    !cg_enter(inner, subject->pid))
		ret = refused(subject, ": a cgroup below");
	cg_enter(subject->cgroup, subject->pid);
	rmdir(inner);
	free(inner);
	return ret;
}

/* Its parent waits for execve(), which does not come. */
static void stay_in_vfork(void)
{
	if (!vfork()) {
		ckpt_tell(0, READY);
		idle(NULL);
	}
}

/* It is frozen nevertheless, before all of the time is over, and goes on. */
static int test_refuses_vfork(struct ckpt_subject *subject)
{
	struct ckpt_suspend args = { .timeout = 1000 };
	int session = ckpt_open(), ret = KSFT_FAIL;

	args.cgroup = open(subject->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (session >= 0 && ckpt_await(subject, 0, READY) > 0 &&
	    !differs(ioctl(session, CKPT_SUSPEND, &args), 0) &&
	    !differs(ioctl(session, CKPT_DUMP) ? errno : 0, EOPNOTSUPP) &&
	    !unmet(ckpt_explains(session, ": a parent that waits in vfork()")) &&
	    !differs(ckpt_resume(session), 0))
		ret = KSFT_PASS;
	close(args.cgroup);
	close(session);
	return ret;
}

/* A pipe that only the container has open, but by a file that another process has as well. */
static void have_pipe(void)
{
	int fds[2];
	pid_t child;

	if (pipe(fds))
		_exit(1);
	child = fork();
	if (!child) {
		if (fork())
			_exit(0);
		ckpt_tell(1, getpid());
		idle(NULL);
	}
	waitpid(child, NULL, 0);
	live();
}

static int test_refuses_pipe_outside(struct ckpt_subject *subject)
{
	char *outer = cg_name(subject->cgroup, "../ckpt_outer"), image[PATH_MAX];
	int session = ckpt_open(), ret = KSFT_FAIL;
	pid_t child;

	snprintf(image, sizeof(image), "%s/image", subject->dir);
	child = ckpt_await(subject, 1, 1);
	if (session >= 0 && ckpt_await(subject, 0, READY) > 0 && child > 0 &&
	    !cg_create(outer) && !cg_enter(outer, child) &&
	    !differs(ckpt_suspend(session, subject), 0) &&
	    !differs(ckpt_dump(session, image), -EOPNOTSUPP) &&
	    !unmet(ckpt_explains(session, " fd 4: a pipe that is open outside, too")) &&
	    !differs(ckpt_resume(session), 0)) {
		cg_enter(subject->cgroup, child);
		ret = KSFT_PASS;
	}
	close(session);
	rmdir(outer);
	free(outer);
	return ret;
}

/* Its child is in another cgroup. */
static void parent(void)
{
	have_child();
	live();
}

static int test_refuses_child_outside(struct ckpt_subject *subject)
{
	char *outer = cg_name(subject->cgroup, "../ckpt_outer"), line[64];
	int ret = KSFT_FAIL;
	pid_t child;

	/* The one of the two that is not the subject goes. */
	if (ckpt_await(subject, 0, READY) > 0 && !cg_create(outer) &&
	    !cg_read(subject->cgroup, "cgroup.procs", line, sizeof(line))) {
		child = atoi(line);
		if (child == subject->pid && strchr(line, '\n'))
			child = atoi(strchr(line, '\n') + 1);
		if (child > 0 && !cg_enter(outer, child))
			ret = refused(subject, ": a child outside of the container");
		cg_enter(subject->cgroup, child);
	}
	rmdir(outer);
	free(outer);
	return ret;
}

/* A file that nobody has a path to any more. */
static void have_detached(void)
{
	if (mkdir("mount", 0700) || mount("none", "mount", "tmpfs", 0, NULL) ||
	    open("mount/file", O_RDWR | O_CREAT, 0600) < 0 || umount2("mount", MNT_DETACH))
		_exit(1);
	live();
}

static int test_refuses_detached(struct ckpt_subject *subject)
{
	return refused(subject, " fd 4: a file outside of the root directory");
}

/* Pieces of a pipe that came from a socket. */
static void have_large_pieces(void)
{
	static char much[64 * 1024];
	int ends[2], both[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, both) || pipe(ends) ||
	    write(both[0], much, sizeof(much)) != sizeof(much) ||
	    splice(both[1], NULL, ends[1], NULL, sizeof(much), 0) <= 0)
		_exit(1);
	close(both[0]);
	close(both[1]);
	live();
}

static int test_refuses_large_pieces(struct ckpt_subject *subject)
{
	return refused(subject, " fd 6: a pipe with pieces that are larger than a page");
}

/* Its state is that of the open file. */
static void have_cgroup(void)
{
	char line[PATH_MAX], path[PATH_MAX + 64], *at;
	FILE *file = fopen("/proc/self/cgroup", "r");

	if (!file || !fgets(line, sizeof(line), file) || fclose(file))
		_exit(1);
	at = strstr(line, "::");
	if (!at)
		_exit(1);
	line[strcspn(line, "\n")] = '\0';
	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cgroup.procs", at + 2);
	if (open(path, O_WRONLY) < 0)
		_exit(1);
	live();
}

static int test_refuses_cgroup(struct ckpt_subject *subject)
{
	return refused(subject, " fd 4: a file of a cgroup that is open for writing");
}

/* Nobody waits for it. */
static void have_autoreap(void)
{
	struct clone_args args = { .flags = CLONE_AUTOREAP };
	pid_t child = syscall(SYS_clone3, &args, sizeof(args));

	if (!child)
		idle(NULL);
	if (child < 0)
		_exit(1);
	ckpt_tell(1, child);
	live();
}

static int test_refuses_autoreap(struct ckpt_subject *subject)
{
	char text[64];
	int session, ret = KSFT_FAIL;

	if (ckpt_await(subject, 0, READY) < 0)
		return KSFT_FAIL;
	session = ckpt_open();
	snprintf(text, sizeof(text), "pid %ld: an end that no parent waits for",
		 ckpt_told(subject, 1));
	if (!differs(ckpt_check(session, subject), -EOPNOTSUPP) &&
	    !unmet(ckpt_explains(session, text)))
		ret = KSFT_PASS;
	close(session);
	return ret;
}

static int refused_io_uring(struct ckpt_subject *subject, const char *why)
{
	if (access("/proc/sys/kernel/io_uring_disabled", F_OK))
		return ckpt_skip("there is no io_uring");
	return refused(subject, why);
}

static void have_io_uring(void)
{
	struct io_uring_params params = { .flags = 0 };

	if (syscall(SYS_io_uring_setup, 1, &params) < 0)
		_exit(1);
	live();
}

static int test_refuses_io_uring(struct ckpt_subject *subject)
{
	return refused_io_uring(subject, ": io_uring");
}

/* Of rings that it does not have yet, for good. */
static void limit_io_uring(void)
{
	struct io_uring_task_restriction none = { .flags = 0 };

	if (syscall(SYS_io_uring_register, -1, IORING_REGISTER_RESTRICTIONS, &none, 1))
		_exit(1);
	live();
}

static int test_refuses_limited_io_uring(struct ckpt_subject *subject)
{
	return refused_io_uring(subject, ": limits of io_uring");
}

static void in_domain(void)
{
	if (ckpt_enter_domain())
		_exit(1);
	live();
}

static int test_refuses_landlock(struct ckpt_subject *subject)
{
	if (!ckpt_has_landlock())
		return ckpt_skip("Landlock isn't enabled");
	return refused(subject, ": a domain of Landlock");
}

/* A process of its session is nobody's child, and not in the cgroup. */
static void have_stray(void)
{
	if (!fork()) {
		pid_t child = fork();

		if (!child)
			idle(NULL);
		ckpt_tell(1, child);
		_exit(0);
	}
	wait(NULL);
	live();
}

static int test_refuses_session_outside(struct ckpt_subject *subject)
{
	char *outer = cg_name(subject->cgroup, "../ckpt_outer"), text[64];
	int session = ckpt_open(), ret = KSFT_FAIL;
	pid_t child;

	snprintf(text, sizeof(text), "session %d: a process outside is in it", subject->pid);
	if (session >= 0 && ckpt_await(subject, 0, READY) > 0 && !cg_create(outer)) {
		child = ckpt_told(subject, 1);
		if (!cg_enter(outer, child) &&
		    !differs(ckpt_check(session, subject), -EOPNOTSUPP) &&
		    !unmet(ckpt_explains(session, text)))
			ret = KSFT_PASS;
		cg_enter(subject->cgroup, child);
	}
	close(session);
	rmdir(outer);
	free(outer);
	return ret;
}

#define T(x) { x, test_refuses_##x, "test_refuses_" #x }
static const struct ckpt_test tests[] = {
	T(aio),
	{ have_autoreap, test_refuses_autoreap, "test_refuses_autoreap" },
	{ live, test_refuses_below, "test_refuses_below" },
	{ have_cgroup, test_refuses_cgroup, "test_refuses_cgroup" },
	{ parent, test_refuses_child_outside, "test_refuses_child_outside" },
	T(deleted_dir),
	T(deleted_name),
	T(deleted_within),
	{ have_detached, test_refuses_detached, "test_refuses_detached" },
	T(device),
	T(epoll),
	T(eventfd_),
	T(fifo),
	T(handler_of_file),
	{ have_io_uring, test_refuses_io_uring, "test_refuses_io_uring" },
	{ in_domain, test_refuses_landlock, "test_refuses_landlock" },
	{ have_large_pieces, test_refuses_large_pieces, "test_refuses_large_pieces" },
	{ limit_io_uring, test_refuses_limited_io_uring, "test_refuses_limited_io_uring" },
	T(locks),
	T(membarrier_),
	T(memory_setting),
	{ have_pipe, test_refuses_pipe_outside, "test_refuses_pipe_outside" },
	T(proc),
	{ undo_semaphore, test_refuses_semaphore_undo, "test_refuses_semaphore_undo" },
	{ have_stray, test_refuses_session_outside, "test_refuses_session_outside" },
	T(socket_),
	T(timer_of_child),
	{ stay_in_vfork, test_refuses_vfork, "test_refuses_vfork" },
};

#undef T

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
