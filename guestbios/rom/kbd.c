/* Keyboard: INT 09h from the 8042's scan codes (set 1) to the BDA's buffer, INT 16h out of it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bios16.h"

#define KBC_DATA 0x60
#define KBC_CMD	 0x64
#define PIC_CMD	 0x20
#define PIC2_CMD 0xa0
#define EOI	 0x20

/* BDA 17h */
#define F0_RSHIFT 0x01
#define F0_LSHIFT 0x02
#define F0_SHIFT  0x03
#define F0_CTRL	  0x04
#define F0_ALT	  0x08
#define F0_SCROLL 0x10
#define F0_NUM	  0x20
#define F0_CAPS	  0x40
#define F0_INS	  0x80
/* BDA 18h */
#define F1_LCTRL 0x01
#define F1_LALT	 0x02
#define F1_SYSRQ 0x04
#define F1_PAUSE 0x08
/* BDA 96h */
#define M_E1	0x01
#define M_E0	0x02
#define M_RCTRL 0x04
#define M_RALT	0x08
#define M_101	0x10

/* Per scan code 01h to 58h: plain, shift, ctrl, alt. 0: no key; a high byte of 0 in a word means
 * "the scan code itself". F marks keys that Caps Lock (C) or Num Lock (N) shifts. */
#define CAPS 1
#define NUM  2
struct key {
	u16 plain, shift, ctrl, alt;
	u16 lock;
};
#define LETTER(scan, c)                                                                            \
	{                                                                                          \
		(scan) << 8 | (c), (scan) << 8 | ((c)-32), (scan) << 8 | ((c)-96), (scan) << 8,    \
			CAPS                                                                       \
	}
#define CHARKEY(scan, p, s)                                                                        \
	{                                                                                          \
		(scan) << 8 | (p), (scan) << 8 | (s), 0, 0, 0                                      \
	}
#define CHARKEY_A(scan, p, s, a)                                                                   \
	{                                                                                          \
		(scan) << 8 | (p), (scan) << 8 | (s), 0, a, 0                                      \
	}
#define FKEY(scan, n)                                                                              \
	{                                                                                          \
		(scan) << 8, (0x53 + (n)) << 8, (0x5d + (n)) << 8, (0x67 + (n)) << 8, 0            \
	}
#define PAD(scan, digit, ctrl)                                                                     \
	{                                                                                          \
		(scan) << 8, (scan) << 8 | (digit), ctrl, 1, NUM                                   \
	}

ROM struct key keys[0x59] = {
	[0x01] = {0x011b, 0x011b, 0x011b, 0x0100, 0},
	[0x02] = CHARKEY_A(0x02, '1', '!', 0x7800),
	[0x03] = {0x0332, 0x0340, 0x0300, 0x7900, 0},
	[0x04] = CHARKEY_A(0x04, '3', '#', 0x7a00),
	[0x05] = CHARKEY_A(0x05, '4', '$', 0x7b00),
	[0x06] = CHARKEY_A(0x06, '5', '%', 0x7c00),
	[0x07] = {0x0736, 0x075e, 0x071e, 0x7d00, 0},
	[0x08] = CHARKEY_A(0x08, '7', '&', 0x7e00),
	[0x09] = CHARKEY_A(0x09, '8', '*', 0x7f00),
	[0x0a] = CHARKEY_A(0x0a, '9', '(', 0x8000),
	[0x0b] = CHARKEY_A(0x0b, '0', ')', 0x8100),
	[0x0c] = {0x0c2d, 0x0c5f, 0x0c1f, 0x8200, 0},
	[0x0d] = CHARKEY_A(0x0d, '=', '+', 0x8300),
	[0x0e] = {0x0e08, 0x0e08, 0x0e7f, 0x0e00, 0},
	[0x0f] = {0x0f09, 0x0f00, 0x9400, 0xa500, 0},
	[0x10] = LETTER(0x10, 'q'),
	[0x11] = LETTER(0x11, 'w'),
	[0x12] = LETTER(0x12, 'e'),
	[0x13] = LETTER(0x13, 'r'),
	[0x14] = LETTER(0x14, 't'),
	[0x15] = LETTER(0x15, 'y'),
	[0x16] = LETTER(0x16, 'u'),
	[0x17] = LETTER(0x17, 'i'),
	[0x18] = LETTER(0x18, 'o'),
	[0x19] = LETTER(0x19, 'p'),
	[0x1a] = {0x1a5b, 0x1a7b, 0x1a1b, 0x1a00, 0},
	[0x1b] = {0x1b5d, 0x1b7d, 0x1b1d, 0x1b00, 0},
	[0x1c] = {0x1c0d, 0x1c0d, 0x1c0a, 0x1c00, 0},
	[0x1e] = LETTER(0x1e, 'a'),
	[0x1f] = LETTER(0x1f, 's'),
	[0x20] = LETTER(0x20, 'd'),
	[0x21] = LETTER(0x21, 'f'),
	[0x22] = LETTER(0x22, 'g'),
	[0x23] = LETTER(0x23, 'h'),
	[0x24] = LETTER(0x24, 'j'),
	[0x25] = LETTER(0x25, 'k'),
	[0x26] = LETTER(0x26, 'l'),
	[0x27] = CHARKEY_A(0x27, ';', ':', 0x2700),
	[0x28] = CHARKEY_A(0x28, '\'', '"', 0x2800),
	[0x29] = CHARKEY_A(0x29, '`', '~', 0x2900),
	[0x2b] = {0x2b5c, 0x2b7c, 0x2b1c, 0x2b00, 0},
	[0x2c] = LETTER(0x2c, 'z'),
	[0x2d] = LETTER(0x2d, 'x'),
	[0x2e] = LETTER(0x2e, 'c'),
	[0x2f] = LETTER(0x2f, 'v'),
	[0x30] = LETTER(0x30, 'b'),
	[0x31] = LETTER(0x31, 'n'),
	[0x32] = LETTER(0x32, 'm'),
	[0x33] = CHARKEY_A(0x33, ',', '<', 0x3300),
	[0x34] = CHARKEY_A(0x34, '.', '>', 0x3400),
	[0x35] = CHARKEY_A(0x35, '/', '?', 0x3500),
	[0x37] = {0x372a, 0x372a, 0x9600, 0x3700, 0},
	[0x39] = {0x3920, 0x3920, 0x3920, 0x3920, 0},
	[0x3b] = FKEY(0x3b, 1),
	[0x3c] = FKEY(0x3c, 2),
	[0x3d] = FKEY(0x3d, 3),
	[0x3e] = FKEY(0x3e, 4),
	[0x3f] = FKEY(0x3f, 5),
	[0x40] = FKEY(0x40, 6),
	[0x41] = FKEY(0x41, 7),
	[0x42] = FKEY(0x42, 8),
	[0x43] = FKEY(0x43, 9),
	[0x44] = FKEY(0x44, 10),
	[0x47] = PAD(0x47, '7', 0x7700),
	[0x48] = PAD(0x48, '8', 0x8d00),
	[0x49] = PAD(0x49, '9', 0x8400),
	[0x4a] = {0x4a2d, 0x4a2d, 0x8e00, 0x4a00, 0},
	[0x4b] = PAD(0x4b, '4', 0x7300),
	[0x4c] = PAD(0x4c, '5', 0x8f00),
	[0x4d] = PAD(0x4d, '6', 0x7400),
	[0x4e] = {0x4e2b, 0x4e2b, 0x9000, 0x4e00, 0},
	[0x4f] = PAD(0x4f, '1', 0x7500),
	[0x50] = PAD(0x50, '2', 0x9100),
	[0x51] = PAD(0x51, '3', 0x7600),
	[0x52] = PAD(0x52, '0', 0x9200),
	[0x53] = PAD(0x53, '.', 0x9300),
	[0x56] = {0x565c, 0x567c, 0, 0, 0},
	[0x57] = {0x8500, 0x8700, 0x8900, 0x8b00, 0},
	[0x58] = {0x8600, 0x8800, 0x8a00, 0x8c00, 0},
};

/* --- the buffer ---------------------------------------------------------------------------- */
static u16 next_slot(u16 at)
{
	at += 2;
	return at >= bda.kbd_end ? bda.kbd_start : at;
}

static bool enqueue(u16 key)
{
	u16 tail = bda.kbd_tail, next = next_slot(tail);

	if (next == bda.kbd_head)
		return false;
	far_set_u16(BDA_SEG, tail, key);
	bda.kbd_tail = next;
	return true;
}

/* --- INT 09h ------------------------------------------------------------------------------- */
static void shift_flag(u8 flag, bool up)
{
	bda.kbd_flags0 = up ? bda.kbd_flags0 & ~flag : bda.kbd_flags0 | flag;
}

static void set_left_right(bool ctrl, bool e0, bool up)
{
	u8 left = ctrl ? F1_LCTRL : F1_LALT, right = ctrl ? M_RCTRL : M_RALT;
	u8 both = ctrl ? F0_CTRL : F0_ALT;

	if (e0)
		bda.kbd_mode = up ? bda.kbd_mode & ~right : bda.kbd_mode | right;
	else
		bda.kbd_flags1 = up ? bda.kbd_flags1 & ~left : bda.kbd_flags1 | left;
	shift_flag(both, !(bda.kbd_flags1 & left) && !(bda.kbd_mode & right));
	/* Releasing Alt ends a decimal code typed on the keypad. */
	if (!ctrl && up && bda.kbd_alt) {
		enqueue(bda.kbd_alt);
		bda.kbd_alt = 0;
	}
}

/* Toggles act once per press: BDA 18h notes that the key is held. */
static void toggle(u8 flag, bool up)
{
	if (up) {
		bda.kbd_flags1 &= ~flag;
		return;
	}
	if (!(bda.kbd_flags1 & flag))
		bda.kbd_flags0 ^= flag;
	bda.kbd_flags1 |= flag;
}

static void interrupt(u8 vector)
{
	u16 ax = 0;
	bool cf = false;

	call_int(vector, &ax, &cf);
}

static void ctrl_break(void)
{
	bda.kbd_head = bda.kbd_tail = bda.kbd_start;
	bda.ctrl_break = 0x80;
	interrupt(0x1b);
	enqueue(0);
}

/* Grey (E0) cursor keys: E0h as character with the plain code, the keypad's code with ctrl. */
static u16 grey_key(u8 scan, const struct key *k)
{
	u8 f = bda.kbd_flags0;

	switch (scan) {
	case 0x1c:
		return f & F0_ALT ? 0xa600 : f & F0_CTRL ? 0xe00a : 0xe00d;
	case 0x35:
		return f & F0_ALT ? 0xa400 : f & F0_CTRL ? 0x9500 : 0xe02f;
	}
	if (scan < 0x47 || scan > 0x53)
		return 0;
	if (f & F0_ALT)
		return (scan + 0x50) << 8;
	return (f & F0_CTRL ? rom_u16(&k->ctrl) : scan << 8) | 0xe0;
}

static u16 plain_key(u8 scan, const struct key *k)
{
	u8 f = bda.kbd_flags0;
	u16 lock = rom_u16(&k->lock);
	bool shift = f & F0_SHIFT;

	if (f & F0_ALT) {
		u8 digit = rom_u16(&k->shift);

		if (rom_u16(&k->alt) != 1)
			return rom_u16(&k->alt);
		if (scan <= 0x52)
			bda.kbd_alt = bda.kbd_alt * 10 + (digit & 0x0f);
		return 0;
	}
	if (f & F0_CTRL)
		return rom_u16(&k->ctrl);
	if ((lock == CAPS && f & F0_CAPS) || (lock == NUM && f & F0_NUM))
		shift = !shift;
	return shift ? rom_u16(&k->shift) : rom_u16(&k->plain);
}

static void reboot(void)
{
	bda.warm = 0x1234;
	outb(KBC_CMD, 0xfe);
	for (;;)
		irq_window_wait();
}

/* Modifier and system keys; returns false if the key is none. */
static bool modifier(u8 scan, bool e0, bool up)
{
	switch (scan) {
	case 0x2a:
	case 0x36:
		if (!e0) /* E0 2A/36 only dress up grey keys */
			shift_flag(scan == 0x2a ? F0_LSHIFT : F0_RSHIFT, up);
		return true;
	case 0x1d:
		set_left_right(true, e0, up);
		return true;
	case 0x38:
		set_left_right(false, e0, up);
		return true;
	case 0x3a:
		toggle(F0_CAPS, up);
		return true;
	case 0x45:
		if (!up && !e0 && bda.kbd_flags0 & F0_CTRL)
			bda.kbd_flags1 |= F1_PAUSE;
		else
			toggle(F0_NUM, up);
		return true;
	case 0x46:
		if (bda.kbd_flags0 & F0_CTRL || e0) {
			if (!up)
				ctrl_break();
		} else {
			toggle(F0_SCROLL, up);
		}
		return true;
	case 0x54: {
		u16 ax = 0x8500 | up;
		bool cf = false;

		call_int(0x15, &ax, &cf);
		return true;
	}
	}
	return false;
}

static void press(u8 scan, bool e0)
{
	u16 code;

	if (scan == 0x53 && (bda.kbd_flags0 & (F0_CTRL | F0_ALT)) == (F0_CTRL | F0_ALT))
		reboot();
	if (bda.kbd_flags1 & F1_PAUSE) { /* any key ends the pause and is swallowed */
		bda.kbd_flags1 &= ~F1_PAUSE;
		return;
	}
	if (scan == 0x37 && (e0 || bda.kbd_flags0 & F0_SHIFT)) {
		interrupt(0x05);
		return;
	}
	if (scan >= ARRAY_SIZE(keys))
		return;
	if (scan == 0x52)
		bda.kbd_flags0 ^= F0_INS;
	code = e0 ? grey_key(scan, &keys[scan]) : plain_key(scan, &keys[scan]);
	if (code) {
		u16 ax = 0x9102;
		bool cf = false;

		if (enqueue(code))
			call_int(0x15, &ax, &cf);
	}
}

static void scan_code(u8 code)
{
	bool e0 = bda.kbd_mode & M_E0, up = code & 0x80;

	if (code == 0xe0 || code == 0xe1) {
		bda.kbd_mode |= code == 0xe0 ? M_E0 : M_E1;
		return;
	}
	if (code >= 0xfa) /* acknowledge, resend, errors: not keys */
		return;
	if (bda.kbd_mode & M_E1) { /* Pause: E1 1D 45 E1 9D C5 */
		if ((code & 0x7f) == 0x45) {
			bda.kbd_mode &= ~M_E1;
			if (!up)
				bda.kbd_flags1 |= F1_PAUSE;
		}
		return;
	}
	bda.kbd_mode &= ~M_E0;
	if (!modifier(code & 0x7f, e0, up) && !up)
		press(code, e0);
}

void int09(struct regs *r);
void int09(struct regs *r)
{
	u16 ax;
	bool cf = true;

	(void)r;
	ax = 0x4f00 | inb(KBC_DATA);
	call_int(0x15, &ax, &cf); /* keyboard intercept: may change or swallow it */
	outb(PIC_CMD, EOI);
	if (cf)
		scan_code(ax & 0xff);
	while (bda.kbd_flags1 & F1_PAUSE && !(bda.kbd_mode & (M_E0 | M_E1)))
		irq_window_wait();
}

/* IRQ 12: no pointing-device driver (INT 15h/C2h) here, so the byte is dropped. */
void int74(struct regs *r);
void int74(struct regs *r)
{
	(void)r;
	inb(KBC_DATA);
	outb(PIC2_CMD, EOI);
	outb(PIC_CMD, EOI);
}

/* --- INT 16h ------------------------------------------------------------------------------- */
/* As the 84-key services show a key: grey keys look like keypad keys, new keys do not exist. */
static bool old_style(u16 *key)
{
	u8 c = *key, scan = *key >> 8;

	if (c == 0xe0 && scan) {
		*key &= 0xff00;
		return true;
	}
	if (scan == 0xe0) {
		*key = (c == '/' ? 0x3500 : 0x1c00) | c;
		return true;
	}
	return scan <= 0x84 || c == 0xf0;
}

static u16 peek_key(bool *any, bool extended)
{
	u16 key = 0;

	*any = false;
	while (bda.kbd_head != bda.kbd_tail) {
		key = far_u16(BDA_SEG, bda.kbd_head);
		if (extended || old_style(&key)) {
			*any = true;
			break;
		}
		bda.kbd_head = next_slot(bda.kbd_head);
	}
	return key;
}

static u16 read_key(bool extended)
{
	bool any;
	u16 key;

	key = peek_key(&any, extended);
	if (!any)
		text_sync();
	while (!any) {
		irq_window_wait();
		key = peek_key(&any, extended);
	}
	bda.kbd_head = next_slot(bda.kbd_head);
	return key;
}

static void poll_key(struct regs *r, bool extended)
{
	bool any;
	u16 key = peek_key(&any, extended);

	if (!any) { /* programs that poll do so with interrupts off at times */
		irq_window();
		key = peek_key(&any, extended);
	}
	if (any)
		r->ax = key;
	set_zf(r, !any);
}

static u8 flags1_extended(void)
{
	u8 f = bda.kbd_flags1 & 0x73, m = bda.kbd_mode;

	return f | (m & M_RCTRL ? 0x04 : 0) | (m & M_RALT ? 0x08 : 0) |
	       (bda.kbd_flags1 & F1_SYSRQ ? 0x80 : 0);
}

void int16(struct regs *r);
void int16(struct regs *r)
{
	switch (r->ah) {
	case 0x00:
	case 0x10:
		r->ax = read_key(r->ah & 0x10);
		break;
	case 0x01:
	case 0x11:
		poll_key(r, r->ah & 0x10);
		break;
	case 0x02:
		r->al = bda.kbd_flags0;
		break;
	case 0x12:
		r->al = bda.kbd_flags0;
		r->ah = flags1_extended();
		break;
	case 0x03: /* repeat rate: the serial line's keyboard has none */
		break;
	case 0x05:
		r->al = !enqueue(r->cx);
		break;
	case 0x09: /* functions 03h/05h and the 10h group exist */
		r->al = 0x24;
		break;
	case 0x0a:
		r->bx = 0x41ab;
		break;
	case 0x92: /* presence checks of the 10h and 20h groups */
		r->ah = 0x80;
		break;
	case 0xa2:
		break;
	default:
		log_call(0x16, r);
	}
}
