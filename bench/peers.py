# SPDX-License-Identifier: MIT
"""Reference figures: KVM (npt=1, npt=0) and Xen 4.17 (hap=1, hap=0) nested in the same emulator, same CPU model and loops.

Instructions per operation with -icount shift=0, guest, hypervisor and its host together; and ratios of the
emulator's CPU time to native.  docs/performance.md says how they were taken."""

# name: (native, kvm, xen); None: not possible there.  Loops of the test kernel may have other bodies than those
# measured here, so only what an exit costs compares between them.
INSTRUCTIONS = {
    "cpu": (3991987, 4002689, 4014799),
    "syscall": (360, 361, 362),
    "forkwait": (187993, 204525, 189788),
    "pgfault": (8197, 9704, 8246),
    "ctxsw": (12411, 12518, 12722),
    "tlbwalk": (4.0, 4.0, 4.0),
    "mprotect": (29049, 29108, 29218),
    "cpuid": (7.0, 2888, 6135),
    "k_cpuid_0": (7.0, 2888, 6135),
    "k_io80": (5.0, 5038, 5.0),
    "k_cr3": (6.0, 6.0, 6.0),
    "k_invlpg": (6.0, 6.0, 6.0),
    "k_cr0": (6.0, 6.0, 14932),
    "k_rdmsr": (17.0, 2842, 5336),
}
# name: (kvm, xen)
EMULATOR_TIME = {
    "boot": (1.95, 3.94),
    "cpu": (1.05, 1.04),
    "syscall": (1.07, 1.05),
    "forkwait": (1.44, 1.51),
    "pgfault": (1.42, 1.02),
    "ctxsw": (1.62, 1.63),
    "tlbwalk": (2.34, 2.45),
    "mprotect": (1.13, 1.19),
}
BOOT_EXITS = (6533, 102485)

# The same by shadow paging. Exits per operation: (kvm, xen).
SHADOW_INSTRUCTIONS = {
    "cpu": (3991987, 4003354, 4009858),
    "syscall": (360, 361, 362),
    "forkwait": (187993, 646736, 689233),
    "pgfault": (8197, 16895, 22652),
    "ctxsw": (12411, 19362, 26895),
    "tlbwalk": (4.0, 4.0, 4.0),
    "mprotect": (29049, 41325, 53544),
    "cpuid": (7.0, 2855, 2570),
    "k_cpuid_0": (7.0, 2855, 2570),
    "k_io80": (5.0, 5036, 5.0),
    "k_cr3": (6.0, 6640, 10745),
    "k_invlpg": (6.0, 3568, 6910),
    "k_cr0": (6.0, 6.0, 6813),
    "k_rdmsr": (17.0, 2811, 2494),
}
SHADOW_TIME = {
    "boot": (2.21, 4.99),
    "cpu": (1.03, 1.05),
    "syscall": (1.13, 1.10),
    "forkwait": (6.01, 6.05),
    "pgfault": (7.37, 8.03),
    "ctxsw": (1.98, 2.59),
    "tlbwalk": (1.31, 1.13),
    "mprotect": (5.24, 6.63),
}
SHADOW_EXITS = {"forkwait": (47.06, 44.85), "pgfault": (2.06, 2.17), "ctxsw": (2.11, 2.19), "mprotect": (2.18, 4.25)}
