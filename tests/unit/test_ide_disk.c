/* IDE disk: would catch wrong or lost data in each kind of transfer, a missing or extra interrupt,
 * bad status and error bits, addresses past the end, resets that leave a transfer running into
 * memory the guest has reused, and PRD tables that make the controller read or write what they do
 * not describe.
 *
 * SRCS: hv/dev/ide.c hv/dev/ide_dma.c hv/dev/ata.c hv/dev/atapi.c hv/dev/atapi_mmc.c hv/dev/pci.c
 * SRCS: hv/dev/bus.c hv/dev/blk_ram.c hv/lib/timerq.c hv/lib/crc32.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "ide_rig.h"

#define SECTORS (RIG_DISK / 512)

TEST(probing_finds_one_disk)
{
	struct rig *r = rig_new();

	out(r, 0, 6, 0xa0);
	CHECK_EQ(in(r, 0, 7), 0x50);
	CHECK_EQ(in(r, 0, 1), 1);
	CHECK_EQ(in(r, 0, 2), 1);
	CHECK_EQ(in(r, 0, 3), 1);
	CHECK_EQ(in(r, 0, 4) | in(r, 0, 5) << 8, 0);
	out(r, 0, 2, 0x55);
	out(r, 0, 3, 0xaa);
	CHECK_EQ(in(r, 0, 2), 0x55);
	CHECK_EQ(in(r, 0, 3), 0xaa);
	out(r, 0, 6, 0xb0); /* no slave */
	out(r, 0, 2, 0x55);
	CHECK_EQ(in(r, 0, 2), 0);
	CHECK_EQ(in(r, 0, 7), 0);
	out(r, 0, 7, 0xec); /* nobody hears it */
	CHECK_EQ(altstatus(r, 0), 0);
	CHECK_EQ(r->edges[0], 0);
	rig_free(r);
}

TEST(identify)
{
	struct rig *r = rig_new();
	u16 id[256];
	u8 sum = 0;

	out(r, 0, 6, 0xa0);
	out(r, 0, 7, 0xec);
	CHECK_EQ(take_irq(r, 0), 0x58);
	pio_in(r, 0, id, 256, false);
	CHECK_EQ(altstatus(r, 0), 0x50);
	CHECK_EQ(r->edges[0], 1);
	CHECK_EQ(id[0], 0x40);
	CHECK_EQ(id[60] | (u32)id[61] << 16, SECTORS);
	CHECK_EQ(id[100] | (u32)id[101] << 16, SECTORS);
	CHECK_EQ(id[1] * id[3] * id[6], SECTORS / 1008 * 1008);
	CHECK(!memcmp(&id[27], "EPUNBMARH RADDSI K", 18));
	CHECK_EQ(id[49] & 0x300, 0x300);
	CHECK_EQ(id[63] & 7, 7);
	CHECK_EQ(id[88] & 0xff, 0x3f);
	CHECK_EQ(id[83] & 0xc400, 0x4400);
	for (unsigned i = 0; i < 512; i++)
		sum += ((u8 *)id)[i];
	CHECK_EQ(sum, 0);
	rig_free(r);
}

/* Sector by sector, each with its interrupt; 256 sectors cross several buffer refills. */
static void read_all(struct rig *r, unsigned n, unsigned block, bool rep)
{
	static u8 got[512 * 300];
	unsigned edges = r->edges[0];

	for (unsigned i = 0; i < n; i += block) {
		unsigned now = MIN(block, n - i);

		CHECK_EQ(take_irq(r, 0), 0x58);
		pio_in(r, 0, got + i * 512, now * 256, rep);
	}
	CHECK_EQ(altstatus(r, 0), 0x50);
	CHECK_EQ(r->edges[0] - edges, (n + block - 1) / block);
	CHECK_EQ(crc32(0, got, n * 512), crc32(0, r->disk_data + 77 * 512, n * 512));
}

TEST(pio_reads)
{
	struct rig *r = rig_new();

	lba28(r, 0x20, 77, 1);
	CHECK(altstatus(r, 0) & BSY); /* never complete inside the command write */
	read_all(r, 1, 1, false);
	lba28(r, 0x20, 77, 5);
	read_all(r, 5, 1, true);
	lba28(r, 0x20, 77, 0); /* 256 */
	read_all(r, 256, 1, true);
	lba48(r, 0x24, 77, 300);
	read_all(r, 300, 1, true);
	lba28(r, 0xc4, 77, 100); /* MULTIPLE, 16 by default */
	read_all(r, 100, 16, true);
	out(r, 0, 2, 4);
	out(r, 0, 7, 0xc6);
	CHECK_EQ(take_irq(r, 0), 0x50);
	lba48(r, 0x29, 77, 103);
	read_all(r, 103, 4, false);
	rig_free(r);
}

TEST(chs_addresses)
{
	struct rig *r = rig_new();
	u8 got[512];

	/* C 1, H 2, S 3 of 16 x 63 */
	u32 lba = (1 * 16 + 2) * 63 + 2;
	out(r, 0, 6, 0xa2);
	out(r, 0, 2, 1);
	out(r, 0, 3, 3);
	out(r, 0, 4, 1);
	out(r, 0, 5, 0);
	out(r, 0, 7, 0x20);
	CHECK_EQ(take_irq(r, 0), 0x58);
	pio_in(r, 0, got, 256, true);
	CHECK(!memcmp(got, r->disk_data + lba * 512, 512));
	out(r, 0, 2, 32); /* 32 sectors x 4 heads */
	out(r, 0, 6, 0xa3);
	out(r, 0, 7, 0x91);
	CHECK_EQ(take_irq(r, 0), 0x50);
	lba = (1 * 4 + 2) * 32 + 2;
	out(r, 0, 6, 0xa2);
	out(r, 0, 2, 1);
	out(r, 0, 7, 0x20);
	CHECK_EQ(take_irq(r, 0), 0x58);
	pio_in(r, 0, got, 256, true);
	CHECK(!memcmp(got, r->disk_data + lba * 512, 512));
	out(r, 0, 3, 0); /* there is no sector 0 */
	out(r, 0, 7, 0x20);
	CHECK_EQ(take_irq(r, 0), 0x51);
	CHECK_EQ(in(r, 0, 1), 0x10);
	rig_free(r);
}

TEST(pio_writes)
{
	static const struct {
		u8 cmd;
		unsigned n, block;
	} t[] = {{0x30, 1, 1}, {0x30, 9, 1}, {0x34, 200, 1}, {0xc5, 100, 16}, {0x39, 33, 16}};
	struct rig *r = rig_new();
	static u8 data[512 * 200];

	for (unsigned k = 0; k < ARRAY_SIZE(t); k++) {
		unsigned edges = r->edges[0], n = t[k].n;
		u32 before = crc32(0, r->disk_data + (500 + n) * 512, 4096);

		for (unsigned i = 0; i < n * 512; i++)
			data[i] = (u8)rand();
		if (t[k].cmd == 0x34 || t[k].cmd == 0x39)
			lba48(r, t[k].cmd, 500, (u16)n);
		else
			lba28(r, t[k].cmd, 500, (u8)n);
		CHECK_EQ(wait_idle(r, 0), 0x58);
		CHECK(!r->line[0]); /* no interrupt before the first block */
		for (unsigned i = 0; i < n; i += t[k].block) {
			pio_out(r, 0, data + i * 512, MIN(t[k].block, n - i) * 256, k & 1);
			CHECK_EQ(take_irq(r, 0), i + t[k].block < n ? 0x58 : 0x50);
		}
		CHECK_EQ(r->edges[0] - edges, (n + t[k].block - 1) / t[k].block);
		CHECK(!memcmp(data, r->disk_data + 500 * 512, n * 512));
		CHECK_EQ(crc32(0, r->disk_data + (500 + n) * 512, 4096), before);
	}
	out(r, 0, 7, 0xe7);
	CHECK_EQ(take_irq(r, 0), 0x50);
	rig_free(r);
}

TEST(addresses_past_the_end_are_refused)
{
	struct rig *r = rig_new();

	lba28(r, 0x20, SECTORS, 1);
	CHECK_EQ(take_irq(r, 0), 0x51);
	CHECK_EQ(in(r, 0, 1), 0x10);
	lba28(r, 0xc8, SECTORS - 1, 2);
	CHECK_EQ(take_irq(r, 0), 0x51);
	lba28(r, 0x40, SECTORS - 4, 4);
	CHECK_EQ(take_irq(r, 0), 0x50);
	lba48(r, 0x24, 0xffffffffffffull, 0);
	CHECK_EQ(take_irq(r, 0), 0x51);
	lba48(r, 0x34, 0x800000000000ull, 1);
	CHECK_EQ(take_irq(r, 0), 0x51);
	lba28(r, 0x20, SECTORS - 1, 1);
	CHECK_EQ(take_irq(r, 0), 0x58);
	rig_free(r);
}

TEST(dma_reads_and_writes_scattered_memory)
{
	struct rig *r = rig_new();
	u32 crc;

	prd(r, 0x1000, 0, 0x10000, 0x1000, false);
	prd(r, 0x1000, 1, 0x30000, 0x0600, false);
	prd(r, 0x1000, 2, 0x20000, 0x0a00, true);
	lba28(r, 0xc8, 16, 16);
	CHECK_EQ(r->edges[0], 0);
	bm_start(r, 0, 0x1000, true);
	CHECK_EQ(bm_in(r, 0, 2, 1) & 7, 1);
	CHECK_EQ(take_irq(r, 0), 0x50);
	CHECK_EQ(bm_in(r, 0, 2, 1), 0x64); /* not active, interrupt, capable bits kept */
	crc = crc32(0, r->mem + 0x10000, 0x1000);
	crc = crc32(crc, r->mem + 0x30000, 0x600);
	crc = crc32(crc, r->mem + 0x20000, 0xa00);
	CHECK_EQ(crc, crc32(0, r->disk_data + 16 * 512, 0x2000));
	CHECK_EQ(r->mem[0x11000] | r->mem[0x30600] | r->mem[0x20a00], 0);
	bm_out(r, 0, 0, 1, 0);
	lba48(r, 0x35, 4000, 16);
	bm_start(r, 0, 0x1000, false);
	CHECK_EQ(take_irq(r, 0), 0x50);
	CHECK(!memcmp(r->disk_data + 4000 * 512, r->disk_data + 16 * 512, 0x2000));
	bm_out(r, 0, 0, 1, 0);
	rig_free(r);
}

TEST(dma_may_be_started_before_the_command)
{
	struct rig *r = rig_new();

	prd(r, 0x1000, 0, 0x10000, 512, true);
	bm_start(r, 0, 0x1000, true);
	CHECK_EQ(bm_in(r, 0, 2, 1) & 7, 1);
	lba28(r, 0xc8, 3, 1);
	CHECK_EQ(take_irq(r, 0), 0x50);
	CHECK(!memcmp(r->mem + 0x10000, r->disk_data + 3 * 512, 512));
	rig_free(r);
}

TEST(dma_of_many_pieces_goes_in_several_requests)
{
	struct rig *r = rig_new();
	unsigned n = 1000;

	for (unsigned i = 0; i < n; i++) /* 512-byte pieces, never adjacent */
		prd(r, 0x1000, i, 0x10000 + i * 520, 512, i == n - 1);
	lba48(r, 0x25, 100, (u16)n);
	bm_start(r, 0, 0x1000, true);
	CHECK_EQ(take_irq(r, 0), 0x50);
	for (unsigned i = 0; i < n; i++)
		CHECK(!memcmp(r->mem + 0x10000 + i * 520, r->disk_data + (100 + i) * 512, 512));
	CHECK_EQ(bm_in(r, 0, 2, 1) & 7, 4);
	rig_free(r);
}

TEST(prd_of_length_zero_is_64k_and_odd_bits_are_ignored)
{
	struct rig *r = rig_new();

	prd(r, 0x1000, 0, 0x20001, 1, true); /* length 0 with bit 0 set */
	lba28(r, 0xc8, 0, 128);
	bm_start(r, 0, 0x1003, true);
	CHECK_EQ(take_irq(r, 0), 0x50);
	CHECK(!memcmp(r->mem + 0x20000, r->disk_data, 65536));
	CHECK_EQ(bm_in(r, 0, 2, 1) & 7, 4);
	CHECK_EQ(bm_in(r, 0, 4, 4), 0x1000);
	rig_free(r);
}

TEST(prd_table_longer_than_the_transfer_stays_active)
{
	struct rig *r = rig_new();

	prd(r, 0x1000, 0, 0x20000, 0x2000, true);
	lba28(r, 0xc8, 0, 8);
	bm_start(r, 0, 0x1000, true);
	CHECK_EQ(take_irq(r, 0), 0x50);
	CHECK_EQ(bm_in(r, 0, 2, 1) & 7, 5);
	CHECK_EQ(r->mem[0x21000], 0);
	bm_out(r, 0, 0, 1, 0);
	CHECK_EQ(bm_in(r, 0, 2, 1) & 7, 4);
	rig_free(r);
}

TEST(prd_table_shorter_than_the_transfer_stops_without_interrupt)
{
	struct rig *r = rig_new();

	prd(r, 0x1000, 0, 0x20000, 0x400, true);
	lba28(r, 0xc8, 0, 8);
	bm_start(r, 0, 0x1000, true);
	fake_advance(&r->f, 1000000);
	CHECK_EQ(bm_in(r, 0, 2, 1) & 7, 0);
	CHECK(!r->line[0]);
	CHECK_EQ(altstatus(r, 0) & (BSY | DRQ), DRQ);
	CHECK(!memcmp(r->mem + 0x20000, r->disk_data, 0x400));
	/* A fresh start serves the rest from where the drive is. */
	bm_out(r, 0, 0, 1, 0);
	prd(r, 0x1000, 0, 0x30000, 0xc00, true);
	bm_start(r, 0, 0x1000, true);
	CHECK_EQ(take_irq(r, 0), 0x50);
	CHECK(!memcmp(r->mem + 0x30000, r->disk_data + 0x400, 0xc00));
	rig_free(r);
}

static void expect_dma_error(struct rig *r)
{
	CHECK_EQ(take_irq(r, 0), 0x51);
	CHECK_EQ(in(r, 0, 1) & 4, 4);
	CHECK_EQ(bm_in(r, 0, 2, 1) & 7, 6);
	bm_out(r, 0, 0, 1, 0);
	bm_out(r, 0, 2, 1, 0x66);
	CHECK_EQ(bm_in(r, 0, 2, 1) & 7, 0);
}

TEST(bad_guest_memory_ends_in_an_error)
{
	struct rig *r = rig_new();

	prd(r, 0x1000, 0, 0xfffff000, 0x1000, true); /* not RAM */
	lba28(r, 0xc8, 0, 8);
	bm_start(r, 0, 0x1000, true);
	expect_dma_error(r);
	lba28(r, 0xc8, 0, 8); /* table outside RAM */
	bm_start(r, 0, RIG_MEM, true);
	expect_dma_error(r);
	prd(r, 0x1000, 0, RIG_MEM - 0x100, 0x1000, true); /* runs off the end */
	lba28(r, 0xca, 0, 8);
	bm_start(r, 0, 0x1000, false);
	expect_dma_error(r);
	/* No EOT up to the end of the table's 64 KiB: 16 entries of 2 bytes. */
	for (unsigned i = 0; i < 16; i++)
		prd(r, 0x1ff80, i, 0x30000 + i * 4, 2, false);
	prd(r, 0x20000, 0, 0x40000, 0x1000, true);
	lba28(r, 0xc8, 0, 8);
	bm_start(r, 0, 0x1ff80, true);
	expect_dma_error(r);
	CHECK_EQ(r->mem[0x40000], 0);
	rig_free(r);
}

TEST(direction_mismatch_moves_nothing)
{
	struct rig *r = rig_new();
	u32 crc = crc32(0, r->disk_data, RIG_DISK);

	prd(r, 0x1000, 0, 0x20000, 0x1000, true);
	lba28(r, 0xca, 0, 8);
	bm_start(r, 0, 0x1000, true);
	fake_advance(&r->f, 1000000);
	CHECK_EQ(crc32(0, r->disk_data, RIG_DISK), crc);
	CHECK_EQ(r->mem[0x20000], 0);
	CHECK(!r->line[0]);
	rig_free(r);
}

/* Whatever stops a transfer, no byte may land afterwards. */
TEST(stop_and_resets_cancel_what_is_in_flight)
{
	for (unsigned how = 0; how < 4; how++) {
		struct rig *r = rig_new();

		prd(r, 0x1000, 0, 0x20000, 0x1000, true);
		lba28(r, 0xc8, 0, 8);
		bm_start(r, 0, 0x1000, true);
		CHECK(altstatus(r, 0) & BSY);
		if (how == 0)
			bm_out(r, 0, 0, 1, 0);
		if (how == 1)
			control(r, 0, 4);
		if (how == 2)
			ide_reset(&r->ide);
		if (how == 3) { /* a PIO write waiting for the medium, then reset */
			rig_free(r);
			r = rig_new();
			lba28(r, 0x30, 0, 1);
			for (unsigned i = 0; i < 256; i++)
				bus_port_write(&r->io, 0x1f0, 2, 0xdead);
			CHECK(altstatus(r, 0) & BSY);
			control(r, 0, 4);
		}
		fake_advance(&r->f, 1000000);
		for (unsigned i = 0; i < 0x1000; i++)
			CHECK_EQ(r->mem[0x20000 + i], 0);
		CHECK(!r->line[0]);
		if (how == 1 || how == 3) {
			CHECK_EQ(altstatus(r, 0), BSY);
			out(r, 0, 7, 0xec); /* ignored while reset is held */
			control(r, 0, 0);
		}
		if (how) {
			CHECK_EQ(in(r, 0, 7), 0x50);
			CHECK_EQ(in(r, 0, 1), 1);
		}
		if (how == 2) {
			pci_cfg_write(&r->ide.pci, 0x20, 4, BM_BASE);
			pci_cfg_write(&r->ide.pci, PCI_COMMAND, 2, 5);
		}
		bm_out(r, 0, 0, 1, 0);
		prd(r, 0x1000, 0, 0x20000, 0x1000, true);
		lba28(r, 0xc8, 8, 8); /* and it works again */
		bm_start(r, 0, 0x1000, true);
		CHECK_EQ(take_irq(r, 0), 0x50);
		CHECK(!memcmp(r->mem + 0x20000, r->disk_data + 8 * 512, 0x1000));
		rig_free(r);
	}
}

TEST(registers_are_locked_while_busy)
{
	struct rig *r = rig_new();
	u8 got[512];

	lba28(r, 0x20, 77, 1);
	out(r, 0, 3, 99);
	out(r, 0, 6, 0xb0);
	out(r, 0, 7, 0xec);
	out(r, 0, 7, 0x08); /* DEVICE RESET is for packet drives */
	CHECK_EQ(take_irq(r, 0), 0x58);
	pio_in(r, 0, got, 256, true);
	CHECK(!memcmp(got, r->disk_data + 77 * 512, 512));
	CHECK_EQ(in(r, 0, 3), 77);
	CHECK_EQ(in(r, 0, 6) & 0x10, 0);
	rig_free(r);
}

TEST(nien_hides_the_interrupt_and_status_clears_it)
{
	struct rig *r = rig_new();

	control(r, 0, 2);
	lba28(r, 0x20, 0, 1);
	CHECK_EQ(wait_idle(r, 0), 0x58);
	CHECK(!r->line[0]);
	CHECK_EQ(bm_in(r, 0, 2, 1) & 4, 0);
	control(r, 0, 0);
	CHECK(r->line[0]);
	altstatus(r, 0);
	CHECK(r->line[0]);
	out(r, 0, 6, 0xb0); /* the other drive does not drive the line */
	CHECK(!r->line[0]);
	out(r, 0, 6, 0xa0);
	CHECK(r->line[0]);
	in(r, 0, 7);
	CHECK(!r->line[0]);
	rig_free(r);
}

TEST(hob_shows_the_previous_values)
{
	struct rig *r = rig_new();

	out(r, 0, 2, 0x12);
	out(r, 0, 2, 0x34);
	CHECK_EQ(in(r, 0, 2), 0x34);
	control(r, 0, 0x80);
	CHECK_EQ(in(r, 0, 2), 0x12);
	out(r, 0, 3, 0); /* any write turns HOB off */
	CHECK_EQ(in(r, 0, 2), 0x34);
	out(r, 0, 7, 0x27); /* READ NATIVE MAX EXT */
	CHECK_EQ(take_irq(r, 0), 0x50);
	CHECK_EQ(in(r, 0, 3) | in(r, 0, 4) << 8 | in(r, 0, 5) << 16, SECTORS - 1);
	rig_free(r);
}

static u8 simple(struct rig *r, u8 cmd, u8 feature, u8 nsect)
{
	out(r, 0, 6, 0xe0);
	out(r, 0, 1, feature);
	out(r, 0, 2, nsect);
	out(r, 0, 7, cmd);
	return take_irq(r, 0);
}

TEST(settings_and_refusals)
{
	struct rig *r = rig_new();
	static const u8 unknown[] = {0x00, 0x08, 0xa0, 0xa1, 0xb0, 0xf5, 0xff, 0x37};
	u16 id[256];

	for (unsigned i = 0; i < ARRAY_SIZE(unknown); i++) {
		CHECK_EQ(simple(r, unknown[i], 0, 0), 0x51);
		CHECK_EQ(in(r, 0, 1), 4);
	}
	CHECK_EQ(simple(r, 0xef, 3, 0x22), 0x50); /* MWDMA 2 */
	CHECK_EQ(simple(r, 0xef, 3, 0x23), 0x51);
	CHECK_EQ(simple(r, 0xef, 3, 0x46), 0x51);
	CHECK_EQ(simple(r, 0xef, 0x82, 0), 0x50);
	CHECK_EQ(simple(r, 0xc6, 0, 3), 0x51); /* not a power of two */
	CHECK_EQ(simple(r, 0xc6, 0, 32), 0x51);
	CHECK_EQ(simple(r, 0xc6, 0, 0), 0x50);
	CHECK_EQ(simple(r, 0xc4, 0, 1), 0x51); /* MULTIPLE is off now */
	out(r, 0, 7, 0xec);
	CHECK_EQ(take_irq(r, 0), 0x58);
	pio_in(r, 0, id, 256, true);
	CHECK_EQ(id[63], 0x0407);
	CHECK_EQ(id[88], 0x003f);
	CHECK_EQ(id[85] & 0x20, 0);
	CHECK_EQ(id[59], 0);
	CHECK_EQ(simple(r, 0xe5, 0, 0), 0x50);
	CHECK_EQ(in(r, 0, 2), 0xff);
	CHECK_EQ(simple(r, 0xe0, 0, 0), 0x50);
	CHECK_EQ(simple(r, 0x98, 0, 0), 0x50);
	CHECK_EQ(in(r, 0, 2), 0);
	CHECK_EQ(simple(r, 0x10, 0, 0), 0x50);
	out(r, 0, 6, 0xb0);
	out(r, 0, 7, 0x90); /* diagnostic from the absent slave's place */
	out(r, 0, 6, 0xa0);
	CHECK_EQ(in(r, 0, 1), 1);
	rig_free(r);
}

TEST(write_protected_medium_aborts_writes)
{
	struct rig *r = rig_new();

	r->disk.blk.readonly = true;
	lba28(r, 0x30, 0, 1);
	CHECK_EQ(take_irq(r, 0), 0x51);
	lba28(r, 0xca, 0, 1);
	CHECK_EQ(take_irq(r, 0), 0x51);
	rig_free(r);
}

/* blk_ram itself: bounds with wrap-around, order, cancel. */
struct probe {
	struct blk_req req;
	unsigned done;
	int status;
};
static void probe_done(struct blk_req *req, int status)
{
	struct probe *p = req->arg;

	p->done++;
	p->status = status;
}

TEST(ram_medium_checks_bounds_and_completes_later)
{
	struct rig *r = rig_new();
	static u8 buf[1024];
	struct probe p = {0};
	struct blk_seg seg[2] = {{.buf = buf, .len = 512}, {.buf = buf + 512, .len = 512}};
	static const u64 bad[] = {RIG_DISK - 1023, RIG_DISK, RIG_DISK + 1, UINT64_MAX - 100};

	p.req = (struct blk_req){
		.op = BLK_READ, .seg = seg, .nseg = 2, .done = probe_done, .arg = &p};
	p.req.offset = RIG_DISK - 1024;
	blk_submit(&r->disk.blk, &p.req);
	CHECK_EQ(p.done, 0);
	fake_run(&r->f);
	CHECK_EQ(p.done, 1);
	CHECK_EQ(p.status, 0);
	CHECK(!memcmp(buf, r->disk_data + RIG_DISK - 1024, 1024));
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		p.req.offset = bad[i];
		p.req.op = i & 1 ? BLK_READ : BLK_WRITE;
		blk_submit(&r->disk.blk, &p.req);
		fake_run(&r->f);
		CHECK_EQ(p.status, -EIO);
	}
	p.done = 0;
	p.req.offset = 0;
	blk_submit(&r->disk.blk, &p.req);
	r->disk.blk.ops->cancel(&r->disk.blk);
	fake_advance(&r->f, 1000);
	CHECK_EQ(p.done, 0);
	rig_free(r);
}
