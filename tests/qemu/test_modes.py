# SPDX-License-Identifier: MIT
"""The menu's other ways: hwcheck names what the machine has and stops; a CPU without SVM is refused in
words; results=ktap and lava repeat the verdict."""
import demo
from harness import QEMU_FAIL

TIER = "ci"
SECONDS = 15


def hwcheck(t):
    m = t.boot(t.iso(demo.guest(), "hwcheck exit=qemu"))
    m.finish(60)
    text = "\n".join(m.log.lines("hv") + m.log.lines(None)).lower()
    t.check("nested" in text, "hwcheck does not speak of nested paging")
    t.check(not m.log.of_type("guest"), "hwcheck started a guest")


def no_svm(t):
    m = t.boot(t.iso(demo.guest(), "exit=qemu"), cpu="max,-la57,-svm")
    status = m.finish(60)
    t.check(status == QEMU_FAIL, f"QEMU's exit status is {status}, expected {QEMU_FAIL}")
    m.wait_record("error", 1, where="machine")


def results(t):
    m = t.boot(t.iso(demo.guest(more="timeout = 2s"), "exit=qemu results=json,ktap,lava"))
    m.wait_record("result", 60, guest="alpha", status="timeout")
    m.finish(30)
    text = "\n".join(m.log.lines("hv") + m.log.lines(None))
    t.check("not ok 1 alpha # TIMEOUT" in text, "no KTAP line for the timeout")
    t.check("<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=alpha RESULT=fail" in text, "no LAVA signal")


VARIATIONS = {"hwcheck": {"what": hwcheck}, "no-svm": {"what": no_svm}, "results": {"what": results}}


def run(t, what):
    what(t)
