// SPDX-License-Identifier: GPL-2.0
/* Looks at a tree through /proc, and at the difference between two such looks. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest.h"
#include "forest_look.h"

/* How many differences are told. */
#define TOLD	12
/* Fields of stat, as proc(5) counts them. */
#define STAT_FIELDS	52

static char text[256 * 1024];

static const char *read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len, all = 0;

	if (fd < 0)
		return NULL;
	while ((len = read(fd, text + all, sizeof(text) - 1 - all)) > 0)
		all += len;
	close(fd);
	text[all] = '\0';
	return len < 0 ? NULL : text;
}

/* Whoever runs may sleep as well. */
static char state_in(char state)
{
	return strchr("RSD", state) ? 'S' : state;
}

char forest_state(int pid, int tid)
{
	const char *at;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	at = read_file(path);
	at = at ? strrchr(at, ')') : NULL;
	return at ? state_in(at[2]) : 0;
}

/* Those who have ended have nothing else. */
static const char * const status_always[] = {
	"Name:", "Tgid:", "Pid:", "PPid:", "TracerPid:", "NSpgid:", "NSsid:", "Threads:", NULL
};

static const char * const status_alive[] = {
	"Umask:", "Uid:", "Gid:", "Groups:", "SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:",
	"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:", "NoNewPrivs:", "Seccomp:",
	"Cpus_allowed:", NULL
};

static bool begins(const char *line, const char * const *names)
{
	for (; *names; names++)
		if (!strncmp(line, *names, strlen(*names)))
			return true;
	return false;
}

static void look_at_status(struct forest_look *look, const char *path, const char *who, bool ended)
{
	const char *found = read_file(path);
	char *line, *state;

	if (!found) {
		fprintf(look->file, "%s has no status\n", who);
		return;
	}
	for (line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state))
		if (begins(line, status_always) || (!ended && begins(line, status_alive)))
			fprintf(look->file, "%s %s\n", who, line);
}

static void look_at_stat(struct forest_look *look, const char *path, const char *who, bool ended)
{
	static const char * const always[STAT_FIELDS + 1] = {
		[5] = "group", [6] = "session", [38] = "exit signal", [52] = "exit code",
	};
	static const char * const alive[STAT_FIELDS + 1] = {
		[19] = "nice", [20] = "threads", [26] = "code", [27] = "end of code",
		[28] = "stack", [40] = "priority", [41] = "policy", [45] = "data",
		[46] = "end of data", [47] = "brk", [48] = "arguments",
		[49] = "end of arguments", [50] = "environment", [51] = "end of environment",
	};
	const char *found = read_file(path);
	char *word, *state, *at = found ? strrchr(text, ')') : NULL;
	int i = 3;

	if (!at)
		return;
	at[strcspn(at, "\n")] = '\0';
	fprintf(look->file, "%s state %c\n", who, state_in(at[2]));
	for (word = strtok_r(at + 1, " ", &state); word && i <= STAT_FIELDS;
	     word = strtok_r(NULL, " ", &state), i++) {
		if (always[i])
			fprintf(look->file, "%s %s %s\n", who, always[i], word);
		if (!ended && alive[i])
			fprintf(look->file, "%s %s %s\n", who, alive[i], word);
	}
}

static int number_of_pipe(struct forest_look *look, unsigned long inode)
{
	int i;

	for (i = 0; i < look->nr_pipes; i++)
		if (look->pipes[i] == inode)
			return i;
	if (i == FOREST_SLOTS)
		return -1;
	look->pipes[look->nr_pipes++] = inode;
	return i;
}

static int by_number(const struct dirent **a, const struct dirent **b)
{
	return atoi((*a)->d_name) - atoi((*b)->d_name);
}

static int is_number(const struct dirent *entry)
{
	return entry->d_name[0] >= '0' && entry->d_name[0] <= '9';
}

/* The numbers that a directory has, in their order; -1 if there is none. */
static int numbers_in(const char *path, int *numbers, int most)
{
	struct dirent **entries;
	int i, nr = scandir(path, &entries, is_number, by_number);

	if (nr < 0)
		return -1;
	for (i = 0; i < nr; i++) {
		if (i < most)
			numbers[i] = atoi(entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return nr < most ? nr : most;
}

static void look_at_files(struct forest_look *look, const char *task, const char *who)
{
	char path[128], target[512], *line, *state;
	int fds[512], i, nr;
	unsigned long inode;
	ssize_t len;

	snprintf(path, sizeof(path), "%s/cwd", task);
	len = readlink(path, target, sizeof(target) - 1);
	fprintf(look->file, "%s cwd %.*s\n", who, len < 0 ? 0 : (int)len, target);
	snprintf(path, sizeof(path), "%s/fd", task);
	nr = numbers_in(path, fds, ARRAY_SIZE(fds));
	for (i = 0; i < nr; i++) {
		snprintf(path, sizeof(path), "%s/fd/%d", task, fds[i]);
		len = readlink(path, target, sizeof(target) - 1);
		target[len < 0 ? 0 : len] = '\0';
		if (sscanf(target, "pipe:[%lu]", &inode) == 1)
			snprintf(target, sizeof(target), "pipe %d", number_of_pipe(look, inode));
		fprintf(look->file, "%s fd %d is %s\n", who, fds[i], target);
		snprintf(path, sizeof(path), "%s/fdinfo/%d", task, fds[i]);
		if (!read_file(path))
			continue;
		for (line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state))
			if (!strncmp(line, "pos:", 4) || !strncmp(line, "flags:", 6))
				fprintf(look->file, "%s fd %d %s\n", who, fds[i], line);
	}
}

struct mapping {
	unsigned long from;
	unsigned long to;
	unsigned long offset;
	char perms[8];
	char name[256];
};

/* Neighbours that look the same may be one, or several. */
static bool continues(const struct mapping *was, const struct mapping *now)
{
	return now->from == was->to && !strcmp(now->perms, was->perms) &&
	       !strcmp(now->name, was->name) &&
	       (now->name[0] != '/' || now->offset == was->offset + was->to - was->from);
}

static void tell_mapping(struct forest_look *look, const char *who, const struct mapping *it)
{
	if (it->to)
		fprintf(look->file, "%s memory %lx-%lx %s %lx %s\n", who, it->from, it->to,
			it->perms, it->offset, it->name);
}

static void look_at_maps(struct forest_look *look, int pid, const char *who)
{
	struct mapping now = { }, was = { };
	char path[64], *line, *state;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	if (!read_file(path)) {
		fprintf(look->file, "%s has no maps\n", who);
		return;
	}
	for (line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
		now.name[0] = '\0';
		if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %255[^\n]", &now.from, &now.to, now.perms,
			   &now.offset, now.name) < 4)
			continue;
		/* Shared memory is a file, the name of which says nothing. */
		if (strstr(now.name, "(deleted)"))
			snprintf(now.name, sizeof(now.name), "shared");
		if (now.name[0] != '/')
			now.offset = 0;
		if (continues(&was, &now)) {
			was.to = now.to;
			continue;
		}
		tell_mapping(look, who, &was);
		was = now;
	}
	tell_mapping(look, who, &was);
}

static void look_at_lines(struct forest_look *look, int pid, const char *who, const char *name)
{
	char path[64], *line, *state;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	if (!read_file(path))
		return;
	for (line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state))
		fprintf(look->file, "%s %s: %s\n", who, name, line);
}

/* Several lines for each; which timer comes first says nothing. */
static void look_at_timers(struct forest_look *look, int pid, const char *who)
{
	char path[64], *line, *state;
	int id = -1;

	snprintf(path, sizeof(path), "/proc/%d/timers", pid);
	if (!read_file(path))
		return;
	for (line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
		if (!strncmp(line, "ID: ", 4))
			id = atoi(line + 4);
		fprintf(look->file, "%s timer %d %s\n", who, id, line);
	}
}

static void look_at_thread(struct forest_look *look, int nr, int pid, int tid)
{
	const bool ended = forest_state(pid, tid) == 'Z';
	char task[64], path[128], who[64];

	snprintf(task, sizeof(task), "/proc/%d/task/%d", pid, tid);
	snprintf(who, sizeof(who), "process %d thread %d", nr, tid);
	snprintf(path, sizeof(path), "%s/status", task);
	look_at_status(look, path, who, ended);
	snprintf(path, sizeof(path), "%s/stat", task);
	look_at_stat(look, path, who, ended);
	if (!ended)
		look_at_files(look, task, who);
}

static void look_at_process(struct forest_look *look, const struct forest_plan *plan, int nr,
			    int pid)
{
	char path[64], who[32];
	int tids[64], i, nr_tids;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	snprintf(who, sizeof(who), "process %d", nr);
	nr_tids = numbers_in(path, tids, ARRAY_SIZE(tids));
	fprintf(look->file, "%s has pid %d and %d threads\n", who, pid, nr_tids);
	for (i = 0; i < nr_tids; i++)
		look_at_thread(look, nr, pid, tids[i]);
	if (plan->procs[nr].ends)
		return;
	look_at_lines(look, pid, who, "limits");
	look_at_lines(look, pid, who, "oom_score_adj");
	look_at_timers(look, pid, who);
	/* The first thread has no memory any more when it is gone. */
	for (i = 0; i < nr_tids; i++)
		if (forest_state(pid, tids[i]) != 'Z')
			break;
	if (i < nr_tids)
		look_at_maps(look, tids[i], who);
}

int forest_look(struct forest_look *look, const struct forest_plan *plan,
		const struct forest_told *told)
{
	int i;

	memset(look, 0, sizeof(*look));
	look->file = open_memstream(&look->text, &look->len);
	if (!look->file)
		return -ENOMEM;
	for (i = 0; i < plan->nr; i++)
		if (!forest_has(&plan->procs[i], FOREST_GONE))
			look_at_process(look, plan, i, told->procs[i].pid);
	return fflush(look->file) ? -ENOMEM : 0;
}

void forest_look_end(struct forest_look *look)
{
	if (look->file)
		fclose(look->file);
	free(look->text);
	memset(look, 0, sizeof(*look));
}

static bool has_line(const char *in, const char *line, size_t len)
{
	const char *at = in;

	while ((at = memmem(at, strlen(at), line, len))) {
		if (at == in || at[-1] == '\n')
			return true;
		at++;
	}
	return false;
}

/* The lines of one that the other does not have. */
static void tell_missing(const char *of, const char *in, const char *when)
{
	const char *end;
	int told = 0;

	for (; (end = strchr(of, '\n')) && told < TOLD; of = end + 1) {
		if (has_line(in, of, end + 1 - of))
			continue;
		ksft_print_msg("  only %s: %.*s\n", when, (int)(end - of), of);
		told++;
	}
}

bool forest_looks_differ(const struct forest_look *before, const struct forest_look *after)
{
	if (before->len == after->len && !memcmp(before->text, after->text, before->len))
		return false;
	tell_missing(before->text, after->text, "before");
	tell_missing(after->text, before->text, "after");
	return true;
}

static bool marks_of_thread_differ(const struct forest_plan *plan, const struct forest_told *told,
				   const char *dir, int proc, int nr)
{
	const struct forest_thread *thread = &plan->procs[proc].threads[nr];
	char path[128], target[256], want[256];
	const char *found, *at;
	unsigned int mask;
	ssize_t len;
	int i, j;

	for (i = 0; i < plan->nr; i++) {
		for (j = 0; j < plan->procs[i].nr_threads; j++) {
			bool there, same = plan->procs[i].threads[j].files == thread->files;

			if (!forest_lives(plan, i, j))
				continue;
			snprintf(path, sizeof(path), "/proc/%d/task/%d/fd/%d",
				 told->procs[proc].pid, told->procs[proc].tids[nr],
				 FOREST_MARKS + forest_slot(i, j));
			there = readlink(path, target, sizeof(target)) > 0;
			if (there == same)
				continue;
			ksft_print_msg("  thread %d of process %d: %s files with thread %d of %d\n",
				       nr, proc, same ? "no" : "the same", j, i);
			return true;
		}
	}
	snprintf(path, sizeof(path), "/proc/%d/task/%d/cwd", told->procs[proc].pid,
		 told->procs[proc].tids[nr]);
	len = readlink(path, target, sizeof(target) - 1);
	target[len < 0 ? 0 : len] = '\0';
	snprintf(want, sizeof(want), "%s/d%d", dir, thread->fs);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", told->procs[proc].pid,
		 told->procs[proc].tids[nr]);
	found = read_file(path);
	at = found ? strstr(found, "Umask:") : NULL;
	if (!strcmp(target, want) && at && sscanf(at, "Umask: %o", &mask) == 1 &&
	    mask == forest_umask(thread->fs))
		return false;
	ksft_print_msg("  process %d thread %d is in %s, not %s, or has another umask than %o\n",
		       proc, nr, target, want, forest_umask(thread->fs));
	return true;
}

bool forest_marks_differ(const struct forest_plan *plan, const struct forest_told *told,
			 const char *dir)
{
	int i, j;

	for (i = 0; i < plan->nr; i++)
		for (j = 0; j < plan->procs[i].nr_threads; j++)
			if (forest_lives(plan, i, j) &&
			    marks_of_thread_differ(plan, told, dir, i, j))
				return true;
	return false;
}
