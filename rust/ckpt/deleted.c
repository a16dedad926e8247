// SPDX-License-Identifier: GPL-2.0
/* Files that were deleted while they were open: they are made again, and deleted. */

#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/xattr.h>

#include "internal.h"

/* Tells a deleted file from all others; 0 if it is none. */
u64 ckpt_deleted_key(struct file *file)
{
	struct dentry *dentry = file_user_path(file)->dentry;

	return d_unlinked(dentry) ? (unsigned long)d_inode(dentry) : 0;
}

/* Whether a file has attributes that are more than labels, which security modules give anew. */
static bool has_attributes(struct dentry *dentry)
{
	char *names __free(kvfree) = NULL;
	ssize_t size, at;

	size = vfs_listxattr(dentry, NULL, 0);
	if (size <= 0)
		return false;
	names = kvzalloc(size + 1, GFP_KERNEL);
	if (!names || vfs_listxattr(dentry, names, size) < 0)
		return true;
	for (at = 0; at < size; at += strlen(names + at) + 1)
		if (!strstarts(names + at, XATTR_SECURITY_PREFIX))
			return true;
	return false;
}

/* The owners of a file, as its mount has them. */

static kuid_t user_of(struct file *file)
{
	const struct inode *inode = d_inode(file_user_path(file)->dentry);

	return vfsuid_into_kuid(i_uid_into_vfsuid(file_mnt_idmap(file), inode));
}

static kgid_t group_of(struct file *file)
{
	const struct inode *inode = d_inode(file_user_path(file)->dentry);

	return vfsgid_into_kgid(i_gid_into_vfsgid(file_mnt_idmap(file), inode));
}

/* Why a deleted file cannot be saved; NULL if it can. */
const char *ckpt_deleted_refuse(struct file *file)
{
	struct dentry *dentry = file_user_path(file)->dentry;
	const struct inode *inode = d_inode(dentry);

	if (S_ISDIR(inode->i_mode))
		return "a deleted directory";
	if (!S_ISREG(inode->i_mode))
		return "a deleted file that is not a regular one";
	if (inode->i_nlink)
		return "a deleted name of a file that has others";
	if (d_unlinked(dentry->d_parent))
		return "a deleted file of a deleted directory";
	if (!kuid_has_mapping(current_user_ns(), user_of(file)) ||
	    !kgid_has_mapping(current_user_ns(), group_of(file)))
		return "a deleted file of users or groups that are not in the caller's namespace";
	if (has_attributes(dentry))
		return "a deleted file with extended attributes";
	return NULL;
}

/* Owners are those that the caller's namespace has. */
void ckpt_deleted_state(struct file *file, struct ckpt_deleted *state)
{
	struct inode *inode = d_inode(file_user_path(file)->dentry);
	struct user_namespace *ns = current_user_ns();

	*state = (struct ckpt_deleted) {
		.size = i_size_read(inode),
		.atime = inode_get_atime_sec(inode),
		.atime_ns = inode_get_atime_nsec(inode),
		.mtime = inode_get_mtime_sec(inode),
		.mtime_ns = inode_get_mtime_nsec(inode),
		.mode = inode->i_mode,
		.uid = from_kuid(ns, user_of(file)),
		.gid = from_kgid(ns, group_of(file)),
	};
}

/* A file to read the content from, whatever @file was opened for. */
struct file *ckpt_deleted_content(struct file *file)
{
	return dentry_open(file_user_path(file), O_RDONLY | O_LARGEFILE | O_NOATIME,
			   current_cred());
}

/* Delete the name that @file was just made with, if it is still its name. */
static int delete(const char *name, struct file *file)
{
	struct path parent;
	struct dentry *dentry = start_removing_path(name, &parent);
	int ret = -ESTALE;

	if (IS_ERR(dentry))
		return PTR_ERR(dentry);
	if (d_inode(dentry) == file_inode(file))
		ret = security_path_unlink(&parent, dentry);
	if (!ret)
		ret = vfs_unlink(mnt_idmap(parent.mnt), d_inode(parent.dentry), dentry, NULL);
	end_removing_path(&parent, dentry);
	return ret;
}

/* A file without a name in the directory where @path is. */
static struct file *make_nameless(const char *path, int flags)
{
	char *dir __free(kfree) = NULL;
	const char *slash = strrchr(path, '/');

	if (!slash)
		return ERR_PTR(-EINVAL);
	dir = kstrndup(path, max(slash - path, 1), GFP_KERNEL);
	if (!dir)
		return ERR_PTR(-ENOMEM);
	return filp_open(dir, flags | O_TMPFILE, 0600);
}

/*
 * Make a file that was deleted, with the rights of the current task. It has had
 * its old name, unless there is another file of that name now. The content is
 * the caller's matter.
 */
struct file *ckpt_deleted_make(const char *path, const struct ckpt_deleted *state)
{
	const int flags = O_RDWR | O_LARGEFILE | O_NOFOLLOW;
	struct file *file;
	int ret = 0;

	if (!S_ISREG(state->mode) || (state->mode & ~(S_IFMT | S_IALLUGO)) ||
	    state->size > MAX_LFS_FILESIZE)
		return ERR_PTR(-EINVAL);

	file = filp_open(path, flags | O_CREAT | O_EXCL, 0600);
	if (PTR_ERR_OR_ZERO(file) == -EEXIST)
		file = make_nameless(path, flags & ~O_NOFOLLOW);
	else if (!IS_ERR(file))
		ret = delete(path, file);
	if (IS_ERR(file))
		return file;

	if (!ret)
		ret = vfs_truncate(&file->f_path, state->size);
	if (!ret)
		ret = vfs_fchown(file, state->uid, state->gid);
	if (!ret)
		ret = vfs_fchmod(file, state->mode & S_IALLUGO);
	if (!ret)
		return file;
	fput(file);
	return ERR_PTR(ret);
}

/* When the content is there: the times, and what writing may have taken from the mode. */
int ckpt_deleted_finish(struct file *file, const struct ckpt_deleted *state)
{
	struct timespec64 times[] = {
		{ .tv_sec = state->atime, .tv_nsec = state->atime_ns },
		{ .tv_sec = state->mtime, .tv_nsec = state->mtime_ns },
	};
	int ret = vfs_fchmod(file, state->mode & S_IALLUGO);

	if (ret)
		return ret;
	if (state->atime_ns >= NSEC_PER_SEC || state->mtime_ns >= NSEC_PER_SEC)
		return -EINVAL;
	return vfs_utimes(&file->f_path, times);
}
