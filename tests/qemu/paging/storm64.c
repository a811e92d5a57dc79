/* The mode of the 64-bit storm.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging.h"

void storm_modes(void)
{
	mode_on(&four_level);
	storm_run();
}
