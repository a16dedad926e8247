// SPDX-License-Identifier: GPL-2.0
/*
 * Two CPUs charge and uncharge in one container at once: from stock, by the controller's own bc.h and
 * stock.c, and a counter that they share, as controllers without stock have.
 *
 * Prints a line for each: what, threads, nanoseconds of a charge and an uncharge.
 */

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "internal.h"

#define PAIRS 20000000L
#define ROUNDS 5
/* What resources with stock have of it. */
#define STOCK 8

char *cpu_base[2];
__thread int preempt_count;
__thread struct task_struct *current;
struct css_set init_css_set;

/* What a CPU has, a stock among it. */
static __thread _Alignas(64) char area[4096];

static struct bc_cgroup container;
static struct css_set css_set = { .subsys = { &container.css } };
static struct task_struct task = { .cgroups = &css_set };

/* Who goes past the stock comes here; the kernel's own is in Rust, and not on the way measured. */
static long refills;

int bc_refill(struct bc_cgroup *bc, enum bc_resource res)
{
	__atomic_add_fetch(&refills, 1, __ATOMIC_RELAXED);
	bc_stock_fill(bc, res);
	return 0;
}

int bc_advance(struct bc_cgroup *bc, enum bc_resource res, unsigned int cpus, int avail)
{
	return STOCK;
}

int bc_refill_pages(struct bc_cgroup *bc, enum bc_resource res, unsigned long nr,
		    enum bc_severity severity)
{
	return bc_refill(bc, res);
}

int bc_grant_pages(struct bc_cgroup *bc, enum bc_resource res, unsigned long nr,
		   enum bc_severity severity)
{
	return bc_refill(bc, res);
}

int bc_grant(struct bc_cgroup *bc, enum bc_resource res, unsigned int nr,
	     enum bc_severity severity, bool final)
{
	return bc_refill(bc, res);
}

void bc_release(struct bc_cgroup *bc, enum bc_resource res, long nr)
{
	__atomic_add_fetch(&refills, 1, __ATOMIC_RELAXED);
}

void bc_make_room(struct bc_cgroup *bc, enum bc_resource res)
{
	abort();
}

void *alloc_percpu_bytes(size_t size)
{
	if (size > sizeof(area))
		abort();
	/* The same in each thread. */
	return (void *)(area - (char *)__builtin_thread_pointer());
}

/* A counter as that of kernel/cgroup/pids.c: usage, peak and limit. */
static struct {
	long usage;
	long peak;
	long limit;
} shared = { .limit = 1L << 40 };

static int shared_charge(void)
{
	long usage = __atomic_add_fetch(&shared.usage, 1, __ATOMIC_SEQ_CST);

	if (unlikely(usage > READ_ONCE(shared.limit))) {
		__atomic_sub_fetch(&shared.usage, 1, __ATOMIC_SEQ_CST);
		return -EAGAIN;
	}
	if (usage > READ_ONCE(shared.peak))
		WRITE_ONCE(shared.peak, usage);
	return 0;
}

static void shared_uncharge(void)
{
	__atomic_sub_fetch(&shared.usage, 1, __ATOMIC_SEQ_CST);
}

static noinline int from_stock(long pairs)
{
	struct file file;

	for (; pairs; pairs--) {
		if (bc_charge_file(&file))
			return 1;
		/* The compiler knows nothing of the file between its two ends. */
		asm volatile("" : "+m" (file));
		bc_uncharge_file(&file);
	}
	return 0;
}

static noinline int from_shared(long pairs)
{
	for (; pairs; pairs--) {
		if (shared_charge())
			return 1;
		barrier();
		shared_uncharge();
	}
	return 0;
}

struct cpu {
	pthread_t thread;
	int nr;
	int (*work)(long pairs);
	pthread_barrier_t *start;
	double nsec;
	int failed;
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static void *run(void *arg)
{
	struct cpu *cpu = arg;
	cpu_set_t allowed, own;
	double start;
	int i, skip = cpu->nr;

	/* The nr-th CPU of those that this process may use. */
	CPU_ZERO(&own);
	CPU_ZERO(&allowed);
	/* Without one, the next call fails. */
	sched_getaffinity(0, sizeof(allowed), &allowed);
	for (i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &allowed) && !skip--)
			CPU_SET(i, &own);
	cpu->failed = pthread_setaffinity_np(pthread_self(), sizeof(own), &own) != 0;

	cpu_base[cpu->nr] = __builtin_thread_pointer();
	memset(area, 0, sizeof(area));
	current = &task;
	/* So that the stock is filled. */
	cpu->failed |= cpu->work(STOCK);
	pthread_barrier_wait(cpu->start);
	start = now();
	cpu->failed |= cpu->work(PAIRS);
	cpu->nsec = (now() - start) / PAIRS;
	return NULL;
}

/* The time of the slower of @threads. */
static double measure(int (*work)(long pairs), int threads)
{
	pthread_barrier_t start;
	struct cpu cpus[2];
	double slowest = 0;
	int i;

	pthread_barrier_init(&start, NULL, threads);
	for (i = 0; i < threads; i++) {
		cpus[i] = (struct cpu) { .nr = i, .work = work, .start = &start, .failed = 1 };
		if (pthread_create(&cpus[i].thread, NULL, run, &cpus[i]))
			exit(2);
	}
	for (i = 0; i < threads; i++) {
		pthread_join(cpus[i].thread, NULL);
		if (cpus[i].failed) {
			fprintf(stderr, "a charge was refused, or there are not %d CPUs\n", threads);
			exit(1);
		}
		if (cpus[i].nsec > slowest)
			slowest = cpus[i].nsec;
	}
	pthread_barrier_destroy(&start);
	return slowest;
}

int main(void)
{
	int round, threads;

	container.online = true;
	container.stock = alloc_percpu_bytes(sizeof(struct bc_stock));
	for (round = 0; round < ROUNDS; round++) {
		for (threads = 1; threads <= 2; threads++) {
			printf("stock %d %.3f\n", threads, measure(from_stock, threads));
			printf("shared %d %.3f\n", threads, measure(from_shared, threads));
		}
	}
	/* Each thread fills its stock once, and then has too much once. */
	if (refills != 2 * 3 * ROUNDS) {
		fprintf(stderr, "%ld times past the stock, not %d\n", refills, 2 * 3 * ROUNDS);
		return 1;
	}
	return shared.usage != 0;
}
