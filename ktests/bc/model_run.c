// SPDX-License-Identifier: GPL-2.0
/*
 * Steps by chance are done by workers in cgroups, and by the model. Whenever it
 * is quiet, what the controller shows has to be what the model has. Where it is
 * not, steps are left out as long as that stays so.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "model_draw.h"
#include "model_look.h"
#include "model_scene.h"

/* How long a number may take to come right, and while steps are left out. */
#define PATIENCE	(BC_POLL_TIMES * (BC_POLL_USEC / 1000))
#define LITTLE_PATIENCE	2000
/* For how long steps are left out, in seconds. */
#define SHRINK_SECONDS	60

const char * const run_modes[RUN_MODES] = { "sequential", "parallel" };

struct run_options run_options = {
	.seed = 1,
	.count = 1,
	.seconds = 0,
	.steps = 200,
	.modes = { true, true },
};

struct run run;
struct world world;
struct ops_support support;

static struct draw_plan drawn, shrunk, candidate;

/* Telling */

static void describe(const struct model_step *step, int window, int err)
{
	static const char * const types[] = { "un", "shared", "exclusive" };
	const char *name = draw_name(step->op);
	char text[PATH_MAX] = "";

	if (!run.tells)
		return;
	switch (step->op) {
	case OP_MKDIR:
		snprintf(text, sizeof(text), " c%ld in %s", step->y,
			 look_cgroup(step->x));
		break;
	case OP_RMDIR:
	case OP_ENABLE:
	case OP_DISABLE:
	case OP_MOVE:
	case OP_SPAWN:
		snprintf(text, sizeof(text), " %s %s",
			 step->op == OP_MOVE ? "to" : "in",
			 look_cgroup(step->x));
		break;
	case OP_SET:
	case OP_SET_WRONG:
		snprintf(text, sizeof(text), " %s of %s: %s %s",
			 step->slot == MODEL_HIGH ? "bc.high" : "bc.max",
			 look_cgroup(step->x), model_kinds[step->y].name,
			 look_value(step->z));
		break;
	case OP_PIPE:
	case OP_PAIR:
	case OP_DUP:
	case OP_ACCEPT:
	case OP_SLAVE:
		snprintf(text, sizeof(text), " (%d, %d)", step->slot, step->to);
		break;
	case OP_CONNECT:
	case OP_SEND:
		snprintf(text, sizeof(text), " (%d) to (%d) of worker %d",
			 step->slot, step->to, step->other);
		break;
	case OP_FLOCK:
		snprintf(text, sizeof(text), " (%d) %s", step->slot,
			 types[step->x]);
		break;
	case OP_POSIX:
	case OP_OFD:
		snprintf(text, sizeof(text), " (%d) %s %ld-%ld", step->slot,
			 types[step->x], step->y, step->z);
		break;
	case OP_QUEUE:
	case OP_SIGNAL:
		snprintf(text, sizeof(text), " %ld to worker %d", step->x,
			 step->other);
		break;
	case OP_TABLE:
	case OP_UNTABLE:
	case OP_FLUSH:
	case OP_COLLECT:
		snprintf(text, sizeof(text), " %ld", step->x);
		break;
	case OP_RULE:
		snprintf(text, sizeof(text), " %ld to table %ld", step->y,
			 step->x);
		break;
	case OP_SOCKET:
	case OP_LISTEN:
	case OP_LOCKFILE:
	case OP_FORK:
		snprintf(text, sizeof(text), " (%d) kind %ld", step->slot,
			 step->x);
		break;
	case OP_END:
	case OP_KILL:
	case OP_THREAD:
	case OP_UNTHREAD:
		break;
	default:
		snprintf(text, sizeof(text), " (%d)", step->slot);
	}
	if (step->op < OP_MOVE)
		ksft_print_msg("step %d: one %s%s: %s\n", run.step, name, text,
			       strerror(-err));
	else
		ksft_print_msg("step %d%s: worker %d %s%s: %s\n", run.step,
			       window ? " (at once)" : "", step->worker, name,
			       text, strerror(-err));
}

/* Doing */

/*
 * Has all stocks recalled, by lowering a setting that refuses nothing: where a
 * request must not sleep, what is in stock could refuse it early.
 */
static int recall_all(void)
{
	struct model_row *row =
		&world.model.accounts[0].rows[MODEL_NUMSIGINFO];
	long was = row->set[MODEL_HIGH];
	char text[64];
	int err;

	snprintf(text, sizeof(text), NUMSIGINFO " %ld",
		 was == BC_MAX ? BC_MAX - 1 : was + 1);
	err = bc_write(run.paths[0], "bc.high", text);
	snprintf(text, sizeof(text), NUMSIGINFO " %s", look_value(was));
	return err ?: bc_write(run.paths[0], "bc.high", text);
}

static int write_setting(const struct model_step *step)
{
	const char *name = model_kinds[step->y].name;
	char text[128];

	if (step->op == OP_SET)
		snprintf(text, sizeof(text), "%s %s", name,
			 look_value(step->z));
	else if (step->z)
		snprintf(text, sizeof(text), "%s 7\n%s 9223372036854775808",
			 name, name);
	else
		snprintf(text, sizeof(text), "%s 7\nnumnothing 7", name);
	return bc_write(run.paths[step->x],
			 step->slot == MODEL_HIGH ? "bc.high" : "bc.max", text);
}

static int make_cgroup(const struct model_step *step)
{
	char *path;

	if (asprintf(&path, "%s/c%ld", run.paths[step->x], step->y) < 0)
		return -ENOMEM;
	free(run.paths[step->y]);
	run.paths[step->y] = path;
	return mkdir(path, 0755) ? -errno : 0;
}

static int move_worker(const struct model_step *step)
{
	const char *cgroup = step->x < 0 ? run.root : run.paths[step->x];
	char text[24];

	snprintf(text, sizeof(text), "%d", run.agents[step->worker]->pid);
	return bc_write(cgroup, "cgroup.procs", text);
}

static int spawn(const struct model_step *step)
{
	struct bc_agent *agent = bc_agent(run.paths[step->x]);

	if (!agent)
		return -ECHILD;
	run.agents[step->worker] = agent;
	/* It stays on its CPU, so that the stock there is all it fills. */
	return bc_pin(agent, step->worker) ? -agent->err : 0;
}

static void end_worker(int worker, bool by_force)
{
	struct bc_agent *agent = run.agents[worker];

	if (!agent)
		return;
	if (by_force)
		kill(agent->pid, SIGKILL);
	bc_stop(agent);
	run.agents[worker] = NULL;
}

static struct model_result ask_worker(int worker, const struct model_step *step)
{
	struct ops_batch *batch = &ops_batches[worker];
	struct model_result dead = { .err = -ESRCH };

	batch->nr = 1;
	batch->steps[0] = *step;
	memset(&batch->results[0], 0, sizeof(batch->results[0]));
	if (bc_call(run.agents[worker], ops_run, worker, NULL))
		return dead;
	return batch->results[0];
}

static struct model_result perform(const struct model_step *step)
{
	struct model_result result = {};
	struct bc_agent *agent = run.agents[step->worker];

	switch (step->op) {
	case OP_MKDIR:
		result.err = make_cgroup(step);
		break;
	case OP_RMDIR:
		result.err = rmdir(run.paths[step->x]) ? -errno : 0;
		break;
	case OP_ENABLE:
		result.err = bc_enable(run.paths[step->x]);
		break;
	case OP_DISABLE:
		result.err = bc_disable(run.paths[step->x]);
		break;
	case OP_SET:
	case OP_SET_WRONG:
		result.err = write_setting(step);
		break;
	case OP_MOVE:
		result.err = move_worker(step);
		break;
	case OP_SPAWN:
		result.err = spawn(step);
		break;
	case OP_END:
	case OP_KILL:
		end_worker(step->worker, step->op == OP_KILL);
		break;
	case OP_THREAD:
		result.err = bc_threads(agent, 1) == 1 ? 0 : -agent->err;
		break;
	case OP_UNTHREAD:
		bc_end_threads(agent);
		break;
	case OP_SEND:
		result = ask_worker(step->worker, step);
		if (!result.err)
			result = ask_worker(step->other, step);
		break;
	default:
		result = ask_worker(step->worker, step);
	}
	return result;
}

/* The levels of an account whose refusals are one more than they should be. */
static bool was_early(int account, int resource)
{
	int i, at = MODEL_NONE;

	for (; account != MODEL_NOBODY;
	     account = world.model.accounts[account].parent) {
		struct look_row shown[MODEL_RESOURCES];

		for (i = 0; i < MODEL_CGROUPS; i++) {
			struct model_row *row;

			if (!world.cgroups[i].exists ||
			    world.cgroups[i].account != account)
				continue;
			row = &world.model.accounts[account].rows[resource];
			if (!look_at(i, shown))
				return false;
			if (shown[resource].failcnt ==
			    row->refused[MODEL_HIGH] + row->refused[MODEL_MAX])
				continue;
			/* One has refused, near its setting. */
			if (at != MODEL_NONE ||
			    !model_may_be_early(&world.model, account,
						resource))
				return false;
			at = account;
		}
	}
	if (at != MODEL_NONE) {
		struct model_row *row =
			&world.model.accounts[at].rows[resource];
		enum model_setting setting;

		model_bound(row, MODEL_STRICT, &setting);
		model_refuse(&world.model, at, resource, setting, 1);
	}
	return at != MODEL_NONE;
}

/* A connection that is dropped may be tried again before its peer has gone. */
static void take_over_drops(int at)
{
	struct look_row shown[MODEL_RESOURCES];
	int i, j;

	for (i = 0; i < MODEL_CGROUPS; i++) {
		struct model_row *row;

		if (!world.cgroups[i].exists ||
		    world.cgroups[i].account != at || !look_at(i, shown))
			continue;
		row = &world.model.accounts[at].rows[MODEL_NUMTCPSOCK];
		for (j = 0; j < MODEL_SETTINGS; j++) {
			long more = shown[MODEL_NUMTCPSOCK].refused[j] -
				    row->refused[j];

			if (more > 0 && row->refused[j])
				model_refuse(&world.model, at, MODEL_NUMTCPSOCK,
					     j, more);
		}
	}
}

/* Where a connection to a TCP listener would be dropped, or MODEL_NONE. */
static int drops_at(const struct model_step *step)
{
	int file = world.workers[step->other].files[step->to];
	const struct world_sock *sock = &world.socks[world.files[file].sock];
	int own = world_account(&world, world.workers[step->worker].cgroup);
	int at = MODEL_NONE, i;

	/* The other end comes first, which may be at the same levels. */
	if (own != MODEL_NOBODY)
		for (i = own; i != MODEL_NOBODY;
		     i = world.model.accounts[i].parent)
			world.model.accounts[i].rows[MODEL_NUMTCPSOCK].held++;
	if (sock->account == MODEL_NOBODY ||
	    !model_would_refuse(&world.model, sock->account, MODEL_NUMTCPSOCK,
				MODEL_STRICT, &at))
		at = MODEL_NONE;
	if (own != MODEL_NOBODY)
		model_uncharge(&world.model, own, MODEL_NUMTCPSOCK);
	return at;
}

/* True when there is a difference. */
static bool do_one(const struct draw *draw)
{
	struct model_result expected, got;
	struct model_step step;
	int drops = MODEL_NONE, receiver;
	bool may_be_early;
	long until;

	if (!draw_resolve(draw, &step))
		return false;
	if (step.op == OP_CONNECT && !step.x) {
		drops = drops_at(&step);
		/* What a cgroup that is gone refuses cannot be read. */
		if (drops >= 0 && !world.model.accounts[drops].live)
			return false;
	}
	may_be_early = step.op == OP_QUEUE && draw->d % 4;
	if ((step.op == OP_QUEUE && !may_be_early) || step.op == OP_SIGNAL ||
	    (step.op == OP_CONNECT && !step.x)) {
		if (recall_all())
			return differs_by("recall", "a setting is not written");
	}
	if (step.op == OP_QUEUE || step.op == OP_SIGNAL)
		step.pid = run.agents[step.other]->pid;
	if (step.op == OP_SEND) {
		int file = world.workers[step.worker].files[step.slot];

		step.x = (world.files[file].inode != MODEL_NONE) |
			 world.files[file].master << 1;
	}

	expected = world_do(&world, &step, NULL);
	if (expected.err == MODEL_VOID)
		return false;
	step.y = step.op == OP_CONNECT && !step.x ? expected.err == -ENOMEM :
						    step.y;
	run.done++;
	until = look_clock() + run.patience;
	for (;;) {
		got = perform(&step);
		if (got.err == expected.err || look_clock() > until)
			break;
		if (step.op == OP_QUEUE && may_be_early && got.err == -EAGAIN) {
			receiver = world.workers[step.other].cgroup;
			receiver = world_account(&world, receiver);
			if (!was_early(receiver, MODEL_NUMSIGINFO))
				break;
			world.refusals[MODEL_NUMSIGINFO]++;
		} else if (got.err != -EBUSY || (step.op != OP_RMDIR &&
						step.op != OP_ENABLE)) {
			break;
		}
		/* Who has just ended is still seen for a while. */
		bc_pause();
	}
	describe(&step, 0, got.err);
	if (got.err != expected.err)
		return differs_by(draw_name(step.op),
				  "worker %d %s: %s, expected %s", step.worker,
				  draw_name(step.op), strerror(-got.err),
				  strerror(-expected.err));
	if (step.op == OP_LISTEN && !got.err) {
		int file = world.workers[step.worker].files[step.slot];

		world.socks[world.files[file].sock].name = got.value;
	}
	if (!look_differs())
		return false;
	if (drops < 0)
		return true;
	take_over_drops(drops);
	return look_differs();
}

/* What was refused in a window has to add up, and to be near a setting. */
static bool refusals_differ(const long *before)
{
	static const char * const settings[] = {
		"refusals by the barrier in a window",
		"refusals by the limit in a window",
	};
	struct look_row shown[MODEL_RESOURCES];
	long sums[MODEL_RESOURCES] = {};
	int i, j, k;

	for (i = 0; i < MODEL_CGROUPS; i++) {
		int account = world.cgroups[i].account;

		if (!world.cgroups[i].exists || account == MODEL_NONE)
			continue;
		if (!look_at(i, shown))
			return differs_by("files", "%s cannot be read",
					  look_cgroup(i));
		for (j = 0; j < MODEL_RESOURCES; j++) {
			struct model_row *row =
				&world.model.accounts[account].rows[j];
			long most = row->window.held + row->window.asked +
				    model_stock(&world.model, account, j);

			for (k = 0; k < MODEL_SETTINGS; k++) {
				long more = shown[j].refused[k] -
					    row->refused[k];

				sums[j] += more;
				if (more && (more < 0 ||
					     row->window.tightest[k] >= most))
					return look_is_not(i, j, settings[k],
							   more, 0, 0);
				model_refuse(&world.model, account, j, k, more);
			}
			most = model_window_most(&world.model, account, j);
			if (look_is_not(i, j, "held after a window", row->held,
					0, most))
				return true;
		}
	}
	for (j = 0; j < MODEL_RESOURCES; j++) {
		long reported = world.refusals[j] - before[j];

		if (look_is_not(0, j, "refusals in a window", sums[j],
				reported, reported))
			return true;
	}
	return false;
}

/* The workers' results are taken over, one worker after the other. */
static bool results_differ(int worker)
{
	const struct ops_batch *batch = &ops_batches[worker];
	int i;

	for (i = 0; i < batch->nr; i++) {
		const struct model_step *step = &batch->steps[i];
		struct model_result got = batch->results[i];
		struct model_result result = world_do(&world, step, &got);

		run.done++;
		if (got.err != MODEL_VOID)
			describe(step, 1, got.err);
		bool void_here = result.err == MODEL_VOID;
		bool void_there = got.err == MODEL_VOID;

		if (result.err == -EPROTO || void_here != void_there)
			return differs_by(draw_name(step->op),
					  "worker %d %s at once: %s", worker,
					  draw_name(step->op),
					  got.err > 0 ? "has no effect" :
					  strerror(-got.err));
	}
	return false;
}

static bool settings_differ(const struct draw *draws, int nr)
{
	struct model_step step;
	int i;

	for (i = 0; i < nr; i++) {
		int err, expected;

		if ((draws[i].op != OP_SET && draws[i].op != OP_SET_WRONG) ||
		    !draw_resolve(&draws[i], &step))
			continue;
		expected = world_do(&world, &step, NULL).err;
		err = write_setting(&step);
		run.done++;
		describe(&step, 1, err);
		if (err != expected)
			return differs_by(draw_name(step.op), "%s: %s",
					  draw_name(step.op), strerror(-err));
	}
	return false;
}

static bool do_at_once(const struct draw *draws, int nr)
{
	long before[MODEL_RESOURCES];
	int queued[MODEL_WORKERS] = {};
	int i, together = 0;
	bool wrong;

	for (i = 0; i < MODEL_WORKERS; i++)
		ops_batches[i].nr = 0;
	for (i = 0; i < nr; i++) {
		struct ops_batch *batch;
		struct model_step step;

		if (draws[i].op < OP_OPEN || !draw_resolve(&draws[i], &step))
			continue;
		batch = &ops_batches[step.worker];
		if (batch->nr == OPS_BATCH)
			continue;
		if (step.op == OP_QUEUE) {
			if (world.workers[step.other].nr_queued +
			    ++queued[step.other] >= MODEL_QUEUED)
				continue;
			step.pid = run.agents[step.other]->pid;
		}
		batch->steps[batch->nr] = step;
		memset(&batch->results[batch->nr], 0,
		       sizeof(batch->results[0]));
		batch->nr++;
	}

	memcpy(before, world.refusals, sizeof(before));
	model_open_window(&world.model);
	bc_gather();
	for (i = 0; i < MODEL_WORKERS; i++) {
		if (!ops_batches[i].nr)
			continue;
		together += ops_batches[i].nr > 1;
		bc_post(run.agents[i], ops_run, i, NULL);
	}
	wrong = together && bc_release(together);
	if (wrong)
		differs_by("workers", "the workers do not begin");
	/* Meanwhile settings change. */
	if (!wrong)
		wrong = settings_differ(draws, nr);
	for (i = 0; i < MODEL_WORKERS; i++) {
		if (ops_batches[i].nr && bc_collect(run.agents[i]) && !wrong)
			wrong = differs_by("workers", "worker %d has died", i);
	}
	for (i = 0; i < MODEL_WORKERS && !wrong; i++)
		wrong = results_differ(i);
	wrong = wrong || refusals_differ(before);
	model_close_window(&world.model);
	return wrong || look_differs();
}

/* Runs */

static bool prepare(void)
{
	static int runs;
	char name[32];

	world_reset(&world, bc_cpus());
	snprintf(name, sizeof(name), "bc_model_%d", runs++);
	run.paths[0] = bc_cgroup(run.root, name);
	run.done = 0;
	run.comparisons = 0;
	run.difference.found = false;
	return run.paths[0];
}

/* Whatever there still is. */
static void clear(void)
{
	bool again = true;
	int i, tries;

	for (i = 0; i < MODEL_WORKERS; i++)
		end_worker(i, true);
	if (support.rules)
		ops_clear_tables();
	for (tries = 0; again && tries < BC_POLL_TIMES; tries++) {
		again = false;
		for (i = MODEL_CGROUPS - 1; i >= 0; i--) {
			if (!run.paths[i])
				continue;
			if (!rmdir(run.paths[i]) || errno == ENOENT) {
				free(run.paths[i]);
				run.paths[i] = NULL;
				continue;
			}
			again = true;
			cg_killall(run.paths[i]);
		}
		if (again)
			bc_pause();
	}
	bc_reap();
}

/* In the end nothing is held. */
static bool end_differs(void)
{
	struct model_step step = { .op = OP_END };
	int i;

	for (i = 0; i < MODEL_WORKERS; i++) {
		step.worker = i;
		if (world_do(&world, &step, NULL).err != MODEL_VOID)
			end_worker(i, false);
	}
	step.op = OP_UNTABLE;
	for (step.x = 0; step.x < MODEL_TABLES; step.x++) {
		struct world_table *table = &world.tables[step.x];

		for (; table->exists && table->rules; table->rules--) {
			if (table->account != MODEL_NOBODY)
				model_uncharge(&world.model, table->account,
					       MODEL_NUMIPTENT);
		}
		table->exists = false;
	}
	if (support.rules)
		ops_clear_tables();
	if (look_differs())
		return true;
	for (i = 0; i < MODEL_RESOURCES; i++) {
		if (look_is_not(0, i, "held in the end",
				world.model.accounts[0].rows[i].held, 0, 0))
			return true;
	}
	return false;
}

/* True when there is a difference, which is told in run.difference. */
static bool execute(const struct draw_plan *plan, long patience, bool tells)
{
	bool wrong = false;
	int i, nr;

	run.patience = patience;
	run.tells = tells;
	if (!prepare())
		return differs_by("cgroup", "no cgroup can be made");
	for (i = 0; i < plan->nr && !wrong; i += nr) {
		const struct draw *draw = &plan->draws[i];

		run.step = i + 1;
		for (nr = 1; draw->window && i + nr < plan->nr &&
		     draw[nr].window == draw->window; nr++)
			;
		wrong = draw->window ? do_at_once(draw, nr) : do_one(draw);
	}
	if (!wrong) {
		run.step = plan->nr;
		wrong = end_differs();
	}
	clear();
	return wrong;
}

/* The same steps without some of them still show the same. */
static bool still_differs(const struct draw_plan *plan, int from, int nr,
			  const char *what, int tries)
{
	candidate.nr = 0;
	memcpy(candidate.draws, plan->draws, from * sizeof(plan->draws[0]));
	memcpy(candidate.draws + from, plan->draws + from + nr,
	       (plan->nr - from - nr) * sizeof(plan->draws[0]));
	candidate.nr = plan->nr - nr;
	while (tries--) {
		if (execute(&candidate, LITTLE_PATIENCE, false) &&
		    !strcmp(run.difference.what, what))
			return true;
	}
	return false;
}

/* Leaves out halves, quarters and so on, down to single steps. */
static int shrink(const struct difference *difference, enum run_mode mode)
{
	long until = look_clock() + SHRINK_SECONDS * 1000L;
	int size, from, runs = 0;
	int tries = mode == RUN_PARALLEL ? 3 : 1;

	shrunk = drawn;
	/* What comes after it had no part in it. */
	if (mode == RUN_SEQUENTIAL && difference->step < shrunk.nr)
		shrunk.nr = difference->step;
	for (size = shrunk.nr / 2; size > 0; size = size == 1 ? 0 :
	     (size + 1) / 2) {
		bool removed;

		do {
			removed = false;
			for (from = shrunk.nr - size; from >= 0; from -= size) {
				if (look_clock() > until)
					return runs;
				runs++;
				if (from + size > shrunk.nr ||
				    !still_differs(&shrunk, from, size,
						   difference->what, tries))
					continue;
				shrunk = candidate;
				removed = true;
			}
		} while (removed && size == 1);
	}
	return runs;
}

static void tell(uint64_t seed, enum run_mode mode)
{
	struct difference difference = run.difference;
	int runs;

	ksft_print_msg("difference: seed %llu %s step %d: %s\n",
		       (unsigned long long)seed, run_modes[mode],
		       difference.step, difference.text);
	runs = shrink(&difference, mode);
	ksft_print_msg("of %d steps %d are left after %d runs:\n", drawn.nr,
		       shrunk.nr, runs);
	if (execute(&shrunk, PATIENCE, true))
		ksft_print_msg("then: %s\n", run.difference.text);
	else
		ksft_print_msg("then there was no difference: it comes by chance\n");
	ksft_print_msg("see model_bc -s %llu -n 1 -m %s -l %d\n",
		       (unsigned long long)seed, run_modes[mode],
		       run_options.steps);
}

/* A line for whoever adds them up. */
static void report(uint64_t seed, enum run_mode mode)
{
	char text[512] = "";
	int i;

	for (i = 0; i < MODEL_RESOURCES; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 " %s %ld", model_kinds[i].name, world.refusals[i]);
	ksft_print_msg("seed %llu %s steps %ld comparisons %ld refusals%s\n",
		       (unsigned long long)seed, run_modes[mode], run.done,
		       run.comparisons, text);
}

int run_seeds(const char *root)
{
	long until = look_clock() + run_options.seconds * 1000;
	unsigned long long i;
	int mode, err;

	run.root = root;
	err = ops_prepare(&support);
	if (err) {
		ksft_print_msg("cannot prepare: %s\n", strerror(-err));
		return KSFT_FAIL;
	}
	if (!support.network || !support.rules || !support.ptys)
		ksft_print_msg("without%s%s%s\n",
			       support.network ? "" : " a network",
			       support.rules ? "" : " rules",
			       support.ptys ? "" : " terminals");
	for (i = 0; i < run_options.count; i++) {
		uint64_t seed = run_options.seed + i;

		if (i && look_clock() >= until)
			break;
		for (mode = 0; mode < RUN_MODES; mode++) {
			bool wrong;

			if (!run_options.modes[mode])
				continue;
			draw_plan(&drawn, seed, mode, run_options.steps);
			wrong = execute(&drawn, PATIENCE, false);
			report(seed, mode);
			if (!wrong)
				continue;
			tell(seed, mode);
			ops_finish();
			return KSFT_FAIL;
		}
	}
	ops_finish();
	return KSFT_PASS;
}
