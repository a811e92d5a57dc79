/* Exit handlers, one per reason, in a table.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/cpu.h"
#include "core/partition.h"
#include "core/report.h"
#include "core/sched.h"
#include "core/vcpu_run.h"
#include "lib/cpuops.h"
#include "lib/str.h"
#include "paging/paging.h"

#define DR6_BS		     BIT(14)
#define DR7_ENABLED	     0xffull /* breakpoints, local and global */
#define CPUID_XSAVE_LEAF     0xdu
#define PORT_SIZE_MASK(size) ((size) == 4 ? 0xffffffffull : (1ull << ((size)*8)) - 1)

void vcpu_inject(struct vcpu *v, u8 vector, bool has_error, u32 error)
{
	bool contributory = vector == VEC_DE || (vector >= VEC_TS && vector <= VEC_GP);
	const struct vcpu_event *e = &v->event;
	bool first_contributory =
		e->type == EVENT_EXCEPTION &&
		(e->vector == VEC_DE || (e->vector >= VEC_TS && e->vector <= VEC_GP));
	bool first_pf = e->type == EVENT_EXCEPTION && e->vector == VEC_PF;

	if (e->type == EVENT_EXCEPTION && e->vector == VEC_DF) {
		v->part->ops->triple_fault(v->part);
		return;
	}
	if ((first_contributory && contributory) ||
	    (first_pf && (contributory || vector == VEC_PF))) {
		v->event = (struct vcpu_event){
			.type = EVENT_EXCEPTION, .vector = VEC_DF, .has_error = true};
		return;
	}
	v->event = (struct vcpu_event){
		.type = EVENT_EXCEPTION, .vector = vector, .has_error = has_error, .error = error};
}

/* A fault's RFLAGS have RF set where it is delivered: the instruction runs again, and a breakpoint
 * on it has been. */
void vcpu_inject_pf(struct vcpu *v, u32 error, u64 cr2)
{
	v->rflags |= RFLAGS_RF;
	v->engine->set_cr(v, 2, cr2);
	vcpu_inject(v, VEC_PF, true, error);
}

void vcpu_inject_fault(struct vcpu *v, const struct emul_fault *f)
{
	if (f->vector == VEC_PF)
		vcpu_inject_pf(v, f->error, f->cr2);
	else
		vcpu_inject(v, f->vector, f->has_error, f->error);
}

static void inject_gp(struct vcpu *v)
{
	vcpu_inject(v, VEC_GP, true, 0);
}

static void inject_ud(struct vcpu *v)
{
	vcpu_inject(v, VEC_UD, false, 0);
}

/* A set TF traps after the instruction. */
void vcpu_single_step(struct vcpu *v)
{
	struct vcpu_sregs r;

	v->engine->get_sregs(v, &r);
	r.dr6 |= DR6_BS;
	v->engine->set_sregs(v, &r);
	vcpu_inject(v, VEC_DB, false, 0);
}

/* RIP wraps at the code segment's width. Only code outside 64-bit mode can reach the 4 GiB line
 * from below. */
void vcpu_wrap_rip(struct vcpu *v)
{
	struct vcpu_code c;

	v->engine->get_code(v, &c);
	if (vcpu_code_mode(&c) != CODE_64)
		v->rip = (u32)v->rip;
}

/* Physical interrupts are taken by opening the window for one instruction. */
static void exit_intr(struct vcpu *v, struct exit *x)
{
	(void)v, (void)x;
	irq_let_in();
}

static void exit_nothing(struct vcpu *v, struct exit *x)
{
	(void)v, (void)x;
}

static void exit_cpuid(struct vcpu *v, struct exit *x)
{
	unsigned len = vcpu_insn_len(v, x, EXITOP_CPUID);
	struct cpuid_dynamic *dyn = &v->part->cpuid_dynamic;
	u32 out[4];

	if (!len)
		return;
	/* Not every CPU lets XSETBV be intercepted: ask the CPU, which has the guest's XCR0 now. */
	if ((u32)v->gpr[GPR_RAX] == CPUID_XSAVE_LEAF && (read_cr4() & CR4_OSXSAVE))
		dyn->xcr0 = v->xcr0 = xgetbv(0);
	cpuid_query(&v->part->cpuid, dyn, (u32)v->gpr[GPR_RAX], (u32)v->gpr[GPR_RCX], out);
	v->gpr[GPR_RAX] = out[0];
	v->gpr[GPR_RBX] = out[1];
	v->gpr[GPR_RCX] = out[2];
	v->gpr[GPR_RDX] = out[3];
	vcpu_advance(v, len);
}

static void exit_hlt(struct vcpu *v, struct exit *x)
{
	unsigned len = vcpu_insn_len(v, x, EXITOP_HLT);

	if (!len)
		return;
	vcpu_advance(v, len);
	if (vcpu_wakes(v))
		return;
	if (!(v->rflags & RFLAGS_IF)) {
		partition_end(v->part, STATUS_FAIL, "exit",
			      "HLT with interrupts off and nothing to wake it");
		return;
	}
	v->state = VCPU_HALTED;
	this_cpu()->attention = true;
}

static void port_access(struct vcpu *v, const struct exit *x)
{
	struct bus *bus = &v->part->board.bus;
	u64 mask = PORT_SIZE_MASK(x->io.size);
	u64 *rax = &v->gpr[GPR_RAX];
	u32 value;

	if (!x->io.in) {
		bus_port_write(bus, x->io.port, x->io.size, (u32)(*rax & mask));
		return;
	}
	value = bus_port_read(bus, x->io.port, x->io.size);
	*rax = x->io.size == 4 ? value : (*rax & ~mask) | (value & mask);
}

/* A loop that waits for somebody else. */
static void exit_pause(struct vcpu *v, struct exit *x)
{
	(void)x;
	sched_turn_over(v);
}

static void exit_io(struct vcpu *v, struct exit *x)
{
	unsigned len;

	if (x->io.string) {
		vcpu_emulate(v);
		return;
	}
	if (x->io.next_rip)
		len = (unsigned)(x->io.next_rip - v->rip);
	else
		len = vcpu_insn_len(v, x, x->io.in ? EXITOP_IN : EXITOP_OUT);
	if (!len)
		return;
	/* First the instruction, then its effect: a reset must not be followed by an advance. */
	vcpu_advance(v, len);
	port_access(v, x);
}

static void exit_rdmsr(struct vcpu *v, struct exit *x)
{
	unsigned len = vcpu_insn_len(v, x, EXITOP_RDMSR);
	u64 value;

	if (!len)
		return;
	if (msr_read(&v->part->msrs, (u32)v->gpr[GPR_RCX], &value) != 0) {
		inject_gp(v);
		return;
	}
	v->gpr[GPR_RAX] = (u32)value;
	v->gpr[GPR_RDX] = value >> 32;
	vcpu_advance(v, len);
}

static void exit_wrmsr(struct vcpu *v, struct exit *x)
{
	unsigned len = vcpu_insn_len(v, x, EXITOP_WRMSR);
	u64 value = (u32)v->gpr[GPR_RAX] | v->gpr[GPR_RDX] << 32;

	if (!len)
		return;
	if (msr_write(&v->part->msrs, (u32)v->gpr[GPR_RCX], value) != 0) {
		inject_gp(v);
		return;
	}
	vcpu_advance(v, len);
}

/* This exit would have been one with nested paging too. */
static void note_other(struct vcpu *v)
{
	v->part->exits.other_count++;
	v->part->exits.other_cycles += rdtsc() - v->exit_tsc;
}

static void write_cr(struct vcpu *v, unsigned cr, u64 value, unsigned len)
{
	int err = 0;

	switch (cr) {
	case 0:
		err = vcpu_write_cr0(v, value);
		break;
	case 3:
		err = vcpu_write_cr3(v, value);
		break;
	case 4:
		err = vcpu_write_cr4(v, value);
		break;
	case 8:
		err = value >> 4 ? -EINVAL : 0;
		if (!err)
			lapic_set_cr8(&v->part->board.lapic, (u8)value);
		note_other(v);
		break;
	default:
		err = -EINVAL;
	}
	if (err)
		inject_gp(v);
	else
		vcpu_advance(v, len);
}

/* LMSW: MSW bits 3:0; PE can be set but not cleared. */
static void write_msw(struct vcpu *v, u64 msw, unsigned len)
{
	struct vcpu_sregs r;

	v->engine->get_sregs(v, &r);
	write_cr(v, 0, (r.cr0 & ~(u64)(CR0_MP | CR0_EM | CR0_TS)) | (msw & 0xf), len);
}

static u64 read_cr(const struct vcpu *v, unsigned cr)
{
	struct vcpu_sregs r;

	v->engine->get_sregs(v, &r);
	return cr == 3 ? r.cr3 : cr == 4 ? r.cr4 : r.cr0;
}

static void store_cr(struct vcpu *v, const struct exitop_insn *i, unsigned cr)
{
	u64 value = read_cr(v, cr), *gpr = &v->gpr[i->gpr];

	if (i->op_size == 2)
		*gpr = (*gpr & ~0xffffull) | (value & 0xffff);
	else
		*gpr = i->op_size == 4 ? (u32)value : value;
	vcpu_advance(v, i->len);
}

/* INVLPG of an address in one of the first eight registers, MOV between one of them and CR3: what
 * kernels write. */
#define INVLPG_GPR   0x38010f
#define MOV_CR3_GPR  0xd8220f
#define MOV_GPR_CR3  0xd8200f
#define MOV_CR3_SIZE 3u
static inline bool is_gpr_insn(const u8 *bytes, u32 insn)
{
	return (bytes[0] | bytes[1] << 8 | (u32)(bytes[2] & 0xf8) << 16) == insn;
}

static inline bool is_plain(const u8 *bytes, unsigned n, enum code_mode mode, u32 insn)
{
	return mode == CODE_64 && n >= MOV_CR3_SIZE && is_gpr_insn(bytes, insn);
}

/* Would the guest see that it is not stopped between two instructions? */
static bool steps_watched(const struct vcpu *v)
{
	struct vcpu_sregs r;

	if (v->rflags & RFLAGS_TF)
		return true;
	v->engine->get_sregs(v, &r);
	return r.dr7 & DR7_ENABLED;
}

/* MOV from CR3, @bytes at it, in 64-bit code. Kernels empty their TLB by writing back at once what
 * they have read: then one exit does for both. */
static void move_from_cr3(struct vcpu *v, const u8 *bytes)
{
	unsigned gpr = bytes[2] & 7;
	bool writes_back = is_gpr_insn(bytes + MOV_CR3_SIZE, MOV_CR3_GPR) &&
			   (bytes[MOV_CR3_SIZE + 2] & 7) == gpr && !steps_watched(v);

	v->gpr[gpr] = *v->live.cr3;
	vcpu_advance(v, MOV_CR3_SIZE);
	if (writes_back)
		write_cr(v, 3, v->gpr[gpr], MOV_CR3_SIZE);
}

/* A switch of address spaces under shadow tables, where the CPU says all there is to know. */
static void move_cr3(struct vcpu *v, const struct exit *x)
{
	bool wide = (*v->live.efer & EFER_LMA) && (*v->live.cs_attr & SEG_ATTR_L);
	u64 mask = wide ? UINT64_MAX : UINT32_MAX, *gpr = &v->gpr[x->cr.gpr];
	const u8 *bytes;

	if (x->cr.write) {
		write_cr(v, 3, *gpr & mask, x->insn_len);
		return;
	}
	bytes = vcpu_insn_bytes(v);
	if (bytes && is_gpr_insn(bytes, MOV_GPR_CR3)) {
		move_from_cr3(v, bytes);
		return;
	}
	*gpr = *v->live.cr3 & mask;
	vcpu_advance(v, x->insn_len);
}

static void exit_cr(struct vcpu *v, struct exit *x)
{
	struct exitop_insn i;
	struct vcpu_sregs r;
	enum code_mode mode;
	u8 buf[INSN_MAX];
	unsigned n;
	const u8 *bytes;

	if (x->cr.cr == 3 && x->cr.gpr < GPR_COUNT && x->insn_len) {
		move_cr3(v, x);
		return;
	}
	bytes = vcpu_insn(v, buf, &n, &mode);
	if (is_plain(bytes, n, mode, MOV_CR3_GPR)) {
		write_cr(v, 3, v->gpr[bytes[2] & 7], MOV_CR3_SIZE);
		return;
	}
	if (is_plain(bytes, n, mode, MOV_GPR_CR3) && n == INSN_MAX) {
		move_from_cr3(v, bytes);
		return;
	}
	switch (exitop_decode(bytes, n, mode, &i)) {
	case EXITOP_MOV_TO_CR:
		write_cr(v, i.reg, v->gpr[i.gpr], i.len);
		break;
	case EXITOP_MOV_FROM_CR:
		i.op_size = mode == CODE_64 ? 8 : 4;
		store_cr(v, &i, i.reg);
		break;
	case EXITOP_CLTS:
		v->engine->get_sregs(v, &r);
		write_cr(v, 0, r.cr0 & ~CR0_TS, i.len);
		break;
	case EXITOP_LMSW:
		if (i.mem)
			vcpu_emulate(v);
		else
			write_msw(v, v->gpr[i.gpr], i.len);
		break;
	case EXITOP_SMSW:
		if (i.mem)
			vcpu_emulate(v);
		else
			store_cr(v, &i, 0);
		break;
	default:
		vcpu_insn_lost(v, x);
	}
}

/* No RAM where the guest wants to go: a device's register is the instruction's to access. A
 * descriptor table, stack or page table cannot be emulated as one. */
static void access_device(struct vcpu *v, const struct paging_fault *f)
{
	if (v->event.type != EVENT_NONE || f->table)
		partition_end(v->part, STATUS_FAIL, "crash", "%s outside RAM at gpa 0x%llx",
			      f->table ? "page table" : "event delivery",
			      (unsigned long long)f->gpa);
	else
		vcpu_emulate_mmio(v, f);
}

/* A nested fault, or a page fault while the CPU walks tables of ours. */
static void exit_translation(struct vcpu *v, struct exit *x)
{
	struct paging_fault f;

	switch (v->paging->fault(v, x, &f)) {
	case PAGING_RETRY:
		break;
	case PAGING_GUEST:
		vcpu_inject_pf(v, f.error, f.gva);
		break;
	case PAGING_MMIO:
		access_device(v, &f);
		if (x->reason == EXIT_EXCEPTION)
			note_other(v);
		break;
	case PAGING_DONE:
		vcpu_advance(v, 0);
		break;
	}
}

static void exit_rdpmc(struct vcpu *v, struct exit *x)
{
	(void)x;
	inject_gp(v);
}

/* Guest memory is coherent and no device bypasses the caches: nothing to write back. With real
 * devices there may be. */
static void exit_cache(struct vcpu *v, struct exit *x)
{
	struct exitop_insn i;
	struct vcpu_code c;
	u8 bytes[15];
	unsigned n = vcpu_fetch(v, bytes);
	enum exitop op;

	(void)x;
	v->engine->get_code(v, &c);
	op = exitop_decode(bytes, n, vcpu_code_mode(&c), &i);
	if (op != EXITOP_WBINVD && op != EXITOP_INVD)
		return;
	if (v->part->p2m.device)
		asm volatile("wbinvd" : : : "memory");
	vcpu_advance(v, i.len);
}

/* The linear address of @i's memory operand. */
static gva_t operand_address(const struct vcpu *v, const struct exitop_insn *i, bool long_code)
{
	u64 ea = (u64)i->disp + (i->rip_rel ? v->rip + i->len : 0);
	struct vcpu_sregs r;

	if (i->base < GPR_COUNT)
		ea += v->gpr[i->base];
	if (i->index < GPR_COUNT)
		ea += v->gpr[i->index] * i->scale;
	if (i->addr_size < 8)
		ea &= BIT(8 * i->addr_size) - 1;
	if (long_code && i->seg >= SEG_COUNT)
		return ea;
	v->engine->get_sregs(v, &r);
	ea += r.seg[i->seg < SEG_COUNT			       ? i->seg
		    : i->base == GPR_RSP || i->base == GPR_RBP ? SEG_SS
							       : SEG_DS]
		      .base;
	return long_code ? ea : (u32)ea;
}

static void exit_invlpg(struct vcpu *v, struct exit *x)
{
	struct exitop_insn i;
	enum code_mode mode;
	u8 buf[INSN_MAX];
	unsigned n;
	const u8 *bytes;

	if (x->invlpg.told) {
		v->paging->invlpg(v, x->invlpg.gva);
		vcpu_advance(v, x->insn_len);
		return;
	}
	bytes = vcpu_insn(v, buf, &n, &mode);
	if (is_plain(bytes, n, mode, INVLPG_GPR) && (bytes[2] & 6) != 4) {
		v->paging->invlpg(v, v->gpr[bytes[2] & 7]);
		vcpu_advance(v, 3);
		return;
	}
	if (exitop_decode(bytes, n, mode, &i) != EXITOP_INVLPG) {
		vcpu_insn_lost(v, x);
		return;
	}
	v->paging->invlpg(v, operand_address(v, &i, mode == CODE_64));
	vcpu_advance(v, i.len);
}

static bool xcr0_valid(u64 value)
{
	struct cpuid c = cpuid(0xd, 0);
	u64 offered = (u64)c.edx << 32 | c.eax;

	return (value & 1) && !(value & ~offered) && ((value & 6) != 4);
}

static void exit_xsetbv(struct vcpu *v, struct exit *x)
{
	unsigned len = vcpu_insn_len(v, x, EXITOP_XSETBV);
	u64 value = (u32)v->gpr[GPR_RAX] | v->gpr[GPR_RDX] << 32;

	if (!len)
		return;
	if ((u32)v->gpr[GPR_RCX] != 0 || !xcr0_valid(value) || xsetbv_safe(0, value) != 0) {
		inject_gp(v);
		return;
	}
	v->xcr0 = value;
	vcpu_advance(v, len);
}

static void exit_undefined(struct vcpu *v, struct exit *x)
{
	(void)x;
	inject_ud(v);
}

static void exit_iret(struct vcpu *v, struct exit *x)
{
	(void)x;
	v->nmi_blocked = false;
}

static void exit_shutdown(struct vcpu *v, struct exit *x)
{
	(void)x;
	v->part->ops->triple_fault(v->part);
}

static void exit_exception(struct vcpu *v, struct exit *x)
{
	/* Machine checks are the host's: its handler runs now, with the event still pending. */
	if (x->exc.vector == VEC_PF)
		exit_translation(v, x);
	else if (x->exc.vector == VEC_MC)
		asm volatile("int $18");
	else
		vcpu_inject(v, x->exc.vector, x->exc.vector == VEC_AC, 0);
}

/* Some CPUs report a MOV to CR3 or CR4 with reserved bits as a failed entry of the next
 * instruction: the guest is whole, and what it deserves is #GP. Any other refused state ends this
 * guest. */
static void exit_invalid(struct vcpu *v, struct exit *x)
{
	char why[192] = "the CPU refused the guest's state";
	struct exitop_insn i;
	struct vcpu_code c;
	u8 bytes[15];
	unsigned n = vcpu_fetch(v, bytes);

	v->engine->get_code(v, &c);
	if (v->engine->explain) {
		v->engine->explain(v, why, sizeof(why));
	} else if (exitop_decode(bytes, n, vcpu_code_mode(&c), &i) == EXITOP_MOV_TO_CR &&
		   (i.reg == 3 || i.reg == 4)) {
		inject_gp(v);
		return;
	}
	partition_end(v->part, STATUS_FAIL, "crash", "%s", why);
	(void)x;
}

static void exit_apic(struct vcpu *v, struct exit *x)
{
	lapic_wrote(&v->part->board.lapic, x->apic.offset);
}

static void exit_unknown(struct vcpu *v, struct exit *x)
{
	partition_end(v->part, STATUS_FAIL, "crash", "unexpected exit 0x%llx",
		      (unsigned long long)x->code);
}

void (*const vcpu_exit_handler[EXIT_REASONS])(struct vcpu *v, struct exit *x) = {
	[EXIT_NONE] = exit_nothing,
	[EXIT_INTR] = exit_intr,
	[EXIT_NMI] = exit_nothing, /* the host's handler has run */
	[EXIT_WINDOW] = exit_nothing,
	[EXIT_CPUID] = exit_cpuid,
	[EXIT_HLT] = exit_hlt,
	[EXIT_PAUSE] = exit_pause,
	[EXIT_IO] = exit_io,
	[EXIT_RDMSR] = exit_rdmsr,
	[EXIT_WRMSR] = exit_wrmsr,
	[EXIT_CR] = exit_cr,
	[EXIT_DR] = exit_unknown,
	[EXIT_NESTED] = exit_translation,
	[EXIT_EXCEPTION] = exit_exception,
	[EXIT_RDTSC] = exit_unknown,
	[EXIT_RDPMC] = exit_rdpmc,
	[EXIT_INVLPG] = exit_invlpg,
	[EXIT_CACHE] = exit_cache,
	[EXIT_XSETBV] = exit_xsetbv,
	[EXIT_VIRT] = exit_undefined,
	[EXIT_MWAIT] = exit_undefined,
	[EXIT_IRET] = exit_iret,
	[EXIT_TASK] = vcpu_exit_task,
	[EXIT_SHUTDOWN] = exit_shutdown,
	[EXIT_INIT] = exit_nothing,
	[EXIT_INVALID] = exit_invalid,
	[EXIT_APIC] = exit_apic,
	[EXIT_UNKNOWN] = exit_unknown,
};
