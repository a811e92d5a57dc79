/* The serial line of the paging kernels.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging.h"

#define COM1 0x3f8

static void put_char(char c)
{
	while (!(inb(COM1 + 5) & 0x20))
		;
	outb(COM1, (u8)c);
}

void say(const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			put_char('\r');
		put_char(*text);
	}
}

void say_hex(u64 value)
{
	int shift = 60;

	while (shift && !(value >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		put_char("0123456789abcdef"[value >> shift & 15]);
}

void say_begin(void)
{
	outb(COM1 + 3, 3);
}
