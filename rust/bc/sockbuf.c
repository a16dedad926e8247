// SPDX-License-Identifier: GPL-2.0
/*
 * Buffers of sockets, by the page, as their protocol accounts for them: a socket that needs more
 * than it has got is given pages, and gives them back as soon as it does not need them any more.
 *
 * What was given for one direction may come to be used for the other one, and is given back for
 * neither. So it is looked at anew which is which whenever pages are given back: by then less than
 * a page can have changed sides without being seen.
 *
 * As sk_forward_alloc, the counts are under the socket's lock, or that of the receive queue for
 * UDP, and share its race where a sockmap puts messages into a socket.
 */

#include <linux/bc_mm.h>
#include <net/bc.h>

#include "internal.h"

/* More at once is not what a socket needs to go on. */
#define BC_FIRST_PAGES	32

/* On while there is a setting for buffers anywhere. */
DEFINE_STATIC_KEY_DEFERRED_FALSE(bc_sockbuf_key, HZ);

void bc_sockbufs_count(int nr)
{
	bc_key_count(&bc_sockbuf_key, nr);
}

static __always_inline bool bc_sock_is_tcp(const struct sock *sk)
{
	return bc_sock_resource(sk->sk_prot_creator) == BC_NUMTCPSOCK;
}

static __always_inline int bc_give_sockbuf(struct sock *sk, unsigned int nr, int kind, bool forced)
{
	u16 *pages = &inet_sk(sk)->bc_pages[kind];
	enum bc_severity severity;
	unsigned long res;
	int err;

	if (bc_sock_is_tcp(sk))
		res = kind == SK_MEM_SEND ? BC_TCPSNDBUF : BC_TCPRCVBUF;
	else if (sk->sk_type == SOCK_DGRAM && kind == SK_MEM_RECV)
		res = BC_DGRAMRCVBUF;
	else
		/* What others have to send is not accounted for by the page, nor is it here. */
		return 0;

	if (unlikely(*pages + nr > U16_MAX))
		return forced ? 0 : -ENOBUFS;
	if (unlikely(!bc_stock_take_pages(sk->sk_bc, res, nr))) {
		severity = !*pages && nr <= BC_FIRST_PAGES ? BC_LENIENT : BC_STRICT;
		err = bc_grant_pages(sk->sk_bc, res, nr, forced ? BC_FORCED : severity);
		if (err)
			return err;
	}
	*pages += nr;
	return 1;
}

/**
 * __bc_charge_sockbuf - charge pages of a buffer, when somebody pays
 * @sk: the socket, of which nobody else changes the accounts
 * @nr: how many pages
 * @kind: SK_MEM_SEND or SK_MEM_RECV
 *
 * What a socket asks for first is refused by the limit only, so that those that have nothing go on
 * when others have much. None gets more than it can remember, which is 256 MiB.
 *
 * Return: 1 when they were charged, 0 when they do not count, or the resource's errno.
 */
int __bc_charge_sockbuf(struct sock *sk, unsigned int nr, int kind)
{
	return bc_give_sockbuf(sk, nr, kind, false);
}

/**
 * __bc_force_sockbuf - charge pages that a socket is given in any case
 * @sk: the socket, of which nobody else changes the accounts
 * @nr: how many pages
 */
void __bc_force_sockbuf(struct sock *sk, unsigned int nr)
{
	if (sk->sk_bc)
		bc_give_sockbuf(sk, nr, SK_MEM_SEND, true);
}

/* So many pages are used in this direction now. */
static __always_inline void bc_set_sockbuf(struct bc_cgroup *bc, unsigned long res, u16 *pages,
					   unsigned int nr)
{
	unsigned int before = *pages;

	if (nr == before)
		return;
	*pages = min(nr, U16_MAX);
	if (likely(nr < before))
		bc_stock_put_pages(bc, res, before - nr);
	else
		bc_charge_pages_nowait(bc, res, *pages - before, BC_FORCED);
}

/**
 * __bc_uncharge_sockbuf - give pages of a buffer back, when somebody pays
 * @sk: the socket, of which nobody else changes the accounts
 * @nr: how many pages, some of which it may have had before they were charged
 */
void __bc_uncharge_sockbuf(struct sock *sk, unsigned int nr)
{
	u16 *pages = inet_sk(sk)->bc_pages;
	unsigned int left, sent;

	if (!bc_sock_is_tcp(sk)) {
		if (sk->sk_type != SOCK_DGRAM || !pages[SK_MEM_RECV])
			return;
		left = pages[SK_MEM_RECV] - min(pages[SK_MEM_RECV], nr);
		bc_set_sockbuf(sk->sk_bc, BC_DGRAMRCVBUF, &pages[SK_MEM_RECV], left);
		return;
	}

	left = pages[SK_MEM_SEND] + pages[SK_MEM_RECV];
	if (!left)
		return;
	left -= min(left, nr);
	/* What is queued by MSG_ZEROCOPY has no pages here: no more than one has come unseen. */
	sent = min3((unsigned int)sk_mem_pages(sk->sk_wmem_queued), left,
		    pages[SK_MEM_SEND] + 1U);
	bc_set_sockbuf(sk->sk_bc, BC_TCPSNDBUF, &pages[SK_MEM_SEND], sent);
	bc_set_sockbuf(sk->sk_bc, BC_TCPRCVBUF, &pages[SK_MEM_RECV], left - sent);
}
