/* Private to partition*.c: between a guest's life and its board. All on the guest's own CPU.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_PARTITION_INT_H
#define HV_CORE_PARTITION_INT_H

#include "core/partition.h"

/* Output that no THRE can hold back (BIOS text, records about resets) holds back the guest itself:
 * it stands still while its share of the line waits, so that it takes nothing from the others. True
 * if it is held. */
bool partition_hold_back(struct partition *p);
/* Its BIOS is at its start: after power-on or a reset, or because software jumped there. */
void partition_post_began(struct partition *p);
/* The chips as the config has them, in power-on state. 0, or negative when there is no room. */
int partition_build_board(struct partition *p);

#endif
