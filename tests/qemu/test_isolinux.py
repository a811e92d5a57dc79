# SPDX-License-Identifier: MIT
"""The fallback loader: ISOLINUX and mboot.c32 load the same ELF by its Multiboot1 header, from a CD and,
by the medium's MBR, from a disk."""
import demo

TIER = "ci"
SECONDS = 40
NIGHTLY = ("hdd",)
VARIATIONS = {"cd": {"media": "cd"}, "hdd": {"media": "hdd"}}


def run(t, media):
    iso = t.iso(demo.guest(), "paging=nested exit=qemu", loader="isolinux")
    m = t.boot(iso, media=media)
    demo.run_to_end(t, m)
