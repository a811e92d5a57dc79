# SPDX-License-Identifier: MIT
"""What a CPU has only once and two guests share in turns (state/state.c): each must find its own values after every turn of
the other's. Catches a register that the hypervisor leaves to a CPU that does not switch it, as Bochs's of AMD do not load
CR2, and a save or load that misses a part, with XSAVE and without."""
import re

import machines
from harness import CPU

TIER = "ci"
SECONDS = 15
VARIATIONS = {"qemu": {}, "bochs-turion": {"on": "bochs-turion", "paging": "shadow", "seconds": 40}}
VARIATIONS.update({
    "shadow": {"paging": "shadow"},
    "no-xsave": {"cpu": CPU + ",-xsave"},
    "bochs-ryzen": {"on": "bochs-ryzen", "seconds": 40},
    "bochs-broadwell": {"on": "bochs-broadwell", "seconds": 40},
    "shadow-bochs-broadwell": {"on": "bochs-broadwell", "paging": "shadow", "seconds": 40},
})
NIGHTLY = tuple(VARIATIONS)[2:]
GUESTS = {"alpha": 32, "beta": 64}
CONFIG = "".join(f"[guest {name}]\nmemory = {size}M\ncdrom = module:state.iso\nboot = cdrom\n\n" for name, size in GUESTS.items())
LAST = r"^(?:not )?ok state after (\d+) turns$"
TURNS = 8  # at least; the second to end loses its neighbour before


def run(t, on="qemu", paging="nested", cpu=CPU):
    t.built("guests/state.iso")
    m = machines.start(t, on, t.iso(CONFIG, machines.cmdline(on, f"paging={paging}")), cpu=cpu)
    for name in GUESTS:
        m.wait_record("result", 120, guest=name)
    for name in GUESTS:
        wrong = [line for line in m.log.lines(name) if line.startswith("not ok")]
        t.check(not wrong, f"{name}: {wrong[:5]}")
        turns = [int(found.group(1)) for found in (re.match(LAST, line) for line in m.log.lines(name)) if found]
        t.check(turns and turns[0] >= TURNS, f"{name} had {turns} turns, expected {TURNS}: {m.log.lines(name)}")
    machines.ended(t, m, on)
