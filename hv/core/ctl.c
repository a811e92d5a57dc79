/* The hypervisor's end of the control channel. See ctl.h, ctl_int.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/ctl.h"
#include "core/clock.h"
#include "core/control.h"
#include "core/ctl_int.h"
#include "core/hv.h"
#include "core/log.h"
#include "core/report.h"
#include "core/sched.h"
#include "core/timer.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "mem/frames.h"

#define SOON_NS	 (20 * NSEC_PER_MSEC)
#define LATER_NS (500 * NSEC_PER_MSEC) /* should a doorbell have been lost */

/* NULL: no control partition. One machine has one channel. */
static struct ctl *ctl;

struct channel *ctl_channel(void)
{
	return &ctl->ch;
}

struct blk_hub *ctl_blk(void)
{
	return &ctl->blk;
}

struct net_hub *ctl_net(void)
{
	return &ctl->net;
}

bool ctl_attached(void)
{
	return ctl && ctl->ch.attached;
}

bool ctl_writes_back(void)
{
	const struct partition *p = ctl ? ctl->control : NULL;

	return p && p->state == PARTITION_RUNNING && p->vcpu.state != VCPU_STOPPED &&
	       blk_hub_closing(&ctl->blk);
}

void ctl_wake(void)
{
	if (ctl)
		partition_request(ctl->control, REQUEST_CHANNEL);
}

/* --- what the channel asks ---------------------------------------------------------------------
 */

static void *channel_memory(void *ctx, hpa_t hpa, u64 len)
{
	const struct ctl *c = ctx;
	const struct p2m *m = &c->control->p2m;
	void *va = p2m_ptr(m, hpa);

	/* Whole chunks, mapped one to one. */
	if (hpa % P2M_CHUNK || len != P2M_CHUNK || !va || m->chunk[hpa >> P2M_CHUNK_SHIFT] != hpa)
		return NULL;
	return va;
}

static void channel_intx(void *ctx)
{
	const struct ctl *c = ctx;

	partition_request(c->control, REQUEST_INTX);
}

static void channel_more(void *ctx)
{
	(void)ctx;
	sched_first_asked();
}

static void channel_ready(void *ctx)
{
	(void)ctx;
	control_ready();
}

static void channel_say(void *ctx, bool error, const char *text)
{
	(void)ctx;
	if (error)
		report_error("control", "channel", "%s", text);
	else
		hv_log(LOG_INFO, "channel: %s", text);
}

static const struct channel_ops channel_ops = {
	.memory = channel_memory,
	.intx = channel_intx,
	.more = channel_more,
	.ready = channel_ready,
	.say = channel_say,
};

/* --- requests ----------------------------------------------------------------------------------
 */

/* The request's text, copied before anyone looks at it. */
static int take_text(struct ctl *c)
{
	const struct chan_ctl_req *q = &c->req;
	const void *from;

	c->text_len = 0;
	if (!q->len)
		return 0;
	from = q->len <= CHAN_TEXT_MAX ? channel_at(&c->ch, q->data, q->len) : NULL;
	if (!from)
		return -EINVAL;
	memcpy(c->text, from, q->len);
	c->text_len = q->len;
	return 0;
}

static bool take_request(struct ctl *c)
{
	bool got;

	spin_lock(&c->ch.lock);
	got = ring_get(&c->ch.ring[CHAN_CTL_REQ], &c->req);
	if (got)
		channel_get_done(&c->ch, CHAN_CTL_REQ);
	spin_unlock(&c->ch.lock);
	return got;
}

static void answer(struct ctl *c)
{
	c->nreplies = c->sent = 0;
	c->overflow = false;
	memcpy(c->name, c->req.name, sizeof(c->name));
	c->name[sizeof(c->name) - 1] = '\0';
	if (take_text(c) != 0)
		ctl_end(c, -EINVAL, "the request's text does not lie in one page of the area");
	else
		ctl_handle(c);
}

/* One request a visit: some take long. */
static void serve_requests(struct ctl *c)
{
	if (!ctl_flush(c) || !take_request(c))
		return;
	answer(c);
	ctl_flush(c);
	spin_lock(&c->ch.lock);
	if (ring_count(&c->ch.ring[CHAN_CTL_REQ]))
		ctl_wake();
	spin_unlock(&c->ch.lock);
}

static void user_bell(struct chan_user *u, u32 rings)
{
	struct ctl *c = container_of(u, struct ctl, user);

	if (rings & (BIT(CHAN_CTL_REQ) | BIT(CHAN_CTL_REPLY)))
		serve_requests(c);
}

static void user_attached(struct chan_user *u)
{
	(void)u;
}

/* Who asked is gone. */
static void user_detached(struct chan_user *u)
{
	struct ctl *c = container_of(u, struct ctl, user);

	c->nreplies = c->sent = 0;
}

/* --- life --------------------------------------------------------------------------------------
 */

static void retry_due(void *arg, u64 now_ns)
{
	(void)arg, (void)now_ns;
	ctl_wake();
}

/* Guests that pnctl destroyed: their CPUs are done with them. */
static void bury(void)
{
	for (unsigned i = npartitions; i--;)
		if (__atomic_load_n(&partitions[i]->state, __ATOMIC_ACQUIRE) == PARTITION_SPARE)
			partition_forget(partitions[i]);
}

void ctl_poll(void)
{
	bool soon;

	if (!ctl)
		return;
	bury();
	channel_poll(&ctl->ch);
	soon = ctl_trace_pump(ctl);
	soon |= con_chan_waits(&ctl->con);
	soon |= hv_leave_when_written();
	if (ctl->ch.attached || soon)
		timer_set(&ctl->retry, clock_ns() + (soon ? SOON_NS : LATER_NS));
}

void ctl_stop(void)
{
	if (ctl)
		channel_reset(&ctl->ch);
}

static bool type(void *ctx, unsigned index, u8 byte)
{
	(void)ctx;
	return log_type(index, byte);
}

static void *get_memory(size_t bytes)
{
	hpa_t hpa = frames_alloc(ALIGN_UP(bytes, PAGE_SIZE) / PAGE_SIZE, 1, OWNER_HYPERVISOR);

	return hpa ? memset(hpa_va(hpa), 0, bytes) : NULL;
}

int ctl_init(struct partition *control)
{
	struct ctl *c = get_memory(sizeof(*c));
	struct chan_ctl_reply *backlog = get_memory(CTL_BACKLOG * sizeof(*backlog));

	if (!c || !backlog)
		return -ENOMEM;
	c->control = control;
	c->backlog = backlog;
	c->retry.fire = retry_due;
	channel_init(&c->ch, &channel_ops, c);
	/* Called in the reverse order: media before requests, which may take long. */
	c->user = (struct chan_user){
		.attached = user_attached,
		.detached = user_detached,
		.bell = user_bell,
	};
	channel_add_user(&c->ch, &c->user);
	con_chan_init(&c->con, &c->ch, type, c);
	net_hub_init(&c->net, &c->ch);
	blk_hub_init(&c->blk, &c->ch);
	__atomic_store_n(&ctl, c, __ATOMIC_RELEASE);
	return 0;
}

/* --- taps of the log ---------------------------------------------------------------------------
 */

void ctl_output(unsigned index, bool screen, const char *buf, size_t len)
{
	if (ctl)
		con_chan_write(&ctl->con, screen ? CHAN_CON_VGA : CHAN_CON_SERIAL, index, buf, len);
}

void ctl_hv_line(const char *buf, size_t len)
{
	if (ctl)
		con_chan_write(&ctl->con, CHAN_CON_HV, 0, buf, len);
}

void ctl_record(const char *line, size_t len)
{
	if (ctl)
		con_chan_record(&ctl->con, line, len);
}
