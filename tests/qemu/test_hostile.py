# SPDX-License-Identifier: MIT
"""Guests that misbehave (hostile/hostile.c), several in one boot beside good ones. Each ends as it deserves and is
reported by record; the good ones pass; the hypervisor answers keys after them. Catches whatever a guest can
do to stop the hypervisor, starve another guest, or cost a record.

The guest "wait" idles until it gets a key, which the test sends when all others have ended: it keeps the machine up
and shows that timers, interrupts and the serial line survived them."""
import itertools
import re
import time

import machines
from harness import QEMU_FAIL, Skip

TIER = "ci"
SECONDS = 14
ESCAPE = b"\x1d"  # Ctrl-]

# How each ends: status, event of the guest record, detail. A timeout is for those that never end.
OFF = ("pass", "exit", r"powered off$")
TIMEOUT = ("timeout", "timeout", r"timeout of [28]000 ms$")
ENDS = {
    "triple": ("fail", "crash", r"5 triple faults in a row$"),
    "cliloop": TIMEOUT,
    "hltoff": ("fail", "exit", r"HLT with interrupts off"),
    "badcr3": ("fail", "crash", r"page table outside RAM at gpa 0xd0000"),
    "badstack": ("fail", "crash", r"event delivery outside RAM at gpa 0xd0000060$"),
    "resets": TIMEOUT,
    "flood": TIMEOUT,
    "ports": OFF, "mmio": OFF, "tables": OFF, "virt": OFF, "msrs": OFF, "desc": OFF, "cr": OFF, "storm": OFF,
    "tablesout": ("fail", "crash", r"page table outside RAM at gpa 0x"),
    "lme": ("pass", "exit", r"wrote 0x10 to port 0xf4$"),
    "ipi": OFF, "disk": OFF, "debug": OFF,
}
# The walk is software's there: tables out of RAM read as ones, as on a bus without an answer.
SHADOW_ENDS = dict(ENDS, badcr3=ENDS["triple"], tablesout=OFF)
SETS = (
    ("triple", "cliloop", "ports"), ("badcr3", "flood", "mmio"), ("hltoff", "badstack", "resets"),
    ("tables", "tablesout", "virt"), ("msrs", "desc", "cr"), ("lme", "storm", "ipi"), ("disk", "debug", "flood"),
)
# On Bochs what the emulator itself cannot do stands alone, so that only that is skipped.
INTEL_SETS = SETS[:4] + (("msrs", "cr"), ("desc",)) + SETS[5:]
BOCHS_SETS = {
    "bochs-broadwell": INTEL_SETS,
    "bochs-skylake": INTEL_SETS,
    "bochs-sandybridge": INTEL_SETS,
    "bochs-ryzen": (("triple",), ("cliloop",), ("ports",)) + SETS[1:4] + (("msrs", "cr"), ("desc",)) + SETS[5:6] +
                   (("disk", "flood"), ("debug",)),
}


def variations():
    """Every set on 1 CPU and on 4, shipped and with the debug build's assertions; two of them in CI."""
    yield "1cpu", {"bad": SETS[0], "cpus": 1}
    yield "4cpus", {"bad": SETS[1], "cpus": 4}
    yield "slow", {"bad": ("slow",), "cpus": 1}
    yield "stalled", {"bad": ("flood", "resets"), "cpus": 1, "stall": 10}
    yield "demo", {"bad": ("triple", "cliloop", "ports"), "cpus": 1, "good": "demo"}
    for on, sets in BOCHS_SETS.items():
        for bad in sets:
            yield f"{'-'.join(bad)}-{on}", {"bad": bad, "cpus": 1, "on": on, "seconds": 60}
    for on, sets in (("bochs-broadwell", INTEL_SETS), ("bochs-turion", BOCHS_SETS["bochs-ryzen"])):
        for bad in sets:
            yield f"{'-'.join(bad)}-shadow-{on}", {"bad": bad, "cpus": 1, "on": on, "paging": "shadow", "seconds": 60}
    for bad, paging in itertools.product(SETS, machines.SHADOW):
        yield f"{'-'.join(bad)}-{paging}", {"bad": bad, "cpus": 1, "paging": paging}
    yield "1cpu-shadow", {"bad": ("tablesout", "tables", "cr"), "cpus": 1, "paging": "shadow"}
    for bad, cpus, debug in itertools.product(SETS, (1, 4), (False, True)):
        yield f"{'-'.join(bad)}-{cpus}cpu{'-debug' * debug}", {"bad": bad, "cpus": cpus, "debug": debug}


VARIATIONS = dict(variations())
NIGHTLY = tuple(v for v in VARIATIONS
                if v not in ("1cpu", "4cpus", "slow", "1cpu-shadow", "triple-cliloop-ports-bochs-broadwell"))


def section(name, image, memory=32, timeout=None):
    limit = f"timeout = {timeout}\n" if timeout else ""
    return f"[guest {name}]\nmemory = {memory}M\ncdrom = module:{image}.iso\nboot = cdrom\n{limit}\n"


def medium(t, bad, good, debug, timeout="2s", on="qemu", words="paging=nested"):
    config = section("wait", "hostile-wait") if good else ""
    for name in bad:
        config += section(name, f"hostile-{name}", timeout=timeout)
    if good:
        config += section("good", good, memory=192 if good == "demo" else 32)
    return t.iso(config, machines.cmdline(on, words), search=("guests", "bench"),
                 elf="debug/penumbra.elf" if debug else "penumbra.elf")


def check_crash(t, record):
    """A crash shows where the guest was."""
    regs = record.get("regs", {})
    missing = {"rip", "rflags", "rax", "r15", "cs", "tr", "gdt", "idt", "cr0", "cr2", "cr3", "cr4", "efer"} - set(regs)
    t.check(not missing, f"crash record without {sorted(missing)}: {record}")
    t.check(re.fullmatch(r"([0-9a-f]{2}){0,15}", record["code"]), f"crash record's code: {record}")
    t.check(int(regs["rip"], 16) >= 0x7c00, f"RIP of a crash in the test kernel: {record}")


def check_end(t, m, name, ends):
    """@name ended as it deserves; a kernel that survives its deeds said so."""
    status, event, detail = ends
    result = m.wait_record("result", 120, guest=name)
    t.check(result["status"] == status and re.match(detail, result["detail"]),
            f"{name} ended with {result['status']}, {result['detail']!r}; expected {status}, {detail!r}")
    last = m.log.of_type("guest", name=name)[-1]
    t.check(last["event"] == event and last["detail"] == result["detail"],
            f"last guest record of {name}: {last}")
    if event == "crash":
        check_crash(t, last)
    if status == "pass" and name in ENDS:
        t.check(f"ok {name}" in m.log.lines(name), f"{name} did not say: ok {name}")


def check_alive(t, m):
    """The hypervisor answers a key, and the waiting guest one of its own."""
    m.wait_line("wait", "hostile wait: begin", 60)
    before = m.log.records[-1]["seq"]
    m.send(ESCAPE + b"s")
    stats = m.wait_record("stats", 20, guest="wait", seq=lambda seq: seq > before)
    t.check(stats["exits"].get("hlt", [0])[0] > 0, f"the waiting guest did not idle: {stats}")
    t.check(0 < stats["guest_cycles"] < 1 << 62, f"guest cycles: {stats['guest_cycles']}")
    m.send(b"q")
    check_end(t, m, "wait", OFF)


def slow_triples(t, m):
    """Triple faults more than ten seconds apart are resets, however many."""
    check_end(t, m, "slow", ("timeout", "timeout", r"timeout of 80000 ms$"))
    resets = m.log.of_type("guest", name="slow", event="reset")
    t.check(len(resets) >= 6 and all(r["detail"] == "triple fault" for r in resets),
            f"resets of a slow triple-faulter: {resets}")
    t.check(m.finish(30) == QEMU_FAIL, "exit=qemu after a timeout")
    t.check_log(m)


def run(t, bad, cpus, good="nano", debug=False, stall=0, on="qemu", paging="nested"):
    """stall: seconds in which nobody reads the serial line, so that it takes nothing more."""
    if bad == ("slow",):
        slow_triples(t, t.boot(medium(t, bad, None, debug, timeout="80s"), cpus=cpus))
        return
    ends = SHADOW_ENDS if paging in machines.SHADOW else ENDS
    cannot = machines.bugs(on)
    if set(bad) & set(cannot):
        raise Skip("; ".join(cannot[name] for name in bad if name in cannot))
    # Bochs's CPU is slow by its own clock: 100 million instructions a second.
    limit = "2s" if on == "qemu" else "25s" if "storm" in bad else "8s"
    words = machines.SHADOW.get(paging, "paging=nested")
    iso = medium(t, bad, good, debug, timeout=limit, on=on, words=words)
    # Without a display to draw on, a flood comes much faster.
    m = machines.start(t, on, iso, cpus=cpus, words=words, clock="typed", vga=not stall)
    boot = m.wait_record("boot", 60)
    t.check(boot["debug"] == int(debug), f"not the build that was asked for: {boot}")
    if stall:
        m.wait_record("guest", 30, name="resets", event="reset")
        time.sleep(stall)
    for name in bad:
        check_end(t, m, name, ends[name])
    check_end(t, m, "good", OFF)
    check_alive(t, m)
    machines.ended(t, m, on, passed=all(ends[name][0] == "pass" for name in bad))
    t.check(not m.log.of_type("error"), f"error records: {m.log.of_type('error')}")
