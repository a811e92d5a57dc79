# SPDX-License-Identifier: MIT
"""Guests that work their disk and network: the stock kernel on a CD of its own for each script
(bench/io), and the same kernel and script on a machine without the hypervisor.

    cd = ioguest.cd(t, "store", "exec io store /dev/vda")     image name for a config's module:
    m = ioguest.native(t, "io disk /dev/vda ...", extra=[...])
"""
import os
import subprocess

import harness
import native as control

MODULES = ("guestbios.bin", "vmlinuz", "rootfs.cpio.gz")


def initrd(t, name, script):
    """The image's initramfs with @script as what the guest does."""
    rc = control.archive(t, name, {"etc/rc": script})
    out = t.path(name + ".initrd")
    with open(out, "wb") as f:
        for part in (t.built("bench/io.cpio.gz"), rc):
            with open(part, "rb") as piece:
                data = piece.read()
            f.write(data + bytes(-len(data) % 512))
    return out


def cd(t, name, script, append=""):
    """A bootable CD whose guest runs @script; the file's name."""
    out = t.path(name + ".iso")
    subprocess.run([os.path.join(harness.TOP, "rootfs/linux-cd.sh"), out, t.built("vmlinuz"),
                    initrd(t, name, script), "/dev/null", f"console=ttyS0,115200 quiet {append}".strip()], check=True,
                   stdin=subprocess.DEVNULL)
    return os.path.basename(out)


def native(t, name, script, memory=256, extra=()):
    """The same kernel and initramfs on the machine itself."""
    m = control.Native(t.where, f"{t.name}-{name}", t.built("vmlinuz"), [initrd(t, name, script)],
                       "pc", memory, extra=extra)
    t.machines.append(m)
    return m
