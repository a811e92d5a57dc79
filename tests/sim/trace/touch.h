/* Memory traces in a compact form: what a program touched, without what no cache or TLB would have
 * missed (fold.h says why nothing is lost by that).
 *
 * A file is a sequence of chunks, each of one process and readable alone:
 *
 *   u32 magic, process, bytes, instructions (in this chunk); then records of @bytes in all
 *
 * A record is a byte, kind in bits 2:0, in 7:3 the instructions since the record before (31: 31 and
 * a number more), then numbers of 7 bits a byte, low ones first, bit 7: more follow.
 *
 *   FETCH READ WRITE  signed line of 64 bytes, difference from the last of fetches or of data
 *   FAULT             signed page, difference from the last FAULT: first touch, or first write
 *   DROP              signed page in the same way, pages: unmapped
 *   PROTECT           pages: all that was written is read-only now (fork)
 *   END               the address space is gone
 *
 * Signed numbers: 2n or -2n-1. All differences start from 0 in a chunk. Little-endian.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SIM_TRACE_TOUCH_H
#define TESTS_SIM_TRACE_TOUCH_H

#include "penumbra/types.h"

#define TOUCH_MAGIC 0x31544e50u /* "PNT1" */
#define TOUCH_CHUNK 65536u	/* payload at most */

struct touch_header {
	u32 magic, process, bytes, instructions;
};
_Static_assert(sizeof(struct touch_header) == 16, "as in the file");

enum touch_kind {
	TOUCH_FETCH,
	TOUCH_READ,
	TOUCH_WRITE,
	TOUCH_FAULT,
	TOUCH_DROP,
	TOUCH_PROTECT,
	TOUCH_END,
	TOUCH_KINDS
};

#define TOUCH_MANY	 31u /* instructions that do not fit a record's first byte */
#define TOUCH_LINE_SHIFT 6

#endif
