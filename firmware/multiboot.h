/* What the boot loader tells: Multiboot1 and Multiboot2 information -> struct boot_info.
 *
 * Pure: physical memory is reached through a callback, so it is tested on the host. Everything the
 * loader says is bounds-checked; what does not fit is left out.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FIRMWARE_MULTIBOOT_H
#define FIRMWARE_MULTIBOOT_H

#include "penumbra/bootinfo.h"
#include "penumbra/types.h"

#define MULTIBOOT1_BOOTED 0x2badb002u
#define MULTIBOOT2_BOOTED 0x36d76289u

struct phys_view {
	/* Pointer to @len readable bytes at physical @pa, or NULL. */
	const void *(*at)(void *ctx, hpa_t pa, u64 len);
	void *ctx;
};

/* Beside the boot_info: the ACPI root pointer that an EFI loader passes by value. */
struct multiboot_extra {
	u8 rsdp[36];
	unsigned rsdp_len; /* 20 (ACPI 1.0), 36, or 0: none passed */
};

/* Fill command line, loader, regions (normalised), modules, framebuffer, efi. @magic is the
 * loader's EAX, @info its EBX. 0; -EINVAL: unknown magic or unreadable block; -ENOENT: no memory
 * map in any form. */
int multiboot_parse(struct boot_info *bi, struct multiboot_extra *x, u32 magic, hpa_t info,
		    const struct phys_view *v);

/* Sort @bi->region, resolve overlaps in favour of the less usable type, merge neighbours. Returns
 * the number of pieces that did not fit. */
unsigned memory_map_normalise(struct boot_info *bi);

#endif
