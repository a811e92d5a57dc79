/* INT 09h and 16h of the guest BIOS, run on the host: scan codes in, keys out. Would catch: a wrong
 * code for a key, a modifier that sticks, a full buffer overwritten, extended keys shown to old
 * programs, a reader that does not wait.
 *
 * SRCS: guestbios/rom/kbd.c tests/unit/guestbios_host.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "../../guestbios/rom/bios16.h"

void int09(struct regs *r);
void int16(struct regs *r);

static unsigned syncs;

void text_sync(void)
{
	syncs++;
}

void log_call(u8 vector, struct regs *r)
{
	(void)vector;
	(void)r;
}

static void start(void)
{
	host_reset();
	bda.kbd_mode = 0x10;
	syncs = 0;
}

static void scan(u8 code)
{
	struct regs r = {0};

	host_in_pos = 0;
	host_in[0] = code;
	int09(&r);
}

static void scans(const char *codes)
{
	while (*codes)
		scan((u8)*codes++);
}

/* The next key by function AH, 0 if there is none. */
static u16 key(u8 ah)
{
	struct regs r = {.ax = (u16)((ah | 1) << 8)};

	int16(&r);
	if (r.flags & FLAG_ZF)
		return 0;
	r.ax = ah << 8;
	int16(&r);
	return r.ax;
}

TEST(letters_and_shift)
{
	start();
	scans("\x1e\x9e"); /* a */
	CHECK_EQ(key(0), 0x1e61);
	scans("\x2a\x1e\x9e\xaa"); /* shift-a */
	CHECK_EQ(key(0), 0x1e41);
	scans("\x1d\x2e\xae\x9d"); /* ctrl-c */
	CHECK_EQ(key(0), 0x2e03);
	scans("\x38\x2d\xad\xb8"); /* alt-x */
	CHECK_EQ(key(0), 0x2d00);
	scans("\x1c\x9c"); /* enter, no modifier left */
	CHECK_EQ(key(0), 0x1c0d);
	CHECK_EQ(key(0), 0);
	CHECK_EQ(bda.kbd_flags0, 0);
}

TEST(caps_lock_shifts_letters_only)
{
	start();
	scans("\x3a\xba\x1e\x9e\x02\x82\x2a\x1e\x9e\xaa\x3a\xba\x1e\x9e");
	CHECK_EQ(key(0), 0x1e41);
	CHECK_EQ(key(0), 0x0231);
	CHECK_EQ(key(0), 0x1e61);
	CHECK_EQ(key(0), 0x1e61);
}

TEST(grey_keys_for_new_and_old_programs)
{
	start();
	scans("\xe0\x48\xe0\xc8"); /* up */
	CHECK_EQ(key(0x10), 0x48e0);
	scans("\xe0\x48\xe0\xc8");
	CHECK_EQ(key(0x00), 0x4800);
	scans("\xe0\x1c\xe0\x9c"); /* keypad enter */
	CHECK_EQ(key(0x10), 0xe00d);
	scans("\xe0\x1c\xe0\x9c");
	CHECK_EQ(key(0x00), 0x1c0d);
	scans("\x57\xd7"); /* F11 is a new key */
	CHECK_EQ(key(0x10), 0x8500);
	scans("\x57\xd7\x3b\xbb");
	CHECK_EQ(key(0x00), 0x3b00); /* old programs get F1, never F11 */
}

TEST(keypad_needs_num_lock)
{
	start();
	scans("\x47\xc7");
	CHECK_EQ(key(0), 0x4700);
	scans("\x45\xc5\x47\xc7");
	CHECK_EQ(key(0), 0x4737);
}

TEST(alt_and_digits_make_a_character)
{
	start();
	scans("\x38\x4f\xcf\x50\xd0\x4f\xcf\xb8"); /* Alt-1-2-1 */
	CHECK_EQ(key(0), 121);
}

TEST(full_buffer_drops_the_newest)
{
	start();
	for (int i = 0; i < 40; i++)
		scans("\x1e\x9e");
	for (int i = 0; i < 15; i++)
		CHECK_EQ(key(0), 0x1e61);
	CHECK_EQ(key(0), 0);
}

static unsigned waits;
static void wait_then_type(void)
{
	if (++waits == 3)
		scans("\x39\xb9");
}

TEST(reader_waits_and_shows_the_prompt)
{
	struct regs r = {0};

	start();
	waits = 0;
	host_wait = wait_then_type;
	int16(&r);
	CHECK_EQ(r.ax, 0x3920);
	CHECK_EQ(waits, 3);
	CHECK_EQ(syncs, 1);
}

TEST(keys_can_be_pushed)
{
	struct regs r = {.ax = 0x0500, .cx = 0x1234};

	start();
	int16(&r);
	CHECK_EQ(r.al, 0);
	CHECK_EQ(key(0), 0x1234);
}

TEST(one_interrupt_costs_two_port_accesses)
{
	start();
	scan(0x1e);
	CHECK_EQ(host_exits, 2); /* the data port and the EOI */
}

TEST(no_scan_code_leads_outside_the_tables)
{
	for (int prefix = 0; prefix < 3; prefix++)
		for (int code = 1; code < 256; code++) {
			start();
			if (prefix)
				scan(prefix == 1 ? 0xe0 : 0xe1);
			if (code == 0x45 && prefix == 2)
				continue; /* Pause waits for a key */
			scan(code);
			scan(code | 0x80);
			key(0x10);
		}
}
