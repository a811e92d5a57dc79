#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a change of paging mode there and back costs each load, like Tables 4 and 5 of the DSP paper.

    switchcost.py BUILD-DIR [--loads chase,churn] [--rounds N] [--minutes M]

In an emulator that counts instructions (-icount: a nanosecond of the machine's time is an instruction, page walks cost nothing), a
guest runs N rounds of a load in one mode, then N rounds before each of which the mode is changed there and back, without an
instruction of the guest's in between: H-S-H from nested, S-H-S from shadow.  The cost of such a pair is what the two
changes took (`us` of their records) and what the round behind it took more than the others; once a second it is that over a
second.  Writes BUILD-DIR/bench/switchcost.jsonl."""
import argparse
import json
import os
import statistics
import sys
import time

import budget
from adaptive import LOADS, say, words_of
from loadmachine import TOGGLE, guest_machine
from machine import BenchError

SECOND = 1e9  # instructions that the machine does in a second of its time
LIMIT = 0.01
RECORDS_EVERY_US = 600000
PAIRS = {"nested": "H-S-H", "shadow": "S-H-S"}


def exit_cycles(stats):
    return sum(cycles for _, cycles in stats["exits"].values())


def rounds(machine, load, n, forced):
    """Per round: the guest's own time, cycles of exits; with @forced also us of the changes before it."""
    found = []
    for _ in range(n):
        us = sum(there_and_back(machine)) if forced else 0
        before = machine.stats()
        segment = machine.run(load, "-", 1)
        found.append((segment.guest_ns(), exit_cycles(machine.stats()) - exit_cycles(before), us))
    return found


def there_and_back(machine):
    """Key by key while the guest waits for a command: it may run a few instructions of its idle loop in between."""
    let_pass(machine, RECORDS_EVERY_US)
    for _ in range(2):
        machine.write(TOGGLE)
        yield machine.await_record("paging", 60)["us"]


def let_pass(machine, us):
    """Records of changes are limited to a few a second; the machine's time passes fast while its guest is idle."""
    first = machine.stats()["t_us"]
    while machine.stats()["t_us"] - first < us:
        time.sleep(0.02)


def median(each, member):
    return statistics.median(row[member] for row in each)


def measure(machine, load, mode, n):
    machine.set_mode(mode)
    machine.run(load, "-", 2)  # prepared, and its tables are warm
    plain, forced = rounds(machine, load, n, False), rounds(machine, load, n, True)
    change = 1000 * median(forced, 2)
    refill = median(forced, 0) - median(plain, 0)
    accounted = change + median(forced, 1) - median(plain, 1)
    return {"load": load, "pair": PAIRS[mode], "rounds": n, "round": round(median(plain, 0)), "changes": round(change),
            "afterwards": round(refill), "instructions": round(change + refill), "accounted_cycles": round(accounted),
            "share": (change + refill) / SECOND, "accounted_share": accounted / SECOND,
            "spread": round(max(r[0] for r in plain) - min(r[0] for r in plain))}


def measure_all(machine, args, time_given, out):
    """Each load in both directions, as long as there is time; what was left out is said."""
    for i, load in enumerate(args.loads):
        if not time_given.fits_another():
            print(f"no time for {' '.join(args.loads[i:])}", flush=True)
            return
        for r in time_given.timed(lambda: [measure(machine, load, mode, args.rounds) for mode in PAIRS]):
            out.write(json.dumps(r) + "\n")
            out.flush()
            print(row(r), flush=True)
        say(f"{load}: switched; {len(args.loads) - i - 1} loads left, {time_given.said()}")


def row(r):
    verdict = "met" if max(r["share"], r["accounted_share"]) <= LIMIT else "MISSED"
    return (f"{r['load']:11s}{r['pair']:7s}{r['round']:>12d}{r['spread']:>10d}{r['changes']:>10d}{r['afterwards']:>12d}"
            f"{100 * r['share']:>9.3f} %{100 * r['accounted_share']:>9.3f} %  {verdict}")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("--loads", type=words_of(LOADS), default=[name for name in LOADS if name not in ("phases", "mix")])
    p.add_argument("--rounds", type=int, default=5, help="without and with changes, each (default 5)")
    budget.add_option(p, 0)
    args = p.parse_args()
    build, began = os.path.abspath(args.build), time.monotonic()
    print(f"{'':18s}{'a round':>12s}{'±':>10s}{'changes':>10s}{'afterwards':>12s}{'a second':>11s}{'accounted':>11s}")
    machine, time_given = None, budget.Budget(args.minutes)
    time_given.enforce()
    try:
        say(f"switch costs: booting; {time_given.said()}")
        machine = guest_machine(build, "switchcost", counted=True)
        machine.boot()
        with open(os.path.join(build, "bench", "switchcost.jsonl"), "w", encoding="ascii") as out:
            measure_all(machine, args, time_given, out)
    except budget.TimeUp as why:
        print(f"switchcost: {why}: what is above counts")
    except (BenchError, OSError) as why:
        print(f"switchcost: {why}", file=sys.stderr)
        return 1
    finally:
        time_given.over()
        if machine:
            machine.close()
    print(f"instructions for a change there and back (changes: the two themselves; afterwards: the round behind them, more than\n"
          f"another), as a share of a second of {SECOND:.0e} instructions; limit {100 * LIMIT:.0f} %; {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
