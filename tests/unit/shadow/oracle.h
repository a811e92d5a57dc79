/* Which outcomes of an access the architecture permits: those of any translation that was there at
 * some time since it last had to be forgotten (SDM vol. 3 §4.10). A translation may have been put
 * together from entries read one after the other, upper ones first; each with its accessed flag
 * set, the leaf of a write with its dirty flag. Global ones survive loads of CR3.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_SHADOW_ORACLE_H
#define TESTS_UNIT_SHADOW_ORACLE_H

#include "shadow/refwalk.h"

#define ORACLE_SPACES 65536u
#define ORACLE_INVLPG 4096u

/* A time in which pointers to tables may be kept: from a load of CR3, or an INVLPG, which forgets
 * all of those but only its own page's translations. */
struct oracle_space {
	u64 from;
	bool invlpg; /* it began with: the CR3 is the one before */
	u64 cr3;
	u64 pdpte[4];
};

struct oracle {
	struct oracle_space *space; /* since everything was last forgotten; the last is now */
	unsigned spaces;
	struct {
		u64 page, time;
	} invlpg[4][ORACLE_INVLPG]; /* 4 KiB, 2 MiB, 4 MiB, 1 GiB */
	u64 searched, stale, unsure;
};

void oracle_init(struct oracle *o);
/* The CPU forgets everything, global translations too; @g is the state from now on. */
void oracle_flush_all(struct oracle *o, const struct walk_regs *g);
/* CR3 was loaded. */
void oracle_load_cr3(struct oracle *o, const struct walk_regs *g);
void oracle_invlpg(struct oracle *o, gva_t gva);

/* May the access reach host memory @hpa? Asked before the access itself changes memory. */
bool oracle_permits(struct oracle *o, const struct walk_regs *g, gva_t gva,
		    const struct ref_access *a, hpa_t hpa);
/* May it fault with @error although the tables say otherwise now? Pointers to tables may be kept
 * like translations, but what they lead to is read anew, and entries that are absent or wrong are
 * not kept. */
bool oracle_permits_fault(struct oracle *o, const struct walk_regs *g, gva_t gva,
			  const struct ref_access *a, u32 error);

#endif
