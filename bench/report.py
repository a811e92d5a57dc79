# SPDX-License-Identifier: MIT
"""The tables that a run of the benchmark prints."""
import exits
import limits
import peers
from figures import goals, loop_exits


def number(value):
    if value is None:
        return "-"
    return f"{value:.1f}" if value < 10000 else f"{value:.0f}"


def ratio(value):
    return "-" if value is None else f"{value:.3f}" if value < 10 else f"{value:.0f}"


def exits_text(by_reason):
    shown = [f"{reason} {count:.2f}" for reason, count in by_reason.items() if count >= 0.005][:3]
    total = sum(by_reason.values())
    return ("<0.01" if 0 < total < 0.005 else f"{total:.2f}") + (f" ({', '.join(shown)})" if shown else "")


def head(mode):
    return f"{'':18s}{'native':>10s}{mode:>10s}{'ratio':>8s}{'KVM':>9s}{'ratio':>7s}{'Xen':>9s}{'ratio':>7s}  exits per operation"


def loop_row(name, native, guest, per_op, ref):
    columns = [number(v) for v in (native, guest)] + [ratio(guest / native)]
    if ref:
        columns += [number(ref[1]), ratio(ref[1] / ref[0]), number(ref[2]), ratio(ref[2] / ref[0])]
    else:
        columns += ["-"] * 4
    return f"{name:18s}" + "".join(f"{c:>{w}s}" for c, w in zip(columns, (10, 10, 8, 9, 7, 9, 7))) + \
        "  " + exits_text(per_op)


def loop_table(native, guest):
    per_op = loop_exits(guest)
    a, b = native.values("tsc_per_op"), guest.values("tsc_per_op")
    reference = loop_reference(guest.platform)
    return [loop_row(name, a[name], b[name], per_op[name], reference.get(name)) for name in a]


def loop_reference(mode):
    return peers.INSTRUCTIONS if mode == "nested" else peers.SHADOW_INSTRUCTIONS


def time_reference(mode):
    return peers.EMULATOR_TIME if mode == "nested" else peers.SHADOW_TIME


def time_table(mode, timed):
    rows = ["", "Emulator CPU time, ratio to native: mean of neighbouring pairs, 95 % interval", f"{'':18s}{mode:>16s}{'pairs':>7s}{'KVM':>8s}{'Xen':>8s}"]
    for name, value in timed.items():
        ref = time_reference(mode).get(name, (None, None))
        label = "kernel to init" if name == "boot" else name
        rows.append(f"{label:18s}{str(value):>16s}{value.n:7d}" + "".join(f"{ratio(v):>8s}" for v in ref))
    return rows


def window_table(name, events):
    rest = [e for e in events if not exits.polled(e)]
    rows = ["", f"{name}: {len(rest)} exits, and {len(events) - len(rest)} polled timer reads"]
    rows += [f"  {count:6d} {reason}" for reason, count in exits.by_reason(rest).most_common()]
    detail = [f"{what} {count}" for what, count in exits.by_detail(rest).most_common(12)]
    return rows + ["  most: " + ", ".join(detail)]


def goal_table(r, mode):
    rows = ["", f"{'paging=' + mode:50s}{'value':>10s}{'limit':>8s}"]
    for what, value, limit in goals(r, mode):
        shown = str(value) if isinstance(value, int) else f"{value:.3f}"
        rows.append(f"{what:50s}{shown:>10s}{limit:>8}  {'met' if value <= limit else 'MISSED'}")
    return rows


def counted_report(r, mode):
    rows = ["", f"paging={mode}: instructions per operation, guest and hypervisor together; KVM and Xen as measured in "
            "the same emulator", head(mode)]
    for workload in ("nano", "linux"):
        rows += loop_table(r[workload]["native"], r[workload][mode])
    for name, events in r["linux"][mode].window_events.items():
        rows += window_table(name, events)
    return rows


def mode_report(r, mode):
    rows = counted_report(r, mode) if "linux" in r else []
    if mode in r["timed"]:
        rows += time_table(mode, r["timed"][mode])
    return rows + goal_table(r, mode)


def report(r):
    return [row for mode in r["modes"] for row in mode_report(r, mode)]
