# SPDX-License-Identifier: MIT
"""Paired ratios with 95 % confidence intervals (Student's t), and what they say about a limit."""
import math
import statistics

# t of 97.5 %, by degrees of freedom; beyond the table the next smaller row is used, which is wider.
T975 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228,
        12: 2.179, 15: 2.131, 20: 2.086, 30: 2.042, 60: 2.000, 120: 1.980}
PAIRS_MIN = 3
HALF_WIDTH = 0.02
LIMIT = 1.03


class Ratio:
    """Of pairs (a, b) the ratio a / b: mean, bounds, half-width of the interval."""

    def __init__(self, pairs):
        each = [a / b for a, b in pairs]
        self.n = len(each)
        self.mean = statistics.fmean(each) if each else math.nan
        self.half = math.inf
        if self.n > 1:
            t = T975[max(k for k in T975 if k <= self.n - 1)]
            self.half = t * statistics.stdev(each) / math.sqrt(self.n)

    @property
    def lower(self):
        return self.mean - self.half

    @property
    def upper(self):
        return self.mean + self.half

    def verdict(self):
        """pass: the lower bound is within the limit and the interval is narrow.  fail: it lies beyond the limit, however wide.
        Else nothing is known."""
        if self.n < PAIRS_MIN:
            return "undecided"
        if self.lower > LIMIT:
            return "fail"
        return "pass" if self.half <= HALF_WIDTH else "undecided"

    def below_one(self):
        """The same for "less than 1"."""
        if self.n < PAIRS_MIN or self.lower <= 1 <= self.upper:
            return "undecided"
        return "pass" if self.upper < 1 else "fail"

    def members(self):
        finite = math.isfinite(self.half)
        return {"n": self.n, "ratio": round(self.mean, 4), "half_width": round(self.half, 4) if finite else None}

    def __str__(self):
        if not self.n:
            return "-"
        return f"{self.mean:.3f}" + (f" ±{self.half:.3f}" if math.isfinite(self.half) else "")
