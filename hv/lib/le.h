/* Little-endian values in an array of bytes, at any alignment: register files that guests reach in
 * every size.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_LIB_LE_H
#define HV_LIB_LE_H

#include "penumbra/types.h"

static inline u16 le_get16(const u8 *p)
{
	return (u16)(p[0] | p[1] << 8);
}
static inline u32 le_get32(const u8 *p)
{
	return le_get16(p) | (u32)le_get16(p + 2) << 16;
}
static inline void le_put16(u8 *p, u16 v)
{
	p[0] = (u8)v;
	p[1] = (u8)(v >> 8);
}
static inline void le_put32(u8 *p, u32 v)
{
	le_put16(p, (u16)v);
	le_put16(p + 2, (u16)(v >> 16));
}

#endif
