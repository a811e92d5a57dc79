#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Copy kernel modules and what they depend on out of an unpacked kernel package.

    kernel-modules.py MODULE-TREE DEST NAME...          flat: DEST/NAME.ko and the load order, DEST/order
    kernel-modules.py --tree MODULE-TREE DEST LIST      for modprobe: DEST/VERSION/kernel/....ko.gz with
                                                        modules.dep and modules.alias

A package has no modules.dep yet (depmod makes it at installation), so each module's own .modinfo
strings tell its dependencies and aliases.  Drivers that are built into the kernel are skipped
silently.  LIST is a file of names, `#` starts a comment; a name that the kernel does not know at all
is reported, and left out.
"""
import gzip
import lzma
import os
import re
import shutil
import sys


def canonical(name):
    return os.path.basename(name).split(".ko")[0].replace("-", "_")


def module_paths(tree):
    return {canonical(f): os.path.join(d, f)
            for d, _, files in os.walk(tree) for f in files if re.search(r"\.ko(\.xz)?$", f)}


def contents(path):
    with open(path, "rb") as f:
        data = f.read()
    return lzma.decompress(data) if path.endswith(".xz") else data


def modinfo(data, key):
    return [v.decode() for v in re.findall(rb"\0" + key.encode() + rb"=([^\0]*)(?=\0)", data)]


def depends(data):
    return [canonical(n) for text in modinfo(data, "depends")[:1] for n in text.split(",") if n]


def closure(paths, names):
    """@names that exist as modules and all they need, each after what it needs."""
    order = []

    def visit(name):
        if name in order or name not in paths:
            return
        for needed in depends(contents(paths[name])):
            visit(needed)
        order.append(name)

    for name in names:
        visit(canonical(name))
    return order


def flat(tree, dest, names):
    paths = module_paths(tree)
    order = closure(paths, names)
    for name in order:
        shutil.copy(paths[name], os.path.join(dest, name + ".ko"))
    with open(os.path.join(dest, "order"), "w", encoding="ascii") as f:
        f.writelines(name + ".ko\n" for name in order)


def listed(path):
    with open(path, encoding="ascii") as f:
        return [word for line in f for word in line.split("#")[0].split()]


def report_unknown(root, paths, names):
    with open(os.path.join(root, "modules.builtin"), encoding="ascii") as f:
        known = {canonical(line.strip()) for line in f} | set(paths)
    for name in names:
        if canonical(name) not in known:
            print(f"  NOTE    this kernel has no driver {name}", file=sys.stderr)


def store(root, dest, paths, name):
    """Copies one module, compressed; returns its path below DEST and its own text."""
    data = contents(paths[name])
    where = os.path.relpath(paths[name], root).removesuffix(".xz") + ".gz"
    target = os.path.join(dest, where)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as f:
        f.write(gzip.compress(data, 9, mtime=0))
    return where, data


def for_modprobe(tree, dest, names):
    version, = os.listdir(tree)
    root, dest = os.path.join(tree, version), os.path.join(dest, version)
    paths = module_paths(root)
    report_unknown(root, paths, names)
    order = closure(paths, names)
    where, needs, dep, alias = {}, {}, [], []
    for name in order:
        where[name], data = store(root, dest, paths, name)
        needs[name] = depends(data)
        # All it needs, the nearest first: modprobe loads the line from its end.
        below = [n for n in reversed(closure_of(needs, name)) if n != name]
        dep.append(f"{where[name]}:" + "".join(" " + where[n] for n in below) + "\n")
        alias += [f"alias {a} {name}\n" for a in modinfo(data, "alias")]
    for file, lines in (("modules.dep", dep), ("modules.alias", alias)):
        with open(os.path.join(dest, file), "w", encoding="ascii") as f:
            f.writelines(sorted(lines))


def closure_of(needs, name):
    found = []
    for n in needs.get(name, []):
        found += [m for m in closure_of(needs, n) if m not in found]
    return found + [name]


def main():
    if sys.argv[1] == "--tree":
        for_modprobe(sys.argv[2], sys.argv[3], listed(sys.argv[4]))
    else:
        flat(sys.argv[1], sys.argv[2], sys.argv[3:])


if __name__ == "__main__":
    main()
