# SPDX-License-Identifier: MIT
"""Linux with each of its address spaces in a paging mode of its own, nested or on shadow tables, by chance and otherwise
after every dozen loads of CR3 (paging.per_as=chaos): it boots and checks itself, and a program that has the kernel change
processes' tables while others run (spaces/adversary.c) says the sums that it says on the machine alone. Catches a shadow
that was not told what changed while another process ran: memory shared, punched, moved and written across processes,
kernel threads in borrowed address spaces, fork storms, a top table's frame that has become another process's."""
import demo
import machines

TIER = "ci"
SECONDS = 60
VARIATIONS = {
    "adversary": {"image": "adversary.iso", "seed": 1},
    "adversary-audited": {"image": "adversary.iso", "seed": 6, "words": " shadow=audit:400"},
    "cloud": {"image": "demo.iso", "seed": 1},
    "686": {"image": "linux-686.iso", "seed": 2},
    "686-pae": {"image": "linux-686-pae.iso", "seed": 3},
}
VARIATIONS.update(machines.over({
    "cloud": {"image": "linux-cloud-amd64-quiet.iso", "memory": "128M", "seed": 4},
    "686-pae": {"image": "linux-686-pae-quiet.iso", "memory": "128M", "seed": 5},
}, "bochs-broadwell"))
NIGHTLY = tuple(v for v in VARIATIONS if v != "adversary")
THAWS = 100
PARTS = 6


def sums(m, source):
    return [line for line in m.log.lines(source) if line.startswith("adversary: ")]


def native(t, on, image):
    m = machines.start(t, on, t.built("guests/" + image))
    m.wait_for(lambda: "adversary: end" in sums(m, None), 120, "whole last line of the adversary")
    said = sums(m, None)
    m.stop()
    t.check(len(said) == PARTS + 1 and all("0 wrong" in line for line in said[:-1]), f"the machine alone says {said}")
    return said


def run(t, image, seed, memory="192M", on="qemu", words=""):
    t.built("guests/" + image)
    adversary = image == "adversary.iso"
    expected = native(t, on, image) if adversary else None
    iso = t.iso(demo.guest(memory=memory, image=image),
                machines.cmdline(on, f"paging=adaptive paging.per_as=chaos:{seed}{words}"))
    m = machines.start(t, on, iso)
    if adversary:
        result = m.wait_record("result", 280, guest="alpha")
        t.check(result["status"] == "pass", f"the guest ended with {result}")
        t.check(sums(m, "alpha") == expected, f"guest / machine: {sums(m, 'alpha')} / {expected}")
        machines.ended(t, m, on)
    else:
        demo.run_to_end(t, m, limit=280)
    t.check(not m.log.of_type("error"), f"errors: {m.log.of_type('error')[:3]}")
    stats = m.log.of_type("stats", guest="alpha")[-1]
    spaces = stats["spaces"]
    t.check(spaces["to_shadow"] >= THAWS and spaces["to_nested"] >= THAWS, f"hardly any changes: {spaces}")
    t.check(spaces["writes"] > 0, f"no table was written while its address space did not run: {spaces}")
    t.check("audit" not in words or stats["shadow"]["audits"] > 100, f"{stats['shadow']['audits']} audits")
    print(spaces)
