/* The person's terminal while it serves as that of the machine (--interactive).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PNCOLLECT_KEYBOARD_H
#define PNCOLLECT_KEYBOARD_H

#include "penumbra/types.h"

struct keyboard {
	enum { KEYS_PLAIN, KEYS_ESCAPE, KEYS_RANGE } state;
};

/* Standard input without echo and line editing, until the program ends. */
void keyboard_raw(void);
void keyboard_restore(void);
/* Follow what is typed. Returns how many of the @n bytes go to the line; fewer when Ctrl-\ ends
 * the program. */
size_t keyboard_take(struct keyboard *k, const char *bytes, size_t n);
/* Amid a key sequence of the hypervisor's: a request now would be taken for part of it. */
bool keyboard_busy(const struct keyboard *k);

#endif
