# SPDX-License-Identifier: MIT
"""Plots of bench/adaptive.py by gnuplot, as SVG: normalised time, residency and switches, what exits cost."""
import math
import os
import shutil
import subprocess

COLOURS = {"nested": "#4878a8", "shadow": "#c87840", "adaptive": "#508050", "dsp": "#a06898", "per_as": "#907030", "twin": "#405068"}
OTHER = "#808080"
EXIT_COLOURS = ("#c87840", "#4878a8", "#508050", "#a06898", "#907030", "#808080")
EXIT_REASONS = 5  # named ones; the rest together
HEAD = 'set terminal svg size {w},{h} font "sans-serif,11" background rgb "white"\nset output "{out}"\n'


def write(directory, loads, platforms, what):
    """Names of the files made; none without gnuplot or without figures."""
    if not loads or not shutil.which("gnuplot"):
        return []
    guests = [p for p in platforms if p != "native" and any(load.of(p) for load in loads)]
    made = [plot(directory, "adaptive-time.svg", normalised(loads, guests, what)),
            plot(directory, "adaptive-exits.svg", exit_costs(loads, guests))]
    for policy in (p for p in guests if p not in ("nested", "shadow")):
        made.append(plot(directory, f"adaptive-residency-{policy}.svg", residency(loads, policy)))
    return made


def plot(directory, name, script):
    width, height, body = script
    text = HEAD.format(w=width, h=height, out=os.path.join(directory, name)) + body
    with open(os.path.join(directory, name.replace(".svg", ".gp")), "w", encoding="ascii") as f:
        f.write(text)
    subprocess.run(["gnuplot"], input=text.encode(), check=True)
    return name


def block(name, rows):
    return f"${name} << EOD\n" + "\n".join(" ".join(str(c) for c in row) for row in rows) + "\nEOD\n"


def normalised(loads, guests, what):
    """Each load's time natively is 1, or by nested paging where natively was not measured."""
    base = "native" if all(load.of("native") for load in loads) else "nested"
    rows = [[load.name] + [c for p in guests for c in cell(load, p, base)] for load in loads]
    body = block("t", rows)
    body += f'set title "{what} for the same work, {base} = 1"\n'
    body += "set style data histogram\nset style histogram errorbars gap 1 lw 1\nset errorbars lc rgb \"black\"\nset style fill solid noborder\n"
    body += 'set yrange [0:*]\nset xtics rotate by -35 nomirror\nset key outside right\nset arrow from graph 0,first 1 to graph 1,first 1 nohead dt 2\n'
    each = [f'$t using {2 + 2 * i}:{3 + 2 * i}:xtic(1) title "{p}" lc rgb "{COLOURS[p]}"' for i, p in enumerate(guests)]
    return max(640, 220 + 55 * len(loads)), 380, body + "plot " + ", ".join(each).replace("_", "\\_") + "\n"


def cell(load, platform, base):
    if base == "native":
        return f"{load.to_native(platform) or math.nan:.4f}", "0"
    if not load.ratio(platform, base).n:
        return "NaN", "NaN"
    ratio = load.ratio(platform, base)
    return f"{ratio.mean:.4f}", f"{ratio.half if math.isfinite(ratio.half) else 0:.4f}"


def residency(loads, policy):
    """The last block of each load: which mode ran when."""
    rows, marks, ticks = [], [], []
    shown = [load for load in loads if load.of(policy)]
    for y, load in enumerate(reversed(shown)):
        m = load.of(policy)[-1]
        ticks.append(f'"{load.name}" {y}')
        for begin, end, mode in m.spells:
            rows.append((f"{begin / 1e9:.4f}", y, f"{begin / 1e9:.4f}", f"{end / 1e9:.4f}", y - 0.3, y + 0.3, int(COLOURS.get(mode, OTHER)[1:], 16)))
        marks += [(f"{when / 1e9:.4f}", y + 0.42) for when, _ in m.phases]
    body = block("r", rows) + block("p", marks or [("NaN", "NaN")])
    body += f'set title "{policy}: mode over time, last block of each load (marks: a phase begins)"\n'.replace("_", "\\_")
    body += f'set ytics ({", ".join(ticks)})\nset yrange [-0.7:{len(shown) - 0.3}]\nset xlabel "CPU time of the guest, s"\n'
    body += "set style fill solid noborder\nset key outside right\n"
    body += 'plot $r using 1:2:3:4:5:6:7 with boxxyerror lc rgb variable notitle, $p using 1:2 with points pt 11 ps 0.5 lc rgb "black" notitle'
    body += "".join(f', NaN with boxes lc rgb "{COLOURS[mode]}" title "{mode}"' for mode in ("nested", "shadow")) + "\n"
    return 800, 90 + 30 * len(shown), body


def exit_costs(loads, guests):
    """Cycles in exits by reason, in percent of all; one bar a load and mode."""
    shares, totals = [], {}
    for load in loads:
        for p in (p for p in guests if load.of(p)):
            share = exit_share(load, p)
            shares.append((load.name, p, share))
            for reason, value in share.items():
                totals[reason] = totals.get(reason, 0) + value
    top = sorted(totals, key=totals.get, reverse=True)[:EXIT_REASONS]
    rows = [[f'"{name} {p}"'] + [f"{share.get(reason, 0):.4f}" for reason in top] +
            [f"{sum(v for r, v in share.items() if r not in top):.4f}"] for name, p, share in shares]
    body = block("e", rows)
    body += 'set title "Cycles in exits, % of the guest\'s and theirs"\nset style data histogram\nset style histogram rowstacked\n'
    body += "set style fill solid noborder\nset boxwidth 0.8\nset xtics rotate by -90 font \",9\" nomirror\nset yrange [0:*]\nset key outside right\n"
    each = [f'$e using {i + 2}:xtic(1) title "{reason}" lc rgb "{EXIT_COLOURS[i]}"' for i, reason in enumerate([*top, "others"])]
    return max(640, 220 + 16 * len(rows)), 460, (body + "plot " + ", ".join(each) + "\n").replace("_", "\\_")


def exit_share(load, platform):
    cycles, whole = {}, 0
    for m in load.of(platform):
        whole += m.guest_cycles + sum(c for _, c in m.exits.values())
        for reason, (_, c) in m.exits.items():
            cycles[reason] = cycles.get(reason, 0) + c
    return {reason: 100 * c / whole for reason, c in cycles.items()} if whole else {}
