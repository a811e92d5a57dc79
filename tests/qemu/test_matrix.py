# SPDX-License-Identifier: MIT
"""The same medium on different machines: firmware, medium, CPUs and memory, each pair of values met at
least once. Catches what only one firmware's memory map, one loader path or one CPU count shows."""
import demo
import ledger

TIER = "ci"
SECONDS = 45
NIGHTLY = ("ovmf-cd-2-512", "seabios-cd-2-3072", "ovmf-usb-4-1024")
MACHINES = (
    ("seabios", "cd", 1, 512), ("seabios", "usb", 2, 1024), ("seabios", "hdd", 4, 6144),
    ("ovmf", "cd", 4, 3072), ("ovmf", "usb", 1, 6144), ("ovmf", "cd", 2, 512),
    ("seabios", "cd", 2, 3072), ("ovmf", "usb", 4, 1024),
)
VARIATIONS = {f"{f}-{m}-{c}-{r}": {"firmware": f, "media": m, "cpus": c, "memory": r}
              for f, m, c, r in MACHINES}


def run(t, firmware, media, cpus, memory):
    m = t.boot(t.iso(demo.guest(memory="192M"), "paging=nested exit=qemu"), firmware=firmware,
               media=media, cpus=cpus, memory=memory)
    boot = demo.run_to_end(t, m)
    t.check(boot["cpus"] == cpus, f"{cpus} CPUs given, {boot['cpus']} found")
    t.check(boot["efi"] == (firmware == "ovmf"), f"efi is {boot['efi']} under {firmware}")
    ledger.check(t, boot, memory)
