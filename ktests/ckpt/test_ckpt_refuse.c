// SPDX-License-Identifier: GPL-2.0
/* What cannot be saved is refused, by name, and the subject goes on. */
#include <fcntl.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/membarrier.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
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
	semctl(id, 0, IPC_RMID);
}

/* A child that ended, and one that is not in the cgroup. */
static void leave_zombie(void)
{
	siginfo_t info;
	pid_t child = fork();

	if (!child)
		_exit(0);
	if (waitid(P_PID, child, &info, WEXITED | WNOWAIT))
		_exit(1);
}

static void have_child(void)
{
	if (!fork())
		idle(NULL);
}

static int fds[2];
static pthread_t thread;
static timer_t timer;
static struct itimerval often = { .it_value.tv_sec = 1000 };
static sigset_t usr1;

/* The subject has 0 to 2, and 3 for its numbers. */
REFUSED(deleted_dir, " fd 4: a deleted directory", mkdir("gone", 0700);
	open("gone", O_RDONLY); rmdir("gone"))
REFUSED(deleted_name, " fd 4: a deleted name of a file that has others",
	open("gone", O_RDWR | O_CREAT, 0600); link("gone", "here"); unlink("gone"))
REFUSED(deleted_within, " fd 4: a deleted file of a deleted directory", mkdir("gone", 0700);
	open("gone/it", O_RDWR | O_CREAT, 0600); unlink("gone/it"); rmdir("gone"))
REFUSED(epoll, " fd 4: a file without a name (anon_inode:[eventpoll])", epoll_create1(0))
REFUSED(eventfd_, " fd 4: a file without a name (anon_inode:[eventfd])", eventfd(0, 0))
REFUSED(handler_of_file, " fd 3: a file that sends signals", fcntl(3, F_SETOWN, getpid()))
REFUSED(itimer, ": interval timers", setitimer(ITIMER_REAL, &often, NULL))
REFUSED(locks, " fd 3: a file with locks", flock(3, LOCK_EX))
REFUSED(membarrier_, ": a registration of membarrier",
	syscall(__NR_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0))
REFUSED(memory_setting, ": settings of its memory other than the caller's",
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
REFUSED(nice_, ": a scheduling policy or priority of its own", setpriority(PRIO_PROCESS, 0, 5))
REFUSED(parent_death, ": a signal for the death of its parent", prctl(PR_SET_PDEATHSIG, SIGHUP))
REFUSED(pending, ": pending signals", sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL); raise(SIGUSR1))
REFUSED(pipe_, " fd 4: a pipe", pipe(fds) ? _exit(1) : (void)0)
REFUSED(posix_timer, ": POSIX timers", timer_create(CLOCK_MONOTONIC, NULL, &timer))
REFUSED(proc, " fd 4: a file of proc", open("/proc/self/maps", O_RDONLY))
REFUSED(socket_, " fd 4: a socket", socket(AF_UNIX, SOCK_STREAM, 0))
REFUSED(semaphore_undo, ": undo values of semaphores", undo_semaphore())
REFUSED(subreaper, ": being a subreaper", prctl(PR_SET_CHILD_SUBREAPER, 1))
REFUSED(zombie, ": a child that ended and was not waited for", leave_zombie())
REFUSED(threads, ": several threads", pthread_create(&thread, NULL, idle, NULL))
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

/* It was stopped by a signal before. */
static int test_refuses_stopped(struct ckpt_subject *subject)
{
	char image[PATH_MAX];
	int session, status, ret = KSFT_FAIL;

	if (ckpt_await(subject, 0, READY) < 0)
		return KSFT_FAIL;
	session = ckpt_open();
	if (session < 0 || kill(subject->pid, SIGSTOP) ||
	    waitpid(subject->pid, &status, WUNTRACED) != subject->pid)
		goto out;
	snprintf(image, sizeof(image), "%s/image", subject->dir);
	if (differs(ckpt_suspend(session, subject), 0) ||
	    differs(ckpt_dump(session, image), -EOPNOTSUPP) ||
	    unmet(ckpt_explains(session, ": a stop by a signal")) ||
	    differs(ckpt_resume(session), 0))
		goto out;
	ret = KSFT_PASS;
out:
	kill(subject->pid, SIGCONT);
	close(session);
	return ret;
}

#define T(x) { x, test_refuses_##x, "test_refuses_" #x }
static const struct ckpt_test tests[] = {
	{ live, test_refuses_below, "test_refuses_below" },
	{ parent, test_refuses_child_outside, "test_refuses_child_outside" },
	T(deleted_dir),
	T(deleted_name),
	T(deleted_within),
	T(device),
	T(epoll),
	T(eventfd_),
	T(handler_of_file),
	T(itimer),
	{ in_domain, test_refuses_landlock, "test_refuses_landlock" },
	T(locks),
	T(membarrier_),
	T(memory_setting),
	T(nice_),
	T(parent_death),
	T(pending),
	T(pipe_),
	T(posix_timer),
	T(proc),
	T(semaphore_undo),
	T(socket_),
	{ live, test_refuses_stopped, "test_refuses_stopped" },
	T(subreaper),
	T(threads),
	T(zombie),
};

#undef T

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
