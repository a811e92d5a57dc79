/* Look-up in the embedded symbol table.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/ksyms.h"
#include "firmware/boot.h"

/* Generated: sorted by @offset, which counts from text_start; @name is an offset in ksym_names. */
struct ksym {
	u32 offset;
	u32 name;
};
extern const struct ksym ksym_table[];
extern const u32 ksym_count;
extern const char ksym_names[];

const char *ksym_lookup(u64 addr, u64 *offset)
{
	u32 lo = 0, hi = ksym_count, off;

	if (addr < (u64)text_start || addr >= (u64)text_code_end)
		return NULL;
	off = (u32)(addr - (u64)text_start);
	/* First entry above @off; the one before it holds @off. */
	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (ksym_table[mid].offset <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo)
		return NULL;
	*offset = off - ksym_table[lo - 1].offset;
	return ksym_names + ksym_table[lo - 1].name;
}
