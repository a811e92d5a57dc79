# SPDX-License-Identifier: MIT
"""Rounds by the host's clock: the loops of bench/linux in machines that stand side by side, one at work at a time.

A host's speed goes up and down, for seconds at a time, by more than what is to be found.  So a round boots each platform, and then each loop runs
in one machine right behind the other, in an order that turns round from pass to pass; what counts are the ratios of such neighbours (paired.py).  A
round's boots place guests, tables and code in the host's memory anew."""
import contextlib
import time

import limits
from figures import GUEST, LINUX_ROUNDS
from machine import BenchError
from paired import Ratio

PREFIX = GUEST.encode() + b"| "
QUESTION = b"bench: ask"
LIMIT = 300  # seconds for one answer, on a loaded host
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
        self.machine, self.run = machine, run

    def cpu_per_op(self, name):
        """Emulator CPU ns per operation of the rounds of @name, without the one before them."""
        first = len(self.machine.lines)
        self.machine.write(name.encode() + b"\n")
        self.machine.run(LIMIT, is_question)
        start = end = None
        for cpu, line in self.machine.lines[first:]:
            word = said(line).split()
            if word == [b"bench:", name.encode()]:
                start = cpu
            elif word[:3] == [b"BENCH", name.encode(), b"ops"]:
                end, ops = cpu, int(word[3])
        if start is None or end is None or end <= start:
            raise BenchError(f"{self.run.platform}: no figures for {name}:\n" + "\n".join(self.machine.tail()))
        return (end - start) / (ops * LINUX_ROUNDS)


def seated(bench, platform, stack):
    machine = stack.enter_context(bench.machine(platform, "linux", False))
    seat = Seat(machine, bench.started(machine, platform))
    machine.run(LIMIT, is_question)
    return seat


def one_pass(seats, number):
    """loop -> platform -> emulator CPU ns per operation."""
    turn = 1 if number % 2 == 0 else -1
    return {name: {platform: seats[platform].cpu_per_op(name) for platform in list(seats)[::turn]}
            for name in (EACH_PASS if number else LOOPS)}


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
            seat.machine.write(b"end\n")
            seat.machine.run(LIMIT)
            bench.ended(seat.machine, seat.run, "timed")
    return found


def timed_ratios(rounds, mode):
    """What was timed -> the ratio to native of its pairs."""
    pairs = {"boot": [(r["boot"][mode], r["boot"]["native"]) for r in rounds]}
    for loops in (loops for r in rounds for loops in r["passes"]):
        for name, cpu in loops.items():
            pairs.setdefault(name, []).append((cpu[mode], cpu["native"]))
    return {name: Ratio(each) for name, each in pairs.items()}
