# SPDX-License-Identifier: MIT
"""The control channel: an unmodified Linux boots from and checks a CD that penumbrad serves, while penumbrad is killed;
guests are stopped, taken down and built at run time by pnctl. Catches data that a dying daemon loses or
mixes up, a guest that hangs after it, a missing medium without its error record, memory that a destroyed guest keeps, and
requests that are not refused in words."""
import json
import re

TIER = "ci"
SECONDS = 90
MODULES = ("guestbios.bin", "vmlinuz", "rootfs.cpio.gz")
MIB = 1 << 20
CONFIG = """\
[control]
[guest alpha]
memory = 256M
cdrom = dev:/dev/sr1
nic = switch

[guest beta]
memory = 32M
disk = dev:/dev/nosuch
"""
# What each command says with --json has this member; of a guest that runs.
JSON = (("list", "partitions"), ("stats gamma", "gamma"), ("info", "hypervisor"), ("trace exits", "ok"),
        ("trace dump /tmp/dump", "entries"), ("trace off", "ok"), ("screendump gamma", "screen"), ("records 1-1", "pnb"),
        ("config check /tmp/x", "errors"), ("paging gamma nested", "ok"), ("pause gamma", "ok"), ("resume gamma", "ok"),
        ("reset gamma", "ok"))
LATER = r"[guest gamma]\nmemory = 192M\ncdrom = dev:/dev/sr1\n[guest delta]\nfoo = 1\n"


def ask(t, m, command, *patterns):
    """Type @command; each of @patterns must be in what it prints. Returns the last match."""
    ask.count += 1
    mark = f"m{ask.count}"
    m.send(f"{command}; echo {mark}=\r")
    m.wait_for(lambda: any(line.startswith(f"{mark}=") for line in m.log.lines(None)), 60, f"the end of `{command}`")
    lines = m.log.lines(None)
    at = max(i for i, line in enumerate(lines) if line.startswith(f"{mark}="))
    first = max((i for i, line in enumerate(lines[:at]) if f"m{ask.count - 1}=" in line), default=0)
    hit = None
    for p in patterns:
        hit = re.search(p, "\n".join(lines[first:at]), re.M)
        t.check(hit, f"`{command}` does not say /{p}/")
    return hit


ask.count = 0


def free_memory(t, m):
    return int(ask(t, m, "pnctl info", r"memory\.free (\d+)").group(1))


def die_while_guest_boots(t, m):
    m.wait_line("alpha:vga", "Starting Linux from the CD", 90)
    m.send("kill -9 $(pidof penumbrad)\r")
    m.wait_line("hv", "daemon is detached", 30)
    m.wait_line("hv", "daemon is attached", 60)
    r = m.wait_record("result", 200, guest="alpha")
    t.check(r["status"] == "pass", f"alpha: {r}")
    t.check(any(line.startswith("ok 8 cdrom") for line in m.log.lines("alpha")), "alpha did not check its CD")


def missing_medium(t, m):
    e = m.wait_record("error", 60, guest="beta")
    t.check(e["where"] == "disk" and "dev:/dev/nosuch" in e["message"], f"error of beta: {e}")
    r = m.wait_record("result", 10, guest="beta")
    t.check(r["status"] == "fail" and r["detail"] == "not started", f"result of beta: {r}")


def take_down(t, m):
    before = free_memory(t, m)
    ask(t, m, "pnctl destroy alpha; sleep 1; pnctl list", r"^0 +control .*\n2 +beta +ended")
    gained = free_memory(t, m) - before
    t.check(gained >= 256 * MIB, f"destroying a guest of 256 MiB gave {gained} bytes back")


def check_json(t, m):
    for words, member in JSON:
        said = ask(t, m, f"pnctl {words} --json", r"^ ?(\{.*\})$").group(1)
        t.check(member in json.loads(said), f"`pnctl {words} --json` has no {member}: {said[:200]}")


def build_at_run_time(t, m):
    ask(t, m, f"printf '{LATER}' >/tmp/x; pnctl config check /tmp/x", r"/tmp/x:5: delta: foo: unknown key", "1 error")
    ask(t, m, "pnctl config load /tmp/x", "1 error")
    m.wait_record("guest", 30, name="gamma", event="start")
    m.wait_line("gamma:vga", "Starting Linux from the CD", 60)
    ask(t, m, "pnctl pause gamma; sleep 1; pnctl list", r"^\d +gamma +paused")
    ask(t, m, "pnctl start gamma; pnctl reset gamma; pnctl resume gamma",
        "gamma is paused: start is for", "gamma is paused: reset is for")
    ask(t, m, "pnctl paging gamma shadow; sleep 1; pnctl list", r"^\d +gamma +running .*shadow \(nested\)")
    t.check(m.log.of_type("paging", guest="gamma", to="shadow", why="pnctl"), "no record of gamma's new paging mode")
    ask(t, m, "pnctl paging gamma adaptive; sleep 1; pnctl list; pnctl stats gamma", r"^\d +gamma +running .*adaptive \(nested\)",
        r"adaptive\.ticks +[1-9]")
    check_json(t, m)
    ask(t, m, "pnctl stop gamma --force; pnctl start nobody", "no guest named nobody; guests: ")
    r = m.wait_record("result", 30, guest="gamma")
    t.check(r["detail"] == "stopped by pnctl", f"result of gamma: {r}")


def run(t):
    m = t.boot(t.iso(CONFIG, "paging=nested", modules=MODULES), clock="typed", extra=[
        "-drive", f"if=none,id=cd,media=cdrom,readonly=on,file={t.built('guests/demo.iso')}", "-device", "ide-cd,drive=cd,bus=ide.1,unit=1"])
    m.wait_record("guest", 120, name="control", event="ready")
    m.wait_line("control", r"penumbra# $", 60)
    m.send("\x1d0")
    die_while_guest_boots(t, m)
    missing_medium(t, m)
    ask(t, m, "pnctl list", r"^1 +alpha +ended: pass", r"^2 +beta +ended: fail")
    ask(t, m, "pnctl stats control", r"channel\.attaches +2", r"channel\.violations +0", r"channel\.bad_answers +0")
    take_down(t, m)
    build_at_run_time(t, m)
    t.check_log(m)
