# SPDX-License-Identifier: MIT
"""From what runs gave to figures: exits of an operation, quotients of times, and what they must be."""
import exits
import limits

GUEST = "alpha"
LINUX_ROUNDS = 5
NANO_OPS = 16 + 5 * 4000


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


def goals(r, mode):
    """(what, value, limit) of each."""
    yield from counted_goals(r, mode) if "linux" in r else ()
    yield from limits.timed(mode, r["timed"].get(mode, {}))


def counted_goals(r, mode):
    if mode == "nested":
        return limits.nested(r)
    guest = r["linux"][mode]
    return limits.shadow(r, without_idle(guest, loop_exits(guest)))
