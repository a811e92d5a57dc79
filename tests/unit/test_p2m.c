/* The guest-physical map. These tests would catch: RAM laid over the PCI hole, memory lost when a
 * guest does not fit, accesses that reach a ROM for writing or what is no memory, copies done in
 * part, and losses of rights that the flush ledger does not hear of.
 *
 * SRCS: hv/mem/p2m.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "fake_frames.h"
#include "lib/errno.h"
#include "mem/p2m.h"
#include "penumbra/platform.h"

#define GUEST (OWNER_GUEST0 + 1)
#define ROM   0xe0000ull

static struct p2m m;

static void build(u64 bytes)
{
	fake_frames_init(4096, 0);
	CHECK_EQ(p2m_init(&m, bytes, GUEST), 0);
}

static enum p2m_kind kind_at(gpa_t gpa)
{
	hpa_t hpa;

	return p2m_lookup(&m, gpa, &hpa);
}

TEST(sizes_are_whole_chunks_and_at_least_one)
{
	static const u64 asked[] = {0, MIB, 2 * MIB, 5 * MIB};
	static const u64 got[] = {2 * MIB, 2 * MIB, 2 * MIB, 4 * MIB};

	for (unsigned i = 0; i < ARRAY_SIZE(asked); i++) {
		build(asked[i]);
		CHECK_EQ(m.low_bytes, got[i]);
		CHECK_EQ(m.high_bytes, 0);
		CHECK_EQ(fake_frames.chunk_pages * PAGE_SIZE, got[i]);
		CHECK_EQ(kind_at(got[i] - 1), P2M_RAM);
		CHECK_EQ(kind_at(got[i]), P2M_NONE);
		p2m_free(&m);
		CHECK_EQ(fake_frames.chunk_pages, 0);
		CHECK_EQ(fake_frames.used, 0);
	}
}

TEST(ram_beyond_the_pci_hole_goes_above_4g)
{
	fake_frames_init(4096, 4);
	CHECK_EQ(p2m_init(&m, PC_PCI_HOLE_START + GIB + 6 * MIB, GUEST), 0);
	CHECK_EQ(m.low_bytes, PC_PCI_HOLE_START);
	CHECK_EQ(m.high_bytes, GIB + 6 * MIB);
	CHECK_EQ(kind_at(PC_PCI_HOLE_START - 1), P2M_RAM);
	CHECK_EQ(kind_at(PC_PCI_HOLE_START), P2M_NONE);
	CHECK_EQ(kind_at(PC_HIGH_RAM_BASE - 1), P2M_NONE);
	CHECK_EQ(kind_at(PC_HIGH_RAM_BASE), P2M_RAM);
	CHECK_EQ(kind_at(PC_HIGH_RAM_BASE + GIB + 6 * MIB - 1), P2M_RAM);
	CHECK_EQ(kind_at(PC_HIGH_RAM_BASE + GIB + 6 * MIB), P2M_NONE);
	/* The second, third and fifth gigabyte in one piece; the first has holes inside anyway. */
	CHECK_EQ(fake_frames.gibs, 1);
	for (unsigned g = 1; g <= 4; g += g == 2 ? 2 : 1)
		for (u64 i = 1; i < GIB / P2M_CHUNK; i++)
			CHECK_EQ(m.chunk[g * 512 + i], m.chunk[g * 512] + i * P2M_CHUNK);
	p2m_free(&m);
	CHECK_EQ(fake_frames.chunk_pages, 0);
}

TEST(a_guest_that_does_not_fit_leaves_nothing_behind)
{
	fake_frames_init(7, 0);
	CHECK_EQ(p2m_init(&m, 16 * MIB, GUEST), -ENOMEM);
	CHECK_EQ(fake_frames.chunk_pages, 0);
	CHECK_EQ(fake_frames.used, 0);
	p2m_free(&m); /* again: nothing to do */
	fake_frames_init(7, 0);
	fake_frames.limit = 0;
	CHECK_EQ(p2m_init(&m, 4 * MIB, GUEST), -ENOMEM);
	CHECK_EQ(fake_frames.chunk_pages, 0);
}

TEST(memory_starts_as_zeros)
{
	fake_frames_init(1, 0);
	p2m_init(&m, 2 * MIB, GUEST);
	memset(p2m_ptr(&m, 0), 0x5a, P2M_CHUNK);
	p2m_free(&m);
	build(2 * MIB);
	for (gpa_t gpa = 0; gpa < P2M_CHUNK; gpa += 8)
		if (*(const u64 *)p2m_ptr_read(&m, gpa)) {
			CHECK(!"a byte that is not zero");
			break;
		}
	p2m_free(&m);
}

TEST(kinds_of_the_window)
{
	build(4 * MIB);
	p2m_set_low_kind(&m, ROM, 0x2000, P2M_ROM);
	CHECK_EQ(kind_at(ROM - 1), P2M_RAM);
	CHECK_EQ(kind_at(ROM), P2M_ROM);
	CHECK_EQ(kind_at(ROM + 0x1fff), P2M_ROM);
	CHECK_EQ(kind_at(ROM + 0x2000), P2M_RAM);
	CHECK(p2m_ptr(&m, ROM) == NULL && p2m_ptr(&m, ROM - 1) && p2m_ptr(&m, ROM + 0x2000));
	CHECK(p2m_ptr_read(&m, ROM + 5) == p2m_peek(&m, ROM + 5));
	CHECK((const u8 *)p2m_ptr_read(&m, ROM + 5) == (const u8 *)p2m_ptr(&m, 0) + ROM + 5);
	/* The same offset of another chunk is RAM. */
	CHECK(p2m_ptr(&m, 2 * MIB + ROM) != NULL);
	p2m_set_low_kind(&m, ROM, 0x1000, P2M_NONE);
	CHECK(p2m_ptr_read(&m, ROM) == NULL && p2m_ptr(&m, ROM) == NULL);
	p2m_free(&m);
}

TEST(the_bios_shows_below_4g_and_is_never_written_there)
{
	hpa_t low, high;

	build(4 * MIB);
	m.alias_base = PC_BIOS_ALIAS;
	m.alias_target = PC_BIOS_BASE;
	m.alias_len = PC_BIOS_SIZE;
	for (gpa_t off = 0; off < PC_BIOS_SIZE; off += PC_BIOS_SIZE - 1) {
		CHECK_EQ(p2m_lookup(&m, PC_BIOS_ALIAS + off, &high), P2M_ROM);
		CHECK_EQ(p2m_lookup(&m, PC_BIOS_BASE + off, &low), P2M_RAM);
		CHECK_EQ(high, low);
	}
	CHECK_EQ(kind_at(PC_BIOS_ALIAS - 1), P2M_NONE);
	CHECK_EQ(kind_at(m.alias_base + m.alias_len), P2M_NONE);
	CHECK(p2m_ptr(&m, PC_BIOS_ALIAS) == NULL);
	CHECK_EQ(p2m_write(&m, PC_BIOS_ALIAS, "x", 1), -EFAULT);
	p2m_free(&m);
}

TEST(copies_are_whole_or_nothing)
{
	u8 buf[3 * PAGE_SIZE], back[sizeof(buf)];

	build(4 * MIB);
	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (u8)(i * 7 + 1);
	CHECK_EQ(p2m_write(&m, 0x50123, buf, sizeof(buf)), 0);
	CHECK_EQ(p2m_read(&m, 0x50123, back, sizeof(back)), 0);
	CHECK(!memcmp(buf, back, sizeof(buf)));
	/* Over the end of memory, and into a ROM page in the middle. */
	p2m_set_low_kind(&m, ROM + 0x1000, 0x1000, P2M_ROM);
	CHECK_EQ(p2m_write(&m, 4 * MIB - 2 * PAGE_SIZE, buf, sizeof(buf)), -EFAULT);
	CHECK_EQ(p2m_write(&m, ROM + 0x800, buf, 2 * PAGE_SIZE), -EFAULT);
	CHECK_EQ(((const u8 *)p2m_ptr_read(&m, 4 * MIB - 2 * PAGE_SIZE))[0], 0);
	CHECK_EQ(((const u8 *)p2m_ptr_read(&m, ROM))[0x800], 0);
	CHECK_EQ(p2m_read(&m, ROM + 0x800, back, 2 * PAGE_SIZE), 0);
	memset(back, 0x77, sizeof(back));
	CHECK_EQ(p2m_read(&m, 4 * MIB - PAGE_SIZE, back, sizeof(back)), -EFAULT);
	CHECK_EQ(back[0], 0x77);
	CHECK_EQ(p2m_write(&m, 0, buf, 0), 0);
	p2m_free(&m);
}

TEST(ranges_at_the_end_of_the_address_space)
{
	static const gpa_t at[] = {UINT64_MAX, UINT64_MAX - 0xfff, UINT64_MAX - 0x7ff, 1ull << 63};
	u8 buf[PAGE_SIZE] = {0};

	build(2 * MIB);
	for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
		CHECK_EQ(p2m_read(&m, at[i], buf, sizeof(buf)), -EFAULT);
		CHECK_EQ(p2m_write(&m, at[i], buf, sizeof(buf)), -EFAULT);
		CHECK(p2m_ptr(&m, at[i]) == NULL && p2m_ptr_read(&m, at[i]) == NULL);
	}
	p2m_free(&m);
}

/* The ledger hears of each step down, and of no step up. */
TEST(every_loss_counts_a_generation)
{
	static const enum p2m_kind up[] = {P2M_NONE, P2M_ROM, P2M_RAM};

	build(2 * MIB);
	for (unsigned from = 0; from < 3; from++) {
		for (unsigned to = 0; to < 3; to++) {
			u64 gen;

			p2m_set_low_kind(&m, ROM, 0x3000, up[from]);
			gen = m.gen;
			p2m_set_low_kind(&m, ROM, 0x3000, up[to]);
			CHECK_EQ(m.gen > gen, to < from);
			CHECK_EQ(kind_at(ROM + 0x2000), up[to]);
		}
	}
	p2m_free(&m);
}

/* --- identity maps ---------------------------------------------------------------------------- */

#define OWN  (64 * MIB)
#define SIZE (8 * MIB)

static gpa_t device_from, device_to;

static bool device(void *ctx, gpa_t gpa, u64 len)
{
	CHECK(ctx == &m);
	return gpa >= device_from && gpa + len <= device_to;
}

static void build_identity(void)
{
	fake_frames_init(0, 0);
	fake_frames.extent[0].base = 0x1000;
	fake_frames.extent[0].len = 0x9e000;
	fake_frames.extent[0].owner = OWNER_CONTROL;
	fake_frames.extent[1].base = 0x9f000;
	fake_frames.extent[1].len = 0x1000;
	fake_frames.extent[1].owner = OWNER_LOW;
	fake_frames.extent[2].base = MIB;
	fake_frames.extent[2].len = 63 * MIB;
	fake_frames.extent[2].owner = OWNER_CONTROL; /* not part of the range asked for */
	fake_frames.extents = 3;
	CHECK_EQ(p2m_init_identity(&m, OWN, SIZE, OWNER_CONTROL), 0);
	m.device = device;
	m.device_ctx = &m;
	device_from = device_to = 0;
}

static enum p2m_kind kind_of(gpa_t gpa)
{
	hpa_t hpa = 0;
	enum p2m_kind kind = p2m_lookup(&m, gpa, &hpa);

	if (kind != P2M_NONE)
		CHECK_EQ(hpa, gpa);
	return kind;
}

TEST(an_identity_map_has_its_range_and_its_owners_low_pages_only)
{
	static const gpa_t none[] = {0,	      0x9f000, 0xa0000,	   MIB,
				     2 * MIB, OWN - 1, OWN + SIZE, 4 * GIB};

	build_identity();
	CHECK_EQ(kind_of(OWN), P2M_RAM);
	CHECK_EQ(kind_of(OWN + SIZE - 1), P2M_RAM);
	CHECK_EQ(kind_of(0x1000), P2M_RAM);
	CHECK_EQ(kind_of(0x9efff), P2M_RAM);
	CHECK(p2m_ptr(&m, OWN + 5) == hpa_va(OWN + 5));
	CHECK(p2m_ptr(&m, 0x1234) == hpa_va(0x1234) && p2m_ptr_read(&m, 0x1234) == hpa_va(0x1234));
	for (unsigned i = 0; i < ARRAY_SIZE(none); i++) {
		CHECK_EQ(kind_of(none[i]), P2M_NONE);
		CHECK(!p2m_ptr(&m, none[i]) && !p2m_peek(&m, none[i]) &&
		      !p2m_ptr_read(&m, none[i]));
	}
	p2m_free(&m);
}

/* A device is no memory: the hypervisor never follows the guest's pointers into one. */
TEST(devices_are_told_from_memory)
{
	u8 byte;

	build_identity();
	device_from = 0xa0000;
	device_to = 0xb0000;
	CHECK_EQ(kind_of(0xa0000), P2M_DEVICE);
	CHECK_EQ(kind_of(0xaffff), P2M_DEVICE);
	CHECK_EQ(kind_of(0xb0000), P2M_NONE);
	CHECK(!p2m_ptr(&m, 0xa0000) && !p2m_ptr_read(&m, 0xa0000));
	CHECK_EQ(p2m_read(&m, 0xa0000, &byte, 1), -EFAULT);
	device_to = GIB;
	CHECK_EQ(kind_of(OWN), P2M_RAM);
	p2m_free(&m);
}

TEST(an_identity_map_wants_whole_chunks_above_the_first)
{
	fake_frames_init(0, 0);
	CHECK_EQ(p2m_init_identity(&m, OWN + PAGE_SIZE, SIZE, OWNER_CONTROL), -EINVAL);
	CHECK_EQ(p2m_init_identity(&m, OWN, SIZE + PAGE_SIZE, OWNER_CONTROL), -EINVAL);
	CHECK_EQ(p2m_init_identity(&m, 0, SIZE, OWNER_CONTROL), -EINVAL);
	CHECK_EQ(p2m_init_identity(&m, OWN, 0, OWNER_CONTROL), -EINVAL);
	fake_frames.limit = 0;
	CHECK_EQ(p2m_init_identity(&m, OWN, SIZE, OWNER_CONTROL), -ENOMEM);
}
