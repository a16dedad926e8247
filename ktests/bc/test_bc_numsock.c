// SPDX-License-Identifier: GPL-2.0
/*
 * numtcpsock and numothersock: sockets, charged to who makes them, and
 * connections, charged to who pays for the listener.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_standard.h"

static long make_sockets(int family, int type, long nr)
{
	long i;

	for (i = 0; i < nr; i++) {
		if (bc_self_keep(socket(family, type, 0)))
			break;
	}

	return i;
}

static long make_tcp(long nr, const char *text __maybe_unused)
{
	return make_sockets(AF_INET, SOCK_STREAM, nr);
}

static long make_unix(long nr, const char *text __maybe_unused)
{
	return make_sockets(AF_UNIX, SOCK_DGRAM, nr);
}

static const struct bc_kind numtcpsock = {
	.name = "numtcpsock",
	.resource = NUMTCPSOCK,
	.err = ENOMEM,
	.make = make_tcp,
	.drop = bc_self_close_first,
	.in_files = true,
};

static const struct bc_kind numothersock = {
	.name = "numothersock",
	.resource = NUMOTHERSOCK,
	.err = ENOMEM,
	.make = make_unix,
	.drop = bc_self_close_first,
	.in_files = true,
};

static const struct {
	const char *name;
	int family;
	int type;
	int protocol;
	bool tcp;
} families[] = {
	{ "netlink", AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, false },
	{ "raw", AF_INET, SOCK_RAW, IPPROTO_ICMP, false },
	{ "tcp", AF_INET, SOCK_STREAM, IPPROTO_TCP, true },
	{ "udp", AF_INET, SOCK_DGRAM, IPPROTO_UDP, false },
	{ "unix datagram", AF_UNIX, SOCK_DGRAM, 0, false },
	{ "unix packet", AF_UNIX, SOCK_SEQPACKET, 0, false },
	{ "unix stream", AF_UNIX, SOCK_STREAM, 0, false },
};

static long make_family(long index, const char *text __maybe_unused)
{
	return bc_self_keep(socket(families[index].family,
				   families[index].type,
				   families[index].protocol));
}

/* Each socket counts as one of the two, and as one file. */
static int test_numsock_families(const char *root)
{
	long tcp = 0, other = 0;
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;
	size_t i;

	cgroup = bc_cgroup(root, "bc_families");
	agent = bc_agent(cgroup);
	if (!agent)
		goto cleanup;

	for (i = 0; i < ARRAY_SIZE(families); i++) {
		if (families[i].tcp)
			tcp++;
		else
			other++;
		if (differs(bc_call(agent, make_family, i, NULL), 0) ||
		    differs(bc_held(cgroup, NUMTCPSOCK), tcp) ||
		    differs(bc_held(cgroup, NUMOTHERSOCK), other) ||
		    differs(bc_held(cgroup, NUMFILE), tcp + other)) {
			ksft_print_msg("after %s\n", families[i].name);
			goto cleanup;
		}
	}
	if (differs(bc_close(agent, BC_ALL), tcp + other) ||
	    unsettled(cgroup, NUMTCPSOCK, 0) ||
	    unsettled(cgroup, NUMOTHERSOCK, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

static long make_pair(long arg __maybe_unused, const char *text __maybe_unused)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return -1;
	return bc_self_keep(pair[0]) || bc_self_keep(pair[1]);
}

/* A pair is two; where there is room for one, neither stays. */
static int test_numsock_pair(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_sockpair");
	agent = bc_agent(cgroup);
	if (!agent || differs(bc_write(cgroup, "bc.max", "numothersock 1"), 0))
		goto cleanup;

	if (differs(bc_call(agent, make_pair, 0, NULL), -1) ||
	    differs(agent->err, ENOMEM) ||
	    unsettled(cgroup, NUMOTHERSOCK, 0) ||
	    differs(bc_write(cgroup, "bc.max", "numothersock 2"), 0) ||
	    differs(bc_call(agent, make_pair, 0, NULL), 0) ||
	    differs(bc_held(cgroup, NUMOTHERSOCK), 2) ||
	    miscounted(cgroup, "bc.events", NUMOTHERSOCK, 0, 1))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* Who listens pays for a connection, from before it is accepted. */
static int test_numtcpsock_accept(const char *root)
{
	struct bc_agent *server = NULL, *client = NULL;
	char *listens, *connects = NULL;
	int ret = KSFT_FAIL;
	long port;

	listens = bc_cgroup(root, "bc_listens");
	connects = bc_cgroup(root, "bc_connects");
	server = bc_agent(listens);
	client = bc_agent(connects);
	if (!server || !client)
		goto cleanup;

	port = bc_call(server, bc_self_listen, 0, NULL);
	if (unmet(port > 0) ||
	    differs(bc_call(client, bc_self_connect, port, NULL), 0) ||
	    unsettled(listens, NUMTCPSOCK, 2) ||
	    differs(bc_held(connects, NUMTCPSOCK), 1) ||
	    differs(bc_held(listens, NUMFILE), 1))
		goto cleanup;
	if (differs(bc_call(server, bc_self_accept, 0, NULL), 0) ||
	    differs(bc_held(listens, NUMTCPSOCK), 2) ||
	    differs(bc_held(listens, NUMFILE), 2))
		goto cleanup;

	/* What is left in TIME-WAIT is no socket. */
	if (differs(bc_close(client, 1), 1) || differs(bc_close(server, 1), 1) ||
	    unsettled(connects, NUMTCPSOCK, 0) ||
	    unsettled(listens, NUMTCPSOCK, 1))
		goto cleanup;

	/* One that nobody accepts goes with the listener. */
	if (differs(bc_call(client, bc_self_connect, port, NULL), 0) ||
	    unsettled(listens, NUMTCPSOCK, 2) ||
	    differs(bc_close(server, 1), 1) ||
	    unsettled(listens, NUMTCPSOCK, 0) ||
	    differs(bc_close(client, 1), 1) ||
	    unsettled(connects, NUMTCPSOCK, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(server);
	bc_stop(client);
	ret = bc_remove(listens, ret);
	return bc_remove(connects, ret);
}

/* The listener's process is elsewhere, then its cgroup is gone. */
static int test_numtcpsock_accept_migrated(const char *root)
{
	struct bc_agent *server = NULL, *client = NULL;
	char *parent, *child = NULL;
	int ret = KSFT_FAIL;
	long port;

	parent = bc_cgroup(root, "bc_listened");
	child = bc_cgroup(parent, "child");
	if (!child || differs(bc_enable(parent), 0))
		goto cleanup;
	server = bc_agent(child);
	client = bc_agent(root);
	if (!server || !client)
		goto cleanup;

	port = bc_call(server, bc_self_listen, 0, NULL);
	if (unmet(port > 0) || differs(cg_enter(root, server->pid), 0) ||
	    differs(bc_call(client, bc_self_connect, port, NULL), 0) ||
	    unsettled(child, NUMTCPSOCK, 2) || differs(rmdir(child), 0) ||
	    differs(bc_call(client, bc_self_connect, port, NULL), 0) ||
	    unsettled(parent, NUMTCPSOCK, 3))
		goto cleanup;
	if (differs(bc_call(server, bc_self_accept, 0, NULL), 0) ||
	    differs(bc_call(server, bc_self_accept, 0, NULL), 0) ||
	    differs(bc_close(server, BC_ALL), 3) ||
	    differs(bc_close(client, BC_ALL), 2) ||
	    unsettled(parent, NUMTCPSOCK, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(server);
	bc_stop(client);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

/*
 * A connection above the limit is dropped as one above the backlog is: the
 * peer does not notice, and it comes about once there is room.
 */
static int test_numtcpsock_accept_refused(const char *root)
{
	struct bc_agent *server = NULL, *client = NULL;
	int ret = KSFT_FAIL;
	char *listens;
	long port;

	listens = bc_cgroup(root, "bc_listens_full");
	server = bc_agent(listens);
	client = bc_agent(root);
	if (!server || !client ||
	    differs(bc_write(listens, "bc.max", "numtcpsock 1"), 0))
		goto cleanup;

	port = bc_call(server, bc_self_listen, 0, NULL);
	if (unmet(port > 0) ||
	    differs(bc_call(client, bc_self_connect, port, NULL), 0) ||
	    differs(bc_held(listens, NUMTCPSOCK), 1) ||
	    unmet(bc_value(listens, "bc.events", "numtcpsock.max") > 0))
		goto cleanup;

	if (differs(bc_write(listens, "bc.max", "numtcpsock 2"), 0) ||
	    unsettled(listens, NUMTCPSOCK, 2) ||
	    differs(bc_call(server, bc_self_accept, 0, NULL), 0) ||
	    differs(bc_held(listens, NUMTCPSOCK), 2))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(client);
	bc_stop(server);
	return bc_remove(listens, ret);
}

/* Fills the newest socket until nothing more fits. */
static long fill(long arg __maybe_unused, const char *text __maybe_unused)
{
	static char data[16 * 1024];
	long sent = 0;
	ssize_t ret;

	while ((ret = send(bc_self_newest(), data, sizeof(data),
			   MSG_DONTWAIT)) > 0)
		sent += ret;

	return errno == EAGAIN ? sent : -1;
}

/* A socket that was closed and has still to deliver is held. */
static int test_numtcpsock_orphan(const char *root)
{
	struct bc_agent *server = NULL, *client = NULL;
	int ret = KSFT_FAIL;
	char *connects;
	long port;
	int i;

	connects = bc_cgroup(root, "bc_orphan");
	client = bc_agent(connects);
	server = bc_agent(root);
	if (!server || !client)
		goto cleanup;

	port = bc_call(server, bc_self_listen, 0, NULL);
	if (unmet(port > 0) ||
	    differs(bc_call(client, bc_self_connect, port, NULL), 0) ||
	    unmet(bc_call(client, fill, 0, NULL) > 0) ||
	    differs(bc_close(client, 1), 1) || unsettled(connects, NUMFILE, 0))
		goto cleanup;
	for (i = 0; i < 10; i++) {
		bc_pause();
		if (differs(bc_held(connects, NUMTCPSOCK), 1))
			goto cleanup;
	}

	/* The other end goes without having read anything. */
	if (differs(bc_close(server, BC_ALL), 1) ||
	    unsettled(connects, NUMTCPSOCK, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(server);
	bc_stop(client);
	return bc_remove(connects, ret);
}

/* A listener in the abstract namespace, by the number of its process. */
static void unix_name(struct sockaddr_un *addr, long pid)
{
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	snprintf(addr->sun_path + 1, sizeof(addr->sun_path) - 1, "bc_%ld", pid);
}

static long listen_unix(long arg __maybe_unused,
			const char *text __maybe_unused)
{
	struct sockaddr_un addr;
	int sock = socket(AF_UNIX, SOCK_STREAM, 0);

	unix_name(&addr, getpid());
	if (bc_self_keep(sock) ||
	    bind(sock, (struct sockaddr *)&addr, sizeof(addr)))
		return -1;
	return listen(sock, 16);
}

static long connect_unix(long pid, const char *text __maybe_unused)
{
	struct sockaddr_un addr;
	int sock = socket(AF_UNIX, SOCK_STREAM, 0);

	unix_name(&addr, pid);
	if (bc_self_keep(sock))
		return -1;
	return connect(sock, (struct sockaddr *)&addr, sizeof(addr));
}

/* Here who connects makes both ends, of which each keeps the other. */
static int test_numothersock_unix_connect(const char *root)
{
	struct bc_agent *server = NULL, *client = NULL;
	char *listens, *connects = NULL;
	int ret = KSFT_FAIL;

	listens = bc_cgroup(root, "bc_listens");
	connects = bc_cgroup(root, "bc_connects");
	server = bc_agent(listens);
	client = bc_agent(connects);
	if (!server || !client ||
	    differs(bc_write(connects, "bc.max", "numothersock 3"), 0) ||
	    differs(bc_call(server, listen_unix, 0, NULL), 0) ||
	    differs(bc_call(client, connect_unix, server->pid, NULL), 0) ||
	    differs(bc_held(listens, NUMOTHERSOCK), 1) ||
	    differs(bc_held(connects, NUMOTHERSOCK), 2))
		goto cleanup;

	if (differs(bc_call(client, connect_unix, server->pid, NULL), -1) ||
	    differs(client->err, ENOMEM) ||
	    differs(bc_held(connects, NUMOTHERSOCK), 3) ||
	    differs(bc_close(client, 2), 2) ||
	    unsettled(connects, NUMOTHERSOCK, 2) ||
	    differs(bc_call(server, bc_self_accept, 0, NULL), 0) ||
	    differs(bc_close(server, 1), 1) ||
	    unsettled(connects, NUMOTHERSOCK, 0) ||
	    differs(bc_held(listens, NUMOTHERSOCK), 1))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(server);
	bc_stop(client);
	ret = bc_remove(listens, ret);
	return bc_remove(connects, ret);
}

static long new_net(long arg __maybe_unused, const char *text __maybe_unused)
{
	return bc_new_net();
}

/* The sockets that the kernel makes for itself are nobody's. */
static int test_numsock_kernel(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_kernel");
	agent = bc_agent(cgroup);
	/* A new network needs some, and one to set it up with. */
	if (!agent || differs(bc_write(cgroup, "bc.max",
				       "numothersock 1\nnumtcpsock 0"), 0) ||
	    differs(bc_call(agent, new_net, 0, NULL), 0) ||
	    unsettled(cgroup, NUMOTHERSOCK, 0) ||
	    miscounted(cgroup, "bc.events", NUMTCPSOCK, 0, 0) ||
	    miscounted(cgroup, "bc.events", NUMOTHERSOCK, 0, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

static const struct bc_kind * const kinds[] = {
	&numothersock,
	&numtcpsock,
};

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_numothersock_unix_connect),
	T(test_numsock_families),
	T(test_numsock_kernel),
	T(test_numsock_pair),
	T(test_numtcpsock_accept),
	T(test_numtcpsock_accept_migrated),
	T(test_numtcpsock_accept_refused),
	T(test_numtcpsock_orphan),
};

#undef T

int main(void)
{
	int err = bc_new_net();

	if (err) {
		ksft_print_header();
		ksft_exit_skip("no network: %s\n", strerror(-err));
	}

	return bc_std_main(kinds, ARRAY_SIZE(kinds), tests,
			   ARRAY_SIZE(tests));
}
