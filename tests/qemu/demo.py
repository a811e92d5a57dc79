# SPDX-License-Identifier: MIT
"""What the tests that boot the demo guest have in common."""
CHECKS = ("memory", "fork", "sleep", "rtc", "cmos", "fpu", "cpus", "cdrom")


def guest(name="alpha", memory="256M", image="demo.iso", more=""):
    """A config section that boots the demo CD."""
    return (f"[guest {name}]\nmemory = {memory}\ncdrom = module:{image}\nboot = cdrom\n{more}\n")


def check_selfcheck(t, m, name="alpha"):
    """The guest's own KTAP: each check there, none failed."""
    lines = m.log.lines(name)
    t.check("KTAP version 1" in lines, f"no KTAP from {name}")
    for number, what in enumerate(CHECKS, 1):
        t.check(any(line.startswith(f"ok {number} {what} ") for line in lines),
                f"{name} does not say: ok {number} {what}")


def run_to_end(t, m, names=("alpha",), limit=120):
    """Boot record to result: every guest of @names runs its self-check and powers off."""
    boot = m.wait_record("boot", 60)
    for name in names:
        m.wait_record("guest", 30, name=name, event="start")
    t.expect_passed(m, *names, limit=limit)
    for name in names:
        check_selfcheck(t, m, name)
        stats = m.log.of_type("stats", guest=name)
        t.check(stats and stats[-1]["exits"], f"no stats record with exits by reason for {name}")
    return boot
