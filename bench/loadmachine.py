# SPDX-License-Identifier: MIT
"""A machine that runs the loads (bench/loads) on command: native, or a guest whose paging mode is changed from outside."""
import os
import selectors
import sys
import time

from machine import BenchError, Machine

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests", "qemu"))
from records import RECORD_START, RecordError, parse_record  # noqa: E402 (needs the path set above)

GUEST = "alpha"
PREFIX = GUEST.encode() + b"| "
KEY = b"\x1d"
TOGGLE = KEY + b"m"
STATS = KEY + b"s"
BOOT_LIMIT = 300  # seconds; hosts may be loaded
ROUND_LIMIT = 240  # for one line
STATIC = ("nested", "shadow")


class Segment:
    """Rounds of one load in one mode."""

    def __init__(self, mode):
        self.mode = mode
        self.cpu_ns = 0  # of the emulator, from the command to the last line
        self.rounds = []  # (cpu_ns of the round's end since the start, guest's own ns, checksum)
        self.switches = []  # (cpu_ns since the start, record)
        self.phases = []  # (cpu_ns since the start, name)

    def guest_ns(self):
        return sum(ns for _, ns, _ in self.rounds)

    def cpu_per_round(self):
        return self.cpu_ns / len(self.rounds)

    def checksums(self):
        return {checksum for _, _, checksum in self.rounds}


class LoadMachine:
    def __init__(self, name, iso, memory, log, guest, counted=False):
        self.name, self.guest, self.mode = name, guest, None
        self.records, self.refused = [], []
        self.log = open(log, "wb")
        self.machine = Machine(iso, memory, counted, debug=False, talk=True)
        self.rest = b""
        self.ready = selectors.DefaultSelector()
        self.ready.register(self.machine.process.stdout.fileno(), selectors.EVENT_READ)
        self.queue = []

    def close(self):
        self.ready.close()
        self.machine.close()
        self.log.close()

    def boot(self):
        self.await_line(lambda line: line == "loads: ready", BOOT_LIMIT)
        if self.guest:
            self.mode = self.stats()["paging"]

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
        elif line.startswith(PREFIX):
            self.queue.append((now, line[len(PREFIX):].decode("ascii", "replace")))

    def events(self, limit):
        """(CPU ns, guest's line or record), as they come."""
        end = time.monotonic() + limit
        while True:
            while self.queue:
                now, event = self.queue.pop(0)
                if isinstance(event, dict):
                    self.records.append((now, event))
                    if event["type"] == "paging" and "to" in event:
                        self.mode = event["to"]
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

    def set_static(self, mode):
        """By the key that toggles; the guest waits for a command meanwhile."""
        self.mode = self.stats()["paging"]
        for _ in range(2):
            if self.mode == mode:
                return
            self.write(TOGGLE)
            self.await_record("paging", ROUND_LIMIT)
        if self.mode != mode:
            raise BenchError(f"{self.name}: the guest stays in paging={self.mode}")

    # --- rounds -----------------------------------------------------------------------------------

    def run(self, load, param, rounds, mode=None):
        """@rounds rounds; for the first of a load more time passes, as it is prepared."""
        segment = Segment(mode or self.mode)
        start = self.machine.cpu_ns()
        self.write(f"{load} {param} {rounds}\n".encode())
        for now, event in self.events(ROUND_LIMIT * (rounds + 1)):
            since = now - start
            if isinstance(event, dict):
                if event["type"] == "paging":
                    segment.switches.append((since, event))
                continue
            word = event.split()
            if len(word) == 4 and word[0] == load:
                segment.rounds.append((since, int(word[2]), word[3]))
            elif word[:1] == ["phase"]:
                segment.phases.append((since, word[1]))
            elif word == ["end", load]:
                segment.cpu_ns = since
                if len(segment.rounds) != rounds:
                    raise BenchError(f"{self.name}: {len(segment.rounds)} of {rounds} rounds of {load}")
                return segment
