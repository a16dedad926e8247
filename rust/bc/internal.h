/* SPDX-License-Identifier: GPL-2.0 */
/* What the C and the Rust half of the controller know of each other. */
#ifndef _BC_INTERNAL_H
#define _BC_INTERNAL_H

#include <linux/bc.h>
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

/* stock.c */
int bc_stock_alloc(struct bc_cgroup *bc);
void bc_stock_free(struct bc_cgroup *bc);
long bc_stock_sum(struct bc_cgroup *root, enum bc_resource res);
void bc_stock_fill(struct bc_cgroup *bc, enum bc_resource res);
void bc_stock_recall(struct bc_cgroup *root, bool hotplug);
void bc_stock_recall_later(struct bc_cgroup *root);
void bc_stock_close(struct bc_cgroup *bc);

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
int bc_numproc_fork(struct bc_cgroup *bc);
void bc_numproc_exit(struct bc_cgroup *bc);
void bc_numproc_move(struct bc_cgroup *from, struct bc_cgroup *to);
int bc_refill(struct bc_cgroup *bc, enum bc_resource res);
int bc_advance(struct bc_cgroup *bc, enum bc_resource res, unsigned int cpus);
int bc_grant(struct bc_cgroup *bc, enum bc_resource res, unsigned int nr,
	     enum bc_severity severity, bool final);
void bc_make_room(struct bc_cgroup *bc, enum bc_resource res);
void bc_release(struct bc_cgroup *bc, enum bc_resource res, long nr);
void bc_report_counted(struct bc_cgroup *bc, struct bc_report *report);

/* ubc/ffi.rs */
void ubc_show_header(struct seq_file *m);
void ubc_show_rows(struct seq_file *m, const struct bc_report *report, enum ubc_file file);

#endif /* _BC_INTERNAL_H */
