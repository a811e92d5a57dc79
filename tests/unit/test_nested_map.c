/* Nested tables, nested paging and the flush ledger. These tests would catch: leaves larger than
 * the memory allows or smaller than it could have, ROM that is writable, tables that lose memory or
 * leak, an audit that overlooks a wrong or missing leaf, and above all a ledger that calls a tag
 * clean while a translation is cached that the tables do not allow any more.
 *
 * The table format is none that a CPU has, so that nothing here can rest on one.
 *
 * SRCS: hv/mem/p2m.c hv/paging/nested/nested_map.c hv/paging/nested/nested_guard.c
 * SRCS: hv/paging/nested/nested.c hv/paging/nested/nested_sample.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "fake_frames.h"
#include "lib/errno.h"
#include "paging/ledger.h"
#include "paging/nested/nested_guard.h"
#include "paging/nested/nested_map.h"
#include "paging/nested/nested_sample.h"
#include "paging/paging.h"
#include "penumbra/platform.h"

#define GUEST (OWNER_GUEST0 + 1)
#define ROM   0xe0000ull

/* --- a table format --------------------------------------------------------------------------- */

#define F_PRESENT BIT(63)
#define F_LEAF	  BIT(62)
#define F_WRITE	  BIT(61)
#define F_LEVEL	  56 /* of a leaf */
#define F_ADDRESS 0x000ffffffffff000ull

static u64 fake_leaf(hpa_t hpa, unsigned level, bool writable, bool executable)
{
	CHECK(executable);
	return hpa | F_PRESENT | F_LEAF | (writable ? F_WRITE : 0) | (u64)level << F_LEVEL;
}

static u64 fake_table(hpa_t hpa)
{
	return hpa | F_PRESENT;
}

static bool fake_present(u64 entry)
{
	return entry & F_PRESENT;
}

static bool fake_is_leaf(u64 entry, unsigned level)
{
	if (entry & F_LEAF)
		CHECK_EQ(entry >> F_LEVEL & 7, level);
	return entry & F_LEAF;
}

static hpa_t fake_address(u64 entry)
{
	return entry & F_ADDRESS;
}

static const struct nested_format format = {
	.levels = 4,
	.has_1g = true,
	.leaf = fake_leaf,
	.table = fake_table,
	.present = fake_present,
	.is_leaf = fake_is_leaf,
	.address = fake_address,
};

/* --- building --------------------------------------------------------------------------------- */

static struct p2m m;
static struct nested_map map;

static void build_memory(u64 bytes, u64 gibs)
{
	fake_frames_init(4096, gibs);
	CHECK_EQ(p2m_init(&m, bytes, GUEST), 0);
	m.alias_base = PC_BIOS_ALIAS;
	m.alias_target = PC_BIOS_BASE;
	m.alias_len = PC_BIOS_SIZE;
	p2m_set_low_kind(&m, PC_BIOS_BASE, PC_BIOS_SIZE, P2M_ROM);
}

static void build(u64 bytes, u64 gibs, bool use_1g)
{
	build_memory(bytes, gibs);
	CHECK_EQ(nested_map_init(&map, &format, use_1g, &m), 0);
}

static void demolish(void)
{
	nested_map_free(&map);
	CHECK_EQ(map.tables, 0);
	p2m_free(&m);
	CHECK_EQ(fake_frames.used, 0);
	CHECK_EQ(fake_frames.chunk_pages, 0);
}

/* The entry that ends the walk to @gpa: a leaf, or one that is not present. */
static u64 *walk(gpa_t gpa, unsigned *level)
{
	hpa_t table = map.root;

	for (*level = 4;; --*level) {
		u64 *e = (u64 *)hpa_va(table) + (gpa >> (12 + 9 * (*level - 1)) & 511);

		if (!fake_present(*e) || fake_is_leaf(*e, *level))
			return e;
		table = fake_address(*e);
	}
}

static unsigned level_at(gpa_t gpa)
{
	unsigned level;

	return fake_present(*walk(gpa, &level)) ? level : 0;
}

/* Each page of [@from, @to) is translated as the p2m says. */
static void check_range(gpa_t from, gpa_t to, u64 step)
{
	for (gpa_t gpa = from; gpa < to; gpa += step) {
		unsigned level;
		u64 e = *walk(gpa, &level);
		hpa_t hpa = 0;
		enum p2m_kind kind = p2m_lookup(&m, gpa, &hpa);

		CHECK_EQ(fake_present(e), kind != P2M_NONE);
		if (kind == P2M_NONE)
			continue;
		CHECK_EQ(fake_address(e) + (gpa & ((PAGE_SIZE << 9 * (level - 1)) - 1)), hpa);
		CHECK_EQ(!!(e & F_WRITE), kind == P2M_RAM);
	}
}

TEST(leaves_are_as_large_as_memory_allows)
{
	build(3 * GIB + 10 * MIB, 2, true);
	CHECK_EQ(level_at(0x1000), 1);
	CHECK_EQ(level_at(2 * MIB), 2);
	CHECK_EQ(level_at(GIB - 1), 2);
	CHECK_EQ(level_at(GIB), 3);
	CHECK_EQ(level_at(3 * GIB - 1), 3);
	CHECK_EQ(level_at(3 * GIB), 0);
	CHECK_EQ(level_at(PC_BIOS_ALIAS), 1);
	CHECK_EQ(level_at(PC_HIGH_RAM_BASE), 2);
	CHECK_EQ(level_at(PC_HIGH_RAM_BASE + 10 * MIB - 1), 2);
	CHECK_EQ(level_at(PC_HIGH_RAM_BASE + 10 * MIB), 0);
	CHECK_EQ(map.leaves[3], 2);
	CHECK_EQ(map.leaves[2], 511 + 5);
	CHECK_EQ(map.leaves[1], 512 + PC_BIOS_SIZE / PAGE_SIZE);
	check_range(0, 4 * MIB, PAGE_SIZE);
	check_range(0, PC_HIGH_RAM_BASE + 64 * MIB, 2 * MIB);
	check_range(PC_BIOS_ALIAS - 4 * PAGE_SIZE, PC_HIGH_RAM_BASE, PAGE_SIZE);
	CHECK_EQ(nested_map_audit(&map), 0);
	demolish();
}

TEST(no_gigabyte_leaf_where_the_cpu_or_the_memory_has_none)
{
	struct nested_format small = format;

	build(2 * GIB, 1, false);
	CHECK_EQ(map.leaves[3], 0);
	CHECK_EQ(nested_map_audit(&map), 0);
	demolish();
	small.has_1g = false;
	build_memory(2 * GIB, 1);
	CHECK_EQ(nested_map_init(&map, &small, true, &m), 0);
	CHECK_EQ(map.leaves[3], 0);
	demolish();
	/* In pieces that happen to lie one behind the other, but not at a gigabyte. */
	build_memory(2 * GIB, 0);
	CHECK((m.chunk[512] & (GIB - 1)) == 0);
	CHECK_EQ(nested_map_init(&map, &format, true, &m), 0);
	CHECK_EQ(map.leaves[3], 1);
	demolish();
	build_memory(2 * GIB, 0);
	for (u64 i = 0; i < m.nchunks; i++)
		m.chunk[i] += P2M_CHUNK;
	CHECK_EQ(nested_map_init(&map, &format, true, &m), 0);
	CHECK_EQ(map.leaves[3], 0);
	nested_map_free(&map);
	for (u64 i = 0; i < m.nchunks; i++)
		m.chunk[i] -= P2M_CHUNK;
	demolish();
	/* One chunk of the gigabyte elsewhere. */
	build_memory(2 * GIB, 1);
	m.chunk[1023] -= P2M_CHUNK;
	CHECK_EQ(nested_map_init(&map, &format, true, &m), 0);
	CHECK_EQ(map.leaves[3], 0);
	m.chunk[1023] += P2M_CHUNK;
	demolish();
}

/* Whatever allocation fails: an error, and everything can be given back. */
TEST(no_memory_for_tables_leaks_nothing)
{
	unsigned failed = 0;

	for (unsigned limit = 0;; limit++) {
		int err;

		build_memory(8 * MIB, 0);
		fake_frames.limit = fake_frames.used + limit;
		err = nested_map_init(&map, &format, true, &m);
		if (err)
			CHECK_EQ(err, -ENOMEM);
		failed += err != 0;
		demolish();
		if (!err)
			break;
	}
	/* Root, one table per level for low memory, two more for the BIOS below 4 GiB. */
	CHECK_EQ(failed, 6);
}

TEST(low_pages_follow_the_p2m)
{
	unsigned level;

	build(4 * MIB, 0, true);
	p2m_set_low_kind(&m, 0xc0000, 0x4000, P2M_ROM);
	CHECK_EQ(nested_map_audit(&map), 4);
	nested_map_update_low(&map, 0xc0000, 0x4000);
	CHECK_EQ(nested_map_audit(&map), 0);
	CHECK(!(*walk(0xc3000, &level) & F_WRITE) && *walk(0xc4000, &level) & F_WRITE);
	p2m_set_low_kind(&m, 0xc0000, 0x1000, P2M_NONE);
	nested_map_update_low(&map, 0xc0000, 0x1000);
	CHECK_EQ(level_at(0xc0000), 0);
	CHECK_EQ(nested_map_audit(&map), 0);
	p2m_set_low_kind(&m, 0xc0000, 0x4000, P2M_RAM);
	nested_map_update_low(&map, 0xc0000, 0x4000);
	check_range(0xa0000, 0x110000, PAGE_SIZE);
	/* Beyond the part with pages nothing is touched. */
	nested_map_update_low(&map, P2M_CHUNK - PAGE_SIZE, 2 * P2M_CHUNK);
	CHECK_EQ(nested_map_audit(&map), 0);
	demolish();
}

/* --- the audit -------------------------------------------------------------------------------- */

/* Spoil the entry for @gpa and look whether the audit says so. */
static void spoil(gpa_t gpa, u64 with)
{
	unsigned level;
	u64 *e = walk(gpa, &level), good = *e;

	*e ^= with;
	CHECK(nested_map_audit(&map) >= 1);
	*e = good;
	CHECK_EQ(nested_map_audit(&map), 0);
}

TEST(audit_finds_any_wrong_leaf)
{
	static const gpa_t at[] = {0, 0x9f000, PC_BIOS_BASE, 2 * MIB, GIB, PC_BIOS_ALIAS};

	build(2 * GIB, 1, true);
	for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
		spoil(at[i], F_WRITE);
		spoil(at[i], PAGE_SIZE);
		spoil(at[i], F_PRESENT);
	}
	demolish();
}

TEST(audit_finds_leaves_where_nothing_is)
{
	build(4 * MIB, 0, true);
	spoil(4 * MIB, fake_leaf(FAKE_CHUNKS, 2, true, true));
	spoil(PC_BIOS_ALIAS - PAGE_SIZE, fake_leaf(FAKE_CHUNKS, 1, false, true));
	spoil(PC_HIGH_RAM_BASE, fake_leaf(FAKE_GIBS, 3, true, true));
	demolish();
}

TEST(audit_looks_into_large_leaves)
{
	build(2 * GIB, 1, true);
	m.chunk[700] ^= P2M_CHUNK;
	CHECK_EQ(nested_map_audit(&map), 1);
	m.chunk[700] ^= P2M_CHUNK;
	CHECK_EQ(nested_map_audit(&map), 0);
	demolish();
}

/* --- the ledger ------------------------------------------------------------------------------- */

/* A CPU that keeps what it has walked until it is told to forget, at the next entry. */
#define LOW_PAGES (MIB / PAGE_SIZE)
static u64 cached[LOW_PAGES];
static bool flush_wanted;
const struct paging_ops paging_shadow; /* by name only */
static hpa_t root_in_use;
static unsigned watch_in_use, pages_flushed;

static void engine_flush(struct vcpu *v, unsigned tag)
{
	flush_wanted |= tag == v->tag;
}

static void engine_translate(struct vcpu *v, const struct translation *t)
{
	CHECK_EQ(t->kind, TRANSLATION_NESTED);
	root_in_use = t->root;
	watch_in_use = t->watch;
	v->tag = t->tag;
}

static void engine_flush_page(struct vcpu *v, unsigned tag, gva_t gva)
{
	CHECK(tag == VCPU_TAG_NESTED && v->tag == tag && gva == 0x5000);
	pages_flushed++;
}

static const struct engine_ops engine = {
	.flush_page = engine_flush_page,
	.flush_tag = engine_flush,
	.set_translation = engine_translate,
	.nested_format = &format,
};

static struct vcpu cpu;

static void start(void)
{
	build(2 * MIB, 0, true);
	memset(cached, 0, sizeof(cached));
	cpu = (struct vcpu){.engine = &engine, .paging = &paging_nested, .nested = &map};
	CHECK_EQ(cpu.paging->enter(&cpu), 0);
	CHECK(root_in_use == map.root && flush_wanted);
}

/* What the debug build asserts before an entry. */
static bool clean(void)
{
	return ledger_clean(&cpu, m.gen);
}

/* The guest touches @page. */
static void touch(unsigned page)
{
	unsigned level;

	if (flush_wanted)
		memset(cached, 0, sizeof(cached));
	flush_wanted = false;
	if (!cached[page] && fake_present(*walk(page * PAGE_SIZE, &level)))
		cached[page] = *walk(page * PAGE_SIZE, &level);
}

/* Does the CPU hold anything that the tables do not allow (any more)? */
static bool stale(void)
{
	for (unsigned page = 0; !flush_wanted && page < LOW_PAGES; page++) {
		unsigned level;
		u64 now = *walk(page * PAGE_SIZE, &level);

		if (cached[page] &&
		    (!fake_present(now) || fake_address(now) != fake_address(cached[page]) ||
		     (cached[page] & ~now & F_WRITE)))
			return true;
	}
	return false;
}

static void change(gpa_t gpa, u64 len, enum p2m_kind kind)
{
	p2m_set_low_kind(&m, gpa, len, kind);
	nested_map_update_low(&map, gpa, len);
}

TEST(ledger_catches_a_forgotten_flush)
{
	start();
	CHECK(clean());
	touch(0xc0);
	CHECK(cached[0xc0] & F_WRITE);
	change(0xc0000, PAGE_SIZE, P2M_ROM);
	CHECK(stale() && !clean());
	touch(0xc1);
	CHECK(stale() && !clean());
	cpu.paging->flush(&cpu);
	touch(0xc0);
	CHECK(clean() && !stale());
	demolish();
}

TEST(ledger_catches_a_flush_before_the_tables_changed)
{
	start();
	touch(0xc0);
	p2m_set_low_kind(&m, 0xc0000, PAGE_SIZE, P2M_ROM);
	cpu.paging->flush(&cpu);
	touch(0xc0);
	nested_map_update_low(&map, 0xc0000, PAGE_SIZE);
	CHECK(stale() && !clean());
	demolish();
}

TEST(ledger_catches_a_page_that_moved)
{
	start();
	touch(0x10);
	m.chunk[0] += PAGE_SIZE;
	nested_map_update_low(&map, 0x10000, PAGE_SIZE);
	CHECK(stale() && !clean());
	m.chunk[0] -= PAGE_SIZE;
	demolish();
}

/* More rights need no flush: the fault that an old translation gives repairs itself. */
TEST(gains_need_no_flush_and_repair_themselves)
{
	struct paging_fault f;
	struct exit x = {.reason = EXIT_NESTED, .nested = {.gpa = 0xc0000, .present = true}};

	start();
	change(0xc0000, PAGE_SIZE, P2M_ROM);
	cpu.paging->flush(&cpu);
	touch(0xc0);
	CHECK_EQ(cpu.paging->fault(&cpu, &x, &f), PAGING_MMIO);
	change(0xc0000, PAGE_SIZE, P2M_RAM);
	CHECK(clean() && !stale() && !flush_wanted);
	CHECK_EQ(cpu.paging->fault(&cpu, &x, &f), PAGING_RETRY);
	CHECK(flush_wanted);
	x.nested.gpa = 16 * MIB;
	CHECK_EQ(cpu.paging->fault(&cpu, &x, &f), PAGING_MMIO);
	demolish();
}

TEST(every_way_in_and_out_flushes)
{
	start();
	touch(1);
	change(0xc0000, PAGE_SIZE, P2M_ROM);
	CHECK(!clean());
	cpu.paging->leave(&cpu);
	CHECK(clean() && flush_wanted);
	touch(1);
	change(0xc1000, PAGE_SIZE, P2M_ROM);
	CHECK_EQ(cpu.paging->enter(&cpu), 0);
	CHECK(clean() && flush_wanted);
	CHECK_EQ(cpu.paging->audit(&cpu), 0);
	demolish();
}

/* Changes, flushes and accesses in any order, with halves and flushes left out: the CPU never holds
 * a wrong translation while the ledger says clean. */
TEST(clean_means_that_nothing_wrong_is_cached)
{
	unsigned caught = 0, clean_runs = 0;

	start();
	srand(5);
	for (unsigned i = 0; i < 6000; i++) {
		unsigned page = 0xa0 + rand() % 0x60;
		gpa_t gpa = page * PAGE_SIZE;
		u64 len = MIN((u64)(1 + rand() % 8) * PAGE_SIZE, MIB - gpa);

		switch (rand() % 8) {
		case 0:
			p2m_set_low_kind(&m, gpa, len, rand() % 3);
			break;
		case 1:
			nested_map_update_low(&map, gpa, len);
			break;
		case 2:
			change(gpa, len, rand() % 3);
			break;
		case 3:
			cpu.paging->flush(&cpu);
			break;
		default:
			touch(page);
		}
		if (clean())
			CHECK(!stale());
		caught += stale();
		clean_runs += clean();
	}
	CHECK(caught > 100 && clean_runs > 1000);
	demolish();
}

/* --- devices ---------------------------------------------------------------------------------- */

#define OWN	 (64 * MIB)
#define OWN_SIZE (8 * MIB)

static gpa_t taboo; /* a page within devices that is none */

/* Everything but the first 128 MiB and one page. */
static bool device(void *ctx, gpa_t gpa, u64 len)
{
	(void)ctx;
	return gpa >= 128 * MIB && !(taboo >= gpa && taboo < gpa + len);
}

static void build_identity(void)
{
	fake_frames_init(0, 0);
	taboo = 0;
	CHECK_EQ(p2m_init_identity(&m, OWN, OWN_SIZE, OWNER_CONTROL), 0);
	m.device = device;
	CHECK_EQ(nested_map_init(&map, &format, true, &m), 0);
}

TEST(leaves_to_devices_come_on_demand_as_large_as_they_may)
{
	build_identity();
	CHECK_EQ(level_at(OWN), 2);
	CHECK_EQ(level_at(GIB), 0);
	CHECK_EQ(nested_map_device(&map, GIB + 12345), 0);
	CHECK_EQ(level_at(GIB), 3);
	CHECK_EQ(nested_map_device(&map, GIB - 1), 0); /* its gigabyte has memory in it */
	CHECK_EQ(level_at(GIB - 1), 2);
	taboo = 3 * GIB + 4 * MIB + PAGE_SIZE;
	CHECK_EQ(nested_map_device(&map, 3 * GIB), 0);
	CHECK_EQ(level_at(3 * GIB), 2);
	CHECK_EQ(nested_map_device(&map, taboo - PAGE_SIZE), 0);
	CHECK_EQ(level_at(taboo - PAGE_SIZE), 1);
	CHECK_EQ(level_at(taboo), 0);
	CHECK_EQ(nested_map_audit(&map), 0);
	demolish();
}

/* A page that becomes taboo after a large leaf over it was made. */
TEST(dropped_devices_come_back_without_what_is_taboo_now)
{
	u64 gen;

	build_identity();
	CHECK_EQ(nested_map_device(&map, 2 * GIB), 0);
	taboo = 2 * GIB + 2 * MIB;
	CHECK(nested_map_audit(&map) > 0);
	gen = m.gen;
	nested_map_drop_devices(&map);
	CHECK(m.gen > gen);
	CHECK_EQ(level_at(2 * GIB), 0);
	CHECK_EQ(level_at(OWN), 2);
	CHECK_EQ(nested_map_device(&map, 2 * GIB), 0);
	CHECK_EQ(level_at(taboo), 0);
	CHECK_EQ(nested_map_audit(&map), 0);
	demolish();
}

/* Touching addresses all over the place must not eat the hypervisor's memory. */
TEST(tables_for_devices_are_limited)
{
	unsigned served = 0;

	build_identity();
	for (u64 i = 0; i < 4 * NESTED_DEVICE_TABLES; i++) {
		taboo = i * GIB * 512 + GIB + 5 * PAGE_SIZE;
		served += nested_map_device(&map, taboo - PAGE_SIZE) == 0;
	}
	CHECK(served && served <= NESTED_DEVICE_TABLES);
	CHECK(map.device_tables <= NESTED_DEVICE_TABLES);
	demolish();
}

/* --- a page that is no memory ----------------------------------------------------------------- */

TEST(a_placed_page_is_mapped_and_survives_until_it_is_taken_away)
{
	unsigned level;
	hpa_t page;
	u64 gen;

	build(16 * MIB, 0, false);
	page = frames_alloc(1, 1, OWNER_HYPERVISOR);
	gen = m.gen;
	CHECK_EQ(nested_map_place(&map, PC_LAPIC_BASE, page), 0);
	CHECK_EQ(nested_map_place(&map, PC_LAPIC_BASE, page), 0);
	CHECK_EQ(m.gen, gen);
	CHECK_EQ(*walk(PC_LAPIC_BASE, &level), fake_leaf(page, 1, true, true));
	CHECK_EQ(level_at(PC_LAPIC_BASE + PAGE_SIZE), 0);
	CHECK_EQ(nested_map_audit(&map), 0);
	CHECK_EQ(nested_map_place(&map, PC_LAPIC_BASE, 0), 0);
	CHECK_EQ(level_at(PC_LAPIC_BASE), 0);
	CHECK_EQ(m.gen, gen + 1);
	CHECK_EQ(nested_map_audit(&map), 0);
	frames_free(page, 1, OWNER_HYPERVISOR);
	demolish();
}

TEST(a_placed_page_stays_when_devices_go)
{
	hpa_t page;

	build_identity();
	page = frames_alloc(1, 1, OWNER_HYPERVISOR);
	taboo = PC_LAPIC_BASE;
	CHECK_EQ(nested_map_device(&map, PC_LAPIC_BASE + PAGE_SIZE), 0);
	CHECK_EQ(nested_map_place(&map, PC_LAPIC_BASE, page), 0);
	nested_map_drop_devices(&map);
	CHECK_EQ(level_at(PC_LAPIC_BASE), 1);
	CHECK_EQ(level_at(PC_LAPIC_BASE + PAGE_SIZE), 0);
	CHECK_EQ(nested_map_audit(&map), 0);
	frames_free(page, 1, OWNER_HYPERVISOR);
	demolish();
}

/* The guest says where. */
TEST(a_page_is_placed_neither_over_memory_nor_all_over_the_place)
{
	unsigned level;
	u64 leaf, tables;
	hpa_t page;

	build(16 * MIB, 0, false);
	page = frames_alloc(1, 1, OWNER_HYPERVISOR);
	leaf = *walk(MIB, &level);
	tables = map.tables;
	CHECK_EQ(nested_map_place(&map, MIB, page), -EINVAL);
	CHECK_EQ(*walk(MIB, &level), leaf);
	for (gpa_t gpa = 4 * GIB; gpa < 64 * GIB; gpa += GIB)
		CHECK_EQ(nested_map_place(&map, gpa, page), -EINVAL);
	CHECK_EQ(map.tables, tables);
	CHECK_EQ(nested_map_audit(&map), 0);
	frames_free(page, 1, OWNER_HYPERVISOR);
	demolish();
}

/* --- what is heard of on request -------------------------------------------------------------- */

TEST(watchers_share_what_is_heard_of)
{
	start();
	CHECK_EQ(watch_in_use, 0);
	paging_watch(&cpu, WATCHER_COUNTS, WATCH_BIT(WATCH_FAULT) | WATCH_BIT(WATCH_CR3));
	paging_watch(&cpu, WATCHER_SPACES, WATCH_BIT(WATCH_CR3));
	CHECK_EQ(watch_in_use, WATCH_BIT(WATCH_FAULT) | WATCH_BIT(WATCH_CR3));
	paging_watch(&cpu, WATCHER_COUNTS, 0);
	CHECK_EQ(watch_in_use, WATCH_BIT(WATCH_CR3));
	cpu.paging->leave(&cpu);
	CHECK_EQ(cpu.watch.bits, 0);
	cpu.paging = &paging_shadow;
	paging_watch(&cpu, WATCHER_OPTION, WATCH_BIT(WATCH_INVLPG));
	CHECK_EQ(cpu.watch.bits, 0);
	cpu.paging = &paging_nested;
	cpu.paging->enter(&cpu);
	CHECK_EQ(watch_in_use, WATCH_BIT(WATCH_CR3) | WATCH_BIT(WATCH_INVLPG));
	demolish();
}

static unsigned told[WATCH_KINDS];
static void tell(struct vcpu *v, enum watch_kind kind)
{
	CHECK(v == &cpu);
	told[kind]++;
}

TEST(what_is_heard_of_is_counted_and_left_to_the_guest)
{
	struct exit x = {.reason = EXIT_EXCEPTION,
			 .exc = {.vector = 14, .error = 0x1f, .cr2 = 0xdeadbeef000}};
	struct paging_fault f;

	start();
	paging_watch(&cpu, WATCHER_COUNTS, WATCH_ALL);
	cpu.watch.heard = tell;
	memset(told, 0, sizeof(told));
	for (unsigned i = 0; i < 5; i++) {
		CHECK_EQ(cpu.paging->fault(&cpu, &x, &f), PAGING_GUEST);
		CHECK(f.gva == x.exc.cr2 && f.error == x.exc.error);
	}
	CHECK_EQ(told[WATCH_FAULT], 5);
	flush_wanted = false;
	pages_flushed = 0;
	cpu.watch.heard = NULL;
	cpu.paging->cr_write(&cpu, 3, 0x1000, 0x2000);
	cpu.paging->cr_write(&cpu, 4, 0x1000, 0x2000);
	cpu.paging->invlpg(&cpu, 0x5000);
	CHECK_EQ(pages_flushed, 1);
	CHECK(cpu.watch.count[WATCH_FAULT] == 5 && cpu.watch.count[WATCH_CR3] == 1 &&
	      cpu.watch.count[WATCH_INVLPG] == 1);
	paging_watch(&cpu, WATCHER_COUNTS, 0);
	cpu.paging->cr_write(&cpu, 3, 0x1000, 0x2000);
	CHECK_EQ(cpu.watch.count[WATCH_CR3], 1);
	demolish();
}

/* --- pages not to be written for now ---------------------------------------------------------- */

static bool writable_at(gpa_t gpa)
{
	unsigned level;

	return *walk(gpa, &level) & F_WRITE;
}

TEST(a_guarded_page_alone_is_read_only)
{
	static const gpa_t at[] = {0x5000, 2 * MIB + 0x3000, GIB + 4 * MIB, 2 * GIB - PAGE_SIZE};

	build(2 * GIB, 1, true);
	CHECK_EQ(nested_guard_init(&map), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
		CHECK_EQ(nested_guard(&map, at[i] + 0x123), 0);
		CHECK_EQ(map.guards_made, i + 1);
		CHECK_EQ(nested_guard(&map, at[i]), 0); /* twice is once */
		CHECK_EQ(map.guards_made, i + 1);
		CHECK(nested_guarded(&map, at[i]) && !nested_guarded(&map, at[i] + PAGE_SIZE));
		CHECK_EQ(level_at(at[i]), 1);
		CHECK(!writable_at(at[i]));
		CHECK(writable_at(at[i] - PAGE_SIZE));
		CHECK_EQ(nested_map_audit(&map), 0);
	}
	/* What is no RAM is not to be written anyway. */
	CHECK_EQ(nested_guard(&map, PC_BIOS_BASE), 0);
	CHECK_EQ(nested_guard(&map, 8 * GIB), 0);
	CHECK(!nested_guarded(&map, PC_BIOS_BASE) && !nested_guarded(&map, 8 * GIB));
	/* The rest of the gigabyte is as it was, in smaller pieces. */
	CHECK_EQ(level_at(GIB + 2 * MIB), 2);
	nested_unguard(&map, at[1]);
	CHECK(writable_at(at[1]) && !nested_guarded(&map, at[1]));
	CHECK_EQ(nested_map_audit(&map), 0);
	spoil(at[2], F_WRITE);
	nested_guard_free(&map);
	demolish();
}

TEST(large_leaves_come_back_when_guards_end)
{
	u64 tables;

	build(3 * GIB + 10 * MIB, 2, true);
	tables = map.tables;
	CHECK_EQ(nested_guard_init(&map), 0);
	for (gpa_t gpa = 0x1000; gpa < 3 * GIB; gpa += 100 * MIB + 5 * PAGE_SIZE)
		CHECK_EQ(nested_guard(&map, gpa), 0);
	CHECK(map.tables > tables + 20);
	nested_guard_free(&map);
	CHECK(!nested_guarded(&map, 0x1000));
	CHECK_EQ(map.tables, tables);
	CHECK_EQ(map.leaves[3], 2);
	CHECK_EQ(map.leaves[2], 511 + 5);
	CHECK_EQ(map.leaves[1], 512 + PC_BIOS_SIZE / PAGE_SIZE);
	check_range(0, 4 * GIB, 2 * MIB);
	CHECK_EQ(nested_map_audit(&map), 0);
	demolish();
}

/* Low pages whose kind changes under a guard; and no memory for what it takes. */
TEST(guards_stand_when_the_map_changes_and_fail_without_memory)
{
	build(8 * MIB, 0, true);
	CHECK_EQ(nested_guard_init(&map), 0);
	CHECK_EQ(nested_guard(&map, 0xc0000), 0);
	nested_map_update_low(&map, 0xc0000, 0x1000);
	CHECK(!writable_at(0xc0000));
	CHECK_EQ(nested_map_audit(&map), 0);
	p2m_set_low_kind(&m, 0xc0000, 0x1000, P2M_ROM);
	nested_map_update_low(&map, 0xc0000, 0x1000);
	nested_unguard(&map, 0xc0000);
	CHECK(!writable_at(0xc0000));
	CHECK_EQ(nested_map_audit(&map), 0);
	fake_frames.limit = fake_frames.used;
	CHECK_EQ(nested_guard(&map, 4 * MIB), -ENOMEM);
	CHECK(!nested_guarded(&map, 4 * MIB) && writable_at(4 * MIB));
	CHECK_EQ(nested_map_audit(&map), 0);
	demolish(); /* gives back what guards took */
}

/* --- samples of accessed bits ----------------------------------------------------------------- */

#define F_ACCESSED BIT(60)

static u64 used_leaf(hpa_t hpa, unsigned level, bool writable, bool executable)
{
	return fake_leaf(hpa, level, writable, executable) | F_ACCESSED;
}

static u64 fake_accessed(void)
{
	return F_ACCESSED;
}

static void build_accessed(u64 bytes, u64 gibs)
{
	static struct nested_format accessed;

	accessed = format;
	accessed.leaf = used_leaf;
	accessed.accessed = fake_accessed;
	build_memory(bytes, gibs);
	CHECK_EQ(nested_map_init(&map, &accessed, true, &m), 0);
}

/* As the caller of nested_sample.h has it. */
static struct nested_sample a_sample(void)
{
	return (struct nested_sample){
		.memory = frames_alloc(NESTED_SAMPLE_PAGES, 1, OWNER_HYPERVISOR)};
}

static void give_back(const struct nested_sample *s)
{
	frames_free(s->memory, NESTED_SAMPLE_PAGES, OWNER_HYPERVISOR);
}

static void use(gpa_t gpa)
{
	unsigned level;

	*walk(gpa, &level) |= F_ACCESSED;
}

TEST(regions_are_split_looked_at_and_joined_without_a_trace)
{
	u64 random = 1, squares, tables, leaves[4];
	struct nested_sample s;

	build_accessed(2 * GIB + 64 * MIB, 1);
	s = a_sample();
	tables = map.tables;
	memcpy(leaves, map.leaves, sizeof(leaves));
	CHECK(nested_sample_possible(&map));
	for (unsigned round = 0; round < 20; round++) {
		unsigned n = nested_sample_begin(&map, &s, 16, &random);

		CHECK_EQ(s.of, 1024 + 32 - 1);
		CHECK(n > 12 && n <= 16);
		CHECK_EQ(nested_sample_count(&map, &s, &squares), 0);
		CHECK_EQ(nested_map_audit(&map), 0);
		check_range(0, PC_HIGH_RAM_BASE + 64 * MIB, 2 * MIB);
		for (unsigned i = 0; i < n; i++) {
			unsigned level;

			CHECK_EQ(level_at(s.region[i].gpa), 1);
			check_range(s.region[i].gpa, s.region[i].gpa + 2 * MIB, PAGE_SIZE);
			/* The guest uses as many pages of it as its number. */
			for (unsigned page = 0; page < i; page++)
				*walk(s.region[i].gpa + page * 37 % 512 * PAGE_SIZE, &level) |=
					F_ACCESSED;
		}
		CHECK_EQ(nested_sample_count(&map, &s, &squares), n * (n - 1) / 2);
		CHECK_EQ(squares, (n - 1) * n * (2 * n - 1) / 6);
		nested_sample_end(&map, &s);
		CHECK_EQ(map.tables, tables);
		CHECK(!memcmp(leaves, map.leaves, sizeof(leaves)));
		CHECK_EQ(nested_map_audit(&map), 0);
		nested_sample_end(&map, &s); /* nothing more to do */
	}
	give_back(&s);
	demolish();
}

/* Each one as often as any other. */
TEST(every_region_has_the_same_chance)
{
	unsigned chosen[32] = {0};
	struct nested_sample s;
	u64 random = 7;

	build_accessed(32 * 2 * MIB, 0);
	s = a_sample();
	for (unsigned round = 0; round < 400; round++) {
		unsigned n = nested_sample_begin(&map, &s, 8, &random);

		for (unsigned i = 0; i < n; i++)
			chosen[s.region[i].gpa >> P2M_CHUNK_SHIFT]++;
		nested_sample_end(&map, &s);
	}
	CHECK_EQ(chosen[0], 0);
	for (unsigned i = 1; i < 32; i++)
		CHECK(chosen[i] > 65 && chosen[i] < 145);
	give_back(&s);
	demolish();
}

/* Marked, then used: those are chosen from and no others, and what is used by looking is not. */
TEST(only_regions_in_use_are_looked_at)
{
	const gpa_t used[] = {2 * MIB, 6 * MIB + 4096, 62 * MIB};
	struct nested_sample s;
	u64 random = 5;

	build_accessed(64 * MIB, 0);
	s = a_sample();
	for (unsigned round = 0; round < 3; round++) {
		nested_sample_mark(&map, &s);
		CHECK_EQ(nested_sample_begin(&map, &s, 8, &random), 0);
		CHECK_EQ(s.of, 0);
		for (unsigned i = 0; i < ARRAY_SIZE(used); i++)
			use(used[i]);
		CHECK_EQ(nested_sample_begin(&map, &s, 8, &random), 3);
		CHECK_EQ(s.of, 3);
		for (unsigned i = 0; i < s.n; i++)
			CHECK_EQ(s.region[i].gpa, used[i] & ~(2 * MIB - 1));
		nested_sample_end(&map, &s);
		CHECK_EQ(nested_sample_begin(&map, &s, 2, &random), 2);
		CHECK_EQ(s.of, 3);
		nested_sample_end(&map, &s);
	}
	give_back(&s);
	demolish();
}

/* A leaf of 1 GiB has one bit for all of it. */
TEST(a_used_leaf_of_1_gib_is_all_its_regions)
{
	struct nested_sample s;
	u64 random = 9, squares;
	unsigned n;

	build_accessed(2 * GIB, 1);
	s = a_sample();
	nested_sample_mark(&map, &s);
	use(GIB + 12345678);
	n = nested_sample_begin(&map, &s, 8, &random);
	CHECK(n == 8 && s.of == 512);
	for (unsigned i = 0; i < n; i++) {
		CHECK(s.region[i].gpa >= GIB);
		use(s.region[i].gpa + 5 * PAGE_SIZE);
	}
	CHECK_EQ(nested_sample_count(&map, &s, &squares), 8);
	CHECK_EQ(nested_map_audit(&map), 0);
	nested_sample_end(&map, &s);
	give_back(&s);
	demolish();
}

TEST(without_memory_nothing_is_split)
{
	struct nested_sample s = {.memory = 0};
	u64 random = 3;

	build_accessed(2 * GIB, 1);
	CHECK_EQ(nested_sample_begin(&map, &s, 16, &random), 0);
	nested_sample_end(&map, &s);
	CHECK_EQ(nested_map_audit(&map), 0);
	demolish();
}

TEST(without_accessed_bits_there_is_no_sample)
{
	build(64 * MIB, 0, true);
	CHECK(!nested_sample_possible(&map));
	demolish();
}
