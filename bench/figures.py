# SPDX-License-Identifier: MIT
"""From what runs gave to figures: exits of an operation, quotients of times, and what they must be."""
import statistics

import exits
import limits

GUEST = "alpha"
LINUX_ROUNDS = 5
NANO_OPS = 16 + 5 * 4000
# A real-time run is worth something when its plain computing took what it takes natively.
CPU_RATIO = (0.90, 1.10)


def loop_exits(run):
    """name -> exits of its operations by reason, per operation."""
    first = next(i for i, line in enumerate(run.lines) if line in ("nano: begin", "bench: begin"))
    lines = run.lines[first:]
    pieces = exits.split_after_lines(run.events, lines)
    ops = run.values("ops")
    found = {}
    for before, after, piece in zip(lines, lines[1:], pieces):
        word = after.split()
        if word[:1] != ["BENCH"] or word[2] != ("ops" if run.workload == "linux" else "tsc_per_op"):
            continue
        n = ops[word[1]] * LINUX_ROUNDS if run.workload == "linux" else NANO_OPS
        found[word[1]] = {reason: count / n for reason, count in exits.by_reason(piece).most_common()}
    return found


def without_idle(run, per_op):
    """@per_op less what an idle guest takes in the same time."""
    ticks = run.values("tsc_per_op")
    idle = {reason: n / ticks["idle"] for reason, n in per_op["idle"].items()}
    return {name: {reason: max(0, n - idle.get(reason, 0) * ticks[name]) for reason, n in by_reason.items()}
            for name, by_reason in per_op.items() if name != "idle"}


def ratios(native, guest):
    return {name: guest[name] / native[name] for name in native if native[name] and name in guest}


def timed_ratios(rounds, mode):
    """Medians over the rounds whose plain computing was undisturbed; and how many those are."""
    each = []
    for runs in rounds:
        native, guest = runs["native"], runs[mode]
        r = ratios(native.cpu_per_op(), guest.cpu_per_op())
        r["boot"] = guest.window("kernel", "init")[0] / native.window("kernel", "init")[0]
        each.append(r)
    good = [r for r in each if CPU_RATIO[0] <= r.get("cpu", 0) <= CPU_RATIO[1]]
    used = good or each
    names = dict.fromkeys(name for r in used for name in r)
    return {name: statistics.median([r[name] for r in used if name in r]) for name in names}, len(good)


def goals(r, mode):
    """(what, value, limit) of each."""
    if mode == "nested":
        return limits.nested(r, r["timed"][mode])
    guest = r["linux"][mode]
    return limits.shadow(r, r["timed"][mode], without_idle(guest, loop_exits(guest)))
