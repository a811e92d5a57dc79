# SPDX-License-Identifier: MIT
"""What bench/adaptive.py measures next: the segments of a block, when a load is decided, and who gets the time that is left.  Nothing here
measures or waits."""
import math

from adaptive_data import NATIVE
from loadmachine import STATIC

# The policies' own machines: what their command line has beside policy.tick.
POLICY = {"adaptive": "policy=regret paging.per_as=off", "dsp": "policy=dsp policy.period=200ms paging.per_as=off",
          "per_as": "policy=regret paging.per_as=on"}
SEVERAL_SPACES = ("forkwait", "mix")  # loads that per_as, which is about address spaces, is measured with
BELOW_BOTH = {"phases": "adaptive", "mix": "per_as"}  # here this policy must win, not only keep up
RARELY = 4  # one block in so many has what is measured for the tables only
BLOCKS_MAX = 60
WEIGHT = {"phases": 3, "mix": 3}  # what these get of the time, others 1: their rounds are long


def platforms_of(load, platforms):
    return [p for p in platforms if p != "per_as" or load.name in SEVERAL_SPACES]


def must_win(load, platforms):
    """The policy that has to be below both static modes; the first one if that was not asked for."""
    named = BELOW_BOTH.get(load.name)
    policies = policies_of(load, platforms)
    return named if named in policies else policies[0] if named and policies else None


def policies_of(load, platforms):
    return [p for p in platforms_of(load, platforms) if p in POLICY]


def next_block(load, platforms):
    """By the emulator that counts them: the first policy's. Static modes alone need a guest as well."""
    others = [p for p in platforms_of(load, platforms) if p not in STATIC]
    return load.next_block((policies_of(load, platforms) + others + list(POLICY))[0])


def machines(load, platforms, block):
    """Emulators that block @block is measured in: the first policy's and the one's that must win each time."""
    always = [*policies_of(load, platforms)[:1], must_win(load, platforms)]
    wanted = [p for p in platforms_of(load, platforms) if p not in STATIC]
    wanted = wanted or [next(iter(POLICY))]
    turn = block // RARELY % len(wanted)  # nobody always runs first
    return [p for p in wanted[turn:] + wanted[:turn] if p in always or block % RARELY == 0 or not policies_of(load, platforms)]


def segments(load, platforms, machine, block):
    """Modes of a block in their order: static ones before and, the other way round, behind what it is about."""
    if machine == NATIVE:
        return [NATIVE]
    modes = [mode for mode in STATIC if mode in platforms and (mode != load.worse_static() or block % RARELY == 0)]
    before = modes if block % 2 else modes[::-1]
    return [*before, machine, *before[::-1]] if machine in platforms else before


def decided(load, platforms):
    """Nothing is left to know that a verdict hangs on."""
    policies = policies_of(load, platforms)
    winner = must_win(load, platforms)
    if not policies or not load.best_static():
        return False
    return load.to_best(policies[0]).verdict() != "undecided" and \
        (winner is None or load.to_best(winner).below_one() != "undecided")


def blocks_missing(load, platforms):
    """An estimate, for the order in which undecided loads get what time is left."""
    policies = policies_of(load, platforms)
    return load.to_best(policies[0]).pairs_missing() if policies and load.best_static() else math.inf


def next_undecided(loads, platforms, seconds_of):
    """Who is nearest to its end; None if all are there.  @seconds_of: load -> seconds of its last block."""
    left = [load for load in loads if not decided(load, platforms) and next_block(load, platforms) < BLOCKS_MAX]
    return min(left, key=lambda load: blocks_missing(load, platforms) * seconds_of(load), default=None)


def share(left, loads, at):
    """Seconds of @left for load @at, which is as heavy as its weight among those to come."""
    weights = [WEIGHT.get(load.name, 1) for load in loads[at:]]
    return left * weights[0] / sum(weights)
