/* The price of a miss: see walk_price.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/walk_price.h"
#include "core/calibrate.h"
#include "core/hv.h"
#include "lib/str.h"

#define SOME_PAGES 4096u /* where nobody knows how many */

/* pmu=model, and until somebody measures it. */
static const u64 model_price[POLICY_MODES] = {[POLICY_NESTED] = 60000, [POLICY_SHADOW] = 27000};

u64 walk_price(enum policy_mode mode, u64 pages)
{
	const struct calibration *c = hv_calibration();
	u64 price;

	if (!c->done || strcmp(hv_cmdline()->pmu, "model") == 0)
		return model_price[mode];
	price = calibration_walk(c, mode, pages ? pages : SOME_PAGES);
	/* Few pages are in reach of the TLB, and cost nothing that could be measured. */
	return price || !c->walk[CALIBRATION_SETS - 1].known[mode] ? price : 1;
}
