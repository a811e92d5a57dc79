/* Random registers, rings, kicks, back-end events and time on virtio-blk and virtio-net, mostly
 * with queues that make sense so that requests get through. Whatever the guest does, the devices
 * must stay inside their slots and guest RAM, bring only well-formed requests and frames to the
 * back ends, keep the count of what is in flight, end each access, and work again after a reset.
 *
 * SPDX-License-Identifier: MIT
 * SRCS: hv/dev/vblk.c hv/dev/vnet.c hv/dev/virtio_ring.c hv/dev/virtio_pci.c hv/dev/virtio_caps.c
 * SRCS: hv/dev/msix.c hv/dev/pci.c hv/dev/bus.c hv/lib/timerq.c
 */
#include "fuzz.h"

#include "../unit/fake_host.h"
#include "../unit/fake_net.h"
#include "dev/vblk.h"
#include "dev/vnet.h"

#define MEM_SIZE  0x40000u
#define DISK_SIZE (64u << 10)
#define HELD	  (VBLK_SLOTS + 1)

struct machine {
	struct fake_host f;
	struct bus io;
	struct pci_bus pci;
	struct vblk blk;
	struct vnet net;
	struct fake_net wire;
	struct blk disk;
	struct blk_req *held[HELD];
	unsigned nheld;
	u8 *mem;
};

static void disk_submit(struct blk *b, struct blk_req *req)
{
	struct machine *m = container_of(b, struct machine, disk);
	u64 len = 0;

	for (unsigned i = 0; i < req->nseg; i++) {
		MUST(req->seg[i].len && !req->seg[i].buf);
		len += req->seg[i].len;
	}
	MUST(req->nseg <= BLK_MAX_SEGS && len <= BLK_MAX_BYTES);
	MUST(req->op == BLK_FLUSH ? !len : len && len % 512 == 0);
	MUST(req->op == BLK_FLUSH || req->offset + len <= DISK_SIZE);
	for (unsigned i = 0; i < m->nheld; i++)
		MUST(m->held[i] != req);
	MUST(m->nheld < VBLK_SLOTS);
	m->held[m->nheld++] = req;
}

static void disk_cancel(struct blk *b)
{
	container_of(b, struct machine, disk)->nheld = 0;
}

static const struct blk_ops disk_ops = {.submit = disk_submit, .cancel = disk_cancel};

static struct machine *machine_new(void)
{
	struct machine *m = calloc(1, sizeof(*m));

	m->mem = calloc(1, MEM_SIZE);
	fake_host_init(&m->f, m->mem, MEM_SIZE);
	fake_net_init(&m->wire, &m->f.host);
	m->disk = (struct blk){.ops = &disk_ops, .size = DISK_SIZE};
	pci_bus_init(&m->pci, &m->io);
	MUST(!vblk_init(&m->blk, &m->f.host, &m->pci, 4, &m->disk, "id"));
	MUST(!vnet_init(&m->net, &m->f.host, &m->pci, 3, &m->wire.net));
	return m;
}

static void check(struct machine *m)
{
	unsigned free_slots = 0;

	for (const struct vblk_slot *s = m->blk.free; s; s = s->next)
		MUST(++free_slots <= VBLK_SLOTS);
	MUST(free_slots + m->nheld == VBLK_SLOTS);
	MUST(m->blk.in_flight == m->nheld);
}

/* --- the guest --- */

static u32 take32(struct program *s)
{
	u32 v = take(s);

	v |= (u32)take(s) << 8;
	v |= (u32)take(s) << 16;
	return v | (u32)take(s) << 24;
}

static struct virtio *pick(struct machine *m, struct program *s)
{
	return take(s) & 1 ? &m->net.v : &m->blk.v;
}

/* Features and queues as a driver sets them up, of the generation and with the features that the
 * program says. */
static void start(struct virtio *v, struct program *s)
{
	u8 how = take(s);
	u64 features = v->offered & ~(how & 2 ? VIRTIO_F_EVENT_IDX : 0) &
		       ~(how & 4 ? VIRTIO_F_INDIRECT_DESC : 0) & ~(how & 8 ? BIT(15) : 0);

	virtio_io_ops.write(v, 18, 1, 0);
	if (how & 1) {
		virtio_io_ops.write(v, 4, 4, (u32)features);
	} else {
		for (u32 i = 0; i < 2; i++) {
			virtio_mem_ops.write(v, 8, 4, i);
			virtio_mem_ops.write(v, 12, 4, features >> 32 * i);
		}
	}
	for (unsigned n = 0; n < v->nqueues; n++) {
		gpa_t at = 0x1000 + 0x4000 * n;

		virtio_io_ops.write(v, 14, 2, n);
		if (how & 1) {
			virtio_io_ops.write(v, 8, 4, (u32)(at >> 12));
			continue;
		}
		virtio_mem_ops.write(v, 24, 2, 1u << take(s) % 9);
		virtio_mem_ops.write(v, 32, 8, at);
		virtio_mem_ops.write(v, 40, 8, at + 0x1000);
		virtio_mem_ops.write(v, 48, 8, at + 0x2000);
		virtio_mem_ops.write(v, 28, 2, 1);
	}
	virtio_mem_ops.write(v, 20, 1, how & 1 ? 7 : 15);
}

static void put(struct machine *m, gpa_t at, const void *data, size_t len)
{
	(void)fake_mem_write(&m->f, at, data, len);
}

/* A few descriptors in a row and the head of them in the available ring. */
static void chain(struct machine *m, struct virtio *v, struct program *s)
{
	struct virtq *q = &v->q[take(s) % v->nqueues];
	u16 head = take(s) & (q->num - 1u), n = take(s) % 8 + 1, idx;
	u8 how = take(s);

	for (u16 i = 0; i < n; i++) {
		u16 flags = (u16)(i + 1 < n), next = (u16)((head + i + 1) & (q->num - 1));
		u64 gpa = 0x10000 + take(s) * 64u;
		u32 len = take(s) * (how & 1 ? 8u : 128u);
		u8 odd = take(s);

		if (i == 0 && !(how & 2))
			len = 16;
		if (odd & 0x80 || i + 1 == n)
			flags |= 2;
		if (odd & 0x40 && how & 4)
			flags |= (u16)(odd & 6);
		gpa = odd == 0x3f ? gpa << 24 : gpa;
		put(m, q->desc + 16u * ((head + i) & (q->num - 1u)), &gpa, 8);
		put(m, q->desc + 16u * ((head + i) & (q->num - 1u)) + 8, &len, 4);
		put(m, q->desc + 16u * ((head + i) & (q->num - 1u)) + 12, &flags, 2);
		put(m, q->desc + 16u * ((head + i) & (q->num - 1u)) + 14, &next, 2);
	}
	if (fake_mem_read(&m->f, q->avail + 2, &idx, 2))
		return;
	put(m, q->avail + 4 + 2u * (idx & (q->num - 1u)), &head, 2);
	idx += how & 0x80 ? take(s) : 1;
	put(m, q->avail + 2, &idx, 2);
}

static void block_header(struct machine *m, struct program *s)
{
	static const u8 types[] = {0, 1, 4, 8};
	u8 type = take(s);
	u32 h[4] = {type < 32 ? types[type & 3] : type, 0, take(s), take(s) & 0x80};

	put(m, 0x10000 + take(s) * 64u, h, sizeof(h));
}

static void make_available(struct machine *m, struct virtq *q, u16 head)
{
	u16 idx;

	if (fake_mem_read(&m->f, q->avail + 2, &idx, 2))
		return;
	put(m, q->avail + 4 + 2u * (idx & (q->num - 1u)), &head, 2);
	idx++;
	put(m, q->avail + 2, &idx, 2);
}

/* One whole request or frame as a driver makes it, each of its numbers mostly a good one: header,
 * data and end, as descriptors of the queue or behind an indirect one. */
static void request(struct machine *m, struct virtio *v, struct program *s)
{
	struct virtq *q = &v->q[take(s) % v->nqueues];
	u8 how = take(s), type = take(s);
	u32 header[4] = {type & 0x80 ? type : (u32)(type & 1), 0, take(s), how & 0x40 ? ~0u : 0};
	u16 head = take(s) & (q->num - 1u), in = type & 1 && !(how & 8) ? 0 : 2;
	bool indirect = how & 1;
	gpa_t table = indirect ? 0x20000 : q->desc;
	struct {
		u64 gpa;
		u32 len;
		u16 flags, next;
	} d[3] = {{0x10000, v == &m->blk.v ? 16 : 12, 1, 0},
		  {0x11000, take(s) * (how & 2 ? 3u : 512u), (u16)(1 | in), 0},
		  {0x12000, 1, 2, 0}};

	put(m, 0x10000, header, sizeof(header));
	for (u16 i = 0; i < 3; i++) {
		u16 at = indirect ? i : (u16)((head + i) & (q->num - 1));

		d[i].next =
			how & 4 ? take(s) & 3 : (u16)(indirect ? i + 1 : (at + 1) & (q->num - 1));
		d[i].len = how & 0x20 && i == 1 ? 0 : d[i].len;
		put(m, table + 16u * at, &d[i], sizeof(d[i]));
	}
	if (indirect) {
		d[0].gpa = table;
		d[0].len = how & 0x10 ? take(s) : 48;
		d[0].flags = 4;
		put(m, q->desc + 16u * head, &d[0], sizeof(d[0]));
	}
	make_available(m, q, head);
	if (type & 0x40)
		virtio_io_ops.write(v, VIRTIO_IO_NOTIFY, 2, (u32)(q - v->q));
}

static void registers(struct machine *m, struct virtio *v, struct program *s)
{
	u8 how = take(s), off = take(s);
	unsigned size = 1u << how % 3;

	switch (how >> 3 & 7) {
	case 0:
		(void)virtio_io_ops.read(v, off & 127, size);
		break;
	case 1:
		virtio_io_ops.write(v, off & 127, size, take32(s));
		break;
	case 2:
		(void)virtio_mem_ops.read(v, (how >> 6) * 0x1000u + (off & 63), 1u << how % 4);
		break;
	case 3:
		virtio_mem_ops.write(v, (how >> 6) * 0x1000u + (off & 63), 1u << how % 4,
				     take32(s));
		break;
	case 4:
		(void)pci_cfg_read(&v->pci, off & 0xfc, size);
		break;
	case 5:
		pci_cfg_write(&v->pci, off & 0xfc, size, take32(s));
		break;
	case 6:
		v->msix.pci->bar[VIRTIO_MSIX_BAR].mmio_ops->write(&v->msix, off * 16u, 8,
								  take32(s));
		break;
	default:
		m->mem[(take32(s)) % MEM_SIZE] = off;
	}
}

/* --- the back ends --- */

static void disk_event(struct machine *m, struct program *s)
{
	struct blk_req *req;
	u8 v = take(s);

	if (!m->nheld)
		return;
	req = m->held[v % m->nheld];
	m->held[v % m->nheld] = m->held[m->nheld - 1];
	m->nheld--;
	req->done(req, v & 0x80 ? -EIO : 0);
}

static void net_event(struct machine *m, struct program *s)
{
	static const u8 mac[NET_MAC_LEN] = {1, 2, 3, 4, 5, 6};
	u8 v = take(s);

	switch (v & 3) {
	case 0:
		m->wire.room = take(s);
		m->wire.net.nic->tx_ready(m->wire.net.nic_ctx);
		break;
	case 1:
		m->wire.net.link_up = v & 4;
		m->wire.net.nic->link(m->wire.net.nic_ctx);
		break;
	default:
		(void)fake_net_deliver(&m->wire, mac, take(s) * 6u, v);
	}
}

/* Each operation leaves the machine such that a proper driver can use it again. */
static void works_after_reset(struct machine *m)
{
	struct blk_req *req;
	u64 header[2] = {0, 1};
	struct {
		u64 gpa;
		u32 len;
		u16 flags, next;
	} desc[3] = {{0x10000, 16, 1, 1}, {0x11000, 512, 3, 2}, {0x12000, 1, 2, 0}};
	u16 one = 1;
	u8 none = 0;
	struct program s = {&none, &none};

	memset(m->mem, 0, MEM_SIZE);
	vblk_reset(&m->blk);
	MUST(!m->nheld);
	start(&m->blk.v, &s);
	memcpy(m->mem + 0x10000, header, sizeof(header));
	memcpy(m->mem + 0x1000, desc, sizeof(desc));
	m->blk.v.q[0].enabled = false;
	virtio_mem_ops.write(&m->blk.v, 24, 2, 4);
	virtio_mem_ops.write(&m->blk.v, 28, 2, 1);
	memcpy(m->mem + 0x2002, &one, 2);
	virtio_io_ops.write(&m->blk.v, VIRTIO_IO_NOTIFY, 2, 0);
	MUST(m->nheld == 1);
	req = m->held[--m->nheld];
	MUST(req->op == BLK_READ && req->offset == 512 && req->seg[0].gpa == 0x11000);
	req->done(req, 0);
	MUST(m->mem[0x3002] == 1 && m->mem[0x3008] == 1 && m->mem[0x3009] == 2);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct machine *m = machine_new();
	struct program s = {data, data + size};
	unsigned steps = 0;

	start(&m->blk.v, &s);
	start(&m->net.v, &s);
	while (s.p < s.end && steps++ < 400) {
		u8 op = take(&s);
		struct virtio *v = pick(m, &s);

		switch (op % 9) {
		case 0:
			start(v, &s);
			break;
		case 1:
			registers(m, v, &s);
			break;
		case 2:
			block_header(m, &s);
			break;
		case 3:
			disk_event(m, &s);
			break;
		case 4:
			net_event(m, &s);
			break;
		case 5:
			virtio_io_ops.write(v, VIRTIO_IO_NOTIFY, 2, take(&s) & 3);
			break;
		case 6:
			chain(m, v, &s);
			break;
		default:
			request(m, v, &s);
		}
		check(m);
	}
	vnet_reset(&m->net);
	works_after_reset(m);
	free(m->mem);
	free(m);
	return 0;
}
