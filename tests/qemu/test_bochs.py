# SPDX-License-Identifier: MIT
"""The demo on Bochs, whose SVM has next-RIP, other intercepts and other bugs than QEMU's. Bochs counts
emulated time by instructions, so its minutes say nothing about speed."""
import demo

TIER = "ci"
SECONDS = 150
NIGHTLY = ("zambezi", "toliman")
VARIATIONS = {
    "ryzen": {"model": "ryzen"},
    "zambezi": {"model": "zambezi"},
    "toliman": {"model": "phenom_8650_toliman"},
}


def run(t, model):
    # Bochs ends with a status of its own: a power-off tells the hypervisor's end.
    m = t.boot(t.iso(demo.guest(), "paging=nested exit=poweroff"), emulator="bochs", model=model)
    m.wait_record("boot", 120)
    t.expect_passed(m, "alpha", limit=400)
    demo.check_selfcheck(t, m)
