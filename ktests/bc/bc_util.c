// SPDX-License-Identifier: GPL-2.0
/*
 * What the tests of the bc controller share: expectations that explain
 * themselves, readers of its files, and agents that act inside a cgroup.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_util.h"

#define SELF_FILES	1024
#define SELF_CHILDREN	256
#define SELF_THREADS	64
#define MOST_CPUS	16
#define THREAD_STACK	(256 * 1024)

#define TRACEFS		"/sys/kernel/tracing"
#define DEBUGFS		"/sys/kernel/debug"
#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define RECORD_CMD	TRACEFS "/options/record-cmd"
#define INSTANCE	TRACEFS "/instances/bc_selftest"

struct order {
	bc_fn fn;
	long arg;
	char text[2 * PATH_MAX];
};

struct report {
	long ret;
	int err;
};

/* What an agent has. In the program itself all of it stays empty. */
static struct {
	int files[SELF_FILES];
	long nr_files;
	pid_t children[SELF_CHILDREN];
	long nr_children;
	long *idle;	/* how many children have become idle; shared */
	pthread_t threads[SELF_THREADS];
	long nr_threads;
	bool threads_end;
	int sock;
	int received;	/* came with the order */
	int sending;	/* goes with the report */
} self = { .sock = -1, .received = -1, .sending = -1 };

static pthread_mutex_t threads_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t threads_wake = PTHREAD_COND_INITIALIZER;

/* All resources but for processes. */
static const char * const objects[] = {
	NUMFILE,
	NUMPTY,
	NUMFLOCK,
	NUMTCPSOCK,
	NUMOTHERSOCK,
	NUMSIGINFO,
	NUMIPTENT,
	PRIVVMPAGES,
	LOCKEDPAGES,
	SHMPAGES,
	TCPSNDBUF,
	TCPRCVBUF,
	DGRAMRCVBUF,
};

static const char *skip_reason;
static cpu_set_t cpus_at_start;

struct bc_shared *bc_shared;

/* Expectations */

bool bc_differs(long got, long want, const char *what,
		const char *file, int line)
{
	if (got == want)
		return false;

	ksft_print_msg("%s:%d: %s is %ld, not %ld\n", file, line, what, got,
		       want);
	return true;
}

bool bc_unmet(bool condition, const char *what, const char *file, int line)
{
	if (condition)
		return false;

	ksft_print_msg("%s:%d: not true: %s\n", file, line, what);
	return true;
}

bool bc_unsettled(const char *cgroup, const char *resource, long want,
		  const char *file, int line)
{
	int i, seen = 0;
	long got = 0;

	/* Twice in a row: a count on its way to somewhere else is no match. */
	for (i = 0; i < BC_POLL_TIMES; i++) {
		got = bc_held(cgroup, resource);
		seen = got == want ? seen + 1 : 0;
		if (seen == 2)
			return false;
		bc_pause();
	}

	ksft_print_msg("%s:%d: %s held in %s stays %ld, not %ld\n", file, line,
		       resource, cgroup, got, want);
	return true;
}

bool bc_miscounted(const char *cgroup, const char *events,
		   const char *resource, long high, long max,
		   const char *file, int line)
{
	char key[64];
	long got_high, got_max;

	snprintf(key, sizeof(key), "%s.high", resource);
	got_high = bc_value(cgroup, events, key);
	snprintf(key, sizeof(key), "%s.max", resource);
	got_max = bc_value(cgroup, events, key);
	if (got_high == high && got_max == max)
		return false;

	ksft_print_msg("%s:%d: %s of %s: %s high %ld max %ld, not %ld %ld\n",
		       file, line, events, cgroup, resource, got_high, got_max,
		       high, max);
	return true;
}

/* Files */

ssize_t bc_read(const char *path, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t ret;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;

	do {
		ret = read(fd, buf + len, size - 1 - len);
		if (ret < 0)
			ret = -errno;
		else
			len += ret;
	} while (ret > 0 && len < size - 1);

	buf[len] = '\0';
	close(fd);
	return ret < 0 ? ret : (ssize_t)len;
}

int bc_write_path(const char *path, const char *text)
{
	ssize_t len = strlen(text);
	ssize_t ret;
	int fd;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;

	ret = write(fd, text, len);
	if (ret < 0)
		ret = -errno;
	else
		ret = ret == len ? 0 : -EIO;

	close(fd);
	return ret;
}

int bc_write(const char *cgroup, const char *file, const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", cgroup, file);
	return bc_write_path(path, text);
}

bool bc_has(const char *cgroup, const char *file)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", cgroup, file);
	return !access(path, F_OK);
}

bool bc_lists(const char *cgroup, const char *file, const char *word)
{
	char path[PATH_MAX], buf[BUF_SIZE];
	char *token, *state;

	snprintf(path, sizeof(path), "%s/%s", cgroup, file);
	if (bc_read(path, buf, sizeof(buf)) < 0)
		return false;

	for (token = strtok_r(buf, "\n ", &state); token;
	     token = strtok_r(NULL, "\n ", &state)) {
		if (!strcmp(token, word))
			return true;
	}

	return false;
}

/* The rest of the line that begins with the key and a blank. */
static bool find_line(const char *cgroup, const char *file, const char *key,
		      char *value, size_t size)
{
	char path[PATH_MAX], buf[BUF_SIZE];
	char *line, *state;

	snprintf(path, sizeof(path), "%s/%s", cgroup, file);
	if (bc_read(path, buf, sizeof(buf)) < 0)
		return false;

	for (line = strtok_r(buf, "\n", &state); line;
	     line = strtok_r(NULL, "\n", &state)) {
		size_t len = strlen(key);

		if (strncmp(line, key, len) || line[len] != ' ')
			continue;
		snprintf(value, size, "%s", line + len + 1);
		return true;
	}

	return false;
}

static long parse(const char *text)
{
	char *end;
	long value;

	if (!strcmp(text, "max"))
		return BC_MAX;

	errno = 0;
	value = strtol(text, &end, 10);
	return errno || end == text || *end ? BC_NONE : value;
}

long bc_value(const char *cgroup, const char *file, const char *key)
{
	char value[64];

	if (!find_line(cgroup, file, key, value, sizeof(value)))
		return BC_NONE;

	return parse(value);
}

long bc_held(const char *cgroup, const char *resource)
{
	return bc_value(cgroup, "bc.current", resource);
}

long bc_peak(const char *cgroup, const char *resource)
{
	return bc_value(cgroup, "bc.peak", resource);
}

int bc_stat(const char *cgroup, const char *resource, struct bc_row *row)
{
	static const char * const names[] = {
		"held", "maxheld", "barrier", "limit", "failcnt",
	};
	long *values[] = {
		&row->held, &row->maxheld, &row->barrier, &row->limit,
		&row->failcnt,
	};
	char line[256], *pair, *state;
	size_t i;

	if (!find_line(cgroup, "bc.stat", resource, line, sizeof(line)))
		return -ENOENT;

	pair = strtok_r(line, " ", &state);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		size_t len = strlen(names[i]);

		if (!pair || strncmp(pair, names[i], len) || pair[len] != '=')
			return -EINVAL;
		*values[i] = parse(pair + len + 1);
		if (*values[i] == BC_NONE)
			return -EINVAL;
		pair = strtok_r(NULL, " ", &state);
	}

	return pair ? -EINVAL : 0;
}

/* Cgroups */

char *bc_cgroup(const char *parent, const char *name)
{
	char *cgroup;

	if (!parent)
		return NULL;

	cgroup = cg_name(parent, name);
	if (!cgroup)
		return NULL;

	/* A run that was cut short may have left one of that name. */
	rmdir(cgroup);
	if (cg_create(cgroup)) {
		ksft_perror(cgroup);
		free(cgroup);
		return NULL;
	}

	return cgroup;
}

int bc_remove(char *cgroup, int result)
{
	int i;

	if (!cgroup)
		return result;

	if (result == KSFT_PASS && bc_has(cgroup, "bc.current")) {
		if (unsettled(cgroup, NUMPROC, 0))
			result = KSFT_FAIL;
		/* What is nothing already needs no second look. */
		for (i = 0; i < (int)ARRAY_SIZE(objects); i++) {
			if (bc_held(cgroup, objects[i]) &&
			    unsettled(cgroup, objects[i], 0))
				result = KSFT_FAIL;
		}
	}

	for (i = 0; rmdir(cgroup) && errno != ENOENT; i++) {
		if (i == BC_POLL_TIMES) {
			ksft_print_msg("cannot remove %s\n", cgroup);
			result = KSFT_FAIL;
			break;
		}
		cg_killall(cgroup);
		bc_pause();
	}

	free(cgroup);
	return result;
}

int bc_enable(const char *cgroup)
{
	return bc_write(cgroup, "cgroup.subtree_control", "+bc");
}

int bc_disable(const char *cgroup)
{
	return bc_write(cgroup, "cgroup.subtree_control", "-bc");
}

unsigned long bc_id(const char *cgroup)
{
	struct stat st;

	return stat(cgroup, &st) ? 0 : st.st_ino;
}

void bc_reap(void)
{
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

void bc_pause(void)
{
	bc_reap();
	usleep(BC_POLL_USEC);
}

/* What runs inside an agent */

long bc_self_keep(int fd)
{
	if (fd < 0)
		return -1;

	if (self.nr_files == SELF_FILES) {
		close(fd);
		errno = EMFILE;
		return -1;
	}

	self.files[self.nr_files++] = fd;
	return 0;
}

int bc_self_newest(void)
{
	return self.nr_files ? self.files[self.nr_files - 1] : -1;
}

int bc_self_oldest(void)
{
	return self.nr_files ? self.files[0] : -1;
}

long bc_self_open(long nr, const char *text __maybe_unused)
{
	long i;

	for (i = 0; i < nr; i++) {
		if (bc_self_keep(open("/", O_RDONLY | O_DIRECTORY)))
			break;
	}

	return i;
}

long bc_self_close(long nr, const char *text __maybe_unused)
{
	long i;

	for (i = 0; i < nr && self.nr_files; i++)
		close(self.files[--self.nr_files]);

	return i;
}

long bc_self_close_first(long nr, const char *text __maybe_unused)
{
	long i;

	if (nr > self.nr_files)
		nr = self.nr_files;

	for (i = 0; i < nr; i++)
		close(self.files[i]);

	self.nr_files -= nr;
	memmove(self.files, self.files + nr,
		self.nr_files * sizeof(self.files[0]));
	return nr;
}

static __noreturn void idle(bool keep)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(self.sock);
	if (!keep)
		bc_self_close(BC_ALL, NULL);

	__atomic_add_fetch(self.idle, 1, __ATOMIC_SEQ_CST);
	for (;;)
		pause();
}

/* With a text the children keep the files that they inherit. */
long bc_self_fork(long nr, const char *text)
{
	long start = __atomic_load_n(self.idle, __ATOMIC_SEQ_CST);
	int err, tries;
	pid_t pid;
	long i;

	for (i = 0; i < nr && self.nr_children < SELF_CHILDREN; i++) {
		pid = fork();
		if (pid < 0)
			break;
		if (!pid)
			idle(text);
		self.children[self.nr_children++] = pid;
	}

	/* They hold what they inherited until they are idle. */
	err = errno;
	for (tries = 0; tries < BC_POLL_TIMES; tries++) {
		if (__atomic_load_n(self.idle, __ATOMIC_SEQ_CST) - start == i)
			break;
		usleep(BC_POLL_USEC / 10);
	}
	errno = err;

	return i;
}

long bc_self_end_children(long arg __maybe_unused,
			  const char *text __maybe_unused)
{
	long i, nr = self.nr_children;

	for (i = 0; i < nr; i++)
		kill(self.children[i], SIGKILL);
	for (i = 0; i < nr; i++)
		waitpid(self.children[i], NULL, 0);

	self.nr_children = 0;
	return nr;
}

static void *thread_main(void *arg)
{
	pthread_mutex_lock(&threads_lock);
	while (!self.threads_end)
		pthread_cond_wait(&threads_wake, &threads_lock);
	pthread_mutex_unlock(&threads_lock);

	return arg;
}

static long self_threads(long nr, const char *text __maybe_unused)
{
	pthread_attr_t attr;
	int err = 0;
	long i;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	for (i = 0; i < nr && self.nr_threads < SELF_THREADS; i++) {
		err = pthread_create(&self.threads[self.nr_threads], &attr,
				     thread_main, NULL);
		if (err)
			break;
		self.nr_threads++;
	}
	pthread_attr_destroy(&attr);

	errno = err;
	return i;
}

static long self_end_threads(long arg __maybe_unused,
			     const char *text __maybe_unused)
{
	long i, nr = self.nr_threads;

	pthread_mutex_lock(&threads_lock);
	self.threads_end = true;
	pthread_cond_broadcast(&threads_wake);
	pthread_mutex_unlock(&threads_lock);

	for (i = 0; i < nr; i++)
		pthread_join(self.threads[i], NULL);

	self.threads_end = false;
	self.nr_threads = 0;
	return nr;
}

static long self_write(long arg __maybe_unused, const char *text)
{
	return bc_write_path(text, text + strlen(text) + 1);
}

static long self_take(long arg __maybe_unused,
		      const char *text __maybe_unused)
{
	self.sending = bc_self_newest();
	return self.sending;
}

static long self_give(long arg __maybe_unused,
		      const char *text __maybe_unused)
{
	return bc_self_keep(self.received);
}

long bc_self_pin(long cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

static long self_pin(long cpu, const char *text __maybe_unused)
{
	return bc_self_pin(cpu);
}

static long self_scatter(long nr, const char *text __maybe_unused)
{
	int i;

	for (i = 0; i < bc_cpus(); i++) {
		if (bc_self_pin(bc_cpu(i)) ||
		    bc_self_open(nr, NULL) != nr ||
		    bc_self_close(nr, NULL) != nr)
			return -1;
	}

	return 0;
}

/* Orders and reports */

ssize_t bc_send(int sock, void *data, size_t len, int fd)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(fd))];
	} control = {};
	struct iovec iov = { .iov_base = data, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;

	if (fd >= 0) {
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}

	return sendmsg(sock, &msg, MSG_NOSIGNAL);
}

ssize_t bc_receive(int sock, void *data, size_t len, int *fd)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(*fd))];
	} control = {};
	struct iovec iov = { .iov_base = data, .iov_len = len };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *cmsg;
	ssize_t ret;

	do {
		ret = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (ret < 0 && errno == EINTR);

	*fd = -1;
	cmsg = ret > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (cmsg && cmsg->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(cmsg), sizeof(*fd));

	return ret;
}

static __noreturn void serve(int sock, const char *cgroup)
{
	static struct order order;
	struct report report = {};

	self.sock = sock;
	prctl(PR_SET_NAME, "bc_agent");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	self.idle = mmap(NULL, sizeof(*self.idle), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (self.idle == MAP_FAILED || cg_enter_current(cgroup))
		_exit(EXIT_FAILURE);

	bc_send(sock, &report, sizeof(report), -1);
	while (bc_receive(sock, &order, sizeof(order), &self.received) > 0) {
		if (!order.fn)
			break;

		errno = 0;
		report.ret = order.fn(order.arg,
				      order.text[0] ? order.text : NULL);
		report.err = errno;
		bc_send(sock, &report, sizeof(report), self.sending);
		self.sending = -1;
	}

	bc_self_end_children(0, NULL);
	_exit(EXIT_SUCCESS);
}

static int receive_report(struct bc_agent *agent, struct report *report)
{
	int fd;

	if (bc_receive(agent->sock, report, sizeof(*report), &fd) !=
	    sizeof(*report)) {
		ksft_print_msg("an agent has died\n");
		report->ret = BC_NONE;
		report->err = ESRCH;
	}

	return fd;
}

struct bc_agent *bc_agent(const char *cgroup)
{
	struct bc_agent *agent;
	struct report report;
	int pair[2];

	if (!cgroup)
		return NULL;

	agent = calloc(1, sizeof(*agent));
	if (!agent)
		return NULL;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair)) {
		ksft_perror("socketpair");
		free(agent);
		return NULL;
	}

	agent->pid = fork();
	if (!agent->pid) {
		close(pair[0]);
		serve(pair[1], cgroup);
	}

	close(pair[1]);
	agent->sock = pair[0];
	report.ret = BC_NONE;
	if (agent->pid > 0)
		receive_report(agent, &report);
	if (report.ret) {
		ksft_print_msg("no agent in %s\n", cgroup);
		bc_stop(agent);
		return NULL;
	}

	return agent;
}

void bc_stop(struct bc_agent *agent)
{
	static struct order order;
	pid_t pid = 0;
	int i;

	if (!agent)
		return;

	if (agent->pid > 0) {
		bc_send(agent->sock, &order, sizeof(order), -1);
		for (i = 0; i < BC_POLL_TIMES && !pid; i++) {
			pid = waitpid(agent->pid, NULL, WNOHANG);
			if (!pid)
				usleep(BC_POLL_USEC);
		}
		if (!pid) {
			ksft_print_msg("an agent does not end\n");
			kill(agent->pid, SIGKILL);
			waitpid(agent->pid, NULL, 0);
		}
	}

	close(agent->sock);
	free(agent);
}

/* A text may hold a second string behind its end. */
static int post(struct bc_agent *agent, bc_fn fn, long arg, const char *text,
		size_t len, int fd)
{
	static struct order order;

	memset(&order, 0, sizeof(order));
	order.fn = fn;
	order.arg = arg;
	if (len >= sizeof(order.text))
		return -ENAMETOOLONG;
	if (text)
		memcpy(order.text, text, len);

	if (bc_send(agent->sock, &order, sizeof(order), fd) !=
	    sizeof(order))
		return -EPIPE;

	return 0;
}

int bc_post(struct bc_agent *agent, bc_fn fn, long arg, const char *text)
{
	return post(agent, fn, arg, text, text ? strlen(text) : 0, -1);
}

long bc_collect(struct bc_agent *agent)
{
	struct report report;
	int fd;

	fd = receive_report(agent, &report);
	if (fd >= 0)
		close(fd);

	agent->err = report.err;
	return report.ret;
}

long bc_call(struct bc_agent *agent, bc_fn fn, long arg, const char *text)
{
	bc_post(agent, fn, arg, text);
	return bc_collect(agent);
}

long bc_open(struct bc_agent *agent, long nr)
{
	return bc_call(agent, bc_self_open, nr, NULL);
}

long bc_close(struct bc_agent *agent, long nr)
{
	return bc_call(agent, bc_self_close, nr, NULL);
}

long bc_close_first(struct bc_agent *agent, long nr)
{
	return bc_call(agent, bc_self_close_first, nr, NULL);
}

long bc_fork(struct bc_agent *agent, long nr)
{
	return bc_call(agent, bc_self_fork, nr, NULL);
}

long bc_end_children(struct bc_agent *agent)
{
	return bc_call(agent, bc_self_end_children, 0, NULL);
}

long bc_threads(struct bc_agent *agent, long nr)
{
	return bc_call(agent, self_threads, nr, NULL);
}

long bc_end_threads(struct bc_agent *agent)
{
	return bc_call(agent, self_end_threads, 0, NULL);
}

long bc_pin(struct bc_agent *agent, int nth)
{
	return bc_call(agent, self_pin, bc_cpu(nth), NULL);
}

long bc_scatter(struct bc_agent *agent, long nr)
{
	return bc_call(agent, self_scatter, nr, NULL);
}

int bc_agent_write(struct bc_agent *agent, const char *cgroup,
		   const char *file, const char *text)
{
	char both[2 * PATH_MAX];
	int len;

	len = snprintf(both, sizeof(both), "%s/%s%c%s", cgroup, file, '\0',
		       text);
	if (post(agent, self_write, 0, both, len, -1))
		return -EPIPE;

	return bc_collect(agent);
}

int bc_take(struct bc_agent *agent)
{
	struct report report;

	if (bc_post(agent, self_take, 0, NULL))
		return -1;

	return receive_report(agent, &report);
}

int bc_give(struct bc_agent *agent, int fd)
{
	if (post(agent, self_give, 0, NULL, 0, fd))
		return -EPIPE;

	return bc_collect(agent);
}

/* Several agents at once, on several CPUs */

void bc_gather(void)
{
	memset(bc_shared, 0, sizeof(*bc_shared));
}

void bc_meet(void)
{
	__atomic_add_fetch(&bc_shared->ready, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&bc_shared->go, __ATOMIC_SEQ_CST))
		sched_yield();
}

int bc_release(int nr)
{
	int i, ready = 0;

	for (i = 0; i < BC_POLL_TIMES && ready != nr; i++) {
		ready = __atomic_load_n(&bc_shared->ready, __ATOMIC_SEQ_CST);
		if (ready != nr)
			usleep(BC_POLL_USEC);
	}
	__atomic_store_n(&bc_shared->go, 1, __ATOMIC_SEQ_CST);

	return ready == nr ? 0 : -ETIMEDOUT;
}

int bc_cpus(void)
{
	return CPU_COUNT(&cpus_at_start);
}

int bc_cpu(int nth)
{
	int cpu;

	nth %= bc_cpus();
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &cpus_at_start) && !nth--)
			return cpu;
	}

	return 0;
}

/* Refusals in a trace buffer */

/*
 * Makes an instance that records no names of tasks, as the option says at that
 * moment: the event has the name, and recording patches the scheduler.
 */
static int trace_instance(void)
{
	int ret, fd = open(RECORD_CMD, O_RDONLY | O_CLOEXEC);
	char was[2] = "";

	if (fd < 0)
		return -errno;
	ret = read(fd, was, 1) == 1 ? bc_write_path(RECORD_CMD, "0") : -EIO;
	close(fd);
	if (ret)
		return ret;

	if (mkdir(INSTANCE, 0755))
		ret = -errno;
	return bc_write_path(RECORD_CMD, was) ?: ret;
}

int bc_trace_start(void)
{
	if (access(TRACEFS "/events", F_OK))
		mount("tracefs", TRACEFS, "tracefs", 0, NULL);
	if (access(TRACEFS "/events/bc/bc_refuse", F_OK))
		return bc_skip("no tracepoint bc:bc_refuse in tracefs");

	rmdir(INSTANCE);
	if (trace_instance() ||
	    bc_write_path(INSTANCE "/events/bc/bc_refuse/enable", "1")) {
		ksft_perror(INSTANCE);
		return KSFT_FAIL;
	}

	return KSFT_PASS;
}

static int trace_clear(void)
{
	int fd = open(INSTANCE "/trace", O_WRONLY | O_TRUNC | O_CLOEXEC);

	return fd < 0 ? -errno : close(fd);
}

void bc_trace_end(void)
{
	if (access(INSTANCE, F_OK))
		return;

	bc_write_path(INSTANCE "/events/bc/bc_refuse/enable", "0");
	rmdir(INSTANCE);
}

bool bc_trace_differs(unsigned long id, const char *want)
{
	static char buf[64 * 1024];
	char *line, *state, *event;
	char prefix[64];
	int nr = 0;

	if (differs(bc_read(INSTANCE "/trace", buf, sizeof(buf)) > 0, true))
		return true;

	snprintf(prefix, sizeof(prefix), "bc_refuse: cgroup=%lu ", id);
	for (line = strtok_r(buf, "\n", &state); line;
	     line = strtok_r(NULL, "\n", &state)) {
		event = line[0] == '#' ? NULL : strstr(line, prefix);
		if (!event)
			continue;
		nr++;
		event += strlen("bc_refuse: ");
		if (differs(strcmp(event, want), 0)) {
			ksft_print_msg("got  \"%s\"\n", event);
			ksft_print_msg("want \"%s\"\n", want);
			return true;
		}
	}
	if (differs(nr, 1))
		return true;

	return differs(trace_clear(), 0);
}

/* Faults */

/* Where, and what for: also whoever may wait is failed, and without a word. */
static const struct {
	const char *path;
	const char *text;
} fault_settings[] = {
	{ DEBUGFS "/failslab/ignore-gfp-wait", "N" },
	{ DEBUGFS "/failslab/verbose", "0" },
	{ DEBUGFS "/fail_page_alloc/ignore-gfp-wait", "N" },
	{ DEBUGFS "/fail_page_alloc/min-order", "0" },
	{ DEBUGFS "/fail_page_alloc/verbose", "0" },
	{ DEBUGFS "/fail_usercopy/verbose", "0" },
};

static char fault_settings_before[ARRAY_SIZE(fault_settings)][16];

static void restore_fault_settings(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fault_settings); i++) {
		if (fault_settings_before[i][0])
			bc_write_path(fault_settings[i].path,
				      fault_settings_before[i]);
	}
}

bool bc_may_fail(void)
{
	static bool ready;
	size_t i;

	if (ready)
		return true;
	if (access(DEBUGFS "/failslab", F_OK))
		mount("debugfs", DEBUGFS, "debugfs", 0, NULL);
	if (access(DEBUGFS "/failslab", F_OK) || access(FAIL_NTH, W_OK) ||
	    atexit(restore_fault_settings))
		return false;

	for (i = 0; i < ARRAY_SIZE(fault_settings); i++) {
		const char *path = fault_settings[i].path;

		/* Not every kernel fails everything. */
		if (bc_read(path, fault_settings_before[i],
			    sizeof(fault_settings_before[i])) == -ENOENT)
			continue;
		if (bc_write_path(path, fault_settings[i].text))
			return false;
	}
	ready = true;
	return true;
}

/* Opened once: nothing but what is tested is to fail. */
static int fail_nth(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	return fd;
}

int bc_self_fail(long nth)
{
	char text[32];
	int len;

	len = snprintf(text, sizeof(text), "%ld", nth);
	return pwrite(fail_nth(), text, len, 0) == len ? 0 : -1;
}

bool bc_self_failed(void)
{
	char text[32] = "";
	ssize_t len;

	/*
	 * How many are left: none when one has failed. Where what is asked for
	 * to tell so was the last of them, that has failed, and nothing before.
	 */
	len = pread(fail_nth(), text, sizeof(text) - 1, 0);
	bc_self_fail(0);
	return len > 0 && !atoi(text);
}

struct sockaddr_in bc_loopback(long port)
{
	return (struct sockaddr_in) {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(port),
	};
}

int bc_at_port(int type, struct sockaddr_in *addr)
{
	socklen_t len = sizeof(*addr);
	int sock = socket(AF_INET, type, 0);

	*addr = bc_loopback(0);
	if (sock < 0 || (!bind(sock, (struct sockaddr *)addr, len) &&
			 !getsockname(sock, (struct sockaddr *)addr, &len)))
		return sock;
	close(sock);
	return -1;
}

long bc_self_listen(long arg __maybe_unused, const char *text __maybe_unused)
{
	struct sockaddr_in addr;
	int sock = bc_at_port(SOCK_STREAM, &addr);

	if (bc_self_keep(sock) || listen(sock, 16))
		return -1;
	return ntohs(addr.sin_port);
}

long bc_self_connect(long port, const char *text __maybe_unused)
{
	struct sockaddr_in addr = bc_loopback(port);
	int sock = socket(AF_INET, SOCK_STREAM, 0);

	if (bc_self_keep(sock))
		return -1;
	return connect(sock, (struct sockaddr *)&addr, sizeof(addr));
}

long bc_self_accept(long arg __maybe_unused, const char *text __maybe_unused)
{
	return bc_self_keep(accept(bc_self_oldest(), NULL, NULL));
}

int bc_lo_up(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int ret, sock;

	sock = socket(AF_UNIX, SOCK_DGRAM, 0);
	if (sock < 0)
		return -errno;
	ret = ioctl(sock, SIOCSIFFLAGS, &lo) ? -errno : 0;
	close(sock);
	return ret;
}

int bc_new_net(void)
{
	return unshare(CLONE_NEWNET) ? -errno : bc_lo_up();
}

/* Modules */

/* What modprobe finds for the kernel that runs; it does not say why it fails. */
static int modprobe(const char *module)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execlp("modprobe", "modprobe", module, NULL);
		_exit(EXIT_FAILURE);
	}
	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	return status ? -ENOENT : 0;
}

int bc_load(const char *module)
{
	char path[PATH_MAX];
	ssize_t len;
	int fd, ret;

	len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (len < 0)
		return -errno;
	path[len] = '\0';
	len = strrchr(path, '/') + 1 - path;
	snprintf(path + len, sizeof(path) - len, "%s.ko", module);

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? modprobe(module) : -errno;
	ret = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return ret;
}

int bc_unload(const char *module)
{
	return syscall(SYS_delete_module, module, O_NONBLOCK) ? -errno : 0;
}

/* The program */

int bc_skip(const char *reason)
{
	skip_reason = reason;
	return KSFT_SKIP;
}

/* Charges that outlive their cgroup show as a css that does not go away. */
static bool lingers(const char *root, long before)
{
	long after = 0;
	int i;

	for (i = 0; i < BC_POLL_TIMES; i++) {
		after = bc_value(root, "cgroup.stat", "nr_dying_subsys_bc");
		if (after <= before)
			return false;
		bc_pause();
	}

	ksft_print_msg("dying bc states: %ld before, %ld after\n", before,
		       after);
	return true;
}

/* A few CPUs are as good as many, and keep numbers and times small. */
static int choose_cpus(void)
{
	int cpu;

	if (sched_getaffinity(0, sizeof(cpus_at_start), &cpus_at_start))
		return -errno;

	for (cpu = CPU_SETSIZE - 1; cpu >= 0 && bc_cpus() > MOST_CPUS; cpu--)
		CPU_CLR(cpu, &cpus_at_start);

	if (sched_setaffinity(0, sizeof(cpus_at_start), &cpus_at_start))
		return -errno;

	return 0;
}

int bc_main(const struct bc_test *tests, size_t nr)
{
	char root[PATH_MAX];
	bool was_enabled;
	size_t i;

	ksft_print_header();
	if (geteuid())
		ksft_exit_skip("the tests need root\n");
	if (cg_find_unified_root(root, sizeof(root), NULL))
		ksft_exit_skip("cgroup v2 isn't mounted\n");
	if (!bc_lists(root, "cgroup.controllers", "bc"))
		ksft_exit_skip("bc controller isn't available\n");

	was_enabled = bc_lists(root, "cgroup.subtree_control", "bc");
	if (bc_enable(root))
		ksft_exit_fail_msg("bc cannot be enabled\n");

	bc_shared = mmap(NULL, sizeof(*bc_shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (bc_shared == MAP_FAILED)
		ksft_exit_fail_perror("mmap");
	if (choose_cpus())
		ksft_exit_fail_perror("CPU affinity");
	/* What an agent leaves behind comes here, so that it is collected. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);

	ksft_set_plan(nr);
	for (i = 0; i < nr; i++) {
		long dying = bc_value(root, "cgroup.stat",
				      "nr_dying_subsys_bc");
		int ret;

		skip_reason = "no reason given";
		ret = tests[i].fn ? tests[i].fn(root) :
			tests[i].of_kind(root, tests[i].kind);
		bc_reap();
		if (ret == KSFT_PASS && lingers(root, dying))
			ret = KSFT_FAIL;
		if (ret == KSFT_SKIP)
			ksft_test_result_code(ret, tests[i].name, "%s",
					      skip_reason);
		else
			ksft_test_result_code(ret, tests[i].name, NULL);
	}

	if (!was_enabled)
		bc_disable(root);
	ksft_finished();
}
