// SPDX-License-Identifier: GPL-2.0
/* Who may not is told so, and nothing happens. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/ckpt.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
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

/* Keep these capabilities only. */
static int keep(unsigned long long caps)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[] = {
		{ .effective = caps, .permitted = caps },
		{ .effective = caps >> 32, .permitted = caps >> 32 },
	};

	return syscall(SYS_capset, &head, data);
}

#define CAP(name) (1ULL << CAP_##name)

/* Run @fn in a process of its own; returns what it returns: a positive error number, or 0. */
static int in_child(int (*fn)(struct ckpt_subject *subject), struct ckpt_subject *subject)
{
	pid_t child = fork();
	int status;

	if (!child)
		_exit(fn(subject));
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static char image[PATH_MAX];

/* Returns a positive error number, or 0. */
static int restore(struct ckpt_subject *subject, int session)
{
	struct ckpt_restore args = { };
	int ret;

	args.image = open(image, O_RDONLY | O_CLOEXEC);
	args.cgroup = open(subject->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = ioctl(session, CKPT_RESTORE, &args) ? errno : 0;
	close(args.cgroup);
	close(args.image);
	return ret;
}

/* Saves the subject, and ends it. */
static int save(struct ckpt_subject *subject)
{
	int session, ret;

	if (ckpt_await(subject, 0, 5) < 0)
		return -1;
	session = ckpt_open();
	snprintf(image, sizeof(image), "%s/image", subject->dir);
	ret = ckpt_suspend(session, subject) ?: ckpt_dump(session, image) ?: ckpt_kill(session);
	close(session);
	ckpt_bury();
	return ret;
}

static int opens_without(struct ckpt_subject *subject)
{
	return keep(~(CAP(CHECKPOINT_RESTORE) | CAP(SYS_ADMIN)) & ((1ULL << 41) - 1)) ?
		99 : -ckpt_open();
}

/* Without CAP_CHECKPOINT_RESTORE there is no session. */
static int test_no_capability(struct ckpt_subject *subject)
{
	return differs(in_child(opens_without, subject), EPERM) ? KSFT_FAIL : KSFT_PASS;
}

/* The capability, but nothing else that root has. */
static bool is_other_user(void)
{
	return !prctl(PR_SET_KEEPCAPS, 1) && !setresuid(1234, 1234, 1234) &&
	       !keep(CAP(CHECKPOINT_RESTORE));
}

static int looks_at_others(struct ckpt_subject *subject)
{
	int session = ckpt_open(), ret;

	if (!is_other_user())
		return 99;
	ret = -ckpt_check(session, subject);
	return ckpt_explains(session, ": no right to see all of it") ? ret : 97;
}

static int stops_others(struct ckpt_subject *subject)
{
	int session = ckpt_open();

	return is_other_user() ? -ckpt_suspend(session, subject) : 99;
}

static int copies_others(struct ckpt_subject *subject)
{
	int session = ckpt_open();

	return is_other_user() ? -ckpt_snapshot(session, subject) : 99;
}

static int test_other_user(struct ckpt_subject *subject)
{
	long before;

	if (ckpt_await(subject, 0, 5) < 0 ||
	    differs(in_child(looks_at_others, subject), EPERM) ||
	    differs(in_child(stops_others, subject), EPERM) ||
	    differs(in_child(copies_others, subject), EPERM))
		return KSFT_FAIL;
	before = ckpt_told(subject, 0);
	return ckpt_await(subject, 0, before + 5) < 0 ? KSFT_FAIL : KSFT_PASS;
}

static int restores_without(struct ckpt_subject *subject)
{
	int session = ckpt_open();

	return keep(CAP(CHECKPOINT_RESTORE)) ? 99 : restore(subject, session);
}

/* To dump is not enough to restore. */
static int test_restore_capability(struct ckpt_subject *subject)
{
	if (save(subject) || differs(in_child(restores_without, subject), EPERM))
		return KSFT_FAIL;
	return KSFT_PASS;
}

static int restores_confined(struct ckpt_subject *subject)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog filter = { .len = 1, .filter = &allow };
	int session = ckpt_open(), ret;

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter))
		return 99;
	ret = restore(subject, session);
	return ckpt_explains(session, "the caller is confined by seccomp") ? ret : 97;
}

/* New tasks would have the filter of the caller. */
static int test_seccomp(struct ckpt_subject *subject)
{
	if (save(subject) || differs(in_child(restores_confined, subject), EPERM))
		return KSFT_FAIL;
	return KSFT_PASS;
}

static int restores_bound(struct ckpt_subject *subject)
{
	int session = ckpt_open();

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? 99 : restore(subject, session);
}

/* And that they can gain no privileges. */
static int test_no_new_privs(struct ckpt_subject *subject)
{
	if (save(subject) || differs(in_child(restores_bound, subject), EPERM))
		return KSFT_FAIL;
	return KSFT_PASS;
}

#define NOBODY	((unsigned int)-1)

/* Who had logged in to start the subject. */
static unsigned int login_of(struct ckpt_subject *subject)
{
	char path[64];
	unsigned int user = 0;
	FILE *file;
	int pid;

	if (cg_read(subject->cgroup, "cgroup.procs", path, sizeof(path)) ||
	    sscanf(path, "%d", &pid) != 1)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/loginuid", pid);
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (fscanf(file, "%u", &user) != 1)
		user = 0;
	fclose(file);
	return user;
}

static int log_in(void)
{
	int file = open("/proc/self/loginuid", O_WRONLY);

	return write(file, "1000", 4) != 4;
}

static int restores_logged_in(struct ckpt_subject *subject)
{
	int session = ckpt_open(), ret;

	if (log_in())
		return 99;
	ret = restore(subject, session);
	return ret || login_of(subject) == NOBODY ? ret : 97;
}

static int restores_without_audit(struct ckpt_subject *subject)
{
	int session = ckpt_open();

	if (log_in() || keep(~CAP(AUDIT_CONTROL) & ((1ULL << 41) - 1)))
		return 99;
	return restore(subject, session);
}

/* Nobody had logged in to start it, but somebody did to restore it, which takes a right. */
static int test_login(struct ckpt_subject *subject)
{
	if (save(subject) || differs(in_child(restores_without_audit, subject), EPERM) ||
	    differs(in_child(restores_logged_in, subject), 0))
		return KSFT_FAIL;
	return KSFT_PASS;
}

static int restores_in_domain(struct ckpt_subject *subject)
{
	int session = ckpt_open(), file = open(image, O_RDONLY), ret;
	struct ckpt_restore args = { .image = file };

	args.cgroup = open(subject->cgroup, O_RDONLY | O_DIRECTORY);
	if (ckpt_enter_domain())
		return 99;
	ret = ioctl(session, CKPT_RESTORE, &args) ? errno : 0;
	return ckpt_explains(session, "confined by Landlock") ? ret : 97;
}

static int checks_in_domain(struct ckpt_subject *subject)
{
	int session = ckpt_open();

	return ckpt_enter_domain() ? 99 : -ckpt_check(session, subject);
}

/* Who is in a domain neither sees who is outside, nor makes processes that are in it too. */
static int test_landlock(struct ckpt_subject *subject)
{
	if (!ckpt_has_landlock())
		return ckpt_skip("Landlock isn't enabled");
	if (ckpt_await(subject, 0, 5) < 0 ||
	    differs(in_child(checks_in_domain, subject), EPERM) || save(subject) ||
	    differs(in_child(restores_in_domain, subject), EPERM))
		return KSFT_FAIL;
	return KSFT_PASS;
}

#define T(f) { count, f, #f }
static const struct ckpt_test tests[] = {
	T(test_landlock),
	T(test_login),
	T(test_no_capability),
	T(test_no_new_privs),
	T(test_other_user),
	T(test_restore_capability),
	T(test_seccomp),
};

#undef T

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
