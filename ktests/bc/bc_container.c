// SPDX-License-Identifier: GPL-2.0
/*
 * Containers that hold some of everything that is counted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_container.h"
#include "bc_util.h"

#define CHILDREN	2
#define FILES		8
#define SIGNALS		2
/* Above what a container needs of anything. */
#define BARRIER		100
#define LIMIT		120

const struct bc_container_share bc_container_shares[] = {
	{ NUMPROC,	1 + CHILDREN },
	/* Besides those below: the locked ones, both ends of the pty, sockets. */
	{ NUMFILE,	FILES + 2 + 2 + 6 },
	{ NUMPTY,	1 },
	{ NUMFLOCK,	2 },
	{ NUMTCPSOCK,	3 },
	{ NUMOTHERSOCK,	3 },
	{ NUMSIGINFO,	SIGNALS + 1 },
	/* The table of iptables that is there when it was asked for. */
	{ NUMIPTENT,	4 },
};

const int bc_container_nr_shares = ARRAY_SIZE(bc_container_shares);

/* What a container says when it is up, and again when it holds all it should. */
static struct report {
	int err;
	const char *what;
	unsigned long long cpu;
} report;

static unsigned long long cpu_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* Inside a container */

static bool failed(const char *what)
{
	report.what = what;
	report.err = errno;
	return true;
}

#define fails(call)	((call) < 0 && failed(#call))

static int lo_up(void)
{
	errno = -bc_lo_up();
	return errno ? -1 : 0;
}

static bool cannot_settle_in(void)
{
	return fails(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) ||
	       fails(mount("proc", "/proc", "proc", 0, NULL)) ||
	       fails(mount("tmpfs", "/tmp", "tmpfs", 0, NULL)) ||
	       fails(mkdir("/tmp/pts", 0755)) ||
	       fails(mount("devpts", "/tmp/pts", "devpts", 0,
			   "newinstance,ptmxmode=666")) ||
	       fails(lo_up());
}

/* A connection to itself. */
static int connect_tcp(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int listener, client;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	client = socket(AF_INET, SOCK_STREAM, 0);
	if (listener < 0 || client < 0 ||
	    bind(listener, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&addr, &len) ||
	    connect(client, (struct sockaddr *)&addr, len))
		return -1;
	return accept(listener, NULL, NULL);
}

static int ask_for_table(void)
{
	struct ipt_getinfo info = { .name = "filter" };
	int err, sock = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	socklen_t len = sizeof(info);

	if (sock < 0)
		return -1;
	err = getsockopt(sock, IPPROTO_IP, IPT_SO_GET_INFO, &info, &len);
	close(sock);
	return err;
}

static int fork_idle(void)
{
	pid_t pid = fork();

	while (!pid)
		pause();
	return pid;
}

static bool cannot_take_all(void)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = SIGRTMIN,
	};
	struct flock range = { .l_type = F_WRLCK, .l_len = 10 };
	int i, one, other, master, pair[2], locked = 0;
	union sigval value = {};
	timer_t timer;
	sigset_t set;

	for (i = 0; i < FILES; i++) {
		if (fails(open("/", O_RDONLY | O_DIRECTORY)))
			return true;
	}

	one = open("/tmp/one", O_RDWR | O_CREAT, 0600);
	other = open("/tmp/other", O_RDWR | O_CREAT, 0600);
	if (fails(one) || fails(other) || fails(flock(one, LOCK_EX)) ||
	    fails(fcntl(other, F_SETLK, &range)))
		return true;
	master = open("/tmp/pts/ptmx", O_RDWR | O_NOCTTY);
	if (fails(master) || fails(ioctl(master, TIOCSPTLCK, &locked)) ||
	    fails(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY)))
		return true;
	if (fails(connect_tcp()) ||
	    fails(socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) ||
	    fails(socket(AF_INET, SOCK_DGRAM, 0)) || fails(ask_for_table()))
		return true;

	sigfillset(&set);
	if (fails(sigprocmask(SIG_BLOCK, &set, NULL)) ||
	    fails(timer_create(CLOCK_MONOTONIC, &event, &timer)))
		return true;
	for (i = 0; i < SIGNALS; i++) {
		if (fails(sigqueue(getpid(), SIGRTMIN + 1, value)))
			return true;
	}
	for (i = 0; i < CHILDREN; i++) {
		if (fails(fork_idle()))
			return true;
	}

	return false;
}

static void say(int out)
{
	report.cpu = cpu_time();
	if (write(out, &report, sizeof(report)) != sizeof(report))
		_exit(EXIT_FAILURE);
}

static __noreturn void first_process(int out)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!cannot_settle_in()) {
		say(out);
		cannot_take_all();
	}
	say(out);
	if (report.err)
		_exit(EXIT_FAILURE);
	close(out);
	for (;;)
		pause();
}

/* Outside */

/* More for what is counted in pages or bytes. */
#define PAGES	1000

/* Lines for all resources that bc.max lists, all with the same value. */
static int write_lines(const char *cgroup, int value, char *text, size_t size)
{
	char path[PATH_MAX], buf[BUF_SIZE];
	char *line, *state;
	size_t len = 0;
	int ret;

	snprintf(path, sizeof(path), "%s/bc.max", cgroup);
	ret = bc_read(path, buf, sizeof(buf));
	if (ret < 0)
		return ret;

	for (line = strtok_r(buf, "\n", &state); line;
	     line = strtok_r(NULL, "\n", &state)) {
		line[strcspn(line, " ")] = '\0';
		len += snprintf(text + len, size - len, "%s %d\n", line,
				strstr(line, "pages") || strstr(line, "buf") ?
				PAGES * value : value);
	}

	return 0;
}

/* As a runtime does: it knows what to write. */
static int set_all(const char *cgroup)
{
	static char barriers[BUF_SIZE], limits[BUF_SIZE];
	int ret = 0;

	if (!limits[0])
		ret = write_lines(cgroup, BARRIER, barriers, sizeof(barriers)) ?:
		      write_lines(cgroup, LIMIT, limits, sizeof(limits));

	return ret ?: bc_write(cgroup, "bc.max", limits) ?:
		      bc_write(cgroup, "bc.high", barriers);
}

static pid_t clone_container(const char *cgroup, int out)
{
	struct clone_args args = {
		.flags = CLONE_INTO_CGROUP | CLONE_NEWPID | CLONE_NEWNS |
			 CLONE_NEWNET,
		.exit_signal = SIGCHLD,
	};
	pid_t pid;
	int fd;

	fd = open(cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	args.cgroup = fd;
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (!pid)
		first_process(out);
	if (pid < 0)
		pid = -errno;
	close(fd);
	return pid;
}

/* Reads one report; 0 or -errno of what went wrong. */
static int hear(int in, unsigned long long *cpu)
{
	struct report heard;

	if (read(in, &heard, sizeof(heard)) != sizeof(heard)) {
		ksft_print_msg("a container ended unheard\n");
		return -ESRCH;
	}
	*cpu = heard.cpu;
	if (heard.err)
		ksft_print_msg("in a container: %s: %s\n", heard.what,
			       strerror(heard.err));
	return -heard.err;
}

int bc_container_make(struct bc_container *container, const char *parent,
		      int nr, struct bc_container_cost *cost)
{
	unsigned long long start = cpu_time();
	unsigned long long up = 0, loaded = 0;
	int ret = 0, pipes[2];

	*container = (struct bc_container){};
	container->cgroup = cg_name_indexed(parent, "container", nr);
	if (!container->cgroup)
		return -ENOMEM;
	if (mkdir(container->cgroup, 0755) || pipe2(pipes, O_CLOEXEC)) {
		ret = -errno;
		bc_container_end(container, NULL);
		return ret;
	}

	if (bc_has(container->cgroup, "bc.max"))
		ret = set_all(container->cgroup);
	if (!ret) {
		ret = clone_container(container->cgroup, pipes[1]);
		if (ret > 0) {
			container->pid = ret;
			ret = 0;
		}
	}
	if (cost)
		cost->make = cpu_time() - start;

	/* A container that ends without a word shall be noticed. */
	close(pipes[1]);
	if (!ret)
		ret = hear(pipes[0], &up) ?: hear(pipes[0], &loaded);
	close(pipes[0]);
	container->cpu = loaded;
	if (cost) {
		cost->make += up;
		cost->load = loaded - up;
	}
	if (ret)
		bc_container_end(container, NULL);
	return ret;
}

int bc_container_end(struct bc_container *container,
		     struct bc_container_cost *cost)
{
	unsigned long long start = cpu_time(), took = 0;
	struct rusage usage = {};
	int i, ret = 0;

	if (container->pid) {
		/* All others of its pid namespace go with it. */
		kill(container->pid, SIGKILL);
		if (wait4(container->pid, NULL, 0, &usage) != container->pid)
			ret = -errno;
		took = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) *
			1000000000ULL +
			(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) *
			1000ULL;
	}
	for (i = 0; rmdir(container->cgroup) && errno != ENOENT; i++) {
		if (i == BC_POLL_TIMES) {
			ksft_print_msg("cannot remove %s: %s\n",
				       container->cgroup, strerror(errno));
			ret = -EBUSY;
			break;
		}
		usleep(BC_POLL_USEC);
	}
	if (cost)
		cost->end = cpu_time() - start + took - container->cpu;

	free(container->cgroup);
	*container = (struct bc_container){};
	return ret;
}

bool bc_container_holds_not(const char *cgroup, long nr,
			    const char *file, int line)
{
	bool ret = false;
	int i;

	for (i = 0; i < bc_container_nr_shares; i++) {
		const struct bc_container_share *share = &bc_container_shares[i];
		long want = nr * share->held;

		/* What is right already needs no second look. */
		if (bc_held(cgroup, share->resource) != want &&
		    bc_unsettled(cgroup, share->resource, want, file, line))
			ret = true;
	}

	return ret;
}

bool bc_container_stays(const char *parent, const char *file, int line)
{
	long dying = BC_NONE;
	int i;

	for (i = 0; i < BC_POLL_TIMES && dying; i++) {
		bc_pause();
		dying = bc_value(parent, "cgroup.stat", "nr_dying_descendants");
	}

	return bc_differs(dying, 0, "nr_dying_descendants", file, line) ||
	       (bc_has(parent, "bc.current") &&
		bc_container_holds_not(parent, 0, file, line));
}
