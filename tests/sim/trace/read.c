/* Reading traces: see read.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "read.h"

#include <string.h>

#define TOP	  BIT(47)
#define PAGES_MAX (TOP >> PAGE_SHIFT)

void touch_open(struct touch_reader *r, FILE *file)
{
	memset(r, 0, sizeof(*r));
	r->file = file;
}

static bool bad(struct touch_reader *r, const char *why)
{
	r->why = why;
	return false;
}

static bool next_chunk(struct touch_reader *r)
{
	struct touch_header *h = &r->header;
	size_t n = fread(h, 1, sizeof(*h), r->file);

	if (!n)
		return false;
	if (n != sizeof(*h) || h->magic != TOUCH_MAGIC || !h->bytes || h->bytes > TOUCH_CHUNK)
		return bad(r, "no chunk where one must begin");
	if (fread(r->payload, 1, h->bytes, r->file) != h->bytes)
		return bad(r, "chunk cut short");
	r->next = 0;
	r->last_fetch = r->last_data = r->last_page = 0;
	return true;
}

static u64 take_number(struct touch_reader *r)
{
	u64 n = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		u8 byte;

		if (r->next >= r->header.bytes)
			break;
		byte = r->payload[r->next++];
		n |= (u64)(byte & 127) << shift;
		if (byte < 128)
			return n;
	}
	bad(r, "number without end");
	return 0;
}

static u64 take_signed(struct touch_reader *r, u64 *last)
{
	u64 n = take_number(r);

	return *last += n >> 1 ^ -(n & 1);
}

static void take_rest(struct touch_reader *r, struct touch_event *e)
{
	switch (e->kind) {
	case TOUCH_FETCH:
		e->at = take_signed(r, &r->last_fetch) << TOUCH_LINE_SHIFT;
		break;
	case TOUCH_READ:
	case TOUCH_WRITE:
		e->at = take_signed(r, &r->last_data) << TOUCH_LINE_SHIFT;
		break;
	case TOUCH_FAULT:
	case TOUCH_DROP:
		e->at = take_signed(r, &r->last_page) << PAGE_SHIFT;
		if (e->kind == TOUCH_DROP)
			e->pages = take_number(r);
		break;
	case TOUCH_PROTECT:
		e->pages = take_number(r);
		break;
	case TOUCH_END:
		break;
	default:
		bad(r, "record of no kind");
	}
	if (e->at >= TOP || e->pages > PAGES_MAX || e->at + (e->pages << PAGE_SHIFT) > TOP)
		bad(r, "address out of range");
}

bool touch_next(struct touch_reader *r, struct touch_event *e)
{
	u8 first;

	if (r->why || (r->next >= r->header.bytes && !next_chunk(r)))
		return false;
	first = r->payload[r->next++];
	*e = (struct touch_event){.kind = (enum touch_kind)(first & 7),
				  .process = r->header.process,
				  .instructions = first >> 3};
	if (e->instructions == TOUCH_MANY)
		e->instructions = TOUCH_MANY + (u32)take_number(r);
	take_rest(r, e);
	return !r->why;
}
