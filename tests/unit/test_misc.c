/* Small ports and the DMA controllers' registers. Would catch: resets without a rising edge or not
 * at all, A20 changes not reported, a debug exit with the wrong value, DMA byte pointers and masks
 * that drivers read back wrong.
 *
 * SRCS: hv/dev/misc.c hv/dev/dma8237.c hv/dev/bus.c hv/lib/timerq.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/misc.h"

#include "board_host.h"
#include "dev/dma8237.h"
#include "unit.h"

static struct board_host b;
static struct misc misc;
static struct dma8237 dma;
static struct pin a20, irq13;

static void setup(void)
{
	struct irq_line a = pin_line(&a20), f = pin_line(&irq13);

	board_host_init(&b, NULL, 0);
	memset(&a20, 0, sizeof(a20));
	memset(&irq13, 0, sizeof(irq13));
	CHECK_EQ(misc_init(&misc, &b.bus, &b.f.host, &a, &f), 0);
	CHECK_EQ(dma8237_init(&dma, &b.bus), 0);
}

TEST(port92_gates_a20_and_resets_on_a_rising_edge)
{
	setup();
	out8(&b, 0x92, 0x02);
	CHECK(a20.level);
	CHECK_EQ(in8(&b, 0x92), 0x02);
	out8(&b, 0x92, 0x00);
	CHECK(!a20.level);
	CHECK_EQ(b.f.events, 0);
	out8(&b, 0x92, 0x01);
	CHECK(b.f.events == 1 && b.f.last_event == MACHINE_RESET_PORT92);
	out8(&b, 0x92, 0x01);
	CHECK_EQ(b.f.events, 1);
}

TEST(the_debug_exit_takes_all_sizes)
{
	setup();
	out8(&b, 0xf4, 0x10);
	CHECK(b.f.events == 1 && b.f.last_event == MACHINE_DEBUG_EXIT && b.f.last_value == 0x10);
	bus_port_write(&b.bus, 0xf4, 4, 0x11);
	CHECK(b.f.events == 2 && b.f.last_value == 0x11);
	bus_port_write(&b.bus, 0xf4, 2, 0x1234);
	CHECK(b.f.events == 3 && b.f.last_value == 0x1234);
	out8(&b, 0xf5, 0);
	CHECK_EQ(b.f.events, 3);
}

TEST(the_coprocessor_error_is_cleared_by_f0)
{
	setup();
	misc_fpu_error(&misc);
	CHECK(irq13.level);
	out8(&b, 0xf0, 0);
	CHECK(!irq13.level);
	misc_fpu_error(&misc);
	misc_reset(&misc);
	CHECK(!irq13.level);
}

TEST(dma_words_go_through_the_byte_pointer)
{
	setup();
	out8(&b, 0x0c, 0);
	out8(&b, 0x02, 0x34);
	out8(&b, 0x02, 0x12);
	out8(&b, 0x0c, 0);
	CHECK_EQ(in8(&b, 0x02), 0x34);
	CHECK_EQ(in8(&b, 0x02), 0x12);
	in8(&b, 0x02);
	out8(&b, 0x0d, 0); /* master clear resets the pointer */
	CHECK_EQ(in8(&b, 0x02), 0x34);
	out8(&b, 0xd8, 0);
	out8(&b, 0xc6, 0x78); /* controller 2: every other port */
	out8(&b, 0xc6, 0x56);
	CHECK_EQ(dma.chip[1].base[3], 0x5678);
}

TEST(dma_masks_and_requests)
{
	setup();
	CHECK_EQ(in8(&b, 0x0f), 0xff);
	out8(&b, 0x0a, 0x02); /* unmask 2 */
	CHECK_EQ(in8(&b, 0x0f), 0xfb);
	out8(&b, 0x0f, 0x05);
	CHECK_EQ(in8(&b, 0x0f), 0xf5);
	out8(&b, 0x0e, 0);
	CHECK_EQ(in8(&b, 0x0f), 0xf0);
	out8(&b, 0x09, 0x06);
	CHECK_EQ(in8(&b, 0x08), 0x40);
	out8(&b, 0x0b, 0x47);
	CHECK_EQ(dma.chip[0].mode[3], 0x47);
}

TEST(page_and_scratch_registers_keep_bytes)
{
	setup();
	for (u16 p = 0x80; p < 0x90; p++)
		out8(&b, p, (u8)(p ^ 0x5a));
	for (u16 p = 0x80; p < 0x90; p++)
		CHECK_EQ(in8(&b, p), (u8)(p ^ 0x5a));
}
