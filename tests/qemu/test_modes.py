# SPDX-License-Identifier: MIT
"""The menu's other ways: hwcheck names what the machine has and stops; a CPU without SVM is refused in
words; results=ktap and lava repeat the verdict."""
import re

import demo
from harness import CPU, QEMU_FAIL

TIER = "ci"
SECONDS = 15


def hwcheck(t):
    m = t.boot(t.iso(demo.guest(), "hwcheck exit=qemu"))
    m.finish(60)
    text = "\n".join(m.log.lines("hv") + m.log.lines(None)).lower()
    t.check("nested" in text, "hwcheck does not speak of nested paging")
    t.check(not m.log.of_type("guest"), "hwcheck started a guest")


def no_svm(t):
    m = t.boot(t.iso(demo.guest(), "exit=qemu"), cpu=CPU + ",-svm")
    status = m.finish(60)
    t.check(status == QEMU_FAIL, f"QEMU's exit status is {status}, expected {QEMU_FAIL}")
    m.wait_record("error", 1, where="machine")


def results(t):
    m = t.boot(t.iso(demo.guest(more="timeout = 2s"), "exit=qemu results=json,ktap,lava"))
    m.wait_record("result", 60, guest="alpha", status="timeout")
    m.finish(30)
    lines = m.log.lines(None)  # at column 0, or their readers do not see them
    ktap = [line for line in lines if re.match(r"KTAP|1\.\.|ok |not ok ", line)]
    t.check(ktap == ["KTAP version 1", "1..1", "not ok 1 alpha # TIMEOUT 2 seconds"], f"KTAP: {ktap}")
    lava = [line for line in lines if line.startswith("<LAVA")]
    t.check(len(lava) == 1 and re.fullmatch(r"<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=alpha RESULT=fail MEASUREMENT=\d+ "
                                            r"UNITS=ms>", lava[0]), f"LAVA signals: {lava}")


VARIATIONS = {"hwcheck": {"what": hwcheck}, "no-svm": {"what": no_svm}, "results": {"what": results}}


def run(t, what):
    what(t)
