# SPDX-License-Identifier: MIT
"""The demo guest, an unmodified Debian kernel on its CD, boots by our BIOS, checks its machine and
powers off. Catches what breaks the whole path; ~debug runs the build with assertions and the flush
ledger."""
import demo

TIER = "ci"
SECONDS = 40
NIGHTLY = ("epyc", "opteron")
VARIATIONS = {
    "nested": {"paging": "nested"},
    "adaptive": {"paging": "adaptive"},
    "debug": {"paging": "nested", "elf": "debug/penumbra.elf"},
    "no-1g-no-xsave": {"paging": "nested", "cpu": "qemu64,+svm,+npt"},
    "epyc": {"paging": "nested", "cpu": "EPYC"},
    # By itself QEMU's model promises XSAVE and hangs when CR4.OSXSAVE is set.
    "opteron": {"paging": "nested", "cpu": "Opteron_G5,+xsaveopt"},
}


def run(t, paging, elf="penumbra.elf", cpu="max,-la57"):
    m = t.boot(t.iso(demo.guest(), f"paging={paging} exit=qemu", elf=elf), cpu=cpu)
    demo.run_to_end(t, m)
    m.wait_line("alpha:vga", "ISOLINUX", 1)
    m.wait_line("alpha", "Linux version", 1)
    result = m.log.of_type("result", guest="alpha")[0]
    t.check(result["asked"] == paging, f"asked for {paging}, the result says {result['asked']}")
    ran = m.log.of_type("stats", guest="alpha")[-1]["paging"]
    t.check(result["paging"] == ran, f"paging: result says {result['paging']}, stats {ran}")
    if result["paging"] != paging:
        m.wait_record("error", 1, guest="alpha", where="paging")
