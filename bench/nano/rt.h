/* What the test kernels stand on: COM1 text, exceptions, privileged instructions, page mappings,
 * power-off. One CPU, interrupts off unless a kernel turns them on.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_NANO_RT_H
#define BENCH_NANO_RT_H

#include "penumbra/types.h"

struct trap_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error, rip, cs, rflags, rsp, ss;
};

/* The kernel proper; the machine is powered off when it returns. */
void kernel(void);

/* Text to COM1, 115200 8N1. Waits for the transmitter, but not forever. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void serial_init(void);

/* Called for exceptions outside guard() and for interrupts. True: return to the interrupted code.
 * NULL: an exception is reported and ends the kernel, an interrupt is ignored. */
extern bool (*trap_hook)(struct trap_frame *f);
/* Run @fn(@arg); -1, or the vector of the exception that ended it. Does not nest. */
int guard(void (*fn)(void *arg), void *arg);
/* The latest exception's frame (guard() or not). */
extern struct trap_frame last_trap;
/* Load this kernel's IDT and GDT again after playing with them. */
void load_tables(void);

/* Map one 4 KiB page at @va (in the gigabyte at MAP_BASE, first 2 MiB) to @pa with @flags as in a
 * PTE. */
#define MAP_BASE 0x100000000ull
void map_page(u64 va, u64 pa, u64 flags);
/* Map the 2 MiB at @pa, wherever it is, at MAP_WINDOW. */
#define MAP_WINDOW (MAP_BASE + 0x200000)
void map_window(u64 pa, u64 flags);
#define PTE_P	1ull
#define PTE_W	2ull
#define PTE_U	4ull
#define PTE_PCD 0x10ull
#define PTE_PS	0x80ull

/* Port of PM1a_CNT by the FADT, 0: no ACPI. */
u16 acpi_pm1_port(void);
/* ACPI S5, else 0x10 to port 0xf4, else halt. */
__attribute__((noreturn)) void power_off(void);

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi)::"memory");
	return lo | (u64)hi << 32;
}
static inline void out8(u16 port, u8 v)
{
	asm volatile("outb %0, %1" ::"a"(v), "Nd"(port));
}
static inline void out16(u16 port, u16 v)
{
	asm volatile("outw %0, %1" ::"a"(v), "Nd"(port));
}
static inline void out32(u16 port, u32 v)
{
	asm volatile("outl %0, %1" ::"a"(v), "Nd"(port));
}
static inline u8 in8(u16 port)
{
	u8 v;

	asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline u16 in16(u16 port)
{
	u16 v;

	asm volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline u32 in32(u16 port)
{
	u32 v;

	asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return lo | (u64)hi << 32;
}
static inline void wrmsr(u32 msr, u64 v)
{
	asm volatile("wrmsr" ::"c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}
static inline void invlpg(u64 va)
{
	asm volatile("invlpg (%0)" ::"r"(va) : "memory");
}

#endif
