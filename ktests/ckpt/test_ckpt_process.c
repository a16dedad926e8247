// SPDX-License-Identifier: GPL-2.0
/* Processes are saved, ended, and restored; what they are is what they were. */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "ckpt_util.h"

/*
 * Number 0 says how far the subject is: 1 when it may be saved. What it finds
 * afterwards it tells in number 1: 1 if all is as it was, else a line.
 */
#define READY	1
#define expect(condition) \
	do { \
		if (!(condition)) { \
			ckpt_tell(1, -__LINE__); \
			_exit(1); \
		} \
	} while (0)

/* Wait until the test has restored us: a file appears. */
static void be_saved_until(const char *go)
{
	ckpt_tell(0, READY);
	while (access(go, F_OK))
		usleep(1000);
}

static void be_saved(void)
{
	be_saved_until("go");
}

static void all_is_well(void)
{
	ckpt_tell(1, 1);
	_exit(0);
}

/* Saves the subject when it is ready, and looks at what it finds. */
static int check_finding(struct ckpt_subject *subject)
{
	char path[PATH_MAX];
	long found = 0;
	int fd, i;

	if (ckpt_await(subject, 0, READY) < 0 || ckpt_cycle(subject))
		return KSFT_FAIL;
	snprintf(path, sizeof(path), "%s/go", subject->dir);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close(fd);
	for (i = 0; i < CKPT_POLL_TIMES; i++) {
		found = ckpt_told(subject, 1);
		if (found)
			break;
		usleep(CKPT_POLL_USEC);
	}
	if (found < 0)
		ksft_print_msg("not so in line %ld\n", -found);
	return found == 1 ? KSFT_PASS : KSFT_FAIL;
}

/* Count in memory, and tell how far. */
static void count(void)
{
	long n;

	for (n = 1000; ; n++) {
		ckpt_tell(0, n);
		usleep(1000);
	}
}

/* It goes on where it was, with its number. */
static int test_counts(struct ckpt_subject *subject)
{
	long before, after;

	if (ckpt_await(subject, 0, 1010) < 0 || ckpt_cycle(subject))
		return KSFT_FAIL;
	before = ckpt_told(subject, 0);
	after = ckpt_await(subject, 0, before + 10);
	return after < 0 ? KSFT_FAIL : KSFT_PASS;
}

/* What is saved twice, from what was restored, is the same again. */
static int test_counts_again(struct ckpt_subject *subject)
{
	int i;

	for (i = 0; i < 3; i++)
		if (test_counts(subject))
			return KSFT_FAIL;
	return KSFT_PASS;
}

static void ids(void)
{
	pid_t pid = getpid();
	char name[16];

	expect(!prctl(PR_SET_NAME, "a subject") && !prctl(PR_SET_TIMERSLACK, 12345));
	be_saved();
	expect(getpid() == pid && getsid(0) == pid && getpgrp() == pid);
	expect(!prctl(PR_GET_NAME, name) && !strcmp(name, "a subject"));
	expect(prctl(PR_GET_TIMERSLACK) == 12345);
	all_is_well();
}

#define PAGES	600

/* Private and shared memory, of nothing and of a file, with and without holes. */
static void memory(void)
{
	const int prot = PROT_READ | PROT_WRITE;
	long page = sysconf(_SC_PAGESIZE), i;
	char *anon, *shared, *of_file, *hidden, *heap;
	int fd = open("file", O_RDWR | O_CREAT, 0600);

	anon = mmap(NULL, PAGES * page, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shared = mmap(NULL, PAGES * page, prot, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	hidden = mmap(NULL, page, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	expect(!ftruncate(fd, 4 * page));
	of_file = mmap(NULL, 4 * page, prot, MAP_PRIVATE, fd, 0);
	heap = sbrk(3 * page);
	expect(anon != MAP_FAILED && shared != MAP_FAILED && of_file != MAP_FAILED);
	for (i = 0; i < PAGES; i += 3) {
		anon[i * page] = i;
		shared[i * page + 1] = i + 1;
	}
	of_file[page] = 'p';
	heap[page] = 'h';
	strcpy(hidden, "hidden");
	expect(!mprotect(hidden, page, PROT_NONE));

	be_saved();

	for (i = 0; i < PAGES; i++) {
		expect(anon[i * page] == (i % 3 ? 0 : (char)i));
		expect(shared[i * page + 1] == (i % 3 ? 0 : (char)(i + 1)));
	}
	expect(of_file[page] == 'p' && !of_file[0] && heap[page] == 'h');
	expect(sbrk(0) == heap + 3 * page);
	expect(!mprotect(hidden, page, PROT_READ) && !strcmp(hidden, "hidden"));
	/* Private stays private. */
	expect(!pread(fd, anon, 1, page + 1) || !*anon);
	all_is_well();
}

static void files(void)
{
	int fd = open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int end = open("file", O_WRONLY | O_APPEND);
	int twin = dup2(fd, 77);
	struct stat st;
	char text[8] = "";

	expect(write(fd, "0123456789", 10) == 10 && lseek(fd, 3, SEEK_SET) == 3);
	expect(!mkdir("dir", 0700) && !chdir("dir"));
	umask(0123);

	be_saved_until("../go");

	expect(read(fd, text, 2) == 2 && !strcmp(text, "34"));
	/* One file, two descriptors. */
	expect(read(twin, text, 2) == 2 && !strcmp(text, "56"));
	expect(fcntl(fd, F_GETFD) == FD_CLOEXEC && !fcntl(twin, F_GETFD));
	expect(write(end, "x", 1) == 1 && lseek(end, 0, SEEK_CUR) == 11);
	expect(!stat("../file", &st) && st.st_size == 11);
	expect(umask(0) == 0123);
	expect(fcntl(3, F_GETFD) >= 0 && fcntl(78, F_GETFD) < 0);
	all_is_well();
}

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	caught = sig;
}

static void signals(void)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART }, old;
	static char stack[64 * 1024];
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) }, was;
	sigset_t set, mask;

	sigemptyset(&act.sa_mask);
	sigaddset(&act.sa_mask, SIGHUP);
	expect(!sigaction(SIGUSR1, &act, NULL) && signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	expect(!sigprocmask(SIG_BLOCK, &set, NULL) && !sigaltstack(&ss, NULL));

	be_saved();

	expect(!sigprocmask(SIG_BLOCK, NULL, &mask));
	expect(sigismember(&mask, SIGUSR2) && !sigismember(&mask, SIGUSR1));
	expect(!sigaction(SIGUSR1, NULL, &old) && old.sa_handler == on_signal);
	expect(old.sa_flags & SA_RESTART && sigismember(&old.sa_mask, SIGHUP));
	expect(!sigaction(SIGPIPE, NULL, &old) && old.sa_handler == SIG_IGN);
	expect(!sigaltstack(NULL, &was) && was.ss_sp == stack);
	expect(was.ss_size == sizeof(stack));
	expect(!raise(SIGUSR1) && caught == SIGUSR1);
	all_is_well();
}

static void limits(void)
{
	struct rlimit limit = { .rlim_cur = 100, .rlim_max = 200 };

	expect(!setrlimit(RLIMIT_NOFILE, &limit));
	be_saved();
	memset(&limit, 0, sizeof(limit));
	expect(!getrlimit(RLIMIT_NOFILE, &limit));
	expect(limit.rlim_cur == 100 && limit.rlim_max == 200);
	all_is_well();
}

/* All registers in a loop, with no system call while it is saved. */
static void registers(void)
{
	register uint64_t r12 asm("r12") = 0x1212121212121212;
	register uint64_t r15 asm("r15") = 0x1515151515151515;
	static volatile int stop;
	uint64_t xmm = 0x0123456789abcdef, out;
	volatile long *told;
	long spins = 0;

	/* What is told through memory needs no call, so that the test waits for the loop. */
	ckpt_tell(0, 0);
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0);
	expect(told != MAP_FAILED);
	asm volatile("movq %0, %%xmm7" : : "r" (xmm));
	*told = READY;
	while (!stop && ++spins < 300000000L)
		asm volatile("" : "+r" (r12), "+r" (r15) : : );
	asm volatile("movq %%xmm7, %0" : "=r" (out));
	expect(r12 == 0x1212121212121212 && r15 == 0x1515151515151515);
	expect(out == xmm);
	all_is_well();
}

/* A sleep that was interrupted goes on with what remained, and without an error. */
static void sleeps(void)
{
	struct timespec time = { .tv_sec = 3 }, left = { };

	ckpt_tell(0, READY);
	expect(!nanosleep(&time, &left));
	all_is_well();
}

static void family(void)
{
	pid_t parent = getpid(), child;
	int status;

	child = fork();
	expect(child >= 0);
	if (!child) {
		while (access("go", F_OK))
			usleep(1000);
		_exit(getppid() == parent && getsid(0) == parent ? 42 : 1);
	}
	be_saved();
	expect(waitpid(child, &status, 0) == child);
	expect(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	all_is_well();
}

#define T(f) { f, check_finding, "test_" #f }
static const struct ckpt_test tests[] = {
	{ count, test_counts, "test_counts" },
	{ count, test_counts_again, "test_counts_again" },
	T(family),
	T(files),
	T(ids),
	T(limits),
	T(memory),
	T(registers),
	T(signals),
	T(sleeps),
};

#undef T

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
