# SPDX-License-Identifier: MIT
"""A guest opens and locks a ROM segment by the chipset (PAM) while it runs, from GRUB's own commands: the one
way in which a running guest's map loses a right. Catches writes that go through to locked memory or are
lost in open memory; ~debug lets the flush ledger watch."""
TIER = "ci"
SECONDS = 10
CONFIG = "[guest alpha]\nmemory = 64M\ncdrom = module:grub-pam.iso\nboot = cdrom\n"
VARIATIONS = {
    "nested": {"elf": "penumbra.elf"},
    "debug": {"elf": "debug/penumbra.elf"},
}


def run(t, elf):
    t.built("guests/grub-pam.iso")
    m = t.boot(t.iso(CONFIG, "paging=nested exit=qemu", elf=elf))
    m.wait_line("alpha", "PAM-END", 60)
    t.expect_passed(m, "alpha", limit=30)
    read = [line for line in m.log.lines("alpha") if line.startswith("0x")]
    t.check(read == ["0x5a", "0x5a", "0xa6"], f"open, locked and open memory read as {read}")
    t.check_log(m)
