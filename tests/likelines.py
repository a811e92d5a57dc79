#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs of like lines in two folders: what both vendors' engines say the same way belongs above them.

    likelines.py DIR DIR MOST      prints each run of more than MOST lines; exit 1 where there is one

Blank lines, comments, lone brackets and includes are passed over; white space and the vendors' own
prefixes make no difference."""
import os
import re
import sys

THIN = re.compile(r"[{}();,\s]*$|#include |/?\*|//")
PREFIX = re.compile(r"\b(svm|vmx|vmcb|vmcs)(?=_|\b)", re.IGNORECASE)


def code(path):
    """(line number, line without what makes no difference) of each line that counts."""
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            line = " ".join(line.split())
            if not THIN.match(line):
                yield number, PREFIX.sub("V", line)


def runs(one, other, most):
    """Longest runs of equal lines: (length, last index in one, last in other)."""
    before = {}
    for i, (_, line) in enumerate(one):
        now = {j: before.get(j - 1, 0) + 1 for j, (_, like) in enumerate(other) if like == line}
        for j, length in before.items():
            if length > most and j + 1 not in now:
                yield length, i - 1, j
        before = now
    for j, length in before.items():
        if length > most:
            yield length, len(one) - 1, j


def main(left, right, most):
    files = [[(os.path.join(d, f), list(code(os.path.join(d, f)))) for f in sorted(os.listdir(d))
              if f.endswith((".c", ".h", ".S"))] for d in (left, right)]
    found = False
    for a, one in files[0]:
        for b, other in files[1]:
            for length, i, j in runs(one, other, most):
                found = True
                print(f"{length} like lines: {a}:{one[i - length + 1][0]}-{one[i][0]} "
                      f"{b}:{other[j - length + 1][0]}-{other[j][0]}")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
