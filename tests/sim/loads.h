/* Parameters of the simulated machines and loads. Fixed before the policy was tuned; random loads
 * come in a set for tuning and one that tuning never sees.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SIM_LOADS_H
#define TESTS_SIM_LOADS_H

#include "world.h"

extern const struct sim_costs sim_xen, sim_own;
/* Everything at once is seen exactly; as a machine with good counters sees it, progress known. */
extern const struct sim_sight sim_exact, sim_seen;

#define SIM_NAMED 6
extern const struct sim_load sim_named[SIM_NAMED];

#define SIM_TUNING   150
#define SIM_HELD_OUT 75
/* Load @i of the tuning set, or of those held out, behind them. */
struct sim_load sim_random_load(unsigned i);
/* A load of 1 to 12 phases of @shortest to 20 s for tests of properties. */
struct sim_load sim_random_trace(u64 seed, double shortest);

#endif
