# SPDX-License-Identifier: MIT
"""What the hypervisor estimates of a guest's paging load without performance counters, by the guest's own count
(paging/estimate.c): page faults, CR3 loads and INVLPGs by windows, changed entries of its tables by comparison, pages
touched and a lower bound of TLB misses by accessed bits of the nested tables. Catches an estimate that is off, windows
that let too much through, a watch that does not exit or that the guest sees, nested tables wrong after a look."""
import re

import machines

TIER = "ci"
SECONDS = 20
MACHINES = {"qemu": 20, "bochs-broadwell": 90, "bochs-sandybridge": 90}  # seconds; the last one has no accessed bits
IMAGES = {"ia32": "estimate32", "amd64": "estimate64"}
VARIATIONS = {kernel + f"-{on}" * (on != "qemu"): {"kernel": kernel, "on": on, "seconds": seconds}
              for on, seconds in MACHINES.items() for kernel in IMAGES}
# By shadow tables, whose own accessed bits are looked at; what exits there is counted anyway.
VARIATIONS.update({f"{kernel}-shadow": {"kernel": kernel, "on": "qemu", "paging": "shadow", "seconds": 30} for kernel in IMAGES})
NIGHTLY = tuple(v for v in VARIATIONS if v != "amd64")
CONFIG = "[guest alpha]\nmemory = 24M\ncdrom = module:{}.iso\nboot = cdrom\n"
NEAR = {"faults": 0.35, "cr3_writes": 0.35, "invlpgs": 0.35, "table_writes": 0.15, "pages": 0.10}
TLB_REACH = 2048  # the most entries that the emulators' CPUIDs tell


def said(m):
    """What the guest did, added up over its modes but for pages."""
    counts = {}
    for line in m.log.lines("alpha"):
        found = re.match(r"estimate: \S+ (\w+) (\w+)$", line)
        if found:
            name, n = found.group(1), int(found.group(2), 16)
            counts[name] = n if name == "pages" else counts.get(name, 0) + n
    return counts


def check_near(t, name, told, really):
    t.check(abs(told - really) <= NEAR[name] * really, f"{name}: {told} estimated, {really} in truth")


def run(t, kernel, on, paging="nested"):
    m = machines.start(t, on, t.iso(CONFIG.format(IMAGES[kernel]), machines.cmdline(on, f"paging={paging} watch=20ms")))
    m.wait_record("result", 200, guest="alpha")
    really = said(m)
    stats = [r for r in m.log.records if r["type"] == "stats" and r["guest"] == "alpha"][-1]
    told = stats["estimates"]
    t.check(len(really) == 6 and really["faults"] == really["cr3_writes"], f"the guest says {really}")
    blind = on == "bochs-sandybridge"
    heard = ("faults", "cr3_writes", "invlpgs") if paging == "nested" else ()
    for name in heard + ("table_writes",) + ("pages",) * (not blind):
        check_near(t, name, told[name], really[name])
    if blind:
        t.check(told["pages"] == 0 and told["walks"] == 0, f"pages without accessed bits: {told}")
    else:
        least = (really["pages"] - TLB_REACH) * told["ms"] // 20
        t.check(max(least, 1) <= told["walks"] <= really["touches"], f"walks: {told['walks']}; {really}")
    if heard:
        t.check(all(0 < n < really["faults"] / 4 for n in told["heard"]), f"heard of {told['heard']} of {really}")
    machines.ended(t, m, on)
