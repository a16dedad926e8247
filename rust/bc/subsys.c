// SPDX-License-Identifier: GPL-2.0
/*
 * The beancounters controller as the cgroup core sees it. What the callbacks do is in Rust.
 */

#include <linux/kernfs.h>

#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include "internal.h"

static int bc_css_online(struct cgroup_subsys_state *css)
{
	if (css->parent)
		WRITE_ONCE(css_bc(css)->online, true);
	return 0;
}

static void bc_css_offline(struct cgroup_subsys_state *css)
{
	bc_stock_close(css_bc(css));
}

static int bc_can_attach(struct cgroup_taskset *tset)
{
	struct cgroup_subsys_state *dst;
	struct task_struct *task;

	cgroup_taskset_for_each(task, dst, tset)
		bc_numproc_move(css_bc(task_css(task, bc_cgrp_id)), css_bc(dst));
	return 0;
}

static void bc_cancel_attach(struct cgroup_taskset *tset)
{
	struct cgroup_subsys_state *dst;
	struct task_struct *task;

	cgroup_taskset_for_each(task, dst, tset)
		bc_numproc_move(css_bc(dst), css_bc(task_css(task, bc_cgrp_id)));
}

static void bc_attach(struct cgroup_taskset *tset)
{
	struct cgroup_subsys_state *dst;
	struct task_struct *task;

	cgroup_taskset_for_each(task, dst, tset)
		bc_move_mm(task);
}

static int bc_can_fork(struct task_struct *task, struct css_set *cset)
{
	struct bc_cgroup *bc = css_bc(cset->subsys[bc_cgrp_id]);
	int err;

	/* There is the root only, in which nobody pays. */
	if (!static_branch_unlikely(&bc_enabled_key.key))
		return 0;

	err = bc_numproc_fork(bc);
	if (err)
		return err;
	err = bc_fork_mm(task, bc);
	if (err)
		bc_numproc_exit(bc);
	return err;
}

static void bc_cancel_fork(struct task_struct *task, struct css_set *cset)
{
	bc_numproc_exit(css_bc(cset->subsys[bc_cgrp_id]));
}

static void bc_task_release(struct task_struct *task)
{
	bc_numproc_exit(css_bc(task_css(task, bc_cgrp_id)));
}

static int bc_seq_show(struct seq_file *m, void *v)
{
	bc_show(m, css_bc(seq_css(m)), seq_cft(m)->private);
	return 0;
}

static ssize_t bc_write(struct kernfs_open_file *of, char *buf, size_t nbytes, loff_t off)
{
	int err = bc_set(css_bc(of_css(of)), of_cft(of)->private, buf, nbytes);

	return err ?: nbytes;
}

bool bc_refuse_traced(void)
{
	return trace_bc_refuse_enabled();
}

static struct cftype bc_files[] = {
	{
		.name = "current",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = BC_FILE_CURRENT,
		.seq_show = bc_seq_show,
	},
	{
		.name = "peak",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = BC_FILE_PEAK,
		.seq_show = bc_seq_show,
	},
	{
		.name = "high",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = BC_FILE_HIGH,
		.seq_show = bc_seq_show,
		.write = bc_write,
	},
	{
		.name = "max",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = BC_FILE_MAX,
		.seq_show = bc_seq_show,
		.write = bc_write,
	},
	{
		.name = "low",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = BC_FILE_LOW,
		.seq_show = bc_seq_show,
		.write = bc_write,
	},
	{
		.name = "events",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = BC_FILE_EVENTS,
		.file_offset = offsetof(struct bc_cgroup, events_file),
		.seq_show = bc_seq_show,
	},
	{
		.name = "events.local",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = BC_FILE_EVENTS_LOCAL,
		.file_offset = offsetof(struct bc_cgroup, events_local_file),
		.seq_show = bc_seq_show,
	},
	{
		.name = "stat",
		.flags = CFTYPE_NOT_ON_ROOT,
		.private = BC_FILE_STAT,
		.seq_show = bc_seq_show,
	},
	{ }
};

struct cgroup_subsys bc_cgrp_subsys = {
	.css_alloc = bc_css_alloc,
	.css_online = bc_css_online,
	.css_offline = bc_css_offline,
	.css_free = bc_css_free,
	.can_attach = bc_can_attach,
	.cancel_attach = bc_cancel_attach,
	.attach = bc_attach,
	.can_fork = bc_can_fork,
	.cancel_fork = bc_cancel_fork,
	.release = bc_task_release,
	.dfl_cftypes = bc_files,
};
