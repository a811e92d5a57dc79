/* BARs of real functions: what may be decoded where. See hostpci.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/hostpci_bar.h"
#include "lib/str.h"

#define CLASS_HOST_BRIDGE 0x0600u
#define TYPE_MASK	  0x7fu
#define TYPE_DEVICE	  0
#define TYPE_BRIDGE	  1
#define ROM_DEVICE	  0x30u
#define ROM_BRIDGE	  0x38u

#define ROM	     6 /* index of the expansion ROM among a function's BARs */
#define BAR_IS_64(v) (((v)&7) == 4)
#define BAR_ADDR     0xfffffff0u
#define ROM_ENABLE   1u
#define ROM_ADDR     0xfffff800u
#define BAR_SMALLEST 16

static u32 ones(unsigned size)
{
	return size >= 4 ? UINT32_MAX : (1u << size * 8) - 1;
}

static u32 real_read(struct hostpci *h, u32 sbdf, unsigned off, unsigned size)
{
	return h->ops->read(h->ctx, sbdf, off, size) & ones(size);
}

static void real_write(struct hostpci *h, u32 sbdf, unsigned off, unsigned size, u32 v)
{
	h->ops->write(h->ctx, sbdf, off, size, v & ones(size));
}

/* --- BARs of real functions ------------------------------------------------------------------- */

struct bars {
	u32 sbdf;
	u32 v[HOSTPCI_BARS];
	unsigned n;   /* of the six, how many this header type has */
	unsigned rom; /* offset; 0: none */
};

static unsigned bar_off(const struct bars *b, unsigned i)
{
	return i == ROM ? b->rom : PCI_BAR0 + i * 4;
}

static void bars_read(struct hostpci *h, u32 sbdf, struct bars *b)
{
	u32 type = real_read(h, sbdf, PCI_HEADER_TYPE, 1) & TYPE_MASK;

	memset(b, 0, sizeof(*b));
	b->sbdf = sbdf;
	if (type == TYPE_DEVICE) {
		b->n = 6;
		b->rom = ROM_DEVICE;
	} else if (type == TYPE_BRIDGE) {
		b->n = 2;
		b->rom = ROM_BRIDGE;
	}
	for (unsigned i = 0; i < HOSTPCI_BARS; i++)
		if (i < b->n || (i == ROM && b->rom))
			b->v[i] = real_read(h, sbdf, bar_off(b, i), 4);
}

/* Which BAR lies at dword @off; HOSTPCI_BARS: none. */
static unsigned bar_index(const struct bars *b, unsigned off)
{
	if (b->rom && off == b->rom)
		return ROM;
	if (off >= PCI_BAR0 && off < PCI_BAR0 + b->n * 4)
		return (off - PCI_BAR0) / 4;
	return HOSTPCI_BARS;
}

/* Writable bits of BAR dword @i. Decoding must be off; the value is put back. */
static u32 bar_size_mask(struct hostpci *h, const struct bars *b, unsigned i)
{
	unsigned off = bar_off(b, i);
	u32 was = real_read(h, b->sbdf, off, 4), mask;

	real_write(h, b->sbdf, off, 4, i == ROM ? ROM_ADDR : UINT32_MAX);
	mask = real_read(h, b->sbdf, off, 4);
	real_write(h, b->sbdf, off, 4, was);
	return mask;
}

/* Does BAR @i decode memory at all, if the function decodes? An address of 0 means unassigned. */
static bool bar_assigned(const struct bars *b, unsigned i, u64 *base)
{
	u32 v = b->v[i];

	if (i == ROM) {
		*base = v & ROM_ADDR;
		return (v & ROM_ENABLE) && *base;
	}
	*base = v & BAR_ADDR;
	if (v & PCI_BAR_IO)
		return false;
	if (BAR_IS_64(v) && i + 1 < b->n)
		*base |= (u64)b->v[i + 1] << 32;
	return *base;
}

/* The next BAR after @i: a 64-bit one takes two places. */
static unsigned bar_next(const struct bars *b, unsigned i)
{
	bool wide = i != ROM && i < b->n && !(b->v[i] & PCI_BAR_IO) && BAR_IS_64(b->v[i]);

	i += wide ? 2 : 1;
	return i >= b->n && i < ROM ? ROM : i;
}

/* Decoding must be off. */
static bool bar_allowed(struct hostpci *h, const struct bars *b, unsigned i)
{
	u64 base, mask;

	if (!bar_assigned(b, i, &base))
		return true;
	mask = bar_size_mask(h, b, i) & (i == ROM ? ROM_ADDR : BAR_ADDR);
	if (i != ROM && BAR_IS_64(b->v[i]) && i + 1 < b->n)
		mask |= (u64)bar_size_mask(h, b, i + 1) << 32;
	/* No writable bit: not a BAR, it decodes nothing that anybody could move. */
	return !mask || h->ops->bar_ok(h->ctx, base & mask, mask & -mask);
}

static bool bars_allowed(struct hostpci *h, const struct bars *b)
{
	for (unsigned i = b->n ? 0 : ROM; i < HOSTPCI_BARS; i = bar_next(b, i))
		if (!bar_allowed(h, b, i))
			return false;
	return true;
}

/* Does the function, which decodes, stand where the hypervisor's own things are? */
static bool bars_frozen(struct hostpci *h, const struct bars *b)
{
	for (unsigned i = b->n ? 0 : ROM; i < HOSTPCI_BARS; i = bar_next(b, i)) {
		u64 base;

		if (bar_assigned(b, i, &base) && !h->ops->bar_ok(h->ctx, base, BAR_SMALLEST))
			return true;
	}
	return false;
}

static void command_write(struct hostpci *h, u32 sbdf, unsigned size, u32 v)
{
	bool on = real_read(h, sbdf, PCI_COMMAND, 2) & PCI_COMMAND_MEM;
	bool want = v & PCI_COMMAND_MEM;
	struct bars b;

	if (on != want) {
		bars_read(h, sbdf, &b);
		if (want ? !bars_allowed(h, &b) : bars_frozen(h, &b)) {
			v ^= PCI_COMMAND_MEM;
			h->refused++;
		}
	}
	real_write(h, sbdf, PCI_COMMAND, size, v);
}

/* --- moving or sizing a BAR that decodes ------------------------------------------------------ */

static void probe_set(struct hostpci *h, u32 sbdf, unsigned i, u32 value)
{
	if (h->probe.sbdf != sbdf)
		h->probe.valid = 0;
	h->probe.sbdf = sbdf;
	h->probe.valid |= (u8)BIT(i);
	h->probe.value[i] = value;
}

static void probe_clear(struct hostpci *h, u32 sbdf, unsigned i)
{
	if (h->probe.sbdf == sbdf)
		h->probe.valid &= (u8)~BIT(i);
}

/* BAR dword @i of a function that decodes shall become @v. */
static void bar_move(struct hostpci *h, struct bars *b, unsigned i, u32 v)
{
	u32 command = real_read(h, b->sbdf, PCI_COMMAND, 2);

	real_write(h, b->sbdf, PCI_COMMAND, 2, command & ~PCI_COMMAND_MEM);
	b->v[i] = v;
	if (i != ROM && v >= BAR_ADDR)
		probe_set(h, b->sbdf, i, bar_size_mask(h, b, i));
	else if (bars_allowed(h, b))
		real_write(h, b->sbdf, bar_off(b, i), 4, v);
	else
		h->refused++;
	real_write(h, b->sbdf, PCI_COMMAND, 2, command);
}

/* Decoding of a host bridge must never go off, not even for a moment: on some chipsets it is the
 * way to all the rest. */
static bool bars_fixed(struct hostpci *h, const struct bars *b)
{
	return real_read(h, b->sbdf, PCI_CLASS_DEVICE, 2) == CLASS_HOST_BRIDGE || bars_frozen(h, b);
}

static u32 merge(u32 old, unsigned off, unsigned size, u32 v)
{
	unsigned shift = (off & 3) * 8;
	u32 mask = ones(size) << shift;

	return (old & ~mask) | (v << shift & mask);
}

/* The upper half of a 64-bit BAR has no type bits of its own. */
static bool is_upper_half(const struct bars *b, unsigned i)
{
	unsigned at = 0;

	if (i == ROM)
		return false;
	while (at < i)
		at = bar_next(b, at);
	return at != i;
}

static void bar_write(struct hostpci *h, struct bars *b, unsigned i, u32 v)
{
	bool decodes = real_read(h, b->sbdf, PCI_COMMAND, 2) & PCI_COMMAND_MEM;
	bool upper = is_upper_half(b, i);
	bool memory = i == ROM ? v & ROM_ENABLE : upper || !(b->v[i] & PCI_BAR_IO);

	/* The type is the function's, whatever is written there. */
	if (i != ROM && !upper && memory)
		v = (v & BAR_ADDR) | (b->v[i] & ~BAR_ADDR);
	probe_clear(h, b->sbdf, i);
	if (!decodes || !memory || v == b->v[i])
		real_write(h, b->sbdf, bar_off(b, i), 4, v);
	else if (bars_fixed(h, b))
		h->refused++;
	else
		bar_move(h, b, i, v);
}

/* --- the border ------------------------------------------------------------------------------- */

static u32 probed(const struct hostpci *h, const struct bars *b, unsigned off, unsigned size, u32 v)
{
	unsigned i = bar_index(b, off & ~3u);

	if (i == HOSTPCI_BARS || !(h->probe.valid & BIT(i)))
		return v;
	return h->probe.value[i] >> (off & 3) * 8 & ones(size);
}

u32 hostpci_real_read(struct hostpci *h, u32 sbdf, unsigned off, unsigned size)
{
	u32 v = real_read(h, sbdf, off, size);
	struct bars b;

	if (!h->probe.valid || h->probe.sbdf != sbdf || off < PCI_BAR0 || off >= PCI_CONFIG_SIZE)
		return v;
	bars_read(h, sbdf, &b);
	return probed(h, &b, off, size, v);
}

void hostpci_real_write(struct hostpci *h, u32 sbdf, unsigned off, unsigned size, u32 v)
{
	struct bars b;
	unsigned i;

	if (off == PCI_COMMAND) {
		command_write(h, sbdf, size, v);
		return;
	}
	if (off >= PCI_BAR0 && off < ROM_BRIDGE + 4) {
		bars_read(h, sbdf, &b);
		i = bar_index(&b, off & ~3u);
		if (i < HOSTPCI_BARS) {
			bar_write(h, &b, i, merge(b.v[i], off, size, v));
			return;
		}
	}
	real_write(h, sbdf, off, size, v);
}
