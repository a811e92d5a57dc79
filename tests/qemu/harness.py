# SPDX-License-Identifier: MIT
"""Boot Penumbra in an emulator and wait for things on its serial line.

A test gets a Context (see run.py) and writes:

    iso = t.iso(config="[guest alpha]\\n...", cmdline="paging=nested exit=qemu")
    m = t.boot(iso, cpus=2)
    m.wait_record("boot", 30)
    m.wait_line("alpha", r"Linux version", 60)
    m.finish(120)

Every wait has a limit in seconds, stretched by PN_SLOW on a loaded host, and fails with what it was
waiting for and the end of the log.  Python's standard library only.
"""
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from records import SerialLog

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SLOW = float(os.environ.get("PN_SLOW", "2"))
OVMF_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
OVMF_VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
# After these nothing follows: no use in waiting for a limit.
LAST_WORDS = (b'"type":"panic"', b"cannot run on this machine")
# QEMU's. Without CMPXCHG16B: that of 7.2 can leave 32 bits of an operand in EFLAGS (docs/testing.md).
CPU = "max,-la57,-cx16"
QEMU_PASS, QEMU_FAIL = 33, 35  # what isa-debug-exit makes of the bytes 0x10 and 0x11


class Failure(Exception):
    """The test failed; the text says what was expected and what was seen."""


class Skip(Exception):
    """The test cannot run here; the text says why."""


def build_dir():
    return os.path.join(TOP, os.environ.get("PN_BUILD", "build"))


class Machine:
    """One emulated machine with its serial line. start() is done by the subclass."""

    def __init__(self, where, name):
        self.log_path = os.path.join(where, name + ".log")
        self.log = SerialLog()
        self.tmp = tempfile.mkdtemp(prefix="pn-")  # short: socket paths have a limit
        self.process = None
        self.serial = None
        self.listener = None
        self.raw = open(self.log_path, "wb")
        self.recent, self.dead = b"", False

    # --- life ---------------------------------------------------------------------------------------

    def launch(self, command, env=None):
        self.errors_path = os.path.join(self.tmp, "stderr")
        with open(self.errors_path, "wb") as err:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=err,
                                            stderr=err, env=env, start_new_session=True)
        self.listener.settimeout(30 * SLOW)
        try:
            self.serial, _ = self.listener.accept()
        except socket.timeout:
            self.stop()
            raise Failure(f"the emulator did not open its serial line: {self.emulator_errors()}")
        self.serial.setblocking(False)

    def emulator_errors(self):
        with open(self.errors_path, encoding="utf-8", errors="replace") as f:
            return f.read().strip()[-500:]

    def stop(self):
        """Ends the emulator, however it is; safe to call twice."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for s in (self.serial, self.listener):
            if s:
                s.close()
        self.serial = self.listener = None
        self.raw.close()
        shutil.rmtree(self.tmp, ignore_errors=True)

    def running(self):
        return self.process.poll() is None

    # --- serial line ----------------------------------------------------------------------------------

    def pump(self, seconds, most=65536):
        """Read what arrives within @seconds (0: what is there), at most @most bytes. False at the end of the line."""
        if not self.serial:
            return False
        with selectors.DefaultSelector() as ready:
            ready.register(self.serial, selectors.EVENT_READ)
            if not ready.select(seconds):
                return True
        try:
            data = self.serial.recv(most)
        except BlockingIOError:
            return True
        except ConnectionError:
            data = b""
        if not data:
            self.serial.close()
            self.serial = None
            return False
        self.raw.write(data)
        self.raw.flush()
        self.log.feed(data)
        self.dead = self.dead or any(words in self.recent + data for words in LAST_WORDS)
        self.recent = data[-64:]
        return True

    def linger(self):
        """Take in the rest of a register dump."""
        end = time.monotonic() + 2
        while time.monotonic() < end and self.pump(0.2):
            pass

    def wait_for(self, found, limit, what):
        """Pump until found() returns something true, and return that."""
        end = time.monotonic() + limit * SLOW
        while True:
            hit = found()
            if hit:
                return hit
            left = end - time.monotonic()
            if self.dead:
                self.linger()
                raise Failure(f"the hypervisor stopped before {what}\n{self.tail()}")
            if left <= 0:
                raise Failure(f"no {what} within {limit * SLOW:.0f} s\n{self.tail()}")
            if not self.pump(min(left, 1.0)):
                hit = found()
                if hit:
                    return hit
                raise Failure(f"the machine ended before {what}\n{self.emulator_errors()}\n"
                              f"{self.tail()}")

    def wait_record(self, kind, limit, **members):
        """First record of that type whose members have those values (a callable is asked)."""
        def match(r):
            return r["type"] == kind and all(
                v(r.get(k)) if callable(v) else r.get(k) == v for k, v in members.items())
        shown = ", ".join(f"{k}={v}" for k, v in members.items())
        return self.wait_for(lambda: next(filter(match, self.log.records), None), limit,
                             f"record {kind}({shown})")

    def wait_line(self, source, regex, limit):
        """First line of @source ("alpha", "alpha:vga", "hv", None: unprefixed) with a match."""
        pattern = re.compile(regex)

        def found():
            lines = self.log.lines(source)
            name, rest = self.log.partial()
            if name == source:
                lines = lines + [rest]
            return next(filter(None, map(pattern.search, lines)), None)
        return self.wait_for(found, limit, f"line of {source} matching /{regex}/")

    def send(self, data):
        """Type @data (bytes or str) on the serial line."""
        self.serial.setblocking(True)
        self.serial.sendall(data.encode() if isinstance(data, str) else data)
        self.serial.setblocking(False)

    def finish(self, limit):
        """Wait for the emulator to end by itself; its exit status."""
        end = time.monotonic() + limit * SLOW
        while self.pump(0.5) or self.running():
            if self.dead:
                self.linger()
                raise Failure(f"the hypervisor stopped\n{self.tail()}")
            if time.monotonic() > end:
                raise Failure(f"the machine still runs after {limit * SLOW:.0f} s\n{self.tail()}")
            if not self.serial:
                time.sleep(0.05)
        return self.process.returncode

    def tail(self, lines=30):
        with open(self.log_path, "rb") as f:
            text = f.read()[-12000:].decode("utf-8", "replace")
        shown = [line.rstrip("\r")[:240] for line in text.split("\n")][-lines:]
        return f"--- end of {self.log_path}:\n" + "\n".join(shown)


class Qemu(Machine):
    """QEMU with TCG. firmware: seabios | ovmf; media: cd | usb | hdd | none; clock: a key of CLOCKS."""

    # Time counted by instructions makes a run the same on every host, however loaded.
    CLOCKS = {
        "fast": ["-icount", "shift=2,sleep=off"],  # an idle machine's time jumps to its next timer
        "exact": ["-icount", "shift=0,sleep=off"],  # the same for a CPU four times as fast
        "typed": ["-icount", "shift=2,sleep=on"],  # idle time passes as outside: for tests that type
        "real": [],
    }

    def __init__(self, where, name, iso, firmware="seabios", media="cd", cpus=1, memory=1024,
                 cpu=CPU, clock="fast", vga=True, extra=()):
        super().__init__(where, name)
        com1 = os.path.join(self.tmp, "com1")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(com1)
        self.listener.listen(1)
        self.monitor_path = os.path.join(self.tmp, "monitor")
        command = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", cpu, "-m", str(memory),
                   "-smp", str(cpus), "-display", "none", "-no-reboot", "-nodefaults",
                   "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
                   "-chardev", f"socket,id=com1,path={com1}", "-serial", "chardev:com1",
                   "-monitor", f"unix:{self.monitor_path},server,nowait"]
        command += ["-device", "VGA"] if vga else []
        command += self.CLOCKS[clock] + self.firmware(firmware) + self.media(media, iso) + list(extra)
        self.launch(command)

    def firmware(self, kind):
        if kind == "seabios":
            return []
        if kind != "ovmf":
            raise Failure(f"no such firmware: {kind}")
        if not os.path.exists(OVMF_CODE):
            raise Skip("package ovmf is not installed")
        nvram = os.path.join(self.tmp, "vars.fd")
        shutil.copy(OVMF_VARS, nvram)
        return ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={OVMF_CODE}",
                "-drive", f"if=pflash,format=raw,unit=1,file={nvram}"]

    @staticmethod
    def media(kind, iso):
        drive = "if=none,id=boot,format=raw,readonly=on,file=" + (iso or "").replace(",", ",,")
        return {
            "cd": ["-drive", drive + ",media=cdrom", "-device", "ide-cd,drive=boot,bootindex=0"],
            "usb": ["-drive", drive, "-device", "qemu-xhci",
                    "-device", "usb-storage,drive=boot,bootindex=0"],
            # A disk cannot be read-only; what is written goes to a file that is thrown away.
            "hdd": ["-drive", drive.replace("readonly=on", "snapshot=on"),
                    "-device", "ide-hd,drive=boot,bootindex=0"],
            "none": [],
        }[kind]

    def monitor(self, command, limit=10):
        """One command to QEMU's human monitor; its answer as text."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(limit * SLOW)
            s.connect(self.monitor_path)
            read_prompt(s)
            s.sendall(command.encode() + b"\n")
            return read_prompt(s)


def read_prompt(s):
    data = b""
    while not data.endswith(b"(qemu) "):
        piece = s.recv(65536)
        if not piece:
            break
        data += piece
    return data.decode("utf-8", "replace").replace("\r", "").removesuffix("(qemu) ")


BOCHSRC = """\
config_interface: textconfig
display_library: sdl2
megs: {memory}
romimage: file=/usr/share/bochs/BIOS-bochs-latest, options=fastboot
vgaromimage: file=/usr/share/vgabios/vgabios.bin
cpu: model={model}, count={cpus}, ips=100000000, reset_on_triple_fault=0, cpuid_limit_winnt=0, ignore_bad_msrs=1
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
{drive}
pci: enabled=1, chipset=i440fx{slot}
clock: sync=none, time0=946684800
com1: enabled=1, mode=socket-client, dev=localhost:{port}
log: {log}
panic: action=fatal
error: action=report, cpu0=ignore
info: action=report
debug: action=ignore
"""


class Bochs(Machine):
    """Bochs: other CPUs and other bugs than QEMU's. media: cd | hdd; disk: an image on the second IDE channel;
    nic: an e1000 in a network of its own; debugger: the commands it starts with. Ends with status 1 also after a
    proper power-off, so a test judges by records."""

    def __init__(self, where, name, iso, model="ryzen", media="cd", cpus=1, memory=512, disk=None, nic=False,
                 debugger=("c",)):
        super().__init__(where, name)
        if not shutil.which("bochs"):
            raise Skip("package bochs is not installed")
        self.listener = socket.socket(socket.AF_INET)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(1)
        drive = {
            "cd": f"ata0-master: type=cdrom, path={iso}, status=inserted\nboot: cdrom",
            "hdd": f"ata0-master: type=disk, mode=volatile, path={iso}, cylinders=0\nboot: disk",
        }[media]
        if disk:
            drive += ("\nata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15"
                      f"\nata1-master: type=disk, mode=flat, path={disk}, cylinders=0")
        if nic:
            drive += "\ne1000: enabled=1, mac=52:54:00:12:34:56, ethmod=slirp"
        rc, go = os.path.join(self.tmp, "bochsrc"), os.path.join(self.tmp, "go")
        with open(rc, "w", encoding="utf-8") as f:
            f.write(BOCHSRC.format(memory=memory, model=model, cpus=cpus, drive=drive,
                                   slot=", slot1=e1000" if nic else "",
                                   port=self.listener.getsockname()[1],
                                   log=os.path.join(where, name + ".bochs")))
        with open(go, "w", encoding="ascii") as f:
            # The built-in debugger stops at the first instruction.
            f.write("".join(command + "\n" for command in debugger))
        self.launch(["bochs", "-q", "-f", rc, "-rc", go],
                    dict(os.environ, SDL_VIDEODRIVER="dummy"))
