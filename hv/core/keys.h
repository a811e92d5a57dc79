/* Hypervisor keys on the serial line: Ctrl-] and a letter.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_KEYS_H
#define HV_CORE_KEYS_H

#include "penumbra/types.h"

/* Act on @key; @arg is what followed it ("3-9" after 'r'), never NULL. CPU 0. */
void hypervisor_key(char key, const char *arg);
/* Repeat the records @from..@to (log.c). */
void record_repeat(u64 from, u64 to);

#endif
