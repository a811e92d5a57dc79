/* SMBIOS 2.8 structures. Pure. The entry point stands in ROM (rom/entry.S), so the structures'
 * number and room are constants.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GUESTBIOS_SMBIOS_H
#define GUESTBIOS_SMBIOS_H

#include "../layout.h"
#include "penumbra/bioschan.h"

/* Fill `room` bytes; what the structures leave is zero. False if they do not fit. */
bool smbios_build(u8 *buf, u32 room, const struct bios_config *cfg);

#endif
