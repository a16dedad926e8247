// SPDX-License-Identifier: GPL-2.0
/* Open files, and where a task is in the file system. */

#include <linux/dcache.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/namei.h>
#include <linux/sched/task.h>
#include <linux/shmem_fs.h>
#include <linux/syscalls.h>

#include "internal.h"

/* The first open file at or after *@fd, with a reference; NULL if there are no more. */
struct file *ckpt_file_next(struct task_struct *task, u32 *fd, bool *cloexec)
{
	struct file *file = fget_task_next(task, fd);
	struct files_struct *files;

	*cloexec = false;
	if (!file)
		return NULL;

	task_lock(task);
	files = task->files;
	if (files) {
		spin_lock(&files->file_lock);
		/* Of a task that runs it may be another table by now, and a smaller one. */
		if (*fd < files_fdtable(files)->max_fds)
			*cloexec = close_on_exec(*fd, files);
		spin_unlock(&files->file_lock);
	}
	task_unlock(task);
	return file;
}

u32 ckpt_file_references(struct file *file)
{
	return min(file_count(file), U32_MAX);
}

void ckpt_file_state(struct file *file, struct ckpt_file *state)
{
	const struct inode *inode = file_inode(file);

	*state = (struct ckpt_file) {
		.position = file->f_pos,
		.size = i_size_read(inode),
		.flags = file->f_flags & ~__FMODE_EXEC,
		.mode = inode->i_mode,
		.rdev = inode->i_rdev,
	};
}

/*
 * The path as the caller has it, or as it was before it was deleted, without a
 * final 0; return its length, or -errno. A mapping of a file of overlayfs has a
 * file of the layer below.
 */
long ckpt_file_path(struct file *file, char *buf, size_t size)
{
	static const char deleted[] = " (deleted)";
	char *path = d_path(file_user_path(file), buf, size);
	size_t len;

	if (IS_ERR(path))
		return PTR_ERR(path);
	len = strlen(path);
	if (d_unlinked(file_user_path(file)->dentry) && len >= strlen(deleted))
		len -= strlen(deleted);
	memmove(buf, path, len);
	return len;
}

/* Flags of an open file, without those that are for the call of open() only. */
#define LASTING (VALID_OPEN_FLAGS & ~(O_CREAT | O_EXCL | O_TRUNC | O_NOCTTY))

/* Go where it was; the file is gone if that cannot be. */
static struct file *seek(struct file *file, const struct ckpt_file *state)
{
	const umode_t mode = file_inode(file)->i_mode;
	loff_t at = state->position;

	if (at && (S_ISREG(mode) || S_ISDIR(mode)) && !(file->f_mode & FMODE_PATH))
		at = vfs_llseek(file, at, SEEK_SET);
	if (at == state->position)
		return file;
	fput(file);
	return ERR_PTR(at < 0 ? at : -EINVAL);
}

/* Whether what is there is what was open. */
static bool is_kind(struct file *file, const struct ckpt_file *state)
{
	const struct inode *inode = file_inode(file);

	return !((inode->i_mode ^ state->mode) & S_IFMT) && inode->i_rdev == state->rdev;
}

/*
 * With whose rights a file was opened, as long as that is there; NULL if none were
 * needed, as only its path is open. A mapping of a file of overlayfs has a file of
 * the layer below, which nobody had to open: the rights are those of @owner.
 */
const struct cred *ckpt_file_opener(struct file *file, const struct cred *owner)
{
	if (file->f_mode & FMODE_PATH)
		return NULL;
	return file->f_mode & FMODE_BACKING ? owner : file->f_cred;
}

static struct file *open_again(const char *path, const struct ckpt_file *state)
{
	struct file *file __free(fput) = NULL;
	u32 flags = state->flags & LASTING;

	if (state->flags & __FMODE_EXEC)
		return ERR_PTR(-EINVAL);
	/* It got its name later. */
	if (flags & __O_TMPFILE)
		flags &= ~O_TMPFILE;
	file = filp_open(path, O_PATH | (state->flags & O_NOFOLLOW), 0);
	if (IS_ERR(file))
		return no_free_ptr(file);
	if (!is_kind(file, state) || ckpt_refuse_kind(file))
		return ERR_PTR(-ESTALE);

	fput(file);
	file = filp_open(path, flags | O_LARGEFILE | O_NOCTTY, 0);
	if (IS_ERR(file))
		return no_free_ptr(file);
	if (!is_kind(file, state) || ckpt_refuse_kind(file))
		return ERR_PTR(-ESTALE);
	return seek(no_free_ptr(file), state);
}

/*
 * Open what was open, with the rights of @opener or those of the current task, at
 * the same position. What is there now has to be of the same kind, and one that
 * is saved: looked at first, because to open a device or a pipe does something,
 * and looked at again.
 */
struct file *ckpt_file_open(const char *path, const struct ckpt_file *state,
			    const struct cred *opener)
{
	struct file *file = NULL;

	scoped_with_creds(opener ?: current_cred())
		file = open_again(path, state);
	return file;
}

/* The same for a file that has no path, but is open as @file. */
struct file *ckpt_file_reopen(struct file *file, const struct ckpt_file *state,
			      const struct cred *opener)
{
	if (state->flags & __FMODE_EXEC)
		return ERR_PTR(-EINVAL);
	file = dentry_open(&file->f_path, (state->flags & LASTING & ~O_NOFOLLOW) | O_LARGEFILE,
			   opener ?: current_cred());
	return IS_ERR(file) ? file : seek(file, state);
}

/* Memory to share, as mmap() makes for MAP_SHARED without a file, and accounted like that. */
struct file *ckpt_file_shmem(u64 size)
{
	if (!PAGE_ALIGNED(size) || size > MAX_LFS_FILESIZE)
		return ERR_PTR(-EINVAL);
	return shmem_kernel_file_setup("dev/zero", size, EMPTY_VMA_FLAGS);
}

int ckpt_file_write(struct file *file, const void *buf, size_t size, u64 at)
{
	loff_t pos = at;
	ssize_t ret = kernel_write(file, buf, size, &pos);

	return ret == size ? 0 : ret < 0 ? ret : -ENOSPC;
}

/* Close everything that the current task has inherited; nobody shares its table. */
int ckpt_files_clear(void)
{
	struct files_struct *files = current->files;
	u32 fd = 0;

	if (atomic_read(&files->count) != 1)
		return -EBUSY;
	for (;;) {
		struct file *file = fget_task_next(current, &fd);

		if (!file)
			return 0;
		fput(file);
		close_fd(fd);
	}
}

int ckpt_file_install(u32 fd, struct file *file, bool cloexec)
{
	return replace_fd(fd, file, cloexec ? O_CLOEXEC : 0);
}

/* What tells the table of open files of a task from all others, and how many tasks have it. */
u64 ckpt_files_key(struct task_struct *task, u32 *users)
{
	guard(task_lock)(task);
	*users = task->files ? atomic_read(&task->files->count) : 0;
	return (unsigned long)task->files;
}

/* Take the table of another task, which is parked. */
int ckpt_files_share(struct task_struct *with)
{
	struct files_struct *files, *old;

	scoped_guard(task_lock, with) {
		files = with->files;
		if (files)
			atomic_inc(&files->count);
	}
	if (!files)
		return -ESRCH;
	scoped_guard(task_lock, current) {
		old = current->files;
		current->files = files;
	}
	put_files_struct(old);
	return 0;
}

/* What tells where a task is in the file system from all others, and how many tasks share it. */
u64 ckpt_fs_key(struct task_struct *task, u32 *users)
{
	guard(task_lock)(task);
	*users = task->fs ? task->fs->users : 0;
	return (unsigned long)task->fs;
}

/* Share that of another task, which is parked. */
int ckpt_fs_share(struct task_struct *with)
{
	struct fs_struct *fs;

	scoped_guard(task_lock, with) {
		fs = with->fs;
		if (fs) {
			read_seqlock_excl(&fs->seq);
			fs->users++;
			read_sequnlock_excl(&fs->seq);
		}
	}
	if (!fs)
		return -ESRCH;
	fs = switch_fs_struct(fs);
	if (fs)
		free_fs_struct(fs);
	return 0;
}

/* Where a task is, as a file; its root has to be that of the caller. */
struct file *ckpt_fs_cwd(struct task_struct *task, u32 *umask)
{
	struct path root, pwd, mine;
	struct file *file;
	bool same;

	task_lock(task);
	if (!task->fs) {
		task_unlock(task);
		return ERR_PTR(-ESRCH);
	}
	get_fs_root(task->fs, &root);
	get_fs_pwd(task->fs, &pwd);
	*umask = task->fs->umask;
	task_unlock(task);

	get_fs_root(current->fs, &mine);
	same = path_equal(&root, &mine);
	path_put(&mine);
	path_put(&root);
	file = same ? dentry_open(&pwd, O_PATH | O_DIRECTORY, current_cred()) :
		      ERR_PTR(-EXDEV);
	path_put(&pwd);
	return file;
}

int ckpt_fs_set(struct file *cwd, u32 umask)
{
	if (umask & ~0777)
		return -EINVAL;
	if (!S_ISDIR(file_inode(cwd)->i_mode))
		return -ENOTDIR;
	set_fs_pwd(current->fs, &cwd->f_path);
	current->fs->umask = umask;
	return 0;
}

/* Where reading and writing go on, if there is such a place; nobody else is kept from moving it. */
loff_t *ckpt_file_pos(struct file *file)
{
	return file->f_mode & FMODE_STREAM ? NULL : &file->f_pos;
}

/* Whether an image can be read from there. */
bool ckpt_image_is_readable(struct file *file)
{
	return file->f_mode & FMODE_READ;
}

/* Whether an image is in a file, from which the same can be read again. */
bool ckpt_image_is_file(struct file *file)
{
	return S_ISREG(file_inode(file)->i_mode) && (file->f_mode & FMODE_LSEEK) &&
	       !(file->f_mode & FMODE_STREAM);
}

/*
 * Read the next bytes of an image; from a pipe or a socket as many as there are. Those that are
 * read ahead of a file stay the next ones.
 */
long ckpt_image_read(struct file *file, void *buf, size_t size, bool ahead)
{
	loff_t pos = file->f_pos;

	return kernel_read(file, buf, size, ahead ? &pos : ckpt_file_pos(file));
}

/* So many of the bytes that were read ahead were taken. */
void ckpt_image_took(struct file *file, size_t size)
{
	file->f_pos += size;
}
