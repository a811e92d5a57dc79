/* A caller's registers at an interrupt, as entry.S saves and restores them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GUESTBIOS_REGS_H
#define GUESTBIOS_REGS_H

#include "penumbra/types.h"

#define FLAG_CF 0x0001
#define FLAG_ZF 0x0040
#define FLAG_IF 0x0200

/* Written back when the handler returns. */
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

static inline void set_cf(struct regs *r, bool on)
{
	r->flags = on ? r->flags | FLAG_CF : r->flags & ~FLAG_CF;
}
static inline void set_zf(struct regs *r, bool on)
{
	r->flags = on ? r->flags | FLAG_ZF : r->flags & ~FLAG_ZF;
}

#endif
