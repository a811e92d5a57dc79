/* Keys of the emulated keyboard: scan code sets, the controller's translation, and typing the bytes
 * of a terminal on it.
 *
 * A key is named by its set 1 make code, with KEY_EXT for those with an E0 prefix.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/i8042_keys.h"

#include "lib/str.h"

#define KEY_EXT	 0x80u
#define KEY_NONE 0u

#define KEY_ESC	      0x01
#define KEY_BACKSPACE 0x0e
#define KEY_TAB	      0x0f
#define KEY_ENTER     0x1c
#define KEY_LCTRL     0x1d
#define KEY_LSHIFT    0x2a
#define KEY_SPACE     0x39
#define KEY_HOME      (0x47 | KEY_EXT)
#define KEY_UP	      (0x48 | KEY_EXT)
#define KEY_PGUP      (0x49 | KEY_EXT)
#define KEY_LEFT      (0x4b | KEY_EXT)
#define KEY_RIGHT     (0x4d | KEY_EXT)
#define KEY_END	      (0x4f | KEY_EXT)
#define KEY_DOWN      (0x50 | KEY_EXT)
#define KEY_PGDN      (0x51 | KEY_EXT)
#define KEY_INSERT    (0x52 | KEY_EXT)
#define KEY_DELETE    (0x53 | KEY_EXT)
#define KEY_F1	      0x3b
#define KEY_F10	      0x44
#define KEY_F11	      0x57
#define KEY_F12	      0x58

/* The most bytes that one typed byte becomes: a broken-off escape sequence, of ESC (3 bytes in set
 * 2) and four characters with a modifier (6 each). */
#define TYPE_ROOM (3 + 4 * 6)

/* --- scan codes ------------------------------------------------------------------------------- */

/* The controller's translation table: index is a set 2 code, value the set 1 code. */
static const u8 set2_to_set1[0x85] = {
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29,
	0x59, 0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11,
	0x03, 0x5b, 0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14,
	0x13, 0x06, 0x5d, 0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24,
	0x16, 0x08, 0x09, 0x5f, 0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35,
	0x26, 0x27, 0x19, 0x0c, 0x61, 0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36,
	0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76, 0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c,
	0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f, 0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45,
	0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54, 0x80, 0x81, 0x82, 0x41, 0x54,
};

/* The set 2 code of a key. Searched from the top: F7 is 83, not 02. */
static u8 set2_of(u8 code)
{
	for (unsigned i = ARRAY_SIZE(set2_to_set1); i-- > 1;) {
		if (set2_to_set1[i] == code && i != 0x84)
			return (u8)i;
	}
	return 0;
}

/* Set 3 differs from set 2 where keys were added late or carry a prefix there. */
static u8 set3_of(u8 key)
{
	static const u8 differs[][2] = {
		{KEY_ESC, 0x08},    {KEY_LCTRL, 0x11},	{0x2b, 0x5c},	    {KEY_F1, 0x07},
		{KEY_F1 + 1, 0x0f}, {KEY_F1 + 2, 0x17}, {KEY_F1 + 3, 0x1f}, {KEY_F1 + 4, 0x27},
		{KEY_F1 + 5, 0x2f}, {KEY_F1 + 6, 0x37}, {KEY_F1 + 7, 0x3f}, {KEY_F1 + 8, 0x47},
		{KEY_F10, 0x4f},    {KEY_F11, 0x56},	{KEY_F12, 0x5e},    {KEY_HOME, 0x6e},
		{KEY_UP, 0x63},	    {KEY_PGUP, 0x6f},	{KEY_LEFT, 0x61},   {KEY_RIGHT, 0x6a},
		{KEY_END, 0x65},    {KEY_DOWN, 0x60},	{KEY_PGDN, 0x6d},   {KEY_INSERT, 0x67},
		{KEY_DELETE, 0x64},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(differs); i++) {
		if (differs[i][0] == key)
			return differs[i][1];
	}
	return set2_of(key);
}

static void send_key(struct i8042 *k, u8 key, bool press)
{
	u8 code = key & ~KEY_EXT;

	if ((key & KEY_EXT) && k->scan_set != 3)
		i8042_queue(k, 0xe0);
	if (k->scan_set == 1) {
		i8042_queue(k, press ? code : code | 0x80);
		return;
	}
	if (!press)
		i8042_queue(k, 0xf0);
	i8042_queue(k, k->scan_set == 3 ? set3_of(key) : set2_of(code));
}

bool i8042_from_wire(struct i8042 *k, u8 byte, u8 *out)
{
	if (!(k->ram[0] & I8042_CB_XLATE)) {
		*out = byte;
		return true;
	}
	if (byte == 0xf0) {
		k->xlate_break = true;
		return false;
	}
	*out = byte < ARRAY_SIZE(set2_to_set1) ? set2_to_set1[byte] : byte;
	if (k->xlate_break && byte != 0xe0 && byte != 0xe1)
		*out |= 0x80;
	k->xlate_break = false;
	return true;
}

/* --- typing ----------------------------------------------------------------------------------- */

static void tap(struct i8042 *k, u8 key, u8 modifier)
{
	if (modifier)
		send_key(k, modifier, true);
	send_key(k, key, true);
	send_key(k, key, false);
	if (modifier)
		send_key(k, modifier, false);
}

/* Keys of a US keyboard by row: make codes count up along each string. */
struct key_row {
	u8 first;
	const char *plain, *shifted;
};
static const struct key_row key_rows[] = {
	{0x02, "1234567890-=", "!@#$%^&*()_+"},
	{0x10, "qwertyuiop[]", "QWERTYUIOP{}"},
	{0x1e, "asdfghjkl;'`", "ASDFGHJKL:\"~"},
	{0x2b, "\\zxcvbnm,./", "|ZXCVBNM<>?"},
	{KEY_SPACE, " ", ""},
};

/* The key for a printable character; *@modifier becomes shift when it needs it. */
static u8 key_of(char ch, u8 *modifier)
{
	for (unsigned i = 0; i < ARRAY_SIZE(key_rows); i++) {
		const struct key_row *row = &key_rows[i];
		const char *at = strchr(row->plain, ch);

		if (at)
			return (u8)(row->first + (at - row->plain));
		at = strchr(row->shifted, ch);
		if (at) {
			*modifier = KEY_LSHIFT;
			return (u8)(row->first + (at - row->shifted));
		}
	}
	return KEY_NONE;
}

static void type_plain(struct i8042 *k, u8 ch)
{
	u8 key, modifier = 0;

	switch (ch) {
	case '\r':
	case '\n':
		tap(k, KEY_ENTER, 0);
		return;
	case '\b':
	case 0x7f:
		tap(k, KEY_BACKSPACE, 0);
		return;
	case '\t':
		tap(k, KEY_TAB, 0);
		return;
	case 0x1b:
		tap(k, KEY_ESC, 0);
		return;
	}
	if (ch && ch < 0x1b) {
		tap(k, key_of((char)(ch - 1 + 'a'), &modifier), KEY_LCTRL);
		return;
	}
	if (ch >= 0x1c && ch < 0x20) /* Ctrl-\ ] ^ _ */
		key = key_of("\\]6-"[ch - 0x1c], &modifier), modifier = KEY_LCTRL;
	else
		key = ch >= 0x20 && ch < 0x7f ? key_of((char)ch, &modifier) : KEY_NONE;
	if (key != KEY_NONE)
		tap(k, key, modifier);
}

/* What terminals send for the keys without a character, after ESC. */
static const struct {
	const char *seq;
	u8 key;
} sequences[] = {
	{"[A", KEY_UP},	      {"[B", KEY_DOWN},	    {"[C", KEY_RIGHT},	  {"[D", KEY_LEFT},
	{"OA", KEY_UP},	      {"OB", KEY_DOWN},	    {"OC", KEY_RIGHT},	  {"OD", KEY_LEFT},
	{"[H", KEY_HOME},     {"[F", KEY_END},	    {"OH", KEY_HOME},	  {"OF", KEY_END},
	{"[1~", KEY_HOME},    {"[2~", KEY_INSERT},  {"[3~", KEY_DELETE},  {"[4~", KEY_END},
	{"[5~", KEY_PGUP},    {"[6~", KEY_PGDN},    {"[7~", KEY_HOME},	  {"[8~", KEY_END},
	{"OP", KEY_F1},	      {"OQ", KEY_F1 + 1},   {"OR", KEY_F1 + 2},	  {"OS", KEY_F1 + 3},
	{"[11~", KEY_F1},     {"[12~", KEY_F1 + 1}, {"[13~", KEY_F1 + 2}, {"[14~", KEY_F1 + 3},
	{"[15~", KEY_F1 + 4}, {"[17~", KEY_F1 + 5}, {"[18~", KEY_F1 + 6}, {"[19~", KEY_F1 + 7},
	{"[20~", KEY_F1 + 8}, {"[21~", KEY_F10},    {"[23~", KEY_F11},	  {"[24~", KEY_F12},
	{"[[A", KEY_F1},      {"[[B", KEY_F1 + 1},  {"[[C", KEY_F1 + 2},  {"[[D", KEY_F1 + 3},
	{"[[E", KEY_F1 + 4},
};

/* Compare what followed ESC so far: the key when complete, KEY_NONE otherwise; *@more: it is a
 * proper beginning of some sequence. */
static u8 match_sequence(const struct i8042 *k, bool *more)
{
	*more = false;
	for (unsigned i = 0; i < ARRAY_SIZE(sequences); i++) {
		const char *seq = sequences[i].seq;
		size_t len = strlen(seq);

		if (len < k->esc_len - 1u || memcmp(seq, k->esc, k->esc_len - 1u) != 0)
			continue;
		if (len == k->esc_len - 1u)
			return sequences[i].key;
		*more = true;
	}
	return KEY_NONE;
}

/* Not a sequence after all: the ESC and what followed it were keys. */
static void flush_esc(struct i8042 *k)
{
	u8 n = k->esc_len;

	k->esc_len = 0;
	dev_timer_set(k->host, &k->esc_timer, TIMER_OFF);
	if (n)
		type_plain(k, 0x1b);
	for (unsigned i = 0; i + 1 < n; i++)
		type_plain(k, k->esc[i]);
}

void i8042_esc_timeout(void *arg, u64 now_ns)
{
	(void)now_ns;
	flush_esc(arg);
}

/* esc_len counts the ESC itself; esc[] holds what came after. */
static void type_in_sequence(struct i8042 *k, u8 ch)
{
	bool more;
	u8 key;

	k->esc[k->esc_len++ - 1] = ch;
	key = match_sequence(k, &more);
	if (key != KEY_NONE) {
		k->esc_len = 0;
		dev_timer_set(k->host, &k->esc_timer, TIMER_OFF);
		tap(k, key, 0);
	} else if (!more) {
		flush_esc(k);
	}
}

bool i8042_type_ascii(struct i8042 *k, u8 ch)
{
	if (I8042_QUEUE - k->count < TYPE_ROOM)
		return false;
	if (!k->scanning)
		return true; /* keys pressed on a disabled keyboard are lost */
	if (ch == 0x1b) {
		flush_esc(k);
		k->esc_len = 1;
		dev_timer_set(k->host, &k->esc_timer, dev_now(k->host) + I8042_ESC_NS);
	} else if (k->esc_len) {
		type_in_sequence(k, ch);
	} else {
		type_plain(k, ch);
	}
	return true;
}
