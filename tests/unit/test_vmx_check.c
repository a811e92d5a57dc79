/* The entry checker over VMCSs that are good, that are broken in one place each, and that are
 * random. Would catch: a check left out, a check of the wrong field or under the wrong condition,
 * a good state called bad, a broken one explained by the wrong rule, and a walk that does not end
 * or trips over nonsense.
 *
 * Four good guests: 64-bit with everything on, real mode, PAE, virtual-8086 without unrestricted
 * guest. Each broken case names the guest it starts from, what it changes, and which area, field,
 * section and words the verdict must have.
 *
 * SPDX-License-Identifier: MIT
 * SRCS: hv/engine/vmx/vmx_check.c hv/engine/vmx/vmx_check_guest.c hv/engine/vmx/vmx_names.c
 */
#include "engine/vmx/vmx_check.h"
#include "unit.h"

/* --- a VMCS in memory ------------------------------------------------------------------------- */

#define FIELDS 0x8000
static u64 vmcs[FIELDS];

static u64 read_field(void *ctx, u32 field)
{
	(void)ctx;
	if (field >= FIELDS || !strcmp(vmcs_field_name(field), "?")) {
		printf("# the walk reads %xh, which is no field\n", field);
		abort();
	}
	return vmcs[field];
}

static const struct vmcs_reader reader = {.read = read_field};

/* A server CPU of the Broadwell generation, and PML. */
static struct vmx_caps caps;

static void make_caps(void)
{
	caps = (struct vmx_caps){
		.revision = 0x12,
		.true_controls = true,
		.allowed =
			{
				[VMX_PIN] = {0x16, 0xff},
				[VMX_PRIMARY] = {0x04006172, 0xfff9fffe},
				[VMX_SECONDARY] = {0, 0x77fff},
				[VMX_EXIT] = {0x36dfb, 0x7fffff},
				[VMX_ENTRY] = {0x11fb, 0x1ffff},
			},
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
}

/* --- good guests ------------------------------------------------------------------------------ */

#define CODE64 (AR_G | AR_L | AR_P | AR_S | 0xb)
#define CODE32 (AR_G | AR_DB | AR_P | AR_S | 0xb)
#define DATA   (AR_G | AR_DB | AR_P | AR_S | 0x3)
#define REAL   (AR_P | AR_S | 0x3)
#define TSS    (AR_P | 0xb)
#define EFER64 (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)

static void segment(unsigned n, u16 sel, u64 base, u32 limit, u32 rights)
{
	vmcs[VMCS_GUEST_ES_SEL + 2 * n] = sel;
	vmcs[VMCS_GUEST_ES_BASE + 2 * n] = base;
	vmcs[VMCS_GUEST_ES_LIMIT + 2 * n] = limit;
	vmcs[VMCS_GUEST_ES_RIGHTS + 2 * n] = rights;
}

static void good_controls(void)
{
	vmcs[VMCS_PIN_CONTROLS] = 0x16 | PIN_CTL_EXTINT | PIN_CTL_NMI | PIN_CTL_VNMI;
	vmcs[VMCS_PRIMARY_CONTROLS] = 0x04006172 | PRI_CTL_HLT | PRI_CTL_TSC_OFFSET |
				      PRI_CTL_TPR_SHADOW | PRI_CTL_IO_BITMAPS |
				      PRI_CTL_MSR_BITMAPS | PRI_CTL_SECONDARY;
	vmcs[VMCS_SECONDARY_CONTROLS] = SEC_CTL_EPT | SEC_CTL_VPID | SEC_CTL_UNRESTRICTED |
					SEC_CTL_PML | SEC_CTL_APIC_ACCESS;
	vmcs[VMCS_EXIT_CONTROLS] = 0x36dfb | EXIT_CTL_SAVE_DEBUG | EXIT_CTL_HOST_64 |
				   EXIT_CTL_SAVE_EFER | EXIT_CTL_LOAD_EFER | EXIT_CTL_LOAD_PAT;
	vmcs[VMCS_ENTRY_CONTROLS] =
		0x11fb | ENTRY_CTL_LOAD_DEBUG | ENTRY_CTL_LOAD_EFER | ENTRY_CTL_LOAD_PAT;
	vmcs[VMCS_IO_BITMAP_A] = 0x1000;
	vmcs[VMCS_IO_BITMAP_B] = 0x2000;
	vmcs[VMCS_MSR_BITMAP] = 0x3000;
	vmcs[VMCS_VAPIC_PAGE] = 0x4000;
	vmcs[VMCS_APIC_ACCESS_PAGE] = 0x5000;
	vmcs[VMCS_PML_ADDRESS] = 0x6000;
	vmcs[VMCS_EPTP] = 0x7000 | EPTP_TYPE_WB | EPTP_WALK_4 | EPTP_AD;
	vmcs[VMCS_VPID] = 1;
}

static void good_host(void)
{
	vmcs[VMCS_HOST_CR0] = 0x80050033;
	vmcs[VMCS_HOST_CR3] = 0x100000;
	vmcs[VMCS_HOST_CR4] = CR4_VMXE | CR4_PAE | CR4_OSFXSR;
	vmcs[VMCS_HOST_EFER] = EFER64;
	vmcs[VMCS_HOST_PAT] = 0x0007040600070406;
	vmcs[VMCS_HOST_CS_SEL] = 8;
	vmcs[VMCS_HOST_SS_SEL] = 16;
	vmcs[VMCS_HOST_TR_SEL] = 24;
	vmcs[VMCS_HOST_GS_BASE] = 0xffffffff80001000;
	vmcs[VMCS_HOST_TR_BASE] = 0xffffffff80002000;
	vmcs[VMCS_HOST_GDTR_BASE] = 0xffffffff80003000;
	vmcs[VMCS_HOST_IDTR_BASE] = 0xffffffff80004000;
	vmcs[VMCS_HOST_RSP] = 0xffffffff80005000;
	vmcs[VMCS_HOST_RIP] = 0xffffffff80006000;
}

static void good_common(void)
{
	make_caps();
	memset(vmcs, 0, sizeof(vmcs));
	good_controls();
	good_host();
	vmcs[VMCS_LINK_POINTER] = UINT64_MAX;
	vmcs[VMCS_GUEST_PAT] = 0x0007040600070406;
	vmcs[VMCS_GUEST_DR7] = 0x400;
	vmcs[VMCS_GUEST_RFLAGS] = RFLAGS_FIXED | RFLAGS_IF;
	vmcs[VMCS_GUEST_GDTR_LIMIT] = vmcs[VMCS_GUEST_IDTR_LIMIT] = 0xffff;
}

static void good_real(void)
{
	good_common();
	vmcs[VMCS_GUEST_CR0] = CR0_ET | CR0_NE;
	vmcs[VMCS_GUEST_CR4] = CR4_VMXE;
	for (unsigned n = SEG_ES; n <= SEG_GS; n++)
		segment(n, 0, 0, 0xffff, REAL);
	segment(SEG_CS, 0xf000, 0xffff0000, 0xffff, REAL | AR_CODE);
	segment(SEG_LDTR, 0, 0, 0xffff, AR_P | 2);
	segment(SEG_TR, 0, 0, 0xffff, TSS);
	vmcs[VMCS_GUEST_RIP] = 0xfff0;
}

static void good_flat(u32 cs)
{
	for (unsigned n = SEG_ES; n <= SEG_GS; n++)
		segment(n, 16, 0, 0xffffffff, DATA);
	segment(SEG_CS, 8, 0, 0xffffffff, cs);
	segment(SEG_LDTR, 0, 0, 0, AR_UNUSABLE);
	segment(SEG_TR, 24, 0x1000, 0x67, TSS);
}

static void good_64(void)
{
	good_common();
	vmcs[VMCS_ENTRY_CONTROLS] |= ENTRY_CTL_IA32E;
	vmcs[VMCS_GUEST_CR0] = 0x80050033;
	vmcs[VMCS_GUEST_CR3] = 0x1000;
	vmcs[VMCS_GUEST_CR4] = CR4_VMXE | CR4_PAE | CR4_PGE | CR4_PCIDE;
	vmcs[VMCS_GUEST_EFER] = EFER64;
	good_flat(CODE64);
	vmcs[VMCS_GUEST_RIP] = 0xffffffff81000000;
}

static void good_pae(void)
{
	good_common();
	vmcs[VMCS_GUEST_CR0] = 0x80050033;
	vmcs[VMCS_GUEST_CR4] = CR4_VMXE | CR4_PAE;
	good_flat(CODE32);
	vmcs[VMCS_GUEST_PDPTE0] = 0x2001;
	vmcs[VMCS_GUEST_PDPTE1] = 0x1e6; /* not present: no matter */
	vmcs[VMCS_GUEST_RIP] = 0xc0100000;
}

static void good_v86(void)
{
	good_common();
	vmcs[VMCS_SECONDARY_CONTROLS] &= ~(u64)SEC_CTL_UNRESTRICTED;
	vmcs[VMCS_GUEST_CR0] = 0x80000031;
	vmcs[VMCS_GUEST_CR4] = CR4_VMXE | CR4_VME;
	for (unsigned n = SEG_ES; n <= SEG_GS; n++)
		segment(n, 0x1234, 0x12340, 0xffff, 0xf3);
	segment(SEG_LDTR, 0, 0, 0, AR_UNUSABLE);
	segment(SEG_TR, 24, 0x1000, 0x2067, TSS);
	vmcs[VMCS_GUEST_RFLAGS] = RFLAGS_FIXED | RFLAGS_VM | RFLAGS_IF;
}

static bool broken(struct vmx_verdict *v)
{
	return vmx_check(&reader, &caps, v);
}

static void expect_good(const char *what)
{
	struct vmx_verdict v;
	char text[256];

	if (!broken(&v)) {
		CHECK_EQ(v.area, VMX_CHECK_PASSED);
		return;
	}
	vmx_verdict_text(&v, text, sizeof(text));
	printf("# %s: %s\n", what, text);
	unit_failures++;
}

/* --- good ------------------------------------------------------------------------------------- */

#define INJECT(type, vector) (INTR_VALID | (u64)(type) << INTR_TYPE_SHIFT | (vector))

TEST(good_guests_pass)
{
	good_64();
	expect_good("64-bit");
	good_real();
	expect_good("real mode");
	good_pae();
	expect_good("PAE");
	good_v86();
	expect_good("virtual-8086");
}

TEST(good_states_at_the_edges_pass)
{
	good_64();
	vmcs[VMCS_ENTRY_INTR_INFO] = INJECT(INTR_EXTERNAL, 0x30);
	expect_good("interrupt");
	vmcs[VMCS_GUEST_ACTIVITY] = ACTIVITY_HLT;
	expect_good("interrupt into HLT");
	vmcs[VMCS_GUEST_ACTIVITY] = 0;
	vmcs[VMCS_ENTRY_INTR_INFO] = INJECT(INTR_EXCEPTION, VEC_PF) | INTR_ERROR_VALID;
	vmcs[VMCS_ENTRY_INTR_ERROR] = 0x7;
	expect_good("#PF");
	vmcs[VMCS_ENTRY_INTR_INFO] = INJECT(INTR_NMI, 2);
	vmcs[VMCS_GUEST_BLOCKING] = BLOCKED_STI;
	expect_good("NMI behind STI");
	good_64();
	vmcs[VMCS_GUEST_BLOCKING] = BLOCKED_MOV_SS;
	vmcs[VMCS_GUEST_RFLAGS] |= RFLAGS_TF;
	vmcs[VMCS_GUEST_PENDING_DEBUG] = PENDING_DEBUG_BS;
	expect_good("single step behind MOV SS");
	good_64(); /* fields of what is off do not matter, nor does an event that is not valid */
	vmcs[VMCS_POSTED_DESC] = vmcs[VMCS_TSC_MULTIPLIER] = UINT64_MAX;
	vmcs[VMCS_EXIT_MSR_LOAD] = UINT64_MAX;
	vmcs[VMCS_ENTRY_INTR_INFO] = 0x7fffffff;
	expect_good("leftovers");
	good_real(); /* exceptions in real mode push no error code */
	vmcs[VMCS_ENTRY_INTR_INFO] = INJECT(INTR_EXCEPTION, VEC_GP);
	expect_good("#GP in real mode");
	good_real(); /* flat segments left by protected mode */
	segment(SEG_DS, 16, 0, 0xffffffff, DATA);
	expect_good("big real mode");
	vmcs[VMCS_GUEST_CR0] |= CR0_CD | CR0_NW;
	expect_good("CD and NW");
}

/* --- broken ----------------------------------------------------------------------------------- */

struct change {
	u32 field;
	u64 clear, set;
};

/* clang-format off */
static const struct broken_case {
	const char *name;
	void (*from)(void);
	struct change change[5];
	enum vmx_check_area area;
	u32 field;
	const char *section, *words;
} cases[] = {
#define C   VMX_CHECK_CONTROLS
#define H   VMX_CHECK_HOST
#define G   VMX_CHECK_GUEST
#define ALL UINT64_MAX
	{"pin bit forced 1", good_64, {{VMCS_PIN_CONTROLS, 2, 0}}, C, VMCS_PIN_CONTROLS, "27.2.1.1",
	 "requires to be 1"},
	{"primary bit unknown", good_64, {{VMCS_PRIMARY_CONTROLS, 0, BIT(17)}}, C,
	 VMCS_PRIMARY_CONTROLS, "27.2.1.1", "requires to be 0"},
	{"secondary bit unknown", good_64, {{VMCS_SECONDARY_CONTROLS, 0, SEC_CTL_TSC_SCALING}}, C,
	 VMCS_SECONDARY_CONTROLS, "27.2.1.1", "requires to be 0"},
	{"CR3 targets", good_64, {{VMCS_CR3_TARGET_COUNT, ALL, 5}}, C, VMCS_CR3_TARGET_COUNT,
	 "27.2.1.1", "list"},
	{"I/O bitmap", good_64, {{VMCS_IO_BITMAP_B, 0, 0x800}}, C, VMCS_IO_BITMAP_B, "27.2.1.1",
	 "4-KByte page"},
	{"MSR bitmap beyond memory", good_64, {{VMCS_MSR_BITMAP, 0, BIT(39)}}, C, VMCS_MSR_BITMAP,
	 "27.2.1.1", "4-KByte page"},
	{"virtual-APIC page", good_64, {{VMCS_VAPIC_PAGE, 0, 0x10}}, C, VMCS_VAPIC_PAGE, "27.2.1.1",
	 "4-KByte page"},
	{"TPR threshold", good_64, {{VMCS_TPR_THRESHOLD, ALL, 16}}, C, VMCS_TPR_THRESHOLD,
	 "27.2.1.1", "below 16"},
	{"APICv without TPR shadow", good_64, {{VMCS_PRIMARY_CONTROLS, PRI_CTL_TPR_SHADOW, 0},
	 {VMCS_SECONDARY_CONTROLS, 0, SEC_CTL_APIC_REGISTERS}}, C, VMCS_SECONDARY_CONTROLS,
	 "27.2.1.1", "TPR shadow"},
	{"two APIC modes", good_64, {{VMCS_SECONDARY_CONTROLS, 0, SEC_CTL_X2APIC}}, C,
	 VMCS_SECONDARY_CONTROLS, "27.2.1.1", "excludes"},
	{"interrupt delivery", good_64, {{VMCS_SECONDARY_CONTROLS, 0, SEC_CTL_INTR_DELIVERY},
	 {VMCS_PIN_CONTROLS, PIN_CTL_EXTINT, 0}}, C, VMCS_PIN_CONTROLS, "27.2.1.1",
	 "external-interrupt exiting"},
	{"virtual NMIs", good_64, {{VMCS_PIN_CONTROLS, PIN_CTL_NMI, 0}}, C, VMCS_PIN_CONTROLS,
	 "27.2.1.1", "NMI exiting"},
	{"NMI window", good_64, {{VMCS_PIN_CONTROLS, PIN_CTL_VNMI, 0}, {VMCS_PRIMARY_CONTROLS, 0,
	 PRI_CTL_NMI_WINDOW}}, C, VMCS_PRIMARY_CONTROLS, "27.2.1.1", "virtual NMIs"},
	{"posted interrupts", good_64, {{VMCS_PIN_CONTROLS, 0, PIN_CTL_POSTED}}, C,
	 VMCS_SECONDARY_CONTROLS, "27.2.1.1", "posted"},
	{"posted vector", good_64, {{VMCS_PIN_CONTROLS, 0, PIN_CTL_POSTED},
	 {VMCS_SECONDARY_CONTROLS, 0, SEC_CTL_INTR_DELIVERY}, {VMCS_EXIT_CONTROLS, 0,
	 EXIT_CTL_ACK_INTR}, {VMCS_POSTED_VECTOR, ALL, 256}}, C, VMCS_POSTED_VECTOR, "27.2.1.1",
	 "0 to 255"},
	{"VPID 0", good_64, {{VMCS_VPID, ALL, 0}}, C, VMCS_VPID, "27.2.1.1", "not be 0"},
	{"EPT memory type", good_64, {{VMCS_EPTP, EPTP_TYPE, 1}}, C, VMCS_EPTP, "27.2.1.1",
	 "memory type"},
	{"EPT walk", good_64, {{VMCS_EPTP, EPTP_WALK_MASK, EPTP_WALK_5}}, C, VMCS_EPTP, "27.2.1.1",
	 "page-walk"},
	{"EPT pointer", good_64, {{VMCS_EPTP, 0, BIT(45)}}, C, VMCS_EPTP, "27.2.1.1", "reserved"},
	{"PML without EPT", good_64, {{VMCS_SECONDARY_CONTROLS, SEC_CTL_EPT, 0}}, C,
	 VMCS_SECONDARY_CONTROLS, "27.2.1.1", "log needs EPT"},
	{"unrestricted without EPT", good_64, {{VMCS_SECONDARY_CONTROLS, SEC_CTL_EPT | SEC_CTL_PML,
	 0}}, C, VMCS_SECONDARY_CONTROLS, "27.2.1.1", "unrestricted guest needs EPT"},
	{"PML page", good_64, {{VMCS_PML_ADDRESS, 0, 8}}, C, VMCS_PML_ADDRESS, "27.2.1.1",
	 "4-KByte page"},
	{"exit bit unknown", good_64, {{VMCS_EXIT_CONTROLS, 0, BIT(23)}}, C, VMCS_EXIT_CONTROLS,
	 "27.2.1.2", "requires to be 0"},
	{"timer saved", good_64, {{VMCS_EXIT_CONTROLS, 0, EXIT_CTL_SAVE_TIMER}}, C,
	 VMCS_EXIT_CONTROLS, "27.2.1.2", "needs the timer"},
	{"exit MSR list", good_64, {{VMCS_EXIT_MSR_LOAD_COUNT, ALL, 1}, {VMCS_EXIT_MSR_LOAD, ALL,
	 8}}, C, VMCS_EXIT_MSR_LOAD, "27.2.1.2", "aligned"},
	{"list past memory", good_64, {{VMCS_ENTRY_MSR_LOAD_COUNT, ALL, 2}, {VMCS_ENTRY_MSR_LOAD,
	 ALL, BIT(39) - 16}}, C, VMCS_ENTRY_MSR_LOAD_COUNT, "27.2.1.3", "beyond"},
	{"entry to SMM", good_64, {{VMCS_ENTRY_CONTROLS, 0, ENTRY_CTL_SMM}}, C, VMCS_ENTRY_CONTROLS,
	 "27.2.1.3", "SMM only"},
	{"event type 1", good_64, {{VMCS_ENTRY_INTR_INFO, ALL, INJECT(1, 32)}}, C,
	 VMCS_ENTRY_INTR_INFO, "27.2.1.3", "reserved"},
	{"NMI as 3", good_64, {{VMCS_ENTRY_INTR_INFO, ALL, INJECT(INTR_NMI, 3)}}, C,
	 VMCS_ENTRY_INTR_INFO, "27.2.1.3", "vector 2"},
	{"exception 32", good_64, {{VMCS_ENTRY_INTR_INFO, ALL, INJECT(INTR_EXCEPTION, 32)}}, C,
	 VMCS_ENTRY_INTR_INFO, "27.2.1.3", "up to 31"},
	{"#PF without code", good_64, {{VMCS_ENTRY_INTR_INFO, ALL, INJECT(INTR_EXCEPTION, 14)}}, C,
	 VMCS_ENTRY_INTR_INFO, "27.2.1.3", "has an error code"},
	{"#UD with code", good_64, {{VMCS_ENTRY_INTR_INFO, ALL, INJECT(INTR_EXCEPTION, 6) |
	 INTR_ERROR_VALID}}, C, VMCS_ENTRY_INTR_INFO, "27.2.1.3", "has no error code"},
	{"code in real mode", good_real, {{VMCS_ENTRY_INTR_INFO, ALL, INJECT(INTR_EXCEPTION, 13) |
	 INTR_ERROR_VALID}}, C, VMCS_ENTRY_INTR_INFO, "27.2.1.3", "real mode"},
	{"wide error code", good_64, {{VMCS_ENTRY_INTR_INFO, ALL, INJECT(INTR_EXCEPTION, 13) |
	 INTR_ERROR_VALID}, {VMCS_ENTRY_INTR_ERROR, ALL, 0x10000}}, C, VMCS_ENTRY_INTR_ERROR,
	 "27.2.1.3", "31:16"},
	{"event's reserved bits", good_64, {{VMCS_ENTRY_INTR_INFO, ALL, INJECT(0, 32) | BIT(12)}},
	 C, VMCS_ENTRY_INTR_INFO, "27.2.1.3", "30:12"},
	{"INT n without length", good_64, {{VMCS_ENTRY_INTR_INFO, ALL, INJECT(INTR_SOFT, 0x80)}}, C,
	 VMCS_ENTRY_INSN_LEN, "27.2.1.3", "length"},
	{"host CR0.NE", good_64, {{VMCS_HOST_CR0, CR0_NE, 0}}, H, VMCS_HOST_CR0, "27.2.2",
	 "VMX operation"},
	{"host VMXE", good_64, {{VMCS_HOST_CR4, CR4_VMXE, 0}}, H, VMCS_HOST_CR4, "27.2.2",
	 "VMX operation"},
	{"host CR3", good_64, {{VMCS_HOST_CR3, 0, BIT(50)}}, H, VMCS_HOST_CR3, "27.2.2", "wider"},
	{"host PAT", good_64, {{VMCS_HOST_PAT, ALL, 2}}, H, VMCS_HOST_PAT, "27.2.2", "memory type"},
	{"host EFER", good_64, {{VMCS_HOST_EFER, EFER_LMA, 0}}, H, VMCS_HOST_EFER, "27.2.2",
	 "LMA and LME"},
	{"host SYSENTER", good_64, {{VMCS_HOST_SYSENTER_EIP, ALL, BIT(50)}}, H,
	 VMCS_HOST_SYSENTER_EIP, "27.2.2", "canonical"},
	{"host selector", good_64, {{VMCS_HOST_GS_SEL, ALL, 3}}, H, VMCS_HOST_GS_SEL, "27.2.3",
	 "RPL 0"},
	{"host TR null", good_64, {{VMCS_HOST_TR_SEL, ALL, 0}}, H, VMCS_HOST_TR_SEL, "27.2.3",
	 "not be null"},
	{"host IDTR", good_64, {{VMCS_HOST_IDTR_BASE, ALL, BIT(47)}}, H, VMCS_HOST_IDTR_BASE,
	 "27.2.3", "canonical"},
	{"host of 32 bits", good_64, {{VMCS_EXIT_CONTROLS, EXIT_CTL_HOST_64, 0}, {VMCS_HOST_EFER,
	 EFER_LMA | EFER_LME, 0}}, H, VMCS_EXIT_CONTROLS, "27.2.4", "address-space size"},
	{"host without PAE", good_64, {{VMCS_HOST_CR4, CR4_PAE, 0}}, H, VMCS_HOST_CR4, "27.2.4",
	 "PAE"},
	{"host RIP", good_64, {{VMCS_HOST_RIP, ALL, BIT(60)}}, H, VMCS_HOST_RIP, "27.2.4",
	 "canonical"},
	{"CR0.NE", good_64, {{VMCS_GUEST_CR0, CR0_NE, 0}}, G, VMCS_GUEST_CR0, "27.3.1.1", "NE"},
	{"unpaged, restricted", good_v86, {{VMCS_GUEST_CR0, CR0_PG, 0}}, G, VMCS_GUEST_CR0,
	 "27.3.1.1", "unless unrestricted"},
	{"PG without PE", good_real, {{VMCS_GUEST_CR0, 0, CR0_PG}}, G, VMCS_GUEST_CR0, "27.3.1.1",
	 "PG needs PE"},
	{"CR4 unknown", good_64, {{VMCS_GUEST_CR4, 0, CR4_PKE}}, G, VMCS_GUEST_CR4, "27.3.1.1",
	 "does not allow"},
	{"VMXE", good_64, {{VMCS_GUEST_CR4, CR4_VMXE, 0}}, G, VMCS_GUEST_CR4, "27.3.1.1", "VMXE"},
	{"long mode unpaged", good_64, {{VMCS_GUEST_CR0, CR0_PG, 0}}, G, VMCS_GUEST_CR0, "27.3.1.1",
	 "needs PG"},
	{"long mode without PAE", good_64, {{VMCS_GUEST_CR4, CR4_PAE, 0}}, G, VMCS_GUEST_CR4,
	 "27.3.1.1", "needs PAE"},
	{"PCIDE in PAE", good_pae, {{VMCS_GUEST_CR4, 0, CR4_PCIDE}}, G, VMCS_GUEST_CR4, "27.3.1.1",
	 "PCIDE"},
	{"CR3 beyond memory", good_64, {{VMCS_GUEST_CR3, 0, BIT(39)}}, G, VMCS_GUEST_CR3,
	 "27.3.1.1", "wider"},
	{"DEBUGCTL", good_64, {{VMCS_GUEST_DEBUGCTL, 0, 8}}, G, VMCS_GUEST_DEBUGCTL, "27.3.1.1",
	 "reserved"},
	{"DR7", good_64, {{VMCS_GUEST_DR7, 0, BIT(32)}}, G, VMCS_GUEST_DR7, "27.3.1.1", "63:32"},
	{"PAT", good_64, {{VMCS_GUEST_PAT, 0xff00, 0x300}}, G, VMCS_GUEST_PAT, "27.3.1.1",
	 "memory type"},
	{"EFER reserved", good_64, {{VMCS_GUEST_EFER, 0, BIT(12)}}, G, VMCS_GUEST_EFER, "27.3.1.1",
	 "reserved"},
	{"LMA", good_pae, {{VMCS_GUEST_EFER, 0, EFER_LMA | EFER_LME}}, G, VMCS_GUEST_EFER,
	 "27.3.1.1", "LMA must be"},
	{"LME alone", good_pae, {{VMCS_GUEST_EFER, 0, EFER_LME}}, G, VMCS_GUEST_EFER, "27.3.1.1",
	 "equal"},
	{"TR in the LDT", good_64, {{VMCS_GUEST_TR_SEL, 0, 4}}, G, VMCS_GUEST_TR_SEL, "27.3.1.2",
	 "GDT"},
	{"RPLs differ", good_v86, {{VMCS_GUEST_RFLAGS, RFLAGS_VM, 0}, {VMCS_GUEST_CS_SEL, ALL, 3}},
	 G, VMCS_GUEST_SS_SEL, "27.3.1.2", "RPL of CS"},
	{"v86 base", good_v86, {{VMCS_GUEST_DS_BASE, ALL, 0x12350}}, G, VMCS_GUEST_DS_BASE,
	 "27.3.1.2", "16 times"},
	{"v86 limit", good_v86, {{VMCS_GUEST_FS_LIMIT, ALL, 0xfffff}}, G, VMCS_GUEST_FS_LIMIT,
	 "27.3.1.2", "FFFFh"},
	{"v86 rights", good_v86, {{VMCS_GUEST_SS_RIGHTS, ALL, 0x93}}, G, VMCS_GUEST_SS_RIGHTS,
	 "27.3.1.2", "F3h"},
	{"FS base", good_64, {{VMCS_GUEST_FS_BASE, ALL, BIT(52)}}, G, VMCS_GUEST_FS_BASE,
	 "27.3.1.2", "canonical"},
	{"CS base", good_64, {{VMCS_GUEST_CS_BASE, ALL, BIT(32)}}, G, VMCS_GUEST_CS_BASE,
	 "27.3.1.2", "63:32"},
	{"CS is a TSS", good_64, {{VMCS_GUEST_CS_RIGHTS, AR_TYPE, 2}}, G, VMCS_GUEST_CS_RIGHTS,
	 "27.3.1.2", "code segment"},
	{"CS.DPL", good_64, {{VMCS_GUEST_CS_RIGHTS, 0, 3 << AR_DPL_SHIFT}}, G, VMCS_GUEST_CS_RIGHTS,
	 "27.3.1.2", "DPL must be that of SS"},
	{"conforming CS.DPL", good_64, {{VMCS_GUEST_CS_RIGHTS, AR_TYPE, 0x2f}}, G,
	 VMCS_GUEST_CS_RIGHTS, "27.3.1.2", "conforming"},
	{"SS read-only", good_64, {{VMCS_GUEST_SS_RIGHTS, AR_WRITABLE, 0}}, G, VMCS_GUEST_SS_RIGHTS,
	 "27.3.1.2", "writable"},
	{"CPL 3 in real mode", good_real, {{VMCS_GUEST_SS_RIGHTS, 0, 0x60}, {VMCS_GUEST_CS_RIGHTS,
	 0, 0x60}}, G, VMCS_GUEST_SS_RIGHTS, "27.3.1.2", "real mode"},
	{"DS not accessed", good_64, {{VMCS_GUEST_DS_RIGHTS, AR_ACCESSED, 0}}, G,
	 VMCS_GUEST_DS_RIGHTS, "27.3.1.2", "accessed"},
	{"ES execute-only", good_64, {{VMCS_GUEST_ES_RIGHTS, AR_TYPE, 9}}, G, VMCS_GUEST_ES_RIGHTS,
	 "27.3.1.2", "readable"},
	{"GS is a system segment", good_64, {{VMCS_GUEST_GS_RIGHTS, AR_S, 0}}, G,
	 VMCS_GUEST_GS_RIGHTS, "27.3.1.2", "bit S must be 1"},
	{"CS not present", good_64, {{VMCS_GUEST_CS_RIGHTS, AR_P, 0}}, G, VMCS_GUEST_CS_RIGHTS,
	 "27.3.1.2", "present"},
	{"reserved rights", good_64, {{VMCS_GUEST_DS_RIGHTS, 0, BIT(9)}}, G, VMCS_GUEST_DS_RIGHTS,
	 "27.3.1.2", "11:8"},
	{"G and a small limit", good_real, {{VMCS_GUEST_ES_LIMIT, ALL, 0x10000},
	 {VMCS_GUEST_ES_RIGHTS, 0, AR_G}}, G, VMCS_GUEST_ES_RIGHTS, "27.3.1.2", "G must be 0"},
	{"no G and a big limit", good_real, {{VMCS_GUEST_ES_LIMIT, ALL, ALL}}, G,
	 VMCS_GUEST_ES_RIGHTS, "27.3.1.2", "G must be 1"},
	{"L and D", good_64, {{VMCS_GUEST_CS_RIGHTS, 0, AR_DB}}, G, VMCS_GUEST_CS_RIGHTS,
	 "27.3.1.2", "exclude"},
	{"TR unusable", good_64, {{VMCS_GUEST_TR_RIGHTS, 0, AR_UNUSABLE}}, G, VMCS_GUEST_TR_RIGHTS,
	 "27.3.1.2", "usable"},
	{"TR not busy", good_64, {{VMCS_GUEST_TR_RIGHTS, AR_BUSY, 0}}, G, VMCS_GUEST_TR_RIGHTS,
	 "27.3.1.2", "busy TSS"},
	{"16-bit TSS in long mode", good_64, {{VMCS_GUEST_TR_RIGHTS, AR_TYPE, 3}}, G,
	 VMCS_GUEST_TR_RIGHTS, "27.3.1.2", "busy TSS"},
	{"LDTR's type", good_real, {{VMCS_GUEST_LDTR_RIGHTS, AR_TYPE, 3}}, G,
	 VMCS_GUEST_LDTR_RIGHTS, "27.3.1.2", "LDT"},
	{"GDTR base", good_64, {{VMCS_GUEST_GDTR_BASE, ALL, BIT(48)}}, G, VMCS_GUEST_GDTR_BASE,
	 "27.3.1.3", "canonical"},
	{"IDTR limit", good_64, {{VMCS_GUEST_IDTR_LIMIT, ALL, 0x10000}}, G, VMCS_GUEST_IDTR_LIMIT,
	 "27.3.1.3", "31:16"},
	{"RIP in 32-bit code", good_pae, {{VMCS_GUEST_RIP, 0, BIT(32)}}, G, VMCS_GUEST_RIP,
	 "27.3.1.4", "63:32"},
	{"RIP in 64-bit code", good_64, {{VMCS_GUEST_RIP, BIT(50), 0}}, G, VMCS_GUEST_RIP,
	 "27.3.1.4", "linear-address"},
	{"RFLAGS bit 1", good_64, {{VMCS_GUEST_RFLAGS, 2, 0}}, G, VMCS_GUEST_RFLAGS, "27.3.1.4",
	 "bit 1"},
	{"RFLAGS bit 15", good_64, {{VMCS_GUEST_RFLAGS, 0, BIT(15)}}, G, VMCS_GUEST_RFLAGS,
	 "27.3.1.4", "reserved"},
	{"interrupt with IF 0", good_64, {{VMCS_ENTRY_INTR_INFO, ALL, INJECT(INTR_EXTERNAL, 0x30)},
	 {VMCS_GUEST_RFLAGS, RFLAGS_IF, 0}}, G, VMCS_GUEST_RFLAGS, "27.3.1.4", "IF must be 1"},
	{"activity", good_64, {{VMCS_GUEST_ACTIVITY, ALL, 4}}, G, VMCS_GUEST_ACTIVITY, "27.3.1.5",
	 "does not know"},
	{"HLT behind STI", good_64, {{VMCS_GUEST_ACTIVITY, ALL, ACTIVITY_HLT}, {VMCS_GUEST_BLOCKING,
	 ALL, BLOCKED_STI}}, G, VMCS_GUEST_ACTIVITY, "27.3.1.5", "active while"},
	{"#GP into HLT", good_64, {{VMCS_GUEST_ACTIVITY, ALL, ACTIVITY_HLT}, {VMCS_ENTRY_INTR_INFO,
	 ALL, INJECT(INTR_EXCEPTION, 13) | INTR_ERROR_VALID}}, G, VMCS_GUEST_ACTIVITY, "27.3.1.5",
	 "cannot reach"},
	{"interrupt into shutdown", good_64, {{VMCS_GUEST_ACTIVITY, ALL, ACTIVITY_SHUTDOWN},
	 {VMCS_ENTRY_INTR_INFO, ALL, INJECT(INTR_EXTERNAL, 0x30)}}, G, VMCS_GUEST_ACTIVITY,
	 "27.3.1.5", "cannot reach"},
	{"two shadows", good_64, {{VMCS_GUEST_BLOCKING, ALL, 3}}, G, VMCS_GUEST_BLOCKING,
	 "27.3.1.5", "at once"},
	{"STI with IF 0", good_64, {{VMCS_GUEST_BLOCKING, ALL, BLOCKED_STI}, {VMCS_GUEST_RFLAGS,
	 RFLAGS_IF, 0}}, G, VMCS_GUEST_BLOCKING, "27.3.1.5", "IF 1"},
	{"interrupt into a shadow", good_64, {{VMCS_GUEST_BLOCKING, ALL, BLOCKED_STI},
	 {VMCS_ENTRY_INTR_INFO, ALL, INJECT(INTR_EXTERNAL, 0x30)}}, G, VMCS_GUEST_BLOCKING,
	 "27.3.1.5", "external interrupt"},
	{"NMI while blocked", good_64, {{VMCS_GUEST_BLOCKING, ALL, BLOCKED_NMI},
	 {VMCS_ENTRY_INTR_INFO, ALL, INJECT(INTR_NMI, 2)}}, G, VMCS_GUEST_BLOCKING, "27.3.1.5",
	 "virtual NMI"},
	{"SMI blocking", good_64, {{VMCS_GUEST_BLOCKING, ALL, BLOCKED_SMI}}, G, VMCS_GUEST_BLOCKING,
	 "27.3.1.5", "SMM only"},
	{"blocking reserved", good_64, {{VMCS_GUEST_BLOCKING, ALL, BIT(5)}}, G, VMCS_GUEST_BLOCKING,
	 "27.3.1.5", "31:5"},
	{"single step lost", good_64, {{VMCS_GUEST_BLOCKING, ALL, BLOCKED_STI}, {VMCS_GUEST_RFLAGS,
	 0, RFLAGS_TF}}, G, VMCS_GUEST_PENDING_DEBUG, "27.3.1.5", "BS must be 1"},
	{"single step invented", good_64, {{VMCS_GUEST_BLOCKING, ALL, BLOCKED_STI},
	 {VMCS_GUEST_PENDING_DEBUG, ALL, PENDING_DEBUG_BS}}, G, VMCS_GUEST_PENDING_DEBUG,
	 "27.3.1.5", "BS must be 0"},
	{"pending debug reserved", good_64, {{VMCS_GUEST_PENDING_DEBUG, ALL, BIT(13)}}, G,
	 VMCS_GUEST_PENDING_DEBUG, "27.3.1.5", "reserved"},
	{"link pointer", good_64, {{VMCS_LINK_POINTER, ALL, 8}}, G, VMCS_LINK_POINTER, "27.3.1.5",
	 "all ones"},
	{"PDPTE", good_pae, {{VMCS_GUEST_PDPTE3, ALL, 0x3023}}, G, VMCS_GUEST_PDPTE3, "27.3.1.6",
	 "reserved"},
	{"PDPTE beyond memory", good_pae, {{VMCS_GUEST_PDPTE0, 0, BIT(40)}}, G, VMCS_GUEST_PDPTE0,
	 "27.3.1.6", "reserved"},
	/* One each of the conditions that the cases above leave out. */
	{"I/O bitmap A", good_64, {{VMCS_IO_BITMAP_A, 0, 1}}, C, VMCS_IO_BITMAP_A, "27.2.1.1",
	 "4-KByte page"},
	{"APIC-access page", good_64, {{VMCS_APIC_ACCESS_PAGE, 0, 1}}, C, VMCS_APIC_ACCESS_PAGE,
	 "27.2.1.1", "4-KByte page"},
	{"posting without acknowledging", good_64, {{VMCS_PIN_CONTROLS, 0, PIN_CTL_POSTED},
	 {VMCS_SECONDARY_CONTROLS, 0, SEC_CTL_INTR_DELIVERY}}, C, VMCS_EXIT_CONTROLS, "27.2.1.1",
	 "acknowledged"},
	{"posted descriptor", good_64, {{VMCS_PIN_CONTROLS, 0, PIN_CTL_POSTED},
	 {VMCS_SECONDARY_CONTROLS, 0, SEC_CTL_INTR_DELIVERY}, {VMCS_EXIT_CONTROLS, 0,
	 EXIT_CTL_ACK_INTR}, {VMCS_POSTED_DESC, ALL, 32}}, C, VMCS_POSTED_DESC, "27.2.1.1",
	 "aligned"},
	{"VMREAD bitmap", good_64, {{VMCS_SECONDARY_CONTROLS, 0, SEC_CTL_VMCS_SHADOWING},
	 {VMCS_VMREAD_BITMAP, 0, 1}}, C, VMCS_VMREAD_BITMAP, "27.2.1.1", "4-KByte page"},
	{"VMWRITE bitmap", good_64, {{VMCS_SECONDARY_CONTROLS, 0, SEC_CTL_VMCS_SHADOWING},
	 {VMCS_VMWRITE_BITMAP, 0, 1}}, C, VMCS_VMWRITE_BITMAP, "27.2.1.1", "4-KByte page"},
	{"#VE area", good_64, {{VMCS_SECONDARY_CONTROLS, 0, SEC_CTL_EPT_VE}, {VMCS_VE_AREA, 0, 1}},
	 C, VMCS_VE_AREA, "27.2.1.1", "4-KByte page"},
	{"interrupt with error code", good_64, {{VMCS_ENTRY_INTR_INFO, ALL, INJECT(INTR_EXTERNAL,
	 32) | INTR_ERROR_VALID}}, C, VMCS_ENTRY_INTR_INFO, "27.2.1.3",
	 "only a hardware exception"},
	{"event type 7", good_64, {{VMCS_ENTRY_INTR_INFO, ALL, INJECT(INTR_OTHER, 1)}}, C,
	 VMCS_ENTRY_INTR_INFO, "27.2.1.3", "vector 0"},
	{"host SYSENTER stack", good_64, {{VMCS_HOST_SYSENTER_ESP, ALL, BIT(50)}}, H,
	 VMCS_HOST_SYSENTER_ESP, "27.2.2", "canonical"},
	{"host EFER reserved", good_64, {{VMCS_HOST_EFER, 0, BIT(1)}}, H, VMCS_HOST_EFER, "27.2.2",
	 "reserved"},
	{"host CS null", good_64, {{VMCS_HOST_CS_SEL, ALL, 0}}, H, VMCS_HOST_CS_SEL, "27.2.3",
	 "not be null"},
	{"host SS null in 32 bits", good_64, {{VMCS_EXIT_CONTROLS, EXIT_CTL_HOST_64, 0},
	 {VMCS_HOST_EFER, EFER_LMA | EFER_LME, 0}, {VMCS_HOST_SS_SEL, ALL, 0}}, H, VMCS_HOST_SS_SEL,
	 "27.2.3", "32-bit host"},
	{"CR0 beyond 32 bits", good_64, {{VMCS_GUEST_CR0, 0, BIT(32)}}, G, VMCS_GUEST_CR0,
	 "27.3.1.1", "does not allow"},
	{"SYSENTER stack", good_64, {{VMCS_GUEST_SYSENTER_ESP, ALL, BIT(50)}}, G,
	 VMCS_GUEST_SYSENTER_ESP, "27.3.1.1", "canonical"},
	{"SYSENTER entry", good_64, {{VMCS_GUEST_SYSENTER_EIP, ALL, BIT(50)}}, G,
	 VMCS_GUEST_SYSENTER_EIP, "27.3.1.1", "canonical"},
	{"bounds", good_64, {{VMCS_ENTRY_CONTROLS, 0, ENTRY_CTL_LOAD_BNDCFGS}, {VMCS_GUEST_BNDCFGS,
	 ALL, 4}}, G, VMCS_GUEST_BNDCFGS, "27.3.1.1", "reserved"},
	{"LDTR in the LDT", good_real, {{VMCS_GUEST_LDTR_SEL, 0, 4}}, G, VMCS_GUEST_LDTR_SEL,
	 "27.3.1.2", "GDT"},
	{"LDTR base", good_real, {{VMCS_GUEST_LDTR_BASE, ALL, BIT(50)}}, G, VMCS_GUEST_LDTR_BASE,
	 "27.3.1.2", "canonical"},
	{"SS base", good_64, {{VMCS_GUEST_SS_BASE, ALL, BIT(32)}}, G, VMCS_GUEST_SS_BASE,
	 "27.3.1.2", "63:32"},
	{"data CS with a DPL", good_real, {{VMCS_GUEST_CS_RIGHTS, AR_CODE, 0x20}}, G,
	 VMCS_GUEST_CS_RIGHTS, "27.3.1.2", "DPL 0"},
	{"SS.DPL, restricted", good_v86, {{VMCS_GUEST_RFLAGS, RFLAGS_VM, 0}, {VMCS_GUEST_CS_RIGHTS,
	 ALL, 0xfb}, {VMCS_GUEST_SS_SEL, ALL, 0x1231}, {VMCS_GUEST_CS_SEL, ALL, 0x1231}}, G,
	 VMCS_GUEST_SS_RIGHTS, "27.3.1.2", "selector's RPL"},
	{"DS.DPL, restricted", good_v86, {{VMCS_GUEST_RFLAGS, RFLAGS_VM, 0}, {VMCS_GUEST_CS_RIGHTS,
	 ALL, 0x9b}, {VMCS_GUEST_SS_RIGHTS, ALL, 0x93}, {VMCS_GUEST_DS_SEL, ALL, 0x1237},
	 {VMCS_GUEST_DS_RIGHTS, ALL, 0x93}}, G, VMCS_GUEST_DS_RIGHTS, "27.3.1.2",
	 "below the selector's"}, {"VM in real mode", good_v86, {{VMCS_SECONDARY_CONTROLS, 0,
	 SEC_CTL_UNRESTRICTED}, {VMCS_GUEST_CR0, CR0_PE | CR0_PG, 0}}, G, VMCS_GUEST_RFLAGS,
	 "27.3.1.4", "VM must be 0"},
	{"HLT at CPL 3", good_pae, {{VMCS_GUEST_ACTIVITY, ALL, ACTIVITY_HLT}, {VMCS_GUEST_SS_RIGHTS,
	 0, 0x60}, {VMCS_GUEST_CS_RIGHTS, 0, 0x60}}, G, VMCS_GUEST_ACTIVITY, "27.3.1.5", "CPL 0"},
	{ "NMI behind MOV SS", good_64, {{VMCS_GUEST_BLOCKING, ALL, BLOCKED_MOV_SS},
	 {VMCS_ENTRY_INTR_INFO, ALL, INJECT(INTR_NMI, 2)}}, G, VMCS_GUEST_BLOCKING, "27.3.1.5",
	 "NMI is injected: MOV SS"},
	{"MOV SS in an enclave", good_64, {{VMCS_GUEST_BLOCKING, ALL, BLOCKED_MOV_SS |
	 BLOCKED_ENCLAVE}}, G, VMCS_GUEST_BLOCKING, "27.3.1.5", "enclave"},
#undef C
#undef H
#undef G
#undef ALL
		    };

static void apply(const struct broken_case *c)
{
	c->from();
	for (unsigned i = 0; i < ARRAY_SIZE(c->change); i++) {
		const struct change *x = &c->change[i];

		vmcs[x->field] = (vmcs[x->field] & ~x->clear) | x->set;
	}
}

TEST(each_broken_state_is_explained)
{
	CHECK(ARRAY_SIZE(cases) >= 30);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct broken_case *c = &cases[i];
		unsigned before = unit_failures;
		struct vmx_verdict v;
		char text[256];

		apply(c);
		CHECK(broken(&v));
		vmx_verdict_text(&v, text, sizeof(text));
		CHECK_EQ(v.area, c->area);
		CHECK_STR(vmcs_field_name(v.field), vmcs_field_name(c->field));
		CHECK_EQ(v.value, vmcs[c->field]);
		CHECK_STR(v.section ? v.section : "", c->section);
		CHECK(v.rule && strstr(v.rule, c->words));
		if (unit_failures != before)
			printf("# … of \"%s\": %s\n", c->name, text);
	}
}

TEST(the_sentence_names_field_value_rule_and_section)
{
	struct vmx_verdict v;
	char text[256];

	good_64();
	vmcs[VMCS_GUEST_CS_RIGHTS] |= AR_DB;
	CHECK(broken(&v));
	vmx_verdict_text(&v, text, sizeof(text));
	CHECK_STR(text,
		  "guest CS access rights (4816h) is e09bh: L and D/B exclude each other (SDM "
		  "vol. 3 section 27.3.1.2)");
	CHECK_STR(vmx_insn_error(7), "VM entry with invalid control fields");
	CHECK_STR(vmx_insn_error(14), "no known VM-instruction error");
	CHECK_STR(vmx_insn_error(UINT32_MAX), "no known VM-instruction error");
	CHECK_STR(vmcs_field_name(VMCS_HOST_RIP), "host RIP");
	CHECK_STR(vmcs_field_name(0x6c18), "?");
}

/* What only a lesser CPU refuses. */
TEST(capabilities_of_the_cpu_count)
{
	struct vmx_verdict v;

	good_64();
	caps.ept_vpid &= ~(u64)EPT_CAP_AD;
	CHECK(broken(&v) && v.field == VMCS_EPTP && strstr(v.rule, "accessed and dirty"));
	good_64();
	caps.activities = 1;
	vmcs[VMCS_GUEST_ACTIVITY] = ACTIVITY_HLT;
	CHECK(broken(&v) && v.field == VMCS_GUEST_ACTIVITY);
	good_64();
	caps.allowed[VMX_PRIMARY].may &= ~(u32)PRI_CTL_MTF;
	vmcs[VMCS_ENTRY_INTR_INFO] = INJECT(INTR_OTHER, 0);
	CHECK(broken(&v) && strstr(v.rule, "monitor trap flag"));
	good_64();
	caps.allowed[VMX_SECONDARY].may |= SEC_CTL_MBE;
	vmcs[VMCS_SECONDARY_CONTROLS] = SEC_CTL_MBE;
	CHECK(broken(&v) && strstr(v.rule, "refines EPT"));
}

/* Without "free_error_code" (VMX_BASIC bit 56) #PF needs its code, with it anything goes. */
TEST(newer_cpus_inject_with_any_error_code)
{
	struct vmx_verdict v;

	good_64();
	vmcs[VMCS_ENTRY_INTR_INFO] = INJECT(INTR_EXCEPTION, VEC_PF);
	CHECK(broken(&v));
	caps.free_error_code = true;
	expect_good("#PF without an error code");
}

/* --- nonsense --------------------------------------------------------------------------------- */

static u64 seed = 0x9e3779b97f4a7c15ull;
static u64 rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1dull;
}

static const u16 all_fields[] = {
#define FIELD(name, encoding, text) encoding,
	VMCS_FIELD_LIST(FIELD)
#undef FIELD
};
/* clang-format on */

static void mutate(unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		u64 *f = &vmcs[all_fields[rnd() % ARRAY_SIZE(all_fields)]];
		u64 r = rnd();

		*f = r % 3 ? *f ^ BIT(r >> 58) : rnd();
	}
}

/* Every verdict is complete, and a second walk gives the same one. */
TEST(random_states_never_confuse_the_walk)
{
	void (*const good[])(void) = {good_64, good_real, good_pae, good_v86};
	unsigned bad = 0, rounds = 200000;

	for (unsigned n = 0; n < rounds; n++) {
		struct vmx_verdict v, again;
		char text[320];

		if (n % 64 == 0)
			good[n / 64 % 4]();
		mutate(1 + n % 3);
		if (n % 5000 == 0) /* capabilities of nowhere */
			for (unsigned i = 0; i < sizeof(caps); i++)
				((u8 *)&caps)[i] =
					i >= offsetof(struct vmx_caps, allowed) &&
							i < offsetof(struct vmx_caps, timer_shift)
						? (u8)rnd()
						: ((u8 *)&caps)[i];
		if (!broken(&v))
			continue;
		bad++;
		CHECK(v.rule && v.section && v.area != VMX_CHECK_PASSED);
		CHECK(strcmp(vmcs_field_name(v.field), "?") != 0);
		CHECK((size_t)vmx_verdict_text(&v, text, sizeof(text)) < sizeof(text));
		broken(&again);
		CHECK(v.field == again.field && v.rule == again.rule);
		if (unit_failures)
			return;
	}
	CHECK(bad > rounds / 2 && bad < rounds);
}
