# SPDX-License-Identifier: MIT
"""What bench/adaptive.py measures next: which guest has which mode, when a load is decided, and who gets the time that is left.  Nothing here
measures or waits."""
import math

from adaptive_data import NATIVE
from loadmachine import STATIC

TWIN = "twin"  # in a policy's place: the better static mode once more, which must come to 1
# The policies' own machines: what their command line has beside policy.tick.
POLICY = {"adaptive": "policy=regret paging.per_as=off", "dsp": "policy=dsp policy.period=200ms paging.per_as=off",
          "per_as": "policy=regret paging.per_as=on", TWIN: ""}
SEVERAL_SPACES = ("forkwait", "mix")  # loads that per_as, which is about address spaces, is measured with
BELOW_BOTH = {"phases": "adaptive", "mix": "per_as"}  # here this policy must win, not only keep up
TURNS = 3  # after so many every guest has had every mode
RARELY = 3  # in so many rounds of turns the worse static mode has one turn
OTHERS_TURNS = TURNS  # of policies that no verdict hangs on
BLOCKS_MAX = 90
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


def deciding(load, platforms):
    """Policies that a verdict hangs on."""
    wanted = [*policies_of(load, platforms)[:1], must_win(load, platforms)]
    return list(dict.fromkeys(p for p in wanted if p))


def emulators(load, platforms):
    """Of this load's blocks: one for each policy, which static modes are beside; one of any where there is none."""
    return policies_of(load, platforms) or [next(iter(POLICY))]


def roles(load, platforms, machine, block):
    """What each guest of @machine is to be in this block, None: it rests.  Turn by turn each gets each, and in another order the next time, so that
    nothing hangs on whose memory lies where, on who has the CPU after whom, nor on the mode that a policy begins from."""
    turn, again = block % TURNS, block // TURNS
    wanted = [machine, *(STATIC[::-1] if again % 2 else STATIC)]
    rare = block % (TURNS * RARELY) == 0 and machine == load.home()
    absent = {p for p in wanted if p not in platforms or (p == TWIN and not load.best_static())}
    absent |= {load.worse_static()} if not rare else set()
    return [None if p in absent else p for p in (wanted[(i + turn) % TURNS] for i in range(TURNS))]


def decided(load, platforms):
    """Nothing is left to know that a verdict hangs on."""
    policies = policies_of(load, platforms)
    winner = must_win(load, platforms)
    if not policies or not load.best_static():
        return False
    return load.to_best(policies[0]).verdict() != "undecided" and \
        (winner is None or load.to_best(winner).below_one() != "undecided")


def next_emulators(load, platforms):
    """Whose turns come next: all emulators' first, then those that decide."""
    first = [name for name in emulators(load, platforms) if load.next_block(name) < OTHERS_TURNS]
    return first or [name for name in deciding(load, platforms) or emulators(load, platforms) if load.next_block(name) < BLOCKS_MAX]


def blocks_missing(load, platforms):
    """An estimate, for the order in which undecided loads get what time is left."""
    policies = policies_of(load, platforms)
    return load.to_best(policies[0]).pairs_missing() if policies and load.best_static() else math.inf


def next_undecided(loads, platforms, seconds_of):
    """Who is nearest to its end; None if all are there.  @seconds_of: load -> seconds of its last turns."""
    left = [load for load in loads if not decided(load, platforms) and next_emulators(load, platforms)]
    return min(left, key=lambda load: blocks_missing(load, platforms) * seconds_of(load), default=None)


def share(left, loads, at):
    """Seconds of @left for load @at, which is as heavy as its weight among those to come."""
    weights = [WEIGHT.get(load.name, 1) for load in loads[at:]]
    return left * weights[0] / sum(weights)
