/* What a guest gets from the control partition: media file: and dev:, its network port.
 *
 * A guest that needs a medium waits in PARTITION_WAITING until the daemon has opened it.
 *
 * Locking: on the partition's own CPU.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_MEDIA_H
#define HV_CORE_MEDIA_H

#include "core/partition.h"

#define MEDIA_COUNT 3

extern const char *const media_key[MEDIA_COUNT]; /* cdrom, disk, floppy */

/* Ask for @p's media and plug its port in. 0: all is there; -EAGAIN: wait, media_poll() says when;
 * other: it cannot start, told by error record. */
int media_open(struct partition *p);
/* The same question again, after REQUEST_CHANNEL. */
int media_poll(struct partition *p);
/* Data and frames that have come for a guest that is built. */
void media_service(struct partition *p);
/* The guest waits for an interrupt: what was kept back for it need not be any longer. */
void media_guest_halted(struct partition *p);
/* The guest has ended, its board stands still: give everything back. */
void media_close(struct partition *p);
/* What its board gets for drive @i; NULL: none. */
struct blk *media_blk(struct partition *p, unsigned i);
struct net *media_nic(struct partition *p);

#endif
