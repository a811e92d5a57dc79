# SPDX-License-Identifier: MIT
"""One emulated machine for the benchmark: QEMU's TCG with its serial line, CPU time, debugger stub and log of
VM exits.

With `counted` a tick of the TSC is an instruction (-icount shift=0) and a run repeats exactly; without, the
emulator's own CPU time is what can be measured.  Neither is a time of any hardware."""
import argparse
import os
import re
import selectors
import shutil
import subprocess
import tempfile
import time

from gdbstub import GdbStub

# The CPU of the reference figures: without features that cost the emulator much and a guest nothing.
CPU = "max,-la57,-smap,-pku,-mpx"
PM_TIMER_HZ = 3579545
PM_TIMER_WRAP = 1 << 24
PM_TIMER_PORT = 0x608  # where SeaBIOS puts it on this board; nothing above moves it
# QEMU logs a line per VM exit under this mask; the filter keeps all else out.
EXIT_LOG = ["-d", "in_asm", "-dfilter", "0xfffffffffffff000+0x10"]


def words_of(known):
    """A type for argparse: words of @known, with commas."""
    def parse(text):
        words = text.split(",")
        for word in words:
            if word not in known:
                raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(known)}")
        return words
    return parse


class BenchError(Exception):
    """A run did not do what it should; the text says what was awaited and what was seen."""


class Machine:
    """With @debug stopped before its first instruction until run(). With @talk its serial line can be written to
    (self.process.stdin). @cpus: of the host, as taskset takes them; any if None."""

    def __init__(self, iso, memory, counted, exit_log=None, debug=True, talk=False, cpus=None):
        self.tmp = tempfile.mkdtemp(prefix="pn-")
        self.lines, self.rest, self.end_cpu = [], b"", None
        self.ns_wrapped, self.ticks_before = 0, None
        command = ["taskset", "-c", cpus] if cpus else []
        command += ["qemu-system-x86_64", "-accel", "tcg,thread=single", "-M", "pc", "-cpu", CPU, "-smp", "1",
                   "-m", str(memory), "-nodefaults", "-device", "VGA", "-display", "none", "-no-reboot",
                   "-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-serial", "stdio",
                   "-cdrom", iso.replace(",", ",,")]
        if counted:
            command += ["-icount", "shift=0,sleep=off"]
        if exit_log:
            command += EXIT_LOG + ["-D", exit_log]
        socket_path = os.path.join(self.tmp, "gdb")
        if debug:
            command += ["-S", "-chardev", f"socket,id=gdb,path={socket_path},server=on,wait=off",
                        "-gdb", "chardev:gdb"]
        self.errors = open(os.path.join(self.tmp, "stderr"), "w+b")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE if talk else subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=self.errors)
        self.exit_log = exit_log
        self.gdb = GdbStub(socket_path, self.process) if debug else None
        self.stopped = debug

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        if self.process.stdin:
            self.process.stdin.close()
        if self.gdb:
            self.gdb.close()
        self.errors.close()
        shutil.rmtree(self.tmp, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- clocks -----------------------------------------------------------------------------------

    def cpu_ns(self):
        """CPU time that the emulator's threads have used."""
        total = 0
        tasks = f"/proc/{self.process.pid}/task"
        for task in os.listdir(tasks):
            try:
                with open(f"{tasks}/{task}/schedstat", encoding="ascii") as f:
                    total += int(f.read().split()[0])
            except OSError:
                pass  # a thread that ended in between
        return total

    def emulated_ns(self):
        """The stopped machine's time by its PM timer (280 ns steps); between two calls may lie 4 s."""
        answer = self.gdb.monitor(f"i /w {PM_TIMER_PORT:#x}")
        ticks = int(re.search(r"= (0x[0-9a-f]+)", answer).group(1), 16) % PM_TIMER_WRAP
        if self.ticks_before is not None and ticks < self.ticks_before:
            self.ns_wrapped += PM_TIMER_WRAP
        self.ticks_before = ticks
        return (self.ns_wrapped + ticks) * 1000000000 // PM_TIMER_HZ

    def exits_logged(self):
        """Bytes of the exit log so far."""
        return os.path.getsize(self.exit_log) if self.exit_log else 0

    # --- life -------------------------------------------------------------------------------------

    def run(self, limit, last=None):
        """Take in the serial line until the machine ends, or a line has come of which @last(line) is true; lines with
        the CPU time of their arrival."""
        if self.stopped:
            self.gdb.detach()
            self.stopped = False
        end = time.monotonic() + limit
        fd = self.process.stdout.fileno()
        with selectors.DefaultSelector() as ready:
            ready.register(fd, selectors.EVENT_READ)
            while time.monotonic() < end:
                if not ready.select(1.0):
                    continue
                data = os.read(fd, 65536)
                if not data:
                    self.process.wait()
                    return
                seen = len(self.lines)
                self._feed(data)
                if last and any(last(line) for _, line in self.lines[seen:]):
                    return
        raise BenchError(f"no end within {limit} s; last lines:\n" + "\n".join(self.tail()))

    def write(self, data):
        """To its serial line; needs @talk."""
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def _feed(self, data):
        now = self.cpu_ns()
        *whole, self.rest = (self.rest + data).split(b"\n")
        for line in whole:
            self.lines.append((now, line.rstrip(b"\r")))

    def tail(self):
        return [line.decode("ascii", "replace") for _, line in self.lines[-12:]]
