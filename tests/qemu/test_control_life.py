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
    "clock": {"what": "boots", "count": 1, "clock": True},
    "boots-20": {"what": "boots", "count": 20},
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
# Lines when the RTC's second and the monotonic clock are read: at the RTC's edges, 60 of its seconds apart.
EDGES = """edge() {
	s=$(cat /sys/class/rtc/rtc0/since_epoch); n=$s
	while [ $n = $s ]; do n=$(cat /sys/class/rtc/rtc0/since_epoch); done
	echo edge $n $(sed -n 's/^now at \\([0-9]*\\) nsecs/\\1/p' /proc/timer_list | head -n 1)
}
edge; sleep 59; edge
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


def check_clock(t, c):
    type_in(c, "/tmp/edges", EDGES)
    said = c.shell(". /tmp/edges", 300)
    edges = [(int(s), int(ns)) for s, ns in re.findall(r"^edge (\d+) (\d+)$", said, re.M)]
    t.check(len(edges) == 2, f"no two edges of the RTC: {said}")
    (s0, ns0), (s1, ns1) = edges
    t.check(s1 - s0 >= 59, f"the RTC went {s1 - s0} s")
    ppm = (ns1 - ns0) / 1000 / (s1 - s0) - 1e6
    print(f"clock: {ppm:+.0f} ppm over {s1 - s0} s of the RTC")
    # How long after an edge it is seen is part of what is measured: a slice of a guest's, at both ends.
    t.check(abs(ppm) < PPM, f"the clock is {ppm:.0f} ppm off the RTC")


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
