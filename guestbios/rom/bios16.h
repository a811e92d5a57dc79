/* The world of 16-bit C: DS = ES = SS = EBDA, FS = BDA, constants in CS (ROM), everything else by
 * far access through GS. Static variables therefore live in the EBDA; constants must be marked ROM
 * and read by rom_*(): the linker script refuses plain .data and .rodata.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GUESTBIOS_BIOS16_H
#define GUESTBIOS_BIOS16_H

#include "penumbra/types.h"
#include "shared.h"

#define ROM	   static const __attribute__((section(".rom")))
#define ROM_GLOBAL const __attribute__((section(".rom")))

#define FLAG_CF 0x0001
#define FLAG_ZF 0x0040
#define FLAG_IF 0x0200

/* The caller's registers, built by int_entry (entry.S) and written back when the handler returns.
 */
struct regs {
	u32 edi, esi, ebp;
	union {
		u32 ebx;
		u16 bx;
		struct {
			u8 bl, bh;
		};
	};
	union {
		u32 edx;
		u16 dx;
		struct {
			u8 dl, dh;
		};
	};
	union {
		u32 ecx;
		u16 cx;
		struct {
			u8 cl, ch;
		};
	};
	union {
		u32 eax;
		u16 ax;
		struct {
			u8 al, ah;
		};
	};
	u16 ds, es, fs, gs;
	u16 handler, ip, cs, flags;
	u32 esp;
	u16 ss, pad;
	u32 old_stack;
};
_Static_assert(sizeof(struct regs) == 56, "entry.S builds this frame");

/* BIOS data area, segment 40h. */
struct bda {
	u16 com[4], lpt[3], ebda_seg; /* 00 */
	u16 equip;		      /* 10 */
	u8 post_flag;
	u16 base_kb; /* 13 */
	u16 pad15;
	u8 kbd_flags0, kbd_flags1;				 /* 17 */
	u8 kbd_alt;						 /* 19 */
	u16 kbd_head, kbd_tail;					 /* 1a */
	u16 kbd_buf[16];					 /* 1e */
	u8 fd_recal, fd_motor, fd_timeout, fd_status, fd_ctl[7]; /* 3e */
	u8 video_mode;						 /* 49 */
	u16 columns, page_size, page_start;			 /* 4a */
	struct {
		u8 col, row;
	} cursor[8];	  /* 50 */
	u16 cursor_shape; /* 60 */
	u8 page;
	u16 crtc; /* 63 */
	u8 crt_mode, crt_palette;
	u32 reset_vector;			 /* 67 */
	u8 last_irq;				 /* 6b */
	u32 ticks;				 /* 6c */
	u8 midnight;				 /* 70 */
	u8 ctrl_break;				 /* 71 */
	u16 warm;				 /* 72 */
	u8 hd_status, hd_count, hd_ctl, hd_port; /* 74 */
	u8 lpt_timeout[4], com_timeout[4];	 /* 78 */
	u16 kbd_start, kbd_end;			 /* 80 */
	u8 rows_minus1;				 /* 84 */
	u16 char_height;
	u8 video_ctl, video_switches, video_flags, video_dcc; /* 87 */
	u8 pad8b[11];
	u8 kbd_mode;		/* 96: E0/E1 prefixes, 101-key keyboard */
	u8 kbd_led;		/* 97 */
	u16 wait_off, wait_seg; /* 98: user's wait flag */
	u32 wait_count;		/* 9c */
	u8 wait_active;		/* a0 */
	u8 pada1[7];
	u32 video_save; /* a8 */
} __attribute__((packed));
_Static_assert(offsetof(struct bda, equip) == 0x10, "BDA");
_Static_assert(offsetof(struct bda, kbd_buf) == 0x1e, "BDA");
_Static_assert(offsetof(struct bda, video_mode) == 0x49, "BDA");
_Static_assert(offsetof(struct bda, cursor_shape) == 0x60, "BDA");
_Static_assert(offsetof(struct bda, ticks) == 0x6c, "BDA");
_Static_assert(offsetof(struct bda, hd_status) == 0x74, "BDA");
_Static_assert(offsetof(struct bda, rows_minus1) == 0x84, "BDA");
_Static_assert(offsetof(struct bda, kbd_mode) == 0x96, "BDA");
_Static_assert(offsetof(struct bda, wait_active) == 0xa0, "BDA");
_Static_assert(offsetof(struct bda, video_save) == 0xa8, "BDA");

/* Placed by the linker script: bda at FS:0, shared at EBDA_SHARED. */
extern volatile struct bda __seg_fs bda;
extern struct bios_shared shared;

/* --- ports ------------------------------------------------------------------------------- */
static inline void outb(u16 port, u8 v)
{
	__asm__ volatile("outb %0,%1" : : "a"(v), "Nd"(port) : "memory");
}
static inline void outw(u16 port, u16 v)
{
	__asm__ volatile("outw %0,%1" : : "a"(v), "Nd"(port) : "memory");
}
static inline void outl(u16 port, u32 v)
{
	__asm__ volatile("outl %0,%1" : : "a"(v), "Nd"(port) : "memory");
}
static inline u8 inb(u16 port)
{
	u8 v;
	__asm__ volatile("inb %1,%0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}
static inline u16 inw(u16 port)
{
	u16 v;
	__asm__ volatile("inw %1,%0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}
static inline u32 inl(u16 port)
{
	u32 v;
	__asm__ volatile("inl %1,%0" : "=a"(v) : "Nd"(port) : "memory");
	return v;
}
/* One instruction, hence one exit, for a whole buffer in the EBDA. */
static inline void outsb(u16 port, const void *buf, u32 n)
{
	__asm__ volatile("rep outsb" : "+S"(buf), "+c"(n) : "d"(port) : "memory");
}

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

/* Copy n bytes between the EBDA and seg:off (which must not wrap). */
void far_read(void *dst, u16 seg, u32 off, u32 n);
void far_write(u16 seg, u32 off, const void *src, u32 n);
static inline u64 rdtsc(void)
{
	u32 lo, hi;
	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (u64)hi << 32 | lo;
}

static inline void set_cf(struct regs *r, bool on)
{
	r->flags = on ? r->flags | FLAG_CF : r->flags & ~FLAG_CF;
}
static inline void set_zf(struct regs *r, bool on)
{
	r->flags = on ? r->flags | FLAG_ZF : r->flags & ~FLAG_ZF;
}
static inline u32 linear(u16 seg, u32 off)
{
	return ((u32)seg << 4) + off;
}

/* --- windows in which other interrupt handlers may run (entry.S) -------------------------- */
/* STI; HLT; CLI. */
void irq_window_wait(void);
/* STI; NOP; CLI: let what is pending in. */
void irq_window(void);
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
