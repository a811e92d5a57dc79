#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The benchmark: the same workloads natively and as a guest, in the same emulator, in one go.

    run.py BUILD-DIR [--runs N] [--passes P] [--modes nested,shadow] [--minutes M] [--no-counts]

Instructions per operation come from a run counted by instructions (it repeats exactly); N rounds of P passes, in each of which
native and guests take ten turns at each loop, give pairs of the emulator's CPU time, shown as ratios only: an emulator's time
says nothing about hardware.  Writes BUILD-DIR/bench/{results,exits}.jsonl, ratios-MODE.svg and the serial logs.  Exit status 0
when every run finished.  Python's standard library only."""
import argparse
import json
import os
import re
import struct
import subprocess
import sys
import time

import budget
import exits
import limits
import media
import plot
from figures import GUEST, goals, loop_exits
from machine import BenchError, Machine, words_of
from report import report, time_reference, loop_reference
from rounds import timed_ratios, timed_round

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests", "qemu"))
from records import SerialLog  # noqa: E402 (needs the path set above)

MEMORY = {"nano": 64, "linux": 512}
MODES = ("nested", "shadow")
HOST_EXTRA = 512  # MiB for hypervisor, modules and what the host's firmware takes
LIMIT = 300  # seconds for one run, on a loaded host
RESET_VECTOR = 0xfffffff0
# ISOLINUX puts a kernel's setup code at 1000:0000; the boot protocol enters it at 1020:0000.
SETUP_CS, SETUP_LINEAR = 0x1020, 0x10200


class Run:
    """What one boot of a workload gave."""

    def __init__(self, platform, workload):
        self.platform, self.workload = platform, workload
        self.marks = {}  # name: (emulator CPU ns, emulated ns or None, bytes of exit log)
        self.lines, self.records, self.events = [], [], []
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

    def window(self, first, last):
        """(CPU ns, emulated ns) between two marks."""
        a, b = self.marks[first], self.marks[last]
        return b[0] - a[0], b[1] - a[1]


class Bench:
    def __init__(self, build):
        self.build, self.dir = build, os.path.join(build, "bench")
        with open(os.path.join(self.dir, "linux", "bench"), "rb") as f:
            self.init_entry = struct.unpack_from("<Q", f.read(64), 24)[0]

    def machine(self, platform, workload, counted, log=None):
        """Counted, it runs through its loops; else it asks for them."""
        guest, linux = platform != "native", workload == "linux"
        cd = workload + ".iso" if counted else media.timed_cd(self.build, workload + ".iso", "ASK=1")
        iso = media.guest_medium(self.build, f"{platform}-{workload}", cd, MEMORY[workload], f"paging={platform} exit=qemu") \
            if guest else os.path.join(self.dir, cd)
        return Machine(iso, MEMORY[workload] + (HOST_EXTRA if guest else 0), counted, log, linux, not counted)

    def counted(self, platform, workload):
        """One whole run that counts instructions and, of guests, exits."""
        guest = platform != "native"
        log = os.path.join(self.dir, f"{platform}-{workload}.exits") if guest else None
        with self.machine(platform, workload, True, log) as m:
            run = self.started(m, platform, workload)
            m.run(LIMIT)
            self.ended(m, run, "counted")
        if log:
            self.take_exits(run, log)
        return run

    def started(self, m, platform, workload="linux"):
        run = Run(platform, workload)
        if workload == "linux":
            self.to_marks(m, run, platform != "native")
        return run

    def ended(self, m, run, how):
        name = f"{run.platform}-{run.workload}-{how}"
        self.take_lines(m, run, os.path.join(self.dir, name + ".log"))
        mode = run.record("result", guest=GUEST).get("paging", "native")
        if mode != run.platform:
            raise BenchError(f"{name}: the guest ran by paging={mode}")

    def to_marks(self, m, run, guest):
        def mark(name):
            run.marks[name] = (m.cpu_ns(), m.emulated_ns(), m.exits_logged())
        if guest:
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
        if run.platform != "native":
            log = SerialLog.read(path)
            run.lines, run.records = log.lines(GUEST), log.records
        else:
            run.lines = [line.decode("ascii", "replace") for _, line in m.lines]
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


# --- files ----------------------------------------------------------------------------------------------

def write_jsonl(path, objects):
    with open(path, "w", encoding="ascii") as f:
        f.writelines(json.dumps(o) + "\n" for o in objects)


def result_objects(r):
    for workload in ("nano", "linux"):
        for run in r.get(workload, {}).values():
            for name, value in run.values("tsc_per_op").items():
                yield {"bench": name, "platform": run.platform, "value": value, "unit": "instructions/op"}
    for i, one in enumerate(r["rounds"]):
        for platform, ns in one["boot"].items():
            yield {"bench": "boot", "platform": platform, "run": i, "value": ns, "unit": "emulator-cpu-ns"}
        for number, loops in enumerate(one["passes"]):
            for name, each in loops.items():
                for platform in one["boot"]:
                    yield {"bench": name, "platform": platform, "run": i, "pass": number, "unit": "emulator-cpu-ns/op",
                           "turns": [round(cpu[platform], 1) for cpu in each]}
    for mode, timed in r["timed"].items():
        for name, ratio in timed.items():
            yield {"bench": name, "platform": mode, "emulator_cpu_to_native": ratio.members()}
    for mode in r["modes"]:
        for what, value, limit in goals(r, mode):
            yield {"goal": what, "platform": mode, "value": value, "limit": limit, "met": value <= limit}


def exit_objects(r):
    for mode in r["modes"]:
        for workload in ("nano", "linux"):
            guest = r[workload][mode]
            for name, per_op in loop_exits(guest).items():
                yield {"bench": name, "platform": mode, "exits_per_op": per_op}
            yield {"workload": workload, "platform": mode, "stats": guest.record("stats", guest=GUEST)}
        for name, events in r["linux"][mode].window_events.items():
            yield {"window": name, "platform": mode, "by_reason": exits.by_reason(events),
                   "by_detail": dict(exits.by_detail(events).most_common())}


def write_plot(path, r, mode):
    reference = loop_reference(mode)
    quotient = limits.quotients(r["linux"]["native"], r["linux"][mode])
    rows = []
    for name, value in quotient.items():
        ref = reference.get(name)
        if ref and name != "cpuid":
            rows.append((name, (value, ref[1] / ref[0], ref[2] / ref[0])))
    for name, value in r["timed"].get(mode, {}).items():
        if name in time_reference(mode):
            rows.append((name + " (time)", (value.mean, *time_reference(mode)[name])))
    with open(path, "w", encoding="ascii") as f:
        f.write(plot.bars(f"paging={mode}: ratio to native", "instructions per operation, then the emulator's CPU "
                          "time; shorter is better; no hardware was measured", ("Penumbra", "KVM", "Xen"), rows))


def say(text):
    print(f"  BENCH   {text}", file=sys.stderr, flush=True)


def measure(bench, args, time_given):
    r = {"rounds": [], "modes": args.modes, "timed": {}}
    platforms = ("native", *args.modes)
    for workload in ("nano", "linux") if args.counts else ():
        say(f"{workload}: {', '.join(platforms)}, counted by instructions; {time_given.said()}")
        r[workload] = time_given.timed(lambda: {platform: bench.counted(platform, workload) for platform in platforms})
    while len(r["rounds"]) < args.runs and time_given.fits_another():
        say(f"linux: {', '.join(platforms)}, timed, round {len(r['rounds']) + 1}; {time_given.said()}")
        try:
            r["rounds"].append(time_given.timed(lambda: timed_round(bench, platforms, args.passes, time_given)))
        except budget.TimeUp as why:
            say(f"{why}: {len(r['rounds'])} rounds count")
            break
        r["timed"] = {mode: timed_ratios(r["rounds"], mode) for mode in args.modes}
    return r


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("--runs", type=int, default=3, help="timed rounds (default 3; 0: only counts)")
    p.add_argument("--passes", type=int, default=2, help="of a round, each with ten turns at each loop (default 2)")
    p.add_argument("--no-counts", dest="counts", action="store_false", help="times only")
    p.add_argument("--modes", type=words_of(MODES), default=list(MODES), help=f"default {','.join(MODES)}")
    budget.add_option(p, 0)
    args = p.parse_args()
    began = time.monotonic()
    bench, time_given = Bench(os.path.abspath(args.build)), budget.Budget(args.minutes)
    time_given.enforce()
    try:
        r = measure(bench, args, time_given)
    except (BenchError, OSError, subprocess.CalledProcessError) as why:
        print(f"bench: {why}", file=sys.stderr)
        return 1
    time_given.over()
    print("\n".join(report(r)))
    write_jsonl(os.path.join(bench.dir, "results.jsonl"), result_objects(r))
    if args.counts:
        write_jsonl(os.path.join(bench.dir, "exits.jsonl"), exit_objects(r))
        for mode in args.modes:
            write_plot(os.path.join(bench.dir, f"ratios-{mode}.svg"), r, mode)
    print(f"\n{bench.dir}: results.jsonl{' exits.jsonl ratios-*.svg' * args.counts}; {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
