// SPDX-License-Identifier: GPL-2.0
/*
 * What each step should do to what there is.
 */
#include <errno.h>
#include <string.h>

#include "bc_util.h"
#include "model_world.h"

void world_reset(struct world *world, int cpus)
{
	int i, j;

	memset(world, 0, sizeof(*world));
	model_reset(&world->model, cpus);
	for (i = 0; i < MODEL_WORKERS; i++) {
		struct world_worker *worker = &world->workers[i];

		for (j = 0; j < MODEL_SLOTS; j++)
			worker->files[j] = MODEL_NONE;
		for (j = 0; j < MODEL_TIMERS; j++)
			worker->timers[j] = MODEL_NONE;
		for (j = 0; j < SIGNALS; j++)
			worker->paid[j] = MODEL_NONE;
	}
	/* The top, of which only the root is above. */
	world->cgroups[0] = (struct world_cgroup){
		.exists = true,
		.parent = -1,
		.account = model_open(&world->model, MODEL_NOBODY),
	};
}

int world_account(const struct world *world, int cgroup)
{
	while (cgroup >= 0 && world->cgroups[cgroup].account == MODEL_NONE)
		cgroup = world->cgroups[cgroup].parent;
	return cgroup < 0 ? MODEL_NOBODY : world->cgroups[cgroup].account;
}

bool world_shares(const struct world *world, int worker, int slot)
{
	int file = world->workers[worker].files[slot], i, j;

	for (i = 0; i < MODEL_WORKERS; i++) {
		for (j = 0; j < MODEL_SLOTS; j++) {
			if (i != worker && file != MODEL_NONE &&
			    world->workers[i].files[j] == file)
				return true;
		}
	}

	return false;
}

int world_forbids(const struct world *world, int cgroup)
{
	return cgroup >= 0 && world->cgroups[cgroup].controls ? -EBUSY : 0;
}

/* Charges */

/* In a window: the request that failed was this one, if any could be it. */
static bool failed_here(struct world *world, int resource)
{
	if (!world->got || world->explained ||
	    world->got->err != model_kinds[resource].err)
		return false;
	world->explained = true;
	return true;
}

static bool ask(struct world *world, int account, int resource,
		enum model_severity severity)
{
	bool refused;

	if (account == MODEL_NOBODY)
		return true;
	if (world->model.window) {
		model_asked(&world->model, account, resource);
		refused = failed_here(world, resource);
		if (!refused)
			model_charge(&world->model, account, resource,
				     severity);
	} else {
		refused = !model_charge(&world->model, account, resource,
					severity);
	}
	world->refusals[resource] += refused;
	return !refused;
}

static void give_back(struct world *world, int account, int resource)
{
	if (account != MODEL_NOBODY)
		model_uncharge(&world->model, account, resource);
}

/* Locks ask for whoever makes the request. */
struct locker {
	struct world *world;
	int account;
};

static bool charge_lock(void *data, bool lenient, int *account)
{
	struct locker *locker = data;

	*account = locker->account;
	return ask(locker->world, locker->account, MODEL_NUMFLOCK,
		   lenient ? MODEL_LENIENT : MODEL_STRICT);
}

static void uncharge_lock(void *data, int account)
{
	struct locker *locker = data;

	give_back(locker->world, account, MODEL_NUMFLOCK);
}

static bool lock_conflicts(void *data, bool expected)
{
	struct world *world = ((struct locker *)data)->world;

	if (!world->got)
		return expected;
	world->explained |= world->got->err == -EAGAIN;
	return world->got->err == -EAGAIN;
}

/* Owners of locks: files, and processes for POSIX locks. */
static int owner_of_file(int file)
{
	return file;
}

static int owner_of_worker(int worker)
{
	return MODEL_FILES + worker;
}

static void unlock_all(struct world *world, struct model_locks *locks,
		       int owner)
{
	struct locker locker = { world, MODEL_NOBODY };
	const struct model_payer payer = {
		charge_lock, uncharge_lock, lock_conflicts, &locker,
	};

	model_unlock_all(locks, owner, &payer);
}

/* Objects */

static int new_file(struct world *world, int account)
{
	int i;

	for (i = 0; i < MODEL_FILES && world->files[i].refs; i++)
		;
	/* There are slots for fewer than that. */
	i %= MODEL_FILES;
	world->files[i] = (struct world_file){
		.refs = 1,
		.account = account,
		.sock = MODEL_NONE,
		.pty = MODEL_NONE,
		.inode = MODEL_NONE,
	};
	return i;
}

static int new_sock(struct world *world, int account, int resource)
{
	int i;

	for (i = 0; i < MODEL_SOCKS && world->socks[i].used; i++)
		;
	i %= MODEL_SOCKS;
	world->socks[i] = (struct world_sock){
		.used = true,
		.account = account,
		.resource = resource,
		.peer = MODEL_NONE,
	};
	return i;
}

static void free_sock(struct world *world, int sock)
{
	world->socks[sock].used = false;
	give_back(world, world->socks[sock].account,
		  world->socks[sock].resource);
}

static void close_sock(struct world *world, int nr)
{
	struct world_sock *sock = &world->socks[nr];
	int i;

	/* Connections that nobody has accepted. */
	for (i = 0; i < sock->nr_pending; i++)
		close_sock(world, sock->pending[i]);
	sock->closed = true;
	if (sock->peer == MODEL_NONE) {
		free_sock(world, nr);
	} else if (world->socks[sock->peer].closed) {
		free_sock(world, sock->peer);
		free_sock(world, nr);
	}
}

static void put_file(struct world *world, int nr)
{
	struct world_file *file = &world->files[nr];

	if (--file->refs)
		return;
	if (file->inode != MODEL_NONE) {
		unlock_all(world, &world->flocks[file->inode],
			   owner_of_file(nr));
		unlock_all(world, &world->ranges[file->inode],
			   owner_of_file(nr));
	}
	if (file->sock != MODEL_NONE)
		close_sock(world, file->sock);
	if (file->pty != MODEL_NONE && !--world->ptys[file->pty].ends)
		give_back(world, world->ptys[file->pty].account, MODEL_NUMPTY);
	give_back(world, file->account, MODEL_NUMFILE);
}

/* A worker closes a descriptor. */
static void close_slot(struct world *world, int nr, int slot)
{
	struct world_worker *worker = &world->workers[nr];
	int file = worker->files[slot];
	int inode = world->files[file].inode;

	/* Any of a file takes the process's locks on it along. */
	if (inode != MODEL_NONE)
		unlock_all(world, &world->ranges[inode], owner_of_worker(nr));
	worker->files[slot] = MODEL_NONE;
	put_file(world, file);
}

static void end_child(struct world *world, struct world_child *child)
{
	int i;

	child->used = false;
	for (i = 0; i < MODEL_SLOTS; i++) {
		if (child->files[i] != MODEL_NONE)
			put_file(world, child->files[i]);
	}
	if (child->exe != MODEL_NONE)
		give_back(world, child->exe, MODEL_NUMFILE);
	give_back(world, world_account(world, child->cgroup), MODEL_NUMPROC);
}

static void end_worker(struct world *world, int nr)
{
	struct world_worker *worker = &world->workers[nr];
	int account = world_account(world, worker->cgroup), i;

	for (i = 0; i < MODEL_SLOTS; i++) {
		if (worker->files[i] != MODEL_NONE)
			close_slot(world, nr, i);
	}
	for (i = 0; i < MODEL_TIMERS; i++) {
		if (worker->timers[i] != MODEL_NONE)
			give_back(world, worker->timers[i], MODEL_NUMSIGINFO);
		worker->timers[i] = MODEL_NONE;
	}
	for (i = 0; i < MODEL_CHILDREN; i++) {
		if (worker->children[i].used)
			end_child(world, &worker->children[i]);
	}
	for (i = 0; i < worker->nr_queued; i++)
		give_back(world, worker->queued[i], MODEL_NUMSIGINFO);
	for (i = 0; i < SIGNALS; i++) {
		if (worker->paid[i] != MODEL_NONE)
			give_back(world, worker->paid[i], MODEL_NUMSIGINFO);
		worker->paid[i] = MODEL_NONE;
		worker->pending[i] = false;
	}
	for (i = 0; i <= worker->threads; i++)
		give_back(world, account, MODEL_NUMPROC);
	worker->nr_queued = 0;
	worker->threads = 0;
	worker->alive = false;
}

/* Cgroups */

static bool below(const struct world *world, int cgroup, int top)
{
	while (cgroup >= 0 && cgroup != top)
		cgroup = world->cgroups[cgroup].parent;
	return cgroup == top;
}

static bool has_processes(const struct world *world, int cgroup)
{
	int i, j;

	for (i = 0; i < MODEL_WORKERS; i++) {
		const struct world_worker *worker = &world->workers[i];

		if (!worker->alive)
			continue;
		if (worker->cgroup == cgroup)
			return true;
		for (j = 0; j < MODEL_CHILDREN; j++) {
			if (worker->children[j].used &&
			    worker->children[j].cgroup == cgroup)
				return true;
		}
	}

	return false;
}

static void move(struct world *world, int from, int to, int nr)
{
	while (from != to && nr--)
		model_move(&world->model, from, to, MODEL_NUMPROC);
}

/* The controller comes or goes in a cgroup: its processes go along. */
static void change_account(struct world *world, int cgroup, int account)
{
	int before = world_account(world, cgroup), after, i, j;

	world->cgroups[cgroup].account = account;
	after = world_account(world, cgroup);
	for (i = 0; i < MODEL_WORKERS; i++) {
		struct world_worker *worker = &world->workers[i];

		if (!worker->alive)
			continue;
		/* None below has a state of its own at that time. */
		if (below(world, worker->cgroup, cgroup))
			move(world, before, after, 1 + worker->threads);
		for (j = 0; j < MODEL_CHILDREN; j++) {
			if (worker->children[j].used &&
			    below(world, worker->children[j].cgroup, cgroup))
				move(world, before, after, 1);
		}
	}
	if (account == MODEL_NONE)
		model_close(&world->model, before);
}

static int make_cgroup(struct world *world, int parent, int nr)
{
	struct world_cgroup *cgroup = &world->cgroups[nr];

	if (cgroup->exists || !world->cgroups[parent].exists)
		return MODEL_VOID;
	*cgroup = (struct world_cgroup){
		.exists = true,
		.parent = parent,
		.account = MODEL_NONE,
	};
	if (world->cgroups[parent].controls)
		cgroup->account = model_open(&world->model,
					     world_account(world, parent));
	return 0;
}

static bool has_children(const struct world *world, int nr, bool that_control)
{
	int i;

	for (i = 0; i < MODEL_CGROUPS; i++) {
		const struct world_cgroup *cgroup = &world->cgroups[i];

		if (cgroup->exists && cgroup->parent == nr &&
		    (cgroup->controls || !that_control))
			return true;
	}

	return false;
}

static int remove_cgroup(struct world *world, int nr)
{
	struct world_cgroup *cgroup = &world->cgroups[nr];

	if (!cgroup->exists || !nr)
		return MODEL_VOID;
	if (has_children(world, nr, false) || has_processes(world, nr))
		return -EBUSY;
	if (cgroup->account != MODEL_NONE)
		model_close(&world->model, cgroup->account);
	cgroup->exists = false;
	return 0;
}

static int enable(struct world *world, int nr)
{
	struct world_cgroup *cgroup = &world->cgroups[nr];
	int i;

	if (!cgroup->exists)
		return MODEL_VOID;
	if (cgroup->controls)
		return 0;
	if (cgroup->account == MODEL_NONE)
		return -ENOENT;
	if (has_processes(world, nr))
		return -EBUSY;
	cgroup->controls = true;
	for (i = 0; i < MODEL_CGROUPS; i++) {
		if (world->cgroups[i].exists && world->cgroups[i].parent == nr)
			change_account(world, i,
				       model_open(&world->model,
						  cgroup->account));
	}
	return 0;
}

static int disable(struct world *world, int nr)
{
	struct world_cgroup *cgroup = &world->cgroups[nr];
	int i;

	if (!cgroup->exists)
		return MODEL_VOID;
	if (!cgroup->controls)
		return 0;
	if (has_children(world, nr, true))
		return -EBUSY;
	cgroup->controls = false;
	for (i = 0; i < MODEL_CGROUPS; i++) {
		if (world->cgroups[i].exists && world->cgroups[i].parent == nr)
			change_account(world, i, MODEL_NONE);
	}
	return 0;
}

static int set(struct world *world, const struct model_step *step)
{
	struct world_cgroup *cgroup = &world->cgroups[step->x];

	if (!cgroup->exists || cgroup->account == MODEL_NONE)
		return MODEL_VOID;
	if (step->op == OP_SET_WRONG)
		return step->z ? -ERANGE : -EINVAL;
	model_set(&world->model, cgroup->account, step->y, step->slot, step->z);
	return 0;
}

static int move_worker(struct world *world, int nr, int to)
{
	struct world_worker *worker = &world->workers[nr];

	if (!worker->alive || (to >= 0 && !world->cgroups[to].exists))
		return MODEL_VOID;
	/* Who is there already is not moved. */
	if (worker->cgroup == to)
		return 0;
	if (world_forbids(world, to))
		return world_forbids(world, to);
	move(world, world_account(world, worker->cgroup),
	     world_account(world, to), 1 + worker->threads);
	worker->cgroup = to;
	return 0;
}

static int spawn(struct world *world, int nr, int cgroup)
{
	struct world_worker *worker = &world->workers[nr];

	if (worker->alive || !world->cgroups[cgroup].exists ||
	    world_forbids(world, cgroup))
		return MODEL_VOID;
	worker->alive = true;
	worker->cgroup = cgroup;
	/* It comes from the root, and a move is never refused. */
	move(world, MODEL_NOBODY, world_account(world, cgroup), 1);
	return 0;
}

/* Files */

/* One more file of a worker, whose slot is free. */
static int open_file(struct world *world, const struct model_step *step,
		     int slot)
{
	struct world_worker *worker = &world->workers[step->worker];
	int account = world_account(world, worker->cgroup);

	if (!ask(world, account, MODEL_NUMFILE, MODEL_STRICT))
		return -ENFILE;
	worker->files[slot] = new_file(world, account);
	return 0;
}

static struct world_file *file_at(struct world *world, int worker, int slot)
{
	int file = world->workers[worker].files[slot];

	return file == MODEL_NONE ? NULL : &world->files[file];
}

static int two_files(struct world *world, const struct model_step *step)
{
	int err = open_file(world, step, step->slot);

	if (err)
		return err;
	err = open_file(world, step, step->to);
	if (err)
		close_slot(world, step->worker, step->slot);
	return err;
}

static int make_socket(struct world *world, const struct model_step *step,
		       int resource)
{
	struct world_worker *worker = &world->workers[step->worker];
	int account = world_account(world, worker->cgroup), err;

	if (!ask(world, account, resource, MODEL_STRICT))
		return -ENOMEM;
	err = open_file(world, step, step->slot);
	if (err)
		give_back(world, account, resource);
	else
		file_at(world, step->worker, step->slot)->sock =
			new_sock(world, account, resource);
	return err;
}

static int make_pair(struct world *world, const struct model_step *step)
{
	struct world_worker *worker = &world->workers[step->worker];
	int account = world_account(world, worker->cgroup), i, err;
	int socks[2];

	for (i = 0; i < 2; i++) {
		if (ask(world, account, MODEL_NUMOTHERSOCK, MODEL_STRICT))
			continue;
		while (i--)
			give_back(world, account, MODEL_NUMOTHERSOCK);
		return -ENOMEM;
	}
	err = two_files(world, step);
	if (err) {
		give_back(world, account, MODEL_NUMOTHERSOCK);
		give_back(world, account, MODEL_NUMOTHERSOCK);
		return err;
	}
	for (i = 0; i < 2; i++)
		socks[i] = new_sock(world, account, MODEL_NUMOTHERSOCK);
	for (i = 0; i < 2; i++) {
		world->socks[socks[i]].peer = socks[!i];
		file_at(world, step->worker, i ? step->to : step->slot)->sock =
			socks[i];
	}
	return 0;
}

static int listen_on(struct world *world, const struct model_step *step)
{
	int err = make_socket(world, step, step->x ? MODEL_NUMOTHERSOCK :
			      MODEL_NUMTCPSOCK);
	struct world_file *file = file_at(world, step->worker, step->slot);

	if (err)
		return err;
	file->listens = true;
	world->socks[file->sock].unix_listener = step->x;
	world->socks[file->sock].name = step->z;
	return 0;
}

/*
 * With Unix sockets who connects makes both ends. With TCP who listens pays for
 * the other, and who connects does not learn that there was no room for it: the
 * step closes its end again then.
 */
static int connect_to(struct world *world, const struct model_step *step)
{
	struct world_worker *worker = &world->workers[step->worker];
	struct world_file *listener = file_at(world, step->other, step->to);
	int account = world_account(world, worker->cgroup);
	int resource, payer, client, server, err;

	if (!listener || !listener->listens ||
	    world->socks[listener->sock].nr_pending == MODEL_PENDING)
		return MODEL_VOID;
	resource = world->socks[listener->sock].resource;
	payer = resource == MODEL_NUMTCPSOCK ?
		world->socks[listener->sock].account : account;

	err = make_socket(world, step, resource);
	if (err)
		return err;
	if (!ask(world, payer, resource, MODEL_STRICT)) {
		close_slot(world, step->worker, step->slot);
		return -ENOMEM;
	}
	client = file_at(world, step->worker, step->slot)->sock;
	server = new_sock(world, payer, resource);
	if (resource == MODEL_NUMOTHERSOCK) {
		world->socks[client].peer = server;
		world->socks[server].peer = client;
	}
	world->socks[listener->sock]
		.pending[world->socks[listener->sock].nr_pending++] = server;
	return 0;
}

static int accept_one(struct world *world, const struct model_step *step)
{
	struct world_file *listener = file_at(world, step->worker, step->slot);
	struct world_sock *sock;
	int err;

	if (!listener || !listener->listens)
		return MODEL_VOID;
	err = open_file(world, step, step->to);
	if (err)
		return err;
	sock = &world->socks[listener->sock];
	if (!sock->nr_pending) {
		close_slot(world, step->worker, step->to);
		return -EAGAIN;
	}
	file_at(world, step->worker, step->to)->sock = sock->pending[0];
	memmove(sock->pending, sock->pending + 1,
		--sock->nr_pending * sizeof(sock->pending[0]));
	return 0;
}

static int make_pty(struct world *world, const struct model_step *step)
{
	struct world_worker *worker = &world->workers[step->worker];
	int account = world_account(world, worker->cgroup);
	int err = open_file(world, step, step->slot), i;

	if (err)
		return err;
	for (i = 0; i < MODEL_PTYS && world->ptys[i].ends; i++)
		;
	i %= MODEL_PTYS;
	if (!ask(world, account, MODEL_NUMPTY, MODEL_STRICT)) {
		close_slot(world, step->worker, step->slot);
		return -ENOSPC;
	}
	world->ptys[i] = (struct world_pty){ .ends = 1, .account = account };
	file_at(world, step->worker, step->slot)->pty = i;
	file_at(world, step->worker, step->slot)->master = true;
	return 0;
}

static int open_slave(struct world *world, const struct model_step *step)
{
	struct world_file *master = file_at(world, step->worker, step->slot);
	int err;

	if (!master || !master->master)
		return MODEL_VOID;
	err = open_file(world, step, step->to);
	if (err)
		return err;
	file_at(world, step->worker, step->to)->pty = master->pty;
	world->ptys[master->pty].ends++;
	return 0;
}

static int lock(struct world *world, const struct model_step *step)
{
	struct world_worker *worker = &world->workers[step->worker];
	struct locker locker = {
		world, world_account(world, worker->cgroup),
	};
	const struct model_payer payer = {
		charge_lock, uncharge_lock, lock_conflicts, &locker,
	};
	struct world_file *file = file_at(world, step->worker, step->slot);
	int owner = step->op == OP_POSIX ? owner_of_worker(step->worker) :
		    owner_of_file(worker->files[step->slot]);

	if (!file || file->inode == MODEL_NONE)
		return MODEL_VOID;
	if (step->op == OP_FLOCK)
		return model_flock(&world->flocks[file->inode], owner, step->x,
				   &payer);
	return model_lock_range(&world->ranges[file->inode], owner, step->x,
				step->y, step->z, &payer);
}

/* Signals */

static int queue(struct world *world, const struct model_step *step)
{
	struct world_worker *to = &world->workers[step->other];
	int account = world_account(world, to->cgroup);

	if (!to->alive || to->nr_queued == MODEL_QUEUED)
		return MODEL_VOID;
	if (!ask(world, account, MODEL_NUMSIGINFO, MODEL_STRICT))
		return -EAGAIN;
	to->queued[to->nr_queued++] = account;
	to->pending[SIGNAL_QUEUED] = true;
	return 0;
}

/* Never fails; without room nothing comes with the signal. */
static int send_signal(struct world *world, const struct model_step *step)
{
	struct world_worker *to = &world->workers[step->other];
	int account = world_account(world, to->cgroup);

	if (!to->alive || to->nr_queued == MODEL_QUEUED)
		return MODEL_VOID;
	if (step->x == SIGNAL_QUEUED) {
		if (ask(world, account, MODEL_NUMSIGINFO, MODEL_STRICT))
			to->queued[to->nr_queued++] = account;
	} else if (!to->pending[step->x]) {
		if (ask(world, account, MODEL_NUMSIGINFO, MODEL_LENIENT))
			to->paid[step->x] = account;
	}
	to->pending[step->x] = true;
	return 0;
}

static int collect(struct world *world, const struct model_step *step)
{
	struct world_worker *worker = &world->workers[step->worker];
	int nr = step->x;

	if (!worker->pending[nr])
		return -EAGAIN;
	if (nr == SIGNAL_QUEUED && worker->nr_queued) {
		give_back(world, worker->queued[0], MODEL_NUMSIGINFO);
		memmove(worker->queued, worker->queued + 1,
			--worker->nr_queued * sizeof(worker->queued[0]));
		worker->pending[nr] = worker->nr_queued;
		return 0;
	}
	if (worker->paid[nr] != MODEL_NONE)
		give_back(world, worker->paid[nr], MODEL_NUMSIGINFO);
	worker->paid[nr] = MODEL_NONE;
	worker->pending[nr] = false;
	return 0;
}

static int make_timer(struct world *world, const struct model_step *step)
{
	struct world_worker *worker = &world->workers[step->worker];
	int account = world_account(world, worker->cgroup);

	if (worker->timers[step->slot] != MODEL_NONE)
		return MODEL_VOID;
	if (!ask(world, account, MODEL_NUMSIGINFO, MODEL_STRICT))
		return -EAGAIN;
	worker->timers[step->slot] = account;
	return 0;
}

static int delete_timer(struct world *world, const struct model_step *step)
{
	int *timer = &world->workers[step->worker].timers[step->slot];

	if (*timer == MODEL_NONE)
		return MODEL_VOID;
	give_back(world, *timer, MODEL_NUMSIGINFO);
	*timer = MODEL_NONE;
	return 0;
}

/* Processes */

static int fork_child(struct world *world, const struct model_step *step)
{
	struct world_worker *worker = &world->workers[step->worker];
	struct world_child *child = &worker->children[step->slot];
	int account = world_account(world, worker->cgroup), i;

	if (child->used)
		return MODEL_VOID;
	if (!ask(world, account, MODEL_NUMPROC, MODEL_STRICT))
		return -EAGAIN;
	*child = (struct world_child){
		.used = true,
		.cgroup = worker->cgroup,
		.exe = MODEL_NONE,
	};
	for (i = 0; i < MODEL_SLOTS; i++) {
		bool keeps = step->op == OP_FORK && step->x &&
			     worker->files[i] != MODEL_NONE;

		child->files[i] = keeps ? worker->files[i] : MODEL_NONE;
		if (keeps)
			world->files[worker->files[i]].refs++;
	}
	if (step->op == OP_FORK)
		return 0;

	/* What a program is in stays open as long as it runs. */
	if (!ask(world, account, MODEL_NUMFILE, MODEL_STRICT)) {
		end_child(world, child);
		return -ENFILE;
	}
	child->exe = account;
	return 0;
}

static int wait_child(struct world *world, const struct model_step *step)
{
	struct world_child *child;

	child = &world->workers[step->worker].children[step->slot];
	if (!child->used)
		return MODEL_VOID;
	end_child(world, child);
	return 0;
}

static int start_thread(struct world *world, const struct model_step *step)
{
	struct world_worker *worker = &world->workers[step->worker];
	int account = world_account(world, worker->cgroup);

	if (!ask(world, account, MODEL_NUMPROC, MODEL_STRICT))
		return -EAGAIN;
	worker->threads++;
	return 0;
}

static int end_threads(struct world *world, const struct model_step *step)
{
	struct world_worker *worker = &world->workers[step->worker];
	int account = world_account(world, worker->cgroup);

	for (; worker->threads; worker->threads--)
		give_back(world, account, MODEL_NUMPROC);
	return 0;
}

/* Rules of nftables */

static int make_table(struct world *world, const struct model_step *step)
{
	struct world_worker *worker = &world->workers[step->worker];
	struct world_table *table = &world->tables[step->x];

	if (table->exists)
		return MODEL_VOID;
	table->exists = true;
	table->account = world_account(world, worker->cgroup);
	table->rules = 0;
	return 0;
}

/* All of them or none; the first that does not fit ends the transaction. */
static int add_rules(struct world *world, const struct model_step *step)
{
	struct world_table *table = &world->tables[step->x];
	long added = 0;

	if (!table->exists)
		return MODEL_VOID;
	while (added < step->y && ask(world, table->account, MODEL_NUMIPTENT,
				      MODEL_STRICT))
		added++;
	if (added == step->y) {
		table->rules += added;
		return 0;
	}
	while (added--)
		give_back(world, table->account, MODEL_NUMIPTENT);
	return -ENOMEM;
}

static int flush_table(struct world *world, const struct model_step *step)
{
	struct world_table *table = &world->tables[step->x];

	if (!table->exists)
		return MODEL_VOID;
	for (; table->rules; table->rules--)
		give_back(world, table->account, MODEL_NUMIPTENT);
	if (step->op == OP_UNTABLE)
		table->exists = false;
	return 0;
}

/* Steps */

static bool takes_slot(enum model_op op)
{
	switch (op) {
	case OP_OPEN:
	case OP_PIPE:
	case OP_SOCKET:
	case OP_PAIR:
	case OP_LISTEN:
	case OP_CONNECT:
	case OP_PTY:
	case OP_LOCKFILE:
		return true;
	default:
		return false;
	}
}

static bool takes_other(enum model_op op)
{
	return op == OP_DUP || op == OP_PIPE || op == OP_PAIR ||
	       op == OP_ACCEPT || op == OP_SLAVE;
}

/* Of steps by a worker. */
static int act(struct world *world, const struct model_step *step)
{
	struct world_worker *worker = &world->workers[step->worker];
	int err;

	if (!worker->alive ||
	    (takes_slot(step->op) && worker->files[step->slot] != MODEL_NONE) ||
	    (takes_other(step->op) && (step->slot == step->to ||
				       worker->files[step->to] != MODEL_NONE)))
		return MODEL_VOID;

	switch (step->op) {
	case OP_OPEN:
		return open_file(world, step, step->slot);
	case OP_CLOSE:
		if (worker->files[step->slot] == MODEL_NONE)
			return MODEL_VOID;
		close_slot(world, step->worker, step->slot);
		return 0;
	case OP_DUP:
		if (worker->files[step->slot] == MODEL_NONE)
			return MODEL_VOID;
		worker->files[step->to] = worker->files[step->slot];
		world->files[worker->files[step->to]].refs++;
		return 0;
	case OP_PIPE:
		return two_files(world, step);
	case OP_SOCKET:
		return make_socket(world, step, step->x == FAMILY_TCP ?
				   MODEL_NUMTCPSOCK : MODEL_NUMOTHERSOCK);
	case OP_PAIR:
		return make_pair(world, step);
	case OP_LISTEN:
		return listen_on(world, step);
	case OP_CONNECT:
		return connect_to(world, step);
	case OP_ACCEPT:
		return accept_one(world, step);
	case OP_PTY:
		return make_pty(world, step);
	case OP_SLAVE:
		return open_slave(world, step);
	case OP_LOCKFILE:
		err = open_file(world, step, step->slot);
		if (!err)
			file_at(world, step->worker, step->slot)->inode =
				step->x;
		return err;
	case OP_FLOCK:
	case OP_POSIX:
	case OP_OFD:
		return lock(world, step);
	case OP_QUEUE:
		return queue(world, step);
	case OP_SIGNAL:
		return send_signal(world, step);
	case OP_COLLECT:
		return collect(world, step);
	case OP_TIMER:
		return make_timer(world, step);
	case OP_UNTIMER:
		return delete_timer(world, step);
	case OP_FORK:
	case OP_EXEC:
		return fork_child(world, step);
	case OP_WAIT:
		return wait_child(world, step);
	case OP_THREAD:
		return start_thread(world, step);
	case OP_UNTHREAD:
		return end_threads(world, step);
	case OP_TABLE:
		return make_table(world, step);
	case OP_RULE:
		return add_rules(world, step);
	case OP_FLUSH:
	case OP_UNTABLE:
		return flush_table(world, step);
	case OP_SEND:
		if (worker->files[step->slot] == MODEL_NONE ||
		    !world->workers[step->other].alive ||
		    world->workers[step->other].files[step->to] != MODEL_NONE)
			return MODEL_VOID;
		world->workers[step->other].files[step->to] =
			worker->files[step->slot];
		world->files[worker->files[step->slot]].refs++;
		return 0;
	default:
		return MODEL_VOID;
	}
}

static int organise(struct world *world, const struct model_step *step)
{
	switch (step->op) {
	case OP_MKDIR:
		return make_cgroup(world, step->x, step->y);
	case OP_RMDIR:
		return remove_cgroup(world, step->x);
	case OP_ENABLE:
		return enable(world, step->x);
	case OP_DISABLE:
		return disable(world, step->x);
	case OP_SET:
	case OP_SET_WRONG:
		return set(world, step);
	case OP_MOVE:
		return move_worker(world, step->worker, step->x);
	case OP_SPAWN:
		return spawn(world, step->worker, step->x);
	case OP_END:
	case OP_KILL:
		if (!world->workers[step->worker].alive)
			return MODEL_VOID;
		end_worker(world, step->worker);
		return 0;
	default:
		return act(world, step);
	}
}

struct model_result world_do(struct world *world, const struct model_step *step,
			     const struct model_result *got)
{
	struct model_result result = {};

	world->got = got;
	world->explained = !got || got->err >= 0;
	result.err = organise(world, step);
	if (!world->explained)
		result.err = -EPROTO;
	world->got = NULL;
	return result;
}
