# SPDX-License-Identifier: MIT
"""The control partition beside two guests on one CPU. Busy guests: it boots every time and its clock keeps
to the machine's RTC. Idle guests: the CPU is halted nearly all the time. Catches a partition that starves
behind guests, ticks that are lost or late enough to bend its clock, and whatever wakes a CPU for nothing."""
import re

import control
import ioguest

TIER = "ci"
SECONDS = 120
NIGHTLY = ("boots-20", "clock")
VARIATIONS = {
    "boots": {"what": "boots", "count": 3},
    # The emulator goes at an eighth of real time: the chatty guest makes 300 000 exits a second.
    "clock": {"what": "boots", "count": 1, "clock": True, "seconds": 240},
    "boots-20": {"what": "boots", "count": 20, "seconds": 800},
    "idle": {"what": "idle"},
}
# Awake for ever, from the first instruction on: a loop, and serial output without pause.
BUSY = """[guest alpha]
memory = 32M
cdrom = module:hostile-cliloop.iso

[guest beta]
memory = 32M
cdrom = module:hostile-chatty.iso
serial = none
"""
# Edges of the RTC's seconds: the second that began, the monotonic clock before the last look that saw the
# old one and after the first that saw the new. The looks take no process, and the shell sleeps until just
# before an edge, because who has slept goes before busy guests: so both looks lie in one slice.
EDGES = """now() { { read x; read x; read x x t x; } </proc/timer_list; }
rtc() { read n </sys/class/rtc/rtc0/since_epoch; }
edge() {
	now; b=$t; rtc; s=$n
	while [ $n = $s ]; do p=$b; now; b=$t; rtc; done
	now; echo edge $n $p $t; e=$t
}
next() { now; usleep $(((e + 1000000000 - t) / 1000 - 6000)); edge; }
edge; next; next; next; next; sleep 25; edge; next; next; next; next
"""
PPM = 500
HALTED = 95


def run(t, what, **more):
    globals()["run_" + what](t, **more)


def type_in(c, path, text):
    """A file, line by line: the line's length is limited."""
    c.shell(f"rm -f {path}")
    for line in text.splitlines():
        line = line.replace("'", "'\\''")
        c.shell(f"echo '{line}' >>{path}")


def narrowest(edges):
    """The edge that is known best: (second, its time and how wrong that may be in ns)."""
    second, before, after = min(edges, key=lambda e: e[2] - e[1])
    return second, (before + after) / 2, (after - before) / 2


def check_clock(t, c):
    type_in(c, "/tmp/edges", EDGES)
    said = c.shell(". /tmp/edges", 300)
    edges = [tuple(map(int, e)) for e in re.findall(r"^edge (\d+) (\d+) (\d+)$", said, re.M)]
    t.check(len(edges) == 10, f"no ten edges of the RTC: {said}")
    (s0, ns0, wrong0), (s1, ns1, wrong1) = narrowest(edges[:5]), narrowest(edges[5:])
    t.check(s1 - s0 >= 25, f"the RTC went {s1 - s0} s")
    ppm = (ns1 - ns0) / 1000 / (s1 - s0) - 1e6
    wrong = (wrong0 + wrong1) / 1000 / (s1 - s0)
    print(f"clock: {ppm:+.0f} ppm, known to {wrong:.0f}, over {s1 - s0} s of the RTC")
    t.check(abs(ppm) + wrong < PPM, f"the clock is {ppm:.0f} ppm off the RTC, known to {wrong:.0f} ppm")


def run_boots(t, count, clock=False):
    iso = t.iso(BUSY, "paging=nested", modules=control.MODULES)
    for number in range(1, count + 1):
        c = control.wait(t, t.boot(iso, clock="typed", extra=["-rtc", "clock=vm"]))
        for name in ("alpha", "beta"):
            c.m.wait_record("guest", 60, name=name, event="start")
        c.shell("true", 60)
        if clock:
            check_clock(t, c)
        c.quiet_kernel()
        t.check(not c.m.log.of_type("error"), f"boot {number}: {c.m.log.of_type('error')}")
        c.power_off()
        ready = c.m.log.of_type("guest", name="control", event="ready")[0]["detail"]
        print(f"boot {number}: ready {ready}")


def idle_us(c):
    said = c.shell("pnctl info", 30)
    up = int(re.search(r"^up_us (\d+)$", said, re.M).group(1))
    return up, [(int(us), int(waits)) for us, waits in
                re.findall(r"^idle\.\d+ us=(\d+) waits=(\d+)$", said, re.M)]


def run_idle(t):
    name = ioguest.cd(t, "idle", "echo idle; exec sleep 100000\n")
    config = "".join(f"[guest {g}]\nmemory = 128M\ncdrom = module:{name}\nboot = cdrom\n\n"
                     for g in ("alpha", "beta"))
    iso = t.iso(config, "paging=nested", modules=control.MODULES, search=("qemu",))
    c = control.start(t, iso=iso)
    for g in ("alpha", "beta"):
        c.m.wait_line(g, "^idle", 120)
    c.shell("sleep 5", 60)
    up, before = idle_us(c)
    c.shell("sleep 20", 120)
    now, after = idle_us(c)
    for cpu, ((us, waits), (us_then, waits_then)) in enumerate(zip(after, before)):
        part = 100 * (us - us_then) / (now - up)
        print(f"CPU {cpu}: halted {part:.1f} % of {(now - up) / 1e6:.0f} s, "
              f"{(waits - waits_then) * 1e6 / (now - up):.0f} times a second")
        t.check(part > HALTED, f"CPU {cpu} was halted {part:.1f} % of the time, expected more than {HALTED} %")
    c.power_off()
