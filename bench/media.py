# SPDX-License-Identifier: MIT
"""Media of the benchmark: a CD as a guest's on a medium of ours, and CDs whose kernel is told its TSC's frequency.

A kernel finds that frequency by reading PIT or PM timer as often as it can in a given time.  Where such a read is an exit that costs an emulator
20 us it gets too few, takes the PM timer as its clock, and exits whenever it looks at it: 1500 times a second.  Natively it does not.  No hardware
is like that, so for runs by the host's clock kernels are told the frequency, natively and as guests alike; runs that count instructions need
no help and get none."""
import contextlib
import functools
import os
import re
import subprocess
import sys
import tempfile

from figures import GUEST
from machine import BenchError, Machine

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests", "qemu"))
from records import RECORD_START, parse_record  # noqa: E402 (needs the path set above)

LOADER_CONFIG = "/isolinux/isolinux.cfg"
START_LIMIT = 300  # seconds until the hypervisor's first records, on a loaded host


def guest_medium(build, name, cd, memory, cmdline):
    """@cd of BUILD/bench as the only guest's, with @memory MiB; the medium's path."""
    return guests_medium(build, name, {GUEST: {"memory": f"{memory}M", "cdrom": f"module:{cd}", "boot": "cdrom"}}, cmdline)


def guests_medium(build, name, guests, cmdline):
    """A medium with @guests (name -> keys of its section) from images of BUILD/bench; its path."""
    directory = os.path.join(build, "bench")
    out, config = (os.path.join(directory, f"{name}.{kind}") for kind in ("iso", "conf"))
    with open(config, "w", encoding="ascii") as f:
        for guest, keys in guests.items():
            f.write("\n".join([f"[guest {guest}]", *(f"{key} = {value}" for key, value in keys.items())]) + "\n")
    subprocess.run([os.path.join(TOP, "iso", "mkiso.sh"), "--elf", f"{build}/penumbra.elf", "--module",
                    f"{build}/guestbios.bin", "--search", directory, "--config", config, "--out", out,
                    "--cmdline", cmdline], check=True)
    return out


def boot_record(line):
    """It, if @line is one."""
    if not line.startswith(RECORD_START):
        return None
    record = parse_record(line)
    return record if record["type"] == "boot" else None


@functools.cache
def tsc_khz(build):
    """Of an emulated machine that runs by the host's clock, as the hypervisor measures it there."""
    iso = guest_medium(build, "tsc", "nano.iso", 64, "exit=qemu")
    with Machine(iso, 512, False, debug=False) as m:
        m.run(START_LIMIT, boot_record)
        return next(record for _, line in m.lines if (record := boot_record(line)))["tsc_khz"]


def xorriso(*words):
    done = subprocess.run(["xorriso", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"xorriso {' '.join(words)}:\n{done.stderr}")


def with_options(cd, options, out):
    """A copy of a CD whose kernel gets @options as well."""
    with tempfile.TemporaryDirectory(prefix="pn-") as tree:
        path = os.path.join(tree, "isolinux.cfg")
        xorriso("-osirrox", "on", "-indev", cd, "-extract", LOADER_CONFIG, path)
        with open(path, encoding="ascii") as f:
            text, found = re.subn(r"(?m)^ APPEND .*$", lambda line: f"{line.group()} {options}", f.read())
        if found != 1:
            raise BenchError(f"{cd}: {found} command lines in {LOADER_CONFIG}")
        os.unlink(path)  # it was extracted read-only
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(out)
        xorriso("-indev", cd, "-outdev", out, "-boot_image", "any", "replay", "-update", path, LOADER_CONFIG)


@functools.cache
def timed_cd(build, cd, options=""):
    """The name beside @cd in BUILD/bench of a copy whose kernel gets @options, and is told its TSC's frequency."""
    name = cd.removesuffix(".iso") + "-timed.iso"
    directory = os.path.join(build, "bench")
    with_options(os.path.join(directory, cd), f"tsc_early_khz={tsc_khz(build)} tsc=reliable {options}".rstrip(),
                 os.path.join(directory, name))
    return name
