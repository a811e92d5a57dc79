/* The tables and registers of the 64-bit images' mode.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging.h"

void mode_on(const struct mode *m)
{
	tables_begin(m);
	mark(OTHER);
	set_cr3(root);
	set_wp(true);
	set_pge(true);
	if (cpu.has_nx)
		set_nxe(true);
}
