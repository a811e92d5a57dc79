/* 8259A pair against its data sheet: named situations, and long random programs against an
 * independent model that keeps one list of levels in priority order. Would catch wrong nesting,
 * rotation, masks, edges, EOIs, polling, special modes, and a cascade that loses or repeats a
 * request.
 *
 * SRCS: hv/dev/pic8259.c hv/dev/bus.c hv/lib/timerq.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/pic8259.h"

#include "board_host.h"
#include "unit.h"

static struct board_host b;
static struct pic pic;
static struct pin intr;

static void init_pair(u8 icw1, u8 icw4)
{
	out8(&b, 0x20, icw1);
	out8(&b, 0x21, 0x08);
	out8(&b, 0x21, 0x04);
	out8(&b, 0x21, icw4);
	out8(&b, 0xa0, icw1);
	out8(&b, 0xa1, 0x70);
	out8(&b, 0xa1, 0x02);
	out8(&b, 0xa1, icw4 & ~PIC_ICW4_SFNM);
	out8(&b, 0x21, 0);
	out8(&b, 0xa1, 0);
}

static void setup(void)
{
	struct irq_line out = pin_line(&intr);

	board_host_init(&b, NULL, 0);
	memset(&intr, 0, sizeof(intr));
	CHECK_EQ(pic_init(&pic, &b.bus, &out), 0);
	init_pair(0x11, 0x01);
}

TEST(an_edge_interrupts_once)
{
	setup();
	pic_set_irq(&pic, 1, true);
	CHECK(intr.level && pic_pending(&pic));
	CHECK_EQ(pic_ack(&pic), 0x09);
	CHECK(!intr.level);
	out8(&b, 0x20, 0x20);
	CHECK(!intr.level); /* still high, but no new edge */
	pic_set_irq(&pic, 1, false);
	pic_set_irq(&pic, 1, true);
	CHECK(intr.level);
}

TEST(a_request_that_goes_away_leaves_the_default_vector)
{
	setup();
	pic_set_irq(&pic, 3, true);
	pic_set_irq(&pic, 3, false);
	CHECK(!intr.level);
	CHECK_EQ(pic_ack(&pic), 0x0f);
	out8(&b, 0x20, 0x0b);
	CHECK_EQ(in8(&b, 0x20), 0); /* spurious: nothing in service */
	/* the slave's request goes between the master's latch and the acknowledge */
	pic_set_irq(&pic, 12, true);
	pic.chip[1].irr = 0;
	CHECK_EQ(pic_ack(&pic), 0x77);
	CHECK_EQ(in8(&b, 0x20), 1 << PIC_CASCADE_IR);
	out8(&b, 0xa0, 0x0b);
	CHECK_EQ(in8(&b, 0xa0), 0);
}

TEST(higher_levels_nest_and_lower_wait)
{
	setup();
	pic_set_irq(&pic, 4, true);
	CHECK_EQ(pic_ack(&pic), 0x0c);
	pic_set_irq(&pic, 5, true);
	CHECK(!intr.level);
	pic_set_irq(&pic, 0, true);
	CHECK(intr.level);
	CHECK_EQ(pic_ack(&pic), 0x08);
	out8(&b, 0x20, 0x20); /* ends 0 */
	CHECK(!intr.level);
	out8(&b, 0x20, 0x20); /* ends 4 */
	CHECK_EQ(pic_ack(&pic), 0x0d);
}

TEST(slave_requests_come_through_the_cascade)
{
	setup();
	pic_set_irq(&pic, 8, true);
	pic_set_irq(&pic, 15, true);
	CHECK_EQ(pic_ack(&pic), 0x70);
	CHECK(!intr.level);
	out8(&b, 0xa0, 0x20);
	CHECK(!intr.level); /* the master still serves the cascade */
	out8(&b, 0x20, 0x20);
	CHECK_EQ(pic_ack(&pic), 0x77);
}

TEST(special_fully_nested_mode_lets_the_slave_nest)
{
	setup();
	init_pair(0x11, 0x01 | PIC_ICW4_SFNM);
	pic_set_irq(&pic, 14, true);
	CHECK_EQ(pic_ack(&pic), 0x76);
	pic_set_irq(&pic, 3, true);
	CHECK(!intr.level); /* below the cascade */
	pic_set_irq(&pic, 8, true);
	CHECK(intr.level);
	CHECK_EQ(pic_ack(&pic), 0x70);
}

TEST(level_inputs_request_while_high)
{
	setup();
	out8(&b, 0x4d1, 0xff);
	CHECK_EQ(in8(&b, 0x4d1), 0xde); /* 8 and 13 cannot be level */
	pic_set_irq(&pic, 10, true);
	CHECK_EQ(pic_ack(&pic), 0x72);
	out8(&b, 0xa0, 0x20);
	out8(&b, 0x20, 0x20);
	CHECK(intr.level);
	pic_set_irq(&pic, 10, false);
	CHECK(!intr.level);
	out8(&b, 0x4d0, 0xff);
	CHECK_EQ(in8(&b, 0x4d0), 0xf8);
}

TEST(automatic_eoi_and_rotation)
{
	setup();
	init_pair(0x11, 0x01 | PIC_ICW4_AEOI);
	out8(&b, 0x20, 0x80); /* rotate in AEOI mode */
	pic_set_irq(&pic, 3, true);
	CHECK_EQ(pic_ack(&pic), 0x0b);
	out8(&b, 0x20, 0x0b);
	CHECK_EQ(in8(&b, 0x20), 0);
	pic_set_irq(&pic, 3, false);
	pic_set_irq(&pic, 3, true);
	pic_set_irq(&pic, 4, true);
	CHECK_EQ(pic_ack(&pic), 0x0c); /* 4 is on top now */
}

TEST(poll_acknowledges_by_reading)
{
	setup();
	pic_set_irq(&pic, 5, true);
	out8(&b, 0x20, 0x0c);
	CHECK_EQ(in8(&b, 0x20), 0x85);
	CHECK(!intr.level);
	out8(&b, 0x20, 0x0b);
	CHECK_EQ(in8(&b, 0x20), 1 << 5);
	out8(&b, 0x20, 0x0c);
	CHECK_EQ(in8(&b, 0x20) & 0x80, 0);
}

TEST(special_mask_mode_opens_lower_levels)
{
	setup();
	pic_set_irq(&pic, 1, true);
	pic_ack(&pic);
	pic_set_irq(&pic, 6, true);
	CHECK(!intr.level);
	out8(&b, 0x21, 1 << 1);
	CHECK(!intr.level);
	out8(&b, 0x20, 0x68);
	CHECK(intr.level);
	CHECK_EQ(pic_ack(&pic), 0x0e);
	out8(&b, 0x20, 0x20); /* must end 6, not the masked 1 */
	out8(&b, 0x20, 0x0b);
	CHECK_EQ(in8(&b, 0x20), 1 << 1);
}

TEST(reset_masks_everything_and_forgets)
{
	setup();
	pic_set_irq(&pic, 1, true);
	pic_reset(&pic);
	CHECK(!intr.level);
	CHECK_EQ(in8(&b, 0x21), 0xff);
}

TEST(waiting_and_masked_are_told)
{
	setup();
	pic_set_irq(&pic, 0, true);
	CHECK(pic_line_waiting(&pic, 0));
	pic_ack(&pic);
	CHECK(!pic_line_waiting(&pic, 0));
	out8(&b, 0x21, 0x05);
	CHECK(pic_line_masked(&pic, 0));
	CHECK(pic_line_masked(&pic, 9)); /* through the cascade */
	CHECK(!pic_line_masked(&pic, 1));
}

/* --- the model -------------------------------------------------------------------------------- */

struct model_level {
	bool high, latched, serving, masked, level;
};
struct model_chip {
	struct model_level in[8];
	unsigned order[8]; /* highest priority first */
	bool aeoi, rot, sfnm, smm, poll, read_isr;
	u8 base;
};
static struct model_chip m[2];

static void model_rotate(struct model_chip *c, unsigned lowest)
{
	for (unsigned i = 0; i < 8; i++)
		c->order[i] = (lowest + 1 + i) % 8;
}

/* Walk down the priority order until something requests or something in service forbids going on.
 */
static int model_request(const struct model_chip *c, bool master)
{
	for (unsigned i = 0; i < 8; i++) {
		const struct model_level *l = &c->in[c->order[i]];
		bool blocks = l->serving && !(c->smm && l->masked);

		if (l->latched && !l->masked) {
			if (!blocks || (master && c->sfnm && c->order[i] == 2))
				return (int)c->order[i];
		}
		if (blocks)
			return -1;
	}
	return -1;
}

static void model_input(struct model_level *l, bool high)
{
	if (high && (l->level || !l->high))
		l->latched = true;
	if (!high)
		l->latched = false;
	l->high = high;
}

static bool model_int(void)
{
	model_input(&m[0].in[2], model_request(&m[1], false) >= 0);
	return model_request(&m[0], true) >= 0;
}

static void model_take(struct model_chip *c, unsigned ir)
{
	if (!c->in[ir].level)
		c->in[ir].latched = false;
	if (!c->aeoi)
		c->in[ir].serving = true;
	else if (c->rot)
		model_rotate(c, ir);
}

static u8 model_ack(void)
{
	int ir = model_request(&m[0], true), sir;

	if (ir < 0)
		return m[0].base + 7;
	model_take(&m[0], (unsigned)ir);
	if (ir != 2)
		return (u8)(m[0].base + ir);
	sir = model_request(&m[1], false);
	model_input(&m[0].in[2], false);
	if (sir < 0)
		return m[1].base + 7;
	model_take(&m[1], (unsigned)sir);
	return (u8)(m[1].base + sir);
}

static u8 model_bits(const struct model_chip *c, size_t member)
{
	u8 bits = 0;

	for (unsigned i = 0; i < 8; i++)
		bits |= (u8)(*((const bool *)((const char *)&c->in[i] + member)) << i);
	return bits;
}

static u8 model_read(struct model_chip *c, bool data)
{
	int ir;

	if (c->poll) {
		c->poll = false;
		ir = model_request(c, c == &m[0]);
		if (ir < 0)
			return 7;
		model_take(c, (unsigned)ir);
		if (c == &m[1])
			model_input(&m[0].in[2], false);
		return (u8)(0x80 | ir);
	}
	if (data)
		return model_bits(c, offsetof(struct model_level, masked));
	return model_bits(c, c->read_isr ? offsetof(struct model_level, serving)
					 : offsetof(struct model_level, latched));
}

static void model_eoi(struct model_chip *c, int ir, bool rotate)
{
	for (unsigned i = 0; ir < 0 && i < 8; i++) {
		struct model_level *l = &c->in[c->order[i]];

		if (l->serving && !(c->smm && l->masked))
			ir = (int)c->order[i];
	}
	if (ir < 0)
		return;
	c->in[ir].serving = false;
	if (rotate)
		model_rotate(c, (unsigned)ir);
}

static void model_command(struct model_chip *c, u8 v)
{
	if (v & 0x08) {
		c->poll |= !!(v & 4);
		if (v & 2)
			c->read_isr = v & 1;
		if (v & 0x40)
			c->smm = v & 0x20;
		return;
	}
	switch (v >> 5) {
	case 0:
		c->rot = false;
		break;
	case 4:
		c->rot = true;
		break;
	case 1:
		model_eoi(c, -1, false);
		break;
	case 5:
		model_eoi(c, -1, true);
		break;
	case 3:
		model_eoi(c, v & 7, false);
		break;
	case 7:
		model_eoi(c, v & 7, true);
		break;
	case 6:
		model_rotate(c, v & 7);
		break;
	}
}

static void model_init(u8 icw4)
{
	for (unsigned i = 0; i < 2; i++) {
		struct model_chip *c = &m[i];

		for (unsigned ir = 0; ir < 8; ir++) {
			c->in[ir].latched = c->in[ir].level && c->in[ir].high;
			c->in[ir].serving = c->in[ir].masked = false;
		}
		model_rotate(c, 7);
		c->aeoi = icw4 & PIC_ICW4_AEOI;
		c->sfnm = !i && (icw4 & PIC_ICW4_SFNM);
		c->rot = c->smm = c->poll = c->read_isr = false;
		c->base = i ? 0x70 : 0x08;
	}
}

static void model_elcr(u8 low, u8 high)
{
	for (unsigned ir = 0; ir < 16; ir++) {
		struct model_level *l = &m[ir / 8].in[ir % 8];

		l->level = ((ir < 8 ? low & 0xf8 : high & 0xde) >> ir % 8) & 1;
		if (l->level)
			l->latched = l->high;
	}
}

static void random_step(u64 *seed)
{
	u32 r = board_random(seed);
	unsigned chip = r >> 8 & 1, line = r >> 12 & 15;
	u16 cmd = chip ? 0xa0 : 0x20;
	u8 v = (u8)(r >> 16);

	switch (r & 7) {
	case 0:
	case 1:
	case 2:
		if (line == 2)
			break;
		pic_set_irq(&pic, line, v & 1);
		model_input(&m[line / 8].in[line % 8], v & 1);
		break;
	case 3:
		if (pic_pending(&pic) || v < 8)
			CHECK_EQ(pic_ack(&pic), model_ack());
		break;
	case 4:
		CHECK_EQ(in8(&b, cmd + (v & 1)), model_read(&m[chip], v & 1));
		break;
	case 5:
		out8(&b, cmd, v & ~0x10);
		model_command(&m[chip], v & ~0x10);
		break;
	case 6:
		v &= (u8)(r >> 24);
		out8(&b, cmd + 1, v);
		for (unsigned i = 0; i < 8; i++)
			m[chip].in[i].masked = v >> i & 1;
		break;
	default: /* keep the flow going: plain EOI */
		out8(&b, cmd, 0x20);
		model_command(&m[chip], 0x20);
		break;
	}
}

TEST(random_programs_match_the_model)
{
	static const u8 icw4[] = {0x01, 0x03, 0x11, 0x13};
	u64 seed = 42;

	for (unsigned round = 0; round < 200 && !unit_failures; round++) {
		u8 elcr1 = round % 2 ? (u8)board_random(&seed) : 0;
		u8 elcr2 = round % 2 ? (u8)board_random(&seed) : 0;

		setup();
		memset(m, 0, sizeof(m));
		init_pair(0x11, icw4[round % 4]);
		model_init(icw4[round % 4]);
		out8(&b, 0x4d0, elcr1);
		out8(&b, 0x4d1, elcr2);
		model_elcr(elcr1, elcr2);
		for (unsigned step = 0; step < 2000 && !unit_failures; step++) {
			random_step(&seed);
			CHECK_EQ(pic_pending(&pic), model_int());
		}
	}
}
