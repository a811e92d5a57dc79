# SPDX-License-Identifier: MIT
"""A guest with a gibibyte of page tables goes through them at random by shadow tables (thrash/thrash.c): what it reads is
right, its tables' shadows stay within the pool, and a good guest beside it gets what it gets beside one that only spins.
Catches an eviction that loses a write or a mapping, a pool that grows or runs dry, work for one guest that another pays."""
import machines

TIER = "nightly"
SECONDS = 120
# @most: pages of the pool, a 64th of the guest's memory for tables and copies of what they were made from.
VARIATIONS = {
    "shadow": {"words": "paging=shadow"},
    "shadow-alone": {"words": "paging=shadow nested=off"},
}
MEMORY = 1280
GOOD = "[guest good]\nmemory = 32M\ncdrom = module:nano.iso\nboot = cdrom\n"
THRASH = f"[guest thrash]\nmemory = {MEMORY}M\ncdrom = module:thrash.iso\nboot = cdrom\n"
SPIN = "[guest spin]\nmemory = 32M\ncdrom = module:hostile-cliloop.iso\nboot = cdrom\ntimeout = 600s\n"
POOL = MEMORY * 1024 // 64 // 8


def beside(t, neighbour, words):
    """How long the good guest takes beside @neighbour, by the machine's clock, which counts instructions."""
    m = machines.start(t, "qemu", t.iso(GOOD + neighbour, machines.cmdline("qemu", words + " control=off"),
                                        search=("guests", "bench")), words=words, memory=3072)
    result = m.wait_record("result", 300, guest="good")
    t.check(result["status"] == "pass", f"the good guest ended with {result}")
    return m, result["ms"]


def run(t, words):
    t.built("guests/thrash.iso")
    m, alone = beside(t, SPIN, words)
    m.stop()
    m, thrashed = beside(t, THRASH, words)
    t.check(not m.log.of_type("result", guest="thrash"), "the thrashing guest ended before the good one")
    result = m.wait_record("result", 300, guest="thrash")
    t.check(result["status"] == "pass", f"the thrashing guest ended with {result}")
    m.wait_line("thrash", "^ok thrash$", 1)
    stats = m.log.of_type("stats", guest="thrash")[-1]["shadow"]
    t.check(stats["pool_used"] <= stats["pool_pages"] == POOL, f"the pool: {stats}")
    t.check(stats["violations"] == 0 and not m.log.of_type("error"), f"errors: {m.log.of_type('error')[:3]}")
    t.check(stats["paths"]["evict"][0] > 10000, f"too few evictions to be a test: {stats['paths']}")
    t.check(thrashed < 1.25 * alone, f"the good guest took {thrashed} ms beside it, {alone} ms beside one that spins")
    machines.ended(t, m, "qemu")
    print(f"good guest: {thrashed} ms, beside one that spins {alone} ms; evictions {stats['paths'].get('evict', [0])[0]}")
