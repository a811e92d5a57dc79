/* The emulator against the real CPU: random instances of every instruction it executes are run by
 * both on the same registers, flags and memory, in 64-bit user mode. Catches wrong results, wrong
 * flags, wrong operand decoding in any addressing mode, partial-register mistakes, a wrong length,
 * and faults that one takes and the other does not. Undefined flags are masked per instruction.
 *
 * SRCS: hv/emul/emul.c hv/emul/emul_alu.c hv/emul/emul_fast.c hv/emul/emul_flow.c
 * SRCS: hv/emul/emul_modrm.c hv/emul/emul_move.c hv/emul/emul_operand.c hv/emul/emul_string.c
 * SRCS: hv/emul/emul_table.c hv/emul/emul_vec.c hv/emul/emul_zydis.c
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "emul_harness.h"

/* --- running bytes on the CPU --------------------------------------------------------------- */

struct native {
	u64 gpr[16];
	u64 flags;
	u64 entry;
	u64 outcome; /* enum below */
	u64 host_rsp;
	u8 vec[4][32];
};
enum { RAN_THROUGH, RAN_TAKEN, RAN_FAULT };

struct native native_state __attribute__((used));
void native_enter(void);
extern char native_through[], native_taken[], native_fault[];

/* clang-format off */
#define GPRS(X)                                                                                    \
	X("rax", 0) X("rcx", 8) X("rdx", 16) X("rbx", 24) X("rsp", 32) X("rbp", 40)                \
	X("rsi", 48) X("rdi", 56) X("r8", 64) X("r9", 72) X("r10", 80) X("r11", 88)                \
	X("r12", 96) X("r13", 104) X("r14", 112) X("r15", 120)
/* clang-format on */
#define LOAD_GPR(name, at) "movq native_state+" #at "(%rip), %" name "\n"
#define SAVE_GPR(name, at) "movq %" name ", native_state+" #at "(%rip)\n"

__asm__(".text\n"
	".globl native_enter, native_through, native_taken, native_fault\n"
	"native_enter:\n"
	"pushq %rbx\n pushq %rbp\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
	"movq %rsp, native_state+152(%rip)\n"
	"vmovdqu native_state+160(%rip), %ymm0\n"
	"vmovdqu native_state+192(%rip), %ymm1\n"
	"vmovdqu native_state+224(%rip), %ymm2\n"
	"vmovdqu native_state+256(%rip), %ymm3\n"
	"pushq native_state+128(%rip)\n popfq\n" GPRS(
		LOAD_GPR) "jmp *native_state+136(%rip)\n"
			  "native_taken:\n movq $1, native_state+144(%rip)\n jmp 1f\n"
			  "native_through:\n movq $0, native_state+144(%rip)\n"
			  "1:\n" GPRS(SAVE_GPR) "movq native_state+152(%rip), %rsp\n"
						"pushfq\n popq native_state+128(%rip)\n"
						"vmovdqu %ymm0, native_state+160(%rip)\n"
						"vmovdqu %ymm1, native_state+192(%rip)\n"
						"vmovdqu %ymm2, native_state+224(%rip)\n"
						"vmovdqu %ymm3, native_state+256(%rip)\n"
						"jmp 2f\n"
						"native_fault:\n movq $2, native_state+144(%rip)\n"
						"2:\n cld\n vzeroupper\n"
						"popq %r15\n popq %r14\n popq %r13\n popq %r12\n "
						"popq %rbp\n popq %rbx\n ret\n");

static int fault_signal;
static u64 fault_address; /* of a page fault, else 0 */

static void on_fault(int sig, siginfo_t *info, void *context)
{
	static const u8 order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
				     REG_RSI, REG_RDI, REG_R8,	REG_R9,	 REG_R10, REG_R11,
				     REG_R12, REG_R13, REG_R14, REG_R15};
	ucontext_t *uc = context;

	fault_signal = sig;
	fault_address = sig == SIGSEGV && info->si_code > 0 && info->si_code != SI_KERNEL
				? (u64)info->si_addr
				: 0;
	for (unsigned i = 0; i < 16; i++)
		native_state.gpr[i] = (u64)uc->uc_mcontext.gregs[order[i]];
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)native_fault;
	uc->uc_mcontext.gregs[REG_RSP] = (greg_t)native_state.host_rsp;
	uc->uc_mcontext.gregs[REG_EFL] = 0x202;
}

/* --- the scene -------------------------------------------------------------------------------- */

#define AREA	 4096u
#define MIDDLE	 0x800u
#define STACK_AT 0xe00u
#define CODE_AT	 0x100u /* the instruction, in the code page */
#define TAKEN_AT 0x180u /* where its branch goes */

static u8 *area, *code, *page_after;
static u64 gs_base;
static unsigned cases_run;

static void write_jump(u8 *at, const char *to)
{
	u64 target = (u64)to;

	memcpy(at, "\xff\x25\0\0\0\0", 6);
	memcpy(at + 6, &target, 8);
}

/* The tables hold instructions of the Haswell generation. */
static bool set_up(void)
{
	static u8 signal_stack[65536];
	stack_t ss = {.ss_sp = signal_stack, .ss_size = sizeof(signal_stack)};
	struct sigaction sa = {.sa_sigaction = on_fault,
			       .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};

	if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi"))
		return false;
	if (area)
		return true;
	sigaltstack(&ss, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGILL, &sa, NULL);
	sigaction(SIGFPE, &sa, NULL);
	area = low_pages(2 * AREA, PROT_READ | PROT_WRITE);
	page_after = area + AREA;
	mprotect(page_after, AREA, PROT_NONE);
	code = low_pages(4096, PROT_READ | PROT_WRITE | PROT_EXEC);
	gs_base = (u64)area + 0x100;
	syscall(SYS_arch_prctl, ARCH_SET_GS, gs_base);
	return true;
}

struct insn_bytes {
	u8 b[32];
	unsigned n;
};

struct scene {
	struct insn_bytes insn;
	u64 gpr[16];
	u64 flags;
	u8 vec[4][32];
	u8 memory[AREA + 16];
	u64 undefined;	     /* flags not compared */
	bool undefined_dest; /* general registers not compared */
};

static void fill_random(u8 *p, size_t n)
{
	u64 v;

	for (size_t i = 0; i < n; i += 8) {
		v = rng();
		memcpy(p + i, &v, MIN(n - i, 8u));
	}
}

/* Values near the borders of every size are where flags go wrong. */
static u64 edge_value(void)
{
	static const u64 edge[] = {0,
				   1,
				   2,
				   0x7f,
				   0x80,
				   0xff,
				   0x7fff,
				   0x8000,
				   0xffff,
				   0x7fffffff,
				   0x80000000,
				   0xffffffff,
				   0x7fffffffffffffff,
				   0x8000000000000000,
				   0xffffffffffffffff,
				   0x100,
				   0x10000,
				   0x100000000};
	u64 v = edge[rng_below(ARRAY_SIZE(edge))];

	switch (rng_below(4)) {
	case 0:
		return v;
	case 1:
		return -v;
	case 2:
		return v | v << 8 | v << 16 | v << 32;
	default:
		return rng();
	}
}

static void scene_init(struct scene *s)
{
	memset(&s->insn, 0, sizeof(s->insn));
	s->undefined = 0;
	s->undefined_dest = false;
	for (unsigned i = 0; i < 16; i++)
		s->gpr[i] = edge_value();
	s->gpr[GPR_RSP] = (u64)area + STACK_AT;
	s->flags = (rng() & FLAGS_STATUS) | 0x202;
	fill_random(s->vec[0], sizeof(s->vec));
	fill_random(s->memory, AREA);
	for (unsigned i = 0; i < AREA; i += 64) {
		u64 v = edge_value();

		memcpy(s->memory + i, &v, 8);
	}
}

static void dump(const struct scene *s, const char *what)
{
	printf("#   %s:", what);
	for (unsigned i = 0; i < s->insn.n; i++)
		printf(" %02x", s->insn.b[i]);
	printf("\n");
}

static void run_native(const struct scene *s)
{
	memcpy(area, s->memory, AREA);
	memset(code, 0xcc, 0x200);
	memcpy(code + CODE_AT, s->insn.b, s->insn.n);
	write_jump(code + CODE_AT + s->insn.n, native_through);
	write_jump(code + TAKEN_AT, native_taken);
	memcpy(native_state.gpr, s->gpr, sizeof(s->gpr));
	memcpy(native_state.vec, s->vec, sizeof(s->vec));
	native_state.flags = s->flags;
	native_state.entry = (u64)code + CODE_AT;
	fault_signal = 0;
	native_enter();
}

static enum emul_result run_emulated(struct world *w, const struct scene *s)
{
	enum emul_result res;

	world_init(w, W_LONG);
	world_add(w, area, AREA, false);
	world_add(w, code, 4096, false);
	memcpy(area, s->memory, AREA);
	memcpy(w->e.gpr, s->gpr, sizeof(s->gpr));
	memcpy(w->vec, s->vec, sizeof(s->vec));
	w->e.seg[SEG_GS].base = gs_base;
	__asm__("mov %%ss, %0" : "=r"(w->e.seg[SEG_SS].sel));
	w->e.rflags = s->flags;
	w->e.rip = (u64)code + CODE_AT;
	w->e.cpl = 3;
	for (unsigned i = 0; i < 100; i++) {
		res = emul_step(&w->e);
		if (res != EMUL_AGAIN)
			break;
	}
	return res;
}

static int signal_of(const struct emul_fault *f)
{
	switch (f->vector) {
	case 0:
		return SIGFPE;
	case 6:
		return SIGILL;
	case 12:
		return SIGBUS;
	default:
		return SIGSEGV;
	}
}

/* A general protection fault and a page fault give the same signal; only the latter an address. */
static bool same_fault(const struct emul_fault *f)
{
	u64 address = f->vector == 14 ? f->cr2 : 0;

	return signal_of(f) == fault_signal && address == fault_address;
}

static u64 expected_rip(const struct scene *s)
{
	return (u64)code + (native_state.outcome == RAN_TAKEN ? TAKEN_AT : CODE_AT + s->insn.n);
}

/* Returns what differs, or NULL. */
static const char *difference(const struct scene *s, const struct world *w, const u8 *native_mem,
			      bool faulted)
{
	u64 flags = (FLAGS_STATUS | DF) & ~s->undefined;

	if (memcmp(native_mem, area, AREA) != 0)
		return "memory";
	for (unsigned i = 0; i < 16 && !s->undefined_dest; i++)
		if (w->e.gpr[i] != native_state.gpr[i])
			return "a register";
	if (faulted)
		return w->e.rip == (u64)code + CODE_AT ? NULL : "rip after a fault";
	if ((w->e.rflags ^ native_state.flags) & flags)
		return "flags";
	if (w->e.rip != expected_rip(s))
		return "rip";
	if (memcmp(w->vec, native_state.vec, sizeof(native_state.vec)) != 0)
		return "a vector register";
	return NULL;
}

static void report(const struct scene *s, const struct world *w, const char *what)
{
	dump(s, what);
	for (unsigned i = 0; i < 16; i++)
		if (w->e.gpr[i] != native_state.gpr[i])
			printf("#     gpr%u: in %llx emulator %llx cpu %llx\n", i,
			       (long long)s->gpr[i], (long long)w->e.gpr[i],
			       (long long)native_state.gpr[i]);
	printf("#     flags: in %llx emulator %llx cpu %llx; rip +%llx\n", (long long)s->flags,
	       (long long)w->e.rflags, (long long)native_state.flags,
	       (long long)(w->e.rip - (u64)code - CODE_AT));
}

/* Run on both and compare. Returns false when they differ. */
static bool same(const struct scene *s)
{
	static u8 native_mem[AREA];
	struct world w;
	enum emul_result res;
	const char *diff = NULL;

	cases_run++;
	run_native(s);
	memcpy(native_mem, area, AREA);
	res = run_emulated(&w, s);
	if (res == EMUL_UNHANDLED || res == EMUL_AGAIN)
		diff = w.e.why ? w.e.why : "did not finish";
	else if (res == EMUL_FAULT && native_state.outcome != RAN_FAULT)
		diff = "fault in the emulator only";
	else if (res == EMUL_FAULT && !same_fault(&w.e.fault))
		diff = "another fault";
	else if (res == EMUL_DONE && native_state.outcome == RAN_FAULT)
		diff = "fault on the CPU only";
	else
		diff = difference(s, &w, native_mem, res == EMUL_FAULT);
	if (!diff)
		return true;
	if (unit_failures++ < 20)
		report(s, &w, diff);
	return false;
}

/* --- encoding --------------------------------------------------------------------------------- */

static void put(struct insn_bytes *i, u64 val, unsigned n)
{
	memcpy(i->b + i->n, &val, n);
	i->n += n;
}

#define T_BYTE	 0x001u /* operand size is 8; bit 0 of the opcode clear */
#define T_NO16	 0x002u
#define T_NO64	 0x004u
#define T_REG	 0x008u /* r/m may be a register */
#define T_MEM	 0x010u /* r/m may be memory */
#define T_IMM8	 0x020u
#define T_IMM	 0x040u	 /* of operand size, 4 at most */
#define T_LOCK	 0x080u	 /* LOCK now and then */
#define T_BITS	 0x100u	 /* the register is a bit index */
#define T_OPREG	 0x200u	 /* register in the opcode; no ModRM */
#define T_PLAIN	 0x400u	 /* no ModRM */
#define T_EQUAL	 0x800u	 /* rAX matches the destination half of the time */
#define T_ONLY64 0x1000u /* no REX.W needed for 64 bits */
#define T_IMM64	 0x2000u
#define T_SMALL	 0x4000u /* high half of the dividend small */
#define T_NO32	 0x8000u
#define T_RM	 (T_REG | T_MEM)

struct template
{
	const char *name;
	u16 opcode; /* 0x0fxx: two-byte map; 0x38xx: 0F 38 */
	s8 ext;	    /* ModRM.reg, or -1: a register */
	u8 prefix;  /* mandatory */
	u32 how;
	u32 undefined;
};

static void put_opcode(struct insn_bytes *i, unsigned opcode)
{
	if (opcode >> 8 == 0x0f)
		put(i, 0x0f, 1);
	else if (opcode >> 8 == 0x38)
		put(i, 0x380f, 2);
	put(i, opcode & 0xff, 1);
}

/* How the memory operand of this instance is formed. */
struct place {
	bool addr32, gs, rip, absolute, has_index;
	u8 base, index, scale;
	s32 disp;
	u8 disp_size;
};

/* A base register whose value only serves the address. */
static void choose_place(struct place *p)
{
	memset(p, 0, sizeof(*p));
	p->addr32 = rng_below(6) == 0;
	p->gs = rng_below(8) == 0;
	p->rip = !p->gs && rng_below(8) == 0;
	p->absolute = !p->rip && rng_below(10) == 0;
	do
		p->base = (u8)rng_below(16);
	while (p->base == GPR_RSP && rng_below(4));
	p->has_index = rng_below(2);
	do
		p->index = (u8)rng_below(16);
	while (p->index == GPR_RSP || p->index == p->base);
	p->scale = (u8)rng_below(4);
	p->disp_size = (u8[]){0, 1, 4}[rng_below(3)];
	if ((p->base & 7) == GPR_RBP && !p->disp_size)
		p->disp_size = 1;
	p->disp = p->disp_size == 1   ? (s8)rng()
		  : p->disp_size == 4 ? (s32)rng_below(0x200000) - 0x100000
				      : 0;
}

/* Set registers so that the operand is at @ea. */
static void aim(struct scene *s, struct place *p, u64 ea)
{
	u64 index = 0;

	if (p->gs)
		ea -= gs_base;
	if (p->absolute)
		p->disp = (s32)ea;
	if (p->rip || p->absolute)
		return;
	if (p->has_index) {
		s->gpr[p->index] = rng_below(64) - (u64)rng_below(64);
		index = s->gpr[p->index] << p->scale;
	}
	s->gpr[p->base] = ea - index - (u64)(s64)p->disp;
	if (p->addr32) {
		/* Junk above the address size must not matter. */
		s->gpr[p->base] = (u32)s->gpr[p->base] | rng() << 32;
		if (p->has_index)
			s->gpr[p->index] = (u32)s->gpr[p->index] | rng() << 32;
	}
}

static u8 place_rex(const struct place *p)
{
	if (p->rip || p->absolute)
		return 0;
	return (u8)((p->has_index ? p->index >> 3 << 1 : 0) | p->base >> 3);
}

/* ModRM, SIB, displacement; @tail immediate bytes follow (for RIP-relative). */
static void put_place(struct insn_bytes *i, const struct place *p, unsigned reg, u64 ea,
		      unsigned tail)
{
	unsigned mod = p->disp_size == 0 ? 0 : p->disp_size == 1 ? 1 : 2;

	reg = (reg & 7) << 3;
	if (p->rip) {
		put(i, reg | 5, 1);
		put(i, ea - ((u64)code + CODE_AT + i->n + 4 + tail), 4);
	} else if (p->absolute) {
		put(i, reg | 4, 1);
		put(i, 0x25, 1);
		put(i, (u64)(s64)p->disp, 4);
	} else if (p->has_index || (p->base & 7) == GPR_RSP) {
		put(i, mod << 6 | reg | 4, 1);
		put(i,
		    (u64)p->scale << 6 | (p->has_index ? p->index & 7u : 4u) << 3 | (p->base & 7u),
		    1);
		put(i, (u64)(s64)p->disp, p->disp_size);
	} else {
		put(i, mod << 6 | reg | (p->base & 7), 1);
		put(i, (u64)(s64)p->disp, p->disp_size);
	}
}

/* Let the accumulator (rDX:rAX for the wide forms) match the destination. */
static void make_equal(struct scene *s, const struct template *t, const u8 *dest, unsigned size)
{
	memcpy(&s->gpr[GPR_RAX], dest, 8);
	if (t->opcode == 0x0fc7)
		memcpy(&s->gpr[GPR_RDX], dest + (size == 8 ? 8 : 4), 8);
}

/* One instance of @t. */
static void build(struct scene *s, const struct template *t)
{
	struct insn_bytes *i = &s->insn;
	unsigned size = 4, reg = rng_below(16), rm = rng_below(16), rex = 0, imm = 0;
	bool mem = (t->how & T_MEM) && (!(t->how & T_REG) || rng_below(3));
	/* CMPXCHG16B off its alignment and over the end has two reasons to fault; which one wins
	 * is the processor's choice. */
	bool at_end = !(t->how & T_NO32) && rng_below(12) == 0;
	u64 ea = (u64)area + (at_end ? AREA - 64 : MIDDLE) + rng_below(64), value = edge_value();
	struct place p;

	s->undefined = t->undefined;
	do
		size = t->how & T_BYTE ? 1 : 1u << (1 + rng_below(3));
	while ((size == 2 && (t->how & T_NO16)) || (size == 8 && (t->how & T_NO64)) ||
	       (size == 4 && (t->how & (T_ONLY64 | T_NO32))));
	/* A shift beyond the operand leaves CF undefined, which only narrow ones can have. */
	if (size >= 4 && s->undefined == (AF | OF | CF))
		s->undefined = AF | OF;
	/* What a failed 32-bit CMPXCHG leaves above its destination register differs by vendor. */
	if ((t->how & T_EQUAL) && size == 4)
		mem = true;
	do
		choose_place(&p);
	while ((t->how & T_EQUAL) && ((p.base & ~2) == 0 || (p.index & ~2) == 0));
	if (t->ext >= 0)
		reg = (unsigned)t->ext;
	while (t->ext < 0 && mem && (t->how & T_BITS) && (reg == p.base || reg == p.index))
		reg = rng_below(16);
	while (reg == GPR_RSP && t->ext < 0)
		reg = rng_below(16);
	while (rm == GPR_RSP)
		rm = rng_below(16);
	if (t->how & T_BITS)
		s->gpr[reg] = size == 8 || rng_below(2) ? rng_below(1024) - (u64)512
							: (rng_below(1024) - 512) & 0xffffffff;
	if (t->how & T_SMALL)
		s->gpr[GPR_RDX] = rng_below(3) ? rng_below(100) : s->gpr[GPR_RDX];
	if (mem)
		aim(s, &p, ea);
	if ((t->how & T_EQUAL) && rng_below(2))
		make_equal(s, t, mem ? s->memory + (ea - (u64)area) : (u8 *)&s->gpr[rm], size);

	/* Prefixes, in no fixed order of their own. */
	if (rng_below(16) == 0)
		put(i, (u8[]){0x2e, 0x36, 0x3e, 0x26}[rng_below(4)], 1);
	if (mem && p.gs)
		put(i, 0x65, 1);
	if (size == 2)
		put(i, 0x66, 1);
	if (mem && p.addr32)
		put(i, 0x67, 1);
	if ((t->how & T_LOCK) && rng_below(4) == 0)
		put(i, 0xf0, 1);
	if (t->prefix)
		put(i, t->prefix, 1);
	if (!(t->how & T_PLAIN)) {
		if (t->ext < 0)
			rex |= reg >> 3 << 2;
		if (t->how & T_OPREG)
			rex = reg >> 3;
		else
			rex |= mem ? place_rex(&p) : rm >> 3;
	}
	if (size == 8 && !(t->how & T_ONLY64))
		rex |= 8;
	if (rex || rng_below(4) == 0)
		put(i, 0x40 | rex, 1);

	if (t->how & T_IMM8)
		imm = 1;
	if (t->how & T_IMM)
		imm = MIN(size, 4);
	if (t->how & T_IMM64)
		imm = size;
	put_opcode(i, t->opcode | (t->how & T_OPREG ? reg & 7 : 0));
	if (!(t->how & (T_PLAIN | T_OPREG))) {
		if (mem)
			put_place(i, &p, reg, ea, imm);
		else
			put(i, 0xc0 | (reg & 7) << 3 | (rm & 7), 1);
	}
	put(i, value, imm);
}

/* Both operand-size variants of an opcode whose bit 0 is "word". */
#define BW(name, op, ext, how, undef)                                                              \
	{name, op, ext, 0, (how) | T_BYTE, undef},                                                 \
	{                                                                                          \
		name, (op) + 1, ext, 0, how, undef                                                 \
	}

#define ALU(name, op, ext)                                                                         \
	BW(name, op, -1, T_RM | T_LOCK, 0), BW(name, (op) + 2, -1, T_RM, 0),                       \
		{name, (op) + 4, -1, 0, T_BYTE | T_PLAIN | T_IMM8, 0},                             \
		{name, (op) + 5, -1, 0, T_PLAIN | T_IMM, 0},                                       \
		{name, 0x80, ext, 0, T_BYTE | T_RM | T_IMM8 | T_LOCK, 0},                          \
		{name, 0x81, ext, 0, T_RM | T_IMM | T_LOCK, 0},                                    \
	{                                                                                          \
		name, 0x83, ext, 0, T_RM | T_IMM8 | T_LOCK, 0                                      \
	}

#define SHIFT(name, ext, undef1, undef)                                                            \
	BW(name, 0xd0, ext, T_RM, undef1), BW(name, 0xd2, ext, T_RM, undef),                       \
		{name, 0xc0, ext, 0, T_BYTE | T_RM | T_IMM8, undef},                               \
	{                                                                                          \
		name, 0xc1, ext, 0, T_RM | T_IMM8, undef                                           \
	}

static const struct template logic[] = {
	ALU("add", 0x00, 0),
	ALU("or", 0x08, 1),
	ALU("adc", 0x10, 2),
	ALU("sbb", 0x18, 3),
	ALU("and", 0x20, 4),
	ALU("sub", 0x28, 5),
	ALU("xor", 0x30, 6),
	ALU("cmp", 0x38, 7),
	BW("test", 0x84, -1, T_RM, AF),
	{"test", 0xa8, -1, 0, T_BYTE | T_PLAIN | T_IMM8, AF},
	{"test", 0xa9, -1, 0, T_PLAIN | T_IMM, AF},
	{"test", 0xf6, 0, 0, T_BYTE | T_RM | T_IMM8, AF},
	{"test", 0xf7, 1, 0, T_RM | T_IMM, AF},
	BW("inc", 0xfe, 0, T_RM | T_LOCK, 0),
	BW("dec", 0xfe, 1, T_RM | T_LOCK, 0),
	BW("not", 0xf6, 2, T_RM | T_LOCK, 0),
	BW("neg", 0xf6, 3, T_RM | T_LOCK, 0),
};

static const struct template shifts[] = {
	SHIFT("rol", 0, 0, OF),
	SHIFT("ror", 1, 0, OF),
	SHIFT("rcl", 2, 0, OF),
	SHIFT("rcr", 3, 0, OF),
	SHIFT("shl", 4, AF, AF | OF | CF),
	SHIFT("shr", 5, AF, AF | OF | CF),
	SHIFT("sal", 6, AF, AF | OF | CF),
	SHIFT("sar", 7, AF, AF | OF),
	{"shld", 0x0fa4, -1, 0, T_RM | T_IMM8 | T_NO16, AF | OF},
	{"shld", 0x0fa5, -1, 0, T_RM | T_NO16, AF | OF},
	{"shrd", 0x0fac, -1, 0, T_RM | T_IMM8 | T_NO16, AF | OF},
	{"shrd", 0x0fad, -1, 0, T_RM | T_NO16, AF | OF},
};

#define UNDEF_MUL (SF | ZF | AF | PF)
#define UNDEF_BIT (OF | SF | AF | PF)
#define UNDEF_BSF (CF | OF | SF | AF | PF)

static const struct template arithmetic[] = {
	BW("mul", 0xf6, 4, T_RM, UNDEF_MUL),
	BW("imul", 0xf6, 5, T_RM, UNDEF_MUL),
	BW("div", 0xf6, 6, T_RM | T_SMALL, FLAGS_STATUS),
	BW("idiv", 0xf6, 7, T_RM | T_SMALL, FLAGS_STATUS),
	{"imul", 0x0faf, -1, 0, T_RM, UNDEF_MUL},
	{"imul", 0x69, -1, 0, T_RM | T_IMM, UNDEF_MUL},
	{"imul", 0x6b, -1, 0, T_RM | T_IMM8, UNDEF_MUL},
	BW("xadd", 0x0fc0, -1, T_RM | T_LOCK, 0),
	BW("cmpxchg", 0x0fb0, -1, T_RM | T_LOCK | T_EQUAL, 0),
	{"cmpxchg8b", 0x0fc7, 1, 0, T_MEM | T_LOCK | T_EQUAL | T_NO64, 0},
	{"cmpxchg16b", 0x0fc7, 1, 0, T_MEM | T_LOCK | T_EQUAL | T_NO16 | T_NO32, 0},
	{"bt", 0x0fa3, -1, 0, T_RM | T_BITS, UNDEF_BIT},
	{"bts", 0x0fab, -1, 0, T_RM | T_BITS | T_LOCK, UNDEF_BIT},
	{"btr", 0x0fb3, -1, 0, T_RM | T_BITS | T_LOCK, UNDEF_BIT},
	{"btc", 0x0fbb, -1, 0, T_RM | T_BITS | T_LOCK, UNDEF_BIT},
	{"bt", 0x0fba, 4, 0, T_RM | T_IMM8, UNDEF_BIT},
	{"bts", 0x0fba, 5, 0, T_RM | T_IMM8 | T_LOCK, UNDEF_BIT},
	{"btr", 0x0fba, 6, 0, T_RM | T_IMM8 | T_LOCK, UNDEF_BIT},
	{"btc", 0x0fba, 7, 0, T_RM | T_IMM8 | T_LOCK, UNDEF_BIT},
	{"bsf", 0x0fbc, -1, 0, T_RM, UNDEF_BSF},
	{"bsr", 0x0fbd, -1, 0, T_RM, UNDEF_BSF},
	{"tzcnt", 0x0fbc, -1, 0xf3, T_RM, OF | SF | AF | PF},
	{"lzcnt", 0x0fbd, -1, 0xf3, T_RM, OF | SF | AF | PF},
	{"popcnt", 0x0fb8, -1, 0xf3, T_RM, 0},
};

static const struct template moves[] = {
	BW("mov", 0x88, -1, T_RM, 0),
	BW("mov", 0x8a, -1, T_RM, 0),
	{"mov", 0xc6, 0, 0, T_BYTE | T_RM | T_IMM8, 0},
	{"mov", 0xc7, 0, 0, T_RM | T_IMM, 0},
	{"mov", 0xb0, -1, 0, T_BYTE | T_OPREG | T_IMM8, 0},
	{"mov", 0xb8, -1, 0, T_OPREG | T_IMM64, 0},
	{"mov from ss", 0x8c, 2, 0, T_RM, 0},
	{"movzx", 0x0fb6, -1, 0, T_RM, 0},
	{"movzx", 0x0fb7, -1, 0, T_RM, 0},
	{"movsx", 0x0fbe, -1, 0, T_RM, 0},
	{"movsx", 0x0fbf, -1, 0, T_RM, 0},
	/* With an operand size of 16 the source is 16 bits on one vendor's CPUs and 32 on the
	   other's. */
	{"movsxd", 0x63, -1, 0, T_RM | T_NO16, 0},
	{"movbe", 0x38f0, -1, 0, T_MEM, 0},
	{"movbe", 0x38f1, -1, 0, T_MEM, 0},
	{"movnti", 0x0fc3, -1, 0, T_MEM | T_NO16, 0},
	{"lea", 0x8d, -1, 0, T_MEM, 0},
	BW("xchg", 0x86, -1, T_RM | T_LOCK, 0),
	{"xchg", 0x90, -1, 0, T_OPREG, 0},
	{"bswap", 0x0fc8, -1, 0, T_OPREG | T_NO16, 0},
	{"cbw", 0x98, -1, 0, T_PLAIN, 0},
	{"cwd", 0x99, -1, 0, T_PLAIN, 0},
	{"lahf", 0x9f, -1, 0, T_PLAIN, 0},
	{"sahf", 0x9e, -1, 0, T_PLAIN, 0},
	{"cmc", 0xf5, -1, 0, T_PLAIN, 0},
	{"clc", 0xf8, -1, 0, T_PLAIN, 0},
	{"stc", 0xf9, -1, 0, T_PLAIN, 0},
	{"cld", 0xfc, -1, 0, T_PLAIN, 0},
	{"std", 0xfd, -1, 0, T_PLAIN, 0},
	{"nop", 0x0f1f, 0, 0, T_RM, 0},
	{"push", 0x50, -1, 0, T_OPREG | T_ONLY64, 0},
	{"pop", 0x58, -1, 0, T_OPREG | T_ONLY64, 0},
	{"push", 0x68, -1, 0, T_PLAIN | T_IMM | T_ONLY64, 0},
	{"push", 0x6a, -1, 0, T_PLAIN | T_IMM8 | T_ONLY64, 0},
	{"push", 0xff, 6, 0, T_RM | T_ONLY64, 0},
	{"pop", 0x8f, 0, 0, T_RM | T_ONLY64, 0},
};

static void run_template(const struct template *t, unsigned times)
{
	static struct scene s;
	unsigned before = unit_failures;

	if (!set_up())
		SKIP("this CPU lacks AVX2 or BMI");
	for (unsigned n = 0; n < times; n++) {
		scene_init(&s);
		build(&s, t);
		same(&s);
	}
	if (unit_failures != before)
		printf("# %s (opcode %x): %u of %u differ\n", t->name, t->opcode,
		       unit_failures - before, times);
}

#define RUN_TABLE(table, times)                                                                    \
	do {                                                                                       \
		for (unsigned k_ = 0; k_ < ARRAY_SIZE(table); k_++)                                \
			run_template(&(table)[k_], times);                                         \
	} while (0)

TEST(logic_and_addition_match_the_cpu)
{
	RUN_TABLE(logic, 300);
}

TEST(shifts_match_the_cpu)
{
	RUN_TABLE(shifts, 300);
}

TEST(multiplication_bits_and_swaps_match_the_cpu)
{
	RUN_TABLE(arithmetic, 500);
}

TEST(moves_and_stack_match_the_cpu)
{
	RUN_TABLE(moves, 500);
}

/* --- strings ---------------------------------------------------------------------------------- */

/* @op is the byte form's opcode. Sometimes it runs into the page that does not exist. */
static void build_string(struct scene *s, unsigned op)
{
	struct insn_bytes *i = &s->insn;
	unsigned size = 1u << rng_below(4), rep = rng_below(3);
	bool addr32 = rng_below(4) == 0;

	s->gpr[GPR_RSI] = (u64)area + rng_below(16) + (rng_below(4) ? MIDDLE : AREA - 64);
	s->gpr[GPR_RDI] = (u64)area + rng_below(16) + (rng_below(4) ? MIDDLE : AREA - 64);
	if (rng_below(3) == 0)
		s->gpr[GPR_RDI] = s->gpr[GPR_RSI] + rng_below(24) - 12;
	s->gpr[GPR_RCX] = rng_below(4) ? rng_below(20) : rng_below(100);
	s->flags |= rng_below(3) ? 0 : DF;
	/* Equal stretches for the comparisons. */
	if (rng_below(2))
		memset(s->memory + MIDDLE - 0x200, 0x55, 0x400);
	if (rng_below(2))
		memset(&s->gpr[GPR_RAX], 0x55, 8);
	if (size == 2)
		put(i, 0x66, 1);
	if (addr32)
		put(i, 0x67, 1);
	if (rep)
		put(i, rep == 1 ? 0xf3 : 0xf2, 1);
	if (rng_below(8) == 0) {
		put(i, 0x65, 1);
		s->gpr[GPR_RSI] -= gs_base;
	}
	/* The upper halves are zero: what an address-size prefix leaves of them differs by vendor.
	 */
	if (addr32)
		s->gpr[GPR_RSI] = (u32)s->gpr[GPR_RSI];
	if (size == 8)
		put(i, 0x48, 1);
	put(i, op | (size > 1), 1);
}

TEST(string_instructions_match_the_cpu)
{
	static const u8 ops[] = {0xa4, 0xa6, 0xaa, 0xac, 0xae};
	static struct scene s;

	if (!set_up())
		SKIP("this CPU lacks AVX2 or BMI");
	for (unsigned n = 0; n < 10000; n++) {
		scene_init(&s);
		build_string(&s, ops[n % ARRAY_SIZE(ops)]);
		same(&s);
	}
}

/* --- control transfer ------------------------------------------------------------------------- */

static void put_branch(struct insn_bytes *i, unsigned imm_size)
{
	put(i, (u64)TAKEN_AT - CODE_AT - i->n - imm_size, imm_size);
}

static void put_target(struct scene *s, unsigned at)
{
	u64 target = (u64)code + TAKEN_AT;

	memcpy(s->memory + at, &target, 8);
}

static void build_relative(struct scene *s)
{
	struct insn_bytes *i = &s->insn;
	unsigned which = rng_below(6);

	s->gpr[GPR_RCX] = rng_below(3) | (rng_below(2) ? 0x500000000 : 0);
	if (which == 0) {
		put(i, 0x70 + rng_below(16), 1);
		put_branch(i, 1);
	} else if (which == 1) {
		put(i, 0x800f + (rng_below(16) << 8), 2);
		put_branch(i, 4);
	} else if (which == 2) {
		if (rng_below(2))
			put(i, 0x67, 1);
		put(i, 0xe0 + rng_below(4), 1);
		put_branch(i, 1);
	} else if (which == 3) {
		put(i, 0xeb, 1);
		put_branch(i, 1);
	} else {
		put(i, which == 4 ? 0xe8 : 0xe9, 1);
		put_branch(i, 4);
	}
}

static void build_indirect(struct scene *s)
{
	struct insn_bytes *i = &s->insn;
	unsigned ext = rng_below(2) ? 2 : 4;

	put_target(s, STACK_AT);
	put_target(s, MIDDLE);
	switch (rng_below(4)) {
	case 0: /* RET, RET imm16 */
		put(i, rng_below(2) ? 0xc3 : 0x10c2, 3);
		if (i->b[0] == 0xc3)
			i->n = 1;
		break;
	case 1: /* through a register */
		s->gpr[GPR_RBX] = (u64)code + TAKEN_AT;
		put(i, 0xff | (0xc3 | ext << 3) << 8, 2);
		break;
	case 2: /* through memory, by the stack pointer */
		put(i, 0xff | (0x04 | ext << 3) << 8 | 0x24 << 16, 3);
		break;
	default:
		s->gpr[GPR_R12] = (u64)area + MIDDLE - 0x10;
		put(i, 0xff41 | (0x44 | ext << 3) << 16 | 0x1024ull << 24, 5);
		break;
	}
}

static void build_frame(struct scene *s)
{
	struct insn_bytes *i = &s->insn;
	u64 frame = (u64)area + MIDDLE + 8 * rng_below(16);

	s->gpr[GPR_RBP] = frame;
	s->gpr[GPR_RBX] = frame;
	switch (rng_below(4)) {
	case 0:
		put(i, 0xc9, 1);
		break;
	case 1:
		put(i, 0x66c9, 2);
		i->b[0] = 0x66;
		i->b[1] = 0xc9;
		break;
	case 2:
		put(i, 0xc8, 1);
		put(i, rng_below(64), 2);
		put(i, rng_below(4), 1);
		break;
	default:
		put(i, 0xd7, 1);
		break;
	}
}

TEST(control_transfer_matches_the_cpu)
{
	static struct scene s;
	static void (*const kinds[])(struct scene *) = {build_relative, build_indirect,
							build_frame};

	if (!set_up())
		SKIP("this CPU lacks AVX2 or BMI");
	for (unsigned n = 0; n < 6000; n++) {
		scene_init(&s);
		kinds[n % 3](&s);
		same(&s);
	}
}

/* --- vector moves ----------------------------------------------------------------------------- */

#define V_REG  0x01u /* a vector register as r/m */
#define V_GPR  0x02u /* a general register as r/m */
#define V_MEM  0x04u
#define V_W    0x08u
#define V_VEX  0x10u
#define V_L    0x20u
#define V_0F38 0x40u

struct vec_template {
	u8 prefix, opcode;
	u8 how;
};

#define V_RM (V_REG | V_MEM)
#define V_BOTH(prefix, opcode, how)                                                                \
	{prefix, opcode, how}, {prefix, opcode, (how) | V_VEX},                                    \
	{                                                                                          \
		prefix, opcode, (how) | V_VEX | V_L                                                \
	}

static const struct vec_template vectors[] = {
	V_BOTH(0, 0x10, V_RM),
	V_BOTH(0, 0x11, V_RM),
	V_BOTH(0x66, 0x10, V_RM),
	V_BOTH(0x66, 0x11, V_RM),
	V_BOTH(0, 0x28, V_RM),
	V_BOTH(0, 0x29, V_RM),
	V_BOTH(0x66, 0x28, V_RM),
	V_BOTH(0x66, 0x29, V_RM),
	V_BOTH(0xf3, 0x6f, V_RM),
	V_BOTH(0xf3, 0x7f, V_RM),
	V_BOTH(0x66, 0x6f, V_RM),
	V_BOTH(0x66, 0x7f, V_RM),
	V_BOTH(0x66, 0xe7, V_MEM),
	V_BOTH(0, 0x2b, V_MEM),
	V_BOTH(0x66, 0x2b, V_MEM),
	V_BOTH(0x66, 0x2a, V_MEM | V_0F38),
	V_BOTH(0xf2, 0xf0, V_MEM),
	{0xf3, 0x7e, V_RM},
	{0xf3, 0x7e, V_RM | V_VEX},
	{0x66, 0xd6, V_RM},
	{0x66, 0xd6, V_RM | V_VEX},
	{0x66, 0x6e, V_GPR | V_MEM},
	{0x66, 0x6e, V_GPR | V_MEM | V_W},
	{0x66, 0x7e, V_GPR | V_MEM},
	{0x66, 0x7e, V_GPR | V_MEM | V_W},
	{0x66, 0x6e, V_GPR | V_MEM | V_VEX},
	{0x66, 0x7e, V_GPR | V_MEM | V_VEX | V_W},
	{0, 0x12, V_MEM},
	{0, 0x13, V_MEM},
	{0x66, 0x12, V_MEM},
	{0x66, 0x13, V_MEM},
	{0, 0x16, V_MEM},
	{0, 0x17, V_MEM},
	{0x66, 0x16, V_MEM},
	{0x66, 0x17, V_MEM},
	{0xf3, 0x10, V_RM},
	{0xf3, 0x11, V_RM},
	{0xf2, 0x10, V_RM},
	{0xf2, 0x11, V_RM},
	{0xf3, 0x10, V_MEM | V_VEX},
	{0xf3, 0x11, V_MEM | V_VEX},
	{0xf2, 0x10, V_MEM | V_VEX},
	{0xf2, 0x11, V_MEM | V_VEX},
};

static void put_vex(struct insn_bytes *i, const struct vec_template *t, u8 rex)
{
	unsigned pp = t->prefix == 0x66 ? 1 : t->prefix == 0xf3 ? 2 : t->prefix == 0xf2 ? 3 : 0;
	unsigned tail = 0x78 | (t->how & V_L ? 4 : 0) | pp;

	if (!(rex & 3) && !(t->how & (V_W | V_0F38)) && rng_below(2)) {
		put(i, 0xc5, 1);
		put(i, tail | 0x80, 1);
		return;
	}
	put(i, 0xc4, 1);
	put(i, 0x80 | (rex & 2 ? 0 : 0x40) | (rex & 1 ? 0 : 0x20) | (t->how & V_0F38 ? 2 : 1), 1);
	put(i, tail | (t->how & V_W ? 0x80 : 0), 1);
}

static void build_vector(struct scene *s, const struct vec_template *t)
{
	struct insn_bytes *i = &s->insn;
	bool mem = (t->how & V_MEM) && (!(t->how & (V_REG | V_GPR)) || rng_below(3));
	unsigned reg = rng_below(4), rm = t->how & V_GPR ? rng_below(16) : rng_below(4);
	u64 ea = (u64)area + MIDDLE + (rng_below(3) ? 32 * rng_below(4) : rng_below(64));
	struct place p;
	u8 rex;

	if (rm == GPR_RSP)
		rm = GPR_RAX;
	choose_place(&p);
	if (mem)
		aim(s, &p, ea);
	rex = mem ? place_rex(&p) : (u8)(rm >> 3);
	if (mem && p.gs)
		put(i, 0x65, 1);
	if (mem && p.addr32)
		put(i, 0x67, 1);
	if (t->how & V_VEX) {
		put_vex(i, t, rex);
	} else {
		if (t->prefix)
			put(i, t->prefix, 1);
		if (rex || (t->how & V_W))
			put(i, 0x40 | rex | (t->how & V_W ? 8 : 0), 1);
		put(i, 0x0f, 1);
		if (t->how & V_0F38)
			put(i, 0x38, 1);
	}
	put(i, t->opcode, 1);
	if (mem)
		put_place(i, &p, reg, ea, 0);
	else
		put(i, 0xc0 | reg << 3 | (rm & 7), 1);
}

TEST(vector_moves_match_the_cpu)
{
	static struct scene s;

	if (!set_up())
		SKIP("this CPU lacks AVX2 or BMI");
	for (unsigned n = 0; n < 200 * ARRAY_SIZE(vectors); n++) {
		scene_init(&s);
		build_vector(&s, &vectors[n % ARRAY_SIZE(vectors)]);
		same(&s);
	}
}
