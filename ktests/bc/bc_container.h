/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SELFTESTS_BC_CONTAINER_H
#define _SELFTESTS_BC_CONTAINER_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * A container: a cgroup with settings for all resources, in which a process
 * has pid, mount and network namespaces of its own and some of everything that
 * is counted.
 */
struct bc_container {
	char *cgroup;
	pid_t pid;	/* 0 when there is none */
	unsigned long long cpu;	/* what that had used when it held all it should */
};

/* What a step took, in nanoseconds of all processors, without kernel threads. */
struct bc_container_cost {
	/* cgroup, settings, namespaces, mounts */
	unsigned long long make;
	/* all that it holds */
	unsigned long long load;
	/* its end, and the removal of the cgroup */
	unsigned long long end;
};

/* What each container holds of a resource. */
struct bc_container_share {
	const char *resource;
	long held;
};

extern const struct bc_container_share bc_container_shares[];
extern const int bc_container_nr_shares;

/*
 * Make one below a cgroup, with settings if that has the controller enabled.
 * Returns 0 when it is up and holds all it should, or -errno; then there is
 * nothing left of it. The cost may be NULL.
 */
int bc_container_make(struct bc_container *container, const char *parent,
		      int nr, struct bc_container_cost *cost);
/* End it and remove its cgroup. */
int bc_container_end(struct bc_container *container,
		     struct bc_container_cost *cost);

/* A cgroup holds as much as so many containers: true if it does not. */
#define holds_not(cgroup, nr) \
	bc_container_holds_not(cgroup, nr, __FILE__, __LINE__)
/* Something is left of containers that have ended: true if it stays. */
#define something_stays(parent) \
	bc_container_stays(parent, __FILE__, __LINE__)

bool bc_container_holds_not(const char *cgroup, long nr,
			    const char *file, int line);
bool bc_container_stays(const char *parent, const char *file, int line);

#endif /* _SELFTESTS_BC_CONTAINER_H */
