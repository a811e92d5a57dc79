/* What a guest gets from the control partition. See media.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/media.h"
#include "core/clock.h"
#include "core/control.h"
#include "core/ctl.h"
#include "core/log.h"
#include "core/report.h"
#include "core/timer.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "mem/frames.h"

#define CD_SECTOR    2048u
#define DISK_SECTOR  512u
#define PATIENCE_NS  (60 * NSEC_PER_SEC) /* for the daemon, from the guest's start */
#define ERRORS_SHOWN 8u			 /* of one medium, between two starts */

const char *const media_key[MEDIA_COUNT] = {"cdrom", "disk", "floppy"};

static const struct media *config_of(const struct partition *p, unsigned i)
{
	const struct media *const m[MEDIA_COUNT] = {&p->cfg.cdrom, &p->cfg.disk, &p->cfg.floppy};

	return m[i];
}

static bool is_served(const struct media *m)
{
	return m->kind == MEDIA_FILE || m->kind == MEDIA_DEV;
}

static const char *kind_name(const struct media *m)
{
	return m->kind == MEDIA_FILE ? "file" : "dev";
}

static bool has_nic(const struct partition *p)
{
	return p->cfg.nic[0] && strcmp(p->cfg.nic, "none") != 0;
}

/* Is there anything that the control partition must bring? */
static bool needed(const struct partition *p)
{
	for (unsigned i = 0; i < MEDIA_COUNT; i++)
		if (is_served(config_of(p, i)))
			return true;
	return false;
}

static bool control_runs(void)
{
	return control_partition && control_partition->state != PARTITION_ENDED;
}

/* --- callbacks -------------------------------------------------------------------------------- */

static void wake(void *ctx)
{
	partition_request(ctx, REQUEST_CHANNEL);
}

static void io_failed(void *ctx, enum blk_op op, u64 offset, const char *why)
{
	static const char *const name[] = {
		[BLK_READ] = "read", [BLK_WRITE] = "write", [BLK_FLUSH] = "flush"};
	struct partition *p = ctx;

	if (p->media_errors++ < ERRORS_SHOWN)
		report_error(p->cfg.name, "disk", "%s at byte %llu: the control partition says %s",
			     name[op], (unsigned long long)offset, why);
}

static void link_said(void *ctx, bool up, const char *why)
{
	struct partition *p = ctx;

	if (up)
		hv_log(LOG_INFO, "%s nic: link up, %s", p->cfg.name, p->cfg.nic);
	else
		report_error(p->cfg.name, "nic", "no link to %s: %s", p->cfg.nic,
			     why[0] ? why : "the daemon does not say why");
}

/* --- network port ----------------------------------------------------------------------------- */

static struct net_chan *new_port(void)
{
	u64 pages = ALIGN_UP(sizeof(struct net_chan), PAGE_SIZE) / PAGE_SIZE;
	hpa_t hpa = frames_alloc(pages, 1, OWNER_HYPERVISOR);

	return hpa ? hpa_va(hpa) : NULL;
}

static void free_port(struct net_chan *n)
{
	frames_free(va_hpa(n), ALIGN_UP(sizeof(*n), PAGE_SIZE) / PAGE_SIZE, OWNER_HYPERVISOR);
}

/* A guest without its network is still a guest: the board gets no NIC, and that is said. */
static void plug_in(struct partition *p)
{
	struct net_chan *n;

	if (!has_nic(p))
		return;
	if (!control_runs()) {
		report_error(p->cfg.name, "nic",
			     "%s needs the control partition, which does not run: no NIC",
			     p->cfg.nic);
		return;
	}
	n = new_port();
	if (!n) {
		report_error(p->cfg.name, "nic", "no memory left for its queue: no NIC");
		return;
	}
	memset(n, 0, sizeof(*n));
	n->wake = wake;
	n->link_said = link_said;
	n->ctx = p;
	if (net_chan_up(ctl_net(), n, p->cfg.name, p->cfg.nic, &p->host) != 0) {
		report_error(p->cfg.name, "nic", "every port of the channel is in use: no NIC");
		free_port(n);
		return;
	}
	p->nic = n;
}

struct net *media_nic(struct partition *p)
{
	return p->nic ? &p->nic->net : NULL;
}

/* --- media ------------------------------------------------------------------------------------ */

struct blk *media_blk(struct partition *p, unsigned i)
{
	if (p->served[i])
		return &p->served[i]->blk;
	return p->media[i].data ? &p->media[i].blk : NULL;
}

static int open_one(struct partition *p, unsigned i)
{
	const struct media *m = config_of(p, i);
	struct chan_blk_open o = {
		.kind = m->kind == MEDIA_FILE ? 1 : 2,
		.want_readonly = i == 0,
		.block = i == 0 ? CD_SECTOR : DISK_SECTOR,
	};

	if (!control_runs()) {
		report_error(p->cfg.name, media_key[i],
			     "%s:%s needs the control partition, which does not run", kind_name(m),
			     m->path);
		return -ENODEV;
	}
	str_copy(o.guest, p->cfg.name, sizeof(o.guest));
	str_copy(o.path, m->path, sizeof(o.path));
	p->served[i] = blk_chan_open(ctl_blk(), &o, &p->host, wake, io_failed, p);
	if (p->served[i])
		return 0;
	report_error(p->cfg.name, media_key[i], "%s:%s: the channel serves %u media at most",
		     kind_name(m), m->path, BLK_CHAN_MEDIA);
	return -ENOSPC;
}

static void patience_over(void *arg, u64 now_ns)
{
	struct partition *p = arg;

	(void)now_ns;
	p->media_late = true;
	partition_request(p, REQUEST_CHANNEL);
}

int media_open(struct partition *p)
{
	int err = 0;

	p->media_late = false;
	p->media_errors = 0;
	for (unsigned i = 0; i < MEDIA_COUNT; i++)
		if (is_served(config_of(p, i)) && open_one(p, i) != 0)
			err = -ENODEV;
	if (err) {
		media_close(p);
		return err;
	}
	plug_in(p);
	if (!needed(p))
		return 0;
	p->media_limit = (struct timer){.fire = patience_over, .arg = p};
	timer_set(&p->media_limit, clock_ns() + PATIENCE_NS);
	return media_poll(p);
}

/* 0, -EAGAIN, or another error after its record. */
static int poll_one(struct partition *p, unsigned i)
{
	const struct media *m = config_of(p, i);
	struct blk_chan *b = p->served[i];

	if (!b || blk_chan_state(b) == BLK_CHAN_OPEN)
		return 0;
	if (blk_chan_state(b) == BLK_CHAN_FAILED) {
		report_error(p->cfg.name, media_key[i], "%s:%s: %s", kind_name(m), m->path, b->why);
		return -EIO;
	}
	if (!control_runs() || p->media_late) {
		report_error(p->cfg.name, media_key[i], "%s:%s: %s", kind_name(m), m->path,
			     !control_runs()  ? "the control partition has ended"
			     : ctl_attached() ? "the control partition's daemon does not answer"
					      : "the control partition's daemon is not there");
		return -ENODEV;
	}
	snprintf(p->end_detail, sizeof(p->end_detail), "waits for %s %s:%s", media_key[i],
		 kind_name(m), m->path);
	return -EAGAIN;
}

int media_poll(struct partition *p)
{
	int err = 0;

	for (unsigned i = 0; i < MEDIA_COUNT; i++) {
		int one = poll_one(p, i);

		if (one && (!err || err == -EAGAIN))
			err = one;
	}
	if (err == -EAGAIN)
		return err;
	timer_set(&p->media_limit, TIMER_OFF);
	p->end_detail[0] = '\0';
	if (err)
		media_close(p);
	return err;
}

void media_service(struct partition *p)
{
	for (unsigned i = 0; i < MEDIA_COUNT; i++)
		if (p->served[i])
			blk_chan_service(p->served[i]);
	if (p->nic)
		net_chan_service(p->nic);
}

void media_guest_halted(struct partition *p)
{
	for (unsigned i = 0; i < MEDIA_COUNT; i++)
		if (p->served[i])
			blk_chan_guest_halted(p->served[i]);
}

void media_close(struct partition *p)
{
	timer_set(&p->media_limit, TIMER_OFF);
	for (unsigned i = 0; i < MEDIA_COUNT; i++)
		if (p->served[i])
			blk_chan_close(p->served[i]);
	memset(p->served, 0, sizeof(p->served));
	if (!p->nic)
		return;
	net_chan_down(p->nic);
	free_port(p->nic);
	p->nic = NULL;
}
