/* The guest that calibration runs: a vCPU without a board, three chunks of memory, hand-made tables
 * (calibrate_probe.c). Boot CPU only.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_CALIBRATE_PROBE_H
#define HV_CORE_CALIBRATE_PROBE_H

#include "engine/engine.h"
#include "mem/p2m.h"
#include "paging/adaptive/sample.h"
#include "paging/shadow/shadow_ops.h"

#define PROBE_PAGES_MAX 65536u /* 256 MiB in pages of 4 KiB */
#define PROBE_TOUCHED	512u   /* pages for fills */

/* How the random loads' memory is mapped, in the guest's tables and below them. */
enum probe_pages { PROBE_SMALL, PROBE_LARGE };

/* Loops of one instruction that exits, all by shadow tables but the first. */
enum probe_exit { PROBE_CPUID, PROBE_CR3, PROBE_INVLPG, PROBE_FAULT, PROBE_EXITS };

struct probe {
	const struct engine_ops *engine;
	const struct engine_caps *caps;
	u64 share; /* cycles of the TSC that one measure may take */
	struct vcpu vcpu;
	struct p2m p2m;
	gpa_t guest_root;
	hpa_t shadow_root, nested_root;
	struct shadow_paging shadow;
	u64 loads;		     /* random ones made so far */
	enum exit_reason unexpected; /* what ended it, if something did */
};

/* Memory, tables and a vCPU; probe_free() gives all of it back, also after an error. -ENOMEM,
 * -ENOSPC. */
int probe_make(struct probe *p, const struct engine_ops *engine, const struct engine_caps *caps);
void probe_free(struct probe *p);
bool probe_can(const struct probe *p, enum policy_mode mode);

/* Cycles from one exit of @what to the next; 0: this machine does not do that. @inside, if not
 * NULL: of them those within run(), up to the clock that it reads on the way out. */
u64 probe_exit_cost(struct probe *p, enum probe_exit what, u64 *inside);
/* Cycles for an entry of a shadow table that real shadow paging makes at a fault; 0 likewise. */
u64 probe_fill_cost(struct probe *p);
/* Thousandths of a cycle for a random load in @pages pages of 4 KiB, a power of two, or in as much
 * of large ones; 0 likewise. */
u64 probe_load_cost(struct probe *p, enum policy_mode mode, enum probe_pages kind, u64 pages);

#endif
