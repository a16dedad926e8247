// SPDX-License-Identifier: GPL-2.0
/* Images as records. */
#include <string.h>

#include "ckpt_image.h"

/* CRC-32C, from the state of the one before. */
static uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
	static uint32_t table[256];
	const uint8_t *byte = data;
	int i, bit;

	for (i = 0; i < 256 && !table[255]; i++)
		for (table[i] = i, bit = 0; bit < 8; bit++)
			table[i] = (table[i] >> 1) ^ (table[i] & 1 ? 0x82f63b78 : 0);
	while (size--)
		crc = (crc >> 8) ^ table[(crc ^ *byte++) & 0xff];
	return crc;
}

bool ckpt_image_parse(const uint8_t *from, size_t size, struct ckpt_image *image)
{
	size_t at = CKPT_MAGIC;

	image->magic = from;
	for (image->nr = 0; image->nr < CKPT_MOST_RECORDS; image->nr++) {
		struct ckpt_record *record = &image->records[image->nr];
		uint32_t padded;

		if (at == size)
			return image->nr > 2;
		if (size - at < CKPT_HEADER)
			return false;
		memcpy(record, from + at, 8);
		padded = (record->len + 7) & ~7U;
		if (record->len > CKPT_MAX_PAYLOAD || size - at - CKPT_HEADER < padded)
			return false;
		record->payload = (uint8_t *)from + at + CKPT_HEADER;
		at += CKPT_HEADER + padded;
		record->size = 0;
		if (record->flags & CKPT_DATA)
			memcpy(&record->size, record->payload, 8);
		if (record->size > size - at)
			return false;
		record->data = (uint8_t *)from + at;
		at += record->size;
	}
	return false;
}

size_t ckpt_image_seal(const struct ckpt_image *image, uint8_t *to, bool honest)
{
	uint64_t data = 0;
	uint32_t chain = ~0U;
	size_t at = CKPT_MAGIC, i;

	memcpy(to, image->magic, CKPT_MAGIC);
	for (i = 0; i < image->nr; i++) {
		const struct ckpt_record *record = &image->records[i];
		uint32_t padded = (record->len + 7) & ~7U, crc = 0, seq = i;
		uint8_t *start = to + at;

		if (CKPT_MOST_BYTES - at < CKPT_HEADER + padded + record->size)
			break;
		memcpy(start, record, 8);
		memcpy(start + 8, &seq, 4);
		memcpy(start + 12, &crc, 4);
		memset(start + CKPT_HEADER, 0, padded);
		memcpy(start + CKPT_HEADER, record->payload, record->len);
		if (honest && record->type == CKPT_TYPE_END && record->len >= 24) {
			uint64_t records = i;
			uint32_t value = ~chain;

			memcpy(start + CKPT_HEADER, &records, 8);
			memcpy(start + CKPT_HEADER + 8, &data, 8);
			memcpy(start + CKPT_HEADER + 16, &value, 4);
		}
		crc = ~crc32c(~0U, start, CKPT_HEADER + padded);
		memcpy(start + 12, &crc, 4);
		chain = crc32c(chain, &crc, 4);
		at += CKPT_HEADER + padded;
		memcpy(to + at, record->data, record->size);
		at += record->size;
		data += record->size;
	}
	return at;
}
