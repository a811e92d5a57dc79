/* 8259A pair. See pic8259.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/pic8259.h"

#include "dev/port8.h"
#include "lib/str.h"

#define NO_IRQ 8u

/* Inputs ordered by priority, from @lowest + 1 around to @lowest: the first of @bits, or NO_IRQ. */
static unsigned first_by_priority(const struct pic_chip *c, u8 bits)
{
	for (unsigned i = 1; i <= 8; i++) {
		unsigned ir = (c->lowest + i) & 7;

		if (bits & (1u << ir))
			return ir;
	}
	return NO_IRQ;
}

/* Distance from the top of the priority order; 8 for NO_IRQ, below all. */
static unsigned rank(const struct pic_chip *c, unsigned ir)
{
	return ir == NO_IRQ ? 8 : (ir - c->lowest - 1) & 7;
}

/* The request that the chip would put through to INT now, or NO_IRQ. What is in service blocks its
 * own level and all below, except masked levels in special mask mode. In special fully nested mode
 * the cascade may interrupt itself: the slave has something of higher priority. */
static unsigned requested(const struct pic_chip *c)
{
	u8 irr = c->irr & ~c->imr;
	unsigned ir, serving;

	if (!irr || c->init_step)
		return NO_IRQ;
	ir = first_by_priority(c, irr);
	serving = first_by_priority(c, c->special_mask ? c->isr & ~c->imr : c->isr);
	if (c->sfnm && !c->slave && ir == PIC_CASCADE_IR && serving == PIC_CASCADE_IR)
		return ir;
	return rank(c, ir) < rank(c, serving) ? ir : NO_IRQ;
}

static bool is_level(const struct pic_chip *c, unsigned ir)
{
	return c->ltim || (c->elcr & (1u << ir));
}

/* Edge inputs latch a request on the rise; it goes away with the line (data sheet: the input must
 * stay high until the first INTA). Level inputs are their request. */
static void chip_set_line(struct pic_chip *c, unsigned ir, bool level)
{
	u8 bit = (u8)(1u << ir);

	if (level && (!(c->lines & bit) || is_level(c, ir)))
		c->irr |= bit;
	else if (!level)
		c->irr &= ~bit;
	c->lines = level ? c->lines | bit : c->lines & ~bit;
}

/* Propagate the slave's INT to the cascade input and the master's to the output pin. */
static void update(struct pic *p)
{
	bool slave_int = requested(&p->chip[1]) != NO_IRQ;
	bool level;

	chip_set_line(&p->chip[0], PIC_CASCADE_IR, slave_int);
	level = requested(&p->chip[0]) != NO_IRQ;
	if (level == p->out_level)
		return;
	p->out_level = level;
	irq_line_set(&p->out, level);
}

void pic_set_irq(struct pic *p, unsigned line, bool level)
{
	if (line > 15 || line == PIC_CASCADE_IR)
		return;
	chip_set_line(&p->chip[line >> 3], line & 7, level);
	update(p);
}

bool pic_line_masked(const struct pic *p, unsigned line)
{
	const struct pic_chip *c = &p->chip[(line >> 3) & 1];

	if (line > 7 && (p->chip[0].imr & (1u << PIC_CASCADE_IR)))
		return true;
	return c->init_step || (c->imr & (1u << (line & 7)));
}

bool pic_line_waiting(const struct pic *p, unsigned line)
{
	return !pic_line_masked(p, line) && (p->chip[(line >> 3) & 1].irr & (1u << (line & 7)));
}

/* INTA for @ir of one chip: request to in-service. */
static void chip_take(struct pic_chip *c, unsigned ir)
{
	u8 bit = (u8)(1u << ir);

	if (!is_level(c, ir))
		c->irr &= ~bit;
	if (!c->aeoi)
		c->isr |= bit;
	else if (c->rotate_on_aeoi)
		c->lowest = (u8)ir;
}

/* One chip's INTA: the level it answers for; IR7 without an ISR bit when nothing requests. */
static unsigned chip_ack(struct pic_chip *c)
{
	unsigned ir = requested(c);

	if (ir == NO_IRQ)
		return 7;
	chip_take(c, ir);
	return ir;
}

/* The cascade is an edge-latched input: the slave's INT falls with its acknowledge, and rises again
 * when more is waiting there. */
u8 pic_ack(struct pic *p)
{
	struct pic_chip *c = &p->chip[0];
	bool spurious = requested(c) == NO_IRQ;
	unsigned ir = chip_ack(c);

	if (!spurious && ir == PIC_CASCADE_IR) {
		c = &p->chip[1];
		ir = chip_ack(c);
		chip_set_line(&p->chip[0], PIC_CASCADE_IR, false);
	}
	update(p);
	return c->vector_base + (u8)ir;
}

/* ICW1 clears the edge latches (what is high must fall and rise again), the mask and all modes. */
static void write_icw1(struct pic_chip *c, u8 value)
{
	c->irr = 0;
	c->isr = 0;
	c->imr = 0;
	c->lowest = 7;
	c->need_icw4 = value & PIC_ICW1_IC4;
	c->single = value & PIC_ICW1_SINGLE;
	c->ltim = value & PIC_ICW1_LTIM;
	c->aeoi = c->rotate_on_aeoi = c->sfnm = false;
	c->special_mask = c->poll = c->read_isr = false;
	c->init_step = 2;
	for (unsigned ir = 0; ir < 8; ir++) {
		if (is_level(c, ir))
			c->irr |= c->lines & (1u << ir);
	}
}

static void write_icw4(struct pic_chip *c, u8 value)
{
	c->aeoi = value & PIC_ICW4_AEOI;
	c->sfnm = value & PIC_ICW4_SFNM;
}

/* The data port: ICW2-ICW4 in turn, then OCW1. */
static void write_data(struct pic_chip *c, u8 value)
{
	switch (c->init_step) {
	case 0:
		c->imr = value;
		break;
	case 2:
		c->vector_base = value & 0xf8;
		c->init_step = !c->single ? 3 : c->need_icw4 ? 4 : 0;
		break;
	case 3: /* the cascade is wired; its description is not needed */
		c->init_step = c->need_icw4 ? 4 : 0;
		break;
	default:
		write_icw4(c, value);
		c->init_step = 0;
		break;
	}
}

/* In special mask mode a non-specific EOI leaves masked levels alone. */
static void eoi_nonspecific(struct pic_chip *c, bool rotate)
{
	unsigned ir = first_by_priority(c, c->special_mask ? c->isr & ~c->imr : c->isr);

	if (ir == NO_IRQ)
		return;
	c->isr &= ~(1u << ir);
	if (rotate)
		c->lowest = (u8)ir;
}

static void write_ocw2(struct pic_chip *c, u8 value)
{
	u8 level = value & PIC_OCW2_LEVEL;

	switch (value & (PIC_OCW2_ROTATE | PIC_OCW2_SL | PIC_OCW2_EOI)) {
	case PIC_OCW2_EOI:
	case PIC_OCW2_ROTATE | PIC_OCW2_EOI:
		eoi_nonspecific(c, value & PIC_OCW2_ROTATE);
		break;
	case PIC_OCW2_SL | PIC_OCW2_EOI:
		c->isr &= ~(1u << level);
		break;
	case PIC_OCW2_ROTATE | PIC_OCW2_SL | PIC_OCW2_EOI:
		c->isr &= ~(1u << level);
		c->lowest = level;
		break;
	case PIC_OCW2_ROTATE | PIC_OCW2_SL:
		c->lowest = level;
		break;
	case PIC_OCW2_ROTATE:
		c->rotate_on_aeoi = true;
		break;
	case 0:
		c->rotate_on_aeoi = false;
		break;
	}
}

static void write_ocw3(struct pic_chip *c, u8 value)
{
	if (value & PIC_OCW3_POLL)
		c->poll = true;
	if (value & PIC_OCW3_RR)
		c->read_isr = value & PIC_OCW3_RIS;
	if (value & PIC_OCW3_ESMM)
		c->special_mask = value & PIC_OCW3_SMM;
}

/* The read after a poll command is the acknowledge. */
static u8 read_poll(struct pic *p, struct pic_chip *c)
{
	unsigned ir = requested(c);

	c->poll = false;
	if (ir == NO_IRQ)
		return 7;
	chip_take(c, ir);
	if (c->slave)
		chip_set_line(&p->chip[0], PIC_CASCADE_IR, false);
	update(p);
	return (u8)(PIC_POLL_PENDING | ir);
}

static u8 read8(void *dev, u16 port)
{
	struct pic *p = dev;
	struct pic_chip *c = &p->chip[port >> 7 & 1];

	if (c->poll)
		return read_poll(p, c);
	if (port & 1)
		return c->imr;
	return c->read_isr ? c->isr : c->irr;
}

static void write8(void *dev, u16 port, u8 value)
{
	struct pic *p = dev;
	struct pic_chip *c = &p->chip[port >> 7 & 1];

	if (port & 1)
		write_data(c, value);
	else if (value & PIC_ICW1)
		write_icw1(c, value);
	else if (value & PIC_OCW3)
		write_ocw3(c, value);
	else
		write_ocw2(c, value);
	update(p);
}

static u8 elcr_read8(void *dev, u16 port)
{
	struct pic *p = dev;

	return p->chip[port & 1].elcr;
}

/* A pin that becomes level-triggered requests at once if it is high. */
static void elcr_write8(void *dev, u16 port, u8 value)
{
	struct pic *p = dev;
	struct pic_chip *c = &p->chip[port & 1];

	c->elcr = value & c->elcr_mask;
	c->irr = (c->irr & ~c->elcr) | (c->lines & c->elcr);
	update(p);
}

static u32 pic_port_read(void *dev, u16 port, unsigned size)
{
	return port8_read(read8, dev, port, size);
}

static void pic_port_write(void *dev, u16 port, unsigned size, u32 value)
{
	port8_write(write8, dev, port, size, value);
}

static u32 elcr_port_read(void *dev, u16 port, unsigned size)
{
	return port8_read(elcr_read8, dev, port, size);
}

static void elcr_port_write(void *dev, u16 port, unsigned size, u32 value)
{
	port8_write(elcr_write8, dev, port, size, value);
}

static const struct port_ops pic_ops = {.read = pic_port_read, .write = pic_port_write};
static const struct port_ops elcr_ops = {.read = elcr_port_read, .write = elcr_port_write};

static void chip_reset(struct pic_chip *c)
{
	struct pic_chip old = *c;

	memset(c, 0, sizeof(*c));
	c->lines = old.lines;
	c->slave = old.slave;
	c->elcr_mask = old.elcr_mask;
	c->lowest = 7;
	c->imr = 0xff;
}

void pic_reset(struct pic *p)
{
	chip_reset(&p->chip[0]);
	chip_reset(&p->chip[1]);
	p->chip[0].lines &= ~(1u << PIC_CASCADE_IR);
	update(p);
}

int pic_init(struct pic *p, struct bus *bus, const struct irq_line *out)
{
	int err;

	memset(p, 0, sizeof(*p));
	p->out = *out;
	p->chip[1].slave = true;
	p->chip[0].elcr_mask = 0xf8; /* IRQ 0-2 are always edges */
	p->chip[1].elcr_mask = 0xde; /* so are 8 and 13 */
	pic_reset(p);
	err = bus_add_port(bus, PIC_MASTER_CMD, 2, &pic_ops, p);
	if (!err)
		err = bus_add_port(bus, PIC_SLAVE_CMD, 2, &pic_ops, p);
	if (!err)
		err = bus_add_port(bus, PIC_ELCR1, 2, &elcr_ops, p);
	return err;
}
