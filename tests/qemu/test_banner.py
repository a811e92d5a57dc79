# SPDX-License-Identifier: MIT
"""The hypervisor comes up without any guest: boot record, memory ledger, orderly end with "not all
passed". Catches a hypervisor that dies before its first record, or loses memory on the way."""
import ledger
from harness import QEMU_FAIL

TIER = "ci"
SECONDS = 10


def run(t):
    m = t.boot(t.iso("[control]\nmemory = 128M\n", "exit=qemu"))
    boot = m.wait_record("boot", 60)
    ledger.check(t, boot)
    t.check(boot["cpus"] == 1, f"one CPU expected: {boot}")
    m.wait_record("error", 10, where="guests")
    status = m.finish(30)
    t.check(status == QEMU_FAIL, f"QEMU's exit status is {status}, expected {QEMU_FAIL}")
    t.check_log(m)
