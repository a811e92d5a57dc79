/* CRC-32: catches a wrong table, start value, final inversion or broken continuation.
 *
 * SRCS: hv/lib/crc32.c
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "lib/crc32.h"

TEST(check_values)
{
	CHECK_EQ(crc32(0, "", 0), 0);
	CHECK_EQ(crc32(0, "123456789", 9), 0xcbf43926);
	CHECK_EQ(crc32(0, "The quick brown fox jumps over the lazy dog", 43), 0x414fa339);
}

/* The definition, bit by bit. */
static u32 slow_crc(const u8 *p, size_t n)
{
	u32 crc = ~0u;

	for (; n; n--, p++)
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (0xedb88320 & -((crc ^ *p >> bit) & 1u));
	return ~crc;
}

TEST(agrees_with_the_definition_and_continues)
{
	u8 buf[600];

	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (u8)(i * i + (i >> 3));
	for (unsigned n = 0; n <= sizeof(buf); n += 37) {
		CHECK_EQ(crc32(0, buf, n), slow_crc(buf, n));
		CHECK_EQ(crc32(crc32(0, buf, n / 3), buf + n / 3, n - n / 3), slow_crc(buf, n));
	}
}
