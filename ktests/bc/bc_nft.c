// SPDX-License-Identifier: GPL-2.0
/*
 * As much of nftables as it takes to have rules.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include "bc_nft.h"

/* More than any test has in one transaction. */
#define BATCH_SIZE	(16 * 1024)
#define ANSWER_SECONDS	30

/* A transaction under construction. */
static char batch[BATCH_SIZE];
static size_t batch_len;

static struct nlmsghdr *put_message(int type, int flags, int family, int res_id)
{
	struct nlmsghdr *nlh = (struct nlmsghdr *)(batch + batch_len);
	struct nfgenmsg *nfg = NLMSG_DATA(nlh);

	nlh->nlmsg_len = NLMSG_LENGTH(sizeof(*nfg));
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(res_id);
	batch_len += NLMSG_ALIGN(nlh->nlmsg_len);
	return nlh;
}

static struct nlmsghdr *put_nft(int type, int flags)
{
	return put_message(NFNL_SUBSYS_NFTABLES << 8 | type, flags,
			   NFPROTO_IPV4, 0);
}

static void put_string(struct nlmsghdr *nlh, int type, const char *text)
{
	struct nlattr *attr = (struct nlattr *)(batch + batch_len);

	attr->nla_type = type;
	attr->nla_len = NLA_HDRLEN + strlen(text) + 1;
	memcpy((char *)attr + NLA_HDRLEN, text, strlen(text) + 1);
	batch_len += NLA_ALIGN(attr->nla_len);
	nlh->nlmsg_len = batch + batch_len - (char *)nlh;
}

void nft_begin(void)
{
	memset(batch, 0, sizeof(batch));
	batch_len = 0;
	put_message(NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
}

void nft_put_table(const char *table)
{
	struct nlmsghdr *nlh;

	nlh = put_nft(NFT_MSG_NEWTABLE, NLM_F_CREATE);
	put_string(nlh, NFTA_TABLE_NAME, table);
	nlh = put_nft(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_ACK);
	put_string(nlh, NFTA_CHAIN_TABLE, table);
	put_string(nlh, NFTA_CHAIN_NAME, "chain");
}

/* It matches everything and does nothing. */
void nft_put_rule(const char *table, int flags)
{
	struct nlmsghdr *nlh;

	nlh = put_nft(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND | flags);
	put_string(nlh, NFTA_RULE_TABLE, table);
	put_string(nlh, NFTA_RULE_CHAIN, "chain");
}

void nft_put_flush(const char *table)
{
	struct nlmsghdr *nlh;

	nlh = put_nft(NFT_MSG_DELRULE, NLM_F_ACK);
	put_string(nlh, NFTA_RULE_TABLE, table);
	put_string(nlh, NFTA_RULE_CHAIN, "chain");
}

void nft_put_delete(const char *table)
{
	struct nlmsghdr *nlh;

	nlh = put_nft(NFT_MSG_DELTABLE, NLM_F_ACK);
	put_string(nlh, NFTA_TABLE_NAME, table);
}

int nft_socket(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC,
			  NETLINK_NETFILTER);

	if (sock >= 0 && bind(sock, (struct sockaddr *)&addr, sizeof(addr))) {
		close(sock);
		return -1;
	}
	return sock;
}

union answer {
	struct nlmsghdr nlh;
	char buf[8192];
};

/* Whoever waits for an answer afterwards does so for a while only. */
static int send_batch(int sock)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct timeval limit = { .tv_sec = ANSWER_SECONDS };

	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return sendto(sock, batch, batch_len, 0, (struct sockaddr *)&kernel,
		      sizeof(kernel)) == (ssize_t)batch_len ? 0 : -errno;
}

/* Each message that fails answers, in their order, and those that were to. */
int nft_commit(int sock)
{
	union answer answer;
	int err, flags = 0;
	ssize_t len;

	put_message(NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	err = send_batch(sock);
	if (err)
		return err;
	for (;; flags = MSG_DONTWAIT) {
		len = recv(sock, &answer, sizeof(answer), flags);
		if (len < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)))
			return flags ? err : -EPROTO;
		if (!err && answer.nlh.nlmsg_type == NLMSG_ERROR)
			err = ((struct nlmsgerr *)
			       NLMSG_DATA(&answer.nlh))->error;
	}
}

bool nft_has_table(int sock, const char *table)
{
	union answer answer;

	batch_len = 0;
	put_string(put_nft(NFT_MSG_GETTABLE, 0), NFTA_TABLE_NAME, table);
	return !send_batch(sock) &&
	       recv(sock, &answer, sizeof(answer), 0) >= NLMSG_HDRLEN &&
	       answer.nlh.nlmsg_type ==
	       (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE);
}
