# SPDX-License-Identifier: MIT
"""The machine's end by exit=, with a guest's disk in the control partition's cache: the guest writes past its own
cache, does not flush, and powers off. `written`: all of it must be on the stick afterwards. `stuck`: the daemon
stands still; that is told after 10 s and the machine ends. Catches an end that does not wait for the
daemon, and one that waits for ever."""
import ioguest
import test_storage

TIER = "ci"
SECONDS = 45
VARIATIONS = {"written": {"stuck": False}, "stuck": {"stuck": True}}
LINE, BYTES = b"written last\n", 1 << 20
SCRIPT = f"""yes '{LINE.decode().strip()}' | dd of=/dev/vda bs=64k count={BYTES >> 16} iflag=fullblock oflag=direct
echo 'dd: done'
sleep %u
poweroff -n -f
"""


def run(t, stuck):
    name = ioguest.cd(t, "end", SCRIPT % (6 if stuck else 0))
    iso = t.iso(f"[guest alpha]\nmemory = 128M\ncdrom = module:{name}\nboot = cdrom\n"
                "disk = file:/images/alpha.img\ndisk_model = virtio\n", "paging=nested exit=poweroff",
                modules=ioguest.MODULES, search=("qemu",))
    stick = test_storage.Stick(t, iso)
    m = t.boot(None, media="none", clock="real", cpus=2, vga=False, extra=["-M", "q35", *stick.qemu])
    m.wait_record("guest", 120, name="control", event="ready")
    if stuck:
        m.wait_line("control", r"penumbra# $", 60)
        m.send("\x1d0")
        m.wait_line("alpha", "^dd: done", 120)
        m.send("kill -STOP $(pidof penumbrad)\r")
    m.wait_record("result", 120, guest="alpha")
    status = m.finish(60)
    t.check(status == 0, f"QEMU ended with {status}, not by its power switch")
    errors = m.log.of_type("error", guest="control", where="disk")
    t.check(len(errors) == stuck, f"error records: {errors}")
    if not stuck:
        wanted = LINE * (BYTES // len(LINE) + 1)
        t.check(stick.read()[:BYTES] == wanted[:BYTES], "what the guest wrote is not on the stick")
    t.check_log(m)
