#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Adaptive paging against each mode alone, and against the machine itself.

    adaptive.py BUILD-DIR [--loads chase,churn] [--platforms native,nested,shadow,adaptive,dsp,per_as,twin] [--minutes M]
                          [--cpu-list 1] [--resume FILE]
    adaptive.py BUILD-DIR --report FILE

Each policy has an emulator with one CPU and three guests side by side (beside.py): one has the policy, the others the static modes, and all run the same
load; a block is some seconds of that, after which the guests change parts.  Blocks go on until the ratio of policy / better static mode is
known (paired.py) or the load's part of the time is used up, and what is left at the end goes to loads that are not decided.  What is measured is
CPU time for a round, as the hypervisor counts it for each guest; what that means and does not mean: docs/performance.md.  `twin` is no policy but
the better static mode once more: its ratio must be 1.  The machine itself is an emulator of its own, and only one of them works at a time.  Each piece is
a line of BUILD-DIR/bench/adaptive.jsonl as soon as it is there; adaptive-*.svg are plots.  Exit status 0 when everything ran,
whatever the figures are.  Python's standard library only; plots need gnuplot."""
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
import beside
import budget
from adaptive_data import NATIVE, DataError, Load, Piece, read
from adaptive_plan import POLICY, TWIN
from adaptive_report import report
from budget import Budget
from loadmachine import STATIC, native_machine, real_machine
from machine import BenchError, words_of

LOADS = ("chase", "gups", "stencil", "stream4k", "churn", "allocloop", "burst", "page", "brk", "forkwait", "fork", "exec",
         "memmotion", "spawnstorm", "tcc", "phases", "mix")
TICK_NS = 100000000
FIRST_TICKS, TICKS = 5, 30
NATIVE_SECONDS = 1.0  # of CPU time that a native piece takes at least, if rounds are that short
ROUNDS_MAX = 40
PLATFORMS = (NATIVE, *STATIC, *POLICY)
DEFAULT_PLATFORMS = [p for p in PLATFORMS if p != TWIN]
FORMAT = 3


def say(text):
    print(f"  BENCH   {text}", file=sys.stderr, flush=True)


class Machines:
    """Emulators by the policy that they are for, or "native"; started when first wanted."""

    def __init__(self, args, wanted):
        self.build, self.cpus, self.options = os.path.abspath(args.build), args.cpu_list, f"policy.tick={args.tick}ms"
        self.running = {}
        if args.serial:
            self.running[wanted] = real_machine(self.build, args.serial) if wanted == NATIVE else beside.real(self.build, args.serial)
            self.running[wanted].boot()

    def get(self, name):
        if name not in self.running:
            say(f"{name}: booting")
            machine = native_machine(self.build, cpus=self.cpus) if name == NATIVE else \
                beside.emulated(self.build, name, f"{POLICY[name]} {self.options}".strip(), self.cpus)
            self.running[name] = machine
            machine.boot()
        return self.running[name]

    def close(self):
        for machine in self.running.values():
            machine.close()


class Meter:
    """Measures blocks and writes them down."""

    def __init__(self, args, machines, write):
        self.args, self.machines, self.write = args, machines, write
        self.tick_us = args.tick * 1000

    def ticks_of(self, platform):
        """(stats, stats) -> ticks; by time where nobody counts them."""
        if platform == "per_as":
            return lambda before, after: (after["ran_us"] - before["ran_us"]) // self.tick_us
        return lambda before, after: beside.busy_ticks(after) - beside.busy_ticks(before)

    def native(self, load, number):
        machine = self.machines.get(NATIVE)
        first = machine.run(load.name, load.param, 1)
        rounds = self.args.rounds or max(1, min(ROUNDS_MAX, math.ceil(NATIVE_SECONDS * 1e9 / first.cpu_per_round())))
        self.block(load, NATIVE, number, {NATIVE: native_members(first, machine.run(load.name, load.param, rounds))})

    def beside(self, load, platforms, name, number):
        machine = self.machines.get(name)
        if machine.load != load.name:
            machine.begin(load.name, load.param)
        parts = dict(zip(beside.GUESTS, plan.roles(load, platforms, name, number)))
        parts = {guest: part for guest, part in parts.items() if part}
        modes = {guest: mode_of(part, load) for guest, part in parts.items()}
        most = max(1, self.args.rounds or beside.ROUNDS)
        rounds = {guest: 1 if part == load.worse_static() else most for guest, part in parts.items()}
        found = machine.measure(modes, (self.args.first_ticks, self.args.ticks), (self.tick_us, self.ticks_of(name)), rounds)
        self.block(load, name, number, {parts[guest]: {**members, "guest": guest} for guest, members in found.items() if members})

    def block(self, load, name, number, pieces):
        """It counts when it is whole."""
        for platform, members in pieces.items():
            members = {"load": load.name, "param": load.param, "machine": name, "platform": platform, "block": number, **members}
            self.write(members)
            load.pieces.append(Piece(members))
        self.write({"block_end": [load.name, name, number], "param": load.param})


def mode_of(part, load):
    if part == TWIN:
        return load.best_static()
    return part if part in STATIC else "policy"


def native_members(first, segment):
    ms = lambda ns: round(ns / 1e6, 3)
    return {"rounds": len(segment.rounds), "cpu_ms": ms(segment.cpu_ns), "cpu_ms_per_round": ms(segment.cpu_per_round()),
            "first_cpu_ms_per_round": ms(first.cpu_per_round()), "ran_ms": ms(segment.cpu_ns), "ticks": None, "mode_ms": {}, "switches": 0,
            "guest_cycles": None, "exits": {}, "spells": [], "decisions": [], "phases": [[ms(when), name] for when, name in segment.phases],
            "round_ends": [ms(end) for end, _, _ in segment.rounds], "checksums": sorted(first.checksums() | segment.checksums())}


class Bench:
    def __init__(self, args, write, loads):
        self.args, self.platforms = args, args.platforms
        self.machines = Machines(args, NATIVE if args.platforms == [NATIVE] else first_policy(args.platforms))
        self.meter = Meter(args, self.machines, write)
        known = {load.name: load for load in loads}
        self.loads = [known.get(name) or Load(name, args.params.get(name, "-")) for name in args.loads]
        self.took = {}  # load -> seconds of its last turns
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
        """Of its next turns; of one that had none, as others'."""
        known = list(self.took.values()) or [0]
        return self.took.get(load.name, sum(known) / len(known))

    def next_machines(self, load):
        if self.platforms == [NATIVE]:
            return []
        names = plan.next_emulators(load, self.platforms)
        if self.args.blocks:
            return [name for name in names if load.next_block(name) < self.args.blocks]
        return [] if plan.decided(load, self.platforms) and not any(load.next_block(name) < plan.OTHERS_TURNS for name in names) else names

    def measure(self, load, end):
        """Turns of @load until it is decided or @end is near; how many."""
        done = self.natively(load)
        while names := self.next_machines(load):
            for name in names:
                began, need = time.monotonic(), self.seconds_of(load)
                if not self.budget.fits(need) or load.pieces and began + need > end:
                    return done
                self.turns(load, name)
                done += 1
                self.took[load.name] = time.monotonic() - began
                self.progress(load, name, end)
        return done

    def natively(self, load):
        if NATIVE not in self.platforms or load.of(NATIVE) or not self.budget.fits(self.seconds_of(load)):
            return 0
        self.meter.native(load, 0)
        return 1

    def turns(self, load, name):
        """Until every guest has had every part."""
        while True:
            number = load.next_block(name)
            self.meter.beside(load, self.platforms, name, number)
            if len(load.checksums()) != 1:
                raise BenchError(f"{load.name}: results differ: {sorted(load.checksums())}")
            if (number + 1) % plan.TURNS == 0 or (self.args.blocks and number + 1 >= self.args.blocks):
                return

    def progress(self, load, name, end):
        text = f"{load.name} ({self.loads.index(load) + 1} of {len(self.loads)}), {load.next_block(name)} blocks"
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


def first_policy(platforms):
    return next((p for p in platforms if p in POLICY), next(iter(POLICY)))


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("--loads", type=words_of(LOADS), default=list(LOADS))
    p.add_argument("--param", action="append", default=[], help="LOAD=PARAM, may be repeated")
    p.add_argument("--platforms", type=words_of(PLATFORMS), default=DEFAULT_PLATFORMS,
                   help=f"default: {','.join(DEFAULT_PLATFORMS)}; per_as with {', '.join(plan.SEVERAL_SPACES)} only; "
                        "the first policy is what decides")
    p.add_argument("--rounds", type=int, default=0, help="of a block, at least (default %d)" % beside.ROUNDS)
    p.add_argument("--blocks", type=int, default=0, help="exactly as many of each load (default: until it is decided)")
    p.add_argument("--ticks", type=int, default=TICKS, help="of a policy in a block, behind the first")
    p.add_argument("--first-ticks", type=int, default=FIRST_TICKS, help="reported apart")
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
    if any(x in POLICY for x in args.platforms) and not any(x in STATIC for x in args.platforms) and not (args.medium or args.report):
        p.error(f"--platforms {','.join(args.platforms)}: a policy is compared with {' and '.join(STATIC)}, which are missing")
    return args


def on_the_wire(platforms):
    """A machine at the other end of a cable is booted with one policy, or natively."""
    if platforms == [NATIVE]:
        return platforms
    policy = next((p for p in platforms if p in POLICY), None)
    return [p for p in platforms if p in STATIC or p == policy]


def make_medium(args, directory):
    policy = first_policy(args.platforms)
    iso = beside.medium(os.path.dirname(directory), "machine", f"{POLICY[policy]} policy.tick={args.tick}ms", "loads.iso")
    shutil.copyfile(iso, args.medium)


def head_of(args):
    what = "CPU time" if args.serial else "CPU time (an emulator's)"
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
