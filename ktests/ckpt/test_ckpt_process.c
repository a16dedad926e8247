// SPDX-License-Identifier: GPL-2.0
/* Processes are saved, ended, and restored; what they are is what they were. */
#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "ckpt_finding.h"

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

/* What is open by its path only, and directories. */
static void paths(void)
{
	char text[16] = "";
	struct stat st;
	int file, dir, link;

	expect(!close(open("file", O_WRONLY | O_CREAT, 0600)) && !symlink("file", "link"));
	file = open("file", O_PATH);
	dir = open(".", O_RDONLY | O_DIRECTORY);
	link = open("link", O_PATH | O_NOFOLLOW);
	expect(file == 4 && dir == 5 && link == 6);

	be_saved();

	expect(read(file, text, 1) < 0 && errno == EBADF);
	expect(fcntl(file, F_GETFL) & O_PATH && !(fcntl(dir, F_GETFL) & O_PATH));
	expect(!fstat(file, &st) && S_ISREG(st.st_mode));
	expect(!fstatat(dir, "file", &st, 0) && S_ISREG(st.st_mode));
	expect(readlinkat(link, "", text, sizeof(text)) == 4 && !strcmp(text, "file"));
	all_is_well();
}

/* Devices without a state. */
static void devices(void)
{
	static const char *const name[] = { "null", "zero", "full", "random", "urandom" };
	char path[32], text[] = "text";
	size_t i;

	for (i = 0; i < ARRAY_SIZE(name); i++) {
		snprintf(path, sizeof(path), "/dev/%s", name[i]);
		expect(open(path, O_RDWR) == (int)i + 4);
	}

	be_saved();

	expect(!read(4, text, 4) && write(4, text, 4) == 4);
	expect(read(5, text, 4) == 4 && !text[0] && !text[3]);
	expect(write(6, text, 4) < 0 && errno == ENOSPC);
	expect(read(7, text, 1) == 1 && read(8, text, 1) == 1);
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
	/* The flag says nothing here, and is allowed. */
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack), .ss_flags = SS_ONSTACK }, was;
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

/* What it has already may be more. */
static void limits(void)
{
	struct rlimit files = { .rlim_cur = 10, .rlim_max = 20 }, memory = { 4096, 8192 };

	expect(dup2(3, 90) == 90);
	expect(!setrlimit(RLIMIT_NOFILE, &files) && !setrlimit(RLIMIT_AS, &memory));
	be_saved();
	memset(&files, 0, sizeof(files));
	memset(&memory, 0, sizeof(memory));
	expect(!getrlimit(RLIMIT_NOFILE, &files) && !getrlimit(RLIMIT_AS, &memory));
	expect(files.rlim_cur == 10 && files.rlim_max == 20);
	expect(memory.rlim_cur == 4096 && memory.rlim_max == 8192);
	expect(fcntl(90, F_GETFD) == 0 && dup2(3, 91) < 0 && errno == EBADF);
	all_is_well();
}

static inline void load_ymm6(const uint64_t *from)
{
	asm volatile("vmovdqu %0, %%ymm6" : : "m" (*(const char (*)[32])from));
}

static inline void store_ymm6(uint64_t *to)
{
	asm volatile("vmovdqu %%ymm6, %0" : "=m" (*(char (*)[32])to));
}

/* All registers in a loop, with no system call while it is saved. */
static void registers(void)
{
	register uint64_t r12 asm("r12") = 0x1212121212121212;
	register uint64_t r15 asm("r15") = 0x1515151515151515;
	static volatile int stop;
	uint64_t xmm = 0x0123456789abcdef, out, gs = 0;
	uint64_t ymm[4] = { 1, 2, 3, 4 }, high[4] = { };
	bool avx = __builtin_cpu_supports("avx");
	volatile long *told;
	long spins = 0;

	/* What is told through memory needs no call, so that the test waits for the loop. */
	ckpt_tell(0, 0);
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0);
	expect(told != MAP_FAILED);
	expect(!syscall(SYS_arch_prctl, ARCH_SET_GS, 0x123456789000));
	if (avx)
		load_ymm6(ymm);
	asm volatile("movq %0, %%xmm7" : : "r" (xmm));
	*told = READY;
	while (!stop && ++spins < 300000000L)
		asm volatile("" : "+r" (r12), "+r" (r15) : : );
	asm volatile("movq %%xmm7, %0" : "=r" (out));
	if (avx)
		store_ymm6(high);
	expect(r12 == 0x1212121212121212 && r15 == 0x1515151515151515);
	expect(out == xmm && (!avx || !memcmp(ymm, high, sizeof(ymm))));
	expect(!syscall(SYS_arch_prctl, ARCH_GET_GS, &gs) && gs == 0x123456789000);
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

/* Tell what the clocks say, over and over. */
static void clocks(void)
{
	struct timespec mono, boot;

	for (;;) {
		clock_gettime(CLOCK_MONOTONIC, &mono);
		clock_gettime(CLOCK_BOOTTIME, &boot);
		ckpt_tell(0, mono.tv_sec * 1000000000 + mono.tv_nsec);
		ckpt_tell(1, boot.tv_sec * 1000000000 + boot.tv_nsec);
		usleep(1000);
	}
}

static long long nanoseconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* Clocks go on where they were: they have not seen the time between. */
static int test_clocks(struct ckpt_subject *subject)
{
	const long between = 1000000000;
	char image[PATH_MAX];
	long mono, boot;
	int session, ret = KSFT_FAIL;

	if (ckpt_await(subject, 1, 1) < 0)
		return KSFT_FAIL;
	session = ckpt_open();
	snprintf(image, sizeof(image), "%s/image", subject->dir);
	if (ckpt_suspend(session, subject) || ckpt_dump(session, image) ||
	    ckpt_kill(session))
		goto out;
	ckpt_bury();
	mono = ckpt_told(subject, 0);
	boot = ckpt_told(subject, 1);
	usleep(between / 1000);
	if (ckpt_restore(session, subject, image) || ckpt_resume(session))
		goto out;
	/* Both are later than before, and behind those of the machine by what was between. */
	if (ckpt_await(subject, 0, mono + 1) < 0 || ckpt_await(subject, 1, boot + 1) < 0)
		goto out;
	mono = ckpt_told(subject, 0);
	boot = ckpt_told(subject, 1);
	if (unmet(nanoseconds(CLOCK_MONOTONIC) - mono >= between) ||
	    unmet(nanoseconds(CLOCK_BOOTTIME) - boot >= between))
		goto out;
	ret = KSFT_PASS;
out:
	close(session);
	return ret;
}

static void family(void)
{
	pid_t parent = getpid(), child;
	int status;

	child = fork();
	expect(child >= 0);
	if (!child) {
		wait_for_go();
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
	{ clocks, test_clocks, "test_clocks" },
	T(devices),
	T(family),
	T(files),
	T(ids),
	T(limits),
	T(paths),
	T(registers),
	T(signals),
	T(sleeps),
};

#undef T

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
