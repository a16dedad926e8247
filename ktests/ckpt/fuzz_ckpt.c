// SPDX-License-Identifier: GPL-2.0
/*
 * Restores images that somebody has tampered with: fields have other values,
 * records are missing, doubled, moved, longer or shorter. All else is right,
 * checksums and totals too, so that it comes as far as it can. It is refused,
 * or makes processes, which are ended; either way nothing is left.
 *
 *	fuzz_ckpt [-s SEED] [-n COUNT] [-f FIRST]
 *
 * An image is the same for the same seed and number, as far as that of the
 * subject is. What it was is told before it is restored. It is not run with
 * the tests, since that takes long and is best done in a kernel that checks
 * itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ckpt.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "cgroup_util.h"
#include "ckpt_image.h"
#include "ckpt_state.h"

/* How often the image as it was is restored in between. */
#define EVERY		50

static struct ckpt_image original, tampered;
static uint8_t bytes[CKPT_MOST_BYTES], sealed[CKPT_MOST_BYTES], room[CKPT_MOST_BYTES];
static size_t used;		/* of the room */

static unsigned long long seed = 1;
static unsigned long count = 2000, first;

/* What was done to the image. */
static char story[512];

static void __printf(1, 2) note(const char *format, ...)
{
	size_t len = strlen(story);
	va_list args;

	va_start(args, format);
	vsnprintf(story + len, sizeof(story) - len, format, args);
	va_end(args);
}

/* Numbers by chance, the same for the same seed. */

static uint64_t state;

static uint64_t chance(void)
{
	uint64_t x = state += 0x9e3779b97f4a7c15;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

static size_t below(size_t bound)
{
	return bound ? chance() % bound : 0;
}

/* Tampering */

/* A payload that can be changed, with room for so much more. */
static bool own(struct ckpt_record *record, size_t more)
{
	uint8_t *copy = room + used;

	if (sizeof(room) - used < record->len + more + 8)
		return false;
	memcpy(copy, record->payload, record->len);
	memset(copy + record->len, 0, more + 8);
	used += record->len + more + 8;
	record->payload = copy;
	return true;
}

/* Numbers at the limits of something. */
static uint64_t hostile(uint64_t value)
{
	static const uint64_t limits[] = {
		0, 1, 2, 3, 7, 8, 0xfff, 0x1000, 0xffff, 0x10000,
		0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
		0x7ffffffff000, 0x7ffffffffff8, 0x800000000000, 0xffff800000000000,
		0xffffffff80000000, 0xffffffffff600000, 0xfffffffffffff000,
		0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff,
	};

	switch (below(8)) {
	case 0:
		return value + 1;
	case 1:
		return value - 1;
	case 2:
		return value ^ (1ULL << below(64));
	case 3:
		return value + 0x1000;
	case 4:
		return chance();
	default:
		return limits[below(ARRAY_SIZE(limits))];
	}
}

/* A field of the structure, or somewhere in what follows it. */
static void change_field(struct ckpt_record *record)
{
	size_t head = record->head * 8, at, width = below(2) ? 8 : 4;
	uint64_t value = 0, before;

	if (head > record->len || (record->len > head && !below(3)))
		head = record->len;
	if (head < width || !own(record, 0))
		return;
	at = below(head / width) * width;
	memcpy(&value, record->payload + at, width);
	before = value;
	value = hostile(value);
	memcpy(record->payload + at, &value, width);
	note(" type %u field %zu/%zu 0x%llx->0x%llx", record->type, at, width,
	     (unsigned long long)before, (unsigned long long)value);
}

static void change_length(struct ckpt_record *record)
{
	uint32_t len = below(2) ? record->len + below(4096) : below(record->len + 1);

	if (len > CKPT_MAX_PAYLOAD || !own(record, 4096))
		return;
	note(" type %u length %u->%u", record->type, record->len, len);
	record->len = len;
}

/* The size of the data, so that they are there, or are not. */
static void change_data(struct ckpt_record *record)
{
	uint64_t size = below(2) ? record->size / 2 & ~4095ULL : below(record->size + 1);

	if (!(record->flags & CKPT_DATA) || !own(record, 0))
		return;
	note(" type %u data %llu->%llu", record->type, (unsigned long long)record->size,
	     (unsigned long long)size);
	if (below(4))
		memcpy(record->payload, &size, 8);
	record->size = size;
}

static void insert(struct ckpt_image *image, size_t at, struct ckpt_record record)
{
	if (image->nr == CKPT_MOST_RECORDS)
		return;
	memmove(image->records + at + 1, image->records + at,
		(image->nr - at) * sizeof(record));
	image->records[at] = record;
	image->nr++;
}

static void take_out(struct ckpt_image *image, size_t at)
{
	image->nr--;
	memmove(image->records + at, image->records + at + 1,
		(image->nr - at) * sizeof(*image->records));
}

/* A record; mostly each type is as likely as any other, though there are many of some. */
static size_t choose(const struct ckpt_image *image)
{
	uint16_t type = 16 + below(CKPT_TYPE_LAST - 15);
	size_t tries, at = below(image->nr);

	for (tries = 0; below(8) && tries < 64 && image->records[at].type != type; tries++)
		at = below(image->nr);
	return at;
}

static void tamper(struct ckpt_image *image)
{
	size_t at = choose(image), other = choose(image);
	struct ckpt_record *record = &image->records[at], copy = *record;

	/* Mostly a field: what comes of others is often seen before anything is made. */
	switch (below(32)) {
	case 0:
		note(" without %zu of type %u", at, record->type);
		take_out(image, at);
		break;
	case 1:
		note(" %zu of type %u once more at %zu", at, record->type, other);
		insert(image, other, copy);
		break;
	case 2:
		note(" %zu and %zu swapped", at, other);
		*record = image->records[other];
		image->records[other] = copy;
		break;
	case 3:
		change_length(record);
		break;
	case 4:
		change_data(record);
		break;
	case 5:
		record->type = below(2) ? below(CKPT_TYPE_LAST + 1) : chance();
		note(" type %u->%u", copy.type, record->type);
		break;
	case 6:
		record->flags ^= 1 << below(8);
		note(" type %u flags %#x", record->type, record->flags);
		break;
	case 7:
		record->head = chance();
		note(" type %u head %u->%u", record->type, copy.head, record->head);
		break;
	default:
		change_field(record);
	}
}

/* The image of this number. */
static size_t make(unsigned long number)
{
	size_t size, times;

	state = seed + number * 0xd1342543de82ef95;
	times = 1 + below(2);
	used = 0;
	story[0] = '\0';
	memcpy(&tampered, &original, sizeof(tampered));
	while (times-- && tampered.nr > 2)
		tamper(&tampered);
	size = ckpt_image_seal(&tampered, sealed, below(16));
	if (!below(16)) {
		size_t at = below(size), bit = below(8);

		sealed[at] ^= 1 << bit;
		note(" bit %zu of byte %zu", bit, at);
	}
	if (!below(16)) {
		size = below(size);
		note(" ends at %zu", size);
	}
	return size;
}

/* Add why the last call failed to the story: its first line. */
static void note_why(int session)
{
	char text[128];
	struct ckpt_why why = { .text = (unsigned long)text, .size = sizeof(text) - 1 };

	if (ioctl(session, CKPT_WHY, &why))
		return;
	text[why.length < why.size ? why.length : why.size] = '\0';
	text[strcspn(text, "\n")] = '\0';
	note("%s", text);
}

/* Restore an image; if it is accepted, let it run, and end it. 0, -errno, or 1 if it is wrong. */
static int attempt(struct ckpt_subject *subject, const void *image, size_t size, bool good)
{
	int session = ckpt_open(), file = memfd_create("image", MFD_CLOEXEC), ret = 1;

	if (unmet(session >= 0) || unmet(file >= 0) ||
	    differs(pwrite(file, image, size, 0), size))
		goto out;
	ckpt_forget(subject);
	ret = ckpt_try_restore(session, subject, file);
	story[0] = '\0';
	if (ret)
		note_why(session);
	if (!ret && ioctl(session, CKPT_RESUME))
		ret = -errno;
	if (good && (differs(ret, 0) || unmet(ckpt_goes_on(subject))))
		ret = 1;
	cg_killall(subject->cgroup);
out:
	close(file);
	close(session);
	return unmet(ckpt_nothing_left(subject)) ? 1 : ret;
}

static int go_through(struct ckpt_subject *subject)
{
	char path[PATH_MAX];
	unsigned long number, accepted = 0;
	int session = ckpt_open(), file, ret;
	ssize_t size;

	snprintf(path, sizeof(path), "%s/image", subject->dir);
	if (unmet(session >= 0) || unmet(ckpt_goes_on(subject)) ||
	    ckpt_suspend(session, subject) || ckpt_dump(session, path) ||
	    ckpt_kill(session) || unmet(ckpt_nothing_left(subject)))
		return KSFT_FAIL;
	close(session);
	file = open(path, O_RDONLY | O_CLOEXEC);
	size = read(file, bytes, sizeof(bytes));
	close(file);
	if (unmet(size > 0) || unmet(ckpt_image_parse(bytes, size, &original)) ||
	    differs(ckpt_image_seal(&original, sealed, true), size) ||
	    differs(memcmp(sealed, bytes, size), 0))
		return KSFT_FAIL;

	for (number = first; number < first + count; number++) {
		size_t len = make(number);

		ksft_print_msg("image %lu:%s\n", number, story);
		ret = attempt(subject, sealed, len, false);
		if (ret <= 0)
			ksft_print_msg("was %lu %s%s%s\n", number,
				       ret ? strerror(-ret) : "accepted", ret ? ": " : "", story);
		accepted += !ret;
		if (ret > 0 ||
		    ((number + 1) % EVERY == 0 && attempt(subject, bytes, size, true))) {
			ksft_print_msg("see fuzz_ckpt -s %llu -f %lu -n 1\n", seed, number);
			return KSFT_FAIL;
		}
	}
	ksft_print_msg("%lu of %lu images were accepted\n", accepted, count);
	return differs(attempt(subject, bytes, size, true), 0) ? KSFT_FAIL : KSFT_PASS;
}

int main(int argc, char **argv)
{
	static const struct ckpt_test test = { ckpt_count, go_through, "tampered_images" };
	int option;

	while ((option = getopt(argc, argv, "s:n:f:")) != -1) {
		switch (option) {
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			count = strtoul(optarg, NULL, 0);
			break;
		case 'f':
			first = strtoul(optarg, NULL, 0);
			break;
		default:
			fprintf(stderr, "usage: %s [-s SEED] [-n COUNT] [-f FIRST]\n", argv[0]);
			return KSFT_FAIL;
		}
	}
	return ckpt_main(&test, 1);
}
