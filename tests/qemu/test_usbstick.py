# SPDX-License-Identifier: MIT
"""tools/pnusb.py. `guards`: in a made-up machine (PNUSB_ROOT) each reason not to write to a device is there
once and must be named, with not a byte written. `boot`: a stick full of old data is written, its data
partition is used with mtools, and the stick boots as a USB disk in QEMU. Catches a guard that does not
fire, a partition table that firmware or Linux do not take, a file system that old bytes shine through."""
import importlib.util
import os
import pty
import re
import shutil
import subprocess

import demo
import harness

TIER = "ci"
SECONDS = 25
VARIATIONS = {"guards": {"test": "guards"}, "boot": {"test": "boot"},
              "isolinux": {"test": "boot", "loader": "isolinux", "size": 1 << 30}}
NIGHTLY = ("isolinux",)
PNUSB = os.path.join(harness.TOP, "tools", "pnusb.py")
MIB = 1 << 20
STICK = 256 * MIB
STICK_ID = "Maker_Stick_2000-0123456789AB"


def put(path, text=""):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


class FakeMachine:
    """/dev, /sys and /proc of a machine with a USB stick sdz (one partition) and a disk sda."""

    def __init__(self, root, size=STICK):
        shutil.rmtree(root, ignore_errors=True)
        self.root, self.size = root, size
        self.usb = f"{root}/sys/devices/pci0/usb1/1-1"
        self.sdz = f"{self.usb}/host6/block/sdz"
        self.disk("sdz", self.sdz, 8, 16, size)
        self.disk("sda", f"{root}/sys/devices/pci0/ata1/block/sda", 8, 0, size)
        put(f"{self.sdz}/sdz1/partition", "1")
        put(f"{self.sdz}/sdz1/dev", "8:17")
        os.makedirs(f"{self.sdz}/sdz1/holders")
        os.makedirs(f"{root}/sys/class/block")
        os.symlink(f"{self.sdz}/sdz1", f"{root}/sys/class/block/sdz1")
        put(f"{root}/dev/sdz1")
        put(f"{self.usb}/serial", "0123456789AB\n")
        put(f"{self.sdz}/device/vendor", "Maker   \n")
        put(f"{self.sdz}/device/model", "Stick 2000      \n")
        put(f"{root}/proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
        put(f"{root}/proc/swaps", "Filename Type Size Used Priority\n")
        self.stick = f"{root}/dev/sdz"

    def disk(self, name, where, major, minor, size):
        put(f"{where}/size", str(size // 512))
        put(f"{where}/removable", "0\n")
        put(f"{where}/ro", "0\n")
        put(f"{where}/dev", f"{major}:{minor}\n")
        os.makedirs(f"{where}/device")
        os.makedirs(f"{self.root}/sys/block", exist_ok=True)
        os.symlink(where, f"{self.root}/sys/block/{name}")
        os.makedirs(f"{self.root}/dev", exist_ok=True)
        with open(f"{self.root}/dev/{name}", "wb") as f:
            f.truncate(size)

    def old_data(self):
        """What was on the stick before: no zero anywhere."""
        with open(self.stick, "r+b") as f:
            for _ in range(self.size // MIB):
                f.write(b"\xe5\x0f" * (MIB // 2))

    def pnusb(self, *args):
        return subprocess.run([PNUSB, *args], capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL, env=dict(os.environ, PNUSB_ROOT=self.root))


def blank(path):
    """Nothing was ever written to that (sparse) file."""
    return os.stat(path).st_blocks == 0


def refuse(t, machine, why, *args):
    done = machine.pnusb(*args)
    t.check(done.returncode == 1 and why in done.stderr,
            f"pnusb {' '.join(args)}: expected a refusal saying {why!r}, got {done.returncode}: "
            f"{done.stdout}{done.stderr}")
    t.check(all(blank(f"{machine.root}/dev/{d}") for d in ("sda", "sdz")),
            f"refused ({why}), but something was written")


def guards(t, iso):
    yes = f"--yes={STICK_ID}"

    def machine(path=None, text="", size=STICK):
        m = FakeMachine(t.path("root"), size)
        if path:
            put(path.format(root=m.root, sdz=m.sdz), text)
        return m
    refuse(t, machine(), "neither removable nor on the USB bus", iso, "/dev/sda", "--yes=x")
    refuse(t, machine(), "is a partition", iso, "/dev/sdz1", yes)
    refuse(t, machine(), "does not exist", iso, "/dev/sdy", yes)
    refuse(t, machine(), "is no block device", iso, "/dev", yes)
    refuse(t, machine("{root}/dev/sdq"), "not a whole device", iso, "/dev/sdq", yes)
    refuse(t, machine("{sdz}/ro", "1"), "write-protected", iso, "/dev/sdz", yes)
    refuse(t, machine("{sdz}/device/type", "5"), "not a disk", iso, "/dev/sdz", yes)
    refuse(t, machine("{root}/proc/self/mountinfo", "9 1 8:17 / /mnt rw - vfat /dev/sdz1 rw\n"),
           "mounted on /mnt", iso, "/dev/sdz", yes)
    refuse(t, machine("{root}/proc/self/mountinfo", "9 1 8:17 / / rw - ext4 /dev/sdz1 rw\n"),
           "system's / is on it", iso, "/dev/sdz", yes)
    refuse(t, machine("{root}/proc/swaps", "Filename Type\n/dev/sdz1 partition 1 0 -2\n"),
           "used as swap", iso, "/dev/sdz", yes)
    refuse(t, machine("{sdz}/sdz1/holders/dm-0"), "part of dm-0", iso, "/dev/sdz", yes)
    refuse(t, machine("{sdz}/size", "0"), "no medium", iso, "/dev/sdz", yes)
    refuse(t, machine(size=32 * MIB), "are needed", iso, "/dev/sdz", yes)
    refuse(t, machine("{sdz}/size", str(1 << 40)), "not a stick", iso, "/dev/sdz", yes)
    refuse(t, machine("{sdz}/size", str(STICK // 512 + 8)), "was it exchanged?", iso, "/dev/sdz", yes)
    refuse(t, machine(), "does not fit: this is " + STICK_ID, iso, "/dev/sdz", "--yes=Other-1")
    refuse(t, machine(), "nobody is here to ask", iso, "/dev/sdz")
    iso_guards(t, machine, iso, yes)
    typed_name(t, machine(), iso)
    verifying(t)
    listed = machine().pnusb("--list").stdout
    t.check(f"id {STICK_ID}" in listed and "sda" not in listed, f"--list says:\n{listed}")


def typed_name(t, machine, iso):
    """Asked at a terminal: another name than the device's is a no."""
    ours, theirs = pty.openpty()
    os.write(ours, b"sda\n")
    done = subprocess.run([PNUSB, iso, "/dev/sdz"], stdin=theirs, capture_output=True, text=True,
                          check=False, env=dict(os.environ, PNUSB_ROOT=machine.root))
    os.close(ours)
    os.close(theirs)
    t.check(done.returncode == 1 and "not confirmed" in done.stderr and blank(machine.stick),
            f"sda was typed for sdz: {done.returncode} {done.stdout}{done.stderr}")
    t.check("Maker Stick 2000  serial 0123456789AB" in done.stdout, f"asks without saying for what: "
            f"{done.stdout}")


def verifying(t):
    """A byte that the stick gives back otherwise is found, at the ends of what was written too."""
    spec = importlib.util.spec_from_file_location("pnusb", PNUSB)
    pnusb = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pnusb)
    segments = [(0, MIB + 512), (3 * MIB, 3 * MIB + 4096)]
    for at, differs in ((0, True), (MIB + 511, True), (MIB + 512, False), (3 * MIB + 4095, True)):
        data = bytearray(os.urandom(4 * MIB))
        with open(t.path("written"), "wb") as f:
            f.write(data)
        data[at] ^= 1
        with open(t.path("stick"), "wb") as f:
            f.write(data)
        with open(t.path("written"), "rb") as source, open(t.path("stick"), "rb") as stick:
            try:
                pnusb.verify(source.fileno(), stick.fileno(), segments)
                found = False
            except pnusb.Refused:
                found = True
        t.check(found == differs, f"a byte changed at {at}: found is {found}, expected {differs}")


def iso_guards(t, machine, iso, yes):
    """Media that are none of ours or damaged."""
    bad = t.path("bad.iso")

    def changed(at, data, size=None):
        shutil.copy(iso, bad)
        with open(bad, "r+b") as f:
            f.seek(at)
            f.write(data)
            f.truncate(size or os.path.getsize(iso))
        return bad
    refuse(t, machine(), "no ISO 9660", changed(32769, b"XD001"), "/dev/sdz", yes)
    refuse(t, machine(), "not a Penumbra medium", changed(32808, b"DEBIAN  "), "/dev/sdz", yes)
    refuse(t, machine(), "no boot sector", changed(510, b"\0\0"), "/dev/sdz", yes)
    refuse(t, machine(), "cut short", changed(0, b"", os.path.getsize(iso) // 2 // 512 * 512),
           "/dev/sdz", yes)
    os.unlink(bad)


def run_tool(t, *command):
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          env=dict(os.environ, MTOOLSRC="/dev/null", LC_ALL="C",
                                   PATH=os.environ["PATH"] + ":/usr/sbin:/sbin"))
    t.check(done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def use_data(t, stick, size):
    """Linux's tools find the data partition, it takes files and gives them back."""
    table = run_tool(t, "sfdisk", "--dump", stick)
    *_, last = re.finditer(r"start= *(\d+), size= *(\d+), type=(\S+)", table)
    start, length = int(last.group(1)) * 512, int(last.group(2)) * 512
    t.check(length > size - start - 2 * MIB, f"the data partition leaves room unused:\n{table}")
    if "label: gpt" in table:
        t.check('name="PENUMBRA-DATA"' in table, f"no partition PENUMBRA-DATA:\n{table}")
    verified = run_tool(t, "sfdisk", "--verify", stick)
    t.check("No errors detected" in verified, f"sfdisk --verify: {verified}")
    where = f"{stick}@@{start}"
    info = run_tool(t, "minfo", "-i", where, "::")
    t.check('disk type="FAT32' in info and 'disk label="PENUMBRA-DA' in info, info)
    names = run_tool(t, "mdir", "-b", "-i", where, "::").split()
    t.check(names == ["::/images/", "::/results/"], f"the data partition has {names}")
    t.check("::/" not in run_tool(t, "mdir", "-b", "-i", where, "::/images"), "images/ is not empty")
    run_tool(t, "mcopy", "-i", where, PNUSB, "::/images/")
    run_tool(t, "mcopy", "-i", where, "::/images/pnusb.py", t.path("copy"))
    with open(PNUSB, "rb") as f, open(t.path("copy"), "rb") as g:
        t.check(f.read() == g.read(), "a file on the data partition came back changed")


def boot(t, loader, size):
    iso = t.iso(demo.guest(), "paging=nested exit=qemu", loader=loader)
    machine = FakeMachine(t.path("root"), size)
    if size <= STICK:
        machine.old_data()
    done = machine.pnusb(iso, "/dev/sdz", f"--yes={STICK_ID}")
    t.check(done.returncode == 0 and "verified" in done.stdout, f"pnusb: {done.stdout}{done.stderr}")
    t.check(blank(f"{machine.root}/dev/sda"), "the disk beside the stick was written to")
    use_data(t, machine.stick, size)
    # The same into a file; only the new partition's random numbers differ.
    image = t.path("stick.img")
    done = machine.pnusb(iso, "--image", image, "--size", str(size))
    t.check(done.returncode == 0, f"pnusb --image: {done.stderr}")
    use_data(t, image, size)
    m = t.boot(machine.stick, media="usb")
    t.expect_passed(m, "alpha", limit=120)
    os.unlink(image)
    shutil.rmtree(machine.root)


def run(t, test, loader="grub", size=STICK):
    if not shutil.which("sfdisk", path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
        raise harness.Skip("package fdisk is not installed")
    if test == "guards":
        guards(t, t.iso(demo.guest(), "paging=nested"))
    else:
        boot(t, loader, size)
