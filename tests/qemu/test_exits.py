# SPDX-License-Identifier: MIT
"""What a guest's work with its page tables costs by shadow tables: exits of a fork, a new page, a context switch and a change
of rights (the loops of bench/linux/bench.c), counted in `stats` records before and after, less what the clock takes in
the same time. Where the CPU can keep faults of absent pages from exiting (VT-x), a new page has to be cheaper.
Catches a table that is out of sync or unshadowed when it should not be, and faults that the CPU's filter no longer holds."""
import os
import sys

import harness
import machines

sys.path.insert(0, os.path.join(harness.TOP, "bench"))
import limits  # noqa: E402 (needs the path set above)

TIER = "nightly"
SECONDS = 60
VARIATIONS = {
    "shadow": {"on": "qemu", "most": limits.SHADOW_EXITS},
    "shadow-bochs-broadwell": {"on": "bochs-broadwell", "most": limits.SHADOW_EXITS_FILTERED, "seconds": 300},
}
IMAGE = "bench-steps.iso"
CONFIG = f"[guest alpha]\nmemory = 128M\ncdrom = module:{IMAGE}\nboot = cdrom\n"
STATS = "\x1ds"  # Ctrl-] s
ROUNDS = 5  # of bench.c
CLOCK = "syscall"  # a workload that leaves its page tables alone: its exits are the clock's


def take_stock(m):
    """Time (us) and exits by reason so far."""
    before = len(m.log.of_type("stats", guest="alpha"))
    m.send(STATS)
    now = m.wait_for(lambda: m.log.of_type("stats", guest="alpha")[before:], 60, "stats record")[0]
    return now["t_us"], {reason: n for reason, (n, _) in now["exits"].items()}


def window(m, name):
    """Operations, time (us) and exits by reason of a workload's rounds."""
    m.wait_line("alpha", f"^bench: {name}$", 300)
    begin, before = take_stock(m)
    m.send("\r")
    said = m.wait_for(lambda: [line for line in m.log.lines("alpha") if line.startswith(f"BENCH {name} ops ")], 300,
                      f"end of {name}")  # a whole line: the number must not be cut
    ops = int(said[0].split()[-1]) * ROUNDS
    end, after = take_stock(m)
    m.send("\r")
    return ops, end - begin, {reason: n - before.get(reason, 0) for reason, n in after.items()}


def per_op(of, clock):
    """Exits of one operation by reason, without those of the clock's in a window of that length."""
    (ops, length, counts), (_, idle, ticks) = of, clock
    return {reason: max(0, n - ticks.get(reason, 0) * length / idle) / ops for reason, n in counts.items()}


def run(t, on, most):
    t.built("guests/" + IMAGE)
    m = machines.start(t, on, t.iso(CONFIG, machines.cmdline(on, "paging=shadow control=off")), clock="exact")
    clock = window(m, CLOCK)
    print(f"clock: {clock[2]} in {clock[1]} us")
    found = {name: per_op(window(m, name), clock) for name in most}
    for name, reasons in found.items():
        print(f"{name}: " + " ".join(f"{reason} {n:.3f}" for reason, n in reasons.items() if n >= 0.001))
    t.check(m.wait_record("result", 60, guest="alpha")["status"] == "pass", "the guest did not end well")
    machines.ended(t, m, on)
    over = [f"{what} {value:.3f} > {limit}" for what, value, limit in limits.shadow_exits(found, most) if value > limit]
    t.check(not over, "; ".join(over))
