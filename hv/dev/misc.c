/* Small ports of the board. See misc.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/misc.h"

#include "dev/port8.h"
#include "lib/str.h"
#include "penumbra/platform.h"

static u8 port92_read8(void *dev, u16 port)
{
	struct misc *m = dev;

	(void)port;
	return m->port92;
}

/* Fast reset is a pulse on the bit's rising edge. */
static void port92_write8(void *dev, u16 port, u8 value)
{
	struct misc *m = dev;
	u8 old = m->port92;

	(void)port;
	m->port92 = value;
	if ((old ^ value) & PORT92_A20)
		irq_line_set(&m->a20, value & PORT92_A20);
	if (value & ~old & PORT92_RESET)
		m->host->ops->machine_event(m->host->ctx, MACHINE_RESET_PORT92, value);
}

static u32 port92_read(void *dev, u16 port, unsigned size)
{
	return port8_read(port92_read8, dev, port, size);
}

static void port92_write(void *dev, u16 port, unsigned size, u32 value)
{
	port8_write(port92_write8, dev, port, size, value);
}

/* F0h: clear the coprocessor's busy latch. F1h: reset it. Either drops IRQ 13. */
static u32 write_only(void *dev, u16 port, unsigned size)
{
	(void)dev, (void)port, (void)size;
	return 0xffffffff;
}

static void fpu_write(void *dev, u16 port, unsigned size, u32 value)
{
	struct misc *m = dev;

	(void)port, (void)size, (void)value;
	irq_line_set(&m->irq13, false);
}

static void exit_write(void *dev, u16 port, unsigned size, u32 value)
{
	struct misc *m = dev;

	(void)size;
	if (port == PC_PORT_DEBUG_EXIT)
		m->host->ops->machine_event(m->host->ctx, MACHINE_DEBUG_EXIT, value);
}

static const struct port_ops port92_ops = {.read = port92_read, .write = port92_write};
static const struct port_ops fpu_ops = {.read = write_only, .write = fpu_write};
static const struct port_ops exit_ops = {.read = write_only, .write = exit_write};

void misc_fpu_error(struct misc *m)
{
	irq_line_set(&m->irq13, true);
}

void misc_reset(struct misc *m)
{
	m->port92 = 0;
	irq_line_set(&m->a20, false);
	irq_line_set(&m->irq13, false);
}

int misc_init(struct misc *m, struct bus *bus, const struct dev_host *host,
	      const struct irq_line *a20, const struct irq_line *irq13)
{
	int err;

	memset(m, 0, sizeof(*m));
	m->host = host;
	m->a20 = *a20;
	m->irq13 = *irq13;
	misc_reset(m);
	err = bus_add_port(bus, PORT92, 1, &port92_ops, m);
	if (!err)
		err = bus_add_port(bus, PORT_FPU_CLEAR, 2, &fpu_ops, m);
	if (!err)
		err = bus_add_port(bus, PC_PORT_DEBUG_EXIT, PORT_DEBUG_EXIT_LEN, &exit_ops, m);
	return err;
}
