/* Media that the control partition's daemon serves: block back ends (dev/blk.h) over the channel's
 * rings.
 *
 * A request is cut into pieces of a pool slot; each piece is an I/O of its own in the rings. Data
 * are copied between slot and guest on the guest's CPU. When the daemon goes, every request not
 * ended is kept and starts again from its first byte after the medium has been opened anew: reads
 * and writes may happen twice, which neither guest nor medium can tell.
 *
 * Locking: submit, cancel, blk_chan_service() and done() on the guest's CPU; hub functions as
 * channel.h says. What both touch is under the channel's lock.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CHAN_BLK_CHAN_H
#define HV_CHAN_BLK_CHAN_H

#include "chan/channel.h"
#include "dev/blk.h"

#define BLK_CHAN_MEDIA 24u /* open at once */
#define BLK_CHAN_DEPTH 64u /* requests of one medium that are being worked at; more wait */
#define BLK_CHAN_WHY   160u
#define BLK_AHEAD_MAX  8u /* slots' worth that one medium may have been read ahead */

struct blk_hub;
struct blk_chan;

enum blk_chan_state {
	BLK_CHAN_FREE,
	BLK_CHAN_OPENING, /* to be asked for, or asked for, the first time */
	BLK_CHAN_OPEN,
	BLK_CHAN_REOPENING, /* the daemon went; it must open the medium again */
	BLK_CHAN_FAILED,    /* @why; every request ends with -EIO */
	BLK_CHAN_CLOSING,   /* no owner any more; waits for answers */
};

/* A request that is being worked at; guest's CPU only. */
struct blk_track {
	struct blk_req *req; /* NULL: free */
	u32 cut;	     /* bytes handed out in pieces so far */
	u32 len;
	u32 pieces;   /* handed out and not done with */
	bool cutting; /* more is to be handed out */
	bool late;    /* a chunk served it: it may end a little later */
	int status;
	u64 order; /* of arrival */
};

/* What a medium has been read ahead. A chunk is an I/O that no request asked for. */
struct blk_ahead {
	struct chan_io *chunk[BLK_AHEAD_MAX]; /* read or being read, in no order; NULL: none */
	u64 next;			      /* where the last read that a guest asked for ended */
	u64 run;   /* bytes up to there that were read in one go, one request at a time, */
	u64 end;   /* where the last chunk ends; counts while there are chunks */
	u32 reads; /* in how many requests */
	u32 chunks;
};

struct blk_chan {
	struct blk blk;
	struct blk_hub *hub;
	const struct dev_host *host;
	/* From any CPU, also under the channel's lock: have blk_chan_service() called soon on the
	 * guest's CPU. */
	void (*wake)(void *ctx);
	/* On the guest's CPU: the daemon could not do @op at @offset, or could not open the medium
	 * again; for a record. Optional. */
	void (*failed)(void *ctx, enum blk_op op, u64 offset, const char *why);
	void *ctx;

	/* Under the lock */
	enum blk_chan_state state;
	bool asked;  /* an OPEN or CLOSE is with the daemon */
	bool known;  /* the daemon has it open */
	u64 starved; /* since when it waits for a slot; 0: it does not */
	u32 held;    /* slots */
	u32 orphans; /* of these, I/Os of requests that were forgotten */
	u64 epoch;   /* of the area that its I/Os are in */
	struct chan_io *answered;
	struct blk_ahead ahead;
	struct chan_blk_open open;
	u64 size;
	bool readonly;
	char why[BLK_CHAN_WHY];

	/* Guest's CPU */
	struct blk_req *head, *last; /* not begun */
	struct blk_track track[BLK_CHAN_DEPTH];
	struct blk_track *cutting; /* the one that waits for slots for the rest of it */
	u32 active, writing;	   /* tracks in use; of these, writes */
	u64 order;
	struct timer late; /* runs while a late one has not ended */
	u64 requests, bytes, errors, resent;
};

enum chan_io_state { CHAN_IO_FREE, CHAN_IO_CLAIMED, CHAN_IO_SENT, CHAN_IO_ANSWERED };

/* One I/O in the rings; its number is its slot's. */
struct chan_io {
	u32 id;
	u8 state; /* enum chan_io_state */
	u16 op;	  /* enum chan_blk_op */
	struct blk_chan *medium;
	struct blk_track *track; /* NULL: forgotten, OPEN, CLOSE, or a chunk read ahead */
	u32 at, len;		 /* of the request */
	u64 offset;		 /* in the medium */
	bool ahead;		 /* a chunk, or one that nobody wants any more */
	bool wanted;		 /* a request waits for this chunk */
	bool copying;		 /* it is being copied from, without the lock */
	s32 status;
	struct chan_io *next;
};

struct blk_hub {
	struct chan_user user;
	struct channel *ch;
	struct blk_chan medium[BLK_CHAN_MEDIA];
	struct chan_io io[CHAN_POOL_MAX];
	u64 epoch;	/* counts attaches and detaches */
	u32 claimed;	/* I/Os that will take a place in the ring */
	bool untold;	/* there is something in the ring that the daemon has not been told of */
	u32 first_free; /* no I/O before this one is free */
	u32 media;	/* not BLK_CHAN_FREE, */
	u32 changing;	/* of these, being opened or closed */
	u32 starving;	/* that wait for a slot */
	u32 serial;	/* makes ids unique */
	u64 queue_no;
	u64 bad_answers;
};

void blk_hub_init(struct blk_hub *h, struct channel *ch);

/* Has the daemon still to say that a medium is closed, its data written back? Any CPU. */
bool blk_hub_closing(struct blk_hub *h);

/* --- between blk_hub.c (rings) and blk_chan.c (requests); all under the lock --- */

/* A slot and a place in the ring for a piece of @m's, or NULL: @m is woken when there is one. */
struct chan_io *blk_hub_claim(struct blk_hub *h, struct blk_chan *m);
/* The same for reading ahead: never the last slots, never before somebody who waits. */
struct chan_io *blk_hub_claim_spare(struct blk_hub *h, struct blk_chan *m);
/* @m waits for a slot no longer. */
void blk_hub_fed(struct blk_chan *m);
void blk_hub_set_state(struct blk_chan *m, enum blk_chan_state state);
/* Tell the daemon of what was sent since it was told last. */
void blk_hub_tell(struct blk_hub *h);
/* Put a claimed @io, filled in, into the ring. @flags: CHAN_BLK_*. The daemon is not yet told. */
void blk_hub_send(struct blk_hub *h, struct chan_io *io, u64 offset, u16 flags);
/* @io's slot is free; whoever waits for one is woken. */
void blk_hub_free(struct blk_hub *h, struct chan_io *io);
/* Send what OPEN and CLOSE are due. */
void blk_hub_advance(struct blk_hub *h);

/* --- reading ahead (blk_ahead.c); all under the lock --- */

/* @req, @len bytes, is about to be begun: learn from it, drop what it makes stale. @alone: no other
 * request of @m is being worked at. */
void blk_ahead_note(struct blk_chan *m, const struct blk_req *req, u32 len, bool alone);
/* The chunk that holds the medium's byte @offset, or will; NULL: none. */
struct chan_io *blk_ahead_find(struct blk_chan *m, u64 offset);
/* Read on, if that is worth it now. Only while no write of @m is being worked at or waits: what is
 * read might be older than it. */
void blk_ahead_more(struct blk_chan *m);
void blk_ahead_drop(struct chan_io *io);
void blk_ahead_drop_all(struct blk_chan *m);
/* The daemon's answer to a chunk, also to one that was dropped. */
void blk_ahead_answered(struct blk_hub *h, struct chan_io *io, s32 status);
/* Somebody needs a slot: give one back. False: no chunk can be dropped. */
bool blk_ahead_reclaim(struct blk_hub *h);

/* --- for the guest's life --- */

/* Begin to open a medium; NULL: BLK_CHAN_MEDIA are open. @host, @wake, @failed and @ctx are the
 * guest's. The result shows in blk_chan_state(), @wake tells. */
struct blk_chan *blk_chan_open(struct blk_hub *h, const struct chan_blk_open *what,
			       const struct dev_host *host, void (*wake)(void *ctx),
			       void (*failed)(void *ctx, enum blk_op op, u64 offset,
					      const char *why),
			       void *ctx);
/* Under no lock, any CPU. */
enum blk_chan_state blk_chan_state(const struct blk_chan *m);
/* On the guest's CPU, after wake(): copies data, ends requests, starts others. */
void blk_chan_service(struct blk_chan *m);
/* On the guest's CPU: it has nothing to do until an interrupt. */
void blk_chan_guest_halted(struct blk_chan *m);
/* The guest is gone: forget requests, close the medium. @m is the hub's again. */
void blk_chan_close(struct blk_chan *m);

#endif
