// SPDX-License-Identifier: GPL-2.0
/* Values that no kernel has written, in images that are right otherwise: nothing comes of them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest.h"
#include "ckpt_image.h"
#include "ckpt_state.h"

/* Numbers and offsets of Documentation/userspace-api/ckpt-image.rst. */
static const struct hostile {
	const char *what;
	uint16_t type;
	uint8_t at;
	uint32_t value;
	int error;
} hostile[] = {
	{ "a file opened with what comes later", 17, 36, 0xffff, EBADMSG },
	{ "flags for the call of open() only", 17, 4, 040, EINVAL },
	{ "an unknown value of dumpable", 32, 24, 3, EINVAL },
	{ "a score for the OOM killer below all", 32, 28, -1001, EINVAL },
	{ "a least score above that", 32, 48, 1000, EINVAL },
	{ "a nice value that is no index", 34, 68, 0x10000000, EINVAL },
	{ "a nice value of a real-time task", 34, 68, -50, EINVAL },
	{ "a nice value of a task with a deadline", 34, 68, -200, EINVAL },
	{ "a scheduling policy with a deadline", 34, 64, 6, EINVAL },
};

static uint8_t bytes[CKPT_MOST_BYTES], sealed[CKPT_MOST_BYTES];
static struct ckpt_image image;

/* Restore what is sealed; 0 or -errno. Nothing is left if it fails. */
static int restore(struct ckpt_subject *subject, size_t size)
{
	int session = ckpt_open(), file = memfd_create("image", MFD_CLOEXEC), ret = 1;

	if (!unmet(session >= 0) && !unmet(file >= 0) &&
	    !differs(pwrite(file, sealed, size, 0), size))
		ret = ckpt_try_restore(session, subject, file);
	if (!ret)
		ret = ckpt_resume(session);
	close(file);
	close(session);
	return ret < 0 && unmet(ckpt_nothing_left(subject)) ? 1 : ret;
}

/* Save, end it, and find its records. */
static bool is_read(struct ckpt_subject *subject)
{
	char path[PATH_MAX];
	int session = ckpt_open(), file;
	ssize_t size;

	snprintf(path, sizeof(path), "%s/image", subject->dir);
	if (unmet(session >= 0) || unmet(ckpt_goes_on(subject)) ||
	    ckpt_suspend(session, subject) || ckpt_dump(session, path) || ckpt_kill(session))
		return false;
	close(session);
	ckpt_bury();
	file = open(path, O_RDONLY | O_CLOEXEC);
	size = read(file, bytes, sizeof(bytes));
	close(file);
	return !unmet(size > 0) && !unmet(ckpt_image_parse(bytes, size, &image)) &&
	       !differs(ckpt_image_seal(&image, sealed, true), size);
}

static int test_fields(struct ckpt_subject *subject)
{
	const struct hostile *one;
	uint32_t before;
	size_t i;

	if (!is_read(subject))
		return KSFT_FAIL;
	for (one = hostile; one < hostile + ARRAY_SIZE(hostile); one++) {
		for (i = 0; i < image.nr && image.records[i].type != one->type; i++)
			;
		if (unmet(i < image.nr))
			return KSFT_FAIL;
		memcpy(&before, image.records[i].payload + one->at, 4);
		memcpy(image.records[i].payload + one->at, &one->value, 4);
		if (differs(restore(subject, ckpt_image_seal(&image, sealed, true)), -one->error)) {
			ksft_print_msg("%s\n", one->what);
			return KSFT_FAIL;
		}
		memcpy(image.records[i].payload + one->at, &before, 4);
	}
	if (differs(restore(subject, ckpt_image_seal(&image, sealed, true)), 0))
		return KSFT_FAIL;
	return ckpt_goes_on(subject) ? KSFT_PASS : KSFT_FAIL;
}

static const struct ckpt_test tests[] = {
	{ ckpt_count, test_fields, "test_fields" },
};

int main(void)
{
	return ckpt_main(tests, ARRAY_SIZE(tests));
}
