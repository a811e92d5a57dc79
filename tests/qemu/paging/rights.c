/* Who may do what: each kind of access at both privilege levels under each combination of rights at
 * the leaf and above it, with the exact error code and CR2, and what the CPU may and must set in
 * the entries.
 *
 * SPDX-License-Identifier: MIT
 */
#include "sizes.h"

#define WRITE_AT      8 /* behind the mark */
#define RANDOM_ROUNDS 64

unsigned sizes_max(void)
{
	return mode->levels == 4 && cpu.has_1g ? 3 : 2;
}

const char *size_name(unsigned leaf)
{
	if (leaf == 1)
		return "4K";
	if (leaf == 3)
		return "1G";
	return mode->levels == 2 ? "4M" : "2M";
}

const char *level_name(unsigned level)
{
	static const char *const names[] = {"", "PTE", "PDE", "PDPTE", "PML4E"};

	return names[level];
}

struct spot size_spot(unsigned leaf)
{
	if (leaf == 1)
		return spot_new(15);
	if (leaf == 2)
		return spot_at(mode->test_va + (6ull << mode->shift[2]), LARGE_A, 2);
	return spot_at(mode->test_va + (2ull << mode->shift[3]) + LARGE_A, 0, 3);
}

/* --- one access, all of its consequences ------------------------------------------------------ */

/* Each has a point of its own: there is an emulator that does otherwise. */
unsigned rsvd_without_p, rsvd_with_a;

static ulong frame_of(const struct spot *s)
{
	u64 offset = s->va & ((1ull << mode->shift[s->leaf]) - 1);

	return (ulong)((s->base[s->leaf] & PTE_ADDR) + offset);
}

/* The CPU may note the way to a refused page, but no write. */
static void check_entry_refused(u64 before, u64 after, bool reached)
{
	check("an entry of a refused access", after | PTE_A, before | PTE_A);
	if (!reached)
		check("an entry that is not used", after, before);
}

static void check_entry(u64 before, u64 after, const struct verdict *want, unsigned level)
{
	if ((want->fault & PF_RSVD) && level == want->reached - 1) {
		rsvd_with_a += (after ^ before) == PTE_A;
		after = (after & ~PTE_A) | (before & PTE_A);
	}
	check_entry_refused(before, after, level >= want->reached);
}

static void check_entries(const struct spot *s, const u64 *before, const struct verdict *want,
			  unsigned kind)
{
	for (unsigned level = mode->levels; level >= s->leaf; level--) {
		u64 after = get(s, level), used = before[level] | PTE_A;

		if (is_pdpte(level)) /* A there has a point of its own */
			check("a PDPTE", after | PTE_A, used);
		else if (!want->used)
			check_entry(before[level], after, want, level);
		else
			check("A and D of an entry that is used", after,
			      used | (level == s->leaf && kind == WRITE ? PTE_D : 0));
	}
}

static void check_data(const struct way *way, const struct spot *s, bool done, u32 token)
{
	u32 word = at_phys(frame_of(s))[WRITE_AT / 4];

	if (way->kind == READ && done)
		check("what is read", seen.value & way->mask, mark_of(frame_of(s)) & way->mask);
	if (way->kind == WRITE)
		check("what stands in memory", word, done ? token ^ ~way->mask : ~token);
}

static void check_fault(u32 want)
{
	bool refused = want & PF_RSVD;

	check("fault", seen.fault | (refused ? PF_P : 0), want);
	if (refused && seen.fault && !(seen.fault & PF_P))
		rsvd_without_p++;
}

void access_by(const struct way *way, const struct spot *s, bool user, bool ac)
{
	static u32 token;
	unsigned kind = way->kind;
	struct verdict want = model(s, kind, user, ac);
	u64 before[5] = {0}, va = kind == WRITE ? s->va + WRITE_AT : s->va;
	u32 value = way->prepare ? way->prepare(++token) : ++token;

	for (unsigned level = mode->levels; level >= s->leaf; level--)
		before[level] = get(s, level);
	at_phys(frame_of(s))[WRITE_AT / 4] = ~value;
	invlpg(s->va);
	attempt_by(way, va, user, ac, value);
	check_fault(want.fault);
	if (want.fault)
		check("CR2", seen.cr2, va);
	check_data(way, s, want.used, value);
	check_entries(s, before, &want, kind);
}

void access_checked(const struct spot *s, unsigned kind, bool user, bool ac)
{
	access_by(&plain[kind], s, user, ac);
}

/* --- rights ----------------------------------------------------------------------------------- */

static unsigned right_sets(void)
{
	return mode->levels > 2 && cpu.nxe ? 8 : 4;
}

/* The entry with the rights of set @n: bit 0 W, 1 U, 2 NX. */
static u64 with_rights(u64 entry, unsigned n)
{
	entry &= ~(PTE_W | PTE_U);
	return entry | (n & 1 ? PTE_W : 0) | (n & 2 ? PTE_U : 0) | (n & 4 ? PTE_NX : 0);
}

static void try_rights(const struct spot *s, unsigned leaf_set, unsigned level, unsigned set,
		       const struct way *way, bool user, bool ac)
{
	spot_reset(s);
	put(s, s->leaf, with_rights(s->base[s->leaf], leaf_set));
	if (level > s->leaf)
		put(s, level, with_rights(s->base[level], set));
	access_by(way, s, user, ac);
}

static void random_rights(const struct way *way, const struct spot *s, bool user, bool ac)
{
	static u32 rng; /* not beside code: emulators translate that anew at each write */

	spot_reset(s);
	for (unsigned level = mode->levels; level >= s->leaf; level--) {
		rng = rng * 1664525 + 1013904223;
		/* Three of four levels allow all: most walks are to come to their end. */
		if (!is_pdpte(level) && rng >> 30 == 0)
			put(s, level, with_rights(s->base[level], rng >> 24 & (right_sets() - 1)));
	}
	access_by(way, s, user, ac);
}

/* Each set at the leaf with each at one level above, and mixtures of all levels. */
static void all_rights(const struct way *way, const struct spot *s, bool user, bool ac)
{
	for (unsigned leaf_set = 0; leaf_set < right_sets(); leaf_set++) {
		try_rights(s, leaf_set, s->leaf, 0, way, user, ac);
		for (unsigned level = s->leaf + 1; level <= mode->levels; level++)
			for (unsigned set = 0; set < right_sets() && !is_pdpte(level); set++)
				try_rights(s, leaf_set, level, set, way, user, ac);
	}
	for (unsigned i = 0; i < RANDOM_ROUNDS; i++)
		random_rights(way, s, user, ac);
	spot_reset(s);
}

void point_rights(const struct way *way, const struct spot *s, bool user, bool ac,
		  const char *state)
{
	begin(size_name(s->leaf), way->name, user ? "cpl3" : "cpl0", state, (char *)0);
	all_rights(way, s, user, ac);
	end();
}

static void each_access(const struct spot *s, bool ac, const char *state)
{
	for (unsigned kind = READ; kind < KINDS; kind++) {
		point_rights(&plain[kind], s, false, ac, state);
		point_rights(&plain[kind], s, true, ac, state);
	}
}

static void test_size(unsigned leaf)
{
	struct spot s = size_spot(leaf);

	each_access(&s, false, "wp=1");
	set_wp(false);
	each_access(&s, false, "wp=0");
	set_wp(true);
	if (cpu.has_smep) {
		set_smep(true);
		each_access(&s, false, "smep=1");
		set_smep(false);
	}
	if (cpu.has_smap) {
		set_smap(true);
		each_access(&s, false, "smap=1 ac=0");
		each_access(&s, true, "smap=1 ac=1");
		set_smap(false);
	}
	if (cpu.nxe) {
		set_nxe(false);
		each_access(&s, false, "nxe=0");
		set_nxe(true);
	}
}

/* --- what is not there ------------------------------------------------------------------------ */

/* With no P bit all others are the software's. */
static void test_absent(unsigned leaf)
{
	static const u64 others[] = {0, PTE_W | PTE_U, ~PTE_P, PTE_ADDR, PTE_A | PTE_D};
	struct spot s = size_spot(leaf);

	for (unsigned level = mode->levels; level >= leaf; level--) {
		if (is_pdpte(level))
			continue;
		begin(size_name(leaf), "absent", level_name(level), (char *)0);
		for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]) * 2 * KINDS; i++) {
			put(&s, level, others[i / 2 / KINDS]);
			access_checked(&s, i / 2 % KINDS, i & 1, false);
			spot_reset(&s);
		}
		end();
	}
}

void test_rights(void)
{
	for (unsigned leaf = 1; leaf <= sizes_max(); leaf++) {
		test_size(leaf);
		test_absent(leaf);
	}
}
