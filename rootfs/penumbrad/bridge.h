/* Linux's side of `bridge:IF`: the bridge, the interface in it, taps.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PENUMBRAD_BRIDGE_H
#define PENUMBRAD_BRIDGE_H

#include <net/if.h>

#include "penumbra/types.h"

/* Name of the bridge of interface @nic, into @bridge of IFNAMSIZ bytes: "br-" and the name, or the
 * end of a long one. */
void bridge_name(char *bridge, const char *nic);
/* Make the bridge of @nic if there is none, take @nic into it, and bring both up. Repeating it
 * changes nothing. 0, or -errno and @why. */
int bridge_make(const char *nic, char *why, size_t size);
/* A tap device in the bridge of @nic. The fd, non-blocking, or -errno and @why. */
int bridge_tap(const char *nic, unsigned port, char *why, size_t size);
/* Does @nic exist, and has it a carrier? 1 or 0, with @why. */
bool bridge_link(const char *nic, char *why, size_t size);
/* A netlink socket that becomes readable when an interface changes. -errno when there is none. */
int bridge_watch(void);

#endif
