/* The hypervisor's own address space (docs/boot.md has the picture).
 *
 *   0xffff800000000000  direct map of all RAM and ACPI memory; the image's text and constants
 *                       read-only in it; never executable
 *   0xffffd00000000000  device memory, mapped on demand, uncached or write-combining
 *   0xffffe00000000000  one page for looking at arbitrary physical memory at boot
 *   0xffffffff80200000  the image: text R-X, constants R--, data RW-
 *   0xffffffff90000000  per-CPU stacks with guard pages: below the same page directory as the image
 *
 * The lower half is empty once the application processors are up. Nothing is writable and
 * executable. Mappings are made on the boot CPU; removing one flushes only the calling CPU.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_MEM_HOSTMAP_H
#define HV_MEM_HOSTMAP_H

#include "penumbra/bootinfo.h"
#include "penumbra/types.h"

#define HOSTMAP_DIRECT 0xffff800000000000ull
#define HOSTMAP_MMIO   0xffffd00000000000ull
#define HOSTMAP_PEEK   0xffffe00000000000ull
#define HOSTMAP_IMAGE  0xffffffff80000000ull
#define HOSTMAP_STACKS 0xffffffff90000000ull

#define HOSTMAP_W  1u /* writable */
#define HOSTMAP_X  2u /* executable */
#define HOSTMAP_UC 4u /* uncached */
#define HOSTMAP_WC 8u /* write-combining (core/cpu.c programs the PAT) */

/* Direct map: any address of RAM (or ACPI memory, read-only) <-> its pointer. */
#ifdef PN_HOST
void *hpa_va(hpa_t hpa); /* a test's memory stands for RAM */
#else
static inline void *hpa_va(hpa_t hpa)
{
	return (void *)(HOSTMAP_DIRECT + hpa);
}
#endif

/* Physical address of a pointer into the direct map or the image. */
hpa_t va_hpa(const void *va);

/* Build the address space and switch to it. frames_init() came before. 0 or -ENOMEM. */
int hostmap_init(const struct boot_info *bi);
/* Physical address of the top-level table; below 4 GiB, so that an application processor can load
 * it in 32-bit mode. */
hpa_t hostmap_root(void);
/* Map [hpa, hpa + len) at @va with HOSTMAP_* rights, in the largest pages that fit. All three
 * page aligned; @va not mapped yet. 0, -EINVAL, or -ENOMEM. */
int hostmap_map(u64 va, hpa_t hpa, u64 len, unsigned prot);
/* Remove 4 KiB mappings in [va, va + len) where there are any. */
void hostmap_unmap(u64 va, u64 len);
/* Physical address that @va maps to, 0 when it does not. */
hpa_t hostmap_translate(u64 va);
/* Map @size bytes of device memory at @hpa (any alignment) uncached; never unmapped. NULL when out
 * of memory. mmio_map_wc(): write-combining, for framebuffers. */
void *mmio_map(hpa_t hpa, u64 size);
void *mmio_map_wc(hpa_t hpa, u64 size);
/* Copy @len bytes from physical memory of any kind. Boot CPU, at boot only. 0 or -ENOMEM. */
int phys_read(hpa_t hpa, void *buf, size_t len);
/* Map @page one to one, executable and read-only, for the application processors' start-up;
 * hostmap_identity_end() empties the lower half again. 0 or -ENOMEM. */
int hostmap_identity_begin(hpa_t page);
void hostmap_identity_end(void);
/* Number of mappings that are writable and executable, or executable in the lower half: 0. */
unsigned hostmap_audit(void);

#endif
