/* Orders for a CPU's timer hardware; see hwtimer.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/hwtimer.h"

/* A shorter period might repeat before what it brought is done. */
#define COAST_MIN_NS (500 * NSEC_PER_USEC)

void hwtimer_init(struct hwtimer *h)
{
	*h = (struct hwtimer){.armed_ns = TIMER_OFF, .due_ns = TIMER_OFF};
}

enum hwtimer_order hwtimer_expired(struct hwtimer *h, u64 now_ns, bool repeats)
{
	h->coasts = !h->coasts && repeats && h->period_ns >= COAST_MIN_NS;
	if (h->coasts) {
		h->armed_ns = now_ns + h->period_ns;
		return HWTIMER_KEEP;
	}
	h->armed_ns = TIMER_OFF;
	h->period_ns = 0;
	return repeats ? HWTIMER_STOP : HWTIMER_KEEP;
}

/* A deadline long after the repetition is left to it. */
bool hwtimer_wants(struct hwtimer *h, u64 next_ns)
{
	if (h->coasts && next_ns < h->armed_ns + h->period_ns) {
		h->coasts = false;
		h->armed_ns = TIMER_OFF;
	}
	return next_ns < h->armed_ns;
}

static enum hwtimer_order tell(struct hwtimer *h, u64 next_ns, u64 now_ns)
{
	bool ran = h->period_ns != 0;

	h->coasts = false;
	h->armed_ns = next_ns;
	h->due_ns = MAX(next_ns, now_ns);
	if (next_ns == TIMER_OFF) {
		h->period_ns = 0;
		return ran ? HWTIMER_STOP : HWTIMER_KEEP;
	}
	h->period_ns = next_ns > now_ns ? next_ns - now_ns : 1;
	return HWTIMER_ARM;
}

/* A repetition that is overdue is not waited for. */
static bool is_told(const struct hwtimer *h, u64 next_ns, u64 now_ns)
{
	if (h->coasts)
		return now_ns < h->armed_ns && h->armed_ns <= next_ns;
	return next_ns == h->armed_ns && (next_ns != TIMER_OFF || h->period_ns == 0);
}

enum hwtimer_order hwtimer_plan(struct hwtimer *h, u64 next_ns, u64 now_ns)
{
	return is_told(h, next_ns, now_ns) ? HWTIMER_KEEP : tell(h, next_ns, now_ns);
}

enum hwtimer_order hwtimer_settle(struct hwtimer *h, u64 next_ns, u64 now_ns)
{
	return h->coasts ? tell(h, next_ns, now_ns) : HWTIMER_KEEP;
}
