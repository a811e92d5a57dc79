# SPDX-License-Identifier: MIT
"""The control partition's kernel and user land booted by QEMU alone, and its shell driven by the
serial line.

    m = native.boot(t, machine="q35", memory=128, extra=[...])
    m.prompt(60)
    text = m.shell("lsmod")
"""
import os
import re
import socket
import subprocess

import harness

PROMPT = "penumbra# "
KERNEL_DEAD = (b"Kernel panic", b"BUG: ", b"Oops: ", b"WARNING: CPU")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Native(harness.Qemu):
    """QEMU with -kernel; what it says is looked at as plain text. Its clock is the host's: counted by
    instructions, an idle QEMU 7.2 was seen not to wake up for its serial line or a new device."""

    def __init__(self, where, name, kernel, initrds, machine="pc", memory=256, append="", extra=()):
        harness.Machine.__init__(self, where, name)
        self.text, self.seen, self.told, self.asked = "", 0, 0, 0
        initrd = initrds[0]
        if len(initrds) > 1:  # the kernel unpacks archives one after the other
            initrd = os.path.join(self.tmp, "initrd")
            with open(initrd, "wb") as out:
                for part in initrds:
                    with open(part, "rb") as f:
                        data = f.read()
                    out.write(data + bytes(-len(data) % 512))
        com1 = os.path.join(self.tmp, "com1")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(com1)
        self.listener.listen(1)
        self.monitor_path = os.path.join(self.tmp, "monitor")
        self.launch(["qemu-system-x86_64", "-accel", "tcg", "-M", machine, "-cpu", harness.CPU,
                     "-m", str(memory), "-display", "none", "-no-reboot", "-nodefaults",
                     "-chardev", f"socket,id=com1,path={com1}", "-serial", "chardev:com1",
                     "-monitor", f"unix:{self.monitor_path},server,nowait",
                     "-kernel", kernel, "-initrd", initrd,
                     "-append", f"console=ttyS0 quiet {append}"] + self.CLOCKS["real"] + list(extra))

    def pump(self, seconds):
        alive = super().pump(seconds)
        with open(self.log_path, "rb") as f:
            data = f.read()
        self.dead = self.dead or any(words in data for words in KERNEL_DEAD)
        self.text = ESCAPES.sub("", data.decode("utf-8", "replace").replace("\r", ""))
        return alive

    def wait_text(self, regex, limit):
        """The next text that matches, after what the last call found, whatever the shell said between."""
        pattern = re.compile(regex, re.M)
        found = self.wait_for(lambda: pattern.search(self.text, self.told), limit, f"/{regex}/")
        self.told = found.end()

    def prompt(self, limit=20):
        """Wait until the shell waits; what was said since the last command."""
        self.wait_for(lambda: self.text[self.seen:].endswith(PROMPT), limit, "prompt")
        said, self.seen = self.text[self.seen:-len(PROMPT)], len(self.text)
        return said

    def shell(self, command, limit=20):
        """One command's output. Its first line, the echo, may have been wrapped: the output stands
        between marks, spelled so that the echo is none of them, and numbered so that none is old."""
        self.asked += 1
        mark = f"PN-{self.asked}"
        self.send(f"echo 'PN'-{self.asked}'-A'; {command}; echo 'PN'-{self.asked}'-Z'\r")
        pattern = re.compile(rf"^{mark}-A\n(.*)^{mark}-Z\n{PROMPT}$", re.M | re.S)
        found = self.wait_for(lambda: pattern.search(self.text, self.seen), limit,
                              f"whole answer to: {command}")
        self.seen = len(self.text)
        return found.group(1)


def boot(t, machine="pc", memory=256, append="", extra=(), more=()):
    """@more: further initramfs archives, unpacked over the first."""
    n = len(t.machines)
    m = Native(t.where, t.name + (f"-{n + 1}" if n else ""), t.built("vmlinuz"),
               [t.built("rootfs.cpio.gz"), *more], machine, memory, append, extra)
    t.machines.append(m)
    return m


def archive(t, name, files):
    """An initramfs of a few executable files: {"bin/x": text}."""
    tree = t.path(name)
    for path, text in files.items():
        full = os.path.join(tree, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(full, 0o755)
    with open(tree + ".cpio", "wb") as out:
        subprocess.run(["cpio", "-o", "-H", "newc", "-R", "0:0", "--quiet"], cwd=tree, stdout=out,
                       input="\n".join(sorted(files)), text=True, check=True)
    return tree + ".cpio"
