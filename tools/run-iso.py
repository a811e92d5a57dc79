#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Boot a medium in QEMU with its serial line on this terminal, then print how its guests ended.

    run-iso.py X.iso [--limit SECONDS] [--log FILE]

What is typed goes to the serial line (docs/serial.md).  Exit status 0 only if every guest passed and
no record was damaged or lost.  The medium must carry exit=qemu on its command line.
"""
import argparse
import os
import selectors
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TOP, "tests", "qemu"))
from records import SerialLog  # noqa: E402 (needs the path set above)

QEMU = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max,-la57", "-m", "1024", "-device",
        "isa-debug-exit,iobase=0xf4,iosize=1", "-serial", "stdio", "-display", "none", "-no-reboot"]
ALL_PASSED = 33


def watch(process, log_path, limit):
    """Serial output to the terminal and the log until QEMU ends; False when it had to be stopped."""
    end = time.monotonic() + limit
    out = sys.stdout.buffer
    with open(log_path, "wb") as log, selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < end:
            if not ready.select(1.0):
                continue
            data = os.read(process.stdout.fileno(), 65536)
            if not data:
                process.wait()
                return True
            log.write(data)
            out.write(data)
            out.flush()
    process.terminate()
    process.wait()
    return False


def exits_table(stats):
    """The reasons that cost most, with count and share of the cycles."""
    exits = stats.get("exits", {})
    cycles = sum(c for _, c in exits.values()) or 1
    print(f"\nExits of {stats['guest']}: {stats.get('exits_total', sum(n for n, _ in exits.values()))}")
    for reason, (n, c) in sorted(exits.items(), key=lambda e: -e[1][1])[:8]:
        print(f"  {reason:16s} {n:10d} {100 * c / cycles:5.1f} % of the cycles spent on exits")


def summary(log):
    """Prints the tables; True when every guest passed."""
    results = log.of_type("result")
    for guest in dict.fromkeys(r["guest"] for r in results):
        stats = log.of_type("stats", guest=guest)
        if stats:
            exits_table(stats[-1])
    print(f"\n{'guest':16s} {'status':8s} {'asked':10s} {'paging':10s} {'seconds':>8s}  detail")
    for r in results:
        print(f"{r['guest']:16s} {r['status']:8s} {r['asked']:10s} {r['paging']:10s} "
              f"{r['ms'] / 1000:8.1f}  {r.get('detail', '')}")
    for e in log.of_type("error"):
        print(f"error: {e.get('guest', '')} {e.get('where', '')}: {e.get('message', '')}")
    for problem in log.check():
        print(f"serial line: {problem}")
    return bool(results) and all(r["status"] == "pass" for r in results) and not log.check()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("iso")
    p.add_argument("--limit", type=int, default=600)
    p.add_argument("--log", default=os.path.join(TOP, "build", "run.log"))
    args = p.parse_args()
    process = subprocess.Popen(QEMU + ["-cdrom", args.iso.replace(",", ",,")],
                               stdout=subprocess.PIPE)
    try:
        ended = watch(process, args.log, args.limit)
    except KeyboardInterrupt:
        process.terminate()
        return 130
    passed = summary(SerialLog.read(args.log))
    if not ended:
        print(f"stopped after {args.limit} s")
    elif process.returncode != ALL_PASSED:
        print(f"QEMU ended with status {process.returncode}, {ALL_PASSED} means that all passed")
    ok = passed and ended and process.returncode == ALL_PASSED
    print("PASS" if ok else f"FAIL (serial log: {os.path.relpath(args.log)})")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
