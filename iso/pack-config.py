#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Collect what a config file names for the boot medium.

    pack-config.py CONFIG DEST [--search DIR]... [--allow-missing]

Each `module:PATH` is looked for beside the config file, then in the --search directories, and
copied to DEST under a plain unique name; DEST/penumbra.conf is the config with PATHs replaced by
those names, so that line numbers in messages stay right.  Prints the names, one per line, each
followed by a blank and the guest's name that uses it first; the first line is `guests NAME...`.
"""
import argparse
import os
import re
import shutil
import sys

MODULE = re.compile(r"^(\s*(\w+)\s*=\s*)module:(.*?)(\s*(?:\s#.*)?)$")
SECTION = re.compile(r"^\s*\[\s*guest\s+([^\]\s]+)\s*\]")


def plain(name):
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)[:100] or "image"


class Packer:
    def __init__(self, args):
        self.args = args
        self.taken = {"penumbra.conf": None, "guestbios.bin": None}
        self.lines, self.guests, self.order, self.errors = [], [], [], []

    def find(self, path):
        here = os.path.dirname(os.path.abspath(self.args.config))
        for base in [here] + self.args.search:
            full = os.path.join(base, path)
            if os.path.isfile(full):
                return os.path.realpath(full)
        return None

    def name_for(self, real):
        """One image used twice is packed once; two images of one name get two names."""
        base, n = plain(os.path.basename(real)), 0
        name = base
        while self.taken.get(name, real) != real or (name in self.taken and not self.taken[name]):
            n += 1
            name = f"{n}-{base}"
        return name

    def module(self, number, head, key, path, tail):
        real = self.find(path)
        if not real and self.args.allow_missing:
            return f"{head}module:{path}{tail}"
        if not real:
            places = ", ".join(["beside the config file"] + self.args.search)
            self.errors.append(f"{self.args.config}:{number}: {key}: no such image: {path} "
                               f"(looked {places})")
            return ""
        name = self.name_for(real)
        if name not in self.taken:
            self.taken[name] = real
            self.order.append((name, self.guests[-1] if self.guests else "-"))
            shutil.copy(real, os.path.join(self.args.dest, name))
        return f"{head}module:{name}{tail}"

    def run(self):
        try:
            with open(self.args.config, encoding="utf-8", errors="surrogateescape") as f:
                text = f.read()
        except OSError as why:
            sys.exit(f"pack-config: {self.args.config}: {why.strerror}")
        for number, line in enumerate(text.split("\n"), 1):
            section, found = SECTION.match(line), MODULE.match(line)
            if section:
                self.guests.append(section.group(1))
            if found and not line.lstrip().startswith("#"):
                line = self.module(number, *found.groups())
            self.lines.append(line)
        if self.errors:
            sys.exit("\n".join(self.errors))
        with open(os.path.join(self.args.dest, "penumbra.conf"), "w", encoding="utf-8",
                  errors="surrogateescape") as f:
            f.write("\n".join(self.lines))
        print("guests", *self.guests)
        for name, guest in self.order:
            print(name, guest)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("config")
    p.add_argument("dest")
    p.add_argument("--search", action="append", default=[])
    p.add_argument("--allow-missing", action="store_true")
    Packer(p.parse_args()).run()


if __name__ == "__main__":
    main()
