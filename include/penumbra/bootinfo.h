/* What firmware/ hands to hv/: everything learnt before the hypervisor proper starts, copied out of
 * low memory, in the hypervisor's own image. All addresses are host-physical unless said.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PENUMBRA_BOOTINFO_H
#define PENUMBRA_BOOTINFO_H

#include "penumbra/types.h"

#define BOOT_MAX_REGIONS 256
#define BOOT_MAX_MODULES 64
#define BOOT_MAX_CPUS	 64
#define BOOT_CMDLINE_MAX 2048
#define BOOT_MODNAME_MAX 128

enum mem_type { MEM_RAM = 1, MEM_RESERVED = 2, MEM_ACPI = 3, MEM_NVS = 4, MEM_BAD = 5 };

struct boot_region {
	hpa_t base;
	u64 len;
	enum mem_type type;
};

struct boot_module {
	hpa_t base;
	u64 len;
	char name[BOOT_MODNAME_MAX]; /* first word of the module's command line */
	char args[BOOT_MODNAME_MAX]; /* the rest */
};

struct boot_cpu {
	u32 apic_id;
	u32 acpi_uid;
	bool bsp;
};

struct boot_ioapic {
	hpa_t base;
	u32 id;
	u32 gsi_base;
};

/* MADT interrupt source override for an ISA IRQ; index is the IRQ. */
struct boot_isa_irq {
	u32 gsi;
	bool active_low;
	bool level;
};

/* One window of PCI configuration space in memory (an entry of MCFG). */
struct boot_ecam {
	hpa_t base; /* of bus 0, whether the window begins there or not */
	u16 segment;
	u8 bus_start, bus_end;
};

struct boot_acpi {
	hpa_t rsdp; /* 0: no usable ACPI */
	u8 rsdp_rev;
	hpa_t root; /* XSDT or RSDT */
	bool root_is_xsdt;
	hpa_t madt, fadt, hpet_table, mcfg; /* 0: absent or bad checksum */
	hpa_t lapic_base;
	struct boot_cpu cpu[BOOT_MAX_CPUS];
	unsigned ncpus; /* usable CPUs listed by MADT, >= 1 */
	struct boot_ioapic ioapic[8];
	unsigned nioapics;
	struct boot_isa_irq isa[16];
	u32 pm_timer_port; /* 0: none */
	bool pm_timer_32bit;
	hpa_t hpet_base; /* 0: none */
	struct boot_ecam ecam[8];
	unsigned necam;
	unsigned ecam_dropped; /* entries beyond these, or with buses out of order */
	/* The first of segment 0: */
	hpa_t ecam_base; /* 0: none */
	u8 ecam_bus_start, ecam_bus_end;
	/* Power-off and reset, for exit=poweroff|reboot */
	u16 pm1a_cnt, pm1b_cnt;
	u16 slp_typ_s5; /* SLP_TYPa | SLP_TYPb << 8, from the DSDT's \_S5; 0xffff unknown */
	u8 reset_valid, reset_space, reset_value;
	u64 reset_addr;
};

struct boot_fb {
	hpa_t base; /* 0: none */
	u32 pitch, width, height;
	u8 bpp;
	bool text; /* EGA text at base */
};

struct boot_info {
	char cmdline[BOOT_CMDLINE_MAX];
	char loader[64];
	bool efi;
	struct boot_region region[BOOT_MAX_REGIONS]; /* sorted, not overlapping */
	unsigned nregions;
	struct boot_module module[BOOT_MAX_MODULES];
	unsigned nmodules;
	unsigned modules_dropped; /* beyond BOOT_MAX_MODULES */
	struct boot_acpi acpi;
	struct boot_fb fb;
	hpa_t image_base; /* the hypervisor's image after it moved high */
	u64 image_len;
	u64 tsc_at_entry; /* TSC at the first instruction after the loader */
	u32 tsc_khz;
	const char *tsc_source; /* "pmtimer", "pit", "cpuid" */
};

#endif
