# SPDX-License-Identifier: MIT
"""The README's way from nothing to results, with its own words: pnusb.py makes the stick (an image of one), the machine
boots from it, each command shown under "The control partition" is typed, and pncollect takes the line's log apart.
Catches a command that the README shows and that does not do what it says there; one that is added there without
being tried here fails too."""
import hashlib
import shutil
import subprocess
import sys

import control
import demo
import harness
import xmodem

TIER = "ci"
SECONDS = 60
README = f"{harness.TOP}/README.md"
# Every value; block numbers go beyond that of Ctrl-].
BYTES = bytes(range(256)) * 20


def shown(section):
    """The commands of @section's indented block, without their comments."""
    with open(README, encoding="utf-8") as f:
        text = f.read().split(f"\n## {section}\n")[1].split("\n## ")[0]
    return [line.split("#")[0].strip() for line in text.splitlines() if line.startswith("    ")]


def tool(t, *command, status=0):
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    t.check(done.returncode == status, f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def stick(t):
    """A stick of 512 MiB with the demo on it."""
    image = t.path("stick")
    medium = t.iso(demo.guest(more="nic = bridge:eth0"), "paging=nested trace=exits", modules=control.MODULES)
    tool(t, sys.executable, f"{harness.TOP}/tools/pnusb.py", medium, "--image", image, "--size", "512M")
    return image


def console(c):
    """Attach, see that it is alpha's, leave."""
    c.m.send("pnctl console alpha; echo 'left' 'it'\r")
    c.m.wait_line(None, "Linux version", 60)
    c.m.send("\r~.")
    c.m.wait_line(None, "left it$", 20)


def transfer(c):
    """A config, then bytes of all values there and back; meanwhile a guest says things and a record comes. Before
    the line is lent that guest is quiet: a sender takes any C for the start."""
    c.shell("pnctl pause alpha; sleep 1")
    xmodem.send(c.m, b"[guest new]\nmemory = lots\n", "rx new.conf")
    xmodem.send(c.m, BYTES, "(usleep 300000; pnctl resume alpha; usleep 100000; pnctl reset alpha) >said 2>&1 & "
                            "rx bytes")
    c.m.wait_record("guest", 60, name="alpha", event="reset")
    c.says("sha256sum bytes", hashlib.sha256(BYTES).hexdigest())
    c.t.check(xmodem.receive(c.m, "sx bytes") == BYTES, "sx sent other bytes")


def config_check(c):
    c.says("pnctl config check new.conf", "new.conf:2: ")


# What is typed, and how it is seen to have worked.
TRIED = {
    "pnctl list": lambda c: c.says("pnctl list", "alpha"),
    "pnctl stop alpha": lambda c: (c.says("pnctl stop alpha; echo status $?", "status 0"),
                                   c.until("pnctl list | grep -q 'alpha.*ended: pass'", 90)),
    "pnctl start alpha": lambda c: (c.says("pnctl start alpha; echo status $?", "status 0"),
                                    c.says("pnctl list | grep alpha", "running")),
    "pnctl console alpha": console,
    "rx new.conf": transfer,
    "pnctl config check new.conf": config_check,
    "pnctl stats alpha": lambda c: c.says("pnctl stats alpha", "exits"),
    "dhcp eth0": lambda c: (c.shell("dhcp br-eth0", 60), c.says("ip addr show dev br-eth0", "inet 10.0.2.")),
}


def results(t, m):
    """What pncollect makes of the log of a finished run."""
    pncollect, out = t.built("tools/pncollect"), t.path("run1")
    shutil.rmtree(out, ignore_errors=True)
    tool(t, pncollect, "check", m.log_path)
    tool(t, pncollect, "split", m.log_path, "-o", out)
    with open(f"{out}/alpha.log", encoding="utf-8", errors="replace") as f:
        t.check("ok 8 cdrom" in f.read(), "alpha.log of pncollect split lacks the self-check")
    with open(f"{out}/results.jsonl", encoding="utf-8") as f:
        t.check('"type":"result","guest":"alpha","status":"pass"' in f.read(), "results.jsonl lacks the result")
    t.check("pass" in tool(t, sys.executable, f"{harness.TOP}/tests/qemu/records.py", m.log_path),
            "records.py does not print the result")


def run(t):
    commands = shown("The control partition")
    t.check(commands and commands[-1] == "poweroff", f"the README ends with {commands[-1:]}, not with poweroff")
    unknown = set(commands[:-1]) - set(TRIED)
    t.check(not unknown, f"the README shows commands that are not tried here: {unknown}")
    c = control.wait(t, t.boot(None, media="none", clock="typed", cpus=2, extra=[
        "-drive", f"if=none,id=stick,format=raw,file={stick(t)}", "-device", "qemu-xhci",
        "-device", "usb-storage,drive=stick,bootindex=0",
        "-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n"]))
    for command in commands[:-1]:
        TRIED[command](c)
    c.until("pnctl list | grep -q 'alpha.*ended: pass'", 90)
    c.says("cat /data/logs/alpha.log", "ok 8 cdrom")
    c.says("grep -c '\"type\":\"result\",\"guest\":\"alpha\",\"status\":\"pass\"' /data/logs/records.jsonl", "2")
    c.says("ls -d /boot-medium/boot /data/images", "/data/images")
    c.shell("sync")
    c.m.send("\x1dT")
    c.m.wait_record("trace", 120, event="end")
    c.power_off()
    t.check("hlt" in tool(t, t.built("tools/pncollect"), "trace", c.m.log_path), "pncollect trace shows no exits")
    results(t, c.m)
