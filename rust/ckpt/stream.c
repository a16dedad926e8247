// SPDX-License-Identifier: GPL-2.0
/*
 * The ways out of an image: a copy for read(), pages themselves for a pipe, and
 * many pages at once for a file.
 */

#include <linux/bvec.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/pipe_fs_i.h>
#include <linux/splice.h>
#include <linux/uio.h>

#include "internal.h"

size_t ckpt_page_to_iter(struct page *page, size_t offset, size_t size,
			 struct iov_iter *to)
{
	return copy_page_to_iter(page, offset, size, to);
}

static void release(struct pipe_inode_info *pipe, struct pipe_buffer *buf)
{
	put_page(buf->page);
}

/* Nobody may take a page away from the container, so there is no try_steal(). */
static const struct pipe_buf_operations buffer_ops = {
	.release = release,
	.get = generic_pipe_buf_get,
};

/* How many buffers there is room for in a pipe, which is locked. */
u32 ckpt_pipe_room(struct pipe_inode_info *pipe)
{
	u32 used = pipe_buf_usage(pipe);

	return used < pipe->max_usage ? pipe->max_usage - used : 0;
}

/* Pass a page, with a reference of its own, to a pipe, which is locked. */
long ckpt_page_to_pipe(struct page *page, size_t offset, size_t size,
		       struct pipe_inode_info *pipe)
{
	struct pipe_buffer buf = {
		.ops = &buffer_ops,
		.page = page,
		.offset = offset,
		.len = size,
	};

	get_page(page);
	return add_to_pipe(pipe, &buf);
}

/* The same for bytes: at most a page of them, which is returned. */
long ckpt_bytes_to_pipe(const void *buf, size_t size,
			struct pipe_inode_info *pipe)
{
	struct page *page = alloc_page(GFP_KERNEL_ACCOUNT);
	long ret;

	if (!page)
		return -ENOMEM;
	size = min(size, PAGE_SIZE);
	memcpy(page_address(page), buf, size);
	ret = ckpt_page_to_pipe(page, 0, size, pipe);
	put_page(page);
	return ret;
}

static long push(struct file *file, struct iov_iter *from)
{
	loff_t *pos = file->f_mode & FMODE_STREAM ? NULL : &file->f_pos;

	return vfs_iter_write(file, from, pos, 0);
}

/* Write @size bytes of adjacent pages from @offset on in the first; return how many were. */
long ckpt_pages_to_file(struct page **pages, size_t offset, size_t size,
			struct file *file)
{
	struct bio_vec bvec[32];
	struct iov_iter from;
	size_t left = size;
	u32 nr;

	for (nr = 0; left && nr < ARRAY_SIZE(bvec); nr++) {
		size_t len = min(left, PAGE_SIZE - offset);

		bvec_set_page(&bvec[nr], pages[nr], len, offset);
		left -= len;
		offset = 0;
	}
	iov_iter_bvec(&from, ITER_SOURCE, bvec, nr, size - left);
	return push(file, &from);
}

long ckpt_bytes_to_file(const void *buf, size_t size, struct file *file)
{
	struct kvec vec = { .iov_base = (void *)buf, .iov_len = size };
	struct iov_iter from;

	iov_iter_kvec(&from, ITER_SOURCE, &vec, 1, size);
	return push(file, &from);
}
