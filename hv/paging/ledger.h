/* The flush ledger: no emulator notices a missing TLB flush, so the debug build does.
 *
 * Every removal or permission loss in a guest's map advances the map's generation; every flush
 * records the generation a tag is clean for. A tag that would run with an older one is a bug of
 * ours.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_LEDGER_H
#define HV_PAGING_LEDGER_H

#include "engine/vcpu.h"

/* Record that @v's tag number @tag was flushed (or will be, before it runs) for map generation
 * @gen. */
static inline void ledger_flushed(struct vcpu *v, unsigned tag, u64 gen)
{
	v->tags[tag].flushed_gen = gen;
}

/* True when @v may run on a map of generation @gen. */
static inline bool ledger_clean(const struct vcpu *v, u64 gen)
{
	return v->tags[v->tag].flushed_gen >= gen;
}

#endif
