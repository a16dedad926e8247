/* SPDX-License-Identifier: GPL-2.0 */
/*
 * As much of the kernel as bc.h and stock.c need to run in a program on x86_64, where a thread is a
 * CPU: what is on the way of a charge from stock touches memory as it does in the kernel, by the same
 * instructions where they are per-CPU ones; the rest is only declared.
 */
#ifndef _CONTENDED_KERNEL_H
#define _CONTENDED_KERNEL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#define __percpu
#define __init
#define __ro_after_init
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define noinline __attribute__((noinline))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define barrier() asm volatile("" ::: "memory")
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define swap(a, b) do { typeof(a) _a = (a); (a) = (b); (b) = _a; } while (0)
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile typeof(x) *)&(x) = (value))
#define xchg(ptr, value) __atomic_exchange_n(ptr, value, __ATOMIC_SEQ_CST)
#define smp_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define HZ 1000
#define EXPORT_SYMBOL_GPL(name)
#define core_initcall(function) void *const initcall_##function = function

static inline void *ERR_PTR(long error)
{
	return (void *)error;
}

static inline long PTR_ERR(const void *ptr)
{
	return (long)ptr;
}

static inline bool IS_ERR(const void *ptr)
{
	return (unsigned long)ptr >= -4095UL;
}

static inline int PTR_ERR_OR_ZERO(const void *ptr)
{
	return IS_ERR(ptr) ? PTR_ERR(ptr) : 0;
}

/* What a CPU has is at the same offset from the thread pointer of each thread. */

#define this_cpu_add_return(var, nr) ({					\
	int _old = (nr);						\
	asm volatile("xaddl %0, %%fs:%1" : "+r" (_old), "+m" (var) :: "memory", "cc"); \
	_old + (nr);							\
})
#define this_cpu_inc_return(var) this_cpu_add_return(var, 1)
#define this_cpu_dec_return(var) this_cpu_add_return(var, -1)
#define this_cpu_sub_return(var, nr) this_cpu_add_return(var, -(nr))

#define this_cpu_add(var, nr) \
	asm volatile("addl %1, %%fs:%0" : "+m" (var) : "ri" ((int)(nr)) : "memory", "cc")
#define this_cpu_inc(var) this_cpu_add(var, 1)

#define this_cpu_read(var) ({						\
	int _value;							\
	asm volatile("movl %%fs:%1, %0" : "=r" (_value) : "m" (var));	\
	_value;								\
})
#define this_cpu_write(var, value) \
	asm volatile("movl %1, %%fs:%0" : "=m" (var) : "ri" ((int)(value)) : "memory")

#define try_cmpxchg_local(ptr, old, new) ({				\
	bool _done;							\
	asm volatile("cmpxchgl %3, %1"					\
		     : "=@ccz" (_done), "+m" (*(ptr)), "+a" (*(old))	\
		     : "r" ((int)(new)) : "memory");			\
	_done;								\
})

/* Offsets from here are what the kernel calls per-CPU pointers. */
extern char *cpu_base[2];
#define per_cpu_ptr(ptr, cpu) ((typeof(ptr))(cpu_base[cpu] + (size_t)(ptr)))
#define this_cpu_ptr(ptr) ((typeof(ptr))((char *)__builtin_thread_pointer() + (size_t)(ptr)))

extern __thread int preempt_count;

static __always_inline void preempt_disable(void)
{
	preempt_count++;
	barrier();
}

static __always_inline void preempt_enable(void)
{
	barrier();
	/* Where the kernel would look whether another task is to run. */
	if (unlikely(--preempt_count < 0))
		abort();
}

struct cgroup_subsys_state {
	struct cgroup_subsys_state *parent;
};

struct css_set {
	struct cgroup_subsys_state *subsys[1];
};

struct task_struct {
	struct css_set *cgroups;
};

extern __thread struct task_struct *current;
extern struct css_set init_css_set;
#define bc_cgrp_id 0
#define task_css_check(task, id, c) READ_ONCE(READ_ONCE((task)->cgroups)->subsys[id])

/* The controller is in use: the kernel has patched the branch. */
struct static_key_false_deferred {
	int key;
};
#define DEFINE_STATIC_KEY_DEFERRED_FALSE(name, delay) struct static_key_false_deferred name
#define static_branch_unlikely(key) true
#define static_branch_deferred_inc(key) ((void)(key))
#define static_branch_slow_dec_deferred(key) ((void)(key))

/* Scopes, of which only that without preemption does anything. */
static __always_inline int guard_preempt(void)
{
	preempt_disable();
	return 0;
}

static __always_inline void unguard_preempt(int *scope)
{
	preempt_enable();
}

static __always_inline int guard_rcu(void)
{
	return 0;
}

static __always_inline void unguard_rcu(int *scope) { }

static __always_inline int guard_mutex(void *lock)
{
	return 0;
}

static __always_inline void unguard_mutex(int *scope) { }

#define guard(kind) \
	__attribute__((cleanup(unguard_##kind), unused)) int guarded = guard_##kind
#define scoped_guard(kind, ...) \
	for (__attribute__((cleanup(unguard_##kind))) int guarded = guard_##kind(__VA_ARGS__); \
	     !guarded; guarded = 1)

/* What nothing here gets to. */
struct work_struct { int unused; };
struct rcu_work { struct work_struct work; };
struct mutex { int unused; };
struct cgroup_file { int unused; };
struct workqueue_struct;
struct file { struct bc_cgroup *f_bc; };
struct list_head { struct list_head *next, *prev; };
static inline void INIT_LIST_HEAD(struct list_head *list) { list->next = list->prev = list; }
struct file_lock {
	struct {
		unsigned char flc_bc_state;
		union {
			struct { struct list_head head; } flc_wait;
			struct bc_cgroup *flc_bc;
		};
	} c;
};
struct sigqueue { struct bc_cgroup *bc; };
struct tty_struct { struct bc_cgroup *bc; struct tty_struct *link; };
struct seq_file;
typedef unsigned int gfp_t;
typedef unsigned int u32;
typedef unsigned long long u64;

#define WQ_MEM_RECLAIM 0
#define WQ_PERCPU 0
#define GFP_KERNEL_ACCOUNT 0
#define CPUHP_BP_PREPARE_DYN 0
#define system_dfl_wq NULL
#define system_percpu_wq NULL
#define for_each_online_cpu(cpu) for ((cpu) = 0; (cpu) < 2; (cpu)++)
#define for_each_possible_cpu(cpu) for_each_online_cpu(cpu)
#define num_online_cpus() 2
#define smp_processor_id() 0
#define cpu_is_isolated(cpu) false
#define css_for_each_descendant_pre(css, root) \
	for ((css) = (root); (css); (css) = NULL)
#define task_get_css(task, id) task_css_check(task, id, true)
#define css_tryget(css) true
#define css_get(css) ((void)(css))
#define css_put(css) ((void)(css))
#define rcu_read_lock() ((void)0)
#define rcu_read_unlock() ((void)0)
#define cpus_read_lock() ((void)0)
#define cpus_read_trylock() true
#define cpus_read_unlock() ((void)0)
#define mutex_init(lock) ((void)(lock))
#define INIT_WORK(work, function) ((void)(function))
#define INIT_RCU_WORK(work, function) ((void)(function))
#define to_rcu_work(ptr) container_of(ptr, struct rcu_work, work)
#define queue_work(wq, work) ((void)(work), abort(), true)
#define queue_work_on(cpu, wq, work) ((void)(wq), (void)(work), abort())
#define queue_rcu_work(wq, work) ((void)(work), abort())
#define flush_work(work) ((void)(work), abort())
#define alloc_workqueue(name, flags, active) NULL
#define cpuhp_setup_state_nocalls(state, name, up, down) ((void)(down), 0)

void *alloc_percpu_bytes(size_t size);
#define alloc_percpu_gfp(type, gfp) ((type *)alloc_percpu_bytes(sizeof(type)))
#define free_percpu(ptr) ((void)(ptr))

#endif /* _CONTENDED_KERNEL_H */
