/* The person's terminal; see keyboard.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "keyboard.h"

#include <termios.h>
#include <unistd.h>

#define CTRL_BRACKET   0x1d
#define CTRL_BACKSLASH 0x1c

static struct termios saved;
static bool is_raw;

void keyboard_raw(void)
{
	struct termios t;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved))
		return;
	t = saved;
	t.c_iflag &= ~(tcflag_t)(ICRNL | INLCR | IXON | ISTRIP | BRKINT);
	t.c_lflag &= ~(tcflag_t)(ECHO | ICANON | ISIG | IEXTEN);
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	is_raw = !tcsetattr(STDIN_FILENO, TCSANOW, &t);
}

void keyboard_restore(void)
{
	if (is_raw)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	is_raw = false;
}

static void follow(struct keyboard *k, char c)
{
	switch (k->state) {
	case KEYS_PLAIN:
		if (c == CTRL_BRACKET)
			k->state = KEYS_ESCAPE;
		break;
	case KEYS_ESCAPE:
		k->state = c == 'r' ? KEYS_RANGE : KEYS_PLAIN;
		break;
	case KEYS_RANGE:
		if (c == CTRL_BRACKET)
			k->state = KEYS_ESCAPE;
		else if (c == '\r' || c == '\n')
			k->state = KEYS_PLAIN;
		break;
	}
}

size_t keyboard_take(struct keyboard *k, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == CTRL_BACKSLASH)
			return i;
		follow(k, bytes[i]);
	}
	return n;
}

bool keyboard_busy(const struct keyboard *k)
{
	return k->state != KEYS_PLAIN;
}
