# SPDX-License-Identifier: MIT
"""A guest's disk on the control partition's real ones: an image on the stick's data partition, and whole
SATA, NVMe and virtio disks. The guest writes records and says which are synced; it is reset, and the power
is pulled (QEMU is killed) ten times in all. Catches a sync that is answered before the data are on the
medium, a write that is lost, torn or at another place, and a medium that is not served again afterwards."""
import json
import os
import re
import struct
import subprocess

import harness
import ioguest

TIER = "ci"
SECONDS = 60
MIB = 1 << 20
SIZE = 8 * MIB
# Kinds of power failures: the image passes through a file system and its cache, the disks do not.
VARIATIONS = {
    "file": {"disk": "file:/images/alpha.img", "model": "virtio", "pulls": 4},
    "sata": {"disk": "dev:/dev/sda", "model": "ide", "pulls": 2, "device": ["ide-hd,drive=d"]},
    "nvme": {"disk": "dev:/dev/nvme0n1", "model": "virtio", "pulls": 2,
             "device": ["nvme,serial=1,drive=d"]},
    "virtio": {"disk": "dev:/dev/vda", "model": "ide", "pulls": 2, "device": ["virtio-blk-pci,drive=d"]},
}
VARIATIONS["virtio-shadow"] = dict(VARIATIONS["virtio"], paging="paging=shadow")
NIGHTLY = ("virtio-shadow",)
# The first life of all ends by a reset after three records.
SCRIPT = """d=/dev/vda
[ -e $d ] || d=/dev/sda
io store $d 3 >/tmp/said
cat /tmp/said
! grep -q 'found 0,' /tmp/said || reboot -f
exec io store $d
"""
RECORD, MAGIC, MASK = 65536, 0x64726f636572706e, (1 << 64) - 1


def scramble(x):
    x ^= x >> 29
    x = x * 0xbf58476d1ce4e5b9 & MASK
    return x ^ x >> 32


def newest_record(data):
    """As bench/io/io.c writes them: the highest number of a whole record, and those before it that are not."""
    words, places = RECORD // 8, min(len(data) // RECORD, 64)
    whole = set()
    for place in range(places):
        record = struct.unpack_from(f"<{words}Q", data, place * RECORD)
        n = record[1]
        if record[0] == MAGIC and n and all(record[i] == scramble(n * words + i)
                                            for i in range(2, words)):
            whole.add(n)
    last = max(whole, default=0)
    return last, [n for n in range(max(1, last - places + 3), last) if n not in whole]


class Stick:
    """The medium on a stick, with the image on its data partition."""

    def __init__(self, t, iso):
        self.path = t.path("stick")
        subprocess.run(["/usr/bin/python3", os.path.join(harness.TOP, "tools/pnusb.py"), iso, "--image",
                        self.path, "--size", "256M"], check=True, capture_output=True)
        table = json.loads(subprocess.run(["sfdisk", "-J", self.path], check=True, text=True,
                                          capture_output=True).stdout)
        start = max(p["start"] for p in table["partitiontable"]["partitions"])
        self.fat = f"{self.path}@@{start * 512}"
        self.scratch = t.path("alpha.img")
        blank(self.scratch)
        subprocess.run(["mcopy", "-i", self.fat, self.scratch, "::images/alpha.img"], check=True)
        self.qemu = ["-drive", f"if=none,id=d,format=raw,file={self.path}", "-device", "qemu-xhci",
                     "-device", "usb-storage,drive=d,bootindex=0"]

    def read(self):
        subprocess.run(["mcopy", "-n", "-o", "-i", self.fat, "::images/alpha.img", self.scratch],
                       check=True)
        with open(self.scratch, "rb") as f:
            return f.read()


class Disk:
    """The medium on a CD, and a disk of the machine."""

    def __init__(self, t, iso, device):
        self.path = t.path("disk")
        blank(self.path)
        self.qemu = ["-drive", f"if=none,id=c,format=raw,media=cdrom,readonly=on,file={iso}", "-device",
                     "ide-cd,drive=c,bus=ide.1,bootindex=0", "-drive",
                     f"if=none,id=d,format=raw,file={self.path}"]
        for one in device:
            self.qemu += ["-device", one]

    def read(self):
        with open(self.path, "rb") as f:
            return f.read()


def blank(path):
    with open(path, "wb") as f:
        f.truncate(SIZE)


def found(m, lives):
    """What the guest found in its @lives-th life of this boot."""
    pattern = re.compile(r"^store: found (\d+), whole (\d+) of (\d+)$")

    def hit():
        hits = [h for h in map(pattern.match, m.log.lines("alpha")) if h]
        return hits[lives - 1] if len(hits) >= lives else None
    return [int(n) for n in m.wait_for(hit, 120, f"words of alpha's life {lives} about what it found").groups()]


def synced(m):
    """The last record that the guest said to be on the medium."""
    said = re.findall(r"^store: synced (\d+)$", "\n".join(m.log.lines("alpha")), re.M)
    return int(said[-1]) if said else 0


def check_found(t, what, last, missing, told):
    t.check(last >= told, f"{what}: record {told} was synced, the newest found is {last}")
    t.check(not missing, f"{what}: of the records before {last} these are not whole: {missing}")


def run(t, disk, model, pulls, device=None, paging="paging=nested"):
    name = ioguest.cd(t, "store", SCRIPT)
    iso = t.iso(f"[guest alpha]\nmemory = 128M\ncdrom = module:{name}\nboot = cdrom\ndisk = {disk}\n"
                f"disk_model = {model}\n", paging, modules=ioguest.MODULES, search=("qemu",))
    medium = Disk(t, iso, device) if device else Stick(t, iso)
    told = 0
    for pull in range(1, pulls + 1):
        m = t.boot(None, media="none", clock="real", memory=1024, cpus=2, vga=False,
                   extra=["-M", "q35", *medium.qemu])
        m.wait_record("guest", 120, name="alpha", event="start")
        lives = 0
        for _ in range(2 if pull == 1 else 1):
            lives += 1
            last, whole, of = found(m, lives)
            check_found(t, f"boot {pull}, life {lives}", last, [] if whole == of else [f"{of - whole} of {of}"], told)
            told = max(told, last, 3)
        t.check(told >= 3, "the reset guest did not find what it had synced")
        m.wait_for(lambda: synced(m) >= told + 4, 60, f"more than {told + 4} records")
        m.process.kill()
        while m.pump(0.2):
            pass
        told = synced(m)
        problems = m.log.errors
        m.stop()
        last, missing = newest_record(medium.read())
        check_found(t, f"{disk} after pull {pull}", last, missing, told)
        t.check(not problems, f"serial format: {problems[:3]}")
    print(f"{told} records synced, power pulled {pulls} times")
