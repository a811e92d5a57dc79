/* Counts and cycles per path; see shadow.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/shadow/shadow_int.h"

const char *const shadow_path_name[SHADOW_PATHS] = {
	[SHADOW_PATH_GUEST] = "guest",	 [SHADOW_PATH_FILL] = "fill",
	[SHADOW_PATH_MMIO] = "mmio",	 [SHADOW_PATH_STORE] = "store",
	[SHADOW_PATH_RESYNC] = "resync", [SHADOW_PATH_UNSHADOW] = "unshadow",
	[SHADOW_PATH_ROOT] = "root",	 [SHADOW_PATH_INVLPG] = "invlpg",
	[SHADOW_PATH_EVICT] = "evict",
};

u64 shadow_path_mean(const struct shadow_timing *t)
{
	return t->count ? t->sum / t->count : 0;
}

/* Quotient of 128 by 64 bits that fits in 64, one bit at a time: a freestanding program has no
 * library to divide by. */
static u64 divide(u64 hi, u64 lo, u64 by)
{
	unsigned __int128 rest = hi;
	u64 q = 0;

	for (unsigned i = 64; i; i--) {
		rest = rest << 1 | (lo >> (i - 1) & 1);
		q <<= 1;
		if (rest >= by) {
			rest -= by;
			q |= 1;
		}
	}
	return q;
}

static u64 root_of(u64 v)
{
	u64 r = 0;

	for (unsigned i = 32; i; i--)
		if ((r + BIT(i - 1)) * (r + BIT(i - 1)) <= v)
			r += BIT(i - 1);
	return r;
}

u64 shadow_path_deviation(const struct shadow_timing *t)
{
	u64 mean = shadow_path_mean(t), squares;

	if (!t->count || t->square_hi >= t->count)
		return 0;
	squares = divide(t->square_hi, t->square_lo, t->count);
	/* The mean is rounded down: what its square lacks may show in the difference. */
	return squares > mean * mean ? root_of(squares - mean * mean) : 0;
}

void shadow_get_stats(const struct shadow *s, struct shadow_stats *st)
{
	*st = s->stats;
	st->tables = s->used;
	st->out_of_sync = s->oos_count;
	st->synced = s->used - s->oos_count;
	st->pool_used = s->used;
	st->pool_pages = s->npages;
}

u64 shadow_faults_given(const struct shadow *s)
{
	return s->stats.path[SHADOW_PATH_GUEST].count;
}

u64 shadow_tables_used(const struct shadow *s)
{
	return s->used;
}
