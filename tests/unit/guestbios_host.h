/* The world of bios16.h on the host: one megabyte of guest memory in an array, ports in hooks. Lets
 * unit tests run the 16-bit C code as it is.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_GUESTBIOS_HOST_H
#define TESTS_GUESTBIOS_HOST_H

#include <string.h>

#include "penumbra/types.h"

#define ROM	   static const
#define ROM_GLOBAL const

/* 64 KiB above 1 MiB, as seg:off can reach. */
extern u8 host_mem[0x110000];
extern struct bios_shared shared;
#define bda (*(struct bda *)(host_mem + 0x400))

/* What the code wrote to TEXT, and the number of port instructions it took ("exits"). */
extern char host_text[8192];
extern unsigned host_text_len, host_exits;
extern u8 host_in[256]; /* bytes that inb() returns, in turn */
extern unsigned host_in_pos;
/* Called instead of STI;HLT;CLI. */
extern void (*host_wait)(void);

void host_reset(void);

#define HOST_ACCESS(name, type)                                                                    \
	static inline type far_##name(u16 seg, u32 off)                                            \
	{                                                                                          \
		type v;                                                                            \
		memcpy(&v, &host_mem[seg * 16u + off], sizeof(v));                                 \
		return v;                                                                          \
	}                                                                                          \
	static inline void far_set_##name(u16 seg, u32 off, type v)                                \
	{                                                                                          \
		memcpy(&host_mem[seg * 16u + off], &v, sizeof(v));                                 \
	}                                                                                          \
	static inline type rom_##name(const void *p)                                               \
	{                                                                                          \
		type v;                                                                            \
		memcpy(&v, p, sizeof(v));                                                          \
		return v;                                                                          \
	}
HOST_ACCESS(u8, u8)
HOST_ACCESS(u16, u16)
HOST_ACCESS(u32, u32)
#undef HOST_ACCESS

static inline u16 rom_offset(const void *p)
{
	return (u16)(uintptr_t)p;
}
static inline void far_read(void *dst, u16 seg, u32 off, u32 n)
{
	memcpy(dst, &host_mem[seg * 16u + off], n);
}
static inline void far_write(u16 seg, u32 off, const void *src, u32 n)
{
	memcpy(&host_mem[seg * 16u + off], src, n);
}
/* Advances by a million a reading. */
extern u64 host_tsc;
static inline u64 rdtsc(void)
{
	return host_tsc += 1000000;
}
static inline u32 linear(u16 seg, u32 off)
{
	return ((u32)seg << 4) + off;
}

#endif
