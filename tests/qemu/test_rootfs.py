# SPDX-License-Identifier: MIT
"""The control partition's user land on machines of its own, without the hypervisor: drivers for each
disk and NIC, the boot medium on CD and USB, early and late, with and without it; a steady prompt; the
supervision of penumbrad; XMODEM; the orderly end. Catches a driver missing in the image, an init that
waits for what is not there or misses what comes late, and memory that 128 MiB do not have."""
import hashlib
import os
import random
import re
import subprocess

import native
import xmodem

TIER = "ci"
SECONDS = 20
MIB = 1 << 20
VARIATIONS = {
    "pc": {"what": "pc"},
    "q35": {"what": "q35"},
    "usb": {"what": "usb"},
    "late": {"what": "late"},
    "hang": {"what": "hang"},
    "services": {"what": "services"},
    "xmodem": {"what": "xmodem"},
}

# A daemon that fails twice, then stays until it is told to end and says so.
DAEMON = """#!/bin/sh
echo "life $$" >>/run/lives
[ $(wc -l </run/lives) -gt 2 ] || { echo 'no ring'; exit 3; }
trap 'echo "daemon flushed" >/dev/console; exit 0' TERM
echo "up $$" >>/run/ready
while :; do sleep 1 & wait; done
"""


def run(t, what):
    globals()["run_" + what](t)


def medium(t):
    return t.iso("[control]\nmemory = 256M\n", "paging=nested")


def disk(t, name, megabytes=4):
    """A disk full of noise: (path, its SHA-256)."""
    path = t.path(name)
    data = random.Random(name).randbytes(megabytes * MIB)
    with open(path, "wb") as f:
        f.write(data)
    return path, hashlib.sha256(data).hexdigest()


def drive(ident, path, device, options=""):
    return ["-drive", f"if=none,id={ident},format=raw,file={path}{options}", "-device",
            f"{device},drive={ident}"]


def nic(ident, model):
    return ["-netdev", f"user,id={ident}", "-device", f"{model},netdev={ident}"]


def check_disk(t, m, node, digest):
    """Read it all, change 1 MiB in its middle, read that back past the cache."""
    said = m.shell(f"sha256sum /dev/{node}", 60)
    t.check(digest in said, f"{node} reads wrong: {said.strip()}, expected {digest}")
    said = m.shell(f"dd if=/dev/zero bs=1M count=1 seek=1 of=/dev/{node} conv=fsync 2>/dev/null; "
                   f"echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/{node} bs=1M skip=1 count=1 "
                   "2>/dev/null | sha256sum", 60)
    t.check(hashlib.sha256(bytes(MIB)).hexdigest() in said, f"{node} was not written: {said}")


def check_nics(t, m, *drivers):
    said = m.shell("for i in /sys/class/net/*/device/driver; do readlink $i; done")
    found = sorted(os.path.basename(line) for line in said.split())
    t.check(found == sorted(drivers), f"NIC drivers bound: {found}, expected {sorted(drivers)}")


def check_medium(t, m, node):
    text = m.prompt(60)
    t.check(f"init: boot medium PENUMBRA on {node}\n" in text, f"no boot medium on {node}: {text}")
    t.check("memory = 256M" in m.shell("cat /etc/penumbra.conf"), "the config is not on the medium")
    t.check("Read-only" in m.shell("touch /boot-medium/x"), "the boot medium is writable")


def check_memory(t, m):
    t.check("HugePages_Total:      12" in m.shell("grep HugePages_T /proc/meminfo"),
            "no 12 huge pages")
    left = int(re.search(r"MemAvailable: +(\d+)", m.shell("cat /proc/meminfo")).group(1))
    t.check(left > 16 * 1024, f"only {left} KiB of memory are available")


def power_off(t, m):
    m.send("poweroff\r")
    status = m.finish(30)
    t.check(status == 0, f"QEMU ended with {status}")
    m.pump(0)
    t.check("init: power-off" in m.text, "init did not say that it ends the machine")


def run_pc(t):
    iso = medium(t)
    (ide, ide_sum), (vio, vio_sum) = disk(t, "ide"), disk(t, "virtio")
    m = native.boot(t, "pc", 128, extra=[
        *drive("cd", iso, "ide-cd", ",media=cdrom,readonly=on"), *drive("d", ide, "ide-hd,bus=ide.1"),
        *drive("v", vio, "virtio-blk-pci"),
        *nic("n1", "e1000"), *nic("n2", "rtl8139"), *nic("n3", "virtio-net-pci")])
    check_medium(t, m, "sr0")
    check_memory(t, m)
    check_disk(t, m, "sda", ide_sum)
    check_disk(t, m, "vda", vio_sum)
    check_nics(t, m, "e1000", "8139cp", "virtio_net")
    for n in range(3):
        said = m.shell(f"dhcp eth{n}", 60)
        t.check("has 10.0.2.15/24, gateway 10.0.2.2" in said, f"dhcp eth{n}: {said}")
        t.check("0% packet loss" in m.shell("ping -c 2 -W 5 10.0.2.2"), f"eth{n} carries nothing")
        m.shell(f"kill $(cat /run/udhcpc.eth{n}.pid); ip addr flush dev eth{n}; ip link set eth{n} down")
    t.check("dhcp: no interface eth9; there are: eth0" in m.shell("dhcp eth9"), "no word on eth9")
    said = m.shell("brctl addbr br0 && tunctl -t tap0 && brctl addif br0 tap0 && brctl show")
    t.check(re.search(r"br0\s.*tap0", said), f"no bridge with a tap: {said}")
    power_off(t, m)


def run_q35(t):
    iso = medium(t)
    names = ("ahci", "nvme", "virtio", "scsi")
    (ahci, ahci_sum), (nvme, nvme_sum), (vio, vio_sum), (scsi, scsi_sum) = (disk(t, n) for n in names)
    m = native.boot(t, "q35", 256, extra=[
        *drive("cd", iso, "ide-cd", ",media=cdrom,readonly=on"), *drive("a", ahci, "ide-hd,bus=ide.1"),
        *drive("n", nvme, "nvme,serial=1"), *drive("v", vio, "virtio-blk-pci"),
        "-device", "virtio-scsi-pci", *drive("s", scsi, "scsi-hd"),
        *nic("n1", "e1000e"), *nic("n2", "virtio-net-pci")])
    check_medium(t, m, "sr0")
    # SCSI names go by the order in which the disks answer.
    said = m.shell("for d in sda sdb; do echo $d $(readlink -f /sys/block/$d); done")
    for line in said.splitlines():
        node, where = line.split()
        check_disk(t, m, node, scsi_sum if "virtio" in where else ahci_sum)
    check_disk(t, m, "nvme0n1", nvme_sum)
    check_disk(t, m, "vda", vio_sum)
    check_nics(t, m, "e1000e", "virtio_net")
    # A data partition that comes later, made here.
    m.shell("mke2fs -L PENUMBRA-DATA /dev/vda >/dev/null; echo change >/sys/block/vda/uevent")
    m.shell("n=0; until [ -d /data/lost+found ] || [ $n = 50 ]; do usleep 100000; n=$((n+1)); done", 60)
    said = m.shell("echo kept >/data/f && grep -w /data /proc/mounts; cat /run/log/messages")
    t.check("/dev/vda /data ext4 rw" in said, f"the data partition is not mounted: {said}")
    power_off(t, m)
    with open(vio, "rb") as f:
        t.check(b"kept\n" in f.read(), "what was written to /data is not on the disk")


def run_usb(t):
    """A stick written with the hybrid image; its partitions stay usable beside it. A FAT data disk."""
    iso, fat = medium(t), t.path("fat")
    with open(fat, "wb") as f:
        f.truncate(40 * MIB)
    subprocess.run(["mformat", "-i", fat, "-F", "-v", "PENUMBRA-DA", "::"], check=True,
                   stdin=subprocess.DEVNULL)
    m = native.boot(t, "q35", 128, extra=[
        "-device", "qemu-xhci,id=x", *drive("u", iso, "usb-storage,bus=x.0", ",snapshot=on"),
        "-device", "usb-ehci,id=e", *drive("f", fat, "usb-storage,bus=e.0"),
        "-device", "usb-kbd,bus=x.0"])
    said = m.prompt(60)
    found = re.search(r"init: boot medium PENUMBRA on (sd[ab])\n", said)
    t.check(found, f"no boot medium on USB: {said}")
    stick = found.group(1)
    t.check("/boot-medium iso9660 ro" in m.shell("cat /proc/mounts"), "the stick is not mounted")
    said = m.shell(f"mount -t vfat -o ro /dev/{stick}2 /mnt && ls /mnt && umount /mnt")
    t.check("efi" in said.lower(), f"the stick's EFI partition cannot be mounted beside it: {said}")
    said = m.shell("grep -w /data /proc/mounts; cat /run/log/messages")
    t.check("/data vfat rw" in said, f"the FAT data partition is not mounted: {said}")
    said = m.shell("cat /sys/class/input/*/name")
    t.check("Keyboard" in said, f"the USB keyboard has no driver: {said}")
    m.shell("echo kept >/data/kept.txt")
    power_off(t, m)
    said = subprocess.run(["mtype", "-i", fat, "::kept.txt"], capture_output=True, text=True,
                          check=False, stdin=subprocess.DEVNULL)
    t.check(said.stdout == "kept\n", f"not on the FAT disk: {said.stdout} {said.stderr}")


def run_late(t):
    """No medium in time: a message and a shell; then a stick is put in, and pulled out again."""
    iso = medium(t)
    m = native.boot(t, "pc", 128, "penumbra.wait=3", ["-device", "qemu-xhci,id=x"])
    said = m.prompt(60)
    t.check("init: no boot medium: no volume is labelled PENUMBRA within 3 s (block devices: none)"
            in said, f"no message: {said}")
    for n in range(2):
        m.monitor(f"drive_add 0 if=none,id=u{n},format=raw,snapshot=on,file={iso}")
        m.monitor(f"device_add usb-storage,bus=x.0,drive=u{n},id=stick{n}")
        m.wait_text("init: boot medium PENUMBRA on sd[ab]$", 30)
        t.check("penumbra.conf" in m.shell("ls /boot-medium/boot"), "the late stick is not mounted")
        m.monitor(f"device_del stick{n}")
        m.wait_text(r"init: the boot medium \(sd[ab]\) was removed", 30)
    power_off(t, m)


def run_hang(t):
    """A driver that hangs in its start: init neither waits for it for ever nor spins meanwhile."""
    # Not where the kernel itself waits for a module.
    more = native.archive(t, "hang", {"sbin/modprobe": "#!/bin/sh\n[ $1 != -abq ] || exec sleep 1000\n"})
    m = native.boot(t, "pc", 128, "penumbra.wait=3", more=[more])
    said = m.prompt(90)
    t.check("init: modprobe still runs after 30 s: a driver hangs" in said, f"no message: {said}")
    ticks = sum(int(n) for n in m.shell("cut -d ' ' -f 14,15 /proc/1/stat").split())
    t.check(ticks < 1500, f"init took {ticks / 100} s of CPU time while it waited")
    power_off(t, m)


def daemon_ready(t, m, lives):
    """Until the daemon has set up its trap for the @lives-th time: init makes pauses between its starts."""
    m.shell(f"n=0; until [ $(cat /run/ready 2>/dev/null | wc -l) = {lives} ] || [ $n = 50 ]; do usleep 100000; n=$((n+1)); done")
    t.check(m.shell("wc -l </run/ready").strip() == str(lives), f"penumbrad has not come up {lives} times")


def run_services(t):
    more = native.archive(t, "daemon", {"bin/other": DAEMON})
    m = native.boot(t, "pc", 256, "penumbra.medium=none penumbra.daemon=/bin/other", more=[more])
    m.wait_text("init: penumbrad ended with status 3, its last words: no ring; it is started again "
                "in 200 ms", 60)
    m.wait_text("started again in 400 ms", 20)
    daemon_ready(t, m, 1)
    t.check(m.shell("wc -l </run/lives").strip() == "3", "penumbrad was not started a third time")
    t.check("penumbrad: no ring" in m.shell("cat /run/log/messages"), "its output is not in the log")
    # A third end is told too; a shell that is left comes back; the log is bounded; nobody is a zombie.
    m.shell("kill -9 $(pidof -s other)", 20)
    m.wait_text("init: penumbrad was killed by signal 9", 20)
    m.told = len(m.text)
    m.send("exit\r")
    m.wait_text("Penumbra control partition", 20)
    m.shell("n=0; while [ $n -lt 2500 ]; do echo \"line $n of a long story that fills the log\"; "
            "n=$((n+1)); done | logger -t story", 120)
    sizes = m.shell("cd /run/log; wc -c messages messages.old; cd")
    t.check(all(int(line.split()[0]) < 70000 for line in sizes.splitlines()[:2]), f"log: {sizes}")
    t.check("of a long story" in m.shell("tail -n 1 /run/log/messages"), "syslog does not arrive")
    t.check(" Z" not in m.shell("ps"), "zombies are left")
    t.check("No such file" in m.shell("nonsense 2>&1; cat /nonsense") , "errors do not show")
    daemon_ready(t, m, 2)
    m.send("poweroff\r")
    t.check(m.finish(30) == 0, "QEMU did not end well")
    m.pump(0)
    t.check(re.search("init: power-off\n(?s:.*)daemon flushed\n", m.text),
            "penumbrad was not told to end before the power-off")


def run_xmodem(t):
    m = native.boot(t, "pc", 128, "penumbra.medium=none")
    m.prompt(60)
    data = random.Random(1).randbytes(5000)
    xmodem.send(m, data, "rx /tmp/f")
    said = m.shell("head -c 5000 /tmp/f | sha256sum")
    t.check(hashlib.sha256(data).hexdigest() in said, f"rx: {said}")
    m.shell("truncate -s 5000 /tmp/f")
    for option in ("", "-k "):
        got = xmodem.receive(m, f"sx {option}/tmp/f")
        m.shell("true")
        t.check(got[:5000] == data and not got[5000:].strip(b"\x1a"), f"sx {option}sent other bytes")
    t.check("sx: /nonsense: No such file" in m.shell("sx /nonsense"), "sx has no message")
    power_off(t, m)
