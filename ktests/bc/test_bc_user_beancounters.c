// SPDX-License-Identifier: GPL-2.0
/*
 * The module user_beancounters: OpenVZ's files, who may read them, and what a
 * reader sees while containers come and go.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_util.h"

#define MODULE		"user_beancounters"
#define OLD		"/proc/user_beancounters"
#define NEW		"/proc/bc/resources"

#define VERSION		"Version: 2.5\n"
#define HEADER \
	"       uid  resource    " \
	"                 held" \
	"              maxheld" \
	"              barrier" \
	"                limit" \
	"              failcnt\n"

/* Columns: where each begins and ends, the blanks between them left out. */
#define UID_END		10
#define NAME_START	12
#define NAME_END	24
#define NUMBER_WIDTH	21
#define NUMBERS		5
#define ROW		(NAME_END + NUMBERS * NUMBER_WIDTH + 1)

#define NAMES		25
#define DUMMY		"dummy"

/* All names, in the order of OpenVZ's numbers. */
static const char * const names[NAMES] = {
	"kmemsize", "lockedpages", "privvmpages", "shmpages", DUMMY, "numproc",
	"physpages", "vmguarpages", "oomguarpages", "numtcpsock", "numflock",
	"numpty", "numsiginfo", "tcpsndbuf", "tcprcvbuf", "othersockbuf",
	"dgramrcvbuf", "numothersock", "dcachesize", "numfile", DUMMY, DUMMY,
	DUMMY, "numiptent", "swappages",
};

/* The rows that memory has. */
static const char * const of_memory[] = {
	"kmemsize", "dcachesize", "physpages", "swappages",
};

static const char * const files[] = { OLD, NEW };

/* What was read, by the program or by an agent. */
static struct {
	ssize_t len;
	char text[1 << 20];
} *view;

struct ubc_row {
	char name[NAME_END - NAME_START + 1];
	long numbers[NUMBERS];
};

#define CONTAINERS	256

static struct container {
	unsigned long id;
	int nr;
	struct ubc_row rows[NAMES];
} containers[CONTAINERS];

static int nr_containers;

/* Reading: the whole of a file, in pieces of any size. */

static int read_in(const char *path, size_t piece)
{
	ssize_t ret;
	int fd;

	view->len = 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;

	do {
		size_t room = sizeof(view->text) - 1 - view->len;

		ret = read(fd, view->text + view->len,
			   piece < room ? piece : room);
		if (ret > 0)
			view->len += ret;
	} while (ret > 0);
	if (ret < 0)
		ret = -errno;

	view->text[view->len] = '\0';
	close(fd);
	return ret;
}

static long self_read(long piece, const char *path)
{
	int ret = read_in(path, piece);

	errno = -ret;
	return ret ? -1 : 0;
}

/* The format, stated a second time. */

/* A number at the right of its column, without leading zeros. */
static bool parse_number(const char *at, const char *end, long *number)
{
	const char *start;

	while (at < end && *at == ' ')
		at++;
	if (at == end || (*at == '0' && at + 1 != end))
		return false;

	for (*number = 0, start = at; at < end; at++) {
		if (*at < '0' || *at > '9' || at - start == 19)
			return false;
		if (*number > (LONG_MAX - (*at - '0')) / 10)
			return false;
		*number = *number * 10 + (*at - '0');
	}

	return true;
}

static bool blank(const char *at, const char *end)
{
	while (at < end && *at == ' ')
		at++;

	return at == end;
}

/* One line of ROW characters. */
static bool parse_row(const char *line, bool *first, unsigned long *id,
		      struct ubc_row *row)
{
	const char *at = line + NAME_END;
	size_t len = 0;
	long number;
	int i;

	*first = line[UID_END - 1] == ':';
	if (*first) {
		if (!parse_number(line, line + UID_END - 1, &number))
			return false;
		*id = number;
	} else if (!blank(line, line + UID_END)) {
		return false;
	}

	if (!blank(line + UID_END, line + NAME_START))
		return false;
	while (NAME_START + len < NAME_END && line[NAME_START + len] != ' ')
		len++;
	if (!len || !blank(line + NAME_START + len, at))
		return false;
	snprintf(row->name, sizeof(row->name), "%.*s", (int)len,
		 line + NAME_START);

	for (i = 0; i < NUMBERS; i++, at += NUMBER_WIDTH) {
		if (*at != ' ' || !parse_number(at, at + NUMBER_WIDTH,
						&row->numbers[i]))
			return false;
	}

	return *at == '\n';
}

static const struct ubc_row *find_row(const struct container *container,
				      const char *name)
{
	int i;

	for (i = 0; container && i < container->nr; i++) {
		if (!strcmp(container->rows[i].name, name))
			return &container->rows[i];
	}

	return NULL;
}

/* Are its rows in their order, each once, with the dummies of the older file? */
static bool misplaced(const struct container *container, bool old)
{
	int i, at = 0;

	for (i = 0; i < NAMES; i++) {
		const char *name = names[i];
		bool wanted;

		if (!strcmp(name, DUMMY))
			wanted = old && at;
		else
			wanted = find_row(container, name);
		if (old && !strcmp(name, "swappages"))
			wanted = false;
		if (!wanted)
			continue;
		if (at == container->nr ||
		    strcmp(container->rows[at].name, name)) {
			ksft_print_msg("row %d of %lu is not %s\n", at,
				       container->id, name);
			return true;
		}
		at++;
	}

	return differs(at, container->nr);
}

/* Nonsense anywhere in what was read? */
static bool malformed(const char *path)
{
	bool old = !strcmp(path, OLD);
	const char *at = view->text;
	struct container *container = NULL;
	int i, j;

	nr_containers = 0;
	if (strncmp(at, VERSION HEADER, strlen(VERSION HEADER))) {
		ksft_print_msg("%s begins with \"%.200s\"\n", path, at);
		return true;
	}
	for (at += strlen(VERSION HEADER); *at; at += ROW) {
		struct ubc_row row;
		unsigned long id;
		bool first;

		if (strnlen(at, ROW) != ROW ||
		    !parse_row(at, &first, &id, &row) ||
		    (!container && !first) ||
		    (first && nr_containers == CONTAINERS) ||
		    (!first && container->nr == NAMES)) {
			ksft_print_msg("%s has \"%.*s\"\n", path, ROW, at);
			return true;
		}
		if (first) {
			container = &containers[nr_containers++];
			container->id = id;
			container->nr = 0;
		}
		container->rows[container->nr++] = row;
	}

	for (i = 0; i < nr_containers; i++) {
		if (misplaced(&containers[i], old))
			return true;
		for (j = 0; j < i; j++) {
			if (unmet(containers[i].id != containers[j].id))
				return true;
		}
	}

	return false;
}

static const struct container *find(const char *cgroup)
{
	unsigned long id = bc_id(cgroup) & UINT_MAX;
	int i;

	for (i = 0; i < nr_containers; i++) {
		if (containers[i].id == id)
			return &containers[i];
	}

	return NULL;
}

/* What the program sees. */
static bool unreadable(const char *path, size_t piece)
{
	return differs(read_in(path, piece), 0) || malformed(path);
}

/* The resources of bc.stat, one after the other. */
static bool next_resource(const char *text, size_t *at, char *name, size_t size)
{
	size_t len = strcspn(text + *at, " ");

	if (!text[*at])
		return false;
	snprintf(name, size, "%.*s", (int)len, text + *at);
	*at += strcspn(text + *at, "\n") + 1;
	return true;
}

/* Does the container have what bc.stat has, and nothing else but memory? */
static bool disagrees(const char *cgroup, bool memory, const char *path)
{
	const struct container *container = find(cgroup);
	char stat[PATH_MAX], text[BUF_SIZE], name[32];
	int i, dummies = 0, resources = 0;
	size_t at = 0;

	snprintf(stat, sizeof(stat), "%s/bc.stat", cgroup);
	if (unmet(container) || unmet(bc_read(stat, text, sizeof(text)) > 0))
		return true;

	while (next_resource(text, &at, name, sizeof(name))) {
		const struct ubc_row *row = find_row(container, name);
		struct bc_row want;

		if (differs(bc_stat(cgroup, name, &want), 0))
			return true;
		resources++;
		if (!row || row->numbers[0] != want.held ||
		    row->numbers[1] != want.maxheld ||
		    row->numbers[2] != want.barrier ||
		    row->numbers[3] != want.limit ||
		    row->numbers[4] != want.failcnt) {
			ksft_print_msg("%s differs from bc.stat of %s\n", name,
				       cgroup);
			return true;
		}
	}

	for (i = 0; i < (int)ARRAY_SIZE(of_memory); i++) {
		if (find_row(container, of_memory[i])) {
			if (unmet(memory))
				return true;
			resources++;
		}
	}
	for (i = 0; i < container->nr; i++) {
		const struct ubc_row *row = &container->rows[i];
		int j;

		if (strcmp(row->name, DUMMY))
			continue;
		dummies++;
		for (j = 0; j < NUMBERS; j++) {
			if (differs(row->numbers[j], 0))
				return true;
		}
	}
	if (differs(dummies, strcmp(path, OLD) ? 0 : 4))
		return true;

	return differs(container->nr, resources + dummies);
}

/* The columns, and where a container has nothing at all. */
static int test_ubc_format(const char *root)
{
	int ret = KSFT_FAIL;
	char *one, *two;
	size_t i;

	one = bc_cgroup(root, "ubc_one");
	two = bc_cgroup(root, "ubc_two");
	if (!one || !two)
		goto cleanup;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		struct stat st;

		if (differs(stat(files[i], &st), 0) ||
		    differs(st.st_mode, S_IFREG | 0400) ||
		    differs(st.st_uid, 0) ||
		    unreadable(files[i], sizeof(view->text)) ||
		    unmet(find(one)) || unmet(find(two)) ||
		    unmet(find(one) != find(two)) ||
		    /* The root pays for nothing. */
		    unmet(!find(root)))
			goto cleanup;
	}

	ret = KSFT_PASS;

cleanup:
	ret = bc_remove(two, ret);
	return bc_remove(one, ret);
}

/* Every number is that of bc.stat. */
static int test_ubc_agrees(const char *root)
{
	struct bc_agent *agent = NULL, *other = NULL;
	int ret = KSFT_FAIL;
	char *one, *two;
	size_t i;

	one = bc_cgroup(root, "ubc_one");
	two = bc_cgroup(root, "ubc_two");
	agent = bc_agent(one);
	other = bc_agent(two);
	if (!agent || !other)
		goto cleanup;

	if (differs(bc_write(one, "bc.high", "numproc 4\nnumfile 40\n"), 0) ||
	    differs(bc_write(one, "bc.max", "numproc 6\nnumpty 7\n"), 0) ||
	    differs(bc_fork(agent, 5), 3) || differs(bc_fork(agent, 1), 0) ||
	    differs(bc_open(agent, 60), 40) ||
	    differs(bc_close(agent, 10), 10) ||
	    differs(bc_end_children(agent), 3) ||
	    differs(bc_open(other, 3), 3) || differs(bc_fork(other, 1), 1))
		goto cleanup;
	if (unsettled(one, NUMPROC, 1) || unsettled(one, NUMFILE, 30) ||
	    unsettled(two, NUMFILE, 3))
		goto cleanup;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		const struct ubc_row *row;

		if (unreadable(files[i], sizeof(view->text)) ||
		    disagrees(one, false, files[i]) ||
		    disagrees(two, false, files[i]))
			goto cleanup;

		/* And bc.stat is right. */
		row = find_row(find(one), NUMPROC);
		if (differs(row->numbers[0], 1) ||
		    differs(row->numbers[1], 4) ||
		    differs(row->numbers[2], 4) ||
		    differs(row->numbers[3], 6) ||
		    differs(row->numbers[4], 2))
			goto cleanup;
		row = find_row(find(one), NUMPTY);
		if (differs(row->numbers[2], LONG_MAX) ||
		    differs(row->numbers[3], 7))
			goto cleanup;
	}

	ret = KSFT_PASS;

cleanup:
	bc_stop(other);
	bc_stop(agent);
	ret = bc_remove(two, ret);
	return bc_remove(one, ret);
}

/* Memory */

/* Touch that many pages, and keep them. */
static long self_touch(long pages, const char *text __maybe_unused)
{
	long i, size = sysconf(_SC_PAGESIZE);
	char *memory = mmap(NULL, pages * size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return -1;
	for (i = 0; i < pages; i++)
		memory[i * size] = 1;

	return 0;
}

/* A child that does the same, and no more. */
static long self_touch_apart(long pages, const char *text)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(!!self_touch(pages, text));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;

	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* The value of a file of memory that has only one; pages if it is a setting. */
static long single(const char *cgroup, const char *file)
{
	char text[64];

	if (cg_read(cgroup, file, text, sizeof(text)))
		return BC_NONE;

	return strcmp(text, "max\n") ? atol(text) : BC_MAX;
}

static long in_pages(long bytes)
{
	return bytes == BC_MAX || bytes == BC_NONE ? bytes :
	       bytes / sysconf(_SC_PAGESIZE);
}

/* What the rows of memory are to be, in the order of the columns. */
static void memory_wants(const char *cgroup, long want[][NUMBERS])
{
	static const char * const columns[][NUMBERS - 1] = {
		{ "memory.current", "memory.peak", "memory.high", "memory.max" },
		{ "memory.swap.current", "memory.swap.peak",
		  "memory.swap.high", "memory.swap.max" },
	};
	long kernel = bc_value(cgroup, "memory.stat", "kernel");
	long slab = bc_value(cgroup, "memory.stat", "slab_reclaimable");
	int i, j;

	for (i = 0; i < 2; i++) {
		for (j = 0; j < NUMBERS - 1; j++)
			want[2 + i][j] = in_pages(single(cgroup,
							 columns[i][j]));
	}
	want[2][4] = bc_value(cgroup, "memory.events.local", "oom");
	want[3][4] = bc_value(cgroup, "memory.swap.events", "max");

	for (i = 0; i < 2; i++) {
		want[i][0] = i ? slab : kernel;
		want[i][1] = want[i][0];
		want[i][2] = BC_MAX;
		want[i][3] = BC_MAX;
		want[i][4] = 0;
	}
}

/* Memory comes and goes: what is the same before and after must be shown. */
static bool memory_differs(const char *cgroup, const char *path)
{
	long before[ARRAY_SIZE(of_memory)][NUMBERS];
	long after[ARRAY_SIZE(of_memory)][NUMBERS];
	bool stable[ARRAY_SIZE(of_memory)] = {};
	bool swap = bc_has(cgroup, "memory.swap.current") && strcmp(path, OLD);
	int i, tries, left;

	for (tries = 0; tries < BC_POLL_TIMES; tries++, bc_pause()) {
		memory_wants(cgroup, before);
		if (unreadable(path, sizeof(view->text)))
			return true;
		memory_wants(cgroup, after);

		left = 0;
		for (i = 0; i < (int)ARRAY_SIZE(of_memory); i++) {
			const struct ubc_row *row = find_row(find(cgroup),
							     of_memory[i]);
			bool wanted = swap || strcmp(of_memory[i], "swappages");
			int j;

			if (differs(!!row, wanted))
				return true;
			if (!wanted || stable[i])
				continue;
			if (memcmp(before[i], after[i], sizeof(before[i]))) {
				left++;
				continue;
			}
			stable[i] = true;
			for (j = 0; j < NUMBERS; j++) {
				if (!differs(row->numbers[j], after[i][j]))
					continue;
				ksft_print_msg("column %d of %s in %s\n", j,
					       of_memory[i], path);
				return true;
			}
		}
		if (!left)
			return false;
	}

	ksft_print_msg("the memory of %s does not come to rest\n", cgroup);
	return true;
}

/* What memory counts is shown where memory is enabled, and nowhere else. */
static int test_ubc_memory(const char *root)
{
	char *with = NULL, *without = NULL;
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	bool was_enabled;
	size_t i;

	if (!bc_lists(root, "cgroup.controllers", "memory"))
		return bc_skip("no memory controller");
	was_enabled = bc_lists(root, "cgroup.subtree_control", "memory");
	if (differs(bc_write(root, "cgroup.subtree_control", "+memory"), 0))
		return KSFT_FAIL;

	with = bc_cgroup(root, "ubc_memory");
	if (!with || differs(bc_enable(with), 0))
		goto cleanup;
	without = bc_cgroup(with, "ubc_plain");
	if (!without || differs(bc_write(with, "memory.max", "32M"), 0))
		goto cleanup;
	agent = bc_agent(without);
	if (!agent)
		goto cleanup;

	/* One that is killed for it, and one that has some of it. */
	if (differs(bc_call(agent, self_touch_apart,
			    (128 << 20) / sysconf(_SC_PAGESIZE), NULL),
		    SIGKILL) ||
	    unmet(bc_value(with, "memory.events.local", "oom") > 0) ||
	    differs(bc_write(with, "memory.max", "64M"), 0) ||
	    differs(bc_write(with, "memory.high", "48M"), 0) ||
	    differs(bc_call(agent, self_touch, 1000, NULL), 0))
		goto cleanup;
	if (bc_has(with, "memory.swap.max") &&
	    (differs(bc_write(with, "memory.swap.max", "8M"), 0) ||
	     differs(bc_write(with, "memory.swap.high", "4M"), 0)))
		goto cleanup;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (memory_differs(with, files[i]) ||
		    disagrees(with, true, files[i]) ||
		    disagrees(without, false, files[i]))
			goto cleanup;
		if (unmet(find_row(find(with), "physpages")->numbers[0] >=
			  1000) ||
		    unmet(find_row(find(with), "physpages")->numbers[4] > 0))
			goto cleanup;
	}

	/* It goes from the files with its controller. */
	if (was_enabled)
		ret = KSFT_PASS;
	else if (!differs(bc_write(root, "cgroup.subtree_control", "-memory"),
			  0) &&
		 !unreadable(NEW, sizeof(view->text)) &&
		 !disagrees(with, false, NEW))
		ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(without, ret);
	ret = bc_remove(with, ret);
	if (!was_enabled)
		bc_write(root, "cgroup.subtree_control", "-memory");
	return ret;
}

/* Namespaces */

static long self_unshare(long flags, const char *text __maybe_unused)
{
	return unshare(flags);
}

/* Read by an agent: something wrong with the file, or a number of containers? */
static bool agent_differs(struct bc_agent *agent, const char *path, int nr)
{
	return differs(bc_call(agent, self_read, 4096, path), 0) ||
	       malformed(path) || differs(nr_containers, nr);
}

/* In a namespace there is only its root, if that is counted. */
static int test_ubc_namespace(const char *root)
{
	char *one = NULL, *leaf = NULL, *other = NULL, *plain = NULL;
	struct bc_agent *agents[3] = {};
	int ret = KSFT_FAIL;
	size_t i;

	one = bc_cgroup(root, "ubc_one");
	leaf = bc_cgroup(one, "leaf");
	other = bc_cgroup(root, "ubc_other");
	/* Counted at `other' only. */
	plain = bc_cgroup(other, "ubc_plain");
	agents[0] = bc_agent(one);
	agents[1] = bc_agent(plain);
	agents[2] = bc_agent(root);
	for (i = 0; i < ARRAY_SIZE(agents); i++) {
		if (!agents[i] || differs(bc_call(agents[i], self_unshare,
						  CLONE_NEWCGROUP, NULL), 0))
			goto cleanup;
	}
	if (!leaf || differs(cg_enter(leaf, agents[0]->pid), 0) ||
	    differs(bc_enable(one), 0) ||
	    differs(bc_write(one, "bc.max", "numproc 7"), 0))
		goto cleanup;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (agent_differs(agents[0], files[i], 1) || unmet(find(one)) ||
		    differs(find_row(find(one), NUMPROC)->numbers[0], 1) ||
		    differs(find_row(find(one), NUMPROC)->numbers[3], 7) ||
		    agent_differs(agents[1], files[i], 0) ||
		    agent_differs(agents[2], files[i], 0))
			goto cleanup;

		/* The host sees what is in them, too. */
		if (unreadable(files[i], sizeof(view->text)) ||
		    unmet(find(one)) || unmet(find(leaf)) ||
		    unmet(find(other)) || unmet(!find(plain)))
			goto cleanup;
	}

	ret = KSFT_PASS;

cleanup:
	for (i = 0; i < ARRAY_SIZE(agents); i++)
		bc_stop(agents[i]);
	ret = bc_remove(plain, ret);
	ret = bc_remove(other, ret);
	ret = bc_remove(leaf, ret);
	return bc_remove(one, ret);
}

/* A container that nothing is counted in any more sees nothing. */
static int test_ubc_disabled(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *parent, *one;

	parent = bc_cgroup(root, "ubc_parent");
	if (!parent || differs(bc_enable(parent), 0))
		return bc_remove(parent, KSFT_FAIL);

	one = bc_cgroup(parent, "ubc_one");
	agent = bc_agent(one);
	if (!agent ||
	    differs(bc_call(agent, self_unshare, CLONE_NEWCGROUP, NULL), 0) ||
	    agent_differs(agent, NEW, 1))
		goto cleanup;

	if (differs(bc_disable(parent), 0) || agent_differs(agent, NEW, 0) ||
	    differs(bc_enable(parent), 0) || agent_differs(agent, NEW, 1))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	ret = bc_remove(one, ret);
	return bc_remove(parent, ret);
}

/* Rights */

/* Whether a capability that is permitted is effective, too. */
static long self_cap(long effective, const char *cap)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
	int nr = atoi(cap);

	if (syscall(SYS_capget, &header, data))
		return -1;
	if (effective)
		data[CAP_TO_INDEX(nr)].effective |= CAP_TO_MASK(nr);
	else
		data[CAP_TO_INDEX(nr)].effective &= ~CAP_TO_MASK(nr);

	return syscall(SYS_capset, &header, data);
}

/* Somebody else than root. */
static long self_user(long uid, const char *text __maybe_unused)
{
	return syscall(SYS_setresuid, uid, uid, uid);
}

static bool refused(struct bc_agent *agent)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (differs(bc_call(agent, self_read, 4096, files[i]), -1) ||
		    differs(agent->err, EACCES))
			return true;
	}

	return false;
}

/* Both capabilities are needed, on the host. */
static int test_ubc_capabilities(const char *root)
{
	static const int caps[] = { CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH };
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *one;
	size_t i;

	one = bc_cgroup(root, "ubc_one");
	agent = bc_agent(one);
	if (!agent || differs(bc_call(agent, self_read, 4096, OLD), 0))
		goto cleanup;

	for (i = 0; i < ARRAY_SIZE(caps); i++) {
		char cap[16];

		snprintf(cap, sizeof(cap), "%d", caps[i]);
		if (differs(bc_call(agent, self_cap, false, cap), 0) ||
		    refused(agent) ||
		    differs(bc_call(agent, self_cap, true, cap), 0) ||
		    differs(bc_call(agent, self_read, 4096, OLD), 0))
			goto cleanup;
	}

	if (differs(bc_call(agent, self_user, 65534, NULL), 0) ||
	    refused(agent))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(one, ret);
}

/* Who is root of a user namespace sees the container that belongs to it. */
static int test_ubc_user_namespace(const char *root)
{
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *one;

	one = bc_cgroup(root, "ubc_one");
	agent = bc_agent(one);
	if (!agent)
		goto cleanup;
	if (bc_call(agent, self_unshare, CLONE_NEWUSER, NULL)) {
		ret = bc_skip("no user namespaces");
		goto cleanup;
	}

	/* The host's containers are not its business. */
	if (refused(agent) ||
	    differs(bc_call(agent, self_unshare, CLONE_NEWCGROUP, NULL), 0) ||
	    agent_differs(agent, OLD, 1) || unmet(find(one)) ||
	    agent_differs(agent, NEW, 1) || unmet(find(one)))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	return bc_remove(one, ret);
}

/* Many */

#define MANY	60

/* However it is read, it is the same. */
static int test_ubc_pieces(const char *root)
{
	static const size_t pieces[] = { 1, ROW, 1000, 4096, 100000 };
	char *parent, *cgroups[MANY] = {};
	char *whole = NULL, part[200];
	int fd = -1, ret = KSFT_FAIL;
	ssize_t len;
	size_t i;

	parent = bc_cgroup(root, "ubc_parent");
	if (!parent || differs(bc_enable(parent), 0))
		goto cleanup;
	for (i = 0; i < MANY; i++) {
		char name[16];

		snprintf(name, sizeof(name), "ubc_%zu", i);
		cgroups[i] = bc_cgroup(parent, name);
		if (!cgroups[i])
			goto cleanup;
	}

	if (unreadable(OLD, sizeof(view->text)))
		goto cleanup;
	for (i = 0; i < MANY; i++) {
		if (unmet(find(cgroups[i])))
			goto cleanup;
	}
	whole = strdup(view->text);
	len = view->len;
	for (i = 0; i < ARRAY_SIZE(pieces); i++) {
		if (differs(read_in(OLD, pieces[i]), 0) ||
		    differs(view->len, len) ||
		    differs(memcmp(view->text, whole, len), 0))
			goto cleanup;
	}

	/* Forth and back, from places that are no beginnings of anything. */
	fd = open(OLD, O_RDONLY | O_CLOEXEC);
	for (i = 0; i < 200; i++) {
		off_t at = (i * 7919 * ROW + i) % (len - sizeof(part));

		if (differs(pread(fd, part, sizeof(part), at), sizeof(part)) ||
		    differs(memcmp(part, whole + at, sizeof(part)), 0))
			goto cleanup;
	}
	if (differs(pread(fd, part, sizeof(part), len), 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	close(fd);
	free(whole);
	for (i = 0; i < MANY; i++)
		ret = bc_remove(cgroups[i], ret);
	return bc_remove(parent, ret);
}

#define STEADY	3
#define PASSING	4
#define READS	200

/* Make and remove containers until told to stop. */
static long self_come_and_go(long first, const char *parent)
{
	char path[PATH_MAX];
	long i;

	for (i = 0; !__atomic_load_n(&bc_shared->stop, __ATOMIC_SEQ_CST); i++) {
		snprintf(path, sizeof(path), "%s/ubc_%ld", parent,
			 first + i % PASSING);
		if (mkdir(path, 0755) && errno != EEXIST)
			return -1;
		if (i % PASSING == PASSING - 1) {
			long j;

			for (j = 0; j < PASSING; j++) {
				snprintf(path, sizeof(path), "%s/ubc_%ld",
					 parent, first + j);
				if (rmdir(path))
					return -1;
			}
			__atomic_add_fetch(&bc_shared->progress, 1,
					   __ATOMIC_SEQ_CST);
		}
	}
	for (i = 0; i < PASSING; i++) {
		snprintf(path, sizeof(path), "%s/ubc_%ld", parent, first + i);
		rmdir(path);
	}

	return 0;
}

/* Nobody who stays is missed, or seen in halves, because others do not. */
static int test_ubc_come_and_go(const char *root)
{
	struct bc_agent *agents[2] = {};
	char *parent, *steady[STEADY] = {};
	int i, j, ret = KSFT_FAIL;
	int rows[2];

	parent = bc_cgroup(root, "ubc_parent");
	if (!parent || differs(bc_enable(parent), 0))
		return bc_remove(parent, KSFT_FAIL);
	for (i = 0; i < STEADY; i++) {
		char name[16];

		snprintf(name, sizeof(name), "ubc_s%d", i);
		steady[i] = bc_cgroup(parent, name);
		if (!steady[i])
			goto cleanup;
	}
	for (i = 0; i < 2; i++) {
		if (unreadable(files[i], sizeof(view->text)) ||
		    unmet(find(steady[0])))
			goto cleanup;
		rows[i] = find(steady[0])->nr;
	}

	bc_gather();
	for (i = 0; i < 2; i++) {
		agents[i] = bc_agent(root);
		if (!agents[i] ||
		    differs(bc_post(agents[i], self_come_and_go, i * PASSING,
				    parent), 0))
			goto cleanup;
	}

	for (i = 0; i < READS; i++) {
		const char *path = files[i % 2];

		if (unreadable(path, i % 3 ? 4096 : 100))
			goto cleanup;
		for (j = 0; j < STEADY; j++) {
			if (unmet(find(steady[j])))
				goto cleanup;
		}
		for (j = 0; j < nr_containers; j++) {
			if (differs(containers[j].nr, rows[i % 2]))
				goto cleanup;
		}
	}
	if (unmet(__atomic_load_n(&bc_shared->progress, __ATOMIC_SEQ_CST) > 0))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	__atomic_store_n(&bc_shared->stop, 1, __ATOMIC_SEQ_CST);
	for (i = 0; i < 2; i++) {
		if (agents[i] && differs(bc_collect(agents[i]), 0))
			ret = KSFT_FAIL;
		bc_stop(agents[i]);
	}
	for (i = 0; i < STEADY; i++)
		ret = bc_remove(steady[i], ret);
	return bc_remove(parent, ret);
}

/* A reader that has stopped keeps nobody from being removed. */
static int test_ubc_reader(const char *root)
{
	int i, fd = -1, ret = KSFT_FAIL;
	char *cgroups[3] = {};
	char part[1000];

	for (i = 0; i < 3; i++) {
		char name[16];

		snprintf(name, sizeof(name), "ubc_%d", i);
		cgroups[i] = bc_cgroup(root, name);
		if (!cgroups[i])
			goto cleanup;
	}

	fd = open(NEW, O_RDONLY | O_CLOEXEC);
	if (differs(read(fd, part, sizeof(part)), sizeof(part)))
		goto cleanup;
	/* The rest of the file is there, whoever is gone. */
	for (i = 0; i < 3; i++) {
		if (differs(rmdir(cgroups[i]), 0))
			goto cleanup;
	}
	while (read(fd, part, sizeof(part)) > 0)
		;
	if (differs(pread(fd, view->text, sizeof(view->text) - 1, 0) > 0, true))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	close(fd);
	for (i = 0; i < 3; i++)
		ret = bc_remove(cgroups[i], ret);
	return ret;
}

/* Nothing is left of it, also of a file that was open. */
static int test_ubc_unload(const char *root)
{
	int fd = -1, ret = KSFT_FAIL;
	char part[1000];
	char *one;
	size_t i;

	one = bc_cgroup(root, "ubc_one");
	fd = open(OLD, O_RDONLY | O_CLOEXEC);
	if (!one || differs(read(fd, part, sizeof(part)), sizeof(part)))
		goto cleanup;

	if (differs(bc_load(MODULE), -EEXIST) ||
	    differs(bc_unload(MODULE), 0) ||
	    differs(read(fd, part, sizeof(part)), -1))
		goto cleanup;
	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (differs(read_in(files[i], 4096), -ENOENT))
			goto cleanup;
	}
	if (unmet(access("/proc/bc", F_OK)) ||
	    differs(bc_unload(MODULE), -ENOENT))
		goto cleanup;

	/* And it can come again. */
	if (differs(bc_load(MODULE), 0) || unreadable(OLD, 4096) ||
	    unmet(find(one)))
		goto cleanup;

	ret = KSFT_PASS;

cleanup:
	close(fd);
	bc_load(MODULE);
	return bc_remove(one, ret);
}

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_ubc_format),
	T(test_ubc_agrees),
	T(test_ubc_memory),
	T(test_ubc_namespace),
	T(test_ubc_disabled),
	T(test_ubc_capabilities),
	T(test_ubc_user_namespace),
	T(test_ubc_pieces),
	T(test_ubc_come_and_go),
	T(test_ubc_reader),
	T(test_ubc_unload),
};

#undef T

static void unload(void)
{
	bc_unload(MODULE);
}

int main(void)
{
	int err;

	view = mmap(NULL, sizeof(*view), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (view == MAP_FAILED)
		ksft_exit_fail_perror("mmap");

	/* Without root or the controller bc_main() has the better reason. */
	err = bc_load(MODULE);
	if (err == -ENOENT) {
		ksft_print_header();
		ksft_exit_skip("no module " MODULE
			       " (CONFIG_USER_BEANCOUNTERS)\n");
	}
	if (!err)
		atexit(unload);
	else if (err != -EEXIST && err != -EPERM && err != -ENODEV)
		ksft_exit_fail_msg(MODULE " cannot be loaded: %s\n",
				   strerror(-err));

	return bc_main(tests, ARRAY_SIZE(tests));
}
