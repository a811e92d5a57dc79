/* The serial multiplexer.
 *
 * Each source has one line buffer. A finished line goes out whole behind its prefix. An unfinished
 * one goes out when the source has been silent for a while and then owns the wire ("cur"), so that
 * more of it can follow; anything else that must come between ends it with CR CR LF, and its text
 * is printed again from the start when it goes on. Readers drop a line that ends so and comes
 * again.
 *
 * The focused source has no prefix and is passed on at once, lone CRs included, so that line
 * editing and full-screen programs work.
 *
 * Fairness: a source may have two shares of the ring waiting. It is held back while the older one
 * is not drained and the newer one is full, whatever the others do. Repeating an interrupted line
 * costs wire time too, hence it waits until the source has nothing else in the ring.
 *
 * SPDX-License-Identifier: MIT
 */
#include "chan/mux.h"

#include "lib/errno.h"
#include "lib/str.h"
#include "lib/timerq.h"

#define RECORD_RESERVE (16 * 1024)	   /* of the ring, for records that may not drop */
#define BUSY	       (MUX_RING_SIZE / 2) /* pending bytes above which guests wait */
#define SHARE	       1024		   /* half of what a source may have waiting */
#define HARD_SHARE     (MUX_RING_SIZE / 4) /* where a source that ignores its THRE loses bytes */
#define RETRY_NS       (10 * NSEC_PER_MSEC)
#define SPLIT_MIN      (MUX_LINE_MAX / 2)
#define CTRL_BRACKET   0x1d
#define HV_PREFIX      "hv| "
#define INTERRUPTED    "\r\r\n"
#define OVERHEAD       (MUX_NAME_MAX + 8) /* prefix, guard blank, line ends */
#define RECORD_START   "{\"pnb\""

enum esc_state { ESC_NONE, ESC_KEY, ESC_RANGE, ESC_SKIP_LF };

_Static_assert((MUX_RING_SIZE & (MUX_RING_SIZE - 1)) == 0, "positions are taken modulo");

/* --- the ring --------------------------------------------------------------------------------- */

static u32 used(const struct mux *m)
{
	return m->head - m->tail;
}

/* May a line of @len bytes of text go out now? Line ends may use the reserve. */
static bool has_room(const struct mux *m, size_t len)
{
	return used(m) + len + OVERHEAD <= MUX_RING_SIZE - RECORD_RESERVE;
}

static void put(struct mux *m, const char *s, size_t n)
{
	if (n > MUX_RING_SIZE - used(m)) {
		m->dropped_bytes += n;
		return;
	}
	while (n--)
		m->ring[m->head++ % MUX_RING_SIZE] = *s++;
}

static bool waiting(const struct mux *m, const struct mux_share *share)
{
	return share->bytes && (s32)(share->end - m->tail) > 0;
}

static u32 in_ring(const struct mux *m, const struct mux_source *s)
{
	return (waiting(m, &s->older) ? s->older.bytes : 0) +
	       (waiting(m, &s->newer) ? s->newer.bytes : 0);
}

static void settle(const struct mux *m, struct mux_source *s)
{
	if (waiting(m, &s->older))
		return;
	s->older = s->newer;
	s->newer.bytes = 0;
	if (!waiting(m, &s->older))
		s->older.bytes = 0;
}

static void charge(struct mux *m, struct mux_source *s, u32 n)
{
	settle(m, s);
	s->newer.bytes += n;
	s->newer.end = m->head;
}

void mux_charge(struct mux *m, int src, u32 n)
{
	if (src >= 0 && src < MUX_MAX_SOURCES)
		charge(m, &m->src[src], n);
}

static void put_for(struct mux *m, struct mux_source *s, const char *text, size_t n)
{
	put(m, text, n);
	charge(m, s, (u32)n);
}

static unsigned drain_to(struct mux *m, u32 end, char *buf, unsigned max)
{
	unsigned n = 0;

	while (n < max && m->tail != end)
		buf[n++] = m->ring[m->tail++ % MUX_RING_SIZE];
	return n;
}

unsigned mux_drain(struct mux *m, char *buf, unsigned max)
{
	unsigned n = 0;

	if (mux_transfer_open(m)) {
		n = drain_to(m, m->transfer.held, buf, max);
		n += mux_transfer_drain(m, buf + n, max - n);
	}
	if (!mux_transfer_open(m))
		n += drain_to(m, m->head, buf + n, max - n);
	for (unsigned i = 0; i < MUX_MAX_SOURCES; i++)
		settle(m, &m->src[i]);
	return n;
}

unsigned mux_peek_last(const struct mux *m, char *buf, unsigned max)
{
	unsigned n = MIN(used(m), max);

	for (unsigned i = 0; i < n; i++)
		buf[i] = m->ring[(m->head - n + i) % MUX_RING_SIZE];
	return n;
}

bool mux_throttled(const struct mux *m, int src)
{
	const struct mux_source *s;

	if (src < 0 || src >= MUX_MAX_SOURCES)
		return false;
	if (m->transfer.on && m->transfer.src == src)
		return mux_transfer_full(m);
	s = &m->src[src];
	return used(m) > BUSY || (waiting(m, &s->older) && s->newer.bytes >= SHARE);
}

/* --- lines ------------------------------------------------------------------------------------ */

static bool focused(const struct mux *m, int id)
{
	return m->focus >= 0 && m->focus_src[m->focus] == id;
}

/* Get the wire to column 0. */
static void end_partial(struct mux *m)
{
	if (m->cur < 0)
		return;
	put(m, INTERRUPTED, strlen(INTERRUPTED));
	m->src[m->cur].shown = 0;
	m->cur = -1;
}

/* Would the line be taken for a record? A part that may still become one counts where it would
 * stand at column 0. */
static bool like_record(const struct mux *m, int id, bool whole)
{
	static const char start[] = RECORD_START;
	const struct mux_source *s = &m->src[id];
	size_t n = MIN(s->len, sizeof(start) - 1);

	if (!s->len || memcmp(s->line, start, n))
		return false;
	return n == sizeof(start) - 1 || (focused(m, id) && !whole);
}

/* Put the line's first @upto bytes on the wire, as far as they are not there yet. */
static void show(struct mux *m, int id, unsigned upto, bool whole)
{
	struct mux_source *s = &m->src[id];

	if (m->cur != id) {
		end_partial(m);
		s->shown = 0;
		m->cur = id;
		if (!focused(m, id)) {
			put_for(m, s, s->name, strlen(s->name));
			put_for(m, s, "| ", 2);
		}
	}
	if (!s->shown && like_record(m, id, whole))
		put_for(m, s, " ", 1);
	put_for(m, s, s->line + s->shown, upto - s->shown);
	s->shown = upto;
	s->seen = MAX(s->seen, upto);
}

/* The first @n bytes of the line leave the buffer. */
static void consume(struct mux_source *s, unsigned n)
{
	s->len -= n;
	memmove(s->line, s->line + n, s->len);
	s->shown = s->seen = 0;
}

/* No room: the line is lost and counted, and what of it is on the wire ends there. */
static void lose_line(struct mux *m, int id, unsigned n)
{
	struct mux_source *s = &m->src[id];

	if (m->cur == id) {
		put(m, "\r\n", 2);
		m->cur = -1;
	}
	s->lost += n - MIN(n, s->seen);
	m->dropped_bytes += n - MIN(n, s->seen);
	consume(s, n);
}

static void finish_line(struct mux *m, int id, unsigned n)
{
	struct mux_source *s = &m->src[id];

	if (!has_room(m, n)) {
		lose_line(m, id, n);
		return;
	}
	show(m, id, n, true);
	put_for(m, s, "\r\n", 2);
	m->cur = -1;
	s->lines++;
	consume(s, n);
}

/* Show the unfinished line. False when it must wait: for room, or, if it is a repetition, until the
 * source has nothing else in the ring. */
static bool show_partial(struct mux *m, int id)
{
	struct mux_source *s = &m->src[id];

	if (m->cur != id && s->seen && in_ring(m, s))
		return false;
	if (!has_room(m, s->len))
		return false;
	show(m, id, s->len, false);
	return true;
}

/* The buffer is full. An escape sequence starts the next line rather than being cut, and with it
 * the text that a full-screen program puts behind it. */
static void split_line(struct mux *m, int id)
{
	struct mux_source *s = &m->src[id];
	unsigned cut = s->len;

	if (focused(m, id) && show_partial(m, id)) {
		consume(s, s->len);
		return;
	}
	while (cut > MAX(SPLIT_MIN, s->shown) && s->line[cut - 1] != '\x1b')
		cut--;
	finish_line(m, id, cut > MAX(SPLIT_MIN, s->shown) ? cut - 1 : s->len);
}

/* A CR without LF: the source starts its line anew, as a progress bar does. The focused source does
 * so on the terminal. Of another one, at most one such line per flush time goes out, the ones
 * between are replaced by what follows. */
static void lone_cr(struct mux *m, int id, u64 now_ns)
{
	struct mux_source *s = &m->src[id];

	if (focused(m, id) && (m->cur == id || s->len) && show_partial(m, id)) {
		put_for(m, s, "\r", 1);
		consume(s, s->len);
	} else if (s->seen || (s->len && now_ns - s->last_cr_ns >= MUX_FLUSH_NS)) {
		s->last_cr_ns = now_ns;
		finish_line(m, id, s->len);
	} else {
		consume(s, s->len);
	}
}

static void take_byte(struct mux *m, int id, char c, u64 now_ns)
{
	struct mux_source *s = &m->src[id];

	if (!c || (c == '\r' && s->cr_pending))
		return;
	if (s->cr_pending && c != '\n')
		lone_cr(m, id, now_ns);
	s->cr_pending = c == '\r';
	if (c == '\n') {
		finish_line(m, id, s->len);
	} else if (c != '\r') {
		if (s->len == MUX_LINE_MAX)
			split_line(m, id);
		s->line[s->len++] = c;
	}
}

void mux_write(struct mux *m, int src, const char *buf, size_t len, u64 now_ns)
{
	struct mux_source *s;

	if (src < 0 || src >= MUX_MAX_SOURCES || !m->src[src].used)
		return;
	s = &m->src[src];
	s->bytes += len;
	if (m->transfer.on && m->transfer.src == src) {
		mux_transfer_write(m, buf, len);
		return;
	}
	s->last_byte_ns = now_ns;
	for (size_t i = 0; i < len; i++) {
		if (in_ring(m, s) > HARD_SHARE) {
			s->lost += len - i;
			m->dropped_bytes += len - i;
			break;
		}
		take_byte(m, src, buf[i], now_ns);
	}
	if (focused(m, src) && s->len > s->shown)
		show_partial(m, src);
}

/* --- time ------------------------------------------------------------------------------------- */

/* Tell how much of @s was lost, once there is room again for more than telling. */
static bool tell_lost(struct mux *m, struct mux_source *s)
{
	char text[MUX_NAME_MAX + 64];
	int n;

	if (used(m) > BUSY)
		return false;
	n = snprintf(text, sizeof(text), HV_PREFIX "%llu bytes of %s lost: line too slow\r\n",
		     (unsigned long long)s->lost, s->name);
	end_partial(m);
	put(m, text, (size_t)n);
	s->lost = 0;
	return true;
}

/* When the unfinished line of @id is to go out: now or earlier means it is due. */
static u64 partial_due(const struct mux *m, int id)
{
	const struct mux_source *s = &m->src[id];

	if (s->len > s->seen)
		return s->last_byte_ns + MUX_FLUSH_NS;
	/* The focused line comes back after an interruption without a new byte, when all is quiet.
	 */
	if (s->len && !s->shown && focused(m, id) && m->cur < 0)
		return s->last_byte_ns;
	return TIMER_OFF;
}

static u64 tick_source(struct mux *m, int id, u64 now_ns)
{
	struct mux_source *s = &m->src[id];
	u64 due = partial_due(m, id);

	if (s->lost && !tell_lost(m, s))
		return now_ns + RETRY_NS;
	if (due > now_ns)
		return due;
	if (s->len == s->seen && m->head != m->tail)
		return now_ns + RETRY_NS;
	return show_partial(m, id) ? TIMER_OFF : now_ns + RETRY_NS;
}

u64 mux_tick(struct mux *m, u64 now_ns)
{
	u64 next = TIMER_OFF;

	if (m->transfer.on && now_ns >= m->transfer.until_ns)
		mux_transfer_end(m);
	if (m->transfer.on)
		next = m->transfer.until_ns;
	for (int id = 0; id < MUX_MAX_SOURCES; id++)
		if (m->src[id].used) {
			u64 due = tick_source(m, id, now_ns);

			next = MIN(next, due);
		}
	return next;
}

/* --- records ---------------------------------------------------------------------------------- */

bool mux_record(struct mux *m, const char *line, size_t len, bool may_drop)
{
	size_t limit = may_drop ? BUSY : MUX_RING_SIZE;

	if (len > limit || used(m) + len + OVERHEAD > limit)
		return false;
	end_partial(m);
	put(m, line, len);
	put(m, "\r\n", 2);
	return true;
}

/* --- keys ------------------------------------------------------------------------------------- */

/* An answer to the person at the keyboard; of no use later, so dropped when there is no room. */
static void say(struct mux *m, const char *text)
{
	if (!has_room(m, strlen(text)))
		return;
	end_partial(m);
	put(m, HV_PREFIX, strlen(HV_PREFIX));
	put(m, text, strlen(text));
	put(m, "\r\n", 2);
}

static void set_focus(struct mux *m, int index)
{
	char text[MUX_NAME_MAX + 48];

	if (index >= 0 && m->focus_src[index] < 0) {
		say(m, "no such partition");
		return;
	}
	end_partial(m); /* with or without a prefix: its line changes form */
	m->focus = index;
	if (index < 0) {
		say(m, "focus: none");
		return;
	}
	snprintf(text, sizeof(text), "focus: %s (Ctrl-] - ends it)",
		 m->src[m->focus_src[index]].name);
	say(m, text);
	m->src[m->focus_src[index]].seen =
		0; /* its prompt shows again, now or with the next tick */
	if (m->src[m->focus_src[index]].len)
		show_partial(m, m->focus_src[index]);
}

static void to_partition(struct mux *m, u8 byte)
{
	unsigned index = m->focus >= 0 ? (unsigned)m->focus : m->n_guests ? 1 : 0;

	m->ops->input(m->ops->ctx, index, byte);
}

/* Keys that want numbers behind them. */
static bool takes_range(u8 byte)
{
	return byte == 'r' || byte == 'N' || byte == 'S' || byte == 'P';
}

static void hypervisor_key(struct mux *m, u8 byte)
{
	m->esc_state = ESC_NONE;
	if (byte == CTRL_BRACKET) {
		to_partition(m, byte);
	} else if (byte >= '0' && byte < '0' + MUX_PARTITIONS) {
		set_focus(m, byte - '0');
	} else if (byte == '-') {
		set_focus(m, -1);
	} else if (takes_range(byte)) {
		m->esc_state = ESC_RANGE;
		m->esc_key = byte;
		m->esc_len = 0;
	} else if (byte > ' ' && byte <= '~') {
		m->ops->key(m->ops->ctx, (char)byte, "");
	}
}

static bool of_range(u8 byte)
{
	return (byte >= '0' && byte <= '9') || byte == '-';
}

static void say_range(struct mux *m)
{
	char text[48];

	snprintf(text, sizeof(text), "key %c: expected FROM-TO and Enter", m->esc_key);
	say(m, text);
}

/* The argument of Ctrl-] r and its like, up to CR or LF; terminals send CR, programs LF or both.
 * Anything else in it is noise, or a person who does not know that a range is asked for. */
static void range_byte(struct mux *m, u8 byte)
{
	if (byte == '\r' || byte == '\n') {
		m->esc_arg[m->esc_len] = '\0';
		m->esc_state = byte == '\r' ? ESC_SKIP_LF : ESC_NONE;
		m->ops->key(m->ops->ctx, (char)m->esc_key, m->esc_arg);
	} else if (byte == CTRL_BRACKET) {
		m->esc_state = ESC_KEY;
	} else if (byte == '\b' || byte == 0x7f) {
		m->esc_len -= m->esc_len > 0;
	} else if (byte != ' ' && (!of_range(byte) || m->esc_len == sizeof(m->esc_arg) - 1)) {
		m->esc_state = ESC_NONE;
		say_range(m);
	} else if (byte != ' ') {
		m->esc_arg[m->esc_len++] = (char)byte;
	}
}

void mux_rx(struct mux *m, u8 byte, u64 now_ns)
{
	if (m->transfer.on) {
		m->ops->input(m->ops->ctx, m->transfer.index, byte);
		return;
	}
	if (!byte) /* what a break condition leaves in the receiver */
		return;
	if (now_ns - m->esc_ns > MUX_KEY_NS)
		m->esc_state = ESC_NONE;
	m->esc_ns = now_ns;
	switch (m->esc_state) {
	case ESC_KEY:
		hypervisor_key(m, byte);
		return;
	case ESC_RANGE:
		range_byte(m, byte);
		return;
	case ESC_SKIP_LF:
		m->esc_state = ESC_NONE;
		if (byte == '\n')
			return;
		break;
	default:
		break;
	}
	if (byte == CTRL_BRACKET)
		m->esc_state = ESC_KEY;
	else
		to_partition(m, byte);
}

/* --- set-up ----------------------------------------------------------------------------------- */

void mux_init(struct mux *m, const struct mux_ops *ops)
{
	memset(m, 0, sizeof(*m));
	m->ops = ops;
	m->cur = -1;
	m->focus = -1;
	for (unsigned i = 0; i < MUX_PARTITIONS; i++)
		m->focus_src[i] = -1;
}

int mux_add_source(struct mux *m, const char *name)
{
	for (int id = 0; id < MUX_MAX_SOURCES; id++)
		if (!m->src[id].used) {
			str_copy(m->src[id].name, name, sizeof(m->src[id].name));
			m->src[id].used = true;
			return id;
		}
	return -ENOSPC;
}

void mux_rename_source(struct mux *m, int src, const char *name)
{
	if (src >= 0 && src < MUX_MAX_SOURCES && m->src[src].used)
		str_copy(m->src[src].name, name, sizeof(m->src[src].name));
}

void mux_set_partition(struct mux *m, unsigned index, int src)
{
	if (index >= MUX_PARTITIONS || src < 0 || src >= MUX_MAX_SOURCES || !m->src[src].used)
		return;
	m->focus_src[index] = src;
	m->n_guests = MAX(m->n_guests, index);
}
