/* Random streams of operations, and streams as text; see ops.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "shadow/ops.h"

static u64 rng;

static u32 rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (u32)(rng * 0x2545f4914f6cdd1dull >> 32);
}

static bool percent(unsigned p)
{
	return rnd() % 100 < p;
}

/* How often what is done; the rest are accesses. */
static const struct {
	u8 code;
	u16 per_mille;
} weights[] = {
	{OP_ACCESS_MAP, 30}, {OP_ENTRY, 200}, {OP_ENTRY_VA, 20},  {OP_POKE, 5},
	{OP_CLEAR, 60},	     {OP_FILL, 8},    {OP_ENTRY_AD, 60},  {OP_DEVICE, 10},
	{OP_DEVICE_PAGE, 1}, {OP_INVLPG, 60}, {OP_INVLPG_MAP, 5}, {OP_CR3, 35},
	{OP_CR3_SAME, 25},   {OP_FLUSH, 5},   {OP_CONTROL, 6},	  {OP_PKRU, 5},
	{OP_AC, 5},	     {OP_UNPAGED, 1}, {OP_MODE, 0},	  {OP_SWITCH, 6},
	{OP_KIND, 1},	     {OP_MANY, 10},   {OP_PREFETCH, 30},  {OP_BUILD, 3},
};

static u8 random_code(void)
{
	unsigned at = rnd() % 1000;

	for (unsigned i = 0; i < ARRAY_SIZE(weights); i++) {
		if (at < weights[i].per_mille)
			return weights[i].code;
		at -= weights[i].per_mille;
	}
	return OP_ACCESS;
}

/* The tables of one level, as rig_build() has them; sometimes any frame. */
struct table_group {
	u8 first, count;
};

static const struct table_group groups[5] = {
	[1] = {12, 8},
	[2] = {8, 4},
	[3] = {4, 3},
	[4] = {0, 3},
};

static unsigned random_level(enum ref_mode mode)
{
	unsigned top = mode == REF_32 ? 2 : mode == REF_PAE ? 3 : 4;
	unsigned at = rnd() % 16;

	return at < 9 ? 1 : at < 13 ? 2 : at < 15 ? MIN(3u, top) : top;
}

static u8 of_group(enum ref_mode mode, unsigned level, unsigned spread)
{
	const struct table_group *g = &groups[level];

	/* The top level is always the roots'. */
	if ((mode == REF_32 && level == 2) || (mode == REF_PAE && level == 3))
		g = &groups[4];
	if (spread >= 70 && g != &groups[4] && percent(spread - 30))
		return (u8)(rnd() % WORLD_LOW_TABLES);
	if (level == 1 && percent(spread))
		return (u8)(12 + rnd() % 60);
	return (u8)(g->first + rnd() % g->count);
}

static u16 random_flags(unsigned level)
{
	u16 f = (u16)((rnd() & 0xf) << 8);

	f |= percent(93) ? OPF_P : 0;
	f |= percent(level == 1 ? 75 : 93) ? OPF_W : 0;
	f |= percent(level == 1 ? 70 : 93) ? OPF_U : 0;
	f |= percent(45) ? OPF_A : 0;
	f |= percent(35) ? OPF_D : 0;
	f |= percent(level == 2 ? 25 : level == 3 ? 10 : 5) ? OPF_PS : 0;
	f |= percent(20) ? OPF_G : 0;
	f |= percent(level == 1 ? 15 : 4) ? OPF_NX : 0;
	f |= percent(5) ? OPF_PAT : 0;
	f |= percent(3) ? OPF_RSVD : 0;
	f |= percent(5) ? OPF_RAW : 0;
	f |= percent(10) ? OPF_USER : 0;
	return f;
}

static u8 random_target(enum ref_mode mode, unsigned level, unsigned spread, u8 self)
{
	unsigned at = rnd() % 100;

	if (at < 4)
		return self; /* recursive */
	if (at < 8)
		return (u8)(rnd() % WORLD_TABLES);
	if (at < 14)
		return (u8)(WORLD_VIDEO + rnd() % 6);
	if (level > 1 && at < 95)
		return of_group(mode, level - 1, spread);
	return (u8)(WORLD_DATA + rnd() % (WORLD_FRAMES - WORLD_DATA));
}

/* What stores to page tables are made of in operating systems, and all others. */
static u8 random_store(void)
{
	static const u8 usual[] = {STORE_MOV,  STORE_MOV,     STORE_MOV,
				   STORE_XCHG, STORE_CMPXCHG, STORE_MOV_IMM};

	return (u8)(percent(70) ? usual[rnd() % ARRAY_SIZE(usual)] : rnd() % STORE_KINDS);
}

/* Not to make a wide run narrow: of what changes the meaning of all tables, CR0.WP alone. */
static void keep_tables(struct op *o)
{
	if (o->code == OP_CONTROL)
		o->how = 0;
	if ((o->code == OP_KIND || o->code == OP_UNPAGED || o->code == OP_BUILD ||
	     o->code == OP_SWITCH) &&
	    percent(90))
		o->code = OP_MANY;
}

static struct op random_op(enum ref_mode mode, unsigned spread)
{
	struct op o = {.code = random_code(), .luck = rnd(), .extra = rnd()};
	unsigned level = random_level(mode);

	o.how = (u8)rnd();
	o.frame = of_group(mode, level, spread);
	if (percent(4))
		o.frame = (u8)(rnd() % WORLD_FRAMES);
	o.index = (u8)(percent(92) ? rnd() & 31 : 255);
	o.target = random_target(mode, level, spread, o.frame);
	o.va = (u8)rnd();
	o.flags = random_flags(level);
	if (o.flags & OPF_PS)
		o.target = (u8)(rnd() % 8 + (level == 3 ? 0x80 : 0));
	if (o.code == OP_ENTRY || o.code == OP_CLEAR || o.code == OP_ENTRY_AD || o.code == OP_POKE)
		o.how = random_store();
	if ((o.code == OP_CR3 && percent(85)) || o.code == OP_BUILD)
		o.frame = (u8)(rnd() % 3);
	if (o.code == OP_CONTROL && percent(30))
		o.how = 0;
	if (spread >= 70) /* what would empty the pool is rare */
		keep_tables(&o);
	return o;
}

static void random_setup(struct rig_setup *s, enum ref_mode mode, enum shadow_policy policy)
{
	static const u8 widths[] = {36, 40, 40, 46, 52}, forget[] = {0, 0, 3, 16, 64};

	*s = (struct rig_setup){.mode = mode,
				.policy = policy,
				.wide = percent(25),
				.pdptes_told = percent(50),
				.has_1g = percent(70),
				.maxphyaddr = widths[rnd() % ARRAY_SIZE(widths)],
				.forget = forget[rnd() % ARRAY_SIZE(forget)],
				.audit_every = percent(90) ? 500 : 20,
				.pool_pages = percent(80) ? SHADOW_MIN_PAGES : 1024};
	/* Entries that fault have reserved bits: the CPU must have some. */
	s->filters_faults = percent(50) && s->maxphyaddr < 52;
}

void stream_generate(struct stream *s, u64 seed, enum ref_mode mode, enum shadow_policy policy,
		     unsigned count)
{
	unsigned spread;

	rng = (seed + 1) * 0x9e3779b97f4a7c15ull;
	for (unsigned i = 0; i < 4; i++)
		rnd();
	random_setup(&s->setup, mode, policy);
	spread = s->setup.wide ? 70 + 30 * (rnd() & 1) : percent(60) ? 0 : 20;
	s->count = count;
	for (unsigned i = 0; i < count; i++)
		s->op[i] = random_op(mode, spread);
}

/* --- text --- */

static const char *const code_names[OP_CODES] = {
	"access",   "access-map", "entry",    "entry-va", "poke",    "clear", "fill",
	"entry-ad", "device",	  "devpage",  "invlpg",	  "invmap",  "cr3",   "cr3-same",
	"flush",    "control",	  "pkru",     "ac",	  "unpaged", "mode",  "switch",
	"kind",	    "many",	  "prefetch", "build",	  "audit",
};

void stream_print(FILE *f, const struct stream *s)
{
	const struct rig_setup *u = &s->setup;

	fprintf(f,
		"setup mode %d policy %d filter %d wide %d told %d 1g %d width %u forget %u audit "
		"%u pool "
		"%u mixed %u\n",
		u->mode, u->policy, u->filters_faults, u->wide, u->pdptes_told, u->has_1g,
		u->maxphyaddr, u->forget, u->audit_every, u->pool_pages, u->mixed);
	for (unsigned i = 0; i < s->count; i++) {
		const struct op *o = &s->op[i];

		fprintf(f,
			"op %-10s how %u frame %u index %u target %u va %02x flags %04x luck %08x "
			"extra %08x\n",
			code_names[o->code % OP_CODES], o->how, o->frame, o->index, o->target,
			o->va, o->flags, o->luck, o->extra);
	}
}

static bool read_op(const char *line, struct op *o)
{
	char name[16];
	unsigned how, frame, index, target, va, flags, luck, extra;

	if (sscanf(line,
		   "op %15s how %u frame %u index %u target %u va %x flags %x luck %x extra %x",
		   name, &how, &frame, &index, &target, &va, &flags, &luck, &extra) != 9)
		return false;
	for (u8 code = 0; code < OP_CODES; code++)
		if (!strcmp(name, code_names[code])) {
			*o = (struct op){code,	 (u8)how,    (u8)frame, (u8)index, (u8)target,
					 (u8)va, (u16)flags, luck,	extra};
			return true;
		}
	return false;
}

/* Lines that are neither are passed over; @s->count is the room there is. */
bool stream_read(FILE *f, struct stream *s)
{
	unsigned mode, policy, filter, wide, told, big, width, forget, audit, pool, mixed, n = 0;
	bool setup = false;
	char line[256];

	while (n < s->count && fgets(line, sizeof(line), f)) {
		if (sscanf(line,
			   "setup mode %u policy %u filter %u wide %u told %u 1g %u width %u "
			   "forget %u "
			   "audit %u pool %u mixed %u",
			   &mode, &policy, &filter, &wide, &told, &big, &width, &forget, &audit,
			   &pool, &mixed) == 11) {
			s->setup = (struct rig_setup){.mode = (enum ref_mode)mode,
						      .policy = (enum shadow_policy)policy,
						      .filters_faults = filter,
						      .wide = wide,
						      .pdptes_told = told,
						      .has_1g = big,
						      .maxphyaddr = (u8)width,
						      .forget = (u8)forget,
						      .audit_every = (u16)audit,
						      .pool_pages = (u16)pool,
						      .mixed = (u8)mixed};
			setup = true;
		} else if (read_op(line, &s->op[n])) {
			n++;
		}
	}
	s->count = n;
	return setup;
}
