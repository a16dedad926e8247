// SPDX-License-Identifier: GPL-2.0
/* Pipes, with what is in them. */

#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/pipe_fs_i.h>

#include "internal.h"

/*
 * Tells the pipe that a file is an end of from all others, and in how many files it is open; 0 if
 * it is none, or has a name.
 */
u64 ckpt_pipe_key(struct file *file, u32 *files)
{
	struct pipe_inode_info *pipe = get_pipe_info(file, false);
	struct inode *inode = file_inode(file);

	*files = 0;
	if (!pipe || !S_ISFIFO(inode->i_mode) || !(inode->i_sb->s_flags & SB_NOUSER))
		return 0;
	spin_lock(&inode->i_lock);
	*files = pipe->files;
	spin_unlock(&inode->i_lock);
	return (unsigned long)pipe;
}

/* As splice() takes them from sockets; what was written has its pages for itself. */
static bool has_large_piece(struct pipe_inode_info *pipe)
{
	bool has = false;
	u32 nr;

	pipe_lock(pipe);
	for (nr = pipe->tail; nr != pipe->head; nr++)
		has |= pipe_buf(pipe, nr)->len > PAGE_SIZE;
	pipe_unlock(pipe);
	return has;
}

/* Why a pipe cannot be saved; NULL if it can. */
const char *ckpt_pipe_refuse(struct file *file)
{
	struct pipe_inode_info *pipe = get_pipe_info(file, false);

	if (pipe_has_watch_queue(pipe))
		return "a pipe for notifications";
	if (has_large_piece(pipe))
		return "a pipe with pieces that are larger than a page";
	return NULL;
}

/* How much fits into a pipe, in bytes. */
u32 ckpt_pipe_size(struct file *file)
{
	return pipe_fcntl(file, F_GETPIPE_SZ, 0);
}

/*
 * Copy the piece of what is in a pipe that has number @nr, from the one that is read next; return
 * its size, 0 if there is none, or -errno. It is a packet if it is read at once.
 */
long ckpt_pipe_piece(struct file *file, u32 nr, void *buf, size_t size, bool *packet)
{
	struct pipe_inode_info *pipe = get_pipe_info(file, false);
	struct pipe_buffer *piece;
	long ret = 0;

	pipe_lock(pipe);
	if (nr < pipe_occupancy(pipe->head, pipe->tail)) {
		piece = pipe_buf(pipe, pipe->tail + nr);
		*packet = piece->flags & PIPE_BUF_FLAG_PACKET;
		ret = piece->len > size ? -E2BIG : pipe_buf_confirm(pipe, piece);
		if (!ret) {
			/* It may start in one page of several, and end in the next. */
			struct folio *folio = page_folio(piece->page);
			size_t before = folio_page_idx(folio, piece->page) * PAGE_SIZE;

			memcpy_from_folio(buf, folio, before + piece->offset, piece->len);
			ret = piece->len;
		}
	}
	pipe_unlock(pipe);
	return ret;
}

/* A pipe in which so much fits, as a file that is both of its ends. */
struct file *ckpt_pipe_make(u32 size)
{
	struct file *ends[2], *both;
	long ret;

	ret = create_pipe_files(ends, 0);
	if (ret)
		return ERR_PTR(ret);
	both = dentry_open(&ends[0]->f_path, O_RDWR | O_NONBLOCK, current_cred());
	fput(ends[0]);
	fput(ends[1]);
	if (IS_ERR(both))
		return both;
	ret = pipe_fcntl(both, F_SETPIPE_SZ, size);
	if (ret < 0) {
		fput(both);
		return ERR_PTR(ret);
	}
	return both;
}

/* Add a piece to what is in a pipe. */
int ckpt_pipe_add(struct file *file, const void *buf, size_t size, bool packet)
{
	ssize_t ret;

	/* Nobody else has it yet. */
	file->f_flags = packet ? file->f_flags | O_DIRECT : file->f_flags & ~O_DIRECT;
	ret = kernel_write(file, buf, size, NULL);
	return ret == size ? 0 : ret < 0 ? ret : -ENOSPC;
}

/* An end of a pipe, of which @file is both, as @opener or the current task has opened it. */
struct file *ckpt_pipe_open(struct file *file, const struct ckpt_file *state,
			    const struct cred *opener)
{
	/* What pipe() does not give, fcntl() or an open() of a descriptor does. */
	const u32 later = O_DIRECT | O_APPEND | O_NOATIME | O_LARGEFILE;
	struct file *end;

	if (state->flags & __FMODE_EXEC)
		return ERR_PTR(-EINVAL);
	end = dentry_open(&file->f_path, state->flags & (O_ACCMODE | O_NONBLOCK),
			  opener ?: current_cred());
	if (!IS_ERR(end))
		end->f_flags |= state->flags & later;
	return end;
}
