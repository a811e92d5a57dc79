# SPDX-License-Identifier: MIT
"""calibrate=on: the hypervisor's own guest measures what exits, fills and page walks cost before the guests are built.
The record is whole, in order and made in less than a second; the guests run after it, which they would not with a CPU, tags or
memory left in another state than before. Without the word, and no guest that adapts, nothing is measured.
Bochs has registers of performance counters that count nothing: they are tried, and not believed.
Where time is counted by instructions a walk costs none: then it is not known, and no prior. With the host's own time it is
known, under QEMU: larger sets cost no less, within a half, than small ones."""
import machines
from harness import Failure

TIER = "ci"
SECONDS = 20
WHERE = {"qemu": {"on": "qemu"}, "bochs-broadwell": {"on": "bochs-broadwell", "words": "paging=nested pmu=on calibrate=on", "seconds": 45},
         "bochs-ryzen": {"on": "bochs-ryzen", "seconds": 45}}
VARIATIONS = {"real": {"on": "qemu", "clock": "real"}, "off": {"on": "qemu", "words": "paging=nested"},
              "shadow": {"on": "qemu", "words": "paging=shadow nested=off calibrate=on"}, **WHERE}
# By the host's clock on a host that does other things too, what is measured 10 ms apart need not be in order.
NIGHTLY = ("bochs-ryzen", "off", "real", "shadow")
CONFIG = "[guest alpha]\nmemory = 32M\ncdrom = module:nano.iso\nboot = cdrom\n"
SETS = [256, 1024, 4096, 16384, 65536]
MODES = ("nested", "shadow")


def check_exits(t, r, real):
    exits, fill = r["exits"], r["fill"]
    t.check(set(exits) == {"cpuid", "fault", "cr3", "invlpg"} and all(exits.values()), f"exits {exits}")
    t.check(0 < r["world_switch"] < exits["cpuid"], f"of {exits} the switch itself takes {r['world_switch']}")
    t.check(fill > (0 if real else exits["fault"]), f"a fill costs {fill}, the fault alone {exits['fault']}")
    # No exit is a hundred times another one: the way there and back is the same.
    t.check(max(exits.values()) < 100 * min(exits.values()), f"exits {exits}")


def check_loads(t, r, nested):
    t.check(r["pages"] == SETS, f"sets {r['pages']}")
    for mode in MODES:
        for kind in ("", "_large"):
            loads = r["loads"][mode + kind]
            t.check(len(loads) == len(SETS), f"loads {loads}")
            t.check(all(loads) if mode != "nested" or nested else not any(loads), f"{mode}{kind}: {loads}")


def check_walks(t, r, real):
    if not real:
        t.check(r["walk"] == {} and r["rho"] == 0, f"walks cost {r['walk']}, rho {r['rho']}, by a clock that counts instructions")
        return
    for mode in MODES:
        cost = r["walk"].get(mode)
        t.check(cost and cost[-1] > 0 and cost[-1] * 3 > cost[2] * 2 and cost[-1] > cost[0], f"walks, {mode}: {cost}")
    t.check(0 < r["rho"] < 3000, f"rho {r['rho']}")


def run(t, on, clock="fast", words="paging=nested calibrate=on"):
    qemu = {"clock": clock} if on == "qemu" else {}
    m = machines.start(t, on, t.iso(CONFIG, machines.cmdline(on, words), search=("bench",)), **qemu)
    real = clock == "real"  # what the guests do afterwards is the others' part
    m.wait_record(*("calibration", 60) if real else ("result", 120))
    records = m.log.of_type("calibration")
    t.check(len(records) == words.count("calibrate=on"), f"{len(records)} records of calibration")
    if records:
        r = records[0]
        check_exits(t, r, real)
        check_loads(t, r, "nested=off" not in words)
        check_walks(t, r, real)
        no_counters = m.log.of_type("error", where="pmu")
        t.check(len(no_counters) == words.count("pmu=on") and not m.log.of_type("pmu"), f"counters: {no_counters}")
        t.check(all("do not count" in e["message"] for e in no_counters), f"counters: {no_counters}")
        t.check(0 < r["us"] < (5000000 if real else 1000000), f"it took {r['us']} us")
    if not real:
        machines.ended(t, m, on)
