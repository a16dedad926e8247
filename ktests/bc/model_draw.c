// SPDX-License-Identifier: GPL-2.0
/*
 * Which steps are drawn, and what a draw means where a run has come to: draws
 * keep a meaning when some before them are left out.
 */
#include "model_draw.h"
#include "model_scene.h"

#define FEW_STEPS	8	/* between windows */
#define WINDOW_STEPS	40
#define RUSH_STEPS	24

/* Numbers by chance, the same for the same seed. */

static uint64_t state;

static uint32_t chance(void)
{
	uint64_t x = state += 0x9e3779b97f4a7c15;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return (x ^ (x >> 31)) >> 32;
}

/* Drawing */

static const struct {
	const char *name;
	int weight;		/* one by one */
	int at_once;		/* in a window */
} ops[OP_KINDS] = {
	[OP_MKDIR] = { "makes a cgroup", 6, 0 },
	[OP_RMDIR] = { "removes a cgroup", 4, 0 },
	[OP_ENABLE] = { "enables the controller", 6, 0 },
	[OP_DISABLE] = { "disables the controller", 3, 0 },
	[OP_SET] = { "sets", 40, 3 },
	[OP_SET_WRONG] = { "sets what is wrong", 1, 1 },
	[OP_MOVE] = { "is moved", 12, 0 },
	[OP_SPAWN] = { "starts", 20, 0 },
	[OP_END] = { "ends", 2, 0 },
	[OP_KILL] = { "is killed", 3, 0 },
	[OP_OPEN] = { "opens a file", 10, 12 },
	[OP_CLOSE] = { "closes", 24, 30 },
	[OP_DUP] = { "duplicates", 4, 4 },
	[OP_PIPE] = { "makes a pipe", 6, 6 },
	[OP_SOCKET] = { "makes a socket", 8, 10 },
	[OP_PAIR] = { "makes a pair of sockets", 6, 6 },
	[OP_LISTEN] = { "listens", 5, 0 },
	[OP_CONNECT] = { "connects", 12, 0 },
	[OP_ACCEPT] = { "accepts", 7, 0 },
	[OP_PTY] = { "opens a terminal", 7, 8 },
	[OP_SLAVE] = { "opens its other end", 4, 3 },
	[OP_LOCKFILE] = { "opens a file to lock", 10, 8 },
	[OP_FLOCK] = { "flocks", 8, 8 },
	[OP_POSIX] = { "locks", 30, 24 },
	[OP_OFD] = { "locks by file", 14, 12 },
	[OP_QUEUE] = { "queues a signal", 9, 8 },
	[OP_SIGNAL] = { "signals", 5, 0 },
	[OP_COLLECT] = { "collects a signal", 8, 0 },
	[OP_TIMER] = { "makes a timer", 7, 8 },
	[OP_UNTIMER] = { "deletes a timer", 4, 5 },
	[OP_FORK] = { "forks", 8, 6 },
	[OP_EXEC] = { "executes", 3, 2 },
	[OP_WAIT] = { "ends a child", 7, 6 },
	[OP_THREAD] = { "starts a thread", 4, 0 },
	[OP_UNTHREAD] = { "ends its threads", 2, 0 },
	[OP_TABLE] = { "makes a table", 4, 0 },
	[OP_UNTABLE] = { "deletes a table", 2, 0 },
	[OP_RULE] = { "adds rules", 9, 4 },
	[OP_FLUSH] = { "removes rules", 2, 0 },
	[OP_SEND] = { "passes a descriptor", 6, 0 },
};

static enum model_op draw_op(bool at_once)
{
	int sum = 0, i, at;

	for (i = 0; i < OP_KINDS; i++)
		sum += at_once ? ops[i].at_once : ops[i].weight;
	at = chance() % sum;
	for (i = 0; i < OP_KINDS; i++) {
		at -= at_once ? ops[i].at_once : ops[i].weight;
		if (at < 0)
			break;
	}
	return i;
}

static struct draw *put(struct draw_plan *plan, enum model_op op, int window)
{
	static struct draw none;
	struct draw *draw = &none;

	if (plan->nr < DRAW_MOST)
		draw = &plan->draws[plan->nr++];
	draw->op = op;
	draw->a = chance();
	draw->b = chance();
	draw->c = chance();
	draw->d = chance();
	draw->window = window;
	return draw;
}

/*
 * Workers of several cgroups run into one limit, with enough left below it for
 * stocks to be filled on the way.
 */
static void put_rush(struct draw_plan *plan)
{
	static const enum model_op rushes[MODEL_RESOURCES] = {
		[MODEL_NUMPROC] = OP_FORK,
		[MODEL_NUMFILE] = OP_OPEN,
		[MODEL_NUMPTY] = OP_PTY,
		[MODEL_NUMFLOCK] = OP_POSIX,
		[MODEL_NUMTCPSOCK] = OP_SOCKET,
		[MODEL_NUMOTHERSOCK] = OP_PAIR,
		[MODEL_NUMSIGINFO] = OP_TIMER,
		[MODEL_NUMIPTENT] = OP_RULE,
	};
	int resource = chance() % MODEL_RESOURCES, i;
	struct draw *draw;

	for (i = 0; resource == MODEL_NUMFLOCK && i < MODEL_WORKERS; i++)
		put(plan, OP_LOCKFILE, 0);
	draw = put(plan, OP_SET, 0);
	draw->a &= ~7U;
	draw->b = resource;
	/* As choose_value() has it: ten or fifteen more than there are. */
	draw->d = 12 | (2 + draw->d % 2) << 4;
	for (i = 0; i < RUSH_STEPS; i++)
		put(plan, rushes[resource], 0);
}

void draw_plan(struct draw_plan *plan, uint64_t seed, enum run_mode mode,
	       int steps)
{
	int i, window = 0;

	state = seed * RUN_MODES + mode;
	plan->nr = 0;
	/* Something to begin with. */
	put(plan, OP_ENABLE, 0);
	for (i = 0; i < 3; i++)
		put(plan, OP_MKDIR, 0);
	for (i = 0; i < MODEL_WORKERS; i++)
		put(plan, OP_SPAWN, 0);
	for (i = 0; i < MODEL_RESOURCES; i++)
		put(plan, OP_SET, 0);

	while (plan->nr < steps && plan->nr < DRAW_MOST) {
		if (chance() % 8 == 0)
			put_rush(plan);
		for (i = 0; i < FEW_STEPS; i++) {
			enum model_op op = draw_op(false);
			int times = chance() % 4 ? 1 : 4;

			/* What is repeated comes to a limit. */
			while (times--)
				put(plan, op, 0);
		}
		window++;
		for (i = 0; mode == RUN_PARALLEL && i < WINDOW_STEPS; i++)
			put(plan, draw_op(true), window);
	}
}

/* What a draw means */

struct choice {
	int found[MODEL_WORKERS * MODEL_SLOTS];
	int nr;
};

static void may_be(struct choice *choice, int number, bool condition)
{
	if (condition)
		choice->found[choice->nr++] = number;
}

static int chosen(const struct choice *choice, uint32_t by)
{
	return choice->nr ? choice->found[by % choice->nr] : MODEL_NONE;
}

static int choose_worker(uint32_t by, bool alive)
{
	struct choice choice = {};
	int i;

	for (i = 0; i < MODEL_WORKERS; i++)
		may_be(&choice, i, world.workers[i].alive == alive);
	return chosen(&choice, by);
}

/* One that exists, or a number that is free. */
static int choose_cgroup(uint32_t by, bool exists)
{
	struct choice choice = {};
	int i;

	for (i = 0; i < MODEL_CGROUPS; i++)
		may_be(&choice, i, world.cgroups[i].exists == exists);
	return chosen(&choice, by);
}

/* One where something is counted; half of the time where a worker is. */
static int choose_account(uint32_t by)
{
	struct choice choice = {};
	int worker = choose_worker(by / 8, true), i;

	if (by % 8 < 4 && worker >= 0) {
		i = world.workers[worker].cgroup;
		while (i > 0 && world.cgroups[i].account == MODEL_NONE)
			i = world.cgroups[i].parent;
		/* Some of them above it, for what is in stock elsewhere. */
		if (i > 0 && by % 8 == 0)
			i = world.cgroups[i].parent;
		return i < 0 ? 0 : i;
	}
	by /= 8;
	for (i = 0; i < MODEL_CGROUPS; i++)
		may_be(&choice, i, world.cgroups[i].exists &&
		       world.cgroups[i].account != MODEL_NONE);
	return chosen(&choice, by);
}

static int choose_home(uint32_t by)
{
	struct choice choice = {};
	int i;

	for (i = 0; i < MODEL_CGROUPS; i++)
		may_be(&choice, i, world.cgroups[i].exists &&
		       !world_forbids(&world, i));
	return chosen(&choice, by);
}

static int choose_free(int worker, uint32_t by, int besides)
{
	struct choice choice = {};
	int i;

	for (i = 0; i < MODEL_SLOTS; i++)
		may_be(&choice, i, i != besides &&
		       world.workers[worker].files[i] == MODEL_NONE);
	return chosen(&choice, by);
}

static bool suits(enum model_op op, const struct world_file *file)
{
	switch (op) {
	case OP_ACCEPT:
	case OP_CONNECT:
		return file->listens;
	case OP_SLAVE:
		return file->master;
	case OP_FLOCK:
	case OP_POSIX:
	case OP_OFD:
		return file->inode != MODEL_NONE;
	default:
		return true;
	}
}

static int choose_file(int worker, uint32_t by, enum model_op op)
{
	struct choice choice = {};
	int i;

	for (i = 0; i < MODEL_SLOTS; i++) {
		int file = world.workers[worker].files[i];

		may_be(&choice, i, file != MODEL_NONE &&
		       suits(op, &world.files[file]));
	}
	return chosen(&choice, by);
}

/* Values at which something happens soon, and those at which nothing does. */
static long choose_value(int cgroup, int resource, uint32_t by)
{
	int account = world.cgroups[cgroup].account;
	long held = world.model.accounts[account].rows[resource].held;
	long more = by / 16 % 8;

	switch (by % 16) {
	case 0 ... 2:
		return BC_MAX;
	case 3 ... 9:
		return held + more / 2;
	case 10:
		return held - more > 0 ? held - more : 0;
	case 11:
		return more;
	default:
		return held + 5 * more;
	}
}

/* A range of a few bytes, so that many touch each other. */
static void choose_range(struct model_step *step, const struct draw *draw)
{
	step->y = draw->c % 64;
	step->z = draw->d % 16 ? step->y + draw->d / 8 % 8 : MODEL_END;
	if (draw->d % 64 == 8) {
		step->y = 0;
		step->z = MODEL_END;
	}
	step->x = draw->d / 256 % 8 < 2 ? MODEL_UNLOCK :
		  draw->d / 256 % 8 < 3 ? MODEL_EXCLUSIVE : MODEL_SHARED;
}

/* By the program. */
static bool resolve_outside(const struct draw *draw, struct model_step *step)
{
	switch (draw->op) {
	case OP_MKDIR:
		step->x = choose_cgroup(draw->a, true);
		step->y = choose_cgroup(draw->b, false);
		return step->y != MODEL_NONE;
	case OP_RMDIR:
	case OP_ENABLE:
	case OP_DISABLE:
		step->x = choose_cgroup(draw->a, true);
		return true;
	case OP_SET:
	case OP_SET_WRONG:
		step->x = choose_account(draw->a);
		step->y = draw->b % MODEL_RESOURCES;
		step->slot = draw->c % 3 == 0 ? MODEL_HIGH : MODEL_MAX;
		step->z = draw->op == OP_SET ?
			choose_value(step->x, step->y, draw->d) : draw->d % 2;
		return true;
	case OP_MOVE:
		step->worker = choose_worker(draw->a, true);
		step->x = draw->b % 8 ? choose_cgroup(draw->c, true) : -1;
		return step->worker >= 0;
	case OP_SPAWN:
		step->worker = choose_worker(draw->a, false);
		step->x = choose_home(draw->b);
		return step->worker >= 0 && step->x >= 0;
	default:
		step->worker = choose_worker(draw->a, true);
		return step->worker >= 0;
	}
}

/* By a worker, one step after the other: something that has an effect. */
static bool resolve_inside(const struct draw *draw, struct model_step *step)
{
	int worker = choose_worker(draw->a, true);
	int file;

	step->worker = worker;
	if (worker < 0)
		return false;

	switch (draw->op) {
	case OP_CONNECT:
		step->other = choose_worker(draw->c, true);
		step->to = choose_file(step->other, draw->d, draw->op);
		step->slot = choose_free(worker, draw->b, MODEL_NONE);
		if (step->to < 0 || step->slot < 0)
			return false;
		file = world.workers[step->other].files[step->to];
		step->z = world.socks[world.files[file].sock].name;
		step->x = world.socks[world.files[file].sock].unix_listener;
		return true;
	case OP_OPEN:
	case OP_SOCKET:
	case OP_LISTEN:
	case OP_PTY:
	case OP_LOCKFILE:
		step->slot = choose_free(worker, draw->b, MODEL_NONE);
		step->x = draw->c % (draw->op == OP_SOCKET ? (int)FAMILIES :
				     draw->op == OP_LISTEN ? 2 : MODEL_INODES);
		if (draw->op == OP_LISTEN)
			step->z = ++run.names;
		return step->slot >= 0;
	case OP_PIPE:
	case OP_PAIR:
		step->slot = choose_free(worker, draw->b, MODEL_NONE);
		step->to = choose_free(worker, draw->c, step->slot);
		return step->slot >= 0 && step->to >= 0;
	case OP_CLOSE:
	case OP_DUP:
	case OP_ACCEPT:
	case OP_SLAVE:
		step->slot = choose_file(worker, draw->b, draw->op);
		step->to = choose_free(worker, draw->c, MODEL_NONE);
		return step->slot >= 0 &&
		       (draw->op == OP_CLOSE || step->to >= 0);
	case OP_FLOCK:
	case OP_POSIX:
	case OP_OFD:
		step->slot = choose_file(worker, draw->b, draw->op);
		choose_range(step, draw);
		return step->slot >= 0;
	case OP_QUEUE:
	case OP_SIGNAL:
		step->other = choose_worker(draw->b, true);
		step->x = draw->c % SIGNALS;
		return true;
	case OP_COLLECT:
		step->x = draw->c % SIGNALS;
		return true;
	case OP_TIMER:
	case OP_UNTIMER:
		step->slot = draw->b % MODEL_TIMERS;
		return true;
	case OP_FORK:
	case OP_EXEC:
	case OP_WAIT:
		step->slot = draw->b % MODEL_CHILDREN;
		step->x = draw->c % 2;
		return true;
	case OP_THREAD:
	case OP_UNTHREAD:
		return draw->op == OP_UNTHREAD ||
		       world.workers[worker].threads < MODEL_CHILDREN;
	case OP_SEND:
		step->slot = choose_file(worker, draw->b, draw->op);
		step->other = choose_worker(draw->c, true);
		step->to = choose_free(step->other, draw->d, MODEL_NONE);
		return step->slot >= 0 && step->to >= 0 &&
		       step->other != worker;
	default:
		step->x = draw->b % MODEL_TABLES;
		step->y = 1 + draw->c % 4;
		return true;
	}
}

/*
 * In a window what a worker has depends on what the kernel decides. Steps that
 * find a slot otherwise than they need it are void then, for both sides.
 */
static bool resolve_at_once(const struct draw *draw, struct model_step *step)
{
	int worker = draw->a % MODEL_WORKERS;
	const struct world_table *table;
	bool owns;

	step->worker = worker;
	step->other = draw->b % MODEL_WORKERS;
	step->slot = draw->c % MODEL_SLOTS;
	step->to = draw->d % MODEL_SLOTS;
	if (!world.workers[worker].alive)
		return false;

	switch (draw->op) {
	case OP_QUEUE:
		return world.workers[step->other].alive;
	case OP_SOCKET:
		step->x = draw->b % FAMILIES;
		return true;
	case OP_LOCKFILE:
		step->x = draw->b % MODEL_INODES;
		return true;
	case OP_FLOCK:
	case OP_OFD:
	case OP_POSIX:
		step->slot = draw->b % MODEL_SLOTS;
		choose_range(step, draw);
		/* Whose step of two comes first decides about a file's lock. */
		return draw->op == OP_POSIX ||
		       !world_shares(&world, worker, step->slot);
	case OP_TIMER:
	case OP_UNTIMER:
		step->slot %= MODEL_TIMERS;
		return true;
	case OP_FORK:
	case OP_EXEC:
	case OP_WAIT:
		step->slot %= MODEL_CHILDREN;
		step->x = draw->b % 2;
		return true;
	case OP_RULE:
		step->x = draw->b % MODEL_TABLES;
		step->y = 1;
		table = &world.tables[step->x];
		/* Where the owner is gone nobody sees who refused. */
		owns = table->account == MODEL_NOBODY ||
		       world.model.accounts[table->account].live;
		return table->exists && owns;
	default:
		return true;
	}
}

static bool supported(enum model_op op, const struct model_step *step)
{
	switch (op) {
	case OP_TABLE:
	case OP_UNTABLE:
	case OP_RULE:
	case OP_FLUSH:
		return support.rules;
	case OP_PTY:
		return support.ptys;
	case OP_SOCKET:
		return support.network || step->x == FAMILY_UNIX;
	case OP_LISTEN:
		return support.network || step->x;
	default:
		return true;
	}
}

bool draw_resolve(const struct draw *draw, struct model_step *step)
{
	bool found;

	*step = (struct model_step){ .op = draw->op };
	if (draw->op < OP_OPEN)
		found = resolve_outside(draw, step);
	else if (draw->window)
		found = resolve_at_once(draw, step);
	else
		found = resolve_inside(draw, step);
	/* A run must not end for want of accounts. */
	if (world.model.nr > MODEL_ACCOUNTS - MODEL_CGROUPS &&
	    (draw->op == OP_ENABLE || draw->op == OP_MKDIR))
		return false;
	return found && supported(draw->op, step);
}

const char *draw_name(enum model_op op)
{
	return ops[op].name;
}
