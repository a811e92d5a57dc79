/* ACPI fixed hardware. Would catch: a PM timer at the wrong rate or width, status bits that do not
 * clear, SCI without or despite its enables, power-off on the wrong write, registers that bytes
 * and words see differently.
 *
 * SRCS: hv/dev/acpi_pm.c hv/dev/bus.c hv/lib/timerq.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/acpi_pm.h"

#include "board_host.h"
#include "penumbra/platform.h"
#include "unit.h"

static struct board_host b;
static struct acpi_pm pm;
static struct pin sci;

static u32 get(unsigned off, unsigned size)
{
	return bus_port_read(&b.bus, (u16)(PC_PORT_PM_BASE + off), size);
}

static void put(unsigned off, unsigned size, u32 value)
{
	bus_port_write(&b.bus, (u16)(PC_PORT_PM_BASE + off), size, value);
}

static void setup(void)
{
	struct irq_line line = pin_line(&sci);

	board_host_init(&b, NULL, 0);
	memset(&sci, 0, sizeof(sci));
	CHECK_EQ(acpi_pm_init(&pm, &b.bus, &b.f.host, &line), 0);
}

TEST(the_timer_counts_at_its_rate_in_24_bits)
{
	u32 first;

	setup();
	first = get(8, 4);
	CHECK(first <= 0xffffff);
	board_run(&b, NSEC_PER_SEC);
	CHECK_EQ((get(8, 4) - first) & 0xffffff, PM_TIMER_HZ);
	for (unsigned i = 0; i < 100; i++) {
		u32 v;

		board_run(&b, 123456789);
		v = get(8, 4);
		CHECK_EQ(v >> 24, 0);
		CHECK_EQ(v, (b.f.now / NSEC_PER_SEC * PM_TIMER_HZ +
			     b.f.now % NSEC_PER_SEC * PM_TIMER_HZ / NSEC_PER_SEC) &
				    0xffffff);
		CHECK_EQ(get(8, 2), v & 0xffff);
		CHECK_EQ(get(10, 1), v >> 16);
	}
	CHECK_EQ(pm.timer_reads, 302);
}

TEST(an_overflow_sets_its_status_and_interrupts_only_if_enabled)
{
	u64 half = (1ull << 23) * NSEC_PER_SEC / PM_TIMER_HZ;

	setup();
	CHECK_EQ(get(0, 2), 0);
	board_run(&b, half + 1000);
	CHECK_EQ(get(0, 2), PM1_TMR);
	CHECK_EQ(b.fired, 0);
	put(0, 2, PM1_TMR);
	CHECK_EQ(get(0, 2), 0);
	bus_port_write(&b.bus, PC_PORT_SMI_CMD, 1, PC_ACPI_ENABLE);
	put(2, 2, PM1_TMR);
	board_run(&b, 3 * half);
	CHECK(sci.level);
	CHECK_EQ(sci.rises, 1);
	CHECK_EQ(b.fired, 1); /* no timer while it is not acknowledged */
	put(0, 2, PM1_TMR);
	CHECK(!sci.level);
	board_run(&b, half + 1000);
	CHECK(sci.level);
	put(2, 2, 0);
	CHECK(!sci.level);
	CHECK_EQ(timerq_next(&b.f.q), TIMER_OFF);
}

TEST(the_power_button_needs_its_enable_and_acpi_mode)
{
	setup();
	acpi_pm_power_button(&pm);
	CHECK_EQ(get(0, 2), PM1_PWRBTN);
	CHECK(!sci.level);
	put(2, 2, PM1_PWRBTN);
	CHECK(!sci.level);
	bus_port_write(&b.bus, PC_PORT_SMI_CMD, 1, PC_ACPI_ENABLE);
	CHECK(sci.level);
	CHECK_EQ(get(4, 2) & PM1_SCI_EN, PM1_SCI_EN);
	put(1, 1, PM1_PWRBTN >> 8); /* byte-wise */
	CHECK(!sci.level);
	CHECK_EQ(get(2, 2), PM1_PWRBTN);
	bus_port_write(&b.bus, PC_PORT_SMI_CMD, 1, PC_ACPI_DISABLE);
	CHECK_EQ(get(4, 2) & PM1_SCI_EN, 0);
}

TEST(writing_status_does_not_touch_enables)
{
	setup();
	put(0, 4, 0xffffffff);
	CHECK_EQ(get(0, 4) >> 16, PM1_ENABLES);
	put(0, 2, 0xffff);
	CHECK_EQ(get(2, 2), PM1_ENABLES);
	put(2, 1, 0);
	CHECK_EQ(get(2, 2), PM1_ENABLES & 0xff00);
}

TEST(soft_off_is_s5_with_slp_en_and_nothing_else)
{
	setup();
	put(4, 2, PC_S5_SLP_TYP << PM1_SLP_TYP_SHIFT);
	CHECK_EQ(b.f.events, 0);
	put(4, 2, (PC_S5_SLP_TYP ^ 5) << PM1_SLP_TYP_SHIFT | PM1_SLP_EN);
	CHECK_EQ(b.f.events, 0);
	CHECK_EQ(get(4, 2), (PC_S5_SLP_TYP ^ 5) << PM1_SLP_TYP_SHIFT); /* SLP_EN reads 0 */
	put(4, 1, 0xff);
	CHECK_EQ(b.f.events, 0);
	CHECK_EQ(get(4, 2) & PM1_SCI_EN, 0); /* not the guest's to set */
	put(4, 2, PC_S5_SLP_TYP << PM1_SLP_TYP_SHIFT | PM1_SLP_EN);
	CHECK_EQ(b.f.events, 1);
	CHECK_EQ(b.f.last_event, MACHINE_POWER_OFF);
}

TEST(gpe0_keeps_enables_and_has_no_status)
{
	setup();
	bus_port_write(&b.bus, PC_PORT_GPE0, 4, 0x5aa5ffff);
	CHECK_EQ(bus_port_read(&b.bus, PC_PORT_GPE0, 4), 0x5aa50000);
	bus_port_write(&b.bus, PC_PORT_GPE0 + 3, 1, 0x11);
	CHECK_EQ(bus_port_read(&b.bus, PC_PORT_GPE0 + 2, 2), 0x11a5);
	CHECK(!sci.level);
}

TEST(reset_leaves_acpi_mode)
{
	setup();
	bus_port_write(&b.bus, PC_PORT_SMI_CMD, 1, PC_ACPI_ENABLE);
	put(2, 2, PM1_TMR | PM1_PWRBTN);
	acpi_pm_power_button(&pm);
	acpi_pm_reset(&pm);
	CHECK(!sci.level);
	CHECK_EQ(get(0, 4), 0);
	CHECK_EQ(get(4, 2), 0);
	CHECK_EQ(timerq_next(&b.f.q), TIMER_OFF);
}
