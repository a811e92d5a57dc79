# SPDX-License-Identifier: MIT
"""Two guests at once, sharing one CPU or not: both finish, each with its own lines and clock. Catches
state of one guest (FPU, timers, interrupts, devices) that leaks into the other."""
import demo

TIER = "ci"
SECONDS = 80
VARIATIONS = {"1cpu": {"cpus": 1}, "4cpus": {"cpus": 4}}


def run(t, cpus):
    config = demo.guest("alpha", "192M") + demo.guest("beta", "192M")
    m = t.boot(t.iso(config, "paging=nested exit=qemu"), cpus=cpus)
    demo.run_to_end(t, m, ("alpha", "beta"), limit=240)
    both = [r["t_us"] for r in m.log.of_type("guest", event="start")]
    first_end = min(r["t_us"] for r in m.log.of_type("result"))
    t.check(len(both) == 2 and max(both) < first_end, "the guests did not run at the same time")
