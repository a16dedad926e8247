/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the two halves of the checkpoint engine know of each other. C reads and
 * writes the fields of tasks and address spaces, under their locks; what they
 * mean, and how an image has them, is the matter of Rust.
 */
#ifndef _KERNEL_CKPT_INTERNAL_H
#define _KERNEL_CKPT_INTERNAL_H

#include <linux/bvec.h>
#include <linux/completion.h>
#include <linux/crc32.h>
#include <linux/elf.h>
#include <linux/limits.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/task_work.h>
#include <linux/types.h>
#include <linux/uuid.h>

struct cgroup;
struct cred;
struct file;
struct iov_iter;
struct mm_struct;
struct page;
struct pid;
struct pipe_inode_info;
struct vm_area_struct;

/* cgroup.c: the container */

struct cgroup *ckpt_cgroup_get(int fd);
void ckpt_cgroup_put(struct cgroup *cgrp);
bool ckpt_cgroup_empty(struct cgroup *cgrp);
bool ckpt_cgroup_gone(struct cgroup *cgrp);
int ckpt_cgroup_may(struct cgroup *cgrp);
bool ckpt_cgroup_vforks(struct cgroup *cgrp);
bool ckpt_cgroup_has(struct cgroup *cgrp, struct task_struct *task);
long ckpt_cgroup_tasks(struct cgroup *cgrp, struct task_struct **tasks,
		       size_t size);
void ckpt_cgroup_kill(struct cgroup *cgrp);
bool ckpt_cgroup_frozen(struct cgroup *cgrp);

/* What of memory is charged while somebody else is to pay for it. */
struct ckpt_charge {
	struct mem_cgroup *memcg;
	struct mem_cgroup *before;
};

void ckpt_charge_begin(struct ckpt_charge *charge, struct cgroup *cgrp);
void ckpt_charge_end(struct ckpt_charge *charge);

/* refuse.c: what is not supported */

const char *ckpt_refuse_task(struct task_struct *task, bool first, u32 *from);
const char *ckpt_confined(void);
const char *ckpt_refuse_kind(struct file *file);
const char *ckpt_refuse_file(struct file *file, const struct cred *owner);

/* tree.c: which processes there are, and who belongs to whom */

enum ckpt_process_flags {
	CKPT_PROCESS_SUBREAPER = 1 << 0,
	CKPT_PROCESS_CONTINUED = 1 << 1,	/* and its parent was not told yet */
	CKPT_PROCESS_INIT = 1 << 2,		/* of a pid namespace below the caller's */
	CKPT_PROCESS_FLAGS = (1 << 3) - 1,
};

struct ckpt_process {
	s32 pid;
	s32 parent;
	s32 pgrp;
	s32 session;
	s32 exit_signal;
	s32 oom_score_adj;
	s32 oom_score_adj_min;
	u32 dumpable;
	u32 flags;
	u32 stop;	/* the signal that has stopped it */
	u32 stop_told;	/* the same, if its parent was not told yet */
};

/* A process, and the numbers that its group and its session get. */
struct ckpt_group {
	struct task_struct *task;
	struct pid *pgrp;
	struct pid *session;
	struct pid *left[4];	/* what nobody has any more, by type */
};

struct task_struct *ckpt_task_leader(struct task_struct *task);
s32 ckpt_task_tid(struct task_struct *task);
s32 ckpt_task_outer_tid(struct task_struct *task);
bool ckpt_task_in_pidns(struct task_struct *task, struct task_struct *other);
bool ckpt_task_ended(struct task_struct *task);
u32 ckpt_task_status(struct task_struct *task);
long ckpt_children(struct task_struct *leader, struct task_struct **children,
		   size_t size);
long ckpt_members(struct task_struct *of, s32 number, bool session);
void ckpt_task_process(struct task_struct *task, struct ckpt_process *process);
int ckpt_task_set_process(const struct ckpt_process *process);
int ckpt_task_leave(void);
void ckpt_task_set_dumpable(u32 dumpable);
struct pid *ckpt_pid_of(struct task_struct *task);
struct pid *ckpt_pid_new(struct task_struct *member, s32 number);
bool ckpt_pidns_differs(struct task_struct *task);
void ckpt_pidns_pass(struct task_struct *task, s32 number);
void ckpt_pid_free(struct pid *pid);
int ckpt_groups_set(struct ckpt_group *groups, size_t nr);

/* seccomp.c: which system calls a thread may make */

/* The most that the instructions of a filter are, in bytes. */
#define CKPT_FILTER	32768

enum ckpt_filter_flags {
	CKPT_FILTER_LOG = 1 << 0,
};

struct ckpt_filter {
	u64 key;		/* the same for all tasks that share it */
	u32 flags;
	u32 size;		/* of its instructions, in bytes */
	bool listener;
};

u32 ckpt_seccomp_mode(struct task_struct *task);
int ckpt_seccomp_filter(struct task_struct *task, u32 newer, struct ckpt_filter *filter,
			void *insns, size_t size);
int ckpt_seccomp_add(u32 flags, const void *insns, size_t size);
int ckpt_seccomp_share(struct task_struct *with, u32 older);
int ckpt_seccomp_strict(void);

/* signals.c */

#define CKPT_SIGNALS	64
#define CKPT_SIGINFO	48

struct ckpt_mask {
	u64 blocked;
	u64 saved;
	u64 stack;
	u64 stack_size;
	u32 stack_flags;
	u32 restore_saved;
};

struct ckpt_action {
	u64 handler;
	u64 flags;
	u64 restorer;
	u64 mask;
};

/* The first bytes of a siginfo_t, which the kernel uses. */
struct ckpt_siginfo {
	u64 words[CKPT_SIGINFO / 8];
};

void ckpt_task_mask(struct task_struct *task, struct ckpt_mask *mask);
int ckpt_task_set_mask(const struct ckpt_mask *mask);
int ckpt_task_actions(struct task_struct *task,
		      struct ckpt_action actions[CKPT_SIGNALS]);
int ckpt_task_set_actions(const struct ckpt_action actions[CKPT_SIGNALS]);
long ckpt_task_pending(struct task_struct *task, bool shared,
		       struct ckpt_siginfo *infos, size_t size);
int ckpt_task_add_pending(bool shared, const struct ckpt_siginfo *info);
int ckpt_task_stop(struct task_struct *task, u32 signal);
void ckpt_task_stopped(struct task_struct *task, u32 told);
bool ckpt_task_hush(struct task_struct *task);
void ckpt_task_unhush(struct task_struct *task);

/* timers.c */

#define CKPT_ITIMERS	3

/* In ns; 0 left if a timer is not set. */
struct ckpt_itimers {
	u64 left[CKPT_ITIMERS];
	u64 interval[CKPT_ITIMERS];
};

int ckpt_task_itimers(struct task_struct *task, struct ckpt_itimers *timers);
int ckpt_task_set_itimers(const struct ckpt_itimers *timers);

enum ckpt_timer_flags {
	CKPT_TIMER_QUEUED = 1 << 0,	/* its signal waits */
	CKPT_TIMER_ABSOLUTE = 1 << 1,	/* @left is a time of the real-time clock */
	CKPT_TIMER_FLAGS = (1 << 2) - 1,
};

/* A POSIX timer; times are in ns. */
struct ckpt_timer {
	s32 id;
	s32 clock;
	s32 notify;
	s32 signal;
	s32 thread;	/* who gets the signal; 0 is any */
	u32 flags;
	u64 value;
	u64 left;
	u64 interval;
	s64 overrun;
	s64 overrun_last;
};

size_t ckpt_task_timers(struct task_struct *task, struct ckpt_timer *timers,
			size_t size);
int ckpt_task_add_timer(const struct ckpt_timer *timer);

/* creds.c: who a thread is, and what it may do */

struct ckpt_cred {
	u32 uid;
	u32 euid;
	u32 suid;
	u32 fsuid;
	u32 gid;
	u32 egid;
	u32 sgid;
	u32 fsgid;
	u32 securebits;
	u64 inheritable;
	u64 permitted;
	u64 effective;
	u64 bounding;
	u64 ambient;
};

bool ckpt_cred_known(const struct cred *cred);
size_t ckpt_cred(const struct cred *cred, struct ckpt_cred *into, u32 *groups,
		 size_t size);
int ckpt_cred_set(const struct ckpt_cred *cred, const u32 *groups, size_t nr);
const struct cred *ckpt_cred_opener(const struct ckpt_cred *cred, const u32 *groups, size_t nr);

/* task.c: what a thread has besides its memory, files and registers */

struct ckpt_settings {
	u32 personality;
	u32 no_new_privs;
	u64 timer_slack;
	u32 death_signal;
	char comm[TASK_COMM_LEN];
	u32 policy;
	s32 nice;
	u32 priority;
	u32 sched_flags;
	u64 slice;
	u32 io_priority;
	u32 login;
};

/* What is in memory, and known to the kernel. */
struct ckpt_thread {
	u64 rseq;
	u32 rseq_len;
	u32 rseq_sig;
	u64 robust;
	u64 clear_tid;
};

enum ckpt_restart_kind {
	CKPT_RESTART_NONE,
	CKPT_RESTART_NANOSLEEP,
	CKPT_RESTART_POLL,
	CKPT_RESTART_FUTEX,
};

enum ckpt_restart_futex {
	CKPT_FUTEX_SHARED = 1 << 0,
	CKPT_FUTEX_REALTIME = 1 << 1,
};

/*
 * A call that goes on after the freeze; @left is what remains of its time, in ns,
 * but for a futex by the realtime clock, whose time stays.
 */
struct ckpt_restart {
	u32 kind;
	u32 clock;	/* CKPT_FUTEX_* for a futex */
	u64 address;
	u64 count;
	s64 left;
};

#define CKPT_RLIMITS	16

const char *ckpt_release(void);
int ckpt_may(bool restore);
bool ckpt_is_user(const struct cred *cred);
int ckpt_task_may(struct task_struct *task);
bool ckpt_task_settle(struct task_struct *task);
bool ckpt_task_killed(struct task_struct *task);
void ckpt_task_settings(struct task_struct *task, struct ckpt_settings *settings);
int ckpt_task_set_login(u32 login);
int ckpt_task_set_scheduling(const struct ckpt_settings *settings);
int ckpt_task_set_settings(const struct ckpt_settings *settings);
void ckpt_task_set_name(const char *name);
void ckpt_task_set_death_signal(struct task_struct *task, u32 signal);
size_t ckpt_task_affinity(struct task_struct *task, void *mask, size_t size);
int ckpt_task_set_affinity(const void *mask, size_t size);
void ckpt_task_thread(struct task_struct *task, struct ckpt_thread *thread);
int ckpt_task_set_thread(const struct ckpt_thread *thread);
int ckpt_task_restart(struct task_struct *task, struct ckpt_restart *restart);
int ckpt_task_set_restart(struct task_struct *task,
			  const struct ckpt_restart *restart);
void ckpt_task_rlimits(struct task_struct *task, u64 limits[2 * CKPT_RLIMITS]);
int ckpt_task_raise_rlimits(const u64 limits[2 * CKPT_RLIMITS]);
int ckpt_task_set_rlimits(struct task_struct *task, const u64 limits[2 * CKPT_RLIMITS]);

/* regs.c: registers, by the sets that core dumps have */

size_t ckpt_regs_size(u32 note);
long ckpt_regs(struct task_struct *task, u32 note, void *buf, size_t size);
int ckpt_set_regs(struct task_struct *task, u32 note, const void *buf,
		  size_t size);

/* mm.c: address spaces */

struct ckpt_layout {
	u64 start_code;
	u64 end_code;
	u64 start_data;
	u64 end_data;
	u64 start_brk;
	u64 brk;
	u64 start_stack;
	u64 arg_start;
	u64 arg_end;
	u64 env_start;
	u64 env_end;
	u64 mmap_base;
	u64 vdso;
	u32 vdso_crc;
};

enum ckpt_vma_kind {
	CKPT_VMA_ANON,		/* private, of nothing */
	CKPT_VMA_PRIVATE,	/* private, of a file */
	CKPT_VMA_SHARED,	/* shared, of a file */
	CKPT_VMA_SHMEM,		/* shared, of nothing */
	CKPT_VMA_VDSO,		/* of the kernel, there from the start */
};

/* Flags of a mapping that user space can ask for. */
enum ckpt_vma_flags {
	CKPT_VMA_READ = 1 << 0,
	CKPT_VMA_WRITE = 1 << 1,
	CKPT_VMA_EXEC = 1 << 2,
	CKPT_VMA_GROWSDOWN = 1 << 3,
	CKPT_VMA_NORESERVE = 1 << 4,
	CKPT_VMA_DONTFORK = 1 << 5,
	CKPT_VMA_WIPEONFORK = 1 << 6,
	CKPT_VMA_DONTDUMP = 1 << 7,
	CKPT_VMA_HUGEPAGE = 1 << 8,
	CKPT_VMA_NOHUGEPAGE = 1 << 9,
	CKPT_VMA_SEQUENTIAL = 1 << 10,
	CKPT_VMA_RANDOM = 1 << 11,
	CKPT_VMA_MERGEABLE = 1 << 12,
	CKPT_VMA_ACCOUNT = 1 << 13,	/* private, and was writable */
	CKPT_VMA_LOCKED = 1 << 14,
	CKPT_VMA_ONFAULT = 1 << 15,	/* locked when a page comes */
	CKPT_VMA_FLAGS = (1 << 16) - 1,
};

/* The longest name of a mapping, with a final 0. */
#define CKPT_VMA_NAME	80

struct ckpt_vma {
	u64 start;
	u64 end;
	u64 offset;
	u32 kind;
	u32 flags;
	bool guarded;		/* it may have guard pages */
	u64 family;		/* the same for whatever fork() has made of it; 0 without pages */
	struct file *file;	/* of CKPT_VMA_PRIVATE and later, with a reference */
	const char *refusal;	/* why it cannot be saved */
	char name[CKPT_VMA_NAME];
};

struct mm_struct *ckpt_mm_get(struct task_struct *task);
u64 ckpt_mm_key(struct task_struct *task, u32 *users);
struct mm_struct *ckpt_mm_snapshot(struct mm_struct *mm);
void ckpt_mm_layout(struct mm_struct *mm, struct ckpt_layout *layout);
size_t ckpt_mm_auxv(struct mm_struct *mm, void *buf, size_t size);
struct file *ckpt_mm_exe(struct mm_struct *mm);
int ckpt_mm_vma(struct mm_struct *mm, u64 from, struct ckpt_vma *vma);

int ckpt_mm_renew(void);
int ckpt_mm_fork(struct mm_struct *origin);
int ckpt_mm_map(const struct ckpt_vma *vma);
int ckpt_mm_unmap(u64 start, u64 end);
int ckpt_mm_guard(u64 start, u64 end);
int ckpt_mm_unguard(u64 start, u64 end);
int ckpt_mm_drop(struct mm_struct *mm, u64 start, u64 end);
int ckpt_mm_set_layout(const struct ckpt_layout *layout, const void *auxv,
		       size_t size, struct file *exe);

/* arch: the code that the kernel maps into every process */

u64 ckpt_arch_vdso(struct mm_struct *mm);
u32 ckpt_arch_vdso_crc(void);
bool ckpt_arch_is_vdso(struct vm_area_struct *vma);
int ckpt_arch_map_vdso(u64 address);
bool ckpt_arch_restarts(struct task_struct *task);
const char *ckpt_arch_refuse(struct task_struct *task);

/* pages.c: memory */

/* Adjacent pages, or a hole: places where only the origin has some. */
struct ckpt_run {
	u64 position;
	u64 bytes;
	bool hole;
};

/* A page and its address. */
struct ckpt_place {
	u64 at;
	struct page *page;
};

#define CKPT_PAGES	512
#define CKPT_RUNS	128

/* What was found in memory: runs, and the pages of those that are no holes, with references. */
struct ckpt_found {
	struct page *pages[CKPT_PAGES];
	struct ckpt_run runs[CKPT_RUNS];
	u32 nr_pages, nr_runs;
	/* Room for what is compared. */
	struct ckpt_place own[CKPT_PAGES], others[CKPT_PAGES];
};

int ckpt_pages_scan(struct mm_struct *mm, struct mm_struct *origin, u64 *from,
		    u64 end, struct ckpt_found *found);
int ckpt_pages_in_common(struct mm_struct *mm, struct mm_struct *other, u64 from, u64 end,
			 struct ckpt_found *room);
int ckpt_pages_file(struct file *file, u64 *from, struct ckpt_found *found);
int ckpt_pages_guard(struct mm_struct *mm, u64 *from, u64 end, u64 *start);
int ckpt_page_to_file(struct page *page, struct file *file, u64 at);
void ckpt_pages_put(struct page **pages, u32 nr);
int ckpt_pages_fill(struct mm_struct *mm, u64 address, const void *buf,
		    size_t size);
long ckpt_pages_read(struct mm_struct *mm, u64 address, size_t size, struct file *file);

/* stream.c: the ways out of an image */

size_t ckpt_page_to_iter(struct page *page, size_t offset, size_t size,
			 struct iov_iter *to);
u32 ckpt_pipe_room(struct pipe_inode_info *pipe);
long ckpt_pages_to_pipe(struct page **pages, size_t offset, size_t size,
			struct pipe_inode_info *pipe);
long ckpt_bytes_to_pipe(const void *buf, size_t size,
			struct pipe_inode_info *pipe);

/* Bytes and pages that are written together. */
#define CKPT_GATHER	128
struct ckpt_gather {
	struct bio_vec bvec[CKPT_GATHER];
	size_t size;
	u32 nr;
};

size_t ckpt_gather_bytes(struct ckpt_gather *gather, const void *buf, size_t size);
size_t ckpt_gather_page(struct ckpt_gather *gather, struct page *page, size_t offset,
			size_t size);
long ckpt_gather_write(struct ckpt_gather *gather, struct file *file);

/* files.c */

struct ckpt_file {
	u64 position;
	u64 size;
	u32 flags;
	u32 mode;
	u32 rdev;
};

struct file *ckpt_file_next(struct task_struct *task, u32 *fd, bool *cloexec);
u32 ckpt_file_references(struct file *file);
void ckpt_file_state(struct file *file, struct ckpt_file *state);
long ckpt_file_path(struct file *file, char *buf, size_t size);
const struct cred *ckpt_file_opener(struct file *file, const struct cred *owner);
struct file *ckpt_file_open(const char *path, const struct ckpt_file *state,
			    const struct cred *opener);
struct file *ckpt_file_reopen(struct file *file, const struct ckpt_file *state,
			      const struct cred *opener);
struct file *ckpt_file_shmem(u64 size);
int ckpt_file_write(struct file *file, const void *buf, size_t size, u64 at);
int ckpt_files_clear(void);
int ckpt_file_install(u32 fd, struct file *file, bool cloexec);
u64 ckpt_files_key(struct task_struct *task, u32 *users);
int ckpt_files_share(struct task_struct *with);

struct file *ckpt_fs_cwd(struct task_struct *task, u32 *umask);
int ckpt_fs_set(struct file *cwd, u32 umask);
u64 ckpt_fs_key(struct task_struct *task, u32 *users);
int ckpt_fs_share(struct task_struct *with);

loff_t *ckpt_file_pos(struct file *file);
bool ckpt_image_is_readable(struct file *file);
bool ckpt_image_is_file(struct file *file);
long ckpt_image_read(struct file *file, void *buf, size_t size, bool ahead);
void ckpt_image_took(struct file *file, size_t size);

/* deleted.c: files that were deleted while they were open */

struct ckpt_deleted {
	u64 size;
	s64 atime;
	s64 mtime;
	u32 atime_ns;
	u32 mtime_ns;
	u32 mode;
	u32 uid;
	u32 gid;
};

u64 ckpt_deleted_key(struct file *file);
const char *ckpt_deleted_refuse(struct file *file);
void ckpt_deleted_state(struct file *file, struct ckpt_deleted *state);
struct file *ckpt_deleted_content(struct file *file);
struct file *ckpt_deleted_make(const char *path, const struct ckpt_deleted *state);
int ckpt_deleted_finish(struct file *file, const struct ckpt_deleted *state);

/* pipe.c: pipes, with what is in them */

u64 ckpt_pipe_key(struct file *file, u32 *files);
const char *ckpt_pipe_refuse(struct file *file);
u32 ckpt_pipe_size(struct file *file);
long ckpt_pipe_piece(struct file *file, u32 nr, void *buf, size_t size,
		     bool *packet);
struct file *ckpt_pipe_make(u32 size);
int ckpt_pipe_add(struct file *file, const void *buf, size_t size, bool packet);
struct file *ckpt_pipe_open(struct file *file, const struct ckpt_file *state,
			    const struct cred *opener);

/* clocks.c: what the clocks of a container say */

struct ckpt_clocks {
	s64 monotonic;
	s64 boottime;
};

bool ckpt_clocks_differ(struct task_struct *task, struct task_struct *other);
void ckpt_clocks(struct task_struct *task, struct ckpt_clocks *clocks);
int ckpt_clocks_set(const struct ckpt_clocks *clocks);

/* spawn.c: tasks that are being restored */

/* What a new task shares with the one that makes it. */
enum ckpt_spawn_flags {
	CKPT_SPAWN_THREAD = 1 << 0,
	CKPT_SPAWN_FILES = 1 << 1,
	CKPT_SPAWN_FS = 1 << 2,
	CKPT_SPAWN_SIBLING = 1 << 3,	/* it has the same parent */
	CKPT_SPAWN_INIT = 1 << 4,	/* of a new pid namespace */
	CKPT_SPAWN_MEMORY = 1 << 5,	/* with the same address space */
};

/* A task on its way into user space, or to its end, and who waits for it. */
struct ckpt_parking {
	struct callback_head work;
	struct completion begun;
	struct completion mapped;
	struct completion parked;
	struct completion released;
	struct completion told;		/* of @origin */
	struct task_struct *task;
	struct mm_struct *mm;		/* which it has since it is mapped */
	struct mm_struct *origin;
	void *arg;
	int pid;
	int result;
	bool renews;
	bool ends;
	u32 status;
};

u64 ckpt_signals_block(void);
void ckpt_signals_unblock(u64 before);
int ckpt_spawn(struct ckpt_parking *parking, void *arg, int pid, int cgroup,
	       u32 flags);
void ckpt_parking_init(struct ckpt_parking *parking);
void ckpt_parking_end(struct ckpt_parking *parking, u32 status);
void ckpt_parking_destroy(struct ckpt_parking *parking);
void ckpt_parking_mapped(struct ckpt_parking *parking);
struct mm_struct *ckpt_parking_mm(struct ckpt_parking *parking);
void ckpt_parking_tell(struct ckpt_parking *parking, struct mm_struct *origin);
struct mm_struct *ckpt_parking_origin(struct ckpt_parking *parking);
int ckpt_parking_wait(struct ckpt_parking *parking);
void ckpt_parking_release(struct ckpt_parking *parking);
void ckpt_parking_kill(struct ckpt_parking *parking);
void ckpt_parking_bury(struct ckpt_parking *parking);
void ckpt_task_set_exit_signal(struct task_struct *task, int signal);

/* Implemented in Rust: rebuilds the current task. */
int ckpt_rebuild(void *arg);
/* Implemented in Rust: the argument is needed no more. */
void ckpt_forget(void *arg);

#endif /* _KERNEL_CKPT_INTERNAL_H */
