/* SPDX-License-Identifier: GPL-2.0 */
/* What can be done: by a worker in its cgroup, or by the program to cgroups. */
#ifndef _SELFTESTS_BC_MODEL_STEP_H
#define _SELFTESTS_BC_MODEL_STEP_H

#include <sys/types.h>

#define MODEL_WORKERS	4
#define MODEL_CGROUPS	8
#define MODEL_SLOTS	16	/* descriptors of a worker */
#define MODEL_TIMERS	8
#define MODEL_CHILDREN	6
#define MODEL_INODES	3	/* files that are locked */
#define MODEL_TABLES	4	/* of nftables */

enum model_op {
	/* By the program. */
	OP_MKDIR,	/* x: parent, y: cgroup */
	OP_RMDIR,	/* x: cgroup */
	OP_ENABLE,	/* x: cgroup */
	OP_DISABLE,	/* x: cgroup */
	OP_SET,		/* x: cgroup, y: resource, slot: setting, z: value */
	OP_SET_WRONG,	/* x: cgroup, y: resource, slot: setting, z: how */
	OP_MOVE,	/* x: cgroup, or -1 */
	OP_SPAWN,	/* x: cgroup */
	OP_END,
	OP_KILL,
	/* By a worker. */
	OP_OPEN,	/* slot */
	OP_CLOSE,	/* slot */
	OP_DUP,		/* slot, to: free */
	OP_PIPE,	/* slot, to */
	OP_SOCKET,	/* slot, x: family of a table */
	OP_PAIR,	/* slot, to */
	OP_LISTEN,	/* slot, x: 0 TCP, 1 Unix; z: name */
	OP_CONNECT,	/* slot; other, to: listener; x, z; y: is dropped */
	OP_ACCEPT,	/* slot: listener, to: free */
	OP_PTY,		/* slot */
	OP_SLAVE,	/* slot: master, to: free */
	OP_LOCKFILE,	/* slot, x: inode */
	OP_FLOCK,	/* slot, x: type */
	OP_POSIX,	/* slot, x: type, y: start, z: end */
	OP_OFD,		/* the same */
	OP_QUEUE,	/* other: receiver */
	OP_SIGNAL,	/* other: receiver, x: signal of a table */
	OP_COLLECT,	/* x: signal of a table */
	OP_TIMER,	/* slot */
	OP_UNTIMER,	/* slot */
	OP_FORK,	/* slot: child, x: does it keep the files */
	OP_EXEC,	/* slot: child */
	OP_WAIT,	/* slot: child */
	OP_THREAD,
	OP_UNTHREAD,
	OP_TABLE,	/* x: table */
	OP_UNTABLE,	/* x: table */
	OP_RULE,	/* x: table, y: how many */
	OP_FLUSH,	/* x: table */
	OP_SEND,	/* slot, other: receiver, to: its slot */
	OP_KINDS,
};

enum model_family {
	FAMILY_TCP,
	FAMILY_UDP,
	FAMILY_UNIX,
	FAMILIES,
};

/* A signal that queues, and two of which there is one at a time. */
enum model_signal {
	SIGNAL_QUEUED,
	SIGNAL_FIRST,
	SIGNAL_SECOND,
	SIGNALS,
};

struct model_step {
	enum model_op op;
	int worker;
	int slot;
	int to;
	int other;
	pid_t pid;	/* of the other */
	long x, y, z;
};

/* What came of it: 0 or -errno, and a value. */
struct model_result {
	int err;
	long value;
};

/* The step has no effect where it is. */
#define MODEL_VOID	1

#endif /* _SELFTESTS_BC_MODEL_STEP_H */
