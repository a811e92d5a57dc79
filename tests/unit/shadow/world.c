/* The machine of the shadow tests; see world.h.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "shadow/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mem/frames.h"

#define HOST_BYTES   (3 * GIB)
#define FRAMES_BASE  MIB /* the frame allocator's share */
#define FRAMES_COUNT 12288u
#define CHUNKS_BASE  (64 * MIB)
#define HIGH_BASE    (128 * MIB)
#define GUEST_OWNER  OWNER_GUEST0

#define LOW_CHUNKS   8u
#define BIG_CHUNK    512u /* gpa 1 GiB */
#define BIG_CHUNKS   512u
#define HIGH_CHUNK   2048u /* gpa 4 GiB */
#define HIGH_CHUNKS  4u
#define GUEST_CHUNKS (HIGH_CHUNK + HIGH_CHUNKS)

struct p2m world_p2m;
u64 world_time;

static u8 *host, *recorded; /* host memory, and as last recorded */
static u8 frame_taken[FRAMES_COUNT];
static unsigned frames_used, frames_next;
static hpa_t guest_chunk[GUEST_CHUNKS];
static u8 *guest_va[GUEST_CHUNKS];

/* Guest frames that differ from power-on. */
#define TOUCHED_MAX 65536u
static u8 *touched_map;
static u32 touched[TOUCHED_MAX];
static unsigned touched_count;

/* The log: chains of changes by qword. */
#define LOG_MAX	  (1u << 20)
#define SLOT_HASH (1u << 15)
struct change {
	hpa_t qword;
	u64 time, before;
	u32 next;
};
static struct change *changes;
static u32 change_count, slot_head[SLOT_HASH];

__attribute__((noreturn)) static void give_up(const char *why)
{
	fprintf(stderr, "shadow tests: %s\n", why);
	abort();
}

/* --- host memory --- */

void *hpa_va(hpa_t hpa)
{
	if (hpa >= HOST_BYTES)
		give_up("host-physical address outside memory");
	return host + hpa;
}

hpa_t va_hpa(const void *va)
{
	return (hpa_t)((const u8 *)va - host);
}

static bool run_is_free(unsigned at, u64 pages)
{
	for (u64 i = 0; i < pages; i++)
		if (frame_taken[at + i])
			return false;
	return true;
}

hpa_t frames_alloc(u64 pages, u64 align, unsigned owner)
{
	if (!pages || pages > FRAMES_COUNT || owner != OWNER_HYPERVISOR)
		give_up("frames_alloc() of nothing, or for a guest");
	for (unsigned tried = 0; tried <= FRAMES_COUNT; tried++, frames_next++) {
		if (frames_next + pages > FRAMES_COUNT)
			frames_next = 0;
		if ((FRAMES_BASE / PAGE_SIZE + frames_next) % align ||
		    !run_is_free(frames_next, pages))
			continue;
		memset(frame_taken + frames_next, 1, pages);
		memset(host + FRAMES_BASE + frames_next * PAGE_SIZE, 0xaa, pages * PAGE_SIZE);
		frames_used += (unsigned)pages;
		return FRAMES_BASE + frames_next * PAGE_SIZE;
	}
	return 0;
}

hpa_t frames_alloc_below(u64 pages, u64 align, hpa_t limit, unsigned owner)
{
	(void)limit; /* all of it is below 4 GiB */
	return frames_alloc(pages, align, owner);
}

void frames_free(hpa_t base, u64 pages, unsigned owner)
{
	u64 first = (base - FRAMES_BASE) / PAGE_SIZE;

	(void)owner;
	for (u64 i = first; i < first + pages; i++) {
		if (i >= FRAMES_COUNT || !frame_taken[i])
			give_up("a frame freed that was not allocated");
		frame_taken[i] = 0;
	}
	memset(host + base, 0xaa, pages * PAGE_SIZE);
	frames_used -= (unsigned)pages;
}

hpa_t frames_alloc_chunk(u64 size, unsigned owner)
{
	(void)size;
	(void)owner;
	give_up("frames_alloc_chunk()");
}

bool frames_extent(unsigned i, hpa_t *base, u64 *len, unsigned *owner)
{
	(void)i;
	(void)base;
	(void)len;
	(void)owner;
	return false;
}

unsigned world_frames_used(void)
{
	return frames_used;
}

/* --- the guest's memory --- */

static void chunk_at(unsigned chunk, hpa_t hpa)
{
	guest_chunk[chunk] = hpa;
	guest_va[chunk] = host + hpa;
}

static void map_guest(void)
{
	static const u8 scattered[LOW_CHUNKS] = {3, 6, 1, 4, 0, 7, 5, 2};

	for (unsigned i = 0; i < LOW_CHUNKS; i++)
		chunk_at(i, CHUNKS_BASE + scattered[i] * P2M_CHUNK);
	for (unsigned i = 0; i < BIG_CHUNKS; i++)
		chunk_at(BIG_CHUNK + i, GIB + i * P2M_CHUNK);
	for (unsigned i = 0; i < HIGH_CHUNKS; i++)
		chunk_at(HIGH_CHUNK + i, HIGH_BASE + (HIGH_CHUNKS - 1 - i) * P2M_CHUNK);
}

static void kinds_reset(void)
{
	memset(world_p2m.low_kind, P2M_RAM, sizeof(world_p2m.low_kind));
	p2m_set_low_kind(&world_p2m, 0xa0000, 0x20000, P2M_NONE);
	p2m_set_low_kind(&world_p2m, 0xe0000, 0x20000, P2M_ROM);
}

static u8 *reserve(u64 bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		give_up("no memory");
	return p;
}

static void world_init(void)
{
	host = reserve(HOST_BYTES);
	recorded = reserve(HOST_BYTES);
	touched_map = reserve(HOST_BYTES / PAGE_SIZE);
	changes = (struct change *)(void *)reserve(sizeof(*changes) * LOG_MAX);
	map_guest();
	world_p2m = (struct p2m){.chunk = guest_chunk,
				 .va = guest_va,
				 .nchunks = GUEST_CHUNKS,
				 .low_bytes = LOW_CHUNKS * P2M_CHUNK,
				 .high_bytes = HIGH_CHUNKS * P2M_CHUNK,
				 .alias_base = 0xfffe0000ull,
				 .alias_target = 0xe0000,
				 .alias_len = 0x20000,
				 .owner = GUEST_OWNER};
}

static void log_reset(void)
{
	memset(slot_head, 0, sizeof(slot_head));
	change_count = 1; /* 0 ends a chain */
	world_time = 1;
}

void world_reset(void)
{
	if (!host)
		world_init();
	for (unsigned i = 0; i < touched_count; i++) {
		hpa_t hpa = (u64)touched[i] * PAGE_SIZE;

		memset(host + hpa, 0, PAGE_SIZE);
		memset(recorded + hpa, 0, PAGE_SIZE);
		touched_map[touched[i]] = 0;
	}
	touched_count = 0;
	log_reset();
	kinds_reset();
}

static const gpa_t special[] = {
	[WORLD_VIDEO - WORLD_TABLES] = 0xa0000,	  [WORLD_ROM - WORLD_TABLES] = 0xe0000,
	[WORLD_PAM - WORLD_TABLES] = 0xe1000,	  [WORLD_ALIAS - WORLD_TABLES] = 0xfffe0000,
	[WORLD_HOLE - WORLD_TABLES] = 0x90000000, [WORLD_APIC - WORLD_TABLES] = 0xfee00000,
};

gpa_t world_frame(unsigned n)
{
	n %= WORLD_FRAMES;
	if (n < WORLD_LOW_TABLES / 2)
		return 2 * MIB + n * PAGE_SIZE;
	if (n < WORLD_LOW_TABLES)
		return 6 * MIB - (WORLD_LOW_TABLES - n) * PAGE_SIZE;
	if (n < WORLD_LOW_TABLES + 8)
		return GIB + (n - WORLD_LOW_TABLES) * PAGE_SIZE;
	if (n < WORLD_TABLES)
		return 4 * GIB + (n - WORLD_LOW_TABLES) * PAGE_SIZE;
	if (n < WORLD_DATA)
		return special[n - WORLD_TABLES];
	n -= WORLD_DATA;
	return n < 8	? 6 * MIB + n * PAGE_SIZE
	       : n < 16 ? 10 * MIB - (n - 7) * PAGE_SIZE
	       : n < 20 ? GIB + 512 * MIB + n * PAGE_SIZE
	       : n < 24 ? 4 * GIB + 4 * MIB + n * PAGE_SIZE
			: n * PAGE_SIZE;
}

gpa_t world_large(unsigned n, u64 size)
{
	static const gpa_t bases[] = {2 * MIB, 4 * MIB, 6 * MIB, 8 * MIB,
				      GIB,     0,	4 * GIB, GIB + 512 * MIB};

	return bases[n % ARRAY_SIZE(bases)] & ~(size - 1);
}

bool world_host_is_guest(hpa_t hpa)
{
	return (hpa >= CHUNKS_BASE && hpa < HIGH_BASE + HIGH_CHUNKS * P2M_CHUNK) ||
	       (hpa >= GIB && hpa < 2 * GIB);
}

/* --- what it held --- */

static u64 qword_of(const u8 *memory, hpa_t hpa)
{
	u64 v;

	memcpy(&v, memory + (hpa & ~7ull), 8);
	return v;
}

static u32 *slot_of(hpa_t qword)
{
	return &slot_head[(qword >> 3) * 0x9e3779b97f4a7c15ull >> 49];
}

static void touch(hpa_t hpa)
{
	u32 frame = (u32)(hpa / PAGE_SIZE);

	if (touched_map[frame])
		return;
	if (touched_count == TOUCHED_MAX)
		give_up("too many frames touched");
	touched_map[frame] = 1;
	touched[touched_count++] = frame;
}

/* Record a change of one qword; @time has been counted already. */
static u64 record(hpa_t hpa)
{
	hpa_t qword = hpa & ~7ull;
	u64 before = qword_of(recorded, qword), now = qword_of(host, qword);
	u32 *head = slot_of(qword);

	if (before == now)
		return 0;
	if (change_count == LOG_MAX)
		give_up("log full: fewer operations in a stream");
	touch(qword);
	changes[change_count] = (struct change){qword, world_time, before, *head};
	*head = change_count++;
	memcpy(recorded + qword, &now, 8);
	return before ^ now;
}

void world_stored(hpa_t hpa, unsigned len)
{
	world_time++;
	for (hpa_t at = hpa & ~7ull; at < hpa + len; at += 8)
		record(at);
}

static bool guest_host(gpa_t gpa, hpa_t *hpa)
{
	enum p2m_kind kind = p2m_lookup(&world_p2m, gpa, hpa);

	return kind == P2M_RAM || kind == P2M_ROM;
}

u64 world_changed(gpa_t gpa)
{
	hpa_t hpa;

	if (!guest_host(gpa, &hpa) || qword_of(host, hpa) == qword_of(recorded, hpa))
		return 0;
	world_time++;
	return record(hpa);
}

void world_recorded(gpa_t gpa, void *bytes, unsigned len)
{
	hpa_t hpa;

	memset(bytes, 0, len);
	if (guest_host(gpa, &hpa))
		memcpy(bytes, recorded + hpa, len);
}

gpa_t world_stray(void)
{
	for (unsigned i = 0; i < touched_count; i++) {
		hpa_t hpa = (u64)touched[i] * PAGE_SIZE;

		if (!memcmp(host + hpa, recorded + hpa, PAGE_SIZE))
			continue;
		for (unsigned off = 0; off < PAGE_SIZE; off += 8)
			if (qword_of(host, hpa + off) != qword_of(recorded, hpa + off))
				return hpa + off;
	}
	return 0;
}

unsigned world_versions(gpa_t gpa, u64 not_before, struct world_version *v, unsigned max)
{
	unsigned n = 0;
	hpa_t qword;
	u64 value;

	if (!guest_host(gpa, &qword)) {
		v[0] = (struct world_version){0, ~0ull};
		return 1;
	}
	qword &= ~7ull;
	value = qword_of(host, qword);
	for (u32 c = *slot_of(qword); c && n < max; c = changes[c].next) {
		if (changes[c].qword != qword)
			continue;
		v[n].since = changes[c].time;
		v[n++].value = value;
		if (changes[c].time <= not_before)
			return n;
		value = changes[c].before;
	}
	if (n < max) {
		v[n].since = 0;
		v[n++].value = value;
	}
	return n;
}

bool world_is_ram(gpa_t gpa)
{
	hpa_t hpa;

	return p2m_lookup(&world_p2m, gpa, &hpa) == P2M_RAM;
}

bool world_read(void *ctx, gpa_t gpa, unsigned bytes, u64 *value)
{
	hpa_t hpa;

	(void)ctx;
	*value = 0;
	if (guest_host(gpa, &hpa))
		memcpy(value, host + hpa, bytes);
	else
		memset(value, 0xff, bytes);
	return true;
}

bool world_store(gpa_t gpa, const void *bytes, unsigned len)
{
	hpa_t hpa;

	if (p2m_lookup(&world_p2m, gpa, &hpa) != P2M_RAM)
		return false;
	memcpy(host + hpa, bytes, len);
	world_stored(hpa, len);
	return true;
}
