/* CRC-32 as in IEEE 802.3, zlib and PNG: reflected polynomial 0xedb88320, start and final XOR ~0.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_LIB_CRC32_H
#define HV_LIB_CRC32_H

#include "penumbra/types.h"

/* CRC of @len bytes at @buf, continuing @crc (0 to start): crc32(crc32(0, a), b) is the CRC of a
 * followed by b. */
u32 crc32(u32 crc, const void *buf, size_t len);

#endif
