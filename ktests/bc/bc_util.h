/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SELFTESTS_BC_UTIL_H
#define _SELFTESTS_BC_UTIL_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <unistd.h>

#define NUMFILE		"numfile"
#define NUMFLOCK	"numflock"
#define NUMIPTENT	"numiptent"
#define NUMOTHERSOCK	"numothersock"
#define NUMPROC		"numproc"
#define NUMPTY		"numpty"
#define NUMSIGINFO	"numsiginfo"
#define NUMTCPSOCK	"numtcpsock"
#define LOCKEDPAGES	"lockedpages"
#define PRIVVMPAGES	"privvmpages"
#define SHMPAGES	"shmpages"
#define TCPSNDBUF	"tcpsndbuf"
#define TCPRCVBUF	"tcprcvbuf"
#define DGRAMRCVBUF	"dgramrcvbuf"

#ifndef __aligned
#define __aligned(x) __attribute__((__aligned__(x)))
#endif

/* Bytes */
static inline long bc_page(void)
{
	return sysconf(_SC_PAGESIZE);
}

/* What bc_value() makes of the token "max", and of a value that is not there. */
#define BC_MAX	LONG_MAX
#define BC_NONE	LONG_MIN

/* The most numfile that a CPU may keep ready beyond what is held. */
#define BC_STOCK_NUMFILE	8

/*
 * How often, and how many times, a condition that comes about by itself is
 * looked at: uncharges wait for task work, RCU and the reaping of zombies.
 */
#define BC_POLL_USEC	(10 * 1000)
#define BC_POLL_TIMES	3000

struct bc_kind;
struct sockaddr_in;

struct bc_test {
	int (*fn)(const char *root);
	const char *name;
	/* Instead of the function above: a test of a kind of objects. */
	int (*of_kind)(const char *root, const struct bc_kind *kind);
	const struct bc_kind *kind;
};

/* The whole of a test program: checks for the controller, runs all tests. */
int bc_main(const struct bc_test *tests, size_t nr);

/* Remember why the running test is skipped; returns KSFT_SKIP. */
int bc_skip(const char *reason);

/*
 * Expectations. Each says on standard output what was wrong, and is true when
 * something was wrong, so that a test reads "if (differs(a, b)) goto cleanup".
 */
#define differs(got, want) \
	bc_differs(got, want, #got, __FILE__, __LINE__)
#define unmet(condition) \
	bc_unmet(condition, #condition, __FILE__, __LINE__)
/* Held becomes, and stays, what is wanted. */
#define unsettled(cgroup, resource, want) \
	bc_unsettled(cgroup, resource, want, __FILE__, __LINE__)
/* Refusals by the barrier and by the limit in an events file. */
#define miscounted(cgroup, file, resource, high, max) \
	bc_miscounted(cgroup, file, resource, high, max, __FILE__, __LINE__)

bool bc_differs(long got, long want, const char *what,
		const char *file, int line);
bool bc_unmet(bool condition, const char *what, const char *file, int line);
bool bc_unsettled(const char *cgroup, const char *resource, long want,
		  const char *file, int line);
bool bc_miscounted(const char *cgroup, const char *events,
		   const char *resource, long high, long max,
		   const char *file, int line);

/* Files. All return 0 or a length on success and -errno on failure. */
ssize_t bc_read(const char *path, char *buf, size_t size);
int bc_write_path(const char *path, const char *text);
int bc_write(const char *cgroup, const char *file, const char *text);
bool bc_has(const char *cgroup, const char *file);
/* Is it one of the words of a file? */
bool bc_lists(const char *cgroup, const char *file, const char *word);

/* The value of a key in a flat-keyed file of a cgroup. */
long bc_value(const char *cgroup, const char *file, const char *key);
long bc_held(const char *cgroup, const char *resource);
long bc_peak(const char *cgroup, const char *resource);

/* One line of bc.stat. */
struct bc_row {
	long held;
	long maxheld;
	long barrier;
	long limit;
	long failcnt;
};

int bc_stat(const char *cgroup, const char *resource, struct bc_row *row);

/*
 * Cgroups. bc_remove() ends what is left inside, and turns a pass into a
 * failure when something is still held there. It takes NULL and frees the name.
 */
char *bc_cgroup(const char *parent, const char *name);
int bc_remove(char *cgroup, int result);
int bc_enable(const char *cgroup);
int bc_disable(const char *cgroup);
unsigned long bc_id(const char *cgroup);

/* Collect dead children that nobody else waits for. */
void bc_reap(void);
void bc_pause(void);

/*
 * An agent is a process inside a cgroup that does one thing after the other as
 * it is told. It is forked and enters while the limits do not matter to it: a
 * move is never refused. The program itself stays outside, so that looking at
 * the counters changes none of them.
 *
 * An agent inherits the descriptors that the program has at the time.
 */
struct bc_agent {
	pid_t pid;
	int sock;
	int err;	/* errno of the last order */
};

/* Runs in the agent. Its result, and errno, go back to the program. */
typedef long (*bc_fn)(long arg, const char *text);

struct bc_agent *bc_agent(const char *cgroup);
void bc_stop(struct bc_agent *agent);

long bc_call(struct bc_agent *agent, bc_fn fn, long arg, const char *text);
/* The two halves of bc_call(), to have several agents at work. */
int bc_post(struct bc_agent *agent, bc_fn fn, long arg, const char *text);
long bc_collect(struct bc_agent *agent);

/* Open that many files; stops at the first refusal; how many were opened. */
long bc_open(struct bc_agent *agent, long nr);
/* Close the files opened last, or first; how many were closed. */
long bc_close(struct bc_agent *agent, long nr);
long bc_close_first(struct bc_agent *agent, long nr);
#define BC_ALL LONG_MAX

/* Fork that many idle children; stops at the first refusal. */
long bc_fork(struct bc_agent *agent, long nr);
/* End and collect all children; how many there were. */
long bc_end_children(struct bc_agent *agent);
/* Start that many idle threads; stops at the first refusal. */
long bc_threads(struct bc_agent *agent, long nr);
long bc_end_threads(struct bc_agent *agent);

/* Put the agent on the nth CPU. */
long bc_pin(struct bc_agent *agent, int nth);
/* Open and close that many files on each CPU, which leaves stock there. */
long bc_scatter(struct bc_agent *agent, long nr);

/* Write to a cgroup file as the agent. */
int bc_agent_write(struct bc_agent *agent, const char *cgroup,
		   const char *file, const char *text);

/* Pass the agent's newest file to the program, or a file to the agent. */
int bc_take(struct bc_agent *agent);
int bc_give(struct bc_agent *agent, int fd);

/*
 * A message through a socket, with a descriptor unless that is negative. Who
 * receives one without has -1, and 0 is the end of it.
 */
ssize_t bc_send(int sock, void *data, size_t len, int fd);
ssize_t bc_receive(int sock, void *data, size_t len, int *fd);

/* For what runs inside an agent. */
long bc_self_keep(int fd);
int bc_self_newest(void);
int bc_self_oldest(void);
long bc_self_open(long nr, const char *text);
long bc_self_close(long nr, const char *text);
long bc_self_close_first(long nr, const char *text);
long bc_self_fork(long nr, const char *text);
long bc_self_end_children(long arg, const char *text);
long bc_self_pin(long cpu);

/* An address of the loopback device. */
struct sockaddr_in bc_loopback(long port);
/* A socket of that type at some port there, or a negative number. */
int bc_at_port(int type, struct sockaddr_in *addr);

/* A TCP listener on the loopback device; the port. */
long bc_self_listen(long arg, const char *text);
/* Connects to a port there. */
long bc_self_connect(long port, const char *text);
/* Accepts a connection of the listener that is the oldest file. */
long bc_self_accept(long arg, const char *text);

/* Memory that the program and all agents share. */
struct bc_shared {
	int ready;
	int go;
	int stop;
	long progress;
	long level;
	long highest;
};

extern struct bc_shared *bc_shared;

/* Clear the shared memory before the agents that meet in it are started. */
void bc_gather(void);
/* In agents: wait for the others. In the program: let that many agents go. */
void bc_meet(void);
int bc_release(int nr);

/*
 * A trace buffer of its own, with nothing but refusals in it: KSFT_PASS, or
 * what the test is to return.
 */
int bc_trace_start(void);
void bc_trace_end(void);
/*
 * The buffer must hold one refusal of that cgroup, which reads like this. Then
 * it is emptied for the next one.
 */
bool bc_trace_differs(unsigned long id, const char *want);

/*
 * Fault injection. Whether the kernel does it, and prepares it until the end of
 * the program. In agents: what is asked for as the nth from now on fails; ends
 * that, and says whether there was such a one.
 */
bool bc_may_fail(void);
int bc_self_fail(long nth);
bool bc_self_failed(void);

/* The loopback device of the caller's network namespace, brought up. */
int bc_lo_up(void);
/* A network namespace of its own for the caller, with a loopback device. */
int bc_new_net(void);

/*
 * Load a module: the one beside the program, or that of the running kernel.
 * 0 or -errno; -ENOENT when there is none.
 */
int bc_load(const char *module);
int bc_unload(const char *module);

/* The CPUs that the tests run on; the nth of them, modulo. */
int bc_cpus(void);
int bc_cpu(int nth);

#endif /* _SELFTESTS_BC_UTIL_H */
