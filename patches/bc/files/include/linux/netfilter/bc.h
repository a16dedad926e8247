/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Beancounters: entries of packet filters.
 */
#ifndef _LINUX_NETFILTER_BC_H
#define _LINUX_NETFILTER_BC_H

#include <linux/bc.h>
#include <linux/netfilter/x_tables.h>
#include <net/netfilter/nf_tables.h>

#ifdef CONFIG_CGROUP_BC

/* A reference on the container of the current task; NULL when nobody would pay. */
static inline struct bc_cgroup *bc_get_current(void)
{
	struct bc_cgroup *bc;

	if (!static_branch_unlikely(&bc_enabled_key.key))
		return NULL;
	bc = container_of(task_get_css(current, bc_cgrp_id), struct bc_cgroup, css);
	if (bc->stock)
		return bc;
	css_put(&bc->css);
	return NULL;
}

static inline void bc_put(struct bc_cgroup *bc)
{
	if (bc)
		css_put(&bc->css);
}

static inline bool bc_is_current(struct bc_cgroup *bc)
{
	guard(rcu)();
	return bc && task_css(current, bc_cgrp_id) == &bc->css;
}

/*
 * A table is replaced as a whole, by who pays for all of it from then on. Who has paid for it all
 * along needs only the difference: else no table could grow near a setting.
 */
static inline int bc_charge_xt_info(struct xt_table_info *new, struct xt_table_info *old)
{
	int err;

	if (!new->number || !bc_is_current(old->bc))
		return bc_charge_nr(&new->bc, BC_NUMIPTENT, new->number);

	if (new->number > old->number) {
		err = bc_charge_to(old->bc, BC_NUMIPTENT, new->number - old->number);
		if (err)
			return err;
	} else {
		bc_uncharge_nr(old->bc, BC_NUMIPTENT, old->number - new->number);
	}
	new->bc = old->bc;
	old->bc = NULL;
	return 0;
}

static inline void bc_uncharge_xt_info(struct xt_table_info *info)
{
	bc_uncharge_nr(info->bc, BC_NUMIPTENT, info->number);
}

/* Who makes a table pays for all its rules, so that these need not remember it. */
static inline void bc_own_nft_table(struct nft_table *table)
{
	table->bc = bc_get_current();
}

static inline void bc_disown_nft_table(struct nft_table *table)
{
	bc_put(table->bc);
}

static inline int bc_charge_nft_rule(struct nft_table *table)
{
	return table->bc ? bc_charge_to(table->bc, BC_NUMIPTENT, 1) : 0;
}

static inline void bc_uncharge_nft_rule(struct nft_table *table)
{
	bc_uncharge_nr(table->bc, BC_NUMIPTENT, 1);
}

#else /* !CONFIG_CGROUP_BC */

static inline int bc_charge_xt_info(struct xt_table_info *new, struct xt_table_info *old)
{
	return 0;
}

static inline void bc_uncharge_xt_info(struct xt_table_info *info) { }
static inline void bc_own_nft_table(struct nft_table *table) { }
static inline void bc_disown_nft_table(struct nft_table *table) { }

static inline int bc_charge_nft_rule(struct nft_table *table)
{
	return 0;
}

static inline void bc_uncharge_nft_rule(struct nft_table *table) { }

#endif /* CONFIG_CGROUP_BC */

#endif /* _LINUX_NETFILTER_BC_H */
