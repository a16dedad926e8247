// SPDX-License-Identifier: GPL-2.0
/* Who a process is, and what it may do, is what it was; nobody gives what he does not have. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest.h"
#include "ckpt_finding.h"

#define CAP(name) (1ULL << CAP_##name)

static void capabilities_of(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };

	expect(!syscall(SYS_capget, &head, data));
}

static int set_capabilities(unsigned long long permitted, unsigned long long inheritable)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[] = {
		{ .permitted = permitted, .inheritable = inheritable },
		{ .permitted = permitted >> 32, .inheritable = inheritable >> 32 },
	};

	data[0].effective = permitted & ~CAP(KILL);
	data[1].effective = permitted >> 32;
	return syscall(SYS_capset, &head, data);
}

/* Others than root find their way, too. */
static void open_dir(void)
{
	expect(!chmod(".", 0755));
}

static void users(void)
{
	const gid_t groups[] = { 5, 77, 1000000 };
	gid_t now[8];
	uid_t uid[3];
	gid_t gid[3];

	open_dir();
	expect(!setgroups(3, groups));
	expect(!setresgid(11, 12, 13) && !setresuid(1001, 0, 1003) && setfsuid(1004) == 0);
	be_saved();
	expect(!getresuid(&uid[0], &uid[1], &uid[2]));
	expect(uid[0] == 1001 && uid[1] == 0 && uid[2] == 1003);
	expect(setfsuid(-1) == 1004);
	expect(!getresgid(&gid[0], &gid[1], &gid[2]));
	expect(gid[0] == 11 && gid[1] == 12 && gid[2] == 13);
	expect(getgroups(8, now) == 3 && !memcmp(now, groups, sizeof(groups)));
	all_is_well();
}

/* Another user, without capabilities; what it says of dumps is not lost by that. */
static void unprivileged(void)
{
	struct __user_cap_data_struct data[2];

	open_dir();
	expect(!setresuid(1001, 1001, 1001));
	expect(!prctl(PR_SET_DUMPABLE, 1));
	be_saved();
	expect(getuid() == 1001 && geteuid() == 1001 && setuid(0) < 0 && errno == EPERM);
	capabilities_of(data);
	expect(!data[0].permitted && !data[1].permitted && !data[0].effective);
	expect(prctl(PR_GET_DUMPABLE) == 1);
	all_is_well();
}

static void capabilities(void)
{
	const unsigned long long some = CAP(KILL) | CAP(CHOWN) | CAP(SYS_PTRACE) |
					CAP(DAC_OVERRIDE) | CAP(SETPCAP);
	struct __user_cap_data_struct data[2];

	expect(!prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT));
	expect(!set_capabilities(some, CAP(CHOWN)));
	expect(!prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
	be_saved();
	capabilities_of(data);
	expect(data[0].permitted == (unsigned int)some && !data[1].permitted);
	expect(data[0].effective == (unsigned int)(some & ~CAP(KILL)));
	expect(data[0].inheritable == CAP(CHOWN));
	expect(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0) == 1);
	expect(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0) == 0);
	expect(prctl(PR_CAPBSET_READ, CAP_SYS_BOOT) == 0);
	expect(prctl(PR_CAPBSET_READ, CAP_SYS_TIME) == 1);
	all_is_well();
}

static void securebits(void)
{
	const int bits = SECBIT_KEEP_CAPS | SECBIT_NOROOT | SECBIT_NOROOT_LOCKED;

	expect(!prctl(PR_SET_SECUREBITS, bits));
	be_saved();
	expect(prctl(PR_GET_SECUREBITS) == bits);
	expect(prctl(PR_SET_SECUREBITS, 0) < 0);
	all_is_well();
}

static void no_new_privs(void)
{
	expect(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	be_saved();
	expect(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	all_is_well();
}

#define NO_SESSION	((unsigned int)-1)

/* What a file of a number in /proc says of the caller's thread. */
static unsigned int number(const char *file)
{
	char path[64], text[16];
	int fd, len;

	snprintf(path, sizeof(path), "/proc/thread-self/%s", file);
	fd = open(path, O_RDONLY);
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	expect(len > 0);
	text[len] = '\0';
	return strtoul(text, NULL, 10);
}

static void log_in(const char *user)
{
	int fd = open("/proc/thread-self/loginuid", O_WRONLY);

	expect(write(fd, user, strlen(user)) == strlen(user));
	close(fd);
}

/* Another user has logged in for a thread than for the others. */
static void *of_another(void *arg)
{
	log_in("2002");
	__atomic_store_n((int *)arg, 1, __ATOMIC_SEQ_CST);
	wait_for_go();
	expect(number("loginuid") == 2002);
	return NULL;
}

/*
 * A user who has logged in, in one session with what it has started; the session itself is a new
 * one.
 */
static void login(void)
{
	unsigned int session;
	pthread_t thread;
	int there = 0;
	pid_t child;

	log_in("1001");
	expect(!pthread_create(&thread, NULL, of_another, &there));
	/* Not before its file of /proc is closed, which a child would have open for ever. */
	while (!__atomic_load_n(&there, __ATOMIC_SEQ_CST))
		usleep(1000);
	child = fork();
	expect(child >= 0);
	if (!child) {
		wait_for_go();
		expect(number("loginuid") == 1001);
		ckpt_tell(2, number("sessionid"));
		_exit(0);
	}
	be_saved();
	session = number("sessionid");
	expect(number("loginuid") == 1001 && session != NO_SESSION);
	expect(told_by_child(2) == session);
	ended_well(child);
	expect(!pthread_join(thread, NULL));
	all_is_well();
}

static int go;

/* A thread may be somebody else than the others. */
static void *other(void *arg)
{
	expect(!syscall(SYS_setresuid, 2002, 2002, 2002));
	__atomic_store_n(&go, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&go, __ATOMIC_SEQ_CST) == 1)
		usleep(1000);
	expect(syscall(SYS_getuid) == 2002);
	return NULL;
}

static void threads(void)
{
	pthread_t thread;

	expect(!pthread_create(&thread, NULL, other, NULL));
	while (!__atomic_load_n(&go, __ATOMIC_SEQ_CST))
		usleep(1000);
	be_saved();
	expect(syscall(SYS_getuid) == 0);
	__atomic_store_n(&go, 2, __ATOMIC_SEQ_CST);
	expect(!pthread_join(thread, NULL));
	all_is_well();
}

#define T(f) { f, check_finding, "test_" #f }
#define S(f) { f, check_snapshot, "test_" #f "_snapshot" }
static const struct ckpt_test tests[] = {
	T(capabilities), S(capabilities),
	T(login), S(login),
	T(no_new_privs), S(no_new_privs),
	T(securebits), S(securebits),
	T(threads), S(threads),
	T(unprivileged), S(unprivileged),
	T(users), S(users),
};

#undef S
#undef T

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
