// SPDX-License-Identifier: GPL-2.0
/*
 * Programs that know nothing of this are saved and restored again and again while they work, and
 * what comes out is right.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest.h"
#include "ckpt_util.h"

/* How often each is saved, every other time by a snapshot. */
#define CYCLES	10
/*
 * How often in a row it may be refused: some open a socket to the name service or the system's log
 * for a moment, or a file of proc.
 */
#define REFUSALS	20

/* What a shell does until there is a file "stop": a line in "rounds" for each time, or "bad". */
struct program {
	const char *needs;
	const char *prepare;
	const char *once;
};

static const struct program pipeline = {
	.needs = "gzip gunzip cmp seq",
	.prepare = "seq 1 3000 >in",
	.once = "gzip -c <in | cat | gunzip | cmp -s - in",
};

static const struct program parallel_make = {
	.needs = "make cc cmp",
	.prepare = "for i in 1 2 3 4 5 6; do"
		   "  echo \"int f$i(void) { return $i; }\" >f$i.c;"
		   "done;"
		   "echo 'int puts(const char *); int f1(void); int f6(void);"
		   "      int main(void) { return puts(f1() + f6() == 7 ? \"seven\" : \"no\") < 0; }'"
		   "  >main.c;"
		   "echo seven >expected;"
		   "printf 'all: p\\np: main.o f1.o f2.o f3.o f4.o f5.o f6.o\\n"
		   "\\tcc -o $@ $^\\n%%.o: %%.c\\n\\tcc -c -o $@ $<\\n' >Makefile",
	.once = "rm -f p *.o && make -s -j4 2>&1 && ./p | cmp -s - expected",
};

static const struct program python = {
	.needs = "python3",
	.prepare = "cat >work.py <<'END'\n"
		   "import multiprocessing, os\n"
		   "def work(n):\n"
		   "    return sum(i * i for i in range(n))\n"
		   "if __name__ == '__main__':\n"
		   "    with multiprocessing.get_context('fork').Pool(3) as pool:\n"
		   "        while not os.path.exists('stop'):\n"
		   "            got = pool.map(work, range(200))\n"
		   "            if got != [work(n) for n in range(200)]:\n"
		   "                open('bad', 'w')\n"
		   "            print('round', file=open('rounds', 'a'))\n"
		   "END",
	.once = "python3 work.py",
};

static const struct program stress = {
	.needs = "stress-ng",
	.prepare = "true",
	.once = "stress-ng --cpu 1 --vm 1 --vm-bytes 4M --fork 1 --futex 1 --timer 1 --sigq 1 -t 3"
		" --verify >log 2>&1",
};

static void run_shell(void)
{
	const struct program *program = ckpt_arg;
	char script[4096];

	snprintf(script, sizeof(script),
		 "%s\n"
		 "while [ ! -e stop ]; do { %s; } || touch bad; echo round >>rounds; done\n"
		 "touch stopped",
		 program->prepare, program->once);
	execl("/bin/sh", "sh", "-c", script, NULL);
}

/* What several threads add up, one number at a time, in an order that they agree on. */
#define THREADS	8

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_changed = PTHREAD_COND_INITIALIZER;
static long turn, sum;

static void *take_turns(void *arg)
{
	const long nr = (long)arg;

	for (;;) {
		pthread_mutex_lock(&mutex);
		while (turn % THREADS != nr)
			pthread_cond_wait(&turn_changed, &mutex);
		if (sum != turn * (turn - 1) / 2)
			ckpt_tell(1, -1);
		sum += turn++;
		if (turn % 1000 == 0)
			ckpt_tell(0, turn);
		pthread_cond_broadcast(&turn_changed);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void pool(void)
{
	pthread_t thread;
	long i;

	for (i = 1; i < THREADS; i++)
		if (pthread_create(&thread, NULL, take_turns, (void *)i))
			_exit(1);
	take_turns(NULL);
}

static int save_often(struct ckpt_subject *subject)
{
	int i, refusals = 0;

	for (i = 0; i < CYCLES; i++) {
		int ret;

		/* It is somewhere else each time. */
		usleep(20000 + 7000 * i);
		ret = i % 2 ? ckpt_cycle_snapshot(subject) : ckpt_cycle(subject);
		if (ret == -EOPNOTSUPP && refusals++ < REFUSALS) {
			i--;
			continue;
		}
		if (ret) {
			ksft_print_msg("time %d\n", i);
			return -1;
		}
		refusals = 0;
	}
	return 0;
}

static bool is_there(struct ckpt_subject *subject, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", subject->dir, name);
	return !access(path, F_OK);
}

static bool await_file(struct ckpt_subject *subject, const char *name)
{
	int i;

	for (i = 0; i < 3 * CKPT_POLL_TIMES; i++) {
		if (is_there(subject, name))
			return true;
		usleep(CKPT_POLL_USEC);
	}
	ksft_print_msg("no file `%s'\n", name);
	return false;
}

/* The first of the words that is no program here; NULL if all are. */
static const char *missing(const char *needs)
{
	static char word[32];
	char command[64];
	int len;

	while (sscanf(needs, " %31s%n", word, &len) == 1) {
		snprintf(command, sizeof(command), "command -v %s >/dev/null", word);
		if (system(command))
			return word;
		needs += len;
	}
	return NULL;
}

static int test_program(struct ckpt_subject *subject)
{
	const struct program *program = ckpt_arg;
	const char *absent = missing(program->needs);
	char path[PATH_MAX];

	if (absent)
		return ckpt_skip(absent);
	/* The first round may be slow. */
	if (!await_file(subject, "rounds") || save_often(subject))
		return KSFT_FAIL;
	snprintf(path, sizeof(path), "%s/rounds", subject->dir);
	if (unlink(path) || !await_file(subject, "rounds"))
		return KSFT_FAIL;
	snprintf(path, sizeof(path), "%s/stop", subject->dir);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	if (!await_file(subject, "stopped") || unmet(!is_there(subject, "bad")))
		return KSFT_FAIL;
	return KSFT_PASS;
}

static int test_pool(struct ckpt_subject *subject)
{
	long before;

	if (ckpt_await(subject, 0, 1000) < 0 || save_often(subject))
		return KSFT_FAIL;
	before = ckpt_told(subject, 0);
	if (ckpt_await(subject, 0, before + 1000) < 0 || differs(ckpt_told(subject, 1), 0))
		return KSFT_FAIL;
	return KSFT_PASS;
}

static const struct ckpt_test tests[] = {
	{ run_shell, test_program, "test_make", &parallel_make },
	{ run_shell, test_program, "test_pipeline", &pipeline },
	{ pool, test_pool, "test_pool" },
	{ run_shell, test_program, "test_python", &python },
	{ run_shell, test_program, "test_stress", &stress },
};

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
