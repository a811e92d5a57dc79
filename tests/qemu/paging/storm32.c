/* The modes of the 32-bit storm.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging.h"

void storm_modes(void)
{
	mode_on(&two_level);
	storm_run();
	mode_off();
	mode_on(&pae);
	storm_run();
}
