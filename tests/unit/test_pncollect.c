/* pncollect's collector against the hypervisor's own multiplexer and record store: catches a record
 * lost, doubled, out of order or altered behind a line that damages and drops bytes both ways; a
 * last record that is never missed; a session taken for another; requests without end or to a
 * loader; text of a partition doubled, lost or in another's log.
 *
 * SRCS: hv/chan/mux.c hv/chan/mux_transfer.c hv/chan/records.c hv/lib/str.c hv/lib/crc32.c
 * SRCS: tools/pncollect/collect.c tools/pncollect/demux.c tools/pncollect/json.c
 * SRCS: tools/pncollect/lines.c tools/pncollect/order.c tools/pncollect/rec.c
 * SPDX-License-Identifier: MIT
 */
#include "collect_rig.h"

#include "lib/crc32.h"

/* Each guest prints what its share of the line takes, numbered so that its log can be checked. */
static u64 printed[2];

static void chatter(void)
{
	static const int src[] = {ALPHA, BETA};

	for (unsigned g = 0; g < 2; g++)
		while (!mux_throttled(&rig.mux, src[g])) {
			char line[120];

			snprintf(line, sizeof(line), "%08llu guest %u says %.*s\n",
				 (unsigned long long)printed[g]++, g, (int)(rig_random() % 60),
				 "the quick brown fox jumps over the lazy dog and runs on and on");
			rig_say(src[g], line);
		}
}

/* As the hypervisor's own: large periodic ones that may drop, small ones that may not. */
static void some_records(u64 ms)
{
	if (ms % 1000 == 0)
		rig_record("stats", "alpha", 600 + rig_random() % 2000, true);
	if (ms % 1000 == 500)
		rig_record("stats", "beta", 600 + rig_random() % 2000, true);
	if (ms % 250 == 7)
		rig_record("guest", ms & 1 ? "alpha" : "beta", rig_random() % 200, false);
	if (ms % 5000 == 11)
		rig_record("error", "alpha", rig_random() % 100, false);
}

static void settle(u64 limit_ms)
{
	while (limit_ms-- && (rig.collect.order.max < rig.nwritten ||
			      collect_wants_more(&rig.collect) || mux_pending(&rig.mux)))
		rig_step();
}

static void check_all_records(void)
{
	CHECK_EQ(rig.delivered, rig.nwritten);
	CHECK_EQ(rig.seen, rig.nwritten);
	CHECK_EQ(rig.collect.order.max, rig.nwritten);
	CHECK_EQ(rig.wrong, 0);
	CHECK_EQ(rig.nlost + rig.nbefore, 0);
	CHECK_EQ(rig.sessions, 1);
}

static void feed(const char *text)
{
	collect_feed(&rig.collect, text, strlen(text), rig.now);
}

/* Lines "NNNNNNNN guest G says ..." that stand whole in the log, and how many others do. */
static u64 whole_lines(const char *name, u64 *others)
{
	const struct rig_log *l = rig_log(name);
	u64 whole = 0;

	*others = 0;
	for (const char *p = l->text, *end = p + l->len, *lf; p < end; p = lf + 1) {
		bool fine;

		lf = memchr(p, '\n', (size_t)(end - p));
		fine = lf - p >= 22 && strspn(p, "0123456789") == 8 &&
		       !strncmp(p + 8, " guest ", 7) && !strncmp(p + 16, " says ", 6);
		whole += fine;
		*others += !fine;
	}
	return whole;
}

/* Ten minutes at 115200 baud, one byte in 10 000 damaged and one in 50 000 lost, both ways. */
TEST(every_record_comes_through_a_bad_line)
{
	u64 whole, others;

	rig_start(true);
	rig.damaged = 100;
	rig.lost = rig.up_lost = 20;
	collect_watch_idle(&rig.collect, 20 * NSEC_PER_SEC);
	printed[0] = printed[1] = 0;
	for (u64 ms = 0; ms < 600000; ms++) {
		chatter();
		some_records(ms);
		rig_step();
	}
	rig_record("result", "alpha", 50, false);
	rig_record("result", "beta", 50, false);
	settle(120000);
	check_all_records();
	printf("# %llu bytes, %llu damaged or lost; %llu records, %llu damaged lines, %llu "
	       "requests\n",
	       (unsigned long long)rig.wire_bytes, (unsigned long long)rig.wire_damaged,
	       (unsigned long long)rig.nwritten, (unsigned long long)rig.collect.damaged,
	       (unsigned long long)rig.collect.requests);
	CHECK(rig.wire_damaged > 500); /* the line was bad */
	CHECK(rig.collect.damaged > 50);
	CHECK(rig.nwritten > 3000);
	for (unsigned g = 0; g < 2; g++) {
		whole = whole_lines(g ? "beta" : "alpha", &others);
		printf("# guest %u: %llu of %llu lines whole, %llu others\n", g,
		       (unsigned long long)whole, (unsigned long long)printed[g],
		       (unsigned long long)others);
		CHECK(whole > printed[g] * 97 / 100 && whole <= printed[g]);
		CHECK(others < printed[g] / 50);
	}
	/* Damaged prefixes made no partitions. */
	for (unsigned i = 0; i < rig.nlogs; i++)
		CHECK(!strcmp(rig.log[i].name, "alpha") || !strcmp(rig.log[i].name, "beta") ||
		      !strcmp(rig.log[i].name, "hv") || !strcmp(rig.log[i].name, "console") ||
		      !strcmp(rig.log[i].name, "control"));
	rig_end();
}

/* Ten times as bad: more damage than text, and still every record. */
TEST(a_very_bad_line)
{
	rig_start(true);
	rig.damaged = 1000;
	rig.lost = rig.up_lost = 300;
	collect_watch_idle(&rig.collect, 20 * NSEC_PER_SEC);
	for (u64 ms = 0; ms < 60000; ms++) {
		if (ms % 10 == 0)
			rig_say(ALPHA, "text between the records\n");
		if (ms % 500 == 0)
			rig_record("guest", "alpha", rig_random() % 700, false);
		rig_step();
	}
	settle(300000);
	check_all_records();
	CHECK(rig.collect.damaged > 30);
	rig_end();
}

TEST(text_is_whole_and_once)
{
	rig_start(true);
	rig_record("guest", "alpha", 0, false);
	rig_say(ALPHA, "login: ");
	rig_run(60);
	rig_say(HV, "message\n");
	rig_run(60);
	rig_say(ALPHA, "root");
	rig_run(60);
	rig_record("error", "alpha", 0, false);
	rig_say(ALPHA, "\nlast words");
	rig_run(60);
	rig_record("error", "alpha", 0, false);
	rig_run(100);
	collect_finish(&rig.collect);
	CHECK_STR(rig_logged("alpha"), "login: root\nlast words\n");
	CHECK_STR(rig_logged("hv"), "message\n");
	check_all_records();
	CHECK_EQ(rig.collect.requests, 0);
	rig_end();
}

TEST(text_of_the_focus_has_no_prefix)
{
	rig_start(true);
	rig_record("guest", "alpha", 0, false);
	rig_record("guest", "beta", 0, false);
	rig_send(NULL,
		 "\x1d"
		 "1",
		 2);
	rig_run(10);
	rig_say(ALPHA, "# {\"pnb\" is not at column 0\n");
	rig_say(ALPHA, "{\"pnb\":1,\"seq\":99} is no record\n");
	rig_say(BETA, "b\n");
	rig_send(NULL, "\x1d-", 2);
	rig_run(10);
	rig_say(ALPHA, "prefixed again\n");
	rig_run(100);
	collect_finish(&rig.collect);
	CHECK_STR(rig_logged("alpha"), "# {\"pnb\" is not at column 0\n"
				       " {\"pnb\":1,\"seq\":99} is no record\nprefixed again\n");
	CHECK_STR(rig_logged("beta"), "b\n");
	CHECK_STR(rig_logged("console"), "");
	CHECK_EQ(rig.seen, 2);
	rig_end();
}

/* The record is damaged on its way and nothing follows that would show the gap. */
TEST(the_last_record_is_missed)
{
	rig_start(true);
	rig_record("guest", "alpha", 0, false);
	rig_run(100);
	rig.damaged = 30000;
	rig_record("result", "alpha", 200, false);
	rig_run(50);
	rig.damaged = 0;
	CHECK_EQ(rig.collect.order.max, 1);
	settle(5000);
	CHECK_EQ(rig.nwritten, 2); /* and the request put nothing new on the line */
	check_all_records();
	rig_end();
}

/* Not even a trace of it came. */
TEST(the_last_record_vanished)
{
	rig_start(true);
	collect_watch_idle(&rig.collect, 20 * NSEC_PER_SEC);
	rig_record("guest", "alpha", 0, false);
	rig_run(100);
	rig.lost = 1000000;
	rig_record("result", "alpha", 200, false);
	rig_run(100);
	rig.lost = 0;
	rig_run(30000);
	check_all_records();
	CHECK_EQ(rig.nwritten, 2);
	rig_end();
}

/* Each "not written yet" is a record more: silence must not fill the log. */
TEST(silence_is_asked_ever_more_rarely)
{
	rig_start(true);
	collect_watch_idle(&rig.collect, 20 * NSEC_PER_SEC);
	rig_record("guest", "alpha", 0, false);
	rig_run(3600 * 1000);
	check_all_records();
	CHECK(rig.nwritten > 5 && rig.nwritten < 25);
	rig_end();
}

/* Trace data has no number: it is passed on, and nothing is asked for when it is damaged. */
TEST(bulk_data_is_outside_the_order)
{
	rig_start(true);
	rig_record("guest", "alpha", 0, false);
	for (unsigned i = 0; i < 20; i++) {
		record_begin(&rig.record, "trace");
		record_base64(&rig.record, "data", rig.up, 1000);
		CHECK(record_end_unkept(&rig.store, &rig.record));
		rig_run(500);
	}
	CHECK_EQ(rig.bulk, 20);
	feed("{\"pnb\":1,\"seq\":0,\"t_us\":5,\"type\":\"trace\",\"crc\":\"00000000\"}\r\n");
	rig_run(5000);
	CHECK_EQ(rig.collect.damaged, 1);
	CHECK_EQ(rig.collect.requests, 0);
	feed("{\"pnb\":1,\"seq\":2,\"t_us\":5,\"type\":\"guest\",\"crc\":\"00000000\"}\r\n");
	rig_run(5000);
	CHECK_EQ(rig.collect.requests, 1);
	check_all_records();
	rig_end();
}

TEST(a_reader_that_comes_late)
{
	rig_start(true);
	for (unsigned i = 0; i < 100; i++)
		rig_record("guest", "alpha", 1500, false);
	while (mux_pending(&rig.mux)) { /* nobody listens */
		char buf[64];

		mux_drain(&rig.mux, buf, sizeof(buf));
		record_pump(&rig.store);
	}
	rig_record("guest", "alpha", 0, false);
	rig_run(60000);
	CHECK_EQ(rig.nlost, 0);
	CHECK(rig.nbefore > 50 && rig.nbefore < 70); /* what 64 KiB do not hold */
	CHECK_EQ(rig.seen + rig.nbefore, rig.nwritten);
	CHECK_EQ(rig.delivered, rig.nwritten);
	CHECK_EQ(rig.wrong, 0);
	CHECK(rig.collect.requests < 4);
	rig_end();
}

TEST(records_no_longer_kept_are_reported)
{
	rig_start(true);
	rig_record("guest", "alpha", 0, false);
	rig_run(100);
	rig.lost = 1000000; /* unplugged */
	for (unsigned i = 0; i < 100; i++) {
		rig_record("guest", "alpha", 1500, false);
		rig_run(200);
	}
	rig.lost = 0;
	rig_record("guest", "alpha", 0, false);
	rig_run(60000);
	CHECK(rig.nlost > 50 && rig.nlost < 70);
	CHECK_EQ(rig.nbefore, 0);
	CHECK_EQ(rig.seen + rig.nlost, rig.nwritten);
	CHECK_EQ(rig.delivered, rig.nwritten);
	rig_end();
}

/* Two records, the second while the line is unplugged. */
static void record_and_a_lost_one(void)
{
	rig_record("guest", "alpha", 0, false);
	rig_run(100);
	rig.lost = 1000000;
	rig_record("guest", "alpha", 0, false);
	rig_run(100);
	rig.lost = 0;
}

TEST(a_hypervisor_that_does_not_hear)
{
	rig_start(true);
	rig.deaf = true;
	record_and_a_lost_one();
	rig_record("result", "alpha", 0, false);
	rig_run(200000);
	CHECK_EQ(rig.nlost, 1);
	CHECK_EQ(rig.delivered, 3);
	CHECK_EQ(rig.collect.requests, 4);
	CHECK(!collect_wants_more(&rig.collect));
	rig_end();
}

TEST(a_one_way_line_waits_and_goes_on)
{
	rig_start(false);
	rig.collect.patience_ns = 10 * NSEC_PER_SEC;
	record_and_a_lost_one();
	rig_record("result", "alpha", 0, false);
	rig_run(9000);
	CHECK_EQ(rig.delivered, 1);
	rig_run(2000);
	CHECK_EQ(rig.delivered, 3);
	CHECK_EQ(rig.nlost, 1);
	rig_end();
}

/* Numbers start again at 1: nothing of the new session is taken for a repetition of the old. */
TEST(the_hypervisor_starts_again)
{
	rig_start(true);
	for (unsigned i = 0; i < 20; i++)
		rig_record("guest", "alpha", 100, false);
	rig_run(2000);
	check_all_records();
	rig_boot();
	rig.now = NSEC_PER_SEC + 300 * MS; /* its clock too; the collector's may not go back */
	rig.collect.ask.earliest_ns = 0;
	for (unsigned i = 0; i < 30; i++)
		rig_record("guest", "beta", 50, false);
	rig_run(3000);
	CHECK_EQ(rig.sessions, 2);
	CHECK_EQ(rig.delivered, 30);
	CHECK_EQ(rig.nwritten, 30);
	CHECK_EQ(rig.nlost + rig.nbefore + rig.wrong, 0);
	rig_end();
}

TEST(a_restart_whose_first_records_are_missed)
{
	rig_start(true);
	for (unsigned i = 0; i < 20; i++) {
		rig_record("guest", "alpha", 100, false);
		rig_run(1000);
	}
	rig_boot();
	rig.now = NSEC_PER_SEC + 300 * MS;
	rig.collect.ask.earliest_ns = 0;
	rig.lost = 1000000;
	for (unsigned i = 0; i < 25; i++)
		rig_record("guest", "beta", 50, false);
	rig_run(3000);
	rig.lost = 0;
	rig_record("guest", "beta", 50, false); /* number 26: a gap of five, but for its time */
	rig_run(10000);
	CHECK_EQ(rig.sessions, 2);
	CHECK_EQ(rig.delivered, 26);
	CHECK_EQ(rig.nlost + rig.nbefore + rig.wrong, 0);
	rig_end();
}

static void feed_record(u64 seq, u64 t_us)
{
	char line[160];
	int n = snprintf(line, sizeof(line),
			 "{\"pnb\":1,\"seq\":%llu,\"t_us\":%llu,\"type\":\"guest\"",
			 (unsigned long long)seq, (unsigned long long)t_us);

	snprintf(line + n, sizeof(line) - (size_t)n, ",\"crc\":\"%08x\"}\r\n",
		 crc32(0, line, (size_t)n));
	feed(line);
}

/* A record that would fill a gap, but is of another time than its neighbours. */
TEST(a_number_that_fits_and_a_time_that_does_not)
{
	rig_start(false);
	feed_record(1, 1000000);
	feed_record(2, 2000000);
	feed_record(5, 5000000);
	CHECK_EQ(rig.seen, 3);
	feed_record(3, 3000000);
	CHECK_EQ(rig.sessions, 1);
	feed_record(4, 2500000); /* before number 3 */
	CHECK_EQ(rig.sessions, 2);
	CHECK_EQ(rig.nlost, 1);
	CHECK_EQ(rig.collect.order.max, 4);
	feed_record(2, 9000000); /* behind number 4 */
	CHECK_EQ(rig.sessions, 3);
	rig_end();
}

TEST(a_repetition_is_no_restart)
{
	rig_start(false);
	feed_record(1, 1000000);
	feed_record(1, 1000000); /* delivered */
	feed_record(3, 3000000);
	feed_record(3, 3000000); /* held */
	CHECK_EQ(rig.seen, 2);
	CHECK_EQ(rig.collect.again, 2);
	CHECK_EQ(rig.sessions, 1);
	rig_end();
}

/* Before the hypervisor speaks, a loader's menu would take the bytes for its keys. */
TEST(nothing_is_typed_before_the_hypervisor_is_heard)
{
	rig_start(true);
	collect_watch_idle(&rig.collect, NSEC_PER_SEC);
	collect_feed(&rig.collect, "GNU GRUB  version 2.06\r\n", 24, rig.now);
	rig_run(100000);
	CHECK_EQ(rig.collect.requests, 0);
	rig_say(HV, "Penumbra\n");
	rig_run(5000);
	CHECK(rig.collect.requests > 0);
	CHECK_STR(rig_logged("console"), "GNU GRUB  version 2.06\n");
	rig_end();
}

TEST(nothing_is_typed_into_a_persons_key_sequence)
{
	rig_start(true);
	rig.collect.hold = true;
	record_and_a_lost_one();
	rig_record("guest", "alpha", 0, false);
	rig_run(5000);
	CHECK_EQ(rig.collect.requests, 0);
	rig.collect.hold = false;
	settle(5000);
	check_all_records();
	rig_end();
}

/* The store's own record must be taken, and no other text: any byte of it changed is refused. */
TEST(any_changed_byte_is_refused)
{
	struct rec r;
	char line[512];
	size_t len;

	rig_start(true);
	rig_record("guest", "alpha", 20, false);
	len = strlen(rig.written[1]);
	memcpy(line, rig.written[1], len);
	CHECK(!rec_parse((struct span){line, len}, &r));
	CHECK_EQ(r.seq, 1);
	CHECK_STR(r.type, "guest");
	for (size_t i = 0; i < len; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			line[i] = (char)(line[i] ^ 1 << bit);
			CHECK(rec_parse((struct span){line, len}, &r));
			line[i] = (char)(line[i] ^ 1 << bit);
		}
	for (size_t n = 0; n < len; n++)
		CHECK(rec_parse((struct span){line, n}, &r));
	rig_end();
}
