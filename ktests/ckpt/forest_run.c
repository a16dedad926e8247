// SPDX-License-Identifier: GPL-2.0
/* One tree after the other: each grows, is saved and restored, looks at itself, and ends. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "ckpt_util.h"
#include "forest_live.h"
#include "forest_look.h"
#include "forest_run.h"

/* How long something that comes about by itself is waited for, in looks at it. */
#define PATIENCE	(12 * CKPT_POLL_TIMES)
#define LITTLE_PATIENCE	(CKPT_POLL_TIMES / 4)
#define POLL_USEC	(5 * 1000)

static char top[PATH_MAX];
static bool is_dry;
static int patience = PATIENCE;
/* What the process outside counts. */
static unsigned long *witness;

static struct ckpt_subject tree;
static int told_fd = -1;
static struct forest_told told;

static bool is_child_of_test(const struct forest_plan *plan, int nr)
{
	return plan->procs[nr].parent == FOREST_OUTSIDE &&
	       !forest_has(&plan->procs[nr], FOREST_GONE);
}

/* Returns 0, or -EINVAL if one says that something is wrong. */
static int listen(const struct forest_plan *plan)
{
	int i, ret = 0;

	if (pread(told_fd, &told, sizeof(told), 0) < 0)
		return -errno;
	for (i = 0; i < plan->nr; i++) {
		if (!told.procs[i].wrong[0])
			continue;
		ksft_print_msg("  process %d: %s\n", i, told.procs[i].wrong);
		ret = -EINVAL;
	}
	return ret;
}

static bool is_as_far(const struct forest_plan *plan, enum forest_step step, bool stopped)
{
	int i;

	for (i = 0; i < plan->nr; i++)
		if (!plan->procs[i].ends &&
		    (stopped || !forest_has(&plan->procs[i], FOREST_STOPPED)) &&
		    told.procs[i].step < (int)step)
			return false;
	return true;
}

/* Until all are as far; those who are stopped, too, or not. */
static int await(const struct forest_plan *plan, enum forest_step step, bool stopped)
{
	int i, ret;

	for (i = 0; i < patience; i++) {
		ret = listen(plan);
		if (ret)
			return ret;
		if (is_as_far(plan, step, stopped))
			return 0;
		usleep(POLL_USEC);
	}
	for (i = 0; i < plan->nr; i++)
		if (!plan->procs[i].ends && told.procs[i].step < (int)step)
			ksft_print_msg("  process %d comes no further than %d\n", i,
				       told.procs[i].step);
	return -ETIMEDOUT;
}

static void want(enum forest_phase phase)
{
	const int value = phase;

	if (pwrite(told_fd, &value, sizeof(value), 0) != sizeof(value))
		ksft_perror("phase");
}

static int await_state(int nr, int pid, int tid, char state)
{
	int i;

	for (i = 0; i < patience; i++) {
		if (forest_state(pid, tid) == state)
			return 0;
		usleep(POLL_USEC);
	}
	ksft_print_msg("  thread %d of process %d is not in state %c\n", tid, nr, state);
	return -ETIMEDOUT;
}

static int stop(const struct forest_plan *plan, int nr)
{
	const struct forest_proc *proc = &plan->procs[nr];
	const int pid = told.procs[nr].pid;
	int i, ret = 0;

	if (kill(pid, proc->stop_by_terminal ? SIGTSTP : SIGSTOP))
		return -errno;
	for (i = proc->main; i < proc->nr_threads && !ret; i++)
		ret = await_state(nr, pid, told.procs[nr].tids[i], 'T');
	return ret;
}

/* How reluctantly it is killed, which who has no rights cannot say himself. */
static int set_oom(const struct forest_plan *plan, int nr)
{
	char path[64], value[16];
	int fd, ret = 0;

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", told.procs[nr].pid);
	snprintf(value, sizeof(value), "%u",
		 forest_pick(plan->procs[nr].pick, FOREST_OOM, 1000));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/* Whether a stop of a child of the test is told now, if it is. */
static bool stop_differs(const struct forest_plan *plan, int nr, bool is_told)
{
	const int signal = plan->procs[nr].stop_by_terminal ? SIGTSTP : SIGSTOP;
	int status = 0;
	pid_t found = waitpid(told.procs[nr].pid, &status, WUNTRACED | WNOHANG);

	if (is_told)
		return differs(found, told.procs[nr].pid) || unmet(WIFSTOPPED(status)) ||
		       differs(WSTOPSIG(status), signal);
	return differs(found, 0);
}

/* All is as planned, and stays so. */
static int settle(const struct forest_plan *plan)
{
	int i, ret = await(plan, FOREST_READY, true);

	for (i = 0; i < plan->nr && !ret; i++) {
		const struct forest_proc *proc = &plan->procs[i];
		const int pid = told.procs[i].pid;

		if (forest_has(proc, FOREST_OOM))
			ret = set_oom(plan, i);
		if (!ret && (proc->main || (proc->ends && !forest_has(proc, FOREST_GONE))))
			ret = await_state(i, pid, pid, 'Z');
		if (!ret && forest_has(proc, FOREST_STOPPED))
			ret = stop(plan, i);
		if (!ret && proc->parent == FOREST_OUTSIDE && forest_has(proc, FOREST_STOP_TOLD) &&
		    stop_differs(plan, i, true))
			ret = -EINVAL;
	}
	if (ret)
		return ret;
	want(FOREST_SETTLE);
	return await(plan, FOREST_SETTLED, false);
}

static int cycle(const struct forest_plan *plan)
{
	if (is_dry)
		return 0;
	return plan->snapshot ? ckpt_cycle_snapshot(&tree) : ckpt_cycle(&tree);
}

static bool find_differs(const struct forest_plan *plan)
{
	int i;

	for (i = 0; i < plan->nr; i++)
		if (is_child_of_test(plan, i) && forest_has(&plan->procs[i], FOREST_STOPPED) &&
		    stop_differs(plan, i, !forest_has(&plan->procs[i], FOREST_STOP_TOLD)))
			return true;
	want(FOREST_FIND);
	if (await(plan, FOREST_FOUND, false))
		return true;
	/* Their parents know that they were stopped. */
	for (i = 0; i < plan->nr; i++)
		if (forest_has(&plan->procs[i], FOREST_STOPPED))
			kill(told.procs[i].pid, SIGCONT);
	return await(plan, FOREST_FOUND, true) || forest_marks_differ(plan, &told, tree.dir);
}

/* They end, and wait for that, faster when nobody is less urgent than the others. */
static void make_equal(const struct forest_plan *plan)
{
	const struct sched_param none = { };
	int i, j;

	for (i = 0; i < plan->nr; i++) {
		for (j = 0; j < plan->procs[i].nr_threads; j++) {
			if (!forest_lives(plan, i, j))
				continue;
			sched_setscheduler(told.procs[i].tids[j], SCHED_OTHER, &none);
			setpriority(PRIO_PROCESS, told.procs[i].tids[j], 0);
		}
	}
}

static bool end_differs(const struct forest_plan *plan)
{
	bool ended[FOREST_PROCS] = { };
	int i, j, status, left = 0;

	make_equal(plan);
	want(FOREST_END);
	for (i = 0; i < plan->nr; i++)
		left += is_child_of_test(plan, i);
	for (i = 0; i < patience && left; i++) {
		if (listen(plan))
			return true;
		for (j = 0; j < plan->nr; j++) {
			if (!is_child_of_test(plan, j) || ended[j] ||
			    waitpid(told.procs[j].pid, &status, WNOHANG) != told.procs[j].pid)
				continue;
			ended[j] = true;
			left--;
			if (differs(status, 0))
				return true;
		}
		usleep(left ? POLL_USEC : 0);
	}
	return differs(left, 0) || differs(waitpid(-1, NULL, WNOHANG), -1);
}

static bool witness_stands(void)
{
	const unsigned long was = __atomic_load_n(witness, __ATOMIC_SEQ_CST);
	int i;

	for (i = 0; i < patience; i++) {
		if (__atomic_load_n(witness, __ATOMIC_SEQ_CST) != was)
			return false;
		usleep(POLL_USEC);
	}
	return unmet(false);
}

static const char *examine(const struct forest_plan *plan)
{
	struct forest_look before = { }, after = { };
	const char *what = NULL;

	if (settle(plan))
		return "growing";
	if (forest_look(&before, plan, &told))
		what = "looking";
	else if (cycle(plan))
		what = "restoring";
	else if (forest_look(&after, plan, &told))
		what = "looking";
	else if (forest_looks_differ(&before, &after))
		what = "look";
	else if (find_differs(plan))
		what = "find";
	else if (end_differs(plan))
		what = "end";
	else if (witness_stands())
		what = "witness";
	forest_look_end(&before);
	forest_look_end(&after);
	return what;
}

static void serve(const struct forest_plan *plan, pid_t test)
{
	int null, fd;

	if (setsid() < 0 || cg_enter_current(tree.cgroup))
		_exit(101);
	null = open("/dev/null", O_RDWR);
	for (fd = 0; fd < 3; fd++)
		dup2(null, fd);
	dup2(told_fd, FOREST_TOLD);
	close_range(FOREST_TOLD + 1, ~0U, 0);
	if (chdir(tree.dir))
		_exit(102);
	forest_live(plan, tree.dir, test);
}

static int begin(const struct forest_plan *plan)
{
	char path[PATH_MAX];
	int i;

	memset(&tree, 0, sizeof(tree));
	memset(&told, 0, sizeof(told));
	snprintf(tree.dir, sizeof(tree.dir), "/tmp/ckpt_XXXXXX");
	if (!mkdtemp(tree.dir) || chmod(tree.dir, 0755))
		return -errno;
	for (i = 0; i < plan->nr * FOREST_THREADS; i++) {
		snprintf(path, sizeof(path), "%s/d%d", tree.dir, i);
		if (mkdir(path, 0755))
			return -errno;
	}
	snprintf(path, sizeof(path), "%s/told", tree.dir);
	told_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (told_fd < 0 || pwrite(told_fd, &told, sizeof(told), 0) != sizeof(told))
		return -errno;
	tree.cgroup = cg_name_indexed(top, "ckpt_forest", getpid());
	if (!tree.cgroup)
		return -ENOMEM;
	if (cg_create(tree.cgroup))
		return -errno;
	tree.pid = fork();
	if (!tree.pid)
		serve(plan, getppid());
	return tree.pid < 0 ? -errno : 0;
}

/* cgroup.kill does not reach those whose first thread has ended. */
static void kill_all(void)
{
	char pids[4096], *at = pids;
	long pid;

	if (cg_read(tree.cgroup, "cgroup.procs", pids, sizeof(pids)))
		return;
	while ((pid = strtol(at, &at, 10)) > 0)
		kill(pid, SIGKILL);
}

static bool clear(void)
{
	char command[PATH_MAX];
	bool cleared = true;
	int i;

	for (i = 0; tree.cgroup && rmdir(tree.cgroup) && errno != ENOENT; i++) {
		if (i == PATIENCE) {
			ksft_print_msg("cannot remove %s\n", tree.cgroup);
			cleared = false;
			break;
		}
		kill_all();
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		usleep(POLL_USEC);
	}
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	free(tree.cgroup);
	close(told_fd);
	snprintf(command, sizeof(command), "rm -rf %s", tree.dir);
	return !system(command) && cleared;
}

const char *forest_run(const struct forest_plan *plan)
{
	const char *what;

	if (begin(plan)) {
		ksft_perror("beginning");
		what = "beginning";
	} else {
		what = examine(plan);
	}
	if (!clear())
		what = what ?: "clearing";
	return what;
}

const char *forest_try(const struct forest_plan *plan)
{
	int out = dup(1), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	const char *what;

	fflush(stdout);
	dup2(null, 1);
	patience = LITTLE_PATIENCE;
	what = forest_run(plan);
	patience = PATIENCE;
	fflush(stdout);
	dup2(out, 1);
	close(out);
	close(null);
	return what;
}

bool forest_seed(struct forest_plan *plan, uint64_t seed, const char **what)
{
	forest_draw(plan, seed);
	*what = forest_run(plan);
	ksft_print_msg("seed %llu processes %d threads %d %s: %s\n", (unsigned long long)seed,
		       plan->nr, forest_threads(plan), plan->snapshot ? "snapshot" : "suspended",
		       *what ?: "as before");
	return !*what;
}

int forest_main(void (*fn)(void), bool dry)
{
	int status;
	pid_t pid;

	is_dry = dry;
	witness = mmap(NULL, sizeof(*witness), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	pid = witness == MAP_FAILED ? -1 : fork();
	if (pid < 0)
		return KSFT_FAIL;
	if (!pid) {
		ksft_print_header();
		if (geteuid())
			ksft_exit_skip("the tests need root\n");
		if (cg_find_unified_root(top, sizeof(top), NULL))
			ksft_exit_skip("cgroup v2 isn't mounted\n");
		if (!dry && access("/dev/ckpt", F_OK))
			ksft_exit_skip("there is no /dev/ckpt\n");
		/* Those whom nobody in the tree adopts come here. */
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fn();
		exit(KSFT_FAIL);
	}
	while (waitpid(pid, &status, WNOHANG) != pid) {
		__atomic_fetch_add(witness, 1, __ATOMIC_SEQ_CST);
		usleep(1000);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : KSFT_FAIL;
}
