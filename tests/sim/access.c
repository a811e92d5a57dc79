/* Access patterns: see access.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "access.h"

#define WARM  200000
#define TAKEN 300000

/* Any element of 64 bytes, each time another. Dependent: nothing overlaps. */
static u64 chase(struct sim_random *r, u64 i, u64 bytes)
{
	(void)i;
	return (u64)(sim_uniform(r) * (double)(bytes / 64)) * 64;
}

/* Random updates of 8 bytes, many at once. */
static u64 gups(struct sim_random *r, u64 i, u64 bytes)
{
	(void)i;
	return (u64)(sim_uniform(r) * (double)(bytes / 8)) * 8;
}

/* Sixty arrays, one element of each in turn, and a page further each time. */
static u64 stencil(struct sim_random *r, u64 i, u64 bytes)
{
	u64 array = bytes / 60 & ~63ull, step = i / 60;

	(void)r;
	return i % 60 * array + step * 4160 % array;
}

/* One element of 64 bytes after the other. */
static u64 stream(struct sim_random *r, u64 i, u64 bytes)
{
	(void)r;
	return i * 64 % bytes;
}

/* Arcs in a row, most accesses in the part that was just touched, some to a node anywhere. */
static u64 mcf(struct sim_random *r, u64 i, u64 bytes)
{
	if (sim_uniform(r) < 0.05)
		return (u64)(sim_uniform(r) * (double)(bytes / 4 / 64)) * 64;
	return bytes / 4 + i * 24 % (bytes - bytes / 4);
}

/* What an out-of-order core hides of a walk is not modelled but given: fitted for mcf, so that the
 * extra cost of a miss under nested paging is that of DSP's Table 3; nothing where each access
 * waits for the one before; assumed for the others. */
const struct access access_pattern[ACCESSES] = {
	[ACCESS_CHASE] = {"chase", chase, 4, 1, 1},
	[ACCESS_GUPS] = {"gups", gups, 12, 0.3, 0.5},
	[ACCESS_STENCIL] = {"stencil", stencil, 8, 0.3, 0.5},
	[ACCESS_STREAM] = {"stream", stream, 16, 0.1, 0.25},
	[ACCESS_MCF] = {"mcf-like", mcf, 12, 0.3, 0.13},
};

struct access_cost access_measure(const struct access *a, u64 bytes,
				  const struct mmu_machine *machine, enum mmu_mode mode)
{
	struct sim_random r = {bytes ^ 12345};
	struct access_cost c = {0};
	struct mmu m;

	mmu_start(&m, machine, mode);
	for (u64 i = 0; i < WARM + TAKEN; i++) {
		if (i == WARM)
			mmu_forget_counts(&m);
		mmu_access(&m, BIT(40) + a->next(&r, i, bytes));
	}
	c.misses = (double)m.misses / TAKEN;
	c.references = m.misses ? (double)m.references / (double)m.misses : 0;
	c.walk = m.misses ? a->walk_seen * (double)m.walk_cycles / (double)m.misses : 0;
	c.base = a->gap + a->data_seen * (double)m.data_cycles / TAKEN;
	mmu_end(&m);
	return c;
}

struct sim_phase access_phase(const struct access *a, u64 bytes, const struct mmu_machine *machine,
			      enum mmu_mode nested, double pf)
{
	struct access_cost s = access_measure(a, bytes, machine, MMU_SHADOW),
			   n = access_measure(a, bytes, machine, nested);
	double per_second = SIM_KHZ * 1000.0 / s.base; /* accesses, without walks */
	struct sim_phase ph = {.seconds = 300, .pf = pf, .pages = (double)(bytes / PAGE_SIZE)};

	ph.miss = per_second * s.misses;
	ph.walk = s.walk / (SIM_KHZ * 1000.0);
	ph.rho = n.walk > 0 ? s.walk * s.misses / (n.walk * n.misses) : 1;
	return ph;
}
