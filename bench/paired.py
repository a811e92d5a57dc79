# SPDX-License-Identifier: MIT
"""Paired ratios with 95 % confidence intervals, and what they say about a limit.

The logarithms of the pairs' ratios are averaged without the highest and the lowest tenth (at least one each), so that a moment in which the
host did something else counts for nothing; the interval is Student's by the winsorised deviation, which is what belongs to such a mean (Tukey
and McLaughlin).  Who measures until the interval is narrow stops at lucky moments: WIDER makes up for that (tests/qemu/test_ratios.py counts how often
the truth is inside).  What is cut off may be the policy's own doing, so a pass is asked of the mean of all pairs as well."""
import math
import statistics

# t of 97.5 %, by degrees of freedom; beyond the table the next smaller row is used, which is wider.
T975 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228,
        11: 2.201, 12: 2.179, 13: 2.160, 14: 2.145, 15: 2.131, 17: 2.110, 20: 2.086, 25: 2.060, 30: 2.042, 40: 2.021,
        60: 2.000, 120: 1.980}
TENTH = 10  # of the pairs one in so many is cut off at each end
TRIMMED_FROM = 5  # pairs; fewer are taken as they are
WIDER = 1.1
PAIRS_FAIL, PAIRS_PASS = 5, 8  # so many at least
HALF_WIDTH = 0.02
LIMIT = 1.03


def t975(freedom):
    return T975[max(k for k in T975 if k <= freedom)]


def trimmed(values):
    """(mean without the ends, half-width of its interval)."""
    n, values = len(values), sorted(values)
    cut = max(1, n // TENTH) if n >= TRIMMED_FROM else 0
    core = values[cut:n - cut]
    if len(core) < 2:
        return statistics.fmean(core), math.inf
    deviation = statistics.stdev([core[0]] * cut + core + [core[-1]] * cut)
    return statistics.fmean(core), WIDER * t975(len(core) - 1) * deviation * math.sqrt(n) / len(core)


class Ratio:
    """Of pairs (a, b) the ratio a / b: mean, bounds, half-width of the interval; plain: the mean of all pairs."""

    def __init__(self, pairs):
        logs = [math.log(a / b) for a, b in pairs]
        self.n = len(logs)
        middle, half = trimmed(logs) if logs else (math.nan, math.inf)
        self.mean, self.plain = math.exp(middle), math.exp(statistics.fmean(logs)) if logs else math.nan
        known = math.isfinite(half)
        self.lower, self.upper = (math.exp(middle - half), math.exp(middle + half)) if known else (0, math.inf)
        self.half = (self.upper - self.lower) / 2

    def verdict(self):
        """pass: the lower bound is within the limit and the interval is narrow.  fail: it lies beyond the limit, however wide.
        Else nothing is known."""
        if self.n >= PAIRS_FAIL and self.lower > LIMIT:
            return "fail"
        if self.n < PAIRS_PASS or self.half > HALF_WIDTH:
            return "undecided"
        return "pass" if self.plain - self.half <= LIMIT else "undecided"

    def below_one(self):
        """The same for "less than 1"."""
        if self.n < PAIRS_FAIL or self.lower <= 1 <= self.upper:
            return "undecided"
        return "pass" if self.upper < 1 else "fail"

    def pairs_missing(self):
        """How many more of the same scatter make it narrow; infinite where nothing is known of that."""
        if not math.isfinite(self.half):
            return math.inf
        return max(PAIRS_PASS - self.n, math.ceil(self.n * ((self.half / HALF_WIDTH) ** 2 - 1)), 0)

    def members(self):
        finite = math.isfinite(self.half)
        shown = {"n": self.n, "ratio": self.mean, "half_width": self.half if finite else None, "plain": self.plain}
        return {k: round(v, 4) if isinstance(v, float) and math.isfinite(v) else v if k == "n" else None for k, v in shown.items()}

    def __str__(self):
        if not self.n:
            return "-"
        return f"{self.mean:.3f}" + (f" ±{self.half:.3f}" if math.isfinite(self.half) else "")
