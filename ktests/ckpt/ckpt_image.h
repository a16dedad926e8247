/* SPDX-License-Identifier: GPL-2.0 */
/* Images as records, which can be changed, and put together again. */
#ifndef _SELFTESTS_CKPT_IMAGE_H
#define _SELFTESTS_CKPT_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As Documentation/userspace-api/ckpt-image.rst has them. */
#define CKPT_MAGIC		8
#define CKPT_HEADER		16
#define CKPT_TYPE_END		2
#define CKPT_TYPE_LAST		44
#define CKPT_DATA		2
#define CKPT_MAX_PAYLOAD	65536

#define CKPT_MOST_RECORDS	4096
#define CKPT_MOST_BYTES		(8 << 20)

struct ckpt_record {
	uint16_t type;
	uint8_t flags;
	uint8_t head;
	uint32_t len;
	uint8_t *payload;
	uint8_t *data;
	uint64_t size;		/* of the data */
};

struct ckpt_image {
	const uint8_t *magic;
	struct ckpt_record records[CKPT_MOST_RECORDS];
	size_t nr;
};

/* Find the records of an image, which stay where they are; false if it is none. */
bool ckpt_image_parse(const uint8_t *from, size_t size, struct ckpt_image *image);
/*
 * Make an image of records, as long as there is room for CKPT_MOST_BYTES; return its size. Numbers,
 * checksums and totals are right if @honest.
 */
size_t ckpt_image_seal(const struct ckpt_image *image, uint8_t *to, bool honest);

#endif /* _SELFTESTS_CKPT_IMAGE_H */
