# SPDX-License-Identifier: MIT
"""A guest's life as config, command line and keys have it: guests= and NAME.key=value, timeout, on_exit=restart,
pause and resume. Catches an override that is parsed and not obeyed, a restart that keeps state or loses records,
and a paused guest that still runs. One guest has the name of a member of the memory ledger."""
TIER = "ci"
SECONDS = 12
ESCAPE = b"\x1d"  # Ctrl-]
MIB = 1 << 20
CONFIG = """\
[guest wait]
memory = 64M
cdrom = module:hostile-wait.iso

[guest again]
memory = 32M
cdrom = module:hostile-lme.iso

[guest free]
memory = 32M
start = no

[guest unwanted]
memory = 32M
cdrom = module:hostile-lme.iso
"""
CMDLINE = ("paging=nested exit=qemu guests=wait,again,free wait.memory=48M again.on_exit=restart "
           "free.timeout=1500ms free.boot=disk")


def restarts(t, m):
    """Each life of a restarted guest is a whole one: start, end, stats, result."""
    m.wait_for(lambda: len(m.log.of_type("guest", name="again", event="start")) >= 4, 60, "third restart")
    results = m.log.of_type("result", guest="again")
    t.check(len(results) >= 3 and all(r["status"] == "pass" for r in results), f"results: {results}")
    t.check(m.log.lines("again").count("ok lme") >= 3, "the guest did not run again")


def pause(t, m):
    m.wait_line("wait", "hostile wait: begin", 60)
    m.send(ESCAPE + b"p")
    m.wait_line("hv", "^wait paused$", 20)
    m.wait_line("hv", "^again paused$", 20)
    before = m.log.of_type("guest", name="again")[-1]["seq"]
    m.send(b"q" + ESCAPE + b"l")
    m.wait_line("hv", "wait paused paging=nested", 20)
    m.send(ESCAPE + b"a")
    m.wait_line("hv", "^wait audit: every translation is right", 20)
    after = m.log.of_type("guest", name="again")[-1]["seq"]
    t.check(before == after, "a paused guest went on")
    t.check(not m.log.of_type("result", guest="wait"), "a paused guest took a key")
    m.send(ESCAPE + b"p")
    m.wait_line("hv", "^wait resumed$", 20)
    r = m.wait_record("result", 30, guest="wait")
    t.check(r["status"] == "pass", f"after its pause: {r}")
    m.wait_record("guest", 30, name="again", seq=lambda seq: seq > r["seq"])


def run(t):
    m = t.boot(t.iso(CONFIG, CMDLINE), clock="typed")
    boot = m.wait_record("boot", 60)
    t.check(boot["memory"]["guests"].get("wait") == 48 * MIB, f"wait.memory=48M: {boot['memory']}")
    free = m.wait_record("result", 60, guest="free")
    t.check(free["status"] == "timeout" and 1500 <= free["ms"] < 3000, f"free.timeout=1500ms: {free}")
    restarts(t, m)
    pause(t, m)
    t.check("unwanted" not in str(m.log.records), "a guest that guests= does not name")
    t.check_log(m)
