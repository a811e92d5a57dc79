/* Text on the display: EGA text memory, or a linear framebuffer with our own font.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FIRMWARE_SCREEN_H
#define FIRMWARE_SCREEN_H

#include "penumbra/bootinfo.h"

/* Use the display that @fb describes, whose memory is at @va; clears it. False: not usable. */
bool screen_init(const struct boot_fb *fb, void *va);
/* The same memory has moved to @va. */
void screen_move(void *va);
/* Bytes of display memory that @fb needs mapped. */
u64 screen_bytes(const struct boot_fb *fb);
void screen_write(const char *buf, size_t len);
/* Write everything again, whatever is on the display now. */
void screen_redraw(void);

#endif
