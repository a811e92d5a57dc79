/* Port instructions, and the CMOS behind two of them, for both halves of the BIOS.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GUESTBIOS_PORTS_H
#define GUESTBIOS_PORTS_H

#include "penumbra/types.h"

#ifdef PN_HOST /* of the unit test */
void outb(u16 port, u8 v);
void outw(u16 port, u16 v);
void outl(u16 port, u32 v);
u8 inb(u16 port);
u16 inw(u16 port);
u32 inl(u16 port);
void outsb(u16 port, const void *buf, u32 n);
#else
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
/* String forms: one instruction, hence one exit, for a whole buffer. */
static inline void outsb(u16 port, const void *buf, u32 n)
{
	__asm__ volatile("rep outsb" : "+S"(buf), "+c"(n) : "d"(port) : "memory");
}
static inline void outsw(u16 port, const void *buf, u32 n)
{
	__asm__ volatile("rep outsw" : "+S"(buf), "+c"(n) : "d"(port) : "memory");
}
static inline void insb(u16 port, void *buf, u32 n)
{
	__asm__ volatile("rep insb" : "+D"(buf), "+c"(n) : "d"(port) : "memory");
}
#endif

#define RTC_INDEX 0x70
#define RTC_DATA  0x71

static inline u8 cmos_read(u8 reg)
{
	outb(RTC_INDEX, reg);
	return inb(RTC_DATA);
}
static inline void cmos_write(u8 reg, u8 v)
{
	outb(RTC_INDEX, reg);
	outb(RTC_DATA, v);
}

#endif
