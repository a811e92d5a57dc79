# SPDX-License-Identifier: MIT
"""What the figures must be: (what, value, limit) for each paging mode."""
import exits

# Of the guest's windows, what each operation may cost by shadow paging: exits, and page faults among them.
SHADOW_EXITS = {"forkwait": (20, None), "pgfault": (2.05, None), "ctxsw": (2.05, None), "mprotect": (2.05, 0.005)}
# Where faults of absent pages need not exit (VT-x's filter for page faults), a new page costs the store of its entry alone.
SHADOW_EXITS_FILTERED = dict(SHADOW_EXITS, pgfault=(1.05, None))
SHADOW_INSTRUCTIONS = {"forkwait": 1.75, "pgfault": 1.2}
# Of the emulator's CPU time, to native; the pairs' mean (paired.py).
NESTED_TIME = {"boot": 1.3}
SHADOW_TIME = {"tlbwalk": 1.15, "forkwait": 3, "pgfault": 4}


def extra(native, guest, name):
    """Instructions that an operation of the ring-0 kernel takes beyond the machine's own."""
    return guest.values("tsc_per_op")[name] - native.values("tsc_per_op")[name]


def quotients(native, guest, metric="tsc_per_op"):
    a, b = native.values(metric), guest.values(metric)
    return {name: b[name] / a[name] for name in a if a[name] and name in b}


def nested(runs):
    nano, linux = runs["nano"], runs["linux"]
    for leaf in ("0", "1", "7", "80000008"):
        yield (f"CPUID leaf {leaf}, instructions round trip",
               extra(nano["native"], nano["nested"], "k_cpuid_" + leaf), 400)
    native, guest = linux["native"], linux["nested"]
    quotient = quotients(native, guest)
    for name in ("cpu", "syscall", "forkwait", "pgfault"):
        yield f"{name}, instructions to native", quotient[name], 1.01
    windows = guest.window_events
    yield "exits, kernel to init, not polled", sum(not exits.polled(e) for e in windows["kernel to init"]), 6500
    yield ("kernel to init, counted time to native",
           guest.window("kernel", "init")[1] / native.window("kernel", "init")[1], 1.3)
    megabytes = guest.record("stats").get("bios_disk_bytes", 0) / 1e6
    yield f"exits, BIOS to kernel, {megabytes:.1f} MB loaded", len(windows["BIOS to kernel"]), 2000
    yield "hypervisor memory, MiB", guest.record("boot")["memory"]["hypervisor"] / 2**20, 16
    yield "hand-over to guest, emulated seconds", guest.record("guest", event="bios")["t_us"] / 1e6, 0.5


def shadow_exits(per_op, limits):
    """@per_op: name -> exits of one operation by reason."""
    for name, (limit, faults) in limits.items():
        yield f"{name}, exits", sum(per_op[name].values()), limit
        if faults is not None:
            yield f"{name}, page faults that exit", per_op[name].get("exception", 0), faults


def shadow(runs, per_op):
    """@per_op: name -> exits of one operation by reason, an idle window of the same length taken off."""
    nano, linux = runs["nano"], runs["linux"]
    yield from shadow_exits(per_op, SHADOW_EXITS)
    events = linux["shadow"].window_events["kernel to init"]
    yield "exits, kernel to init, not polled", sum(not exits.polled(e) for e in events), 26000
    yield ("page faults and INVLPG of these",
           sum(e == exits.PAGE_FAULT or e[0] == "invlpg" for e in events), 5000)
    quotient = quotients(linux["native"], linux["shadow"])
    for name, limit in SHADOW_INSTRUCTIONS.items():
        yield f"{name}, instructions to native", quotient[name], limit
    yield "INVLPG, instructions round trip", extra(nano["native"], nano["shadow"], "k_invlpg"), 600


def timed(mode, ratios):
    """@ratios: what was timed -> its pairs' ratio."""
    for name, limit in (NESTED_TIME if mode == "nested" else SHADOW_TIME).items():
        if name in ratios:
            yield f"{name}, emulator CPU time to native", ratios[name].mean, limit
