/* Virtio-blk and, by it, the virtio transport and rings. Would catch: registers at wrong places of
 * either interface, features taken that were not offered, a queue misread (wrap, chained, indirect
 * and merged descriptors, legacy layout), data or status at the wrong address, requests lost when
 * more come than there are slots, interrupts or kicks spared that the driver waits for or sent that
 * it declined, a request that survives a reset, memory touched for a hostile ring, endless loops.
 *
 * SRCS: hv/dev/vblk.c hv/dev/virtio_ring.c hv/dev/virtio_pci.c hv/dev/virtio_caps.c hv/dev/msix.c
 * SRCS: hv/dev/pci.c hv/dev/bus.c hv/dev/blk_ram.c hv/lib/timerq.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/vblk.h"

#include "virtio_rig.h"

#define DISK_SIZE (4u << 20)
#define SECTORS	  (DISK_SIZE / 512)
#define F_FLUSH	  BIT(9)
#define F_RO	  BIT(5)
#define HDR	  0x80000u /* request headers, 16 bytes each */
#define STATUS	  0x90000u
#define TABLES	  0xa0000u
#define DATA	  0x100000u

struct machine {
	struct rig r;
	struct vblk d;
	struct blk_ram disk;
	u8 data[DISK_SIZE];
	/* A back end that keeps requests until told. */
	struct blk slow;
	struct blk_req *held[64];
	unsigned nheld, cancels, flushes, fua;
};

static void slow_submit(struct blk *b, struct blk_req *req)
{
	struct machine *m = container_of(b, struct machine, slow);

	m->flushes += req->op == BLK_FLUSH;
	m->fua += req->fua;
	m->held[m->nheld++] = req;
}
static void slow_cancel(struct blk *b)
{
	struct machine *m = container_of(b, struct machine, slow);

	m->nheld = 0;
	m->cancels++;
}
static const struct blk_ops slow_ops = {.submit = slow_submit, .cancel = slow_cancel};

static struct machine *machine_new(bool slow, bool readonly)
{
	struct machine *m = calloc(1, sizeof(*m));

	srand(7);
	for (unsigned i = 0; i < DISK_SIZE; i++)
		m->data[i] = (u8)rand();
	rig_init(&m->r);
	blk_ram_init(&m->disk, &m->r.f.host, m->data, DISK_SIZE, readonly);
	m->slow = (struct blk){.ops = &slow_ops, .size = DISK_SIZE};
	CHECK_EQ(vblk_init(&m->d, &m->r.f.host, &m->r.pci, RIG_SLOT, slow ? &m->slow : &m->disk.blk,
			   "serial-1"),
		 0);
	rig_place(&m->r, &m->d.v);
	return m;
}

static void header(struct machine *m, unsigned n, u32 type, u64 sector)
{
	u32 h[4] = {type, 0, (u32)sector, (u32)(sector >> 32)};

	put(&m->r, HDR + 16 * n, h, 16);
	m->r.mem[STATUS + n] = 0xaa;
}

/* Request @n: header, one data buffer, status. */
static u16 request(struct machine *m, unsigned n, u32 type, u64 sector, gpa_t data, u32 len,
		   bool indirect)
{
	struct buf b[3] = {
		{HDR + 16 * n, 16, false}, {data, len, type != 1}, {STATUS + n, 1, true}};

	header(m, n, type, sector);
	if (!len)
		b[1] = b[2];
	if (indirect)
		return chain_indirect(&m->r, &m->r.q[0], TABLES + 0x1000 * n, b, len ? 3 : 2);
	return chain(&m->r, &m->r.q[0], b, len ? 3 : 2);
}

/* Kick, let time pass, expect one used entry with @head and status @st. */
static void expect(struct machine *m, u16 head, unsigned n, u8 st, u32 len)
{
	u32 got = 0;

	kick(&m->r, 0);
	fake_advance(&m->r.f, 1000);
	CHECK_EQ(used_take(&m->r, &m->r.q[0], &got), head);
	CHECK_EQ(m->r.mem[STATUS + n], st);
	CHECK_EQ(got, len);
}

TEST(function_is_transitional)
{
	struct machine *m = machine_new(false, false);
	struct pci_dev *d = &m->d.v.pci;
	unsigned types = 0, at = 0;

	CHECK_EQ(pci_cfg_read(d, 0, 4), 0x10011af4);
	CHECK_EQ(pci_cfg_read(d, PCI_REVISION, 1), 0);
	CHECK_EQ(pci_cfg_read(d, PCI_SUBSYSTEM_ID, 2), 2);
	CHECK(pci_cfg_read(d, PCI_STATUS, 2) & 0x10);
	while ((at = cap_find(&m->r, 9, at)))
		types |= 1u << pci_cfg_read(d, at + 3, 1);
	CHECK_EQ(types, 0x3e);
	CHECK(cap_find(&m->r, 0x11, 0));
	/* capacity, by all three ways */
	CHECK_EQ(mmio_in(&m->r, RIG_REGS + VIRTIO_MEM_DEVICE, 8), SECTORS);
	CHECK_EQ(io_in(&m->r, 20, 4), SECTORS);
	for (at = 0; (at = cap_find(&m->r, 9, at)) && pci_cfg_read(d, at + 3, 1) != 5;)
		;
	pci_cfg_write(d, at + 4, 1, VIRTIO_MEM_BAR);
	pci_cfg_write(d, at + 8, 4, VIRTIO_MEM_DEVICE);
	pci_cfg_write(d, at + 12, 4, 4);
	CHECK_EQ(pci_cfg_read(d, at + 16, 4), SECTORS);
	pci_cfg_write(d, at + 8, 4, 20);
	pci_cfg_write(d, at + 12, 4, 1);
	pci_cfg_write(d, at + 16, 4, 0x03);
	CHECK_EQ(rig_status(&m->r), 3);
	pci_cfg_write(d, at + 8, 4, 0xfffffffc); /* outside: nothing */
	pci_cfg_write(d, at + 16, 4, 0);
	CHECK_EQ(rig_status(&m->r), 3);
	/* the legacy configuration moves up while MSI-X is on */
	msix_on(&m->r, 2);
	CHECK_EQ(io_in(&m->r, 24, 4), SECTORS);
	CHECK_EQ(io_in(&m->r, 20, 2), 0xffff);
	free(m);
}

TEST(features_must_be_offered_and_modern)
{
	struct machine *m = machine_new(false, false);

	CHECK(modern_features(&m->r, F_VERSION_1 | F_FLUSH));
	CHECK_EQ(m->d.v.features, F_VERSION_1 | F_FLUSH);
	common_out(&m->r, 8, 4, 0); /* too late */
	common_out(&m->r, 12, 4, 0);
	CHECK_EQ(m->d.v.features, F_VERSION_1 | F_FLUSH);
	CHECK(!modern_features(&m->r, F_FLUSH)); /* without VERSION_1 */
	common_out(&m->r, 20, 1, 0);
	common_out(&m->r, 8, 4, 1);
	common_out(&m->r, 12, 4, 0xffffffff); /* not offered: not taken */
	CHECK_EQ(m->d.v.features, F_VERSION_1);
	free(m);
}

TEST(read_and_write_modern_direct_and_indirect)
{
	struct machine *m = machine_new(false, false);
	u16 head;

	modern_start(&m->r, F_FLUSH | F_INDIRECT | F_EVENT_IDX, 1, 8);
	for (unsigned i = 0; i < 20; i++) { /* wraps the ring */
		head = request(m, 0, 0, i * 3, DATA, 1536, i & 1);
		expect(m, head, 0, 0, 1537);
		CHECK(!memcmp(m->r.mem + DATA, m->data + i * 1536, 1536));
	}
	memset(m->r.mem + DATA, 0x5a, 4096);
	head = request(m, 1, 1, 40, DATA, 4096, true);
	expect(m, head, 1, 0, 1);
	CHECK(m->data[40 * 512] == 0x5a && m->data[48 * 512 - 1] == 0x5a);
	head = request(m, 2, 4, 0, 0, 0, false);
	expect(m, head, 2, 0, 1);
	free(m);
}

TEST(read_and_write_legacy)
{
	struct machine *m = machine_new(false, false);
	u16 head;

	legacy_start(&m->r, F_FLUSH, 1);
	CHECK_EQ(m->r.q[0].num, VBLK_QUEUE);
	for (unsigned i = 0; i < 200; i++) {
		head = request(m, 0, 0, i, DATA, 512, false);
		expect(m, head, 0, 0, 513);
		CHECK(!memcmp(m->r.mem + DATA, m->data + i * 512, 512));
		CHECK(m->r.line);
		CHECK_EQ(isr(&m->r), 1);
		CHECK(!m->r.line);
	}
	memset(m->r.mem + DATA, 0x77, 512);
	head = request(m, 0, 1, 9, DATA, 512, false);
	expect(m, head, 0, 0, 1);
	CHECK_EQ(m->data[9 * 512], 0x77);
	free(m);
}

TEST(any_cut_into_buffers)
{
	struct machine *m = machine_new(false, false);
	/* header in three pieces, data adjacent and apart, status behind the data */
	struct buf b[] = {{HDR, 3, false},	   {HDR + 3, 0, false},
			  {HDR + 3, 13, false},	   {DATA, 100, true},
			  {DATA + 100, 12, true},  {DATA + 0x8000, 400, true},
			  {DATA + 0x9000, 1, true}};
	u32 len;

	modern_start(&m->r, F_INDIRECT, 1, 16);
	header(m, 0, 0, 5);
	chain(&m->r, &m->r.q[0], b, ARRAY_SIZE(b));
	kick(&m->r, 0);
	fake_advance(&m->r.f, 1000);
	CHECK_EQ(used_take(&m->r, &m->r.q[0], &len), 0);
	CHECK_EQ(len, 513);
	CHECK(!memcmp(m->r.mem + DATA, m->data + 5 * 512, 112));
	CHECK(!memcmp(m->r.mem + DATA + 0x8000, m->data + 5 * 512 + 112, 400));
	CHECK_EQ(m->r.mem[DATA + 0x9000], 0);
	/* status in the same buffer as the data */
	b[0].len = 16;
	b[1] = (struct buf){DATA, 1025, true};
	header(m, 0, 0, 6);
	m->r.mem[DATA + 1024] = 0xaa;
	chain(&m->r, &m->r.q[0], b, 2);
	kick(&m->r, 0);
	fake_advance(&m->r.f, 1000);
	CHECK_EQ(used_take(&m->r, &m->r.q[0], &len), 7);
	CHECK(!memcmp(m->r.mem + DATA, m->data + 6 * 512, 1024));
	CHECK_EQ(m->r.mem[DATA + 1024], 0);
	free(m);
}

TEST(large_requests_are_cut)
{
	struct machine *m = machine_new(false, false);
	/* 2.5 MiB in one buffer, then 1.5 MiB in pieces of 48 KiB */
	struct buf b[40] = {{HDR, 16, false}};
	u16 head;

	modern_start(&m->r, F_INDIRECT, 1, 64);
	head = request(m, 0, 0, 3, DATA, 5u << 19, true);
	expect(m, head, 0, 0, (5u << 19) + 1);
	CHECK(!memcmp(m->r.mem + DATA, m->data + 3 * 512, 5u << 19));
	header(m, 0, 0, 1);
	for (unsigned i = 0; i < 32; i++)
		b[1 + i] = (struct buf){DATA + 0x10000 * i, 0xc000, true};
	b[33] = (struct buf){STATUS, 1, true};
	head = chain(&m->r, &m->r.q[0], b, 34);
	expect(m, head, 0, 0, 32 * 0xc000 + 1);
	for (unsigned i = 0; i < 32; i++)
		CHECK(!memcmp(m->r.mem + DATA + 0x10000 * i, m->data + 512 + 0xc000 * i, 0xc000));
	free(m);
}

TEST(what_cannot_be_done_says_so)
{
	struct machine *m = machine_new(false, true);
	u16 head;

	CHECK(m->d.v.offered & F_RO);
	modern_start(&m->r, F_FLUSH, 1, 16);
	head = request(m, 0, 0, SECTORS, DATA, 512, false);
	expect(m, head, 0, 1, 1);
	head = request(m, 0, 0, ~0ull, DATA, 512, false);
	expect(m, head, 0, 1, 1);
	head = request(m, 0, 0, 0, DATA, 511, false);
	expect(m, head, 0, 1, 1);
	head = request(m, 0, 1, 0, DATA, 512, false); /* read-only */
	expect(m, head, 0, 1, 1);
	head = request(m, 0, 99, 0, DATA, 512, false);
	expect(m, head, 0, 2, 1);
	head = request(m, 0, 0, 0, RIG_MEM - 256, 512, false); /* half outside RAM */
	expect(m, head, 0, 1, 513);
	head = request(m, 0, 8, 0, DATA, 20, false);
	expect(m, head, 0, 0, 21);
	CHECK_STR((char *)m->r.mem + DATA, "serial-1");
	CHECK_EQ(rig_status(&m->r), 0xf);
	free(m);
}

TEST(write_through_without_flush)
{
	struct machine *m = machine_new(true, false);

	modern_start(&m->r, 0, 1, 16);
	request(m, 0, 1, 0, DATA, 512, false);
	request(m, 1, 0, 0, DATA, 512, false);
	kick(&m->r, 0);
	CHECK_EQ(m->nheld, 2);
	CHECK_EQ(m->fua, 1);
	modern_start(&m->r, F_FLUSH, 1, 16);
	CHECK_EQ(m->cancels, 1);
	m->fua = 0;
	request(m, 0, 1, 0, DATA, 512, false);
	request(m, 1, 4, 0, 0, 0, false);
	kick(&m->r, 0);
	CHECK_EQ(m->fua, 0);
	CHECK_EQ(m->flushes, 1);
	free(m);
}

static void finish(struct machine *m, unsigned i, int status)
{
	struct blk_req *req = m->held[i];

	m->held[i] = m->held[--m->nheld];
	req->done(req, status);
}

TEST(many_in_flight_in_any_order)
{
	struct machine *m = machine_new(true, false);
	struct drv *q = &m->r.q[0];
	unsigned seen[64] = {0}, total = 0;
	int head;

	modern_start(&m->r, F_INDIRECT | F_EVENT_IDX, 1, 64);
	for (unsigned i = 0; i < 40; i++)
		request(m, i, 0, i, DATA + 4096 * i, 512, true);
	kick(&m->r, 0);
	CHECK_EQ(m->nheld, VBLK_SLOTS); /* the rest waits in the ring */
	CHECK(!wants_kick(&m->r, q, 39));
	while (m->nheld) {
		finish(m, m->nheld / 2, 0);
		head = used_take(&m->r, q, NULL);
		CHECK(head >= 0 && head < 64 && !seen[head & 63]);
		seen[head & 63] = 1;
		total++;
	}
	CHECK_EQ(total, 40);
	request(m, 0, 0, 0, DATA, 512, true);
	CHECK(wants_kick(&m->r, q, 40));
	kick(&m->r, 0);
	finish(m, 0, -EIO);
	CHECK_EQ(m->r.mem[STATUS], 1);
	free(m);
}

TEST(kicks_are_spared_while_the_medium_is_busy)
{
	struct machine *m = machine_new(true, false);
	struct drv *q = &m->r.q[0];

	modern_start(&m->r, F_INDIRECT | F_EVENT_IDX, 1, 64);
	request(m, 0, 0, 0, DATA, 512, true);
	kick(&m->r, 0);
	request(m, 1, 0, 0, DATA, 512, true);
	CHECK(wants_kick(&m->r, q, 1)); /* one in flight: the medium may take another */
	kick(&m->r, 0);
	request(m, 2, 0, 0, DATA, 512, true);
	CHECK(!wants_kick(&m->r, q, 2));
	CHECK_EQ(m->nheld, 2);
	finish(m, 0, 0); /* an end looks for what has come */
	CHECK_EQ(m->nheld, 2);
	request(m, 3, 0, 0, DATA, 512, true);
	CHECK(!wants_kick(&m->r, q, 3));
	fake_advance(&m->r.f, VBLK_POLL_NS); /* so does time */
	CHECK_EQ(m->nheld, 3);
	for (unsigned looks = 1; looks < VBLK_POLLS; looks++) { /* longer and longer */
		CHECK_EQ(timerq_next(&m->r.f.q), m->r.f.now + (VBLK_POLL_NS << looks));
		fake_advance(&m->r.f, VBLK_POLL_NS << looks);
	}
	CHECK_EQ(timerq_next(&m->r.f.q), TIMER_OFF); /* nothing ended: kicks again */
	request(m, 6, 0, 0, DATA, 512, true);
	CHECK(wants_kick(&m->r, q, 4));
	kick(&m->r, 0);
	CHECK_EQ(timerq_next(&m->r.f.q), m->r.f.now + VBLK_POLL_NS);
	request(m, 7, 0, 0, DATA, 512, true);
	CHECK(!wants_kick(&m->r, q, 5));
	vblk_guest_leaves(&m->d); /* its guest is off the CPU: a look at once, the next one late */
	CHECK_EQ(m->nheld, 5);
	CHECK_EQ(timerq_next(&m->r.f.q), m->r.f.now + (VBLK_POLL_NS << (VBLK_POLLS - 1)));
	fake_advance(&m->r.f, VBLK_POLL_NS << (VBLK_POLLS - 1));
	CHECK_EQ(timerq_next(&m->r.f.q), TIMER_OFF);
	request(m, 4, 0, 0, DATA, 512, true);
	CHECK(wants_kick(&m->r, q, 6));
	kick(&m->r, 0);
	while (m->nheld)
		finish(m, 0, 0);
	CHECK_EQ(timerq_next(&m->r.f.q), TIMER_OFF);
	request(m, 5, 0, 0, DATA, 512, true);
	CHECK(wants_kick(&m->r, q, 7));
	kick(&m->r, 0);
	CHECK_EQ(m->nheld, 1);
	free(m);
}

TEST(reset_in_flight)
{
	struct machine *m = machine_new(true, false);

	modern_start(&m->r, F_INDIRECT, 1, 16);
	for (unsigned round = 0; round < 3; round++) {
		request(m, 0, 0, 0, DATA, 512, true);
		request(m, 1, 0, 0, DATA, 512, true);
		kick(&m->r, 0);
		CHECK_EQ(m->nheld, 2);
		if (round == 2)
			vblk_reset(&m->d);
		else
			modern_start(&m->r, F_INDIRECT, 1, 16);
		CHECK_EQ(m->nheld, 0);
		CHECK_EQ(m->cancels, round + 1);
		CHECK_EQ(m->d.in_flight, 0);
	}
	CHECK_EQ(bus_find_mmio(&m->r.io, RIG_REGS), NULL);
	m->slow.size = 512; /* a medium opened anew */
	vblk_reset(&m->d);
	rig_place(&m->r, &m->d.v);
	CHECK_EQ(io_in(&m->r, 20, 4), 1);
	free(m);
}

TEST(interrupts_as_wanted)
{
	struct machine *m = machine_new(false, false);
	struct drv *q = &m->r.q[0];

	/* flag */
	modern_start(&m->r, 0, 1, 16);
	put16(&m->r, q->avail, 1);
	request(m, 0, 0, 0, DATA, 512, false);
	kick(&m->r, 0);
	fake_advance(&m->r.f, 1000);
	CHECK_EQ(used_new(&m->r, q), 1);
	CHECK(!m->r.line);
	put16(&m->r, q->avail, 0);
	request(m, 0, 0, 0, DATA, 512, false);
	kick(&m->r, 0);
	fake_advance(&m->r.f, 1000);
	CHECK(m->r.line);
	CHECK_EQ(mmio_in(&m->r, RIG_REGS + VIRTIO_MEM_ISR, 1), 1);
	CHECK(!m->r.line);
	/* event index: at the third of four only, across the wrap of the 16-bit index */
	modern_start(&m->r, F_EVENT_IDX, 1, 16);
	m->r.edges = 0;
	for (unsigned i = 0; i < 70000; i++) {
		if (i % 4 == 0)
			used_event(&m->r, q, (u16)(i + 2));
		request(m, 0, 0, 0, DATA, 512, false);
		kick(&m->r, 0);
		fake_advance(&m->r.f, 10);
		if (m->r.line) {
			CHECK_EQ(i % 4, 2);
			isr(&m->r);
		}
		if (used_take(&m->r, q, NULL) < 0)
			break;
	}
	CHECK_EQ(q->seen, (u16)70000);
	CHECK_EQ(m->r.edges, 17500);
	free(m);
}

TEST(msix_messages)
{
	struct machine *m = machine_new(false, false);

	modern_start(&m->r, 0, 1, 16);
	msix_on(&m->r, 2);
	common_out(&m->r, 22, 2, 0);
	common_out(&m->r, 26, 2, 1);
	CHECK_EQ(common_in(&m->r, 26, 2), 1);
	common_out(&m->r, 16, 2, 77);
	CHECK_EQ(common_in(&m->r, 16, 2), 0xffff);
	request(m, 0, 0, 0, DATA, 512, false);
	kick(&m->r, 0);
	fake_advance(&m->r.f, 1000);
	CHECK_EQ(m->r.messages, 1);
	CHECK_EQ(m->r.last_message, 0x41);
	CHECK(!m->r.line);
	/* masked: pending, sent when unmasked */
	mmio_out(&m->r, RIG_MSIX + 16 + 12, 4, 1);
	request(m, 0, 0, 0, DATA, 512, false);
	kick(&m->r, 0);
	fake_advance(&m->r.f, 1000);
	CHECK_EQ(m->r.messages, 1);
	CHECK_EQ(mmio_in(&m->r, RIG_MSIX + MSIX_PBA, 4), 2);
	mmio_out(&m->r, RIG_MSIX + 16 + 12, 4, 0);
	CHECK_EQ(m->r.messages, 2);
	CHECK_EQ(mmio_in(&m->r, RIG_MSIX + MSIX_PBA, 4), 0);
	free(m);
}

/* Whatever is in the rings, the device stops until reset, and works after it. */
static void expect_broken(struct machine *m, const char *what)
{
	u16 head;

	kick(&m->r, 0);
	fake_advance(&m->r.f, 1000);
	if (!(rig_status(&m->r) & 0x40))
		printf("# %s\n", what);
	CHECK(rig_status(&m->r) & 0x40);
	CHECK(isr(&m->r) & 2);
	kick(&m->r, 0);
	modern_start(&m->r, F_INDIRECT, 1, 16);
	head = request(m, 0, 0, 0, DATA, 512, false);
	expect(m, head, 0, 0, 513);
	modern_start(&m->r, F_INDIRECT, 1, 16);
	isr(&m->r);
}

TEST(hostile_rings)
{
	struct machine *m = machine_new(false, false);
	struct drv *q = &m->r.q[0];

	modern_start(&m->r, F_INDIRECT, 1, 16);
	put16(&m->r, q->avail + 2, 17);
	expect_broken(m, "index too far ahead");
	avail_put(&m->r, q, 16);
	expect_broken(m, "head outside the table");
	desc_put(&m->r, q->desc, 0, HDR, 16, D_NEXT, 0);
	avail_put(&m->r, q, 0);
	expect_broken(m, "a loop");
	desc_put(&m->r, q->desc, 0, HDR, 0, D_NEXT, 0);
	avail_put(&m->r, q, 0);
	expect_broken(m, "an empty loop");
	desc_put(&m->r, q->desc, 0, HDR, 16, D_NEXT, 99);
	avail_put(&m->r, q, 0);
	expect_broken(m, "next outside the table");
	desc_put(&m->r, q->desc, 0, HDR, 16, 0, 0);
	avail_put(&m->r, q, 0);
	expect_broken(m, "no status");
	desc_put(&m->r, q->desc, 0, STATUS, 1, D_WRITE | D_NEXT, 1);
	desc_put(&m->r, q->desc, 1, HDR, 16, 0, 0);
	avail_put(&m->r, q, 0);
	expect_broken(m, "written before read");
	desc_put(&m->r, q->desc, 0, TABLES, 8, D_INDIRECT, 0);
	avail_put(&m->r, q, 0);
	expect_broken(m, "indirect table of half an entry");
	desc_put(&m->r, q->desc, 0, TABLES, 32, D_INDIRECT, 0);
	desc_put(&m->r, TABLES, 0, TABLES, 32, D_INDIRECT, 0);
	avail_put(&m->r, q, 0);
	expect_broken(m, "indirect in indirect");
	desc_put(&m->r, q->desc, 0, RIG_MEM - 16, 32, D_INDIRECT, 0);
	avail_put(&m->r, q, 0);
	expect_broken(m, "indirect table partly outside RAM");
	for (unsigned i = 0; i < 200; i++)
		desc_put(&m->r, TABLES, i, HDR + 64 * i, 1, D_NEXT, (u16)(i + 1));
	desc_put(&m->r, q->desc, 0, TABLES, 16 * 200, D_INDIRECT, 0);
	avail_put(&m->r, q, 0);
	expect_broken(m, "more pieces than seg_max");
	desc_put(&m->r, q->desc, 0, 1ull << 40, 16, D_NEXT, 1);
	desc_put(&m->r, q->desc, 1, STATUS, 1, D_WRITE, 1);
	avail_put(&m->r, q, 0);
	expect_broken(m, "header outside RAM");
	/* rings outside RAM */
	CHECK(modern_features(&m->r, F_VERSION_1));
	common_out(&m->r, 22, 2, 0);
	common_out(&m->r, 32, 8, 1ull << 40);
	common_out(&m->r, 40, 8, 1ull << 40);
	common_out(&m->r, 48, 8, 1ull << 40);
	common_out(&m->r, 28, 2, 1);
	common_out(&m->r, 20, 1, 0xf);
	expect_broken(m, "rings outside RAM");
	free(m);
}
