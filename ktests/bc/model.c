// SPDX-License-Identifier: GPL-2.0
/*
 * The accounting of the controller, without a controller.
 */
#include <errno.h>
#include <string.h>

#include "bc_util.h"
#include "model.h"

static long max(long a, long b)
{
	return a > b ? a : b;
}

static long min(long a, long b)
{
	return a < b ? a : b;
}

const struct model_kind model_kinds[MODEL_RESOURCES] = {
	[MODEL_NUMPROC] = { NUMPROC, -EAGAIN, 0 },
	[MODEL_NUMFILE] = { NUMFILE, -ENFILE, 8 },
	[MODEL_NUMPTY] = { NUMPTY, -ENOSPC, 0 },
	[MODEL_NUMFLOCK] = { NUMFLOCK, -ENOLCK, 8 },
	[MODEL_NUMTCPSOCK] = { NUMTCPSOCK, -ENOMEM, 8 },
	[MODEL_NUMOTHERSOCK] = { NUMOTHERSOCK, -ENOMEM, 8 },
	[MODEL_NUMSIGINFO] = { NUMSIGINFO, -EAGAIN, 8 },
	[MODEL_NUMIPTENT] = { NUMIPTENT, -ENOMEM, 0 },
};

static struct model_row *row_of(struct model *model, int account, int resource)
{
	return &model->accounts[account].rows[resource];
}

static int above(const struct model *model, int account)
{
	return model->accounts[account].parent;
}

void model_reset(struct model *model, int cpus)
{
	memset(model, 0, sizeof(*model));
	model->cpus = cpus;
}

int model_open(struct model *model, int parent)
{
	int account = model->nr, level, i;

	if (account == MODEL_ACCOUNTS)
		return MODEL_NOBODY;

	model->nr++;
	model->accounts[account].parent = parent;
	model->accounts[account].live = true;
	for (i = 0; i < MODEL_RESOURCES; i++) {
		row_of(model, account, i)->set[MODEL_HIGH] = BC_MAX;
		row_of(model, account, i)->set[MODEL_MAX] = BC_MAX;
	}
	for (level = account; level != MODEL_NOBODY;
	     level = above(model, level))
		model->accounts[level].subtree++;

	return account;
}

void model_close(struct model *model, int account)
{
	model->accounts[account].live = false;
}

long model_bound(const struct model_row *row, enum model_severity severity,
		 enum model_setting *setting)
{
	bool high = severity == MODEL_STRICT &&
		    row->set[MODEL_HIGH] < row->set[MODEL_MAX];

	*setting = high ? MODEL_HIGH : MODEL_MAX;
	return severity == MODEL_FORCED ? BC_MAX : row->set[*setting];
}

long model_stock(const struct model *model, int account, int resource)
{
	return (long)model_kinds[resource].stock * model->cpus *
	       model->accounts[account].subtree;
}

bool model_would_refuse(struct model *model, int account, int resource,
			enum model_severity severity, int *at)
{
	enum model_setting setting;
	int level;

	for (level = account; level != MODEL_NOBODY;
	     level = above(model, level)) {
		struct model_row *row = row_of(model, level, resource);

		if (row->held + 1 > model_bound(row, severity, &setting)) {
			*at = level;
			return true;
		}
	}

	return false;
}

void model_refuse(struct model *model, int at, int resource,
		  enum model_setting setting, long nr)
{
	int level;

	row_of(model, at, resource)->refused[setting] += nr;
	for (level = at; level != MODEL_NOBODY; level = above(model, level))
		row_of(model, level, resource)->below[setting] += nr;
}

bool model_may_be_early(struct model *model, int at, int resource)
{
	struct model_row *row = row_of(model, at, resource);
	enum model_setting setting;
	long bound = model_bound(row, MODEL_STRICT, &setting);

	return bound != BC_MAX &&
	       bound - row->held < model_stock(model, at, resource);
}

/*
 * One more at an account. Stocks are filled then, but not beyond a setting, so
 * that the peak may show as much.
 */
static void add(struct model *model, int account, int resource)
{
	struct model_row *row = row_of(model, account, resource);
	enum model_setting setting;
	long most, bound;

	row->held++;
	if (model->window)
		return;

	bound = model_bound(row, MODEL_STRICT, &setting);
	most = min(row->held + model_stock(model, account, resource),
		   max(row->held, bound));
	row->peak = max(row->peak, row->held);
	row->ceiling = max(row->ceiling, most);
}

bool model_charge(struct model *model, int account, int resource,
		  enum model_severity severity)
{
	enum model_setting setting;
	int level, at;

	if (!model->window && severity != MODEL_FORCED &&
	    model_would_refuse(model, account, resource, severity, &at)) {
		model_bound(row_of(model, at, resource), severity, &setting);
		model_refuse(model, at, resource, setting, 1);
		return false;
	}

	for (level = account; level != MODEL_NOBODY;
	     level = above(model, level))
		add(model, level, resource);
	return true;
}

void model_uncharge(struct model *model, int account, int resource)
{
	int level;

	for (level = account; level != MODEL_NOBODY;
	     level = above(model, level))
		row_of(model, level, resource)->held--;
}

static bool is_at_or_above(const struct model *model, int upper, int account)
{
	while (account != MODEL_NOBODY && account != upper)
		account = above(model, account);
	return account == upper;
}

void model_move(struct model *model, int from, int to, int resource)
{
	int level;

	for (level = to; level != MODEL_NOBODY &&
	     !is_at_or_above(model, level, from); level = above(model, level))
		add(model, level, resource);
	for (level = from; level != MODEL_NOBODY &&
	     !is_at_or_above(model, level, to); level = above(model, level))
		row_of(model, level, resource)->held--;
}

void model_set(struct model *model, int account, int resource,
	       enum model_setting setting, long value)
{
	struct model_row *row = row_of(model, account, resource);

	row->set[setting] = value;
	row->window.loosest[setting] = max(row->window.loosest[setting], value);
	row->window.tightest[setting] = min(row->window.tightest[setting],
					    value);
}

/* Several requests at once */

void model_open_window(struct model *model)
{
	int i, j, k;

	model->window = true;
	for (i = 0; i < model->nr; i++) {
		for (j = 0; j < MODEL_RESOURCES; j++) {
			struct model_row *row = row_of(model, i, j);

			row->window.held = row->held;
			row->window.asked = 0;
			for (k = 0; k < MODEL_SETTINGS; k++) {
				row->window.loosest[k] = row->set[k];
				row->window.tightest[k] = row->set[k];
			}
		}
	}
}

void model_asked(struct model *model, int account, int resource)
{
	int level;

	for (level = account; level != MODEL_NOBODY;
	     level = above(model, level))
		row_of(model, level, resource)->window.asked++;
}

long model_window_most(const struct model *model, int account, int resource)
{
	const struct model_row *row = &model->accounts[account].rows[resource];
	long bound = row->window.loosest[MODEL_MAX];

	/* Only the pieces of locks pass the barrier. */
	if (resource != MODEL_NUMFLOCK)
		bound = min(bound, row->window.loosest[MODEL_HIGH]);
	return max(bound, row->window.held);
}

void model_close_window(struct model *model)
{
	int i, j;

	model->window = false;
	for (i = 0; i < model->nr; i++) {
		for (j = 0; j < MODEL_RESOURCES; j++) {
			struct model_row *row = row_of(model, i, j);
			long most;

			most = min(row->window.held + row->window.asked +
				   model_stock(model, i, j),
				   model_window_most(model, i, j));
			row->peak = max(row->peak, row->held);
			row->ceiling = max(row->ceiling, most);
		}
	}
}
