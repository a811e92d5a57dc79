/* The hypervisor's end of the serial line, its real multiplexer and record store, a line that
 * damages and loses bytes both ways, and pncollect's collector at the other end. Time is virtual.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_COLLECT_RIG_H
#define TESTS_UNIT_COLLECT_RIG_H

#include "unit.h"

#include "chan/mux.h"
#include "chan/records.h"

#include "../../tools/pncollect/collect.h"

#define RIG_RECORDS 20000
#define RIG_NAMES   12
#define MS	    NSEC_PER_MSEC

enum { HV, CONTROL, ALPHA, ALPHA_VGA, BETA };

struct rig_log {
	char name[DEMUX_NAME_MAX];
	char *text;
	size_t len, cap;
};

static struct rig {
	struct mux mux;
	struct record_store store;
	struct record record;
	struct collect collect;
	u64 now;
	/* the line: bytes a second, damaged and lost bytes in a million */
	unsigned rate, damaged, lost, up_lost;
	bool deaf; /* nothing reaches the hypervisor */
	u64 credit, up_credit;
	char up[4096];
	unsigned up_head, up_tail;
	u32 random;
	u64 wire_bytes, wire_damaged;
	/* what the hypervisor wrote, by number, and what came out in order */
	char *written[RIG_RECORDS];
	u64 nwritten, delivered, wrong, nlost, nbefore, seen, bulk;
	unsigned sessions;
	struct rig_log log[RIG_NAMES];
	unsigned nlogs;
} rig;

static u32 rig_random(void)
{
	rig.random ^= rig.random << 13;
	rig.random ^= rig.random >> 17;
	rig.random ^= rig.random << 5;
	return rig.random;
}

/* --- the hypervisor --------------------------------------------------------------------------- */

static void rig_input(void *ctx, unsigned index, u8 byte)
{
	(void)ctx, (void)index, (void)byte;
}

static void rig_key(void *ctx, char key, const char *arg)
{
	unsigned long long from, to;

	(void)ctx;
	if (key == 'r' && sscanf(arg, "%llu-%llu", &from, &to) == 2 && to >= from)
		record_resend(&rig.store, from, to);
}

static const struct mux_ops rig_mux_ops = {rig_input, rig_key, NULL};

static bool rig_emit(void *ctx, const char *line, unsigned len, bool may_drop)
{
	u64 seq = strtoull(line + strlen("{\"pnb\":1,\"seq\":"), NULL, 10);

	(void)ctx;
	if (!mux_record(&rig.mux, line, len, may_drop))
		return false;
	if (seq < RIG_RECORDS && !rig.written[seq]) {
		rig.written[seq] = strndup(line, len);
		rig.nwritten = MAX(rig.nwritten, seq);
	}
	return true;
}

static u64 rig_now_us(void *ctx)
{
	(void)ctx;
	return rig.now / NSEC_PER_USEC;
}

static void rig_boot(void)
{
	mux_init(&rig.mux, &rig_mux_ops);
	mux_add_source(&rig.mux, "hv");
	mux_add_source(&rig.mux, "control");
	mux_add_source(&rig.mux, "alpha");
	mux_add_source(&rig.mux, "alpha:vga");
	mux_add_source(&rig.mux, "beta");
	mux_set_partition(&rig.mux, 0, CONTROL);
	mux_set_partition(&rig.mux, 1, ALPHA);
	mux_set_partition(&rig.mux, 2, BETA);
	record_store_init(&rig.store, rig_emit, rig_now_us, NULL);
	for (u64 i = 0; i < RIG_RECORDS; i++) {
		free(rig.written[i]);
		rig.written[i] = NULL;
	}
	rig.nwritten = rig.delivered = 0;
}

static void rig_say(int src, const char *text)
{
	mux_write(&rig.mux, src, text, strlen(text), rig.now);
}

/* A record of @type about @name with @pad bytes more. */
static void rig_record(const char *type, const char *name, size_t pad, bool may_drop)
{
	static const char filler[3000] = {[0 ... 2998] = 'x'};

	record_begin(&rig.record, type);
	record_str(&rig.record, strcmp(type, "guest") ? "guest" : "name", name);
	record_strn(&rig.record, "pad", filler, pad);
	record_end(&rig.store, &rig.record, may_drop);
}

/* --- the collector's output ------------------------------------------------------------------- */

static struct rig_log *rig_log(const char *name)
{
	for (unsigned i = 0; i < rig.nlogs; i++)
		if (!strcmp(rig.log[i].name, name))
			return &rig.log[i];
	if (rig.nlogs == RIG_NAMES) {
		CHECK(!"more logs than there are partitions");
		return &rig.log[0];
	}
	snprintf(rig.log[rig.nlogs].name, DEMUX_NAME_MAX, "%s", name);
	return &rig.log[rig.nlogs++];
}

static void rig_text(void *ctx, const char *name, struct span text)
{
	struct rig_log *l = rig_log(name);

	(void)ctx;
	if (l->len + text.len + 1 > l->cap) {
		l->cap = 2 * l->cap + text.len + 4096;
		l->text = realloc(l->text, l->cap);
	}
	memcpy(l->text + l->len, text.p, text.len);
	l->len += text.len;
	l->text[l->len] = '\0';
}

static const char *rig_logged(const char *name)
{
	struct rig_log *l = rig_log(name);

	return l->text ? l->text : "";
}

/* In order, each once, as written. */
static void rig_deliver(void *ctx, const struct rec *r)
{
	const char *want = r->seq < RIG_RECORDS ? rig.written[r->seq] : NULL;

	(void)ctx;
	if (r->seq <= rig.delivered || !want || strlen(want) != r->line.len ||
	    memcmp(want, r->line.p, r->line.len))
		rig.wrong++;
	rig.delivered = r->seq;
}

static void rig_seen(void *ctx, const struct rec *r)
{
	(void)ctx, (void)r;
	rig.seen++;
}

static void rig_bulk(void *ctx, const struct rec *r)
{
	(void)ctx;
	rig.bulk += !r->seq;
}

static void rig_lost(void *ctx, u64 from, u64 to, bool before, const char *why)
{
	(void)ctx, (void)why;
	*(before ? &rig.nbefore : &rig.nlost) += to - from + 1;
}

static void rig_session(void *ctx, unsigned n)
{
	(void)ctx;
	rig.sessions = n;
	rig.delivered = 0;
}

static void rig_send(void *ctx, const char *bytes, size_t n)
{
	(void)ctx;
	for (size_t i = 0; i < n; i++)
		rig.up[rig.up_head++ % sizeof(rig.up)] = bytes[i];
}

/* --- the line --------------------------------------------------------------------------------- */

/* False when the byte is lost. */
static bool rig_noise(char *byte, unsigned lost)
{
	u32 r = rig_random() % 1000000;

	rig.wire_bytes++;
	if (r >= rig.damaged + lost)
		return true;
	rig.wire_damaged++;
	*byte = (char)(*byte ^ 1 << rig_random() % 8);
	return r >= lost;
}

static void rig_down(unsigned budget)
{
	char in[256], out[256];
	unsigned n = mux_drain(&rig.mux, in, MIN(budget, sizeof(in))), kept = 0;

	for (unsigned i = 0; i < n; i++) {
		out[kept] = in[i];
		kept += rig_noise(&out[kept], rig.lost);
	}
	collect_feed(&rig.collect, out, kept, rig.now);
}

static void rig_up(unsigned budget)
{
	while (budget-- && rig.up_tail != rig.up_head) {
		char byte = rig.up[rig.up_tail++ % sizeof(rig.up)];

		if (rig_noise(&byte, rig.up_lost) && !rig.deaf)
			mux_rx(&rig.mux, (u8)byte, rig.now);
	}
}

/* One millisecond. */
static void rig_step(void)
{
	rig.now += MS;
	mux_tick(&rig.mux, rig.now);
	record_pump(&rig.store);
	rig.credit += rig.rate;
	rig_down((unsigned)(rig.credit / 1000));
	rig_up((unsigned)(rig.credit / 1000));
	rig.credit %= 1000;
	collect_tick(&rig.collect, rig.now);
}

static void rig_run(u64 ms)
{
	while (ms--)
		rig_step();
}

/* Everything new; the line is perfect. @duplex: the collector can type. */
static void rig_start(bool duplex)
{
	const struct collect_ops ops = {
		.text = rig_text,
		.record = rig_deliver,
		.seen = rig_seen,
		.bulk = rig_bulk,
		.lost = rig_lost,
		.session = rig_session,
		.send = duplex ? rig_send : NULL,
	};

	for (unsigned i = 0; i < rig.nlogs; i++)
		free(rig.log[i].text);
	for (u64 i = 0; i < RIG_RECORDS; i++)
		free(rig.written[i]);
	memset(&rig, 0, sizeof(rig));
	rig.now = NSEC_PER_SEC;
	rig.rate = 11520;
	rig.random = 2463534242u;
	rig.sessions = 1;
	rig_boot();
	collect_init(&rig.collect, &ops, 4 << 20);
	rig.collect.last_record_ns = rig.now;
}

/* Release what a test took; the sanitizer counts. */
static void rig_end(void)
{
	collect_finish(&rig.collect);
	for (unsigned i = 0; i < rig.nlogs; i++)
		free(rig.log[i].text);
	for (u64 i = 0; i < RIG_RECORDS; i++)
		free(rig.written[i]);
	memset(&rig, 0, sizeof(rig));
}

#endif
