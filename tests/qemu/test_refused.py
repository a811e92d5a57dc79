# SPDX-License-Identifier: MIT
"""CPUs that cannot run guests (yet) and lacks that the command line pretends: the machine says in an error record what
is missing and ends. Catches a hang, a crash at an instruction or register that the CPU does not
have, and a message that does not help."""
import re

import machines

TIER = "ci"
SECONDS = 10
NIGHTLY = ("pretended-ept", "pretended-unrestricted")
LACKS = r"the CPU's VT-x lacks "
VARIATIONS = {
    "bochs-penryn": {"on": "bochs-penryn", "said": LACKS + r"EPT \(nested paging\), unrestricted guest "},
    "bochs-lynnfield": {"on": "bochs-lynnfield", "said": LACKS + r"unrestricted guest \(real mode in hardware\)$"},
    "pretended-ept": {"on": "bochs-broadwell", "words": "nested=off", "said": LACKS + r"EPT .*\[nested=off\]"},
    "pretended-unrestricted": {"on": "bochs-broadwell", "words": "unrestricted=off",
                               "said": LACKS + r"unrestricted guest .*\[unrestricted=off\]$"},
    "other-vendor": {"on": "qemu", "words": "engine=vmx", "said": "the CPU has no VT-x"},
}


def run(t, on, said, words=""):
    iso = t.iso("", machines.cmdline(on, f"paging=nested {words}"), modules=())
    m = machines.start(t, on, iso)
    error = m.wait_record("error", 60, where="machine")
    t.check(re.search(said, error["message"]), f"the refusal says {error['message']!r}, expected /{said}/")
    machines.ended(t, m, on, passed=False)
