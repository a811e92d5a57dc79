# SPDX-License-Identifier: MIT
"""QEMU's log of VM exits: counts by reason, by port and page, and by the line of text the guest printed meanwhile."""
import re
from collections import Counter

_EXIT = re.compile(rb"vmexit\(([0-9a-f]{8}), ([0-9a-f]{16}), ([0-9a-f]{16}), ([0-9a-f]{16})\)")
# Exit codes of AMD's manual (APM vol. 2, appendix C), under the names that stats records use.
_REASONS = {0x60: "intr", 0x61: "nmi", 0x64: "window", 0x72: "cpuid", 0x78: "hlt", 0x77: "pause", 0x7b: "io",
            0x7f: "shutdown", 0x400: "nested", 0x8d: "xsetbv", 0x74: "iret", 0x6f: "rdpmc", 0x79: "invlpg"}
_IO, _MSR, _NESTED = 0x7b, 0x7c, 0x400
COM1_DATA = 0x3f8
PAGE_FAULT = ("exception", "14")
# Ports that a guest polls to wait or to calibrate: how often depends on how fast a read is.
POLLED = {"in 40", "in 41", "in 42", "in 43", "in 61", "in 608"}


def parse(data):
    """(reason, detail) of each exit in a piece of log."""
    found = []
    for m in _EXIT.finditer(data):
        code, info1, info2, _ = (int(x, 16) for x in m.groups())
        if code == _IO:
            found.append(("io", f"{'in' if info1 & 1 else 'out'} {info1 >> 16:x}"))
        elif code == _MSR:
            found.append(("wrmsr" if info1 else "rdmsr", ""))
        elif code == _NESTED:
            found.append(("nested", f"page {info2 & ~0xfff:x}"))
        elif code < 0x20:
            found.append(("cr", f"{'write' if code & 0x10 else 'read'} cr{code & 0xf}"))
        elif code == 0x65:
            found.append(("cr", "write cr0"))
        elif 0x40 <= code < 0x60:
            found.append(("exception", f"{code - 0x40}"))
        else:
            found.append((_REASONS.get(code, f"{code:x}"), ""))
    return found


def polled(event):
    return event[1] in POLLED


def by_reason(events):
    return Counter(reason for reason, _ in events)


def by_detail(events):
    return Counter(f"{reason} {detail}".strip() for reason, detail in events)


def split_after_lines(events, lines):
    """A list for each of @lines, the guest's last ones: the exits from its last byte to the next line's first.

    A byte written to the UART is one exit, so the lines' lengths tell where each lies, counted from the end."""
    pieces, at = [], len(events)
    for line in reversed(lines):
        end = at
        left = len(line) + len("\r\n")
        last = None
        while left and at:
            at -= 1
            if events[at] == ("io", f"out {COM1_DATA:x}"):
                last = last or at
                left -= 1
        pieces.insert(0, events[(last or at) + 1:end])
    return pieces
