# SPDX-License-Identifier: MIT
"""Rounds by the host's clock: the loops of bench/linux in machines that stand side by side, one at work at a time.

A host's speed goes up and down, for seconds at a time, by more than what is to be found.  So a round boots each platform, and then the machines
take turns at each loop, tenths of a second long, in an order that turns round; what counts are the ratios of such neighbours (paired.py).  A
round's boots, and a pass's processes, place guests, tables and memory anew."""
import contextlib
import math
import time

import limits
from figures import GUEST
from machine import BenchError
from paired import Ratio

PREFIX = GUEST.encode() + b"| "
QUESTION = b"bench: ask"
LIMIT = 300  # seconds for one answer, on a loaded host
TURNS = 10  # at each loop in a pass
# What has a limit runs in each pass, the others in the first; CPUID takes no time natively.
LOOPS = ("cpu", "syscall", "forkwait", "pgfault", "ctxsw", "tlbwalk", "mprotect")
EACH_PASS = tuple(limits.SHADOW_TIME)


def said(line):
    return line.removeprefix(PREFIX)


def is_question(line):
    return said(line) == QUESTION


class Seat:
    """A machine whose bench asks what to do next, and what its boot gave."""

    def __init__(self, machine, run):
        self.machine, self.run, self.ops = machine, run, 0

    def tell(self, line, last):
        """The lines that come then, until one of which @last is true, with the emulator's CPU ns."""
        first = len(self.machine.lines)
        self.machine.write(line.encode() + b"\n")
        self.machine.run(LIMIT, last)
        return [(cpu, said(line)) for cpu, line in self.machine.lines[first:]]

    def begin(self, name):
        start = b"bench: " + name.encode() + b" "
        lines = self.tell(name, lambda line: said(line).startswith(start))
        self.ops = next(int(line.split()[2]) for _, line in lines if line.startswith(start))

    def turn(self):
        """Emulator CPU ns per operation."""
        at = {line: cpu for cpu, line in self.tell("", lambda line: said(line) == b"ok")}
        if at.get(b"go", math.inf) >= at[b"ok"]:
            raise BenchError(f"{self.run.platform}: a round that took no time:\n" + "\n".join(self.machine.tail()))
        return (at[b"ok"] - at[b"go"]) / self.ops

    def end(self):
        self.tell("end", is_question)


def seated(bench, platform, stack):
    machine = stack.enter_context(bench.machine(platform, "linux", False))
    seat = Seat(machine, bench.started(machine, platform))
    machine.run(LIMIT, is_question)
    return seat


def turns(seats, name):
    """Of each turn: platform -> emulator CPU ns per operation."""
    for seat in seats.values():
        seat.begin(name)
    found = [{platform: seats[platform].turn() for platform in list(seats)[::-1 if i % 2 else 1]} for i in range(TURNS)]
    for seat in seats.values():
        seat.end()
    return found


def one_pass(seats, number):
    """loop -> its turns."""
    return {name: turns(seats, name) for name in (EACH_PASS if number else LOOPS)}


def timed_round(bench, platforms, passes, time_given):
    """Boots and passes; fewer if another does not fit into the time given."""
    found = {"passes": [], "boot": {}}
    with contextlib.ExitStack() as stack:
        seats = {platform: seated(bench, platform, stack) for platform in platforms}
        found["boot"] = {platform: seat.run.window("kernel", "init")[0] for platform, seat in seats.items()}
        longest = 0
        while len(found["passes"]) < passes and time_given.fits(longest):
            began = time.monotonic()
            found["passes"].append(one_pass(seats, len(found["passes"])))
            longest = max(longest, time.monotonic() - began)
        for seat in seats.values():
            seat.machine.write(b"end\n")  # and off
            seat.machine.run(LIMIT)
            bench.ended(seat.machine, seat.run, "timed")
    return found


def timed_ratios(rounds, mode):
    """What was timed -> the ratio to native of its pairs."""
    pairs = {"boot": [(r["boot"][mode], r["boot"]["native"]) for r in rounds]}
    for loops in (loops for r in rounds for loops in r["passes"]):
        for name, each in loops.items():
            pairs.setdefault(name, []).extend((cpu[mode], cpu["native"]) for cpu in each)
    return {name: Ratio(each) for name, each in pairs.items()}
