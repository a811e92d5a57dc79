# SPDX-License-Identifier: MIT
"""The memory ledger of the boot record: every byte of RAM has one owner."""
MIB = 1 << 20


def check(t, boot, memory=None):
    """Parts add up to the total; the hypervisor keeps to its share. memory: the machine's, in MiB."""
    parts = dict(boot["memory"])
    total = parts.pop("total")
    known = sum(parts.pop("guests").values()) + sum(parts.values())
    t.check(known == total, f"the ledger does not add up: {known} of {total}: {boot['memory']}")
    t.check(parts["hypervisor"] <= 16 * MIB,
            f"the hypervisor takes {parts['hypervisor'] / MIB:.1f} MiB, 16 are allowed")
    if memory:
        # Firmware keeps some for itself, under UEFI up to some tens of MiB.
        low = (memory - 64) * MIB
        t.check(low <= total <= memory * MIB, f"{total / MIB:.1f} MiB of {memory} MiB are known")
