// SPDX-License-Identifier: GPL-2.0
/*
 * What the tests of /dev/ckpt share: subjects, which are saved and restored,
 * and the verbs.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ckpt.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "ckpt_util.h"

#define BUFFER	(256 * 1024)

const void *ckpt_arg;
static const char *skip_reason;
static char root[PATH_MAX];
static int numbers = -1;

bool ckpt_differs(long got, long want, const char *what, const char *file,
		  int line)
{
	if (got == want)
		return false;

	ksft_print_msg("%s:%d: %s is %ld, not %ld\n", file, line, what, got,
		       want);
	return true;
}

int ckpt_skip(const char *reason)
{
	skip_reason = reason;
	return KSFT_SKIP;
}

/* Domains of Landlock, and filters of seccomp. */

bool ckpt_has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

/* Enter one that may open no file. */
int ckpt_enter_domain(void)
{
	struct landlock_ruleset_attr attr = {
		.handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE |
				     LANDLOCK_ACCESS_FS_WRITE_FILE,
	};
	int rules = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0), ret;

	if (rules < 0)
		return -1;
	ret = syscall(SYS_landlock_restrict_self, rules, 0);
	close(rules);
	return ret;
}

int ckpt_forbid(int nr, int error, unsigned int flags)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = ARRAY_SIZE(insns), .filter = insns };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
}

/* Numbers: a file that the subject has open, and the test opens each time. */

void ckpt_tell(int at, long value)
{
	if (pwrite(numbers, &value, sizeof(value), at * sizeof(value)) !=
	    sizeof(value))
		_exit(100);
}

long ckpt_told(struct ckpt_subject *subject, int at)
{
	char path[PATH_MAX];
	long value = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/numbers", subject->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return LONG_MIN;
	if (pread(fd, &value, sizeof(value), at * sizeof(value)) < 0)
		value = LONG_MIN;
	close(fd);
	return value;
}

/* Say what the subject does instead of what is waited for. */
static void tell_state(struct ckpt_subject *subject)
{
	char path[64], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/syscall", subject->pid);
	file = fopen(path, "r");
	if (!file || !fgets(line, sizeof(line), file))
		snprintf(line, sizeof(line), "gone\n");
	if (file)
		fclose(file);
	ksft_print_msg("the subject: %s", line);
}

long ckpt_await(struct ckpt_subject *subject, int at, long least)
{
	long value = 0;
	int i;

	for (i = 0; i < CKPT_POLL_TIMES; i++) {
		value = ckpt_told(subject, at);
		if (value >= least)
			return value;
		usleep(CKPT_POLL_USEC);
	}
	ksft_print_msg("number %d stays %ld, below %ld\n", at, value, least);
	tell_state(subject);
	return LONG_MIN;
}

/* Subjects */

static void serve(struct ckpt_subject *subject, ckpt_fn fn)
{
	char path[PATH_MAX];
	int null, fd;

	prctl(PR_SET_PDEATHSIG, 0);
	if (setsid() < 0 || cg_enter_current(subject->cgroup))
		_exit(101);
	null = open("/dev/null", O_RDWR);
	for (fd = 0; fd < 3; fd++)
		dup2(null, fd);
	close_range(3, ~0U, 0);
	snprintf(path, sizeof(path), "%s/numbers", subject->dir);
	numbers = open(path, O_RDWR | O_CREAT, 0600);
	if (numbers < 0 || chdir(subject->dir))
		_exit(102);
	fn();
	_exit(103);
}

static int begin(struct ckpt_subject *subject, ckpt_fn fn, bool init)
{
	memset(subject, 0, sizeof(*subject));
	subject->init = init;
	strcpy(subject->dir, "/tmp/ckpt_XXXXXX");
	if (!mkdtemp(subject->dir))
		return -errno;
	subject->cgroup = cg_name(root, "ckpt_subject");
	if (!subject->cgroup)
		return -ENOMEM;
	rmdir(subject->cgroup);
	if (cg_create(subject->cgroup))
		return -errno;
	subject->pid = syscall(SYS_clone, SIGCHLD | (init ? CLONE_NEWPID : 0), 0, 0, 0, 0);
	if (!subject->pid)
		serve(subject, fn);
	return subject->pid < 0 ? -errno : 0;
}

static int end(struct ckpt_subject *subject, int ret)
{
	char command[PATH_MAX];
	int i;

	for (i = 0; subject->cgroup && rmdir(subject->cgroup) && errno != ENOENT; i++) {
		if (i == CKPT_POLL_TIMES) {
			ksft_print_msg("cannot remove %s\n", subject->cgroup);
			ret = KSFT_FAIL;
			break;
		}
		cg_killall(subject->cgroup);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		usleep(CKPT_POLL_USEC);
	}
	free(subject->cgroup);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	snprintf(command, sizeof(command), "rm -rf %s", subject->dir);
	if (subject->dir[0] && system(command))
		ret = KSFT_FAIL;
	return ret;
}

/* Verbs */

static int fail(int session, const char *verb)
{
	char text[4096];
	struct ckpt_why why = {
		.text = (unsigned long)text,
		.size = sizeof(text) - 1,
	};
	int err = errno;
	char *line, *state;

	ksft_print_msg("%s: %s\n", verb, strerror(err));
	if (!ioctl(session, CKPT_WHY, &why)) {
		text[why.length < why.size ? why.length : why.size] = '\0';
		for (line = strtok_r(text, "\n", &state); line;
		     line = strtok_r(NULL, "\n", &state))
			ksft_print_msg("  %s\n", line);
	}
	return -err;
}

int ckpt_open(void)
{
	int session = open("/dev/ckpt", O_RDWR | O_CLOEXEC);

	return session < 0 ? -errno : session;
}

int ckpt_check(int session, struct ckpt_subject *subject)
{
	int cgroup = open(subject->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = ioctl(session, CKPT_CHECK, cgroup) ? -errno : 0;

	close(cgroup);
	return ret;
}

/* Is it in the explanation of the last call? */
bool ckpt_explains(int session, const char *text)
{
	char said[4096];
	struct ckpt_why why = {
		.text = (unsigned long)said,
		.size = sizeof(said) - 1,
	};

	if (ioctl(session, CKPT_WHY, &why) || why.length > why.size)
		return false;
	said[why.length] = '\0';
	if (strstr(said, text))
		return true;
	ksft_print_msg("`%s' is not in: %s\n", text, said);
	return false;
}

static int stop(int session, struct ckpt_subject *subject, unsigned long verb,
		const char *name)
{
	struct ckpt_suspend args = { .timeout = 10000 };
	int ret;

	args.cgroup = open(subject->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = ioctl(session, verb, &args) ? fail(session, name) : 0;
	close(args.cgroup);
	return ret;
}

int ckpt_suspend(int session, struct ckpt_subject *subject)
{
	return stop(session, subject, CKPT_SUSPEND, "suspend");
}

int ckpt_snapshot(int session, struct ckpt_subject *subject)
{
	return stop(session, subject, CKPT_SNAPSHOT, "snapshot");
}

/* Read the image into a file. */
int ckpt_keep(int session, const char *image)
{
	static char buffer[BUFFER];
	ssize_t len;
	int fd, ret = 0;

	fd = open(image, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	while ((len = read(session, buffer, sizeof(buffer))) > 0) {
		if (write(fd, buffer, len) != len) {
			ret = -EIO;
			break;
		}
	}
	if (len < 0)
		ret = fail(session, "read");
	close(fd);
	return ret;
}

int ckpt_dump(int session, const char *image)
{
	if (ioctl(session, CKPT_DUMP))
		return fail(session, "dump");
	return ckpt_keep(session, image);
}

int ckpt_resume(int session)
{
	return ioctl(session, CKPT_RESUME) ? fail(session, "resume") : 0;
}

int ckpt_kill(int session)
{
	return ioctl(session, CKPT_KILL) ? fail(session, "kill") : 0;
}

void ckpt_bury(void)
{
	while (waitpid(-1, NULL, 0) > 0)
		;
}

int ckpt_restore(int session, struct ckpt_subject *subject, const char *image)
{
	struct ckpt_restore args = { };
	int ret = 0;

	args.image = open(image, O_RDONLY | O_CLOEXEC);
	args.cgroup = open(subject->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ioctl(session, CKPT_RESTORE, &args))
		ret = fail(session, "restore");
	else if (subject->init)
		/* Only its own namespace has the number of before. */
		subject->pid = args.pid;
	else if (differs(args.pid, subject->pid))
		ret = -ESRCH;
	close(args.cgroup);
	close(args.image);
	return ret;
}

static int cycle(struct ckpt_subject *subject, bool snapshot)
{
	char image[PATH_MAX];
	int session, ret;

	session = ckpt_open();
	if (session < 0) {
		ksft_perror("/dev/ckpt");
		return session;
	}
	snprintf(image, sizeof(image), "%s/image", subject->dir);
	if (snapshot)
		ret = ckpt_snapshot(session, subject) ?: ckpt_keep(session, image) ?:
		      ckpt_suspend(session, subject);
	else
		ret = ckpt_suspend(session, subject) ?: ckpt_dump(session, image);
	ret = ret ?: ckpt_kill(session);
	if (!ret)
		ckpt_bury();
	ret = ret ?: ckpt_restore(session, subject, image) ?: ckpt_resume(session);
	close(session);
	return ret;
}

int ckpt_cycle(struct ckpt_subject *subject)
{
	return cycle(subject, false);
}

int ckpt_cycle_snapshot(struct ckpt_subject *subject)
{
	return cycle(subject, true);
}

int ckpt_main(const struct ckpt_test *tests, size_t nr)
{
	size_t i;

	ksft_print_header();
	if (geteuid())
		ksft_exit_skip("the tests need root\n");
	if (cg_find_unified_root(root, sizeof(root), NULL))
		ksft_exit_skip("cgroup v2 isn't mounted\n");
	if (access("/dev/ckpt", F_OK))
		ksft_exit_skip("there is no /dev/ckpt\n");

	/* The children of subjects come here, so that they are buried. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);

	ksft_set_plan(nr);
	for (i = 0; i < nr; i++) {
		struct ckpt_subject subject;
		int ret = KSFT_FAIL;

		skip_reason = "no reason given";
		ckpt_arg = tests[i].arg;
		if (!begin(&subject, tests[i].fn, tests[i].init))
			ret = tests[i].check(&subject);
		else
			ksft_perror("the subject");
		ret = end(&subject, ret);
		if (ret == KSFT_SKIP)
			ksft_test_result_code(ret, tests[i].name, "%s",
					      skip_reason);
		else
			ksft_test_result_code(ret, tests[i].name, NULL);
	}
	ksft_finished();
}
