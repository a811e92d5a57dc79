# SPDX-License-Identifier: MIT
"""The control partition's shell under the hypervisor, for tests.

    c = control.start(t, config, cmdline, cpus=2, extra=[...])
    text = c.shell("lsmod")
    c.m.wait_record("result", 60, guest="alpha")

shell() is what native.py's machines have, so checks written for one run on the other.
"""
MODULES = ("guestbios.bin", "vmlinuz", "rootfs.cpio.gz")
PROMPT = r"penumbra# $"
# What a driver says whose interrupt did not come, or whose interrupts nobody wants.
COMPLAINTS = ("nobody cared", "timeout", "timed out", "lost interrupt", "NETDEV WATCHDOG", "Call Trace",
              "BUG:", "WARNING:", "soft lockup", "I/O error", "spurious", "clocksource:.*unstable")


class Control:
    """@m with the keyboard on the control partition's prompt."""

    def __init__(self, t, m):
        self.t, self.m, self.asked, self.seen = t, m, 0, 0
        self.boot = None

    def shell(self, command, limit=20):
        """One command's output. The marks are spelled so that the echo is none of them, and numbered
        so that none is old."""
        self.asked += 1
        first, last = f"PN-{self.asked}-A", f"PN-{self.asked}-Z"
        self.m.send(f"echo 'PN'-{self.asked}'-A'; {command}; echo 'PN'-{self.asked}'-Z'\r")

        def answer():
            lines = self.m.log.lines(None)[self.seen:]
            return lines if first in lines and last in lines else None
        lines = self.m.wait_for(answer, limit, f"whole answer to: {command}")
        at = lines.index(first)
        end = lines.index(last, at)
        # An interrupted line that was not printed again may still come: later answers start here.
        self.seen += end
        return "\n".join(lines[at + 1:end] + [""])

    def says(self, command, what, limit=20):
        """shell() whose output must contain @what."""
        said = self.shell(command, limit)
        self.t.check(what in said, f"`{command}` does not say \"{what}\": {said.strip()}")
        return said

    def until(self, command, limit=20):
        """Wait, inside, until @command succeeds."""
        said = self.shell(f"n=0; until {command} || [ $n = {limit * 5} ]; do usleep 200000; n=$((n+1)); done"
                          f"; [ $n -lt {limit * 5} ] && echo came", limit * 3)
        self.t.check("came" in said, f"`{command}` does not come true within {limit} s")

    def focus(self):
        self.m.send("\x1d0")

    def power_off(self):
        self.m.send("poweroff\r")
        self.m.wait_record("guest", 60, name="control", event="exit")
        status = self.m.finish(60)
        self.t.check(status == 0, f"QEMU ended with {status}, not by its power switch")
        self.t.check_log(self.m)

    def quiet_kernel(self, allowed=()):
        """No driver waited in vain and none was flooded."""
        words = "\\|".join(COMPLAINTS)
        said = [line for line in self.shell(f"dmesg | grep -i '{words}'").splitlines()
                if not any(a in line for a in allowed)]
        self.t.check(not said, "the kernel complains: " + "; ".join(said[:5]))


def wait(t, m):
    """@m up to its prompt, focused."""
    c = Control(t, m)
    c.boot = m.wait_record("boot", 60)
    m.wait_record("guest", 30, name="control", event="start")
    m.wait_record("guest", 120, name="control", event="ready")
    m.wait_line("control", PROMPT, 60)
    c.focus()
    return c


def start(t, config="[control]\n", cmdline="paging=nested", clock="typed", iso=None, **how):
    """Boot @iso, or one with @config, to the prompt."""
    return wait(t, t.boot(iso or t.iso(config, cmdline, modules=MODULES), clock=clock, **how))
