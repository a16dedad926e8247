/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * /dev/ckpt: checkpoint and restore of containers.
 *
 * One open of the device is one session, which has one container at a time.
 * See Documentation/userspace-api/ckpt.rst.
 */
#ifndef _UAPI_LINUX_CKPT_H
#define _UAPI_LINUX_CKPT_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * struct ckpt_suspend - stops a container
 * @cgroup:	descriptor of the directory of its cgroup
 * @timeout:	how long to wait until all of its tasks are at rest, in ms
 * @flags:	CKPT_DETACH, or 0
 * @reserved:	0
 */
struct ckpt_suspend {
	__s32 cgroup;
	__u32 timeout;
	__u32 flags;
	__u32 reserved;
};

/**
 * struct ckpt_restore - makes a container from an image
 * @image:	descriptor to read the image from
 * @cgroup:	descriptor of the directory of an empty cgroup for its tasks
 * @flags:	CKPT_DETACH, or 0
 * @pid:	0; returned: the first process
 */
struct ckpt_restore {
	__s32 image;
	__s32 cgroup;
	__u32 flags;
	__s32 pid;
};

/**
 * struct ckpt_write - writes the image
 * @fd:		descriptor to write to
 * @flags:	none yet; 0
 * @bytes:	how many at most; returned: how many were written, 0 is the end
 */
struct ckpt_write {
	__s32 fd;
	__u32 flags;
	__u64 bytes;
};

/**
 * struct ckpt_external - names a file that the image does not have
 * @pid:	a process of the container that is saved; 0 for a restore
 * @fd:		its descriptor; for a restore a descriptor of the caller
 * @name:	address of the name: printable ASCII, without a final 0
 * @length:	its length in bytes, at most CKPT_NAME_MAX
 * @flags:	none yet; 0
 */
struct ckpt_external {
	__s32 pid;
	__s32 fd;
	__u64 name;
	__u32 length;
	__u32 flags;
};

/**
 * struct ckpt_why - why the last call failed, or what it found
 * @text:	address of a buffer for the text: lines, without a final 0
 * @size:	its size in bytes
 * @length:	returned: the length of the whole text in bytes
 */
struct ckpt_why {
	__u64 text;
	__u32 size;
	__u32 length;
};

/**
 * struct ckpt_note - what the next images of the session say besides
 * @text:	address of any bytes, which the kernel does not look at
 * @length:	how many, at most CKPT_NOTE_MAX; 0 is no note
 * @flags:	none yet; 0
 */
struct ckpt_note {
	__u64 text;
	__u32 length;
	__u32 flags;
};

/* The container stays suspended when the session is closed. */
#define CKPT_DETACH	(1 << 0)

#define CKPT_NAME_MAX	255
#define CKPT_NOTE_MAX	32768

#define CKPT_IOC_MAGIC	0xBD

/* Whether a container could be dumped; nothing is stopped. EOPNOTSUPP: no. */
#define CKPT_CHECK	_IOW(CKPT_IOC_MAGIC, 0x00, __s32)
/* Stops a container, which becomes that of the session. */
#define CKPT_SUSPEND	_IOW(CKPT_IOC_MAGIC, 0x01, struct ckpt_suspend)
/* Makes an image of the suspended container, which is then read from here. */
#define CKPT_DUMP	_IO(CKPT_IOC_MAGIC, 0x02)
/* Lets the suspended container go on. */
#define CKPT_RESUME	_IO(CKPT_IOC_MAGIC, 0x03)
/* Ends the suspended container. */
#define CKPT_KILL	_IO(CKPT_IOC_MAGIC, 0x04)
/* Makes a suspended container from an image. */
#define CKPT_RESTORE	_IOWR(CKPT_IOC_MAGIC, 0x05, struct ckpt_restore)
/* Explains the last call in this session. */
#define CKPT_WHY	_IOWR(CKPT_IOC_MAGIC, 0x06, struct ckpt_why)
/* Takes over a container that another session of the same user left suspended. */
#define CKPT_ATTACH	_IOW(CKPT_IOC_MAGIC, 0x07, __s32)
/* Writes the image, or as much of it as is possible, to a file. */
#define CKPT_WRITE	_IOWR(CKPT_IOC_MAGIC, 0x08, struct ckpt_write)
/* Names a file that is not saved, or is handed in, from now on. */
#define CKPT_EXTERNAL	_IOW(CKPT_IOC_MAGIC, 0x09, struct ckpt_external)

/*
 * Stops a container only until its image can be made from copies of its memory,
 * which is then read from here while the container goes on.
 */
#define CKPT_SNAPSHOT	_IOW(CKPT_IOC_MAGIC, 0x0a, struct ckpt_suspend)

/* Has images carry a note for whoever restores them, such as settings of the cgroup. */
#define CKPT_NOTE	_IOW(CKPT_IOC_MAGIC, 0x0b, struct ckpt_note)

#endif /* _UAPI_LINUX_CKPT_H */
