// SPDX-License-Identifier: GPL-2.0
/*
 * Programs that know nothing of this do their work in a container that has
 * settings, are told when there is no more, and leave nothing behind.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "bc_util.h"

/* What a shell does; it ends with 0 if all was as it should be. */
struct program {
	const char *needs;
	const char *script;
	/* What is set, and whether it is meant to run into that. */
	const char *settings;
	const char *refused;
};

/* Objects by the file: sources, objects, pipes between the parts of a compiler. */
static const struct program compiler = {
	.needs = "make cc cmp",
	.script = "for i in 1 2 3 4; do\n"
		  "  echo \"int f$i(void) { return $i; }\" >f$i.c\n"
		  "done\n"
		  "cat >main.c <<'END'\n"
		  "int puts(const char *), f1(void), f4(void);\n"
		  "int main(void)\n"
		  "{\n"
		  "	return puts(f1() + f4() == 5 ? \"five\" : \"no\") < 0;\n"
		  "}\n"
		  "END\n"
		  "cat >Makefile <<'END'\n"
		  "p: main.o f1.o f2.o f3.o f4.o\n"
		  "	cc -o $@ $^\n"
		  "%.o: %.c\n"
		  "	cc -c -o $@ $<\n"
		  "END\n"
		  "make -s -j4 && echo five >expected && ./p | cmp - expected",
	.settings = "privvmpages 1000000\nlockedpages 1000\nshmpages 10000\n"
		    "numproc 100\nnumfile 1000\nnumflock 100\nnumsiginfo 1000",
};

/* A heap that grows until there is no more, again and again. */
static const struct program heap = {
	.needs = "python3",
	.script = "cat >heap.py <<'END'\n"
		  "for turn in range(5):\n"
		  "    kept = []\n"
		  "    try:\n"
		  "        while True:\n"
		  "            kept.append(bytearray(1 << 20))\n"
		  "    except MemoryError:\n"
		  "        much = len(kept)\n"
		  "        kept.clear()\n"
		  "    assert 1 < much < 100, much\n"
		  "    assert sum(range(1000)) == 499500\n"
		  "END\n"
		  "python3 heap.py",
	.settings = "privvmpages 20000",
	.refused = PRIVVMPAGES,
};

/*
 * All that maps, locks and shares memory, more of it than there is. Some of its
 * parts give up then, or take an errno for a failure, for which stress-ng ends
 * with up to 3: what counts is that it ends by itself and nothing stays.
 */
static const struct program stress = {
	.needs = "stress-ng",
	.script = "stress-ng --oomable --timeout 10 \\\n"
		  " --vm 1 --vm-bytes 4M --mmap 1 --mmap-bytes 4M \\\n"
		  " --mremap 1 --mremap-bytes 4M --brk 1 --brk-ops 2000 \\\n"
		  " --mlock 1 --madvise 1 --mprotect 1 --munmap 1 \\\n"
		  " --memfd 1 --memfd-bytes 4M --shm 1 --shm-bytes 4M \\\n"
		  " --shm-sysv 1 --shm-sysv-bytes 4M --fork 1 \\\n"
		  " --vforkmany 1 --stack 1 --malloc 1 --malloc-bytes 8M ||\n"
		  "[ $? -le 3 ]",
	.settings = "privvmpages 60000\nlockedpages 2000\nshmpages 100000\n"
		    "numproc 200\nnumfile 2000",
	.refused = PRIVVMPAGES,
};

/*
 * Shared memory that has a name stays when those who made it are ended half way,
 * as stress-ng ends its parts. Here it goes with the namespaces, like that of a
 * container.
 */
static int keep_names_apart(void)
{
	return unshare(CLONE_NEWIPC | CLONE_NEWNS) ||
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	       mount("tmpfs", "/dev/shm", "tmpfs", 0, NULL);
}

/* In the agent, with the directory as its own; how the shell ended. */
static long run(long arg __maybe_unused, const char *script)
{
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		int log = open("log", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

		dup2(log, STDOUT_FILENO);
		dup2(log, STDERR_FILENO);
		if (keep_names_apart())
			perror("namespaces");
		else
			execl("/bin/sh", "sh", "-c", script, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) :
	       128 + WTERMSIG(status);
}

/* The first of the words that is no program here; NULL if all are. */
static const char *missing(const char *needs)
{
	static char word[32];
	char command[64];
	int len;

	while (sscanf(needs, " %31s%n", word, &len) == 1) {
		snprintf(command, sizeof(command),
			 "command -v %s >/dev/null 2>&1", word);
		if (system(command))
			return word;
		needs += len;
	}
	return NULL;
}

static int remove_one(const char *path, const struct stat *st __maybe_unused,
		      int type __maybe_unused,
		      struct FTW *at __maybe_unused)
{
	return remove(path);
}

static void show_log(void)
{
	char line[256];
	FILE *log = fopen("log", "r");

	while (log && fgets(line, sizeof(line), log))
		ksft_print_msg("%s", line);
	if (log)
		fclose(log);
}

static int load(const char *root, const struct program *program)
{
	const char *absent = missing(program->needs);
	struct bc_agent *agent = NULL;
	int ret = KSFT_FAIL;
	char *cgroup = NULL;
	char dir[] = "/tmp/bc_load_XXXXXX";
	char name[64];

	if (absent)
		return bc_skip(absent);
	if (!mkdtemp(dir) || chdir(dir))
		return KSFT_FAIL;
	cgroup = bc_cgroup(root, "bc_load");
	agent = bc_agent(cgroup);
	if (!agent || differs(bc_write(cgroup, "bc.high", program->settings), 0))
		goto cleanup;

	if (differs(bc_call(agent, run, 0, program->script), 0)) {
		show_log();
		goto cleanup;
	}
	if (program->refused) {
		snprintf(name, sizeof(name), "%s.high", program->refused);
		if (unmet(bc_value(cgroup, "bc.events", name) > 0))
			goto cleanup;
	}

	ret = KSFT_PASS;

cleanup:
	bc_stop(agent);
	/* What lies in a tmpfs is charged until it is gone. */
	if (!chdir("/"))
		nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return bc_remove(cgroup, ret);
}

static int test_load_compiler(const char *root)
{
	return load(root, &compiler);
}

static int test_load_heap(const char *root)
{
	return load(root, &heap);
}

static int test_load_stress(const char *root)
{
	return load(root, &stress);
}

#define T(x) { x, #x }
static const struct bc_test tests[] = {
	T(test_load_compiler),
	T(test_load_heap),
	T(test_load_stress),
};

#undef T

int main(void)
{
	return bc_main(tests, ARRAY_SIZE(tests));
}
