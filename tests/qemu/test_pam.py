# SPDX-License-Identifier: MIT
"""A guest opens and locks a ROM segment by the chipset (PAM) while it runs, from GRUB's own commands: the one
way in which a running guest's map loses a right. Catches writes that go through to locked memory or are
lost in open memory; ~debug lets the flush ledger watch."""
import machines

TIER = "ci"
SECONDS = 10
CONFIG = "[guest alpha]\nmemory = 64M\ncdrom = module:grub-pam.iso\nboot = cdrom\n"
VARIATIONS = {
    "nested": {},
    "debug": {"elf": "debug/penumbra.elf"},
}
VARIATIONS.update({mode: {"paging": words} for mode, words in machines.SHADOW.items()})
VARIATIONS["shadow-debug"] = dict(VARIATIONS["shadow"], elf=VARIATIONS["debug"]["elf"])
VARIATIONS.update(machines.over({"shadow": VARIATIONS["shadow"]}, *machines.SHADOW_ON, seconds=40))
NIGHTLY = tuple(v for v in VARIATIONS if "shadow" in v)


def run(t, elf="penumbra.elf", paging="paging=nested", on="qemu"):
    t.built("guests/grub-pam.iso")
    m = machines.start(t, on, t.iso(CONFIG, machines.cmdline(on, paging), elf=elf), words=paging)
    m.wait_line("alpha", "PAM-END", 60)
    t.expect_passed(m, "alpha", limit=30)
    read = [line for line in m.log.lines("alpha") if line.startswith("0x")]
    t.check(read == ["0x5a", "0x5a", "0xa6"], f"open, locked and open memory read as {read}")
    t.check_log(m)
