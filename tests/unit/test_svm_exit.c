/* VMCB exit fields to struct exit, on CPUs with and without next-RIP and decode assists. Would
 * catch: an instruction length believed that the CPU did not give, an operand taken from a field
 * that the CPU does not fill, an event whose delivery was cut short that is lost, repeated or
 * changed, a port or nested fault decoded wrongly, and a code without a reason.
 *
 * SPDX-License-Identifier: MIT
 * SRCS: hv/engine/svm/svm_exit.c
 */
#include "engine/svm/svm.h"
#include "unit.h"

/* --- what svm_exit.c leans on ----------------------------------------------------------------- */

struct engine_caps svm_caps;
static unsigned modes_loaded;

u64 svm_guest_cr0(const struct svm_vcpu *s)
{
	return s->vmcb->cr0;
}

void svm_load_modes(struct svm_vcpu *s, u64 guest_cr0)
{
	(void)s;
	(void)guest_cr0;
	modes_loaded++;
}

static struct vmcb vmcb;
static struct svm_vcpu own = {.vmcb = &vmcb};
static struct vcpu v;
static struct exit x;

#define RIP 0x1000ull

/* The CPUs of test_cpu_tables.c differ in these two here. */
static void begin(bool next_rip, bool decode, u64 code)
{
	memset(&vmcb, 0, sizeof(vmcb));
	memset(&v, 0, sizeof(v));
	memset(&x, 0xa5, sizeof(x));
	svm_caps = (struct engine_caps){.next_rip = next_rip, .decode = decode};
	v.engine_data = &own;
	v.rip = vmcb.rip = RIP;
	vmcb.exit_code = code;
}

TEST(the_length_is_the_cpus_where_it_gives_one)
{
	static const struct {
		bool has;
		u64 next_rip;
		u8 len;
	} t[] = {
		{true, RIP + 2, 2}, {true, RIP + 15, 15}, {true, RIP + 16, 0}, {true, RIP, 0},
		{true, RIP - 1, 0}, {true, 0, 0},	  {false, RIP + 2, 0},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		begin(t[i].has, false, SVM_EXIT_CPUID);
		vmcb.next_rip = t[i].next_rip;
		svm_decode_exit(&v, &x);
		CHECK_EQ(x.reason, EXIT_CPUID);
		CHECK_EQ(x.insn_len, t[i].len);
		CHECK_EQ(x.code, SVM_EXIT_CPUID);
		CHECK_EQ(v.event.type, EVENT_NONE);
	}
}

TEST(the_register_of_a_cr_move_is_named_with_decode_assists_only)
{
	static const struct {
		bool decode;
		u64 code, info1;
		u8 cr, gpr;
		bool write;
	} t[] = {
		{true, SVM_EXIT_CR_WRITE + 3, BIT(63) | 9, 3, 9, true},
		{true, SVM_EXIT_CR_READ, BIT(63) | GPR_RAX, 0, GPR_RAX, false},
		/* LMSW and CLTS: bit 63 is 0, the rest is nothing */
		{true, SVM_EXIT_CR_WRITE, 5, 0, CR_GPR_UNKNOWN, true},
		{true, SVM_EXIT_CR0_SEL, BIT(63) | 2, 0, 2, true},
		{false, SVM_EXIT_CR_WRITE + 8, BIT(63) | 9, 8, CR_GPR_UNKNOWN, true},
		{false, SVM_EXIT_CR0_SEL, 0, 0, CR_GPR_UNKNOWN, true},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		begin(false, t[i].decode, t[i].code);
		vmcb.info1 = t[i].info1;
		modes_loaded = 0;
		svm_decode_exit(&v, &x);
		CHECK_EQ(x.reason, EXIT_CR);
		CHECK_EQ(x.cr.cr, t[i].cr);
		CHECK_EQ(x.cr.write, t[i].write);
		CHECK_EQ(x.cr.gpr, t[i].gpr);
		CHECK_EQ(modes_loaded, t[i].cr == 0);
	}
}

TEST(port_accesses_are_taken_apart)
{
	begin(false, false, SVM_EXIT_IOIO);
	vmcb.info1 = 0x3f8ull << 16 | BIT(4) | IOIO_IN; /* INB 3F8h */
	vmcb.info2 = RIP + 1;
	svm_decode_exit(&v, &x);
	CHECK(x.reason == EXIT_IO && x.io.port == 0x3f8 && x.io.size == 1 && x.io.in);
	CHECK(!x.io.string && !x.io.rep);
	CHECK_EQ(x.io.next_rip, RIP + 1);
	begin(false, false, SVM_EXIT_IOIO);
	vmcb.info1 = 0xffffull << 16 | BIT(6) | IOIO_STRING | IOIO_REP; /* REP OUTSD */
	svm_decode_exit(&v, &x);
	CHECK(x.io.port == 0xffff && x.io.size == 4 && !x.io.in && x.io.string && x.io.rep);
}

TEST(nested_faults_tell_access_presence_and_walk)
{
	begin(false, false, SVM_EXIT_NPF);
	vmcb.info1 = BIT(32) | 7; /* write to what is read-only */
	vmcb.info2 = 0xfee00080;
	svm_decode_exit(&v, &x);
	CHECK(x.reason == EXIT_NESTED && x.nested.gpa == 0xfee00080);
	CHECK(x.nested.present && x.nested.access == 2 && !x.nested.table);
	begin(false, false, SVM_EXIT_NPF);
	vmcb.info1 = NPF_TABLE | 0x14; /* a fetch's page walk meets nothing */
	svm_decode_exit(&v, &x);
	CHECK(!x.nested.present && x.nested.access == 16 && x.nested.table);
}

TEST(an_event_cut_short_comes_back_once)
{
	static const struct {
		u64 info;
		struct vcpu_event event;
	} t[] = {
		{EVENT_VALID | 0x30, {EVENT_EXTINT, 0x30, false, 0}},
		{EVENT_VALID | SVM_EVENT_NMI << 8 | 2, {EVENT_NMI, 2, false, 0}},
		{EVENT_VALID | SVM_EVENT_EXCEPTION << 8 | EVENT_ERROR_VALID | VEC_PF | 7ull << 32,
		 {EVENT_EXCEPTION, VEC_PF, true, 7}},
		/* a virtual interrupt that some CPUs report as an exception */
		{EVENT_VALID | SVM_EVENT_EXCEPTION << 8 | 0xef, {EVENT_EXTINT, 0xef, false, 0}},
		/* the instruction runs again: INT n, INT3, INTO */
		{EVENT_VALID | SVM_EVENT_SOFT << 8 | 0x80, {EVENT_NONE, 0, false, 0}},
		{EVENT_VALID | SVM_EVENT_EXCEPTION << 8 | VEC_BP, {EVENT_NONE, 0, false, 0}},
		{EVENT_VALID | SVM_EVENT_EXCEPTION << 8 | VEC_OF, {EVENT_NONE, 0, false, 0}},
		{0xb0d, {EVENT_NONE, 0, false, 0}}, /* stale */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		begin(false, false, SVM_EXIT_NPF);
		v.event.type = EVENT_NMI; /* injected at the entry: consumed */
		vmcb.exit_int_info = t[i].info;
		svm_decode_exit(&v, &x);
		CHECK_EQ(v.event.type, t[i].event.type);
		if (v.event.type == EVENT_NONE)
			continue;
		CHECK_EQ(v.event.vector, t[i].event.vector);
		CHECK_EQ(v.event.has_error, t[i].event.has_error);
		if (v.event.has_error)
			CHECK_EQ(v.event.error, t[i].event.error);
	}
}

TEST(a_task_switch_names_its_way)
{
	static const struct {
		u64 info2, event;
		enum task_source source;
		u8 len;
	} t[] = {
		{0, 0, TASK_CALL, 5},
		{TASK_BY_IRET, 0, TASK_IRET, 5},
		{TASK_BY_JMP, 0, TASK_JMP, 5},
		/* INT n through a gate has an instruction, an exception or interrupt has none. */
		{0, EVENT_VALID | SVM_EVENT_SOFT << EVENT_TYPE_SHIFT | 0x40, TASK_GATE, 5},
		{0, EVENT_VALID | SVM_EVENT_EXCEPTION << EVENT_TYPE_SHIFT | VEC_GP, TASK_GATE, 0},
		{0, EVENT_VALID | SVM_EVENT_INTR << EVENT_TYPE_SHIFT | 0x40, TASK_GATE, 0},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		begin(true, false, SVM_EXIT_TASK);
		vmcb.next_rip = RIP + 5;
		vmcb.info1 = 0x28;
		vmcb.info2 = t[i].info2;
		vmcb.exit_int_info = t[i].event;
		svm_decode_exit(&v, &x);
		CHECK_EQ(x.reason, EXIT_TASK);
		CHECK_EQ(x.task.selector, 0x28);
		CHECK_EQ(x.task.source, t[i].source);
		CHECK_EQ(x.insn_len, t[i].len);
	}
}

TEST(exceptions_and_refused_states_are_told)
{
	begin(false, false, SVM_EXIT_EXCEPTION + VEC_PF);
	vmcb.info1 = 6;
	vmcb.info2 = 0x1234;
	svm_decode_exit(&v, &x);
	CHECK(x.reason == EXIT_EXCEPTION && x.exc.vector == VEC_PF && x.exc.error == 6 &&
	      x.exc.cr2 == 0x1234);
	begin(false, false, UINT64_MAX); /* hardware, and an emulator's 32 bits */
	svm_decode_exit(&v, &x);
	CHECK_EQ(x.reason, EXIT_INVALID);
	begin(false, false, UINT32_MAX);
	svm_decode_exit(&v, &x);
	CHECK_EQ(x.reason, EXIT_INVALID);
	begin(false, false, SVM_EXIT_MSR);
	svm_decode_exit(&v, &x);
	CHECK_EQ(x.reason, EXIT_RDMSR);
	vmcb.info1 = 1;
	svm_decode_exit(&v, &x);
	CHECK_EQ(x.reason, EXIT_WRMSR);
}

TEST(the_address_of_invlpg_is_told_with_decode_assists_only)
{
	for (unsigned i = 0; i < 4; i++) {
		bool next_rip = i & 1, decode = i & 2;

		begin(next_rip, decode, SVM_EXIT_INVLPG);
		vmcb.next_rip = RIP + 3;
		vmcb.info1 = 0x7000;
		svm_decode_exit(&v, &x);
		CHECK_EQ(x.reason, EXIT_INVLPG);
		CHECK_EQ(x.invlpg.told, next_rip && decode);
		CHECK(!x.invlpg.told || (x.invlpg.gva == 0x7000 && x.insn_len == 3));
	}
}

TEST(every_code_has_a_reason)
{
	for (u64 code = 0; code < 0x500; code++) {
		begin(true, true, code);
		svm_decode_exit(&v, &x);
		CHECK(x.reason > EXIT_NONE && x.reason < EXIT_REASONS);
	}
}
