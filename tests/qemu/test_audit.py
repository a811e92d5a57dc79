# SPDX-License-Identifier: MIT
"""A full audit of the shadow tables after every single exit (docs/paging.md, invariants) finds nothing: while the storm
kernel changes its tables at random (paging/storm.c), and in Linux from its first instruction through a boot, forks and a
process that maps, moves, protects and drops its pages at random (mmapstorm/mmapstorm.c). Catches any state of the
tables that breaks a rule, however briefly, whether or not the guest would have noticed."""
import demo
import machines

TIER = "ci"
SECONDS = 30
# At an instruction a nanosecond: an audit at each exit of a timer's interrupt must not take longer than the timer's period.
LINUX = {"image": "mmapstorm.iso", "memory": "96M", "said": "^ok mmapstorm$", "least": 30000, "clock": "exact",
         "seconds": 200}
VARIATIONS = {
    "storm-amd64": {"image": "storm64.iso", "least": 10000},
    "storm-ia32": {"image": "storm32.iso", "least": 10000, "seconds": 60},
    "storm-amd64-alone": {"image": "storm64.iso", "least": 10000, "words": "nested=off", "seconds": 60},
    "linux-cloud": LINUX,
}
VARIATIONS.update(machines.over({"storm-amd64": VARIATIONS["storm-amd64"]}, *machines.SHADOW_ON, seconds=200))
NIGHTLY = tuple(v for v in VARIATIONS if v != "storm-amd64")


def run(t, image, least, memory="32M", said="^storm: end$", words="", on="qemu", clock="fast"):
    t.built("guests/" + image)
    words = machines.cmdline(on, f"paging=shadow shadow=audit:1 control=off {words}")
    m = machines.start(t, on, t.iso(demo.guest(memory=memory, image=image), words), words=words, clock=clock)
    result = m.wait_record("result", 600, guest="alpha")
    t.check(result["status"] == "pass", f"the guest ended with {result}")
    m.wait_line("alpha", said, 1)
    stats = m.log.of_type("stats", guest="alpha")[-1]
    audits, wrong = stats["shadow"]["audits"], stats["shadow"]["violations"]
    errors = m.log.of_type("error")
    t.check(not wrong and not errors, f"{wrong} violations in {audits} audits: {errors[:3]}")
    t.check(audits >= least, f"only {audits} audits")
    machines.ended(t, m, on)
    print(f"{stats['exits_total']} exits, {audits} audits, {wrong} violations")
