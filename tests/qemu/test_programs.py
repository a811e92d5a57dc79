# SPDX-License-Identifier: MIT
"""Boot programs from Debian packages, unmodified: each wants other things of BIOS and chips than Linux does
(real mode switched thousands of times, keyboard, text written straight to VGA memory, power-off by
APM). Catches a BIOS that only just suffices for a Linux loader."""
import re

import machines

TIER = "ci"
SECONDS = 45
CD = "[guest alpha]\nmemory = 64M\ncdrom = module:{}\nboot = cdrom\n"
DISK = "[guest alpha]\nmemory = 64M\ndisk = module:{}\nboot = disk\n"
FLOPPY = "[guest alpha]\nmemory = 64M\nfloppy = module:{}\nboot = floppy\n"
SCREEN = "alpha:vga"
ERRORS = r"Errors: +(\d+)"


def grub_selftest(t, m):
    m.wait_line("alpha", "SELFTEST-BEGIN", 60)
    m.wait_line("alpha", "ALL TESTS PASSED", 120)
    m.wait_line("alpha", "SELFTEST-END", 20)
    t.expect_passed(m, "alpha", limit=30)


def grub_shell(t, m):
    """The rescue CD's own shell: list devices, then reboot into the BIOS again."""
    m.wait_line(SCREEN, "GNU GRUB", 60)
    m.send("c")
    m.wait_line(SCREEN, "grub>", 20)
    m.send("ls\r")
    m.wait_line(SCREEN, r"\((cd|hd)\d?", 20)
    m.send("reboot\r")
    m.wait_record("guest", 30, name="alpha", event="reset")


def grub_legacy(t, m):
    m.wait_line(SCREEN, r"GNU GRUB +version 0\.97", 60)
    m.wait_line(SCREEN, "grub>", 20)


def grub_floppy(t, m):
    """Left alone, the rescue floppy's menu tries a hard disk that is not there."""
    m.wait_line(SCREEN, "GNU GRUB", 60)
    m.send("c")
    m.wait_line(SCREEN, "grub>", 20)
    m.send("ls\r")
    m.wait_line(SCREEN, r"\(fd0\)", 20)


def syslinux(t, m):
    """A COM32 program's table of what the BIOS says of memory, then the prompt."""
    m.wait_line("alpha", r"INT 12h: 6\d\dK", 60)
    m.wait_line("alpha", r" 0000000000100000x .* usable", 20)
    m.wait_line("alpha", "^boot:", 20)


def memtest(t, m, done=5):
    """The first tests of a pass, from start to end, find nothing: the one numbered @done begins."""
    m.wait_line(SCREEN, rf"Test #{done} ", 120)
    counts = re.findall(ERRORS, "\n".join(m.log.lines(SCREEN)))
    t.check(set(counts) == {"0"}, f"memtest86+ counts errors: {counts}")


def ipxe(t, m):
    m.wait_line(SCREEN, "Press Ctrl-B", 90)
    m.send(b"\x02")
    m.wait_line(SCREEN, "iPXE>", 20)


PROGRAMS = {
    "grub-selftest": {"config": CD, "image": "grub-selftest.iso", "script": grub_selftest},
    "grub-shell": {"config": CD, "image": "grub-rescue.iso", "script": grub_shell},
    "grub-floppy": {"config": FLOPPY, "image": "grub-rescue.img", "script": grub_floppy},
    "syslinux": {"config": FLOPPY, "image": "syslinux.img", "script": syslinux},
    "legacy-floppy": {"config": FLOPPY, "image": "grub-legacy.img", "script": grub_legacy},
    "legacy-disk": {"config": DISK, "image": "grub-legacy.img", "script": grub_legacy},
    "memtest-ia32": {"config": CD, "image": "memtest-ia32.iso", "script": memtest},
    "memtest-x64": {"config": CD, "image": "memtest-x64.iso", "script": memtest},
    "ipxe": {"config": CD, "image": "ipxe.iso", "script": ipxe},
}
VARIATIONS = {**PROGRAMS, **machines.shadowed(PROGRAMS)}


def memtest_short(t, m):
    """One test less than on QEMU: on Bochs each takes minutes from the fifth on."""
    memtest(t, m, done=4)


SHORT = {"config": CD.replace("64M", "16M"), "script": memtest_short}
ON_BOCHS = dict(PROGRAMS, **{name: dict(PROGRAMS[name], **SHORT) for name in PROGRAMS if "memtest" in name})
VARIATIONS.update(machines.over({name: ON_BOCHS[name] for name in ("grub-selftest", "memtest-ia32")},
                                "bochs-broadwell", "bochs-skylake", "bochs-sandybridge", "bochs-ryzen", "bochs-phenom"))
VARIATIONS.update(machines.over({f"{name}-shadow": dict(arguments, paging="paging=shadow")
                                 for name, arguments in ON_BOCHS.items()}, *machines.SHADOW_ON))
NIGHTLY = tuple(v for v in VARIATIONS if ("bochs" in v and v != "grub-selftest-bochs-phenom") or "shadow" in v)


def run(t, config, image, script, clock="real", on="qemu", paging="paging=nested"):
    t.built("guests/" + image)
    iso = t.iso(config.format(image), machines.cmdline(on, f"{paging} screen=500ms"))
    m = machines.start(t, on, iso, words=paging, clock=clock)
    m.wait_record("boot", 60)
    m.wait_record("guest", 30, name="alpha", event="start")
    script(t, m)
    t.check_log(m)
