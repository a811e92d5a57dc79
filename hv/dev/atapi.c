/* CD-ROM drive: packet commands (MMC-3, SPC-2) over the ATA PACKET interface. See ide.h.
 *
 * One data track with 2048-byte user data. Replies are built in the channel's buffer; READ goes
 * from the medium to the buffer (PIO) or straight to guest memory (DMA).
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/ide_int.h"
#include "lib/errno.h"
#include "lib/str.h"

#define BLOCK	   2048u
#define PACKET_LEN 12u

/* Interrupt reason, in the sector count register */
#define REASON_COMMAND 1u
#define REASON_TO_HOST 2u

/* FEATURES of the PACKET command */
#define PACKET_DMA     1u
#define PACKET_OVERLAP 2u

/* Sense keys */
#define KEY_NOT_READY	    2u
#define KEY_MEDIUM_ERROR    3u
#define KEY_ILLEGAL_REQUEST 5u
#define KEY_UNIT_ATTENTION  6u
#define KEY_ABORTED	    11u

#define SENSE(k, a, q)                                                                             \
	(struct ide_sense)                                                                         \
	{                                                                                          \
		.key = (k), .asc = (a), .ascq = (q)                                                \
	}
#define NO_SENSE	  SENSE(0, 0, 0)
#define NO_MEDIUM	  SENSE(KEY_NOT_READY, 0x3a, 0x00)
#define TRAY_OPEN	  SENSE(KEY_NOT_READY, 0x3a, 0x02)
#define READ_ERROR	  SENSE(KEY_MEDIUM_ERROR, 0x11, 0x00)
#define BAD_OPCODE	  SENSE(KEY_ILLEGAL_REQUEST, 0x20, 0x00)
#define BAD_LBA		  SENSE(KEY_ILLEGAL_REQUEST, 0x21, 0x00)
#define BAD_FIELD	  SENSE(KEY_ILLEGAL_REQUEST, 0x24, 0x00)
#define REMOVAL_PREVENTED SENSE(KEY_ILLEGAL_REQUEST, 0x53, 0x02)
#define BUS_RESET	  SENSE(KEY_UNIT_ATTENTION, 0x29, 0x00)
#define MEDIUM_CHANGED	  SENSE(KEY_UNIT_ATTENTION, 0x28, 0x00)
#define DMA_FAILED	  SENSE(KEY_ABORTED, 0x00, 0x00)

/* A packet command is refused in these states unless its flags say otherwise. */
#define PK_MEDIUM    1u /* needs a disc */
#define PK_ATTENTION 2u /* runs although a unit attention is pending */

struct packet_command {
	void (*run)(struct ide_channel *c, struct ide_drive *d, const u8 *p);
	u8 flags;
};

static u16 be16(const u8 *p)
{
	return (u16)(p[0] << 8 | p[1]);
}

static u32 be32(const u8 *p)
{
	return (u32)be16(p) << 16 | be16(p + 2);
}

static void put16(u8 *p, u16 v)
{
	p[0] = (u8)(v >> 8);
	p[1] = (u8)v;
}

static void put32(u8 *p, u32 v)
{
	put16(p, (u16)(v >> 16));
	put16(p + 2, (u16)v);
}

static bool disc_in(const struct ide_drive *d)
{
	return d->blk && !d->tray_open && d->blk->size >= BLOCK;
}

static u32 disc_blocks(const struct ide_drive *d)
{
	return disc_in(d) ? (u32)MIN(d->blk->size / BLOCK, 0xffffffffull) : 0;
}

/* --- how a packet command ends --- */

static void packet_good(struct ide_channel *c, struct ide_drive *d)
{
	d->nsect[0] = REASON_COMMAND | REASON_TO_HOST;
	ide_done(c);
}

static void packet_check(struct ide_channel *c, struct ide_drive *d, struct ide_sense sense)
{
	d->sense = sense;
	d->nsect[0] = REASON_COMMAND | REASON_TO_HOST;
	ide_fail(c, (u8)(sense.key << 4 | ATA_ABRT));
}

/* Return @len bytes of buf, at most @alloc. */
static void packet_reply(struct ide_channel *c, struct ide_drive *d, u32 len, u32 alloc)
{
	len = MIN(len, alloc);
	c->left = 0;
	if (!len) {
		packet_good(c, d);
	} else if (d->dma) {
		c->write = false;
		c->buffered = true;
		c->pos = 0;
		c->end = len;
		ide_dma_want(c);
	} else {
		ide_pio_in(c, len);
	}
}

static void atapi_block(struct ide_drive *d, u32 len)
{
	if (!d->packet || d->nsect[0] == REASON_COMMAND)
		return; /* IDENTIFY, or the packet itself */
	d->nsect[0] = REASON_TO_HOST;
	d->lbam[0] = (u8)len;
	d->lbah[0] = (u8)(len >> 8);
}

static void atapi_drained(struct ide_channel *c, struct ide_drive *d)
{
	if (!d->packet)
		ide_quiet(c);
	else if (c->left)
		ide_read_part(c);
	else
		packet_good(c, d);
}

static void atapi_medium_done(struct ide_channel *c, struct ide_drive *d, int status)
{
	if (status) {
		packet_check(c, d, READ_ERROR);
		return;
	}
	ide_part_done(c);
	ide_pio_in(c, c->req_len);
}

static void atapi_dma_done(struct ide_channel *c, struct ide_drive *d, int status)
{
	if (!status)
		packet_good(c, d);
	else
		packet_check(c, d, status == -EIO ? READ_ERROR : DMA_FAILED);
}

/* --- reading
 * -------------------------------------------------------------------------------------- */

static void read_blocks(struct ide_channel *c, struct ide_drive *d, u32 lba, u32 n)
{
	u32 total = disc_blocks(d);

	if (lba > total || n > total - lba) {
		packet_check(c, d, BAD_LBA);
		return;
	}
	if (!n) {
		packet_good(c, d);
		return;
	}
	c->write = c->buffered = false;
	c->offset = (u64)lba * BLOCK;
	c->left = (u64)n * BLOCK;
	if (d->dma)
		ide_dma_want(c);
	else
		ide_read_part(c);
}

static void cmd_read10(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	read_blocks(c, d, be32(p + 2), be16(p + 7));
}

static void cmd_read12(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	read_blocks(c, d, be32(p + 2), be32(p + 6));
}

#define READ_CD_FIELDS	  0xf8u
#define READ_CD_USER_DATA 0x10u

/* READ CD: only the user data of Mode 1 sectors exists here. */
static void cmd_read_cd(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	u32 n = (u32)p[6] << 16 | be16(p + 7);
	unsigned type = p[1] >> 2 & 7;

	if ((type != 0 && type != 2) || (p[10] & 7))
		packet_check(c, d, BAD_FIELD);
	else if (!(p[9] & READ_CD_FIELDS))
		packet_good(c, d);
	else if ((p[9] & READ_CD_FIELDS) != READ_CD_USER_DATA)
		packet_check(c, d, BAD_FIELD);
	else
		read_blocks(c, d, be32(p + 2), n);
}

static void cmd_verify(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	u32 lba = be32(p + 2), n = be16(p + 7), total = disc_blocks(d);

	if (lba > total || n > total - lba)
		packet_check(c, d, BAD_LBA);
	else
		packet_good(c, d);
}

static void cmd_seek(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	if (be32(p + 2) >= disc_blocks(d))
		packet_check(c, d, BAD_LBA);
	else
		packet_good(c, d);
}

static void cmd_read_capacity(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	(void)p;
	put32(c->buf, disc_blocks(d) - 1);
	put32(c->buf + 4, BLOCK);
	packet_reply(c, d, 8, 8);
}

/* --- table of contents
 * ----------------------------------------------------------------------------- */

#define ADR_DATA 0x14u /* ADR 1, data track */
#define LEAD_OUT 0xaau
#define FRAMES	 75u

/* An address as minute:second:frame (2 s ahead of block 0) or as a block number. */
static void put_address(u8 *p, u32 lba, bool msf)
{
	u32 f = lba + 2 * FRAMES;

	if (!msf) {
		put32(p, lba);
		return;
	}
	p[0] = 0;
	p[1] = (u8)MIN(f / FRAMES / 60, 255u);
	p[2] = (u8)(f / FRAMES % 60);
	p[3] = (u8)(f % FRAMES);
}

static u32 toc_track(u8 *p, u8 track, u32 lba, bool msf)
{
	p[1] = ADR_DATA;
	p[2] = track;
	put_address(p + 4, lba, msf);
	return 8;
}

static u32 toc_tracks(u8 *buf, u8 start, u32 blocks, bool msf)
{
	u32 len = 4;

	buf[2] = buf[3] = 1; /* first and last track */
	if (start <= 1)
		len += toc_track(buf + len, 1, 0, msf);
	return len + toc_track(buf + len, LEAD_OUT, blocks, msf);
}

static u32 toc_session(u8 *buf, bool msf)
{
	buf[2] = buf[3] = 1; /* first and last session */
	return 4 + toc_track(buf + 4, 1, 0, msf);
}

/* Format 2, raw Q channel: POINT A0, A1 (first, last track), A2 (lead-out), then the track. */
static u32 toc_raw(u8 *buf, u32 blocks)
{
	static const u8 point[4] = {0xa0, 0xa1, 0xa2, 1};
	u32 len = 4;

	buf[2] = buf[3] = 1;
	for (unsigned i = 0; i < ARRAY_SIZE(point); i++, len += 11) {
		u8 *e = buf + len;

		e[0] = 1; /* session */
		e[1] = ADR_DATA;
		e[3] = point[i];
		if (point[i] < 0xa2 && point[i] > 1)
			e[8] = 1; /* PMIN: track number */
		else
			put_address(e + 7, point[i] == 1 ? 0 : blocks, true);
	}
	return len;
}

static void cmd_read_toc(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	unsigned format = p[2] & 0xf ? p[2] & 0xf : p[9] >> 6;
	bool msf = p[1] & 2;
	u32 len;

	if (format == 0 && p[6] > 1 && p[6] != LEAD_OUT) {
		packet_check(c, d, BAD_FIELD);
		return;
	}
	if (format == 0) {
		len = toc_tracks(c->buf, p[6], disc_blocks(d), msf);
	} else if (format == 1) {
		len = toc_session(c->buf, msf);
	} else if (format == 2) {
		len = toc_raw(c->buf, disc_blocks(d));
	} else {
		packet_check(c, d, BAD_FIELD);
		return;
	}
	put16(c->buf, (u16)(len - 2));
	packet_reply(c, d, len, be16(p + 7));
}

/* --- what the drive is
 * ----------------------------------------------------------------------------- */

static void text(u8 *p, unsigned len, const char *s)
{
	size_t n = strlen(s);

	memset(p, ' ', len);
	memcpy(p, s, MIN(n, (size_t)len));
}

static void cmd_inquiry(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	if ((p[1] & 3) || p[2]) { /* no vital product data */
		packet_check(c, d, BAD_FIELD);
		return;
	}
	c->buf[0] = 0x05; /* CD-ROM */
	c->buf[1] = 0x80; /* removable */
	c->buf[3] = 0x21; /* ATAPI */
	c->buf[4] = 31;
	text(c->buf + 8, 8, "PENUMBRA");
	text(c->buf + 16, 16, "CD-ROM");
	text(c->buf + 32, 4, "1.0");
	packet_reply(c, d, 36, be16(p + 3));
}

static void cmd_request_sense(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	struct ide_sense s = d->sense;

	if (!s.key && d->attention.key) {
		s = d->attention;
		d->attention = NO_SENSE;
	}
	d->sense = NO_SENSE;
	c->buf[0] = 0xf0; /* current error, fixed format */
	c->buf[2] = s.key;
	c->buf[7] = 10;
	c->buf[12] = s.asc;
	c->buf[13] = s.ascq;
	packet_reply(c, d, 18, p[4]);
}

#define PROFILE_CD_ROM	0x0008u
#define PROFILE_DVD_ROM 0x0010u
#define CD_MAX_BLOCKS	(80u * 60 * FRAMES)

static u16 current_profile(const struct ide_drive *d)
{
	if (!disc_in(d))
		return 0;
	return disc_blocks(d) > CD_MAX_BLOCKS ? PROFILE_DVD_ROM : PROFILE_CD_ROM;
}

struct feature {
	u16 code;
	u8 version; /* byte 2: version << 2, persistent, current */
	u8 len;
	u8 data[8];
};

static const struct feature features[] = {
	{.code = 0x0000, .version = 0x03, .len = 8, .data = {0, 0x10, 0, 0, 0, 0x08, 0, 0}},
	{.code = 0x0001,
	 .version = 0x0b,
	 .len = 8,
	 .data = {0, 0, 0, 2, 1, 0, 0, 0}},			     /* core: ATAPI */
	{.code = 0x0003, .version = 0x03, .len = 4, .data = {0x29}}, /* tray, eject, lock */
	{.code = 0x0010,
	 .version = 0x01,
	 .len = 8,
	 .data = {0, 0, 8, 0, 0, 1, 0, 0}},	     /* random read */
	{.code = 0x001e, .version = 0x09, .len = 4}, /* CD read */
	{.code = 0x001f, .version = 0x01},	     /* DVD read */
};

/* Profiles say which is current; features of the other kind of disc are not. */
static void put_feature(u8 *p, const struct feature *f, u16 profile)
{
	bool other = (f->code == 0x001e && profile != PROFILE_CD_ROM) ||
		     (f->code == 0x001f && profile != PROFILE_DVD_ROM) ||
		     (f->code == 0x0010 && !profile);

	put16(p, f->code);
	p[2] = other ? f->version & 0xfe : f->version;
	p[3] = f->len;
	memcpy(p + 4, f->data, f->len);
	if (f->code == 0) {
		p[6] = profile == PROFILE_DVD_ROM;
		p[10] = profile == PROFILE_CD_ROM;
	}
}

static void cmd_get_configuration(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	unsigned rt = p[1] & 3; /* 0 all, 1 current ones, 2 just one */
	u16 start = be16(p + 2), profile = current_profile(d);
	u32 len = 8;

	for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
		const struct feature *f = &features[i];

		if (f->code < start || (rt == 2 && f->code != start))
			continue;
		put_feature(c->buf + len, f, profile);
		if (rt != 1 || (c->buf[len + 2] & 1))
			len += 4u + f->len;
	}
	put32(c->buf, len - 4);
	put16(c->buf + 6, profile);
	packet_reply(c, d, len, be16(p + 7));
}

#define EVENT_MEDIA_CLASS 4u

static void cmd_event_status(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	u32 len = 4;

	if (!(p[1] & 1)) { /* asynchronous notification is not for ATAPI */
		packet_check(c, d, BAD_FIELD);
		return;
	}
	c->buf[3] = BIT(EVENT_MEDIA_CLASS);
	if (p[4] & BIT(EVENT_MEDIA_CLASS)) {
		c->buf[2] = EVENT_MEDIA_CLASS;
		c->buf[4] = d->attention.asc == 0x28 ? 2 : 0; /* new media, or no change */
		c->buf[5] = (u8)(disc_in(d) << 1 | d->tray_open);
		len = 8;
	} else {
		c->buf[2] = 0x80; /* no event of the classes asked for */
	}
	put16(c->buf, (u16)(len - 2));
	packet_reply(c, d, len, be16(p + 7));
}

#define PAGE_ERROR_RECOVERY 0x01u
#define PAGE_CAPABILITIES   0x2au
#define PAGE_ALL	    0x3fu

static u32 mode_error_recovery(u8 *p)
{
	p[0] = PAGE_ERROR_RECOVERY;
	p[1] = 6;
	p[3] = 5; /* retries */
	return 8;
}

static u32 mode_capabilities(u8 *p, const struct ide_drive *d)
{
	p[0] = PAGE_CAPABILITIES;
	p[1] = 20;
	p[2] = 0x3b;			    /* reads CD-R, CD-RW, DVD-ROM, DVD-R */
	p[4] = 0x70;			    /* Mode 2 forms, multi-session */
	p[6] = (u8)(0x29 | d->locked << 1); /* tray, eject, lock */
	put16(p + 8, 50 * 176);		    /* maximum speed, KB/s */
	put16(p + 10, 2);
	put16(p + 12, 512); /* buffer, KiB */
	put16(p + 14, 50 * 176);
	return 22;
}

/* Pages after a header of @header bytes; 0 when the page is unknown. */
static u32 mode_pages(u8 *buf, const struct ide_drive *d, u8 page, u32 header)
{
	u32 len = header;

	if (page == PAGE_ERROR_RECOVERY || page == PAGE_ALL)
		len += mode_error_recovery(buf + len);
	if (page == PAGE_CAPABILITIES || page == PAGE_ALL)
		len += mode_capabilities(buf + len, d);
	return len == header ? 0 : len;
}

static void mode_sense(struct ide_channel *c, struct ide_drive *d, const u8 *p, u32 header,
		       u32 alloc)
{
	u32 len = mode_pages(c->buf, d, p[2] & 0x3f, header);
	u8 medium = d->tray_open ? 0x71 : disc_in(d) ? 0x01 : 0x70;

	if (!len || p[2] >> 6 == 3) { /* saved values do not exist */
		packet_check(c, d, BAD_FIELD);
		return;
	}
	if (header == 4) {
		c->buf[0] = (u8)(len - 1);
		c->buf[1] = medium;
	} else {
		put16(c->buf, (u16)(len - 2));
		c->buf[2] = medium;
	}
	packet_reply(c, d, len, alloc);
}

static void cmd_mode_sense6(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	mode_sense(c, d, p, 4, p[4]);
}

static void cmd_mode_sense10(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	mode_sense(c, d, p, 8, be16(p + 7));
}

static void cmd_disc_info(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	put16(c->buf, 32);
	c->buf[2] = 0x0e; /* complete disc, complete last session */
	c->buf[3] = c->buf[4] = c->buf[5] = c->buf[6] = 1;
	c->buf[7] = 0x20;	      /* unrestricted use */
	memset(c->buf + 16, 0xff, 8); /* no further lead-in or lead-out */
	packet_reply(c, d, 34, be16(p + 7));
}

static void cmd_mechanism_status(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	c->buf[1] = d->tray_open ? 0x10 : 0;
	packet_reply(c, d, 8, be16(p + 8));
}

/* --- tray
 * ------------------------------------------------------------------------------------------ */

static void cmd_nothing(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	(void)p;
	packet_good(c, d);
}

static void cmd_prevent(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	d->locked = p[4] & 1;
	packet_good(c, d);
}

static void cmd_start_stop(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	bool load = p[4] & 2, start = p[4] & 1;

	if (load && !start && d->locked) {
		packet_check(c, d, REMOVAL_PREVENTED);
		return;
	}
	if (load && start && d->tray_open)
		d->attention = MEDIUM_CHANGED;
	if (load)
		d->tray_open = !start;
	packet_good(c, d);
}

/* --- packet dispatch
 * ------------------------------------------------------------------------------- */

static const struct packet_command packets[256] = {
	[0x00] = {.run = cmd_nothing, .flags = PK_MEDIUM}, /* TEST UNIT READY */
	[0x03] = {.run = cmd_request_sense, .flags = PK_ATTENTION},
	[0x12] = {.run = cmd_inquiry, .flags = PK_ATTENTION},
	[0x1a] = {.run = cmd_mode_sense6},
	[0x1b] = {.run = cmd_start_stop},
	[0x1e] = {.run = cmd_prevent},
	[0x25] = {.run = cmd_read_capacity, .flags = PK_MEDIUM},
	[0x28] = {.run = cmd_read10, .flags = PK_MEDIUM},
	[0x2b] = {.run = cmd_seek, .flags = PK_MEDIUM},
	[0x2f] = {.run = cmd_verify, .flags = PK_MEDIUM},
	[0x43] = {.run = cmd_read_toc, .flags = PK_MEDIUM},
	[0x46] = {.run = cmd_get_configuration, .flags = PK_ATTENTION},
	[0x4a] = {.run = cmd_event_status, .flags = PK_ATTENTION},
	[0x51] = {.run = cmd_disc_info, .flags = PK_MEDIUM},
	[0x5a] = {.run = cmd_mode_sense10},
	[0xa8] = {.run = cmd_read12, .flags = PK_MEDIUM},
	[0xbb] = {.run = cmd_nothing}, /* SET CD SPEED */
	[0xbd] = {.run = cmd_mechanism_status},
	[0xbe] = {.run = cmd_read_cd, .flags = PK_MEDIUM},
};

#define REPLY_MAX 256u /* every reply that is built in buf is shorter */

static void packet_run(struct ide_channel *c, struct ide_drive *d)
{
	const struct packet_command *cmd;
	u8 p[PACKET_LEN];

	memcpy(p, c->buf, sizeof(p));
	memset(c->buf, 0, REPLY_MAX);
	d->nsect[0] = 0;
	cmd = &packets[p[0]];
	if (!cmd->run) {
		packet_check(c, d, BAD_OPCODE);
	} else if (d->attention.key && !(cmd->flags & PK_ATTENTION)) {
		struct ide_sense attention = d->attention;

		d->attention = NO_SENSE;
		packet_check(c, d, attention);
	} else if ((cmd->flags & PK_MEDIUM) && !disc_in(d)) {
		packet_check(c, d, d->tray_open ? TRAY_OPEN : NO_MEDIUM);
	} else {
		if (p[0] != 0x03)
			d->sense = NO_SENSE;
		cmd->run(c, d, p);
	}
}

/* The only data a CD-ROM takes is the packet. */
static void atapi_filled(struct ide_channel *c, struct ide_drive *d)
{
	packet_run(c, d);
}

/* --- ATA commands of a packet drive
 * ---------------------------------------------------------------- */

static void packet_begin(struct ide_channel *c, struct ide_drive *d)
{
	u32 limit = d->lbam[0] | (u32)d->lbah[0] << 8;

	if (c->feature[0] & PACKET_OVERLAP) {
		ide_fail(c, ATA_ABRT);
		return;
	}
	d->dma = c->feature[0] & PACKET_DMA;
	d->packet = true;
	limit &= ~1u; /* an odd limit counts only for the last block */
	d->nsect[0] = REASON_COMMAND;
	c->block = PACKET_LEN;
	ide_pio_out(c, PACKET_LEN, false);
	c->block = limit ? limit : 0xfffe;
}

static void identify_packet(struct ide_channel *c, struct ide_drive *d)
{
	memset(c->buf, 0, 512);
	ide_word(c, 0, 0x85c0); /* ATAPI CD-ROM, removable, quick DRQ, 12-byte packets */
	ide_text(c, 10, 10, "PNB0002");
	ide_word(c, 20, 3);
	ide_word(c, 21, 512);
	ide_text(c, 23, 4, "1.0");
	ide_text(c, 27, 20, "PENUMBRA CD-ROM");
	ide_word(c, 48, 1);
	ide_word(c, 49, 0x0f00); /* IORDY, LBA, DMA */
	ide_word(c, 51, 0x0200);
	ide_word(c, 52, 0x0200);
	ide_identify_modes(c, d);
	ide_word(c, 80, 0x007e);
	ide_word(c, 82, 0x4210); /* NOP, DEVICE RESET, PACKET */
	ide_word(c, 83, 0x4000);
	ide_word(c, 84, 0x4000);
	ide_word(c, 85, 0x4210);
	ide_word(c, 87, 0x4000);
	ide_word(c, 93, d == &c->drive[0] ? 0x600b : 0x6b00);
	c->left = 0;
	c->block = 512;
	ide_pio_in(c, 512);
}

static void atapi_signature(struct ide_drive *d)
{
	d->nsect[0] = d->lbal[0] = 1;
	d->lbam[0] = 0x14;
	d->lbah[0] = 0xeb;
	d->status = 0; /* not ready for ATA commands until a packet command */
}

/* DEVICE RESET: signature, diagnostic code, no interrupt. */
static void device_reset(struct ide_channel *c, struct ide_drive *d)
{
	c->device &= ATA_DEV_SLAVE;
	d->error = 1;
	atapi_signature(d);
}

static void atapi_set_features(struct ide_channel *c, struct ide_drive *d)
{
	if (c->feature[0] == 0x03 && ide_set_mode(d, d->nsect[0]))
		ide_done(c);
	else
		ide_fail(c, ATA_ABRT);
}

/* Disk commands are aborted; IDENTIFY and READ also show the signature, by which old drivers find
 * packet drives (ATA-6 §9.12). */
static void atapi_command(struct ide_channel *c, struct ide_drive *d, u8 command)
{
	d->packet = false;
	switch (command) {
	case 0x08:
		device_reset(c, d);
		break;
	case 0xa0:
		packet_begin(c, d);
		break;
	case 0xa1:
		identify_packet(c, d);
		break;
	case 0xef:
		atapi_set_features(c, d);
		break;
	case 0xe0: /* STANDBY IMMEDIATE */
	case 0xe1: /* IDLE IMMEDIATE */
	case 0xe6: /* SLEEP */
		ide_done(c);
		break;
	case 0xe5: /* CHECK POWER MODE: active */
		d->nsect[0] = 0xff;
		ide_done(c);
		break;
	case 0x20:
	case 0xec:
		atapi_signature(d);
		ide_fail(c, ATA_ABRT);
		break;
	default:
		ide_fail(c, ATA_ABRT);
	}
}

static void atapi_power_on(struct ide_drive *d)
{
	d->mwdma = IDE_NO_MODE;
	d->udma = 5;
	d->sense = NO_SENSE;
	d->attention = BUS_RESET;
	d->locked = d->tray_open = false;
}

const struct ide_kind_ops atapi_ops = {
	.command = atapi_command,
	.block = atapi_block,
	.filled = atapi_filled,
	.drained = atapi_drained,
	.medium_done = atapi_medium_done,
	.dma_done = atapi_dma_done,
	.signature = atapi_signature,
	.power_on = atapi_power_on,
};
