/* The mode of the 64-bit guest of known load.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging.h"

void estimate_modes(void)
{
	mode_on(&four_level);
	estimate_run();
}
