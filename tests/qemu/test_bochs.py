# SPDX-License-Identifier: MIT
"""Guests on Bochs, whose SVM has next-RIP, other intercepts and other bugs than QEMU's; phenom has neither
next-RIP nor a flush by ASID. Bochs counts time by instructions, so its minutes say nothing about
speed, and most of a kernel's go into printing: the kernels are quiet.

Linux does not run on this phenom with or without us: it promises POPCNT and has none."""
import demo
import test_programs as programs

TIER = "ci"
SECONDS = 50
NIGHTLY = ("zambezi", "686", "686-pae")
RYZEN, PHENOM = "ryzen", "phenom_8650_toliman"

def memtest(t, m):
    """One test less than on QEMU: here each takes minutes from the fifth on."""
    programs.memtest(t, m, done=4)


def linux(t, m):
    # Bochs ends with a status of its own: its end shows that the machine powered off.
    t.expect_passed(m, "alpha", limit=300)
    demo.check_selfcheck(t, m)


VARIATIONS = {
    "ryzen": {"model": RYZEN, "image": "linux-cloud-amd64-quiet.iso"},
    "memtest": {"model": RYZEN, "image": "memtest-ia32.iso", "memory": "16M",
                "script": memtest},
    "phenom": {"model": PHENOM, "image": "grub-selftest.iso", "memory": "64M",
               "script": programs.grub_selftest},
    "zambezi": {"model": "zambezi", "image": "linux-cloud-amd64-quiet.iso"},
    "686": {"model": RYZEN, "image": "linux-686-quiet.iso"},
    "686-pae": {"model": RYZEN, "image": "linux-686-pae-quiet.iso"},
}


def run(t, model, image, memory="128M", script=linux):
    t.built("guests/" + image)
    m = t.boot(t.iso(demo.guest(memory=memory, image=image),
                     "paging=nested exit=poweroff screen=500ms"), emulator="bochs", model=model)
    m.wait_record("boot", 60)
    script(t, m)
    t.check_log(m)
