# SPDX-License-Identifier: MIT
"""Reference figures: KVM (npt=1) and Xen 4.17 (hap=1) nested in the same emulator, same CPU model and loops.

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
