/* Moving the hypervisor's image out of low memory, for loaders that cannot place it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FIRMWARE_RELOCATE_H
#define FIRMWARE_RELOCATE_H

#include "penumbra/bootinfo.h"

/* A 2 MiB aligned place for @len bytes in RAM below 4 GiB, as high as possible, that touches no
 * module and not [avoid, avoid + avoid_len). 0: none. Pure. */
hpa_t image_find_place(const struct boot_info *bi, u64 len, hpa_t avoid, u64 avoid_len);
/* Copy the running image there and go on in the copy; bi->image_base changes. Before
 * hostmap_init(). 0 or -ENOMEM. */
int image_move_high(struct boot_info *bi);

#endif
