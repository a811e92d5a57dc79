#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The benchmark: the same workloads natively and as a guest, in the same emulator, in one go.

    run.py BUILD-DIR [--runs N]

Instructions per operation come from a run counted by instructions (it repeats exactly); N interleaved pairs of
native and nested give medians of the emulator's CPU time, shown as ratios only: an emulator's time says nothing
about hardware.  Writes BUILD-DIR/bench/{results,exits}.jsonl, ratios.svg and the serial logs.  Exit status 0
when every run finished.  Python's standard library only."""
import argparse
import json
import os
import re
import statistics
import struct
import subprocess
import sys
import time

import exits
import peers
import plot
from machine import BenchError, Machine

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests", "qemu"))
from records import SerialLog  # noqa: E402 (needs the path set above)

GUEST = "alpha"
PREFIX = GUEST.encode() + b"| "
MEMORY = {"nano": 64, "linux": 512}
HOST_EXTRA = 512  # MiB for hypervisor, modules and what the host's firmware takes
LIMIT = 300  # seconds for one run, on a loaded host
RESET_VECTOR = 0xfffffff0
# ISOLINUX puts a kernel's setup code at 1000:0000; the boot protocol enters it at 1020:0000.
SETUP_CS, SETUP_LINEAR = 0x1020, 0x10200
# A real-time run is worth something when its plain computing took what it takes natively.
CPU_RATIO = (0.90, 1.10)
REPEAT_SECONDS = 180  # so long disturbed pairs are repeated, at most as many as were asked for
NANO_OPS = 16 + 5 * 4000
LINUX_ROUNDS = 5


class Run:
    """What one boot of a workload gave."""

    def __init__(self, platform, workload):
        self.platform, self.workload = platform, workload
        self.marks = {}  # name: (emulator CPU ns, emulated ns or None, bytes of exit log)
        self.lines, self.records, self.events = [], [], []
        self.cpu_at = {}  # line: CPU ns when it arrived
        self.window_events = {}

    def values(self, metric):
        """name -> value of the guest's own BENCH lines."""
        found = {}
        for line in self.lines:
            word = line.split()
            if len(word) == 4 and word[0] == "BENCH" and word[2] == metric:
                found[word[1]] = float(word[3])
        return found

    def record(self, kind, **members):
        return next((r for r in self.records if r["type"] == kind and
                     all(r.get(k) == v for k, v in members.items())), {})

    def cpu_per_op(self):
        """Emulator CPU ns per operation, from the lines around each workload's rounds."""
        found = {}
        for name, ops in self.values("ops").items():
            start, end = f"bench: {name}", f"BENCH {name} ops {int(ops)}"
            if start in self.cpu_at and end in self.cpu_at:
                found[name] = (self.cpu_at[end] - self.cpu_at[start]) / (ops * LINUX_ROUNDS)
        return found

    def window(self, first, last):
        """(CPU ns, emulated ns) between two marks."""
        a, b = self.marks[first], self.marks[last]
        return b[0] - a[0], b[1] - a[1]


class Bench:
    def __init__(self, build):
        self.build, self.dir = build, os.path.join(build, "bench")
        with open(os.path.join(self.dir, "linux", "bench"), "rb") as f:
            self.init_entry = struct.unpack_from("<Q", f.read(64), 24)[0]

    def guest_iso(self, workload):
        """The workload's CD as a guest's, on a medium of ours."""
        out = os.path.join(self.dir, f"nested-{workload}.iso")
        config = os.path.join(self.dir, f"nested-{workload}.conf")
        with open(config, "w", encoding="ascii") as f:
            f.write(f"[guest {GUEST}]\nmemory = {MEMORY[workload]}M\ncdrom = module:{workload}.iso\n"
                    "boot = cdrom\n")
        subprocess.run([os.path.join(TOP, "iso", "mkiso.sh"), "--elf", f"{self.build}/penumbra.elf", "--module",
                        f"{self.build}/guestbios.bin", "--search", self.dir, "--config", config, "--out", out,
                        "--cmdline", "paging=nested exit=qemu"], check=True)
        return out

    def boot(self, platform, workload, counted):
        nested, linux = platform == "nested", workload == "linux"
        name = f"{platform}-{workload}-{'counted' if counted else 'timed'}"
        log = os.path.join(self.dir, name + ".exits") if nested and counted else None
        iso = self.guest_iso(workload) if nested else os.path.join(self.dir, workload + ".iso")
        run = Run(platform, workload)
        with Machine(iso, MEMORY[workload] + (HOST_EXTRA if nested else 0), counted, log, linux) as m:
            if linux:
                self.to_marks(m, run, nested)
            m.run(LIMIT)
            self.take_lines(m, run, os.path.join(self.dir, name + ".log"))
        if log:
            self.take_exits(run, log)
        return run

    def to_marks(self, m, run, nested):
        def mark(name):
            run.marks[name] = (m.cpu_ns(), m.emulated_ns(), m.exits_logged())
        if nested:
            m.gdb.ask("s")  # away from the machine's own reset
            m.gdb.run_to(RESET_VECTOR, lambda cs, rip: True, LIMIT)
            mark("bios")
        m.gdb.run_to(SETUP_LINEAR, lambda cs, rip: (cs, rip) == (SETUP_CS, 0), LIMIT)
        mark("kernel")
        m.gdb.run_to(self.init_entry, lambda cs, rip: cs & 3 == 3, LIMIT)
        mark("init")

    def take_lines(self, m, run, path):
        with open(path, "wb") as f:
            f.writelines(line + b"\r\n" for _, line in m.lines)
        if run.platform == "nested":
            log = SerialLog.read(path)
            run.lines, run.records = log.lines(GUEST), log.records
        else:
            run.lines = [line.decode("ascii", "replace") for _, line in m.lines]
        for cpu, line in m.lines:
            run.cpu_at[line.removeprefix(PREFIX).decode("ascii", "replace")] = cpu
        failed = [line for line in run.lines if line.startswith("not ok")]
        last = "nano: end" if run.workload == "nano" else "ok bench"
        if failed or last not in run.lines:
            raise BenchError(f"{run.platform} {run.workload}: " +
                             (failed[0] if failed else f"no line '{last}'") + f" (log: {path})")

    @staticmethod
    def take_exits(run, path):
        with open(path, "rb") as f:
            data = f.read()
        os.unlink(path)
        run.events = exits.parse(data)
        total = run.record("stats", guest=GUEST).get("exits_total", 0)
        if not total or abs(total - len(run.events)) > 10:
            raise BenchError(f"{run.workload}: {len(run.events)} exits logged, {total} in the stats record")
        if run.marks:
            bios, kernel, init = (run.marks[n][2] for n in ("bios", "kernel", "init"))
            run.window_events = {"BIOS to kernel": exits.parse(data[bios:kernel]),
                                 "kernel to init": exits.parse(data[kernel:init])}


# --- evaluation ---------------------------------------------------------------------------------------

def loop_exits(run):
    """name -> exits of its operations by reason, per operation."""
    first = next(i for i, line in enumerate(run.lines) if line in ("nano: begin", "bench: begin"))
    lines = run.lines[first:]
    pieces = exits.split_after_lines(run.events, lines)
    ops = run.values("ops")
    found = {}
    for before, after, piece in zip(lines, lines[1:], pieces):
        word = after.split()
        if word[:1] != ["BENCH"] or word[2] != ("ops" if run.workload == "linux" else "tsc_per_op"):
            continue
        n = ops[word[1]] * LINUX_ROUNDS if run.workload == "linux" else NANO_OPS
        found[word[1]] = {reason: count / n for reason, count in exits.by_reason(piece).most_common()}
    return found


def ratios(native, nested):
    return {name: nested[name] / native[name] for name in native if native[name] and name in nested}


def timed_ratios(pairs):
    """Medians over the pairs whose plain computing was undisturbed; and how many those are."""
    each = []
    for native, nested in pairs:
        r = ratios(native.cpu_per_op(), nested.cpu_per_op())
        r["boot"] = nested.window("kernel", "init")[0] / native.window("kernel", "init")[0]
        each.append(r)
    good = [r for r in each if CPU_RATIO[0] <= r.get("cpu", 0) <= CPU_RATIO[1]]
    used = good or each
    names = dict.fromkeys(name for r in used for name in r)
    return {name: statistics.median([r[name] for r in used if name in r]) for name in names}, len(good)


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


HEAD = f"{'':18s}{'native':>10s}{'nested':>10s}{'ratio':>8s}{'KVM':>9s}{'ratio':>7s}{'Xen':>9s}{'ratio':>7s}  exits per operation"


def loop_row(name, native, nested, per_op):
    ref = peers.INSTRUCTIONS.get(name)
    columns = [number(v) for v in (native, nested)] + [ratio(nested / native)]
    if ref:
        columns += [number(ref[1]), ratio(ref[1] / ref[0]), number(ref[2]), ratio(ref[2] / ref[0])]
    else:
        columns += ["-"] * 4
    return f"{name:18s}" + "".join(f"{c:>{w}s}" for c, w in zip(columns, (10, 10, 8, 9, 7, 9, 7))) + \
        "  " + exits_text(per_op)


def loop_table(native, nested):
    per_op = loop_exits(nested)
    a, b = native.values("tsc_per_op"), nested.values("tsc_per_op")
    return [loop_row(name, a[name], b[name], per_op[name]) for name in a]


def time_table(timed, good, runs):
    rows = ["", f"Emulator CPU time, ratio to native (median of {good} undisturbed pairs of {runs})",
            f"{'':18s}{'nested':>8s}{'KVM':>8s}{'Xen':>8s}"]
    for name, value in timed.items():
        ref = peers.EMULATOR_TIME.get(name, (None, None))
        label = "kernel to init" if name == "boot" else name
        rows.append(f"{label:18s}" + "".join(f"{ratio(v):>8s}" for v in (value, *ref)))
    if not good:
        rows.append("(no undisturbed pair: the host was busy; figures of all pairs)")
    return rows


def window_table(name, events):
    rest = [e for e in events if not exits.polled(e)]
    rows = ["", f"{name}: {len(rest)} exits, and {len(events) - len(rest)} polled timer reads"]
    rows += [f"  {count:6d} {reason}" for reason, count in exits.by_reason(rest).most_common()]
    detail = [f"{what} {count}" for what, count in exits.by_detail(rest).most_common(12)]
    return rows + ["  most: " + ", ".join(detail)]


def goals(r):
    """(what, value, limit) of each."""
    native, nested = r["nano"]
    a, b = native.values("tsc_per_op"), nested.values("tsc_per_op")
    for leaf in ("0", "1", "7", "80000008"):
        yield f"CPUID leaf {leaf}, instructions round trip", b["k_cpuid_" + leaf] - a["k_cpuid_" + leaf], 400
    native, nested = r["linux"]
    quotient = ratios(native.values("tsc_per_op"), nested.values("tsc_per_op"))
    for name in ("cpu", "syscall", "forkwait", "pgfault"):
        yield f"{name}, instructions to native", quotient[name], 1.01
    windows = nested.window_events
    yield "exits, kernel to init, not polled", sum(not exits.polled(e) for e in windows["kernel to init"]), 6500
    yield "kernel to init, counted time to native", \
        nested.window("kernel", "init")[1] / native.window("kernel", "init")[1], 1.3
    yield "kernel to init, emulator CPU time to native", r["timed"]["boot"], 1.3
    megabytes = nested.record("stats").get("bios_disk_bytes", 0) / 1e6
    yield f"exits, BIOS to kernel, {megabytes:.1f} MB loaded", len(windows["BIOS to kernel"]), 2000
    yield "hypervisor memory, MiB", nested.record("boot")["memory"]["hypervisor"] / 2**20, 16
    yield "hand-over to guest, emulated seconds", nested.record("guest", event="bios")["t_us"] / 1e6, 0.5


def goal_table(r):
    rows = ["", f"{'':50s}{'value':>10s}{'limit':>8s}"]
    for what, value, limit in goals(r):
        shown = str(value) if isinstance(value, int) else f"{value:.3f}"
        rows.append(f"{what:50s}{shown:>10s}{limit:>8}  {'met' if value <= limit else 'MISSED'}")
    return rows


def report(r):
    rows = ["Instructions per operation: guest and hypervisor together; KVM and Xen as measured in the same emulator",
            HEAD]
    rows += loop_table(*r["nano"]) + loop_table(*r["linux"])
    rows += time_table(r["timed"], r["good"], len(r["pairs"]))
    for name, events in r["linux"][1].window_events.items():
        rows += window_table(name, events)
    return rows + goal_table(r)


# --- files ----------------------------------------------------------------------------------------------

def write_jsonl(path, objects):
    with open(path, "w", encoding="ascii") as f:
        f.writelines(json.dumps(o) + "\n" for o in objects)


def result_objects(r):
    for workload in ("nano", "linux"):
        for run in r[workload]:
            for name, value in run.values("tsc_per_op").items():
                yield {"bench": name, "platform": run.platform, "value": value, "unit": "instructions/op"}
    for i, pair in enumerate(r["pairs"]):
        for run in pair:
            for name, value in run.cpu_per_op().items():
                yield {"bench": name, "platform": run.platform, "run": i, "value": round(value, 1),
                       "unit": "emulator-cpu-ns/op"}
            yield {"bench": "boot", "platform": run.platform, "run": i, "unit": "emulator-cpu-ns",
                   "value": run.window("kernel", "init")[0]}
    for what, value, limit in goals(r):
        yield {"goal": what, "value": value, "limit": limit, "met": value <= limit}


def exit_objects(r):
    for workload in ("nano", "linux"):
        nested = r[workload][1]
        for name, per_op in loop_exits(nested).items():
            yield {"bench": name, "exits_per_op": per_op}
        yield {"workload": workload, "stats": nested.record("stats", guest=GUEST)}
    for name, events in r["linux"][1].window_events.items():
        yield {"window": name, "by_reason": exits.by_reason(events),
               "by_detail": dict(exits.by_detail(events).most_common())}


def write_plot(path, r):
    quotient = ratios(*(run.values("tsc_per_op") for run in r["linux"]))
    rows = []
    for name, value in quotient.items():
        ref = peers.INSTRUCTIONS.get(name)
        if ref and name != "cpuid":
            rows.append((name, (value, ref[1] / ref[0], ref[2] / ref[0])))
    for name, value in r["timed"].items():
        if name in peers.EMULATOR_TIME:
            rows.append((name + " (time)", (value, *peers.EMULATOR_TIME[name])))
    with open(path, "w", encoding="ascii") as f:
        f.write(plot.bars("Nested paging: ratio to native", "instructions per operation, then the emulator's CPU "
                          "time; shorter is better; no hardware was measured", ("Penumbra", "KVM", "Xen"), rows))


def say(text):
    print(f"  BENCH   {text}", file=sys.stderr, flush=True)


def measure(bench, runs):
    r = {"pairs": []}
    for workload in ("nano", "linux"):
        say(f"{workload}: native and nested, counted by instructions")
        r[workload] = tuple(bench.boot(platform, workload, True) for platform in ("native", "nested"))
    end = time.monotonic() + REPEAT_SECONDS
    while True:
        say(f"linux: native and nested, timed, pair {len(r['pairs']) + 1}")
        r["pairs"].append(tuple(bench.boot(platform, "linux", False) for platform in ("native", "nested")))
        r["timed"], r["good"] = timed_ratios(r["pairs"])
        enough = r["good"] >= runs or len(r["pairs"]) >= 2 * runs or time.monotonic() > end
        if len(r["pairs"]) >= runs and enough:
            return r


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("--runs", type=int, default=3, help="timed pairs (default 3)")
    args = p.parse_args()
    began = time.monotonic()
    bench = Bench(os.path.abspath(args.build))
    try:
        r = measure(bench, max(1, args.runs))
    except (BenchError, OSError, subprocess.CalledProcessError) as why:
        print(f"bench: {why}", file=sys.stderr)
        return 1
    print("\n".join(report(r)))
    write_jsonl(os.path.join(bench.dir, "results.jsonl"), result_objects(r))
    write_jsonl(os.path.join(bench.dir, "exits.jsonl"), exit_objects(r))
    write_plot(os.path.join(bench.dir, "ratios.svg"), r)
    print(f"\n{bench.dir}: results.jsonl exits.jsonl ratios.svg; {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
