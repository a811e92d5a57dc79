/* The guest's control registers while the CPU walks nested or shadow tables, and the tags under
 * which it caches them. Would catch: a register that a change of translation loses or shows
 * wrongly, a mode bit that the CPU lacks for the tables it is given, an access that should exit and
 * does not, a flush that is lost because another tag runs.
 *
 * SPDX-License-Identifier: MIT
 * SRCS: hv/engine/svm/svm_state.c hv/engine/svm/svm_paging.c hv/engine/reset.c hv/lib/str.c
 */
#include "engine/svm/svm.h"
#include "lib/x86.h"
#include "unit.h"

struct engine_caps svm_caps;

static struct vmcb vmcb;
static struct svm_vcpu own;
static struct vcpu v;

#define ROOT 0x7000ull

static const struct translation nested = {
	.kind = TRANSLATION_NESTED, .root = ROOT, .tag = VCPU_TAG_NESTED};

static void begin(void)
{
	memset(&vmcb, 0, sizeof(vmcb));
	own = (struct svm_vcpu){.vmcb = &vmcb};
	v = (struct vcpu){.engine_data = &own};
	v.live.cr3 = &vmcb.cr3;
	for (unsigned i = 0; i < VCPU_TAGS; i++)
		v.tags[i].id = i + 1;
	svm_vcpu_reset(&v);
	svm_set_translation(&v, &nested);
}

static struct translation shadow(bool long_mode, bool unpaged, unsigned tag)
{
	return (struct translation){.kind = TRANSLATION_SHADOW,
				    .root = ROOT + 0x1000,
				    .tag = VCPU_TAG_SHADOW + tag,
				    .long_mode = long_mode,
				    .unpaged = unpaged};
}

static void set(u64 cr0, u64 cr3, u64 cr4, u64 efer)
{
	struct vcpu_sregs r;

	svm_get_sregs(&v, &r);
	r.cr0 = cr0;
	r.cr3 = cr3;
	r.cr4 = cr4;
	r.efer = efer;
	svm_set_sregs(&v, &r);
}

/* Whatever way the guest's registers are asked for, they are these. */
static void check_guest(u64 cr0, u64 cr3, u64 cr4, u64 efer)
{
	struct vcpu_sregs r;
	struct vcpu_code c;
	u64 msr;

	svm_get_sregs(&v, &r);
	svm_get_code(&v, &c);
	CHECK_EQ(svm_get_msr(&v, MSR_EFER, &msr), 0);
	CHECK(r.cr0 == cr0 && c.cr0 == cr0);
	CHECK(r.cr3 == cr3 && c.cr3 == cr3 && *v.live.cr3 == cr3);
	CHECK(r.cr4 == cr4 && c.cr4 == cr4);
	CHECK(r.efer == efer && c.efer == efer && msr == efer);
}

static const struct {
	u64 cr0, cr3, cr4, efer;
	bool long_mode, unpaged;
} guests[] = {
	{CR0_ET, 0, 0, 0, false, true},
	{CR0_PE | CR0_ET | CR0_TS, 0x5000, CR4_SMEP | CR4_SMAP, 0, false, true},
	{CR0_PE | CR0_ET | CR0_CD | CR0_NW, 0x5000, CR4_PGE, EFER_NXE, false, true},
	{CR0_PG | CR0_PE, 0x12000, CR4_PSE, 0, false, false},
	{CR0_PG | CR0_PE | CR0_WP | CR0_CD, 0x12020, CR4_PAE | CR4_PGE, EFER_NXE, false, false},
	{CR0_PG | CR0_PE | CR0_WP, 0x9000, CR4_PAE | CR4_SMAP | CR4_PKE,
	 EFER_LME | EFER_LMA | EFER_SCE, true, false},
	{CR0_PG | CR0_PE, 0x9000, CR4_PAE | CR4_OSXSAVE, EFER_LME | EFER_LMA | EFER_NXE, true,
	 false},
};

TEST(the_guests_registers_stay_its_own_by_any_translation)
{
	for (unsigned i = 0; i < ARRAY_SIZE(guests); i++) {
		struct translation t = shadow(guests[i].long_mode, guests[i].unpaged, 0);

		begin();
		set(guests[i].cr0, guests[i].cr3, guests[i].cr4, guests[i].efer);
		check_guest(guests[i].cr0, guests[i].cr3, guests[i].cr4, guests[i].efer);
		svm_set_translation(&v, &t);
		check_guest(guests[i].cr0, guests[i].cr3, guests[i].cr4, guests[i].efer);
		svm_set_cr(&v, 3, 0x33000);
		svm_set_cr(&v, 0, guests[i].cr0 ^ CR0_TS);
		check_guest(guests[i].cr0 ^ CR0_TS, 0x33000, guests[i].cr4, guests[i].efer);
		svm_set_translation(&v, &nested);
		check_guest(guests[i].cr0 ^ CR0_TS, 0x33000, guests[i].cr4, guests[i].efer);
		CHECK(vmcb.cr3 == 0x33000 && vmcb.cr4 == guests[i].cr4 && vmcb.np_enable);
	}
}

TEST(what_is_watched_under_nested_tables_exits_and_nothing_else)
{
	for (unsigned bits = 0; bits <= WATCH_ALL; bits++) {
		struct translation t = nested;
		bool cr3 = bits & WATCH_BIT(WATCH_CR3);

		begin();
		set(CR0_PG | CR0_PE | CR0_WP, 0x9000, CR4_PAE, EFER_LME | EFER_LMA);
		t.watch = (u8)bits;
		own.clean = CLEAN_ALL;
		svm_set_translation(&v, &t);
		CHECK_EQ(own.clean & CLEAN_INTERCEPTS, 0);
		CHECK_EQ(!!(vmcb.exceptions & BIT(VEC_PF)), !!(bits & WATCH_BIT(WATCH_FAULT)));
		CHECK_EQ(vmcb.cr_write & BIT(3), cr3 ? BIT(3) : 0);
		CHECK_EQ(!!(vmcb.intercept3 & SVM_INTERCEPT_TASK), cr3);
		CHECK_EQ(!!(vmcb.intercept3 & SVM_INTERCEPT_INVLPG),
			 !!(bits & WATCH_BIT(WATCH_INVLPG)));
		CHECK_EQ(vmcb.cr_read & (BIT(3) | BIT(4)), 0);
		CHECK_EQ(vmcb.cr_write & BIT(4), 0);
		check_guest(CR0_PG | CR0_PE | CR0_WP, 0x9000, CR4_PAE, EFER_LME | EFER_LMA);
		/* Changes of mode keep it; what no watch asked for goes with the next one. */
		svm_set_cr(&v, 4, CR4_PAE | CR4_PGE);
		CHECK_EQ(vmcb.cr_write & BIT(3), cr3 ? BIT(3) : 0);
		svm_set_translation(&v, &nested);
		CHECK(!(vmcb.exceptions & BIT(VEC_PF)) && !(vmcb.cr_write & BIT(3)));
		CHECK(!(vmcb.intercept3 & (SVM_INTERCEPT_TASK | SVM_INTERCEPT_INVLPG)));
	}
}

TEST(the_cpu_has_the_mode_of_the_shadow_tables)
{
	for (unsigned i = 0; i < ARRAY_SIZE(guests); i++) {
		struct translation t = shadow(guests[i].long_mode, guests[i].unpaged, 0);
		u64 lm = EFER_LME | EFER_LMA;

		begin();
		set(guests[i].cr0, guests[i].cr3, guests[i].cr4, guests[i].efer);
		svm_set_translation(&v, &t);
		CHECK(vmcb.cr3 == t.root && !vmcb.np_enable && vmcb.asid == v.tags[t.tag].id);
		CHECK_EQ(vmcb.cr0 & (CR0_PG | CR0_WP | CR0_CD | CR0_NW), CR0_PG | CR0_WP);
		CHECK_EQ(vmcb.cr0 & (CR0_PE | CR0_TS), guests[i].cr0 & (CR0_PE | CR0_TS));
		CHECK(vmcb.cr4 & CR4_PAE);
		CHECK_EQ(vmcb.cr4 & (CR4_SMEP | CR4_SMAP),
			 t.unpaged ? 0 : guests[i].cr4 & (CR4_SMEP | CR4_SMAP));
		CHECK_EQ(vmcb.efer & (EFER_NXE | lm), EFER_NXE | (t.long_mode ? lm : 0));
	}
}

TEST(accesses_that_would_tell_the_difference_exit)
{
	for (unsigned i = 0; i < ARRAY_SIZE(guests); i++) {
		struct translation t = shadow(guests[i].long_mode, guests[i].unpaged, 0);
		u32 always = SVM_INTERCEPT_INVLPG | SVM_INTERCEPT_TASK;

		begin();
		set(guests[i].cr0, guests[i].cr3, guests[i].cr4, guests[i].efer);
		CHECK(!(vmcb.exceptions & BIT(VEC_PF)) && !(vmcb.intercept3 & always));
		svm_set_translation(&v, &t);
		CHECK((vmcb.exceptions & BIT(VEC_PF)) && (vmcb.intercept3 & always) == always);
		CHECK(vmcb.cr_read & BIT(3) && vmcb.cr_write & BIT(3) && vmcb.cr_write & BIT(4));
		CHECK_EQ(!!(vmcb.cr_read & BIT(0)), vmcb.cr0 != guests[i].cr0);
		CHECK_EQ(!!(vmcb.cr_read & BIT(4)), vmcb.cr4 != guests[i].cr4);
		CHECK((vmcb.cr_write & BIT(0)) || (vmcb.intercept3 & SVM_INTERCEPT_CR0_SEL));
		svm_set_translation(&v, &nested);
		CHECK(!(vmcb.exceptions & BIT(VEC_PF)) && !(vmcb.intercept3 & always));
		CHECK(!(vmcb.cr_read & (BIT(3) | BIT(4))) && !(vmcb.cr_write & (BIT(3) | BIT(4))));
	}
}

TEST(nested_paging_can_watch_cr0)
{
	struct translation t = nested;

	begin();
	set(CR0_PG | CR0_PE, 0x9000, 0, 0);
	CHECK(!(vmcb.intercept3 & SVM_INTERCEPT_CR0_SEL));
	t.watch_cr0 = true;
	svm_set_translation(&v, &t);
	CHECK(vmcb.intercept3 & SVM_INTERCEPT_CR0_SEL);
}

TEST(a_flush_waits_for_its_tag)
{
	struct translation a = shadow(true, false, 0), b = shadow(true, false, 1);

	begin();
	set(guests[5].cr0, guests[5].cr3, guests[5].cr4, guests[5].efer);
	svm_set_translation(&v, &a);
	own.flush = false;
	svm_flush_tag(&v, b.tag);
	CHECK(!own.flush);
	svm_set_translation(&v, &b);
	CHECK(own.flush && v.tag == b.tag && vmcb.asid == v.tags[b.tag].id);
	/* Still owed when another one runs in between. */
	svm_set_translation(&v, &a);
	CHECK(!own.flush);
	svm_set_translation(&v, &b);
	CHECK(own.flush);
	own.flush = false;
	svm_set_translation(&v, &a);
	svm_set_translation(&v, &b);
	CHECK(!own.flush);
	own.shares = true;
	svm_set_translation(&v, &a);
	CHECK(own.flush);
}
