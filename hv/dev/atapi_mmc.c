/* Packet commands of the CD-ROM drive (MMC-3, SPC-2): one data track with 2048-byte user data.
 * Replies are built in the channel's buffer.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/atapi_int.h"
#include "lib/str.h"

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

static u32 disc_blocks(const struct ide_drive *d)
{
	return atapi_disc_in(d) ? (u32)MIN(d->blk->size / ATAPI_BLOCK, 0xffffffffull) : 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

static void read_blocks(struct ide_channel *c, struct ide_drive *d, u32 lba, u32 n)
{
	u32 total = disc_blocks(d);

	if (lba > total || n > total - lba) {
		atapi_check(c, d, BAD_LBA);
		return;
	}
	if (!n) {
		atapi_good(c, d);
		return;
	}
	c->write = c->buffered = false;
	c->offset = (u64)lba * ATAPI_BLOCK;
	c->left = (u64)n * ATAPI_BLOCK;
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
		atapi_check(c, d, BAD_FIELD);
	else if (!(p[9] & READ_CD_FIELDS))
		atapi_good(c, d);
	else if ((p[9] & READ_CD_FIELDS) != READ_CD_USER_DATA)
		atapi_check(c, d, BAD_FIELD);
	else
		read_blocks(c, d, be32(p + 2), n);
}

static void cmd_verify(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	u32 lba = be32(p + 2), n = be16(p + 7), total = disc_blocks(d);

	if (lba > total || n > total - lba)
		atapi_check(c, d, BAD_LBA);
	else
		atapi_good(c, d);
}

static void cmd_seek(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	if (be32(p + 2) >= disc_blocks(d))
		atapi_check(c, d, BAD_LBA);
	else
		atapi_good(c, d);
}

static void cmd_read_capacity(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	(void)p;
	put32(c->buf, disc_blocks(d) - 1);
	put32(c->buf + 4, ATAPI_BLOCK);
	atapi_reply(c, d, 8, 8);
}

/* --- table of contents ------------------------------------------------------------------------ */

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
		atapi_check(c, d, BAD_FIELD);
		return;
	}
	if (format == 0) {
		len = toc_tracks(c->buf, p[6], disc_blocks(d), msf);
	} else if (format == 1) {
		len = toc_session(c->buf, msf);
	} else if (format == 2) {
		len = toc_raw(c->buf, disc_blocks(d));
	} else {
		atapi_check(c, d, BAD_FIELD);
		return;
	}
	put16(c->buf, (u16)(len - 2));
	atapi_reply(c, d, len, be16(p + 7));
}

/* --- what the drive is ------------------------------------------------------------------------ */

static void text(u8 *p, unsigned len, const char *s)
{
	size_t n = strlen(s);

	memset(p, ' ', len);
	memcpy(p, s, MIN(n, (size_t)len));
}

static void cmd_inquiry(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	if ((p[1] & 3) || p[2]) { /* no vital product data */
		atapi_check(c, d, BAD_FIELD);
		return;
	}
	c->buf[0] = 0x05; /* CD-ROM */
	c->buf[1] = 0x80; /* removable */
	c->buf[3] = 0x21; /* ATAPI */
	c->buf[4] = 31;
	text(c->buf + 8, 8, "PENUMBRA");
	text(c->buf + 16, 16, "CD-ROM");
	text(c->buf + 32, 4, "1.0");
	atapi_reply(c, d, 36, be16(p + 3));
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
	atapi_reply(c, d, 18, p[4]);
}

#define PROFILE_CD_ROM	0x0008u
#define PROFILE_DVD_ROM 0x0010u
#define CD_MAX_BLOCKS	(80u * 60 * FRAMES)

static u16 current_profile(const struct ide_drive *d)
{
	if (!atapi_disc_in(d))
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
	atapi_reply(c, d, len, be16(p + 7));
}

#define EVENT_MEDIA_CLASS 4u

static void cmd_event_status(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	u32 len = 4;

	if (!(p[1] & 1)) { /* asynchronous notification is not for ATAPI */
		atapi_check(c, d, BAD_FIELD);
		return;
	}
	c->buf[3] = BIT(EVENT_MEDIA_CLASS);
	if (p[4] & BIT(EVENT_MEDIA_CLASS)) {
		c->buf[2] = EVENT_MEDIA_CLASS;
		c->buf[4] = d->attention.asc == 0x28 ? 2 : 0; /* new media, or no change */
		c->buf[5] = (u8)(atapi_disc_in(d) << 1 | d->tray_open);
		len = 8;
	} else {
		c->buf[2] = 0x80; /* no event of the classes asked for */
	}
	put16(c->buf, (u16)(len - 2));
	atapi_reply(c, d, len, be16(p + 7));
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
	u8 medium = d->tray_open ? 0x71 : atapi_disc_in(d) ? 0x01 : 0x70;

	if (!len || p[2] >> 6 == 3) { /* saved values do not exist */
		atapi_check(c, d, BAD_FIELD);
		return;
	}
	if (header == 4) {
		c->buf[0] = (u8)(len - 1);
		c->buf[1] = medium;
	} else {
		put16(c->buf, (u16)(len - 2));
		c->buf[2] = medium;
	}
	atapi_reply(c, d, len, alloc);
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
	atapi_reply(c, d, 34, be16(p + 7));
}

static void cmd_mechanism_status(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	c->buf[1] = d->tray_open ? 0x10 : 0;
	atapi_reply(c, d, 8, be16(p + 8));
}

/* --- tray ------------------------------------------------------------------------------------- */

static void cmd_nothing(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	(void)p;
	atapi_good(c, d);
}

static void cmd_prevent(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	d->locked = p[4] & 1;
	atapi_good(c, d);
}

static void cmd_start_stop(struct ide_channel *c, struct ide_drive *d, const u8 *p)
{
	bool load = p[4] & 2, start = p[4] & 1;

	if (load && !start && d->locked) {
		atapi_check(c, d, REMOVAL_PREVENTED);
		return;
	}
	if (load && start && d->tray_open)
		d->attention = MEDIUM_CHANGED;
	if (load)
		d->tray_open = !start;
	atapi_good(c, d);
}

/* --- which there are ------------------------------------------------------------------------- */

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

const struct packet_command *atapi_packet_command(u8 opcode)
{
	return &packets[opcode];
}
