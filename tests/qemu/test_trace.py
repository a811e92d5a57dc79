# SPDX-License-Identifier: MIT
"""trace=exits: entries exported as records are whole, numbered without gap, and add up, count and cycles, to what
`stats` says; where most were overwritten, the counts still do. And what it costs: nothing off, at most 60
instructions an exit on. Catches an exit that is not recorded, recorded twice or charged with another's cycles."""
import base64
import re
import struct
from collections import Counter

from harness import QEMU_PASS

TIER = "ci"
SECONDS = 30
ESCAPE = b"\x1d"  # Ctrl-]
ENTRY = struct.Struct("<QQIIIBBBB")  # include/penumbra/trace.h
COST = 60  # instructions
LOOPS = ("k_cpuid_0", "k_in61", "k_rdmsr", "k_mmio_apic", "k_cr8")


def section(name, image):
    return f"[guest {name}]\nmemory = 32M\ncdrom = module:{image}.iso\nboot = cdrom\n"


def entries(t, m):
    """Exported entries by CPU, and the record that ends them."""
    end = m.wait_record("trace", 120, event="end")
    found = {}
    for r in m.log.of_type("trace", event="data"):
        t.check(r["seq"] == 0, f"trace data has a number: {r['seq']}")
        mine = found.setdefault(r["cpu"], [])
        part = list(ENTRY.iter_unpack(base64.b64decode(r["data"], validate=True)))
        t.check(len(part) == r["n"], f"{len(part)} entries, n = {r['n']}")
        for i, e in enumerate(part):
            t.check(e[2] == r["from"] + i and e[6] == r["cpu"], f"entry {e} at {r['from']} + {i} of CPU {r['cpu']}")
        mine += part
    for c in end["cpus"]:
        numbers = [e[2] for e in found.get(c["cpu"], [])]
        t.check(c["lost"] == 0 and numbers == list(range(c["from"], c["to"])),
                f"CPU {c['cpu']}: entries {numbers[:1]}..{numbers[-1:]}, expected {c}")
        times = [e[0] for e in found.get(c["cpu"], [])]
        t.check(times == sorted(times), f"CPU {c['cpu']}: exits out of order")
    return found, {c["cpu"]: c for c in end["cpus"]}


def stats_now(t, m, name):
    """The guest's stats, asked for by key, and the trace's counts that come with them."""
    before = m.log.records[-1]["t_us"]
    m.send(ESCAPE + b"s")
    stats = m.wait_record("stats", 30, guest=name, t_us=lambda at: at > before)
    counts = m.wait_record("trace", 30, event="counts", guest=name, t_us=lambda at: at > before)
    check_counts(t, stats, counts)
    return stats


def check_counts(t, stats, counts):
    want = {reason: n for reason, (n, _) in stats["exits"].items()}
    t.check(counts["exits"] == want, f"trace counts {counts['exits']}, stats {want}")


def sums(t, start, found, guest):
    """Count and cycles by reason of one guest's entries."""
    count, cycles = Counter(), Counter()
    for e in found:
        if start["guests"][e[5]] != guest:
            continue
        reason = start["reasons"][e[7] & 0x3f]
        count[reason] += 1
        cycles[reason] += e[3]
    return {reason: [count[reason], cycles[reason]] for reason in count}


def adds_up(t):
    config = section("wait", "hostile-wait") + section("busy", "nano")
    m = t.boot(t.iso(config, "paging=nested exit=qemu trace=exits", search=("guests", "bench")), cpus=2, clock="typed")
    start = m.wait_record("trace", 60, event="start")
    t.check(start["guests"] == ["control", "wait", "busy"], f"guests of the trace: {start}")
    m.wait_record("result", 120, guest="busy", status="pass")
    check_counts(t, m.log.of_type("stats", guest="busy")[-1], m.log.of_type("trace", event="counts", guest="busy")[-1])
    m.wait_line("wait", "hostile wait: begin", 60)
    m.send(ESCAPE + b"p")
    m.wait_line("hv", "^wait paused$", 20)
    m.send(ESCAPE + b"T")
    found, parts = entries(t, m)
    stats = stats_now(t, m, "wait")
    busy_cpu, wait_cpu = m.log.of_type("stats", guest="busy")[-1]["cpu"], stats["cpu"]
    t.check(busy_cpu != wait_cpu, "two CPUs, but one was used")
    t.check(parts[wait_cpu]["from"] == 0, f"the idle guest's ring went round: {parts[wait_cpu]}")
    # What came before the first entry is charged to no exit.
    want = {reason: v for reason, v in stats["exits"].items() if reason != "none"}
    got = sums(t, start, found[wait_cpu], "wait")
    t.check(got == want, f"entries add up to {got}, stats say {want}")
    total = m.log.of_type("stats", guest="busy")[-1]["exits_total"]
    t.check(parts[busy_cpu]["to"] == total, f"{parts[busy_cpu]['to']} entries made, {total} exits")
    t.check(len(found[busy_cpu]) >= start["entries"] - 1, "the busy guest's ring was not full")
    ports = Counter(e[4] & 0xffff for e in found[busy_cpu] if start["reasons"][e[7] & 0x3f] == "io")
    t.check(ports.most_common(1)[0][0] in (0x3f8, 0x3fd), f"ports of a guest that printed: {ports}")
    m.send(ESCAPE + b"t")
    m.wait_line("hv", r"^trace: cpu \d+ #\d+ tsc \d+ guest [12] \w+ 0x[0-9a-f]+ rip 0x[0-9a-f]+ cycles \d+$", 20)
    m.send(ESCAPE + b"p")
    m.wait_line("hv", "^wait resumed$", 20)
    m.send(b"q")
    m.wait_record("result", 30, guest="wait", status="pass")
    t.check(m.finish(30) == QEMU_PASS, "exit=qemu after two passes")
    t.check_log(m)


def loops(t, cmdline):
    """Instructions of each loop's turn."""
    m = t.boot(t.iso(section("alpha", "nano"), f"paging=nested exit=qemu {cmdline}", search=("bench",)),
               clock="real", extra=["-icount", "shift=0,sleep=off"])
    m.wait_record("result", 120, status="pass")
    text = "\n".join(m.log.lines("alpha"))
    m.stop()
    return {name: float(re.search(rf"BENCH {name} tsc_per_op_min ([0-9.]+)", text).group(1)) for name in LOOPS}


def cost(t):
    off, on = loops(t, "trace=off"), loops(t, "trace=exits")
    more = {name: round(on[name] - off[name], 1) for name in LOOPS}
    print(f"instructions that trace=exits adds: {more}")
    t.check(all(0 < n <= COST for n in more.values()), f"trace=exits adds {more}, at most {COST} expected")


VARIATIONS = {"adds-up": {"what": adds_up}, "cost": {"what": cost}}


def run(t, what):
    what(t)
