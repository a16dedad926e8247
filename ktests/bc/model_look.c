// SPDX-License-Identifier: GPL-2.0
/*
 * Reads all files of the controller and compares every number in them.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "model_look.h"
#include "model_scene.h"

long look_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

const char *look_cgroup(long nr)
{
	return nr < 0 ? "the root" : run.paths[nr] + strlen(run.root) + 1;
}

const char *look_value(long value)
{
	static char texts[4][24];
	static int next;
	char *text = texts[next++ % 4];

	if (value == BC_MAX)
		return "max";
	snprintf(text, sizeof(texts[0]), "%ld", value);
	return text;
}

bool __printf(2, 3) differs_by(const char *what, const char *format, ...)
{
	struct difference *difference = &run.difference;
	va_list args;

	difference->found = true;
	difference->step = run.step;
	snprintf(difference->what, sizeof(difference->what), "%s", what);
	va_start(args, format);
	vsnprintf(difference->text, sizeof(difference->text), format, args);
	va_end(args);
	return true;
}

/* Looking */

static int resource_of(const char *name, size_t len)
{
	int i;

	for (i = 0; i < MODEL_RESOURCES; i++) {
		if (strlen(model_kinds[i].name) == len &&
		    !strncmp(model_kinds[i].name, name, len))
			return i;
	}
	return -1;
}

static long number(const char *text)
{
	return strncmp(text, "max", 3) ? strtol(text, NULL, 10) : BC_MAX;
}

static bool read_stat(const char *cgroup, struct look_row *shown)
{
	char path[PATH_MAX], buf[BUF_SIZE];
	char *line, *state;
	int seen = 0;

	snprintf(path, sizeof(path), "%s/bc.stat", cgroup);
	if (bc_read(path, buf, sizeof(buf)) < 0)
		return false;
	for (line = strtok_r(buf, "\n", &state); line;
	     line = strtok_r(NULL, "\n", &state)) {
		int nr = resource_of(line, strcspn(line, " "));
		char high[24], max[24];

		/* What is counted in pages is not modelled here. */
		if (nr < 0)
			continue;
		if (sscanf(line, "%*s held=%ld maxheld=%ld barrier=%23s limit=%23s failcnt=%ld",
			   &shown[nr].held, &shown[nr].peak, high, max,
			   &shown[nr].failcnt) != 5)
			return false;
		shown[nr].set[MODEL_HIGH] = number(high);
		shown[nr].set[MODEL_MAX] = number(max);
		seen++;
	}
	return seen == MODEL_RESOURCES;
}

static bool read_events(const char *cgroup, struct look_row *shown, bool local)
{
	char path[PATH_MAX], buf[BUF_SIZE];
	char *line, *state;
	int seen = 0;

	snprintf(path, sizeof(path), "%s/bc.events%s", cgroup,
		 local ? ".local" : "");
	if (bc_read(path, buf, sizeof(buf)) < 0)
		return false;
	for (line = strtok_r(buf, "\n", &state); line;
	     line = strtok_r(NULL, "\n", &state)) {
		size_t len = strcspn(line, ".");
		int nr = resource_of(line, len), setting;
		char *value = strchr(line, ' ');

		if (nr < 0)
			continue;
		if (!value)
			return false;
		setting = strncmp(line + len, ".high ", 6) ? MODEL_MAX :
							     MODEL_HIGH;
		if (local)
			shown[nr].refused[setting] = number(value + 1);
		else
			shown[nr].below[setting] = number(value + 1);
		seen++;
	}
	return seen == MODEL_RESOURCES * MODEL_SETTINGS;
}

bool look_at(int cgroup, struct look_row *shown)
{
	return read_stat(run.paths[cgroup], shown) &&
	       read_events(run.paths[cgroup], shown, true) &&
	       read_events(run.paths[cgroup], shown, false);
}

/* The files that show one number say the same as those that show all. */
static bool flat_differs(int cgroup, const struct look_row *shown)
{
	static const char * const files[] = {
		"bc.current", "bc.peak", "bc.high", "bc.max",
	};
	int i, nr = run.done % MODEL_RESOURCES;
	const struct look_row *row = &shown[nr];
	const long values[] = {
		row->held, row->peak, row->set[MODEL_HIGH], row->set[MODEL_MAX],
	};

	for (i = 0; i < (int)ARRAY_SIZE(files); i++) {
		long value = bc_value(run.paths[cgroup], files[i],
				      model_kinds[nr].name);

		if (value != values[i])
			return differs_by(files[i],
					  "%s of %s: %s is %s, and %s in bc.stat",
					  files[i], look_cgroup(cgroup),
					  model_kinds[nr].name,
					  look_value(value),
					  look_value(values[i]));
	}
	return false;
}

bool look_is_not(int cgroup, int resource, const char *what, long got,
		 long least, long most)
{
	char both[48];

	run.comparisons++;
	if (got >= least && got <= most)
		return false;
	snprintf(both, sizeof(both), "%s %s", model_kinds[resource].name, what);
	if (least == most)
		return differs_by(both, "%s of %s is %s, expected %s", both,
				  look_cgroup(cgroup), look_value(got),
				  look_value(least));
	return differs_by(both, "%s of %s is %s, expected %s to %s", both,
			  look_cgroup(cgroup), look_value(got),
			  look_value(least), look_value(most));
}

static bool row_differs(int cgroup, int nr, const struct look_row *shown)
{
	const struct model_row *row =
		&world.model.accounts[world.cgroups[cgroup].account].rows[nr];
	const long *refused = row->refused, *below = row->below;
	const struct {
		const char *what;
		long got, least, most;
	} numbers[] = {
		{ "held", shown->held, row->held, row->held },
		{ "maxheld", shown->peak, row->peak, row->ceiling },
		{ "barrier", shown->set[MODEL_HIGH], row->set[MODEL_HIGH],
		  row->set[MODEL_HIGH] },
		{ "limit", shown->set[MODEL_MAX], row->set[MODEL_MAX],
		  row->set[MODEL_MAX] },
		{ "failcnt", shown->failcnt,
		  refused[MODEL_HIGH] + refused[MODEL_MAX],
		  refused[MODEL_HIGH] + refused[MODEL_MAX] },
		{ "refusals by the barrier", shown->refused[MODEL_HIGH],
		  refused[MODEL_HIGH], refused[MODEL_HIGH] },
		{ "refusals by the limit", shown->refused[MODEL_MAX],
		  refused[MODEL_MAX], refused[MODEL_MAX] },
		{ "refusals by barriers at and below",
		  shown->below[MODEL_HIGH], below[MODEL_HIGH],
		  below[MODEL_HIGH] },
		{ "refusals by limits at and below", shown->below[MODEL_MAX],
		  below[MODEL_MAX], below[MODEL_MAX] },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (look_is_not(cgroup, nr, numbers[i].what, numbers[i].got,
				numbers[i].least, numbers[i].most))
			return true;
	}
	return false;
}

/* All that is shown, once. */
static bool anything_differs(void)
{
	static struct look_row shown[MODEL_CGROUPS][MODEL_RESOURCES];
	int i, j;

	run.difference.found = false;
	for (i = 0; i < MODEL_CGROUPS; i++) {
		const struct world_cgroup *cgroup = &world.cgroups[i];

		if (!cgroup->exists)
			continue;
		if (cgroup->account == MODEL_NONE) {
			if (bc_has(run.paths[i], "bc.stat"))
				return differs_by("files",
						  "%s has the controller's files",
						  look_cgroup(i));
			continue;
		}
		if (!look_at(i, shown[i]))
			return differs_by("files", "%s cannot be read",
					  look_cgroup(i));
		for (j = 0; j < MODEL_RESOURCES; j++) {
			if (row_differs(i, j, &shown[i][j]))
				return true;
		}
		if (flat_differs(i, shown[i]))
			return true;
	}

	/* A peak that was seen is neither taken back nor reached again. */
	for (i = 0; i < MODEL_CGROUPS; i++) {
		if (!world.cgroups[i].exists ||
		    world.cgroups[i].account == MODEL_NONE)
			continue;
		for (j = 0; j < MODEL_RESOURCES; j++) {
			int account = world.cgroups[i].account;
			struct model_row *row =
				&world.model.accounts[account].rows[j];

			row->peak = shown[i][j].peak;
			row->ceiling = shown[i][j].peak;
		}
	}
	return false;
}

/* Until all is as it should be: what is given back may take its time. */
bool look_differs(void)
{
	long until = look_clock() + run.patience, pause = 20;

	while (anything_differs()) {
		if (look_clock() > until)
			return true;
		bc_reap();
		usleep(pause);
		if (pause < BC_POLL_USEC)
			pause *= 2;
	}
	return false;
}
