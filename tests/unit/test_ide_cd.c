/* ATAPI CD: would catch wrong data or byte counts in packet transfers, bad sense data, replies
 * longer than asked for, reads past the disc, and DMA that disagrees with PIO.
 *
 * SRCS: hv/dev/ide.c hv/dev/ide_dma.c hv/dev/ata.c hv/dev/atapi.c hv/dev/atapi_mmc.c hv/dev/pci.c
 * SRCS: hv/dev/bus.c hv/dev/blk_ram.c hv/lib/timerq.c hv/lib/crc32.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "ide_rig.h"

#define BLOCKS (RIG_CD / 2048)
#define P(...)                                                                                     \
	(const u8[12])                                                                             \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static u8 buf[RIG_CD];

static int sense(struct rig *r)
{
	CHECK_EQ(packet_in(r, P(0x03, 0, 0, 0, 18), 0xfffe, buf, sizeof(buf)), 18);
	CHECK_EQ(buf[0] & 0x7f, 0x70);
	return buf[2] << 16 | buf[12] << 8 | buf[13];
}

/* A drive whose power-on attention was fetched. */
static struct rig *ready(void)
{
	struct rig *r = rig_new();

	CHECK_EQ(packet_in(r, P(0x00), 0, buf, 0), -6);
	CHECK_EQ(sense(r), 0x062900);
	CHECK_EQ(packet_in(r, P(0x00), 0, buf, 0), 0);
	CHECK_EQ(sense(r), 0);
	return r;
}

TEST(probing_finds_a_packet_drive)
{
	struct rig *r = rig_new();
	u16 id[256];

	out(r, 1, 6, 0xa0);
	CHECK_EQ(in(r, 1, 4), 0x14);
	CHECK_EQ(in(r, 1, 5), 0xeb);
	CHECK_EQ(in(r, 1, 7), 0);
	out(r, 1, 4, 0);
	out(r, 1, 7, 0xec);
	CHECK_EQ(take_irq(r, 1) & (ERR | DRQ), ERR);
	CHECK_EQ(in(r, 1, 1), 4);
	CHECK_EQ(in(r, 1, 4), 0x14);
	out(r, 1, 7, 0xa1);
	CHECK_EQ(take_irq(r, 1) & (ERR | DRQ), DRQ);
	pio_in(r, 1, id, 256, false);
	CHECK(!r->line[1]); /* PIO data-in ends without an interrupt */
	CHECK_EQ(id[0], 0x85c0);
	CHECK_EQ(id[49] & 0x100, 0x100);
	CHECK(!memcmp(&id[27], "EPUNBMAR", 8));
	out(r, 1, 7, 0x08);
	CHECK_EQ(in(r, 1, 7), 0);
	CHECK_EQ(in(r, 1, 5), 0xeb);
	rig_free(r);
}

TEST(attention_is_reported_once_and_inquiry_ignores_it)
{
	struct rig *r = rig_new();

	CHECK_EQ(packet_in(r, P(0x12, 0, 0, 0, 36), 0xfffe, buf, sizeof(buf)), 36);
	CHECK_EQ(buf[0], 5);
	CHECK_EQ(buf[1], 0x80);
	CHECK(!memcmp(buf + 8, "PENUMBRACD-ROM  ", 16));
	CHECK_EQ(sense(r), 0x062900);
	CHECK_EQ(packet_in(r, P(0x00), 0, buf, 0), 0);
	CHECK_EQ(packet_in(r, P(0x12, 1, 0x80, 0, 36), 0xfffe, buf, sizeof(buf)), -5);
	CHECK_EQ(packet_in(r, P(0x12, 0, 0, 0, 5), 0xfffe, buf, sizeof(buf)), 5);
	rig_free(r);
}

TEST(capacity_and_reads_by_pio)
{
	static const u16 limits[] = {2048, 0xfffe, 0xffff, 512, 100, 4096, 32768};
	struct rig *r = ready();

	CHECK_EQ(packet_in(r, P(0x25), 8, buf, 8), 8);
	CHECK_EQ((u32)buf[0] << 24 | buf[1] << 16 | buf[2] << 8 | buf[3], BLOCKS - 1);
	CHECK_EQ(buf[6] << 8 | buf[7], 2048);
	for (unsigned i = 0; i < ARRAY_SIZE(limits); i++) {
		memset(buf, 0, sizeof(buf));
		CHECK_EQ(
			packet_in(r, P(0x28, 0, 0, 0, 0, 7, 0, 0, 40), limits[i], buf, sizeof(buf)),
			40 * 2048);
		CHECK_EQ(crc32(0, buf, 40 * 2048), crc32(0, r->cd_data + 7 * 2048, 40 * 2048));
	}
	CHECK_EQ(packet_in(r, P(0xa8, 0, 0, 0, 1, 0, 0, 0, 0, 3), 2048, buf, sizeof(buf)),
		 3 * 2048);
	CHECK(!memcmp(buf, r->cd_data + 256 * 2048, 3 * 2048));
	CHECK_EQ(packet_in(r, P(0xbe, 0, 0, 0, 0, 5, 0, 0, 2, 0x10), 2048, buf, sizeof(buf)), 4096);
	CHECK(!memcmp(buf, r->cd_data + 5 * 2048, 4096));
	CHECK_EQ(packet_in(r, P(0xbe, 0, 0, 0, 0, 5, 0, 0, 2, 0xf8), 2048, buf, sizeof(buf)), -5);
	CHECK_EQ(packet_in(r, P(0x28, 0, 0, 0, 0, 7, 0, 0, 0), 2048, buf, sizeof(buf)), 0);
	rig_free(r);
}

TEST(reads_past_the_disc_give_the_right_sense)
{
	struct rig *r = ready();

	CHECK_EQ(packet_in(r, P(0x28, 0, 0, 0, 2, 0, 0, 0, 1), 2048, buf, sizeof(buf)), -5);
	CHECK_EQ(sense(r), 0x052100);
	CHECK_EQ(packet_in(r, P(0x28, 0, 0, 0, 1, 0xff, 0, 0, 2), 2048, buf, sizeof(buf)), -5);
	CHECK_EQ(packet_in(r, P(0xa8, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), 2048, buf,
			   sizeof(buf)),
		 -5);
	CHECK_EQ(packet_in(r, P(0x28, 0, 0, 0, 1, 0xff, 0, 0, 1), 2048, buf, sizeof(buf)), 2048);
	CHECK_EQ(packet_in(r, P(0xc7), 2048, buf, sizeof(buf)), -5);
	CHECK_EQ(sense(r), 0x052000);
	rig_free(r);
}

static void dma_packet(struct rig *r, const u8 p[12])
{
	packet(r, p, 0, true);
	CHECK_EQ(wait_idle(r, 1) & (DRQ | ERR), DRQ);
	CHECK(!r->line[1]);
	bm_start(r, 1, 0x1000, true);
}

TEST(reads_by_dma)
{
	struct rig *r = ready();

	prd(r, 0x1000, 0, 0x10800, 0x800, false);
	prd(r, 0x1000, 1, 0x20000, 0x8000, false);
	prd(r, 0x1000, 2, 0x40000, 0x9800, true);
	dma_packet(r, P(0x28, 0, 0, 0, 0, 9, 0, 0, 36));
	CHECK_EQ(take_irq(r, 1), 0x50);
	CHECK_EQ(in(r, 1, 2), 3);
	CHECK_EQ(bm_in(r, 1, 2, 1) & 7, 4);
	CHECK(!memcmp(r->mem + 0x10800, r->cd_data + 9 * 2048, 0x800));
	CHECK(!memcmp(r->mem + 0x20000, r->cd_data + 10 * 2048, 0x8000));
	CHECK(!memcmp(r->mem + 0x40000, r->cd_data + 26 * 2048, 0x9800));
	bm_out(r, 1, 0, 1, 0);
	prd(r, 0x1000, 0, 0x50000, 3, false); /* a short reply, in pieces */
	prd(r, 0x1000, 1, 0x60000, 100, true);
	dma_packet(r, P(0x12, 0, 0, 0, 36));
	CHECK_EQ(take_irq(r, 1), 0x50);
	CHECK_EQ(r->mem[0x50000], 5);
	CHECK(!memcmp(r->mem + 0x60000 + 6, "PENUMBRA", 8));
	CHECK_EQ(r->mem[0x60000 + 34], 0);
	bm_out(r, 1, 0, 1, 0);
	prd(r, 0x1000, 0, RIG_MEM - 16, 36, true);
	dma_packet(r, P(0x12, 0, 0, 0, 36));
	CHECK_EQ(take_irq(r, 1), 0x51);
	CHECK_EQ(in(r, 1, 1) >> 4, 11);
	CHECK_EQ(bm_in(r, 1, 2, 1) & 7, 6);
	rig_free(r);
}

TEST(resets_in_the_middle)
{
	for (unsigned how = 0; how < 3; how++) {
		struct rig *r = ready();

		packet(r, P(0x28, 0, 0, 0, 0, 0, 0, 0, 40), 2048, false);
		if (how != 2) {
			CHECK(altstatus(r, 1) & BSY);
		} else {
			wait_idle(r, 1); /* half a DRQ block read */
			pio_in(r, 1, buf, 100, true);
		}
		if (how == 1) {
			control(r, 1, 4);
			control(r, 1, 0);
		} else {
			out(r, 1, 7, 0x08);
		}
		fake_advance(&r->f, 1000000);
		CHECK(!r->line[1]);
		CHECK_EQ(in(r, 1, 4), 0x14);
		CHECK_EQ(packet_in(r, P(0x28, 0, 0, 0, 0, 3, 0, 0, 1), 2048, buf, sizeof(buf)),
			 2048);
		CHECK(!memcmp(buf, r->cd_data + 3 * 2048, 2048));
		rig_free(r);
	}
}

TEST(table_of_contents)
{
	struct rig *r = ready();

	CHECK_EQ(packet_in(r, P(0x43, 0, 0, 0, 0, 0, 0, 0, 100), 2048, buf, 100), 20);
	CHECK_EQ(buf[0] << 8 | buf[1], 18);
	CHECK_EQ(buf[5], 0x14);
	CHECK_EQ(buf[6], 1);
	CHECK_EQ(buf[14], 0xaa);
	CHECK_EQ(buf[18] << 8 | buf[19], BLOCKS);
	CHECK_EQ(packet_in(r, P(0x43, 2, 0, 0, 0, 0, 0xaa, 0, 100), 2048, buf, 100), 12);
	CHECK_EQ((buf[9] * 60 + buf[10]) * 75 + buf[11] - 150, BLOCKS);
	CHECK_EQ(packet_in(r, P(0x43, 0, 0, 0, 0, 0, 5, 0, 100), 2048, buf, 100), -5);
	CHECK_EQ(packet_in(r, P(0x43, 0, 0, 0, 0, 0, 0, 0, 12, 0x40), 2048, buf, 100), 12);
	CHECK_EQ(buf[2], 1);
	CHECK_EQ(packet_in(r, P(0x43, 0, 2, 0, 0, 0, 0, 0, 200), 2048, buf, 200), 48);
	CHECK_EQ(buf[7], 0xa0);
	CHECK_EQ(buf[12], 1);
	CHECK_EQ(packet_in(r, P(0x43, 0, 3, 0, 0, 0, 0, 0, 200), 2048, buf, 200), -5);
	CHECK_EQ(packet_in(r, P(0x43, 0, 0, 0, 0, 0, 0, 0, 4), 2048, buf, 100), 4);
	rig_free(r);
}

TEST(drive_descriptions)
{
	struct rig *r = ready();
	int n = packet_in(r, P(0x46, 0, 0, 0, 0, 0, 0, 1, 0), 2048, buf, 256);

	CHECK(n > 8);
	CHECK_EQ(((u32)buf[0] << 24 | buf[1] << 16 | buf[2] << 8 | buf[3]) + 4, n);
	CHECK_EQ(buf[7], 8);
	for (int at = 8; at < n; at += 4 + buf[at + 3])
		CHECK(at + 4 + buf[at + 3] <= n);
	CHECK_EQ(packet_in(r, P(0x46, 2, 0, 3, 0, 0, 0, 1, 0), 2048, buf, 256), 16);
	CHECK_EQ(packet_in(r, P(0x46, 2, 0x77, 3, 0, 0, 0, 1, 0), 2048, buf, 256), 8);
	CHECK_EQ(packet_in(r, P(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 2048, buf, 8), 8);
	CHECK_EQ(buf[2], 4);
	CHECK_EQ(buf[5], 2);
	CHECK_EQ(packet_in(r, P(0x4a, 1, 0, 0, 0x02, 0, 0, 0, 8), 2048, buf, 8), 4);
	CHECK_EQ(buf[2], 0x80);
	CHECK_EQ(packet_in(r, P(0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8), 2048, buf, 8), -5);
	n = packet_in(r, P(0x5a, 0, 0x2a, 0, 0, 0, 0, 1, 0), 2048, buf, 256);
	CHECK_EQ(n, 30);
	CHECK_EQ(buf[0] << 8 | buf[1], n - 2);
	CHECK_EQ(buf[8], 0x2a);
	n = packet_in(r, P(0x1a, 0, 0x3f, 0, 255), 2048, buf, 256);
	CHECK_EQ(buf[0], n - 1);
	CHECK_EQ(buf[4], 1);
	CHECK_EQ(packet_in(r, P(0x5a, 0, 0x0d, 0, 0, 0, 0, 1, 0), 2048, buf, 256), -5);
	CHECK_EQ(packet_in(r, P(0x51, 0, 0, 0, 0, 0, 0, 0, 34), 2048, buf, 256), 34);
	CHECK_EQ(packet_in(r, P(0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8), 2048, buf, 256), 8);
	CHECK_EQ(packet_in(r, P(0xbb, 0, 0xff, 0xff), 0, buf, 0), 0);
	rig_free(r);
}

TEST(tray_and_lock)
{
	struct rig *r = ready();

	CHECK_EQ(packet_in(r, P(0x1e, 0, 0, 0, 1), 0, buf, 0), 0);
	CHECK_EQ(packet_in(r, P(0x1b, 0, 0, 0, 2), 0, buf, 0), -5);
	CHECK_EQ(sense(r), 0x055302);
	CHECK_EQ(packet_in(r, P(0x1e, 0, 0, 0, 0), 0, buf, 0), 0);
	CHECK_EQ(packet_in(r, P(0x1b, 0, 0, 0, 2), 0, buf, 0), 0);
	CHECK_EQ(packet_in(r, P(0x28, 0, 0, 0, 0, 3, 0, 0, 1), 2048, buf, sizeof(buf)), -2);
	CHECK_EQ(sense(r), 0x023a02);
	CHECK_EQ(packet_in(r, P(0x1b, 0, 0, 0, 3), 0, buf, 0), 0);
	CHECK_EQ(packet_in(r, P(0x00), 0, buf, 0), -6);
	CHECK_EQ(sense(r), 0x062800);
	CHECK_EQ(packet_in(r, P(0x00), 0, buf, 0), 0);
	rig_free(r);
}

TEST(empty_drive)
{
	struct rig *r = rig_new();

	r->ide.ch[1].drive[0].blk = NULL;
	CHECK_EQ(packet_in(r, P(0x00), 0, buf, 0), -6);
	CHECK_EQ(packet_in(r, P(0x00), 0, buf, 0), -2);
	CHECK_EQ(sense(r), 0x023a00);
	CHECK_EQ(packet_in(r, P(0x25), 8, buf, 8), -2);
	CHECK_EQ(packet_in(r, P(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), 2048, buf, 8), 8);
	CHECK_EQ(buf[5], 0);
	ide_reset(&r->ide);
	rig_free(r);
}
