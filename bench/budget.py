# SPDX-License-Identifier: MIT
"""The time that a part of the benchmark has, and its end."""
import math
import os
import signal
import time

from machine import BenchError

GRACE = 45  # seconds beyond the end that what was begun may still take


class TimeUp(BenchError):
    """What was begun in time took much longer than it did before; figures that are there stand."""


class Budget:
    """@minutes from now on; 0, or BENCH=full in the environment: without limit."""

    def __init__(self, minutes):
        self.limited = minutes > 0 and os.environ.get("BENCH") != "full"
        self.end = time.monotonic() + minutes * 60 if self.limited else math.inf
        self.longest = 0

    def left(self):
        """Seconds."""
        return self.end - time.monotonic()

    def fits(self, seconds):
        return self.left() >= seconds

    def timed(self, work, *args):
        """What @work gives; its seconds are what fits_another() asks for."""
        began = time.monotonic()
        found = work(*args)
        self.longest = max(self.longest, time.monotonic() - began)
        return found

    def fits_another(self):
        return self.fits(self.longest)

    def enforce(self):
        """A TimeUp comes some time behind the end."""
        def end(*_):
            raise TimeUp(f"the time was up {GRACE} s ago")
        if self.limited:
            signal.signal(signal.SIGALRM, end)
            signal.setitimer(signal.ITIMER_REAL, max(1, self.left() + GRACE))

    @staticmethod
    def over():
        """What comes now may take its time."""
        signal.setitimer(signal.ITIMER_REAL, 0)

    def said(self):
        return f"{max(0, self.left()) / 60:.1f} min left" if self.limited else "no limit"


def add_option(parser, default):
    parser.add_argument("--minutes", type=float, default=default,
                        help="for all; 0, or BENCH=full in the environment: no limit (default %(default)s)")
