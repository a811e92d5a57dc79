/* Starting a Linux kernel the way its 64-bit boot protocol has it (Documentation/arch/x86/boot.rst
 * and zero-page.rst of the kernel): header checks, placement, "zero page", one-to-one page tables.
 *
 * Pure: works on memory that the caller maps, so it is tested on the host. The image is data: each
 * of its fields is checked before use. All addresses are physical, where the kernel will see them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_LINUX_BOOT_H
#define HV_CORE_LINUX_BOOT_H

#include "penumbra/bootinfo.h"
#include "penumbra/types.h"

#define LINUX_LOW_END	   0xa0000u /* conventional memory ends here */
#define LINUX_ENTRY_OFFSET 0x200u   /* of the 64-bit entry in the loaded kernel */
#define LINUX_BOOT_CS	   0x10u
#define LINUX_BOOT_DS	   0x18u

/* What the image's header says. */
struct linux_image {
	u16 version; /* of the boot protocol: 0x020f is 2.15 */
	u64 payload; /* offset of the protected-mode kernel in the file */
	u64 payload_len;
	u64 alignment;	 /* of the load address */
	u64 init_size;	 /* bytes it needs from the load address on */
	u64 initrd_end;	 /* the ramdisk must lie below; UINT64_MAX: anywhere */
	u64 cmdline_max; /* characters without the NUL */
};

/* Where everything goes in the memory given. */
struct linux_layout {
	hpa_t params;  /* the zero page */
	hpa_t cmdline; /* one page */
	hpa_t gdt;     /* one page */
	hpa_t tables;  /* LINUX_TABLE_PAGES pages */
	hpa_t kernel;
	hpa_t initrd;
	hpa_t acpi; /* ACPI data, the end of the memory */
	u64 initrd_len, acpi_len;
};
#define LINUX_TABLE_PAGES 6 /* PML4, PDPT, four directories: 4 GiB in 2 MiB pages */

/* Check the header of the @len bytes at @file. 0, or -EINVAL with *@why in words. */
int linux_image_check(struct linux_image *im, const void *file, u64 len, const char **why);
/* Place the kernel, a ramdisk and @acpi_len bytes (whole pages) of ACPI data in [@base, @base +
 * @len), page aligned and below 4 GiB. 0, or -ENOMEM with *@why. */
int linux_layout(struct linux_layout *l, const struct linux_image *im, hpa_t base, u64 len,
		 u64 initrd_len, u64 acpi_len, const char **why);
/* Fill the zero page at @page (4096 bytes) but for its memory map: header of @file, ramdisk,
 * command line, @rsdp (0: the kernel looks for it itself). */
void linux_params(void *page, const void *file, const struct linux_layout *l, hpa_t rsdp);
/* Write the memory map into @page: conventional memory and [@base, @base + @len) are RAM, the end
 * of the latter ACPI data; all other RAM of @bi is reserved, the rest as it is. 0, or -ENOSPC: more
 * entries than the protocol allows. */
int linux_memory_map(void *page, const struct boot_info *bi, hpa_t base, u64 len,
		     const struct linux_layout *l);
/* Descriptors for LINUX_BOOT_CS and _DS, in @gdt (32 bytes). */
void linux_gdt(u64 *gdt);
/* Map the first 4 GiB one to one, in LINUX_TABLE_PAGES pages at @tables, which lie at @at. */
void linux_tables(u64 *tables, hpa_t at);

#endif
