// SPDX-License-Identifier: GPL-2.0
/*
 * numfile: open files, whatever opened them, charged to the cgroup of the
 * opener until the last reference is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_util.h"

/* Each opens one thing into fds, and returns as the system call does. */
static int open_plain(int *fds)
{
	fds[0] = open("/", O_RDONLY | O_DIRECTORY);
	return fds[0];
}

static int open_path(int *fds)
{
	fds[0] = open("/", O_PATH);
	return fds[0];
}

static int open_pipe(int *fds)
{
	return pipe(fds);
}

static int open_socket(int *fds)
{
	fds[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	return fds[0];
}

static int open_socketpair(int *fds)
{
	return socketpair(AF_UNIX, SOCK_DGRAM, 0, fds);
}

static int open_eventfd(int *fds)
{
	fds[0] = eventfd(0, 0);
	return fds[0];
}

static int open_epoll(int *fds)
{
	fds[0] = epoll_create1(0);
	return fds[0];
}

static int open_inotify(int *fds)
{
	fds[0] = inotify_init1(0);
	return fds[0];
}

static int open_memfd(int *fds)
{
	fds[0] = memfd_create("bc", 0);
	return fds[0];
}

static int open_pidfd(int *fds)
{
	fds[0] = syscall(__NR_pidfd_open, getpid(), 0);
	return fds[0];
}

static int open_signalfd(int *fds)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	fds[0] = signalfd(-1, &set, 0);
	return fds[0];
}

static int open_timerfd(int *fds)
{
	fds[0] = timerfd_create(CLOCK_MONOTONIC, 0);
	return fds[0];
}

static const struct kind {
	const char *name;
	int (*open)(int *fds);
	int files;
} kinds[] = {
	{ "O_PATH open", open_path, 1 },
	{ "epoll", open_epoll, 1 },
	{ "eventfd", open_eventfd, 1 },
	{ "inotify", open_inotify, 1 },
	{ "memfd", open_memfd, 1 },
	{ "open", open_plain, 1 },
	{ "pidfd", open_pidfd, 1 },
	{ "pipe", open_pipe, 2 },
	{ "signalfd", open_signalfd, 1 },
	{ "socket", open_socket, 1 },
	{ "socketpair", open_socketpair, 2 },
	{ "timerfd", open_timerfd, 1 },
};

/* Whether this kernel has it at all: tried where nothing limits it. */
static bool has_kind(const struct kind *kind)
{
	int fds[2];
	int i;

	if (kind->open(fds) < 0) {
		ksft_print_msg("no %s here\n", kind->name);
		return false;
	}

	for (i = 0; i < kind->files; i++)
		close(fds[i]);

	return true;
}

static long open_kind(long index, const char *text __maybe_unused)
{
	int fds[2];
	int i;

	if (kinds[index].open(fds) < 0)
		return -1;

	for (i = 0; i < kinds[index].files; i++) {
		if (bc_self_keep(fds[i]))
			return -1;
	}

	return kinds[index].files;
}

/* Whatever has a descriptor counts as a file, a pair as two. */
static int test_numfile_kinds(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	long nr = 0;
	size_t i;

	cgroup = bc_cgroup(root, "bc_kinds");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!has_kind(&kinds[i]))
			continue;

		nr += kinds[i].files;
		if (differs(bc_call(agent, open_kind, i, NULL),
			    kinds[i].files) ||
		    differs(bc_held(cgroup, NUMFILE), nr)) {
			ksft_print_msg("after %s\n", kinds[i].name);
			goto cleanup;
		}
	}

	if (differs(bc_close(agent, BC_ALL), nr) ||
	    unsettled(cgroup, NUMFILE, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* Each kind is refused at the limit, and what was half made is given back. */
static int test_numfile_kinds_refused(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	size_t i;

	cgroup = bc_cgroup(root, "bc_kinds_refused");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	if (differs(bc_open(agent, 2), 2))
		goto cleanup;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		char text[64];

		if (!has_kind(&kinds[i]))
			continue;

		/* For a pair there is room for one. */
		snprintf(text, sizeof(text), "numfile %d",
			 1 + kinds[i].files);
		if (differs(bc_write(cgroup, "bc.max", "numfile 2"), 0) ||
		    (kinds[i].files == 2 &&
		     differs(bc_write(cgroup, "bc.max", text), 0)))
			goto cleanup;

		if (differs(bc_call(agent, open_kind, i, NULL), -1) ||
		    differs(agent->err, ENFILE) ||
		    unsettled(cgroup, NUMFILE, 2)) {
			ksft_print_msg("after %s\n", kinds[i].name);
			goto cleanup;
		}

		/* And it is made once there is room. */
		if (differs(bc_write(cgroup, "bc.max", "numfile 4"), 0) ||
		    differs(bc_call(agent, open_kind, i, NULL),
			    kinds[i].files) ||
		    differs(bc_close(agent, kinds[i].files), kinds[i].files) ||
		    unsettled(cgroup, NUMFILE, 2)) {
			ksft_print_msg("after %s\n", kinds[i].name);
			goto cleanup;
		}
	}

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

static long listen_and_accept(long arg __maybe_unused,
			      const char *text __maybe_unused)
{
	/* With no name given the kernel chooses one. */
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(addr.sun_family);
	int server, client, accepted;

	server = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bc_self_keep(server))
		return -1;
	if (bind(server, (struct sockaddr *)&addr, len) || listen(server, 1))
		return -1;
	len = sizeof(addr);
	if (getsockname(server, (struct sockaddr *)&addr, &len))
		return -1;

	client = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bc_self_keep(client))
		return -1;
	if (connect(client, (struct sockaddr *)&addr, len))
		return -1;

	accepted = accept(server, NULL, NULL);
	return bc_self_keep(accepted);
}

/* An accepted connection is a file of who accepts it. */
static int test_numfile_accept(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_accept");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	if (differs(bc_call(agent, listen_and_accept, 0, NULL), 0) ||
	    differs(bc_held(cgroup, NUMFILE), 3))
		goto cleanup;
	if (differs(bc_close(agent, BC_ALL), 3) ||
	    unsettled(cgroup, NUMFILE, 0))
		goto cleanup;

	if (differs(bc_write(cgroup, "bc.max", "numfile 2"), 0) ||
	    differs(bc_call(agent, listen_and_accept, 0, NULL), -1) ||
	    differs(agent->err, ENFILE) ||
	    unsettled(cgroup, NUMFILE, 2))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

static long duplicate(long arg __maybe_unused, const char *text __maybe_unused)
{
	int fd = bc_self_newest();

	if (bc_self_keep(dup(fd)) ||
	    bc_self_keep(fcntl(fd, F_DUPFD_CLOEXEC, 100)) ||
	    bc_self_keep(dup2(fd, 200)))
		return -1;

	return 0;
}

/* Another descriptor of an open file is no other file. */
static int test_numfile_dup(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_dup");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	if (differs(bc_write(cgroup, "bc.max", "numfile 1"), 0) ||
	    differs(bc_open(agent, 1), 1) ||
	    differs(bc_call(agent, duplicate, 0, NULL), 0) ||
	    differs(bc_held(cgroup, NUMFILE), 1))
		goto cleanup;

	/* The first three closes leave one descriptor, which holds it. */
	if (differs(bc_close_first(agent, 3), 3) ||
	    differs(bc_held(cgroup, NUMFILE), 1) ||
	    differs(bc_open(agent, 1), 0))
		goto cleanup;
	if (differs(bc_close(agent, 1), 1) || unsettled(cgroup, NUMFILE, 0))
		goto cleanup;
	if (miscounted(cgroup, "bc.events", NUMFILE, 0, 1))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* Children share the files that they inherit; the last one to go frees them. */
static int test_numfile_fork(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_fork");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	if (differs(bc_write(cgroup, "bc.max", "numfile 5"), 0) ||
	    differs(bc_open(agent, 5), 5) ||
	    differs(bc_call(agent, bc_self_fork, 3, "hold"), 3) ||
	    differs(bc_held(cgroup, NUMFILE), 5))
		goto cleanup;

	if (differs(bc_close(agent, BC_ALL), 5) ||
	    differs(bc_held(cgroup, NUMFILE), 5))
		goto cleanup;
	if (differs(bc_end_children(agent), 3) ||
	    unsettled(cgroup, NUMFILE, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

static long map_file(long map, const char *text __maybe_unused)
{
	static void *mapping;
	long size = sysconf(_SC_PAGESIZE);
	int fd;

	if (!map)
		return munmap(mapping, size);

	fd = open("/proc/self/exe", O_RDONLY);
	if (fd < 0)
		return -1;
	mapping = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (mapping == MAP_FAILED)
		return -1;

	return close(fd);
}

/* A mapping keeps its file, and so the charge. */
static int test_numfile_mapping(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_mapping");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	if (differs(bc_call(agent, map_file, true, NULL), 0) ||
	    differs(bc_held(cgroup, NUMFILE), 1))
		goto cleanup;
	if (differs(bc_call(agent, map_file, false, NULL), 0) ||
	    unsettled(cgroup, NUMFILE, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* Who gets a file by SCM_RIGHTS does not get its charge. */
static int test_numfile_scm_rights(const char *root)
{
	struct bc_agent *opener = NULL, *receiver = NULL;
	char *from, *to = NULL;
	int ret = KSFT_FAIL;
	int fd = -1;

	from = bc_cgroup(root, "bc_scm_from");
	to = bc_cgroup(root, "bc_scm_to");
	opener = bc_agent(from);
	receiver = bc_agent(to);
	if (!opener || !receiver)
		goto cleanup;

	/* The receiver may not open anything itself. */
	if (differs(bc_write(to, "bc.max", "numfile 0"), 0) ||
	    differs(bc_open(opener, 1), 1))
		goto cleanup;
	fd = bc_take(opener);
	if (unmet(fd >= 0) || differs(bc_give(receiver, fd), 0))
		goto cleanup;
	close(fd);
	fd = -1;
	if (differs(bc_held(from, NUMFILE), 1) ||
	    differs(bc_held(to, NUMFILE), 0))
		goto cleanup;

	/* The opener closes it, and even ends: it is still the opener's. */
	if (differs(bc_close(opener, 1), 1) ||
	    differs(bc_held(from, NUMFILE), 1))
		goto cleanup;
	bc_stop(opener);
	opener = NULL;
	if (unsettled(from, NUMPROC, 0) || differs(bc_held(from, NUMFILE), 1))
		goto cleanup;

	if (differs(bc_close(receiver, 1), 1) ||
	    unsettled(from, NUMFILE, 0) ||
	    differs(bc_held(to, NUMFILE), 0) ||
	    miscounted(to, "bc.events", NUMFILE, 0, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	if (fd >= 0)
		close(fd);
	bc_stop(opener);
	bc_stop(receiver);
	ret = bc_remove(from, ret);
	return bc_remove(to, ret);
}

static long send_to_nobody(long arg __maybe_unused,
			   const char *text __maybe_unused)
{
	int pair[2];
	char byte = 0;

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
		return -1;
	if (bc_send(pair[0], &byte, 1, bc_self_newest()) != 1)
		return -1;

	bc_self_close(1, NULL);
	return bc_self_keep(pair[0]) || bc_self_keep(pair[1]);
}

/* A file that is under way in a socket is held until someone drops it. */
static int test_numfile_in_flight(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_in_flight");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	if (differs(bc_open(agent, 1), 1) ||
	    differs(bc_call(agent, send_to_nobody, 0, NULL), 0) ||
	    differs(bc_held(cgroup, NUMFILE), 3))
		goto cleanup;
	/* The sender's end does not matter, the receiver's does. */
	if (differs(bc_close_first(agent, 1), 1) ||
	    unsettled(cgroup, NUMFILE, 2))
		goto cleanup;
	if (differs(bc_close(agent, 1), 1) || unsettled(cgroup, NUMFILE, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* A process that moves leaves its files where they were opened. */
static int test_numfile_migration(const char *root)
{
	struct bc_agent *agent = NULL;
	char *from, *to = NULL;
	int ret = KSFT_FAIL;

	from = bc_cgroup(root, "bc_move_from");
	to = bc_cgroup(root, "bc_move_to");
	agent = bc_agent(from);
	if (!agent || !to)
		goto cleanup;

	if (differs(bc_open(agent, 12), 12) ||
	    differs(cg_enter(to, agent->pid), 0))
		goto cleanup;
	if (differs(bc_held(from, NUMFILE), 12) ||
	    differs(bc_held(to, NUMFILE), 0))
		goto cleanup;

	/* What it opens now is charged where it is now. */
	if (differs(bc_open(agent, 5), 5) ||
	    differs(bc_held(from, NUMFILE), 12) ||
	    differs(bc_held(to, NUMFILE), 5))
		goto cleanup;

	/* Each close hits the cgroup that has the charge. */
	if (differs(bc_close_first(agent, 10), 10) ||
	    unsettled(from, NUMFILE, 2) || differs(bc_held(to, NUMFILE), 5))
		goto cleanup;
	if (differs(bc_close(agent, 5), 5) || unsettled(to, NUMFILE, 0) ||
	    differs(bc_held(from, NUMFILE), 2))
		goto cleanup;

	/* After the way back the rest goes as well. */
	if (differs(cg_enter(from, agent->pid), 0) ||
	    differs(bc_close(agent, BC_ALL), 2) ||
	    unsettled(from, NUMFILE, 0) || differs(bc_held(to, NUMFILE), 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(from, ret);
	return bc_remove(to, ret);
}

/* The limits of the cgroup that a process is in are the ones that count. */
static int test_numfile_migration_and_limits(const char *root)
{
	struct bc_agent *agent = NULL;
	char *from, *to = NULL;
	int ret = KSFT_FAIL;

	from = bc_cgroup(root, "bc_limits_from");
	to = bc_cgroup(root, "bc_limits_to");
	agent = bc_agent(from);
	if (!agent || !to)
		goto cleanup;

	if (differs(bc_write(from, "bc.max", "numfile 3"), 0) ||
	    differs(bc_write(to, "bc.max", "numfile 2"), 0))
		goto cleanup;

	/* Full here is not full there: three files do not travel along. */
	if (differs(bc_open(agent, 4), 3) ||
	    differs(cg_enter(to, agent->pid), 0) ||
	    differs(bc_open(agent, 3), 2))
		goto cleanup;
	if (miscounted(from, "bc.events", NUMFILE, 0, 1) ||
	    miscounted(to, "bc.events", NUMFILE, 0, 1))
		goto cleanup;

	/* To close what is charged elsewhere makes no room here. */
	if (differs(bc_close_first(agent, 3), 3) ||
	    unsettled(from, NUMFILE, 0) || differs(bc_open(agent, 1), 0) ||
	    miscounted(to, "bc.events", NUMFILE, 0, 2))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(from, ret);
	return bc_remove(to, ret);
}

/* A process that just ends gives back what it had. */
static int test_numfile_exit(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	int i;

	cgroup = bc_cgroup(root, "bc_exit");
	if (!cgroup || differs(bc_write(cgroup, "bc.max", "numfile 30"), 0))
		goto cleanup;

	for (i = 0; i < 5; i++) {
		agent = bc_agent(cgroup);
		if (!agent || differs(bc_open(agent, 31), 30))
			goto cleanup;
		/* In turn by its own will and by force. */
		if (i % 2)
			kill(agent->pid, SIGKILL);
		bc_stop(agent);
		agent = NULL;
		if (unsettled(cgroup, NUMFILE, 0))
			goto cleanup;
	}

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_numfile_accept),
	T(test_numfile_dup),
	T(test_numfile_exit),
	T(test_numfile_fork),
	T(test_numfile_in_flight),
	T(test_numfile_kinds),
	T(test_numfile_kinds_refused),
	T(test_numfile_mapping),
	T(test_numfile_migration),
	T(test_numfile_migration_and_limits),
	T(test_numfile_scm_rights),
};

#undef T

int main(void)
{
	return bc_main(tests, ARRAY_SIZE(tests));
}
