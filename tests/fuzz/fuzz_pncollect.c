/* pncollect's parser and collector under any bytes, valid records with any numbers and times, and
 * any passing of time: records are given on in order and once in each session, names of logs are
 * names, requests are well-formed, nothing is read or written out of bounds.
 *
 * SPDX-License-Identifier: MIT
 * SRCS: hv/lib/crc32.c tools/pncollect/collect.c tools/pncollect/demux.c tools/pncollect/json.c
 * SRCS: tools/pncollect/lines.c tools/pncollect/order.c tools/pncollect/rec.c
 */
#include "fuzz.h"

#include "lib/crc32.h"

#include "../../tools/pncollect/collect.h"

static struct collect collect;
static u64 now, last;
static unsigned sessions;

static void text(void *ctx, const char *name, struct span text)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	(void)ctx;
	MUST(n >= 1 && n <= 16 && (!name[n] || !strcmp(name + n, ":vga")));
	MUST(text.len <= LINES_MAX);
}

static void record(void *ctx, const struct rec *r)
{
	struct rec again;

	(void)ctx;
	MUST(r->seq > last);
	MUST(!rec_parse(r->line, &again) && again.seq == r->seq);
	last = r->seq;
}

static void seen(void *ctx, const struct rec *r)
{
	(void)ctx;
	MUST(r->line.len <= REC_MAX);
}

static void bulk(void *ctx, const struct rec *r)
{
	(void)ctx;
	MUST(!r->seq);
}

static void lost(void *ctx, u64 from, u64 to, bool before, const char *why)
{
	(void)ctx, (void)before;
	MUST(from > last && from <= to && why);
	last = to;
}

static void session(void *ctx, unsigned n)
{
	(void)ctx;
	MUST(n == ++sessions);
	last = 0;
}

static void sent(void *ctx, const char *bytes, size_t n)
{
	unsigned long long from, to;

	(void)ctx;
	MUST(n > 5 && bytes[0] == 0x1d && bytes[n - 1] == '\n' && n < 40);
	MUST(sscanf(bytes + 1, "r%llu-%llu\n", &from, &to) == 2 && from <= to);
}

static void feed(const char *data, size_t n)
{
	collect_feed(&collect, data, n, now);
}

static void feed_record(struct program *prog)
{
	static const char *const type[] = {"guest", "boot", "result", "error"};
	static const char *const more[] = {
		",\"name\":\"alpha\"", ",\"memory\":{\"guests\":{\"beta\":1,\"B!\":2}}",
		",\"guest\":\"alpha\",\"status\":\"pass\"",
		",\"where\":\"resend\",\"from\":%u,\"to\":%u,\"message\":\"records %s\""};
	char line[512], rest[256];
	u8 op = take(prog), seq = take(prog), t = take(prog);
	int n;

	snprintf(rest, sizeof(rest), more[op & 3], take(prog), take(prog),
		 op & 4 ? "no longer kept" : "not written yet");
	n = snprintf(line, sizeof(line), "{\"pnb\":1,\"seq\":%u,\"t_us\":%u,\"type\":\"%s\"%s", seq,
		     t * 1000, type[op & 3], rest);
	n += snprintf(line + n, sizeof(line) - (size_t)n, ",\"crc\":\"%08x\"}%s",
		      crc32(0, line, (size_t)n), op & 8 ? "\n" : "\r\n");
	feed(line, (size_t)n);
}

static void feed_bytes(struct program *prog)
{
	static const char *const piece[] = {
		"alpha| ", "\r\r\n",	  "\r\n",  "{\"pnb\":1,\"seq\":",
		"hv| ",	   "focus: beta", "\\u00", "beta:vga| "};
	u8 op = take(prog);
	char c = (char)op;

	if (op & 0x80)
		feed(piece[op & 7], strlen(piece[op & 7]));
	else
		for (unsigned i = take(prog); i-- > 0;)
			feed(&c, 1);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct program prog = {data, data + size};
	u8 flags = take(&prog);
	const struct collect_ops ops = {
		.text = text,
		.record = record,
		.seen = seen,
		.bulk = bulk,
		.lost = lost,
		.session = session,
		.send = flags & 1 ? sent : NULL,
	};

	now = NSEC_PER_SEC;
	last = 0;
	sessions = 1;
	collect_init(&collect, &ops, flags & 2 ? 1000 : 1 << 20);
	if (flags & 4)
		collect_watch_idle(&collect, NSEC_PER_SEC);
	if (flags & 8)
		collect.patience_ns = NSEC_PER_SEC;
	if (flags & 16) {
		feed((const char *)prog.p, (size_t)(prog.end - prog.p));
		prog.p = prog.end;
	}
	while (prog.p < prog.end) {
		u8 op = take(&prog);

		now += (u64)(op >> 2) * 100 * NSEC_PER_MSEC;
		if ((op & 3) == 0)
			feed_bytes(&prog);
		else if ((op & 3) != 1)
			feed_record(&prog);
		collect_tick(&collect, now);
	}
	collect_finish(&collect);
	return 0;
}
