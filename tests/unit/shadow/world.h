/* The machine that the shadow tests run in: host memory, frames, a guest's physical memory, and a
 * record of everything that its tables' memory ever held.
 *
 * Guest-physical:  0..16 MiB RAM in scattered 2 MiB chunks, with video memory and ROM below 1 MiB;
 * 1..2 GiB RAM in one piece; 4 GiB..+8 MiB RAM in chunks; a view of the ROM below 4 GiB; nothing
 * else. One world per process.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_SHADOW_WORLD_H
#define TESTS_UNIT_SHADOW_WORLD_H

#include "mem/p2m.h"

/* Frames by number: what operations name. First those for tables, then special ones, then data. */
#define WORLD_TABLES	 224u
#define WORLD_LOW_TABLES 208u /* the first ones lie between 2 and 6 MiB, half in each chunk */
enum {
	WORLD_VIDEO = WORLD_TABLES, /* no memory, or RAM */
	WORLD_ROM,
	WORLD_PAM,   /* ROM or RAM */
	WORLD_ALIAS, /* the ROM, below 4 GiB */
	WORLD_HOLE,
	WORLD_APIC,
	WORLD_DATA,
	WORLD_FRAMES = WORLD_DATA + 26
};

extern struct p2m world_p2m;
extern u64 world_time; /* counts changes of memory */

/* Everything as at power-on. Frees nothing: see world_frames_used(). */
void world_reset(void);
unsigned world_frames_used(void);
gpa_t world_frame(unsigned n);
/* Where large pages may point: bases, 2 MiB aligned at least. */
gpa_t world_large(unsigned n, u64 size);

/* 4 or 8 aligned bytes of RAM or ROM at @gpa; all ones where there is none. */
bool world_read(void *ctx, gpa_t gpa, unsigned bytes, u64 *value);
bool world_is_ram(gpa_t gpa);
/* Somebody stores @len bytes (within one page) to RAM: true. */
bool world_store(gpa_t gpa, const void *bytes, unsigned len);
/* Somebody stored to the @len bytes of host memory at @hpa: record it. */
void world_stored(hpa_t hpa, unsigned len);
/* Of the qword around @gpa: the bits that have changed since last recorded; they are recorded. */
u64 world_changed(gpa_t gpa);
/* What was last recorded at RAM address @gpa, within one page. */
void world_recorded(gpa_t gpa, void *bytes, unsigned len);
/* Does memory hold anything that is not recorded? Its address, or 0. */
gpa_t world_stray(void);
bool world_host_is_guest(hpa_t hpa);

/* What the qword around @gpa has held, newest first: @since says from which time on. */
struct world_version {
	u64 since;
	u64 value;
};
unsigned world_versions(gpa_t gpa, u64 not_before, struct world_version *v, unsigned max);

#endif
