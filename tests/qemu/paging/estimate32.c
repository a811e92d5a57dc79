/* The modes of the 32-bit guest of known load.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging.h"

void estimate_modes(void)
{
	mode_on(&two_level);
	estimate_run();
	mode_off();
	mode_on(&pae);
	estimate_run();
}
