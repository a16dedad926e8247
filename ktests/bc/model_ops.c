// SPDX-License-Identifier: GPL-2.0
/*
 * What workers do to the kernel. Nothing here knows what it should lead to.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "bc_nft.h"
#include "bc_util.h"
#include "model_locks.h"
#include "model_ops.h"

#ifndef TIOCGPTPEER
#define TIOCGPTPEER	_IO('T', 0x41)
#endif

#define IDLE		"--idle"
#define WAIT_MSEC	30000

struct ops_batch *ops_batches;

/* Made by the program, so that they cost nobody anything. */
static struct {
	int mail[MODEL_WORKERS][2];	/* files come here */
	int told[MODEL_WORKERS][2];	/* programs say that they run */
	int netlink[MODEL_WORKERS];
	int inodes[MODEL_INODES];
	char pts[32];
} has;

/* What this worker has. */
static struct {
	bool started;
	int nr;
	int fds[MODEL_SLOTS];
	bool lockable[MODEL_SLOTS], master[MODEL_SLOTS];
	bool has_timer[MODEL_TIMERS];
	timer_t timers[MODEL_TIMERS];
	pid_t children[MODEL_CHILDREN];
} self;

static int number_of(long signal)
{
	return signal == SIGNAL_QUEUED ? SIGRTMIN :
	       signal == SIGNAL_FIRST ? SIGUSR1 : SIGUSR2;
}

/* Files */

static int keep(int slot, int fd)
{
	if (fd < 0)
		return -errno;
	self.fds[slot] = fd;
	self.lockable[slot] = false;
	self.master[slot] = false;
	return 0;
}

static int keep_two(const struct model_step *step, const int *fds, int ret)
{
	if (ret)
		return -errno;
	keep(step->slot, fds[0]);
	keep(step->to, fds[1]);
	return 0;
}

static int open_lockfile(const struct model_step *step)
{
	char path[32];
	int err;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", has.inodes[step->x]);
	err = keep(step->slot, open(path, O_RDWR | O_CLOEXEC));
	if (!err)
		self.lockable[step->slot] = true;
	return err;
}

static int lock(const struct model_step *step)
{
	static const short types[] = {
		[MODEL_UNLOCK] = F_UNLCK,
		[MODEL_SHARED] = F_RDLCK,
		[MODEL_EXCLUSIVE] = F_WRLCK,
	};
	static const int operations[] = {
		[MODEL_UNLOCK] = LOCK_UN,
		[MODEL_SHARED] = LOCK_SH,
		[MODEL_EXCLUSIVE] = LOCK_EX,
	};
	struct flock fl = {
		.l_type = types[step->x],
		.l_whence = SEEK_SET,
		.l_start = step->y,
		.l_len = step->z == MODEL_END ? 0 : step->z - step->y + 1,
	};
	int fd = self.fds[step->slot], ret;

	if (fd < 0 || !self.lockable[step->slot])
		return MODEL_VOID;
	if (step->op == OP_FLOCK)
		ret = flock(fd, operations[step->x] | LOCK_NB);
	else
		ret = fcntl(fd, step->op == OP_OFD ? F_OFD_SETLK : F_SETLK,
			    &fl);
	return ret ? -errno : 0;
}

static int open_pty(const struct model_step *step)
{
	char path[sizeof(has.pts) + sizeof("/ptmx")];
	int err;

	snprintf(path, sizeof(path), "%s/ptmx", has.pts);
	err = keep(step->slot, open(path, O_RDWR | O_NOCTTY | O_CLOEXEC));
	if (!err)
		self.master[step->slot] = true;
	return err;
}

static int open_slave(const struct model_step *step)
{
	int fd = self.fds[step->slot], zero = 0;

	if (fd < 0 || !self.master[step->slot])
		return MODEL_VOID;
	if (ioctl(fd, TIOCSPTLCK, &zero))
		return -errno;
	return keep(step->to, ioctl(fd, TIOCGPTPEER,
				    O_RDWR | O_NOCTTY | O_CLOEXEC));
}

/* The descriptor is taken out of the slot, or put into it, by a message. */
static int pass(const struct model_step *step)
{
	char byte = 0;
	int fd;

	if (step->worker == self.nr)
		return bc_send(has.mail[step->other][0], &byte, 1,
			       self.fds[step->slot]) == 1 ? 0 : -errno;

	if (bc_receive(has.mail[self.nr][1], &byte, 1, &fd) != 1)
		return -errno;
	if (fd < 0)
		return -ENODATA;
	keep(step->to, fd);
	self.lockable[step->to] = step->x & 1;
	self.master[step->to] = step->x & 2;
	return 0;
}

static int copy(const struct model_step *step)
{
	int err;

	if (self.fds[step->slot] < 0)
		return MODEL_VOID;
	err = keep(step->to, fcntl(self.fds[step->slot], F_DUPFD_CLOEXEC, 0));
	self.lockable[step->to] = self.lockable[step->slot];
	self.master[step->to] = self.master[step->slot];
	return err;
}

static int let_go(const struct model_step *step)
{
	int fd = self.fds[step->slot];

	if (fd < 0)
		return MODEL_VOID;
	self.fds[step->slot] = -1;
	return close(fd) ? -errno : 0;
}

/* Sockets */

static struct sockaddr_un abstract(long name)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "bc_model_%ld",
		 name);
	return addr;
}

/* One whose end leaves nothing behind that would have to be waited for. */
static int stream_socket(bool tcp)
{
	struct linger linger = { .l_onoff = 1 };
	int sock = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC,
			  0);

	if (sock >= 0 && tcp)
		setsockopt(sock, SOL_SOCKET, SO_LINGER, &linger,
			   sizeof(linger));
	return sock;
}

static int fail(int sock)
{
	int err = -errno;

	close(sock);
	return err;
}

static int listen_on(const struct model_step *step, long *port)
{
	int sock = stream_socket(!step->x);
	struct sockaddr_un local = abstract(step->z);
	struct sockaddr_in addr = bc_loopback(0);
	socklen_t len = sizeof(addr);
	int ret;

	if (sock < 0)
		return -errno;
	if (step->x)
		ret = bind(sock, (struct sockaddr *)&local, sizeof(local));
	else
		ret = bind(sock, (struct sockaddr *)&addr, sizeof(addr));
	if (ret || listen(sock, 64) || fcntl(sock, F_SETFL, O_NONBLOCK))
		return fail(sock);
	*port = step->z;
	if (!step->x) {
		if (getsockname(sock, (struct sockaddr *)&addr, &len))
			return fail(sock);
		*port = ntohs(addr.sin_port);
	}
	return keep(step->slot, sock);
}

static int connect_to(const struct model_step *step)
{
	struct sockaddr_un local = abstract(step->z);
	struct sockaddr_in addr = bc_loopback(step->z);
	int sock = stream_socket(!step->x);
	int ret;

	if (sock < 0)
		return -errno;
	if (step->x)
		ret = connect(sock, (struct sockaddr *)&local, sizeof(local));
	else
		ret = connect(sock, (struct sockaddr *)&addr, sizeof(addr));
	if (ret)
		return fail(sock);
	if (step->y) {
		/* The listener's end was dropped: nobody would tell. */
		close(sock);
		return -ENOMEM;
	}
	return keep(step->slot, sock);
}

static int make_socket(const struct model_step *step)
{
	int family = step->x == FAMILY_UNIX ? AF_UNIX : AF_INET;
	int type = step->x == FAMILY_TCP ? SOCK_STREAM : SOCK_DGRAM;

	return keep(step->slot, socket(family, type | SOCK_CLOEXEC, 0));
}

/* Signals */

static int send_signal(const struct model_step *step)
{
	union sigval value = {};
	int ret;

	if (step->op == OP_QUEUE)
		ret = sigqueue(step->pid, number_of(SIGNAL_QUEUED), value);
	else
		ret = kill(step->pid, number_of(step->x));
	return ret ? -errno : 0;
}

static int collect(const struct model_step *step)
{
	struct timespec none = {};
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, number_of(step->x));
	return sigtimedwait(&set, &info, &none) < 0 ? -errno : 0;
}

static int make_timer(const struct model_step *step)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = SIGUSR1,
	};

	if (self.has_timer[step->slot])
		return MODEL_VOID;
	if (timer_create(CLOCK_MONOTONIC, &event, &self.timers[step->slot]))
		return -errno;
	self.has_timer[step->slot] = true;
	return 0;
}

static int delete_timer(const struct model_step *step)
{
	if (!self.has_timer[step->slot])
		return MODEL_VOID;
	self.has_timer[step->slot] = false;
	return timer_delete(self.timers[step->slot]) ? -errno : 0;
}

/* Processes */

static void close_all(void)
{
	int i;

	for (i = 0; i < MODEL_SLOTS; i++) {
		if (self.fds[i] >= 0)
			close(self.fds[i]);
	}
}

static __noreturn void idle_child(bool keeps)
{
	if (!keeps)
		close_all();
	__atomic_add_fetch(&ops_batches[self.nr].idle, 1, __ATOMIC_SEQ_CST);
	for (;;)
		pause();
}

static __noreturn void execute(void)
{
	char text[16];
	int err;

	close_all();
	snprintf(text, sizeof(text), "%d", has.told[self.nr][1]);
	execl("/proc/self/exe", "bc_model_idle", IDLE, text, NULL);
	err = -errno;
	write(has.told[self.nr][1], &err, sizeof(err));
	_exit(EXIT_FAILURE);
}

void ops_idle(int argc, char **argv)
{
	int err = 0;

	if (argc != 3 || strcmp(argv[1], IDLE))
		return;
	write(atoi(argv[2]), &err, sizeof(err));
	for (;;)
		pause();
}

static int fork_child(const struct model_step *step)
{
	long *idle = &ops_batches[self.nr].idle, before;
	struct pollfd told = {
		.fd = has.told[self.nr][0],
		.events = POLLIN,
	};
	int i, err = -ETIMEDOUT;
	pid_t pid;

	if (self.children[step->slot])
		return MODEL_VOID;
	before = __atomic_load_n(idle, __ATOMIC_SEQ_CST);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (step->op == OP_EXEC)
			execute();
		idle_child(step->x);
	}

	if (step->op == OP_EXEC) {
		if (poll(&told, 1, WAIT_MSEC) == 1 &&
		    read(told.fd, &err, sizeof(err)) != sizeof(err))
			err = -EIO;
	}
	for (i = 0; step->op == OP_FORK && err && i < WAIT_MSEC; i++) {
		if (__atomic_load_n(idle, __ATOMIC_SEQ_CST) != before)
			err = 0;
		else
			usleep(i < 100 ? 50 : 1000);
	}
	if (err) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return err;
	}
	self.children[step->slot] = pid;
	return 0;
}

static int wait_child(const struct model_step *step)
{
	pid_t pid = self.children[step->slot];

	if (!pid)
		return MODEL_VOID;
	self.children[step->slot] = 0;
	kill(pid, SIGKILL);
	return waitpid(pid, NULL, 0) == pid ? 0 : -errno;
}

/* Rules of nftables */

static int change_rules(int sock, const struct model_step *step)
{
	char table[16];
	long i;

	snprintf(table, sizeof(table), "m%ld", step->x);
	nft_begin();
	switch (step->op) {
	case OP_TABLE:
		nft_put_table(table);
		break;
	case OP_UNTABLE:
		nft_put_delete(table);
		break;
	case OP_FLUSH:
		nft_put_flush(table);
		break;
	default:
		for (i = 1; i <= step->y; i++)
			nft_put_rule(table, i == step->y ? NLM_F_ACK : 0);
	}
	return nft_commit(sock);
}

void ops_clear_tables(void)
{
	struct model_step step = { .op = OP_UNTABLE };

	for (step.x = 0; step.x < MODEL_TABLES; step.x++)
		change_rules(has.netlink[0], &step);
}

/* Steps */

static bool occupied(const struct model_step *step)
{
	switch (step->op) {
	case OP_PIPE:
	case OP_PAIR:
		return step->slot == step->to || self.fds[step->slot] >= 0 ||
		       self.fds[step->to] >= 0;
	case OP_OPEN:
	case OP_SOCKET:
	case OP_LISTEN:
	case OP_CONNECT:
	case OP_PTY:
	case OP_LOCKFILE:
		return self.fds[step->slot] >= 0;
	case OP_DUP:
	case OP_ACCEPT:
	case OP_SLAVE:
		return step->slot == step->to || self.fds[step->to] >= 0;
	default:
		return false;
	}
}

static int do_step(const struct model_step *step, long *value)
{
	int fds[2];

	if (occupied(step))
		return MODEL_VOID;

	switch (step->op) {
	case OP_OPEN:
		return keep(step->slot, open("/", O_RDONLY | O_DIRECTORY |
					     O_CLOEXEC));
	case OP_CLOSE:
		return let_go(step);
	case OP_DUP:
		return copy(step);
	case OP_PIPE:
		return keep_two(step, fds, pipe2(fds, O_CLOEXEC));
	case OP_SOCKET:
		return make_socket(step);
	case OP_PAIR:
		return keep_two(step, fds, socketpair(AF_UNIX, SOCK_STREAM |
						      SOCK_CLOEXEC, 0, fds));
	case OP_LISTEN:
		return listen_on(step, value);
	case OP_CONNECT:
		return connect_to(step);
	case OP_ACCEPT:
		return keep(step->to, accept4(self.fds[step->slot], NULL, NULL,
					      SOCK_CLOEXEC));
	case OP_PTY:
		return open_pty(step);
	case OP_SLAVE:
		return open_slave(step);
	case OP_LOCKFILE:
		return open_lockfile(step);
	case OP_FLOCK:
	case OP_POSIX:
	case OP_OFD:
		return lock(step);
	case OP_QUEUE:
	case OP_SIGNAL:
		return send_signal(step);
	case OP_COLLECT:
		return collect(step);
	case OP_TIMER:
		return make_timer(step);
	case OP_UNTIMER:
		return delete_timer(step);
	case OP_FORK:
	case OP_EXEC:
		return fork_child(step);
	case OP_WAIT:
		return wait_child(step);
	case OP_TABLE:
	case OP_UNTABLE:
	case OP_RULE:
	case OP_FLUSH:
		return change_rules(has.netlink[self.nr], step);
	case OP_SEND:
		return pass(step);
	default:
		return -EINVAL;
	}
}

long ops_run(long worker, const char *text __maybe_unused)
{
	struct ops_batch *mine = &ops_batches[worker];
	int i;

	for (i = 0; !self.started && i < MODEL_SLOTS; i++)
		self.fds[i] = -1;
	self.started = true;
	self.nr = worker;

	if (mine->nr > 1)
		bc_meet();
	for (i = 0; i < mine->nr; i++)
		mine->results[i].err = do_step(&mine->steps[i],
					       &mine->results[i].value);
	return 0;
}

/* The program */

/* Whether tables of nftables can be made here. */
static bool can_filter(void)
{
	struct model_step step = { .op = OP_TABLE };
	int err;

	err = change_rules(has.netlink[0], &step);
	step.op = OP_UNTABLE;
	return !err && !change_rules(has.netlink[0], &step);
}

int ops_prepare(struct ops_support *support)
{
	sigset_t set;
	int i;

	/* Those that workers are sent wait until they are collected. */
	sigemptyset(&set);
	for (i = 0; i < SIGNALS; i++)
		sigaddset(&set, number_of(i));
	sigprocmask(SIG_BLOCK, &set, NULL);

	ops_batches = mmap(NULL, MODEL_WORKERS * sizeof(*ops_batches),
			   PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			   -1, 0);
	if (ops_batches == MAP_FAILED)
		return -errno;

	support->network = !bc_new_net();
	for (i = 0; i < MODEL_WORKERS; i++) {
		if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0,
			       has.mail[i]) || pipe(has.told[i]))
			return -errno;
		has.netlink[i] = nft_socket();
		support->rules = has.netlink[i] >= 0;
	}
	support->rules = support->network && support->rules && can_filter();
	for (i = 0; i < MODEL_INODES; i++) {
		has.inodes[i] = memfd_create("bc_model", MFD_CLOEXEC);
		if (has.inodes[i] < 0)
			return -errno;
	}

	snprintf(has.pts, sizeof(has.pts), "/tmp/bc_model_XXXXXX");
	support->ptys = mkdtemp(has.pts) &&
			!mount("devpts", has.pts, "devpts", 0,
			       "ptmxmode=0666");
	return 0;
}

void ops_finish(void)
{
	umount(has.pts);
	rmdir(has.pts);
}
