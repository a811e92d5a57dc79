/* The hypervisor's own font: printable ASCII on a grid of 5 by 8, shown as 8 by 16.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FIRMWARE_FONT_H
#define FIRMWARE_FONT_H

#include "penumbra/types.h"

#define FONT_WIDTH  8
#define FONT_HEIGHT 16

/* Pixels of line @y (0-15) of character @c, leftmost in bit 7. Unprintable: blank. */
u8 font_line(char c, unsigned y);

#endif
