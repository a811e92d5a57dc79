/* Allowances: see allowance.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/adaptive/allowance.h"

#include "paging/adaptive/fixed.h"

#define SAVED	    2u	/* of the usual cost, at most */
#define DEBTS	    64u /* likewise */
#define OUTLIER	    4u
#define USUAL_SHARE 4u
#define CYCLES_MAX  BIT(40)

void allowance_init(struct allowance *a, u64 ppm, u64 now)
{
	*a = (struct allowance){.ppm = ppm, .at = now};
}

static void earn(struct allowance *a, u64 now)
{
	u64 passed = now - a->at, paid = mul_ppm(MIN(passed, CYCLES_MAX), a->ppm);

	a->left = MIN(a->left + (s64)paid, (s64)(SAVED * a->usual));
	/* Fractions are not lost where one asks often. */
	a->at = passed < CYCLES_MAX ? a->at + mul_div(paid, MILLION, a->ppm) : now;
}

bool allowance_allows(struct allowance *a, u64 now, unsigned ahead)
{
	if (!a->ppm)
		return true;
	earn(a, now);
	return a->left + (s64)(ahead * a->usual) >= 0;
}

void allowance_spend(struct allowance *a, u64 cycles)
{
	u64 most = a->usual ? OUTLIER * a->usual : CYCLES_MAX;

	cycles = MAX(MIN(cycles, most), 1ull);
	a->usual = a->usual ? a->usual - a->usual / USUAL_SHARE + cycles / USUAL_SHARE : cycles;
	a->usual = MIN(MAX(a->usual, 1ull), CYCLES_MAX);
	a->left = MAX(a->left - (s64)cycles, -(s64)(DEBTS * a->usual));
}
