#!/usr/bin/python3 -B
# SPDX-License-Identifier: MIT
"""Memory traces from end to end: bench loads recorded by the Valgrind tool, then the simulator.

Catches a tool that does not build or records nothing, a load that runs otherwise than its name says, page faults or
misses that get lost on the way. Small pieces of three loads; make sim-memory has them all.
"""

import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("B", os.path.join(ROOT, "build")))
SIM = os.path.join(BUILD, "sim/sim")
LOADS = os.path.join(BUILD, "bench/loads/loads")


def record(folder, name, load, param, lines, millions):
    """At most a minute; a few seconds on a quiet machine."""
    subprocess.run(
        ["valgrind", "-q", "--tool=touch", "--trace-children=yes", "--to=%s/%s.touch" % (folder, name)]
        + ["--lines=%d" % lines, "--take=%d" % millions, "--most=4", LOADS, load, param, "2"],
        env=dict(os.environ, VALGRIND_LIB=os.path.join(BUILD, "sim/valgrind")),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        timeout=60,
        check=False,  # it is ended when there is enough
    )


def tables(text):
    """{title of the table: {load: [cells]}}"""
    found, title = {}, ""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if line and not cells:
            title = line
        elif cells and not cells[0].startswith(("load", "-")):
            found.setdefault(title, {})[cells[0].rstrip(" *")] = cells[1:]
    return found


def table(found, start):
    return next(rows for title, rows in found.items() if title.startswith(start))


def check(text):
    """What is wrong, if anything."""
    found = tables(text)
    new, old = table(found, "Walks on"), table(found, "The i7-860")
    policies = table(found, "2020 server, proposed costs, nested 4K")
    for load in ("chase-8", "churn-256", "forkwait"):
        if load not in new:
            return "no row of %s" % load
    # 2048 pages, one each step of three instructions: more than 512 entries, no more than 2048.
    if not 320 < float(old["chase-8"][0]) < 340:
        return "chase-8 misses %s in 1000 instructions on the i7-860, expected 333" % old["chase-8"][0]
    if float(new["chase-8"][2]) > 2:
        return "chase-8 misses %s in 1000 instructions on the server, expected none" % new["chase-8"][2]
    if float(new["churn-256"][1]) < 300:
        return "churn-256 has %s thousand faults a second" % new["churn-256"][1]
    nested, shadow = (float(policies["churn-256"][i]) for i in (0, 1))
    if not nested < 2 < 20 < shadow:
        return "churn-256 costs %.2f %% nested and %.2f %% by shadow tables" % (nested, shadow)
    if float(policies["forkwait"][1]) < 2 * float(policies["forkwait"][0]):
        return "forkwait is not dearer by shadow tables"
    return None


def main():
    with tempfile.TemporaryDirectory() as folder:
        record(folder, "chase-8", "chase", "8", 1, 1)
        record(folder, "churn-256", "churn", "256", 0, 1)
        record(folder, "forkwait", "forkwait", "10", 0, 1)
        run = subprocess.run(
            [SIM, "--memory", folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False, text=True
        )
    wrong = "sim ends with %d: %s" % (run.returncode, run.stderr[-300:]) if run.returncode else check(run.stdout)
    if wrong:
        print("# " + wrong)
        print(run.stdout)
    print("%s recorded_loads_go_through_the_simulator" % ("not ok" if wrong else "ok"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
