# SPDX-License-Identifier: MIT
"""What a guest's tick costs the machine's timer: one programming. Linux sets its next deadline while it serves the
last, so a timer that is also programmed in between costs a write that each emulator pays dearly for, and a timer that
is not left alone a second interrupt. Catches both, by QEMU's own trace of accesses to the local APIC."""
import re

import demo
import machines

TIER = "ci"
SECONDS = 25
VARIATIONS = {"nested": {"paging": "nested"}}
EOI, INITIAL_COUNT = 0xb0, 0x380
# Boot programs and the kernel's first seconds set deadlines anew before they pass.
MOST_FOR_ONE = 1.5


def writes_to(path, register):
    with open(path, encoding="ascii") as f:
        return sum(1 for line in f if (found := re.match(r"apic_mem_writel 0x([0-9a-f]+) = ", line)) and
                   int(found.group(1), 16) & 0xfff == register)


def run(t, paging):
    t.built("guests/demo.iso")
    iso = t.iso(demo.guest(), machines.cmdline("qemu", f"paging={paging} control=off"))
    trace = t.path("apic.trace")
    m = t.boot(iso, extra=("-d", "trace:apic_mem_writel", "-D", trace))
    demo.run_to_end(t, m)
    served = m.log.of_type("stats", guest="alpha")[-1]["timer_late_us"]["n"]
    set_anew = writes_to(trace, INITIAL_COUNT)
    t.check(served > 500, f"only {served} expiries")
    heard = writes_to(trace, EOI)
    t.check(heard < 1.05 * served + 100, f"{heard} interrupts for {served} expiries")
    t.check(served / 4 < set_anew <= MOST_FOR_ONE * served, f"the timer was set {set_anew} times for {served} expiries")
