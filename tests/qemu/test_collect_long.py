# SPDX-License-Identifier: MIT
"""Two guests that print without pause, also what looks like records, at true 115200 baud for ten minutes, on a line
that damages one byte in 10 000 and loses some, both ways: pncollect ends with every record as it was written.
Catches a store that overruns before a repetition is asked for, and requests that add up to a load of their own."""
import json
import re

import test_collect

TIER = "nightly"
SECONDS = 640
VARIATIONS = {"1min": {"length": 60, "seconds": 100}, "10min": {"length": 600}}  # s


def guest(name, seconds):
    return (f"[guest {name}]\nmemory = 32M\ncdrom = module:hostile-flood.iso\nboot = cdrom\n"
            f"timeout = {seconds}s\n\n")


def run(t, length):
    t.built("guests/hostile-flood.iso")
    config = guest("alpha", length) + guest("beta", length)
    m = t.boot(t.iso(config, "paging=nested stats=1s"), cpus=2, clock="real", vga=False)
    status, out, words, line = test_collect.collect(
        t, m, 1 / 10000, 1 / 50000, "--wait", "all", "--timeout", str(2 * length + 120),
        limit=length + 60)
    t.check(status == 1, f"pncollect ended with {status}, expected 1 (timeout is no pass): {words}")
    said = re.search(r"(\d+) records, (\d+) damaged lines, (\d+) requests, (\d+) lost", words)
    t.check(said and int(said.group(4)) == 0, f"pncollect says: {words}")
    results = test_collect.read(out + "/results.jsonl")
    test_collect.check_records(t, results, line.clean)
    kinds = [json.loads(row)["type"] for row in results.splitlines()]
    t.check(kinds.count("result") == 2, f"{kinds.count('result')} results of two guests")
    t.check(line.hits > 10 * length / 60, f"the line was not bad: {line.hits} bytes")
    print(f"{len(line.clean)} bytes, {line.hits} damaged or lost: {words.strip().splitlines()[-1]}")
