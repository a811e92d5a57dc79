# SPDX-License-Identifier: MIT
"""Ten minutes of what test_slowline.py does for seconds: nothing is lost when rings and counters have gone round many times."""
import test_slowline

TIER = "nightly"
SECONDS = 1500


def run(t):
    test_slowline.run(t, seconds=600)
