/* The control partition: Debian's Linux kernel beside the guests, with the machine's real devices
 * (docs/control.md). One vCPU on CPU 0, memory mapped one to one.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_CONTROL_H
#define HV_CORE_CONTROL_H

#include "core/config.h"

struct partition;
struct cmdline;

/* NULL: guests alone. */
extern struct partition *control_partition;

/* Build it, if the command line wants it and its modules are there; what is wrong becomes an error
 * record. Boot CPU, before any guest takes memory. */
void control_create(const struct config *c, const struct cmdline *cmdline);
/* Let it run; the guests on its CPU wait for control_ready(). */
void control_start(void);
/* Its init says that it is up: the guests on its CPU start. Further calls do nothing. On CPU 0. */
void control_ready(void);

#endif
