// SPDX-License-Identifier: GPL-2.0
/* Processes that make each other as planned, wait, and look at what has become of them. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "forest_live.h"
#include "forest_own.h"

/* How long they sleep between two looks. */
#define NAP_NSEC	(5 * 1000 * 1000)

static const struct forest_plan *plan;
static char dir[64];
static pid_t outside;

/* Of this process. */
static int me;
static int threads_ready, threads_found;
/* The phase, for threads that wait at it. */
static unsigned int word;

static __thread long local;

static void put_at(size_t at, const void *value, size_t size)
{
	if (pwrite(FOREST_TOLD, value, size, at) != (ssize_t)size)
		_exit(100);
}

static void put_number(size_t at, int value)
{
	put_at(at, &value, sizeof(value));
}

static int told_at(size_t at)
{
	int value = 0;

	if (pread(FOREST_TOLD, &value, sizeof(value), at) < 0)
		_exit(100);
	return value;
}

#define told(field)		told_at(offsetof(struct forest_told, field))
#define put(field, value)	put_number(offsetof(struct forest_told, field), value)

void forest_wrong(const char *file, int line, const char *what)
{
	const char *name = strrchr(file, '/');
	char text[sizeof(((struct forest_told *)0)->procs[0].wrong)] = "";

	snprintf(text, sizeof(text), "%s:%d: %s (errno %d)", name ? name + 1 : file, line, what,
		 errno);
	put_at(offsetof(struct forest_told, procs[me].wrong), text, sizeof(text));
	_exit(1);
}

static void nap(void)
{
	const struct timespec time = { .tv_nsec = NAP_NSEC };

	nanosleep(&time, NULL);
}

/* The same, with something in registers that has to be there afterwards. */
static bool nap_with(uint64_t value)
{
	const struct timespec time = { .tv_nsec = NAP_NSEC };
	uint64_t r12, r13, r14, vector;
	long nr = SYS_nanosleep;

	asm volatile("movq %[value], %%r12\n\t"
		     "leaq 1(%[value]), %%r13\n\t"
		     "leaq 2(%[value]), %%r14\n\t"
		     "movq %[value], %%xmm9\n\t"
		     "syscall\n\t"
		     "movq %%xmm9, %[vector]\n\t"
		     "movq %%r12, %[r12]\n\t"
		     "movq %%r13, %[r13]\n\t"
		     "movq %%r14, %[r14]\n\t"
		     : "+a" (nr), [r12] "=&m" (r12), [r13] "=&m" (r13), [r14] "=&m" (r14),
		       [vector] "=&m" (vector)
		     : "D" (&time), "S" (NULL), [value] "r" (value)
		     : "rcx", "r11", "r12", "r13", "r14", "xmm9", "memory");
	return r12 == value && r13 == value + 1 && r14 == value + 2 && vector == value;
}

/* Until the test wants more. The thread that speaks for the others wakes them. */
static void await(int nr, enum forest_phase phase)
{
	const struct forest_proc *proc = &plan->procs[me];
	const uint64_t value = proc->threads[nr].pick;
	unsigned int now;

	if (nr != proc->main && forest_thread_has(&proc->threads[nr], FOREST_FUTEX)) {
		while ((now = __atomic_load_n(&word, __ATOMIC_SEQ_CST)) < phase)
			syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, now, NULL);
		return;
	}
	while (told(phase) < (int)phase)
		forest_expect(nap_with(value));
	if (nr == proc->main) {
		__atomic_store_n(&word, phase, __ATOMIC_SEQ_CST);
		syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, FOREST_THREADS);
	}
}

/* All others of the process are as far. */
static void await_threads(int *counter)
{
	const struct forest_proc *proc = &plan->procs[me];

	while (__atomic_load_n(counter, __ATOMIC_SEQ_CST) < proc->nr_threads - proc->main - 1)
		nap();
}

/* A handler for the signals of children may interrupt it. */
static pid_t wait_for(pid_t pid, int *status, int flags)
{
	pid_t found;

	do {
		found = waitpid(pid, status, flags);
	} while (found < 0 && errno == EINTR);
	return found;
}

static __noreturn void be(int nr);

/* It has its place before the next one is made. */
static void make(int nr)
{
	const struct forest_proc *proc = &plan->procs[nr];
	unsigned long flags = SIGCHLD;
	int status;
	pid_t pid;

	if (forest_has(proc, FOREST_FILES))
		flags |= CLONE_FILES;
	if (forest_has(proc, FOREST_FS))
		flags |= CLONE_FS;
	/* The library makes others fit for threads. */
	pid = flags == SIGCHLD ? fork() : syscall(SYS_clone, flags, NULL, NULL, NULL, NULL);
	forest_expect(pid >= 0);
	if (!pid)
		be(nr);
	while (told(procs[nr].step) < FOREST_PLACED)
		nap();
	if (forest_has(proc, FOREST_GONE))
		forest_expect(wait_for(pid, &status, 0) == pid && !status);
}

static void make_all(bool of_thread)
{
	int i;

	for (i = me + 1; i < plan->nr; i++)
		if (plan->procs[i].maker == me &&
		    forest_has(&plan->procs[i], FOREST_OF_THREAD) == of_thread)
			make(i);
}

static int killer(int nr)
{
	static const int signals[] = { SIGTERM, SIGKILL, SIGHUP, SIGALRM };

	return signals[forest_pick(plan->procs[nr].pick, FOREST_KILLED, 4)];
}

static int status_of(int nr)
{
	if (!forest_has(&plan->procs[nr], FOREST_EXITED))
		return 0;
	return 1 + forest_pick(plan->procs[nr].pick, FOREST_EXITED, 255);
}

static __noreturn void end(void)
{
	if (forest_has(&plan->procs[me], FOREST_KILLED)) {
		signal(killer(me), SIG_DFL);
		kill(getpid(), killer(me));
	}
	_exit(status_of(me));
}

/* Which children one has, and that they are what they should be. */

static bool is_child(int nr)
{
	return plan->procs[nr].parent == me && !forest_has(&plan->procs[nr], FOREST_GONE);
}

static int stop_signal(int nr)
{
	return plan->procs[nr].stop_by_terminal ? SIGTSTP : SIGSTOP;
}

static void be_told(void)
{
	int i, status;

	for (i = 1; i < plan->nr; i++) {
		if (!is_child(i) || !forest_has(&plan->procs[i], FOREST_STOP_TOLD))
			continue;
		forest_expect(wait_for(told(procs[i].pid), &status, WUNTRACED) ==
			      told(procs[i].pid));
		forest_expect(WIFSTOPPED(status) && WSTOPSIG(status) == stop_signal(i));
	}
}

static void find_child(int nr)
{
	const struct forest_proc *proc = &plan->procs[nr];
	const pid_t pid = told(procs[nr].pid);
	siginfo_t info = { };

	/* Nobody is collected before all have looked. */
	forest_expect(!waitid(P_PID, pid, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT));
	if (forest_has(proc, FOREST_EXITED)) {
		forest_expect(info.si_pid == pid && info.si_code == CLD_EXITED);
		forest_expect(info.si_status == status_of(nr));
	} else if (forest_has(proc, FOREST_KILLED)) {
		forest_expect(info.si_pid == pid && info.si_code == CLD_KILLED);
		forest_expect(info.si_status == killer(nr));
	} else if (!forest_has(proc, FOREST_STOPPED) || forest_has(proc, FOREST_STOP_TOLD)) {
		forest_expect(!info.si_pid);
	} else if (!forest_has(&plan->procs[me], FOREST_STOPPED)) {
		forest_expect(info.si_pid == pid && info.si_code == CLD_STOPPED);
		forest_expect(info.si_status == stop_signal(nr));
	}
}

static void find_children(void)
{
	int i;

	for (i = 1; i < plan->nr; i++)
		if (is_child(i))
			find_child(i);
}

static void await_end_of_children(void)
{
	int i, status;

	for (i = 1; i < plan->nr; i++) {
		if (!is_child(i))
			continue;
		forest_expect(wait_for(told(procs[i].pid), &status, 0) == told(procs[i].pid));
		if (forest_has(&plan->procs[i], FOREST_KILLED))
			forest_expect(WIFSIGNALED(status) && WTERMSIG(status) == killer(i));
		else
			forest_expect(WIFEXITED(status) && WEXITSTATUS(status) == status_of(i));
	}
	forest_expect(wait_for(-1, &status, 0) < 0 && errno == ECHILD);
}

/* What can be seen from outside: that others have the same table, or not. */
static void leave_marks(int nr)
{
	const struct forest_thread *thread = &plan->procs[me].threads[nr];
	const int mark = FOREST_MARKS + forest_slot(me, nr);
	char path[sizeof(dir) + 16];

	forest_expect(dup2(FOREST_TOLD, mark) == mark);
	snprintf(path, sizeof(path), "%s/d%d", dir, thread->fs);
	forest_expect(!chdir(path));
	umask(forest_umask(thread->fs));
}

static void *be_thread(void *arg)
{
	const struct forest_proc *proc = &plan->procs[me];
	const int nr = (long)arg;

	local = proc->pick + nr;
	put(procs[me].tids[nr], syscall(SYS_gettid));
	if (nr == 1)
		make_all(true);
	if (nr < proc->main)
		syscall(SYS_exit, 7);
	if (nr == proc->main) {
		await_threads(&threads_ready);
		forest_make_signals(plan, me);
	}
	forest_make_thread(plan, me, nr);
	if (nr == proc->main)
		put(procs[me].step, FOREST_READY);
	else
		__atomic_fetch_add(&threads_ready, 1, __ATOMIC_SEQ_CST);

	if (nr == proc->main) {
		await(nr, FOREST_SETTLE);
		be_told();
		put(procs[me].step, FOREST_SETTLED);
	}
	await(nr, FOREST_FIND);

	forest_expect(local == (long)proc->pick + nr);
	forest_expect(syscall(SYS_gettid) == told(procs[me].tids[nr]));
	forest_find_thread(plan, me, nr);
	if (nr == proc->main) {
		find_children();
		forest_find_common(plan, me);
		forest_find_own(plan, me);
	}
	leave_marks(nr);
	if (nr != proc->main) {
		__atomic_fetch_add(&threads_found, 1, __ATOMIC_SEQ_CST);
		/* The others still look at us. */
		for (;;)
			pause();
	}
	await_threads(&threads_found);
	put(procs[me].step, FOREST_FOUND);

	await(nr, FOREST_END);
	forest_find_written(plan, me);
	await_end_of_children();
	_exit(0);
}

static void take_place(void)
{
	const struct forest_proc *proc = &plan->procs[me];

	if (forest_has(proc, FOREST_SESSION))
		forest_expect(setsid() == getpid());
	if (forest_has(proc, FOREST_GROUP))
		forest_expect(!setpgid(0, 0));
	if (forest_has(proc, FOREST_JOIN))
		forest_expect(!setpgid(0, told(procs[proc->group].pid)));
	if (forest_has(proc, FOREST_SUBREAPER))
		forest_expect(!prctl(PR_SET_CHILD_SUBREAPER, 1));
}

/* The parent that it is planned to have. */
static void await_parent(void)
{
	const int parent = plan->procs[me].parent;

	while (getppid() != (parent < 0 ? outside : told(procs[parent].pid)))
		nap();
}

static void be(int nr)
{
	const struct forest_proc *proc = &plan->procs[nr];
	pthread_t thread;
	long i;

	me = nr;
	/* It has none that are, whatever who made it has. */
	threads_ready = 0;
	put(procs[me].pid, getpid());
	take_place();
	forest_make_common(plan, me);
	put(procs[me].step, FOREST_PLACED);
	make_all(false);
	if (proc->ends)
		end();
	await_parent();
	forest_make_own(plan, me, dir);
	for (i = 1; i < proc->nr_threads; i++)
		forest_expect(!pthread_create(&thread, NULL, be_thread, (void *)i));
	be_thread(NULL);
	_exit(100);
}

void forest_live(const struct forest_plan *of, const char *in, pid_t parent)
{
	plan = of;
	outside = parent;
	snprintf(dir, sizeof(dir), "%s", in);
	forest_block();
	be(0);
}
