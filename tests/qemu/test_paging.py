# SPDX-License-Identifier: MIT
"""What software may rely on of paging (paging/main.c): rights, error codes and CR2, reserved bits, A and D,
stale translations, tables in several roles, faults in the middle of events and accesses; two levels, PAE, four levels. A guest must see,
point by point, what the same program sees on the same machine without a hypervisor, and there every point must be
right but for bugs of the emulator, which are named. A point that the emulator gets wrong may be right in a guest.
Catches a walk, a shadow table or a flush that differs from the manual."""
import itertools
import re

import machines

TIER = "ci"
SECONDS = 15
# "shadow": where the guest has paging off or CR0.WP clear it runs nested; "shadow-alone": on a machine without nested
# paging. "spaces": each address space in a mode by chance. "watched": nested, and each page fault, CR3 load and INVLPG goes through the hypervisor.
MODES = {"nested": "paging=nested", "watched": "paging=nested watch=always", "shadow": "paging=shadow",
         "shadow-alone": "paging=shadow nested=off", "spaces": "paging=adaptive paging.per_as=chaos:1"}
IMAGES = {"ia32": "paging32", "amd64": "paging64"}
MACHINES = {"qemu": 15, "bochs-broadwell": 30, "bochs-ryzen": 30}  # seconds
VARIATIONS = {f"{kernel}-{paging}" + f"-{on}" * (on != "qemu"):
              {"kernel": kernel, "paging": paging, "on": on, "seconds": seconds}
              for on, seconds in MACHINES.items() for kernel in IMAGES for paging in MODES
              if "alone" not in paging or on not in machines.VT_X}
VARIATIONS.update({f"{kernel}-shadow-bochs-turion": {"kernel": kernel, "paging": "shadow", "on": "bochs-turion",
                                                     "seconds": 30} for kernel in IMAGES})
NIGHTLY = tuple(v for v in VARIATIONS if "bochs" in v) + ("ia32-shadow-alone", "ia32-spaces", "ia32-watched")
BOCHS_BUGS = {
    r"\S+ an instruction across a page's end, run before":
        "Bochs 2.7 runs an instruction that it has decoded without a look at its second page",
}
# By machine: points that the emulator gets wrong, and why.
BUGS = {
    "qemu": {
        r"\S+ reserved bits: P in the error code": "QEMU 7.2 leaves P out of a fault for reserved bits",
        r"\S+ ports: P beside RSVD": "the same",
        r"4-level reserved bits: no A in the entry":
            "QEMU 7.2 sets A in a PDPTE of a 1 GiB page before it looks at its bits",
        r"pae PDPTE: no A": "QEMU 7.2 walks PDPTEs like any other entry and sets A in them",
        r"pae PDPTE: reserved bits are refused":
            "QEMU 7.2 takes the rights and A in PDPTEs for what they are elsewhere",
    },
    "bochs-broadwell": BOCHS_BUGS,
    "bochs-ryzen": BOCHS_BUGS,
    "bochs-turion": BOCHS_BUGS,
}
# The line of a guest where shadow tables are not strict (docs/paging.md, limits): not under VT-x, where PDPTEs are loaded by us.
OURS = {"pae PDPTE: reserved bits are refused":
        "not ok pae PDPTE: reserved bits are refused; refused, bit: 5, expected 0, differences 1"}
# Bochs 2.7 notes injected events and exceptions for EXITINTINFO, not INT n: a page fault that exits in the middle of that
# shows the event before. So a guest by shadow tables is compared up to here on Bochs's AMD models; what is left is its end.
UNTIL = "INT n with its gate absent"
MOST_LEFT = 8  # points from there on, at most
LAST = r"^paging: (\w+) points, (\w+) checks, (\w+) failures$"
LEAST = {"ia32": 230, "amd64": 130}  # where there is neither SMEP nor SMAP nor a page of 1 GiB


def config(kernel):
    return f"[guest alpha]\nmemory = 32M\ncdrom = module:{IMAGES[kernel]}.iso\nboot = cdrom\n"


def points(m, source):
    """{name: line}, in the order in which they were said."""
    lines = (re.match(r"(?:not )?ok ([^;]+)(?:;.*)?$", line) for line in m.log.lines(source))
    return {found.group(1): found.group() for found in lines if found}


def is_bug(on, name):
    return any(re.fullmatch(pattern, name) for pattern in BUGS.get(on, {}))


def check_native(t, on, expected):
    wrong = [line for name, line in expected.items() if line.startswith("not ok") and not is_bug(on, name)]
    t.check(not wrong, f"the machine alone is not right: {wrong[:5]}")


def native(t, on, kernel):
    m = machines.start(t, on, t.built(f"guests/{IMAGES[kernel]}.iso"))
    m.wait_line(None, LAST, 60)
    said = points(m, None)
    m.stop()
    return said


def permitted(on, name):
    """What a guest may say of a point beside what the machine alone says."""
    right = [f"ok {name}"] if is_bug(on, name) else []
    return right if on in machines.VT_X or name not in OURS else right + [OURS[name]]


def compare(t, on, seen, expected):
    other = [f"{seen.get(name)} / {expected.get(name)}" for name in {**expected, **seen}
             if seen.get(name) != expected.get(name) and seen.get(name) not in permitted(on, name)]
    t.check(not other, f"{len(seen)} points of {len(expected)}; guest / machine: {other[:5]}")


def begun(said):
    """The points of @said before UNTIL."""
    return dict(itertools.takewhile(lambda point: not point[0].endswith(UNTIL), said.items()))


def run_until(t, m, on, expected):
    """The comparison with a guest that does not get to its end."""
    part = begun(expected)
    last = list(part)[-1]
    t.check(len(expected) - len(part) < MOST_LEFT, f"only {len(part)} of {len(expected)} points come before {UNTIL}")
    m.wait_for(lambda: last in points(m, "alpha"), 120, f"point '{last}'")
    compare(t, on, begun(points(m, "alpha")), part)


def run(t, kernel, paging, on):
    expected = native(t, on, kernel)
    t.check(len(expected) > LEAST[kernel], f"the machine alone says only: {expected}")
    check_native(t, on, expected)
    m = machines.start(t, on, t.iso(config(kernel), machines.cmdline(on, MODES[paging])), words=MODES[paging])
    if on in machines.AMD and "shadow" in paging:
        run_until(t, m, on, expected)
        return
    m.wait_record("result", 120, guest="alpha")
    seen = points(m, "alpha")
    compare(t, on, seen, expected)
    machines.ended(t, m, on, passed=all(line.startswith("ok") for line in seen.values()))
