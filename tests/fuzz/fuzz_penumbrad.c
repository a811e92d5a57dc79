/* What the hypervisor's side may put into penumbrad's rings: any entries and indices in any order,
 * on media that are small files in memory. No access outside the area or a medium, each block
 * request answered exactly once while the ring lives, no work leaked.
 *
 * Media and interfaces of the machine that fuzzes are out of reach: medium_open() and the bridge
 * are this file's own.
 *
 * SPDX-License-Identifier: MIT
 * SRCS: rootfs/penumbrad/blk.c rootfs/penumbrad/net.c rootfs/penumbrad/switch.c
 * SRCS: rootfs/penumbrad/console.c rootfs/penumbrad/logfile.c rootfs/penumbrad/calls.c
 * SRCS: rootfs/penumbrad/area.c rootfs/penumbrad/aio.c rootfs/penumbrad/aio_uring.c
 * SRCS: rootfs/penumbrad/aio_threads.c rootfs/lib/loop.c rootfs/lib/say.c
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <errno.h>
#include <sys/mman.h>

#include "../../rootfs/lib/say.h"
#include "../../rootfs/penumbrad/blk.h"
#include "../../rootfs/penumbrad/bridge.h"
#include "../../rootfs/penumbrad/calls.h"
#include "../../rootfs/penumbrad/console.h"
#include "../../rootfs/penumbrad/net.h"

#define PAGES	    2
#define MEDIUM_SIZE 65536u

static struct loop loop;
static struct transport transport;
static struct area area;
static struct aio aio;
static struct logs logs;
static struct aio_req *open_requests;
static unsigned opened, closed;

/* --- the surroundings --- */

int medium_open(struct medium *m, const struct chan_blk_open *want,
		const struct medium_search *search, const struct medium *const *others, size_t n,
		char *why, size_t why_size)
{
	(void)search;
	(void)others;
	(void)n;
	MUST(strnlen(want->path, sizeof(want->path)) < sizeof(want->path));
	if (want->kind & 4) {
		snprintf(why, why_size, "not now");
		return want->kind & 8 ? -ENOENT : -EBUSY;
	}
	*m = (struct medium){
		.used = true, .fd = 1, .size = MEDIUM_SIZE, .readonly = want->want_readonly & 1};
	opened++;
	return 0;
}

void medium_close(struct medium *m)
{
	MUST(m->used);
	m->used = false;
	closed++;
}

int bridge_make(const char *nic, char *why, size_t size)
{
	snprintf(why, size, "%s", nic);
	return -ENODEV;
}

int bridge_tap(const char *nic, unsigned port, char *why, size_t size)
{
	(void)nic;
	(void)port;
	snprintf(why, size, "no");
	return -ENODEV;
}

bool bridge_link(const char *nic, char *why, size_t size)
{
	snprintf(why, size, "%s", nic);
	return false;
}

int bridge_watch(void)
{
	return -ENODEV;
}

/* Requests complete in the order and with the result that the program says. */
static void hold(struct aio *a, struct aio_req *r)
{
	(void)a;
	r->next = open_requests;
	open_requests = r;
	if (r->op == AIO_FSYNC)
		return;
	MUST(r->len && r->len <= CHAN_SLOT_SIZE);
	MUST(r->offset <= MEDIUM_SIZE && r->len <= MEDIUM_SIZE - r->offset);
	MUST(r->buf >= transport.area);
	MUST(r->buf + r->len <= transport.area + (size_t)PAGES * CHAN_PAGE_SIZE);
	memset(r->buf, 0x5a, r->op == AIO_READ ? r->len : 0);
}

static void complete_one(int result)
{
	struct aio_req *r = open_requests;

	if (!r)
		return;
	open_requests = r->next;
	r->done(r, result);
}

static const struct aio_ops aio_held = {.name = "held", .submit = hold};

static u64 page_address(struct transport *t, unsigned i)
{
	(void)t;
	return 0x200000u * (i + 1u);
}

static u32 reg_read(struct transport *t, u32 reg)
{
	(void)t;
	(void)reg;
	return 0;
}

static void reg_write(struct transport *t, u32 reg, u32 value)
{
	(void)t;
	(void)reg;
	(void)value;
}

static const struct transport_ops ops = {
	.name = "fuzz", .page_address = page_address, .reg_read = reg_read, .reg_write = reg_write};

static void no_reply(void *arg, const struct chan_ctl_reply *r)
{
	(void)arg;
	MUST(r->len <= sizeof(r->data));
}

/* --- the program --- */

struct other_side {
	struct ring_end ring[CHAN_RINGS];
	unsigned asked, answered;
	bool lied;
};

static void open_rings(struct other_side *o)
{
	const struct chan_area *head = (const void *)transport.area;

	for (unsigned i = 0; i < CHAN_RINGS; i++)
		ring_open(&o->ring[i], (void *)(transport.area + head->ring[i].offset),
			  head->ring[i].entry_size, head->ring[i].entries);
}

static void put_entry(struct other_side *o, struct program *p)
{
	static const enum chan_ring_id ids[] = {CHAN_BLK_REQ, CHAN_BLK_REQ, CHAN_NET_OUT,
						CHAN_CON_OUT, CHAN_CTL_REPLY};
	enum chan_ring_id id = ids[take(p) % ARRAY_SIZE(ids)];
	u8 e[2048] = {0}, n = take(p);

	for (unsigned i = 0; i < MIN(n, 80); i++)
		e[i] = take(p);
	if (ring_put(&o->ring[id], e))
		o->asked += id == CHAN_BLK_REQ;
}

static void get_answers(struct other_side *o)
{
	u8 e[2048];

	while (ring_get(&o->ring[CHAN_BLK_DONE], e))
		o->answered++;
	while (ring_get(&o->ring[CHAN_NET_IN], e) || ring_get(&o->ring[CHAN_CTL_REQ], e))
		;
	MUST(o->lied || o->answered <= o->asked);
}

struct daemon_half {
	struct blk blk;
	struct net net;
	struct calls calls;
	struct console console;
};

static void serve(struct daemon_half *d)
{
	blk_service(&d->blk);
	net_service(&d->net);
	console_service(&d->console);
	calls_service(&d->calls);
}

/* An index of the other side's that it never had. */
static void lie(struct other_side *o, unsigned id, unsigned index)
{
	struct chan_ring *r = o->ring[id].ring;

	if (AREA_CONSUMED & 1u << id)
		r->head = index;
	else
		r->tail = index;
	o->lied = true;
}

static void step(struct other_side *o, struct daemon_half *d, struct program *p)
{
	u8 op = take(p), n = take(p);

	switch (op % 8) {
	case 0:
	case 1:
	case 2:
		put_entry(o, p);
		break;
	case 3:
		serve(d);
		break;
	case 4:
		complete_one(n & 3 ? 0 : -EIO);
		break;
	case 5:
		get_answers(o);
		break;
	case 6:
		blk_retry_opens(&d->blk);
		break;
	case 7:
		if (n == 255)
			lie(o, take(p) % CHAN_RINGS, take(p) << 8 | take(p));
		else
			memset(area_slot(&area, n % area.pool_slots), take(p), 64);
		break;
	}
}

/* Everything that was asked ends, if the rings are whole. */
static void end(struct other_side *o, struct daemon_half *d)
{
	for (int i = 0; i < 1000 && (d->blk.busy || o->answered < o->asked); i++) {
		complete_one(0);
		d->blk.open_patience_ns = 0;
		for (struct blk_work *w = d->blk.opens; w; w = w->next)
			w->deadline_ns = 0;
		blk_retry_opens(&d->blk);
		serve(d);
		get_answers(o);
	}
	MUST(o->lied || (!d->blk.busy && o->answered == o->asked));
}

static void set_up(void)
{
	if (transport.area)
		return;
	transport.ops = &ops;
	transport.npages = PAGES;
	transport.area = mmap(NULL, (size_t)PAGES * CHAN_PAGE_SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(transport.area != MAP_FAILED);
	loop_init(&loop);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const char *const dirs[] = {NULL};
	struct medium_search search = {.dirs = dirs};
	struct chan_ctl_req list = {.op = CHAN_CTL_LIST};
	struct program p = {data, data + size};
	struct other_side o = {0};
	static struct daemon_half d;

	set_up();
	opened = closed = 0;
	open_requests = NULL;
	aio = (struct aio){.ops = &aio_held, .loop = &loop};
	MUST(!area_attach(&area, &transport));
	open_rings(&o);
	blk_init(&d.blk, &area, &aio, &search, NSEC_PER_SEC);
	MUST(!net_init(&d.net, &loop, &area));
	calls_init(&d.calls, &area);
	calls_begin(&d.calls, &list, NULL, 0, no_reply, &d);
	/* Logs are not written: nothing has a directory. */
	logs_init(&logs, &loop, &aio, "/nonexistent/logs", MIB, 0);
	console_init(&d.console, &area, &logs);
	while (p.p < p.end)
		step(&o, &d, &p);
	end(&o, &d);
	blk_close(&d.blk);
	MUST(opened == closed);
	calls_close(&d.calls);
	net_close(&d.net);
	console_close(&d.console);
	logs_close(&logs);
	return 0;
}
