# SPDX-License-Identifier: MIT
"""What bench/adaptive.py has measured: pieces of loads in one mode each, as its JSONL has them, and the ratios they give.

A block is measured in one emulator: guests side by side, each in its mode, for some seconds.  Pieces of the same emulator, load and block belong
together, and their ratio is one pair."""
import json
import math
import statistics

from loadmachine import STATIC
from paired import Ratio

NATIVE = "native"
MUCH_WORSE, CLEARLY_WORSE = 1.5, 1.05


class DataError(Exception):
    """A file that is not this bench's; the text says why."""


class Piece:
    """What one guest did in a block, or the machine itself; times are ns of CPU time.  @members as in the file."""

    def __init__(self, members):
        ns = lambda ms: ms * 1e6
        self.platform, self.machine, self.block = members["platform"], members["machine"], members["block"]
        self.rounds, self.cpu_ns, self.per_round = members["rounds"], ns(members["cpu_ms"]), ns(members["cpu_ms_per_round"])
        self.first_per_round, self.ran_ns = ns(members["first_cpu_ms_per_round"]), ns(members["ran_ms"])
        self.ticks, self.mode_ms, self.switches = members["ticks"], members["mode_ms"], members["switches"]
        self.guest_cycles, self.exits = members["guest_cycles"], members["exits"]
        self.spells = [(ns(a), ns(b), mode) for a, b, mode in members["spells"]]
        self.phases = [(ns(when), name) for when, name in members["phases"]]
        self.round_ends = [ns(end) for end in members["round_ends"]]
        self.checksums = members["checksums"]


class Load:
    """One load with all that was measured of it."""

    def __init__(self, name, param):
        self.name, self.param = name, param
        self.pieces = []

    # --- what there is --------------------------------------------------------------------------------

    def of(self, platform, machine=None):
        return [p for p in self.pieces if p.platform == platform and machine in (None, p.machine)]

    def next_block(self, machine):
        return max((p.block for p in self.pieces if p.machine == machine), default=-1) + 1

    def home(self):
        """Of the static modes: the emulator that has measured most of them."""
        machines = [p.machine for p in self.pieces if p.platform in STATIC]
        return max(dict.fromkeys(machines), key=machines.count, default=None)

    def to_native(self, platform):
        """Not measured at the same time: a ratio without an interval, or None."""
        return self.mean(platform) / self.mean(NATIVE) if self.of(NATIVE) and self.of(platform) else None

    def per_round(self, platform, machine):
        """block -> mean logarithm of a round's time."""
        found = {}
        for p in self.of(platform, machine):
            found.setdefault(p.block, []).append(math.log(p.per_round))
        return {block: statistics.fmean(each) for block, each in found.items()}

    # --- what it says ---------------------------------------------------------------------------------

    def mean(self, platform):
        each = list(self.per_round(platform, self.machine_of(platform)).values())
        return math.exp(statistics.fmean(each)) if each else None

    def machine_of(self, platform, other=None):
        """Where @platform was measured, beside @other: a static mode is measured wherever a policy is."""
        if platform not in STATIC:
            return platform
        return other if other not in (None, NATIVE, *STATIC) else self.home()

    def ratio(self, platform, to):
        a = self.per_round(platform, self.machine_of(platform, to))
        b = self.per_round(to, self.machine_of(to, platform))
        return Ratio([(math.exp(a[block]), math.exp(b[block])) for block in sorted(a.keys() & b.keys())])

    def best_static(self):
        known = [mode for mode in STATIC if self.of(mode)]
        if len(known) < 2:
            return known[0] if known else None
        both = self.ratio("shadow", "nested")
        if not both.n:
            return min(known, key=self.mean)
        return "shadow" if both.mean < 1 else "nested"

    def worse_static(self):
        """The static mode that need not be measured often, as it is out of the question; None if both are in it."""
        worse = self.ratio(*sorted(STATIC, key=lambda mode: mode == self.best_static()))
        far = worse.n and (worse.mean > MUCH_WORSE or worse.lower > CLEARLY_WORSE)
        return next(mode for mode in STATIC if mode != self.best_static()) if far else None

    def to_best(self, policy):
        return self.ratio(policy, self.best_static())

    def round_times(self, platform, machine):
        """All of them, ns; none of a file that has only some loads' ends."""
        return [end - begin for p in self.of(platform, machine) for begin, end in zip([0, *p.round_ends], p.round_ends)]

    def middle(self, policy):
        """The median of all rounds' times to that in the better static mode: what a host's bad seconds leave alone, and a policy's rare ones too.
        None where rounds were not recorded."""
        times = [self.round_times(platform, policy) for platform in (policy, self.best_static())]
        return statistics.median(times[0]) / statistics.median(times[1]) if all(times) else None

    def checksums(self):
        return {c for p in self.pieces for c in p.checksums}

    def share(self, platform, mode):
        """Of the time of @platform's segments, what ran in @mode."""
        whole = sum(sum(p.mode_ms.values()) for p in self.of(platform))
        return sum(p.mode_ms.get(mode, 0) for p in self.of(platform)) / whole if whole else None

    def switches(self, platform):
        """A second of its CPU time."""
        seconds = sum(p.ran_ns for p in self.of(platform)) / 1e9
        return sum(p.switches for p in self.of(platform)) / seconds if seconds else None


def read(path):
    """(head, loads) of a file, which may end anywhere: only blocks whose end it says count."""
    head, loads, begun = None, {}, {}
    for members in objects(path):
        if "bench" in members:
            head = members
        elif "platform" in members:
            begun.setdefault((members["load"], members["machine"], members["block"]), []).append(Piece(members))
        elif "block_end" in members:
            name, machine, block = members["block_end"]
            load = loads.setdefault(name, Load(name, members["param"]))
            load.pieces += begun.pop((name, machine, block), [])
    if not head:
        raise DataError(f"{path}: no line says what was measured")
    return head, list(loads.values())


def objects(path):
    with open(path, encoding="ascii") as f:
        for line in f:
            try:
                yield json.loads(line)
            except ValueError:
                pass  # here a run was cut off
