// SPDX-License-Identifier: GPL-2.0
/*
 * The module user_beancounters: /proc/user_beancounters and /proc/bc/resources, as OpenVZ has them.
 * How a row looks is in Rust.
 */

#include <linux/capability.h>
#include <linux/cgroup.h>
#include <linux/cleanup.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

#include "../internal.h"

/*
 * Where a reader is. It keeps the last cgroup that it has seen, so that the next read goes on from
 * there, whatever was made or removed meanwhile.
 */
struct ubc_reader {
	enum ubc_file file;
	/* What who opened the file may see; NULL for nothing. */
	struct bc_cgroup *root;
	/* The nth of them, from 1; NULL for n = 0, which is the header. */
	struct bc_cgroup *bc;
	loff_t n;
	struct bc_report report;
};

static struct proc_dir_entry *ubc_dir;

static void ubc_put(struct bc_cgroup *bc)
{
	if (bc)
		css_put(&bc->css);
}

/* The cgroup after @bc, or the first one; with a reference. */
static struct bc_cgroup *ubc_next_cgroup(struct bc_cgroup *root, struct bc_cgroup *bc)
{
	struct cgroup_subsys_state *css = bc ? &bc->css : NULL;

	if (!root)
		return NULL;
	/* A container: there is only one. */
	if (root->css.parent)
		return !bc && css_tryget_online(&root->css) ? root : NULL;

	guard(rcu)();
	do {
		css = css_next_descendant_pre(css, &root->css);
		/* The root of all pays for nothing. */
	} while (css && (!css->parent || !css_tryget_online(css)));

	return css ? css_bc(css) : NULL;
}

static struct bc_cgroup *ubc_seek(struct ubc_reader *reader, loff_t n)
{
	struct bc_cgroup *next;

	if (n < reader->n) {
		ubc_put(reader->bc);
		reader->bc = NULL;
		reader->n = 0;
	}
	while (reader->n < n) {
		next = ubc_next_cgroup(reader->root, reader->bc);
		if (!next)
			return NULL;
		ubc_put(reader->bc);
		reader->bc = next;
		reader->n++;
		cond_resched();
	}
	return reader->bc;
}

static void *ubc_start(struct seq_file *m, loff_t *pos)
{
	struct bc_cgroup *bc = ubc_seek(m->private, *pos);

	return *pos ? bc : SEQ_START_TOKEN;
}

static void *ubc_next(struct seq_file *m, void *v, loff_t *pos)
{
	return ubc_seek(m->private, ++*pos);
}

/* The reader keeps its cgroup until it goes on. */
static void ubc_stop(struct seq_file *m, void *v)
{
}

/* All rows of a cgroup at once: what does not fit into the buffer is not shown in halves. */
static int ubc_show(struct seq_file *m, void *v)
{
	struct ubc_reader *reader = m->private;

	if (v == SEQ_START_TOKEN) {
		ubc_show_header(m);
		return 0;
	}
	bc_report(v, &reader->report);
	ubc_show_rows(m, &reader->report, reader->file);
	return 0;
}

static const struct seq_operations ubc_seq_ops = {
	.start = ubc_start,
	.next = ubc_next,
	.stop = ubc_stop,
	.show = ubc_show,
};

static int ubc_open(struct inode *inode, struct file *file)
{
	struct user_namespace *owner = current->nsproxy->cgroup_ns->user_ns;
	struct ubc_reader *reader;

	/* Who is root on the host or in the container that would be seen. */
	if (!ns_capable(owner, CAP_DAC_OVERRIDE) || !ns_capable(owner, CAP_DAC_READ_SEARCH))
		return -EACCES;

	reader = __seq_open_private(file, &ubc_seq_ops, sizeof(*reader));
	if (!reader)
		return -ENOMEM;
	reader->file = (uintptr_t)pde_data(inode);
	reader->root = bc_report_root();
	return 0;
}

static int ubc_release(struct inode *inode, struct file *file)
{
	struct seq_file *m = file->private_data;
	struct ubc_reader *reader = m->private;

	ubc_put(reader->bc);
	ubc_put(reader->root);
	return seq_release_private(inode, file);
}

static const struct proc_ops ubc_proc_ops = {
	.proc_open = ubc_open,
	.proc_read = seq_read,
	.proc_lseek = seq_lseek,
	.proc_release = ubc_release,
};

static struct proc_dir_entry *ubc_create(const char *name, struct proc_dir_entry *dir,
					 enum ubc_file file)
{
	return proc_create_data(name, 0400, dir, &ubc_proc_ops, (void *)(uintptr_t)file);
}

static int __init ubc_init(void)
{
	/* Nothing is counted, and nobody shall believe that it is. */
	if (!cgroup_subsys_enabled(bc_cgrp_subsys))
		return -ENODEV;

	ubc_dir = proc_mkdir("bc", NULL);
	if (ubc_dir && ubc_create("resources", ubc_dir, UBC_RESOURCES) &&
	    ubc_create("user_beancounters", NULL, UBC_USER_BEANCOUNTERS))
		return 0;

	proc_remove(ubc_dir);
	return -ENOMEM;
}

static void __exit ubc_exit(void)
{
	/* Both wait for who is reading, and close what is open. */
	remove_proc_entry("user_beancounters", NULL);
	proc_remove(ubc_dir);
}

module_init(ubc_init);
module_exit(ubc_exit);

MODULE_DESCRIPTION("OpenVZ's files of beancounters");
MODULE_LICENSE("GPL");
