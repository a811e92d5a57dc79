# SPDX-License-Identifier: MIT
"""The control partition and the machine's disks and NICs: on both chipsets, from both firmwares, from
CD and stick, on one CPU and four, each of IDE, AHCI, NVMe, virtio and USB storage (xHCI, EHCI) is read
and written by DMA and compared with its image from outside, and each NIC gets a lease and echoes.
Catches an interrupt that does not arrive (its driver says so, or the count stands still), one that
storms (counts against requests), and DMA to another place than the partition's memory."""
import hashlib
import itertools
import random
import re

import control
from test_rootfs import check_nics, drive, nic

TIER = "ci"
SECONDS = 60
MIB = 1 << 20
CI = ("pc-seabios-cd-1", "q35-ovmf-cd-1", "q35-seabios-usb-4")
VARIATIONS = {
    f"{machine}-{firmware}-{media}-{cpus}":
        {"machine": machine, "firmware": firmware, "media": media, "cpus": cpus}
    for machine, firmware, media, cpus in itertools.product(
        ("pc", "q35"), ("seabios", "ovmf"), ("cd", "usb"), (1, 4))
}
NIGHTLY = tuple(v for v in VARIATIONS if v not in CI)
NICS = {"e1000": "e1000", "e1000e": "e1000e", "virtio-net-pci": "virtio_net", "rtl8139": "8139cp"}
# Where the kernel shows each disk: its path in sysfs, its interrupt's name.
DISKS = {
    "ata": ("/ata[0-9]*/", "ata_piix|ahci"),
    "ahci": ("/ata[0-9]*/", "ahci"),
    "nvme": ("/nvme/", "nvme0q"),
    "virtio": ("/virtio[0-9]*/block/", "virtio.*req"),
    "xhci": ("/usb[0-9]*/", "xhci_hcd"),
    "ehci": ("/usb[0-9]*/", "ehci_hcd"),
}


class Disk:
    """An image of noise, told from the others by its size."""

    def __init__(self, t, name, number):
        self.name, self.path = name, t.path(name)
        self.data = random.Random(name).randbytes((4 + number) * MIB)
        with open(self.path, "wb") as f:
            f.write(self.data)

    def sectors(self):
        return len(self.data) // 512

    def device(self):
        bus = {"ata": "ide-hd,bus=ide.1", "ahci": "ide-hd,bus=more.0", "nvme": "nvme,serial=1",
               "virtio": "virtio-blk-pci", "xhci": "usb-storage,bus=x.0", "ehci": "usb-storage,bus=e.0"}
        return drive(self.name, self.path, bus[self.name])

    def check_written(self, t):
        """The second MiB is a copy of the first, all others are as they were."""
        with open(self.path, "rb") as f:
            got = f.read()
        t.check(got == self.data[:MIB] + self.data[:MIB] + self.data[2 * MIB:],
                f"{self.name}: the image is not what was written to it")


def interrupts(c):
    """{number: (count, who)} of the devices' interrupts."""
    said = c.shell("cat /proc/interrupts")
    return {n: (int(count), who)
            for n, count, who in re.findall(r"^ *(\d+): +(\d+) +(.*)$", said, re.M)}


def arrived(before, after, who):
    """Interrupts on the lines of @who (a regex), whoever shares them."""
    return sum(count - before.get(n, (0,))[0]
               for n, (count, names) in after.items() if re.search(who, names))


def check_disk(t, c, disk):
    """Read it all, copy its first MiB over its second past the cache; count requests and interrupts."""
    where, who = DISKS[disk.name]
    c.until(f"grep -qx {disk.sectors()} /sys/block/*/size", 30)
    said = c.shell(f"for b in /sys/block/*; do [ $(cat $b/size) = {disk.sectors()} ] && "
                   "echo $b $(readlink -f $b); done; true")
    t.check(len(said.splitlines()) == 1, f"{disk.name} is not found by its size: {said}")
    block, path = said.split()
    node = block.rsplit("/", maxsplit=1)[1]
    t.check(re.search(where, path), f"{disk.name} is {path}")
    before = interrupts(c)
    requests = f"awk '{{ print $1 + $5 }}' {block}/stat"
    start = int(c.shell(requests))
    said = c.shell(f"sha256sum /dev/{node}", 60)
    t.check(hashlib.sha256(disk.data).hexdigest() in said, f"{disk.name} reads wrong: {said.strip()}")
    c.shell(f"dd if=/dev/{node} of=/dev/{node} bs=1M count=1 seek=1 conv=fsync,notrunc 2>/dev/null", 60)
    asked = int(c.shell(requests)) - start
    came = arrived(before, interrupts(c), who)
    print(f"{disk.name}: {node}, {asked} requests, {came} interrupts")
    # USB storage takes three transfers for a request, EHCI two interrupts for a transfer; the line may
    # be shared with what serves the console.
    t.check(asked > 8 and asked // 8 <= came <= 12 * asked + 200,
            f"{disk.name}: {came} interrupts for {asked} requests")


def check_nic(t, c, name):
    """A lease and echoes."""
    before = interrupts(c)
    said = c.shell(f"dhcp {name}", 60)
    t.check("has 10.0.2.15/24, gateway 10.0.2.2" in said, f"dhcp {name}: {said}")
    said = c.shell("ping -c 3 -W 5 10.0.2.2")
    t.check(" 0% packet loss" in said, f"{name} carries nothing: {said}")
    line = c.shell(f"ls -d /sys/class/net/{name}/device/virtio* 2>/dev/null; "
                   f"basename $(readlink -f /sys/class/net/{name}/device)").split()[-1]
    came = arrived(before, interrupts(c), rf"\b{name}\b|{line}-(in|out)put")
    print(f"{name}: {came} interrupts")
    t.check(5 <= came < 1000, f"{name}: {came} interrupts for a lease and three echoes")
    c.shell(f"kill $(cat /run/udhcpc.{name}.pid); ip addr flush dev {name}; ip link set {name} down")


def check_idle(t, c):
    """Nothing to do: hardly an interrupt."""
    before = interrupts(c)
    c.shell("sleep 2")
    after = interrupts(c)
    for n, (count, names) in after.items():
        if "ttyS0" not in names and "uio" not in names:  # which the console makes
            more = count - before.get(n, (0,))[0]
            t.check(more < 40, f"{more} interrupts of {names} while idle")


def run(t, machine, firmware, media, cpus):
    names = ["ata", "nvme", "virtio", "xhci", "ehci"] + (["ahci"] if machine == "pc" else [])
    disks = [Disk(t, name, number) for number, name in enumerate(names)]
    extra = ["-M", machine, "-device", "qemu-xhci,id=x", "-device", "usb-ehci,id=e"]
    extra += ["-device", "ich9-ahci,id=more"] if machine == "pc" else []
    for disk in disks:
        extra += disk.device()
    for model in NICS:
        extra += nic(model, model + ",romfile=")
    c = control.start(t, firmware=firmware, media=media, cpus=cpus, extra=extra)
    t.check(c.boot["cpus"] == cpus, f"{c.boot['cpus']} CPUs, expected {cpus}")
    # Ten controllers' drivers may take longer than init waits for the boot medium.
    c.until("grep -q ' /boot-medium ' /proc/mounts", 30)
    said = c.shell("cat /run/log/messages")
    t.check(f"boot medium PENUMBRA on {'sr0' if media == 'cd' else 'sd'}" in said, f"no boot medium: {said}")
    c.says("cat /etc/penumbra.conf", "[control]")
    for disk in disks:
        check_disk(t, c, disk)
    check_nics(t, c, *NICS.values())
    for number in range(len(NICS)):
        check_nic(t, c, f"eth{number}")
    check_idle(t, c)
    said = c.shell("grep -E '^ *(ERR|MIS|SPU)' /proc/interrupts")
    t.check(not re.search(r": +[1-9]", said), f"stray interrupts: {said}")
    c.quiet_kernel()
    c.power_off()
    for disk in disks:
        disk.check_written(t)
