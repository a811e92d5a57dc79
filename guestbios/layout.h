/* Where the guest BIOS keeps things: the one list that 16-bit code, 32-bit POST, the assembler and
 * the linker scripts agree on.
 *
 *   0xE0000  post.elf   32-bit POST, runs flat from ROM            (linked at its flat address)
 *   0xF0000  rom16.elf  16-bit handlers, linked at offset in F000h, fixed entry points on top
 *   EBDA     all writable state of the handlers, their stack, and small firmware tables
 *
 * The two programs are linked separately, so 16-bit code that names a 32-bit function does not
 * link.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GUESTBIOS_LAYOUT_H
#define GUESTBIOS_LAYOUT_H

/* The EBDA: DS = ES = SS of 16-bit C code. */
#define EBDA_SEG	 0x9e80
#define EBDA_PHYS	 0x9e800
#define EBDA_KB		 6    /* up to 640 KiB */
#define EBDA_BASE_KB	 634  /* what INT 12h reports */
#define EBDA_FDPT0	 0x3d /* fixed disk parameter tables, where AT BIOSes have them */
#define EBDA_FDPT1	 0x4d
#define EBDA_SHARED	 0x60  /* struct bios_shared */
#define EBDA_BSS	 0x240 /* 16-bit code's variables */
#define EBDA_BSS_END	 0x3a0
#define EBDA_RSDP	 0x3a0 /* both pointers must lie in the first KiB */
#define EBDA_MPFP	 0x3d0
#define EBDA_SMBIOS	 0x400
#define EBDA_SMBIOS_LEN	 0x380
#define SMBIOS_COUNT	 10 /* structures: the entry point in ROM says so too */
#define EBDA_MPTABLE	 0x780
#define EBDA_MPTABLE_LEN 0x280
#define EBDA_STACK_LOW	 0xa00
#define EBDA_STACK_TOP	 0x1800

#define BDA_SEG	 0x40
#define ROM_SEG	 0xf000
#define TEXT_SEG 0xb800

/* POST's scratch memory: free until something boots, zeroed before. */
#define POST_BSS       0x20000
#define POST_STACK_TOP 0x20000

/* Selectors of the BIOS's own GDT. */
#define SEL_CODE32 0x08
#define SEL_DATA32 0x10
#define SEL_CODE16 0x18 /* base 0xF0000 */
#define SEL_DATA16 0x20 /* base 0, limit 64 KiB */

#endif
