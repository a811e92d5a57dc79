# SPDX-License-Identifier: MIT
"""The control partition: Debian's stock kernel with the machine's real devices, beside guests. Catches
a device whose interrupts do not arrive (the CD and a disk are read by DMA and compared, on ISA edges,
PCI levels and MSIs), tables that show what is not the partition's, a power switch that does nothing, and
a partition that takes the guests down with it."""
import hashlib
import os
import random
import re

import demo
import machines

TIER = "ci"
SECONDS = 45
NIGHTLY = ("bochs-broadwell", "pc-4", "q35-1", "ovmf-q35", "ovmf-pc", "small")
VARIATIONS = {
    "pc-1": {"what": "devices", "how": {"extra": ["-M", "pc"]}},
    "pc-4": {"what": "devices", "how": {"extra": ["-M", "pc"], "cpus": 4}},
    "q35-1": {"what": "devices", "how": {"extra": ["-M", "q35"]}},
    # With an IOMMU's table, which must not show.
    "q35-4": {"what": "devices", "how": {"extra": ["-M", "q35", "-device", "intel-iommu"], "cpus": 4}},
    "ovmf-q35": {"what": "devices", "how": {"extra": ["-M", "q35"], "firmware": "ovmf"}},
    "ovmf-pc": {"what": "devices", "how": {"extra": ["-M", "pc"], "firmware": "ovmf"}},
    # The other vendor's engine.
    "bochs-broadwell": {"what": "bochs", "on": "bochs-broadwell", "seconds": 240},
    "small": {"what": "small"},
    "guest": {"what": "guest"},
    "crash": {"what": "crash"},
    "reboot": {"what": "reboot"},
    "alone": {"what": "alone"},
}
MODULES = ("guestbios.bin", "vmlinuz", "rootfs.cpio.gz")
MIB = 1 << 20
PROMPT = r"penumbra# $"


def run(t, what, **more):
    globals()["run_" + what](t, **more)


def start(t, config="[control]\n", cmdline="paging=nested", **how):
    """Boot to the control partition's prompt, with the keyboard on it."""
    m = t.boot(t.iso(config, cmdline, modules=MODULES), clock="typed", **how)
    boot = m.wait_record("boot", 60)
    m.wait_record("guest", 10, name="control", event="start")
    m.wait_record("guest", 90, name="control", event="ready")
    m.wait_line("control", PROMPT, 60)
    m.send("\x1d0")
    return m, boot


def ask(t, m, command, pattern, limit=60):
    """Type @command; the match of @pattern in its output."""
    ask.count += 1
    mark, before = f"m{ask.count}=", len(m.log.lines(None))
    m.send(f"{command}; echo {mark}\r")

    def answer():
        lines = m.log.lines(None)[before:]
        return "\n".join(lines[:lines.index(mark)]) + "\n" if mark in lines else None
    text = m.wait_for(answer, limit, f"answer to `{command}`")
    hit = re.search(pattern, text, re.M)
    t.check(hit, f"`{command}` does not say /{pattern}/ but:\n{text}")
    return hit


ask.count = 0


def ledger_adds_up(t, boot, megabytes):
    memory = boot["memory"]
    parts = sum(v for k, v in memory.items() if k not in ("total", "guests"))
    t.check(memory["total"] == parts + sum(memory["guests"].values()), f"the ledger does not add up: {memory}")
    t.check(megabytes * MIB <= memory["control"] < (megabytes + 1) * MIB,
            f"the control partition has {memory['control']} bytes, expected {megabytes} MiB")
    t.check(boot["iommu"] == 0, "the record does not say iommu 0")


def noise(t, megabytes=4):
    path, data = t.path("disk"), random.Random(7).randbytes(megabytes * MIB)
    with open(path, "wb") as f:
        f.write(data)
    return path, hashlib.md5(data).hexdigest()


def interrupts(t, m, who):
    """How many interrupts the drivers @who have had."""
    table = ask(t, m, "cat /proc/interrupts", r"(?s).*").group(0)
    return sum(int(n) for n in re.findall(rf"^ *\d+: +(\d+) .*(?:{who})", table, re.M))


def check_memory(t, m, boot):
    """Its map has its own memory only; what else is there is reserved."""
    said = ask(t, m, "dmesg | grep BIOS-e820", r"(?s).*").group(0)
    entries = [(int(a, 16), int(b, 16) + 1, kind) for a, b, kind in
               re.findall(r"mem 0x([0-9a-f]+)-0x([0-9a-f]+)\] (.*)$", said, re.M)]
    usable = [(a, b) for a, b, kind in entries if kind == "usable"]
    low = sum(b - a for a, b in usable if b <= MIB)
    own = sum(b - a for a, b in usable) - low
    t.check(0 < low and own <= boot["memory"]["control"] < own + 2 * MIB,
            f"its map has {own} bytes and {low} low ones, the ledger {boot['memory']['control']}")
    t.check(any(kind == "reserved" and a <= 16 * MIB and b >= 32 * MIB for a, b, kind in entries),
            f"its map does not say that others' memory is reserved: {entries}")


def check_cpu(t, m):
    """One CPU, whatever the machine has, no sleep states, microcode as it is; nothing of the hypervisor's."""
    ask(t, m, "cat /proc/cpuinfo | grep -c ^processor", "^1$")
    ask(t, m, "dmesg | grep -ci 'hypervisor detected\\|kvm-clock'", "^0$")
    ask(t, m, "grep -cw 'mwait\\|monitor' /proc/cpuinfo", "^0$")
    ask(t, m, "cat /sys/devices/system/cpu/cpuidle/current_driver", "^none$")
    ask(t, m, "grep ^microcode /proc/cpuinfo", r"^microcode\s*: 0x")
    ask(t, m, "dmesg | grep -ci 'unchecked MSR'", "^0$")
    ask(t, m, "cat /proc/cmdline", r"tsc=reliable tsc_early_khz=[1-9]\d* no_timer_check .*quiet")
    ask(t, m, "ls -1 /sys/firmware/acpi/tables; dmesg | grep -c DMAR", r"(?s)^APIC$(?!.*(?:DMAR|IVRS|HPET)).*^0$")


def run_devices(t, how):
    disk, disk_md5 = noise(t)
    with open(t.built("penumbra.elf"), "rb") as f:
        elf_md5 = hashlib.md5(f.read()).hexdigest()
    extra = how["extra"] + ["-drive", f"if=none,id=d,format=raw,file={disk}", "-device",
                            "nvme,serial=1,drive=d", "-netdev", "user,id=n", "-device", "e1000,netdev=n"]
    m, boot = start(t, **{**how, "extra": extra})
    ledger_adds_up(t, boot, 256)
    t.check(boot["cpus"] == how.get("cpus", 1), f"{boot['cpus']} CPUs")
    check_cpu(t, m)
    check_memory(t, m, boot)
    # The boot medium by IDE edges or AHCI's MSI, a disk by NVMe's MSI-X.
    ask(t, m, "md5sum /boot-medium/boot/penumbra.elf", elf_md5)
    ask(t, m, "md5sum /dev/nvme0n1", disk_md5)
    t.check(interrupts(t, m, "nvme") > 4, "the NVMe disk was read without interrupts")
    t.check(interrupts(t, m, "ahci|ata_piix") > 10, "the CD was read without interrupts")
    # A PCI level.
    ask(t, m, "ip link set eth0 up; udhcpc -i eth0 -n -q -t 5 -s /etc/dhcp.script; ip addr", "inet 10.0.2.15", 60)
    ask(t, m, "ping -c 3 10.0.2.2", "3 packets received")
    t.check(2 < interrupts(t, m, "eth0") < 1000, "the NIC's interrupts are lost or stormy")
    m.send("poweroff\r")
    m.wait_record("guest", 60, name="control", event="exit")
    status = m.finish(60)
    t.check(status == 0, f"QEMU ended with {status}, not by its power switch")
    t.check_log(m)


def run_bochs(t, on):
    """A disk by bus-master IDE, a NIC by a PCI level, and power-off, on a CPU model of Bochs."""
    disk, disk_md5 = noise(t)
    m = t.boot(t.iso("[control]\n", "paging=nested", modules=MODULES), emulator="bochs",
               model=machines.BOCHS[on], disk=disk, nic=True)
    boot = m.wait_record("boot", 120)
    t.check(boot["engine"] == "vmx", f"the engine is {boot['engine']}")
    m.wait_record("guest", 300, name="control", event="ready")
    m.wait_line("control", PROMPT, 60)
    m.send("\x1d0")
    ask(t, m, "md5sum /dev/sda", disk_md5, 120)
    t.check(interrupts(t, m, "ata_piix") > 4, "the disk was read without interrupts")
    ask(t, m, "dmesg | grep -c 'UDMA\\|MWDMA'", "^[1-9]")
    ask(t, m, "udhcpc -i eth0 -n -q -t 8 -s /etc/dhcp.script; ip addr", "inet 10.0.2.", 120)
    ask(t, m, "ping -c 3 10.0.2.2", "3 packets received", 60)
    t.check(2 < interrupts(t, m, "eth0") < 1000, "the NIC's interrupts are lost or stormy")
    m.send("poweroff\r")
    m.wait_record("guest", 120, name="control", event="exit")
    m.finish(60)
    t.check_log(m)


def run_small(t):
    """512 MiB of RAM: 128 of them."""
    m, boot = start(t, memory=512)
    ledger_adds_up(t, boot, 128)
    ask(t, m, "free -m", r"Mem: +\d+")
    m.send("poweroff\r")
    t.check(m.finish(90) == 0, "no power-off")


def run_guest(t):
    """On one CPU: the guest waits for the control partition, then both run."""
    m = t.boot(t.iso(demo.guest(), "paging=nested exit=qemu", modules=MODULES))
    m.wait_record("guest", 90, name="control", event="ready")
    t.check(not m.log.of_type("guest", name="alpha"), "the guest started before the control partition was ready")
    demo.run_to_end(t, m, limit=200)


def run_crash(t):
    """A panic of the control kernel is told; a guest on RAM images goes on to its end."""
    m, _ = start(t, demo.guest(), "paging=nested exit=qemu", cpus=2)
    t.check(not m.log.of_type("result"), "the guest is too quick for this test")
    m.send("echo c >/proc/sysrq-trigger\r")
    m.wait_record("guest", 60, name="control", event="crash")
    t.check(not m.log.of_type("result"), "the guest was at its end already")
    m.wait_line("hv", "control partition has ended", 10)
    m.send("\x1d-")
    t.expect_passed(m, "alpha", limit=200)


def run_reboot(t):
    """An orderly restart is the machine's (QEMU runs with -no-reboot), and the guest's end is told."""
    m, _ = start(t, demo.guest(), "paging=nested", cpus=2)
    m.send("reboot\r")
    m.wait_record("guest", 60, name="control", event="exit")
    m.wait_record("result", 60, guest="alpha", status="fail")
    t.check(m.finish(60) == 0, "the machine did not restart")
    t.check_log(m)


def run_alone(t):
    """Without the partition: by the command line, for want of modules, for want of one."""
    def errors(cmdline, modules):
        m = t.boot(t.iso(demo.guest(), f"paging=nested exit=qemu {cmdline}", modules=modules))
        boot = m.wait_record("boot", 60)
        m.wait_record("guest", 30, name="alpha", event="start")
        t.check(boot["memory"]["control"] == 0, "memory was taken for a partition that is not there")
        t.check(not m.log.of_type("guest", name="control"), "there is a control partition")
        found = m.log.of_type("error", guest="control")
        m.stop()
        return found, m

    found, _ = errors("control=off", MODULES)
    t.check(not found, f"control=off: {found}")
    found, m = errors("", MODULES[:1])
    t.check(not found, f"no modules: {found}")
    m.log.lines("hv")
    t.check(any("no control partition" in line for line in m.log.lines("hv")), "nothing is said of it")
    found, _ = errors("control=on", MODULES[:1])
    t.check(len(found) == 1, f"control=on without modules: {found}")
    found, _ = errors("", MODULES[:2])
    t.check(len(found) == 1 and found[0]["where"] == "rootfs.cpio.gz", f"no rootfs: {found}")
    not_a_kernel = os.path.join(t.build, "guestbios.bin") + "=vmlinuz"
    found, _ = errors("", (MODULES[0], not_a_kernel, MODULES[2]))
    t.check(len(found) == 1 and "Linux kernel" in found[0]["message"], f"no kernel: {found}")
