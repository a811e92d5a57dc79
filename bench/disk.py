#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Disk of a guest against the same kernel on the machine itself, in the same emulator, in turn.

    disk.py BUILD-DIR [--runs N] [--cpus 1,2] [--models virtio,ide] [--mbps 0,30,550] [--clock real|counted] [--minutes M]

The guest's disk is a whole virtio disk of the control partition's (dev:); natively the same kernel has a disk of the
guest's model itself. Medians of N runs; ratios only, since an emulator's time says nothing about hardware. Time is
the host's, or (counted) 4 ns an instruction while a CPU runs and the host's while it idles: what else the host does
then matters little, and what an exit costs an emulator beside its instructions (its TLB is empty after each) not at
all. The exits are those that the hypervisor counted between two stats records around each load, the guest's and
the control partition's. With --mbps the disk has a limit, the same for both sides (0: none). Writes
BUILD-DIR/bench/disk.jsonl.
Exit status 0 when every run finished. Python's standard library only."""
import argparse
import json
import os
import re
import statistics
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests", "qemu"))
import control  # noqa: E402 (needs the path set above)
import harness  # noqa: E402
import ioguest  # noqa: E402
import run  # noqa: E402
import budget  # noqa: E402
from machine import BenchError  # noqa: E402
from records import RecordError, parse_record  # noqa: E402

# name: operation, bytes, depth
LOADS = {
    "seq-read": ("read", 131072, 8),
    "seq-write": ("write", 131072, 8),
    "rand-read-1": ("randread", 4096, 1),
    "rand-read-16": ("randread", 4096, 16),
    "rand-write-1": ("randwrite", 4096, 1),
    "rand-write-16": ("randwrite", 4096, 16),
}
GOALS = {("virtio", "seq-read"): 0.7, ("virtio", "seq-write"): 0.7,
         ("ide", "seq-read"): 0.5, ("ide", "seq-write"): 0.5}
DISK = 64 << 20
STATS_MS, REST_US = 400, 1500000  # a stats record falls into each rest
COUNTED = ["-icount", "shift=2,sleep=on"]
# Limits are the block layer's (cgroup v2, io.max) of the kernel that drives the disk: natively the one measured,
# else the control partition's. QEMU's own hold in the host's time, whatever clock the machine has.
JOIN = ("mkdir -p /tmp/limit && mount -t cgroup2 none /tmp/limit && echo +io >/tmp/limit/cgroup.subtree_control && "
        "mkdir /tmp/limit/disk && echo {pid} >/tmp/limit/disk/cgroup.procs && echo joined")
LIMIT = "echo $(cat /sys/block/{disk}/dev) rbps={bps} wbps={bps} >/tmp/limit/disk/io.max && echo limited"
PARTITIONS = ("alpha", "control")


def plan(loads, limits):
    """(name, load, MB/s or 0) of what is run one after the other."""
    return [(load + (f"@{limit}" if limit else ""), load, limit) for limit in limits for load in loads]


def limit_command(limit, disk):
    return LIMIT.format(disk=disk, bps=limit * 1000000 or "max")


def script(runs, native):
    """What the guest does: rests, in which the hypervisor's counters are read and limits set, around each load."""
    limited = any(limit for _, _, limit in runs)
    text = "dmesg | grep 'tsc:.*MHz'\nd=/dev/vda\n[ -e $d ] || d=/dev/sda\n"
    text += JOIN.format(pid="$$") + "\n" if native and limited else ""
    for name, load, limit in runs:
        op, size, depth = LOADS[load]
        text += limit_command(limit, "${d#/dev/}") + "\n" if native and limited else ""
        text += (f"echo io: begin {name}\nusleep {REST_US}\nio disk $d {name} {op} {size} {depth}\n"
                 f"echo io: end {name}\nusleep {REST_US}\n")
    return text + "echo io: done\n"


def values(lines):
    """(name, metric) -> value."""
    found = {}
    for line in lines:
        word = line.split()
        if len(word) == 4 and word[0] == "BENCH":
            found[word[1], word[2]] = float(word[3])
    return found


def serial_events(path):
    """Records and the guest's marks, in the order in which they came."""
    with open(path, "rb") as f:
        for line in f.read().replace(b"\r", b"").split(b"\n"):
            if line.startswith(b'{"pnb"'):
                try:
                    yield parse_record(line)
                except RecordError:
                    pass
            elif line.startswith(b"alpha| io: "):
                yield line.decode("ascii", "replace").split(": ", 1)[1].split()


def exits_by_load(path):
    """name -> partition -> {reason: exits} between the first stats record of that after the name's begin and the
    first after its end."""
    found, name, before, mark, open_marks = {}, None, {}, None, ()
    for event in serial_events(path):
        if isinstance(event, list):
            mark, open_marks = event[0], set(PARTITIONS)
            name = event[1] if len(event) > 1 else name
        elif event["type"] == "stats" and event.get("guest") in open_marks:
            who = event["guest"]
            open_marks.discard(who)
            now = {reason: v[0] for reason, v in event["exits"].items()}
            if mark == "begin":
                before[who] = now
            elif mark == "end" and who in before:
                was = before[who]
                found.setdefault(name, {})[who] = {r: n - was.get(r, 0) for r, n in now.items() if n > was.get(r, 0)}
    return found


class Bench:
    def __init__(self, build, runs, counted):
        os.environ["PN_BUILD"] = build
        self.t, self.runs = run.Context("bench-disk"), runs
        self.clock = COUNTED if counted else []
        # In memory where there is a place: the host's own disk is not what is measured.
        self.file = tempfile.NamedTemporaryFile(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        self.file.write(os.urandom(DISK))
        self.file.flush()
        self.disk = ["-drive", f"if=none,id=d,format=raw,file={self.file.name}", "-device"]

    def native(self, model):
        device = {"virtio": "virtio-blk-pci,drive=d", "ide": "ide-hd,drive=d"}[model]
        m = ioguest.native(self.t, "native", script(self.runs, True), 256, [*self.disk, device, *self.clock])
        m.wait_for(lambda: "\nio: done\n" in m.text, 100 + 30 * len(self.runs), "the end of the native run")
        m.stop()
        said = m.text.split("\n")
        limits = len(self.runs) if any(limit for _, _, limit in self.runs) else 0
        self.t.check(said.count("limited") == limits, "the kernel did not take the disk's limit")
        mhz = re.findall(r"tsc: (?:Detected|Refined TSC.*:) ([0-9.]+) MHz", m.text)
        self.tsc_khz = round(float(mhz[-1]) * 1000) if mhz else 0
        return values(said)

    def limit(self, m):
        """Limits the control partition's disk before each run, while the guest rests."""
        c = control.wait(self.t, m)
        c.says(JOIN.format(pid="$(pidof penumbrad)"), "joined", 60)
        for name, _, limit in self.runs:
            self.wait(m, f"io: begin {name}", 200)
            c.says(limit_command(limit, "vda"), "limited", 60)

    @staticmethod
    def wait(m, line, limit):
        m.wait_for(lambda: line in m.log.lines("alpha") or m.log.of_type("result"), limit, line)
        for end in m.log.of_type("result"):
            raise harness.Failure(f"the guest ended: {end}")

    def guest(self, model, cpus):
        # Without an invariant TSC a guest's kernel may fail to calibrate it, and read a slow timer from then on.
        clock = f"tsc=reliable tsc_early_khz={self.tsc_khz}" if self.tsc_khz else ""
        name = ioguest.cd(self.t, "io", script(self.runs, False), clock)
        iso = self.t.iso(f"[guest alpha]\nmemory = 256M\ncdrom = module:{name}\nboot = cdrom\n"
                         f"disk = dev:/dev/vda\ndisk_model = {model}\n", f"paging=nested stats={STATS_MS}ms",
                         modules=ioguest.MODULES, search=("qemu",))
        m = self.t.boot(iso, clock="real", cpus=cpus, vga=False, memory=1024,
                        extra=[*self.disk, "virtio-blk-pci,drive=d", *self.clock])
        if any(limit for _, _, limit in self.runs):
            self.limit(m)
        self.wait(m, "io: done", 100 + 30 * len(self.runs))
        m.stop()
        found = values(m.log.lines("alpha"))
        for load, exits in exits_by_load(m.log_path).items():
            done = found.get((load, "requests"), 0) + found.get((load, "beside_requests"), 0)
            for who, reasons in exits.items() if done else ():
                found[load, who] = sum(reasons.values()) / done
                found[load, who + "_reasons"] = {r: n / done for r, n in reasons.items()}
        return found


def median(runs, key):
    got = [r[key] for r in runs if key in r]
    return statistics.median(got) if got else None


def rows(kind, model, native, guest, runs):
    """One object for each run."""
    for name, load, limit in runs:
        a, b = median(native, (name, "per_s")), median(guest, (name, "per_s"))
        if a is None or b is None:
            continue
        goal = GOALS.get((model, load))
        yield {"bench": "disk", "kind": kind, "model": model, "load": load, "mbps": limit, "ratio": round(b / a, 3),
               "goal": goal, "native_per_s": a, "guest_per_s": b, "exits_per_request": median(guest, (name, "alpha")),
               "control_exits_per_request": median(guest, (name, "control")),
               "reasons": guest[-1].get((name, "alpha_reasons"), {}),
               "control_reasons": guest[-1].get((name, "control_reasons"), {}),
               "computed_native": median(native, (name, "computed_percent")),
               "computed_guest": median(guest, (name, "computed_percent"))}


def run_each(bench, model, native, guest, time_given):
    """Natively, and with each number of CPUs."""
    for run_one, found in [(lambda: bench.native(model), native),
                           *((lambda n=n: bench.guest(model, n), each) for n, each in guest.items())]:
        if time_given.fits_another():
            print(f"  BENCH   disk, {model}: {time_given.said()}", file=sys.stderr, flush=True)
            found.append(time_given.timed(run_one))


def measured(bench, model, args, time_given):
    """Objects of one model's disk; of what there was no time for a line says so."""
    native, guest = [], {int(n): [] for n in args.cpus.split(",")}
    try:
        for _ in range(max(1, args.runs)):
            run_each(bench, model, native, guest, time_given)
    except budget.TimeUp as why:
        print(f"bench: {why}: what is there counts", file=sys.stderr)
    for n, each in guest.items():
        kind = f"{model}, {n} CPU" + ("s" if n > 1 else "") + (", counted" if args.clock == "counted" else "")
        if each:
            yield from rows(kind, model, native, each, bench.runs)
        else:
            print(f"{kind}: no time for it", flush=True)


def shown(o):
    verdict = "" if o["goal"] is None else f"  {o['goal']} " + ("met" if o["ratio"] >= o["goal"] else "MISSED")
    exits = ["-" if n is None else f"{n:.2f}" for n in (o["exits_per_request"], o["control_exits_per_request"])]
    limit = f"{o['mbps']} MB/s" if o["mbps"] else ""
    return (f"{o['kind']:22s}{o['load']:15s}{limit:>9s}{o['native_per_s']:9.0f}{o['guest_per_s']:9.0f}{o['ratio']:7.3f}"
            f"{exits[0]:>8s}{exits[1]:>8s}{o['computed_native']:8.1f}{o['computed_guest']:8.1f}{verdict}")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("--runs", type=int, default=1)
    p.add_argument("--cpus", default="1,2")
    p.add_argument("--models", default="virtio,ide")
    p.add_argument("--loads", default=",".join(LOADS))
    p.add_argument("--mbps", default="0", help="limits of the disk, millions of bytes a second; 0: none")
    p.add_argument("--clock", choices=("real", "counted"), default="real")
    budget.add_option(p, 0)
    args = p.parse_args()
    runs = plan(args.loads.split(","), [int(n) for n in args.mbps.split(",")])
    bench = Bench(os.path.abspath(args.build), runs, args.clock == "counted")
    time_given, out = budget.Budget(args.minutes), []
    time_given.enforce()
    print(f"Disk, requests a second: native, guest, ratio; exits a request; per cent of the CPU left to a loop beside\n"
          f"{'':22s}{'':15s}{'limit':>9s}{'native':>9s}{'guest':>9s}{'ratio':>7s}{'exits':>8s}{'control':>8s}"
          f"{'native':>8s}{'guest':>8s}", flush=True)
    try:
        for model in args.models.split(","):
            for o in measured(bench, model, args, time_given):
                out.append(o)
                print(shown(o), flush=True)
    except (harness.Failure, BenchError) as why:
        print(f"bench: {why}", file=sys.stderr)
        return 1
    finally:
        time_given.over()
        bench.t.close()
    path = os.path.join(args.build, "bench", "disk.jsonl")
    with open(path, "w", encoding="ascii") as f:
        f.writelines(json.dumps(o) + "\n" for o in out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
