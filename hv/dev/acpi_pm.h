/* ACPI fixed hardware of the board: PM1a event and control blocks, PM timer, GPE0 block without
 * sources, and the SMI command port that hands the block over (ACPI 6 §4.8; PIIX4 layout).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_ACPI_PM_H
#define HV_DEV_ACPI_PM_H

#include "dev/dev.h"
#include "penumbra/acpi.h"

#define PM_TIMER_HZ   3579545u
#define PM_TIMER_MASK 0xffffffu

/* PM1 status and enable */
#define PM1_TMR	    0x0001u
#define PM1_GBL	    0x0020u
#define PM1_PWRBTN  0x0100u
#define PM1_RTC	    0x0400u
#define PM1_WAK	    0x8000u
#define PM1_ENABLES (PM1_TMR | PM1_GBL | PM1_PWRBTN | PM1_RTC)
/* PM1 control */
#define PM1_BM_RLD  0x0002u
#define PM1_GBL_RLS 0x0004u /* write-only */

struct acpi_pm {
	u16 sts; /* without TMR, which follows from time */
	u16 en, cnt;
	u64 tmr_epoch; /* half periods of the timer (2^23 clocks) already acknowledged */
	u16 gpe_en;
	u8 smi_cmd, smi_sts;
	const struct dev_host *host;
	struct irq_line sci;
	struct timer timer;
	u64 timer_reads; /* polled calibration reads */
};

/* 0, or what bus_add_port() says. @sci: the level of the SCI. */
int acpi_pm_init(struct acpi_pm *a, struct bus *bus, const struct dev_host *host,
		 const struct irq_line *sci);
/* Everything as at power-on; the timer counts on. */
void acpi_pm_reset(struct acpi_pm *a);
/* Someone pressed the power button. */
void acpi_pm_power_button(struct acpi_pm *a);

#endif
