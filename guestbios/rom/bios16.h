/* The world of 16-bit C: DS = ES = SS = EBDA, FS = BDA, constants in CS (ROM), everything else by
 * far access through GS. Static variables therefore live in the EBDA; constants must be marked ROM
 * and read by rom_*(): the linker script refuses plain .data and .rodata.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GUESTBIOS_BIOS16_H
#define GUESTBIOS_BIOS16_H

#include "../ports.h"
#include "../shared.h"
#include "bda.h"
#include "penumbra/types.h"
#include "regs.h"

#ifdef PN_HOST
#include "guestbios_host.h" /* the same names over an array, for unit tests */
#else
#define ROM	   static const __attribute__((section(".rom")))
#define ROM_GLOBAL const __attribute__((section(".rom")))

/* Placed by the linker script: bda at FS:0, shared at EBDA_SHARED. */
extern volatile struct bda __seg_fs bda;
extern struct bios_shared shared;

/* --- memory outside the EBDA -------------------------------------------------------------- */
#define FAR_ACCESS(name, type, suffix, reg)                                                        \
	static inline type far_##name(u16 seg, u32 off)                                            \
	{                                                                                          \
		type v;                                                                            \
		__asm__ volatile("movw %w1,%%gs\n\tmov" suffix " %%gs:(%2),%0"                     \
				 : "=" reg(v)                                                      \
				 : "r"((u32)seg), "r"(off)                                         \
				 : "memory");                                                      \
		return v;                                                                          \
	}                                                                                          \
	static inline void far_set_##name(u16 seg, u32 off, type v)                                \
	{                                                                                          \
		__asm__ volatile("movw %w1,%%gs\n\tmov" suffix " %0,%%gs:(%2)"                     \
				 :                                                                 \
				 : reg(v), "r"((u32)seg), "r"(off)                                 \
				 : "memory");                                                      \
	}                                                                                          \
	static inline type rom_##name(const void *p)                                               \
	{                                                                                          \
		type v;                                                                            \
		__asm__("mov" suffix " %%cs:(%1),%0" : "=" reg(v) : "r"(p));                       \
		return v;                                                                          \
	}
FAR_ACCESS(u8, u8, "b", "q")
FAR_ACCESS(u16, u16, "w", "r")
FAR_ACCESS(u32, u32, "l", "r")
#undef FAR_ACCESS

/* Offset in ROM_SEG of a constant: what a far pointer to it needs. */
static inline u16 rom_offset(const void *p)
{
	return (u32)p;
}

/* Copy n bytes between the EBDA and seg:off (which must not wrap). */
void far_read(void *dst, u16 seg, u32 off, u32 n);
void far_write(u16 seg, u32 off, const void *src, u32 n);
static inline u64 rdtsc(void)
{
	u32 lo, hi;
	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (u64)hi << 32 | lo;
}

static inline u32 linear(u16 seg, u32 off)
{
	return ((u32)seg << 4) + off;
}
#endif

/* --- windows in which other interrupt handlers may run (entry.S) -------------------------- */
/* STI; HLT; CLI. */
void irq_window_wait(void);
/* STI; NOP; CLI: let what is pending in. */
void irq_window(void);
/* Wait a while: asleep if the timer will wake us, else with interrupts let in once. */
static inline void tick_wait(void)
{
	if (inb(0x21) & 0x01)
		irq_window();
	else
		irq_window_wait();
}
/* Run a software interrupt with *ax in AX and CF from/to *cf. */
void call_int(u8 vector, u16 *ax, bool *cf);

/* --- parts -------------------------------------------------------------------------------- */
/* Text to the guest's screen and, as whole lines, to the channel. */
void tty_puts(const char *rom_string);
void tty_putc(u8 c);
void tty_dec(u32 v);
void tty_name(void);
#define TTY(s)                                                                                     \
	do {                                                                                       \
		ROM char text_[] = s;                                                              \
		tty_puts(text_);                                                                   \
	} while (0)
/* Send what is collected of an unfinished line, and put the CRTC's cursor where the BDA's is. */
void text_sync(void);

/* A line on the channel's LOG: an unimplemented call with its registers, once per (vector, AX). */
void log_call(u8 vector, struct regs *r);
/* CF and AH = 86h, logged once. */
void unsupported(u8 vector, struct regs *r);

#endif
