/* The hypervisor's end of the channel for tests: registers and area are memory shared with the real
 * daemon, which runs in a child of the test; interrupt and doorbell are eventfds.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_FAKE_CHANNEL_H
#define TESTS_UNIT_FAKE_CHANNEL_H

#include <sys/types.h>

#include "penumbra/ring.h"
#include "rootfs/penumbrad/daemon.h"

#define FAKE_PAGES 3

/* What the daemon's aio does otherwise than asked, set by the test at any time. */
struct fake_faults {
	u32 hold_writes; /* writes wait while it is nonzero */
	s32 error;	 /* of each transfer at @offset; 0: none */
	u64 offset;
};

struct fake_shared {
	u32 state, isr, enable, error, arg_lo, arg_hi, npages, irqs;
	u64 page[FAKE_PAGES];
	struct fake_faults faults;
};

struct fake_channel {
	struct fake_shared *sh;
	u8 *area;
	int irq, bell;
	pid_t pid;
	struct ring_end ring[CHAN_RINGS];
	char dir[64]; /* of this test, empty at first */
	char socket[96];
	char log[96]; /* what the daemon has said, all its lives */
	const char *search[3];
	struct daemon_options options;
	u32 next_id;
};

/* A channel without a daemon. @aio: NULL: the daemon's choice. */
void fake_init(struct fake_channel *f, const struct aio_ops *aio);
/* Start a daemon and wait until it is ready; opens the rings. */
bool fake_start(struct fake_channel *f);
/* SIGTERM; returns its exit status, or -1 if it did not end within 10 s. */
int fake_stop(struct fake_channel *f);
void fake_kill(struct fake_channel *f);
/* Waits for the daemon to end by itself; as fake_stop(). */
int fake_wait_end(struct fake_channel *f);
void fake_fini(struct fake_channel *f);

/* Interrupt the daemon for ring @id. */
void fake_interrupt(struct fake_channel *f, enum chan_ring_id id);
/* Put an entry and interrupt. */
bool fake_put(struct fake_channel *f, enum chan_ring_id id, const void *entry);
/* Get an entry, waiting up to 5 s. */
bool fake_get(struct fake_channel *f, enum chan_ring_id id, void *entry);
/* Is there none within @ms? */
bool fake_quiet(struct fake_channel *f, enum chan_ring_id id, int ms);
u8 *fake_slot(struct fake_channel *f, u32 slot);

/* One block request and its answer (which must be the next). */
struct chan_blk_done fake_blk(struct fake_channel *f, u16 op, u32 medium, u64 offset, u32 len,
			      u32 slot);
struct chan_blk_done fake_open(struct fake_channel *f, u32 medium, u32 kind, const char *guest,
			       const char *path, bool readonly);
/* Does the daemon's log have @text? Waits up to 5 s. */
bool fake_said(struct fake_channel *f, const char *text);
unsigned fake_said_times(struct fake_channel *f, const char *text);
/* Path in the test's directory; of the last four calls. */
const char *fake_path(struct fake_channel *f, const char *name);

/* aio with the faults of @sh on top of the real one. */
extern const struct aio_ops aio_faulty;

#endif
