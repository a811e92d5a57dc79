/* The table of parameters, and how their values are written.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/adaptive/params.h"

#include "lib/errno.h"
#include "lib/str.h"

#define MS    NSEC_PER_MSEC
#define SEC   NSEC_PER_SEC
#define HOUR  (3600 * SEC)
#define MANY  1000000000000ull
#define K     1000ull  /* one, in thousandths */
#define PCT   10000ull /* one percent, in millionths */
#define WHOLE (100 * PCT)

#define P(field, unit, preset, min, max, help)                                                     \
	{                                                                                          \
#field, offsetof(struct policy_params, field), unit, preset, min, max, help        \
	}

const struct policy_param policy_param_table[] = {
	P(tick, PARAM_TIME, 100 * MS, MS, 100 * SEC, "between two samples"),
	P(chaos_exits, PARAM_COUNT, 1000, 1, MANY,
	  "policy=chaos switches after at most so many exits"),

	P(min_unhalted, PARAM_TIME, 10 * MS, 0, SEC, "a tick in which the guest ran less is idle"),
	P(min_instructions, PARAM_COUNT, 20000000, 0, MANY, "so is one with fewer of them"),
	P(distrust, PARAM_COUNT, 3, 1, 1000, "bad samples in a row until nested for safety"),
	P(trust, PARAM_COUNT, 16, 1, 1000, "good ones in a row until samples count again"),

	P(period, PARAM_TIME, 5 * SEC, 10 * MS, HOUR, "DSP decides this often"),
	P(dsp_pfu, PARAM_DECIMAL, 5000 * K, 0, MANY, "PFU, 10^-7 page faults per 1000 instr."),
	P(dsp_pfl, PARAM_DECIMAL, 100 * K, 0, MANY, "PFL"),
	P(dsp_tlbu, PARAM_DECIMAL, 10 * K, 0, MANY, "TLBU, TLB misses per 1000 instructions"),
	P(dsp_tlbl, PARAM_DECIMAL, K / 10, 0, MANY, "TLBL"),
	P(dsp_ptu, PARAM_DECIMAL, 200 * K, 0, MANY, "PTU, 10^-7 page faults per TLB miss"),
	P(dsp_ptl, PARAM_DECIMAL, 150 * K, 0, MANY, "PTL"),
	P(dsp_margin, PARAM_PERCENT, 80 * PCT, 0, WHOLE, "of PFU and TLBU in rules 1 and 2"),
	P(dsp_history, PARAM_COUNT, 3, 1, 8, "samples in the historic ratio"),

	P(rho, PARAM_DECIMAL, K * 45 / 100, 1, K, "walk cycles in shadow over nested, at first"),
	P(rho_min, PARAM_DECIMAL, K / 10, 1, K, "at least, when learned"),
	P(rho_max, PARAM_DECIMAL, K * 95 / 100, 1, K, "and at most"),
	P(c_pf, PARAM_COUNT, 5000, 0, 10000000, "cycles for a guest's page fault under shadow"),
	P(c_cr3, PARAM_COUNT, 2000, 0, 10000000, "for a write to CR3"),
	P(c_invlpg, PARAM_COUNT, 2000, 0, 10000000, "for an INVLPG"),
	P(c_ptw, PARAM_COUNT, 0, 0, 10000000,
	  "for a change in a page table beside those of faults"),
	P(k_hs, PARAM_COUNT, 1400000, 0, MANY, "cycles to switch to shadow"),
	P(k_leaf, PARAM_DECIMAL, 84 * K, 0, 1000000 * K, "and for each leaf"),
	P(k_sh, PARAM_COUNT, 280000, 0, MANY, "cycles to switch to nested"),

	P(gamma, PARAM_DECIMAL, K, K / 100, 100 * K, "switch at this many times its cost"),
	P(slack, PARAM_PERCENT, PCT * 3 / 10, 0, 50 * PCT, "of the time, that is no regret"),
	P(settle, PARAM_COUNT, 1, 0, 100, "ticks after a switch that tell nothing"),
	P(window, PARAM_COUNT, 5, 2, 1000, "ticks of a verification, at least"),
	P(window_max, PARAM_COUNT, 40, 2, 1000, "and at most"),
	P(gain_min, PARAM_PERCENT, PCT / 2, 0, 50 * PCT, "measured gain that counts"),
	P(sigmas, PARAM_DECIMAL, K * 5 / 2, 0, 100 * K, "and it must exceed the noise by"),
	P(noise, PARAM_PERCENT, 2 * PCT, PCT / 100, 50 * PCT, "noise of progress, at first"),
	P(doubt, PARAM_DECIMAL, K * 33 / 10, K, 100 * K,
	  "factor by which a new model may be wrong"),
	P(probe_share, PARAM_PERCENT, PCT / 2, 0, 50 * PCT, "of the time for trials that fail"),
	P(probe_start, PARAM_TIME, 100 * MS, 0, HOUR, "that credit at the start"),
	P(probe_burst, PARAM_TIME, SEC, 0, HOUR, "and at most"),
	P(backoff_min, PARAM_TIME, 2 * SEC, 10 * MS, HOUR, "between two trials"),
	P(backoff_max, PARAM_TIME, 120 * SEC, 10 * MS, HOUR, "and when nothing changes"),
	P(switch_burst, PARAM_COUNT, 4, 2, 1000, "switches at once"),
	P(switch_gap, PARAM_TIME, SEC, 0, HOUR, "and then one in this time"),
	P(switch_share, PARAM_PERCENT, PCT, PCT / 100, WHOLE, "of the time for switches"),
	P(as_promote, PARAM_TIME, 200 * MS, 0, HOUR,
	  "an address space runs before it gets a shadow"),
	P(as_look, PARAM_TIME, 10 * MS, MS, SEC, "and between two looks at it"),
	P(as_cr3_share, PARAM_PERCENT, PCT, 0, WHOLE, "of the time for exits by CR3 writes"),
	P(cusum_h, PARAM_DECIMAL, K * 3 / 2, K / 100, 100 * K,
	  "change that is an alarm, nat. log."),
	P(cusum_drift, PARAM_DECIMAL, K * 15 / 100, 0, 100 * K, "and what of it is no change"),
};
const unsigned policy_param_count = ARRAY_SIZE(policy_param_table);

static const struct {
	unsigned digits; /* after the point */
	u64 one;	 /* what 1 is kept as */
	const char *expected;
} units[] = {
	[PARAM_COUNT] = {0, 1, "a whole number"},
	[PARAM_DECIMAL] = {3, 1000, "a number with at most three decimals"},
	[PARAM_PERCENT] = {4, PCT, "percent, such as 0.3%"},
	[PARAM_TIME] = {6, NSEC_PER_SEC, "a time, such as 100ms or 2.5s"},
};

static u64 *field_of(struct policy_params *p, const struct policy_param *param)
{
	return (u64 *)((char *)p + param->offset);
}

void policy_params_init(struct policy_params *p, u64 khz)
{
	for (unsigned i = 0; i < policy_param_count; i++)
		*field_of(p, &policy_param_table[i]) = policy_param_table[i].preset;
	p->khz = MAX(khz, 1);
}

u64 policy_param_get(const struct policy_params *p, const struct policy_param *param)
{
	return *(const u64 *)((const char *)p + param->offset);
}

/* "DIGITS[.DIGITS]" at *@s as an integer of 10^-@digits. */
static int take_decimal(const char **s, unsigned digits, u64 *value)
{
	const char *p = *s;
	u64 v = 0;
	int left = -1; /* decimals still to come; none before the point */

	for (; (*p >= '0' && *p <= '9') || (*p == '.' && left < 0 && p != *s && digits); p++) {
		if (*p == '.') {
			left = (int)digits;
			continue;
		}
		if (!left--)
			return -EINVAL; /* more precise than it is kept */
		if (left < -1)
			left = -1;
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (u64)(*p - '0'), &v))
			return -EINVAL;
	}
	if (p == *s || p[-1] == '.')
		return -EINVAL;
	for (unsigned i = left < 0 ? digits : (unsigned)left; i; i--)
		if (__builtin_mul_overflow(v, 10, &v))
			return -EINVAL;
	*s = p;
	*value = v;
	return 0;
}

static int parse_time(const char *s, u64 *value)
{
	u64 v;

	if (take_decimal(&s, 6, &v)) /* in 10^-6 of the unit */
		return -EINVAL;
	if (!strcmp(s, "ms"))
		*value = v; /* 10^-6 ms is 1 ns */
	else if (!strcmp(s, "s") && !__builtin_mul_overflow(v, 1000, &v))
		*value = v;
	else
		return -EINVAL;
	return 0;
}

static int parse_value(enum param_unit unit, const char *s, u64 *value)
{
	if (unit == PARAM_TIME)
		return parse_time(s, value);
	if (take_decimal(&s, units[unit].digits, value))
		return -EINVAL;
	if (unit == PARAM_PERCENT && *s == '%')
		s++;
	return *s ? -EINVAL : 0;
}

void policy_param_format(const struct policy_param *param, u64 value, char *buf, size_t size)
{
	static const char *const suffix[] = {[PARAM_COUNT] = "",
					     [PARAM_DECIMAL] = "",
					     [PARAM_PERCENT] = "%",
					     [PARAM_TIME] = "s"};
	u64 one = units[param->unit].one, part = value % one;
	unsigned digits = param->unit == PARAM_TIME ? 9 : units[param->unit].digits;

	for (; digits && part % 10 == 0; digits--)
		part /= 10;
	if (digits)
		snprintf(buf, size, "%llu.%0*llu%s", (unsigned long long)(value / one), (int)digits,
			 (unsigned long long)part, suffix[param->unit]);
	else
		snprintf(buf, size, "%llu%s", (unsigned long long)(value / one),
			 suffix[param->unit]);
}

static const struct policy_param *find(const char *key)
{
	for (unsigned i = 0; i < policy_param_count; i++)
		if (!strcmp(policy_param_table[i].name, key))
			return &policy_param_table[i];
	return NULL;
}

int policy_param_set(struct policy_params *p, const char *key, const char *value, char *why,
		     size_t size)
{
	const struct policy_param *param = find(key);
	char low[32], high[32];
	u64 v;

	if (!param) {
		snprintf(why, size, "no policy has a parameter of this name");
		return -ENOENT;
	}
	if (parse_value(param->unit, value, &v)) {
		snprintf(why, size, "expected %s", units[param->unit].expected);
		return -EINVAL;
	}
	if (v < param->min || v > param->max) {
		policy_param_format(param, param->min, low, sizeof(low));
		policy_param_format(param, param->max, high, sizeof(high));
		snprintf(why, size, "expected %s to %s", low, high);
		return -EINVAL;
	}
	*field_of(p, param) = v;
	return 0;
}
