# SPDX-License-Identifier: MIT
"""`keys`: the serial line's own commands: records repeated byte for byte, a range that is gone refused by name.
The log parser itself fails on a repeat with other bytes. `late-reader`: nobody reads the line while the machine ends.
Catches last records that are pushed out of the UART's FIFO by those behind them."""
import time

import demo
from records import RECORD_START

TIER = "ci"
SECONDS = 12
VARIATIONS = {"keys": {}, "late-reader": {"late": 5}}
ESCAPE = b"\x1d"  # Ctrl-]


def late_reader(t, seconds):
    m = t.boot(t.iso(demo.guest(), "paging=nested exit=qemu"))
    m.wait_line("alpha", "^ok 8 ", 120)
    time.sleep(seconds)
    t.expect_passed(m, "alpha", limit=30)


def run(t, late=0):
    if late:
        late_reader(t, late)
        return
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
