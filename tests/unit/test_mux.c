/* The serial multiplexer: catches a line that is torn, shared, lost, repeated without need or
 * without its prefix, a record not at column 0, a source that starves the others, keys that go to
 * the wrong place or a range that is taken wrongly.
 *
 * SRCS: hv/chan/mux.c hv/chan/mux_transfer.c hv/lib/str.c
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "chan/mux.h"
#include "lib/errno.h"
#include "lib/timerq.h"

#define MS NSEC_PER_MSEC

enum { HV, CONTROL, ALPHA, BETA };

static struct mux mux;
static char out[8 * MUX_RING_SIZE];
static char typed[512]; /* "index:byte " for each byte, "key(arg) " for each key */
static u64 now;

static void input(void *ctx, unsigned index, u8 byte)
{
	size_t len = strlen(typed);

	CHECK(ctx == &mux);
	snprintf(typed + len, sizeof(typed) - len, byte > ' ' ? "%u:%c " : "%u:%02x ", index, byte);
}

static void key(void *ctx, char k, const char *arg)
{
	size_t len = strlen(typed);

	CHECK(ctx == &mux);
	snprintf(typed + len, sizeof(typed) - len, "%c(%s) ", k, arg);
}

static const struct mux_ops ops = {input, key, &mux};

static void start(void)
{
	memset(&mux, 0xa5, sizeof(mux));
	mux_init(&mux, &ops);
	CHECK_EQ(mux_add_source(&mux, "hv"), HV);
	CHECK_EQ(mux_add_source(&mux, "control"), CONTROL);
	CHECK_EQ(mux_add_source(&mux, "alpha"), ALPHA);
	CHECK_EQ(mux_add_source(&mux, "beta"), BETA);
	mux_set_partition(&mux, 0, CONTROL);
	mux_set_partition(&mux, 1, ALPHA);
	mux_set_partition(&mux, 2, BETA);
	now = 1000 * MS;
	typed[0] = '\0';
}

static void say(int src, const char *text)
{
	mux_write(&mux, src, text, strlen(text), now);
}

static void type(const char *bytes)
{
	while (*bytes)
		mux_rx(&mux, (u8)*bytes++, now);
}

/* Everything that is in the ring. */
static const char *wire(void)
{
	size_t n = 0;
	unsigned got;

	while ((got = mux_drain(&mux, out + n, 16)))
		n += got;
	out[n] = '\0';
	return out;
}

static const char *after(u64 ms)
{
	now += ms * MS;
	mux_tick(&mux, now);
	return wire();
}

TEST(whole_lines_with_prefix)
{
	start();
	say(ALPHA, "one\ntwo\r\n\nthr");
	CHECK_STR(wire(), "alpha| one\r\nalpha| two\r\nalpha| \r\n");
	say(BETA, "x\n");
	CHECK_STR(wire(), "beta| x\r\n");
	say(ALPHA, "ee\n");
	CHECK_STR(wire(), "alpha| three\r\n");
	CHECK_EQ(mux.src[ALPHA].lines, 4);
	CHECK_EQ(mux.src[ALPHA].bytes, 16);
}

TEST(prompts_show_after_50_ms)
{
	start();
	say(ALPHA, "login: ");
	CHECK_EQ(mux_tick(&mux, now), now + 50 * MS);
	CHECK_STR(after(49), "");
	say(ALPHA, "_");
	CHECK_STR(after(49), "");
	CHECK_STR(after(1), "alpha| login: _");
	CHECK_EQ(mux_tick(&mux, now), TIMER_OFF);
	CHECK_STR(after(1000), "");
	say(ALPHA, "root");
	CHECK_STR(after(50), "root");
	say(ALPHA, "\r\n");
	CHECK_STR(wire(), "\r\n");
}

TEST(interrupted_text_comes_again_whole)
{
	start();
	say(ALPHA, "login: ");
	CHECK_STR(after(50), "alpha| login: ");
	say(HV, "message\n");
	CHECK_STR(wire(), "\r\r\nhv| message\r\n");
	CHECK_STR(after(1000), ""); /* nothing new to show */
	say(ALPHA, "ro");
	CHECK_STR(after(50), "alpha| login: ro");
	CHECK(mux_record(&mux, "{\"pnb\":1}", 9, true));
	say(ALPHA, "ot\n");
	CHECK_STR(wire(), "\r\r\n{\"pnb\":1}\r\nalpha| login: root\r\n");
}

TEST(two_prompts_do_not_fight)
{
	start();
	say(ALPHA, "a> ");
	CHECK_STR(after(50), "alpha| a> ");
	say(BETA, "b> ");
	CHECK_STR(after(50), "\r\r\nbeta| b> ");
	CHECK_STR(after(1000), "");
	CHECK_EQ(mux_tick(&mux, now), TIMER_OFF);
}

TEST(records_at_column_0)
{
	start();
	CHECK(mux_record(&mux, "{\"pnb\":1,\"seq\":1}", 17, false));
	say(ALPHA, "text");
	CHECK(mux_record(&mux, "{\"pnb\":1,\"seq\":2}", 17, false));
	CHECK_STR(wire(), "{\"pnb\":1,\"seq\":1}\r\n{\"pnb\":1,\"seq\":2}\r\n");
	CHECK_STR(after(50), "alpha| text");
}

TEST(false_records_get_a_blank)
{
	start();
	say(ALPHA, "{\"pnb\":1}\n{\"pn\nx{\"pnb\"\n");
	CHECK_STR(wire(), "alpha|  {\"pnb\":1}\r\nalpha| {\"pn\r\nalpha| x{\"pnb\"\r\n");
	type("\x1d"
	     "1");
	wire();
	say(ALPHA, "{\"pnb\":1}\r\n");
	CHECK_STR(wire(), " {\"pnb\":1}\r\n");
	say(ALPHA, "{\"p"); /* at column 0, may still become one */
	say(ALPHA, "nb\":1}\r{\"pnb\":2}\n");
	CHECK_STR(wire(), " {\"pnb\":1}\r {\"pnb\":2}\r\n");
}

TEST(carriage_returns)
{
	start();
	say(ALPHA, "a\r\r\nb\n\rc\r");
	CHECK_STR(wire(), "alpha| a\r\nalpha| b\r\n");
	say(ALPHA, "\n");
	CHECK_STR(wire(), "alpha| c\r\n");
	say(ALPHA, "\r\r\rd\r");
	say(ALPHA, "\n");
	CHECK_STR(wire(), "alpha| d\r\n");
}

TEST(progress_bars_are_thinned)
{
	unsigned lines = 0;

	start();
	for (unsigned i = 0; i <= 100; i++, now += MS) {
		char text[16];

		snprintf(text, sizeof(text), "\r%3u %%", i);
		say(ALPHA, text);
	}
	say(ALPHA, "\n");
	for (const char *p = wire(); (p = strchr(p, '\n')); p++)
		lines++;
	CHECK(lines >= 2 && lines <= 5);
	CHECK(strstr(out, "alpha|   0 %\r\n") == out);
	CHECK(strstr(out, "alpha| 100 %\r\n"));
	CHECK(!strstr(out, "% ")); /* nothing left over behind the last one */

	start();
	say(ALPHA, "50 %");
	CHECK_STR(after(50), "alpha| 50 %");
	say(ALPHA, "\r60 %\n"); /* what was shown stays */
	CHECK_STR(wire(), "\r\nalpha| 60 %\r\n");
}

TEST(bytes_that_pass_and_bytes_that_do_not)
{
	start();
	mux_write(&mux, ALPHA, "a\0b\0\r\0\n", 7, now);
	CHECK_STR(wire(), "alpha| ab\r\n");
	say(ALPHA, "\x1b[1;31mred\x1b[0m\tt\b\a \xc3\xa4\n");
	CHECK_STR(wire(), "alpha| \x1b[1;31mred\x1b[0m\tt\b\a \xc3\xa4\r\n");
}

TEST(lines_of_512_bytes)
{
	char text[MUX_LINE_MAX + 20];

	start();
	memset(text, 'x', sizeof(text));
	mux_write(&mux, ALPHA, text, MUX_LINE_MAX, now);
	CHECK_STR(wire(), "");
	say(ALPHA, "\n");
	CHECK_EQ(strlen(wire()), 7 + MUX_LINE_MAX + 2);
	mux_write(&mux, ALPHA, text, MUX_LINE_MAX + 20, now);
	CHECK_EQ(strlen(wire()), 7 + MUX_LINE_MAX + 2);
	say(ALPHA, "\n");
	CHECK_STR(wire(), "alpha| xxxxxxxxxxxxxxxxxxxx\r\n");
}

TEST(a_screen_program_is_not_cut_inside_its_text)
{
	unsigned found = 0;

	start();
	for (unsigned i = 0; i < 400; i++) {
		char text[64];

		snprintf(text, sizeof(text), "\x1b[%u;10HTesting %06u of 400", i % 25, i);
		say(ALPHA, text);
	}
	say(ALPHA, "\n");
	wire();
	for (unsigned i = 0; i < 400; i++) {
		char text[32];

		snprintf(text, sizeof(text), "HTesting %06u of 400", i);
		found += strstr(out, text) != NULL;
	}
	CHECK_EQ(found, 400);
}

TEST(focus_shows_at_once_and_without_prefix)
{
	start();
	say(BETA, "$ ");
	CHECK_STR(after(50), "beta| $ ");
	type("\x1d"
	     "2");
	CHECK_STR(wire(), "\r\r\nhv| focus: beta (Ctrl-] - ends it)\r\n$ ");
	say(BETA, "l");
	say(BETA, "s\r\nfile\r\n$ ");
	CHECK_STR(wire(), "ls\r\nfile\r\n$ ");
	CHECK(mux_record(&mux, "{\"pnb\":1}", 9, false));
	CHECK_STR(wire(), "\r\r\n{\"pnb\":1}\r\n");
	CHECK_STR(after(1), "$ "); /* the prompt is back */
	say(ALPHA, "other\n");
	CHECK_STR(wire(), "\r\r\nalpha| other\r\n");
	say(BETA, "x\ry");
	CHECK_STR(wire(), "$ x\ry");
	type("\x1d-");
	CHECK_STR(wire(), "\r\r\nhv| focus: none\r\n");
	say(BETA, "z\n");
	CHECK_STR(wire(), "beta| yz\r\n");
}

TEST(a_focused_line_longer_than_the_buffer_is_not_broken)
{
	char text[3 * MUX_LINE_MAX + 7];

	start();
	type("\x1d"
	     "1");
	wire();
	memset(text, 'y', sizeof(text));
	mux_write(&mux, ALPHA, text, sizeof(text), now);
	CHECK_EQ(strlen(wire()), sizeof(text));
	CHECK(!strchr(out, '\n'));
	say(HV, "m\n");
	CHECK_STR(wire(), "\r\r\nhv| m\r\n");
}

TEST(typed_bytes)
{
	start();
	type("a\r");
	CHECK_STR(typed, "1:a 1:0d ");
	typed[0] = '\0';
	type("\x1d"
	     "0b\x1d"
	     "2c\x1d\x1d"
	     "d\x1d-e");
	CHECK_STR(typed, "0:b 2:c 2:1d 2:d 1:e ");
	typed[0] = '\0';
	type("\x1d"
	     "3\x1d"
	     "7x");
	CHECK_STR(typed, "1:x ");
	CHECK(strstr(wire(), "hv| no such partition\r\n"));
}

TEST(without_guests_control_gets_the_keys)
{
	mux_init(&mux, &ops);
	mux_set_partition(&mux, 0, mux_add_source(&mux, "control"));
	typed[0] = '\0';
	type("a");
	CHECK_STR(typed, "0:a ");
}

TEST(hypervisor_keys)
{
	start();
	type("\x1dh\x1ds\x1d\x1b\x1d\rx");
	CHECK_STR(typed, "h() s() 1:x ");
	typed[0] = '\0';
	type("\x1dr 3-17\nq");
	CHECK_STR(typed, "r(3-17) 1:q ");
	typed[0] = '\0';
	type("\x1dr5\r\n\x1dr9\rz"); /* Enter may be CR, LF or both */
	CHECK_STR(typed, "r(5) r(9) 1:z ");
	typed[0] = '\0';
	type("\x1dr12\b\x7f\b3-4\n");
	CHECK_STR(typed, "r(3-4) ");
	typed[0] = '\0';
	type("\x1dN2\r\x1dS1-3\n\x1dP2\r\n");
	CHECK_STR(typed, "N(2) S(1-3) P(2) ");
	typed[0] = '\0';
	type("\x1dr1\x1dh"); /* another key instead */
	CHECK_STR(typed, "h() ");
	typed[0] = '\0';
	type("\x1dr1234567890123456789012345678901234567890\n");
	CHECK(!strstr(typed, "r("));
	CHECK(strstr(wire(), "hv| key r: expected FROM-TO"));
}

TEST(noise_in_a_key_does_not_swallow_what_follows)
{
	start();
	type("\x1dr1x"); /* no range */
	CHECK(strstr(wire(), "hv| key r: expected FROM-TO"));
	type("y");
	CHECK_STR(typed, "1:y ");
	typed[0] = '\0';
	type("\x1dr1-"); /* a collector that died in the middle */
	now += MUX_KEY_NS + 1;
	type("z\x1d");
	now += MUX_KEY_NS + 1;
	type("h");
	CHECK_STR(typed, "1:z 1:h ");
	typed[0] = '\0';
	type("\x1d\xffq\x1d\x80q"); /* bytes that are no key */
	CHECK_STR(typed, "1:q 1:q ");
}

TEST(what_waits_can_be_seen_without_taking_it)
{
	char buf[8];

	start();
	mux.head = mux.tail = UINT32_MAX - 3;
	CHECK_EQ(mux_peek_last(&mux, buf, sizeof(buf)), 0);
	say(ALPHA, "one\ntwo\n");
	CHECK_EQ(mux_waiting(&mux), 24);
	CHECK_EQ(mux_peek_last(&mux, buf, 5), 5);
	CHECK(!memcmp(buf, "two\r\n", 5));
	CHECK_STR(wire(), "alpha| one\r\nalpha| two\r\n");
}

TEST(breaks_are_harmless)
{
	start();
	mux_rx(&mux, 0, now);
	mux_rx(&mux, 0x1d, now);
	mux_rx(&mux, 0, now);
	type("h");
	CHECK_STR(typed, "h() ");
}

/* Two guests print without pause, a third now and then; the line drains slowly. */
TEST(a_flood_starves_nobody)
{
	unsigned printed[4] = {0}, got[4] = {0};
	u64 waited = 0;

	start();
	for (unsigned step = 0; step < 20000; step++, now += MS / 2) {
		char buf[16];
		unsigned n = mux_drain(&mux, buf, 8);

		for (unsigned i = 0; i < n; i++)
			for (int s = CONTROL; s <= BETA; s++)
				got[s] += buf[i] == "?CAB"[s];
		for (int s = CONTROL; s <= ALPHA; s++)
			for (unsigned burst = 0; burst < 64 && !mux_throttled(&mux, s); burst++) {
				say(s, s == CONTROL ? "CCCCCCCCCCCCCCC\n" : "AAAAAAAAAAAAAAA\n");
				printed[s] += 15;
			}
		if (step % 100 == 0) {
			waited += mux_throttled(&mux, BETA);
			say(BETA, "B\n");
			printed[BETA]++;
		}
		mux_tick(&mux, now);
		CHECK(mux.head - mux.tail < 10 * 1024); /* what a key's echo has to wait for */
	}
	for (const char *p = wire(); *p; p++)
		for (int s = CONTROL; s <= BETA; s++)
			got[s] += *p == "?CAB"[s];
	CHECK_EQ(waited, 0);
	CHECK_EQ(mux.dropped_bytes, 0);
	CHECK_EQ(got[BETA], 200);
	CHECK_EQ(got[CONTROL], printed[CONTROL]);
	CHECK_EQ(got[ALPHA], printed[ALPHA]);
	CHECK(got[ALPHA] > 40000 && got[CONTROL] > 40000);
	CHECK(got[ALPHA] < got[CONTROL] + got[CONTROL] / 8);
	CHECK(got[CONTROL] < got[ALPHA] + got[ALPHA] / 8);
}

TEST(interruptions_cannot_fill_the_line)
{
	start();
	for (unsigned step = 0; step < 4000; step++, now += 10 * MS) {
		char buf[8];

		if (step % 6 == 0) { /* unfinished lines, growing, of two sources */
			say(ALPHA, "aaaa");
			say(BETA, "bbbb");
		}
		mux_tick(&mux, now);
		mux_drain(&mux, buf, sizeof(buf));
		CHECK(mux.head - mux.tail < 4096);
	}
	CHECK_EQ(mux.dropped_bytes, 0);
}

TEST(a_source_that_ignores_its_thre_loses_only_its_own)
{
	start();
	for (unsigned i = 0; i < 20000; i++)
		say(ALPHA, "flood flood flood flood\n");
	CHECK(mux.head - mux.tail < MUX_RING_SIZE / 2);
	CHECK(mux_throttled(&mux, ALPHA));
	CHECK(!mux_throttled(&mux, BETA));
	say(BETA, "still here\n");
	CHECK(strstr(wire(), "beta| still here\r\n"));
	CHECK(mux.dropped_bytes > 0);
	mux_tick(&mux, now);
	CHECK(strstr(wire(), " bytes of alpha lost: line too slow\r\n"));
	CHECK_STR(after(1000), "");
}

/* Twelve greedy sources, each stopping when it is told to, never get the ring to where all wait. */
TEST(sources_that_keep_to_their_shares_leave_room)
{
	start();
	for (unsigned i = 4; i < MUX_MAX_SOURCES; i++)
		CHECK(mux_add_source(&mux, "g") >= 0);
	for (int s = 0; s < MUX_MAX_SOURCES; s++)
		while (!mux_throttled(&mux, s))
			say(s, "as much as it may, as fast as it can\n");
	CHECK(mux.head - mux.tail < MUX_RING_SIZE / 2);
	CHECK_EQ(mux.dropped_bytes, 0);
}

TEST(records_about_a_source_take_its_share)
{
	unsigned n = 0;

	start();
	while (n < 1000 && !mux_throttled(&mux, ALPHA)) {
		CHECK(mux_record(&mux, "{\"pnb\":1,\"type\":\"guest\"}", 24, false));
		mux_charge(&mux, ALPHA, 24);
		n++;
	}
	CHECK(n > 20 && n < 200);
	CHECK(!mux_throttled(&mux, BETA));
	wire();
	CHECK(!mux_throttled(&mux, ALPHA));
	mux_charge(&mux, -1, 100000);
	mux_charge(&mux, MUX_MAX_SOURCES, 100000);
}

TEST(periodic_records_go_first_and_the_others_have_a_reserve)
{
	static char record[4096];
	unsigned n = 0, kept;

	start();
	memset(record, 'r', sizeof(record));
	memcpy(record, "{\"pnb\"", 6);
	while (mux_record(&mux, record, sizeof(record), true))
		n++;
	CHECK_EQ(n, 7);
	CHECK(mux_record(&mux, record, 100, false));
	for (unsigned i = 0; i < 3000; i++) {
		say(HV, "text that fills the ring as far as it may\n");
		say(BETA, "text that fills the ring as far as it may\n");
	}
	CHECK(mux.head - mux.tail > MUX_RING_SIZE / 4 * 3 - 200);
	CHECK(!mux_record(&mux, record, 100, true));
	CHECK(mux_throttled(&mux, BETA));
	for (kept = 0; mux_record(&mux, record, sizeof(record), false); kept++)
		;
	CHECK(kept >= 3);
	/* All that was taken is there, whole. */
	wire();
	n = 0;
	for (char *line = strtok(out, "\n"); line; line = strtok(NULL, "\n")) {
		CHECK(line[strlen(line) - 1] == '\r');
		CHECK(!strncmp(line, "{\"pnb\"", 6) ||
		      !strcmp(line, "hv| text that fills the ring as far as it may\r") ||
		      !strcmp(line, "beta| text that fills the ring as far as it may\r"));
		n += strlen(line) == sizeof(record) + 1;
	}
	CHECK_EQ(n, 7 + kept);
}

TEST(positions_wrap_around)
{
	u64 lines = 0;

	start();
	mux.head = mux.tail = UINT32_MAX - 3000;
	for (unsigned i = 0; i < 1000; i++) {
		char text[32];

		snprintf(text, sizeof(text), "line %u\n", i);
		say(ALPHA, text);
		CHECK(!mux_throttled(&mux, ALPHA));
		snprintf(text, sizeof(text), "alpha| line %u\r\n", i);
		CHECK_STR(wire(), text);
		lines++;
	}
	CHECK_EQ(lines, mux.src[ALPHA].lines);
}

/* --- transfers --- */

static const char binary[] = "\x01\x1d\n\r\0\r\r\n\0h\x1d\x1d{\"pnb\"";

TEST(a_transfer_passes_every_byte_both_ways)
{
	start();
	type("\x1d"
	     "0");
	wire();
	say(CONTROL, "rx f\n");
	CHECK_EQ(mux_transfer_begin(&mux, 0, now + 1000 * MS), 0);
	mux_write(&mux, CONTROL, binary, sizeof(binary), now);
	CHECK(mux_pending(&mux));
	wire();
	CHECK(!memcmp(out, "rx f\r\n", 6));
	CHECK(!memcmp(out + 6, binary, sizeof(binary)));
	CHECK(!mux_pending(&mux));
	typed[0] = '\0';
	for (unsigned i = 0; i < 5; i++)
		mux_rx(&mux, (u8)binary[i], now);
	CHECK_STR(typed, "0:01 0:1d 0:0a 0:0d 0:00 ");
	mux_transfer_end(&mux);
	typed[0] = '\0';
	type("\x1dh");
	CHECK_STR(typed, "h() ");
	say(CONTROL, "done\n");
	CHECK_STR(wire(), "\r\ndone\r\n");
}

TEST(others_wait_for_the_end_of_a_transfer)
{
	const char *got;

	start();
	type("\x1d"
	     "0");
	wire();
	say(ALPHA, "before\nhalf");
	now += 60 * MS;
	mux_tick(&mux, now);
	CHECK_EQ(mux_transfer_begin(&mux, 0, now + 1000 * MS), 0);
	say(CONTROL, "\x15");
	say(ALPHA, " a line\n");
	CHECK(mux_record(&mux, "{\"pnb\":1}", 9, false));
	say(HV, "said\n");
	CHECK_STR(wire(), "alpha| before\r\nalpha| half\r\r\n\x15");
	CHECK(mux_waiting(&mux) > 0);
	CHECK(!mux_pending(&mux));
	say(CONTROL, "\x06");
	mux_transfer_end(&mux);
	got = wire();
	CHECK_STR(got, "\x06\r\nalpha| half a line\r\n{\"pnb\":1}\r\nhv| said\r\n");
	CHECK(!mux.dropped_bytes);
}

TEST(a_transfer_that_nobody_asks_for_again_ends)
{
	start();
	type("\x1d"
	     "0");
	CHECK_EQ(mux_transfer_begin(&mux, 0, now + 1000 * MS), 0);
	now += 900 * MS;
	CHECK_EQ(mux_tick(&mux, now), now + 100 * MS);
	CHECK_EQ(mux_transfer_begin(&mux, 0, now + 1000 * MS), 0);
	now += 900 * MS;
	mux_tick(&mux, now);
	type("\x1dh");
	CHECK(!strstr(typed, "h()"));
	now += 100 * MS;
	mux_tick(&mux, now);
	type("\x1dh");
	CHECK(strstr(typed, "h()"));
}

TEST(a_transfer_is_for_who_has_the_keys)
{
	start();
	CHECK_EQ(mux_transfer_begin(&mux, 0, now + MS), -EBUSY);
	CHECK_EQ(mux_transfer_begin(&mux, MUX_PARTITIONS, now + MS), -ENOENT);
	CHECK_EQ(mux_transfer_begin(&mux, 3, now + MS), -ENOENT);
	type("\x1d"
	     "1");
	CHECK_EQ(mux_transfer_begin(&mux, 0, now + MS), -EBUSY);
	CHECK_EQ(mux_transfer_begin(&mux, 1, now + MS), 0);
	CHECK_EQ(mux_transfer_begin(&mux, 0, now + MS), -EBUSY);
}

TEST(a_transfer_is_held_back_and_holds_back_nobody_for_ever)
{
	static char much[MUX_RING_SIZE];
	unsigned n = 0, lines = 0;

	memset(much, 'x', sizeof(much));
	start();
	type("\x1d"
	     "0");
	wire();
	CHECK_EQ(mux_transfer_begin(&mux, 0, now + 1000 * MS), 0);
	for (; !mux_throttled(&mux, CONTROL); n++)
		mux_write(&mux, CONTROL, "\0", 1, now);
	CHECK_EQ(n, MUX_TRANSFER / 2);
	for (; !mux_throttled(&mux, ALPHA); lines++)
		say(ALPHA, "a line\n");
	CHECK(lines < 400);
	while (mux_record(&mux, much, 4000, true))
		;
	CHECK(mux_record(&mux, much, 4000, false));
	CHECK_EQ(strlen(wire()), 0);
	CHECK(!mux_throttled(&mux, CONTROL));
	mux_write(&mux, CONTROL, much, 2 * MUX_TRANSFER, now); /* who does not wait loses its own */
	CHECK_EQ(mux.src[CONTROL].lost, MUX_TRANSFER);
	CHECK_EQ(strlen(wire()), MUX_TRANSFER);
	mux_transfer_end(&mux);
	wire();
	CHECK(!mux_throttled(&mux, ALPHA));
	CHECK(strstr(after(20), "hv| 2048 bytes of control lost"));
}

TEST(names_and_limits)
{
	start();
	for (unsigned i = 4; i < MUX_MAX_SOURCES; i++)
		CHECK(mux_add_source(&mux, "g") >= 0);
	CHECK_EQ(mux_add_source(&mux, "one-more"), -ENOSPC);
	mux_set_partition(&mux, 99, ALPHA);
	mux_set_partition(&mux, 3, -1);
	mux_write(&mux, 99, "x\n", 2, now);
	mux_write(&mux, -1, "x\n", 2, now);
	CHECK(!mux_throttled(&mux, 99));
	CHECK_STR(wire(), "");
}
