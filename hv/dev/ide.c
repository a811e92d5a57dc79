/* IDE channels: task file, data port, interrupts, resets. See ide.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/ide_int.h"
#include "lib/errno.h"
#include "lib/str.h"

/* Command block, offsets from 1F0h/170h */
#define REG_DATA   0u
#define REG_ERROR  1u /* write: FEATURES */
#define REG_NSECT  2u
#define REG_LBAL   3u
#define REG_LBAM   4u
#define REG_LBAH   5u
#define REG_DEVICE 6u
#define REG_STATUS 7u /* write: COMMAND */

#define CMD_DEVICE_RESET 0x08u
#define CMD_DIAGNOSTIC	 0x90u

static const u16 command_port[2] = {0x1f0, 0x170};
static const u16 control_port[2] = {0x3f6, 0x376};

static struct ide_drive *selected(struct ide_channel *c)
{
	return &c->drive[c->device & ATA_DEV_SLAVE ? 1 : 0];
}

/* --- interrupt --- */

/* Only the selected drive drives INTRQ. The bus master latches its rising edge. */
static void irq_update(struct ide_channel *c)
{
	bool out = c->intrq && !(c->control & ATA_NIEN) && selected(c) == ide_active(c);

	if (out == c->irq_out)
		return;
	c->irq_out = out;
	if (out)
		c->bm_status |= BM_INTR;
	irq_line_set(&c->irq, out);
}

void ide_raise(struct ide_channel *c)
{
	c->intrq = true;
	irq_update(c);
}

static void irq_clear(struct ide_channel *c)
{
	c->intrq = false;
	irq_update(c);
}

/* --- steps of a command --- */

void ide_quiet(struct ide_channel *c)
{
	c->phase = IDE_IDLE;
	ide_active(c)->status = ATA_READY;
}

void ide_done(struct ide_channel *c)
{
	ide_quiet(c);
	ide_raise(c);
}

void ide_fail(struct ide_channel *c, u8 error)
{
	struct ide_drive *d = ide_active(c);

	c->phase = IDE_IDLE;
	d->status = ATA_READY | ATA_ERR;
	d->error = error;
	ide_raise(c);
}

void ide_block(struct ide_channel *c, bool irq)
{
	struct ide_drive *d = ide_active(c);

	c->drq_end = MIN(c->pos + c->block, c->end);
	d->status = ATA_READY | ATA_DRQ;
	if (ide_ops(d)->block)
		ide_ops(d)->block(d, c->drq_end - c->pos);
	if (irq)
		ide_raise(c);
}

void ide_pio_in(struct ide_channel *c, u32 len)
{
	c->phase = IDE_PIO_IN;
	c->pos = 0;
	c->end = len;
	ide_block(c, true);
}

void ide_pio_out(struct ide_channel *c, u32 len, bool irq)
{
	c->phase = IDE_PIO_OUT;
	c->pos = 0;
	c->end = len;
	ide_block(c, irq);
}

static void medium_done(struct blk_req *req, int status)
{
	struct ide_channel *c = req->arg;
	struct ide_drive *d = ide_active(c);

	c->phase = IDE_IDLE;
	if (c->direct)
		ide_dma_medium_done(c, status);
	else
		ide_ops(d)->medium_done(c, d, status);
}

void ide_submit(struct ide_channel *c, enum blk_op op, unsigned nseg, u32 len)
{
	struct ide_drive *d = ide_active(c);

	c->direct = nseg != 0;
	if (!c->direct && op != BLK_FLUSH) {
		c->seg[0] = (struct blk_seg){.buf = c->buf, .len = len};
		nseg = 1;
	}
	c->req_len = len;
	c->req = (struct blk_req){
		.op = op,
		.fua = op == BLK_WRITE && !d->write_cache,
		.offset = c->offset,
		.seg = c->seg,
		.nseg = nseg,
		.done = medium_done,
		.arg = c,
	};
	c->phase = IDE_BUSY;
	d->status = ATA_READY | ATA_BSY;
	blk_submit(d->blk, &c->req);
	blk_submit_end(d->blk);
}

void ide_read_part(struct ide_channel *c)
{
	ide_submit(c, BLK_READ, 0, (u32)MIN(c->left, (u64)IDE_BUF_SIZE));
}

void ide_part_done(struct ide_channel *c)
{
	c->offset += c->req_len;
	c->left -= c->req_len;
}

void ide_cancel(struct ide_channel *c)
{
	struct ide_drive *d = ide_active(c);

	if (c->phase == IDE_BUSY)
		d->blk->ops->cancel(d->blk);
	c->phase = IDE_IDLE;
}

/* --- data port --- */

/* May the host move data in direction @phase with the drive it has selected? */
static bool data_ready(struct ide_channel *c, enum ide_phase phase)
{
	return c->phase == phase && selected(c) == ide_active(c);
}

/* The host reached the end of a DRQ block. */
static void block_end(struct ide_channel *c)
{
	struct ide_drive *d = ide_active(c);

	if (c->pos < c->drq_end)
		return;
	if (c->pos < c->end)
		ide_block(c, true);
	else if (c->phase == IDE_PIO_IN)
		ide_ops(d)->drained(c, d);
	else
		ide_ops(d)->filled(c, d);
}

static u32 data_read(struct ide_channel *c, unsigned size)
{
	u32 v = 0, n;

	if (!data_ready(c, IDE_PIO_IN))
		return 0;
	n = MIN(size, c->drq_end - c->pos);
	memcpy(&v, c->buf + c->pos, n);
	c->pos += n;
	block_end(c);
	return v;
}

static void data_write(struct ide_channel *c, unsigned size, u32 v)
{
	u32 n;

	if (!data_ready(c, IDE_PIO_OUT))
		return;
	n = MIN(size, c->drq_end - c->pos);
	memcpy(c->buf + c->pos, &v, n);
	c->pos += n;
	block_end(c);
}

/* REP INS and REP OUTS stop at the end of a DRQ block: what follows it is another interrupt. */
static unsigned data_read_rep(void *dev, u16 port, unsigned size, void *buf, unsigned count)
{
	struct ide_channel *c = dev;
	unsigned n;

	if ((port & 7) != REG_DATA || !data_ready(c, IDE_PIO_IN))
		return 0;
	n = MIN(count, (c->drq_end - c->pos) / size);
	memcpy(buf, c->buf + c->pos, (size_t)n * size);
	c->pos += n * size;
	if (n)
		block_end(c);
	return n;
}

static unsigned data_write_rep(void *dev, u16 port, unsigned size, const void *buf, unsigned count)
{
	struct ide_channel *c = dev;
	unsigned n;

	if ((port & 7) != REG_DATA || !data_ready(c, IDE_PIO_OUT))
		return 0;
	n = MIN(count, (c->drq_end - c->pos) / size);
	memcpy(c->buf + c->pos, buf, (size_t)n * size);
	c->pos += n * size;
	if (n)
		block_end(c);
	return n;
}

/* --- resets --- */

static void signatures(struct ide_channel *c)
{
	c->device = 0;
	c->active = 0;
	for (unsigned i = 0; i < 2; i++) {
		struct ide_drive *d = &c->drive[i];

		if (d->kind == IDE_NONE)
			continue;
		d->error = 0x01; /* diagnostic passed */
		d->nsect[0] = d->lbal[0] = 1;
		ide_ops(d)->signature(d);
	}
}

void ide_diagnose(struct ide_channel *c)
{
	ide_cancel(c);
	signatures(c);
	ide_raise(c);
}

/* SRST holds both drives busy until it is released (ATA-6 §9.2). */
static void soft_reset_begin(struct ide_channel *c)
{
	ide_cancel(c);
	irq_clear(c);
	c->drive[0].status = c->drive[1].status = ATA_BSY;
}

static void channel_reset(struct ide_channel *c)
{
	ide_cancel(c);
	c->control = 0;
	irq_clear(c);
	ide_bm_reset(c);
	for (unsigned i = 0; i < 2; i++)
		if (c->drive[i].kind != IDE_NONE)
			ide_ops(&c->drive[i])->power_on(&c->drive[i]);
	signatures(c);
}

void ide_reset(struct ide *ide)
{
	for (unsigned i = 0; i < 2; i++)
		channel_reset(&ide->ch[i]);
	ide_pci_reset(ide);
}

/* --- command block --- */

static void command_write(struct ide_channel *c, u8 command)
{
	struct ide_drive *d = selected(c);

	if (command == CMD_DIAGNOSTIC) {
		ide_diagnose(c);
		return;
	}
	if (d->kind == IDE_NONE)
		return;
	c->active = (u8)(d - c->drive);
	c->phase = IDE_IDLE; /* a command during DRQ ends the one before */
	irq_clear(c);
	d->error = 0;
	ide_ops(d)->command(c, d, command);
}

/* DEVICE RESET alone gets through to a busy packet drive. */
static bool register_locked(struct ide_channel *c, unsigned reg, u8 v)
{
	if (c->control & ATA_SRST)
		return true;
	if (c->phase != IDE_BUSY)
		return false;
	if (reg != REG_STATUS || v != CMD_DEVICE_RESET || selected(c)->kind != IDE_CD)
		return true;
	ide_cancel(c);
	return false;
}

static void push(u8 reg[2], u8 v)
{
	reg[1] = reg[0];
	reg[0] = v;
}

/* The host writes the registers of both drives at once. */
static void register_write(struct ide_channel *c, unsigned reg, u8 v)
{
	if (register_locked(c, reg, v))
		return;
	c->control &= (u8)~ATA_HOB;
	for (unsigned i = 0; i < 2; i++) {
		struct ide_drive *d = &c->drive[i];

		if (reg == REG_NSECT)
			push(d->nsect, v);
		else if (reg == REG_LBAL)
			push(d->lbal, v);
		else if (reg == REG_LBAM)
			push(d->lbam, v);
		else if (reg == REG_LBAH)
			push(d->lbah, v);
	}
	if (reg == REG_ERROR)
		push(c->feature, v);
	if (reg == REG_DEVICE) {
		c->device = v;
		irq_update(c);
	}
	if (reg == REG_STATUS)
		command_write(c, v);
}

/* A place without a drive answers zero: no driver takes that for a drive. */
static u8 register_read(struct ide_channel *c, unsigned reg)
{
	struct ide_drive *d = selected(c);
	unsigned hob = c->control & ATA_HOB ? 1 : 0;

	if (d->kind == IDE_NONE)
		return 0;
	switch (reg) {
	case REG_ERROR:
		return d->error;
	case REG_NSECT:
		return d->nsect[hob];
	case REG_LBAL:
		return d->lbal[hob];
	case REG_LBAM:
		return d->lbam[hob];
	case REG_LBAH:
		return d->lbah[hob];
	case REG_DEVICE:
		return c->device | 0xa0; /* bits that are obsolete and read as one */
	case REG_STATUS:
		if (d == ide_active(c))
			irq_clear(c);
		return d->status;
	default:
		return 0;
	}
}

static u32 command_read_port(void *dev, u16 port, unsigned size)
{
	struct ide_channel *c = dev;
	unsigned reg = port & 7;
	u32 v = 0;

	if (reg == REG_DATA)
		return data_read(c, size);
	for (unsigned i = 0; i < size && reg + i < 8; i++)
		v |= (u32)register_read(c, reg + i) << i * 8;
	return v;
}

static void command_write_port(void *dev, u16 port, unsigned size, u32 value)
{
	struct ide_channel *c = dev;
	unsigned reg = port & 7;

	if (reg == REG_DATA) {
		data_write(c, size, value);
		return;
	}
	for (unsigned i = 0; i < size && reg + i < 8; i++)
		register_write(c, reg + i, (u8)(value >> i * 8));
}

const struct port_ops ide_command_ops = {
	.read = command_read_port,
	.write = command_write_port,
	.read_rep = data_read_rep,
	.write_rep = data_write_rep,
};

/* --- control block --- */

static u32 control_read(void *dev, u16 port, unsigned size)
{
	struct ide_channel *c = dev;
	const struct ide_drive *d = selected(c);

	(void)port;
	(void)size;
	return d->kind == IDE_NONE ? 0 : d->status;
}

static void control_write(void *dev, u16 port, unsigned size, u32 value)
{
	struct ide_channel *c = dev;
	u8 was = c->control;

	(void)port;
	(void)size;
	c->control = (u8)value & (ATA_NIEN | ATA_SRST | ATA_HOB);
	if (~was & c->control & ATA_SRST)
		soft_reset_begin(c);
	else if (was & ~c->control & ATA_SRST)
		signatures(c);
	irq_update(c);
}

const struct port_ops ide_control_ops = {
	.read = control_read,
	.write = control_write,
};

/* --- IDENTIFY and transfer modes --- */

void ide_word(struct ide_channel *c, unsigned n, u16 value)
{
	c->buf[n * 2] = (u8)value;
	c->buf[n * 2 + 1] = (u8)(value >> 8);
}

void ide_text(struct ide_channel *c, unsigned first, unsigned words, const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < words * 2; i++)
		c->buf[first * 2 + (i ^ 1)] = i < len ? (u8)text[i] : ' ';
}

#define MWDMA_MODES 0x07u /* 0..2 */
#define UDMA_MODES  0x3fu /* 0..5 */

void ide_identify_modes(struct ide_channel *c, const struct ide_drive *d)
{
	u16 mwdma = MWDMA_MODES, udma = UDMA_MODES;

	if (d->mwdma != IDE_NO_MODE)
		mwdma |= (u16)(0x100u << d->mwdma);
	if (d->udma != IDE_NO_MODE)
		udma |= (u16)(0x100u << d->udma);
	ide_word(c, 53, 0x0007); /* words 54-58, 64-70 and 88 are valid */
	ide_word(c, 63, mwdma);
	ide_word(c, 64, 0x0003); /* PIO 3 and 4 */
	for (unsigned n = 65; n <= 68; n++)
		ide_word(c, n, 120); /* cycle times, ns */
	ide_word(c, 88, udma);
}

bool ide_set_mode(struct ide_drive *d, u8 mode)
{
	u8 n = mode & 7;

	switch (mode >> 3) {
	case 0: /* default PIO */
		return n <= 1;
	case 1: /* PIO with flow control */
		return n <= 4;
	case 4:
		if (!(MWDMA_MODES >> n & 1))
			return false;
		d->mwdma = n;
		d->udma = IDE_NO_MODE;
		return true;
	case 8:
		if (!(UDMA_MODES >> n & 1))
			return false;
		d->udma = n;
		d->mwdma = IDE_NO_MODE;
		return true;
	default:
		return false;
	}
}

/* --- construction --- */

int ide_init(struct ide *ide, const struct dev_host *host, struct pci_bus *b,
	     const struct irq_line irq[2])
{
	memset(ide, 0, sizeof(*ide));
	ide->host = host;
	for (unsigned i = 0; i < 2; i++) {
		ide->ch[i].ide = ide;
		ide->ch[i].irq = irq[i];
		ide_bm_reset(&ide->ch[i]);
	}
	return ide_pci_init(ide, b);
}

int ide_map(struct ide *ide, struct bus *io)
{
	for (unsigned i = 0; i < 2; i++) {
		struct ide_channel *c = &ide->ch[i];
		int err = bus_add_port(io, command_port[i], 8, &ide_command_ops, c);

		if (!err)
			err = bus_add_port(io, control_port[i], 1, &ide_control_ops, c);
		if (err)
			return err;
	}
	return 0;
}

static int attach(struct ide *ide, unsigned channel, unsigned unit, enum ide_kind kind,
		  struct blk *blk)
{
	struct ide_drive *d;

	if (channel > 1 || unit > 1)
		return -EINVAL;
	d = &ide->ch[channel].drive[unit];
	if (d->kind != IDE_NONE)
		return -EEXIST;
	d->kind = kind;
	d->blk = blk;
	channel_reset(&ide->ch[channel]);
	return 0;
}

int ide_attach_disk(struct ide *ide, unsigned channel, unsigned unit, struct blk *blk)
{
	return blk ? attach(ide, channel, unit, IDE_DISK, blk) : -EINVAL;
}

int ide_attach_cd(struct ide *ide, unsigned channel, unsigned unit, struct blk *blk)
{
	return attach(ide, channel, unit, IDE_CD, blk);
}
