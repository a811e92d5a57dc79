# SPDX-License-Identifier: MIT
"""A machine that runs the loads (bench/loads) on command: native, or a guest whose paging mode is changed from outside."""
import os
import selectors
import sys
import termios
import time
import tty

from figures import GUEST
from machine import BenchError, Machine
from media import guest_medium, timed_cd

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests", "qemu"))
from records import RECORD_START, RecordError, parse_record  # noqa: E402 (needs the path set above)

PREFIX = GUEST.encode() + b"| "
KEY = b"\x1d"
TOGGLE = KEY + b"m"
STATS = KEY + b"s"
GUEST_MEMORY, HOST_EXTRA = 512, 512  # MiB; the latter for hypervisor, modules and the firmware
GUEST_OPTIONS = "paging=adaptive control=off"
BOOT_LIMIT = 900  # seconds; hosts may be loaded
ROUND_LIMIT = 600  # for one line
STATIC = ("nested", "shadow")


def policy_on(stats):
    return stats["paging"] == "adaptive"


def running(stats):
    """The mode that translates now; "spaces": each address space has its own."""
    if not policy_on(stats):
        return stats["paging"]
    return stats["adaptive"]["mode"] if "adaptive" in stats else "spaces"


class Segment:
    """Rounds of one load in one mode.  Times are CPU ns of the emulator since the segment's start."""

    def __init__(self):
        self.cpu_ns = 0  # from the command to the last line
        self.rounds = []  # (end, guest's own ns, checksum)
        self.phases = []  # (begin, name)

    def take(self, since, event, load):
        if isinstance(event, dict):
            return
        word = event.split()
        if len(word) == 4 and word[0] == load:
            self.rounds.append((since, int(word[2]), word[3]))
        elif word[:1] == ["phase"]:
            self.phases.append((since, word[1]))

    def guest_ns(self):
        return sum(ns for _, ns, _ in self.rounds)

    def cpu_per_round(self):
        return self.cpu_ns / len(self.rounds)

    def checksums(self):
        return {checksum for _, _, checksum in self.rounds}

class Wire:
    """A real machine at the other end of a serial cable, in place of an emulator.  Its CPU has no clock of ours: the loads' own
    times count."""

    class Line:
        def __init__(self, path):
            self.file = open(path, "r+b", buffering=0)
            if self.file.isatty():
                tty.setraw(self.file)
                mode = termios.tcgetattr(self.file)
                mode[4] = mode[5] = termios.B115200
                termios.tcsetattr(self.file, termios.TCSANOW, mode)
            self.stdin = self.stdout = self.file

    def __init__(self, path):
        self.process, self.lines = self.Line(path), []

    def close(self):
        self.process.file.close()

    def cpu_ns(self):
        return time.monotonic_ns()

    def tail(self):
        return [line.decode("ascii", "replace") for _, line in self.lines[-12:]]


class LoadMachine:
    def __init__(self, name, machine, log, guest):
        self.name, self.guest, self.machine = name, guest, machine
        self.records, self.refused = [], []
        self.log = open(log, "wb")
        self.rest = b""
        self.ready = selectors.DefaultSelector()
        self.ready.register(self.machine.process.stdout.fileno(), selectors.EVENT_READ)
        self.queue = []

    def close(self):
        self.ready.close()
        self.machine.close()
        self.log.close()

    def boot(self):
        if isinstance(self.machine, Wire):
            self.write(b"\n")  # the command line that may stand there half typed
            self.write(b"?\n")
            self.await_line(lambda line: line.startswith("loads: "), BOOT_LIMIT)
            return
        self.await_line(lambda line: line == "loads: ready", BOOT_LIMIT)

    # --- the serial line --------------------------------------------------------------------------

    def write(self, data):
        try:
            self.machine.process.stdin.write(data)
            self.machine.process.stdin.flush()
        except OSError as why:
            raise BenchError(f"{self.name}: the emulator has ended ({why})") from why

    def read_some(self, seconds):
        """Take what comes within @seconds; False if nothing did."""
        if not self.ready.select(seconds):
            return False
        data = os.read(self.machine.process.stdout.fileno(), 65536)
        if not data:
            raise BenchError(f"{self.name}: the emulator has ended; last lines:\n" + "\n".join(self.machine.tail()))
        self.log.write(data)
        now = self.machine.cpu_ns()
        *whole, self.rest = (self.rest + data).split(b"\n")
        for line in whole:
            self.take(now, line)
        return True

    def take(self, now, line):
        if line.endswith(b"\r\r") and self.guest:
            return  # comes again whole
        line = line.rstrip(b"\r")
        self.machine.lines.append((now, line))
        if line.startswith(RECORD_START):
            try:
                self.queue.append((now, parse_record(line)))
            except RecordError as why:
                self.refused.append(str(why))
        elif not self.guest:
            self.queue.append((now, line.decode("ascii", "replace")))
        else:
            self.guest_line(now, line)

    def guest_line(self, now, line):
        if line.startswith(PREFIX):
            self.queue.append((now, line[len(PREFIX):].decode("ascii", "replace")))

    def events(self, limit):
        """(CPU ns, guest's line or record), as they come."""
        end = time.monotonic() + limit
        while True:
            while self.queue:
                now, event = self.queue.pop(0)
                if isinstance(event, dict):
                    self.records.append((now, event))
                    if event["type"] == "guest" and event.get("event") == "crash":
                        raise BenchError(f"{self.name}: the guest crashed: {event.get('detail')}")
                elif event.startswith("not ok"):
                    raise BenchError(f"{self.name}: {event}")
                yield now, event
            left = end - time.monotonic()
            if left <= 0:
                raise BenchError(f"{self.name}: nothing within {limit} s; last lines:\n" +
                                 "\n".join(self.machine.tail()))
            self.read_some(min(left, 1))

    def await_line(self, wanted, limit):
        for now, event in self.events(limit):
            if isinstance(event, str) and wanted(event):
                return now, event

    def await_record(self, kind, limit):
        for _, event in self.events(limit):
            if isinstance(event, dict) and event["type"] == kind and event.get("guest") == GUEST:
                return event

    def stats(self):
        self.write(STATS)
        return self.await_record("stats", ROUND_LIMIT)

    # --- modes ------------------------------------------------------------------------------------

    def settle(self, wanted, key):
        """Type @key until the stats say what is @wanted; the guest waits for a command meanwhile."""
        for attempt in range(4):
            stats = self.stats()
            if wanted(stats):
                return
            self.write(key)
            for _ in range(20):  # the key is obeyed at the guest's next exit
                if wanted(self.stats()):
                    return
                if attempt % 2 == 0 and policy_on(stats) and not policy_on(self.stats()):
                    break  # the first key only ended the policy
        raise BenchError(f"{self.name}: the key {key!r} had no effect: {stats}")

    def set_mode(self, mode):
        self.settle(lambda stats: not policy_on(stats) and running(stats) == mode, TOGGLE)

    # --- rounds -----------------------------------------------------------------------------------

    def run(self, load, param, rounds):
        """@rounds rounds; the first of a load takes more time, as it is prepared."""
        segment = Segment()
        start = self.machine.cpu_ns()
        self.write(f"{load} {param} {rounds}\n".encode())
        for now, event in self.events(ROUND_LIMIT * (rounds + 1)):
            if not isinstance(event, dict) and event == f"end {load}":
                break
            segment.take(now - start, event, load)
        segment.cpu_ns = segment.guest_ns() if isinstance(self.machine, Wire) else now - start
        if len(segment.rounds) != rounds:
            raise BenchError(f"{self.name}: {len(segment.rounds)} of {rounds} rounds of {load}")
        return segment


def loads_cd(build, counted):
    return "loads.iso" if counted else timed_cd(build, "loads.iso")


def native_machine(build, counted=False, cpus=None):
    directory = os.path.join(build, "bench")
    iso = os.path.join(directory, loads_cd(build, counted))
    machine = Machine(iso, GUEST_MEMORY, counted, debug=False, talk=True, cpus=cpus)
    return LoadMachine("native", machine, os.path.join(directory, "loads-native.log"), False)


def guest_machine(build, name, options="", counted=False, cpus=None):
    iso = guest_medium(build, f"loads-{name}", loads_cd(build, counted), GUEST_MEMORY, f"{GUEST_OPTIONS} exit=qemu {options}".rstrip())
    machine = Machine(iso, GUEST_MEMORY + HOST_EXTRA, counted, debug=False, talk=True, cpus=cpus)
    return LoadMachine(name, machine, os.path.join(build, "bench", f"loads-{name}.log"), True)


def real_machine(build, path):
    return LoadMachine("machine", Wire(path), os.path.join(build, "bench", "loads-machine.log"), False)
