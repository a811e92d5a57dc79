#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Copy kernel modules and what they depend on; write the load order.

    kernel-modules.py MODULE-TREE DEST NAME...

A package has no modules.dep yet (depmod makes it at installation), so each module's own .modinfo
strings tell its dependencies.  Drivers that are built into the kernel are skipped silently.
"""
import os
import re
import shutil
import sys


def canonical(name):
    return os.path.basename(name).split(".ko")[0].replace("-", "_")


def main():
    tree, dest, names = sys.argv[1], sys.argv[2], sys.argv[3:]
    paths = {canonical(f): os.path.join(d, f)
             for d, _, files in os.walk(tree) for f in files if f.endswith(".ko")}
    order = []

    def visit(name):
        if name in order or name not in paths:
            return
        with open(paths[name], "rb") as f:
            found = re.search(rb"\0depends=([^\0]*)\0", f.read())
        for needed in found.group(1).decode().split(",") if found else []:
            visit(canonical(needed))
        order.append(name)

    for name in names:
        visit(canonical(name))
    for name in order:
        shutil.copy(paths[name], os.path.join(dest, name + ".ko"))
    with open(os.path.join(dest, "order"), "w", encoding="ascii") as f:
        f.writelines(name + ".ko\n" for name in order)


if __name__ == "__main__":
    main()
