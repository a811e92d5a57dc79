/* Who owns which physical memory.
 *
 * All RAM of the memory map is kept as a sorted list of extents, each with one owner; neighbours of
 * one owner are merged. Allocation takes free memory from the top down, contiguous and aligned. The
 * ledger (bytes per owner) is a sum over the list, so it adds up to all RAM by construction.
 *
 * Addresses are host-physical; sizes are bytes unless a name says pages. All functions may be
 * called on any CPU (one internal lock), not from interrupt handlers.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_MEM_FRAMES_H
#define HV_MEM_FRAMES_H

#include "penumbra/bootinfo.h"
#include "penumbra/types.h"

enum frame_owner {
	OWNER_FREE,
	OWNER_LOW, /* below 1 MiB: nobody's until the control partition claims it */
	OWNER_HYPERVISOR,
	OWNER_CONTROL,
	OWNER_MODULES,
	OWNER_GUEST0 = 8, /* OWNER_GUEST0 + n: guest n */
	OWNER_COUNT = OWNER_GUEST0 + 32
};

#define FRAMES_LOW_END (1 * MIB)

/* Take over the memory map: RAM is free except the first MiB, the hypervisor's image and the
 * modules. Regions lose partial pages at their edges. 0, or -ENOSPC when the map has more pieces
 * than the list holds (what fits is usable). */
int frames_init(const struct boot_info *bi);

/* @pages contiguous 4 KiB frames, the first aligned to @align pages (a power of two; 1: any),
 * owned by @owner. 0 when there is none. Contents are undefined. */
hpa_t frames_alloc(u64 pages, u64 align, unsigned owner);
/* The same, ending at or below @limit (4 GiB for what a 32-bit device or mode must reach). */
hpa_t frames_alloc_below(u64 pages, u64 align, hpa_t limit, unsigned owner);
/* One naturally aligned chunk of guest RAM; @size is 2 MiB or 1 GiB. 0 when there is none. */
hpa_t frames_alloc_chunk(u64 size, unsigned owner);
/* Give back frames that @owner holds. Part of an allocation may be freed. */
void frames_free(hpa_t base, u64 pages, unsigned owner);
/* Hand exactly [base, base + len), page aligned, from one owner to another (OWNER_FREE included).
 * 0, or -EBUSY when any page of it is not @from's or not RAM, or -ENOSPC; then nothing changed. */
int frames_reassign(hpa_t base, u64 len, unsigned from, unsigned to);
/* Take whatever within [base, base + len) is RAM owned by @from; returns the bytes taken. For the
 * identity-mapped partition, whose range has holes. */
u64 frames_claim(hpa_t base, u64 len, unsigned from, unsigned to);

/* Bytes owned by @owner; all owners together give frames_total(). */
u64 frames_owned(unsigned owner);
/* All RAM in whole pages. */
u64 frames_total(void);
/* The extent number @i in address order: true and filled in while there is one. */
bool frames_extent(unsigned i, hpa_t *base, u64 *len, unsigned *owner);

#endif
