/* Records: one JSON object per line on the serial line, numbered and checksummed (docs/serial.md).
 * A record is built in a fixed buffer, sealed with "crc", appended to the record store and sent.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CHAN_RECORDS_H
#define HV_CHAN_RECORDS_H

#include "penumbra/types.h"

#define RECORD_MAX	  4096
#define RECORD_STORE_SIZE (64 * 1024)
#define RECORD_MAX_DEPTH  8

/* A record under construction. Lives on the caller's stack or in a static; ~4 KiB. */
struct record {
	char buf[RECORD_MAX];
	unsigned len;	/* end of the text in @buf, which starts after room for the head */
	unsigned depth; /* objects and arrays open */
	char closer[RECORD_MAX_DEPTH];
	bool first[RECORD_MAX_DEPTH];
	bool overflow; /* something did not fit; the record is closed validly with "truncated":1 */
	const char *type;
};

/* Begin a record of @type ("boot", "guest", ...). seq and t_us are filled at record_end(). */
void record_begin(struct record *r, const char *type);
/* Members. @key NULL inside an array. Strings are escaped: bytes outside 0x20..0x7e become \u00XX.
 * Once the record is full a string is cut, any other member left out, and nothing more is taken. */
void record_str(struct record *r, const char *key, const char *val);
void record_strn(struct record *r, const char *key, const char *val, size_t len);
void record_u64(struct record *r, const char *key, u64 val);
void record_s64(struct record *r, const char *key, s64 val);
void record_hex(struct record *r, const char *key, u64 val); /* as string "0x..." */
/* @len bytes in base64 (RFC 4648, padded): all or nothing. */
void record_base64(struct record *r, const char *key, const void *buf, size_t len);
void record_object(struct record *r, const char *key);
void record_array(struct record *r, const char *key);
void record_close(struct record *r); /* innermost object or array */

/* A place in the store: a record's number and the position of its first byte. */
struct record_cursor {
	u64 seq;
	u32 pos;
};

/* The store: numbering, resend buffer, hand-over to the line writer. One per hypervisor. */
struct record_store {
	u64 next_seq;		      /* the first record is number 1 */
	u64 first_kept;		      /* lowest seq still in the ring */
	u32 head, tail;		      /* byte positions in @ring, counting on without wrap-around */
	char ring[RECORD_STORE_SIZE]; /* each record followed by LF */
	struct record_cursor unsent;  /* the line had no room for this one and those after it */
	struct record_cursor resend;  /* next to repeat, up to and including @resend_to */
	u64 resend_to;
	char line[RECORD_MAX]; /* a record taken out of the ring */
	struct record error;   /* of record_resend() */
	/* Send one whole line (without CR LF). @may_drop: a periodic record that may be lost
	 * when the output ring is full; returns false when it was dropped (then it takes no seq).
	 * False for any other: no room now, it is offered again by record_pump(). */
	bool (*emit)(void *ctx, const char *line, unsigned len, bool may_drop);
	u64 (*now_us)(void *ctx);
	/* Optional: a record was numbered and kept; each once, before the line has it. */
	void (*kept)(void *ctx, const char *line, unsigned len);
	void *ctx;
	u64 dropped; /* periodic records not sent, and others overwritten before they could be */
};

/* @emit, @now_us: as in struct record_store. */
void record_store_init(struct record_store *s,
		       bool (*emit)(void *ctx, const char *line, unsigned len, bool may_drop),
		       u64 (*now_us)(void *ctx), void *ctx);
/* Seal, number, keep and send. Caller serialises (hv: the log lock). */
void record_end(struct record_store *s, struct record *r, bool may_drop);
/* Seal and send without number ("seq":0) and without keeping, for bulk data that has a numbering of
 * its own: it takes no room from results. False: no room on the line now. */
bool record_end_unkept(struct record_store *s, struct record *r);
/* Send records @from..@to again, byte-identical. A range (partly) gone or not written yet gives an
 * "error" record naming it first. What the line has no room for follows by record_pump(). */
void record_resend(struct record_store *s, u64 from, u64 to);
/* The first kept record from number *@seq on: copied to @line (RECORD_MAX bytes, no end mark), and
 * *@seq becomes its number. Its length, or 0: there is none. */
unsigned record_look(struct record_store *s, u64 *seq, char *line);
/* Send what waits for room. Call it whenever the line has drained; cheap when nothing waits. */
void record_pump(struct record_store *s);

#endif
