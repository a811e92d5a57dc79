/* Names that entry.S and the linker script give to C. All are addresses: image at its link address
 * (high half), physical addresses only where said.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FIRMWARE_BOOT_H
#define FIRMWARE_BOOT_H

#include "penumbra/types.h"

#define IMAGE_LINK_BASE 0x200000ull	      /* physical, where Multiboot1 loads */
#define IMAGE_VMA	0xffffffff80200000ull /* link address of the image's first byte */

extern char text_start[], text_code_end[], text_end[], rodata_start[], rodata_end[], data_start[];
extern char boot_tables[], image_end[];
extern u64 boot_tsc; /* TSC at the first instructions after the loader */

static inline u64 image_size(void)
{
	return (u64)image_end - IMAGE_VMA;
}

/* Copy @len bytes (a multiple of 8) of the running image and load @cr3, whose tables map the image
 * to the copy; returns in the copy. @dst and @src are identity-mapped physical addresses. */
void boot_copy_and_switch(void *dst, const void *src, u64 len, u64 cr3);
/* Call @fn(@arg) on another stack, never to return. */
_Noreturn void boot_call_on_stack(void *stack_top, void (*fn)(void *), void *arg);

#endif
