/* The serial multiplexer under random writes, records, keys and drains.
 *
 * Text mode (first byte even): sources print text and are held back when the mux says so. Taken
 * apart again, the line must give back exactly what each printed, and an interrupted line must come
 * again. Raw mode: any bytes, any keys, nobody waits. Records still come out whole, in order and
 * alone at column 0, nothing else looks like one, and nothing overflows. Third mode: raw mode with
 * transfers, which come and go; that nothing overflows is all that is checked of them.
 *
 * SPDX-License-Identifier: MIT
 * SRCS: hv/chan/mux.c hv/chan/mux_transfer.c hv/lib/str.c
 */
#include "fuzz.h"

#include "chan/mux.h"
#include "lib/timerq.h"

#define SOURCES 4
#define RECORDS 4096
#define OUT_MAX (4u << 20)

static const char *const names[SOURCES] = {"hv", "control", "alpha", "alpha:vga"};

struct text {
	char *buf;
	size_t len;
};

static struct mux mux;
static struct text wire, printed[SOURCES];
static u64 now;
static unsigned nrecords;
static bool transfers;

static void add(struct text *t, const char *s, size_t n)
{
	MUST(t->len + n < OUT_MAX);
	memcpy(t->buf + t->len, s, n);
	t->len += n;
	t->buf[t->len] = '\0';
}

static void input(void *ctx, unsigned index, u8 byte)
{
	MUST(ctx == &mux && index < MUX_PARTITIONS && (byte || mux.transfer.on));
}

static void key(void *ctx, char k, const char *arg)
{
	MUST(ctx == &mux && k > ' ' && k <= '~' && strlen(arg) < 40);
}

static const struct mux_ops ops = {input, key, &mux};

static void drain(unsigned max)
{
	static char buf[MUX_RING_SIZE];
	unsigned n = mux_drain(&mux, buf, max);

	MUST(n <= max);
	add(&wire, buf, n);
}

static void tick(u64 ms)
{
	u64 next;

	now += ms * NSEC_PER_MSEC;
	next = mux_tick(&mux, now);
	MUST(next > now);
}

/* A numbered line; what is sent is told by its number. */
static void record(bool may_drop, size_t pad)
{
	char text[RECORD_MAX];
	int n = snprintf(text, sizeof(text), "{\"pnb\":1,\"seq\":%u,\"pad\":\"%0*u\"}", nrecords,
			 (int)pad, 0u);

	if (nrecords < RECORDS && mux_record(&mux, text, (size_t)n, may_drop))
		nrecords++;
}

/* --- text mode -------------------------------------------------------------------------------- */

/* A few bytes of text, LF, CR LF and things that look like records; no lone CR, lines not too long.
 */
static void print_text(struct program *prog, int src)
{
	static const char *const piece[] = {"\n",  "\r\n", "{\"pnb\"", "{",
					    "ab ", "{\"p", "\x1b[1m",  "z"};
	static const char *const as_printed[] = {"\n",	"\n",	"{\"pnb\"", "{",
						 "ab ", "{\"p", "\x1b[1m",  "z"};
	u8 n = take(prog) & 15;

	for (u8 i = 0; i < n; i++) {
		unsigned which = take(prog) & 7;

		if (mux_throttled(&mux, src) || mux.src[src].len > MUX_LINE_MAX - 8)
			return;
		mux_write(&mux, src, piece[which], strlen(piece[which]), now);
		add(&printed[src], as_printed[which], strlen(as_printed[which]));
	}
}

/* The next line of printed[src], with the blank that keeps it from looking like a record. */
static size_t expected_line(int src, size_t *pos, char *line)
{
	const char *s = printed[src].buf + *pos, *lf = strchr(s, '\n');
	size_t n, blank = !strncmp(s, "{\"pnb\"", 6);

	MUST(lf);
	n = (size_t)(lf - s);
	memcpy(line, " ", blank);
	memcpy(line + blank, s, n);
	line[blank + n] = '\0';
	*pos += n + 1;
	return blank + n;
}

static int source_of(const char *line, const char **text)
{
	for (int i = 0; i < SOURCES; i++) {
		size_t n = strlen(names[i]);

		if (!strncmp(line, names[i], n) && !strncmp(line + n, "| ", 2)) {
			*text = line + n + 2;
			return i;
		}
	}
	return -1;
}

static void check_text(void)
{
	size_t pos[SOURCES] = {0};
	char want[MUX_LINE_MAX + 2];
	unsigned records = 0;

	for (char *line = wire.buf, *next; *line; line = next) {
		char *lf = strchr(line, '\n');
		const char *text;
		size_t len;
		int src;

		MUST(lf && lf > line && lf[-1] == '\r');
		next = lf + 1;
		len = (size_t)(lf - line) - 1;
		if (!strncmp(line, "{\"pnb\":1,\"seq\":", 15)) {
			MUST(strtoul(line + 15, NULL, 10) == records++);
			continue;
		}
		src = source_of(line, &text);
		MUST(src >= 0);
		len -= (size_t)(text - line);
		if (len &&
		    text[len - 1] == '\r') { /* interrupted: a beginning of what is to come */
			size_t again = pos[src];

			MUST(expected_line(src, &again, want) >= len - 1);
			MUST(!strncmp(text, want, len - 1));
			continue;
		}
		MUST(expected_line(src, &pos[src], want) == len);
		MUST(!strncmp(text, want, len));
	}
	MUST(records == nrecords);
	for (int i = 0; i < SOURCES; i++)
		MUST(pos[i] == printed[i].len);
}

static void text_mode(struct program *prog)
{
	while (prog->p < prog->end) {
		u8 op = take(prog);

		switch (op & 3) {
		case 0:
			tick(op >> 2);
			break;
		case 1:
			record(op & 4, op >> 3);
			break;
		case 2:
			drain(op >> 2);
			break;
		default:
			print_text(prog, (op >> 2) % SOURCES);
		}
	}
	for (int i = 0; i < SOURCES; i++) {
		drain(MUX_RING_SIZE);
		mux_write(&mux, i, "\n", 1, now);
		add(&printed[i], "\n", 1);
	}
	drain(MUX_RING_SIZE);
	MUST(!mux.dropped_bytes);
	check_text();
}

/* --- raw mode --------------------------------------------------------------------------------- */

static void check_raw(void)
{
	unsigned records = 0;

	for (char *p = wire.buf, *end = p + wire.len; p < end; p++) {
		char *lf = memchr(p, '\n', (size_t)(end - p));

		MUST(!lf || lf[-1] == '\r');
		if (!strncmp(p, "{\"pnb\"", 6)) {
			MUST(strtoul(p + 15, NULL, 10) == records++);
			MUST(lf && !strncmp(lf - 3, "\"}\r", 3));
		}
		if (!lf)
			break;
		p = lf;
	}
	MUST(records == nrecords);
}

static void write_raw(struct program *prog, int src)
{
	char buf[64];
	u8 n = take(prog) & 63, times = take(prog);

	for (u8 i = 0; i < n; i++)
		buf[i] = (char)take(prog);
	for (unsigned i = 0; i <= times; i++)
		mux_write(&mux, src, buf, n, now);
}

static void transfer(u8 how)
{
	if (!transfers)
		return;
	if (how & 1)
		mux_transfer_end(&mux);
	else
		mux_transfer_begin(&mux, how >> 1 & 3, now + (how >> 3) * NSEC_PER_MSEC);
}

static void raw_mode(struct program *prog)
{
	while (prog->p < prog->end && wire.len < OUT_MAX / 2) {
		u8 op = take(prog);

		switch (op & 7) {
		case 0:
			tick(op >> 3);
			break;
		case 1:
			record(op & 8, (size_t)(op >> 4) * 200);
			break;
		case 2:
			drain(op);
			break;
		case 3:
			mux_rx(&mux, 0x1d, now);
			mux_rx(&mux, take(prog), now);
			break;
		case 4:
			mux_rx(&mux, take(prog), now);
			break;
		case 5:
			transfer(op >> 3);
			break;
		default:
			write_raw(prog, (op >> 3) % SOURCES);
		}
		MUST(mux.head - mux.tail <= MUX_RING_SIZE);
		MUST(mux.transfer.head - mux.transfer.tail <= MUX_TRANSFER);
		MUST(!mux_transfer_open(&mux) ||
		     mux.head - mux.transfer.held <= mux.head - mux.tail);
		for (int i = 0; i < SOURCES; i++)
			MUST(mux.src[i].len <= MUX_LINE_MAX && mux.src[i].shown <= mux.src[i].len);
	}
	mux_transfer_end(&mux);
	drain(MUX_RING_SIZE);
	drain(MUX_RING_SIZE);
	MUST(!mux_pending(&mux) && !mux_waiting(&mux));
	if (!transfers)
		check_raw();
}

static void clear(struct text *t)
{
	if (!t->buf)
		t->buf = malloc(OUT_MAX);
	t->len = 0;
	t->buf[0] = '\0';
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct program prog = {data, data + size};
	u8 mode = take(&prog);

	clear(&wire);
	mux_init(&mux, &ops);
	for (int i = 0; i < SOURCES; i++) {
		clear(&printed[i]);
		MUST(mux_add_source(&mux, names[i]) == i);
	}
	mux_set_partition(&mux, 0, 1);
	mux_set_partition(&mux, 1, 2);
	now = NSEC_PER_SEC;
	nrecords = 0;
	transfers = mode & 2;
	if (mode & 1)
		raw_mode(&prog);
	else
		text_mode(&prog);
	return 0;
}
