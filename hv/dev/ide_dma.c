/* Bus-master IDE: registers, PRD tables, and the PCI function they live in. See ide.h.
 *
 * Nothing is fetched ahead: PRDs are read when the drive has data to move and the engine is
 * started, as many as one request to the medium takes.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/ide_int.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "penumbra/platform.h"

#define BM_REG_COMMAND 0u
#define BM_REG_STATUS  2u
#define BM_REG_PRDT    4u /* 4 bytes */

#define PRD_SIZE 8u
#define PRD_EOT	 BIT(31)
/* A table lies within one aligned 64 KiB. */
#define PRD_TABLE_SPAN 0x10000u

#define PIIX_IDETIM   0x40 /* 16 bits per channel */
#define IDETIM_DECODE 0x8000u
#define PIIX_SIDETIM  0x44

/* --- PRD table --- */

static int prd_next(struct ide_channel *c)
{
	const struct dev_host *h = c->ide->host;
	u32 offset = (c->bm_prdt & (PRD_TABLE_SPAN - 1)) + c->bm_entry;
	u8 prd[PRD_SIZE];
	u32 words[2];
	int err;

	if (offset > PRD_TABLE_SPAN - PRD_SIZE)
		return -EFAULT;
	err = h->ops->mem_read(h->ctx, (gpa_t)c->bm_prdt + c->bm_entry, prd, sizeof(prd));
	if (err)
		return err;
	memcpy(words, prd, sizeof(words));
	c->bm_entry += PRD_SIZE;
	c->bm_addr = words[0] & ~1u;
	c->bm_len = words[1] & 0xfffeu;
	if (!c->bm_len)
		c->bm_len = 0x10000;
	c->bm_last = words[1] & PRD_EOT;
	return 0;
}

/* Next piece of guest memory, at most @want bytes. 0 bytes: the table ended. */
static int prd_take(struct ide_channel *c, u32 want, struct blk_seg *s)
{
	*s = (struct blk_seg){0};
	if (!c->bm_len) {
		int err = c->bm_last ? 0 : prd_next(c);

		if (err || !c->bm_len)
			return err;
	}
	s->gpa = c->bm_addr;
	s->len = MIN(want, c->bm_len);
	c->bm_addr += s->len;
	c->bm_len -= s->len;
	return 0;
}

/* Fill c->seg with up to @want bytes, neighbours merged. Bytes found, or negative. */
static int prd_gather(struct ide_channel *c, u32 want, unsigned *nseg)
{
	u32 total = 0;
	unsigned n = 0;

	while (total < want && n < IDE_MAX_SEGS) {
		struct blk_seg s;
		int err = prd_take(c, want - total, &s);

		if (err)
			return err;
		if (!s.len)
			break;
		total += s.len;
		if (n && c->seg[n - 1].gpa + c->seg[n - 1].len == s.gpa)
			c->seg[n - 1].len += s.len;
		else
			c->seg[n++] = s;
	}
	*nseg = n;
	return (int)total;
}

/* --- engine --- */

/* The command ended. ACTIVE stays when the table describes more than the drive had to move. */
static void dma_finish(struct ide_channel *c, int status)
{
	struct ide_drive *d = ide_active(c);

	if (status == -EFAULT)
		c->bm_status |= BM_ERROR;
	if (status || (c->bm_last && !c->bm_len))
		c->bm_status &= (u8)~BM_ACTIVE;
	ide_ops(d)->dma_done(c, d, status);
}

/* The table ended before the drive was served: the engine stops and the drive goes on waiting,
 * which the host sees as "not active, no interrupt". */
static void dma_underrun(struct ide_channel *c)
{
	c->bm_status &= (u8)~BM_ACTIVE;
}

static void dma_from_buf(struct ide_channel *c)
{
	const struct dev_host *h = c->ide->host;

	while (c->pos < c->end) {
		struct blk_seg s;
		int err = prd_take(c, c->end - c->pos, &s);

		if (!err && !s.len) {
			dma_underrun(c);
			return;
		}
		if (!err)
			err = h->ops->mem_write(h->ctx, s.gpa, c->buf + c->pos, s.len);
		if (err) {
			dma_finish(c, -EFAULT);
			return;
		}
		c->pos += s.len;
	}
	dma_finish(c, 0);
}

static void dma_to_medium(struct ide_channel *c)
{
	unsigned nseg = 0;
	int len = prd_gather(c, (u32)MIN(c->left, (u64)IDE_MAX_REQUEST), &nseg);

	if (len < 0)
		dma_finish(c, -EFAULT);
	else if (!len)
		dma_underrun(c);
	else
		ide_submit(c, c->write ? BLK_WRITE : BLK_READ, nseg, (u32)len);
}

/* Move data if the drive wants to, the engine runs, and both mean the same direction. */
static void dma_kick(struct ide_channel *c)
{
	bool to_memory = c->bm_command & BM_TO_MEMORY;

	if (c->phase != IDE_DMA || !(c->bm_status & BM_ACTIVE) || to_memory == c->write)
		return;
	if (c->buffered)
		dma_from_buf(c);
	else
		dma_to_medium(c);
}

static void dma_wait(struct ide_channel *c)
{
	c->phase = IDE_DMA;
	ide_active(c)->status = ATA_READY | ATA_DRQ;
}

void ide_dma_want(struct ide_channel *c)
{
	dma_wait(c);
	dma_kick(c);
}

void ide_dma_medium_done(struct ide_channel *c, int status)
{
	if (!status)
		ide_part_done(c);
	if (status || !c->left)
		dma_finish(c, status);
	else
		ide_dma_want(c);
}

/* --- registers --- */

static void bm_start(struct ide_channel *c)
{
	c->bm_entry = 0;
	c->bm_len = 0;
	c->bm_last = false;
	c->bm_status |= BM_ACTIVE;
	dma_kick(c);
}

/* Stopping in the middle loses what the engine held; no byte of it reaches memory afterwards. */
static void bm_stop(struct ide_channel *c)
{
	c->bm_status &= (u8)~BM_ACTIVE;
	if (c->phase != IDE_BUSY || !c->direct)
		return;
	ide_cancel(c);
	dma_wait(c);
}

static void bm_write_command(struct ide_channel *c, u8 v)
{
	bool was = c->bm_command & BM_START;

	c->bm_command = v & (BM_START | BM_TO_MEMORY);
	if (!was && (v & BM_START))
		bm_start(c);
	else if (was && !(v & BM_START))
		bm_stop(c);
}

static void bm_write_status(struct ide_channel *c, u8 v)
{
	c->bm_status &= (u8) ~(v & (BM_INTR | BM_ERROR));
	c->bm_status = (c->bm_status & (u8)~BM_CAPABLE) | (v & BM_CAPABLE);
}

static void bm_write_byte(struct ide_channel *c, unsigned reg, u8 v)
{
	unsigned shift = (reg & 3) * 8;

	if (reg == BM_REG_COMMAND)
		bm_write_command(c, v);
	else if (reg == BM_REG_STATUS)
		bm_write_status(c, v);
	else if (reg >= BM_REG_PRDT)
		c->bm_prdt = ((c->bm_prdt & ~(0xffu << shift)) | (u32)v << shift) & ~3u;
}

static u8 bm_read_byte(const struct ide_channel *c, unsigned reg)
{
	if (reg == BM_REG_COMMAND)
		return c->bm_command;
	if (reg == BM_REG_STATUS)
		return c->bm_status;
	return reg >= BM_REG_PRDT ? (u8)(c->bm_prdt >> (reg & 3) * 8) : 0;
}

static u32 bm_read(void *dev, u16 port, unsigned size)
{
	const struct ide *ide = dev;
	u32 v = 0;

	for (unsigned i = 0; i < size; i++) {
		unsigned at = (port + i) & 15;

		v |= (u32)bm_read_byte(&ide->ch[at >> 3], at & 7) << i * 8;
	}
	return v;
}

static void bm_write(void *dev, u16 port, unsigned size, u32 value)
{
	struct ide *ide = dev;

	for (unsigned i = 0; i < size; i++) {
		unsigned at = (port + i) & 15;

		bm_write_byte(&ide->ch[at >> 3], at & 7, (u8)(value >> i * 8));
	}
}

const struct port_ops ide_bm_ops = {
	.read = bm_read,
	.write = bm_write,
};

void ide_bm_reset(struct ide_channel *c)
{
	c->bm_command = c->bm_status = 0;
	c->bm_prdt = c->bm_entry = c->bm_len = 0;
	c->bm_last = false;
}

/* --- PCI function --- */

/* The legacy ports are always decoded; the enable bits only say so to drivers that look. */
void ide_pci_reset(struct ide *ide)
{
	pci_dev_reset(&ide->pci);
	pci_set16(&ide->pci, PIIX_IDETIM, IDETIM_DECODE);
	pci_set16(&ide->pci, PIIX_IDETIM + 2, IDETIM_DECODE);
	ide->pci.cfg[PIIX_SIDETIM] = 0;
}

int ide_pci_init(struct ide *ide, struct pci_bus *b)
{
	struct pci_dev *d = &ide->pci;

	pci_dev_init(d, 0x8086, 0x7010, 0x010180, 0x00);
	pci_set16(d, PCI_STATUS, 0x0280);
	pci_bar_io(d, 4, 16, &ide_bm_ops, ide);
	memset(&d->wmask[PIIX_IDETIM], 0xff, 5);
	ide_pci_reset(ide);
	return b ? pci_bus_add(b, PC_PCI_ISA_SLOT, 1, d) : 0;
}
