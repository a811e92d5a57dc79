# SPDX-License-Identifier: MIT
"""The same output however memory is translated: a long pseudo-random program of page-table changes and accesses
(paging/storm.c) says sums of every access's outcome and of all its memory; as a guest in each paging mode it must say
what it says on the machine alone, and as it does on another emulator. Catches a stale shadow, a lost write to a table, an
access bit or a page that a switch of mode loses."""
import machines

TIER = "ci"
SECONDS = 40
IMAGES = {"ia32": "storm32", "amd64": "storm64"}
ENDS = ("storm: begin", "storm: end")
SUMS = {"ia32": 20, "amd64": 10}
MODES = {"nested": "paging=nested", "shadow": "paging=shadow", "vtlb": "paging=shadow shadow=vtlb",
         "shadow-alone": "paging=shadow nested=off",
         "chaos": "paging=adaptive policy=chaos:3 policy.tick=2ms policy.chaos_exits=60",
         "switches": "paging=adaptive policy=chaos:5 policy.tick=1ms policy.chaos_exits=10",
         # Address spaces change their mode by chance, each by itself.
         "spaces": "paging=adaptive paging.per_as=chaos:3"}
SWITCHES = {"chaos": 200, "switches": 1000}  # at least
# Where exits by chance are fewer: VT-x keeps the guest's own faults from exiting; Bochs lets no interrupt out of a guest of
# AMD-V that was entered with interrupts off, so there each fault, load of CR3 and INVLPG has to exit.
FEWER = {"chaos": 150, "switches": 600}
WATCHED = {"bochs-ryzen": " watch=always"}
THAWS = 40  # from an address space that runs nested to one on shadow tables
MACHINES = {"qemu": 40, "bochs-broadwell": 60, "bochs-ryzen": 60, "bochs-turion": 60}  # seconds


def runs_by(mode, on):
    """Whether @on can do what @mode needs: VT-x has no guest without nested paging, turion64_tyler none with it."""
    return "alone" not in mode if on in machines.VT_X else mode in ("shadow", "vtlb") or on != "bochs-turion"


VARIATIONS = {f"{kernel}-{mode}" + f"-{on}" * (on != "qemu"):
              {"kernel": kernel, "mode": mode, "on": on, "seconds": seconds}
              for on, seconds in MACHINES.items() for kernel in IMAGES for mode in MODES
              if runs_by(mode, on)}
NIGHTLY = tuple(v for v in VARIATIONS if v not in ("amd64-shadow", "amd64-chaos", "amd64-spaces"))
CONFIG = "[guest alpha]\nmemory = 32M\ncdrom = module:{}.iso\nboot = cdrom\n"


def sums(m, source):
    return [line for line in m.log.lines(source) if line.startswith("storm: ") and line not in ENDS]


def native(t, on, image):
    m = machines.start(t, on, t.built(f"guests/{image}.iso"))
    m.wait_line(None, "^storm: end$", 120)
    said = sums(m, None)
    m.stop()
    return said


def run(t, kernel, mode, on):
    image = IMAGES[kernel]
    expected = native(t, on, image)
    t.check(len(expected) == SUMS[kernel], f"the machine alone says {expected}")
    words = MODES[mode] + (WATCHED.get(on, "") if mode in SWITCHES else "")
    m = machines.start(t, on, t.iso(CONFIG.format(image), machines.cmdline(on, words)), words=words)
    result = m.wait_record("result", 300, guest="alpha")
    least = (SWITCHES if on == "qemu" else FEWER).get(mode, 0)
    t.check(result["switches"] >= least, f"only {result['switches']} switches")
    if mode == "spaces":
        spaces = m.wait_record("stats", 10, guest="alpha")["spaces"]
        t.check(spaces["to_shadow"] >= THAWS and spaces["writes"], f"hardly anything happened: {spaces}")
    seen = sums(m, "alpha")
    other = [pair for pair in zip(seen, expected) if pair[0] != pair[1]]
    t.check(seen == expected, f"{len(seen)} lines of {len(expected)}; first guest / machine: {other[:1]}")
    machines.ended(t, m, on)
