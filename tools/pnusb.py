#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Write a Penumbra medium to a USB stick and give the rest of the stick to data.

    pnusb.py --list                          the devices that could be meant, with their ids
    pnusb.py X.iso /dev/sdX                  write, after the device's name was typed once more
    pnusb.py X.iso /dev/sdX --yes=ID         the same without asking; ID as --list shows it
    pnusb.py X.iso --image FILE --size 1G    the same into a file, for an emulator or dd

Behind the medium comes a FAT32 partition PENUMBRA-DATA (volume label PENUMBRA-DA: FAT has room for
11 characters) with folders images/ and results/.  --data SIZE limits it, --data none leaves it out.

The stick is first built as a sparse file of the stick's size: sfdisk moves the backup GPT and adds
the partition, mtools format it; neither ever opens the device.  Only what matters of that file is
written then, by one descriptor that is opened exclusively and kept: nobody can mount the stick
meanwhile, and device and --image share every step.  Own code for GPT and FAT would be more code
than this whole program, for tables that util-linux and mtools keep right already.

Exit status: 0 done and verified, 1 refused or failed, 2 usage.
"""
import argparse
import fcntl
import os
import re
import shutil
import stat
import struct
import subprocess
import sys
import tempfile

# Where devices are looked for.  A test gives a tree of its own, in which devices are plain files.
ROOT = os.environ.get("PNUSB_ROOT", "")
VOLUME_ID = b"PENUMBRA"
PARTITION_NAME = "PENUMBRA-DATA"
VOLUME_LABEL = PARTITION_NAME[:11]  # all that FAT has room for
FOLDERS = ("images", "results")
SECTOR, MIB, GIB = 512, 1 << 20, 1 << 30
MIN_DATA = 64 * MIB      # below, it would not be FAT32
MAX_DEVICE = 2048 * GIB  # what is larger is somebody's backup, not a stick
BLKFLSBUF, BLKRRPART = 0x1261, 0x125F
GPT_DATA, MBR_DATA = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", "c"


class Refused(Exception):
    """Nothing was written; the text says why."""


# --- devices -----------------------------------------------------------------------------------


def read(path, default=""):
    try:
        with open(path, encoding="ascii", errors="replace") as f:
            return f.read().strip()
    except OSError:
        return default


class Device:
    """A whole block device as sysfs describes it."""

    def __init__(self, name):
        self.name = name
        self.path = f"{ROOT}/dev/{name}"
        self.sys = f"{ROOT}/sys/block/{name}"
        self.real = os.path.realpath(self.sys)
        self.size = int(read(self.sys + "/size", "0") or 0) * SECTOR
        vendor, model = read(self.sys + "/device/vendor"), read(self.sys + "/device/model")
        self.model = " ".join((vendor + " " + model).split()) or "unknown"
        self.serial = self.find_serial() or "none"
        self.id = re.sub(r"[^A-Za-z0-9.-]+", "_", f"{self.model}-{self.serial}")

    def find_serial(self):
        """Of the disk itself or of the USB device it hangs on."""
        where = os.path.realpath(self.sys + "/device")
        while len(where) > len(os.path.realpath(ROOT + "/sys")) + 1:
            serial = read(where + "/serial")
            if serial:
                return serial
            where = os.path.dirname(where)
        return ""

    def usb(self):
        return "/usb" in self.real[len(os.path.realpath(ROOT + "/")):]

    def parts(self):
        """sysfs directories of the device and its partitions."""
        found = [self.sys]
        try:
            entries = sorted(os.listdir(self.sys))
        except OSError:
            entries = []
        return found + [f"{self.sys}/{e}" for e in entries
                        if os.path.exists(f"{self.sys}/{e}/partition")]

    def numbers(self):
        return {read(p + "/dev") for p in self.parts()} - {""}

    def describe(self):
        return f"/dev/{self.name}  {human(self.size)}  {self.model}  serial {self.serial}"


def human(size):
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.0f} MiB"


def whole_name(path):
    """The kernel's name of the whole device that @path means."""
    if not os.path.exists(ROOT + path):
        raise Refused(f"{path} does not exist")
    real = os.path.realpath(ROOT + path)
    mode = os.stat(real).st_mode
    if not stat.S_ISBLK(mode) and not (ROOT and stat.S_ISREG(mode)):
        raise Refused(f"{path} is no block device; --image writes to a file")
    name = os.path.basename(real)
    if os.path.exists(f"{ROOT}/sys/class/block/{name}/partition"):
        raise Refused(f"{path} is a partition; the whole device is needed")
    if not os.path.isdir(f"{ROOT}/sys/block/{name}"):
        raise Refused(f"{path} is not in /sys/block: not a whole device")
    return name


def mounts_of(device):
    """Where the device or a partition of it is mounted."""
    numbers, found = device.numbers(), []
    for line in read(ROOT + "/proc/self/mountinfo").splitlines():
        words = line.split()
        if len(words) > 4 and words[2] in numbers:
            found.append(words[4])
    return found


def swaps_of(device):
    names = {os.path.basename(p) for p in device.parts()}
    lines = read(ROOT + "/proc/swaps").splitlines()[1:]
    used = [line.split()[0] for line in lines if line.strip()]
    return [u for u in used if os.path.basename(os.path.realpath(ROOT + u)) in names]


def holders_of(device):
    """RAID, LVM and encryption on top of it."""
    found = []
    for p in device.parts():
        if os.path.isdir(p + "/holders"):
            found += os.listdir(p + "/holders")
    return found


def objections(device, need):
    """Every reason not to write to this device."""
    found = []
    if not device.usb() and read(device.sys + "/removable") != "1":
        found.append("it is neither removable nor on the USB bus")
    if read(device.sys + "/device/type", "0") not in ("0", ""):
        found.append("it is not a disk")
    if re.match(r"(loop|ram|zram|dm-|md|nbd|sr|fd)[0-9]", device.name):
        found.append("it is not a stick but a virtual, optical or floppy drive")
    if read(device.sys + "/ro") == "1":
        found.append("it is write-protected")
    mounted = mounts_of(device)
    if "/" in mounted:
        found.append("the running system's / is on it")
    elif mounted:
        found.append("it is mounted on " + ", ".join(mounted) + "; umount it first")
    if swaps_of(device):
        found.append("it is used as swap")
    if holders_of(device):
        found.append("it is part of " + ", ".join(holders_of(device)))
    if device.size == 0:
        found.append("no medium is in it")
    elif device.size < need:
        found.append(f"it holds {human(device.size)}, {human(need)} are needed")
    elif device.size > MAX_DEVICE:
        found.append(f"it holds {human(device.size)}: not a stick")
    return found


def list_devices():
    try:
        names = sorted(os.listdir(ROOT + "/sys/block"))
    except OSError:
        names = []
    shown = 0
    for name in names:
        device = Device(name)
        why = objections(device, 0)
        if device.usb() or read(device.sys + "/removable") == "1":
            print(f"{device.describe()}\n    id {device.id}")
            print("".join(f"    not usable: {w}\n" for w in why), end="")
            shown += 1
    if not shown:
        print("no removable or USB disk is here")


# --- the medium --------------------------------------------------------------------------------


def check_iso(path):
    """Size in bytes of a medium that is ours and whole."""
    try:
        with open(path, "rb") as f:
            head = f.read(36864)
    except OSError as why:
        raise Refused(f"{path}: {why.strerror}") from why
    volume = head[32768:]
    if volume[:6] != b"\x01CD001":
        raise Refused(f"{path} is no ISO 9660 image")
    if volume[40:72].strip() != VOLUME_ID:
        name = volume[40:72].strip().decode("ascii", "replace")
        raise Refused(f"{path} has the volume id {name!r}, not {VOLUME_ID.decode()}: "
                      "not a Penumbra medium")
    if head[510:512] != b"\x55\xaa":
        raise Refused(f"{path} has no boot sector for disks")
    size = os.path.getsize(path)
    blocks, = struct.unpack_from("<I", volume, 80)
    if size % SECTOR or size < blocks * 2048:
        raise Refused(f"{path} is cut short: {size} bytes of {blocks * 2048}")
    return size


def tool(command, stdin=None):
    """Runs a program; its output if it succeeds."""
    if not shutil.which(command[0], path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
        raise Refused(f"{command[0]} is missing: install package "
                      + ("fdisk" if command[0] == "sfdisk" else "mtools"))
    env = dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin", LC_ALL="C",
               MTOOLS_SKIP_CHECK="1", MTOOLSRC="/dev/null")
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=env,
                          check=False)
    if done.returncode:
        raise Refused(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


def last_partition(image):
    """Label type, and (start, bytes) of the partition that begins last."""
    dump = tool(["sfdisk", "--dump", image])
    label = re.search(r"^label: (\w+)", dump, re.M).group(1)
    found = [(int(m.group(1)) * SECTOR, int(m.group(2)) * SECTOR)
             for m in re.finditer(r"start= *(\d+), size= *(\d+)", dump)]
    return label, max(found)


def add_partition(image, iso_size, data_size):
    """A partition behind the medium; (start, size) in bytes."""
    quiet = ["--quiet", "--no-reread", "--no-tell-kernel", "--wipe", "never", "--wipe-partitions",
             "never"]
    label, before = last_partition(image)
    if label == "gpt":
        tool(["sfdisk", "--quiet", "--relocate", "gpt-bak-std", image])
    start = -(-iso_size // MIB) * MIB
    size = "+" if data_size is None else str(data_size // SECTOR)
    kind = f'{GPT_DATA}, name="{PARTITION_NAME}"' if label == "gpt" else MBR_DATA
    tool(["sfdisk", "--append"] + quiet + [image],
         f"start={start // SECTOR}, size={size}, type={kind}\n")
    _, data = last_partition(image)
    if data[0] != start or data[0] < before[0] + before[1] or data[1] < MIN_DATA:
        raise Refused(f"the data partition came out wrong: {data}")
    return data


def cluster_sectors(size):
    """As Microsoft's table has it."""
    for limit, sectors in ((260 * MIB, 1), (8 * GIB, 8), (16 * GIB, 16), (32 * GIB, 32)):
        if size <= limit:
            return sectors
    return 64


def format_data(image, start, size):
    """FAT32 with its folders; returns how many bytes of its beginning matter."""
    where = f"{image}@@{start}"
    tool(["mformat", "-i", where, "-F", "-T", str(size // SECTOR), "-h", "255", "-s", "63", "-H",
          str(start // SECTOR), "-c", str(cluster_sectors(size)), "-v", VOLUME_LABEL, "::"])
    for folder in FOLDERS:
        tool(["mmd", "-i", where, "::" + folder])
    with open(image, "rb") as f:
        f.seek(start)
        boot = f.read(SECTOR)
    reserved, fats, cluster = struct.unpack_from("<H", boot, 14)[0], boot[16], boot[13]
    fat, = struct.unpack_from("<I", boot, 36)
    if boot[82:87] != b"FAT32":
        raise Refused("mformat made no FAT32")
    return (reserved + fats * fat + (3 + len(FOLDERS)) * cluster) * SECTOR


def build_image(image, iso, iso_size, total, data):
    """The whole stick as a sparse file of @total bytes; the (start, end) that matter, in order."""
    with open(iso, "rb") as source, open(image, "wb") as f:
        shutil.copyfileobj(source, f, MIB)
        f.truncate(total)
    if data == 0:
        if last_partition(image)[0] == "gpt":
            tool(["sfdisk", "--quiet", "--relocate", "gpt-bak-std", image])
        return [(0, iso_size), (total - MIB, total)]
    start, size = add_partition(image, iso_size, data)
    meta = format_data(image, start, size)
    return [(0, iso_size), (start, start + meta), (max(start + meta, total - MIB), total)]


# --- writing -----------------------------------------------------------------------------------


def pieces(segments):
    """Of a megabyte at most; the first, which makes the stick bootable, comes last."""
    all_pieces = [(at, min(MIB, end - at)) for begin, end in segments
                  for at in range(begin, end, MIB)]
    return all_pieces[1:] + all_pieces[:1]


def progress(what, done, total):
    if sys.stderr.isatty():
        print(f"\r{what} {100 * done // total:3d} %  {done // MIB} of {total // MIB} MiB ",
              end="" if done < total else "\n", file=sys.stderr, flush=True)


def each_piece(what, source, segments, act):
    total, done = sum(end - begin for begin, end in segments), 0
    for at, n in pieces(segments):
        data = os.pread(source, n, at)
        if len(data) != n:
            raise Refused(f"the prepared image is short at {at}")
        act(at, data)
        done += n
        progress(what, done, total)


def write_out(source, target, segments):
    def put(at, data):
        while data:
            n = os.pwrite(target, data, at)
            data, at = data[n:], at + n
    each_piece("writing", source, segments, put)
    os.fsync(target)


def verify(source, target, segments):
    """Read back, past the cache where the system lets us."""
    try:
        fcntl.ioctl(target, BLKFLSBUF, 0)
    except OSError:
        pass
    os.posix_fadvise(target, 0, 0, os.POSIX_FADV_DONTNEED)

    def compare(at, data):
        if os.pread(target, len(data), at) != data:
            raise Refused(f"verifying failed: at byte {at} the stick holds other data "
                          "than was written")
    each_piece("verifying", source, segments, compare)


def open_device(device):
    """Exclusively: fails while anybody in the system has mounted or claimed it."""
    try:
        fd = os.open(device.path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except OSError as why:
        raise Refused(f"/dev/{device.name}: {why.strerror}"
                      + (": somebody is using it" if why.errno == 16 else "")) from why
    st = os.fstat(fd)
    number = f"{os.major(st.st_rdev)}:{os.minor(st.st_rdev)}"
    if os.lseek(fd, 0, os.SEEK_END) != device.size or (
            not ROOT and number != read(device.sys + "/dev")):
        os.close(fd)
        raise Refused(f"/dev/{device.name} is not the device that was looked at: was it exchanged?")
    return fd


def confirm(device, yes):
    if yes is not None:
        if yes != device.id:
            raise Refused(f"--yes={yes} does not fit: this is {device.id}")
        return
    if not sys.stdin.isatty():
        raise Refused(f"nobody is here to ask; --yes={device.id} says that this device is meant")
    print(f"Everything on it is lost:\n  {device.describe()}")
    if input(f"Type the device's name ({device.name}) to go on: ").strip() not in (
            device.name, "/dev/" + device.name):
        raise Refused("not confirmed")


def reread_table(fd):
    try:
        fcntl.ioctl(fd, BLKRRPART, 0)
    except OSError:
        print("pnusb: pull the stick and put it in again before using its partitions")


def write_device(args, iso_size, data):
    device = Device(whole_name(args.device))
    why = objections(device, iso_size + (0 if data == 0 else MIN_DATA) + 2 * MIB)
    if why:
        raise Refused(f"{device.describe()}\n" + "\n".join("  " + w for w in why))
    confirm(device, args.yes)
    target = open_device(device)
    try:
        with tempfile.TemporaryDirectory(prefix="pnusb-") as where:
            image = os.path.join(where, "stick")
            segments = build_image(image, args.iso, iso_size, device.size, data)
            with open(image, "rb") as source:
                write_out(source.fileno(), target, segments)
                verify(source.fileno(), target, segments)
        if not ROOT:
            reread_table(target)
    finally:
        os.close(target)
    print(f"/dev/{device.name}: written and verified")


def write_image(args, iso_size, data):
    total = args.size or iso_size + 256 * MIB
    if total < iso_size + (0 if data == 0 else MIN_DATA) + 2 * MIB:
        raise Refused(f"--size {human(total)} is too small for this medium")
    if os.path.exists(args.image) and not os.path.isfile(args.image):
        raise Refused(f"{args.image} is no plain file")
    build_image(args.image + ".part", args.iso, iso_size, total, data)
    os.replace(args.image + ".part", args.image)
    print(f"{args.image}: {human(total)}")


# --- command line ------------------------------------------------------------------------------


def size_word(text):
    m = re.fullmatch(r"(\d+)([KMGT]?)", text)
    if not m:
        raise argparse.ArgumentTypeError(f"'{text}' is no size such as 512M or 8G")
    return int(m.group(1)) << {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[m.group(2)]


def data_word(text):
    """None: all of the rest; 0: no partition."""
    return {"rest": None, "none": 0}[text] if text in ("rest", "none") else size_word(text)


def parse():
    p = argparse.ArgumentParser(description="Write a Penumbra medium to a USB stick.")
    p.add_argument("--list", action="store_true", help="removable and USB disks, and their ids")
    p.add_argument("--yes", metavar="ID", help="do not ask: the device with this id is meant")
    p.add_argument("--data", type=data_word, default=None, metavar="SIZE|rest|none",
                   help="the data partition (rest)")
    p.add_argument("--image", metavar="FILE", help="write to a file")
    p.add_argument("--size", type=size_word, help="of that file (the medium and 256M)")
    p.add_argument("iso", nargs="?")
    p.add_argument("device", nargs="?")
    args = p.parse_args()
    if not args.list and (not args.iso or bool(args.device) == bool(args.image)):
        p.error("a medium and either a device or --image FILE are needed")
    if args.data and args.data < MIN_DATA:
        p.error(f"--data: at least {human(MIN_DATA)}")
    return args


def main():
    args = parse()
    if args.list:
        list_devices()
        return 0
    try:
        iso_size = check_iso(args.iso)
        (write_image if args.image else write_device)(args, iso_size, args.data)
    except Refused as why:
        print(f"pnusb: {why}", file=sys.stderr)
        return 1
    except OSError as why:
        print(f"pnusb: {why}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
