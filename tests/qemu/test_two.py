# SPDX-License-Identifier: MIT
"""Two guests at once, sharing one CPU or not: both finish, each with its own lines and clock. Catches
state of one guest (FPU, timers, interrupts, devices, translations) that leaks into the other."""
import demo
import machines

TIER = "ci"
SECONDS = 80
VARIATIONS = {
    "1cpu": {"cpus": 1}, "4cpus": {"cpus": 4},
    "1cpu-bochs-broadwell": {"cpus": 1, "on": "bochs-broadwell", "seconds": 180},
    "2cpus-bochs-broadwell": {"cpus": 2, "on": "bochs-broadwell", "seconds": 180},
}
VARIATIONS.update(machines.shadowed({"1cpu": {"cpus": 1}, "4cpus": {"cpus": 4}}))
VARIATIONS["1cpu-mixed"] = {"cpus": 1, "paging": "beta.paging=shadow paging=nested"}
VARIATIONS.update(machines.over({"1cpu-shadow": {"cpus": 1, "paging": "paging=shadow"}}, *machines.SHADOW_ON, seconds=300))
NIGHTLY = tuple(v for v in VARIATIONS if "-" in v)


def run(t, cpus, on="qemu", paging="paging=nested"):
    image = "demo.iso" if on == "qemu" else "linux-cloud-amd64-quiet.iso"
    memory = "192M" if on == "qemu" else "128M"
    t.built("guests/" + image)
    config = demo.guest("alpha", memory, image) + demo.guest("beta", memory, image)
    m = machines.start(t, on, t.iso(config, machines.cmdline(on, paging)), cpus=cpus, words=paging)
    demo.run_to_end(t, m, ("alpha", "beta"), limit=240 if on == "qemu" else 400)
    if "beta.paging" in paging:
        ran = [m.log.of_type("result", guest=name)[0]["paging"] for name in ("alpha", "beta")]
        t.check(ran == ["nested", "shadow"], f"the guests ran by {ran}")
    both = [r["t_us"] for r in m.log.of_type("guest", event="start")]
    first_end = min(r["t_us"] for r in m.log.of_type("result"))
    t.check(len(both) == 2 and max(both) < first_end, "the guests did not run at the same time")
