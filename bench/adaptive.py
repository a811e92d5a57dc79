#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Adaptive paging against each mode alone, and against the machine itself.

    adaptive.py BUILD-DIR [--loads chase,churn] [--platforms native,nested,shadow,adaptive,dsp,per_as] [--rounds N] [--minutes M]

Emulators run side by side, one at work at a time: one natively, one with a guest whose mode is changed from outside between
nested, shadow and the policy, one each for other policies.  A block measures a load once in each, in turn; blocks go on
until the ratio adaptive / best static mode is known or the time is up.  What is measured is the emulator's CPU time for the same
work; what that means and does not mean: docs/adaptive.md.  Writes BUILD-DIR/bench/adaptive.jsonl and adaptive-*.svg.  Exit status 0
when everything ran, whatever the figures are.  Python's standard library only; plots need gnuplot."""
import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time

import adaptive_plot
from adaptive_report import report
from loadmachine import GUEST_OPTIONS, STATIC, Segment, guest_iso, guest_machine, native_machine, policy_on, real_machine, running
from machine import BenchError, words_of
from paired import Ratio

LOADS = ("chase", "gups", "stencil", "stream4k", "churn", "allocloop", "burst", "page", "brk", "forkwait", "fork", "exec",
         "memmotion", "spawnstorm", "tcc", "phases", "mix")
BELOW_BOTH = ("phases", "mix")  # here adaptive must win, not only keep up
PAIR_WEIGHT = 3  # what these get of the time, others 1: their rounds are long
TICK_NS = 100000000
FIRST_TICKS, TICKS = 5, 30
STATIC_SECONDS = 1.0  # of the emulator's CPU time that a static segment takes at least, if rounds are that short
LONG_ROUND_NS = 2500000000
ROUNDS_MAX = 40
# The policies' own machines: what their command line has beside policy.tick.
POLICY = {"adaptive": "policy=regret", "dsp": "policy=dsp policy.period=200ms", "per_as": "policy=regret paging.per_as=on"}
PLATFORMS = ("native", "nested", "shadow", "adaptive", "dsp", "per_as")
SEVERAL_SPACES = ("forkwait", "mix")  # loads that per_as, which is about address spaces, is measured with
BLOCKS_MIN, BLOCKS_MAX = 3, 40


def say(text):
    print(f"  BENCH   {text}", file=sys.stderr, flush=True)


def busy_ticks(stats):
    """0 where address spaces have modes of their own: nobody counts ticks there."""
    adaptive = stats.get("adaptive", {"ticks": 0})
    return adaptive["ticks"] - adaptive.get("reasons", {}).get("idle", 0)


def exits_between(before, after):
    """reason -> [count, cycles]."""
    found = {}
    for reason, (count, cycles) in after["exits"].items():
        old = before["exits"].get(reason, [0, 0])
        if count > old[0]:
            found[reason] = [count - old[0], cycles - old[1]]
    return found


class Measured:
    """One load in one mode, one time."""

    def __init__(self, platform, first, segment, before=None, after=None, start_mode=None):
        self.platform, self.first, self.segment = platform, first, segment
        self.guest_cycles = after["guest_cycles"] - before["guest_cycles"] if after else None
        self.exits = exits_between(before, after) if after else {}
        self.ticks = None  # of a policy
        self.spells = segment.spells(start_mode) if start_mode else []
        # Records of changes may drop, these do not.
        self.mode_ms = {mode: after["modes"].get(mode, 0) - before["modes"].get(mode, 0) for mode in STATIC} if after else {}
        self.switches = after["switches"] - before["switches"] if after else 0

    def members(self, block):
        s, ms = self.segment, lambda ns: round(ns / 1e6, 3)
        return {"block": block, "platform": self.platform, "rounds": len(s.rounds), "cpu_ms": ms(s.cpu_ns),
                "cpu_ms_per_round": ms(s.cpu_per_round()), "guest_ms": ms(s.guest_ns()),
                "first_cpu_ms_per_round": ms(self.first.cpu_per_round()), "ticks": self.ticks,
                "mode_ms": self.mode_ms, "switches": self.switches, "guest_cycles": self.guest_cycles, "exits": self.exits,
                "spells": [[ms(a), ms(b), mode] for a, b, mode in self.spells],
                "phases": [[ms(when), name] for when, name in s.phases],
                "round_ends": [ms(end) for end, _, _ in s.rounds] if s.phases else [],
                "decisions": [[ms(when), r["to"], r.get("reason", r.get("why"))] for when, r in s.changes]}


class Load:
    """One load with all that was measured of it: platform -> list of Measured, one a block."""

    def __init__(self, name, param):
        self.name, self.param = name, param
        self.of = {}

    def blocks(self, platform):
        return self.of.get(platform, [])

    def mean(self, platform):
        each = [m.segment.cpu_per_round() for m in self.blocks(platform)]
        return sum(each) / len(each) if each else None

    def best_static(self):
        known = [p for p in STATIC if self.blocks(p)]
        return min(known, key=self.mean) if known else None

    def ratio(self, platform, to):
        """By blocks, of what both have."""
        pairs = zip(self.blocks(platform), self.blocks(to))
        return Ratio([(a.segment.cpu_per_round(), b.segment.cpu_per_round()) for a, b in pairs])

    def to_best(self, platform="adaptive"):
        return self.ratio(platform, self.best_static())

    def decided(self, platforms):
        policies = [p for p in platforms if p in POLICY]
        return all(self.to_best(p).verdict() != "undecided" for p in policies[:1])

    def checksums(self):
        return {c for each in self.of.values() for m in each for s in (m.first, m.segment) for c in s.checksums()}

    def share(self, platform, mode):
        """Of the time of @platform's segments, what ran in @mode."""
        whole = sum(sum(m.mode_ms.values()) for m in self.blocks(platform))
        return sum(m.mode_ms.get(mode, 0) for m in self.blocks(platform)) / whole if whole else None

    def switches(self, platform):
        """A second."""
        seconds = sum(sum(m.mode_ms.values()) for m in self.blocks(platform)) / 1000
        return sum(m.switches for m in self.blocks(platform)) / seconds if seconds else None


class Machines:
    """Emulators by the platforms they serve; started when first wanted."""

    def __init__(self, build, tick_ms, serial):
        self.build, self.options, self.running = build, f"policy.tick={tick_ms}ms", {}
        if serial:
            self.running["adaptive"] = real_machine(build, serial)
            self.running["adaptive"].boot()

    def get(self, platform):
        name = "adaptive" if platform in STATIC else platform
        if name not in self.running:
            say(f"{name}: booting")
            machine = native_machine(self.build) if name == "native" else \
                guest_machine(self.build, name, f"{POLICY[name]} {self.options}")
            self.running[name] = machine
            machine.boot()
        return self.running[name]

    def close(self):
        for machine in self.running.values():
            machine.close()


class Bench:
    def __init__(self, args, out):
        self.args, self.out = args, out
        self.machines = Machines(os.path.abspath(args.build), args.tick, args.serial)
        self.platforms = list(args.platforms)
        self.loads = []

    # --- one block --------------------------------------------------------------------------------

    def policy_block(self, machine, platform, load, round_ns):
        """The first ticks apart, then as many as are wanted."""
        machine.set_mode("adaptive")
        tick_ns = self.args.tick * 1000000

        def ticks_of(segment, since, stats):
            return segment.guest_ns() // tick_ns if platform == "per_as" else busy_ticks(stats) - since

        def until(segment, ticks):
            stats = machine.stats()
            since = busy_ticks(stats)
            while (left := ticks - ticks_of(segment, since, stats)) > 0:
                last = segment.rounds[-1][1] if segment.rounds else round_ns
                segment.add(machine.run(load.name, load.param, max(1, min(ROUNDS_MAX, math.ceil(left * tick_ns / last)))))
                stats = machine.stats()
                if not policy_on(stats):
                    raise BenchError(f"{machine.name}: the policy has ended: paging={stats['paging']}")
            return stats
        first, segment = Segment(), Segment()
        before = until(first, FIRST_TICKS)
        after = until(segment, self.args.ticks)
        m = Measured(platform, first, segment, before, after, running(before))
        m.ticks = ticks_of(segment, busy_ticks(before), after)
        return m

    def static_block(self, machine, platform, load):
        machine.set_mode(platform)
        before = machine.stats()
        first = segment = machine.run(load.name, load.param, 1)
        if segment.cpu_ns < LONG_ROUND_NS:  # else what a change of mode leaves behind is lost in it
            before = machine.stats()
            segment = machine.run(load.name, load.param, self.rounds_for(first))
        return Measured(platform, first, segment, before, machine.stats(), platform)

    def rounds_for(self, first):
        if self.args.rounds:
            return self.args.rounds
        return max(1, min(ROUNDS_MAX, math.ceil(STATIC_SECONDS * 1e9 / first.cpu_per_round())))

    def measure(self, platform, load, block):
        machine = self.machines.get(platform)
        if platform == "native":
            first = machine.run(load.name, load.param, 1)
            m = Measured(platform, first, machine.run(load.name, load.param, self.rounds_for(first)))
        elif platform in STATIC:
            m = self.static_block(machine, platform, load)
        else:
            known = [x.segment for p in STATIC for x in load.blocks(p)]
            round_ns = min((s.guest_ns() / len(s.rounds) for s in known), default=TICK_NS)
            m = self.policy_block(machine, platform, load, round_ns)
        load.of.setdefault(platform, []).append(m)
        self.write({"load": load.name, "param": load.param, **m.members(block)})

    def prepare(self, load):
        """Every machine has the load in memory before the first block."""
        for platform in self.platforms_of(load):
            self.machines.get(platform).run(load.name, load.param, 1)

    def platforms_of(self, load):
        return [p for p in self.platforms if p != "per_as" or load.name in SEVERAL_SPACES]

    # --- all of them ------------------------------------------------------------------------------

    def one_load(self, load, end, left_after):
        self.prepare(load)
        took = 0
        for block in range(BLOCKS_MAX):
            began = time.monotonic()
            if block >= (1 if self.args.blocks == 1 else 2) and began + took > end:
                break
            if self.args.blocks and block >= self.args.blocks:
                break
            platforms = self.platforms_of(load)
            turn = block % len(platforms)  # nobody always runs first
            for platform in platforms[turn:] + platforms[:turn]:
                self.measure(platform, load, block)
            took = time.monotonic() - began
            self.progress(load, block, end - time.monotonic() + left_after)
            if block + 1 >= BLOCKS_MIN and not self.args.blocks and load.decided(self.platforms):
                break
        if len(load.checksums()) != 1:
            raise BenchError(f"{load.name}: results differ: {sorted(load.checksums())}")

    def progress(self, load, block, left):
        text = f"{load.name}, block {block + 1}"
        for platform in self.platforms_of(load):
            if platform in POLICY and load.best_static():
                text += f"; {platform} / {load.best_static()} {load.to_best(platform)}"
        say(text + ("" if self.args.minutes is None else f"; at most {max(0, left) / 60:.0f} min left"))

    def run(self):
        began = time.monotonic()
        whole = math.inf if self.args.minutes is None else self.args.minutes * 60
        weights = [PAIR_WEIGHT if name in BELOW_BOTH else 1 for name in self.args.loads]
        for i, name in enumerate(self.args.loads):
            left = began + whole - time.monotonic()
            mine = left * weights[i] / sum(weights[i:])
            load = Load(name, self.args.params.get(name, "-"))
            self.loads.append(load)
            self.one_load(load, time.monotonic() + mine, left - mine)

    def write(self, members):
        self.out.write(json.dumps(members) + "\n")
        self.out.flush()


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("--loads", type=words_of(LOADS), default=list(LOADS))
    p.add_argument("--param", action="append", default=[], help="LOAD=PARAM, may be repeated")
    p.add_argument("--platforms", type=words_of(PLATFORMS), default=list(PLATFORMS),
                   help=f"default: {','.join(PLATFORMS)}; per_as with {', '.join(SEVERAL_SPACES)} only")
    p.add_argument("--rounds", type=int, default=0, help="of a static segment (default: for a second)")
    p.add_argument("--blocks", type=int, default=0, help="exactly as many of each load (default: until it is decided)")
    p.add_argument("--ticks", type=int, default=TICKS, help="of a policy's segment, behind the first %d" % FIRST_TICKS)
    p.add_argument("--tick", type=int, default=TICK_NS // 1000000, help="ms")
    p.add_argument("--minutes", type=float, default=25, help="for all; 0, or BENCH=full in the environment: no limit")
    p.add_argument("--medium", help="only make this medium, for a real machine")
    p.add_argument("--serial", help="the real machine's serial line (nested, shadow and adaptive only; the loads' own times count)")
    args = p.parse_args()
    if args.serial:
        args.platforms = [name for name in args.platforms if name in (*STATIC, "adaptive")]
    args.params = dict(word.split("=", 1) for word in args.param)
    if os.environ.get("BENCH") == "full" or args.minutes <= 0:
        args.minutes = None
    return args


def main():
    args = arguments()
    directory = os.path.join(os.path.abspath(args.build), "bench")
    if args.medium:
        iso = guest_iso(os.path.abspath(args.build), "machine", f"{GUEST_OPTIONS} {POLICY['adaptive']} policy.tick={args.tick}ms")
        shutil.copyfile(iso, args.medium)
        return 0
    path = os.path.join(directory, "adaptive.jsonl")
    what = "The loads' own time" if args.serial else "Emulator CPU time (no hardware's)"
    began = time.monotonic()
    with open(path, "w", encoding="ascii") as out:
        bench = Bench(args, out)
        try:
            bench.run()
            status = 0
        except (BenchError, OSError, subprocess.CalledProcessError) as why:
            print(f"adaptive: {why}", file=sys.stderr, flush=True)
            status = 1
        finally:
            bench.machines.close()
        loads = [load for load in bench.loads if load.best_static()]
        rows, summaries = report(loads, bench.platforms, POLICY, BELOW_BOTH, what)
        for summary in summaries:
            bench.write(summary)
    print("\n".join(rows))
    plots = adaptive_plot.write(directory, loads, bench.platforms, what)
    print(f"\n{directory}: adaptive.jsonl {' '.join(plots)}; {time.monotonic() - began:.0f} s")
    return status


if __name__ == "__main__":
    sys.exit(main())
