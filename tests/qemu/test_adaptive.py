# SPDX-License-Identifier: MIT
"""A policy chooses the guest's paging mode while it boots and checks itself.

~exact: the samples of a trace, made up here with phases, gaps and nonsense, go to the policy in place of measured ones; what
the hypervisor decides is what pnpolicy decides on the host, bit by bit, and the guest follows. ~measured: the same for what
was measured, as `trace=policy` says it; and keys take the choice from the policy and give it back. ~chaos: modes change by
chance at any exit. Catches a decision that depends on anything but its samples, a switch that is not made or not told, a
guest that notices."""
import json
import random
import re
import subprocess

import demo

TIER = "ci"
SECONDS = 40
ESCAPE = b"\x1d"  # Ctrl-]
VARIATIONS = {
    "exact": {"check": "exact", "policy": "regret"},
    "exact-dsp": {"check": "exact", "policy": "dsp"},
    "measured": {"check": "measured", "policy": "regret"},
    "chaos": {"check": "chaos", "image": "demo.iso"},
    "chaos-debug": {"check": "chaos", "image": "demo.iso", "elf": "debug/penumbra.elf"},
    "chaos-686": {"check": "chaos", "image": "linux-686.iso"},
    "chaos-686-pae": {"check": "chaos", "image": "linux-686-pae.iso"},
}
NIGHTLY = ("exact-dsp", "chaos-debug", "chaos-686", "chaos-686-pae")
KHZ = 2800000


def made_up_trace(seed=4, ticks=380):
    """Phases of a load that prefers one mode or the other, and samples nobody should believe."""
    dice = random.Random(seed)
    lines = [f"pntrace 1 khz={KHZ}", "# made up", "param backoff_min=500ms", "param period=1s"]
    mode = "nested"
    for tick in range(ticks):
        busy = KHZ * 100
        walks, faults = ((dice.randint(2000000, 2500000), 40) if tick // 60 % 2 else (30000, dice.randint(2000, 2500)))
        cycles = walks * (20 if mode == "shadow" else 45)
        line = (f"mode={mode} ns=100000000 unhalted={busy} instructions={busy - cycles},100 faults={faults},90 walks={walks},80 "
                f"walk_cycles={cycles},80 progress={(busy - cycles) // 1000},100 leaves=40000")
        if mode == "shadow":
            line += f" shadow_cycles={faults * 9000} cr3_writes=12"
        if dice.random() < 0.04:
            line = dice.choice([f"mode={mode} ns=100000000 unhalted={busy}", f"mode={mode} ns=5 unhalted={2**63} faults={2**64 - 1}",
                                f"mode={mode} ns=100000000 unhalted=17 walk_cycles=4,100"])
        lines.append(line)
        # Not always as it was decided: a decision binds nobody.
        if tick % 60 == 9 or dice.random() < 0.01:
            mode = "shadow" if tick // 60 % 2 else "nested"
    return "\n".join(lines) + "\n"


def decided(t, policy, trace):
    """(lines of pnpolicy for each tick, its totals)"""
    out = subprocess.run([t.built("tools/pnpolicy"), "-v", "-P", policy, "-"], input=trace, capture_output=True, text=True, check=False)
    t.check(out.returncode in (0, 1), f"pnpolicy: {out.stderr}")
    lines = [json.loads(line) for line in out.stdout.splitlines()]
    return lines[:-1], lines[-1]


def told_trace(m):
    """What trace=policy said, a text for each time that the policy began."""
    text = "".join(r["line"] + "\n" for r in m.log.of_type("trace", event="policy", guest="alpha"))
    return ["pntrace " + part for part in re.split("^pntrace ", text, flags=re.M)[1:]]


def last_stats(m):
    return m.log.of_type("stats", guest="alpha")[-1]["adaptive"]


def check_as_decided(t, m, policy, trace):
    ticks, total = decided(t, policy, trace)
    stats = last_stats(m)
    t.check(stats["policy"] == policy, f"policy: {stats}")
    t.check(stats["decisions"] == total["decisions"] and stats["ticks"] == total["ticks"],
            f"the hypervisor decided {stats}, pnpolicy {total}")
    reasons = {}
    for d in ticks:
        reasons[d["reason"]] = reasons.get(d["reason"], 0) + 1
    t.check(stats["reasons"] == reasons, f"reasons: {stats['reasons']}, of pnpolicy {reasons}")
    for r in m.log.of_type("paging", guest="alpha", why="policy"):
        d = ticks[r["tick"] - 1]
        differ = [key for key in ("to", "reason", "own", "other", "regret", "gain_ppm") if r[key] != d[key]]
        t.check(not differ, f"{differ}: a record says {r}, pnpolicy {d}")
    return ticks


def exact(t, policy):
    trace = made_up_trace()
    path = t.path("trace")
    with open(path, "w", encoding="ascii") as f:
        f.write(trace)
    m = t.boot(t.iso(demo.guest(memory="192M"), f"paging=adaptive policy={policy} pmu=replay:recorded policy.tick=20ms trace=policy "
                     "calibrate=off control=off exit=qemu", modules=("guestbios.bin", f"{path}=recorded")))
    demo.run_to_end(t, m)
    # The tick is the hypervisor's own affair, but it is one of the parameters.
    ticks = check_as_decided(t, m, policy, trace.replace("param", "param tick=20ms\nparam", 1))
    told = [line for line in told_trace(m)[0].splitlines() if line.startswith("mode=")]
    t.check(len(told) == len(ticks), f"{len(told)} samples told of {len(ticks)}")
    switches = m.log.of_type("result", guest="alpha")[0]["switches"]
    wanted = sum(a != b for a, b in zip(["nested"] + [d["to"] for d in ticks], [d["to"] for d in ticks]))
    t.check(switches == wanted and wanted >= 4, f"{switches} switches, decided were {wanted}")
    print(f"{len(ticks)} ticks, {switches} switches")


def by_hand(t, m):
    """The key for the other mode ends the policy's choice, another one begins it anew."""
    m.wait_line("alpha", "Linux version", 60)
    m.send(ESCAPE + b"m")
    m.wait_record("paging", 20, guest="alpha", why="key", to="shadow")
    begun = len(told_trace(m))
    m.send(ESCAPE + b"l")
    m.wait_line("hv", "alpha running paging=shadow", 20)
    m.send(ESCAPE + b"A")
    m.wait_for(lambda: len(told_trace(m)) > begun, 20, "the policy to begin again")
    m.send(ESCAPE + b"l")
    m.wait_line("hv", "alpha running paging=adaptive", 20)


def measured(t, policy):
    # Walks that cost nothing are not known to a policy: pmu=model gives them a price.
    m = t.boot(t.iso(demo.guest(memory="192M"), f"paging=adaptive policy={policy} pmu=model policy.tick=20ms trace=policy control=off exit=qemu"))
    by_hand(t, m)
    demo.run_to_end(t, m)
    traces = told_trace(m)
    t.check(len(traces) == 2, f"{len(traces)} traces")
    ticks, total = decided(t, policy, traces[-1])
    stats = last_stats(m)
    t.check(stats["decisions"] == total["decisions"] and stats["ticks"] == total["ticks"] > 50,
            f"the hypervisor decided {stats}, pnpolicy {total}")
    t.check(sum(n for reason, n in stats["reasons"].items() if reason not in ("unknown", "failsafe")) > stats["ticks"] // 2,
            f"most samples told the policy nothing: {stats['reasons']}")
    # Each sample says the mode that was decided before it.
    modes = re.findall("^mode=([a-z]+)", traces[-1], flags=re.M)
    t.check(modes[1:] == [d["to"] for d in ticks[:-1]], "the guest did not follow")
    print(f"{len(ticks)} ticks, {stats}")


def chaos(t, image, elf="penumbra.elf"):
    t.built("guests/" + image)
    m = t.boot(t.iso(demo.guest(memory="192M", image=image), "paging=adaptive policy=chaos:5 policy.tick=20ms control=off exit=qemu", elf=elf))
    demo.run_to_end(t, m, limit=300)
    result = m.log.of_type("result", guest="alpha")[0]
    t.check(result["switches"] >= 300, f"only {result['switches']} switches")
    t.check(min(result["modes"].get(mode, 0) for mode in ("nested", "shadow")) > 0, f"modes: {result['modes']}")
    print(f"{result['switches']} switches, {result['modes']} ms")


def run(t, check, **how):
    {"exact": exact, "measured": measured, "chaos": chaos}[check](t, **how)
