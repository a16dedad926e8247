// SPDX-License-Identifier: GPL-2.0
/*
 * The ways out of an image: a copy for read(), pages themselves for a pipe, and
 * many pages at once for a file.
 */

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/pipe_fs_i.h>
#include <linux/splice.h>
#include <linux/uio.h>
#include <linux/vmalloc.h>

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
static long page_to_pipe(struct page *page, size_t offset, size_t size,
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

/* Pass pages, from @offset on in the first one, as long as there is room; return how many bytes. */
long ckpt_pages_to_pipe(struct page **pages, size_t offset, size_t size,
			struct pipe_inode_info *pipe)
{
	size_t done = 0;

	while (done < size && ckpt_pipe_room(pipe)) {
		size_t len = min(size - done, PAGE_SIZE - offset);
		long ret = page_to_pipe(*pages++, offset, len, pipe);

		if (ret < 0)
			return done ?: ret;
		done += len;
		offset = 0;
	}
	return done;
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
	ret = page_to_pipe(page, 0, size, pipe);
	put_page(page);
	return ret;
}

/*
 * Collect bytes of vmalloc(), whose pages a file system may take references of, at most those on
 * one page; return how many, 0 if there is no room.
 */
size_t ckpt_gather_bytes(struct ckpt_gather *gather, const void *buf, size_t size)
{
	return ckpt_gather_page(gather, vmalloc_to_page(buf), offset_in_page(buf), size);
}

/* Collect a part of a page, at most to its end; likewise. */
size_t ckpt_gather_page(struct ckpt_gather *gather, struct page *page, size_t offset,
			size_t size)
{
	if (gather->nr == CKPT_GATHER)
		return 0;
	size = min(size, PAGE_SIZE - offset);
	bvec_set_page(&gather->bvec[gather->nr++], page, size, offset);
	gather->size += size;
	return size;
}

/* Write what was collected to where a file is, and return how much that was. */
long ckpt_gather_write(struct ckpt_gather *gather, struct file *file)
{
	struct iov_iter from;

	iov_iter_bvec(&from, ITER_SOURCE, gather->bvec, gather->nr, gather->size);
	gather->nr = 0;
	gather->size = 0;
	return vfs_iter_write(file, &from, ckpt_file_pos(file), 0);
}
