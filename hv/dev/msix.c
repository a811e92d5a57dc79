/* MSI-X: see msix.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/msix.h"

#include "lib/str.h"

#define CAP_ID	      0x11
#define CONTROL	      2 /* offset of message control in the capability */
#define CONTROL_MASK  0x4000u
#define CONTROL_ON    0x8000u
#define ENTRY_SIZE    16u
#define ENTRY_CONTROL 3
#define VECTOR_MASKED 1u

static u16 control(const struct msix *m)
{
	return pci_get16(m->pci, m->cap + CONTROL);
}

bool msix_enabled(const struct msix *m)
{
	return m->nvec && (control(m) & CONTROL_ON);
}

static bool masked(const struct msix *m, unsigned n)
{
	return (control(m) & CONTROL_MASK) || (m->table[n][ENTRY_CONTROL] & VECTOR_MASKED);
}

static void send(struct msix *m, unsigned n)
{
	const u32 *e = m->table[n];
	struct pci_bus *b = m->pci->bus;

	if (b && b->msi)
		b->msi(b->msi_ctx, (u64)e[1] << 32 | e[0], e[2]);
}

void msix_raise(struct msix *m, unsigned n)
{
	if (n >= m->nvec || !msix_enabled(m))
		return;
	if (masked(m, n))
		m->pending |= 1u << n;
	else
		send(m, n);
}

static void send_pending(struct msix *m)
{
	for (unsigned n = 0; n < m->nvec && msix_enabled(m); n++) {
		if (!(m->pending >> n & 1) || masked(m, n))
			continue;
		m->pending &= ~(1u << n);
		send(m, n);
	}
}

void msix_written(struct msix *m, unsigned off, unsigned len)
{
	if (m->nvec && off < m->cap + MSIX_CAP_LEN && off + len > m->cap)
		send_pending(m);
}

/* --- the table: dwords, or pairs of them ------------------------------------------------------ */

static u32 read_dword(const struct msix *m, u64 off)
{
	if (off / ENTRY_SIZE < m->nvec)
		return m->table[off / ENTRY_SIZE][off / 4 % 4];
	return off == MSIX_PBA ? m->pending : 0;
}

static u64 table_read(void *dev, u64 off, unsigned size)
{
	u64 v;

	if (size < 4 || off & 3)
		return 0;
	v = read_dword(dev, off);
	if (size == 8)
		v |= (u64)read_dword(dev, off + 4) << 32;
	return v;
}

static void write_dword(struct msix *m, u64 off, u32 v)
{
	static const u32 writable[4] = {~3u, ~0u, ~0u, VECTOR_MASKED};

	if (off / ENTRY_SIZE < m->nvec)
		m->table[off / ENTRY_SIZE][off / 4 % 4] = v & writable[off / 4 % 4];
}

static void table_write(void *dev, u64 off, unsigned size, u64 value)
{
	struct msix *m = dev;

	if (size < 4 || off & 3)
		return;
	write_dword(m, off, (u32)value);
	if (size == 8)
		write_dword(m, off + 4, (u32)(value >> 32));
	send_pending(m);
}

static const struct mmio_ops table_ops = {
	.read = table_read,
	.write = table_write,
};

void msix_reset(struct msix *m)
{
	if (!m->nvec)
		return;
	memset(m->table, 0, sizeof(m->table));
	for (unsigned n = 0; n < m->nvec; n++)
		m->table[n][ENTRY_CONTROL] = VECTOR_MASKED;
	m->pending = 0;
	pci_set16(m->pci, m->cap + CONTROL, (u16)(m->nvec - 1));
}

void msix_init(struct msix *m, struct pci_dev *d, unsigned cap, u8 next, unsigned bar,
	       unsigned nvec)
{
	memset(m, 0, sizeof(*m));
	m->pci = d;
	m->cap = (u8)cap;
	m->nvec = MIN(nvec, MSIX_MAX_VECTORS);
	d->cfg[cap] = CAP_ID;
	d->cfg[cap + 1] = next;
	d->wmask[cap + CONTROL + 1] = (CONTROL_MASK | CONTROL_ON) >> 8;
	pci_set32(d, cap + 4, bar);
	pci_set32(d, cap + 8, MSIX_PBA | bar);
	pci_bar_mem(d, bar, MSIX_BAR_SIZE, &table_ops, m);
	msix_reset(m);
}
