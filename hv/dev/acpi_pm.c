/* ACPI fixed hardware. See acpi_pm.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/acpi_pm.h"

#include "dev/port8.h"
#include "lib/str.h"
#include "penumbra/platform.h"

#define TMR_HALF_SHIFT 23 /* TMR_STS is set when bit 23 of the timer changes */
#define PM_PORTS       0x10
#define GPE0_PORTS     4

static u64 pm_clock(const struct acpi_pm *a)
{
	u64 ns = dev_now(a->host);

	return ns / NSEC_PER_SEC * PM_TIMER_HZ + ns % NSEC_PER_SEC * PM_TIMER_HZ / NSEC_PER_SEC;
}

static u64 pm_clock_ns(u64 clk)
{
	return clk / PM_TIMER_HZ * NSEC_PER_SEC +
	       (clk % PM_TIMER_HZ * NSEC_PER_SEC + PM_TIMER_HZ - 1) / PM_TIMER_HZ;
}

static u16 status(const struct acpi_pm *a)
{
	bool tmr = pm_clock(a) >> TMR_HALF_SHIFT != a->tmr_epoch;

	return a->sts | (tmr ? PM1_TMR : 0);
}

/* SCI follows status and enable; the timer runs only to notice the next overflow for it. */
static void update(struct acpi_pm *a)
{
	u16 active = status(a) & a->en;
	u64 deadline = TIMER_OFF;

	if ((a->en & PM1_TMR) && !(active & PM1_TMR))
		deadline = pm_clock_ns((a->tmr_epoch + 1) << TMR_HALF_SHIFT);
	if (deadline != TIMER_OFF || a->timer.queued)
		dev_timer_set(a->host, &a->timer, deadline);
	irq_line_set(&a->sci, (a->cnt & PM1_SCI_EN) && active);
}

static void overflow_due(void *arg, u64 now_ns)
{
	(void)now_ns;
	update(arg);
}

void acpi_pm_power_button(struct acpi_pm *a)
{
	a->sts |= PM1_PWRBTN;
	update(a);
}

static void clear_status(struct acpi_pm *a, u16 bits)
{
	a->sts &= ~bits;
	if (bits & PM1_TMR)
		a->tmr_epoch = pm_clock(a) >> TMR_HALF_SHIFT;
}

/* High byte of PM1 control: sleep type and the sleep trigger. Only soft-off is offered. */
static void write_cnt_high(struct acpi_pm *a, u8 value)
{
	u16 cnt = (u16)(value << 8);

	a->cnt = (a->cnt & 0xff) | (cnt & PM1_SLP_TYP);
	if ((cnt & PM1_SLP_EN) && (cnt & PM1_SLP_TYP) >> PM1_SLP_TYP_SHIFT == PC_S5_SLP_TYP)
		a->host->ops->machine_event(a->host->ctx, MACHINE_POWER_OFF, 0);
}

/* SCI_EN is the SMI handler's to change, on ACPI_ENABLE and ACPI_DISABLE. */
static void write_cnt_low(struct acpi_pm *a, u8 value)
{
	a->cnt = (a->cnt & ~0xffu) | (a->cnt & PM1_SCI_EN) | (value & PM1_BM_RLD);
}

static void pm_write8(void *dev, u16 port, u8 value)
{
	struct acpi_pm *a = dev;

	switch (port - PC_PORT_PM_BASE) {
	case 0:
		clear_status(a, value);
		break;
	case 1:
		clear_status(a, (u16)(value << 8));
		break;
	case 2:
		a->en = (a->en & 0xff00) | (value & (PM1_ENABLES & 0xff));
		break;
	case 3:
		a->en = (u16)((a->en & 0xff) | ((value << 8) & PM1_ENABLES));
		break;
	case 4:
		write_cnt_low(a, value);
		break;
	case 5:
		write_cnt_high(a, value);
		break;
	}
}

static void pm_write(void *dev, u16 port, unsigned size, u32 value)
{
	port8_write(pm_write8, dev, port, size, value);
	update(dev);
}

/* The aligned dword of the block that holds @off. */
static u32 pm_dword(struct acpi_pm *a, unsigned off)
{
	switch (off & ~3u) {
	case 0:
		return status(a) | (u32)a->en << 16;
	case 4:
		return a->cnt;
	case 8:
		a->timer_reads++;
		return (u32)pm_clock(a) & PM_TIMER_MASK;
	default:
		return 0;
	}
}

static u8 pm_read8(void *dev, u16 port)
{
	unsigned off = port - PC_PORT_PM_BASE;

	return (u8)(pm_dword(dev, off) >> (8 * (off & 3)));
}

/* One sample of the timer for all bytes of an access that does not leave its dword. */
static u32 pm_read(void *dev, u16 port, unsigned size)
{
	unsigned off = port - PC_PORT_PM_BASE;

	if ((off & 3) + size <= 4)
		return pm_dword(dev, off) >> (8 * (off & 3));
	return port8_read(pm_read8, dev, port, size);
}

/* GPE0: two bytes of status, none of which has a source, and two of enables. */
static u8 gpe_read8(void *dev, u16 port)
{
	struct acpi_pm *a = dev;
	unsigned off = port - PC_PORT_GPE0;

	return off < 2 ? 0 : (u8)(a->gpe_en >> (8 * (off - 2)));
}

static void gpe_write8(void *dev, u16 port, u8 value)
{
	struct acpi_pm *a = dev;
	unsigned off = port - PC_PORT_GPE0;

	if (off >= 2)
		a->gpe_en = (u16)((a->gpe_en & (off == 2 ? 0xff00 : 0x00ff)) |
				  value << (8 * (off - 2)));
}

static u32 gpe_read(void *dev, u16 port, unsigned size)
{
	return port8_read(gpe_read8, dev, port, size);
}

static void gpe_write(void *dev, u16 port, unsigned size, u32 value)
{
	port8_write(gpe_write8, dev, port, size, value);
}

/* What a BIOS's SMI handler does with the two ACPI commands. */
static void smi_write8(void *dev, u16 port, u8 value)
{
	struct acpi_pm *a = dev;

	if (port != PC_PORT_SMI_CMD) {
		a->smi_sts = value;
		return;
	}
	a->smi_cmd = value;
	if (value == PC_ACPI_ENABLE)
		a->cnt |= PM1_SCI_EN;
	else if (value == PC_ACPI_DISABLE)
		a->cnt &= ~PM1_SCI_EN;
	update(a);
}

static u8 smi_read8(void *dev, u16 port)
{
	struct acpi_pm *a = dev;

	return port == PC_PORT_SMI_CMD ? a->smi_cmd : a->smi_sts;
}

static u32 smi_read(void *dev, u16 port, unsigned size)
{
	return port8_read(smi_read8, dev, port, size);
}

static void smi_write(void *dev, u16 port, unsigned size, u32 value)
{
	port8_write(smi_write8, dev, port, size, value);
}

static const struct port_ops pm_ops = {.read = pm_read, .write = pm_write};
static const struct port_ops gpe_ops = {.read = gpe_read, .write = gpe_write};
static const struct port_ops smi_ops = {.read = smi_read, .write = smi_write};

void acpi_pm_reset(struct acpi_pm *a)
{
	a->sts = a->en = a->cnt = a->gpe_en = 0;
	a->smi_cmd = a->smi_sts = 0;
	a->tmr_epoch = pm_clock(a) >> TMR_HALF_SHIFT;
	dev_timer_set(a->host, &a->timer, TIMER_OFF);
	irq_line_set(&a->sci, false);
}

int acpi_pm_init(struct acpi_pm *a, struct bus *bus, const struct dev_host *host,
		 const struct irq_line *sci)
{
	int err;

	memset(a, 0, sizeof(*a));
	a->host = host;
	a->sci = *sci;
	a->timer.fire = overflow_due;
	a->timer.arg = a;
	acpi_pm_reset(a);
	err = bus_add_port(bus, PC_PORT_PM_BASE, PM_PORTS, &pm_ops, a);
	if (!err)
		err = bus_add_port(bus, PC_PORT_GPE0, GPE0_PORTS, &gpe_ops, a);
	if (!err)
		err = bus_add_port(bus, PC_PORT_SMI_CMD, 2, &smi_ops, a);
	return err;
}
