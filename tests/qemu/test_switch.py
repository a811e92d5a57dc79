# SPDX-License-Identifier: MIT
"""A running guest changes its paging mode at random moments, some hundred times, by a key on the serial line, and notices
nothing: the storm kernel (test_storm.py) says the sums that it says on the machine alone, Linux boots and checks itself.
Catches state that a switch loses: control registers, pending events, accessed and dirty bits, stale translations."""
import random
import time

import demo
import test_storm

TIER = "ci"
SECONDS = 45
ESCAPE = b"\x1d"  # Ctrl-]
VARIATIONS = {
    "storm-amd64": {"image": "storm64.iso", "memory": "32M", "least": 40},
    "storm-ia32": {"image": "storm32.iso", "memory": "32M", "least": 40},
    "linux": {"image": "demo.iso", "memory": "192M", "least": 100},
    "linux-686": {"image": "linux-686.iso", "memory": "192M", "least": 100},
    "linux-686-pae": {"image": "linux-686-pae.iso", "memory": "192M", "least": 100},
}
NIGHTLY = ("storm-ia32", "linux", "linux-686", "linux-686-pae")


def switch_until_result(t, m, limit, seed=5):
    """Press the key at random until the guest's result is there, and return that. The machine stays: a key finds it."""
    moment = random.Random(seed)
    end = time.monotonic() + limit
    m.wait_record("guest", 60, name="alpha", event="start")
    while not m.log.of_type("result"):
        t.check(m.pump(moment.uniform(0, 0.5)), "the machine ended")
        t.check(time.monotonic() < end, "no result")
        m.send(ESCAPE + b"m")
    return m.log.of_type("result", guest="alpha")[0]


def run(t, image, memory, least):
    t.built("guests/" + image)
    storm = image.startswith("storm")
    expected = test_storm.native(t, "qemu", image.removesuffix(".iso")) if storm else None
    m = t.boot(t.iso(demo.guest(memory=memory, image=image), "paging=shadow control=off"))
    result = switch_until_result(t, m, 300)
    t.check(result["status"] == "pass", f"the guest ended with {result}")
    t.check(result["switches"] >= least, f"only {result['switches']} switches")
    t.check(min(result["modes"].get(mode, 0) for mode in ("nested", "shadow")) > 0, f"modes: {result['modes']}")
    t.check_log(m)
    if storm:
        t.check(test_storm.sums(m, "alpha") == expected, "other sums than on the machine alone")
    else:
        demo.check_selfcheck(t, m)
    told = m.log.of_type("paging", guest="alpha")
    t.check(told and all({r["from"], r["to"]} == {"nested", "shadow"} for r in told), f"paging records: {told[:3]}")
    print(f"{result['switches']} switches, {result['modes']} ms")
