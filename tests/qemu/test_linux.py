# SPDX-License-Identifier: MIT
"""Other stock Debian kernels with the demo's user land: 32-bit without and with PAE, the full 64-bit
kernel, and a 64-bit guest with RAM above the PCI hole. Catches paging modes and device paths that the
cloud kernel never takes."""
import demo

TIER = "ci"
SECONDS = 60
NIGHTLY = ("amd64",)
VARIATIONS = {
    "686": {"image": "linux-686.iso"},
    "686-pae": {"image": "linux-686-pae.iso"},
    "amd64": {"image": "linux-amd64.iso", "memory": "512M"},
    # Without ERMS the kernel clears its pages by words, which an emulator counts one by one.
    "5g": {"image": "demo.iso", "memory": "5G", "machine": 7168, "cpu": "max,-la57,-erms"},
}


def run(t, image, memory="256M", machine=1024, cpu="max,-la57"):
    t.built("guests/" + image)
    m = t.boot(t.iso(demo.guest(memory=memory, image=image), "paging=nested exit=qemu"),
               memory=machine, cpu=cpu)
    demo.run_to_end(t, m, limit=240)
    if memory == "5G":
        found = m.wait_line("alpha", r"of (\d+) MiB available", 1)
        t.check(int(found.group(1)) > 4608, f"the guest saw only {found.group(1)} MiB of 5 GiB")
