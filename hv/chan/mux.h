/* The serial multiplexer: one writer of whole, prefixed lines; one reader of keys (docs/serial.md).
 *
 * Pure: it writes to a byte ring and is told the time, so it is tested on the host. The console
 * driver drains the ring and feeds received bytes. Not locked; hv/core/log.c serialises.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CHAN_MUX_H
#define HV_CHAN_MUX_H

#include "chan/records.h"
#include "penumbra/types.h"

#define MUX_MAX_SOURCES 12 /* hv, control, and two per guest (serial, vga) for up to 5 guests */
#define MUX_LINE_MAX	512
#define MUX_FLUSH_NS	(50 * 1000000ull)
#define MUX_KEY_NS	(30 * 1000000000ull) /* a key not gone on with is forgotten */
#define MUX_RING_SIZE	(64 * 1024)
#define MUX_NAME_MAX	24
#define MUX_PARTITIONS	8 /* that can be focused: digits 0 to 7 */
#define MUX_TRANSFER	(2 * 1024)

/* A stretch of the ring with output of one source: how much, and the position after it. */
struct mux_share {
	u32 bytes, end;
};

struct mux_source {
	char name[MUX_NAME_MAX]; /* prefix without "| " */
	bool used;
	char line[MUX_LINE_MAX];
	unsigned len;
	unsigned shown; /* bytes of @line already on the wire as the current partial line */
	unsigned seen;	/* bytes of @line that were on the wire once, perhaps on a line interrupted
			   since */
	u64 last_byte_ns;
	u64 last_cr_ns; /* when a lone CR last ended a line */
	bool cr_pending;
	struct mux_share older, newer; /* its bytes waiting in the ring */
	u64 lost;		       /* bytes dropped and not yet told of */
	u64 lines, bytes;
};

/* One partition has the line to itself, byte for byte both ways (XMODEM and its like). */
struct mux_transfer {
	bool on;
	int src;	/* whose output passes */
	unsigned index; /* of the partition */
	u64 until_ns;	/* ends by itself then */
	u32 held;	/* position in the mux's ring: what is behind it waits */
	u32 head, tail;
	char ring[MUX_TRANSFER];
};

struct mux_ops {
	/* A byte typed for partition @index (0 = control, 1.. = guests). */
	void (*input)(void *ctx, unsigned index, u8 byte);
	/* A hypervisor key (after Ctrl-]) other than digits; 'r' delivers its range argument. */
	void (*key)(void *ctx, char key, const char *arg);
	void *ctx;
};

struct mux {
	struct mux_source src[MUX_MAX_SOURCES];
	int cur;	   /* source whose partial line is on the wire, or -1 at column 0 */
	int focus;	   /* partition index, or -1 */
	unsigned n_guests; /* guests that can be focused */
	int focus_src[MUX_PARTITIONS]; /* partition index -> source of its serial output, or -1 */
	u8 esc_state;
	u8 esc_key; /* that esc_arg is for */
	char esc_arg[40];
	unsigned esc_len;
	u64 esc_ns; /* when the last byte of a key not yet whole came */
	struct mux_transfer transfer;
	const struct mux_ops *ops;
	/* output ring: producer mux, consumer console; positions count on without wrap-around */
	char ring[MUX_RING_SIZE];
	u32 head, tail;
	u64 dropped_bytes;
};

/* Nothing here takes a lock: the caller serialises (hv: the log lock). @now_ns: clock_ns(). */
void mux_init(struct mux *m, const struct mux_ops *ops);
/* Add a source; returns its id, or -ENOSPC. */
int mux_add_source(struct mux *m, const char *name);
/* Another name for a source that nobody uses at the moment. */
void mux_rename_source(struct mux *m, int src, const char *name);
/* Tell which source carries the serial output of partition @index. */
void mux_set_partition(struct mux *m, unsigned index, int src);
/* Bytes from source @src. Complete lines go out at once; the rest waits for mux_tick(). */
void mux_write(struct mux *m, int src, const char *buf, size_t len, u64 now_ns);
/* True while @src must be held back (its THRE stays clear): it has its share of the ring, or the
 * ring is half full. */
bool mux_throttled(const struct mux *m, int src);
/* @n bytes just put into the ring, a record for instance, count as output of @src. */
void mux_charge(struct mux *m, int src, u32 n);
/* A record line, at column 0, CR LF added. @may_drop: false when the ring is half full. Records
 * that may not drop have a reserve of the ring to themselves; false only when even that is full. */
bool mux_record(struct mux *m, const char *line, size_t len, bool may_drop);
/* Flush partial lines older than MUX_FLUSH_NS; those of a source whose earlier output still waits
 * in the ring come later. Returns the next deadline or TIMER_OFF. */
u64 mux_tick(struct mux *m, u64 now_ns);
/* Received byte from the line. */
void mux_rx(struct mux *m, u8 byte, u64 now_ns);
/* Take up to @max bytes for the UART; returns how many. */
unsigned mux_drain(struct mux *m, char *buf, unsigned max);
/* Bytes waiting for the UART. */
static inline u32 mux_waiting(const struct mux *m)
{
	return m->head - m->tail + m->transfer.head - m->transfer.tail;
}
/* A transfer is on, or its last bytes still wait. */
static inline bool mux_transfer_open(const struct mux *m)
{
	return m->transfer.on || m->transfer.head != m->transfer.tail;
}
/* mux_drain() would give something. */
static inline bool mux_pending(const struct mux *m)
{
	return m->tail != (mux_transfer_open(m) ? m->transfer.held : m->head) ||
	       m->transfer.head != m->transfer.tail;
}
/* Copy the last of the waiting bytes, up to @max, without taking them; returns how many. */
unsigned mux_peek_last(const struct mux *m, char *buf, unsigned max);

/* --- transfers (mux_transfer.c) --- */

/* Partition @index has the line for itself until @until_ns; once more: until then. What others say
 * meanwhile collects in the ring under the ring's rules (guests are held back, periodic records go
 * first) and follows afterwards, from column 0. -EBUSY: what is typed goes to somebody else.
 * -EAGAIN: the ring is full. -ENOENT: no such partition. */
int mux_transfer_begin(struct mux *m, unsigned index, u64 until_ns);
void mux_transfer_end(struct mux *m);
/* For mux.c: output of the partition's; its bytes to the line; may it have more? */
void mux_transfer_write(struct mux *m, const char *buf, size_t len);
unsigned mux_transfer_drain(struct mux *m, char *buf, unsigned max);
bool mux_transfer_full(const struct mux *m);

#endif
