# SPDX-License-Identifier: MIT
"""What the adaptive benchmark says of its figures, without a machine: intervals as by hand, that hold the truth as often as they say on made-up
hosts whose speed drifts and jumps, no verdict that few or noisy pairs do not carry, turns in which each guest gets each part, CPU time of whole
rounds out of what guests side by side say, and a file that goes on where a run was cut off.  Catches a pass by chance, a fail that was only noise, a
policy's rare mishaps that trimming would hide, and a guest's place that passes for a policy's gain."""
import json
import math
import os
import random
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "bench"))
import adaptive_plan as plan  # noqa: E402 (needs the path set above)
from adaptive_data import Load, Piece, read  # noqa: E402
from adaptive_report import phase_shares  # noqa: E402
from beside import GUESTS, Beside, Course, busy_ticks  # noqa: E402
from machine import BenchError  # noqa: E402
from paired import Ratio  # noqa: E402

TIER = "ci"
SECONDS = 4
PLATFORMS = ["native", "nested", "shadow", "adaptive", "dsp", "per_as"]


def ratio(*each):
    return Ratio([(value, 1) for value in each])


EIGHT = (-2, -1, -1, 0, 0, 1, 1, 2)


def around(middle, scatter):
    return tuple(middle + scatter * x for x in EIGHT)


VERDICTS = (
    # pairs, verdict, below one
    ((), "undecided", "undecided"),
    ((1.0, 1.0), "undecided", "undecided"),
    ((1.0, 1.001, 0.999, 1.0, 1.0, 1.0, 1.0), "undecided", "undecided"),  # too few, however alike
    (around(1.0, 0.001), "pass", "undecided"),
    (around(0.90, 0.001), "pass", "pass"),
    (around(1.02, 0.001), "pass", "fail"),
    (around(1.04, 0.001), "fail", "fail"),
    (around(1.04, 0.012), "pass", "fail"),  # bounds 1.027 and 1.053
    (around(1.02, 0.05), "undecided", "undecided"),
    (around(2.0, 0.1), "fail", "fail"),  # wide, and beyond the limit with all of it
    ((1.3, 1.3, 1.31, 1.3, 1.29), "fail", "fail"),  # few are enough for that
    ((1.0,) * 7 + (3.0,), "undecided", "undecided"),  # one is cut off, but may be what the policy did
    ((1.0,) * 7 + (1.1,), "pass", "undecided"),
)


def by_hand(t):
    """Ten values: one of each end is cut off, and stands as its neighbour in the deviation."""
    values = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 9.0)
    r = ratio(*map(math.exp, values))
    winsorised = (0.1, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.8)
    mean = sum(winsorised) / 10
    deviation = math.sqrt(sum((x - mean) ** 2 for x in winsorised) / 9)
    half = 1.1 * 2.365 * deviation / (0.8 * math.sqrt(10))
    t.check(abs(math.log(r.mean) - 0.45) < 1e-9, f"trimmed mean: {math.log(r.mean)}")
    t.check(abs(math.log(r.upper) - math.log(r.mean) - half) < 1e-9, f"half-width {math.log(r.upper / r.mean)}, by hand {half}")
    t.check(abs(math.log(r.plain) - sum(values) / 10) < 1e-9, f"plain mean: {r.plain}")


# --- a host with known truth ------------------------------------------------------------------------------


class Host:
    """Slow drift by a tenth or so within a minute, which guests side by side share, white noise of each one's turns, and moments in which one of them takes up to
    half as long again."""

    def __init__(self, seed, noise, drift, jumps):
        self.random, self.noise, self.drift, self.jumps, self.level = random.Random(seed), noise, drift, jumps, 0.0

    def pair(self, truth):
        self.level = STAY * self.level + self.drift * math.sqrt(1 - STAY * STAY) * self.random.gauss(0, 1)
        return self.guest(truth), self.guest(1)

    def guest(self, cost):
        time = math.exp(self.level) * cost * (1 + self.noise * self.random.gauss(0, 1))
        return time * (1 + self.random.uniform(0.1, 0.5)) if self.random.random() < self.jumps else time


STAY = math.exp(-10 / 60)  # from one block to the next
HOSTS = ((0.02, 0.0, 0.0), (0.02, 0.3, 0.02), (0.01, 0.1, 0.0))  # noise, drift, jumps
RUNS = 400


def until_decided(host, truth, limit=40):
    pairs = []
    while (r := Ratio(pairs)).verdict() == "undecided" and r.n < limit:
        pairs.append(host.pair(truth))
    return r


def truths(t):
    """Fixed seeds, so these figures are the same each time. 400 runs at 95 % scatter by 1.1."""
    for noise in HOSTS:
        host = Host(1, *noise)
        fixed = sum(r.lower <= 1.05 <= r.upper for r in (Ratio([host.pair(1.05) for _ in range(12)]) for _ in range(RUNS)))
        t.check(fixed >= 0.93 * RUNS, f"{noise}: of {RUNS} intervals of 12 pairs {fixed} have the truth")
        stopped = [until_decided(host, 1.0) for _ in range(RUNS)]
        inside = sum(r.lower <= 1.0 <= r.upper for r in stopped)
        t.check(inside >= 0.92 * RUNS, f"{noise}: of {RUNS} intervals that decided {inside} have the truth")
        verdicts = [r.verdict() for r in stopped]
        t.check(verdicts.count("fail") <= 0.01 * RUNS, f"{noise}: {verdicts.count('fail')} fails of a policy that costs nothing")
        t.check(verdicts.count("pass") >= 0.75 * RUNS, f"{noise}: only {verdicts.count('pass')} passes of {RUNS}")
        dear = [until_decided(host, 1.10).verdict() for _ in range(RUNS // 4)]
        t.check(dear.count("pass") <= 0.02 * len(dear), f"{noise}: {dear.count('pass')} of {len(dear)} pass with a tenth more")
        print(f"{noise}: {fixed / RUNS:.3f} and {inside / RUNS:.3f} of the intervals have the truth, "
              f"{sum(r.n for r in stopped) / RUNS:.1f} blocks to decide")


# --- blocks -----------------------------------------------------------------------------------------------


def piece(platform, machine, block, per_round, **more):
    return Piece(members(platform, machine, block, per_round, **more))


def members(platform, machine, block, per_round, **more):
    return {"load": "chase", "param": "-", "platform": platform, "machine": machine, "block": block, "rounds": 1,
            "cpu_ms": per_round, "cpu_ms_per_round": per_round, "ran_ms": per_round, "first_cpu_ms_per_round": per_round, "ticks": 30,
            "mode_ms": {}, "switches": 0, "guest_cycles": 0, "exits": {}, "spells": [], "phases": [], "round_ends": [],
            "checksums": ["0"], **more}


PLACE = (1.0, 1.2, 0.9)  # what a guest's place makes of its time


def measured(name, blocks, nested, shadow, adaptive, machine="adaptive", places=PLACE):
    """A load on guests of which none is like another, and a host that gets slower by a third from block to block."""
    load, slow = Load(name, "-"), 1.0
    cost = {"nested": nested, "shadow": shadow, machine: adaptive}
    for block in range(blocks):
        parts = plan.roles(load, [*PLATFORMS, machine], machine, block)
        load.pieces += [piece(part, machine, block, slow * cost[part] * place) for part, place in zip(parts, places) if part]
        slow *= 4 / 3
    return load


def orders(t):
    even = Load("chase", "-")
    for again in range(4):
        parts = [plan.roles(even, PLATFORMS, "adaptive", 3 * again + turn) for turn in range(3)]
        t.check(all(sorted(turn) == ["adaptive", "nested", "shadow"] for turn in parts), f"round {again}: {parts}")
        t.check(all(len({turn[guest] for turn in parts}) == 3 for guest in range(3)), f"round {again}: a guest has a part twice: {parts}")
    before = [plan.roles(even, PLATFORMS, "adaptive", block) for block in range(6)]
    came = {before[b - 1][turn.index("adaptive")] for b, turn in enumerate(before) if b % 3}
    t.check(came == {"nested", "shadow"}, f"a policy always begins from {came}")
    load = measured("chase", 9, nested=104, shadow=100, adaptive=104)
    t.check(abs(Ratio([(p, q) for p, q in pairs(load, "adaptive", "shadow")]).plain - 1.04) < 1e-9, f"places count: {load.to_best('adaptive')}")
    far = measured("chase", 12, nested=200, shadow=100, adaptive=104)
    t.check(len(far.of("nested")) == 2, f"the worse mode was measured {len(far.of('nested'))} times in 12 blocks")
    t.check(len(far.of("shadow")) == 12, f"the better mode was measured {len(far.of('shadow'))} times in 12 blocks")
    t.check(measured("chase", 9, 102, 100, 100).worse_static() is None, "a mode that is 2 % worse may yet be the better one")
    t.check(plan.next_emulators(Load("chase", "-"), PLATFORMS) == ["adaptive", "dsp"], "whose turns come first")
    t.check(plan.next_emulators(even_turns("mix", "adaptive", "dsp", "per_as"), PLATFORMS) == ["adaptive", "per_as"],
            "per_as has to win the mix, and is not measured on")
    twin = measured("chase", 9, 100, 200, 100, machine="twin")
    t.check(len(twin.of("twin")) == 8 and twin.to_best("twin").n == 8, "the twin of a mode that is not known yet")


def pairs(load, platform, to):
    of = {p.block: p.per_round for p in load.of(to)}
    return [(p.per_round, of[p.block]) for p in load.of(platform)]


def even_turns(name, *machines):
    load = Load(name, "-")
    load.pieces = [piece(p, machine, block, 100) for machine in machines for block in range(3) for p in ("nested", "shadow", machine)]
    return load


class Teller(Beside):
    """Guests that say what they are made to say; nobody is written to."""

    def __init__(self):
        self.course, self.name, self.load, self.param = {guest: Course() for guest in GUESTS}, "teller", "page", "-"
        self.ready_guests, self.at_work, self.resting, self.command_rounds, self.typed = set(), set(GUESTS), set(), 1, []

    def type_to(self, guest, line):
        self.typed.append((guest, line))


def stats(guest, ran_us, ticks=0, idle=0, **more):
    return {"type": "stats", "guest": guest, "ran_us": ran_us, "paging": "nested", "switches": 0, "modes": {"nested": ran_us // 1000},
            "guest_cycles": ran_us, "exits": {"io": [ran_us, ran_us]}, "adaptive": {"ticks": ticks, "reasons": {"idle": idle}}, **more}


def told(t):
    """Guest a has the CPU for a third of the time, its rounds take 100 ms of that."""
    m = Teller()
    for second in range(10):
        m.note(second * 1e9, stats("a", second * 333333, 10 + second, second // 2))
        for third in range(3):
            m.note(second * 1e9 + third * 3e8 + 5e7, ("a", f"page - 300000000 {'feed':>4s}"))
    found = m.course["a"].piece(2e9, 8e9)
    t.check(found["rounds"] == 17 and abs(found["cpu_ms_per_round"] - 5.6e9 / 17 / 3e6) < 0.01, f"whole rounds: {found}")
    t.check(len(found["round_ends"]) == 17 and found["checksums"] == ["feed"], f"whole rounds: {found}")
    t.check(m.course["a"].piece(20e9, 30e9) is None, "a piece without a round")
    t.check(busy_ticks(m.course["a"].stats) == 15, "idle ticks count")
    m.note(1e10, ("a", "end page"))
    t.check(m.typed == [("a", "page - 8")], f"the next command: {m.typed}")
    for bad in (("b", "not ok loads: died"), {"type": "error", "guest": "b"}, {"type": "guest", "event": "crash", "guest": "c"}):
        try:
            m.note(0, bad)
            t.check(False, f"{bad} passes")
        except BenchError:
            pass


def time_left(t):
    done = measured("chase", 9, 200, 100, 100, places=(1, 1, 1))
    near, far = Load("gups", "-"), Load("page", "-")
    for load, scatter in ((near, 0.05), (far, 0.20)):
        for block in range(10):
            sign = (-1) ** block
            load.pieces += [piece("nested", "adaptive", block, 100), piece("shadow", "adaptive", block, 300),
                            piece("adaptive", "adaptive", block, 100 * (1 + sign * scatter))]
    t.check(plan.decided(done, PLATFORMS) and not plan.decided(near, PLATFORMS), "decided: wrong ones")
    t.check(plan.next_undecided([done, far, near], PLATFORMS, lambda load: 1) is near, "the time left is not the nearest one's")
    t.check(plan.next_undecided([done], PLATFORMS, lambda load: 1) is None, "time for a load that is decided")
    loads = [Load(name, "-") for name in ("chase", "phases", "gups")]
    t.check([plan.share(100, loads, i) for i in range(3)] == [20, 75, 100], "shares of the time")


def cut_off(t):
    """A file that ends in the middle of a block, and of a line."""
    path = t.path("adaptive.jsonl")
    lines = [{"bench": "adaptive", "platforms": PLATFORMS}]
    for block in range(3):
        lines += [members(p, "adaptive", block, 100 + block) for p in ("nested", "shadow", "adaptive")]
        lines.append({"block_end": ["chase", "adaptive", block], "param": "-"})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    for end, blocks in ((len(text), 3), (len(text) - 5, 2), (len(text) - 400, 2)):
        with open(path, "w", encoding="ascii") as f:
            f.write(text[:end])
        load, = read(path)[1]
        t.check(load.next_block("adaptive") == blocks and len(load.pieces) == 3 * blocks, f"{end}: {load.next_block('adaptive')} blocks")


def medians(t):
    """A round's time in a static mode is 100, with a policy 103; one in five takes thrice as long."""
    load = Load("chase", "-")
    for platform, per_round in (("nested", 100), ("adaptive", 103)):
        ends, end = [], 0
        for i in range(10):
            end += per_round * (3 if i % 5 == 0 else 1)
            ends.append(end)
        load.pieces.append(piece(platform, "adaptive", 0, end / 10, round_ends=ends))
    t.check(abs(load.middle("adaptive") - 1.03) < 1e-9, f"ratio of medians: {load.middle('adaptive')}")
    load.pieces.append(piece("dsp", "dsp", 0, 100))
    t.check(load.middle("dsp") is None, "a median of no rounds")


class Phased:
    """Phase a takes 100 nested and 50 shadow, b the other way round."""

    def of(self, platform):
        if platform == "adaptive":
            spells = [[0, 25, "nested"], [25, 50, "shadow"], [50, 100, "nested"]]
            return [piece("adaptive", "adaptive", 0, 100, spells=spells, phases=[[0, "a"], [50, "b"]], round_ends=[100])]
        middle = 100 if platform == "shadow" else 200
        return [piece(platform, "adaptive", 0, 300, phases=[[0, "a"], [middle, "b"]], round_ends=[300])]


def run(t):
    for each, verdict, below in VERDICTS:
        r = ratio(*each)
        t.check(r.verdict() == verdict, f"{each}: {r.verdict()}, not {verdict}; {r}")
        t.check(r.below_one() == below, f"{each}: {r.below_one()}, not {below}; {r}")
    by_hand(t)
    truths(t)
    orders(t)
    told(t)
    time_left(t)
    cut_off(t)
    medians(t)
    shares = phase_shares(Phased(), "adaptive")
    t.check(shares == {"a": ("shadow", 0.5), "b": ("nested", 1.0)}, f"phases: {shares}")
