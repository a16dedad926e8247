// SPDX-License-Identifier: GPL-2.0
/*
 * Bombs: processes in a container with a limit take as much of a resource as
 * they can, and do not give up. A neighbour that works with the same resource
 * does not notice, and when they are killed nothing is left of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include "kselftest_harness.h"
#include "cgroup_util.h"
#include "bc_nft.h"
#include "bc_util.h"

#define PAGE		4096
#define BOMBERS		6
#define LIMIT		40
#define REFUSALS	200	/* at least */
/* The neighbour takes so many, as often, and may have many more. */
#define ROUNDS		40
#define NEEDED		8
#define ALLOWED		1000
#define SECONDS		300
/* Of a segment, in bytes: what one takes at most. */
#define SEGMENT		(20 * PAGE)

/* What everybody tells. */
static struct {
	long inside;	/* bombers in their container */
	long go;
	long refused;
	long wrong;	/* errno of another failure */
	long failed;	/* steps of the neighbour */
	long rounds;
} *told;

static const char * const resources[] = {
	NUMFILE, NUMFLOCK, NUMIPTENT, NUMOTHERSOCK, NUMPROC, NUMPTY,
	NUMSIGINFO, NUMTCPSOCK, LOCKEDPAGES, PRIVVMPAGES, SHMPAGES,
	TCPSNDBUF, TCPRCVBUF, DGRAMRCVBUF,
};

/* Made before there are containers, so that nobody pays for it. */
static int lockable = -1, filters = -1;
static char pts[32];

static int kept[NEEDED];
static int nr_kept;

/* One more of something; the neighbour gives those that it has back. */

static int keep(int fd)
{
	if (fd < 0)
		return -1;
	if (nr_kept < NEEDED)
		kept[nr_kept++] = fd;
	return 0;
}

static void close_kept(void)
{
	while (nr_kept)
		close(kept[--nr_kept]);
}

static int take_file(void)
{
	return keep(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int take_pty(void)
{
	char path[sizeof(pts) + sizeof("/ptmx")];

	snprintf(path, sizeof(path), "%s/ptmx", pts);
	return keep(open(path, O_RDWR | O_NOCTTY | O_CLOEXEC));
}

static int take_tcp(void)
{
	return keep(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int take_unix(void)
{
	return keep(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

static long locks;

/* Every other byte of a range of its own, so that none are merged. */
static int lock_byte(short type, long nth, long len)
{
	struct flock fl = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = getpid() * 65536L + 2 * nth,
		.l_len = len,
	};

	return fcntl(lockable, F_SETLK, &fl);
}

static int take_lock(void)
{
	if (lock_byte(F_WRLCK, locks, 1))
		return -1;
	locks++;
	return 0;
}

static void unlock(void)
{
	lock_byte(F_UNLCK, 0, 2 * locks);
	locks = 0;
}

static int take_signal(void)
{
	union sigval value = {};

	return sigqueue(getpid(), SIGRTMIN, value);
}

static void collect_signals(void)
{
	struct timespec none = {};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	while (sigtimedwait(&set, NULL, &none) > 0)
		;
}

static char table[24];

/* A rule in a table of its own, which costs nothing. */
static int take_rule(void)
{
	if (!table[0]) {
		snprintf(table, sizeof(table), "bomb%d", getpid());
		nft_begin();
		nft_put_table(table);
		errno = -nft_commit(filters);
		if (errno)
			return -1;
	}
	nft_begin();
	nft_put_rule(table, NLM_F_ACK);
	errno = -nft_commit(filters);
	return errno ? -1 : 0;
}

static void flush_rules(void)
{
	nft_begin();
	nft_put_flush(table);
	nft_commit(filters);
}

/* Those of processes that have ended. */
static void delete_tables(const pid_t *bombers, pid_t neighbour)
{
	int i, sock = nft_socket();

	for (i = 0; i <= BOMBERS; i++) {
		snprintf(table, sizeof(table), "bomb%d",
			 i < BOMBERS ? bombers[i] : neighbour);
		nft_begin();
		nft_put_delete(table);
		nft_commit(sock);
	}
	close(sock);
}

/* Pages of its own for each that is locked. */
static char lockable_pages[ALLOWED][PAGE] __aligned(PAGE);
static int locked_pages;

static int take_locked_page(void)
{
	if (mlock(lockable_pages[locked_pages % ALLOWED], PAGE))
		return -1;
	locked_pages++;
	return 0;
}

static void unlock_pages(void)
{
	munlock(lockable_pages, sizeof(lockable_pages));
	locked_pages = 0;
}

static void *mapped[NEEDED];
static int nr_mapped;

static int take_private_page(void)
{
	void *addr = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (addr == MAP_FAILED)
		return -1;
	if (nr_mapped < NEEDED)
		mapped[nr_mapped++] = addr;
	return 0;
}

static void unmap_pages(void)
{
	while (nr_mapped)
		munmap(mapped[--nr_mapped], PAGE);
}

/* A file of a page; one without it is no use. */
static int take_shared_page(void)
{
	int err, fd = memfd_create("bc_bomb", MFD_CLOEXEC);

	if (fd >= 0 && write(fd, "", 1) != 1) {
		err = errno;
		close(fd);
		errno = err;
		return -1;
	}
	return keep(fd);
}

/* What each sends to itself, and where it comes in. */
static int sends = -1, takes = -1;

/* Messages that were lost on the way in. */
static __u32 lost(void)
{
	__u32 info[SK_MEMINFO_VARS] = {};
	socklen_t len = sizeof(info);

	getsockopt(takes, SOL_SOCKET, SO_MEMINFO, info, &len);
	return info[SK_MEMINFO_DROPS];
}

static int take_datagram(void)
{
	static const char data[1000];
	struct sockaddr_in addr;
	__u32 before;

	if (takes < 0) {
		takes = bc_at_port(SOCK_DGRAM | SOCK_CLOEXEC, &addr);
		if (takes < 0 ||
		    connect(takes, (struct sockaddr *)&addr, sizeof(addr)))
			_exit(EXIT_FAILURE);
		sends = takes;
	}
	before = lost();
	if (send(sends, data, sizeof(data), MSG_DONTWAIT) < 0)
		return -1;
	errno = ENOBUFS;
	return lost() == before ? 0 : -1;
}

static int take_segment(void)
{
	static const char data[PAGE];
	struct sockaddr_in addr;
	int listener;

	if (takes < 0) {
		listener = bc_at_port(SOCK_STREAM | SOCK_CLOEXEC, &addr);
		sends = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (listener < 0 || listen(listener, 1) ||
		    connect(sends, (struct sockaddr *)&addr, sizeof(addr)))
			_exit(EXIT_FAILURE);
		takes = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		close(listener);
	}
	return send(sends, data, sizeof(data), MSG_DONTWAIT) < 0 ? -1 : 0;
}

static void receive_all(void)
{
	static char data[NEEDED * PAGE];

	while (recv(takes, data, sizeof(data), MSG_DONTWAIT) > 0)
		;
}

static pid_t children[NEEDED];
static int nr_children;

static int take_process(void)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	if (pid > 0 && nr_children < NEEDED)
		children[nr_children++] = pid;
	return pid < 0 ? -1 : 0;
}

static void end_children(void)
{
	while (nr_children) {
		kill(children[--nr_children], SIGKILL);
		waitpid(children[nr_children], NULL, 0);
	}
}

static long count(const long *what)
{
	return __atomic_load_n(what, __ATOMIC_SEQ_CST);
}

/* Take without end. */
static __noreturn void be_a_bomb(int (*take)(void), int err)
{
	/* To come in costs one, and is never refused: all are in before. */
	__atomic_add_fetch(&told->inside, 1, __ATOMIC_SEQ_CST);
	while (!count(&told->go))
		usleep(1000);
	for (;;) {
		if (!take())
			continue;
		if (errno == err)
			__atomic_add_fetch(&told->refused, 1, __ATOMIC_SEQ_CST);
		else
			__atomic_store_n(&told->wrong, errno, __ATOMIC_SEQ_CST);
		/* Others have to come to take theirs. */
		usleep(1000);
	}
}

/* A fixed amount of work. */
static __noreturn void be_a_neighbour(int (*take)(void), void (*drop)(void))
{
	int i, j;

	for (i = 0; i < ROUNDS; i++) {
		for (j = 0; j < NEEDED; j++) {
			if (take())
				__atomic_add_fetch(&told->failed, 1,
						   __ATOMIC_SEQ_CST);
		}
		drop();
		__atomic_add_fetch(&told->rounds, 1, __ATOMIC_SEQ_CST);
		usleep(1000);
	}
	_exit(EXIT_SUCCESS);
}

FIXTURE(bomb) {
	char *top, *bomb, *neighbour;
	long limit;
	pid_t bombers[BOMBERS], neighbours;
	long dying;
};

FIXTURE_VARIANT(bomb) {
	const char *resource;
	int err;
	int (*take)(void);
	void (*drop)(void);
	/* Of a setting, if it is not one. */
	long unit;
	/*
	 * Of a connection, which asks for so much at once: held may be that
	 * below the limit, and above for each that has nothing else yet.
	 */
	long at_once;
};

FIXTURE_VARIANT_ADD(bomb, dgramrcvbuf) {
	DGRAMRCVBUF, ENOBUFS, take_datagram, receive_all, PAGE,
};

FIXTURE_VARIANT_ADD(bomb, tcprcvbuf) {
	TCPRCVBUF, EAGAIN, take_segment, receive_all, PAGE, SEGMENT,
};

FIXTURE_VARIANT_ADD(bomb, tcpsndbuf) {
	TCPSNDBUF, EAGAIN, take_segment, receive_all, PAGE, SEGMENT,
};

FIXTURE_VARIANT_ADD(bomb, lockedpages) {
	LOCKEDPAGES, ENOMEM, take_locked_page, unlock_pages,
};

FIXTURE_VARIANT_ADD(bomb, privvmpages) {
	PRIVVMPAGES, ENOMEM, take_private_page, unmap_pages,
};

FIXTURE_VARIANT_ADD(bomb, shmpages) {
	SHMPAGES, ENOSPC, take_shared_page, close_kept,
};

FIXTURE_VARIANT_ADD(bomb, numfile) {
	NUMFILE, ENFILE, take_file, close_kept,
};

FIXTURE_VARIANT_ADD(bomb, numflock) {
	NUMFLOCK, ENOLCK, take_lock, unlock,
};

FIXTURE_VARIANT_ADD(bomb, numiptent) {
	NUMIPTENT, ENOMEM, take_rule, flush_rules,
};

FIXTURE_VARIANT_ADD(bomb, numothersock) {
	NUMOTHERSOCK, ENOMEM, take_unix, close_kept,
};

FIXTURE_VARIANT_ADD(bomb, numproc) {
	NUMPROC, EAGAIN, take_process, end_children,
};

FIXTURE_VARIANT_ADD(bomb, numpty) {
	NUMPTY, ENOSPC, take_pty, close_kept,
};

FIXTURE_VARIANT_ADD(bomb, numsiginfo) {
	NUMSIGINFO, EAGAIN, take_signal, collect_signals,
};

FIXTURE_VARIANT_ADD(bomb, numtcpsock) {
	NUMTCPSOCK, ENOMEM, take_tcp, close_kept,
};

/* What a resource needs besides; why it is not there, or NULL. */
static const char *prepare(const char *resource)
{
	if (!strcmp(resource, NUMPTY)) {
		snprintf(pts, sizeof(pts), "/tmp/bc_bomb_XXXXXX");
		if (!mkdtemp(pts) ||
		    mount("devpts", pts, "devpts", 0, "ptmxmode=0666"))
			return "no devpts";
	} else if (!strcmp(resource, NUMFLOCK)) {
		lockable = memfd_create("bc_bomb", MFD_CLOEXEC);
		if (lockable < 0)
			return "no memory files";
	} else if (!strcmp(resource, NUMTCPSOCK) ||
		   !strcmp(resource, NUMIPTENT) || strstr(resource, "buf")) {
		if (bc_new_net())
			return "no network";
	}
	return NULL;
}

static void limit(const char *cgroup, const char *resource, long value,
		  struct __test_metadata *_metadata)
{
	char text[64];

	snprintf(text, sizeof(text), "%s %ld", resource, value);
	ASSERT_EQ(0, bc_write(cgroup, "bc.max", text));
}

static long refusals(const char *cgroup, const char *file, const char *resource,
		     const char *by)
{
	char key[64];

	snprintf(key, sizeof(key), "%s.%s", resource, by);
	return bc_value(cgroup, file, key);
}

FIXTURE_SETUP(bomb)
{
	char root[PATH_MAX];
	const char *lacks;
	sigset_t set;
	long unit;

	if (geteuid())
		SKIP(return, "the tests need root");
	if (cg_find_unified_root(root, sizeof(root), NULL))
		SKIP(return, "cgroup v2 isn't mounted");
	if (!bc_lists(root, "cgroup.controllers", "bc"))
		SKIP(return, "bc controller isn't available");
	lacks = prepare(variant->resource);
	if (lacks)
		SKIP(return, "%s", lacks);

	/* What bombs leave behind is collected here. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)told);

	ASSERT_EQ(0, bc_enable(root));
	self->dying = bc_value(root, "cgroup.stat", "nr_dying_subsys_bc");
	self->top = bc_cgroup(root, "bc_bombed");
	self->bomb = bc_cgroup(self->top, "bomb");
	self->neighbour = bc_cgroup(self->top, "neighbour");
	ASSERT_NE(NULL, self->bomb);
	ASSERT_NE(NULL, self->neighbour);
	ASSERT_EQ(0, bc_enable(self->top));
	/* What they have already when they come in is not what is tested. */
	if (!strcmp(variant->resource, PRIVVMPAGES))
		return;
	unit = variant->unit ?: 1;
	self->limit = LIMIT * unit;
	limit(self->bomb, variant->resource, self->limit, _metadata);
	limit(self->neighbour, variant->resource, ALLOWED * unit, _metadata);
}

FIXTURE_TEARDOWN(bomb)
{
	/* What is gone already is no failure, and what is not gives one. */
	bc_remove(self->bomb, KSFT_FAIL);
	bc_remove(self->neighbour, KSFT_FAIL);
	bc_remove(self->top, KSFT_FAIL);
	if (pts[0]) {
		umount(pts);
		rmdir(pts);
	}
}

/* A neighbour, if there is something that it gives back, or a bomb. */
static pid_t start(const char *cgroup, int (*take)(void), void (*drop)(void),
		   int err)
{
	pid_t pid;

	/* Each has its own for its rules. */
	filters = take == take_rule ? nft_socket() : -1;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (cg_enter_current(cgroup))
			_exit(EXIT_FAILURE);
		if (drop)
			be_a_neighbour(take, drop);
		be_a_bomb(take, err);
	}
	if (filters >= 0)
		close(filters);
	filters = -1;
	return pid;
}

static long wait_for(const long *what, long want)
{
	int i;

	for (i = 0; i < BC_POLL_TIMES && count(what) < want; i++)
		usleep(BC_POLL_USEC);
	return count(what);
}

/* Held becomes what the limit is, as far as it can. */
static bool at_limit(const char *cgroup, const char *resource, long limit,
		     long at_once)
{
	int i;

	for (i = 0; i < BC_POLL_TIMES; i++) {
		long held = bc_held(cgroup, resource);

		if (held >= limit - at_once && held <= limit + BOMBERS * at_once)
			return true;
		bc_pause();
	}

	return false;
}

/* Held becomes nothing, of everything. */
static bool something_held(const char *cgroup)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(resources); i++) {
		if (unsettled(cgroup, resources[i], 0))
			return true;
	}
	return false;
}

TEST_F_TIMEOUT(bomb, neighbour_undisturbed, SECONDS)
{
	char root[PATH_MAX];
	long refused;
	int wstatus, i;

	for (i = 0; i < BOMBERS; i++) {
		self->bombers[i] = start(self->bomb, variant->take, NULL,
					 variant->err);
		ASSERT_LT(0, self->bombers[i]);
	}
	ASSERT_EQ(BOMBERS, wait_for(&told->inside, BOMBERS));
	if (!self->limit) {
		self->limit = bc_held(self->bomb, variant->resource) + LIMIT;
		limit(self->bomb, variant->resource, self->limit, _metadata);
	}
	__atomic_store_n(&told->go, 1, __ATOMIC_SEQ_CST);
	/* The bomb has gone off when the neighbour begins. */
	ASSERT_LE(REFUSALS, wait_for(&told->refused, REFUSALS));
	EXPECT_TRUE(at_limit(self->bomb, variant->resource, self->limit,
			     variant->at_once));
	self->neighbours = start(self->neighbour, variant->take,
				 variant->drop, 0);
	ASSERT_LT(0, self->neighbours);
	ASSERT_EQ(self->neighbours, waitpid(self->neighbours, &wstatus, 0));
	EXPECT_EQ(0, wstatus);

	EXPECT_EQ(ROUNDS, count(&told->rounds));
	EXPECT_EQ(0, count(&told->failed));
	EXPECT_EQ(0, count(&told->wrong));

	/* All the while it was at its limit, and went on being refused. */
	ASSERT_LE(2 * REFUSALS, wait_for(&told->refused, 2 * REFUSALS));
	EXPECT_TRUE(at_limit(self->bomb, variant->resource, self->limit,
			     variant->at_once));
	EXPECT_LE(self->limit - variant->at_once,
		  bc_peak(self->bomb, variant->resource));
	/* Before there was a limit, some was in stock. */
	if (strcmp(variant->resource, PRIVVMPAGES))
		EXPECT_GE(self->limit + BOMBERS * variant->at_once,
			  bc_peak(self->bomb, variant->resource));
	/* A connection may also stand still for other reasons. */
	refused = variant->at_once ? 1 : count(&told->refused);
	EXPECT_LE(refused, refusals(self->bomb, "bc.events.local",
				    variant->resource, "max"));
	for (i = 0; i < (int)ARRAY_SIZE(resources); i++) {
		const char *other = resources[i];
		bool it = !strcmp(other, variant->resource);

		EXPECT_EQ(0, refusals(self->bomb, "bc.events", other, "high"));
		if (!it)
			EXPECT_EQ(0, refusals(self->bomb, "bc.events", other,
					      "max"));
		EXPECT_EQ(0, refusals(self->neighbour, "bc.events", other,
				      "high"));
		EXPECT_EQ(0, refusals(self->neighbour, "bc.events", other,
				      "max"));
		EXPECT_EQ(0, refusals(self->top, "bc.events.local", other,
				      "high"));
		EXPECT_EQ(0, refusals(self->top, "bc.events.local", other,
				      "max"));
	}

	/* Its end is the end of it. */
	ASSERT_EQ(0, cg_killall(self->bomb));
	for (i = 0; i < BOMBERS; i++)
		waitpid(self->bombers[i], NULL, 0);
	EXPECT_EQ(refusals(self->bomb, "bc.events.local", variant->resource,
			   "max"),
		  refusals(self->top, "bc.events", variant->resource, "max"));
	/* Rules do not end with who has made them. */
	if (!strcmp(variant->resource, NUMIPTENT))
		delete_tables(self->bombers, self->neighbours);
	EXPECT_FALSE(something_held(self->bomb));
	EXPECT_FALSE(something_held(self->neighbour));
	EXPECT_FALSE(something_held(self->top));
	ASSERT_EQ(0, rmdir(self->bomb));
	ASSERT_EQ(0, rmdir(self->neighbour));
	EXPECT_FALSE(something_held(self->top));
	ASSERT_EQ(0, rmdir(self->top));

	ASSERT_EQ(0, cg_find_unified_root(root, sizeof(root), NULL));
	for (i = 0; i < BC_POLL_TIMES; i++) {
		if (bc_value(root, "cgroup.stat", "nr_dying_subsys_bc") <=
		    self->dying)
			break;
		bc_pause();
	}
	EXPECT_GE(self->dying, bc_value(root, "cgroup.stat",
					"nr_dying_subsys_bc"));
}

TEST_HARNESS_MAIN
