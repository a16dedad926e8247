// SPDX-License-Identifier: GPL-2.0
/*
 * tcpsndbuf, tcprcvbuf and dgramrcvbuf: what sockets have to send and have
 * received, charged to who pays for the socket.
 */
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_util.h"

#define KIB		1024L
#define MIB		(1024 * KIB)
/* Refuses nothing, but turns counting on. */
#define PLENTY		(1024 * MIB)
/* What of a connection is not refused: a segment that comes in, at most. */
#define FORCED		(128 * KIB)
/* More than anything here asks for. */
#define MOST_FAULTS	1000
/* Of a message that something fails of. */
#define FAULTY_BYTES	1000

static int set(const char *cgroup, const char *file, const char *resource,
	       long bytes)
{
	char text[64];

	if (bytes == BC_MAX)
		snprintf(text, sizeof(text), "%s max", resource);
	else
		snprintf(text, sizeof(text), "%s %ld", resource, bytes);
	return bc_write(cgroup, file, text);
}

static ssize_t send_some(void *data, size_t len)
{
	return send(bc_self_newest(), data, len, MSG_DONTWAIT);
}

static ssize_t receive_some(void *data, size_t len)
{
	return recv(bc_self_newest(), data, len, MSG_DONTWAIT);
}

/* Up to so many bytes, as many as can be had at once; how many it were. */
static long pass(long nr, ssize_t (*some)(void *data, size_t len))
{
	static char data[64 * KIB];
	long done = 0;

	while (done < nr) {
		long left = nr - done;
		ssize_t ret = some(data, left < (long)sizeof(data) ?
				   (size_t)left : sizeof(data));

		if (ret <= 0)
			return done ?: -1;
		done += ret;
	}

	return done;
}

static long send_bytes(long nr, const char *text __maybe_unused)
{
	return pass(nr, send_some);
}

static long receive_bytes(long nr, const char *text __maybe_unused)
{
	return pass(nr, receive_some);
}

/*
 * What the newest socket says of itself, in bytes: whole pages of both
 * directions together, or what is queued to be sent.
 */
enum { TOTAL, QUEUED };

static long meminfo(long which, const char *text __maybe_unused)
{
	__u32 info[SK_MEMINFO_VARS] = {};
	socklen_t len = sizeof(info);

	if (getsockopt(bc_self_newest(), SOL_SOCKET, SO_MEMINFO, info, &len))
		return -1;
	if (which == QUEUED)
		return info[SK_MEMINFO_WMEM_QUEUED];
	return info[SK_MEMINFO_RMEM_ALLOC] + info[SK_MEMINFO_WMEM_QUEUED] +
	       info[SK_MEMINFO_FWD_ALLOC];
}

/*
 * Does the container hold what its only socket says that it has? Of the
 * direction it may be wrong by a page, of the sum by nothing.
 */
static bool inexact(const char *cgroup, struct bc_agent *agent)
{
	long total = 0, queued = 0, sent = 0, received = 0;
	int i, seen = 0;

	for (i = 0; i < BC_POLL_TIMES; i++) {
		long page = bc_page();

		total = bc_call(agent, meminfo, TOTAL, NULL);
		queued = bc_call(agent, meminfo, QUEUED, NULL);
		sent = bc_held(cgroup, TCPSNDBUF);
		received = bc_held(cgroup, TCPRCVBUF) +
			   bc_held(cgroup, DGRAMRCVBUF);
		/* Twice in a row, as it may be on its way. */
		seen = sent + received == total && sent % page == 0 &&
		       labs(sent - queued) <= page ? seen + 1 : 0;
		if (seen == 2)
			return false;
		bc_pause();
	}

	ksft_print_msg("%s holds %ld to send and %ld received\n", cgroup, sent,
		       received);
	ksft_print_msg("its socket has %ld, of which %ld are to be sent\n",
		       total, queued);
	return true;
}

struct pair {
	char *sends;
	char *takes;
	struct bc_agent *sender;
	struct bc_agent *taker;
};

/* A connection between two containers; the taker's listener is closed. */
static bool connected(struct pair *pair, const char *root)
{
	long port;

	pair->sends = bc_cgroup(root, "bc_sends");
	pair->takes = bc_cgroup(root, "bc_takes");
	if (!pair->sends || !pair->takes ||
	    differs(set(pair->sends, "bc.max", TCPSNDBUF, PLENTY), 0))
		return false;
	pair->sender = bc_agent(pair->sends);
	pair->taker = bc_agent(pair->takes);
	if (!pair->sender || !pair->taker)
		return false;

	port = bc_call(pair->taker, bc_self_listen, 0, NULL);
	return !unmet(port > 0) &&
	       !differs(bc_call(pair->sender, bc_self_connect, port, NULL), 0) &&
	       !differs(bc_call(pair->taker, bc_self_accept, 0, NULL), 0) &&
	       !differs(bc_close_first(pair->taker, 1), 1);
}

static int disconnect(struct pair *pair, int ret)
{
	bc_stop(pair->sender);
	bc_stop(pair->taker);
	ret = bc_remove(pair->sends, ret);
	return bc_remove(pair->takes, ret);
}

/* So much that was sent does not arrive. */
static bool takes_not(const struct pair *pair, long bytes)
{
	long received = 0;
	int i;

	for (i = 0; i < BC_POLL_TIMES && received < bytes; i++) {
		long nr = bc_call(pair->taker, receive_bytes, bytes - received,
				  NULL);

		received += nr > 0 ? nr : 0;
		if (nr <= 0)
			bc_pause();
	}

	return differs(received, bytes);
}

/* Both ends at work until all has arrived. */
static bool stuck(struct pair *pair, long bytes)
{
	long sent = 0, received = 0;
	int i;

	for (i = 0; i < BC_POLL_TIMES && received < bytes; i++) {
		long ret;

		if (sent < bytes) {
			ret = bc_call(pair->sender, send_bytes, bytes - sent,
				      NULL);
			if (ret < 0 && differs(pair->sender->err, EAGAIN))
				return true;
			sent += ret > 0 ? ret : 0;
		}
		ret = bc_call(pair->taker, receive_bytes, bytes - received,
			      NULL);
		received += ret > 0 ? ret : 0;
		bc_pause();
	}

	return differs(received, bytes);
}

/* What is sent is on one side, then on the other, and then gone. */
static int test_sockbuf_tcp(const char *root)
{
	static const long sizes[] = {
		1, 100, 5000, 4 * KIB, 20 * KIB, 100 * KIB, 3 * MIB,
	};
	struct pair pair = {};
	int ret = KSFT_FAIL;
	size_t i;

	if (!connected(&pair, root))
		goto cleanup;
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		long sent = bc_call(pair.sender, send_bytes, sizes[i], NULL);

		if (unmet(sent > 0) || inexact(pair.sends, pair.sender) ||
		    inexact(pair.takes, pair.taker) ||
		    unmet(bc_held(pair.takes, TCPRCVBUF) > 0) ||
		    /* Not all of that is taken. */
		    unmet(sizes[i] < 3 * MIB ||
			  bc_held(pair.sends, TCPSNDBUF) > 20 * bc_page()))
			goto cleanup;
		if (takes_not(&pair, sent) || inexact(pair.sends, pair.sender) ||
		    inexact(pair.takes, pair.taker) ||
		    unmet(bc_held(pair.sends, TCPSNDBUF) <= bc_page()) ||
		    unmet(bc_held(pair.takes, TCPRCVBUF) <= bc_page()))
			goto cleanup;
	}

	/* The other way. */
	if (differs(bc_call(pair.taker, send_bytes, 10 * KIB, NULL), 10 * KIB) ||
	    unsettled(pair.takes, TCPRCVBUF, 0) ||
	    inexact(pair.sends, pair.sender) ||
	    unmet(bc_held(pair.sends, TCPRCVBUF) > 10 * KIB))
		goto cleanup;

	/* What was not read goes with the socket. */
	if (differs(bc_close(pair.sender, 1), 1) ||
	    differs(bc_close(pair.taker, 1), 1) ||
	    unsettled(pair.sends, TCPRCVBUF, 0) ||
	    unsettled(pair.sends, TCPSNDBUF, 0) ||
	    unsettled(pair.takes, TCPRCVBUF, 0) ||
	    unsettled(pair.takes, TCPSNDBUF, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	return disconnect(&pair, ret);
}

/* Who may not send more is told to wait; when there is room, it goes on. */
static int test_sockbuf_send_refused(const char *root)
{
	struct pair pair = {};
	int ret = KSFT_FAIL;
	long limit = 64 * KIB;
	long sent, nr;

	if (!connected(&pair, root) ||
	    differs(set(pair.sends, "bc.max", TCPSNDBUF, limit), 0) ||
	    differs(set(pair.takes, "bc.max", TCPRCVBUF, 16 * KIB), 0))
		goto cleanup;

	for (sent = 0; sent < MIB; sent += nr) {
		nr = bc_call(pair.sender, send_bytes, MIB, NULL);
		if (nr < 0)
			break;
		bc_pause();
	}
	if (unmet(sent > 0) || unmet(sent < MIB) ||
	    differs(pair.sender->err, EAGAIN) ||
	    inexact(pair.sends, pair.sender) ||
	    unmet(bc_held(pair.sends, TCPSNDBUF) <= limit + 3 * bc_page()) ||
	    unmet(bc_value(pair.sends, "bc.events", TCPSNDBUF ".max") > 0) ||
	    differs(bc_value(pair.sends, "bc.events", TCPSNDBUF ".high"), 0))
		goto cleanup;
	if (differs(set(pair.takes, "bc.max", TCPRCVBUF, PLENTY), 0))
		goto cleanup;
	if (takes_not(&pair, sent) || stuck(&pair, MIB))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	return disconnect(&pair, ret);
}

/* What is above the limit is dropped, and is sent again. */
static int test_sockbuf_receive_refused(const char *root)
{
	struct pair pair = {};
	int ret = KSFT_FAIL;
	long limit = 64 * KIB;
	long sent;

	if (!connected(&pair, root) ||
	    differs(set(pair.takes, "bc.max", TCPRCVBUF, limit), 0))
		goto cleanup;

	sent = bc_call(pair.sender, send_bytes, 2 * MIB, NULL);
	if (unmet(sent > 0) || inexact(pair.takes, pair.taker) ||
	    unmet(bc_held(pair.takes, TCPRCVBUF) <= limit + FORCED) ||
	    unmet(bc_peak(pair.takes, TCPRCVBUF) <= limit + FORCED))
		goto cleanup;
	if (takes_not(&pair, sent) || stuck(&pair, 4 * MIB) ||
	    unmet(bc_value(pair.takes, "bc.events", TCPRCVBUF ".max") > 0) ||
	    unmet(bc_peak(pair.takes, TCPRCVBUF) <= limit + FORCED) ||
	    inexact(pair.takes, pair.taker))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	return disconnect(&pair, ret);
}

/* A socket that receives; its port. */
static long bind_udp(long arg __maybe_unused, const char *text __maybe_unused)
{
	struct sockaddr_in addr;

	if (bc_self_keep(bc_at_port(SOCK_DGRAM, &addr)))
		return -1;
	return ntohs(addr.sin_port);
}

/* So many of 1000 bytes, from the program itself. */
static bool datagrams(long port, int nr)
{
	static const char data[1000];
	struct sockaddr_in addr = bc_loopback(port);
	int sock = socket(AF_INET, SOCK_DGRAM, 0);
	int i;

	for (i = 0; i < nr; i++) {
		if (sendto(sock, data, sizeof(data), 0,
			   (struct sockaddr *)&addr, sizeof(addr)) < 0)
			break;
	}
	close(sock);
	return i == nr;
}

/* All that are there; how many. */
static long take_datagrams(long arg __maybe_unused,
			   const char *text __maybe_unused)
{
	char data[1000];
	long nr = 0;

	while (recv(bc_self_newest(), data, sizeof(data), MSG_DONTWAIT) > 0)
		nr++;
	return nr;
}

/* So many do not arrive, or more. */
static bool takes_not_datagrams(struct bc_agent *agent, long nr)
{
	long taken = 0;
	int i;

	for (i = 0; i < BC_POLL_TIMES; i++) {
		taken += bc_call(agent, take_datagrams, 0, NULL);
		if (taken >= nr)
			break;
		bc_pause();
	}

	return differs(taken, nr);
}

/* Datagrams that are not read count, up to the limit; the others are lost. */
static int test_sockbuf_udp(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	long port, all, few;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_udp");
	agent = bc_agent(cgroup);
	if (!agent || differs(set(cgroup, "bc.max", DGRAMRCVBUF, PLENTY), 0))
		goto cleanup;

	port = bc_call(agent, bind_udp, 0, NULL);
	if (unmet(port > 0) || unmet(datagrams(port, 5)) ||
	    inexact(cgroup, agent) ||
	    unmet(bc_held(cgroup, DGRAMRCVBUF) >= 5000) ||
	    differs(bc_call(agent, take_datagrams, 0, NULL), 5) ||
	    inexact(cgroup, agent) ||
	    unmet(bc_held(cgroup, DGRAMRCVBUF) <= bc_page()) ||
	    differs(bc_held(cgroup, TCPRCVBUF), 0))
		goto cleanup;

	/* As many as fit into the socket, and fewer where less is allowed. */
	if (unmet(datagrams(port, 500)) || inexact(cgroup, agent))
		goto cleanup;
	all = bc_call(agent, take_datagrams, 0, NULL);
	if (differs(set(cgroup, "bc.max", DGRAMRCVBUF, 10 * bc_page() + 1), 0) ||
	    unmet(datagrams(port, 500)) || inexact(cgroup, agent) ||
	    differs(bc_held(cgroup, DGRAMRCVBUF), 10 * bc_page()) ||
	    unmet(bc_value(cgroup, "bc.events", DGRAMRCVBUF ".max") > 0))
		goto cleanup;
	few = bc_call(agent, take_datagrams, 0, NULL);
	if (unmet(few > 5) || unmet(few < all) || inexact(cgroup, agent) ||
	    unmet(datagrams(port, 3)) ||
	    differs(bc_call(agent, take_datagrams, 0, NULL), 3) ||
	    differs(bc_close(agent, 1), 1) ||
	    unsettled(cgroup, DGRAMRCVBUF, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* Who has nothing gets something above the barrier, but not the limit. */
static int test_sockbuf_first(const char *root)
{
	struct bc_agent *much = NULL, *nothing = NULL;
	int ret = KSFT_FAIL;
	long port, other;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_first");
	much = bc_agent(cgroup);
	nothing = bc_agent(cgroup);
	if (!much || !nothing ||
	    differs(set(cgroup, "bc.high", DGRAMRCVBUF, 10 * bc_page()), 0) ||
	    differs(set(cgroup, "bc.max", DGRAMRCVBUF, 11 * bc_page()), 0))
		goto cleanup;

	port = bc_call(much, bind_udp, 0, NULL);
	other = bc_call(nothing, bind_udp, 0, NULL);
	if (unmet(port > 0) || unmet(other > 0) || unmet(datagrams(port, 100)) ||
	    differs(bc_held(cgroup, DGRAMRCVBUF), 10 * bc_page()) ||
	    unmet(datagrams(other, 1)) ||
	    differs(bc_held(cgroup, DGRAMRCVBUF), 11 * bc_page()) ||
	    differs(bc_call(nothing, take_datagrams, 0, NULL), 1))
		goto cleanup;
	port = bc_call(nothing, bind_udp, 0, NULL);
	if (unmet(port > 0) || unmet(datagrams(port, 1)) ||
	    differs(bc_call(nothing, take_datagrams, 0, NULL), 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(much);
	bc_stop(nothing);
	return bc_remove(cgroup, ret);
}

/* Whoever has the socket: who made it pays, or who is above when it is gone. */
static int test_sockbuf_owner(const char *root)
{
	struct bc_agent *agent = NULL;
	char *parent, *child = NULL;
	int ret = KSFT_FAIL;
	long port, held;

	parent = bc_cgroup(root, "bc_owner");
	child = bc_cgroup(parent, "child");
	if (!child || differs(bc_enable(parent), 0))
		goto cleanup;
	agent = bc_agent(child);
	if (!agent || differs(set(parent, "bc.max", DGRAMRCVBUF, PLENTY), 0))
		goto cleanup;

	port = bc_call(agent, bind_udp, 0, NULL);
	if (unmet(port > 0) || differs(cg_enter(root, agent->pid), 0) ||
	    unmet(datagrams(port, 20)) || inexact(child, agent) ||
	    inexact(parent, agent))
		goto cleanup;
	held = bc_held(parent, DGRAMRCVBUF);
	if (unmet(held >= 20000) || differs(rmdir(child), 0) ||
	    differs(bc_held(parent, DGRAMRCVBUF), held) ||
	    unmet(datagrams(port, 20)) || inexact(parent, agent) ||
	    unmet(bc_held(parent, DGRAMRCVBUF) > held) ||
	    differs(bc_close(agent, 1), 1) ||
	    unsettled(parent, DGRAMRCVBUF, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

/* The parent's limit is the child's; the neighbour does not notice. */
static int test_sockbuf_parent_refuses(const char *root)
{
	struct bc_agent *agent = NULL, *neighbour = NULL;
	char *parent, *child = NULL, *beside = NULL;
	int ret = KSFT_FAIL;
	long port, other;

	parent = bc_cgroup(root, "bc_parent");
	child = bc_cgroup(parent, "child");
	beside = bc_cgroup(root, "bc_beside");
	if (!child || differs(bc_enable(parent), 0))
		goto cleanup;
	agent = bc_agent(child);
	neighbour = bc_agent(beside);
	if (!agent || !neighbour ||
	    differs(set(parent, "bc.max", DGRAMRCVBUF, 10 * bc_page()), 0))
		goto cleanup;

	port = bc_call(agent, bind_udp, 0, NULL);
	other = bc_call(neighbour, bind_udp, 0, NULL);
	if (unmet(port > 0) || unmet(other > 0) || unmet(datagrams(port, 200)) ||
	    differs(bc_held(child, DGRAMRCVBUF), 10 * bc_page()) ||
	    differs(bc_held(parent, DGRAMRCVBUF), 10 * bc_page()) ||
	    unmet(bc_value(parent, "bc.events.local", DGRAMRCVBUF ".max") > 0) ||
	    miscounted(child, "bc.events", DGRAMRCVBUF, 0, 0) ||
	    unmet(datagrams(other, 50)) || inexact(beside, neighbour) ||
	    differs(bc_call(neighbour, take_datagrams, 0, NULL), 50))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	bc_stop(neighbour);
	ret = bc_remove(child, ret);
	ret = bc_remove(beside, ret);
	return bc_remove(parent, ret);
}

/* A message from the newest socket while the nth thing that it asks for fails. */
static long send_faulty(long nth, const char *text __maybe_unused)
{
	static const char data[FAULTY_BYTES];
	long sent;
	int err;

	if (bc_self_fail(nth))
		return -1;
	sent = send(bc_self_newest(), data, sizeof(data), MSG_DONTWAIT) > 0;
	err = errno;
	/* Two if it was sent, and one when nothing had to fail. */
	sent = 2 * sent + !bc_self_failed();
	errno = err;
	return sent;
}

/* Has a socket send to itself. */
static long connect_udp(long port, const char *text __maybe_unused)
{
	struct sockaddr_in addr = bc_loopback(port);

	return connect(bc_self_newest(), (struct sockaddr *)&addr,
		       sizeof(addr));
}

/*
 * Messages, while one thing after the other fails that they need, until there
 * is no such thing any more. Something is wrong after one of them, or always.
 */
static bool fails_badly(struct bc_agent *agent,
			bool (*wrong)(const void *ends, long sent),
			const void *ends)
{
	long nth, sent = 0, failed = 0;

	for (nth = 1; nth < MOST_FAULTS && sent % 2 == 0; nth++) {
		sent = bc_call(agent, send_faulty, nth, NULL);
		if (unmet(sent >= 0) || wrong(ends, sent / 2))
			return true;
		failed += sent == 0;
	}
	ksft_print_msg("%ld places, %ld messages not sent\n", nth - 2, failed);
	/* The last one was sent, and nothing failed. */
	return unmet(failed > 0) || differs(sent, 3);
}

struct receiver {
	const char *cgroup;
	struct bc_agent *agent;
};

static bool datagrams_differ(const void *ends, long sent)
{
	const struct receiver *receiver = ends;

	return inexact(receiver->cgroup, receiver->agent) ||
	       takes_not_datagrams(receiver->agent, sent);
}

/* What fails on the way to a datagram leaves nothing charged. */
static int test_sockbuf_udp_faults(const char *root)
{
	struct receiver receiver = {};
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	long port;

	if (!bc_may_fail())
		return bc_skip("the kernel injects no faults");

	cgroup = bc_cgroup(root, "bc_udp");
	agent = bc_agent(cgroup);
	if (!agent || differs(set(cgroup, "bc.max", DGRAMRCVBUF, PLENTY), 0))
		goto cleanup;
	receiver = (struct receiver){ cgroup, agent };
	port = bc_call(agent, bind_udp, 0, NULL);
	/* What is asked for once only, as the neighbour, is there then. */
	if (unmet(port > 0) || unmet(datagrams(port, 1)) ||
	    takes_not_datagrams(agent, 1) ||
	    differs(bc_call(agent, connect_udp, port, NULL), 0))
		goto cleanup;

	if (fails_badly(agent, datagrams_differ, &receiver) ||
	    miscounted(cgroup, "bc.events", DGRAMRCVBUF, 0, 0) ||
	    differs(bc_close(agent, 1), 1) ||
	    unsettled(cgroup, DGRAMRCVBUF, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

static bool segments_differ(const void *ends, long sent)
{
	const struct pair *pair = ends;

	return inexact(pair->sends, pair->sender) ||
	       inexact(pair->takes, pair->taker) ||
	       takes_not(pair, sent * FAULTY_BYTES);
}

/* The same of a connection. */
static int test_sockbuf_tcp_faults(const char *root)
{
	struct pair pair = {};
	int ret = KSFT_FAIL;

	if (!bc_may_fail())
		return bc_skip("the kernel injects no faults");
	if (!connected(&pair, root))
		goto cleanup;

	if (fails_badly(pair.sender, segments_differ, &pair) ||
	    miscounted(pair.sends, "bc.events", TCPSNDBUF, 0, 0) ||
	    differs(bc_close(pair.sender, 1), 1) ||
	    unsettled(pair.sends, TCPSNDBUF, 0) ||
	    unsettled(pair.sends, TCPRCVBUF, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	return disconnect(&pair, ret);
}

/* From the program's own pages; how many bytes were taken. */
static long send_uncopied(long nr, const char *text __maybe_unused)
{
	static char data[256 * KIB] __aligned(4096);
	int on = 1;

	if (setsockopt(bc_self_newest(), SOL_SOCKET, SO_ZEROCOPY, &on,
		       sizeof(on)))
		return -1;
	return send(bc_self_newest(), data, nr, MSG_DONTWAIT | MSG_ZEROCOPY);
}

/* The messages that say that the kernel does not need the pages any more. */
static long end_uncopied(long arg __maybe_unused,
			 const char *text __maybe_unused)
{
	char control[128];
	long nr = 0;

	for (;;) {
		struct msghdr msg = {
			.msg_control = control,
			.msg_controllen = sizeof(control),
		};

		if (recvmsg(bc_self_newest(), &msg,
			    MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
			return nr;
		nr++;
	}
}

/* What is not copied has no pages of the socket, and is counted as such. */
static int test_sockbuf_zerocopy(const char *root)
{
	struct pair pair = {};
	int i, ret = KSFT_FAIL;

	if (!connected(&pair, root))
		goto cleanup;

	for (i = 0; i < 10; i++) {
		long copied = bc_call(pair.sender, send_bytes, 5000, NULL);
		long uncopied = bc_call(pair.sender, send_uncopied, 256 * KIB,
					NULL);

		/* It does not count what has no pages. */
		if (unmet(copied > 0) || unmet(uncopied > 0) ||
		    unmet(bc_held(pair.sends, TCPSNDBUF) >= 0) ||
		    unmet(bc_held(pair.sends, TCPSNDBUF) <= 256 * KIB) ||
		    takes_not(&pair, copied + uncopied))
			goto cleanup;
	}
	/* Nothing of it stays, and what is copied counts as it did. */
	for (i = 0; i < BC_POLL_TIMES; i++) {
		if (bc_call(pair.sender, end_uncopied, 0, NULL) == 0 &&
		    bc_held(pair.sends, TCPSNDBUF) <= bc_page())
			break;
		bc_pause();
	}
	if (differs(bc_call(pair.sender, send_bytes, 20 * KIB, NULL),
		    20 * KIB) ||
	    inexact(pair.sends, pair.sender) ||
	    inexact(pair.takes, pair.taker) || takes_not(&pair, 20 * KIB) ||
	    differs(bc_close(pair.sender, 1), 1) ||
	    differs(bc_close(pair.taker, 1), 1) ||
	    unsettled(pair.sends, TCPSNDBUF, 0) ||
	    unsettled(pair.sends, TCPRCVBUF, 0) ||
	    unsettled(pair.takes, TCPRCVBUF, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	return disconnect(&pair, ret);
}

/*
 * Nothing is counted before there is a setting. What was there then is given
 * back without having been charged; what is there when the last one goes is
 * given back all the same.
 */
static int test_sockbuf_settings(const char *root)
{
	struct bc_agent *agent = NULL;
	int i, ret = KSFT_FAIL;
	char *cgroup;
	long port;

	cgroup = bc_cgroup(root, "bc_settings");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	/* Those of the test before may be on their way. */
	for (i = 0; i < BC_POLL_TIMES; i++) {
		port = bc_call(agent, bind_udp, 0, NULL);
		if (unmet(port > 0) || unmet(datagrams(port, 10)))
			goto cleanup;
		if (!bc_held(cgroup, DGRAMRCVBUF))
			break;
		bc_close(agent, 1);
		bc_pause();
	}
	if (i == BC_POLL_TIMES) {
		ret = bc_skip("another cgroup has settings");
		goto cleanup;
	}
	if (differs(bc_held(cgroup, DGRAMRCVBUF), 0) ||
	    differs(set(cgroup, "bc.max", DGRAMRCVBUF, PLENTY + 1), 0) ||
	    differs(bc_value(cgroup, "bc.max", DGRAMRCVBUF), PLENTY) ||
	    differs(set(cgroup, "bc.high", DGRAMRCVBUF, bc_page() - 1), 0) ||
	    differs(bc_value(cgroup, "bc.high", DGRAMRCVBUF), 0) ||
	    differs(set(cgroup, "bc.high", DGRAMRCVBUF, BC_MAX), 0) ||
	    differs(bc_value(cgroup, "bc.high", DGRAMRCVBUF), BC_MAX))
		goto cleanup;
	if (unmet(datagrams(port, 10)) ||
	    unmet(bc_held(cgroup, DGRAMRCVBUF) > 0) ||
	    unmet(bc_held(cgroup, DGRAMRCVBUF) <
		  bc_call(agent, meminfo, TOTAL, NULL)) ||
	    differs(bc_call(agent, take_datagrams, 0, NULL), 20) ||
	    unmet(bc_held(cgroup, DGRAMRCVBUF) <= bc_page()) ||
	    /* It keeps a page that it had before. */
	    unmet(datagrams(port, 10)) ||
	    differs(bc_held(cgroup, DGRAMRCVBUF),
		    bc_call(agent, meminfo, TOTAL, NULL) - bc_page()) ||
	    differs(set(cgroup, "bc.max", DGRAMRCVBUF, BC_MAX), 0) ||
	    differs(bc_call(agent, take_datagrams, 0, NULL), 10) ||
	    differs(bc_close(agent, 1), 1) ||
	    unsettled(cgroup, DGRAMRCVBUF, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_sockbuf_first),
	T(test_sockbuf_owner),
	T(test_sockbuf_parent_refuses),
	T(test_sockbuf_receive_refused),
	T(test_sockbuf_send_refused),
	T(test_sockbuf_settings),
	T(test_sockbuf_tcp),
	T(test_sockbuf_tcp_faults),
	T(test_sockbuf_udp),
	T(test_sockbuf_udp_faults),
	T(test_sockbuf_zerocopy),
};

#undef T

int main(void)
{
	bc_lo_up();
	return bc_main(tests, ARRAY_SIZE(tests));
}
