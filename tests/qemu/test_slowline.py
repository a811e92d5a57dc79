# SPDX-License-Identifier: MIT
"""A serial line of a true 115 200 baud: 11 520 bytes a second and no more, however much is said. Two guests print
without pause beside records, of which one in eight arrives damaged and is asked for again. Catches a record that
is lost or cannot be had again, a guest's line that is lost or torn, a guest that starves the other, and a CPU that
waits for the UART (its timers are served late).

QEMU's UART sends a byte when the host's socket takes it: a full socket is a transmitter that is not empty."""
import random
import re
import time

from harness import SLOW, Qemu
from records import RECORD_START

TIER = "ci"
SECONDS = 45
BAUD_BYTES = 11520
ESCAPE = b"\x1d"  # Ctrl-]
LINE = re.compile(r"line (\d+) of a guest that always has something more to say$")
# Time by instructions, so that the host's load does not count as lateness, at a rate at which the machine's time
# passes about as the line's: 32 ns each.
CLOCK = ["-icount", "shift=5,sleep=on"]
# What a timer may wait for: a guest's power-on (450 000 instructions), a stats record made
# and checksummed. Not for a UART: a record of 1000 bytes takes 87 ms on such a line.
LATE_MAX_US, LATE_MEAN_US = 30000, 300


class SlowQemu(Qemu):
    """Reads the serial line at @rate bytes a second; @damage: one record in so many has a byte changed on its way,
    never the same one twice."""

    def __init__(self, *args, rate=BAUD_BYTES, damage=0, **how):
        self.rate, self.damage = rate, damage
        self.began, self.taken, self.raw_bytes, self.line = time.monotonic(), 0, 0, b""
        self.damaged, self.random = set(), random.Random(1)
        super().__init__(*args, extra=CLOCK, clock="real", **how)
        feed, self.log.feed = self.log.feed, lambda data: feed(self.spoil(data))

    def pump(self, seconds):
        end = time.monotonic() + seconds
        while True:
            # The line does not save up what it did not carry.
            now = time.monotonic()
            self.taken = max(self.taken, (now - self.began) * self.rate - self.rate / 10)
            room = int((now - self.began) * self.rate - self.taken)
            if room >= 32 or now >= end:
                break
            time.sleep(0.005)
        if room < 32 or not self.serial:
            return self.serial is not None
        return self.take(room, max(0.0, end - time.monotonic()))

    def take(self, room, seconds):
        before = self.raw_bytes
        alive = super().pump(seconds, room)
        self.raw_bytes = self.raw.tell()
        self.taken += self.raw_bytes - before
        return alive

    def spoil(self, data):
        """Whole lines of @data, some records among them damaged once."""
        *whole, self.line = (self.line + data).split(b"\n")
        return b"".join(map(self.spoil_line, whole))

    def spoil_line(self, line):
        number = re.match(rb'\{"pnb":1,"seq":(\d+),', line)
        if not self.damage or not number or number.group(1) in self.damaged or self.random.randrange(self.damage):
            return line + b"\n"
        self.damaged.add(number.group(1))
        at = self.random.randrange(len(RECORD_START), len(line) - 1)
        return line[:at] + b"#" + line[at + 1:] + b"\n"


def ask_again(m, asked):
    """As a collector does: what is missing is asked for, once in a while."""
    for seq in m.log.missing():
        if time.monotonic() - asked.get(seq, 0) > 5 * SLOW:
            asked[seq] = time.monotonic()
            m.send(ESCAPE + b"r%d-%d\n" % (seq, seq))


def check_lines(t, m, name):
    """Every line that @name printed is there once and whole, but for the last, which its end cut."""
    lines = m.log.lines(name)[:-1]
    found = [LINE.match(line) for line in lines if line.startswith("line ")]
    t.check(all(found), f"{name} has a torn line: {[line for line in lines if not LINE.match(line)][:3]}")
    numbers = [int(hit.group(1)) for hit in found]
    t.check(numbers == list(range(len(numbers))), f"{name}: lines are missing or come twice")
    return len(numbers)


def check_latency(t, m):
    late = [r["timer_late_us"] for r in m.log.of_type("stats")][-1]
    print(f"timers served late: {late}")
    t.check(late["n"] > 100, f"too few timers to tell: {late}")
    t.check(late["to_10"] + late["to_100"] + late["to_1000"] > 0.95 * late["n"], f"timers were served late: {late}")
    t.check(late["max"] <= LATE_MAX_US and late["mean"] <= LATE_MEAN_US, f"timers were served late: {late}")


def config(seconds):
    return "".join(f"[guest {name}]\nmemory = 32M\ncdrom = module:hostile-chatty.iso\nboot = cdrom\n"
                   f"timeout = {seconds}s\n" for name in ("alpha", "beta"))


def run(t, seconds=12):
    """@seconds: of the guests' time."""
    iso = t.iso(config(seconds), "paging=nested exit=stay stats=250ms")
    m = t.boot(iso, emulator=SlowQemu, damage=8)
    asked = {}

    def ended():
        ask_again(m, asked)
        return len(m.log.of_type("result")) == 2
    m.wait_for(ended, 60 + 4 * seconds, "results of both guests")

    def complete():
        ask_again(m, asked)
        return not m.log.missing()
    m.wait_for(complete, 60, "every record")
    stats = m.log.of_type("stats")
    t.check(m.damaged and len(asked) >= len(m.damaged) - 1, f"{len(m.damaged)} damaged, asked for {sorted(asked)}")
    t.check(not m.log.of_type("error"), f"error records: {m.log.of_type('error')}")
    wrong = [e for e in m.log.errors if "#" not in e]
    t.check(not wrong, f"serial format: {wrong[:3]}")
    t.check(all(r["status"] == "timeout" for r in m.log.of_type("result")), "a guest ended by itself")
    said = [check_lines(t, m, name) for name in ("alpha", "beta")]
    t.check(min(said) > 0.7 * max(said), f"one guest starved the other: lines {said}")
    check_latency(t, m)
    last = max(r["t_us"] for r in m.log.records) / 1e6
    print(f"{last:.1f} s of the machine's time, {10 * m.raw_bytes / last:.0f} baud, {len(stats)} stats, "
          f"{len(m.damaged)} damaged, lines {said}, {stats[-1]['records_dropped']} periodic records dropped")
