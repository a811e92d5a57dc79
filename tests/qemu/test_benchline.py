# SPDX-License-Identifier: MIT
"""docs/paging.md's way to the plots of a real machine, with a machine whose serial line is a pseudo-terminal in its place: the medium is made and
booted, the bench at the other end of the line changes modes and takes the loads' own times, native ones from another boot go into the same
file, and tables and plots come from that.  Catches an option or an order of steps that the document shows and that does not work."""
import contextlib
import os
import re
import subprocess
import sys

import harness

TOP = harness.TOP
sys.path.insert(0, os.path.join(TOP, "bench"))
from adaptive_data import read  # noqa: E402 (needs the path set above)
from machine import CPU  # noqa: E402

TIER = "ci"
SECONDS = 150
VARIATIONS = {"regret": {"policy": "adaptive"}, "dsp": {"policy": "dsp"}}
NIGHTLY = tuple(VARIATIONS)
SHORT = ["--loads", "page", "--ticks", "3", "--rounds", "1", "--blocks", "1"]


@contextlib.contextmanager
def machine(iso, memory):
    """Its serial line's path."""
    p = subprocess.Popen(["qemu-system-x86_64", "-accel", "tcg", "-cpu", CPU, "-m", str(memory), "-display", "none", "-nodefaults", "-no-reboot",
                          "-chardev", "pty,id=line", "-serial", "chardev:line", "-cdrom", iso],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said = p.stdout.readline()
        yield re.search(r"/dev/pts/\d+", said).group()
    finally:
        p.kill()
        p.wait()
        p.stdout.close()


def bench(t, *options):
    env = {**os.environ, "BENCH": ""}
    done = subprocess.run([sys.executable, "-B", os.path.join(TOP, "bench", "adaptive.py"), t.build, *options],
                          capture_output=True, text=True, check=False, timeout=900, env=env)
    t.check(done.returncode == 0, f"{options} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def run(t, policy):
    loads = t.built("bench/loads.iso")
    medium, out = t.path("medium.iso"), t.path("jsonl")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(out)
    modes = ["--platforms", f"nested,shadow,{policy}"]
    bench(t, "--medium", medium, *modes)
    with machine(medium, 1024) as line:
        bench(t, "--serial", line, "--resume", out, *modes, *SHORT)
        bench(t, "--serial", line, "--resume", out, *modes, *SHORT)  # goes on
    with machine(loads, 512) as line:
        bench(t, "--serial", line, "--resume", out, "--platforms", "native", *SHORT)
    head, (load,) = read(out)
    t.check(head["platforms"] == ["native", "nested", "shadow", policy], f"platforms: {head['platforms']}")
    order = [p.platform for p in load.pieces]
    both = ["shadow", "nested", policy, "nested", "shadow", "nested", "shadow", policy, "shadow", "nested"]
    t.check(order == [*both, "native"], f"measured: {order}")
    t.check(len(load.checksums()) == 1, f"other results in other modes: {load.checksums()}")
    t.check(all(p.ticks >= 3 for p in load.of(policy)), f"ticks: {[p.ticks for p in load.of(policy)]}")
    t.check({mode: ms > 0 for mode, ms in load.of("shadow")[0].mode_ms.items()} == {"nested": False, "shadow": True}, "the line's key did not change the mode")
    t.check(load.ratio(policy, "native").n == 1, "natively measured blocks have no partners")
    said = bench(t, "--report", out)
    t.check("The loads' own time" in said and f"{policy}: to the better static mode" in said, f"report:\n{said}")
    for name in ("time", "exits", f"residency-{policy}"):
        t.built(f"bench/adaptive-{name}.svg")
    print(said.splitlines()[2])
