/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Beancounters: sockets.
 */
#ifndef _NET_BC_H
#define _NET_BC_H

#include <linux/bc.h>
#include <linux/gfp.h>
#include <linux/preempt.h>
#include <linux/string.h>
#include <net/inet_sock.h>
#include <net/sock.h>

#ifdef CONFIG_CGROUP_BC

/*
 * By what a socket was made with: the same from its first to its last moment, unlike its type and
 * protocol.
 */
static inline unsigned long bc_sock_resource(const struct proto *creator)
{
	/* TCP is the one that leaves something behind to wait. */
	return creator->twsk_prot ? BC_NUMTCPSOCK : BC_NUMOTHERSOCK;
}

/* Charges a new, zeroed socket to the current task; those of the kernel itself are nobody's. */
static inline int bc_charge_sock(struct sock *sk, const struct proto *creator, gfp_t priority)
{
	if (!static_branch_unlikely(&bc_enabled_key.key) || sk->sk_kern_sock)
		return 0;
	if (gfpflags_allow_blocking(priority))
		return bc_charge(&sk->sk_bc, bc_sock_resource(creator));
	/* A task that was interrupted has not asked for it. */
	if (in_interrupt())
		return 0;
	return bc_charge_task(&sk->sk_bc, bc_sock_resource(creator), current, BC_STRICT);
}

/* Charges a connection to who pays for the listener. */
static inline int bc_charge_sock_clone(struct sock *newsk, const struct sock *sk)
{
	/* As it was copied: nothing is to be done where nobody pays. */
	if (likely(!newsk->sk_bc))
		return 0;
	/* Its buffers are its own. */
	if (bc_sock_resource(newsk->sk_prot_creator) == BC_NUMTCPSOCK)
		memset(inet_sk(newsk)->bc_pages, 0, sizeof(inet_sk(newsk)->bc_pages));
	return bc_charge_like(&newsk->sk_bc, bc_sock_resource(newsk->sk_prot_creator), sk->sk_bc);
}

/* Of a copy that was not charged, and will not become a socket: sk_bc is the listener's. */
static inline void bc_disown_sock(struct sock *newsk)
{
	newsk->sk_bc = NULL;
}

static inline void bc_uncharge_sock(struct sock *sk, const struct proto *creator)
{
	bc_uncharge(sk->sk_bc, bc_sock_resource(creator));
}

extern struct static_key_false_deferred bc_sockbuf_key;
int __bc_charge_sockbuf(struct sock *sk, unsigned int nr, int kind);
void __bc_force_sockbuf(struct sock *sk, unsigned int nr);
void __bc_uncharge_sockbuf(struct sock *sk, unsigned int nr);

static inline bool bc_counts_sockbuf(const struct sock *sk)
{
	return static_branch_unlikely(&bc_sockbuf_key.key) && sk->sk_bc;
}

/*
 * @nr pages more are about to be given to a socket, for one direction: 1 when they were charged, 0
 * when they do not count, or the errno of a refusal.
 */
static inline int bc_charge_sockbuf(struct sock *sk, unsigned int nr, int kind)
{
	return bc_counts_sockbuf(sk) ? __bc_charge_sockbuf(sk, nr, kind) : 0;
}

/* They are given in any case, for what is to be sent as far as is known. */
static inline void bc_force_sockbuf(struct sock *sk, unsigned int nr)
{
	if (static_branch_unlikely(&bc_sockbuf_key.key))
		__bc_force_sockbuf(sk, nr);
}

/* What it was given in any case is for what is received. */
static inline void bc_settle_sockbuf(struct sock *sk)
{
	if (bc_counts_sockbuf(sk))
		__bc_uncharge_sockbuf(sk, 0);
}

/* It gives @nr pages back. */
static inline void bc_uncharge_sockbuf(struct sock *sk, unsigned int nr)
{
	if (unlikely(sk->sk_bc))
		__bc_uncharge_sockbuf(sk, nr);
}

#else /* !CONFIG_CGROUP_BC */

static inline int bc_charge_sock(struct sock *sk, const struct proto *creator, gfp_t priority)
{
	return 0;
}

static inline int bc_charge_sock_clone(struct sock *newsk, const struct sock *sk)
{
	return 0;
}

static inline void bc_disown_sock(struct sock *newsk) { }
static inline void bc_uncharge_sock(struct sock *sk, const struct proto *creator) { }

static inline int bc_charge_sockbuf(struct sock *sk, unsigned int nr, int kind)
{
	return 0;
}

static inline void bc_force_sockbuf(struct sock *sk, unsigned int nr) { }
static inline void bc_settle_sockbuf(struct sock *sk) { }
static inline void bc_uncharge_sockbuf(struct sock *sk, unsigned int nr) { }

#endif /* CONFIG_CGROUP_BC */

#endif /* _NET_BC_H */
