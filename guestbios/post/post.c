/* POST: from reset to a machine that INT 19h can boot, in one straight line.
 *
 * SPDX-License-Identifier: MIT
 */
#include "post.h"
#include "acpi.h"
#include "e820.h"
#include "mptable.h"
#include "smbios.h"

/* Smallest machine that the tables and a boot sector fit. */
#define MIN_LOW_RAM (2 * MIB)

static struct bios_config config;

void post_main(void);

static __attribute__((noreturn)) void post_stop(const char *why)
{
	channel_log(why);
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void shared_init(struct bios_shared *s)
{
	s->e820_count = e820_build(s->e820, config.low_ram, config.high_ram);
	s->ram_top = e820_tables_base(config.low_ram);
	s->low_ram = config.low_ram;
	s->high_ram = config.high_ram;
	s->tsc_khz = config.tsc_khz ? config.tsc_khz : 1000000;
	for (u32 i = 0; i < sizeof(s->boot); i++)
		s->boot[i] = config.boot[i];
	for (u32 i = 0; i < sizeof(s->name); i++)
		s->name[i] = config.name[i];
	s->name[sizeof(s->name) - 1] = 0;
	units_init(&config, s);
}

static void tables_init(void)
{
	u32 base = e820_tables_base(config.low_ram);
	struct acpi_area area = {
		.mem = phys(base),
		.gpa = base,
		.size = TABLES_SIZE - NVS_SIZE,
		.facs = phys(base + TABLES_SIZE - NVS_SIZE),
		.facs_gpa = base + TABLES_SIZE - NVS_SIZE,
		.ncpus = config.ncpus,
	};

	if (!acpi_build(&area, EBDA(EBDA_RSDP)))
		channel_log("ACPI tables do not fit\n");
	if (!mptable_build(EBDA(EBDA_MPTABLE), EBDA_MPTABLE_LEN, EBDA_PHYS + EBDA_MPTABLE,
			   EBDA(EBDA_MPFP), config.ncpus))
		channel_log("MP table does not fit: none\n");
	if (!smbios_build(EBDA(EBDA_SMBIOS), EBDA_SMBIOS_LEN, &config))
		channel_log("SMBIOS structures do not fit\n");
}

void post_main(void)
{
	struct bios_shared *shared = EBDA(EBDA_SHARED);
	u8 *ebda = EBDA(0);

	hw_init_early();
	if (!channel_config(&config))
		post_stop("no channel to the hypervisor\n");
	if (config.low_ram < MIN_LOW_RAM || config.low_ram > PC_PCI_HOLE_START)
		post_stop("low RAM out of range\n");
	if (config.ncpus == 0)
		config.ncpus = 1;
	for (u32 i = 0; i < EBDA_KB * 1024; i++)
		ebda[i] = 0;
	ebda[0] = EBDA_KB;
	shared_init(shared);
	ivt_init();
	bda_init(&config, shared);
	hw_init_clock(&config);
	vga_init();
	pci_init();
	tables_init();
}
