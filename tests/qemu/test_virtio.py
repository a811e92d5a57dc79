# SPDX-License-Identifier: MIT
"""The demo system on a virtio disk, with no other drive: our BIOS boots it by INT 13h, the stock kernel's
driver then reads the same medium through its own queue and the self-check compares what it read.
Catches a virtio device that real drivers do not accept, and a boot that knows IDE only."""
import demo
import machines

TIER = "ci"
SECONDS = 45
VARIATIONS = {model: {"model": model} for model in ("virtio", "ide")}
VARIATIONS.update(machines.shadowed(VARIATIONS))
NIGHTLY = tuple(v for v in VARIATIONS if "shadow" in v)


def run(t, model, paging="paging=nested"):
    config = (f"[guest alpha]\nmemory = 256M\ndisk = module:demo.iso\ndisk_model = {model}\n"
              "boot = disk\n")
    m = machines.start(t, "qemu", t.iso(config, machines.cmdline("qemu", paging)), words=paging)
    demo.run_to_end(t, m)
    t.check(any(line.startswith("ok 8 cdrom # ") and "SKIP" not in line
                for line in m.log.lines("alpha")), "the medium was not read")
