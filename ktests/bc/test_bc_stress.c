// SPDX-License-Identifier: GPL-2.0
/*
 * Many at once: what is granted is exactly what there is, and in the end
 * nothing is missing and nothing is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_util.h"

#define WORKERS		4
#define STORM_FILES	40
#define STORM_PROCS	24
#define MAPPINGS	256
#define KEPT		2	/* files that a worker holds all the time */

static bool stopped(void)
{
	return __atomic_load_n(&bc_shared->stop, __ATOMIC_SEQ_CST);
}

static void stop_all(void)
{
	__atomic_store_n(&bc_shared->stop, 1, __ATOMIC_SEQ_CST);
}

static long progress(void)
{
	return __atomic_load_n(&bc_shared->progress, __ATOMIC_SEQ_CST);
}

static void made_progress(void)
{
	__atomic_add_fetch(&bc_shared->progress, 1, __ATOMIC_SEQ_CST);
}

/* Until so much has been done; false if that does not come. */
static bool wait_progress(long want)
{
	int i;

	for (i = 0; i < BC_POLL_TIMES && progress() < want; i++)
		usleep(BC_POLL_USEC);

	return progress() >= want;
}

static void stop_workers(struct bc_agent **workers)
{
	int i;

	for (i = 0; i < WORKERS; i++) {
		bc_stop(workers[i]);
		workers[i] = NULL;
	}
}

static bool start_workers(struct bc_agent **workers, const char *cgroup)
{
	int i;

	bc_gather();
	for (i = 0; i < WORKERS; i++) {
		workers[i] = bc_agent(cgroup);
		if (!workers[i])
			return false;
	}

	return true;
}

/* Let all workers do the same at the same time, each on its CPU. */
static bool begin(struct bc_agent **workers, bc_fn fn)
{
	int i;

	for (i = 0; i < WORKERS; i++) {
		if (bc_post(workers[i], fn, bc_cpu(i), NULL))
			return false;
	}

	return !bc_release(WORKERS);
}

/* The sum of what they return, or a negative number. */
static long end(struct bc_agent **workers)
{
	long sum = 0;
	int i;

	for (i = 0; i < WORKERS; i++) {
		long ret = bc_collect(workers[i]);

		if (ret < 0 || sum < 0) {
			sum = -1;
			ksft_print_msg("worker %d: %ld, errno %d\n", i, ret,
				       workers[i]->err);
		} else {
			sum += ret;
		}
	}

	return sum;
}

/* Read held while the workers are busy: it never leaves its bounds. */
static bool out_of_bounds(const char *cgroup, const char *resource, long most)
{
	long held = bc_held(cgroup, resource);

	return unmet(held >= 0) || unmet(held <= most);
}

static long open_all(long cpu, const char *text __maybe_unused)
{
	long nr;

	if (bc_self_pin(cpu))
		return -1;
	bc_meet();
	nr = bc_self_open(BC_ALL, NULL);

	return errno == ENFILE ? nr : -1;
}

static int check_storm_files(const char *root, bool at_parent)
{
	struct bc_agent *workers[WORKERS] = {};
	char *parent, *child = NULL, *limited;
	int ret = KSFT_FAIL;
	char text[64];
	int round;

	parent = bc_cgroup(root, "bc_storm_files");
	child = bc_cgroup(parent, "child");
	if (!child || differs(bc_enable(parent), 0))
		goto cleanup;
	limited = at_parent ? parent : child;
	snprintf(text, sizeof(text), "numfile %d", STORM_FILES);
	if (differs(bc_write(limited, "bc.high", text), 0))
		goto cleanup;

	if (unmet(start_workers(workers, child)))
		goto cleanup;
	for (round = 0; round < 8; round++) {
		int i;

		bc_gather();
		if (unmet(begin(workers, open_all)) ||
		    differs(end(workers), STORM_FILES) ||
		    differs(bc_held(child, NUMFILE), STORM_FILES) ||
		    differs(bc_held(parent, NUMFILE), STORM_FILES))
			goto cleanup;
		for (i = 0; i < WORKERS; i++)
			bc_close(workers[i], BC_ALL);
		if (unsettled(child, NUMFILE, 0) ||
		    unsettled(parent, NUMFILE, 0))
			goto cleanup;
	}
	/* Each of them was refused once in each round. */
	if (differs(bc_peak(limited, NUMFILE), STORM_FILES) ||
	    miscounted(limited, "bc.events.local", NUMFILE, round * WORKERS,
		       0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	stop_workers(workers);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

/* Four processes open until each is refused: together exactly the barrier. */
static int test_stress_files_to_the_barrier(const char *root)
{
	return check_storm_files(root, false);
}

static int test_stress_files_to_the_parents_barrier(const char *root)
{
	return check_storm_files(root, true);
}

static long fork_all(long cpu, const char *text __maybe_unused)
{
	long nr;

	if (bc_self_pin(cpu))
		return -1;
	bc_meet();
	nr = bc_self_fork(BC_ALL, NULL);

	return errno == EAGAIN ? nr : -1;
}

/* The same with forks. */
static int test_stress_forks_to_the_barrier(const char *root)
{
	struct bc_agent *workers[WORKERS] = {};
	int ret = KSFT_FAIL;
	char text[64];
	char *cgroup;
	int round;

	cgroup = bc_cgroup(root, "bc_storm_forks");
	snprintf(text, sizeof(text), "numproc %d", STORM_PROCS);
	if (!cgroup || differs(bc_write(cgroup, "bc.high", text), 0))
		goto cleanup;

	if (unmet(start_workers(workers, cgroup)))
		goto cleanup;
	for (round = 0; round < 4; round++) {
		int i;

		bc_gather();
		if (unmet(begin(workers, fork_all)) ||
		    differs(end(workers), STORM_PROCS - WORKERS) ||
		    differs(bc_held(cgroup, NUMPROC), STORM_PROCS))
			goto cleanup;
		for (i = 0; i < WORKERS; i++)
			bc_end_children(workers[i]);
		if (unsettled(cgroup, NUMPROC, WORKERS))
			goto cleanup;
	}
	if (differs(bc_peak(cgroup, NUMPROC), STORM_PROCS))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	stop_workers(workers);
	return bc_remove(cgroup, ret);
}

static unsigned int random_below(unsigned int bound)
{
	static unsigned int state;

	if (!state)
		state = getpid();
	state = state * 1103515245 + 12345;

	return (state >> 16) % bound;
}

/* Open and close at random, without end, around a few that are kept. */
static long churn_files(long cpu, const char *text __maybe_unused)
{
	if (bc_self_pin(cpu) || bc_self_open(KEPT, NULL) != KEPT)
		return -1;

	bc_meet();
	while (!stopped()) {
		long nr = 1 + random_below(12);

		if (bc_self_open(nr, NULL) != nr ||
		    bc_self_close(nr, NULL) != nr)
			return -1;
		made_progress();
	}

	return KEPT;
}

/* After any amount of opening and closing, held is back at the start. */
static int test_stress_churn_returns_to_start(const char *root)
{
	struct bc_agent *workers[WORKERS] = {};
	char *parent, *child = NULL;
	int ret = KSFT_FAIL;
	int i;

	parent = bc_cgroup(root, "bc_churn");
	child = bc_cgroup(parent, "child");
	if (!child || differs(bc_enable(parent), 0))
		goto cleanup;
	if (unmet(start_workers(workers, child)) ||
	    unmet(begin(workers, churn_files)))
		goto cleanup;

	for (i = 1; i <= 20; i++) {
		if (unmet(wait_progress(20 * i)) ||
		    out_of_bounds(child, NUMFILE, WORKERS * (KEPT + 12)) ||
		    out_of_bounds(parent, NUMFILE, WORKERS * (KEPT + 12)))
			goto cleanup;
	}
	stop_all();
	if (differs(end(workers), WORKERS * KEPT) ||
	    unsettled(child, NUMFILE, WORKERS * KEPT) ||
	    unsettled(parent, NUMFILE, WORKERS * KEPT))
		goto cleanup;

	for (i = 0; i < WORKERS; i++)
		bc_close(workers[i], BC_ALL);
	if (unsettled(child, NUMFILE, 0) || unsettled(parent, NUMFILE, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	stop_all();
	stop_workers(workers);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

static void note_file(void)
{
	long level, highest;

	level = __atomic_add_fetch(&bc_shared->level, 1, __ATOMIC_SEQ_CST);
	highest = __atomic_load_n(&bc_shared->highest, __ATOMIC_SEQ_CST);
	while (level > highest &&
	       !__atomic_compare_exchange_n(&bc_shared->highest, &highest,
					    level, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST))
		;
}

/*
 * Each file is noted after it was opened, and crossed out before it is closed,
 * so there are never fewer of them than noted.
 */
static long churn_at_barrier(long cpu, const char *text __maybe_unused)
{
	long mine = 0;

	if (bc_self_pin(cpu))
		return -1;

	bc_meet();
	while (!stopped()) {
		long nr;

		if (bc_self_open(1, NULL) == 1) {
			mine++;
			note_file();
			continue;
		}
		if (errno != ENFILE)
			return -1;

		nr = random_below(mine + 1);
		__atomic_sub_fetch(&bc_shared->level, nr, __ATOMIC_SEQ_CST);
		if (bc_self_close(nr, NULL) != nr)
			return -1;
		mine -= nr;
		made_progress();
		sched_yield();
	}

	return mine;
}

/* However they fight for it, more than the barrier is never out. */
static int test_stress_never_above_the_barrier(const char *root)
{
	struct bc_agent *workers[WORKERS] = {};
	int ret = KSFT_FAIL;
	char text[64];
	char *cgroup;
	long left;
	int i;

	cgroup = bc_cgroup(root, "bc_fight");
	snprintf(text, sizeof(text), "numfile %d", STORM_FILES);
	if (!cgroup || differs(bc_write(cgroup, "bc.high", text), 0))
		goto cleanup;
	if (unmet(start_workers(workers, cgroup)) ||
	    unmet(begin(workers, churn_at_barrier)))
		goto cleanup;

	for (i = 1; i <= 20; i++) {
		if (unmet(wait_progress(20 * i)) ||
		    out_of_bounds(cgroup, NUMFILE, STORM_FILES))
			goto cleanup;
	}
	stop_all();
	left = end(workers);
	if (unmet(left >= 0) || differs(bc_shared->level, left) ||
	    unmet(bc_shared->highest <= STORM_FILES) ||
	    unsettled(cgroup, NUMFILE, left) ||
	    differs(bc_peak(cgroup, NUMFILE), STORM_FILES))
		goto cleanup;

	/* What is not out can be had. */
	if (differs(bc_open(workers[0], BC_ALL), STORM_FILES - left))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	stop_all();
	stop_workers(workers);
	return bc_remove(cgroup, ret);
}

/* Files and processes without end, around a few files that are kept. */
static long churn_all(long cpu, const char *text __maybe_unused)
{
	bool linger;
	pid_t pid;

	if (bc_self_pin(cpu) || bc_self_open(KEPT, NULL) != KEPT)
		return -1;

	bc_meet();
	while (!stopped()) {
		if (bc_self_open(5, NULL) != 5)
			return -1;
		/* Half of the children have the last reference for a while. */
		linger = random_below(2);
		pid = fork();
		if (!pid) {
			if (linger)
				usleep(1000);
			_exit(0);
		}
		if (pid < 0 || bc_self_close(5, NULL) != 5 ||
		    waitpid(pid, NULL, 0) != pid)
			return -1;
		made_progress();
	}

	return KEPT;
}

/* The controller comes and goes while files and processes do. */
static int test_stress_toggle_under_load(const char *root)
{
	struct bc_agent *workers[WORKERS] = {};
	char *parent, *child = NULL;
	int ret = KSFT_FAIL;
	int i;

	parent = bc_cgroup(root, "bc_toggle_load");
	child = bc_cgroup(parent, "child");
	if (!child || unmet(start_workers(workers, child)) ||
	    unmet(begin(workers, churn_all)))
		goto cleanup;

	for (i = 1; i <= 10; i++) {
		if (differs(bc_enable(parent), 0) ||
		    unmet(wait_progress(progress() + 2)) ||
		    unmet(bc_held(child, NUMFILE) >= 0) ||
		    unmet(bc_held(child, NUMPROC) >= 0) ||
		    out_of_bounds(parent, NUMPROC, 4 * WORKERS) ||
		    differs(bc_disable(parent), 0) ||
		    unmet(wait_progress(progress() + 2)) ||
		    out_of_bounds(parent, NUMPROC, 4 * WORKERS))
			goto cleanup;
	}
	stop_all();
	if (differs(end(workers), WORKERS * KEPT) ||
	    unsettled(parent, NUMPROC, WORKERS) ||
	    unsettled(parent, NUMFILE, WORKERS * KEPT))
		goto cleanup;
	if (differs(bc_enable(parent), 0) ||
	    differs(bc_held(child, NUMPROC), WORKERS) ||
	    differs(bc_held(child, NUMFILE), 0))
		goto cleanup;

	for (i = 0; i < WORKERS; i++)
		bc_close(workers[i], BC_ALL);
	if (unsettled(parent, NUMFILE, 0) || unsettled(child, NUMFILE, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	stop_all();
	stop_workers(workers);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

/* Processes are moved to and fro while they open files and fork. */
static int test_stress_migration_under_load(const char *root)
{
	struct bc_agent *workers[WORKERS] = {};
	char *parent, *sides[2] = {};
	int ret = KSFT_FAIL;
	int i;

	parent = bc_cgroup(root, "bc_move_load");
	sides[0] = bc_cgroup(parent, "here");
	sides[1] = bc_cgroup(parent, "there");
	if (!sides[0] || !sides[1] || differs(bc_enable(parent), 0))
		goto cleanup;
	if (unmet(start_workers(workers, sides[0])) ||
	    unmet(begin(workers, churn_all)))
		goto cleanup;

	for (i = 0; i < 40; i++) {
		struct bc_agent *worker = workers[i % WORKERS];

		/* Odd rounds there, even rounds back. */
		if (differs(cg_enter(sides[!(i / WORKERS % 2)], worker->pid),
			    0) ||
		    out_of_bounds(sides[0], NUMPROC, 2 * WORKERS) ||
		    out_of_bounds(sides[1], NUMPROC, 2 * WORKERS) ||
		    unmet(wait_progress(progress() + 1)))
			goto cleanup;
	}
	stop_all();
	if (differs(end(workers), WORKERS * KEPT))
		goto cleanup;

	for (i = 0; i < WORKERS; i++) {
		if (differs(cg_enter(sides[1], workers[i]->pid), 0))
			goto cleanup;
	}
	if (unsettled(sides[0], NUMPROC, 0) ||
	    unsettled(sides[1], NUMPROC, WORKERS) ||
	    unsettled(parent, NUMPROC, WORKERS) ||
	    unsettled(parent, NUMFILE, WORKERS * KEPT) ||
	    unsettled(sides[0], NUMFILE, WORKERS * KEPT) ||
	    unsettled(sides[1], NUMFILE, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	stop_all();
	stop_workers(workers);
	ret = bc_remove(sides[0], ret);
	ret = bc_remove(sides[1], ret);
	return bc_remove(parent, ret);
}

/* Everybody is killed in the middle of forks and opens, again and again. */
static int test_stress_killed_under_load(const char *root)
{
	struct bc_agent *workers[WORKERS] = {};
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	int i;

	cgroup = bc_cgroup(root, "bc_killed");
	if (!cgroup)
		goto cleanup;

	for (i = 0; i < 6; i++) {
		if (unmet(start_workers(workers, cgroup)) ||
		    unmet(begin(workers, churn_all)) ||
		    unmet(wait_progress(2 + i)) ||
		    differs(cg_killall(cgroup), 0))
			goto cleanup;
		stop_workers(workers);
		if (unsettled(cgroup, NUMPROC, 0) ||
		    unsettled(cgroup, NUMFILE, 0))
			goto cleanup;
	}

	/* A fork that was cut short, and kept its charge, would show here. */
	agent = bc_agent(cgroup);
	if (!agent ||
	    differs(bc_write(cgroup, "bc.max", "numproc 3\nnumfile 3"), 0) ||
	    differs(bc_fork(agent, 9), 2) || differs(bc_open(agent, 9), 3))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	stop_all();
	stop_workers(workers);
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* A fork that takes its time: many mappings have to be copied. */
static long fork_for_ever(long cpu, const char *text __maybe_unused)
{
	long size = sysconf(_SC_PAGESIZE);
	char *area;
	pid_t pid;
	int i;

	area = mmap(NULL, MAPPINGS * size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (area == MAP_FAILED || bc_self_pin(cpu))
		return -1;
	for (i = 0; i < MAPPINGS; i += 2) {
		if (mprotect(area + i * size, size, PROT_READ))
			return -1;
	}
	/* The children need nobody to collect them. */
	signal(SIGCHLD, SIG_IGN);

	bc_meet();
	for (;;) {
		pid = fork();
		if (!pid)
			_exit(0);
		if (pid < 0)
			return -1;
		made_progress();
	}
}

/*
 * Who is killed while it forks has no child in the end, although the child was
 * granted: the kernel looks for fatal signals last of all.
 */
static int test_stress_killed_in_fork(const char *root)
{
	struct bc_agent *workers[WORKERS] = {};
	int ret = KSFT_FAIL;
	char *cgroup;
	int i;

	cgroup = bc_cgroup(root, "bc_killed_in_fork");
	if (!cgroup)
		goto cleanup;

	for (i = 0; i < 8; i++) {
		if (unmet(start_workers(workers, cgroup)) ||
		    unmet(begin(workers, fork_for_ever)) ||
		    unmet(wait_progress(1 + i)) ||
		    differs(cg_killall(cgroup), 0))
			goto cleanup;
		stop_workers(workers);
		if (unsettled(cgroup, NUMPROC, 0))
			goto cleanup;
	}

	ret = KSFT_PASS;

cleanup:
	stop_workers(workers);
	return bc_remove(cgroup, ret);
}

/* Fork and open as much as there is, and go on trying. Never returns. */
static long bomb(long arg __maybe_unused, const char *text __maybe_unused)
{
	for (;;) {
		pid_t pid = fork();
		int fd = open("/", O_RDONLY | O_DIRECTORY);

		if (pid < 0 && fd < 0) {
			made_progress();
			usleep(1000);
		}
	}

	return 0;
}

/* Ordinary work: all of it has to succeed. Returns how much did. */
static long honest_work(long nr, const char *text __maybe_unused)
{
	long done;
	pid_t pid;

	for (done = 0; done < nr; done++) {
		if (bc_self_open(5, NULL) != 5)
			break;
		pid = fork();
		if (!pid)
			_exit(0);
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			break;
		if (bc_self_close(5, NULL) != 5)
			break;
	}

	return done;
}

/*
 * A fork bomb and open-file bomb ends at its barriers, while the neighbour
 * does its work in full.
 */
static int test_stress_bombs_beside_a_neighbour(const char *root)
{
	struct bc_agent *bomber = NULL, *neighbour = NULL;
	char *noisy, *quiet = NULL;
	int ret = KSFT_FAIL;
	long before;

	noisy = bc_cgroup(root, "bc_bombs");
	quiet = bc_cgroup(root, "bc_neighbour");
	bc_gather();
	neighbour = bc_agent(quiet);
	bomber = bc_agent(noisy);
	if (!bomber || !neighbour)
		goto cleanup;

	if (differs(bc_write(noisy, "bc.max", "numproc 16\nnumfile 60"), 0) ||
	    differs(bc_write(noisy, "bc.high", "numfile 50"), 0) ||
	    differs(bc_post(bomber, bomb, 0, NULL), 0) ||
	    unmet(wait_progress(20)))
		goto cleanup;
	before = bc_value(noisy, "bc.events", "numproc.max");

	if (differs(bc_call(neighbour, honest_work, 20, NULL), 20) ||
	    differs(bc_held(quiet, NUMFILE), 0) ||
	    unsettled(quiet, NUMPROC, 1) ||
	    miscounted(quiet, "bc.events", NUMFILE, 0, 0) ||
	    miscounted(quiet, "bc.events", NUMPROC, 0, 0))
		goto cleanup;

	/* They were at it all the time, and stayed within what they had. */
	if (unmet(wait_progress(progress() + 20)) || unmet(before > 0) ||
	    unmet(bc_value(noisy, "bc.events", "numproc.max") > before) ||
	    unmet(bc_value(noisy, "bc.events", "numfile.high") > 0) ||
	    differs(bc_value(noisy, "bc.events", "numproc.high"), 0) ||
	    differs(bc_value(noisy, "bc.events", "numfile.max"), 0) ||
	    differs(bc_held(noisy, NUMPROC), 16) ||
	    differs(bc_held(noisy, NUMFILE), 50) ||
	    differs(bc_peak(noisy, NUMPROC), 16) ||
	    differs(bc_peak(noisy, NUMFILE), 50))
		goto cleanup;

	if (differs(cg_killall(noisy), 0) || unsettled(noisy, NUMPROC, 0) ||
	    unsettled(noisy, NUMFILE, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	if (noisy)
		cg_killall(noisy);
	bc_stop(bomber);
	bc_stop(neighbour);
	ret = bc_remove(noisy, ret);
	return bc_remove(quiet, ret);
}

static int set_online(int cpu, bool online)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online",
		 cpu);
	return bc_write_path(path, online ? "1" : "0");
}

/* The stock of a CPU that goes away does not go with it. */
static int test_stress_cpu_offline(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup = NULL;
	bool offline = false;
	int cpu, i;

	cpu = bc_cpu(bc_cpus() - 1);
	if (bc_cpus() < 2 || set_online(cpu, true))
		return bc_skip("no CPU that can be taken offline");

	cgroup = bc_cgroup(root, "bc_offline");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	for (i = 0; i < 2; i++) {
		if (differs(bc_write(cgroup, "bc.max", "numfile max"), 0) ||
		    differs(bc_scatter(agent, 3), 0) ||
		    differs(bc_pin(agent, bc_cpus() - 1), 0) ||
		    differs(bc_open(agent, 3), 3))
			goto cleanup;

		if (differs(set_online(cpu, false), 0))
			goto cleanup;
		offline = true;
		if (differs(bc_held(cgroup, NUMFILE), 3))
			goto cleanup;

		/* If some stock were stuck there, fewer would be granted. */
		if (differs(bc_write(cgroup, "bc.max", "numfile 8"), 0) ||
		    differs(bc_open(agent, 9), 5) ||
		    differs(bc_held(cgroup, NUMFILE), 8) ||
		    differs(bc_close(agent, BC_ALL), 8) ||
		    unsettled(cgroup, NUMFILE, 0))
			goto cleanup;

		if (differs(set_online(cpu, true), 0))
			goto cleanup;
		offline = false;
	}

	/* And it works as before where the CPU is back. */
	if (differs(bc_pin(agent, bc_cpus() - 1), 0) ||
	    differs(bc_open(agent, 9), 8) || differs(bc_close(agent, 8), 8) ||
	    unsettled(cgroup, NUMFILE, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	if (offline)
		set_online(cpu, true);
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_stress_bombs_beside_a_neighbour),
	T(test_stress_churn_returns_to_start),
	T(test_stress_cpu_offline),
	T(test_stress_files_to_the_barrier),
	T(test_stress_files_to_the_parents_barrier),
	T(test_stress_forks_to_the_barrier),
	T(test_stress_killed_in_fork),
	T(test_stress_killed_under_load),
	T(test_stress_migration_under_load),
	T(test_stress_never_above_the_barrier),
	T(test_stress_toggle_under_load),
};

#undef T

int main(void)
{
	return bc_main(tests, ARRAY_SIZE(tests));
}
