/* Records: catches wrong JSON, escaping, crc or numbering, a full record that is not closed, a
 * record lost because the line was full, and a repetition that differs from the original.
 *
 * SRCS: hv/chan/records.c hv/lib/crc32.c hv/lib/str.c
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "../fuzz/record_check.h"
#include "chan/records.h"

/* A line that takes @room more records and remembers what it took. */
static struct {
	unsigned room;
	unsigned max_len;
	unsigned n;
	char line[4096][RECORD_MAX + 1];
} wire;

static struct record_store store;
static struct record rec;

static bool emit(void *ctx, const char *line, unsigned len, bool may_drop)
{
	(void)may_drop;
	CHECK(ctx == &wire);
	if (!wire.room || len > wire.max_len || wire.n == ARRAY_SIZE(wire.line))
		return false;
	wire.room--;
	CHECK(len <= RECORD_MAX);
	memcpy(wire.line[wire.n], line, len);
	wire.line[wire.n++][len] = '\0';
	return true;
}

static u64 now_us(void *ctx)
{
	(void)ctx;
	return 1234567;
}

static void start(void)
{
	wire.room = wire.max_len = UINT32_MAX;
	wire.n = 0;
	memset(&store, 0xa5, sizeof(store));
	memset(&rec, 0xa5, sizeof(rec));
	record_store_init(&store, emit, now_us, &wire);
}

/* Record @seq as a number of its own, padded to a few hundred bytes. */
static void send_numbered(u64 value, bool may_drop)
{
	char pad[301];

	memset(pad, 'p', 300);
	pad[300] = '\0';
	record_begin(&rec, "stats");
	record_u64(&rec, "value", value);
	record_str(&rec, "pad", pad);
	record_end(&store, &rec, may_drop);
}

static u64 check_line(const char *line)
{
	u64 seq = 0;
	const char *wrong = record_check(line, strlen(line), &seq);

	if (wrong) {
		printf("# %s wrong in %s\n", wrong, line);
		unit_failures++;
	}
	return seq;
}

TEST(every_kind_of_member)
{
	start();
	record_begin(&rec, "boot");
	record_str(&rec, "version", "1.0");
	record_u64(&rec, "max", UINT64_MAX);
	record_s64(&rec, "min", INT64_MIN);
	record_hex(&rec, "addr", 0xfee00000);
	record_array(&rec, "list");
	record_u64(&rec, NULL, 0);
	record_str(&rec, NULL, "x");
	record_object(&rec, NULL);
	record_close(&rec);
	record_array(&rec, NULL);
	record_close(&rec);
	record_close(&rec);
	record_object(&rec, "memory");
	record_u64(&rec, "hv", 1);
	record_u64(&rec, "free", 2);
	record_close(&rec);
	record_strn(&rec, "cut", "abcdef", 3);
	record_end(&store, &rec, false);
	CHECK_EQ(wire.n, 1);
	/* crc of the text before it, from an independent implementation */
	CHECK_STR(
		wire.line[0],
		"{\"pnb\":1,\"seq\":1,\"t_us\":1234567,\"type\":\"boot\",\"version\":\"1.0\","
		"\"max\":18446744073709551615,\"min\":-9223372036854775808,\"addr\":\"0xfee00000\","
		"\"list\":[0,\"x\",{},[]],\"memory\":{\"hv\":1,\"free\":2},\"cut\":\"abc\","
		"\"crc\":\"a22afd36\"}");
	check_line(wire.line[0]);
}

TEST(a_record_without_members)
{
	start();
	record_begin(&rec, "error");
	record_end(&store, &rec, false);
	CHECK_EQ(check_line(wire.line[0]), 1);
	CHECK(strstr(wire.line[0], ",\"type\":\"error\",\"crc\":\""));
}

TEST(strings_are_printable_ascii)
{
	char all[256];

	for (unsigned i = 0; i < sizeof(all); i++)
		all[i] = (char)i;
	start();
	record_begin(&rec, "guest");
	record_strn(&rec, "a\"b", all, sizeof(all));
	record_end(&store, &rec, false);
	check_line(wire.line[0]);
	CHECK(strstr(wire.line[0], "\"a\\\"b\":\"\\u0000\\u0001"));
	CHECK(strstr(wire.line[0], "\\u001f !\\\"#"));
	CHECK(strstr(wire.line[0], "[\\\\]"));
	CHECK(strstr(wire.line[0], "}~\\u007f\\u0080"));
	CHECK(strstr(wire.line[0], "\\u00ff\""));
}

TEST(what_is_left_open_is_closed)
{
	start();
	record_begin(&rec, "stats");
	record_object(&rec, "a");
	record_array(&rec, "b");
	record_end(&store, &rec, false);
	CHECK(strstr(wire.line[0], "\"a\":{\"b\":[]},\"crc\""));
	check_line(wire.line[0]);
	record_begin(&rec, "stats");
	record_close(&rec);
	record_u64(&rec, "n", 1);
	record_end(&store, &rec, false);
	CHECK(strstr(wire.line[1], "\"stats\",\"n\":1,\"crc\""));
}

TEST(a_full_record_is_valid_and_says_so)
{
	static char big[RECORD_MAX + 100];

	memset(big, 'x', sizeof(big));
	for (size_t n = RECORD_MAX - 300; n < sizeof(big); n++) {
		start();
		record_begin(&rec, "stats");
		record_object(&rec, "o");
		record_strn(&rec, "big", big, n);
		record_object(&rec, "inner");
		record_u64(&rec, "n", UINT64_MAX);
		record_close(&rec);
		record_close(&rec);
		record_str(&rec, "last", "end");
		record_end(&store, &rec, false);
		CHECK_EQ(wire.n, 1);
		CHECK_EQ(check_line(wire.line[0]), 1);
		CHECK(!strstr(wire.line[0], "\"truncated\":1") ==
		      !!strstr(wire.line[0], "\"last\":\"end\""));
	}
	CHECK(strstr(wire.line[0], "xxx\"},\"truncated\":1,\"crc\""));
}

TEST(a_full_record_in_small_steps)
{
	start();
	record_begin(&rec, "stats");
	for (unsigned i = 0; i < 2000; i++) {
		record_object(&rec, "o");
		record_u64(&rec, "n", i);
		record_close(&rec);
	}
	record_end(&store, &rec, false);
	check_line(wire.line[0]);
	CHECK(strstr(wire.line[0], "\"truncated\":1"));
	CHECK(strlen(wire.line[0]) > RECORD_MAX - 160);
}

TEST(nesting_is_bounded)
{
	start();
	record_begin(&rec, "stats");
	for (unsigned i = 0; i < RECORD_MAX_DEPTH + 3; i++)
		record_array(&rec, i ? NULL : "deep");
	for (unsigned i = 0; i < RECORD_MAX_DEPTH + 3; i++)
		record_close(&rec);
	record_end(&store, &rec, false);
	CHECK(strstr(wire.line[0], "\"deep\":[[[[[[[[]]]]]]]],\"truncated\":1,"));
	check_line(wire.line[0]);
}

TEST(numbers_go_up_by_one)
{
	start();
	for (unsigned i = 0; i < 500; i++)
		send_numbered(i, i & 1);
	CHECK_EQ(wire.n, 500);
	for (unsigned i = 0; i < 500; i++)
		CHECK_EQ(check_line(wire.line[i]), i + 1);
}

TEST(a_dropped_record_takes_no_number)
{
	start();
	send_numbered(1, true);
	wire.room = 0;
	send_numbered(2, true);
	send_numbered(3, true);
	CHECK_EQ(store.dropped, 2);
	wire.room = 10;
	send_numbered(4, true);
	CHECK_EQ(wire.n, 2);
	CHECK_EQ(check_line(wire.line[1]), 2);
	CHECK(strstr(wire.line[1], "\"value\":4,"));
}

TEST(bulk_data_takes_neither_number_nor_room)
{
	u32 kept;

	start();
	send_numbered(1, false);
	kept = store.head - store.tail;
	record_begin(&rec, "trace");
	record_base64(&rec, "data", "\0\xff\x10", 3);
	CHECK(record_end_unkept(&store, &rec));
	CHECK_EQ(check_line(wire.line[1]), 0);
	CHECK(strstr(wire.line[1], "\"data\":\"AP8Q\""));
	CHECK_EQ(store.head - store.tail, kept);
	wire.room = 0;
	record_begin(&rec, "trace");
	CHECK(!record_end_unkept(&store, &rec)); /* no room: its maker tries again */
	CHECK_EQ(store.dropped, 0);
	send_numbered(2, false);
	wire.room = 1; /* a numbered one waits: it goes first */
	record_begin(&rec, "trace");
	CHECK(!record_end_unkept(&store, &rec));
	CHECK_EQ(check_line(wire.line[2]), 2);
}

static const char *base64(const char *bytes, size_t len)
{
	record_begin(&rec, "trace");
	record_base64(&rec, "d", bytes, len);
	rec.buf[rec.len] = '\0';
	return strstr(rec.buf + rec.len - len * 2 - 8, "\"d\":");
}

TEST(base64_is_padded_and_whole_or_absent)
{
	static char big[RECORD_MAX];

	start();
	CHECK_STR(base64("f", 1), "\"d\":\"Zg==\"");
	CHECK_STR(base64("fo", 2), "\"d\":\"Zm8=\"");
	CHECK_STR(base64("foobar", 6), "\"d\":\"Zm9vYmFy\"");
	record_begin(&rec, "trace");
	record_base64(&rec, "d", big, 3000);
	CHECK(rec.overflow && rec.len < 200);
	record_begin(&rec, "trace");
	record_base64(&rec, "d", big, 2048);
	CHECK(!rec.overflow);
}

TEST(a_full_line_delays_what_may_not_drop)
{
	start();
	wire.room = 1;
	for (unsigned i = 0; i < 5; i++)
		send_numbered(i, false);
	send_numbered(5, true); /* would overtake the others */
	CHECK_EQ(wire.n, 1);
	CHECK_EQ(store.dropped, 1);
	wire.room = 2;
	record_pump(&store);
	CHECK_EQ(wire.n, 3);
	wire.room = 100;
	send_numbered(6, true);
	CHECK_EQ(wire.n, 6);
	for (unsigned i = 0; i < 6; i++)
		CHECK_EQ(check_line(wire.line[i]), i + 1);
	CHECK(strstr(wire.line[5], "\"value\":6,"));
	record_pump(&store);
	CHECK_EQ(wire.n, 6);
}

TEST(a_small_record_does_not_overtake_a_big_one)
{
	start();
	wire.max_len = 200;
	send_numbered(0, false); /* too long for now */
	record_begin(&rec, "stats");
	record_end(&store, &rec, true);
	CHECK_EQ(wire.n, 0);
	CHECK_EQ(store.dropped, 1);
	wire.max_len = UINT32_MAX;
	record_pump(&store);
	CHECK_EQ(wire.n, 1);
	CHECK_EQ(check_line(wire.line[0]), 1);
}

TEST(repeats_are_byte_identical)
{
	start();
	for (unsigned i = 0; i < 100; i++)
		send_numbered(i, false);
	record_resend(&store, 10, 20);
	CHECK_EQ(wire.n, 111);
	for (unsigned i = 0; i < 11; i++)
		CHECK_STR(wire.line[100 + i], wire.line[9 + i]);
	record_resend(&store, 100, 100);
	CHECK_STR(wire.line[111], wire.line[99]);
	CHECK_EQ(wire.n, 112);
}

TEST(repeats_wait_for_room_and_are_merged)
{
	start();
	for (unsigned i = 0; i < 50; i++)
		send_numbered(i, false);
	wire.room = 3;
	record_resend(&store, 10, 20);
	record_resend(&store, 5, 15);
	CHECK_EQ(wire.n, 53);
	wire.room = 100;
	record_pump(&store);
	CHECK_EQ(wire.n, 53 + 16);
	for (unsigned i = 0; i < 16; i++)
		CHECK_EQ(check_line(wire.line[53 + i]), 5 + i);
}

TEST(a_range_gone_is_named)
{
	u64 kept, next;

	start();
	for (unsigned i = 0; i < 400; i++) /* far more than the store holds */
		send_numbered(i, false);
	kept = store.first_kept;
	CHECK(kept > 100 && kept < 300);
	CHECK_EQ(store.next_seq, 401);
	record_resend(&store, kept - 50, kept - 10);
	CHECK_EQ(wire.n, 401);
	CHECK_EQ(check_line(wire.line[400]), 401);
	CHECK(strstr(wire.line[400], "\"type\":\"error\",\"where\":\"resend\""));
	CHECK(strstr(wire.line[400], "no longer kept"));

	kept = store.first_kept;
	next = store.next_seq;
	record_resend(&store, kept - 2, kept + 8);
	CHECK(strstr(wire.line[401], "no longer kept"));
	CHECK_EQ(check_line(wire.line[wire.n - 1]), kept + 8);

	next = store.next_seq;
	kept = wire.n;
	record_resend(&store, next - 1, next + 5);
	CHECK(strstr(wire.line[kept], "not written yet"));
	CHECK_EQ(check_line(wire.line[kept + 1]), next - 1);
	CHECK_EQ(wire.n, kept + 2);

	record_resend(&store, 9, 8);
	CHECK(strstr(wire.line[wire.n - 1], "FROM <= TO"));
	record_resend(&store, 0, UINT64_MAX);
	for (unsigned i = 0; i < wire.n; i++)
		check_line(wire.line[i]);
}

TEST(overwritten_before_sent_is_counted)
{
	start();
	wire.room = 0;
	for (unsigned i = 0; i < 400; i++)
		send_numbered(i, false);
	wire.room = UINT32_MAX;
	record_pump(&store);
	CHECK_EQ(wire.n + store.dropped, 400);
	CHECK(store.dropped > 100);
	CHECK_EQ(check_line(wire.line[0]), store.dropped + 1);
	CHECK_EQ(check_line(wire.line[wire.n - 1]), 400);
}

TEST(the_store_keeps_its_size)
{
	u64 bytes = 0;

	start();
	for (unsigned i = 0; i < 3000; i++)
		send_numbered(i, false);
	for (u64 seq = store.first_kept; seq < store.next_seq; seq++)
		bytes += strlen(wire.line[seq - 1]) + 1;
	CHECK(bytes <= RECORD_STORE_SIZE && bytes > RECORD_STORE_SIZE - 500);
}
