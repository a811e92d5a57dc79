/* One-instruction helpers: MSRs, control and debug registers, ports, CPUID, descriptor tables.
 * A leaf header that every layer may include. The _safe forms survive the exception that the
 * instruction may raise (core/trap.h explains the exception table).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_LIB_CPUOPS_H
#define HV_LIB_CPUOPS_H

#include "lib/errno.h"
#include "lib/x86.h"
#include "penumbra/types.h"

/* Exception-table entry: a fault at @insn continues at @fix (labels of the same asm). */
#define EXTABLE(insn, fix)                                                                         \
	".pushsection .extable, \"a\"\n\t"                                                         \
	".balign 4\n\t"                                                                            \
	".long " insn " - .\n\t"                                                                   \
	".long " fix " - .\n\t"                                                                    \
	".popsection\n\t"
/* Out-of-line: put -EFAULT into operand @err and go on at label 2. */
#define EXFIX(err)                                                                                 \
	".pushsection .fixup, \"ax\"\n\t"                                                          \
	"3: movl $-14, " err "\n\t"                                                                \
	"jmp 2b\n\t"                                                                               \
	".popsection\n\t" EXTABLE("1b", "3b")

static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (u64)hi << 32 | lo;
}

static inline void wrmsr(u32 msr, u64 value)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

/* 0, or -EFAULT where the CPU raises an exception (@value is then 0). */
static inline int rdmsr_safe(u32 msr, u64 *value)
{
	u32 lo = 0, hi = 0;
	int err = 0;

	asm volatile("1: rdmsr\n\t"
		     "2:\n\t" EXFIX("%0")
		     : "+r"(err), "+a"(lo), "+d"(hi)
		     : "c"(msr));
	*value = err ? 0 : (u64)hi << 32 | lo;
	return err;
}

static inline int wrmsr_safe(u32 msr, u64 value)
{
	int err = 0;

	asm volatile("1: wrmsr\n\t"
		     "2:\n\t" EXFIX("%0")
		     : "+r"(err)
		     : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32))
		     : "memory");
	return err;
}

/* Read 8 bytes at a hypervisor address that may not be mapped. */
static inline int read_safe(u64 addr, u64 *value)
{
	int err = 0;
	u64 v = 0;

	asm volatile("1: movq (%2), %1\n\t"
		     "2:\n\t" EXFIX("%0")
		     : "+r"(err), "+r"(v)
		     : "r"(addr)
		     : "memory");
	*value = v;
	return err;
}

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (u64)hi << 32 | lo;
}

/* RDTSC after all earlier loads: for measuring and for comparing CPUs. */
static inline u64 rdtsc_ordered(void)
{
	u32 lo, hi;

	asm volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (u64)hi << 32 | lo;
}

struct cpuid {
	u32 eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(u32 leaf, u32 subleaf)
{
	struct cpuid r;

	asm volatile("cpuid"
		     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
		     : "a"(leaf), "c"(subleaf));
	return r;
}

#define DEFINE_REG(name)                                                                           \
	static inline u64 read_##name(void)                                                        \
	{                                                                                          \
		u64 v;                                                                             \
                                                                                                   \
		asm volatile("mov %%" #name ", %0" : "=r"(v) : : "memory");                        \
		return v;                                                                          \
	}                                                                                          \
	static inline void write_##name(u64 v)                                                     \
	{                                                                                          \
		asm volatile("mov %0, %%" #name : : "r"(v) : "memory");                            \
	}

/* read_cr0() write_cr0() … read_dr7() write_dr7() */
DEFINE_REG(cr0)
DEFINE_REG(cr2)
DEFINE_REG(cr3)
DEFINE_REG(cr4)
DEFINE_REG(cr8)
DEFINE_REG(dr0)
DEFINE_REG(dr1)
DEFINE_REG(dr2)
DEFINE_REG(dr3)
DEFINE_REG(dr6)
DEFINE_REG(dr7)
#undef DEFINE_REG

static inline u8 inb(u16 port)
{
	u8 v;

	asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline u16 inw(u16 port)
{
	u16 v;

	asm volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline u32 inl(u16 port)
{
	u32 v;

	asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void outb(u16 port, u8 v)
{
	asm volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void outw(u16 port, u16 v)
{
	asm volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static inline void outl(u16 port, u32 v)
{
	asm volatile("outl %0, %1" : : "a"(v), "Nd"(port));
}

/* @size: 1, 2 or 4 bytes. */
static inline u32 port_in(u16 port, unsigned size)
{
	return size == 4 ? inl(port) : size == 2 ? inw(port) : inb(port);
}

static inline void port_out(u16 port, unsigned size, u32 v)
{
	if (size == 4)
		outl(port, v);
	else if (size == 2)
		outw(port, (u16)v);
	else
		outb(port, (u8)v);
}

static inline u64 xgetbv(u32 index)
{
	u32 lo, hi;

	asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(index));
	return (u64)hi << 32 | lo;
}

static inline void xsetbv(u32 index, u64 value)
{
	asm volatile("xsetbv" : : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)));
}

/* 0, or -EFAULT where the CPU refuses the value (#GP) or the instruction (#UD). */
static inline int xsetbv_safe(u32 index, u64 value)
{
	int err = 0;

	asm volatile("1: xsetbv\n\t"
		     "2:\n\t" EXFIX("%0")
		     : "+r"(err)
		     : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)));
	return err;
}

static inline void invlpg(const void *va)
{
	asm volatile("invlpg (%0)" : : "r"(va) : "memory");
}

static inline void wbinvd(void)
{
	asm volatile("wbinvd" : : : "memory");
}

static inline void hlt(void)
{
	asm volatile("hlt" : : : "memory");
}

static inline void cpu_pause(void)
{
	asm volatile("pause" : : : "memory");
}

static inline void irq_disable(void)
{
	asm volatile("cli" : : : "memory");
}

static inline void irq_enable(void)
{
	asm volatile("sti" : : : "memory");
}

/* Wait for an interrupt without a window between enabling and halting; interrupts off after. */
static inline void irq_wait(void)
{
	asm volatile("sti; hlt; cli" : : : "memory");
}

/* Take what interrupts are pending: STI's shadow is the NOP. Interrupts off after. */
static inline void irq_let_in(void)
{
	asm volatile("sti; nop; cli" : : : "memory");
}

static inline u64 read_rflags(void)
{
	u64 v;

	asm volatile("pushfq; popq %0" : "=r"(v) : : "memory");
	return v;
}

/* Interrupts off; returns what irq_restore() takes. */
static inline u64 irq_save(void)
{
	u64 flags = read_rflags();

	irq_disable();
	return flags;
}

static inline void irq_restore(u64 flags)
{
	if (flags & RFLAGS_IF)
		irq_enable();
}

/* Operand of LGDT, LIDT, SGDT, SIDT. */
struct desc_ptr {
	u16 limit;
	u64 base;
} __attribute__((packed));

static inline void lgdt(const struct desc_ptr *p)
{
	asm volatile("lgdt %0" : : "m"(*p) : "memory");
}

static inline void lidt(const struct desc_ptr *p)
{
	asm volatile("lidt %0" : : "m"(*p) : "memory");
}

static inline void sgdt(struct desc_ptr *p)
{
	asm volatile("sgdt %0" : "=m"(*p));
}

static inline void sidt(struct desc_ptr *p)
{
	asm volatile("sidt %0" : "=m"(*p));
}

static inline void ltr(u16 sel)
{
	asm volatile("ltr %0" : : "r"(sel) : "memory");
}

static inline u16 str_sel(void)
{
	u16 sel;

	asm volatile("str %0" : "=r"(sel));
	return sel;
}

/* PKRU of the vCPU whose state is in the CPU. CR4.PKE is set: the CPU has protection keys. */
static inline u32 rdpkru(void)
{
	u32 eax, edx;

	asm volatile("rdpkru" : "=a"(eax), "=d"(edx) : "c"(0));
	return eax;
}

#endif
