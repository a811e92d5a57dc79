# SPDX-License-Identifier: MIT
"""The demo guest, an unmodified Debian kernel on its CD, boots by our BIOS, checks its machine and
powers off. Catches what breaks the whole path; ~debug runs the build with assertions and the flush
ledger."""
import demo
import machines
from harness import CPU

TIER = "ci"
SECONDS = 40
NIGHTLY = ("shadow-debug", "shadow-no-npt", "adaptive-no-npt", "epyc", "opteron", "bochs-skylake", "bochs-sandybridge", "bochs-broadwell-lists", "2cpus-bochs-broadwell")
# Printing is most of what a kernel does there: Bochs counts the serial line's time in instructions.
QUIET = {"paging": "nested", "image": "linux-cloud-amd64-quiet.iso", "seconds": 90}
VARIATIONS = {
    "nested": {"paging": "nested"},
    "adaptive": {"paging": "adaptive"},
    "shadow": {"paging": "shadow"},
    "shadow-debug": {"paging": "shadow", "elf": "debug/penumbra.elf"},
    "shadow-no-npt": {"paging": "shadow", "cpu": CPU + ",-npt", "words": "control=off"},
    "adaptive-no-npt": {"paging": "adaptive", "cpu": CPU + ",-npt", "words": "control=off"},
    "debug": {"paging": "nested", "elf": "debug/penumbra.elf"},
    "no-1g-no-xsave": {"paging": "nested", "cpu": "qemu64,+svm,+npt"},
    "epyc": {"paging": "nested", "cpu": "EPYC"},
    # By itself QEMU's model promises XSAVE and hangs when CR4.OSXSAVE is set.
    "opteron": {"paging": "nested", "cpu": "Opteron_G5,+xsaveopt"},
    "bochs-broadwell": dict(QUIET, on="bochs-broadwell"),
    "bochs-skylake": dict(QUIET, on="bochs-skylake"),
    "bochs-sandybridge": dict(QUIET, on="bochs-sandybridge"),
    # EFER and PAT by the MSR lists.
    "bochs-broadwell-lists": dict(QUIET, on="bochs-broadwell", words="msr_controls=off"),
    "2cpus-bochs-broadwell": dict(QUIET, on="bochs-broadwell", cpus=2),
}


def run(t, paging, elf="penumbra.elf", cpu=CPU, image="demo.iso", on="qemu", cpus=1, words=""):
    t.built("guests/" + image)
    iso = t.iso(demo.guest(image=image), machines.cmdline(on, f"paging={paging} {words}"), elf=elf)
    m = machines.start(t, on, iso, cpus=cpus, cpu=cpu)
    boot = demo.run_to_end(t, m, limit=120 if on == "qemu" else 300)
    t.check(boot["cpus"] == cpus, f"{cpus} CPUs given, {boot['cpus']} found")
    m.wait_line("alpha:vga", "ISOLINUX", 1)
    if "quiet" not in image:
        m.wait_line("alpha", "Linux version", 1)
    result = m.log.of_type("result", guest="alpha")[0]
    t.check(result["asked"] == paging, f"asked for {paging}, the result says {result['asked']}")
    ran = m.log.of_type("stats", guest="alpha")[-1]["paging"]
    t.check(result["paging"] == ran, f"paging: result says {result['paging']}, stats {ran}")
    if result["paging"] != paging:
        m.wait_record("error", 1, guest="alpha", where="paging")
