/* Operations of random page-table programs; see ops.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "shadow/ops.h"

#include <string.h>

#include "lib/x86.h"

static struct ref_access access_of(unsigned how)
{
	static const struct ref_access kinds[] = {
		{0},
		{.write = true},
		{.fetch = true},
		{.user = true},
		{.user = true, .write = true},
		{.user = true, .fetch = true},
		{.implicit = true},
		{.implicit = true, .write = true},
	};

	struct ref_access a = kinds[how & 7];

	a.inner = a.implicit && (how & 8);
	return a;
}

static unsigned entries_of(const struct rig *r)
{
	return r->setup.mode == REF_32 ? 1024 : 512;
}

static unsigned index_of(const struct rig *r, const struct op *o)
{
	if (o->index >= 32)
		return o->extra % entries_of(r);
	return rig_index(r, 1, o->index);
}

static gva_t gva_of(const struct rig *r, const struct op *o)
{
	return rig_gva(r, o->va | (o->luck & 0xf00));
}

static u64 value_of(const struct rig *r, const struct op *o)
{
	static const struct {
		u16 flag;
		u64 bit;
	} bits[] = {{OPF_P, PTE_P}, {OPF_W, PTE_W},   {OPF_U, PTE_U},  {OPF_A, PTE_A},
		    {OPF_D, PTE_D}, {OPF_PS, PTE_PS}, {OPF_G, BIT(8)}, {OPF_NX, PTE_NX}};
	bool narrow = r->setup.mode == REF_32, large = o->flags & OPF_PS;
	u64 v = world_frame(o->target), key = (o->flags & OPF_KEY) >> 8;

	if (large)
		v = world_large(o->target, narrow ? 4 * MIB : (o->target & 0x80) ? GIB : 2 * MIB);
	if (narrow && large)
		v = (u32)v | (v >> 32 & 0xff) << 13;
	for (unsigned i = 0; i < ARRAY_SIZE(bits); i++)
		if (o->flags & bits[i].flag)
			v |= bits[i].bit;
	if (r->setup.mode == REF_LONG)
		v |= key << 59;
	if (o->flags & OPF_PAT)
		v |= (u64)(o->extra >> 16 & 3) << 3 | (large ? BIT(12) : 0);
	if (o->flags & OPF_RSVD)
		v |= narrow ? BIT(13 + o->extra % 9) : BIT(13 + o->extra % 50);
	if ((o->flags & OPF_RAW) && (o->flags & OPF_RSVD))
		v = (u64)o->extra * 0x9e3779b97f4a7c15ull;
	return v;
}

/* PDPTEs of PAE have few bits. */
static u64 pdpte_of(u64 v)
{
	return v & ~(PTE_W | PTE_U | PTE_A | PTE_D | PTE_PS | BIT(8) | PTE_NX | 15ull << 59);
}

static unsigned store_form(const struct op *o)
{
	return o->luck >> 12 & 0xff;
}

static struct ref_access store_access(const struct op *o)
{
	return (struct ref_access){.write = true, .user = o->flags & OPF_USER};
}

static void store_value(struct rig *r, const struct op *o, gva_t gva, unsigned size, u64 value,
			unsigned repeat)
{
	const u64 want[2] = {value, value ^ 0x1020};
	struct ref_access a = store_access(o);

	rig_store(r, gva, &a, o->how % STORE_KINDS, store_form(o), size, want, repeat, o->luck);
}

static u64 entry_value(const struct rig *r, const struct op *o)
{
	u64 v = value_of(r, o);

	/* The first frames are roots. */
	return r->setup.mode == REF_PAE && o->frame < 4 ? pdpte_of(v) : v;
}

static gva_t entry_gva(const struct rig *r, const struct op *o)
{
	unsigned index = index_of(r, o);

	if (r->setup.mode == REF_PAE && o->frame < 4 && o->index < 32)
		index = MIN(index, 3u);
	return rig_map_gva(r, o->frame % WORLD_FRAMES) + index * rig_entry_bytes(r);
}

static u64 current_entry(const struct rig *r, const struct op *o)
{
	u64 v;

	world_read(NULL, world_frame(o->frame) + entry_gva(r, o) % PAGE_SIZE, rig_entry_bytes(r),
		   &v);
	return v;
}

/* --- each operation --- */

static void op_access(struct rig *r, const struct op *o)
{
	struct ref_access a = access_of(o->how);
	gva_t gva = gva_of(r, o) + (o->extra & 0xff8);

	if (a.write && !a.implicit) {
		const u64 want[2] = {o->extra * 0x100000001ull << 13, o->extra};

		/* Data, not likely to be anything as an entry. */
		rig_store(r, gva, &a, STORE_MOV, 0, 1u << (o->luck >> 5 & 3), want, 1, o->luck);
		return;
	}
	rig_touch(r, &gva, 1, &a, o->luck);
}

static void op_access_map(struct rig *r, const struct op *o)
{
	struct ref_access a = access_of(o->how & ~1u);
	gva_t gva = rig_map_gva(r, o->frame % WORLD_FRAMES) + (o->extra & 0xff8);

	rig_touch(r, &gva, 1, &a, o->luck);
}

static void op_entry(struct rig *r, const struct op *o)
{
	store_value(r, o, entry_gva(r, o), rig_entry_bytes(r), entry_value(r, o), 1);
}

static void op_entry_va(struct rig *r, const struct op *o)
{
	gva_t gva = gva_of(r, o) + index_of(r, o) * rig_entry_bytes(r);

	store_value(r, o, gva, rig_entry_bytes(r), value_of(r, o), 1);
}

static void op_poke(struct rig *r, const struct op *o)
{
	gva_t gva = rig_map_gva(r, o->frame % WORLD_FRAMES) + (o->extra & 0xfff);

	store_value(r, o, gva, 1u << o->index % 5, value_of(r, o), 1);
}

static void op_clear(struct rig *r, const struct op *o)
{
	store_value(r, o, entry_gva(r, o), rig_entry_bytes(r), 0, 1);
}

static void op_fill(struct rig *r, const struct op *o)
{
	struct ref_access a = store_access(o);
	const u64 want[2] = {(o->flags & OPF_RAW) ? 0 : entry_value(r, o), 0};
	unsigned size = (o->luck & 3) ? rig_entry_bytes(r) : 4;
	gva_t gva = entry_gva(r, o);
	unsigned room = (unsigned)(PAGE_SIZE - gva % PAGE_SIZE) / size;

	rig_store(r, gva, &a, STORE_REP_STOS, store_form(o), size, want,
		  1 + o->extra % MIN(room, 40u), o->luck);
}

static void op_entry_ad(struct rig *r, const struct op *o)
{
	static const u64 without[] = {PTE_A, PTE_D, PTE_A | PTE_D, PTE_W,
				      PTE_P, PTE_U, PTE_D | PTE_W, BIT(8)};
	u64 v = current_entry(r, o);

	v = (o->extra & 0x100) ? v | without[o->extra & 7] : v & ~without[o->extra & 7];
	store_value(r, o, entry_gva(r, o), rig_entry_bytes(r), v, 1);
}

static void op_device(struct rig *r, const struct op *o)
{
	u64 v = entry_value(r, o);

	rig_device_write(r, world_frame(o->frame) + entry_gva(r, o) % PAGE_SIZE, &v,
			 rig_entry_bytes(r));
}

static void op_device_page(struct rig *r, const struct op *o)
{
	u8 page[PAGE_SIZE];

	memset(page, 0, sizeof(page));
	for (unsigned i = 0; i < sizeof(page) && (o->how & 1); i += 8) {
		u64 v = (i + o->extra) * 0x9e3779b97f4a7c15ull;

		memcpy(page + i, &v, 8);
	}
	rig_device_write(r, world_frame(o->frame), page, sizeof(page));
}

static void op_invlpg(struct rig *r, const struct op *o)
{
	rig_invlpg(r, gva_of(r, o) + (o->extra & 0xfff));
}

static void op_invlpg_map(struct rig *r, const struct op *o)
{
	rig_invlpg(r, rig_map_gva(r, o->frame % WORLD_FRAMES));
}

static void op_cr3(struct rig *r, const struct op *o)
{
	u64 cr3 = world_frame(o->frame) | (o->extra & 0x18);

	if (r->setup.mode == REF_PAE && o->frame >= 4)
		cr3 |= (o->extra & 0x7f) << 5;
	rig_load_cr3(r, cr3);
}

static void op_cr3_same(struct rig *r, const struct op *o)
{
	(void)o;
	rig_load_cr3(r, r->g.cr3);
}

static void op_flush(struct rig *r, const struct op *o)
{
	u64 cr4 = r->g.cr4;

	(void)o;
	if (rig_set_control(r, r->g.cr0, cr4 ^ CR4_PGE, r->g.efer))
		rig_set_control(r, r->g.cr0, cr4, r->g.efer);
}

static void op_control(struct rig *r, const struct op *o)
{
	u64 cr0 = r->g.cr0, cr4 = r->g.cr4, efer = r->g.efer;

	switch (o->how % 7) {
	case 0:
		cr0 ^= CR0_WP;
		break;
	case 1:
		cr4 ^= CR4_PGE;
		break;
	case 2:
		cr4 ^= CR4_SMEP;
		break;
	case 3:
		cr4 ^= CR4_SMAP;
		break;
	case 4:
		cr4 ^= CR4_PKE;
		break;
	case 5:
		cr4 ^= CR4_PSE;
		break;
	default:
		efer ^= EFER_NXE;
	}
	rig_set_control(r, cr0, cr4, efer);
}

static void op_pkru(struct rig *r, const struct op *o)
{
	r->g.pkru = o->extra & ((o->how & 3) ? 0x0000c0fcu : 0xfffffffcu);
}

static void op_ac(struct rig *r, const struct op *o)
{
	(void)o;
	r->g.rflags ^= RFLAGS_AC;
}

/* Some accesses without paging, then back. */
static void op_unpaged(struct rig *r, const struct op *o)
{
	u64 cr0 = r->g.cr0, cr4 = r->g.cr4, efer = r->g.efer;
	struct ref_access a = access_of(o->how);

	if (!rig_set_control(r, cr0 & ~CR0_PG, cr4, efer))
		return;
	for (unsigned i = 0; i < 3; i++) {
		gva_t gva = (u32)world_frame(o->frame + i * o->target) + (o->extra & 0xff8);

		if (a.write)
			store_value(r, o, gva, rig_entry_bytes(r), value_of(r, o), 1);
		else
			rig_touch(r, &gva, 1, &a, o->luck);
	}
	if (!rig_set_control(r, cr0, cr4, efer)) {
		rig_build(r);
		rig_load_cr3(r, world_frame(0));
		if (!rig_set_control(r, cr0, cr4, efer))
			rig_fail(r, "the test's own tables were refused");
	}
}

static void op_mode(struct rig *r, const struct op *o)
{
	static const enum ref_mode modes[] = {REF_32, REF_PAE, REF_LONG};

	rig_change_mode(r, modes[o->how % 3]);
}

static void op_switch(struct rig *r, const struct op *o)
{
	(void)o;
	if (r->nested)
		rig_enter(r);
	else
		rig_leave(r);
}

static void op_kind(struct rig *r, const struct op *o)
{
	static const enum p2m_kind kinds[] = {P2M_NONE, P2M_ROM, P2M_RAM};
	unsigned frame = (o->frame & 1) ? WORLD_PAM : WORLD_VIDEO;

	rig_set_kind(r, frame, kinds[o->how % 3]);
}

static void op_many(struct rig *r, const struct op *o)
{
	struct ref_access a = access_of(o->how & ~5u & 7);
	gva_t gva[30];
	unsigned n = 2 + o->extra % 29;
	u32 choice = o->luck;

	for (unsigned i = 0; i < n; i++) {
		choice = choice * 1664525 + 1013904223;
		gva[i] = rig_gva(r, choice >> 16 & 0xfff);
	}
	rig_touch(r, gva, n, &a, o->luck);
}

static void op_prefetch(struct rig *r, const struct op *o)
{
	gva_t gva = (o->how & 1) ? rig_map_gva(r, o->frame % WORLD_FRAMES) : gva_of(r, o);

	if (ref_mode_of(&r->g) != REF_LONG)
		gva = (u32)gva;
	if (!r->nested)
		fakemmu_prefetch(&r->mmu, &r->g, gva);
}

/* An operating system starts anew. */
static void op_build(struct rig *r, const struct op *o)
{
	(void)o;
	rig_build(r);
	rig_load_cr3(r, world_frame(o->frame % 3));
}

static void op_audit(struct rig *r, const struct op *o)
{
	(void)o;
	rig_audit(r);
}

static void (*const op_table[OP_CODES])(struct rig *, const struct op *) = {
	[OP_ACCESS] = op_access,   [OP_ACCESS_MAP] = op_access_map,
	[OP_ENTRY] = op_entry,	   [OP_ENTRY_VA] = op_entry_va,
	[OP_POKE] = op_poke,	   [OP_CLEAR] = op_clear,
	[OP_FILL] = op_fill,	   [OP_ENTRY_AD] = op_entry_ad,
	[OP_DEVICE] = op_device,   [OP_DEVICE_PAGE] = op_device_page,
	[OP_INVLPG] = op_invlpg,   [OP_INVLPG_MAP] = op_invlpg_map,
	[OP_CR3] = op_cr3,	   [OP_CR3_SAME] = op_cr3_same,
	[OP_FLUSH] = op_flush,	   [OP_CONTROL] = op_control,
	[OP_PKRU] = op_pkru,	   [OP_AC] = op_ac,
	[OP_UNPAGED] = op_unpaged, [OP_MODE] = op_mode,
	[OP_SWITCH] = op_switch,   [OP_KIND] = op_kind,
	[OP_MANY] = op_many,	   [OP_PREFETCH] = op_prefetch,
	[OP_BUILD] = op_build,	   [OP_AUDIT] = op_audit,
};

void op_run(struct rig *r, const struct op *o)
{
	op_table[o->code % OP_CODES](r, o);
	r->n.ops++;
}

unsigned stream_run(struct rig *r, const struct stream *s)
{
	unsigned i;

	rig_begin(r, &s->setup);
	for (i = 0; i < s->count && !r->failed; i++) {
		op_run(r, &s->op[i]);
		if (s->setup.audit_every && i % s->setup.audit_every == 0 && !r->failed)
			rig_audit(r);
	}
	rig_end(r);
	return i;
}
