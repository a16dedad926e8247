// SPDX-License-Identifier: GPL-2.0
/*
 * Fails one thing that a verb asks the kernel for, the first, then the second,
 * and so on, until the verb asks for no more: an object, a page, or an access
 * to the memory of the caller. Whatever the verb makes of it, the container
 * goes on or is restored afterwards as if nothing had happened.
 *
 *	fault_ckpt [-s SECONDS] [VERB:KIND[:FROM[:TO]]]...
 *
 * It tells of each fault what the verb returned, and who asked, as a number of
 * the call stack, which is printed when it is seen for the first time. It is
 * not run with the tests: it needs a kernel that injects faults, one CPU, and
 * some time.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ckpt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "ckpt_state.h"

#define DEBUGFS	"/sys/kernel/debug"
#define TRACEFS	"/sys/kernel/tracing"
#define EVENT	TRACEFS "/events/ckpt_fault/failed"

/* Room for the image of the subject, which does not have it too. */
#define IMAGE	(4 << 20)
static char *image;
static size_t image_size;

static void must_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		ksft_exit_skip("cannot write %s to %s: %s\n", text, path, strerror(errno));
	close(fd);
}

/* What fails. */

struct kind {
	const char *name;
	const char *dir;	/* in debugfs */
	const char *settings[6];	/* file, value */
	unsigned long count;	/* how often the kernel was asked since it booted */
};

static struct kind kinds[] = {
	{ "slab", DEBUGFS "/failslab", { "ignore-gfp-wait", "N" }, 0 },
	{ "page", DEBUGFS "/fail_page_alloc",
	  { "ignore-gfp-wait", "N", "ignore-gfp-highmem", "N", "min-order", "0" }, 0 },
	{ "user", DEBUGFS "/fail_usercopy", { }, 0 },
};

static void set(struct kind *kind, const char *name, unsigned long value)
{
	char path[PATH_MAX], text[32];

	snprintf(path, sizeof(path), "%s/%s", kind->dir, name);
	snprintf(text, sizeof(text), "%lu", value);
	must_write(path, text);
}

static bool has_fired(struct kind *kind)
{
	char path[PATH_MAX], text[16] = "";

	snprintf(path, sizeof(path), "%s/times", kind->dir);
	return read_text(path, text, sizeof(text)) > 0 && !atoi(text);
}

/* Whether what this task asks for is counted, and that of the tasks that it makes. */
static bool enlist(bool yes)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/proc/self/make-it-fail", O_WRONLY | O_CLOEXEC);
	return pwrite(fd, yes ? "1" : "0", 1, 0) == 1;
}

/*
 * Fail what is asked for as number @nth from now on. The kernel fails what is a
 * multiple of the interval in its count, which nobody can set, but which is the
 * interval itself when something was failed.
 */
static void arm(struct kind *kind, unsigned long nth)
{
	set(kind, "interval", kind->count + nth);
	set(kind, "times", 1);
	if (!enlist(true))
		ksft_exit_fail_msg("cannot enlist: %s\n", strerror(errno));
}

/* Ask for something of any kind. */
static void ask(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	int ends[2];

	if (page != MAP_FAILED)
		munmap(page, 4096);
	if (!pipe(ends)) {
		close(ends[0]);
		close(ends[1]);
	}
}

/* Know the count again when @most were asked for and nothing was failed. */
static void calibrate(struct kind *kind, unsigned long most)
{
	unsigned long i, interval = kind->count + most + 1;

	set(kind, "interval", interval);
	set(kind, "times", 1);
	enlist(true);
	for (i = 0; i <= most && !has_fired(kind); i++)
		ask();
	while (!enlist(false))
		;
	if (!has_fired(kind))
		ksft_exit_fail_msg("%s: nothing fails\n", kind->name);
	set(kind, "times", 0);
	kind->count = interval;
}

/* Whether it has fired since arm(), and before the end of what was armed. */
static bool disarm(struct kind *kind, unsigned long nth)
{
	bool late = false, fired;

	while (!enlist(false))
		late = true;
	fired = has_fired(kind);
	set(kind, "times", 0);
	if (fired)
		kind->count += nth;
	else
		calibrate(kind, nth + 100);
	return fired && !late;
}

static void begin_injecting(void)
{
	struct kind *kind;
	int i;

	for (kind = kinds; kind < kinds + ARRAY_SIZE(kinds); kind++) {
		char path[PATH_MAX];

		if (access(kind->dir, F_OK))
			ksft_exit_skip("there is no %s\n", kind->dir);
		for (i = 0; i < 6 && kind->settings[i]; i += 2) {
			snprintf(path, sizeof(path), "%s/%s", kind->dir, kind->settings[i]);
			must_write(path, kind->settings[i + 1]);
		}
		set(kind, "task-filter", 1);
		set(kind, "times", 0);
		set(kind, "space", 0);
		set(kind, "verbose", 0);
		set(kind, "probability", 100);
		calibrate(kind, 1000);
	}
	must_write(TRACEFS "/kprobe_events",
		   "r:ckpt_fault/failed should_fail_ex failed=$retval:u8\n");
	must_write(EVENT "/trigger", "stacktrace if failed==1\n");
}

/* Who asked: a number of the functions that the last fault went through, 0 if there was none. */
static uint64_t who(void)
{
	static uint64_t known[4096];
	static size_t nr;
	static char text[64 * 1024], stack[8 * 1024];
	uint64_t hash = 0xcbf29ce484222325;
	char *line, *state, *end = stack;
	size_t i;
	int fd;

	if (read_text(TRACEFS "/trace", text, sizeof(text)) <= 0)
		return 0;
	fd = open(TRACEFS "/trace", O_WRONLY | O_TRUNC | O_CLOEXEC);
	close(fd);
	for (line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
		if (strncmp(line, " => ", 4))
			continue;
		/* What injects the fault and sees it comes first. */
		if (!strncmp(line + 4, "should_fail", 11))
			end = stack;
		else if (end - stack + strlen(line) < sizeof(stack))
			end += sprintf(end, " %s", line + 4);
	}
	if (end == stack)
		return 0;
	for (line = stack; *line; line++)
		hash = (hash ^ (unsigned char)*line) * 0x100000001b3;
	for (i = 0; i < nr && known[i] != hash; i++)
		;
	if (i == nr && nr < ARRAY_SIZE(known)) {
		known[nr++] = hash;
		ksft_print_msg("stack %016llx%s\n", (unsigned long long)hash, stack);
	}
	return hash;
}

/* What is armed, and the state that it needs. Each returns 0, -errno of the verb, or 1. */

static struct ckpt_subject *subject;
static struct kind *kind;
static unsigned long nth;
static int session, cgroup, saved;
static bool fired;

static int armed(unsigned long request, void *arg)
{
	int ret;

	arm(kind, nth);
	ret = ioctl(session, request, arg) ? -errno : 0;
	fired = disarm(kind, nth);
	return ret;
}

/* Read the image without asking for anything but what the engine does. */
static int read_image(void)
{
	ssize_t len;

	image_size = 0;
	while ((len = read(session, image + image_size, IMAGE - image_size)) > 0)
		image_size += len;
	return len < 0 ? -errno : image_size == IMAGE ? -EFBIG : 0;
}

static bool keep_image(void)
{
	return !ftruncate(saved, 0) &&
	       pwrite(saved, image, image_size, 0) == (ssize_t)image_size;
}

static int restore(void)
{
	lseek(saved, 0, SEEK_SET);
	return ckpt_try_restore(session, subject, saved);
}

/* From a subject that runs to one that runs, through the image that is kept. */
static bool revive(void)
{
	return !differs(restore(), 0) && !differs(ckpt_resume(session), 0) &&
	       !unmet(ckpt_goes_on(subject));
}

static bool end(void)
{
	return !differs(ckpt_suspend(session, subject), 0) &&
	       !differs(ckpt_kill(session), 0) && !unmet(ckpt_nothing_left(subject));
}

/* Drop the session, and with it what was half done. */
static void renew(void)
{
	close(session);
	session = ckpt_open();
}

static int check(void)
{
	return armed(CKPT_CHECK, (void *)(long)cgroup);
}

static bool check_after(int ret)
{
	return !unmet(ckpt_goes_on(subject));
}

static int suspend(void)
{
	struct ckpt_suspend args = { .cgroup = cgroup, .timeout = 10000 };

	return armed(CKPT_SUSPEND, &args);
}

static bool suspend_after(int ret)
{
	renew();
	return !unmet(ckpt_goes_on(subject));
}

static int dump(void)
{
	int ret;

	if (differs(ckpt_suspend(session, subject), 0))
		return 1;
	arm(kind, nth);
	ret = ioctl(session, CKPT_DUMP) ? -errno : read_image();
	fired = disarm(kind, nth);
	return ret;
}

/* An image that was read to its end is right. */
static bool dump_after(int ret)
{
	if (ret) {
		renew();
		return !unmet(ckpt_goes_on(subject));
	}
	return !unmet(keep_image()) && !differs(ckpt_kill(session), 0) &&
	       !unmet(ckpt_nothing_left(subject)) && revive();
}

/* The subject goes on while the image is read. */
static int snapshot(void)
{
	struct ckpt_suspend args = { .cgroup = cgroup, .timeout = 10000 };
	int ret;

	arm(kind, nth);
	ret = ioctl(session, CKPT_SNAPSHOT, &args) ? -errno : read_image();
	fired = disarm(kind, nth);
	return ret;
}

static bool snapshot_after(int ret)
{
	if (unmet(ckpt_goes_on(subject)))
		return false;
	renew();
	if (ret)
		return true;
	if (unmet(keep_image()) || !end())
		return false;
	/* It counts from the snapshot on. */
	ckpt_forget(subject);
	return revive();
}

static int resume(void)
{
	if (differs(ckpt_suspend(session, subject), 0))
		return 1;
	return armed(CKPT_RESUME, NULL);
}

static int end_armed(void)
{
	if (differs(ckpt_suspend(session, subject), 0) ||
	    differs(ioctl(session, CKPT_DUMP), 0) || differs(read_image(), 0) ||
	    unmet(keep_image()))
		return 1;
	return armed(CKPT_KILL, NULL);
}

static bool end_after(int ret)
{
	if (ret) {
		renew();
		if (unmet(ckpt_goes_on(subject)) || !end())
			return false;
	}
	return !unmet(ckpt_nothing_left(subject)) && revive();
}

/* The subject has ended before, but for the first time. */
static int restore_armed(void)
{
	struct ckpt_restore args = { .image = saved, .cgroup = cgroup };
	int ret;

	if (!image_size && (differs(ckpt_suspend(session, subject), 0) ||
			    differs(ioctl(session, CKPT_DUMP), 0) ||
			    differs(read_image(), 0) || unmet(keep_image()) ||
			    differs(ckpt_kill(session), 0) ||
			    unmet(ckpt_nothing_left(subject))))
		return 1;
	lseek(saved, 0, SEEK_SET);
	arm(kind, nth);
	ret = ioctl(session, CKPT_RESTORE, &args) ? -errno : 0;
	if (!ret)
		ret = ioctl(session, CKPT_RESUME) ? -errno : 0;
	fired = disarm(kind, nth);
	return ret;
}

/* Nothing is left, and it can be restored nevertheless. */
static bool restore_after(int ret)
{
	if (!ret)
		return !unmet(ckpt_goes_on(subject)) && end();
	renew();
	return !unmet(ckpt_nothing_left(subject)) && revive() && end();
}

static const struct verb {
	const char *name;
	int (*run)(void);
	bool (*after)(int ret);
} verbs[] = {
	{ "check", check, check_after },
	{ "suspend", suspend, suspend_after },
	{ "dump", dump, dump_after },
	{ "snapshot", snapshot, snapshot_after },
	{ "resume", resume, suspend_after },
	{ "kill", end_armed, end_after },
	{ "restore", restore_armed, restore_after },
};

/* A verb, a kind, and which of the things that it asks for fail. */
struct sweep {
	const struct verb *verb;
	struct kind *kind;
	unsigned long from, to;
	char name[32];
};

static struct sweep sweeps[64];
static size_t nr_sweeps;
static time_t until;

static time_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}

/* Tell, here and in the kernel's log. */
static void tell(const char *text)
{
	static int log = -1;

	if (log < 0)
		log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	/* Not dprintf(), which some C libraries leak a buffer in: subjects would grow by it. */
	if (write(log, text, strlen(text)) < 0)
		ksft_perror("/dev/kmsg");
}

static int go_through(struct ckpt_subject *the_subject)
{
	static const struct sweep *sweep = sweeps;
	const struct sweep *this = sweep++;
	char path[PATH_MAX], text[64];
	int ret = KSFT_FAIL;

	subject = the_subject;
	kind = this->kind;
	image_size = 0;
	snprintf(path, sizeof(path), "%s/image", subject->dir);
	saved = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	session = ckpt_open();
	cgroup = open(subject->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (unmet(saved >= 0) || unmet(session >= 0) || unmet(cgroup >= 0) ||
	    unmet(ckpt_goes_on(subject)))
		goto out;

	for (nth = this->from; nth <= this->to; nth++) {
		int got;

		if (until && now() >= until) {
			ksft_print_msg("fault %s %s %lu pending\n", this->verb->name,
				       kind->name, nth);
			ret = KSFT_SKIP;
			ckpt_skip("the time is over");
			goto out;
		}
		snprintf(text, sizeof(text), "fault %s %s %lu", this->verb->name, kind->name, nth);
		tell(text);
		got = this->verb->run();
		if (got <= 0 && fired)
			ksft_print_msg("%s %s %016llx\n", text, got ? strerror(-got) : "survived",
				       (unsigned long long)who());
		if (got > 0 || !this->verb->after(got)) {
			ksft_print_msg("%s finding\n", text);
			goto out;
		}
		if (!fired) {
			ksft_print_msg("%s %s\n", text, differs(got, 0) ? "finding" : "end");
			ret = got ? KSFT_FAIL : KSFT_PASS;
			goto out;
		}
	}
	ret = KSFT_PASS;
out:
	close(cgroup);
	close(session);
	close(saved);
	return ret;
}

static void add(const struct verb *verb, struct kind *kind, unsigned long from, unsigned long to)
{
	struct sweep *sweep = &sweeps[nr_sweeps++];

	*sweep = (struct sweep){ verb, kind, from, to, "" };
	snprintf(sweep->name, sizeof(sweep->name), "%s_%s", verb->name, kind->name);
}

/* Add what a word names. */
static bool parse(const char *word)
{
	unsigned long from = 1, to = ~0UL;
	char verb[16], kind[16];
	size_t i, j;

	if (nr_sweeps == ARRAY_SIZE(sweeps) ||
	    sscanf(word, "%15[a-z]:%15[a-z]:%lu:%lu", verb, kind, &from, &to) < 2 || !from)
		return false;
	for (i = 0; i < ARRAY_SIZE(verbs); i++)
		for (j = 0; j < ARRAY_SIZE(kinds); j++)
			if (!strcmp(verb, verbs[i].name) && !strcmp(kind, kinds[j].name)) {
				add(&verbs[i], &kinds[j], from, to);
				return true;
			}
	return false;
}

int main(int argc, char **argv)
{
	struct ckpt_test tests[ARRAY_SIZE(sweeps)];
	size_t i, j;
	int option;

	while ((option = getopt(argc, argv, "s:")) != -1) {
		if (option != 's')
			return KSFT_FAIL;
		until = now() + atol(optarg);
	}
	for (; optind < argc; optind++) {
		if (!parse(argv[optind])) {
			fprintf(stderr, "%s is not VERB:KIND[:FROM[:TO]]\n", argv[optind]);
			return KSFT_FAIL;
		}
	}
	for (i = 0; !nr_sweeps && i < ARRAY_SIZE(verbs); i++)
		for (j = 0; j < ARRAY_SIZE(kinds); j++)
			add(&verbs[i], &kinds[j], 1, ~0UL);
	image = mmap(NULL, IMAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (image == MAP_FAILED || madvise(image, IMAGE, MADV_DONTFORK))
		ksft_exit_fail_msg("no memory for an image: %s\n", strerror(errno));
	begin_injecting();
	for (i = 0; i < nr_sweeps; i++)
		tests[i] = (struct ckpt_test){ ckpt_count, go_through, sweeps[i].name };
	return ckpt_main(tests, nr_sweeps);
}
