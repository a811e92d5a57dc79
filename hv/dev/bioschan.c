/* BIOS channel. See bioschan.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/bioschan.h"

#include "lib/errno.h"
#include "lib/str.h"

/* --- items ------------------------------------------------------------------------------------ */

static u8 item_byte(const struct bioschan *b, u32 pos)
{
	static const char signature[] = BIOSCHAN_SIGNATURE_TEXT;

	if (b->item == BIOSCHAN_SIGNATURE && pos < sizeof(signature) - 1)
		return (u8)signature[pos];
	if (b->item == BIOSCHAN_CONFIG && pos < sizeof(b->config))
		return ((const u8 *)&b->config)[pos];
	return 0;
}

/* A medium may have been opened since the board was built. */
static void drive_sizes(struct bioschan *b)
{
	for (unsigned i = 0; i < BIOS_MAX_DRIVES; i++)
		if (b->drive[i])
			b->config.drive[i].sectors =
				b->drive[i]->size / b->config.drive[i].sector_size;
}

static u8 next_byte(struct bioschan *b)
{
	u8 byte = item_byte(b, b->pos);

	if (b->pos < UINT32_MAX)
		b->pos++;
	return byte;
}

/* --- disk ------------------------------------------------------------------------------------- */

static void report(const struct bioschan *b, gpa_t req_gpa, u32 status)
{
	const struct dev_host *h = b->host;

	/* A request that is not in RAM has nobody to report to. */
	(void)h->ops->mem_write(h->ctx, req_gpa + offsetof(struct bios_disk_req, status), &status,
				sizeof(status));
}

static u32 status_of(int err)
{
	switch (err) {
	case 0:
		return BIOS_DISK_OK;
	case -EFAULT:
		return BIOS_DISK_BAD_MEMORY;
	default:
		return BIOS_DISK_CONTROLLER;
	}
}

/* Ask the medium for the next part: as much as one request may have. */
static void next_part(struct bioschan *b)
{
	b->seg.len = (u32)MIN(b->left, (u64)BLK_MAX_BYTES);
	b->left -= b->seg.len;
	blk_submit(b->inflight, &b->req);
	blk_submit_end(b->inflight);
}

static void disk_done(struct blk_req *req, int err)
{
	struct bioschan *b = req->arg;

	if (!err && b->left) {
		b->seg.gpa += b->seg.len;
		req->offset += b->seg.len;
		next_part(b);
		return;
	}
	b->busy = false;
	report(b, b->req_gpa, status_of(err));
	irq_line_set(&b->irq, true);
}

/* What is wrong with @r, as an INT 13h status; BIOS_DISK_OK: nothing. */
static u32 disk_check(const struct bioschan *b, const struct bios_disk_req *r)
{
	const struct blk *drive;
	u64 sectors, bytes;

	if (r->op != BIOS_DISK_READ && r->op != BIOS_DISK_WRITE)
		return BIOS_DISK_BAD_COMMAND;
	if (r->drive >= BIOS_MAX_DRIVES || !b->drive[r->drive] || b->busy)
		return BIOS_DISK_NOT_READY;
	if (r->count > BIOSCHAN_MAX_SECTORS)
		return BIOS_DISK_BAD_COMMAND;
	drive = b->drive[r->drive];
	sectors = b->config.drive[r->drive].sectors;
	if (r->lba > sectors || r->count > sectors - r->lba)
		return BIOS_DISK_NOT_FOUND;
	bytes = (u64)r->count * b->config.drive[r->drive].sector_size;
	if (r->gpa + bytes < r->gpa)
		return BIOS_DISK_BAD_MEMORY;
	if (r->op == BIOS_DISK_WRITE && drive->readonly)
		return BIOS_DISK_PROTECTED;
	return BIOS_DISK_OK;
}

/* Serve at once what is in memory; the rest answers by disk_done(). */
static void disk_start(struct bioschan *b, gpa_t req_gpa, const struct bios_disk_req *r)
{
	struct blk *drive = b->drive[r->drive];
	u32 sector_size = b->config.drive[r->drive].sector_size;

	b->seg = (struct blk_seg){.gpa = r->gpa, .len = r->count * sector_size};
	b->req = (struct blk_req){
		.op = r->op == BIOS_DISK_WRITE ? BLK_WRITE : BLK_READ,
		.fua = r->op == BIOS_DISK_WRITE, /* INT 13h has no flush */
		.offset = r->lba * sector_size,
		.seg = &b->seg,
		.nseg = 1,
		.done = disk_done,
		.arg = b,
	};
	b->disk_requests++;
	b->disk_bytes += b->seg.len;
	if (drive->ops->rw_now) {
		report(b, req_gpa, status_of(drive->ops->rw_now(drive, &b->req)));
		return;
	}
	b->busy = true;
	b->req_gpa = req_gpa;
	b->inflight = drive;
	b->left = b->seg.len;
	irq_line_set(&b->irq, false);
	next_part(b);
}

static void disk_request(struct bioschan *b, gpa_t req_gpa)
{
	const struct dev_host *h = b->host;
	struct bios_disk_req r;
	u32 status;

	if (h->ops->mem_read(h->ctx, req_gpa, &r, sizeof(r)))
		return;
	status = disk_check(b, &r);
	if (status != BIOS_DISK_OK || !r.count)
		report(b, req_gpa, status);
	else
		disk_start(b, req_gpa, &r);
}

/* --- ports ------------------------------------------------------------------------------------ */

static void text(struct bioschan *b, u16 port, const char *buf, unsigned n)
{
	void (*fn)(void *ctx, const char *chars, unsigned count) = NULL;

	if (b->ops)
		fn = port == BIOSCHAN_PORT_TEXT ? b->ops->text : b->ops->log;
	if (fn)
		fn(b->ctx, buf, n);
}

static void event(struct bioschan *b, u8 value)
{
	const struct dev_host *h = b->host;

	if (b->ops && b->ops->event)
		b->ops->event(b->ctx, value);
	if (value == BIOS_EVENT_POWER_OFF)
		h->ops->machine_event(h->ctx, MACHINE_POWER_OFF, 0);
}

static u32 port_read(void *dev, u16 port, unsigned size)
{
	const struct bioschan *b = dev;

	if (port == BIOSCHAN_PORT_DISK && size == 1)
		irq_line_set(&b->irq, false);
	if (port != BIOSCHAN_PORT_DATA || size != 1)
		return 0xffffffff;
	return next_byte(dev);
}

static void port_write(void *dev, u16 port, unsigned size, u32 value)
{
	struct bioschan *b = dev;
	char ch = (char)value;

	if (port == BIOSCHAN_PORT_SELECT && size == 2) {
		b->item = (u16)value;
		b->pos = 0;
		if (b->item == BIOSCHAN_CONFIG)
			drive_sizes(b);
	} else if (port == BIOSCHAN_PORT_DISK && size == 4) {
		disk_request(b, value);
	} else if ((port == BIOSCHAN_PORT_TEXT || port == BIOSCHAN_PORT_LOG) && size == 1) {
		text(b, port, &ch, 1);
	} else if (port == BIOSCHAN_PORT_EVENT && size == 1) {
		event(b, (u8)value);
	}
}

static unsigned port_read_rep(void *dev, u16 port, unsigned size, void *buf, unsigned count)
{
	u8 *bytes = buf;

	if (port != BIOSCHAN_PORT_DATA || size != 1)
		return 0;
	for (unsigned i = 0; i < count; i++)
		bytes[i] = next_byte(dev);
	return count;
}

static unsigned port_write_rep(void *dev, u16 port, unsigned size, const void *buf, unsigned count)
{
	if ((port != BIOSCHAN_PORT_TEXT && port != BIOSCHAN_PORT_LOG) || size != 1)
		return 0;
	text(dev, port, buf, count);
	return count;
}

static const struct port_ops bioschan_ops = {
	.read = port_read,
	.write = port_write,
	.read_rep = port_read_rep,
	.write_rep = port_write_rep,
};

void bioschan_reset(struct bioschan *b)
{
	if (b->busy)
		b->inflight->ops->cancel(b->inflight);
	b->busy = false;
	irq_line_set(&b->irq, false);
	b->item = 0;
	b->pos = 0;
}

int bioschan_init(struct bioschan *b, struct bus *bus, const struct dev_host *host,
		  const struct bios_config *config, struct blk *const drive[BIOS_MAX_DRIVES],
		  const struct bioschan_ops *ops, void *ctx)
{
	memset(b, 0, sizeof(*b));
	b->config = *config;
	memcpy(b->drive, drive, sizeof(b->drive));
	b->host = host;
	b->ops = ops;
	b->ctx = ctx;
	return bus_add_port(bus, BIOSCHAN_PORT_BASE, BIOSCHAN_PORT_LEN, &bioschan_ops, b);
}
