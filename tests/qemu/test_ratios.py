# SPDX-License-Identifier: MIT
"""What the adaptive benchmark says of its figures, without a machine: intervals as by hand, and no verdict that few or noisy pairs
do not carry. Catches a pass by chance, and a fail that was only noise."""
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "bench"))
from adaptive_report import phase_shares  # noqa: E402 (needs the path set above)
from loadmachine import Segment  # noqa: E402
from paired import Ratio  # noqa: E402

TIER = "ci"
SECONDS = 1


def ratio(*each):
    return Ratio([(value, 1) for value in each])


VERDICTS = (
    # pairs, verdict, below one
    ((), "undecided", "undecided"),
    ((1.0, 1.0), "undecided", "undecided"),  # too few, however alike
    ((1.0, 1.001, 0.999), "pass", "undecided"),
    ((0.90, 0.901, 0.899), "pass", "pass"),
    ((1.02, 1.021, 1.019), "pass", "fail"),
    ((1.04, 1.041, 1.039), "fail", "fail"),
    ((1.035, 1.045, 1.025), "undecided", "fail"),  # wide: bounds 1.010 and 1.060
    ((0.8, 1.2, 1.0), "undecided", "undecided"),
    ((2.0, 2.4, 2.2), "fail", "fail"),  # wide, and beyond the limit with all of it
)


def member(segment, spells):
    return type("Measured", (), {"segment": segment, "spells": spells})()


def segment(*ends):
    """Rounds of two phases, each half a round."""
    s, begin = Segment(), 0
    for end in ends:
        s.phases += [(begin, "a"), ((begin + end) // 2, "b")]
        s.rounds.append((end, 1, "0"))
        begin = end
    s.cpu_ns = ends[-1]
    return s


class Phased:
    """Phase a takes 100 nested and 50 shadow, b the other way round."""

    def blocks(self, platform):
        s = segment(300)
        s.phases[1] = (100 if platform == "shadow" else 200, "b")
        return [member(segment(100), [[0, 25, "nested"], [25, 50, "shadow"], [50, 100, "nested"]])
                if platform == "adaptive" else member(s, [])]


def run(t):
    for each, verdict, below in VERDICTS:
        r = ratio(*each)
        t.check(r.verdict() == verdict, f"{each}: {r.verdict()}, not {verdict}; {r}")
        t.check(r.below_one() == below, f"{each}: {r.below_one()}, not {below}; {r}")
    r = ratio(1.0, 1.1, 1.2)
    t.check(abs(r.mean - 1.1) < 1e-9 and abs(r.half - 4.303 * 0.1 / 3 ** 0.5) < 1e-6, f"interval: {r.mean} {r.half}")
    shares = phase_shares(Phased(), "adaptive")
    t.check(shares == {"a": ("shadow", 0.5), "b": ("nested", 1.0)}, f"phases: {shares}")
