/* Windows and noise: see window.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/adaptive/window.h"

#include "paging/adaptive/fixed.h"
#include "paging/adaptive/guard.h"

#define GAIN_MAX_PPM	10000000
#define RESIDUAL_MAX	500000u /* ppm; one wild tick must not hide everything after it */
#define VARIANCE_WEIGHT 16
#define VARIANCE_MIN	1000000u /* (0.1 %)^2 */
#define RARE		64	 /* counts below this tell nothing about a rate */

void window_add(struct window *w, const struct policy_sample *x)
{
	if (w->n == WINDOW_TICKS) {
		w->n /= 2;
		w->busy /= 2;
		w->progress /= 2;
		w->walk /= 2;
		w->shadow /= 2;
		w->faults /= 2;
		w->walks /= 2;
	}
	w->n++;
	w->busy += busy_cycles(x);
	w->progress += x->progress.value;
	w->walk += measure_or_0(&x->walk_cycles);
	w->shadow += x->mode == POLICY_SHADOW ? x->shadow_cycles.value : 0;
	w->faults += measure_or_0(&x->faults);
	w->walks += measure_or_0(&x->walks);
}

/* Progress per cycle in Q32; 0 of nothing. */
static u64 rate(u64 progress, u64 busy)
{
	return busy ? mul_div(progress, BIT(32), busy) : 0;
}

static s64 gain_ppm(u64 before, u64 after)
{
	u64 q;

	if (!before || !after)
		return 0;
	q = mul_div(after, MILLION, before);
	return (s64)MIN(q, (u64)(GAIN_MAX_PPM + MILLION)) - MILLION;
}

s64 window_gain(const struct window *a, const struct window *b)
{
	return gain_ppm(rate(a->progress, a->busy), rate(b->progress, b->busy));
}

/* @a per @per_a and @b per @per_b. */
static bool far_apart(u64 a, u64 per_a, u64 b, u64 per_b)
{
	unsigned __int128 left = (unsigned __int128)a * per_b, right = (unsigned __int128)b * per_a;

	if (a < RARE && b < RARE)
		return false;
	return left > 2 * right || right > 2 * left;
}

bool window_other_load(const struct window *a, const struct window *b)
{
	return far_apart(a->faults, a->progress, b->faults, b->progress) ||
	       far_apart(a->walks, a->progress, b->walks, b->progress);
}

void noise_init(struct noise *s, const struct policy_params *p)
{
	s->variance = p->noise * p->noise;
}

void noise_add(struct noise *s, const struct window *w, const struct policy_sample *x)
{
	s64 away;
	u64 size, square;

	if (w->n < 2)
		return;
	away = gain_ppm(rate(w->progress, w->busy), rate(x->progress.value, busy_cycles(x)));
	size = MIN((u64)(away < 0 ? -away : away), RESIDUAL_MAX);
	/* A mean over n ticks has an error of its own. */
	square = mul_div(size * size, w->n, w->n + 1);
	s->variance = s->variance - s->variance / VARIANCE_WEIGHT + square / VARIANCE_WEIGHT;
	s->variance = MAX(s->variance, VARIANCE_MIN);
}

u64 noise_of(const struct noise *s, const struct policy_params *p, u32 a, u32 b)
{
	u64 of_means = mul_div(s->variance, (u64)a + b, (u64)a * b);

	return mul_div(isqrt(of_means), p->sigmas, 1000);
}
