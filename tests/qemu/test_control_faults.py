# SPDX-License-Identifier: MIT
"""What goes wrong in the control partition has its message and harms nothing else: penumbrad killed, the
stick full, then pulled out, a medium with a bad sector, wrong requests. Beside it a guest writes records to
its image on the stick (or reads the bad disk) and one idles on a RAM image and answers at the end. Catches
requests that are lost or done twice around a restart, a daemon that dies of an error, an error that the
guest is not told, and a request that changes what it should not. A crash of the kernel: test_control.py."""
import hashlib
import random

import control
import ioguest
import test_storage
from test_storage import MIB, newest_record, synced

TIER = "ci"
SECONDS = 90
VARIATIONS = {"stick": {"what": "stick"}, "sector": {"what": "sector"}}
BAD_SECTOR = 8192
STORE = "exec io store /dev/vda\n"
# One page around each place, past the cache, as the kernel would also ask for it.
READ = f"""for at in 0 {BAD_SECTOR} {BAD_SECTOR + 64}; do
	if dd if=/dev/vda of=/tmp/page bs=512 skip=$at count=8 2>/tmp/why; then
		echo "read $at: $(sha256sum </tmp/page)"
	else
		echo "read $at: $(grep -o 'I/O error' /tmp/why)"
	fi
done
"""
BETA = "[guest beta]\nmemory = 32M\ncdrom = module:hostile-wait.iso\n"
# Nonsense: (command, what it says, status).
WRONG = (
    ("pnctl start alpha", "alpha is running: start is for one that is built or has ended", 1),
    ("pnctl resume beta", "beta is running", 1),
    ("pnctl start nobody", "no guest named nobody; guests: alpha, beta", 1),
    ("pnctl destroy control", "control is the control partition", 1),
    ("pnctl frobnicate", 'there is no command "frobnicate"', 2),
    ("pnctl paging alpha sideways", 'there is no paging mode "sideways"', 2),
    ("pnctl stop", "usage: pnctl stop NAME", 2),
    ("pnctl records 5-2", '"5-2" is no range', 2),
    ("pnctl config load /nonsense", "/nonsense: No such file or directory", 1),
    ("printf '[guest gamma]\\nmemory = 32M\\ncolour = blue\\n' | pnctl config load -",
     "config:3: gamma: colour: unknown key: expected one of memory, ", 1),
    ("head -c 4000 /dev/urandom | pnctl config load -", "pnctl: ", 1),
    ("pnctl $(head -c 500 /dev/urandom | tr -dc 'a-z')", "there is no command", 2),
)


def run(t, what):
    globals()["run_" + what](t)


def progress(c, records=4):
    """The guest goes on writing and syncing."""
    start = synced(c.m)
    c.m.wait_for(lambda: synced(c.m) >= start + records, 60, f"{records} records of alpha's after {start}")


def running(t, c, *names):
    said = c.shell("pnctl list", 30)
    for name in names:
        t.check(any(line.split()[1:3] == [name, "running"] for line in said.splitlines()[1:]),
                f"{name} is not running: {said}")


def logged(c, text, limit=30):
    c.until(f"grep -q '{text}' /run/log/messages", limit)


def killed(t, c):
    """The daemon dies in the middle of a guest's requests, three times."""
    for number in range(1, 4):
        c.shell("kill -9 $(pidof penumbrad)")
        c.until(f"[ $(grep -c 'penumbrad was killed by signal 9' /run/log/messages) = {number} ]")
        progress(c)
    c.until("pnctl list >/dev/null 2>&1", 30)
    running(t, c, "alpha", "beta")


def full(t, c):
    """No room on the data partition: the logs stop and say so, the guest's image goes on."""
    c.shell("for s in 64k 512; do dd if=/dev/zero bs=$s >>/data/fill 2>/dev/null; done; sync", 120)
    c.says("df /data", " 100% ")
    progress(c)
    logged(c, "logs in /data/logs have stopped: .*: No space left on device")
    c.shell("rm /data/fill; sync")
    progress(c)
    logged(c, "logs in /data/logs go on")
    running(t, c, "alpha", "beta")


def wrong(t, c):
    before = c.shell("pnctl list --json | tr ',' '\\n' | grep -E 'name|state'")
    for command, words, status in WRONG:
        said = c.shell(f"( {command} ) 2>&1; echo \"status $?\"")
        t.check(words in said and said.endswith(f"status {status}\n"),
                f"{command}: expected \"{words}\" and status {status}: {said}")
    after = c.shell("pnctl list --json | tr ',' '\\n' | grep -E 'name|state'")
    t.check(before == after, f"wrong requests changed something: {before} {after}")
    progress(c)


def pulled(t, c):
    """The stick goes: everyone is told, only alpha loses its disk."""
    c.m.monitor("device_del stick")
    logged(c, "init: the boot medium (sd.) was removed: guests on its files lose their disks")
    logged(c, "init: the data partition (sd.*) was removed")
    c.m.wait_record("error", 60, guest="alpha", where="disk")
    c.m.wait_line("alpha", "^not ok io: ", 60)
    running(t, c, "beta")


def beta_ends_well(t, c):
    """It answers its key and ends by itself."""
    c.m.send("\x1d2")
    c.m.wait_line("hv", "focus: beta", 20)
    c.m.send("q")
    r = c.m.wait_record("result", 60, guest="beta")
    t.check(r["status"] == "pass", f"beta: {r}")


def run_stick(t):
    name = ioguest.cd(t, "store", STORE)
    iso = t.iso(f"[guest alpha]\nmemory = 128M\ncdrom = module:{name}\nboot = cdrom\n"
                f"disk = file:/images/alpha.img\ndisk_model = virtio\n{BETA}", "paging=nested",
                modules=control.MODULES, search=("qemu", "guests"))
    stick = test_storage.Stick(t, iso)
    qemu = [word + ",id=stick" if word.startswith("usb-storage") else word for word in stick.qemu]
    c = control.wait(t, t.boot(None, media="none", clock="typed", cpus=2, extra=["-M", "q35", *qemu]))
    c.until("grep -q ' /data ' /proc/mounts")
    c.m.wait_line("alpha", "^store: found 0,", 120)
    progress(c)
    killed(t, c)
    full(t, c)
    wrong(t, c)
    told = synced(c.m)
    pulled(t, c)
    beta_ends_well(t, c)
    t.check_log(c.m)
    c.m.stop()
    last, missing = newest_record(stick.read())
    t.check(last >= told and not missing,
            f"record {told} was synced; newest on the stick {last}, not whole: {missing}")


def run_sector(t):
    data = random.Random(6).randbytes(8 * MIB)
    path = t.path("disk")
    with open(path, "wb") as f:
        f.write(data)
    name = ioguest.cd(t, "read", READ)
    bad = (f"driver=raw,node-name=d,file.driver=blkdebug,file.image.driver=file,file.image.filename={path},"
           f"file.inject-error.0.event=read_aio,file.inject-error.0.errno=5,"
           f"file.inject-error.0.sector={BAD_SECTOR},file.inject-error.0.once=off")
    iso = t.iso(f"[guest alpha]\nmemory = 128M\ncdrom = module:{name}\nboot = cdrom\ndisk = dev:/dev/vda\n"
                f"disk_model = virtio\n{BETA}", "paging=nested", modules=control.MODULES,
                search=("qemu", "guests"))
    c = control.start(t, iso=iso, cpus=2, extra=["-blockdev", bad, "-device", "virtio-blk-pci,drive=d"])
    r = c.m.wait_record("result", 120, guest="alpha")
    t.check(r["status"] == "pass", f"a bad sector ended alpha: {r}")
    said = c.m.log.lines("alpha")
    for at in (0, BAD_SECTOR + 64):
        digest = hashlib.sha256(data[at * 512:at * 512 + 4096]).hexdigest()
        t.check(f"read {at}: {digest}  -" in said, f"alpha read something else at sector {at}: {said[-5:]}")
    t.check(f"read {BAD_SECTOR}: I/O error" in said, f"alpha was not told of the bad sector: {said[-5:]}")
    t.check(c.m.log.of_type("error", guest="alpha", where="disk"), "no error record")
    logged(c, f"alpha: cannot read /dev/vda at byte {BAD_SECTOR * 512}: I/O error")
    # The same for the control partition's own eyes.
    c.says(f"dd if=/dev/vda of=/dev/null bs=512 skip={BAD_SECTOR} count=8 2>&1", "I/O error")
    said = c.shell("dd if=/dev/vda bs=1M count=1 2>/dev/null | sha256sum")
    t.check(hashlib.sha256(data[:MIB]).hexdigest() in said, "the rest of the disk does not read")
    running(t, c, "beta")
    beta_ends_well(t, c)
    t.check_log(c.m)
