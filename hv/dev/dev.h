/* What an emulated chip may know of the world around it.
 *
 * A chip gets ports and MMIO ranges from a bus, raises interrupt lines, asks the time, arms
 * timers and reaches guest memory through dev_host. It knows no engine, no partition and no
 * other chip, keeps no file-static state, and compiles on the host for tests and fuzzers.
 *
 * Locking: every call into a chip is made on the CPU that runs the machine's vCPU, with the
 * vCPU stopped. Chips need no locks and may not block.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_DEV_H
#define HV_DEV_DEV_H

#include "lib/timerq.h"
#include "penumbra/types.h"

/* Why a machine asks to be stopped or restarted. */
enum machine_event {
	MACHINE_RESET_8042,   /* keyboard controller pulse */
	MACHINE_RESET_CF9,    /* PIIX3 reset control */
	MACHINE_RESET_PORT92, /* fast reset */
	MACHINE_RESET_ACPI,   /* FADT reset register */
	MACHINE_POWER_OFF,    /* ACPI S5 (or APM through the BIOS channel) */
	MACHINE_DEBUG_EXIT,   /* byte written to port 0xf4, in @value */
};

struct dev_host_ops {
	/* Monotonic nanoseconds of the machine; does not stop while the vCPU waits. */
	u64 (*now_ns)(void *ctx);
	/* The guest's own TSC now, and the machine time at which it will read @tsc. */
	u64 (*guest_tsc)(void *ctx);
	u64 (*tsc_to_ns)(void *ctx, u64 tsc);
	/* As timerq_set(), on the queue of the CPU that runs the machine. */
	void (*timer_set)(void *ctx, struct timer *t, u64 deadline_ns);
	/* Guest-physical access for DMA. 0, or -EFAULT when any byte is not RAM (nothing is
	 * copied then). Writes are reported to whoever shadows the frame. */
	int (*mem_read)(void *ctx, gpa_t gpa, void *buf, size_t len);
	int (*mem_write)(void *ctx, gpa_t gpa, const void *buf, size_t len);
	/* Reset/stop requests. Takes effect after the current instruction. */
	void (*machine_event)(void *ctx, enum machine_event ev, u32 value);
};

struct dev_host {
	const struct dev_host_ops *ops;
	void *ctx;
};

static inline u64 dev_now(const struct dev_host *h)
{
	return h->ops->now_ns(h->ctx);
}
static inline void dev_timer_set(const struct dev_host *h, struct timer *t, u64 deadline_ns)
{
	h->ops->timer_set(h->ctx, t, deadline_ns);
}

/* An output pin: whatever it is soldered to. An unconnected pin has set == NULL. */
struct irq_line {
	void (*set)(void *ctx, unsigned line, bool level);
	void *ctx;
	unsigned line;
};

static inline void irq_line_set(const struct irq_line *l, bool level)
{
	if (l->set)
		l->set(l->ctx, l->line, level);
}

/* Port handlers. @size is 1, 2 or 4; @port is absolute. A read returns the value in the low
 * @size bytes; all ones where nothing answers. */
struct port_ops {
	u32 (*read)(void *dev, u16 port, unsigned size);
	void (*write)(void *dev, u16 port, unsigned size, u32 value);
	/* Optional REP INS / REP OUTS fast path: moves up to @count items of @size bytes to or
	 * from @buf; returns how many were moved (0: use the single access). */
	unsigned (*read_rep)(void *dev, u16 port, unsigned size, void *buf, unsigned count);
	unsigned (*write_rep)(void *dev, u16 port, unsigned size, const void *buf, unsigned count);
};

/* MMIO handlers. @off is relative to the range; @size 1, 2, 4 or 8. */
struct mmio_ops {
	u64 (*read)(void *dev, u64 off, unsigned size);
	void (*write)(void *dev, u64 off, unsigned size, u64 value);
};

/* The machine's two address decoders. Fixed tables: no allocation after boot. */
#define BUS_MAX_PORT_RANGES 64
#define BUS_MAX_MMIO_RANGES 16

struct port_range {
	u16 base;
	u16 len;
	const struct port_ops *ops;
	void *dev;
};
struct mmio_range {
	u64 base;
	u64 len;
	const struct mmio_ops *ops;
	void *dev;
};
struct bus {
	struct port_range ports[BUS_MAX_PORT_RANGES];
	unsigned nports;
	struct mmio_range mmio[BUS_MAX_MMIO_RANGES];
	unsigned nmmio;
	u64 unclaimed_port_reads;
	u64 unclaimed_port_writes;
	u64 unclaimed_mmio_reads; /* of a unit each; counted by who asks for ranges */
	u64 unclaimed_mmio_writes;
};

/* Claim a range. -EEXIST when it overlaps another, -ENOSPC when the table is full. */
int bus_add_port(struct bus *b, u16 base, u16 len, const struct port_ops *ops, void *dev);
int bus_add_mmio(struct bus *b, u64 base, u64 len, const struct mmio_ops *ops, void *dev);
/* Release every range of @dev whose base is @base (BARs move). */
void bus_del_port(struct bus *b, u16 base, void *dev);
void bus_del_mmio(struct bus *b, u64 base, void *dev);
/* One access of 1, 2 or 4 bytes. An access that straddles the end of a range is split into
 * bytes. Unclaimed: all ones / dropped, counted. */
u32 bus_port_read(struct bus *b, u16 port, unsigned size);
void bus_port_write(struct bus *b, u16 port, unsigned size, u32 value);
const struct port_range *bus_find_port(const struct bus *b, u16 port);
/* NULL when no device claims @gpa. */
const struct mmio_range *bus_find_mmio(const struct bus *b, gpa_t gpa);

#endif
