# SPDX-License-Identifier: MIT
"""Guests side by side: one machine and one CPU of it, several guests with the same load, each in a paging mode of its own.  They take turns of
milliseconds, so whatever makes the host slower for a second makes all of them slower; how much CPU each has had the hypervisor counts (`ran_us` of
the `stats` record).  What is compared is CPU time for a round of the load."""
import bisect
import math
import os
import time

from loadmachine import BOOT_LIMIT, GUEST_MEMORY, HOST_EXTRA, KEY, ROUND_LIMIT, STATIC, STATS, LoadMachine, Wire, loads_cd, policy_on, running
from machine import BenchError, Machine
from media import guests_medium

GUESTS = ("a", "b", "c")
MACHINE_MEMORY = len(GUESTS) * GUEST_MEMORY + HOST_EXTRA
OPTIONS = "paging=adaptive control=off exit=qemu"
MODE_KEY = {"nested": b"N", "shadow": b"S", "policy": b"P"}
COMMAND_NS = 2500000000  # of a guest's clock that one command takes, roughly: between two of them it waits for us
ROUNDS_MAX = 40
ROUNDS = 2  # whole ones that a block has at least
SAMPLE_SECONDS = 1.0
IDLE_TICKS = 20  # of so many one counts at least, or something is wrong


def busy_ticks(stats):
    """0 where address spaces have modes of their own: nobody counts ticks there."""
    adaptive = stats.get("adaptive", {"ticks": 0})
    return adaptive["ticks"] - adaptive.get("reasons", {}).get("idle", 0)


class Course:
    """What one guest does, as it is told: times are the machine's clock (ns), which all guests share."""

    def __init__(self):
        self.ran = []  # (when, us of CPU time so far)
        self.rounds = []  # (when, checksum)
        self.changes = []  # (when, paging record)
        self.phases = []  # (begin, name)
        self.stats = None

    def note_stats(self, now, stats):
        self.ran.append((now, stats["ran_us"]))
        self.stats = stats

    def note_line(self, now, words, load):
        if len(words) == 4 and words[0] == load:
            self.rounds.append((now, words[3]))
        elif words[:1] == ["phase"]:
            self.phases.append((now, words[1]))

    def ran_at(self, when):
        """us of CPU time, between two records in proportion."""
        i = min(max(bisect.bisect(self.ran, (when,)), 1), len(self.ran) - 1)
        (t0, us0), (t1, us1) = self.ran[i - 1], self.ran[i]
        return us0 + (us1 - us0) * (when - t0) / (t1 - t0)

    def rounds_between(self, begin, end):
        """Times of the ends of rounds."""
        return [when for when, _ in self.rounds if begin <= when <= end]

    def piece(self, begin, end, speed=1.0):
        """Whole rounds from the first end of one on, in ms of its CPU time since then, times @speed; None without one."""
        ends = self.rounds_between(begin, end)
        if len(ends) < 2:
            return None
        first, last = ends[0], ends[-1]

        def ms(when):
            return round(speed * (self.ran_at(when) - self.ran_at(first)) / 1000, 3)
        return {"rounds": len(ends) - 1, "cpu_ms": ms(last), "cpu_ms_per_round": round(ms(last) / (len(ends) - 1), 4),
                "round_ends": [ms(when) for when in ends[1:]],
                "phases": [[ms(when), name] for when, name in self.phases if first <= when < last],
                "decisions": [[ms(when), r["to"], r.get("reason", r.get("why"))] for when, r in self.changes if first <= when < last],
                "checksums": sorted({checksum for when, checksum in self.rounds if begin <= when <= end})}


class Beside(LoadMachine):
    """@policy: words for the command line."""

    def __init__(self, build, name, machine, policy):
        super().__init__(name, machine, os.path.join(build, "bench", f"beside-{name}.log"), True)
        self.policy = policy
        self.course = {guest: Course() for guest in GUESTS}
        self.ready_guests = set()
        self.load, self.param = None, None
        self.at_work, self.resting = set(), set()
        self.command_rounds = 1

    # --- the serial line --------------------------------------------------------------------------

    def guest_line(self, now, line):
        name, bar, text = line.partition(b"| ")
        guest = name.decode("ascii", "replace")
        if bar and guest in GUESTS:
            self.queue.append((now, (guest, text.decode("ascii", "replace"))))

    def boot(self):
        if isinstance(self.machine, Wire):
            for guest in GUESTS:
                self.type_to(guest, "")  # the command line that may stand there half typed
                self.type_to(guest, "?")
        self.pump(lambda: len(self.ready_guests) == len(GUESTS), BOOT_LIMIT)

    def type_to(self, guest, line):
        focus = b"%d" % (GUESTS.index(guest) + 1)
        self.write(KEY + focus + line.encode() + b"\n" + KEY + b"-")

    def pump(self, done, limit):
        """Take what comes until @done()."""
        end = time.monotonic() + limit
        while not done():
            if time.monotonic() > end:
                raise BenchError(f"{self.name}: not within {limit} s; last lines:\n" + "\n".join(self.machine.tail()))
            self.read_some(0.2)
            while self.queue:
                self.note(*self.queue.pop(0))

    def note(self, now, event):
        if isinstance(event, dict):
            self.note_record(now, event)
            return
        guest, text = event
        if text.startswith("not ok"):
            raise BenchError(f"{self.name}: {guest}: {text}")
        words = text.split()
        if text.startswith("loads: "):
            self.ready_guests.add(guest)
        elif words[:1] == ["end"]:
            self.at_work.discard(guest)
            self.go_on(guest)
        else:
            self.course[guest].note_line(now, words, self.load)
            if len(words) == 4 and words[0] == self.load:
                self.command_rounds = max(1, min(ROUNDS_MAX, COMMAND_NS // max(int(words[2]), 1)))

    def note_record(self, now, record):
        if record["type"] == "error" or (record["type"] == "guest" and record.get("event") == "crash"):
            raise BenchError(f"{self.name}: {record}")
        course = self.course.get(record.get("guest"))
        if course and record["type"] == "stats":
            course.note_stats(now, record)
        elif course and record["type"] == "paging" and record.get("why") != "space":  # which is one address space's
            course.changes.append((now, record))

    # --- the load ---------------------------------------------------------------------------------

    def go_on(self, guest):
        if self.load and guest not in self.at_work | self.resting:
            self.at_work.add(guest)
            self.type_to(guest, f"{self.load} {self.param} {self.command_rounds}")

    def begin(self, load, param):
        """All guests run it from now on; each has prepared it, and done a round."""
        if (load, param) == (self.load, self.param):
            return
        self.end()
        self.load, self.param, self.command_rounds = load, param, 1
        self.resting.clear()
        for guest in GUESTS:
            self.course[guest] = Course()
            self.go_on(guest)
        self.pump(lambda: all(self.course[guest].rounds for guest in GUESTS), ROUND_LIMIT)

    def end(self):
        self.load = None
        self.pump(lambda: not self.at_work, ROUND_LIMIT)

    def let_rest(self, guests):
        """These wait for a command; all others work."""
        self.resting = set(guests)
        self.pump(lambda: not self.at_work & self.resting, ROUND_LIMIT)
        for guest in GUESTS:
            self.go_on(guest)

    # --- modes and samples ------------------------------------------------------------------------

    def sample(self):
        """guest -> stats."""
        for course in self.course.values():
            course.stats = None
        self.write(STATS)
        self.pump(lambda: all(course.stats for course in self.course.values()), ROUND_LIMIT)
        return {guest: course.stats for guest, course in self.course.items()}

    def wait(self, seconds):
        end = time.monotonic() + seconds
        self.pump(lambda: time.monotonic() >= end, seconds + ROUND_LIMIT)

    def set_modes(self, modes):
        """guest -> nested, shadow or policy, which starts anew."""
        for guest, mode in modes.items():
            number = b"%d\r" % (GUESTS.index(guest) + 1)
            if mode == "policy":  # another one may be on
                self.write(KEY + MODE_KEY[running_static(self.course[guest].stats)] + number)
            self.write(KEY + MODE_KEY[mode] + number)
        for _ in range(20):
            now = self.sample()
            if all(has_mode(now[guest], mode) for guest, mode in modes.items()):
                return now
        raise BenchError(f"{self.name}: {modes} were asked for; paging is {[now[guest]['paging'] for guest in modes]}")

    # --- measuring --------------------------------------------------------------------------------

    def measure(self, modes, spans, ticks_of, rounds):
        """guest -> what it did, in @modes.  @spans: ticks of the first, which is apart, and of what counts; each guest has CPU time for as many
        (@ticks_of[0] us each), a policy has as many (@ticks_of[1]: (stats, stats) -> ticks between them), and each of @rounds
        (guest -> number) does as many whole rounds in what counts."""
        tick_us, policy_ticks = ticks_of

        def ticked(ticks, since, now):
            return all(self.ran(guest, since, now) >= ticks * tick_us and
                       (mode != "policy" or policy_ticks(since[guest], now[guest]) >= ticks) for guest, mode in modes.items())

        def worked():
            return all(len(self.course[guest].rounds_between(begin, math.inf)) > n for guest, n in rounds.items())

        self.let_rest(guest for guest in GUESTS if guest not in modes)
        self.sample()
        start = self.set_modes(modes)
        before = self.until(lambda now: ticked(spans[0], start, now), start)
        begin = self.now_of(modes)
        after = self.until(lambda now: ticked(spans[1], before, now) and worked(), before)
        return {guest: self.piece(guest, begin, (start[guest], before[guest], after[guest]),
                                  policy_ticks(before[guest], after[guest]) if mode == "policy" else None) for guest, mode in modes.items()}

    def now_of(self, guests):
        """When the last sample was whole."""
        return max(self.course[guest].ran[-1][0] for guest in guests)

    @staticmethod
    def ran(guest, before, after):
        return after[guest]["ran_us"] - before[guest]["ran_us"]

    def until(self, enough, start):
        now, end = start, time.monotonic() + ROUND_LIMIT
        while not enough(now):
            if time.monotonic() > end:
                raise BenchError(f"{self.name}: {self.load}: not enough within {ROUND_LIMIT} s")
            self.wait(SAMPLE_SECONDS)
            now = self.sample()
        return now

    def piece(self, guest, begin, stats, ticks):
        course, (start, before, after) = self.course[guest], stats
        speed = host_share(course, before, after)
        found = course.piece(begin, math.inf, speed)
        if not found:
            return None
        first = first_share(course, start, before, speed, found)
        spells = spells_of(found, running(before))
        return {**found, "ticks": ticks, "first_cpu_ms_per_round": first, "spells": spells,
                "mode_ms": {mode: after["modes"].get(mode, 0) - before["modes"].get(mode, 0) for mode in STATIC},
                "switches": after["switches"] - before["switches"], "ran_ms": round(speed * (after["ran_us"] - before["ran_us"]) / 1000, 3),
                "guest_cycles": after["guest_cycles"] - before["guest_cycles"], "exits": exits_between(before, after)}


def running_static(stats):
    """To go back to, so that a policy begins from what runs."""
    mode = running(stats)
    return mode if mode in STATIC else "nested"


def has_mode(stats, mode):
    return policy_on(stats) if mode == "policy" else stats["paging"] == mode


def host_share(course, before, after):
    """Of the machine's time the emulator's CPU time: what the host gave to others is no guest's, and natively does not count."""
    begin, end = (next(when for when, us in course.ran if us >= stats["ran_us"]) for stats in (before, after))
    return (end - begin) / 1000 / (after["t_us"] - before["t_us"])


def first_share(course, start, before, speed, found):
    """ms of CPU time a round while the first ticks passed, rounds by proportion; None without the end of one."""
    begin, end = (next(when for when, us in course.ran if us >= stats["ran_us"]) for stats in (start, before))
    done = len(course.rounds_between(begin, end))
    return round(speed * (before["ran_us"] - start["ran_us"]) / 1000 / done, 4) if done else found["cpu_ms_per_round"]


def spells_of(found, first):
    """[begin, end, mode] of each stretch in one mode."""
    spells = [[0, found["cpu_ms"], first]]
    for when, mode, _ in found["decisions"]:
        if mode != spells[-1][2]:
            spells[-1][1] = when
            spells.append([when, found["cpu_ms"], mode])
    return spells


def exits_between(before, after):
    """reason -> [count, cycles]."""
    found = {}
    for reason, (count, cycles) in after["exits"].items():
        old = before["exits"].get(reason, [0, 0])
        if count > old[0]:
            found[reason] = [count - old[0], cycles - old[1]]
    return found


# --- machines ---------------------------------------------------------------------------------------------


def medium(build, name, policy, cd):
    guests = {guest: {"memory": f"{GUEST_MEMORY}M", "cdrom": f"module:{cd}", "boot": "cdrom"} for guest in GUESTS}
    return guests_medium(build, f"beside-{name}", guests, f"{OPTIONS} {policy}")


def emulated(build, name, policy, cpus=None):
    iso = medium(build, name, policy, loads_cd(build, False))
    return Beside(build, name, Machine(iso, MACHINE_MEMORY, False, debug=False, talk=True, cpus=cpus), policy)


def real(build, path):
    return Beside(build, "machine", Wire(path), "")
