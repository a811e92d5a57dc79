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

/* --- partition.c, for partition_serve.c --- */

/* Act on what media_open() or media_poll() answered: start, wait, or say why not. */
void partition_start_or_wait(struct partition *p, int err);
/* End one that never ran: what it needs was not to be had, or it is not wanted any more. */
void partition_cannot_start(struct partition *p);
/* Stop it for a reset; @cause is for the record. */
void partition_want_reset(struct partition *p, const char *cause);
/* The reset, then run. */
void partition_reset(struct partition *p, const char *cause);
/* Carry out partition_end(): records, media closed; on_exit decides what follows. */
void partition_finish(struct partition *p);
/* The lines of its screen that changed go to the serial line. */
void partition_show_screen(struct partition *p);

/* --- partition_serve.c --- */

/* guest_ops.service */
void partition_service(struct partition *p);

#endif
