// SPDX-License-Identifier: GPL-2.0
/*
 * What the module user_beancounters cannot see by itself: which cgroups its reader may see, and
 * what is counted in them, by this controller and by that of memory.
 */

#include <linux/cgroup.h>
#include <linux/cleanup.h>
#include <linux/export.h>
#include <linux/memcontrol.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>

#include "internal.h"

/**
 * bc_report_root - the top of what the current task may see
 *
 * The host sees all cgroups. A container, which is whoever is in another cgroup namespace than the
 * initial one, sees the root of its namespace and nothing below.
 *
 * Return: the root of all cgroups, or the container, or NULL if the controller is not enabled
 * there; with a reference.
 */
struct bc_cgroup *bc_report_root(void)
{
	struct cgroup_namespace *ns = current->nsproxy->cgroup_ns;
	struct cgroup_subsys_state *css;

	if (ns == &init_cgroup_ns)
		return css_bc(init_css_set.subsys[bc_cgrp_id]);

	guard(rcu)();
	/* The namespace keeps the cgroup, but not a state of it that is disabled meanwhile. */
	css = rcu_dereference(ns->root_cset->dfl_cgrp->subsys[bc_cgrp_id]);
	/* The root of all pays for nothing. */
	if (!css || !css->parent || !css_tryget_online(css))
		return NULL;
	return css_bc(css);
}
EXPORT_SYMBOL_GPL(bc_report_root);

#ifdef CONFIG_MEMCG

static u64 bc_setting(unsigned long pages)
{
	return pages == PAGE_COUNTER_MAX ? S64_MAX : pages;
}

static void bc_report_pages(struct bc_report *report, const char *name,
			    struct page_counter *counter, atomic_long_t *failcnt)
{
	report->rows[report->nr++] = (struct bc_row) {
		.name = name,
		.held = page_counter_read(counter),
		.maxheld = READ_ONCE(counter->watermark),
		.barrier = bc_setting(READ_ONCE(counter->high)),
		.limit = bc_setting(READ_ONCE(counter->max)),
		.failcnt = atomic_long_read(failcnt),
	};
}

/* What has no limit of its own, and was never refused. Nobody knows the most that was held. */
static void bc_report_bytes(struct bc_report *report, const char *name, u64 bytes)
{
	report->rows[report->nr++] = (struct bc_row) {
		.name = name,
		.held = bytes,
		.maxheld = bytes,
		.barrier = S64_MAX,
		.limit = S64_MAX,
	};
}

static struct mem_cgroup *bc_memcg(struct cgroup *cgroup)
{
	struct cgroup_subsys_state *css;

	guard(rcu)();
	css = rcu_dereference(cgroup->subsys[memory_cgrp_id]);
	/* It may be there for another controller only: then its files are not. */
	if (!css || !(READ_ONCE(css->flags) & CSS_VISIBLE) || !css_tryget_online(css))
		return NULL;
	return mem_cgroup_from_css(css);
}

static void bc_report_memory(struct bc_report *report, struct cgroup *cgroup)
{
	struct mem_cgroup *memcg = bc_memcg(cgroup);

	if (!memcg)
		return;

	mem_cgroup_flush_stats(memcg);
	bc_report_bytes(report, "kmemsize", memcg_page_state_output(memcg, MEMCG_KMEM));
	bc_report_bytes(report, "dcachesize",
			memcg_page_state_output(memcg, NR_SLAB_RECLAIMABLE_B));
	bc_report_pages(report, "physpages", &memcg->memory,
			&memcg->memory_events_local[MEMCG_OOM]);
	if (IS_ENABLED(CONFIG_SWAP))
		bc_report_pages(report, "swappages", &memcg->swap,
				&memcg->memory_events[MEMCG_SWAP_MAX]);
	mem_cgroup_put(memcg);
}

#else /* !CONFIG_MEMCG */

static void bc_report_memory(struct bc_report *report, struct cgroup *cgroup) { }

#endif /* CONFIG_MEMCG */

/**
 * bc_report - say what is counted in a cgroup
 * @bc: the cgroup; the caller has a reference
 * @report: where it goes
 *
 * What nobody counts there has no row. May sleep.
 */
void bc_report(struct bc_cgroup *bc, struct bc_report *report)
{
	/* No two cgroups have the same at one time, even when more than 2^32 have come and gone. */
	report->id = lower_32_bits(cgroup_id(bc->css.cgroup));
	report->nr = 0;
	bc_report_counted(bc, report);
	bc_report_memory(report, bc->css.cgroup);
}
EXPORT_SYMBOL_GPL(bc_report);
