/* paging.per_as=auto: a guest whose mode a policy chooses gets modes for its address spaces when
 * that seems to pay, and is the policy's again when it does not. On the guest's own CPU.
 *
 * Until then looks at CR3 say which address spaces are busy: a round of many when it begins, or
 * when another one runs than at the last look; else one at each tick and two a second at random
 * times (each of those is a timer interrupt of our own). Where two are and their loads of CR3 are
 * cheap enough, all run nested for a while with each one's costs measured; that goes on for as long
 * as any one mode for all would cost more than each one's better mode.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_SPACES_AUTO_H
#define HV_CORE_SPACES_AUTO_H

#include "lib/timerq.h"
#include "paging/adaptive/busy.h"
#include "paging/adaptive/params.h"

struct partition;

#define SPACES_BUSY 8u /* who has one part of so many of the time is busy */

struct spaces_auto {
	bool on;	    /* this is how it is for the guest */
	struct timer timer; /* the next sample */
	struct busy busy;
	u64 random;
	unsigned round; /* looks that are left of it */
	u64 calm_ns;	/* none is begun before */
	unsigned calm;	/* rounds in a row that found nobody */
	u64 root;	/* who ran, at the last look */
	u64 guest, ns;	/* the guest's cycles, and the time, then */
	u64 rest_ns;	/* no try before that time */
	u64 wait_ns;	/* and how long to wait after the next that is in vain */
	u64 differed;	/* the guest's cycles when advice differed last, or the try began */
	u64 tries, vain;
};

/* A tick of the policy. */
void spaces_auto_tick(struct partition *p, u64 now_ns);
/* The policy has the guest: take samples. */
void spaces_auto_watch(struct partition *p);
/* It has it no more. */
void spaces_auto_rest(struct partition *p);
/* Is it time for a try? @open: the gate. */
bool spaces_auto_due(struct partition *p, bool open, u64 now_ns);
/* Modes of their own begin; a tick of them ends: are they worth it still?; they have ended. */
void spaces_auto_begin(struct partition *p);
bool spaces_auto_worth(struct partition *p, const struct policy_params *params);
void spaces_auto_end(struct partition *p, const struct policy_params *params, u64 now_ns);

#endif
