/* The VT-x engine over a VMCS in memory: what an entry would find there, judged by the walk over
 * the manual's entry checks, and how exits are read. Would catch: a state of a guest that a real
 * CPU refuses under shadow tables, a control or a register that a change of translation leaves
 * behind, a guest that sees the hypervisor's CR3, EFER or CR0, a flush forgotten or of the wrong
 * tag, a page-directory pointer lost between the kinds, APIC exits decoded wrongly.
 *
 * SPDX-License-Identifier: MIT
 * SRCS: hv/engine/vmx/vmx_check.c hv/engine/vmx/vmx_check_guest.c hv/engine/vmx/vmx_names.c
 * SRCS: hv/engine/vmx/memtype.c hv/engine/reset.c hv/engine/pmu.c
 */
#include "fake_frames.h"
#include "fake_vmx.h"

#include "engine/vmx/vmx.c"
#include "engine/vmx/vmx_ept.c"
#include "engine/vmx/vmx_exit.c"
#include "engine/vmx/vmx_explain.c"
#include "engine/vmx/vmx_lists.c"
#include "engine/vmx/vmx_paging.c"
#include "engine/vmx/vmx_pmu.c"
#include "engine/vmx/vmx_state.c"
#include "engine/vmx/vmx_vmcs.c"

/* --- a machine with one guest ----------------------------------------------------------------- */

#define SECONDARY                                                                                  \
	(SEC_CTL_EPT | SEC_CTL_UNRESTRICTED | SEC_CTL_VPID | SEC_CTL_RDTSCP |                      \
	 SEC_CTL_APIC_ACCESS | SEC_CTL_APIC_REGISTERS)
#define PRIMARY                                                                                    \
	(0x04006172u | PRI_CTL_HLT | PRI_CTL_TSC_OFFSET | PRI_CTL_TPR_SHADOW |                     \
	 PRI_CTL_IO_BITMAPS | PRI_CTL_MSR_BITMAPS | PRI_CTL_SECONDARY)
#define EFER64 (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define HOST64 (EXIT_CTL_SAVE_DEBUG | EXIT_CTL_HOST_64 | EXIT_CTL_SAVE_EFER | EXIT_CTL_LOAD_EFER)

#define GUEST_CR3 0x1234000ull
#define ROOT	  0x77000ull
#define PAE_ROOT  0x78020ull
#define EPT_ROOT  0x99000ull

int vmx_probe_source(const struct cpu_source *src, struct vmx_caps *caps, struct vmx_config *config,
		     char *why, size_t why_len)
{
	(void)src, (void)caps, (void)config, (void)why, (void)why_len;
	return -ENODEV;
}
void vmx_engine_caps(const struct vmx_config *config, struct engine_caps *out)
{
	(void)config, (void)out;
}
const struct cpu_source *engine_cpu(void)
{
	return NULL;
}

static struct vcpu vcpu;

static void make_cpu(void)
{
	memset(&fake, 0, sizeof(fake));
	fake.cr0 = 0x80050033;
	fake.cr3 = 0x100000;
	fake.cr4 = CR4_VMXE | CR4_PAE | CR4_OSFXSR;
	fake.efer = EFER64;
	fake.msr[MSR_PAT] = PAT_RESET;
	vmx_caps = (struct vmx_caps){
		.revision = 0x12,
		.true_controls = true,
		.allowed = {[VMX_PIN] = {0x16, 0xff},
			    [VMX_PRIMARY] = {0x04006172, 0xfff9fffe},
			    [VMX_SECONDARY] = {0, 0x77fff},
			    [VMX_EXIT] = {0x36dfb, 0x7fffff},
			    [VMX_ENTRY] = {0x11fb, 0x1ffff}},
		.cr0_must = 0x80000021,
		.cr0_may = 0xffffffff,
		.cr4_must = CR4_VMXE,
		.cr4_may = 0x3767ff,
		.activities = 0xf,
		.cr3_targets = 4,
		.ept_vpid = 0xf0106334141,
		.phys_bits = 39,
		.linear_bits = 48,
	};
	vmx_config = (struct vmx_config){
		.controls = {.pin = 0x16 | PIN_CTL_EXTINT | PIN_CTL_NMI | PIN_CTL_VNMI,
			     .primary = PRIMARY,
			     .secondary = SECONDARY,
			     .exit = 0x36dfb | HOST64 | EXIT_CTL_LOAD_PAT,
			     .entry = 0x11fb | ENTRY_CTL_LOAD_DEBUG | ENTRY_CTL_LOAD_EFER |
				      ENTRY_CTL_LOAD_PAT},
		.ept_type = 6,
		.ept_ad = true,
		.vpid = true,
		.invept = INVEPT_ONE,
		.invvpid = INVVPID_ONE,
		.invvpid_address = true,
		.apic_access = true,
		.apic_registers = true,
		.shadow = true,
		.tags = 65536,
	};
}

static void nested(bool watch_cr0)
{
	struct translation t = {.kind = TRANSLATION_NESTED,
				.root = EPT_ROOT,
				.tag = VCPU_TAG_NESTED,
				.watch_cr0 = watch_cr0};

	vmx_ops.set_translation(&vcpu, &t);
}

static void shadow(bool long_mode, unsigned tag, hpa_t root, bool filter)
{
	struct translation t = {.kind = TRANSLATION_SHADOW,
				.root = root,
				.tag = VCPU_TAG_SHADOW + tag,
				.long_mode = long_mode,
				.filter_faults = filter};

	vmx_ops.set_translation(&vcpu, &t);
}

/* The host's segments are those of this program. */
static u64 read_fake(void *ctx, u32 field)
{
	(void)ctx;
	if (field >= VMCS_HOST_ES_SEL && field <= VMCS_HOST_DS_SEL)
		return fake.field[field] & ~(u64)SEL_RPL_TI;
	return fake.field[field];
}

/* Enter, with an exit of @reason; every check of the manual's has to hold. */
static struct exit enter(u32 reason)
{
	static const struct vmcs_reader reader = {.read = read_fake};
	struct exit x = {.reason = EXIT_NONE};
	struct vmx_verdict verdict;
	char text[256];

	fake.field[VMCS_EXIT_REASON] = reason;
	vmx_ops.run(&vcpu, &x);
	if (vmx_check(&reader, &vmx_caps, &verdict)) {
		vmx_verdict_text(&verdict, text, sizeof(text));
		printf("# %s\n", text);
		CHECK(!"the entry is refused");
	}
	fake.flushes = 0;
	return x;
}

static void boot(void)
{
	fake_frames_init(0, 0);
	make_cpu();
	memset(&vcpu, 0, sizeof(vcpu));
	memset(vmx_current, 0, sizeof(struct vmx_vcpu *));
	CHECK_EQ(vmx_perms_init(), 0);
	CHECK_EQ(vmx_ops.vcpu_init(&vcpu), 0);
	nested(false);
}

/* --- guests ----------------------------------------------------------------------------------- */

static void set_guest(u64 cr0, u64 cr4, u64 efer, u16 cs_attr)
{
	struct vcpu_sregs r;

	vmx_ops.get_sregs(&vcpu, &r);
	for (unsigned i = SEG_ES; i <= SEG_GS; i++)
		r.seg[i] = (struct segment){.sel = 0x10, .attr = 0xc93, .limit = UINT32_MAX};
	r.seg[SEG_CS] = (struct segment){.sel = 8, .attr = cs_attr, .limit = UINT32_MAX};
	r.seg[SEG_TR] = (struct segment){.sel = 0x28, .attr = 0x8b, .limit = 0x67};
	r.seg[SEG_LDTR] = (struct segment){0};
	r.cr0 = cr0;
	r.cr3 = GUEST_CR3;
	r.cr4 = cr4;
	r.efer = efer;
	vmx_ops.set_sregs(&vcpu, &r);
}

#define CR0_ON (CR0_PE | CR0_PG | CR0_WP | CR0_NE | CR0_ET)
#define CODE32 0xc9b
#define CODE64 0xa9b

static void guest_64(void)
{
	set_guest(CR0_ON, CR4_PAE | CR4_PGE | CR4_SMEP, EFER_SCE | EFER_LME | EFER_NXE, CODE64);
}
static void guest_pae(void)
{
	set_guest(CR0_ON, CR4_PAE | CR4_PGE, 0, CODE32);
}
static void guest_32(void)
{
	set_guest(CR0_ON | CR0_CD, CR4_PSE, 0, CODE32);
}

static const struct guest {
	void (*set)(void);
	bool long_mode;
} guests[] = {{guest_64, true}, {guest_pae, false}, {guest_32, false}};

static void expect_guest(const struct vcpu_sregs *want)
{
	struct vcpu_sregs r;
	struct vcpu_code c;
	u64 efer;

	vmx_ops.get_code(&vcpu, &c);
	CHECK_EQ(c.cr0, want->cr0);
	CHECK_EQ(c.cr3, want->cr3);
	CHECK_EQ(c.cr4, want->cr4);
	CHECK_EQ(c.efer, want->efer);
	vmx_ops.get_sregs(&vcpu, &r);
	CHECK_EQ(r.cr0, want->cr0);
	CHECK_EQ(r.cr3, want->cr3);
	CHECK_EQ(r.cr4, want->cr4);
	CHECK_EQ(r.efer, want->efer);
	CHECK_EQ(vmx_ops.get_msr(&vcpu, MSR_EFER, &efer), 0);
	CHECK_EQ(efer, want->efer);
	CHECK_EQ(*vcpu.live.cr3, want->cr3);
}

/* --- the kinds of translation ----------------------------------------------------------------- */

TEST(a_guest_keeps_its_registers_through_every_kind_and_every_entry_is_valid)
{
	for (unsigned i = 0; i < ARRAY_SIZE(guests); i++) {
		struct vcpu_sregs want;

		boot();
		guests[i].set();
		vmx_ops.get_sregs(&vcpu, &want);
		for (unsigned round = 0; round < 4; round++) {
			nested(round & 1);
			enter(VMX_EXIT_CPUID);
			enter(VMX_EXIT_EXTINT);
			expect_guest(&want);
			CHECK_EQ(fake.field[VMCS_GUEST_CR3], GUEST_CR3);
			shadow(guests[i].long_mode, 0, guests[i].long_mode ? ROOT : PAE_ROOT,
			       false);
			enter(VMX_EXIT_CPUID);
			expect_guest(&want);
			CHECK_EQ(fake.field[VMCS_GUEST_CR3], guests[i].long_mode ? ROOT : PAE_ROOT);
			enter(VMX_EXIT_EXTINT);
			expect_guest(&want);
		}
	}
}

TEST(under_shadow_tables_the_cpu_has_paging_of_the_hypervisors)
{
	u32 both = SEC_CTL_EPT | SEC_CTL_UNRESTRICTED;
	u32 exits = PRI_CTL_CR3_LOAD | PRI_CTL_CR3_STORE | PRI_CTL_INVLPG;

	boot();
	guest_32();
	shadow(false, 0, PAE_ROOT, false);
	enter(VMX_EXIT_CPUID);
	CHECK(!(fake.field[VMCS_SECONDARY_CONTROLS] & both));
	CHECK_EQ(fake.field[VMCS_PRIMARY_CONTROLS] & exits, exits);
	CHECK(fake.field[VMCS_GUEST_CR4] & CR4_PAE);
	CHECK_EQ(fake.field[VMCS_CR4_SHADOW], CR4_PSE);
	CHECK_EQ(fake.field[VMCS_CR4_MASK], UINT64_MAX);
	CHECK_EQ(fake.field[VMCS_GUEST_EFER], EFER_NXE);
	CHECK_EQ(fake.field[VMCS_CR3_TARGET_COUNT], 0);
	CHECK(fake.field[VMCS_EXCEPTION_BITMAP] & BIT(VEC_PF));
	/* TS is the guest's own, what the tables are walked by is not, nor CD. */
	CHECK(!(fake.field[VMCS_CR0_MASK] & (CR0_TS | CR0_MP)));
	CHECK_EQ(~fake.field[VMCS_CR0_MASK] & (CR0_PE | CR0_PG | CR0_WP | CR0_CD), 0);
	CHECK_EQ(fake.field[VMCS_GUEST_CR0] & CR0_CD, 0);
	CHECK(fake.field[VMCS_CR0_SHADOW] & CR0_CD);
	nested(false);
	enter(VMX_EXIT_CPUID);
	CHECK_EQ(fake.field[VMCS_SECONDARY_CONTROLS] & both, both);
	CHECK(!(fake.field[VMCS_PRIMARY_CONTROLS] & exits));
	CHECK(!(fake.field[VMCS_EXCEPTION_BITMAP] & BIT(VEC_PF)));
	CHECK(!(fake.field[VMCS_GUEST_CR4] & CR4_PAE));
	CHECK(!(fake.field[VMCS_CR0_MASK] & (CR0_PE | CR0_PG | CR0_WP)));
	nested(true);
	enter(VMX_EXIT_CPUID);
	CHECK_EQ(~fake.field[VMCS_CR0_MASK] & (CR0_PE | CR0_PG | CR0_WP), 0);
}

static void watched(unsigned bits)
{
	struct translation t = {.kind = TRANSLATION_NESTED,
				.root = EPT_ROOT,
				.tag = VCPU_TAG_NESTED,
				.watch = (u8)bits};

	vmx_ops.set_translation(&vcpu, &t);
}

TEST(what_is_watched_under_ept_exits_and_nothing_else)
{
	u32 exits = PRI_CTL_CR3_LOAD | PRI_CTL_CR3_STORE | PRI_CTL_INVLPG;

	for (unsigned bits = 0; bits <= WATCH_ALL; bits++) {
		u32 want = (bits & WATCH_BIT(WATCH_CR3) ? (u32)PRI_CTL_CR3_LOAD : 0) |
			   (bits & WATCH_BIT(WATCH_INVLPG) ? (u32)PRI_CTL_INVLPG : 0);

		boot();
		guest_64();
		enter(VMX_EXIT_CPUID);
		watched(bits);
		enter(VMX_EXIT_CPUID);
		CHECK_EQ(fake.field[VMCS_PRIMARY_CONTROLS] & exits, want);
		CHECK_EQ(!!(fake.field[VMCS_EXCEPTION_BITMAP] & BIT(VEC_PF)),
			 !!(bits & WATCH_BIT(WATCH_FAULT)));
		CHECK_EQ(fake.field[VMCS_PF_ERROR_MASK] | fake.field[VMCS_PF_ERROR_MATCH], 0);
		CHECK_EQ(fake.field[VMCS_GUEST_CR3], GUEST_CR3);
		/* There and back by way of shadow tables, then to none. */
		shadow(true, 0, ROOT, true);
		enter(VMX_EXIT_CPUID);
		watched(bits);
		enter(VMX_EXIT_CPUID);
		CHECK_EQ(fake.field[VMCS_PRIMARY_CONTROLS] & exits, want);
		CHECK_EQ(fake.field[VMCS_PF_ERROR_MASK] | fake.field[VMCS_PF_ERROR_MATCH], 0);
		nested(false);
		enter(VMX_EXIT_CPUID);
		CHECK_EQ(fake.field[VMCS_PRIMARY_CONTROLS] & exits, 0);
		CHECK(!(fake.field[VMCS_EXCEPTION_BITMAP] & BIT(VEC_PF)));
	}
}

static bool bit_of(hpa_t map, u32 offset, u32 msr)
{
	const u8 *m = hpa_va(map + offset + (msr >> 16 ? MSR_BITMAP_HIGH : 0));

	return m[(msr & 0x1fff) / 8] >> (msr & 7) & 1;
}

TEST(efer_reads_exit_only_where_the_cpu_has_another)
{
	boot();
	guest_64();
	enter(VMX_EXIT_CPUID);
	CHECK(!bit_of(fake.field[VMCS_MSR_BITMAP], MSR_BITMAP_READ, MSR_EFER));
	CHECK(bit_of(fake.field[VMCS_MSR_BITMAP], MSR_BITMAP_WRITE, MSR_EFER));
	shadow(true, 0, ROOT, false);
	enter(VMX_EXIT_CPUID);
	CHECK(bit_of(fake.field[VMCS_MSR_BITMAP], MSR_BITMAP_READ, MSR_EFER));
	CHECK(bit_of(fake.field[VMCS_MSR_BITMAP], MSR_BITMAP_WRITE, MSR_EFER));
	CHECK(!bit_of(fake.field[VMCS_MSR_BITMAP], MSR_BITMAP_READ, MSR_LSTAR));
}

TEST(faults_on_missing_entries_stay_the_guests_where_it_sees_the_same_error_code)
{
	boot();
	guest_64();
	shadow(true, 0, ROOT, true);
	enter(VMX_EXIT_CPUID);
	CHECK_EQ(fake.field[VMCS_PF_ERROR_MASK], 1);
	CHECK_EQ(fake.field[VMCS_PF_ERROR_MATCH], 1);
	shadow(true, 0, ROOT, false);
	enter(VMX_EXIT_CPUID);
	CHECK_EQ(fake.field[VMCS_PF_ERROR_MASK], 0);
	/* Neither NX nor SMEP: the CPU's error codes tell of fetches, the guest's do not. */
	guest_pae();
	shadow(false, 0, PAE_ROOT, true);
	enter(VMX_EXIT_CPUID);
	CHECK_EQ(fake.field[VMCS_PF_ERROR_MASK], 0);
	vmx_ops.set_cr(&vcpu, 4, CR4_PAE | CR4_SMEP);
	enter(VMX_EXIT_CPUID);
	CHECK_EQ(fake.field[VMCS_PF_ERROR_MASK], 1);
	vmx_ops.set_cr(&vcpu, 4, CR4_PAE);
	enter(VMX_EXIT_CPUID);
	CHECK_EQ(fake.field[VMCS_PF_ERROR_MASK], 0);
}

/* The root is changed at each of the guest's loads of CR3: nothing else is written then. */
TEST(a_change_of_root_is_cheap)
{
	unsigned before;

	boot();
	guest_64();
	shadow(true, 0, ROOT, false);
	enter(VMX_EXIT_CPUID);
	before = fake.writes;
	vmx_ops.set_cr(&vcpu, 3, GUEST_CR3 + PAGE_SIZE);
	shadow(true, 1, ROOT + PAGE_SIZE, false);
	enter(VMX_EXIT_CPUID);
	CHECK(fake.writes - before <= 3);
	CHECK_EQ(fake.field[VMCS_GUEST_CR3], ROOT + PAGE_SIZE);
	CHECK_EQ(fake.field[VMCS_VPID], vcpu.tags[VCPU_TAG_SHADOW + 1].id);
	CHECK_EQ(*vcpu.live.cr3, GUEST_CR3 + PAGE_SIZE);
}

/* A guest that switched paging on before its first far jump has real mode's segments. */
TEST(what_real_mode_leaves_in_the_segments_is_no_reason_for_a_refusal)
{
	struct vcpu_sregs r, after;

	boot();
	vmx_ops.get_sregs(&vcpu, &r);
	for (unsigned i = SEG_ES; i <= SEG_GS; i++)
		r.seg[i] = (struct segment){.sel = (u16)(0x1001 + i),
					    .base = 0x10010 + 16 * i,
					    .attr = 0x93,
					    .limit = 0xffff};
	r.cr0 = CR0_ON;
	r.cr3 = GUEST_CR3;
	vmx_ops.set_sregs(&vcpu, &r);
	enter(VMX_EXIT_CPUID); /* unrestricted */
	shadow(false, 0, PAE_ROOT, false);
	enter(VMX_EXIT_CPUID);
	vmx_ops.get_sregs(&vcpu, &after);
	CHECK_EQ(after.seg[SEG_SS].base, r.seg[SEG_SS].base);
	CHECK_EQ(after.seg[SEG_CS].base, r.seg[SEG_CS].base);
	CHECK_EQ(after.seg[SEG_CS].limit, r.seg[SEG_CS].limit);
}

TEST(pdptes_pass_from_kind_to_kind)
{
	static const u64 set[4] = {0x2001, 0x3001, 0, 0x4001};
	u64 now[4];

	boot();
	guest_pae();
	vmx_ops.set_pdptes(&vcpu, set);
	enter(VMX_EXIT_CPUID);
	CHECK_EQ(fake.field[VMCS_GUEST_PDPTE0], 0x2001);
	/* The CPU loads others by itself under EPT. */
	fake.field[VMCS_GUEST_PDPTE1] = 0x5001;
	vmx_ops.get_pdptes(&vcpu, now);
	CHECK_EQ(now[0], 0x2001);
	CHECK_EQ(now[1], 0x5001);
	shadow(false, 0, PAE_ROOT, false);
	enter(VMX_EXIT_CPUID);
	fake.field[VMCS_GUEST_PDPTE1] = 0xdead000;
	vmx_ops.get_pdptes(&vcpu, now);
	CHECK_EQ(now[1], 0x5001);
	nested(false);
	enter(VMX_EXIT_CPUID);
	CHECK_EQ(fake.field[VMCS_GUEST_PDPTE1], 0x5001);
}

/* --- flushes ---------------------------------------------------------------------------------- */

static bool flushed(char what, u64 type, u64 first, u64 second)
{
	for (unsigned i = 0; i < fake.flushes; i++)
		if (fake.flush[i].what == what && fake.flush[i].type == type &&
		    fake.flush[i].first == first && fake.flush[i].second == second)
			return true;
	return false;
}

/* As enter(), keeping what it flushed. */
static void enter_and_look(void)
{
	struct exit x = {.reason = EXIT_NONE};

	vmx_ops.run(&vcpu, &x);
}

TEST(each_tag_is_flushed_by_its_own_means)
{
	boot();
	guest_64();
	enter(VMX_EXIT_CPUID);
	vmx_ops.flush_tag(&vcpu, VCPU_TAG_NESTED);
	enter_and_look();
	CHECK(flushed('E', INVEPT_ONE, ept_pointer(EPT_ROOT), 0));
	CHECK_EQ(fake.flushes, 1);
	fake.flushes = 0;
	shadow(true, 2, ROOT, false);
	vmx_ops.flush_tag(&vcpu, VCPU_TAG_SHADOW + 1);
	enter_and_look();
	CHECK(flushed('V', INVVPID_ONE, vcpu.tags[VCPU_TAG_SHADOW + 1].id, 0));
	CHECK_EQ(fake.flushes, 1);
	fake.flushes = 0;
	enter_and_look();
	CHECK_EQ(fake.flushes, 0);
	vmx_ops.flush_page(&vcpu, VCPU_TAG_SHADOW + 2, 0x5000);
	CHECK(flushed('V', 0, vcpu.tags[VCPU_TAG_SHADOW + 2].id, 0x5000));
	fake.flushes = 0;
	/* Of a tag that is flushed as a whole first, no page is. */
	vmx_ops.flush_tag(&vcpu, VCPU_TAG_SHADOW + 2);
	vmx_ops.flush_page(&vcpu, VCPU_TAG_SHADOW + 2, 0x6000);
	CHECK_EQ(fake.flushes, 0);
	enter_and_look();
	CHECK_EQ(fake.flushes, 1);
}

/* A write of CR3 that was watched: the CPU has it, whether or not its other registers were asked
 * for, and what it cached by the guest's old tables goes. */
TEST(a_watched_cr3_is_loaded)
{
	struct vcpu_sregs r;

	for (unsigned asked = 0; asked < 2; asked++) {
		boot();
		guest_64();
		watched(WATCH_ALL);
		enter(VMX_EXIT_CPUID);
		if (asked)
			vmx_ops.get_sregs(&vcpu, &r);
		vmx_ops.set_cr(&vcpu, 3, 0x5678000);
		vmx_ops.get_sregs(&vcpu, &r);
		CHECK_EQ(r.cr3, 0x5678000);
		enter_and_look();
		CHECK_EQ(fake.field[VMCS_GUEST_CR3], 0x5678000);
		CHECK(flushed('V', INVVPID_ONE, vcpu.tags[VCPU_TAG_NESTED].id, 0));
		vmx_ops.get_sregs(&vcpu, &r);
		CHECK_EQ(r.cr3, 0x5678000);
		fake.flushes = 0;
		vmx_ops.flush_page(&vcpu, VCPU_TAG_NESTED, 0x5000);
		enter_and_look();
		CHECK(flushed('V', INVVPID_ONE, vcpu.tags[VCPU_TAG_NESTED].id, 0));
		fake.flushes = 0;
	}
}

TEST(without_invvpid_of_an_address_the_whole_tag_goes)
{
	boot();
	vmx_config.invvpid_address = false;
	guest_64();
	shadow(true, 0, ROOT, false);
	enter(VMX_EXIT_CPUID);
	vmx_ops.flush_page(&vcpu, VCPU_TAG_SHADOW, 0x5000);
	enter_and_look();
	CHECK(flushed('V', INVVPID_ONE, vcpu.tags[VCPU_TAG_SHADOW].id, 0));
}

TEST(a_vcpu_that_moved_forgets_everything)
{
	boot();
	guest_64();
	enter(VMX_EXIT_CPUID);
	vmx_ops.moved(&vcpu);
	enter_and_look();
	for (unsigned i = 0; i < VCPU_TAGS; i++)
		CHECK(flushed('V', INVVPID_ONE, vcpu.tags[i].id, 0));
	CHECK(flushed('E', INVEPT_ONE, ept_pointer(EPT_ROOT), 0));
}

/* Its CR3 exits there, and those who made the tables know; under EPT the CPU's cache is the
 * guest's.
 */
TEST(the_guests_own_mode_changes_flush_only_what_it_could_have_cached)
{
	boot();
	guest_64();
	enter(VMX_EXIT_CPUID);
	vmx_ops.set_cr(&vcpu, 4, CR4_PAE);
	enter_and_look();
	CHECK(flushed('V', INVVPID_ONE, vcpu.tags[VCPU_TAG_NESTED].id, 0));
	fake.flushes = 0;
	shadow(true, 0, ROOT, false);
	enter(VMX_EXIT_CPUID);
	vmx_ops.set_cr(&vcpu, 4, CR4_PAE | CR4_PGE);
	vmx_ops.set_cr(&vcpu, 3, GUEST_CR3 * 2);
	enter_and_look();
	CHECK_EQ(fake.flushes, 0);
}

/* --- exits ------------------------------------------------------------------------------------ */

TEST(a_page_fault_tells_address_and_error_code)
{
	struct exit x;

	boot();
	guest_64();
	shadow(true, 0, ROOT, false);
	enter(VMX_EXIT_CPUID);
	fake.field[VMCS_EXIT_INTR_INFO] =
		INTR_VALID | INTR_ERROR_VALID | (u32)INTR_EXCEPTION << INTR_TYPE_SHIFT | VEC_PF;
	fake.field[VMCS_EXIT_INTR_ERROR] = 0x7;
	fake.field[VMCS_EXIT_QUALIFICATION] = 0xffff800012345678;
	/* It struck while an interrupt was delivered. */
	fake.field[VMCS_IDT_VECTORING] = INTR_VALID | (u32)INTR_EXTERNAL << INTR_TYPE_SHIFT | 0x51;
	x = enter(VMX_EXIT_EXCEPTION_NMI);
	CHECK_EQ(x.reason, EXIT_EXCEPTION);
	CHECK_EQ(x.exc.vector, VEC_PF);
	CHECK_EQ(x.exc.error, 7);
	CHECK_EQ(x.exc.cr2, 0xffff800012345678);
	CHECK_EQ(vcpu.event.type, EVENT_EXTINT);
	CHECK_EQ(vcpu.event.vector, 0x51);
	CHECK_EQ(*vcpu.live.cr3, GUEST_CR3);
	CHECK_EQ(*vcpu.live.efer, EFER64);
}

/* The instruction is looked for by what vcpu.live says. */
TEST(an_exit_to_decode_shows_the_code_segment)
{
	struct exit x;

	boot();
	guest_64();
	shadow(true, 0, ROOT, false);
	x = enter(VMX_EXIT_CR);
	CHECK_EQ(x.reason, EXIT_CR);
	CHECK_EQ(*vcpu.live.cs_attr, CODE64);
	CHECK_EQ(*vcpu.live.efer, EFER64);
	guest_pae();
	shadow(false, 0, PAE_ROOT, false);
	enter(VMX_EXIT_CR);
	CHECK_EQ(*vcpu.live.cs_attr, CODE32);
	CHECK_EQ(*vcpu.live.efer, 0);
}

TEST(invlpg_tells_its_address_and_a_move_of_cr3_its_register)
{
	struct exit x;

	boot();
	guest_64();
	shadow(true, 0, ROOT, false);
	fake.field[VMCS_EXIT_QUALIFICATION] = 0xffff800000007123;
	fake.field[VMCS_EXIT_INSN_LEN] = 3;
	x = enter(VMX_EXIT_INVLPG);
	CHECK_EQ(x.reason, EXIT_INVLPG);
	CHECK(x.invlpg.told);
	CHECK_EQ(x.invlpg.gva, 0xffff800000007123);
	CHECK_EQ(x.insn_len, 3);
	fake.field[VMCS_EXIT_QUALIFICATION] = 3 | 9 << 8;
	x = enter(VMX_EXIT_CR);
	CHECK(x.cr.cr == 3 && x.cr.write && x.cr.gpr == 9);
	fake.field[VMCS_EXIT_QUALIFICATION] = 3 | 1 << 4 | 2 << 8;
	x = enter(VMX_EXIT_CR);
	CHECK(x.cr.cr == 3 && !x.cr.write && x.cr.gpr == 2);
	CHECK_EQ(*vcpu.live.cr3, GUEST_CR3);
}

TEST(apic_exits_are_accesses_and_finished_writes)
{
	static const struct {
		u64 qual;
		gpa_t gpa;
		u32 access;
		bool table;
	} cases[] = {
		{0x0020, 0xfee00020, 0, false},
		{0x10b0, 0xfee000b0, ACCESS_WRITE, false},
		{0x2ff0, 0xfee00ff0, ACCESS_FETCH, false},
		{0x3390, 0xfee00390, 0, false},
		{0xf000, 0xfee00000, 0, true},
		{0xa008, 0xfee00008, 0, true},
	};
	struct exit x;

	boot();
	vcpu.apic_at = 0xfee00000;
	CHECK(vcpu.apic_access && vcpu.apic_page);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		fake.field[VMCS_EXIT_QUALIFICATION] = cases[i].qual;
		x = enter(VMX_EXIT_APIC_ACCESS);
		CHECK_EQ(x.reason, EXIT_NESTED);
		CHECK_EQ(x.nested.gpa, cases[i].gpa);
		CHECK_EQ(x.nested.access, cases[i].access);
		CHECK_EQ(x.nested.table, cases[i].table);
		CHECK_EQ(x.insn_len, 0);
	}
	CHECK_EQ(fake.field[VMCS_APIC_ACCESS_PAGE], vcpu.apic_access);
	fake.field[VMCS_EXIT_QUALIFICATION] = 0x380;
	x = enter(VMX_EXIT_APIC_WRITE);
	CHECK_EQ(x.reason, EXIT_APIC);
	CHECK_EQ(x.apic.offset, 0x380);
}

/* The CPU's task priority and the vCPU's are one; the guest's low bits are its own. */
TEST(the_task_priority_in_the_page_is_the_vcpus)
{
	boot();
	vcpu.tpr = 5;
	enter(VMX_EXIT_CPUID);
	CHECK_EQ(vcpu.apic_page[0x80 / 4], 0x50);
	vcpu.apic_page[0x80 / 4] = 0x63;
	enter(VMX_EXIT_CPUID);
	CHECK_EQ(vcpu.tpr, 6);
	vcpu.want_tpr_exit = true;
	enter(VMX_EXIT_CPUID);
	CHECK_EQ(vcpu.apic_page[0x80 / 4], 0x63);
	CHECK_EQ(fake.field[VMCS_TPR_THRESHOLD], 6);
}
