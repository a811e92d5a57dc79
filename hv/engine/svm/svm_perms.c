/* The I/O and MSR permission maps: everything exits but what is switched with the guest anyway, or
 * harms nobody. Built once; all guests share them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/svm/svm.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "mem/frames.h"
#include "mem/hostmap.h"
#include "penumbra/platform.h"

#define IOPM_PAGES  3
#define MSRPM_PAGES 2

static hpa_t iopm, msrpm;

/* MSRs that VMLOAD/VMSAVE and VMRUN switch: the guest reads and writes its own copy. */
static const u32 passed_msrs[] = {
	0xc0000081,		  /* STAR */
	0xc0000082,		  /* LSTAR */
	0xc0000083,		  /* CSTAR */
	0xc0000084,		  /* SFMASK */
	0xc0000100,		  /* FS_BASE */
	0xc0000101,		  /* GS_BASE */
	0xc0000102,		  /* KERNEL_GS_BASE */
	0x174,	    0x175, 0x176, /* SYSENTER_CS, ESP, EIP */
};

/* Byte offset of the map's section for @msr's range; APM vol. 2 §15.11. */
static void msrpm_pass(u8 *map, u32 msr)
{
	u32 section = msr < 0x2000 ? 0 : (msr >> 16) == 0xc000 ? 0x800 : 0x1000;
	u32 bit = (msr & 0x1fff) * 2;

	map[section + bit / 8] &= (u8) ~(3u << (bit % 8));
}

int svm_perms_init(void)
{
	u8 *map;

	iopm = frames_alloc(IOPM_PAGES, 1, OWNER_HYPERVISOR);
	msrpm = frames_alloc(MSRPM_PAGES, 1, OWNER_HYPERVISOR);
	if (!iopm || !msrpm)
		return -ENOMEM;
	map = hpa_va(iopm);
	memset(map, 0xff, IOPM_PAGES * PAGE_SIZE);
	map[PC_PORT_POST / 8] &= (u8) ~(1u << (PC_PORT_POST % 8));
	map = hpa_va(msrpm);
	memset(map, 0xff, MSRPM_PAGES * PAGE_SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(passed_msrs); i++)
		msrpm_pass(map, passed_msrs[i]);
	return 0;
}

hpa_t svm_iopm_pa(void)
{
	return iopm;
}

hpa_t svm_msrpm_pa(void)
{
	return msrpm;
}
