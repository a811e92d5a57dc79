/* Records: building, sealing, keeping and repeating them.
 *
 * The body is written behind room for the longest head, because the number and the time are known
 * only when the record is sealed; the head is then put right in front of it. Room for everything
 * that closes a record is kept at the end, so that a full record is still a valid one.
 *
 * SPDX-License-Identifier: MIT
 */
#include "chan/records.h"

#include "lib/crc32.h"
#include "lib/str.h"

#define HEAD_ROOM 72 /* {"pnb":1,"seq":N,"t_us":N, with two 20-digit numbers */
#define TAIL_ROOM 56 /* a quote, RECORD_MAX_DEPTH brackets, "truncated":1, "crc":"xxxxxxxx"} */
#define BODY_END  (RECORD_MAX - TAIL_ROOM)

/* --- building --------------------------------------------------------------------------------- */

static void put_tail(struct record *r, const char *s)
{
	size_t n = strlen(s);

	memcpy(r->buf + r->len, s, n);
	r->len += (unsigned)n;
}

/* False, and nothing put, when it does not fit. */
static bool put(struct record *r, const char *s, size_t n)
{
	if (r->overflow || r->len + n > BODY_END) {
		r->overflow = true;
		return false;
	}
	memcpy(r->buf + r->len, s, n);
	r->len += (unsigned)n;
	return true;
}

static void put_escaped(struct record *r, char c)
{
	static const char hex[] = "0123456789abcdef";
	char text[6] = {'\\', c, '0', '0', hex[(u8)c >> 4], hex[c & 15]};

	if (c == '"' || c == '\\') {
		put(r, text, 2);
	} else if (c >= ' ' && c <= '~') {
		put(r, &c, 1);
	} else {
		text[1] = 'u';
		put(r, text, 6);
	}
}

/* A quoted string; one that does not fit is cut, its quote goes to the room at the end. */
static void put_string(struct record *r, const char *s, size_t n)
{
	if (!put(r, "\"", 1))
		return;
	for (; n && !r->overflow; n--)
		put_escaped(r, *s++);
	put_tail(r, "\"");
}

/* The comma and the key. False when the member has no room; what it wrote is taken back. */
static bool begin_member(struct record *r, const char *key)
{
	unsigned start = r->len;
	bool comma = !r->depth || !r->first[r->depth - 1];

	if (comma)
		put(r, ",", 1);
	if (key) {
		put_string(r, key, strlen(key));
		put(r, ":", 1);
	}
	if (r->overflow)
		r->len = start;
	else if (r->depth)
		r->first[r->depth - 1] = false;
	return !r->overflow;
}

/* A member whose value is @text as it stands: all of it or nothing. */
static void put_member(struct record *r, const char *key, const char *text)
{
	unsigned start = r->len;

	if (begin_member(r, key) && !put(r, text, strlen(text)))
		r->len = start;
}

void record_begin(struct record *r, const char *type)
{
	r->len = HEAD_ROOM;
	r->depth = 0;
	r->overflow = false;
	r->type = type;
	put(r, "\"type\":", 7);
	put_string(r, type, strlen(type));
}

void record_strn(struct record *r, const char *key, const char *val, size_t len)
{
	unsigned start = r->len;

	if (!begin_member(r, key))
		return;
	if (r->len + 2 > BODY_END) {
		r->overflow = true;
		r->len = start;
		return;
	}
	put_string(r, val, len);
}

void record_str(struct record *r, const char *key, const char *val)
{
	record_strn(r, key, val, strlen(val));
}

void record_u64(struct record *r, const char *key, u64 val)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)val);
	put_member(r, key, text);
}

void record_s64(struct record *r, const char *key, s64 val)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)val);
	put_member(r, key, text);
}

void record_hex(struct record *r, const char *key, u64 val)
{
	char text[24];

	snprintf(text, sizeof(text), "\"0x%llx\"", (unsigned long long)val);
	put_member(r, key, text);
}

void record_base64(struct record *r, const char *key, const void *buf, size_t len)
{
	static const char digit[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned start = r->len;
	const u8 *p = buf;

	if (!begin_member(r, key))
		return;
	if (r->len + 2 + (len + 2) / 3 * 4 > BODY_END) {
		r->overflow = true;
		r->len = start;
		return;
	}
	r->buf[r->len++] = '"';
	for (size_t i = 0; i < len; i += 3) {
		u32 v = (u32)p[i] << 16 | (i + 1 < len ? (u32)p[i + 1] << 8 : 0) |
			(i + 2 < len ? p[i + 2] : 0);

		r->buf[r->len++] = digit[v >> 18];
		r->buf[r->len++] = digit[v >> 12 & 63];
		r->buf[r->len++] = i + 1 < len ? digit[v >> 6 & 63] : '=';
		r->buf[r->len++] = i + 2 < len ? digit[v & 63] : '=';
	}
	r->buf[r->len++] = '"';
}

static void open_level(struct record *r, const char *key, char opener, char closer)
{
	unsigned start = r->len;

	if (r->depth == RECORD_MAX_DEPTH)
		r->overflow = true;
	if (!begin_member(r, key) || !put(r, &opener, 1)) {
		r->len = start;
		return;
	}
	r->closer[r->depth] = closer;
	r->first[r->depth] = true;
	r->depth++;
}

void record_object(struct record *r, const char *key)
{
	open_level(r, key, '{', '}');
}

void record_array(struct record *r, const char *key)
{
	open_level(r, key, '[', ']');
}

/* Closing brackets never lack room: TAIL_ROOM has one for each level. After an overflow this may
 * close an outer level for an inner one that was left out: nothing comes after it, so the text is
 * the same. */
void record_close(struct record *r)
{
	if (r->depth) {
		r->depth--;
		r->buf[r->len++] = r->closer[r->depth];
	}
}

/* Close what is open, put head and crc. Returns the line and its length. */
static const char *seal(struct record *r, u64 seq, u64 t_us, unsigned *len)
{
	char text[HEAD_ROOM + 1];
	char *start;
	unsigned n;

	while (r->depth)
		record_close(r);
	if (r->overflow)
		put_tail(r, ",\"truncated\":1");
	n = (unsigned)snprintf(text, sizeof(text), "{\"pnb\":1,\"seq\":%llu,\"t_us\":%llu,",
			       (unsigned long long)seq, (unsigned long long)t_us);
	start = r->buf + HEAD_ROOM - n;
	memcpy(start, text, n);
	snprintf(text, sizeof(text), ",\"crc\":\"%08x\"}",
		 crc32(0, start, (size_t)(r->buf + r->len - start)));
	put_tail(r, text);
	*len = (unsigned)(r->buf + r->len - start);
	return start;
}

/* --- keeping ---------------------------------------------------------------------------------- */

_Static_assert((RECORD_STORE_SIZE & (RECORD_STORE_SIZE - 1)) == 0, "positions are taken modulo");

static char *store_byte(struct record_store *s, u32 pos)
{
	return &s->ring[pos % RECORD_STORE_SIZE];
}

static u32 skip_line(struct record_store *s, u32 pos)
{
	while (*store_byte(s, pos) != '\n')
		pos++;
	return pos + 1;
}

static void append(struct record_store *s, const char *line, unsigned len)
{
	while (RECORD_STORE_SIZE - (s->head - s->tail) < len + 1) {
		s->tail = skip_line(s, s->tail);
		s->first_kept++;
	}
	for (unsigned i = 0; i < len; i++)
		*store_byte(s, s->head++) = line[i];
	*store_byte(s, s->head++) = '\n';
	s->next_seq++;
	if (s->kept)
		s->kept(s->ctx, line, len);
}

/* Offer the record at @c to the line; on success @c moves to the next. */
static bool send_one(struct record_store *s, struct record_cursor *c)
{
	unsigned len = 0;

	while (*store_byte(s, c->pos + len) != '\n') {
		s->line[len] = *store_byte(s, c->pos + len);
		len++;
	}
	if (!s->emit(s->ctx, s->line, len, false))
		return false;
	c->seq++;
	c->pos += len + 1;
	return true;
}

/* Records overwritten before @c came to them are passed over; returns how many. */
static u64 catch_up(struct record_store *s, struct record_cursor *c)
{
	u64 gone = c->seq < s->first_kept ? s->first_kept - c->seq : 0;

	if (gone)
		*c = (struct record_cursor){s->first_kept, s->tail};
	return gone;
}

void record_pump(struct record_store *s)
{
	s->dropped += catch_up(s, &s->unsent);
	while (s->unsent.seq < s->next_seq)
		if (!send_one(s, &s->unsent))
			return;
	if (s->resend.seq > s->resend_to)
		return;
	catch_up(s, &s->resend);
	while (s->resend.seq <= s->resend_to)
		if (!send_one(s, &s->resend))
			return;
}

void record_store_init(struct record_store *s,
		       bool (*emit)(void *ctx, const char *line, unsigned len, bool may_drop),
		       u64 (*now_us)(void *ctx), void *ctx)
{
	s->next_seq = s->first_kept = 1;
	s->head = s->tail = 0;
	s->unsent = s->resend = (struct record_cursor){1, 0};
	s->resend_to = 0;
	s->emit = emit;
	s->now_us = now_us;
	s->kept = NULL;
	s->ctx = ctx;
	s->dropped = 0;
}

void record_end(struct record_store *s, struct record *r, bool may_drop)
{
	unsigned len;
	const char *line = seal(r, s->next_seq, s->now_us(s->ctx), &len);

	record_pump(s);
	if (!may_drop) {
		append(s, line, len);
		record_pump(s);
	} else if (s->unsent.seq < s->next_seq || !s->emit(s->ctx, line, len, true)) {
		s->dropped++;
	} else {
		append(s, line, len);
		s->unsent = (struct record_cursor){s->next_seq, s->head};
	}
}

bool record_end_unkept(struct record_store *s, struct record *r)
{
	unsigned len;
	const char *line = seal(r, 0, s->now_us(s->ctx), &len);

	record_pump(s);
	return s->unsent.seq == s->next_seq && s->emit(s->ctx, line, len, true);
}

/* --- repeating -------------------------------------------------------------------------------- */

unsigned record_look(struct record_store *s, u64 *seq, char *line)
{
	u32 pos = s->tail;
	unsigned len = 0;

	*seq = MAX(*seq, s->first_kept);
	if (*seq >= s->next_seq)
		return 0;
	for (u64 i = s->first_kept; i < *seq; i++)
		pos = skip_line(s, pos);
	while (len < RECORD_MAX && *store_byte(s, pos + len) != '\n') {
		line[len] = *store_byte(s, pos + len);
		len++;
	}
	return len;
}

static void report_missing(struct record_store *s, u64 from, u64 to, const char *why)
{
	record_begin(&s->error, "error");
	record_str(&s->error, "where", "resend");
	record_u64(&s->error, "from", from);
	record_u64(&s->error, "to", to);
	record_str(&s->error, "message", why);
	record_end(s, &s->error, false);
}

void record_resend(struct record_store *s, u64 from, u64 to)
{
	u64 last = s->next_seq - 1;

	if (from > to) {
		report_missing(s, from, to, "expected FROM <= TO");
		return;
	}
	if (from < s->first_kept)
		report_missing(s, from, MIN(to, s->first_kept - 1), "records no longer kept");
	if (to > last)
		report_missing(s, MAX(from, last + 1), to, "records not written yet");
	from = MAX(from, s->first_kept);
	to = MIN(to, last);
	if (from > to)
		return;
	if (s->resend.seq <= s->resend_to) {
		from = MIN(from, s->resend.seq);
		to = MAX(to, s->resend_to);
	}
	s->resend = (struct record_cursor){s->first_kept, s->tail};
	while (s->resend.seq < from) {
		s->resend.pos = skip_line(s, s->resend.pos);
		s->resend.seq++;
	}
	s->resend_to = to;
	record_pump(s);
}
