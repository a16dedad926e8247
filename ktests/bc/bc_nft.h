/* SPDX-License-Identifier: GPL-2.0 */
/* Transactions of nftables: tables with one chain each, and rules in it. */
#ifndef _SELFTESTS_BC_NFT_H
#define _SELFTESTS_BC_NFT_H

#include <stdbool.h>

/* A socket for them, or -1. */
int nft_socket(void);

/*
 * A transaction is begun, gets its messages, and is committed. One of these has
 * to ask for an answer: by NLM_F_ACK for a rule, the others always do.
 */
void nft_begin(void);
void nft_put_table(const char *table);
void nft_put_rule(const char *table, int flags);
void nft_put_flush(const char *table);
void nft_put_delete(const char *table);
/*
 * 0, or the first -errno of the transaction. -EPROTO when there was no answer,
 * for which the kernel needs memory only afterwards: it may have been done then.
 */
int nft_commit(int sock);

bool nft_has_table(int sock, const char *table);

#endif /* _SELFTESTS_BC_NFT_H */
