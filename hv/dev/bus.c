/* Address decoding: sorted range tables; ports by binary search, the few MMIO ranges one by one.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/dev.h"
#include "lib/errno.h"
#include "lib/str.h"

/* Index of the first port range that begins above @port. */
static unsigned port_upper(const struct bus *b, u32 port)
{
	unsigned lo = 0, hi = b->nports;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (b->ports[mid].base <= port)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int bus_add_port(struct bus *b, u16 base, u16 len, const struct port_ops *ops, void *dev)
{
	unsigned at = port_upper(b, base);
	u32 end = (u32)base + len;

	if (!len || end > 0x10000)
		return -EINVAL;
	if (at > 0 && (u32)b->ports[at - 1].base + b->ports[at - 1].len > base)
		return -EEXIST;
	if (at < b->nports && b->ports[at].base < end)
		return -EEXIST;
	if (b->nports == BUS_MAX_PORT_RANGES)
		return -ENOSPC;
	memmove(&b->ports[at + 1], &b->ports[at], (b->nports - at) * sizeof(b->ports[0]));
	b->ports[at] = (struct port_range){base, len, ops, dev};
	b->nports++;
	return 0;
}

void bus_del_port(struct bus *b, u16 base, void *dev)
{
	for (unsigned i = b->nports; i-- > 0;) {
		if (b->ports[i].base != base || b->ports[i].dev != dev)
			continue;
		b->nports--;
		memmove(&b->ports[i], &b->ports[i + 1], (b->nports - i) * sizeof(b->ports[0]));
	}
}

const struct port_range *bus_find_port(const struct bus *b, u16 port)
{
	unsigned at = port_upper(b, port);
	const struct port_range *r;

	if (!at)
		return NULL;
	r = &b->ports[at - 1];
	return port - r->base < r->len ? r : NULL;
}

/* The range that decodes all of the access, or NULL. */
static const struct port_range *find_whole(const struct bus *b, u16 port, unsigned size)
{
	const struct port_range *r = bus_find_port(b, port);

	return r && (u32)port + size <= (u32)r->base + r->len ? r : NULL;
}

/* Does any byte of the access hit a range? */
static bool touches_any(const struct bus *b, u16 port, unsigned size)
{
	for (unsigned i = 0; i < size && port + i <= 0xffff; i++) {
		if (bus_find_port(b, (u16)(port + i)))
			return true;
	}
	return false;
}

static u32 all_ones(unsigned size)
{
	return size >= 4 ? 0xffffffffu : (1u << (8 * size)) - 1;
}

static u32 read_split(struct bus *b, u16 port, unsigned size)
{
	u32 value = 0;

	for (unsigned i = 0; i < size; i++) {
		u32 byte = port + i <= 0xffff ? bus_port_read(b, (u16)(port + i), 1) : 0xff;

		value |= byte << (8 * i);
	}
	return value;
}

u32 bus_port_read(struct bus *b, u16 port, unsigned size)
{
	const struct port_range *r = find_whole(b, port, size);

	if (r)
		return r->ops->read(r->dev, port, size) & all_ones(size);
	if (size > 1 && touches_any(b, port, size))
		return read_split(b, port, size);
	b->unclaimed_port_reads++;
	return all_ones(size);
}

void bus_port_write(struct bus *b, u16 port, unsigned size, u32 value)
{
	const struct port_range *r = find_whole(b, port, size);

	if (r) {
		r->ops->write(r->dev, port, size, value & all_ones(size));
	} else if (size > 1 && touches_any(b, port, size)) {
		for (unsigned i = 0; i < size && port + i <= 0xffff; i++)
			bus_port_write(b, (u16)(port + i), 1, value >> (8 * i));
	} else {
		b->unclaimed_port_writes++;
	}
}

/* MMIO ranges are few and the LAPIC's is nearly always meant: a scan from the highest base. */
int bus_add_mmio(struct bus *b, u64 base, u64 len, const struct mmio_ops *ops, void *dev)
{
	unsigned at = 0;

	if (!len || base + (len - 1) < base)
		return -EINVAL;
	while (at < b->nmmio && b->mmio[at].base > base)
		at++;
	if (at > 0 && b->mmio[at - 1].base - base < len)
		return -EEXIST;
	if (at < b->nmmio && base - b->mmio[at].base < b->mmio[at].len)
		return -EEXIST;
	if (b->nmmio == BUS_MAX_MMIO_RANGES)
		return -ENOSPC;
	memmove(&b->mmio[at + 1], &b->mmio[at], (b->nmmio - at) * sizeof(b->mmio[0]));
	b->mmio[at] = (struct mmio_range){base, len, ops, dev};
	b->nmmio++;
	return 0;
}

void bus_del_mmio(struct bus *b, u64 base, void *dev)
{
	for (unsigned i = b->nmmio; i-- > 0;) {
		if (b->mmio[i].base != base || b->mmio[i].dev != dev)
			continue;
		b->nmmio--;
		memmove(&b->mmio[i], &b->mmio[i + 1], (b->nmmio - i) * sizeof(b->mmio[0]));
	}
}

const struct mmio_range *bus_find_mmio(const struct bus *b, gpa_t gpa)
{
	for (unsigned i = 0; i < b->nmmio; i++) {
		if (gpa >= b->mmio[i].base)
			return gpa - b->mmio[i].base < b->mmio[i].len ? &b->mmio[i] : NULL;
	}
	return NULL;
}
