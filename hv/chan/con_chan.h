/* The console over the channel: what partitions and the hypervisor say goes to the daemon as it
 * goes to the serial line, and what pnctl's users type comes back.
 *
 * While the daemon is idle every write goes out at once; while it is busy bytes collect, so that an
 * entry carries many. What finds no room is counted and the daemon told how much it was.
 *
 * Locking: con_chan_write() and con_chan_record() from any CPU, also under the log's lock; the rest
 * as channel.h says.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CHAN_CON_CHAN_H
#define HV_CHAN_CON_CHAN_H

#include "chan/channel.h"

#define CON_CHAN_PARTITIONS 8u
/* Serial line and screen of each, the hypervisor's lines, records. */
#define CON_CHAN_STREAMS (2 * CON_CHAN_PARTITIONS + 2)
#define CON_CHAN_DATA	 sizeof(((struct chan_con *)0)->data)
#define CON_CHAN_TRIES	 50u /* to hand typed bytes to a partition whose buffer is full */

struct con_stream {
	struct chan_con stage; /* collects; .len bytes so far */
	u64 lost;
};

struct con_chan {
	struct chan_user user;
	struct channel *ch;
	/* A byte typed for partition @index. False: no room, it is offered again. */
	bool (*input)(void *ctx, unsigned index, u8 byte);
	void *ctx;
	struct con_stream stream[CON_CHAN_STREAMS]; /* under the lock */
	/* Control partition's CPU: an entry of typed bytes that does not go in yet. */
	struct chan_con in;
	unsigned in_at, tries;
	bool held;
	u64 typed_lost;
};

void con_chan_init(struct con_chan *c, struct channel *ch,
		   bool (*input)(void *ctx, unsigned index, u8 byte), void *ctx);
/* Output of partition @index (below CON_CHAN_PARTITIONS; 0 for CHAN_CON_HV): @kind is
 * CHAN_CON_SERIAL, CHAN_CON_VGA or CHAN_CON_HV. */
void con_chan_write(struct con_chan *c, enum chan_con_kind kind, unsigned index, const char *buf,
		    size_t len);
/* A whole record, without line end: all of it or nothing. */
void con_chan_record(struct con_chan *c, const char *line, size_t len);
/* True while channel_poll() should come again soon (20 ms) for typed bytes. */
static inline bool con_chan_waits(const struct con_chan *c)
{
	return c->held;
}

#endif
