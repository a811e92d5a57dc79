/* Host memory and a frame allocator for tests of guest memory and page tables.
 *
 * Single frames are real memory. Chunks of guest RAM all show the same 2 MiB, at different
 * addresses, so that guests of gigabytes cost nothing; a test must not rely on their contents
 * beyond one chunk. Whole gigabytes are to be had as long as fake_frames.gibs lasts.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_FAKE_FRAMES_H
#define TESTS_UNIT_FAKE_FRAMES_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create(): include this header first */
#endif

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mem/frames.h"
#include "mem/hostmap.h"
#include "unit.h"

#define FAKE_FRAMES   4096u /* single frames: host-physical [0, 16 MiB) */
#define FAKE_CHUNKS   GIB   /* 2 MiB chunks, upwards */
#define FAKE_GIBS     (8 * GIB)
#define FAKE_ALL      (12 * GIB)
#define FAKE_CHUNK_SZ (2 * MIB)

static struct fake_frames {
	u8 *base;
	int file;
	unsigned next, used, limit; /* frames: the next to give, in use, at most */
	u64 chunks, gibs;	    /* left to give */
	u64 next_chunk, next_gib;
	u64 chunk_pages; /* guest RAM in use */
	/* What frames_extent() tells, in address order. */
	struct {
		hpa_t base;
		u64 len;
		unsigned owner;
	} extent[4];
	unsigned extents;
} fake_frames;

__attribute__((unused)) void *hpa_va(hpa_t hpa)
{
	return fake_frames.base + hpa;
}

__attribute__((unused)) hpa_t va_hpa(const void *va)
{
	return (hpa_t)((const u8 *)va - fake_frames.base);
}

/* An empty machine with room for @chunks 2 MiB chunks and @gibs whole gigabytes. */
static inline void fake_frames_init(u64 chunks, u64 gibs)
{
	struct fake_frames *f = &fake_frames;

	if (!f->base) {
		f->base = mmap(NULL, FAKE_ALL, PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		f->file = memfd_create("chunk", 0);
		if (f->base == MAP_FAILED || f->file < 0 || ftruncate(f->file, FAKE_CHUNK_SZ) ||
		    mprotect(f->base, FAKE_FRAMES * PAGE_SIZE, PROT_READ | PROT_WRITE))
			abort();
	}
	/* What is handed out was something else before. */
	memset(f->base, 0xaa, FAKE_FRAMES * PAGE_SIZE);
	f->next = 1;
	f->used = 0;
	f->limit = FAKE_FRAMES - 1;
	f->chunks = chunks;
	f->gibs = gibs;
	f->next_chunk = FAKE_CHUNKS;
	f->next_gib = FAKE_GIBS;
	f->chunk_pages = 0;
	f->extents = 0;
}

static inline void fake_show_chunks(hpa_t hpa, u64 size)
{
	for (u64 off = 0; off < size; off += FAKE_CHUNK_SZ)
		if (mmap(hpa_va(hpa + off), FAKE_CHUNK_SZ, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED | MAP_POPULATE, fake_frames.file, 0) == MAP_FAILED)
			abort();
}

hpa_t frames_alloc(u64 pages, u64 align, unsigned owner)
{
	struct fake_frames *f = &fake_frames;
	hpa_t hpa = f->next * PAGE_SIZE;

	CHECK_EQ(align, 1);
	CHECK_EQ(owner, OWNER_HYPERVISOR);
	if (f->used + pages > f->limit || f->next + pages > FAKE_FRAMES)
		return 0;
	f->next += pages;
	f->used += pages;
	return hpa;
}

/* All single frames lie below 4 GiB. */
__attribute__((unused)) hpa_t frames_alloc_below(u64 pages, u64 align, hpa_t limit, unsigned owner)
{
	CHECK(limit >= FAKE_FRAMES * PAGE_SIZE);
	return frames_alloc(pages, align, owner);
}

hpa_t frames_alloc_chunk(u64 size, unsigned owner)
{
	struct fake_frames *f = &fake_frames;
	u64 *left = size == GIB ? &f->gibs : &f->chunks;
	u64 *next = size == GIB ? &f->next_gib : &f->next_chunk;
	hpa_t hpa = *next;

	CHECK(owner >= OWNER_GUEST0);
	CHECK(size == GIB || size == FAKE_CHUNK_SZ);
	if (!*left)
		return 0;
	--*left;
	*next += size;
	f->chunk_pages += size / PAGE_SIZE;
	fake_show_chunks(hpa, size);
	return hpa;
}

bool frames_extent(unsigned i, hpa_t *base, u64 *len, unsigned *owner)
{
	struct fake_frames *f = &fake_frames;

	if (i >= f->extents)
		return false;
	*base = f->extent[i].base;
	*len = f->extent[i].len;
	*owner = f->extent[i].owner;
	return true;
}

void frames_free(hpa_t base, u64 pages, unsigned owner)
{
	struct fake_frames *f = &fake_frames;

	CHECK(base % PAGE_SIZE == 0 && base);
	if (owner == OWNER_HYPERVISOR) {
		CHECK(base < FAKE_FRAMES * PAGE_SIZE && f->used >= pages);
		memset(hpa_va(base), 0xaa, pages * PAGE_SIZE);
		f->used -= pages;
	} else {
		CHECK(base >= FAKE_CHUNKS && f->chunk_pages >= pages);
		f->chunk_pages -= pages;
	}
}

#endif
