// SPDX-License-Identifier: GPL-2.0
/* Files are opened again with the rights of who had opened them, not of who restores. */
#include <errno.h>
#include <fcntl.h>
#include <linux/ckpt.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest.h"
#include "ckpt_finding.h"
#include "ckpt_state.h"

#define USER	1234

/* Somebody who has a file of his own, and another that root had opened for him. */
static void have_files(bool map)
{
	int own, given;
	char text;

	expect(!chmod(".", 0755));
	given = open("given", O_RDWR | O_CREAT, 0600);
	own = open("own", O_RDWR | O_CREAT, 0600);
	expect(given >= 0 && own >= 0 && write(own, "1", 1) == 1 && write(given, "2", 1) == 1);
	expect(!fchown(own, USER, USER) && !close(own));
	expect(!setresgid(USER, USER, USER) && !setresuid(USER, USER, USER));
	own = open("own", O_RDWR);
	expect(own >= 0);
	if (map) {
		expect(mmap(NULL, 1, PROT_READ, MAP_SHARED, own, 0) != MAP_FAILED);
		expect(!close(own));
	}
	be_saved();
	expect(map || (pread(own, &text, 1, 0) == 1 && text == '1'));
	expect(pread(given, &text, 1, 0) == 1 && text == '2');
	all_is_well();
}

static void open_files(void)
{
	have_files(false);
}

static void map_file(void)
{
	have_files(true);
}

/* The file that the user may change became a way to one that he may not read. */
static int test_symlink(struct ckpt_subject *subject)
{
	char image[PATH_MAX], own[PATH_MAX], moved[PATH_MAX];
	int session = ckpt_open(), file = -1, ret = KSFT_FAIL;

	snprintf(image, sizeof(image), "%s/image", subject->dir);
	snprintf(own, sizeof(own), "%s/own", subject->dir);
	snprintf(moved, sizeof(moved), "%s/moved", subject->dir);
	if (unmet(session >= 0) || ckpt_await(subject, 0, READY) < 0 ||
	    ckpt_suspend(session, subject) || ckpt_dump(session, image) || ckpt_kill(session))
		goto out;
	ckpt_bury();
	file = open(image, O_RDONLY | O_CLOEXEC);
	if (rename(own, moved) || symlink("given", own) ||
	    differs(ckpt_try_restore(session, subject, file), -EACCES) ||
	    unmet(ckpt_explains(session, "own cannot be opened")) ||
	    unmet(ckpt_nothing_left(subject)))
		goto out;
	if (unlink(own) || rename(moved, own) || lseek(file, 0, SEEK_SET) ||
	    differs(ckpt_try_restore(session, subject, file), 0) || ckpt_resume(session))
		goto out;
	snprintf(own, sizeof(own), "%s/go", subject->dir);
	close(open(own, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	if (ckpt_await(subject, 1, 1) > 0)
		ret = KSFT_PASS;
out:
	close(file);
	close(session);
	return ret;
}

/* Whoever may not open his file any more is told so in time. */
static int test_no_right(struct ckpt_subject *subject)
{
	char own[PATH_MAX];
	int session = ckpt_open(), ret = KSFT_FAIL;

	snprintf(own, sizeof(own), "%s/own", subject->dir);
	if (!unmet(session >= 0) && ckpt_await(subject, 0, READY) > 0 &&
	    !differs(ckpt_check(session, subject), 0) && !chmod(own, 0400) &&
	    !differs(ckpt_check(session, subject), -EOPNOTSUPP) &&
	    !unmet(ckpt_explains(session, "a file that who opened it has no right to any more")))
		ret = KSFT_PASS;
	close(session);
	return ret;
}

static const struct ckpt_test tests[] = {
	{ open_files, test_no_right, "test_no_right" },
	{ map_file, test_no_right, "test_no_right_mapped" },
	{ open_files, test_symlink, "test_symlink" },
	{ map_file, test_symlink, "test_symlink_mapped" },
};

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
