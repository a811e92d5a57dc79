#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The simulator's first table as a plot.

    sim | simplot.py COSTS OUT.svg     COSTS: xen-like or proposed

The simulator repeats exactly, so the plot does.  What it models: docs/adaptive.md, Simulation."""
import sys

from plot import bars

SERIES = ("nested", "shadow", "dsp", "regret", "optimum")
TITLE = "Simulated machine: time lost to paging, % (shorter is better)"
NOTES = {"xen-like": "10 us a fault by shadow paging, as published for Xen; 4 ns a page walk; policies as the hypervisor has them",
         "proposed": "1.2 us a fault by shadow paging; 4 ns a page walk; policies as the hypervisor has them"}


def table(lines, costs):
    """(load, values) of the rows under the head line that names @costs."""
    rows, inside = [], False
    for line in lines:
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if not cells:
            inside = line.startswith(f"{costs} costs: % over time without") or inside and not line.strip()
        elif inside and len(cells) == 1 + len(SERIES) and cells[1][:1].isdigit():
            rows.append((cells[0], [float(cell.split("/")[0]) for cell in cells[1:]]))
    return rows


def main():
    costs, path = sys.argv[1:]
    rows = table(sys.stdin, costs)
    if not rows:
        print(f"simplot: no table of {costs} costs", file=sys.stderr)
        return 1
    with open(path, "w", encoding="ascii") as f:
        f.write(bars(TITLE, NOTES[costs], SERIES, rows, None, 1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
