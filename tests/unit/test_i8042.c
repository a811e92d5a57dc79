/* 8042 and keyboard. Would catch: wrong or missing scan codes for typed text, keys stuck down,
 * commands that drivers probe with answered wrongly, a mouse that seems to be there, lost reset or
 * A20 requests, bytes that follow each other too fast, buffers that overflow.
 *
 * SRCS: hv/dev/i8042.c hv/dev/i8042_keys.c hv/dev/bus.c hv/lib/timerq.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/i8042.h"

#include "board_host.h"
#include "unit.h"

static struct board_host b;
static struct i8042 kbd;
static struct pin irq1, a20;

static void setup(void)
{
	struct irq_line i = pin_line(&irq1), a = pin_line(&a20);

	board_host_init(&b, NULL, 0);
	memset(&irq1, 0, sizeof(irq1));
	memset(&a20, 0, sizeof(a20));
	CHECK_EQ(i8042_init(&kbd, &b.bus, &b.f.host, &i, &a), 0);
}

static void cmd(u8 value)
{
	out8(&b, 0x64, value);
}

static void data(u8 value)
{
	out8(&b, 0x60, value);
}

/* What a driver sees: wait for OBF, read; -1 after 10 ms. */
static int next(void)
{
	for (unsigned i = 0; i < 100; i++) {
		if (in8(&b, 0x64) & I8042_STS_OBF)
			return in8(&b, 0x60);
		board_run(&b, 100 * NSEC_PER_USEC);
	}
	return -1;
}

/* All bytes that come, as hex text. */
static const char *drain(void)
{
	static char text[1024];
	size_t at = 0;
	int v;

	text[0] = '\0';
	while ((v = next()) >= 0 && at + 4 < sizeof(text))
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%02x", at ? " " : "",
				       (unsigned)v);
	return text;
}

static const char *type(const char *s)
{
	while (*s)
		CHECK(i8042_type_ascii(&kbd, (u8)*s++));
	return drain();
}

TEST(letters_press_and_release)
{
	setup();
	CHECK_STR(type("a"), "1e 9e");
	CHECK_STR(type("A"), "2a 1e 9e aa");
	CHECK_STR(type("1!"), "02 82 2a 02 82 aa");
	CHECK_STR(type("\r"), "1c 9c");
	CHECK_STR(type("\n"), "1c 9c");
	CHECK_STR(type("\b\x7f"), "0e 8e 0e 8e");
	CHECK_STR(type("\t "), "0f 8f 39 b9");
	CHECK_STR(type("\x03"), "1d 2e ae 9d"); /* Ctrl-C */
	CHECK_STR(type("\x1d"), "1d 1b 9b 9d"); /* Ctrl-] */
}

/* A decoder of our own for set 1 on a US layout: every printable character must come back. */
TEST(every_printable_character_decodes_to_itself)
{
	static const char plain[] =
		"\a\a1234567890-=\a\aqwertyuiop[]\r\aasdfghjkl;'`\a\\zxcvbnm,./";
	static const char shift[] =
		"\a\a!@#$%^&*()_+\a\aQWERTYUIOP{}\r\aASDFGHJKL:\"~\a|ZXCVBNM<>?";

	for (unsigned ch = 0x20; ch < 0x7f; ch++) {
		bool shifted = false;
		int got = -1, v;

		setup();
		i8042_type_ascii(&kbd, (u8)ch);
		while ((v = next()) >= 0) {
			if (v == 0x2a || v == 0xaa)
				shifted = v == 0x2a;
			else if (v == 0x39)
				got = ' ';
			else if (v < 0x80 && (size_t)v < sizeof(plain))
				got = shifted ? shift[v] : plain[v];
		}
		CHECK_EQ(got, ch);
		CHECK(!shifted);
	}
}

TEST(terminal_sequences_become_keys)
{
	setup();
	CHECK_STR(type("\x1b[A"), "e0 48 e0 c8");
	CHECK_STR(type("\x1bOB"), "e0 50 e0 d0");
	CHECK_STR(type("\x1b[3~"), "e0 53 e0 d3");
	CHECK_STR(type("\x1b[5~"), "e0 49 e0 c9");
	CHECK_STR(type("\x1bOP"), "3b bb");
	CHECK_STR(type("\x1bOQ\x1bOR\x1bOS"), "3c bc 3d bd 3e be");
	CHECK_STR(type("\x1b[18~"), "41 c1"); /* F7, whose set 2 code is 83 */
	CHECK_STR(type("\x1b[24~"), "58 d8");
	CHECK_STR(type("\x1b[H\x1b[F"), "e0 47 e0 c7 e0 4f e0 cf");
}

TEST(a_lone_escape_comes_through)
{
	setup();
	i8042_type_ascii(&kbd, 0x1b);
	board_run(&b, 49 * NSEC_PER_MSEC);
	CHECK_EQ(in8(&b, 0x64) & I8042_STS_OBF, 0);
	board_run(&b, 2 * NSEC_PER_MSEC);
	CHECK_STR(drain(), "01 81");
	CHECK_STR(type("\x1bx"), "01 81 2d ad"); /* no sequence begins like that */
	CHECK_STR(type("\x1b\x1b[A"), "01 81 e0 48 e0 c8");
	CHECK_EQ(timerq_next(&b.f.q), TIMER_OFF);
}

TEST(without_translation_set_2_comes)
{
	setup();
	cmd(0x60);
	data(I8042_CB_INT);
	CHECK_STR(type("aA"), "1c f0 1c 12 1c f0 1c f0 12");
	CHECK_STR(type("\x1b[A"), "e0 75 e0 f0 75");
	data(0xf0);
	CHECK_EQ(next(), 0xfa);
	data(1);
	CHECK_EQ(next(), 0xfa);
	CHECK_STR(type("a"), "1e 9e");
	data(0xf0);
	next();
	data(3);
	next();
	CHECK_STR(type("\x1b[A\x1bOP"), "63 f0 63 07 f0 07");
	data(0xf0);
	next();
	data(0);
	CHECK_STR(drain(), "fa 03");
}

TEST(bytes_are_spaced_as_on_a_wire)
{
	setup();
	i8042_type_ascii(&kbd, 'a');
	CHECK(irq1.level);
	CHECK_EQ(in8(&b, 0x60), 0x1e);
	CHECK(!irq1.level);
	CHECK_EQ(in8(&b, 0x64) & I8042_STS_OBF, 0);
	CHECK_EQ(in8(&b, 0x60), 0x1e); /* a second reader sees the same byte */
	board_run(&b, I8042_BYTE_NS);
	CHECK(irq1.level);
	CHECK_EQ(irq1.rises, 2);
	CHECK_EQ(in8(&b, 0x60), 0x9e);
	CHECK_EQ(timerq_next(&b.f.q), TIMER_OFF);
}

TEST(the_controller_answers_its_commands)
{
	setup();
	cmd(0xaa);
	CHECK_EQ(next(), 0x55);
	CHECK_EQ(in8(&b, 0x64) & I8042_STS_SYS, I8042_STS_SYS);
	cmd(0xab);
	CHECK_EQ(next(), 0x00);
	cmd(0x60);
	data(0x47);
	cmd(0x20);
	CHECK_EQ(next(), 0x47);
	cmd(0x65);
	data(0x99);
	cmd(0x25);
	CHECK_EQ(next(), 0x99);
	cmd(0xa4);
	CHECK_EQ(next(), 0xf1);
	cmd(0xc0);
	CHECK(next() & 0x80);
	cmd(0xd2);
	data(0x33);
	CHECK(irq1.level);
	CHECK_EQ(next(), 0x33);
	cmd(0xad);
	i8042_type_ascii(&kbd, 'a');
	CHECK_STR(drain(), "");
	cmd(0xae);
	CHECK_STR(drain(), "1e 9e");
}

TEST(there_is_no_mouse)
{
	setup();
	cmd(0xa9);
	CHECK_EQ(next(), 0x01);
	cmd(0xd4);
	data(0xff);
	CHECK_EQ(next(), -1);
	cmd(0xd3); /* loop test: the byte comes back, but not as auxiliary data */
	data(0x5a);
	CHECK_EQ(in8(&b, 0x64) & (I8042_STS_OBF | I8042_STS_AUX), I8042_STS_OBF);
	CHECK_EQ(next(), 0x5a);
	cmd(0xa7);
	cmd(0x20);
	CHECK(next() & I8042_CB_AUX_OFF);
	cmd(0xa8);
	cmd(0x20);
	CHECK(!(next() & I8042_CB_AUX_OFF));
}

TEST(the_keyboard_answers_its_commands)
{
	setup();
	data(0xff);
	CHECK_STR(drain(), "fa aa");
	data(0xf2);
	CHECK_STR(drain(), "fa ab 41");
	data(0xee);
	CHECK_STR(drain(), "ee");
	data(0xed);
	CHECK_STR(drain(), "fa");
	data(0x07);
	CHECK_STR(drain(), "fa");
	CHECK_EQ(kbd.leds, 7);
	data(0xf3);
	next();
	data(0x20);
	CHECK_STR(drain(), "fa");
	CHECK_EQ(kbd.typematic, 0x20);
	data(0xf4);
	CHECK_STR(drain(), "fa");
	data(0x05);
	CHECK_STR(drain(), "fe");
	data(0xed); /* a command ends the wait for a parameter */
	next();
	data(0xf4);
	CHECK_STR(drain(), "fa");
	data(0x02);
	CHECK_STR(drain(), "fe");
}

TEST(a_disabled_keyboard_sends_no_keys)
{
	setup();
	data(0xf5);
	CHECK_STR(drain(), "fa");
	CHECK_STR(type("abc"), "");
	data(0xf4);
	CHECK_STR(drain(), "fa");
	CHECK_STR(type("a"), "1e 9e");
	data(0xf5);
	drain();
	data(0xf6);
	CHECK_STR(drain(), "fa");
	CHECK_STR(type("a"), "1e 9e");
}

TEST(an_answer_comes_before_a_key_that_was_there)
{
	setup();
	i8042_type_ascii(&kbd, 'a');
	cmd(0x20);
	CHECK_EQ(next(), I8042_CB_XLATE | I8042_CB_INT);
	CHECK_STR(drain(), "1e 9e");
}

TEST(irq1_follows_the_command_byte)
{
	setup();
	cmd(0x60);
	data(I8042_CB_XLATE);
	i8042_type_ascii(&kbd, 'a');
	CHECK(!irq1.level);
	cmd(0x60);
	data(I8042_CB_XLATE | I8042_CB_INT);
	CHECK(irq1.level);
}

TEST(a20_and_reset_go_through_the_output_port)
{
	setup();
	CHECK(a20.level);
	cmd(0xd0);
	CHECK_EQ(next() & 3, 3);
	cmd(0xd1);
	data(0xdd);
	CHECK(!a20.level);
	cmd(0xdf);
	CHECK(a20.level);
	cmd(0xdd);
	CHECK(!a20.level);
	CHECK_EQ(b.f.events, 0);
	cmd(0xfe);
	CHECK_EQ(b.f.events, 1);
	CHECK_EQ(b.f.last_event, MACHINE_RESET_8042);
	cmd(0xff);
	CHECK_EQ(b.f.events, 1);
	cmd(0xd1);
	data(0xde);
	CHECK_EQ(b.f.events, 2);
}

TEST(typing_stops_when_the_buffer_is_full)
{
	unsigned n = 0;

	setup();
	while (n < 1000 && i8042_type_ascii(&kbd, 'A'))
		n++;
	CHECK(n >= 5 && n < 20);
	for (unsigned i = 0; i < n; i++) {
		CHECK_EQ(next(), 0x2a);
		CHECK_EQ(next(), 0x1e);
		CHECK_EQ(next(), 0x9e);
		CHECK_EQ(next(), 0xaa);
	}
	CHECK_EQ(next(), -1);
}

/* Never more make than break codes left over, whatever is typed and however slowly it is read. */
TEST(random_typing_leaves_no_key_down)
{
	u64 seed = 9;

	for (unsigned round = 0; round < 200 && !unit_failures; round++) {
		bool down[256] = {false};
		bool ext = false;
		int v;

		setup();
		for (unsigned i = 0; i < 100; i++) {
			u32 r = board_random(&seed);

			i8042_type_ascii(&kbd, (r & 0x300) ? (u8)r : (u8) "\x1b[O24~A"[r % 8]);
			while (board_random(&seed) % 4 && (in8(&b, 0x64) & 1)) {
				v = in8(&b, 0x60);
				if (v != 0xe0)
					down[(v & 0x7f) | ext << 7] = !(v & 0x80);
				ext = v == 0xe0;
			}
			board_run(&b, r % 3 * NSEC_PER_MSEC);
		}
		board_run(&b, NSEC_PER_SEC);
		while ((v = next()) >= 0) {
			if (v != 0xe0)
				down[(v & 0x7f) | ext << 7] = !(v & 0x80);
			ext = v == 0xe0;
		}
		for (unsigned i = 0; i < 256; i++)
			CHECK(!down[i]);
	}
}

TEST(reset_leaves_nothing_behind)
{
	setup();
	i8042_type_ascii(&kbd, 'a');
	in8(&b, 0x60);
	i8042_type_ascii(&kbd, 0x1b);
	i8042_reset(&kbd);
	CHECK(!irq1.level);
	CHECK_EQ(timerq_next(&b.f.q), TIMER_OFF);
	CHECK_STR(drain(), "");
}
