#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Adaptive paging against each mode alone, and against the machine itself.

    adaptive.py BUILD-DIR [--loads chase,churn] [--platforms native,nested,shadow,adaptive,dsp,per_as] [--minutes M]
                          [--cpu-list 1] [--resume FILE]
    adaptive.py BUILD-DIR --report FILE

Emulators run side by side, one at work at a time: one natively, one for each policy with a guest whose mode is changed from outside.  A block is a
policy's segment between segments of nested and shadow paging, in one emulator; blocks go on until the ratio of policy / better static mode is
known (paired.py) or the load's part of the time is used up, and what is left at the end goes to loads that are not decided.  What is measured is
the emulator's CPU time for the same work; what that means and does not mean: docs/performance.md.  Each segment is a line of
BUILD-DIR/bench/adaptive.jsonl as soon as it is there; adaptive-*.svg are plots.  Exit status 0 when everything ran, whatever the
figures are.  Python's standard library only; plots need gnuplot."""
import argparse
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time

import adaptive_plan as plan
import adaptive_plot
import budget
from adaptive_data import NATIVE, DataError, Load, Piece, read
from adaptive_plan import POLICY
from adaptive_report import report
from budget import Budget
from loadmachine import GUEST_OPTIONS, STATIC, Segment, guest_iso, guest_machine, native_machine, policy_on, real_machine, running
from machine import BenchError, words_of

LOADS = ("chase", "gups", "stencil", "stream4k", "churn", "allocloop", "burst", "page", "brk", "forkwait", "fork", "exec",
         "memmotion", "spawnstorm", "tcc", "phases", "mix")
TICK_NS = 100000000
FIRST_TICKS, TICKS = 5, 30
LONG_ROUND_NS = 2500000000
NATIVE_SECONDS = 1.0  # of CPU time that a native segment takes at least, if rounds are that short
ROUNDS_MAX = 40
IDLE_TICKS = 20  # of so many one counts at least, or something is wrong
PLATFORMS = (NATIVE, *STATIC, *POLICY)
FORMAT = 2


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

    def __init__(self, first, segment, before=None, after=None, start_mode=None, ticks=None):
        self.first, self.segment, self.ticks = first, segment, ticks
        self.guest_cycles = after["guest_cycles"] - before["guest_cycles"] if after else None
        self.exits = exits_between(before, after) if after else {}
        self.spells = segment.spells(start_mode) if start_mode else []
        # Records of changes may drop, these do not.
        self.mode_ms = {mode: after["modes"].get(mode, 0) - before["modes"].get(mode, 0) for mode in STATIC} if after else {}
        self.switches = after["switches"] - before["switches"] if after else 0

    def members(self):
        s, ms = self.segment, lambda ns: round(ns / 1e6, 3)
        return {"rounds": len(s.rounds), "cpu_ms": ms(s.cpu_ns),
                "cpu_ms_per_round": ms(s.cpu_per_round()), "guest_ms": ms(s.guest_ns()),
                "first_cpu_ms_per_round": ms(self.first.cpu_per_round()), "ticks": self.ticks,
                "mode_ms": self.mode_ms, "switches": self.switches, "guest_cycles": self.guest_cycles, "exits": self.exits,
                "spells": [[ms(a), ms(b), mode] for a, b, mode in self.spells],
                "phases": [[ms(when), name] for when, name in s.phases],
                "round_ends": [ms(end) for end, _, _ in s.rounds],
                "decisions": [[ms(when), r["to"], r.get("reason", r.get("why"))] for when, r in s.changes],
                "checksums": sorted(self.first.checksums() | s.checksums())}


class Machines:
    """Emulators by the policy that their guest has, or "native"; started when first wanted."""

    def __init__(self, args, wanted):
        self.build, self.cpus, self.options = os.path.abspath(args.build), args.cpu_list, f"policy.tick={args.tick}ms"
        self.running = {}
        if args.serial:
            self.running[wanted] = real_machine(self.build, args.serial, wanted != NATIVE)
            self.running[wanted].boot()

    def get(self, name):
        if name not in self.running:
            say(f"{name}: booting")
            machine = native_machine(self.build, cpus=self.cpus) if name == NATIVE else \
                guest_machine(self.build, name, f"{POLICY[name]} {self.options}", cpus=self.cpus)
            self.running[name] = machine
            machine.boot()
        return self.running[name]

    def close(self):
        for machine in self.running.values():
            machine.close()


class Meter:
    """Measures segments and blocks, and writes them down."""

    def __init__(self, args, machines, write):
        self.args, self.machines, self.write = args, machines, write
        self.tick_ns = args.tick * 1000000

    def policy_segment(self, machine, platform, load):
        """The first ticks apart, then as many as are wanted."""
        machine.set_mode("adaptive")

        def ticks_of(segment, since, stats):
            return segment.guest_ns() // self.tick_ns if platform == "per_as" else busy_ticks(stats) - since

        def until(segment, ticks, last=math.inf):
            stats = machine.stats()
            since = busy_ticks(stats)
            while (left := ticks - ticks_of(segment, since, stats)) > 0:
                if segment.guest_ns() > IDLE_TICKS * ticks * self.tick_ns:
                    raise BenchError(f"{machine.name}: {load.name} ran {segment.guest_ns() / 1e9:.1f} s, ticks still wanted: {left}")
                segment.add(machine.run(load.name, load.param, max(1, min(ROUNDS_MAX, math.ceil(left * self.tick_ns / last)))))
                last = segment.rounds[-1][1]
                stats = machine.stats()
                if not policy_on(stats):
                    raise BenchError(f"{machine.name}: the policy has ended: paging={stats['paging']}")
            return stats
        first, segment = Segment(), Segment()
        before = until(first, FIRST_TICKS)
        after = until(segment, self.args.ticks, first.rounds[-1][1])
        return Measured(first, segment, before, after, running(before), ticks_of(segment, busy_ticks(before), after))

    def static_segment(self, machine, platform, load):
        """Two of these, before and behind, take as long as a policy's."""
        machine.set_mode(platform)
        before = machine.stats()
        first = segment = machine.run(load.name, load.param, 1)
        if segment.cpu_ns < LONG_ROUND_NS:  # else what a change of mode leaves behind is lost in it
            before = machine.stats()
            segment = machine.run(load.name, load.param, self.rounds_for(first, self.args.ticks * self.tick_ns / 2))
        return Measured(first, segment, before, machine.stats(), platform)

    def native_segment(self, machine, load):
        first = machine.run(load.name, load.param, 1)
        return Measured(first, machine.run(load.name, load.param, self.rounds_for(first, NATIVE_SECONDS * 1e9)))

    def rounds_for(self, first, ns):
        return self.args.rounds or max(1, min(ROUNDS_MAX, math.ceil(ns / first.cpu_per_round())))

    def segment(self, name, platform, load):
        machine = self.machines.get(name)
        if platform == NATIVE:
            return self.native_segment(machine, load)
        if platform in STATIC:
            return self.static_segment(machine, platform, load)
        return self.policy_segment(machine, platform, load)

    def block(self, load, platforms, name, number):
        """In one machine; it counts when it is whole."""
        pieces = []
        for platform in plan.segments(load, platforms, name, number):
            members = {"load": load.name, "param": load.param, "machine": name, "platform": platform, "block": number,
                       **self.segment(name, platform, load).members()}
            self.write(members)
            pieces.append(Piece(members))
        load.pieces += pieces
        self.write({"block_end": [load.name, name, number], "param": load.param})

    def prepare(self, load, names):
        """Every machine has the load in memory before it is measured."""
        for name in names:
            self.machines.get(name).run(load.name, load.param, 1)


class Bench:
    def __init__(self, args, write, loads):
        self.args, self.platforms = args, args.platforms
        self.machines = Machines(args, next((p for p in args.platforms if p not in STATIC), next(iter(POLICY))))
        self.meter = Meter(args, self.machines, write)
        known = {load.name: load for load in loads}
        self.loads = [known.get(name) or Load(name, args.params.get(name, "-")) for name in args.loads]
        self.took = {}  # load -> seconds of its last block
        self.budget = Budget(args.minutes)
        self.budget.enforce()

    def run(self):
        for i, load in enumerate(self.loads):
            self.measure(load, time.monotonic() + plan.share(self.budget.left(), self.loads, i))
        while not self.args.blocks and (load := plan.next_undecided(self.loads, self.platforms, self.seconds_of)):
            say(f"time left goes to {load.name}; {self.left()}")
            if not self.measure(load, self.budget.end):
                break

    def seconds_of(self, load):
        """Of its next block; of one that had none, as others'."""
        known = list(self.took.values()) or [0]
        return self.took.get(load.name, sum(known) / len(known))

    def enough(self, load, done):
        if self.args.blocks:
            return done >= self.args.blocks
        return plan.next_block(load, self.platforms) >= plan.BLOCKS_MAX or plan.decided(load, self.platforms)

    def measure(self, load, end):
        """Blocks of @load until it is decided or @end is near; how many."""
        done, prepared = 0, set()
        while not self.enough(load, done):
            began = time.monotonic()
            need = self.seconds_of(load)
            if not self.budget.fits(need) or load.pieces and began + need > end:
                break
            number = plan.next_block(load, self.platforms)
            names = plan.machines(load, self.platforms, number)
            self.meter.prepare(load, [name for name in names if name not in prepared])
            prepared.update(names)
            for name in names:
                self.meter.block(load, self.platforms, name, number)
            done += 1
            self.took[load.name] = time.monotonic() - began
            self.progress(load, number, end)
            if len(load.checksums()) != 1:
                raise BenchError(f"{load.name}: results differ: {sorted(load.checksums())}")
        return done

    def progress(self, load, number, end):
        text = f"{load.name} ({self.loads.index(load) + 1} of {len(self.loads)}), block {number + 1}"
        for policy in plan.policies_of(load, self.platforms):
            if load.best_static():
                text += f"; {policy} / {load.best_static()} {load.to_best(policy)}"
        if plan.decided(load, self.platforms):
            text += "; decided"
        elif math.isfinite(missing := plan.blocks_missing(load, self.platforms)):
            text += f"; some {missing} more"
        say(f"{text}; {self.left(end)}")

    def left(self, end=None):
        undecided = sum(not plan.decided(load, self.platforms) for load in self.loads)
        text = f"{undecided} loads undecided"
        if end and self.budget.limited:
            text += f"; {max(0, end - time.monotonic()) / 60:.1f} min left for this one"
        return f"{text}; {self.budget.said()}"


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("--loads", type=words_of(LOADS), default=list(LOADS))
    p.add_argument("--param", action="append", default=[], help="LOAD=PARAM, may be repeated")
    p.add_argument("--platforms", type=words_of(PLATFORMS), default=list(PLATFORMS),
                   help=f"default: {','.join(PLATFORMS)}; per_as with {', '.join(plan.SEVERAL_SPACES)} only; "
                        "the first policy is what decides")
    p.add_argument("--rounds", type=int, default=0, help="of a static segment (default: half a policy's time)")
    p.add_argument("--blocks", type=int, default=0, help="exactly as many of each load (default: until it is decided)")
    p.add_argument("--ticks", type=int, default=TICKS, help="of a policy's segment, behind the first %d" % FIRST_TICKS)
    p.add_argument("--tick", type=int, default=TICK_NS // 1000000, help="ms")
    budget.add_option(p, 25)
    p.add_argument("--cpu-list", help="CPUs of the host that the emulators may use, as taskset takes them")
    p.add_argument("--resume", metavar="FILE", help="go on with what a run that was cut off has written; made if absent")
    p.add_argument("--report", metavar="FILE", help="only tables and plots, from such a file")
    p.add_argument("--medium", help="only make this medium, for a real machine")
    p.add_argument("--serial", help="the real machine's serial line: one policy, or native alone; the loads' own times count")
    args = p.parse_args()
    args.params = dict(word.split("=", 1) for word in args.param)
    if args.serial:
        args.platforms = on_the_wire(args.platforms)
    return args


def on_the_wire(platforms):
    """A machine at the other end of a cable is booted with one policy, or natively."""
    if platforms == [NATIVE]:
        return platforms
    policy = next((p for p in platforms if p in POLICY), None)
    return [p for p in platforms if p in STATIC or p == policy]


def make_medium(args, directory):
    policy = next((p for p in args.platforms if p in POLICY), next(iter(POLICY)))
    iso = guest_iso(os.path.dirname(directory), "machine", f"{GUEST_OPTIONS} {POLICY[policy]} policy.tick={args.tick}ms")
    shutil.copyfile(iso, args.medium)


def head_of(args):
    what = "The loads' own time" if args.serial else "Emulator CPU time (no hardware's)"
    return {"bench": "adaptive", "format": FORMAT, "what": what, "tick_ms": args.tick, "ticks": args.ticks, "platforms": args.platforms}


def earlier(args):
    """What --resume goes on with: loads, and the platforms that their tables have."""
    if not args.resume or not os.path.exists(args.resume) or not os.path.getsize(args.resume):
        return [], []
    head, loads = read(args.resume)
    for key in ("format", "what", "tick_ms", "ticks"):
        if head.get(key) != head_of(args)[key]:
            raise DataError(f"{args.resume}: {key} is {head.get(key)} there, {head_of(args)[key]} here")
    return loads, head["platforms"]


def show(directory, head, loads, write=lambda members: None):
    loads = [load for load in loads if load.best_static()]
    rows, summaries = report(loads, head["platforms"], plan, head["what"])
    for summary in summaries:
        write(summary)
    print("\n".join(rows))
    return adaptive_plot.write(directory, loads, head["platforms"], head["what"])


def measure(args, directory):
    path = args.resume or os.path.join(directory, "adaptive.jsonl")
    loads, platforms = earlier(args)
    head = head_of(args)
    head["platforms"] = [p for p in PLATFORMS if p in (*platforms, *args.platforms)]
    began, bench, status = time.monotonic(), None, 1
    with open(path, "a" if args.resume else "w", encoding="ascii") as out:
        def write(members):
            out.write(json.dumps(members) + "\n")
            out.flush()
        out.write("\n" if args.resume and out.tell() else "")  # its last line may have no end
        write(head)
        try:
            bench = Bench(args, write, loads)
            bench.run()
            status = 0
        except budget.TimeUp as why:
            say(f"{why}: what is there counts")
            status = 0
        except (BenchError, OSError, subprocess.CalledProcessError) as why:
            print(f"adaptive: {why}", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            print("adaptive: cut off; --resume goes on with it", file=sys.stderr, flush=True)
        finally:
            Budget.over()
            if bench:
                bench.machines.close()
        others = [load for load in loads if load.name not in args.loads]
        plots = show(directory, head, others + (bench.loads if bench else []), write)
    print(f"\n{path}, {directory}: {' '.join(plots)}; {time.monotonic() - began:.0f} s")
    return status


def stop(*_):
    raise KeyboardInterrupt


def main():
    args = arguments()
    directory = os.path.join(os.path.abspath(args.build), "bench")
    signal.signal(signal.SIGTERM, stop)
    try:
        if args.medium:
            make_medium(args, directory)
            return 0
        if args.report:
            print(f"\n{directory}: {' '.join(show(directory, *read(args.report)))}")
            return 0
        return measure(args, directory)
    except (DataError, OSError) as why:
        print(f"adaptive: {why}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
