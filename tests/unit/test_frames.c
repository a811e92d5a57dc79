/* The frame allocator. These tests would catch: frames handed out twice or outside RAM, a ledger
 * that does not add up, allocation not from the top or not aligned, modules or the image given
 * away, a failed reassignment that changed something.
 *
 * SRCS: hv/mem/frames.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "lib/errno.h"
#include "mem/frames.h"

static struct boot_info bi;

static void region(hpa_t base, u64 len, enum mem_type type)
{
	bi.region[bi.nregions++] = (struct boot_region){.base = base, .len = len, .type = type};
}

/* 640 KiB, 1 MiB to 3 GiB with a hole, and 2 GiB above 4 GiB. */
static void machine(void)
{
	memset(&bi, 0, sizeof(bi));
	region(0, 0x9fc00, MEM_RAM);
	region(0x100000, 0xb0000000, MEM_RAM);
	region(0xb0100000, 0x10000, MEM_ACPI);
	region(0xb0110000, 0x1000, MEM_RAM);
	region(0x100000000, 0x80000000, MEM_RAM);
	bi.image_base = 0xafe00000;
	bi.image_len = 0x50000;
	bi.module[0] = (struct boot_module){.base = 0x200000, .len = 0x1801};
	bi.module[1] = (struct boot_module){.base = 0x201000, .len = 0x5000}; /* overlaps */
	bi.nmodules = 2;
	CHECK_EQ(frames_init(&bi), 0);
}

#define ALL_RAM (0x9f000ull + 0xb0000000 + 0x1000 + 0x80000000)

static u64 ledger(void)
{
	u64 sum = 0;

	for (unsigned o = 0; o < OWNER_COUNT; o++)
		sum += frames_owned(o);
	return sum;
}

static unsigned extents(void)
{
	hpa_t base;
	u64 len;
	unsigned owner, n = 0;

	while (frames_extent(n, &base, &len, &owner))
		n++;
	return n;
}

TEST(init_accounts_for_everything)
{
	machine();
	CHECK_EQ(frames_total(), ALL_RAM);
	CHECK_EQ(ledger(), ALL_RAM);
	CHECK_EQ(frames_owned(OWNER_LOW), 0x9f000);
	CHECK_EQ(frames_owned(OWNER_HYPERVISOR), 0x50000);
	CHECK_EQ(frames_owned(OWNER_MODULES), 0x6000);
}

TEST(allocates_from_the_top_aligned)
{
	machine();
	CHECK_EQ(frames_alloc(1, 1, OWNER_GUEST0), 0x17ffff000);
	CHECK_EQ(frames_alloc(1, 512, OWNER_GUEST0), 0x17fe00000);
	CHECK_EQ(frames_alloc_chunk(GIB, OWNER_GUEST0), 0x100000000);
	CHECK_EQ(frames_alloc_chunk(GIB, OWNER_GUEST0), 0x40000000);
	CHECK_EQ(frames_alloc_chunk(GIB, OWNER_GUEST0), 0);
	CHECK_EQ(frames_alloc_below(1, 1, 4 * GIB, OWNER_CONTROL), 0xb0110000);
	CHECK_EQ(frames_alloc_below(2, 1, 4 * GIB, OWNER_CONTROL), 0xb00fe000);
	CHECK_EQ(frames_alloc_below(1, 1, 0x1fffff, OWNER_CONTROL), 0x1fe000);
	CHECK_EQ(frames_alloc_below(1, 1, 0x100000, OWNER_CONTROL), 0);
	CHECK_EQ(ledger(), ALL_RAM);
}

TEST(refuses_nonsense)
{
	machine();
	CHECK_EQ(frames_alloc(0, 1, OWNER_CONTROL), 0);
	CHECK_EQ(frames_alloc(1, 0, OWNER_CONTROL), 0);
	CHECK_EQ(frames_alloc(1, 3, OWNER_CONTROL), 0);
	CHECK_EQ(frames_alloc(1, 1, OWNER_FREE), 0);
	CHECK_EQ(frames_alloc(UINT64_MAX / 2, 1, OWNER_CONTROL), 0);
	CHECK_EQ(frames_alloc(ALL_RAM / PAGE_SIZE, 1, OWNER_CONTROL), 0);
	CHECK_EQ(frames_owned(OWNER_CONTROL), 0);
}

TEST(free_gives_back_and_merges)
{
	unsigned before;
	hpa_t a, b;

	machine();
	before = extents();
	a = frames_alloc(16, 1, OWNER_GUEST0);
	b = frames_alloc(16, 1, OWNER_GUEST0 + 1);
	frames_free(a + 4 * PAGE_SIZE, 4, OWNER_GUEST0);
	CHECK_EQ(frames_owned(OWNER_GUEST0), 12 * PAGE_SIZE);
	CHECK_EQ(frames_alloc(4, 1, OWNER_CONTROL), a + 4 * PAGE_SIZE);
	frames_free(a + 4 * PAGE_SIZE, 4, OWNER_CONTROL);
	frames_free(a, 4, OWNER_GUEST0);
	frames_free(a + 8 * PAGE_SIZE, 8, OWNER_GUEST0);
	frames_free(b, 16, OWNER_GUEST0 + 1);
	CHECK_EQ(extents(), before);
	CHECK_EQ(ledger(), ALL_RAM);
}

TEST(reassign_is_all_or_nothing)
{
	machine();
	CHECK_EQ(frames_reassign(0x1ff000, 0x2000, OWNER_FREE, OWNER_CONTROL), -EBUSY);
	CHECK_EQ(frames_reassign(0xb00ff000, 0x2000, OWNER_FREE, OWNER_CONTROL), -EBUSY);
	CHECK_EQ(frames_reassign(0x300100, 0x1000, OWNER_FREE, OWNER_CONTROL), -EINVAL);
	CHECK_EQ(frames_owned(OWNER_CONTROL), 0);
	CHECK_EQ(frames_reassign(0x200000, 0x6000, OWNER_MODULES, OWNER_FREE), 0);
	CHECK_EQ(frames_reassign(0x1ff000, 0x2000, OWNER_FREE, OWNER_CONTROL), 0);
	CHECK_EQ(frames_owned(OWNER_CONTROL), 0x2000);
	CHECK_EQ(ledger(), ALL_RAM);
}

TEST(claim_takes_what_is_there)
{
	machine();
	CHECK_EQ(frames_claim(0, MIB, OWNER_LOW, OWNER_CONTROL), 0x9f000);
	CHECK_EQ(frames_claim(MIB, 127 * MIB, OWNER_FREE, OWNER_CONTROL), 127 * MIB - 0x6000);
	CHECK_EQ(frames_owned(OWNER_MODULES), 0x6000);
	CHECK_EQ(ledger(), ALL_RAM);
}

/* A page map as the reference; random allocations and frees. */
#define PAGES 2048u
static u8 owner_of[PAGES];

static void reference_check(void)
{
	hpa_t base;
	u64 len, seen = 0;
	unsigned owner;

	for (unsigned i = 0; frames_extent(i, &base, &len, &owner); i++) {
		for (u64 p = base / PAGE_SIZE; p < (base + len) / PAGE_SIZE; p++) {
			CHECK_EQ(owner_of[p], owner);
			seen++;
		}
	}
	CHECK_EQ(seen, frames_total() / PAGE_SIZE);
}

TEST(random_use_matches_a_page_map)
{
	srand(2);
	memset(&bi, 0, sizeof(bi));
	region(0, PAGES * PAGE_SIZE, MEM_RAM);
	frames_init(&bi);
	memset(owner_of, OWNER_FREE, sizeof(owner_of));
	memset(owner_of, OWNER_LOW, 256);
	for (unsigned i = 0; i < 4000; i++) {
		unsigned pages = 1 + rand() % 40, align = 1u << rand() % 6;
		unsigned owner = OWNER_GUEST0 + rand() % 3, p = 256 + rand() % (PAGES - 256);

		if (rand() % 2) {
			hpa_t a = frames_alloc(pages, align, owner);

			CHECK_EQ(a % (align * PAGE_SIZE), 0);
			for (unsigned k = 0; a && k < pages; k++) {
				CHECK_EQ(owner_of[a / PAGE_SIZE + k], OWNER_FREE);
				owner_of[a / PAGE_SIZE + k] = (u8)owner;
			}
		} else if (owner_of[p] != OWNER_FREE) {
			frames_free(p * PAGE_SIZE, 1, owner_of[p]);
			owner_of[p] = OWNER_FREE;
		}
		if (i % 64 == 0)
			reference_check();
	}
	reference_check();
}

TEST(a_full_list_loses_nothing)
{
	machine();
	/* Every second page: each allocation of one page between two free ones costs two entries.
	 */
	for (u64 p = 0x400000; p < 0x4000000; p += 2 * PAGE_SIZE) {
		if (frames_reassign(p, PAGE_SIZE, OWNER_FREE, OWNER_GUEST0) == -ENOSPC)
			break;
	}
	CHECK(extents() <= 2048);
	CHECK_EQ(frames_alloc(1, 1, OWNER_CONTROL), 0);
	CHECK_EQ(ledger(), ALL_RAM);
}
