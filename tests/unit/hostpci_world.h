/* A real machine's PCI bus for hostpci: functions with BARs that decode as real ones do, and the
 * addresses that none may reach. After each write that hostpci lets through, world.error says
 * whether a function decodes where it must not.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_HOSTPCI_WORLD_H
#define TESTS_HOSTPCI_WORLD_H

#include "dev/hostpci.h"
#include "lib/str.h"

#define WORLD_FNS    10
#define WORLD_RAM    0x20000000ull /* below: RAM */
#define WORLD_IOAPIC 0xfec00000ull
#define WORLD_LAPIC  0xfee00000ull
#define WORLD_ECAM   0xb0000000ull
#define WORLD_OWN    0xfe000000u /* a hole for our own BAR */
#define WORLD_HIGH   (4 * GIB)	 /* RAM again, up to WORLD_TOP */
#define WORLD_TOP    (5 * GIB)

struct world_fn {
	u32 sbdf;
	u32 dword[64];
	u32 bar_mask[HOSTPCI_BARS]; /* writable bits; the last is the ROM */
	u32 bar_type[HOSTPCI_BARS]; /* read-only bits */
	bool bridge;
	bool exempt; /* stands on forbidden ground from the start */
};

struct world {
	struct world_fn fn[WORLD_FNS];
	unsigned nfns;
	struct bus bus;
	struct hostpci h;
	struct pci_dev own;
	unsigned reads, writes;
	bool intx, own_mapped;
	u64 own_base;
	unsigned moves;
	u8 reset_value;
	const char *error;
};

static inline bool world_overlap(u64 a, u64 alen, u64 b, u64 blen)
{
	return a < b + blen && b < a + alen;
}

static inline bool world_bar_ok(void *ctx, u64 base, u64 len)
{
	(void)ctx;
	if (!len || base + len < base)
		return false;
	return !world_overlap(base, len, 0, WORLD_RAM) &&
	       !world_overlap(base, len, WORLD_IOAPIC, 0x1000) &&
	       !world_overlap(base, len, WORLD_LAPIC, 0x1000) &&
	       !world_overlap(base, len, WORLD_ECAM, 256 * MIB) &&
	       !world_overlap(base, len, WORLD_HIGH, WORLD_TOP - WORLD_HIGH);
}

static inline struct world_fn *world_find(struct world *w, u32 sbdf)
{
	for (unsigned i = 0; i < w->nfns; i++)
		if (w->fn[i].sbdf == sbdf)
			return &w->fn[i];
	return NULL;
}

static inline unsigned world_bar_at(const struct world_fn *f, unsigned i)
{
	return i < 6 ? PCI_BAR0 + i * 4 : f->bridge ? 0x38 : 0x30;
}

/* Does anything decode where it must not? */
static inline void world_judge(struct world *w, const struct world_fn *f)
{
	if (f->exempt || !(f->dword[1] & PCI_COMMAND_MEM))
		return;
	for (unsigned i = 0; i < HOSTPCI_BARS; i++) {
		u32 v = f->dword[world_bar_at(f, i) / 4];
		u64 mask = f->bar_mask[i] & ~0xfull, base = v & mask;

		if (!mask || (i < 6 && (v & 1)) || (i == 6 && !(v & 1)))
			continue;
		mask |= 0xffffffff00000000ull;
		if (i < 6 && (v & 6) == 4) {
			mask = (u32)mask | (u64)f->bar_mask[i + 1] << 32;
			base |= (u64)f->dword[world_bar_at(f, i + 1) / 4] << 32;
			i++;
		}
		base &= mask;
		if (base && !world_bar_ok(NULL, base, mask & -mask))
			w->error = "a function decodes RAM or what the hypervisor owns";
	}
}

static inline u32 world_read(void *ctx, u32 sbdf, unsigned off, unsigned size)
{
	struct world *w = ctx;
	const struct world_fn *f = world_find(w, sbdf);

	w->reads++;
	if (off % size || off >= 4096)
		w->error = "a read that is not aligned";
	if (!f || off >= 256)
		return UINT32_MAX;
	return f->dword[off / 4] >> (off & 3) * 8;
}

static inline u32 world_writable(const struct world_fn *f, unsigned dword)
{
	for (unsigned i = 0; i < HOSTPCI_BARS; i++)
		if (dword == world_bar_at(f, i) / 4 && (!f->bridge || i < 2 || i == 6))
			return f->bar_mask[i];
	if (dword == 1)
		return 0x547;
	return dword < 16 && dword != 15 ? 0 : UINT32_MAX;
}

static inline void world_write(void *ctx, u32 sbdf, unsigned off, unsigned size, u32 value)
{
	struct world *w = ctx;
	struct world_fn *f = world_find(w, sbdf);
	u32 bytes = size == 4 ? UINT32_MAX : (1u << size * 8) - 1, mask;

	w->writes++;
	if (off % size || off >= 4096)
		w->error = "a write that is not aligned";
	if (!f || off >= 256)
		return;
	mask = bytes << (off & 3) * 8 & world_writable(f, off / 4);
	f->dword[off / 4] = (f->dword[off / 4] & ~mask) | (value << (off & 3) * 8 & mask);
	world_judge(w, f);
}

static inline void world_intx(void *ctx, bool level)
{
	((struct world *)ctx)->intx = level;
}

static inline void world_moved(void *ctx, unsigned n, bool mapped, u64 base, u64 len)
{
	struct world *w = ctx;

	if (n != 0 || len != 0x1000 || mapped == w->own_mapped || (!mapped && base != w->own_base))
		w->error = "news of our BAR do not fit together";
	if (mapped && !world_bar_ok(NULL, base, len))
		w->error = "our function decodes what it must not";
	w->own_mapped = mapped;
	w->own_base = base;
	w->moves++;
}

static inline u8 world_reset_read(void *ctx)
{
	(void)ctx;
	return 0x5a;
}

static inline void world_reset_write(void *ctx, u8 value)
{
	((struct world *)ctx)->reset_value = value;
}

static const struct hostpci_ops world_ops = {
	.read = world_read,
	.write = world_write,
	.bar_ok = world_bar_ok,
	.reset_read = world_reset_read,
	.reset_write = world_reset_write,
	.intx = world_intx,
	.bar_moved = world_moved,
};

static inline struct world_fn *world_add(struct world *w, u32 sbdf, u32 id, u32 class16, u32 header)
{
	struct world_fn *f = &w->fn[w->nfns++];

	f->sbdf = sbdf;
	f->dword[0] = id;
	f->dword[2] = class16 << 16;
	f->dword[3] = header << 16;
	f->bridge = (header & 0x7f) == 1;
	return f;
}

static inline void world_bar(struct world_fn *f, unsigned i, u64 size, u32 type, u64 base)
{
	u64 mask = ~(size - 1);

	f->bar_mask[i] = (u32)mask;
	f->bar_type[i] = type;
	f->dword[world_bar_at(f, i) / 4] = (u32)base | type;
	if (type & 4) {
		f->bar_mask[i + 1] = (u32)(mask >> 32);
		f->dword[world_bar_at(f, i + 1) / 4] = (u32)(base >> 32);
	}
}

static u64 world_own_read(void *dev, u64 off, unsigned size)
{
	(void)dev;
	return off + size;
}

static void world_own_write(void *dev, u64 off, unsigned size, u64 value)
{
	(void)dev;
	(void)off;
	(void)size;
	(void)value;
}

static const struct mmio_ops world_own_ops = {.read = world_own_read, .write = world_own_write};

/* Places of the functions. */
#define WORLD_HOST   HOSTPCI_SBDF(0, 0, 0, 0)
#define WORLD_NIC    HOSTPCI_SBDF(0, 0, 3, 0)
#define WORLD_GPU    HOSTPCI_SBDF(0, 0, 4, 0)
#define WORLD_UART   HOSTPCI_SBDF(0, 0, 5, 0)
#define WORLD_UART2  HOSTPCI_SBDF(0, 0, 5, 1)
#define WORLD_PIC    HOSTPCI_SBDF(0, 0, 6, 0)
#define WORLD_BRIDGE HOSTPCI_SBDF(0, 0, 7, 0)
#define WORLD_LPC    HOSTPCI_SBDF(0, 0, 31, 0)
#define WORLD_LATE   HOSTPCI_SBDF(0, 0, 30, 2) /* its function 0 is hidden by the firmware */
#define WORLD_FAR    HOSTPCI_SBDF(1, 2, 8, 0)

static inline void world_functions(struct world *w)
{
	struct world_fn *f = world_add(w, WORLD_HOST, 0x29c08086, 0x0600, 0);

	world_bar(f, 0, 0x10000, 4, 0xd0000000);
	f->dword[1] = PCI_COMMAND_MEM;
	f = world_add(w, WORLD_NIC, 0x100e8086, 0x0200, 0);
	world_bar(f, 0, 0x20000, 0, 0xe0000000);
	world_bar(f, 1, 0x40, 1, 0xc000);
	world_bar(f, 6, 0x40000, 0, 0);
	f->dword[1] = PCI_COMMAND_MEM | PCI_COMMAND_IO;
	f = world_add(w, WORLD_GPU, 0x11111234, 0x0300, 0);
	world_bar(f, 0, 0x1000000, 0xc, 0x800000000ull);
	world_bar(f, 2, 0x1000, 0, 0xe1000000);
	world_add(w, WORLD_UART, 0x01581415, 0x0700, 0x80);
	world_add(w, WORLD_UART2, 0x01591415, 0x0700, 0x80);
	f = world_add(w, WORLD_PIC, 0x342c8086, 0x0800, 0);
	world_bar(f, 0, 0x1000, 0, WORLD_IOAPIC);
	f->dword[1] = PCI_COMMAND_MEM;
	f->exempt = true;
	f = world_add(w, WORLD_BRIDGE, 0x34208086, 0x0604, 1);
	world_bar(f, 0, 0x1000, 0, 0xe2000000);
	world_bar(f, 6, 0x800, 0, 0);
	world_add(w, WORLD_LPC, 0x29188086, 0x0601, 0x80);
	world_add(w, WORLD_LATE, 0x293a8086, 0x0c03, 0x80);
	world_add(w, WORLD_FAR, 0x00011af4, 0x0100, 0);
}

static inline void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	world_functions(w);
	hostpci_init(&w->h, &w->bus, &world_ops, w);
	if (hostpci_add_window(&w->h, WORLD_ECAM, 0, 0, 255) ||
	    hostpci_add_window(&w->h, 0x900000000ull, 1, 2, 3) || hostpci_hide(&w->h, WORLD_UART))
		w->error = "set-up";
}

static inline int world_add_own(struct world *w, u32 base)
{
	pci_dev_init(&w->own, HOSTPCI_VENDOR, HOSTPCI_DEVICE_CHANNEL, 0xff0000, 1);
	w->own.intx_pin = 1;
	pci_bar_mem(&w->own, 0, 0x1000, &world_own_ops, w);
	return hostpci_add_own(&w->h, &w->own, 0, base, 10);
}

#endif
