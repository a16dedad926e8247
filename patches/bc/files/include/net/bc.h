/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Beancounters: sockets.
 */
#ifndef _NET_BC_H
#define _NET_BC_H

#include <linux/bc.h>
#include <linux/gfp.h>
#include <linux/preempt.h>
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
static inline int bc_charge_sock_clone(struct sock *newsk, const struct proto *creator,
				       const struct sock *sk)
{
	return bc_charge_like(&newsk->sk_bc, bc_sock_resource(creator), sk->sk_bc);
}

static inline void bc_uncharge_sock(struct sock *sk, const struct proto *creator)
{
	bc_uncharge(sk->sk_bc, bc_sock_resource(creator));
}

#else /* !CONFIG_CGROUP_BC */

static inline int bc_charge_sock(struct sock *sk, const struct proto *creator, gfp_t priority)
{
	return 0;
}

static inline int bc_charge_sock_clone(struct sock *newsk, const struct proto *creator,
				       const struct sock *sk)
{
	return 0;
}

static inline void bc_uncharge_sock(struct sock *sk, const struct proto *creator) { }

#endif /* CONFIG_CGROUP_BC */

#endif /* _NET_BC_H */
