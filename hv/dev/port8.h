/* Wider accesses to eight-bit ISA chips. The bus bridge of a real board splits a word or dword
 * access into byte cycles at ascending ports; chips whose registers are bytes use these to do the
 * same.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_PORT8_H
#define HV_DEV_PORT8_H

#include "penumbra/types.h"

/* @size bytes (1, 2, 4) from @port on, the first in bits 7:0. */
static inline u32 port8_read(u8 (*read8)(void *dev, u16 port), void *dev, u16 port, unsigned size)
{
	u32 value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (u32)read8(dev, (u16)(port + i)) << (8 * i);
	return value;
}

static inline void port8_write(void (*write8)(void *dev, u16 port, u8 value), void *dev, u16 port,
			       unsigned size, u32 value)
{
	for (unsigned i = 0; i < size; i++)
		write8(dev, (u16)(port + i), (u8)(value >> (8 * i)));
}

#endif
