/* Into and out of the paging modes of the 32-bit images.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging.h"

void mode_on(const struct mode *m)
{
	tables_begin(m);
	mark(OTHER);
	set_cr4((get_cr4() & ~(ulong)(CR4_PAE | CR4_PSE)) | (m == &pae ? CR4_PAE : 0));
	set_cr3(root);
	set_cr0(get_cr0() | CR0_PG);
	set_wp(true);
	set_pge(true);
	set_pse(m == &two_level);
	if (cpu.has_nx)
		set_nxe(m == &pae);
}

void mode_off(void)
{
	set_cr0(get_cr0() & ~(ulong)CR0_PG);
}
