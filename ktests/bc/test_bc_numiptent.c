// SPDX-License-Identifier: GPL-2.0
/*
 * numiptent: rules of nftables, charged to who made their table, and entries of
 * a table of iptables, charged to who loaded it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netlink.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_nft.h"
#include "bc_standard.h"

#define MOST_TABLES	512

/* The socket is the agent's for that time only. */
static int commit(void)
{
	int err, sock = nft_socket();

	if (sock < 0)
		return -1;
	err = nft_commit(sock);
	close(sock);
	errno = -err;
	return err ? -1 : 0;
}

static bool has_table(const char *table)
{
	int sock = nft_socket();
	bool has = sock >= 0 && nft_has_table(sock, table);

	if (sock >= 0)
		close(sock);
	return has;
}

static int delete_table(const char *table)
{
	nft_begin();
	nft_put_delete(table);
	return commit();
}

static long oldest, newest;

/* Tables with one rule each, in a network that ends with the agent. */
static long make_tables(long nr, const char *text __maybe_unused)
{
	static bool has_net;
	char table[24];
	long i;

	if (!has_net && bc_new_net())
		return -1;
	has_net = true;

	for (i = 0; i < nr && newest < MOST_TABLES; i++) {
		snprintf(table, sizeof(table), "t%ld", newest);
		nft_begin();
		nft_put_table(table);
		nft_put_rule(table, NLM_F_ACK);
		/* Without an answer, it may be there. */
		if (commit() && (errno != EPROTO || !has_table(table)))
			break;
		newest++;
	}

	return i;
}

static long drop_tables(long nr, const char *text __maybe_unused)
{
	char table[24];
	long i;

	for (i = 0; i < nr && oldest < newest; i++) {
		snprintf(table, sizeof(table), "t%ld", oldest);
		if (delete_table(table))
			break;
		oldest++;
	}

	return i;
}

static const struct bc_kind numiptent = {
	.name = "numiptent",
	.resource = NUMIPTENT,
	.err = ENOMEM,
	.make = make_tables,
	.drop = drop_tables,
};

/* In the network of the program, which all agents share. */
static long make_shared(long arg __maybe_unused, const char *text)
{
	nft_begin();
	nft_put_table(text);
	return commit();
}

static long make_rules(long nr, const char *text)
{
	long i;

	nft_begin();
	for (i = 1; i <= nr; i++)
		nft_put_rule(text, i == nr ? NLM_F_ACK : 0);
	return commit();
}

static long flush_shared(long arg __maybe_unused, const char *text)
{
	nft_begin();
	nft_put_flush(text);
	return commit();
}

static long delete_shared(long arg __maybe_unused, const char *text)
{
	return delete_table(text);
}

/* A table and its chains are no entries; who made it pays for its rules. */
static int test_numiptent_owner_of_table(const char *root)
{
	struct bc_agent *owner = NULL, *other = NULL;
	char *has, *adds = NULL;
	int ret = KSFT_FAIL;

	has = bc_cgroup(root, "bc_has_table");
	adds = bc_cgroup(root, "bc_adds");
	owner = bc_agent(has);
	other = bc_agent(adds);
	if (!owner || !other ||
	    differs(bc_call(owner, make_shared, 0, "owned"), 0) ||
	    differs(bc_held(has, NUMIPTENT), 0) ||
	    differs(bc_call(owner, make_rules, 2, "owned"), 0) ||
	    differs(bc_call(other, make_rules, 3, "owned"), 0) ||
	    differs(bc_held(has, NUMIPTENT), 5) ||
	    differs(bc_held(adds, NUMIPTENT), 0))
		goto cleanup;

	if (differs(bc_write(has, "bc.max", "numiptent 6"), 0) ||
	    differs(bc_call(other, make_rules, 2, "owned"), -1) ||
	    differs(other->err, ENOMEM) || unsettled(has, NUMIPTENT, 5) ||
	    miscounted(has, "bc.events", NUMIPTENT, 0, 1) ||
	    differs(bc_call(other, make_rules, 1, "owned"), 0) ||
	    differs(bc_held(has, NUMIPTENT), 6))
		goto cleanup;

	/* A table that nobody's cgroup has made costs nobody anything. */
	if (differs(cg_enter(root, other->pid), 0) ||
	    differs(bc_call(other, make_shared, 0, "nobodys"), 0) ||
	    differs(bc_call(owner, make_rules, 2, "nobodys"), 0) ||
	    differs(bc_held(has, NUMIPTENT), 6) ||
	    differs(bc_call(other, delete_shared, 0, "nobodys"), 0))
		goto cleanup;

	if (differs(bc_call(other, flush_shared, 0, "owned"), 0) ||
	    unsettled(has, NUMIPTENT, 0) ||
	    differs(bc_call(owner, make_rules, 6, "owned"), 0) ||
	    differs(bc_call(other, delete_shared, 0, "owned"), 0) ||
	    unsettled(has, NUMIPTENT, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_call(other, delete_shared, 0, "owned");
	bc_stop(owner);
	bc_stop(other);
	ret = bc_remove(has, ret);
	return bc_remove(adds, ret);
}

/* A table without rules keeps who made it, also when the cgroup is gone. */
static int test_numiptent_empty_table(const char *root)
{
	struct bc_agent *agent = NULL;
	char *parent, *child = NULL;
	int ret = KSFT_FAIL;

	parent = bc_cgroup(root, "bc_empty");
	child = bc_cgroup(parent, "child");
	if (!child || differs(bc_enable(parent), 0))
		goto cleanup;
	agent = bc_agent(child);
	if (!agent || differs(bc_call(agent, make_shared, 0, "empty"), 0) ||
	    differs(cg_enter(root, agent->pid), 0) || differs(rmdir(child), 0) ||
	    differs(bc_call(agent, make_rules, 2, "empty"), 0) ||
	    differs(bc_held(parent, NUMIPTENT), 2) ||
	    differs(bc_call(agent, delete_shared, 0, "empty"), 0) ||
	    unsettled(parent, NUMIPTENT, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(child, ret);
	return bc_remove(parent, ret);
}

/* The filter table of iptables: three policies and an end. */
#define BARE	4

struct plain_entry {
	struct ipt_entry entry;
	struct xt_standard_target target;
};

struct error_entry {
	struct ipt_entry entry;
	struct xt_error_target target;
};

static int xt_socket(void)
{
	return socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
}

/* How many entries the table of this network has; it comes about by asking. */
static long get_entries(long arg __maybe_unused,
			const char *text __maybe_unused)
{
	struct ipt_getinfo info = { .name = "filter" };
	socklen_t len = sizeof(info);
	int err, sock = xt_socket();

	err = getsockopt(sock, IPPROTO_IP, IPT_SO_GET_INFO, &info, &len);
	close(sock);
	return err ? -1 : (long)info.num_entries;
}

/* Loads a table with that many rules besides what a bare one has. */
static long load_table(long nr, const char *text __maybe_unused)
{
	size_t plain = sizeof(struct plain_entry);
	size_t size = (nr + 3) * plain + sizeof(struct error_entry);
	long was = get_entries(0, NULL);
	struct error_entry *last;
	struct ipt_replace *table;
	int ret, err, sock;
	long i;

	if (was < 0)
		return -1;
	table = calloc(1, sizeof(*table) + size);
	if (!table)
		return -1;

	strcpy(table->name, "filter");
	table->valid_hooks = 1 << NF_INET_LOCAL_IN | 1 << NF_INET_FORWARD |
			     1 << NF_INET_LOCAL_OUT;
	table->num_entries = nr + BARE;
	table->size = size;
	table->underflow[NF_INET_LOCAL_IN] = nr * plain;
	table->hook_entry[NF_INET_FORWARD] = (nr + 1) * plain;
	table->underflow[NF_INET_FORWARD] = (nr + 1) * plain;
	table->hook_entry[NF_INET_LOCAL_OUT] = (nr + 2) * plain;
	table->underflow[NF_INET_LOCAL_OUT] = (nr + 2) * plain;
	table->num_counters = was;
	table->counters = calloc(was, sizeof(*table->counters));

	for (i = 0; i < nr + 3; i++) {
		struct plain_entry *rule;

		rule = (void *)((char *)table->entries + i * plain);
		rule->entry.target_offset = sizeof(rule->entry);
		rule->entry.next_offset = plain;
		rule->target.target.u.user.target_size = sizeof(rule->target);
		rule->target.verdict = -NF_ACCEPT - 1;
	}
	last = (void *)((char *)table->entries + i * plain);
	last->entry.target_offset = sizeof(last->entry);
	last->entry.next_offset = sizeof(*last);
	last->target.target.u.user.target_size = sizeof(last->target);
	strcpy(last->target.target.u.user.name, XT_ERROR_TARGET);
	strcpy(last->target.errorname, XT_ERROR_TARGET);

	sock = xt_socket();
	ret = setsockopt(sock, IPPROTO_IP, IPT_SO_SET_REPLACE, table,
			 sizeof(*table) + size);
	err = errno;
	close(sock);
	free(table->counters);
	free(table);
	errno = err;
	return ret;
}

static long new_net(long arg __maybe_unused, const char *text __maybe_unused)
{
	return bc_new_net();
}

/* A table that is loaded anew needs only what it has more than before. */
static int test_numiptent_iptables(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_iptables");
	agent = bc_agent(cgroup);
	if (!agent || differs(bc_call(agent, new_net, 0, NULL), 0) ||
	    differs(bc_held(cgroup, NUMIPTENT), 0) ||
	    differs(bc_call(agent, get_entries, 0, NULL), BARE) ||
	    differs(bc_held(cgroup, NUMIPTENT), BARE))
		goto cleanup;

	if (differs(bc_write(cgroup, "bc.max", "numiptent 20"), 0) ||
	    differs(bc_call(agent, load_table, 12, NULL), 0) ||
	    differs(bc_held(cgroup, NUMIPTENT), BARE + 12) ||
	    differs(bc_call(agent, load_table, 16, NULL), 0) ||
	    differs(bc_held(cgroup, NUMIPTENT), 20) ||
	    differs(bc_peak(cgroup, NUMIPTENT), 20))
		goto cleanup;

	if (differs(bc_call(agent, load_table, 17, NULL), -1) ||
	    differs(agent->err, ENOMEM) ||
	    differs(bc_call(agent, get_entries, 0, NULL), 20) ||
	    differs(bc_held(cgroup, NUMIPTENT), 20) ||
	    miscounted(cgroup, "bc.events", NUMIPTENT, 0, 1) ||
	    differs(bc_call(agent, load_table, 16, NULL), 0) ||
	    differs(bc_held(cgroup, NUMIPTENT), 20))
		goto cleanup;

	if (differs(bc_call(agent, load_table, 3, NULL), 0) ||
	    differs(bc_held(cgroup, NUMIPTENT), BARE + 3))
		goto cleanup;

	/* It goes with its network. */
	bc_stop(agent);
	agent = NULL;
	if (unsettled(cgroup, NUMIPTENT, 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* A bare table that is refused does not come about. */
static int test_numiptent_iptables_bare(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup;

	cgroup = bc_cgroup(root, "bc_bare");
	agent = bc_agent(cgroup);
	if (!agent || differs(bc_call(agent, new_net, 0, NULL), 0) ||
	    differs(bc_write(cgroup, "bc.max", "numiptent 3"), 0) ||
	    differs(bc_call(agent, get_entries, 0, NULL), -1) ||
	    differs(bc_held(cgroup, NUMIPTENT), 0) ||
	    unmet(bc_value(cgroup, "bc.events", "numiptent.max") > 0) ||
	    differs(bc_write(cgroup, "bc.max", "numiptent 4"), 0) ||
	    differs(bc_call(agent, get_entries, 0, NULL), BARE))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(cgroup, ret);
}

/* Who loads a table anew pays for all of it, wherever that is. */
static int test_numiptent_iptables_owner(const char *root)
{
	struct bc_agent *agent = NULL;
	char *from, *to = NULL;
	int ret = KSFT_FAIL;

	from = bc_cgroup(root, "bc_loaded_by");
	to = bc_cgroup(root, "bc_loads");
	agent = bc_agent(from);
	if (!agent || !to || differs(bc_call(agent, new_net, 0, NULL), 0) ||
	    differs(bc_call(agent, load_table, 6, NULL), 0) ||
	    differs(cg_enter(to, agent->pid), 0) ||
	    differs(bc_held(from, NUMIPTENT), BARE + 6) ||
	    differs(bc_held(to, NUMIPTENT), 0))
		goto cleanup;

	if (differs(bc_write(to, "bc.max", "numiptent 8"), 0) ||
	    differs(bc_call(agent, load_table, 6, NULL), -1) ||
	    differs(bc_held(from, NUMIPTENT), BARE + 6) ||
	    differs(bc_held(to, NUMIPTENT), 0) ||
	    differs(bc_call(agent, load_table, 4, NULL), 0) ||
	    differs(bc_held(from, NUMIPTENT), 0) ||
	    differs(bc_held(to, NUMIPTENT), BARE + 4))
		goto cleanup;

	/* In the root nobody does. */
	if (differs(cg_enter(root, agent->pid), 0) ||
	    differs(bc_call(agent, load_table, 9, NULL), 0) ||
	    differs(bc_held(to, NUMIPTENT), 0) ||
	    differs(cg_enter(to, agent->pid), 0) ||
	    differs(bc_call(agent, load_table, 1, NULL), 0) ||
	    differs(bc_held(to, NUMIPTENT), BARE + 1))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(from, ret);
	return bc_remove(to, ret);
}

static const struct bc_kind * const kinds[] = {
	&numiptent,
};

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_numiptent_empty_table),
	T(test_numiptent_iptables),
	T(test_numiptent_iptables_bare),
	T(test_numiptent_iptables_owner),
	T(test_numiptent_owner_of_table),
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
