/* Everything about a policy that can be set: `policy.KEY=VALUE` on the hypervisor's command line,
 * `-p KEY=VALUE` in pnpolicy. One table holds name, unit, default and range of each.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_PARAMS_H
#define HV_PAGING_ADAPTIVE_PARAMS_H

#include "lib/muldiv.h"
#include "penumbra/types.h"

/* How a value is written and kept. */
enum param_unit {
	PARAM_COUNT,   /* 5: as it is */
	PARAM_DECIMAL, /* 0.45: thousandths */
	PARAM_PERCENT, /* 0.3% or 0.3: millionths of the whole */
	PARAM_TIME,    /* 100ms, 5s, 0.5s: nanoseconds */
};

struct policy_params {
	u64 khz; /* host's cycles per millisecond; not on the command line */

	u64 tick;	 /* time; for who takes the samples */
	u64 chaos_exits; /* count; for policy=chaos */

	/* what a tick must have to count */
	u64 min_unhalted;     /* time */
	u64 min_instructions; /* count */
	u64 distrust, trust;  /* ticks */

	/* DSP */
	u64 period;		/* time */
	u64 dsp_pfu, dsp_pfl;	/* decimal, page faults per 10^10 instructions */
	u64 dsp_tlbu, dsp_tlbl; /* decimal, misses per 1000 instructions */
	u64 dsp_ptu, dsp_ptl;	/* decimal, 10^-7 */
	u64 dsp_margin;		/* percent */
	u64 dsp_history;	/* count */

	/* costs, until measured */
	u64 rho, rho_min, rho_max;	  /* decimal */
	u64 c_pf, c_cr3, c_invlpg, c_ptw; /* cycles */
	u64 k_hs, k_leaf, k_sh;		  /* cycles; k_leaf decimal */

	/* regret */
	u64 gamma;		      /* decimal */
	u64 slack;		      /* percent */
	u64 settle;		      /* ticks */
	u64 window, window_max;	      /* ticks */
	u64 gain_min;		      /* percent */
	u64 sigmas;		      /* decimal */
	u64 noise;		      /* percent */
	u64 doubt;		      /* decimal */
	u64 probe_share;	      /* percent */
	u64 probe_start, probe_burst; /* time */
	u64 backoff_min, backoff_max; /* time */
	u64 as_promote, as_look;      /* time */
	u64 as_cr3_share;	      /* percent */
	u64 switch_burst;	      /* count */
	u64 switch_gap;		      /* time */
	u64 switch_share;	      /* percent */
	u64 cusum_h, cusum_drift;     /* decimal, natural logarithms */
};

struct policy_param {
	const char *name; /* first: nearest_name() reads it */
	size_t offset;
	enum param_unit unit;
	u64 preset, min, max; /* as kept */
	const char *help;
};
extern const struct policy_param policy_param_table[];
extern const unsigned policy_param_count;

/* Every parameter at its default; @khz: the host's cycles per millisecond, at least 1. */
void policy_params_init(struct policy_params *p, u64 khz);
/* Set @key from @value's text. 0; -ENOENT for an unknown key, -EINVAL for a value out of form or
 * range, both with the reason in @why and @p as it was. */
int policy_param_set(struct policy_params *p, const char *key, const char *value, char *why,
		     size_t size);
u64 policy_param_get(const struct policy_params *p, const struct policy_param *param);
/* @value of @param as it would be written. */
void policy_param_format(const struct policy_param *param, u64 value, char *buf, size_t size);

static inline u64 ns_to_cycles(const struct policy_params *p, u64 ns)
{
	return mul_div(ns, p->khz, NSEC_PER_MSEC);
}

#endif
