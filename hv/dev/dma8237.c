/* 8237A pair and page registers. See dma8237.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/dma8237.h"

#include "dev/port8.h"
#include "lib/str.h"

/* Address and count registers are words behind a byte port: the byte pointer picks the half. */
static u8 word_read(struct dma_chip *c, unsigned reg)
{
	bool msb = c->msb;

	c->msb = !msb;
	return (u8)(msb ? c->base[reg] >> 8 : c->base[reg]);
}

static void word_write(struct dma_chip *c, unsigned reg, u8 value)
{
	bool msb = c->msb;

	c->msb = !msb;
	c->base[reg] =
		(u16)(msb ? (c->base[reg] & 0x00ff) | value << 8 : (c->base[reg] & 0xff00) | value);
}

static void master_clear(struct dma_chip *c)
{
	c->msb = false;
	c->command = 0;
	c->request = 0;
	c->mask = 0x0f;
}

/* Status: no terminal count was ever reached; software requests show in the high nibble. */
static u8 reg_read(struct dma_chip *c, unsigned reg)
{
	if (reg < 8)
		return word_read(c, reg);
	switch (reg) {
	case DMA_STATUS:
		return (u8)(c->request << 4);
	case DMA_TEMP:
		return 0;
	case DMA_MASK_ALL:
		return 0xf0 | c->mask;
	default:
		return 0xff; /* write-only */
	}
}

/* One bit of a four-bit register: bits 1:0 the channel, bit 2 the value. */
static void set_bit(u8 *reg, u8 value)
{
	u8 bit = (u8)(1u << (value & 3));

	*reg = value & 4 ? *reg | bit : *reg & ~bit;
}

static void reg_write(struct dma_chip *c, unsigned reg, u8 value)
{
	if (reg < 8) {
		word_write(c, reg, value);
		return;
	}
	switch (reg) {
	case DMA_STATUS:
		c->command = value;
		break;
	case DMA_REQUEST:
		set_bit(&c->request, value);
		break;
	case DMA_MASK_ONE:
		set_bit(&c->mask, value);
		break;
	case DMA_MODE:
		c->mode[value & 3] = value;
		break;
	case DMA_CLEAR_FF:
		c->msb = false;
		break;
	case DMA_TEMP:
		master_clear(c);
		break;
	case DMA_CLEAR_MASK:
		c->mask = 0;
		break;
	case DMA_MASK_ALL:
		c->mask = value & 0x0f;
		break;
	}
}

static u8 read8(void *dev, u16 port)
{
	struct dma8237 *d = dev;

	if (port >= DMA2_PORT)
		return reg_read(&d->chip[1], (port - DMA2_PORT) >> 1);
	if (port >= DMA_PAGE_PORT)
		return d->page[port & 0x0f];
	return reg_read(&d->chip[0], port);
}

static void write8(void *dev, u16 port, u8 value)
{
	struct dma8237 *d = dev;

	if (port >= DMA2_PORT)
		reg_write(&d->chip[1], (port - DMA2_PORT) >> 1, value);
	else if (port >= DMA_PAGE_PORT)
		d->page[port & 0x0f] = value;
	else
		reg_write(&d->chip[0], port, value);
}

static u32 port_read(void *dev, u16 port, unsigned size)
{
	return port8_read(read8, dev, port, size);
}

static void port_write(void *dev, u16 port, unsigned size, u32 value)
{
	port8_write(write8, dev, port, size, value);
}

static const struct port_ops dma_ops = {.read = port_read, .write = port_write};

void dma8237_reset(struct dma8237 *d)
{
	memset(d, 0, sizeof(*d));
	master_clear(&d->chip[0]);
	master_clear(&d->chip[1]);
}

int dma8237_init(struct dma8237 *d, struct bus *bus)
{
	int err;

	dma8237_reset(d);
	err = bus_add_port(bus, DMA1_PORT, 0x10, &dma_ops, d);
	if (!err)
		err = bus_add_port(bus, DMA2_PORT, 0x20, &dma_ops, d);
	if (!err)
		err = bus_add_port(bus, DMA_PAGE_PORT, 0x10, &dma_ops, d);
	return err;
}
