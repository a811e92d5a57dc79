# SPDX-License-Identifier: MIT
"""The serial line's own commands: records repeated byte for byte, a range that is gone refused by name.
The log parser itself fails on a repeat with other bytes."""
import demo
from records import RECORD_START

TIER = "ci"
SECONDS = 12
ESCAPE = b"\x1d"  # Ctrl-]


def run(t):
    m = t.boot(t.iso(demo.guest(), "paging=nested exit=qemu"))
    m.wait_record("guest", 60, name="alpha", event="start")
    first = m.log.records[0]["seq"]
    m.send(ESCAPE + b"r%d-%d\n" % (first, first))

    def repeated():
        with open(m.log_path, "rb") as f:
            marker = RECORD_START + b':1,"seq":%d,' % first
            return f.read().count(b"\n" + marker) >= 2
    m.wait_for(repeated, 20, f"record {first} again")
    m.send(ESCAPE + b"r900000-900001\n")
    m.wait_record("error", 20, where="resend")
    t.check_log(m)
