#!/usr/bin/python3 -B
# SPDX-License-Identifier: MIT
"""Do the tests of the paging policies notice a wrong comparison?

Each comparison of the policies' sources is turned round (< to >=), in dsp.c also moved by one
(< to <=); the tests must fail with every one of these. A mutant that lives is a test that is missing.

  mutants.py          what CI runs: DSP and each fifth of the others
  mutants.py --all    every one, about two minutes of a processor
"""

import concurrent.futures
import functools
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
ADAPTIVE = "hv/paging/adaptive/"
PROGRAMS = ["test_policy_parts", "test_policy_dsp", "test_policy_spaces", "test_policy_regret"]
EXTRA = ["hv/lib/str.c", "hv/lib/crc32.c", "tests/sim/world.c", "tests/sim/loads.c", "tests/sim/mix.c"]
FLAGS = ["-std=gnu11", "-O1", "-DPN_HOST", "-Iinclude", "-Ihv", "-I.", "-Itests/unit", "-Itests/sim", "-w"]
CC = os.environ.get("UNIT_CC", "gcc")

ROUND = {"<": ">=", ">": "<=", "<=": ">", ">=": "<", "==": "!=", "!=": "=="}
BY_ONE = {"<": "<=", ">": ">=", "<=": "<", ">=": ">"}
COMPARISON = re.compile(r" (<|>|<=|>=|==|!=) (?!\")")

SHARE = 5  # of the comparisons outside DSP, one in so many in CI


def policies():
    """The sources that the programs test; their "SRCS:" lines name them."""
    named = set()
    for program in PROGRAMS:
        for line in lines_of("tests/unit/%s.c" % program):
            if "SRCS:" in line:
                named.update(word for word in line.split() if word.startswith(ADAPTIVE))
    return sorted(named)


@functools.lru_cache(None)
def lines_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as source:
        return source.read().split("\n")


def comparisons(path):
    """(line number, column, operator) of each comparison in code."""
    for number, line in enumerate(lines_of(path), 1):
        if line.lstrip().startswith(("*", "/*", "#", "_Static_assert")):
            continue
        code = line.split("/*")[0]
        for found in COMPARISON.finditer(code):
            yield number, found.start(1), found.group(1)


def mutate(path, number, column, old, new):
    lines = list(lines_of(path))
    line = lines[number - 1]
    lines[number - 1] = line[:column] + new + line[column + len(old) :]
    return "\n".join(lines)


class Bench:
    """Objects built once; a mutant needs one more and a link."""

    def __init__(self, folder):
        self.folder = folder
        self.sources = policies()
        for source in self.sources + EXTRA + ["tests/unit/%s.c" % program for program in PROGRAMS]:
            self.compile(os.path.join(ROOT, source), self.object(source))

    def object(self, source):
        return os.path.join(self.folder, source.replace("/", "_") + ".o")

    @staticmethod
    def compile(source, output, *flags):
        subprocess.run([CC, *FLAGS, *flags, "-c", "-o", output, source], cwd=ROOT, check=True)

    def link(self, output, program, instead):
        objects = [instead.get(source, self.object(source)) for source in self.sources + EXTRA]
        main = instead.get(program, self.object("tests/unit/%s.c" % program))
        subprocess.run([CC, "-o", output, main, *objects, "-lm"], cwd=ROOT, check=True)

    def survives(self, name, instead):
        """True when all test programs pass."""
        # What is most likely to notice comes first.
        for program in sorted(PROGRAMS, key=lambda p: p.split("_")[-1] not in name):
            output = os.path.join(self.folder, name + "." + program)
            self.link(output, program, instead)
            try:
                run = subprocess.run([output], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
            except subprocess.TimeoutExpired:
                return False
            finally:
                os.remove(output)
            if run.returncode != 0:
                return False
        return True

    def try_mutant(self, job):
        path, number, column, old, new = job
        name = "%s_%d_%d%s" % (os.path.basename(path), number, column, "b" if BY_ONE.get(old) == new else "")
        source = os.path.join(self.folder, name + ".c")
        with open(source, "w", encoding="utf-8") as out:
            out.write(mutate(path, number, column, old, new))
        self.compile(source, source + ".o")
        return job, self.survives(name, {path: source + ".o"})


def all_jobs():
    for path in policies():
        name = os.path.basename(path)
        for number, column, old in comparisons(path):
            yield path, number, column, old, ROUND[old]
            if old in BY_ONE and name == "dsp.c":
                yield path, number, column, old, BY_ONE[old]


def jobs(everything):
    others = 0
    for job in all_jobs():
        others += "dsp" not in job[0]
        if everything or "dsp" in job[0] or others % SHARE == 0:
            yield job


def main():
    everything = "--all" in sys.argv[1:]
    failed = tried = 0
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder)
        if not bench.survives("unchanged", {}):
            print("not ok the_tests_pass_without_mutation")
            return 1
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for (path, number, _, old, new), lives in pool.map(bench.try_mutant, jobs(everything)):
                tried += 1
                text = lines_of(path)[number - 1].strip()
                if lives:
                    print("# %s:%d: no test sees %s instead of %s: %s" % (path, number, new, old, text))
                    failed += 1
    print("%s every_wrong_comparison_fails_a_test (%d tried)" % ("not ok" if failed else "ok", tried))
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
