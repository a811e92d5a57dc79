# SPDX-License-Identifier: MIT
"""A VM entry that the CPU refuses. No guest can bring one about, so the emulator's debugger does: at the first
entry it sets a reserved flag in what the hypervisor is about to load. Catches a failed entry that takes
the hypervisor or another guest along, or that is not explained."""
import re
import subprocess

import harness
import machines

TIER = "nightly"
SECONDS = 40
VARIATIONS = {"bochs-broadwell": {"on": "bochs-broadwell"}}
GUEST = "[guest {}]\nmemory = 32M\ncdrom = module:nano.iso\nboot = cdrom\n\n"
RFLAGS_VALUE = 0x8002  # bit 1 is always set, bit 15 never


def address_of(elf, name):
    table = subprocess.run(["nm", elf], capture_output=True, text=True, check=True).stdout
    return int(re.search(rf"^([0-9a-f]+) \w {name}$", table, re.MULTILINE).group(1), 16)


def offset_of(member):
    """Where @member is in struct vcpu, by the compiler."""
    source = f'#include <stddef.h>\n#include "engine/vcpu.h"\nunsigned long at = offsetof(struct vcpu, {member});\n'
    made = subprocess.run(["gcc", "-x", "c", "-S", "-o", "-", "-ffreestanding", "-Iinclude", "-Ihv", "-I.", "-"],
                          cwd=harness.TOP, input=source, capture_output=True, text=True, check=True)
    return int(re.search(r"\.quad\s+(\d+)", made.stdout).group(1))


def run(t, on):
    elf = t.built("penumbra.elf")
    iso = t.iso(GUEST.format("alpha") + GUEST.format("beta"), machines.cmdline(on, "paging=nested"),
                search=("bench",))
    # RDI is the vCPU, in the map of all memory from the middle of the address space on.
    rflags = f"(rdi & 0x7fffffffffff) + {offset_of('rflags')}"
    m = machines.start(t, on, iso, debugger=(
        f"lb {address_of(elf, 'vmx_run'):#x}", "c", f"setpmem {rflags} 4 {RFLAGS_VALUE:#x}", "d 1", "c"))
    m.wait_record("boot", 60)
    results = {name: m.wait_record("result", 60, guest=name) for name in ("alpha", "beta")}
    machines.ended(t, m, on, passed=False)
    bad = [r for r in results.values() if r["status"] != "pass"]
    t.check(len(bad) == 1 and bad[0]["status"] == "fail", f"one guest and no other should fail: {results}")
    t.check(re.match(r"entry refused: .*RFLAGS", bad[0]["detail"], re.IGNORECASE),
            f"not the check that failed: {bad[0]['detail']!r}")
    t.check(not m.log.of_type("panic"), "the hypervisor panicked")
