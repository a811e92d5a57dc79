/* Folding: see fold.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fold.h"

#define NOTHING	     (~0ull)
#define RECORD_MAX   64 /* bytes, more than any has */
#define REGION_SHIFT 30
#define REGION_PAGES BIT(REGION_SHIFT - PAGE_SHIFT)
#define WORD_PAGES   32 /* two bits each */
#define PRESENT	     1u
#define WRITTEN	     2u

/* --- records ---------------------------------------------------------------------------------- */

static void put(struct fold *f, u8 byte)
{
	f->chunk.payload[f->chunk.header.bytes++] = byte;
}

static void put_number(struct fold *f, u64 n)
{
	for (; n >= 128; n >>= 7)
		put(f, (u8)(n | 128));
	put(f, (u8)n);
}

static void put_signed(struct fold *f, u64 now, u64 before)
{
	u64 d = now - before;

	put_number(f, d << 1 ^ ((s64)d < 0 ? NOTHING : 0));
}

static void empty_filter(struct fold_filter *filter)
{
	for (unsigned i = 0; i < FOLD_PAGES; i++)
		filter->page[i] = NOTHING;
	for (unsigned i = 0; i < FOLD_LINES; i++)
		filter->line[i] = NOTHING;
}

static void empty_filters(struct fold *f)
{
	empty_filter(&f->fetch);
	empty_filter(&f->data);
}

/* Another process may come between two chunks. */
void fold_flush(struct fold *f)
{
	struct touch_header *h = &f->chunk.header;

	if (h->bytes)
		f->write(f->ctx, &f->chunk, sizeof(*h) + h->bytes);
	*h = (struct touch_header){.magic = TOUCH_MAGIC, .process = f->process};
	f->last_fetch = f->last_data = f->last_page = 0;
	empty_filters(f);
}

/* The first byte of a record; room for the rest is there then. False: nothing is recorded. */
static bool begin(struct fold *f, enum touch_kind kind)
{
	u64 n = f->instructions;

	if (f->quiet)
		return false;
	if (f->chunk.header.bytes > TOUCH_CHUNK - RECORD_MAX)
		fold_flush(f);
	put(f, (u8)(kind | (n < TOUCH_MANY ? n : TOUCH_MANY) << 3));
	if (n >= TOUCH_MANY)
		put_number(f, n - TOUCH_MANY);
	f->chunk.header.instructions += (u32)n;
	f->recorded += n;
	f->instructions = 0;
	return true;
}

static void put_access(struct fold *f, enum touch_kind kind, u64 line)
{
	u64 *last = kind == TOUCH_FETCH ? &f->last_fetch : &f->last_data;

	if (!begin(f, kind))
		return;
	put_signed(f, line, *last); /* 0 if begin() has flushed */
	*last = line;
}

static void put_page(struct fold *f, enum touch_kind kind, u64 page)
{
	if (!begin(f, kind))
		return;
	put_signed(f, page, f->last_page);
	f->last_page = page;
}

/* --- pages ------------------------------------------------------------------------------------ */

static u64 *word_of(struct fold *f, u64 page, bool make)
{
	u64 **region = &f->region[page / REGION_PAGES];

	if (!*region && make)
		*region = f->zeroed(f->ctx, REGION_PAGES / WORD_PAGES * sizeof(u64));
	return *region ? *region + page % REGION_PAGES / WORD_PAGES : NULL;
}

/* A page that the filter does not vouch for. */
static void visit(struct fold *f, u64 page, bool write)
{
	u64 *word = word_of(f, page, true);
	unsigned shift = page % WORD_PAGES * 2;
	u64 has = *word >> shift & 3, needs = PRESENT | (write ? WRITTEN : 0);

	if ((has & needs) == needs)
		return;
	if (!(has & PRESENT))
		f->present++;
	*word |= needs << shift;
	empty_filters(f);
	put_page(f, TOUCH_FAULT, page);
}

static void forget(struct fold *f, u64 page)
{
	u64 *word = word_of(f, page, false);
	unsigned shift = page % WORD_PAGES * 2;

	if (!word || !(*word >> shift & PRESENT))
		return;
	*word &= ~(3ull << shift);
	f->present--;
}

/* --- the stream ------------------------------------------------------------------------------- */

static void access_line(struct fold *f, struct fold_filter *filter, enum touch_kind kind, u64 line)
{
	u64 page = line >> (PAGE_SHIFT - TOUCH_LINE_SHIFT), write = kind == TOUCH_WRITE;
	u64 *known = &filter->page[page % FOLD_PAGES], *here = &filter->line[line % FOLD_LINES];
	bool hit = *known >> 1 == page && *here == line;

	if (page >= BIT(47 - PAGE_SHIFT))
		return;
	if (*known >> 1 != page || write > (*known & 1)) {
		visit(f, page, write);
		*known = page << 1 | (write | (*known >> 1 == page ? *known & 1 : 0));
		hit = hit && *here == line; /* a fault has emptied it */
	}
	if (hit)
		return;
	*here = line;
	put_access(f, kind, line);
}

void fold_fetch(struct fold *f, u64 at, u64 size)
{
	u64 first = at >> TOUCH_LINE_SHIFT, last = (at + size - 1) >> TOUCH_LINE_SHIFT;

	f->instructions++;
	access_line(f, &f->fetch, TOUCH_FETCH, first);
	if (last != first)
		access_line(f, &f->fetch, TOUCH_FETCH, last);
}

void fold_data(struct fold *f, u64 at, u64 size, bool write)
{
	u64 last = (at + size - 1) >> TOUCH_LINE_SHIFT;

	for (u64 line = at >> TOUCH_LINE_SHIFT; line <= last; line++)
		access_line(f, &f->data, write ? TOUCH_WRITE : TOUCH_READ, line);
}

void fold_drop(struct fold *f, u64 at, u64 size)
{
	u64 page = at >> PAGE_SHIFT, end = MIN(at + size, BIT(47)) >> PAGE_SHIFT;
	u64 before = f->present, first = page;

	if (at >= BIT(47) || size > BIT(47))
		return;
	for (; page < end; page++) {
		if (!f->region[page / REGION_PAGES])
			page |= REGION_PAGES - 1; /* none in it */
		else
			forget(f, page);
	}
	if (f->present == before)
		return;
	empty_filters(f);
	put_page(f, TOUCH_DROP, first);
	if (!f->quiet)
		put_number(f, end - first);
}

void fold_protect(struct fold *f)
{
	for (u64 i = 0; i < FOLD_REGIONS; i++)
		for (u64 w = 0; f->region[i] && w < REGION_PAGES / WORD_PAGES; w++)
			f->region[i][w] &= 0x5555555555555555ull;
	empty_filters(f);
	if (begin(f, TOUCH_PROTECT))
		put_number(f, f->present);
}

void fold_end(struct fold *f)
{
	if (begin(f, TOUCH_END))
		fold_flush(f);
}

void fold_aloud(struct fold *f)
{
	f->quiet = false;
	f->instructions = 0;
	empty_filters(f);
}

void fold_start(struct fold *f, u32 process)
{
	f->process = process;
	f->chunk.header.bytes = 0;
	fold_flush(f);
}
