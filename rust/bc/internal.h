/* SPDX-License-Identifier: GPL-2.0 */
/* What the C and the Rust half of the controller know of each other. */
#ifndef _BC_INTERNAL_H
#define _BC_INTERNAL_H

#include <linux/bc.h>
#include <linux/cleanup.h>
#include <linux/seq_file.h>
#include <trace/events/bc.h>

/* cftype::private: what an interface file shows. */
enum bc_file {
	BC_FILE_CURRENT,
	BC_FILE_PEAK,
	BC_FILE_HIGH,
	BC_FILE_MAX,
	BC_FILE_EVENTS,
	BC_FILE_EVENTS_LOCAL,
	BC_FILE_STAT,
	BC_FILE_LOW,
};

/* The five numbers of a resource, for OpenVZ's files. */
struct bc_row {
	const char *name;
	u64 held;
	u64 maxheld;
	u64 barrier;
	u64 limit;
	u64 failcnt;
};

/* The number of rows that the memory controller has. */
#define BC_NR_MEMORY	4

/* All that is counted in a cgroup, by whichever controller. */
struct bc_report {
	u32 id;
	unsigned int nr;
	struct bc_row rows[BC_NR_RESOURCES + BC_NR_MEMORY];
};

/* OpenVZ's files. */
enum ubc_file {
	UBC_USER_BEANCOUNTERS,
	UBC_RESOURCES,
};

static inline struct bc_cgroup *css_bc(struct cgroup_subsys_state *css)
{
	return container_of(css, struct bc_cgroup, css);
}

/* Whether this CPU has a unit in stock, which is the caller's then. Preemption is off. */
static __always_inline bool bc_stock_take(struct bc_stock __percpu *stock, enum bc_resource res)
{
	if (likely(this_cpu_dec_return(stock->avail[res]) >= 0))
		return true;
	this_cpu_inc(stock->avail[res]);
	return false;
}

/* Whether a unit for @task was in stock on this CPU, or nobody pays for what it has. */
static __always_inline bool bc_charge_stocked(struct bc_cgroup **owner, enum bc_resource res,
					      struct task_struct *task)
{
	struct bc_cgroup *bc;

	/* As in bc_charge(): keeps the task's css, and this task on its CPU. */
	preempt_disable();
	bc = css_bc(task_css_check(task, bc_cgrp_id, true));
	if (!bc->stock) {
		*owner = NULL;
		preempt_enable();
		return true;
	}
	if (likely(bc_stock_take(bc->stock, res))) {
		*owner = bc;
		preempt_enable();
		return true;
	}
	preempt_enable();
	return false;
}

/*
 * Of what turns a key on there are so many more, or fewer. May sleep. It is turned off later, so
 * that who goes to and fro patches no code.
 */
static inline void bc_key_count(struct static_key_false_deferred *key, int nr)
{
	for (; nr > 0; nr--)
		static_branch_deferred_inc(key);
	for (; nr < 0; nr++)
		static_branch_slow_dec_deferred(key);
}

/* Requests for more pages than this pass by the stock, which holds no more of any resource. */
#define BC_STOCKED_PAGES	256

void bc_stock_trim_surplus(struct bc_cgroup *bc, enum bc_resource res);
void bc_release(struct bc_cgroup *bc, enum bc_resource res, long nr);

/* Whether this CPU has so many pages in stock, which are the caller's then. */
static __always_inline bool bc_stock_take_pages(struct bc_cgroup *bc, unsigned long res,
						unsigned long nr)
{
	if (unlikely(nr > BC_STOCKED_PAGES))
		return false;

	guard(preempt)();
	if (likely(this_cpu_sub_return(bc->stock->avail[res], (int)nr) >= 0))
		return true;
	this_cpu_add(bc->stock->avail[res], (int)nr);
	return false;
}

/* Gives pages back, to the stock of this CPU where it may keep them. */
static __always_inline void bc_stock_put_pages(struct bc_cgroup *bc, unsigned long res,
					       unsigned long nr)
{
	if (unlikely(nr > BC_STOCKED_PAGES)) {
		bc_release(bc, res, nr);
		return;
	}

	guard(preempt)();
	if (unlikely(this_cpu_add_return(bc->stock->avail[res], (int)nr) >
		     this_cpu_read(bc->stock->max[res])))
		bc_stock_trim_surplus(bc, res);
}

/* stock.c */
int bc_stock_alloc(struct bc_cgroup *bc);
void bc_stock_free(struct bc_cgroup *bc);
long bc_stock_sum(struct bc_cgroup *root, enum bc_resource res);
void bc_stock_fill(struct bc_cgroup *bc, enum bc_resource res);
void bc_stock_recall(struct bc_cgroup *root, bool hotplug);
void bc_stock_recall_later(struct bc_cgroup *root);
void bc_stock_close(struct bc_cgroup *bc);
int bc_charge_unstocked(struct bc_cgroup **owner, enum bc_resource res, struct task_struct *task,
			enum bc_severity severity, bool final);

/* mm.c */
int bc_fork_mm(struct task_struct *task, struct bc_cgroup *bc);
void bc_move_mm(struct task_struct *task);

/* guarantee.c */
void bc_guarantees_count(int nr);
long bc_memory_in_use(struct bc_cgroup *bc);

/* sockbuf.c */
void bc_sockbufs_count(int nr);

/* report.c */
struct bc_cgroup *bc_report_root(void);
void bc_report(struct bc_cgroup *bc, struct bc_report *report);

/* subsys.c */
bool bc_refuse_traced(void);

/* ffi.rs */
struct cgroup_subsys_state *bc_css_alloc(struct cgroup_subsys_state *parent);
void bc_css_free(struct cgroup_subsys_state *css);
void bc_show(struct seq_file *m, struct bc_cgroup *bc, enum bc_file file);
int bc_set(struct bc_cgroup *bc, enum bc_file file, const char *text, size_t len);
bool bc_guarantee_vm(struct bc_cgroup *bc);
bool bc_guarantee_oom(struct bc_cgroup *bc);
int bc_numproc_fork(struct bc_cgroup *bc);
void bc_numproc_exit(struct bc_cgroup *bc);
void bc_numproc_move(struct bc_cgroup *from, struct bc_cgroup *to);
int bc_refill(struct bc_cgroup *bc, enum bc_resource res);
int bc_advance(struct bc_cgroup *bc, enum bc_resource res, unsigned int cpus, int avail);
int bc_grant(struct bc_cgroup *bc, enum bc_resource res, unsigned int nr,
	     enum bc_severity severity, bool final);
void bc_make_room(struct bc_cgroup *bc, enum bc_resource res);
int bc_refill_pages(struct bc_cgroup *bc, enum bc_resource res, unsigned long nr,
		    enum bc_severity severity);
int bc_grant_pages(struct bc_cgroup *bc, enum bc_resource res, unsigned long nr,
		   enum bc_severity severity);
int bc_transfer_pages(struct bc_cgroup *from, struct bc_cgroup *to, enum bc_resource res,
		      unsigned long nr, enum bc_severity severity);
void bc_report_counted(struct bc_cgroup *bc, struct bc_report *report);

/* ubc/ffi.rs */
void ubc_show_header(struct seq_file *m);
void ubc_show_rows(struct seq_file *m, const struct bc_report *report, enum ubc_file file);

#endif /* _BC_INTERNAL_H */
