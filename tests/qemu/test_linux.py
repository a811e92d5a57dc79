# SPDX-License-Identifier: MIT
"""Other stock Debian kernels with the demo's user land: 32-bit without and with PAE, the full 64-bit
kernel, and a 64-bit guest with RAM above the PCI hole. Catches paging modes and device paths that the
cloud kernel never takes."""
import demo
import machines
from harness import CPU

TIER = "ci"
SECONDS = 60
VARIATIONS = {
    "686": {"image": "linux-686.iso"},
    "686-pae": {"image": "linux-686-pae.iso"},
    "amd64": {"image": "linux-amd64.iso", "memory": "512M"},
    # Without ERMS the kernel clears its pages by words, which an emulator counts one by one.
    "5g": {"image": "demo.iso", "memory": "5G", "machine": 7168, "cpu": CPU + ",-erms"},
}
VARIATIONS.update(machines.shadowed(VARIATIONS))
# Linux does not run on Bochs's phenom with or without us: that promises POPCNT and has none.
ON_BOCHS = {
    "cloud": {"image": "linux-cloud-amd64-quiet.iso", "memory": "128M"},
    "amd64": {"image": "linux-amd64-quiet.iso", "memory": "256M"},
    "686": {"image": "linux-686-quiet.iso", "memory": "128M"},
    "686-pae": {"image": "linux-686-pae-quiet.iso", "memory": "128M"},
}
VARIATIONS.update(machines.over(ON_BOCHS, "bochs-broadwell", "bochs-skylake", "bochs-sandybridge", "bochs-ryzen"))
VARIATIONS.update(machines.over({"cloud": ON_BOCHS["cloud"]}, "bochs-zambezi"))
VARIATIONS.update(machines.over({f"{kernel}-shadow": dict(ON_BOCHS[kernel], paging="paging=shadow")
                                 for kernel in ON_BOCHS}, *machines.SHADOW_ON, seconds=180))
# demo~bochs-* is "cloud" there.
for same in ("bochs-broadwell", "bochs-skylake", "bochs-sandybridge"):
    del VARIATIONS["cloud-" + same]
NIGHTLY = ("amd64",) + tuple(v for v in VARIATIONS if ("bochs" in v and v != "cloud-bochs-ryzen") or
                             ("shadow" in v and v != "686-shadow"))


def run(t, image, memory="256M", machine=1024, cpu=CPU, on="qemu", paging="paging=nested"):
    t.built("guests/" + image)
    iso = t.iso(demo.guest(memory=memory, image=image), machines.cmdline(on, paging))
    m = machines.start(t, on, iso, words=paging, memory=machine, cpu=cpu)
    demo.run_to_end(t, m, limit=240 if on == "qemu" else 300)
    if memory == "5G":
        found = m.wait_line("alpha", r"of (\d+) MiB available", 1)
        t.check(int(found.group(1)) > 4608, f"the guest saw only {found.group(1)} MiB of 5 GiB")
