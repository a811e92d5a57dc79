/* The control channel against a daemon that does anything: registers, area contents, ring indices
 * and entries while guests use their disks, NICs and consoles. Nothing outside the area and the
 * guests' memory may be touched (ASan), every request ends at most once, and after a good attach
 * the machine works again.
 *
 * SRCS: hv/chan/channel.c hv/chan/blk_hub.c hv/chan/blk_chan.c hv/chan/blk_ahead.c
 * SRCS: hv/chan/net_chan.c hv/chan/con_chan.c hv/dev/pci.c hv/dev/bus.c hv/lib/timerq.c
 * SRCS: hv/lib/str.c hv/lib/crc32.c
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>

#include "fuzz.h"

#include "../unit/fake_daemon.h"
#include "../unit/fake_host.h"
#include "chan/blk_chan.h"
#include "chan/con_chan.h"
#include "chan/net_chan.h"

#define RAM_SIZE 65536u
#define GUESTS	 3
#define REQS	 24

struct request {
	struct blk_req req;
	struct blk_seg seg[2];
	bool busy;
};

static struct rig {
	struct fake_daemon d;
	struct fake_host f;
	struct blk_hub blk;
	struct net_hub net;
	struct con_chan con;
	struct blk_chan *m[GUESTS];
	struct net_chan port[2];
	bool up[2];
	struct request r[GUESTS][REQS];
	u64 next[GUESTS]; /* where the last request ended */
	u8 ram[RAM_SIZE];
	unsigned wakes;
} g;

static void wake(void *ctx)
{
	(void)ctx;
	g.wakes++;
}

static void failed(void *ctx, enum blk_op op, u64 offset, const char *why)
{
	(void)ctx, (void)op, (void)offset;
	MUST(strlen(why) < 80);
}

static bool type(void *ctx, unsigned index, u8 byte)
{
	(void)ctx;
	MUST(index < CON_CHAN_PARTITIONS);
	return byte & 1;
}

static bool nic_rx(void *ctx, const void *frame, u32 len)
{
	u8 sum = 0;

	(void)ctx;
	MUST(len >= NET_FRAME_MIN && len <= NET_FRAME_MAX);
	for (u32 i = 0; i < len; i++)
		sum ^= ((const u8 *)frame)[i];
	return sum & 1;
}

static void nic_nothing(void *ctx)
{
	(void)ctx;
}

static const struct net_nic_ops nic_ops = {
	.rx = nic_rx, .rx_end = nic_nothing, .tx_ready = nic_nothing, .link = nic_nothing};

static void done(struct blk_req *req, int status)
{
	struct request *r = req->arg;

	MUST(r->busy);
	MUST(status == 0 || status == -EIO || status == -EFAULT);
	r->busy = false;
}

static u32 take32(struct program *p)
{
	u32 v = take(p);

	v |= (u32)take(p) << 8;
	v |= (u32)take(p) << 16;
	return v | (u32)take(p) << 24;
}

static void begin(void)
{
	u8 *mem = g.d.mem;

	memset(&g, 0, sizeof(g));
	g.d.mem = mem;
	fake_host_init(&g.f, g.ram, sizeof(g.ram));
	fake_daemon_init(&g.d);
	g.d.slots = 8;
	blk_hub_init(&g.blk, &g.d.ch);
	net_hub_init(&g.net, &g.d.ch);
	con_chan_init(&g.con, &g.d.ch, type, NULL);
	fake_plug(&g.d);
}

/* --- guests --- */

static void submit(struct program *p, unsigned i)
{
	struct request *r = &g.r[i][take(p) % REQS];
	u8 what = take(p);
	u32 len = (take(p) % 80 + 1) * 512;

	if (!g.m[i] || r->busy)
		return;
	r->seg[0] = (struct blk_seg){.gpa = take(p) * 256u, .len = len / 2 + what};
	r->seg[1] = (struct blk_seg){.gpa = take(p) * 256u, .len = len - r->seg[0].len};
	if (r->seg[0].len > len)
		r->seg[0].len = len, r->seg[1].len = 0;
	r->req = (struct blk_req){
		.op = what % 3,
		.offset = what & 0x80 ? g.next[i] : take(p) * 512u,
		.seg = r->seg,
		.nseg = what % 3 == BLK_FLUSH ? 0 : 2,
		.done = done,
		.arg = r,
	};
	r->busy = true;
	g.next[i] = r->req.offset + len;
	blk_submit(&g.m[i]->blk, &r->req);
	blk_submit_end(&g.m[i]->blk);
}

static void forget(unsigned i, bool close)
{
	if (!g.m[i])
		return;
	if (close)
		blk_chan_close(g.m[i]);
	else
		g.m[i]->blk.ops->cancel(&g.m[i]->blk);
	if (close)
		g.m[i] = NULL;
	for (unsigned k = 0; k < REQS; k++)
		g.r[i][k].busy = false;
}

static void open_medium(struct program *p, unsigned i)
{
	struct chan_blk_open o = {.kind = 1, .block = take(p) & 1 ? 512 : 2048, .path = "/x"};

	if (!g.m[i])
		g.m[i] = blk_chan_open(&g.blk, &o, &g.f.host, wake, failed, NULL);
}

static void network(struct program *p, unsigned i)
{
	struct net_chan *n = &g.port[i];
	struct blk_seg seg = {.gpa = take(p) * 256u, .len = take(p) * 8u};

	if (!g.up[i]) {
		memset(n, 0, sizeof(*n));
		n->wake = wake;
		g.up[i] = net_chan_up(&g.net, n, "g", "switch", &g.f.host) == 0;
		net_attach(&n->net, &nic_ops, n);
	} else if (seg.len == 0) {
		net_chan_down(n);
		g.up[i] = false;
	} else {
		net_send(&n->net, &seg, 1, seg.len);
		net_send_end(&n->net);
		net_chan_service(n);
		if (seg.len & 64)
			n->net.ops->rx_ready(&n->net);
		if (seg.len & 128)
			n->net.ops->reset(&n->net);
	}
}

static void service(void)
{
	for (unsigned i = 0; i < GUESTS; i++)
		if (g.m[i])
			blk_chan_service(g.m[i]);
	channel_poll(&g.d.ch);
}

/* --- the daemon --- */

/* Answer what was asked, with a status of its own. */
static void answer(struct program *p)
{
	struct chan_blk_req q;
	struct chan_blk_done d = {.size = 40 * 512};

	if (!ring_get(&g.d.ring[CHAN_BLK_REQ], &q))
		return;
	d.id = q.id ^ (take(p) ? 0 : take32(p));
	d.status = take(p) & 3 ? 0 : (s32)take32(p);
	if (!(take(p) & 15))
		d.size = take32(p);
	ring_put(&g.d.ring[CHAN_BLK_DONE], &d);
	fake_bell(&g.d, CHAN_BLK_DONE);
}

static void entry(struct program *p)
{
	static const u8 consumed[] = {CHAN_CON_IN, CHAN_BLK_DONE, CHAN_NET_IN, CHAN_CTL_REQ};
	unsigned id = consumed[take(p) & 3];
	u8 e[2048];

	memset(e, take(p), sizeof(e));
	for (unsigned i = 0; i < 8; i++)
		e[i] = take(p);
	ring_put(&g.d.ring[id], e);
	fake_bell(&g.d, id);
}

static void scribble(struct program *p)
{
	struct chan_ring *r = (void *)(g.d.ring[take(p) % CHAN_RINGS].ring);
	u32 at = take32(p) % (2 * CHAN_PAGE_SIZE - 4), v = take32(p);

	switch (take(p) & 3) {
	case 0:
		memcpy(g.d.mem + at, &v, 4);
		break;
	case 1:
		memcpy(g.d.mem + at % sizeof(struct chan_area), &v, 4);
		break;
	case 2:
		if (r)
			r->head = take(p) & 1 ? v : r->head + v % 8;
		break;
	case 3:
		if (r)
			r->tail = take(p) & 1 ? v : r->tail + v % 8;
		break;
	}
}

static void command(struct program *p)
{
	u64 page = FAKE_BASE + (take(p) % 6) * (u64)CHAN_PAGE_SIZE;

	fake_cmd(&g.d, take(p) % 6, take(p) & 7 ? page : take32(p));
}

static void step(struct program *p)
{
	u8 op = take(p), i = take(p) % GUESTS;
	char text[300];

	switch (op % 16) {
	case 0:
		fake_attach(&g.d);
		break;
	case 1:
		command(p);
		break;
	case 2:
		fake_set(&g.d, take(p), take32(p));
		break;
	case 3:
		scribble(p);
		break;
	case 4:
		entry(p);
		break;
	case 5:
	case 6:
		answer(p);
		break;
	case 7:
	case 8:
		submit(p, i);
		break;
	case 9:
		forget(i, take(p) & 1);
		break;
	case 10:
		open_medium(p, i);
		break;
	case 11:
		network(p, i & 1);
		break;
	case 12:
		memset(text, 'x', sizeof(text));
		con_chan_write(&g.con, 1 + i, take(p), text, take(p));
		con_chan_record(&g.con, text, take(p));
		break;
	case 13:
		pci_cfg_write(&g.d.ch.pci, take(p) & 0x3c, 4, take32(p));
		break;
	case 14:
		service();
		break;
	case 15:
		if (g.m[i])
			blk_chan_guest_halted(g.m[i]);
		break;
	}
}

/* With an honest daemon every request ends. */
static void recover(void)
{
	struct chan_blk_req q;

	pci_cfg_write(&g.d.ch.pci, PCI_BAR0, 4, FAKE_BAR);
	pci_cfg_write(&g.d.ch.pci, PCI_COMMAND, 2, PCI_COMMAND_MEM | PCI_COMMAND_MASTER);
	MUST(fake_attach(&g.d) == 0);
	for (unsigned n = 0; n < 200; n++) {
		service();
		while (ring_get(&g.d.ring[CHAN_BLK_REQ], &q)) {
			struct chan_blk_done d = {.id = q.id, .size = 4096 * 2};

			MUST(ring_put(&g.d.ring[CHAN_BLK_DONE], &d));
		}
	}
	for (unsigned i = 0; i < GUESTS; i++)
		for (unsigned k = 0; k < REQS; k++)
			MUST(!g.r[i][k].busy);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct program p = {data, data + size};

	begin();
	while (p.p < p.end)
		step(&p);
	recover();
	return 0;
}
