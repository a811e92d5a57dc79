/* Power-off and reset of the real machine (ACPI 6.4 §4.8.3.2, §4.8.3.6).
 *
 * SPDX-License-Identifier: MIT
 */
#include "firmware/power.h"
#include "core/clock.h"
#include "lib/cpuops.h"
#include "mem/hostmap.h"
#include "penumbra/acpi.h"

#define SLP_TYP_UNKNOWN	  0xffff
#define PORT_CF9	  0xcf9
#define CF9_HARD_RESET	  0x06
#define PORT_8042	  0x64
#define I8042_PULSE_RESET 0xfe
#define SETTLE_US	  50000

static void sleep_control(u16 port, unsigned slp_typ)
{
	u16 v;

	if (!port)
		return;
	v = inw(port) & PM1_SCI_EN;
	outw(port, (u16)(v | slp_typ << PM1_SLP_TYP_SHIFT | PM1_SLP_EN));
}

void firmware_power_off(const struct boot_info *bi)
{
	const struct boot_acpi *a = &bi->acpi;

	if (!a->pm1a_cnt || a->slp_typ_s5 == SLP_TYP_UNKNOWN)
		return;
	sleep_control(a->pm1a_cnt, a->slp_typ_s5 & 7);
	sleep_control(a->pm1b_cnt, (a->slp_typ_s5 >> 8) & 7);
	clock_delay_us(SETTLE_US);
}

static void acpi_reset(const struct boot_acpi *a)
{
	volatile u8 *reg;

	if (!a->reset_valid)
		return;
	if (a->reset_space == ACPI_SPACE_IO) {
		outb((u16)a->reset_addr, a->reset_value);
	} else if (a->reset_space == ACPI_SPACE_MEMORY) {
		reg = mmio_map(a->reset_addr, 1);
		if (reg)
			*reg = a->reset_value;
	}
	clock_delay_us(SETTLE_US);
}

_Noreturn void firmware_reboot(const struct boot_info *bi)
{
	const struct desc_ptr no_idt = {0};

	acpi_reset(&bi->acpi);
	outb(PORT_CF9, CF9_HARD_RESET);
	clock_delay_us(SETTLE_US);
	outb(PORT_8042, I8042_PULSE_RESET);
	clock_delay_us(SETTLE_US);
	lidt(&no_idt);
	for (;;)
		asm volatile("ud2");
}
