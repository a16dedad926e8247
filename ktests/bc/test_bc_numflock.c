// SPDX-License-Identifier: GPL-2.0
/*
 * numflock: file locks that were applied, of flock(), fcntl() and open files.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_standard.h"

/* A file that all agents share, because they inherit it. */
static int shared = -1;

/* Another open file of it. */
static int reopen(void)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", shared);
	return open(path, O_RDWR | O_CLOEXEC);
}

static int lock_range(int fd, int cmd, short type, long from, long len)
{
	struct flock fl = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = from,
		.l_len = len,
	};

	return fcntl(fd, cmd, &fl);
}

/* Locks on every other byte of the agent's own range, which cannot be merged. */
static long oldest, newest;

static int lock_nth(short type, long nth)
{
	return lock_range(shared, F_SETLK, type, getpid() * 65536L + 2 * nth, 1);
}

static long make_ranges(long nr, const char *text __maybe_unused)
{
	long i;

	for (i = 0; i < nr; i++) {
		if (lock_nth(F_WRLCK, newest))
			break;
		newest++;
	}

	return i;
}

static long drop_ranges(long nr, const char *text __maybe_unused)
{
	long i;

	for (i = 0; i < nr && oldest < newest; i++) {
		if (lock_nth(F_UNLCK, oldest))
			break;
		oldest++;
	}

	return i;
}

static const struct bc_kind numflock = {
	.name = "numflock",
	.resource = NUMFLOCK,
	.err = ENOLCK,
	.make = make_ranges,
	.drop = drop_ranges,
};

/* Open files with a lock each; closing them lets go of it. */
static long make_flocks(long nr, const char *text __maybe_unused)
{
	long i;

	for (i = 0; i < nr; i++) {
		int fd = reopen();
		int err;

		if (flock(fd, LOCK_SH | LOCK_NB)) {
			err = errno;
			close(fd);
			errno = err;
			break;
		}
		if (bc_self_keep(fd))
			break;
	}

	return i;
}

static const struct bc_kind flocks = {
	.name = "flocks",
	.resource = NUMFLOCK,
	.err = ENOLCK,
	.make = make_flocks,
	.drop = bc_self_close_first,
	.in_files = true,
};

static long make_ofd_locks(long nr, const char *text __maybe_unused)
{
	long i;

	for (i = 0; i < nr; i++) {
		int fd = reopen();
		int err;

		if (lock_range(fd, F_OFD_SETLK, F_RDLCK, 0, 0)) {
			err = errno;
			close(fd);
			errno = err;
			break;
		}
		if (bc_self_keep(fd))
			break;
	}

	return i;
}

static const struct bc_kind ofd_locks = {
	.name = "ofd_locks",
	.resource = NUMFLOCK,
	.err = ENOLCK,
	.make = make_ofd_locks,
	.drop = bc_self_close_first,
	.in_files = true,
};

/* flock() on the newest file. */
static long relock(long operation, const char *text __maybe_unused)
{
	return flock(bc_self_newest(), operation | LOCK_NB);
}

/* A lock that replaces one is none more: a conversion passes at the limit. */
static int test_numflock_conversion(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	int i;

	cgroup = bc_cgroup(root, "bc_conversion");
	agent = bc_agent(cgroup);
	if (!agent || differs(bc_write(cgroup, "bc.max", "numflock 1"), 0) ||
	    differs(bc_call(agent, make_flocks, 2, NULL), 1))
		goto cleanup;

	for (i = 0; i < 3; i++) {
		if (differs(bc_call(agent, relock, LOCK_EX, NULL), 0) ||
		    differs(bc_held(cgroup, NUMFLOCK), 1) ||
		    differs(bc_call(agent, relock, LOCK_EX, NULL), 0) ||
		    differs(bc_held(cgroup, NUMFLOCK), 1) ||
		    differs(bc_call(agent, relock, LOCK_SH, NULL), 0) ||
		    differs(bc_held(cgroup, NUMFLOCK), 1))
			goto cleanup;
	}
	if (differs(bc_call(agent, relock, LOCK_UN, NULL), 0) ||
	    differs(bc_held(cgroup, NUMFLOCK), 0) ||
	    differs(bc_call(agent, relock, LOCK_UN, NULL), 0) ||
	    differs(bc_call(agent, relock, LOCK_EX, NULL), 0) ||
	    miscounted(cgroup, "bc.events", NUMFLOCK, 0, 1))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* A conversion that fails has lost its lock, as it does without a limit. */
static int test_numflock_conversion_conflicts(const char *root)
{
	struct bc_agent *agent = NULL, *other = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_conflict");
	agent = bc_agent(cgroup);
	other = bc_agent(cgroup);
	if (!agent || !other ||
	    differs(bc_call(agent, make_flocks, 1, NULL), 1) ||
	    differs(bc_call(other, make_flocks, 1, NULL), 1) ||
	    differs(bc_held(cgroup, NUMFLOCK), 2))
		goto cleanup;

	if (differs(bc_call(agent, relock, LOCK_EX, NULL), -1) ||
	    differs(agent->err, EWOULDBLOCK) ||
	    differs(bc_held(cgroup, NUMFLOCK), 1) ||
	    differs(bc_close(other, 1), 1) || unsettled(cgroup, NUMFLOCK, 0) ||
	    differs(bc_call(agent, relock, LOCK_EX, NULL), 0) ||
	    differs(bc_held(cgroup, NUMFLOCK), 1))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	bc_stop(other);
	return bc_remove(cgroup, ret);
}

/* A range of the shared file, as "type from len". */
static long set_range(long cmd, const char *text)
{
	long from, len;
	char type;

	if (sscanf(text, "%c %ld %ld", &type, &from, &len) != 3)
		return -1;
	return lock_range(shared, cmd, type == 'w' ? F_WRLCK :
			  type == 'r' ? F_RDLCK : F_UNLCK, from, len);
}

struct step {
	const char *range;
	long held;
};

static bool goes_wrong(struct bc_agent *agent, const char *cgroup,
		       const struct step *steps, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		if (differs(bc_call(agent, set_range, F_SETLK, steps[i].range),
			    0) ||
		    differs(bc_held(cgroup, NUMFLOCK), steps[i].held)) {
			ksft_print_msg("after %s\n", steps[i].range);
			return true;
		}
	}

	return false;
}

/* What counts are the pieces that the kernel has made of the requests. */
static int test_numflock_pieces(const char *root)
{
	static const struct step steps[] = {
		{ "w 0 100", 1 },	/* w0-99 */
		{ "w 0 100", 1 },
		{ "w 50 100", 1 },	/* w0-149 */
		{ "u 40 20", 2 },	/* w0-39 w60-149 */
		{ "u 45 5", 2 },
		{ "w 40 20", 1 },	/* w0-149 */
		{ "r 10 10", 3 },	/* w0-9 r10-19 w20-149 */
		{ "r 0 10", 2 },	/* r0-19 w20-149 */
		{ "w 0 150", 1 },
		{ "r 0 200", 1 },	/* r0-199 */
		{ "w 10 10", 3 },
		{ "w 30 10", 5 },
		{ "w 50 10", 7 },
		{ "r 5 60", 1 },
		{ "u 0 10", 1 },	/* r10-199 */
		{ "u 190 10", 1 },	/* r10-189 */
		{ "u 20 1", 2 },
		{ "u 40 1", 3 },
		{ "u 60 1", 4 },
		{ "u 0 0", 0 },
		{ "u 0 0", 0 },
	};
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_pieces");
	agent = bc_agent(cgroup);
	if (!agent || goes_wrong(agent, cgroup, steps, ARRAY_SIZE(steps)))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* What makes no more pieces passes at the limit. */
static int test_numflock_pieces_at_limit(const char *root)
{
	static const struct step steps[] = {
		{ "w 0 100", 1 },
		{ "r 200 100", 2 },
		/* Grows, shrinks, is converted, is unlocked at an end. */
		{ "w 50 100", 2 },
		{ "w 0 90", 2 },
		{ "r 0 150", 2 },
		{ "u 0 10", 2 },
		{ "u 140 10", 2 },
		{ "r 130 70", 1 },
		{ "w 130 300", 2 },
	};
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_pieces_limit");
	agent = bc_agent(cgroup);
	if (!agent || differs(bc_write(cgroup, "bc.max", "numflock 2"), 0) ||
	    goes_wrong(agent, cgroup, steps, ARRAY_SIZE(steps)) ||
	    miscounted(cgroup, "bc.events", NUMFLOCK, 0, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* Pieces come out of what a CPU has ready, which does not grow by them. */
static int test_numflock_pieces_stock(const char *root)
{
	/* A CPU keeps 8, and once more that if two tasks fill it at a time. */
	const long nr = 30, ready = 16;
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	struct bc_row row;
	char *cgroup;
	long i;

	cgroup = bc_cgroup(root, "bc_pieces_stock");
	agent = bc_agent(cgroup);
	if (!agent || differs(bc_pin(agent, 0), 0) ||
	    differs(bc_call(agent, set_range, F_SETLK, "w 0 1000"), 0))
		goto cleanup;

	for (i = 1; i <= nr; i++) {
		char text[32];

		snprintf(text, sizeof(text), "u %ld 1", 10 * i);
		if (differs(bc_call(agent, set_range, F_SETLK, text), 0))
			goto cleanup;
	}
	if (differs(bc_stat(cgroup, NUMFLOCK, &row), 0) ||
	    differs(row.held, nr + 1))
		goto cleanup;
	if (row.maxheld > nr + 1 + ready) {
		ksft_print_msg("%ld ready for %ld\n", row.maxheld, row.held);
		goto cleanup;
	}

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/*
 * Unlocking the middle of a lock makes one more. The barrier does not stop
 * that, the limit does, and then nothing has changed.
 */
static int test_numflock_unlock_splits(const char *root)
{
	struct bc_agent *agent = NULL, *other = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_splits");
	agent = bc_agent(cgroup);
	other = bc_agent(root);
	if (!agent || !other ||
	    differs(bc_write(cgroup, "bc.high", "numflock 1"), 0) ||
	    differs(bc_write(cgroup, "bc.max", "numflock 2"), 0) ||
	    differs(bc_call(agent, set_range, F_SETLK, "w 0 100"), 0) ||
	    differs(bc_call(agent, set_range, F_SETLK, "w 200 100"), -1) ||
	    differs(agent->err, ENOLCK) ||
	    miscounted(cgroup, "bc.events", NUMFLOCK, 1, 0))
		goto cleanup;

	if (differs(bc_call(agent, set_range, F_SETLK, "u 50 10"), 0) ||
	    differs(bc_held(cgroup, NUMFLOCK), 2) ||
	    differs(bc_call(other, set_range, F_SETLK, "w 50 10"), 0) ||
	    miscounted(cgroup, "bc.events", NUMFLOCK, 1, 0))
		goto cleanup;

	if (differs(bc_call(agent, set_range, F_SETLK, "u 70 10"), -1) ||
	    differs(agent->err, ENOLCK) ||
	    differs(bc_held(cgroup, NUMFLOCK), 2) ||
	    miscounted(cgroup, "bc.events", NUMFLOCK, 1, 1) ||
	    differs(bc_call(other, set_range, F_SETLK, "w 70 10"), -1) ||
	    differs(other->err, EAGAIN))
		goto cleanup;

	/* To unlock a whole one is always possible, and makes room. */
	if (differs(bc_call(agent, set_range, F_SETLK, "u 0 50"), 0) ||
	    differs(bc_held(cgroup, NUMFLOCK), 1) ||
	    differs(bc_call(agent, set_range, F_SETLK, "u 70 10"), 0) ||
	    differs(bc_call(other, set_range, F_SETLK, "w 70 10"), 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	bc_stop(other);
	return bc_remove(cgroup, ret);
}

/* A conversion in the middle makes two more, or none. */
static int test_numflock_conversion_splits(const char *root)
{
	struct bc_agent *agent = NULL, *other = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	int i;

	cgroup = bc_cgroup(root, "bc_middle");
	agent = bc_agent(cgroup);
	other = bc_agent(root);
	if (!agent || !other ||
	    differs(bc_call(agent, set_range, F_SETLK, "w 0 100"), 0))
		goto cleanup;

	for (i = 1; i <= 2; i++) {
		char text[32];

		snprintf(text, sizeof(text), "numflock %d", i);
		if (differs(bc_write(cgroup, "bc.max", text), 0) ||
		    differs(bc_call(agent, set_range, F_SETLK, "r 40 20"),
			    -1) ||
		    differs(agent->err, ENOLCK) ||
		    differs(bc_held(cgroup, NUMFLOCK), 1) ||
		    miscounted(cgroup, "bc.events", NUMFLOCK, 0, i) ||
		    differs(bc_call(other, set_range, F_SETLK, "r 45 1"), -1))
			goto cleanup;
	}

	/* The barrier stops the new one, and the rest goes with it. */
	if (differs(bc_write(cgroup, "bc.max", "numflock 9"), 0) ||
	    differs(bc_write(cgroup, "bc.high", "numflock 1"), 0) ||
	    differs(bc_call(agent, set_range, F_SETLK, "r 40 20"), -1) ||
	    differs(bc_held(cgroup, NUMFLOCK), 1) ||
	    miscounted(cgroup, "bc.events", NUMFLOCK, 1, 2))
		goto cleanup;

	if (differs(bc_write(cgroup, "bc.high", "numflock 3"), 0) ||
	    differs(bc_call(agent, set_range, F_SETLK, "r 40 20"), 0) ||
	    differs(bc_held(cgroup, NUMFLOCK), 3) ||
	    differs(bc_call(other, set_range, F_SETLK, "r 45 1"), 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	bc_stop(other);
	return bc_remove(cgroup, ret);
}

/* Whether a process waits for a lock. */
static bool waits(pid_t pid)
{
	char buf[BUF_SIZE], mark[32];
	char *line, *state;

	if (bc_read("/proc/locks", buf, sizeof(buf)) < 0)
		return false;

	snprintf(mark, sizeof(mark), " %d ", pid);
	for (line = strtok_r(buf, "\n", &state); line;
	     line = strtok_r(NULL, "\n", &state)) {
		if (strstr(line, "-> ") && strstr(line, mark))
			return true;
	}

	return false;
}

/* Who waits for a lock has none yet, and pays once it has. */
static int test_numflock_waiting(const char *root)
{
	struct bc_agent *agent = NULL, *waiter = NULL;
	char *holds, *wants = NULL;
	int ret = KSFT_FAIL;
	int i;

	holds = bc_cgroup(root, "bc_holds");
	wants = bc_cgroup(root, "bc_wants");
	agent = bc_agent(holds);
	waiter = bc_agent(wants);
	if (!agent || !waiter ||
	    differs(bc_write(wants, "bc.max", "numflock 1"), 0) ||
	    differs(bc_call(agent, set_range, F_SETLK, "w 0 100"), 0) ||
	    differs(bc_post(waiter, set_range, F_SETLKW, "w 50 10"), 0))
		goto cleanup;

	for (i = 0; i < BC_POLL_TIMES && !waits(waiter->pid); i++)
		bc_pause();
	if (unmet(waits(waiter->pid)) || differs(bc_held(wants, NUMFLOCK), 0) ||
	    differs(bc_held(holds, NUMFLOCK), 1))
		goto cleanup;

	if (differs(bc_call(agent, set_range, F_SETLK, "u 0 0"), 0) ||
	    differs(bc_collect(waiter), 0) ||
	    differs(bc_held(wants, NUMFLOCK), 1) ||
	    differs(bc_held(holds, NUMFLOCK), 0) ||
	    miscounted(wants, "bc.events", NUMFLOCK, 0, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	bc_stop(waiter);
	ret = bc_remove(holds, ret);
	return bc_remove(wants, ret);
}

/* A lock of an open file goes with the last descriptor of it. */
static int test_numflock_inherited(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_inherited");
	agent = bc_agent(cgroup);
	if (!agent || differs(bc_call(agent, make_flocks, 3, NULL), 3) ||
	    differs(bc_call(agent, bc_self_fork, 2, "hold"), 2) ||
	    differs(bc_close(agent, BC_ALL), 3) ||
	    differs(bc_held(cgroup, NUMFLOCK), 3))
		goto cleanup;
	if (differs(bc_end_children(agent), 2) ||
	    unsettled(cgroup, NUMFLOCK, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

static long take_lease(long type, const char *text __maybe_unused)
{
	return fcntl(bc_self_newest(), F_SETLEASE, type);
}

static long open_unshared(long arg __maybe_unused,
			  const char *text __maybe_unused)
{
	char path[] = "/tmp/bc_lease_XXXXXX";
	int fd;

	/* Nobody may have it open for writing. */
	close(mkstemp(path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	unlink(path);
	return bc_self_keep(fd);
}

/* A lease is no lock, and passes where no lock would. */
static int test_numflock_lease(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_lease");
	agent = bc_agent(cgroup);
	if (!agent || differs(bc_write(cgroup, "bc.max", "numflock 0"), 0) ||
	    differs(bc_call(agent, open_unshared, 0, NULL), 0) ||
	    differs(bc_call(agent, take_lease, F_RDLCK, NULL), 0))
		goto cleanup;
	if (differs(bc_held(cgroup, NUMFLOCK), 0) ||
	    differs(bc_call(agent, take_lease, F_UNLCK, NULL), 0) ||
	    miscounted(cgroup, "bc.events", NUMFLOCK, 0, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

static const struct bc_kind * const kinds[] = {
	&flocks,
	&numflock,
	&ofd_locks,
};

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_numflock_conversion),
	T(test_numflock_conversion_conflicts),
	T(test_numflock_conversion_splits),
	T(test_numflock_inherited),
	T(test_numflock_lease),
	T(test_numflock_pieces),
	T(test_numflock_pieces_at_limit),
	T(test_numflock_pieces_stock),
	T(test_numflock_unlock_splits),
	T(test_numflock_waiting),
};

#undef T

int main(void)
{
	shared = memfd_create("bc_shared", 0);
	if (shared < 0) {
		ksft_print_header();
		ksft_exit_skip("no memory files\n");
	}

	return bc_std_main(kinds, ARRAY_SIZE(kinds), tests,
			   ARRAY_SIZE(tests));
}
