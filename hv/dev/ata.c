/* Hard disk commands (ATA/ATAPI-6, T13/1410D ch. 8): CHS, 28-bit and 48-bit addresses, PIO,
 * MULTIPLE and DMA transfers. See ide.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/ide_int.h"
#include "lib/errno.h"
#include "lib/str.h"

#define SECTOR	    512u
#define MAX_CYLS    16383u
#define MAX_HEADS   16u
#define MAX_SECTORS 63u
#define MAX_LBA28   0x0fffffffull
#define SLEEPING    0x00u /* CHECK POWER MODE: standby */
#define AWAKE	    0xffu

/* SET FEATURES subcommands */
#define FEATURE_WRITE_CACHE_ON	0x02u
#define FEATURE_TRANSFER_MODE	0x03u
#define FEATURE_LOOK_AHEAD_OFF	0x55u
#define FEATURE_KEEP_SETTINGS	0x66u
#define FEATURE_WRITE_CACHE_OFF 0x82u
#define FEATURE_LOOK_AHEAD_ON	0xaau
#define FEATURE_REVERT		0xccu

/* What a transfer command is made of. */
#define XFER_EXT      1u
#define XFER_WRITE    2u
#define XFER_DMA      4u
#define XFER_MULTIPLE 8u

struct ata_command {
	void (*run)(struct ide_channel *c, struct ide_drive *d, unsigned flags);
	u8 flags;
};

static u64 total_sectors(const struct ide_drive *d)
{
	return d->blk->size / SECTOR;
}

static void default_geometry(struct ide_drive *d)
{
	u64 cyls = total_sectors(d) / (MAX_HEADS * MAX_SECTORS);

	d->heads = MAX_HEADS;
	d->sectors = MAX_SECTORS;
	d->cyls = (u16)MAX(MIN(cyls, (u64)MAX_CYLS), 1ull);
}

/* --- addresses --- */

static u64 lba48(const struct ide_drive *d)
{
	return d->lbal[0] | (u64)d->lbam[0] << 8 | (u64)d->lbah[0] << 16 | (u64)d->lbal[1] << 24 |
	       (u64)d->lbam[1] << 32 | (u64)d->lbah[1] << 40;
}

static void set_lba48(struct ide_drive *d, u64 lba)
{
	d->lbal[0] = (u8)lba;
	d->lbam[0] = (u8)(lba >> 8);
	d->lbah[0] = (u8)(lba >> 16);
	d->lbal[1] = (u8)(lba >> 24);
	d->lbam[1] = (u8)(lba >> 32);
	d->lbah[1] = (u8)(lba >> 40);
}

/* Sector address of the command, UINT64_MAX when its CHS does not exist. */
static u64 command_lba(const struct ide_channel *c, const struct ide_drive *d, unsigned flags)
{
	unsigned head = c->device & 0xf;
	u32 cyl = d->lbam[0] | (u32)d->lbah[0] << 8;

	if (flags & XFER_EXT)
		return lba48(d);
	if (c->device & ATA_DEV_LBA)
		return d->lbal[0] | cyl << 8 | (u32)head << 24;
	if (!d->lbal[0] || d->lbal[0] > d->sectors || head >= d->heads)
		return UINT64_MAX;
	return ((u64)cyl * d->heads + head) * d->sectors + d->lbal[0] - 1;
}

static u32 command_count(const struct ide_drive *d, unsigned flags)
{
	u32 n = d->nsect[0];

	if (flags & XFER_EXT) {
		n |= (u32)d->nsect[1] << 8;
		return n ? n : 65536;
	}
	return n ? n : 256;
}

/* Take the range from the task file; false when it leaves the disk (the command has failed then).
 */
static bool take_range(struct ide_channel *c, struct ide_drive *d, unsigned flags)
{
	u64 lba = command_lba(c, d, flags), total = total_sectors(d);
	u32 n = command_count(d, flags);

	if (lba >= total || n > total - lba) {
		ide_fail(c, ATA_IDNF);
		return false;
	}
	c->offset = lba * SECTOR;
	c->left = (u64)n * SECTOR;
	return true;
}

/* --- transfers --- */

static void write_part(struct ide_channel *c, bool irq)
{
	ide_pio_out(c, (u32)MIN(c->left, (u64)IDE_BUF_SIZE), irq);
}

static void ata_transfer(struct ide_channel *c, struct ide_drive *d, unsigned flags)
{
	if ((flags & XFER_MULTIPLE) && !d->multiple) {
		ide_fail(c, ATA_ABRT);
		return;
	}
	if ((flags & XFER_WRITE) && d->blk->readonly) {
		ide_fail(c, ATA_ABRT);
		return;
	}
	if (!take_range(c, d, flags))
		return;
	d->standby = false;
	c->write = flags & XFER_WRITE;
	c->buffered = false;
	c->block = flags & XFER_MULTIPLE ? d->multiple * SECTOR : SECTOR;
	if (flags & XFER_DMA)
		ide_dma_want(c);
	else if (c->write)
		write_part(c, false);
	else
		ide_read_part(c);
}

static void ata_filled(struct ide_channel *c, struct ide_drive *d)
{
	(void)d;
	ide_submit(c, BLK_WRITE, 0, c->end);
}

static void ata_drained(struct ide_channel *c, struct ide_drive *d)
{
	(void)d;
	if (c->left)
		ide_read_part(c);
	else
		ide_quiet(c);
}

static void ata_medium_done(struct ide_channel *c, struct ide_drive *d, int status)
{
	(void)d;
	if (status) {
		ide_fail(c, c->write ? ATA_ABRT : ATA_UNC);
		return;
	}
	if (c->req.op == BLK_FLUSH) {
		ide_done(c);
		return;
	}
	ide_part_done(c);
	if (!c->write)
		ide_pio_in(c, c->req_len);
	else if (c->left)
		write_part(c, true);
	else
		ide_done(c);
}

static void ata_dma_done(struct ide_channel *c, struct ide_drive *d, int status)
{
	(void)d;
	if (!status)
		ide_done(c);
	else if (status == -EIO)
		ide_fail(c, c->write ? ATA_ABRT : ATA_UNC);
	else
		ide_fail(c, ATA_ABRT | ATA_ICRC);
}

/* --- commands without data -------------------------------------------------------------------- */

static void ata_flush(struct ide_channel *c, struct ide_drive *d, unsigned flags)
{
	(void)d;
	(void)flags;
	c->write = true;
	c->offset = 0;
	ide_submit(c, BLK_FLUSH, 0, 0);
}

static void ata_verify(struct ide_channel *c, struct ide_drive *d, unsigned flags)
{
	if (take_range(c, d, flags))
		ide_done(c);
}

static void ata_seek(struct ide_channel *c, struct ide_drive *d, unsigned flags)
{
	if (command_lba(c, d, flags) >= total_sectors(d))
		ide_fail(c, ATA_IDNF);
	else
		ide_done(c);
}

static void ata_nothing(struct ide_channel *c, struct ide_drive *d, unsigned flags)
{
	(void)d;
	(void)flags;
	ide_done(c);
}

/* INITIALIZE DEVICE PARAMETERS: sectors per track in the count, heads - 1 in the device register.
 */
static void ata_init_params(struct ide_channel *c, struct ide_drive *d, unsigned flags)
{
	u8 heads = (c->device & 0xf) + 1, sectors = d->nsect[0];
	u64 cyls;

	(void)flags;
	if (!sectors) {
		ide_fail(c, ATA_ABRT);
		return;
	}
	cyls = total_sectors(d) / (heads * sectors);
	d->heads = heads;
	d->sectors = sectors;
	d->cyls = (u16)MAX(MIN(cyls, 65535ull), 1ull);
	ide_done(c);
}

static void ata_set_multiple(struct ide_channel *c, struct ide_drive *d, unsigned flags)
{
	u8 n = d->nsect[0];

	(void)flags;
	if (n > IDE_MAX_MULTIPLE || (n & (n - 1))) {
		ide_fail(c, ATA_ABRT);
		return;
	}
	d->multiple = n;
	ide_done(c);
}

static void ata_set_features(struct ide_channel *c, struct ide_drive *d, unsigned flags)
{
	bool ok = true;

	(void)flags;
	switch (c->feature[0]) {
	case FEATURE_WRITE_CACHE_ON:
	case FEATURE_WRITE_CACHE_OFF:
		d->write_cache = c->feature[0] == FEATURE_WRITE_CACHE_ON;
		break;
	case FEATURE_TRANSFER_MODE:
		ok = ide_set_mode(d, d->nsect[0]);
		break;
	case FEATURE_LOOK_AHEAD_ON:
	case FEATURE_LOOK_AHEAD_OFF:
	case FEATURE_KEEP_SETTINGS:
	case FEATURE_REVERT:
		break;
	default:
		ok = false;
	}
	if (ok)
		ide_done(c);
	else
		ide_fail(c, ATA_ABRT);
}

static void ata_sleep(struct ide_channel *c, struct ide_drive *d, unsigned flags)
{
	(void)flags;
	d->standby = true;
	ide_done(c);
}

static void ata_wake(struct ide_channel *c, struct ide_drive *d, unsigned flags)
{
	(void)flags;
	d->standby = false;
	ide_done(c);
}

static void ata_check_power(struct ide_channel *c, struct ide_drive *d, unsigned flags)
{
	(void)flags;
	d->nsect[0] = d->standby ? SLEEPING : AWAKE;
	ide_done(c);
}

static void ata_native_max(struct ide_channel *c, struct ide_drive *d, unsigned flags)
{
	u64 last = total_sectors(d) ? total_sectors(d) - 1 : 0;

	if (flags & XFER_EXT) {
		set_lba48(d, last);
		ide_done(c);
		return;
	}
	last = MIN(last, MAX_LBA28);
	set_lba48(d, last & 0xffffff);
	c->device = (c->device & 0xf0) | (u8)(last >> 24);
	ide_done(c);
}

/* --- IDENTIFY DEVICE -------------------------------------------------------------------------- */

static void identify_geometry(struct ide_channel *c, struct ide_drive *d)
{
	u64 total = total_sectors(d);
	u32 chs = (u32)d->cyls * d->heads * d->sectors;
	u32 lba28 = (u32)MIN(total, MAX_LBA28);
	u64 cyls = total / (MAX_HEADS * MAX_SECTORS);

	ide_word(c, 1, (u16)MAX(MIN(cyls, (u64)MAX_CYLS), 1ull));
	ide_word(c, 3, MAX_HEADS);
	ide_word(c, 6, MAX_SECTORS);
	ide_word(c, 54, d->cyls);
	ide_word(c, 55, d->heads);
	ide_word(c, 56, d->sectors);
	ide_word(c, 57, (u16)chs);
	ide_word(c, 58, (u16)(chs >> 16));
	ide_word(c, 60, (u16)lba28);
	ide_word(c, 61, (u16)(lba28 >> 16));
	for (unsigned i = 0; i < 4; i++)
		ide_word(c, 100 + i, (u16)(total >> i * 16));
}

static void identify_features(struct ide_channel *c, struct ide_drive *d)
{
	/* Power management, write cache, look-ahead, NOP; LBA48, both flushes; words are valid. */
	u16 set1 = 0x4068, set2 = 0x7400, valid = 0x4000;
	u16 enabled = d->write_cache ? set1 : set1 & ~0x0020;

	ide_word(c, 80, 0x007e); /* ATA-1 to ATA-6 */
	ide_word(c, 82, set1);
	ide_word(c, 83, set2);
	ide_word(c, 84, valid);
	ide_word(c, 85, enabled);
	ide_word(c, 86, set2 & ~0x4000);
	ide_word(c, 87, valid);
	ide_word(c, 93, d == &c->drive[0] ? 0x600b : 0x6b00); /* 80-wire cable, self-test passed */
}

static void ata_identify(struct ide_channel *c, struct ide_drive *d, unsigned flags)
{
	u8 sum = 0;

	(void)flags;
	memset(c->buf, 0, SECTOR);
	ide_word(c, 0, 0x0040); /* fixed disk */
	ide_text(c, 10, 10, "PNB0001");
	ide_word(c, 20, 3);
	ide_word(c, 21, 512); /* buffer: 256 KiB */
	ide_text(c, 23, 4, "1.0");
	ide_text(c, 27, 20, "PENUMBRA HARDDISK");
	ide_word(c, 47, 0x8000 | IDE_MAX_MULTIPLE);
	ide_word(c, 48, 1);	 /* 32-bit data port */
	ide_word(c, 49, 0x0f00); /* IORDY, LBA, DMA */
	ide_word(c, 50, 0x4000);
	ide_word(c, 51, 0x0200);
	ide_word(c, 52, 0x0200);
	ide_word(c, 59, (u16)(d->multiple ? 0x100 | d->multiple : 0));
	identify_geometry(c, d);
	ide_identify_modes(c, d);
	identify_features(c, d);
	c->buf[510] = 0xa5; /* word 255: signature and checksum */
	for (unsigned i = 0; i < SECTOR - 1; i++)
		sum += c->buf[i];
	c->buf[511] = (u8)-sum;
	c->left = 0;
	c->block = SECTOR;
	ide_pio_in(c, SECTOR);
}

/* --- command table ---------------------------------------------------------------------------- */

static const struct ata_command commands[256] = {
	[0x10 ... 0x1f] = {.run = ata_nothing}, /* RECALIBRATE */
	[0x20 ... 0x21] = {.run = ata_transfer},
	[0x24] = {.run = ata_transfer, .flags = XFER_EXT},
	[0x25] = {.run = ata_transfer, .flags = XFER_EXT | XFER_DMA},
	[0x27] = {.run = ata_native_max, .flags = XFER_EXT},
	[0x29] = {.run = ata_transfer, .flags = XFER_EXT | XFER_MULTIPLE},
	[0x30 ... 0x31] = {.run = ata_transfer, .flags = XFER_WRITE},
	[0x34] = {.run = ata_transfer, .flags = XFER_EXT | XFER_WRITE},
	[0x35] = {.run = ata_transfer, .flags = XFER_EXT | XFER_WRITE | XFER_DMA},
	[0x39] = {.run = ata_transfer, .flags = XFER_EXT | XFER_WRITE | XFER_MULTIPLE},
	[0x40 ... 0x41] = {.run = ata_verify},
	[0x42] = {.run = ata_verify, .flags = XFER_EXT},
	[0x70 ... 0x7f] = {.run = ata_seek},
	[0x91] = {.run = ata_init_params},
	[0x94] = {.run = ata_sleep}, /* STANDBY IMMEDIATE */
	[0x95] = {.run = ata_wake},  /* IDLE IMMEDIATE */
	[0x96] = {.run = ata_sleep}, /* STANDBY */
	[0x97] = {.run = ata_wake},  /* IDLE */
	[0x98] = {.run = ata_check_power},
	[0x99] = {.run = ata_sleep}, /* SLEEP */
	[0xc4] = {.run = ata_transfer, .flags = XFER_MULTIPLE},
	[0xc5] = {.run = ata_transfer, .flags = XFER_MULTIPLE | XFER_WRITE},
	[0xc6] = {.run = ata_set_multiple},
	[0xc8 ... 0xc9] = {.run = ata_transfer, .flags = XFER_DMA},
	[0xca ... 0xcb] = {.run = ata_transfer, .flags = XFER_DMA | XFER_WRITE},
	[0xe0] = {.run = ata_sleep},
	[0xe1] = {.run = ata_wake},
	[0xe2] = {.run = ata_sleep},
	[0xe3] = {.run = ata_wake},
	[0xe5] = {.run = ata_check_power},
	[0xe6] = {.run = ata_sleep},
	[0xe7] = {.run = ata_flush},
	[0xea] = {.run = ata_flush},
	[0xec] = {.run = ata_identify},
	[0xef] = {.run = ata_set_features},
	[0xf8] = {.run = ata_native_max},
};

/* Everything else, SMART and packet commands among them, is aborted; so is NOP by definition. */
static void ata_command(struct ide_channel *c, struct ide_drive *d, u8 command)
{
	if (commands[command].run)
		commands[command].run(c, d, commands[command].flags);
	else
		ide_fail(c, ATA_ABRT);
}

static void ata_signature(struct ide_drive *d)
{
	d->lbam[0] = d->lbah[0] = 0;
	d->status = ATA_READY;
}

static void ata_power_on(struct ide_drive *d)
{
	default_geometry(d);
	d->multiple = IDE_MAX_MULTIPLE;
	d->mwdma = IDE_NO_MODE;
	d->udma = 5;
	d->write_cache = true;
	d->standby = false;
}

const struct ide_kind_ops ata_ops = {
	.command = ata_command,
	.filled = ata_filled,
	.drained = ata_drained,
	.medium_done = ata_medium_done,
	.dma_done = ata_dma_done,
	.signature = ata_signature,
	.power_on = ata_power_on,
};
