/* Block requests of the guests, from the ring to files and back.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PENUMBRAD_BLK_H
#define PENUMBRAD_BLK_H

#include "aio.h"
#include "area.h"
#include "medium.h"

#define BLK_REQUESTS 192 /* taken from the ring and not answered */

struct blk_work {
	struct chan_blk_req req; /* our copy */
	struct aio_req io;
	struct blk *blk;
	struct medium_state *state;
	u64 order;	 /* among the medium's writes and flushes */
	unsigned before; /* FLUSH: writes in flight that it waits for */
	u64 deadline_ns; /* OPEN that is tried again: until when */
	struct chan_blk_done done;
	struct blk_work *next; /* in one of the lists below */
};

struct medium_state {
	struct medium medium;
	unsigned in_flight; /* at the aio */
	unsigned writes;    /* of these */
	u64 order;
	struct blk_work *flushes; /* waiting for writes */
	struct blk_work *close;	  /* waiting for everything */
};

struct blk {
	struct area *area;
	struct aio *aio;
	struct medium_search search;
	u64 open_patience_ns;
	struct medium_state media[MEDIA_MAX];
	struct blk_work work[BLK_REQUESTS];
	struct blk_work *free;
	struct blk_work *answers, **answers_tail; /* for which the ring had no room */
	struct blk_work *opens;			  /* to be tried again */
	unsigned busy;				  /* work that is not free */
	bool paused;				  /* take no more from the ring */
};

/* @open_patience_ns: how long an OPEN waits for a disk that is still being found, or for the
 * transfers of a daemon that died. */
void blk_init(struct blk *b, struct area *area, struct aio *aio, const struct medium_search *s,
	      u64 open_patience_ns);
/* Take requests from the ring and put answers that waited. */
void blk_service(struct blk *b);
/* Something was plugged in or mounted, or time has passed: try waiting OPENs again. */
void blk_retry_opens(struct blk *b);
/* Take nothing more from the ring, wait for no medium: the hypervisor sends those again. */
void blk_stop(struct blk *b);
/* Close all media; nothing may be in flight. */
void blk_close(struct blk *b);

#endif
