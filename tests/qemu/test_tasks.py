# SPDX-License-Identifier: MIT
"""Hardware task switches (tasks/tasks.c): every way into a task and out of it, both TSS formats, virtual-8086 tasks, other
address spaces, and the faults of bad tasks. A guest must see, point by point, what the same program sees on the same
machine without a hypervisor; where the CPU leaves switches to software, every point must be right.
Catches a switch that loses or invents a part of either task's state, and a fault on the wrong side of it."""
import re

import machines

TIER = "ci"
SECONDS = 20
VARIATIONS = {
    "qemu": {"on": "qemu"},
    "bochs-broadwell": {"on": "bochs-broadwell", "right": True, "seconds": 40},
    "bochs-sandybridge": {"on": "bochs-sandybridge", "right": True, "seconds": 40},
    # Bochs 2.7 leaves DR6 alone where a #DB is intercepted, which AMD's CPUs do not.
    "bochs-ryzen": {"on": "bochs-ryzen", "without": ("T: DR6.BT", "tasks"), "seconds": 40},
}
# Not on QEMU: its task switches load CR3 past the intercept, so that the guest runs on tables of its own choice.
VARIATIONS["shadow-bochs-broadwell"] = dict(VARIATIONS["bochs-broadwell"], paging="paging=shadow")
# Bochs 2.7 shows an older event in EXITINTINFO at a task gate of INT n's, and panics at any exit from a virtual-8086 guest of AMD-V
# (docs/testing.md): those points come last, and the guest's are compared up to them.
VARIATIONS["shadow-bochs-turion"] = {"on": "bochs-turion", "paging": "paging=shadow", "until": "ldt: accessed is set", "seconds": 40}
NIGHTLY = tuple(v for v in VARIATIONS if v != "qemu")
CONFIG = "[guest alpha]\nmemory = 32M\ncdrom = module:tasks.iso\nboot = cdrom\n"
LAST = r"^tasks: \w+ points, \w+ failures$"


def points(m, source, without):
    found = (re.match(r"(?:not )?ok (.*?)(?::? [0-9a-f]{8}, expected .*)?$", line) for line in m.log.lines(source))
    return [f.group() for f in found if f and f.group(1) not in without]


def native(t, on, without):
    m = machines.start(t, on, t.built("guests/tasks.iso"))
    m.wait_line(None, LAST, 60)
    said = points(m, None, without)
    m.stop()
    return said


def run(t, on, right=False, without=(), paging="paging=nested", until=None):
    expected = native(t, on, without)
    t.check(len(expected) > 70, f"the machine alone says only: {expected}")
    wrong = [line for line in expected if line.startswith("not ok")]
    t.check(not (right and wrong), f"the machine alone is not right: {wrong}")
    m = machines.start(t, on, t.iso(CONFIG, machines.cmdline(on, paging)))
    if until:
        m.wait_for(lambda: f"ok {until}" in m.log.lines("alpha"), 120, f"point '{until}'")
        expected = expected[:expected.index(f"ok {until}") + 1]
    else:
        m.wait_record("result", 120, guest="alpha")
    seen = points(m, "alpha", without)
    other = [f"{a} / {b}" for a, b in zip(seen, expected) if a != b]
    t.check(not other and len(seen) == len(expected),
            f"{len(seen)} points of {len(expected)}; guest / machine: {other[:5]}")
    if not until:
        machines.ended(t, m, on, passed=not wrong and not without)
