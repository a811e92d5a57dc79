# SPDX-License-Identifier: MIT
"""The tables of bench/adaptive.py."""
from loadmachine import STATIC


def number(value, digits=3):
    return "-" if value is None else f"{value:.{digits}f}"


def percent(value):
    return "-" if value is None else f"{100 * value:.0f} %"


def phase_shares(load, platform):
    """phase -> (mode that is cheaper for it by the static segments, share of its time that ran so)."""
    cost = {mode: phase_times(load.blocks(mode)) for mode in STATIC}
    found = {}
    for name in cost[STATIC[0]]:
        best = min(STATIC, key=lambda mode: cost[mode].get(name, 0))
        inside = whole = 0
        for m in load.blocks(platform):
            for begin, end, which in phase_spans(m.segment):
                if which == name:
                    whole += end - begin
                    inside += sum(max(0, min(b, end) - max(a, begin)) for a, b, mode in m.spells if mode == best)
        found[name] = (best, inside / whole if whole else None)
    return found


def phase_spans(segment):
    """(begin, end, name): a phase ends where the next begins, or with its round."""
    ends = [end for end, _, _ in segment.rounds]
    begins = [when for when, _ in segment.phases] + [float("inf")]
    for i, (when, name) in enumerate(segment.phases):
        yield when, min(begins[i + 1], min((e for e in ends if e > when), default=segment.cpu_ns)), name


def phase_times(blocks):
    """phase -> mean time."""
    times = {}
    for m in blocks:
        for begin, end, name in phase_spans(m.segment):
            times.setdefault(name, []).append(end - begin)
    return {name: sum(each) / len(each) for name, each in times.items()}


def summary(load, platforms, policies, below_both):
    s = {"summary": load.name, "param": load.param, "best_static": load.best_static(),
         "cpu_ms_per_round": {p: round(load.mean(p) / 1e6, 3) for p in platforms if load.mean(p)},
         "to_native": {p: load.ratio(p, "native").members() for p in platforms if p != "native" and load.blocks("native")},
         "checksums": sorted(load.checksums())}
    for p in (p for p in platforms if p in policies and load.blocks(p)):
        ratio = load.to_best(p)
        first = [m.first.cpu_per_round() / m.segment.cpu_per_round() for m in load.blocks(p)]
        s[p] = {"to_best_static": ratio.members(), "verdict": ratio.verdict(),
                "shadow_share": load.share(p, "shadow"), "switches_per_second": load.switches(p),
                "ticks": sum(m.ticks for m in load.blocks(p)), "first_ticks_to_rest": sum(first) / len(first)}
        if load.name in below_both:
            s[p]["below_both"] = ratio.below_one()
        if load.name == "phases":
            s[p]["phases"] = phase_shares(load, p)
    return s


def ratio_row(load, platforms):
    native = load.mean("native")
    cells = [f"{load.name:11s}", f"{number(native / 1e6 if native else None, 1):>9s}", f"{len(load.blocks('nested')):>4d}"]
    cells += [f"{str(load.ratio(p, 'native')):>14s}" for p in platforms if p != "native"]
    return "".join(cells)


def policy_row(load, policy, s):
    r = s[policy]
    extra = f"  below both: {r['below_both']}" if "below_both" in r else ""
    return (f"{load.name:11s}{s['best_static']:>8s}{str(load.to_best(policy)):>15s}  {r['verdict']:10s}"
            f"{percent(r['shadow_share']):>7s}{number(r['switches_per_second'], 2):>8s}{r['ticks']:>6d}"
            f"{number(r['first_ticks_to_rest'], 2):>7s}{extra}")


def phase_rows(s, policy):
    for name, (best, share) in s[policy].get("phases", {}).items():
        yield f"{'':11s}phase {name}: {best} is cheaper, and {percent(share)} of it ran so"


def report(loads, platforms, policies, below_both, what):
    """Rows of text, and an object for each load.  @what the times are."""
    summaries = [summary(load, platforms, policies, below_both) for load in loads]
    guests = [p for p in platforms if p != "native"]
    rows = [f"{what} for the same work, ratio to native: mean of blocks, 95 % confidence.",
            f"{'':11s}{'native ms':>9s}{'n':>4s}" + "".join(f"{p:>14s}" for p in guests)]
    rows += [ratio_row(load, platforms) for load in loads]
    for policy in (p for p in platforms if p in policies):
        rows += ["", f"{policy}: to the better static mode (pass: lower bound <= 1.03 and half-width <= 0.02)",
                 f"{'':11s}{'best':>8s}{'ratio':>15s}  {'':10s}{'shadow':>7s}{'sw/s':>8s}{'ticks':>6s}{'first':>7s}"]
        for load, s in zip(loads, summaries):
            if policy in s:
                rows += [policy_row(load, policy, s), *phase_rows(s, policy)]
    rows += ["", "shadow: share of the time; sw/s: switches in a second; first: a round in the first ticks to a later one."]
    return rows, summaries
