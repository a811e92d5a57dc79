# SPDX-License-Identifier: MIT
"""`keys`: the serial line's own commands: records repeated byte for byte, a range that is gone refused by name, breaks
and noise that spoil no key. The log parser itself fails on a repeat with other bytes. `late-reader`: nobody reads the
line while the machine ends. Catches last records that are pushed out of the UART's FIFO by those behind them."""
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


def noise(m):
    """Breaks and bytes that no key sends, in the middle of a key too: the next key works."""
    m.monitor("chardev-send-break com1")
    m.send(b"\0\xff\x80" + ESCAPE + b"\xfe" + ESCAPE + b"r1x" + ESCAPE)
    m.wait_line("hv", "key r: expected FROM-TO", 20)
    m.monitor("chardev-send-break com1")
    m.send(b"l")
    m.wait_line("hv", "^1 alpha running ", 20)


def run(t, late=0):
    if late:
        late_reader(t, late)
        return
    m = t.boot(t.iso(demo.guest(), "paging=nested exit=qemu"))
    m.wait_record("guest", 60, name="alpha", event="start")
    noise(m)
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
