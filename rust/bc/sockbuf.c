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

static bool bc_sock_is_tcp(const struct sock *sk)
{
	return bc_sock_resource(sk->sk_prot_creator) == BC_NUMTCPSOCK;
}

static enum bc_resource bc_sockbuf_resource(const struct sock *sk, int kind)
{
	if (!bc_sock_is_tcp(sk))
		return BC_DGRAMRCVBUF;
	return kind == SK_MEM_SEND ? BC_TCPSNDBUF : BC_TCPRCVBUF;
}

/* What others have to send is not accounted for by the page, nor is it here. */
static bool bc_sock_counts(const struct sock *sk, int kind)
{
	return bc_sock_is_tcp(sk) || (sk->sk_type == SOCK_DGRAM && kind == SK_MEM_RECV);
}

/**
 * __bc_charge_sockbuf - charge pages of a buffer, when somebody pays
 * @sk: the socket, of which nobody else changes the accounts
 * @nr: how many pages
 * @kind: SK_MEM_SEND or SK_MEM_RECV
 * @forced: they are there, whatever the settings are
 *
 * What a socket asks for first is refused by the limit only, so that those that have nothing go on
 * when others have much.
 *
 * Return: 1 when they were charged, 0 when they do not count, or the resource's errno.
 */
int __bc_charge_sockbuf(struct sock *sk, unsigned int nr, int kind, bool forced)
{
	bool first = !sk->sk_bc_pages[kind] && nr <= BC_FIRST_PAGES;
	enum bc_severity severity = first ? BC_LENIENT : BC_STRICT;
	int err;

	if (!bc_sock_counts(sk, kind))
		return 0;
	if (forced)
		severity = BC_FORCED;
	err = bc_charge_pages_nowait(sk->sk_bc, bc_sockbuf_resource(sk, kind), nr, severity);
	if (err)
		return err;
	sk->sk_bc_pages[kind] += nr;
	return 1;
}

/* So many pages are used in this direction now. */
static void bc_set_sockbuf(struct sock *sk, int kind, unsigned int nr)
{
	enum bc_resource res = bc_sockbuf_resource(sk, kind);
	unsigned int before = sk->sk_bc_pages[kind];

	if (nr < before)
		bc_uncharge_pages(sk->sk_bc, res, before - nr);
	else if (nr > before)
		bc_charge_pages_nowait(sk->sk_bc, res, nr - before, BC_FORCED);
	sk->sk_bc_pages[kind] = nr;
}

/**
 * __bc_uncharge_sockbuf - give pages of a buffer back, when any were charged
 * @sk: the socket, of which nobody else changes the accounts
 * @nr: how many pages, some of which it may have had before they were charged
 */
void __bc_uncharge_sockbuf(struct sock *sk, unsigned int nr)
{
	unsigned int pages = sk->sk_bc_pages[SK_MEM_SEND] + sk->sk_bc_pages[SK_MEM_RECV];
	unsigned int sent = 0;

	pages -= min(pages, nr);
	/* What is queued by MSG_ZEROCOPY has no pages here: no more than one has come unseen. */
	if (bc_sock_is_tcp(sk))
		sent = min3((unsigned int)sk_mem_pages(sk->sk_wmem_queued), pages,
			    sk->sk_bc_pages[SK_MEM_SEND] + 1);

	bc_set_sockbuf(sk, SK_MEM_SEND, sent);
	bc_set_sockbuf(sk, SK_MEM_RECV, pages - sent);
}
