# SPDX-License-Identifier: MIT
"""docs/paging.md's way to the plots of a real machine, with a machine whose serial line is a pseudo-terminal in its place: the medium is made and
booted, the bench at the other end of the line has three guests run the same load and changes their modes, native times from another boot go into the same
file, and tables and plots come from that.  Catches an option or an order of steps that the document shows and that does not work."""
import contextlib
import os
import re
import subprocess
import sys

import harness

TOP = harness.TOP
sys.path.insert(0, os.path.join(TOP, "bench"))
import beside  # noqa: E402 (needs the path set above)
from adaptive_data import read  # noqa: E402
from machine import CPU  # noqa: E402

TIER = "ci"
SECONDS = 240
VARIATIONS = {"regret": {"policy": "adaptive"}, "dsp": {"policy": "dsp"}}
NIGHTLY = tuple(VARIATIONS)
SHORT = ["--loads", "page", "--first-ticks", "1", "--ticks", "3", "--rounds", "1"]


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
    with machine(medium, beside.MACHINE_MEMORY) as line:
        bench(t, "--serial", line, "--resume", out, *modes, *SHORT, "--blocks", "1")
        bench(t, "--serial", line, "--resume", out, *modes, *SHORT, "--blocks", "3")  # goes on
    with machine(loads, 512) as line:
        bench(t, "--serial", line, "--resume", out, "--platforms", "native", *SHORT)
    head, (load,) = read(out)
    t.check(head["platforms"] == ["native", "nested", "shadow", policy], f"platforms: {head['platforms']}")
    blocks = {p.block: [q.platform for q in load.pieces if q.machine == policy and q.block == p.block] for p in load.of(policy)}
    t.check(sorted(blocks) == [0, 1, 2] and sorted(blocks[0]) == sorted(["nested", "shadow", policy]), f"measured: {blocks}")
    t.check(len(load.checksums()) == 1, f"other results in other modes: {load.checksums()}")
    t.check(all(p.ticks >= 3 for p in load.of(policy)), f"ticks: {[p.ticks for p in load.of(policy)]}")
    t.check({mode: ms > 0 for mode, ms in load.of("shadow")[0].mode_ms.items()} == {"nested": False, "shadow": True}, "the line's key did not change the mode")
    t.check(load.of("native") and load.to_native(policy) > 0, "no native times")
    said = bench(t, "--report", out)
    t.check("CPU time for the same work" in said and f"{policy}: to the better static mode" in said, f"report:\n{said}")
    for name in ("time", "exits", f"residency-{policy}"):
        t.built(f"bench/adaptive-{name}.svg")
    print(said.splitlines()[2])
