# SPDX-License-Identifier: MIT
"""A guest of two address spaces in turn, one that misses the TLB and one that faults (paging/mixes.c), without
performance counters: looks at accessed bits, priced by the model, have the first one and only it promoted to shadow
tables, whether modes of their own are asked for (paging.per_as=on) or come by themselves (auto); what the guest
writes stays right, and looks cost little. By itself that begins in the first third of the long turns and goes on as long as they do.
Then both take turns so short that loads of CR3 cost more than 1 %: the gate shuts. Catches a policy that never promotes or promotes
the wrong one, auto that begins late or ends while the spaces' advice differs, a gate that stays open."""
import machines

TIER = "ci"
SECONDS = 25
VARIATIONS = {name: {"per_as": name} for name in ("on", "auto")}
NIGHTLY = ("on",)  # auto does all that this does
CONFIG = "[guest alpha]\nmemory = 32M\ncdrom = module:mixes64.iso\nboot = cdrom\n"
WORDS = "paging=adaptive paging.per_as={} pmu=model policy.tick=20ms policy.as_promote=30ms"
WALKER = "0x200000"  # its top table is the first one made
LOOKS_PPM = 5000  # of the guest's cycles: a thousandth, and one round of a run that is short
# As in mixes.c.
SWEPT, SWEPT_END, PAGE = 0x400000, 0x1800000, 4096
PAGES = (SWEPT_END - SWEPT) // PAGE
LONG, SHORT = (150, 16000, 2000), (3000, 100, 1)  # turns, touches and faults in each


def expected():
    """What the guest says of faults and of the pages' counters."""
    counts, random, lines = [0] * PAGES, 1, []
    for turns, touches, faults in (LONG, SHORT):
        for _ in range(turns * touches):
            random = (random * 1664525 + 1013904223) & 0xffffffff
            counts[(random >> 8) % PAGES] += 1
        checksum = 0
        for count in counts:
            checksum = (checksum * 31 + count) & 0xffffffff
        lines += [f"mixes: faults {turns * faults:x}", f"mixes: checksum {checksum:x}"]
    return lines


def ended_only_by_the_gate(t, m, changes):
    """By itself: at once, and until the short turns."""
    by_itself = [r["why"] for r in changes if "mixed" in (r["from"], r["to"])]
    t.check(by_itself == ["differ", "cr3"], f"modes of their own began and ended by {by_itself}")
    start = m.log.of_type("guest", name="alpha", event="bios")[-1]["t_us"]
    differ, shut = (r["t_us"] for r in changes if "mixed" in (r["from"], r["to"]))
    t.check(3 * (differ - start) < shut - start, f"began {differ - start} us after the boot, of {shut - start}")


def run(t, per_as):
    m = machines.start(t, "qemu", t.iso(CONFIG, machines.cmdline("qemu", WORDS.format(per_as))))
    m.wait_line("alpha", "^mixes: short", 200)
    changes = m.log.of_type("paging", guest="alpha")
    t.check(not [r for r in changes if r["why"] == "cr3"], f"the gate shut while turns were long: {changes}")
    m.wait_record("result", 200, guest="alpha")
    said = [line for line in m.log.lines("alpha") if "faults" in line or "checksum" in line]
    t.check(said == expected(), f"the guest says {said}, expected {expected()}")
    changes = m.log.of_type("paging", guest="alpha")
    promoted = {r["space"] for r in changes if r["why"] == "space" and r["to"] == "shadow"}
    t.check(promoted == {WALKER}, f"promoted: {promoted or 'none'}; {changes}")
    t.check(any(r["why"] == "cr3" and r["to"] == "nested" for r in changes), f"the gate did not shut: {changes}")
    if per_as == "auto":
        ended_only_by_the_gate(t, m, changes)
    stats = m.log.of_type("stats", guest="alpha")[-1]
    spaces = stats["spaces"]
    t.check(spaces["promoted"] >= 1 and spaces["to_shadow"] > 50 and spaces["shut"] >= 1, f"{spaces}")
    t.check(spaces["looks"][2] <= stats["guest_cycles"] * LOOKS_PPM // 10**6, f"looks: {spaces['looks']} of {stats['guest_cycles']}")
    machines.ended(t, m, "qemu")
    print(spaces)
