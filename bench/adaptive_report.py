# SPDX-License-Identifier: MIT
"""The tables of bench/adaptive.py."""
from adaptive_data import NATIVE
from loadmachine import STATIC
from paired import HALF_WIDTH, LIMIT


def number(value, digits=3):
    return "-" if value is None else f"{value:.{digits}f}"


def percent(value):
    return "-" if value is None else f"{100 * value:.0f} %"


def phase_shares(load, platform):
    """phase -> (mode that is cheaper for it by the static segments, share of its time that ran so)."""
    cost = {mode: phase_times(load.of(mode)) for mode in STATIC}
    found = {}
    for name in cost[STATIC[0]]:
        best = min(STATIC, key=lambda mode: cost[mode].get(name, 0))
        inside = whole = 0
        for piece in load.of(platform):
            for begin, end, which in phase_spans(piece):
                if which == name:
                    whole += end - begin
                    inside += sum(max(0, min(b, end) - max(a, begin)) for a, b, mode in piece.spells if mode == best)
        found[name] = (best, inside / whole if whole else None)
    return found


def phase_spans(piece):
    """(begin, end, name): a phase ends where the next begins, or with its round."""
    begins = [when for when, _ in piece.phases] + [float("inf")]
    for i, (when, name) in enumerate(piece.phases):
        yield when, min(begins[i + 1], min((e for e in piece.round_ends if e > when), default=piece.cpu_ns)), name


def phase_times(pieces):
    """phase -> mean time."""
    times = {}
    for piece in pieces:
        for begin, end, name in phase_spans(piece):
            times.setdefault(name, []).append(end - begin)
    return {name: sum(each) / len(each) for name, each in times.items()}


def summary(load, platforms, plan):
    s = {"summary": load.name, "param": load.param, "best_static": load.best_static(),
         "cpu_ms_per_round": {p: round(load.mean(p) / 1e6, 3) for p in platforms if load.of(p)},
         "to_native": {p: round(load.to_native(p), 4) for p in platforms if p != NATIVE and load.to_native(p)},
         "checksums": sorted(load.checksums())}
    for p in (p for p in plan.policies_of(load, platforms) if load.of(p)):
        ratio = load.to_best(p)
        first = [piece.first_per_round / piece.per_round for piece in load.of(p)]
        s[p] = {"to_best_static": ratio.members(), "verdict": ratio.verdict(),
                "middle": load.middle(p), "shadow_share": load.share(p, "shadow"), "switches_per_second": load.switches(p),
                "ticks": sum(piece.ticks or 0 for piece in load.of(p)), "first_ticks_to_rest": sum(first) / len(first)}
        if load.name in plan.BELOW_BOTH:
            s[p]["below_both"] = ratio.below_one()
        if load.name == "phases":
            s[p]["phases"] = phase_shares(load, p)
    return s


def ratio_row(load, platforms):
    native = load.mean(NATIVE)
    cells = [f"{load.name:11s}", f"{number(native / 1e6 if native else None, 1):>9s}", f"{len(load.of(NATIVE)):>4d}"]
    cells += [f"{number(load.to_native(p)):>10s}" for p in platforms if p != NATIVE]
    return "".join(cells)


def policy_row(load, policy, s):
    r = s[policy]
    extra = f"  below both: {r['below_both']}" if "below_both" in r else ""
    return (f"{load.name:11s}{s['best_static']:>8s}{load.to_best(policy).n:>4d}{str(load.to_best(policy)):>15s}  {r['verdict']:10s}"
            f"{number(r['middle']):>7s}"
            f"{percent(r['shadow_share']):>7s}{number(r['switches_per_second'], 2):>8s}{r['ticks']:>6d}"
            f"{number(r['first_ticks_to_rest'], 2):>7s}{extra}")


def phase_rows(s, policy):
    for name, (best, share) in s[policy].get("phases", {}).items():
        yield f"{'':11s}phase {name}: {best} is cheaper, and {percent(share)} of it ran so"


def static_row(load):
    return f"{load.name:11s}{load.ratio('shadow', 'nested').n:>4d}{str(load.ratio('shadow', 'nested')):>15s}"


def report(loads, platforms, plan, what):
    """Rows of text, and an object for each load.  @what the times are."""
    summaries = [summary(load, platforms, plan) for load in loads]
    guests = [p for p in platforms if p != NATIVE]
    rows = [f"{what} for the same work, to native (not at the same time, so roughly), n blocks.",
            f"{'':11s}{'native ms':>9s}{'n':>4s}" + "".join(f"{p:>10s}" for p in guests)]
    rows += [ratio_row(load, platforms) for load in loads]
    rows += ["", "shadow / nested", f"{'':11s}{'n':>4s}{'ratio':>15s}", *map(static_row, loads)]
    for policy in (p for p in platforms if p in plan.POLICY):
        rows += ["", f"{policy}: to the better static mode (pass: lower bound <= {LIMIT} and half-width <= {HALF_WIDTH})",
                 f"{'':11s}{'best':>8s}{'n':>4s}{'ratio':>15s}  {'':10s}{'middle':>7s}{'shadow':>7s}{'sw/s':>8s}{'ticks':>6s}{'first':>7s}"]
        for load, s in zip(loads, summaries):
            if policy in s:
                rows += [policy_row(load, policy, s), *phase_rows(s, policy)]
    rows += ["", "n: blocks; middle: of all rounds' medians, no verdict hangs on it; shadow: share of the time; sw/s: switches in a second; first: a round in the first ticks to a later one."]
    return rows, summaries
