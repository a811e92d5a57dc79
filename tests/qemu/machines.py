# SPDX-License-Identifier: MIT
"""The machines on which the tests of guests run: QEMU (AMD's extension) and Bochs's CPU models (both vendors').

A test's run() takes on="qemu" or the name of a machine below and leaves emulator, model, power-off
and exit status to start() and ended(); over() writes the table of variations:

    VARIATIONS.update(over({"demo": {...}}, "bochs-broadwell"))   # demo-bochs-broadwell
"""
import harness

BOCHS = {
    # VT-x with EPT, unrestricted guest, A/D flags; 1 GiB pages
    "bochs-broadwell": "broadwell_ult",
    "bochs-skylake": "corei7_skylake_x",               # page-modification log and TSC scaling too
    "bochs-sandybridge": "corei7_sandy_bridge_2600k",  # neither A/D flags nor 1 GiB pages
    # VT-x that this hypervisor refuses
    "bochs-lynnfield": "corei5_lynnfield_750",         # EPT, no unrestricted guest
    "bochs-penryn": "core2_penryn_t9600",              # no EPT
    # AMD-V
    "bochs-ryzen": "ryzen",                            # next-RIP
    "bochs-zambezi": "zambezi",
    "bochs-phenom": "phenom_8650_toliman",             # no next-RIP, no flush by ASID
    "bochs-turion": "turion64_tyler",                  # no nested paging either
}
VT_X = ("bochs-broadwell", "bochs-skylake", "bochs-sandybridge")  # no guest there without nested paging
AMD = ("bochs-ryzen", "bochs-zambezi", "bochs-phenom", "bochs-turion")
SHADOW_ON = ("bochs-broadwell", "bochs-turion")  # what guests by shadow tables are tried on
# What Bochs 2.7 cannot do for a guest, whatever hypervisor runs it.
BUGS = {
    "desc": "Bochs 2.7 hangs in this kernel without a hypervisor too: IRETQ faults for ever after garbage descriptors",
}
AMD_BUGS = {
    "triple": "Bochs 2.7 panics at a triple fault in a guest of AMD-V",
    "debug": "Bochs 2.7 carries a single step out of a guest of AMD-V: the host takes the #DB at its first instruction, its own TF clear",
    "cliloop": "Bochs 2.7 lets no interrupt out of a guest of AMD-V that was entered with interrupts off",
}


# Words for shadow tables, beside nested ones and as on a CPU that has none of those.
SHADOW = {"shadow": "paging=shadow", "shadow-alone": "paging=shadow nested=off"}


def shadowed(variations):
    """The same variations by shadow tables, named NAME-shadow and NAME-shadow-alone."""
    return {f"{name}-{mode}": dict(arguments, paging=words)
            for mode, words in SHADOW.items() for name, arguments in variations.items()}


def over(variations, *machines, seconds=90):
    """The same variations on each of @machines, named NAME-MACHINE."""
    return {f"{name}-{on}": dict(arguments, on=on, seconds=seconds)
            for on in machines for name, arguments in variations.items()}


def cmdline(on, words):
    """@words with the way to end that the machine has."""
    return f"{words} exit={'qemu' if on == 'qemu' else 'poweroff'}"


def start(t, on, iso, cpus=1, debugger=("c",), words="", cpu=harness.CPU, **qemu):
    """Boot @iso, which has @words on its command line; @cpu and @qemu (clock, vga ...) are for QEMU only, whose CPU has
    no nested paging where the words do without; @debugger for Bochs: its first commands."""
    if on == "qemu":
        return t.boot(iso, cpus=cpus, cpu=cpu + ",-npt" * ("nested=off" in words), **qemu)
    return t.boot(iso, emulator="bochs", model=BOCHS[on], cpus=cpus, debugger=debugger)


def ended(t, m, on, passed=True, limit=30):
    """The machine has switched itself off, on QEMU with the status of what its guests did."""
    status = m.finish(limit)
    want = harness.QEMU_PASS if passed else harness.QEMU_FAIL
    t.check(on != "qemu" or status == want, f"QEMU's exit status is {status}, expected {want}")
    t.check_log(m)


def bugs(on):
    """By the name of a hostile kernel: why it cannot run on @on."""
    return {} if on == "qemu" else dict(BUGS, **(AMD_BUGS if on in AMD else {}))
