/* Shadow paging under programs that the fuzzer makes: bytes become the setup and the operations of
 * tests/unit/shadow (page-table writes by all kinds of instructions, flushes, accesses, switches),
 * checked against the reference walk and the set-valued TLB oracle. An input may ask for audits,
 * which take most of the time.
 *
 * SPDX-License-Identifier: MIT
 * SRCS: hv/mem/p2m.c hv/paging/shadow/sh_*.c tests/unit/shadow/[forsw]*.c
 */
#include "fuzz.h"
#include "shadow/ops.h"

#define OPS_MAX 1000u

static struct rig rig;

static u32 word(struct program *p)
{
	u32 v = take(p);

	v |= (u32)take(p) << 8;
	v |= (u32)take(p) << 16;
	return v | (u32)take(p) << 24;
}

static struct rig_setup setup_of(struct program *p)
{
	static const enum ref_mode modes[] = {REF_LONG, REF_32, REF_PAE, REF_LONG};
	static const u8 widths[] = {40, 36, 46, 52};
	u8 a = take(p);
	u8 b = take(p);

	return (struct rig_setup){.mode = modes[a & 3],
				  .policy = (a & 4) ? SHADOW_VTLB : SHADOW_AUTO,
				  .filters_faults = (a & 8) && (b & 3) != 3,
				  .wide = b & 0x10,
				  .pdptes_told = a & 0x10,
				  .has_1g = a & 0x20,
				  .maxphyaddr = widths[b & 3],
				  .forget = (b & 4) ? 3 : 0,
				  .audit_every = (b & 8) ? 0 : RIG_BLIND,
				  .pool_pages = SHADOW_MIN_PAGES};
}

static struct op op_of(struct program *p)
{
	struct op o = {.code = take(p)};

	o.how = take(p);
	o.frame = take(p);
	o.index = take(p);
	o.target = take(p);
	o.va = take(p);
	o.flags = take(p);
	o.flags |= (u16)(take(p) << 8);
	o.luck = word(p);
	o.extra = word(p);
	return o;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct program p = {data, data + size};
	struct rig_setup setup = setup_of(&p);

	rig_begin(&rig, &setup);
	for (unsigned i = 0; i < OPS_MAX && p.p < p.end && !rig.failed; i++) {
		struct op o = op_of(&p);

		op_run(&rig, &o);
	}
	rig_end(&rig);
	if (rig.failed)
		fprintf(stderr, "%s\n", rig.message);
	MUST(!rig.failed);
	return 0;
}
