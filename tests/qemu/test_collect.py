# SPDX-License-Identifier: MIT
"""tools/pncollect at the serial line of a running hypervisor. `bad-line`: two guests behind a line of true
115200 baud that damages one byte in 3000 and loses some, both ways; pncollect must end with every record as
it was written, each once and in order, and with the guests' results as its exit status. `trace`: the trace
is exported over the line, `pncollect trace` prints its entries, and its totals are those of `stats`.
Catches what the unit tests' made-up line cannot: the hypervisor's own timing, loaders' text, sockets. `local`:
no emulator; exit status by exit status, each kind of line, typed text, resends, the status line."""
import json
import os
import random
import re
import selectors
import shutil
import socket
import subprocess
import threading
import time
import tty
import zlib

import demo
import harness
from records import SerialLog

TIER = "ci"
SECONDS = 70
VARIATIONS = {"bad-line": {"test": "bad_line"}, "trace": {"test": "trace"},
              "local": {"test": "local"}}
RATE = 11520  # bytes a second
TICK = 0.02


class BadLine:
    """Between the emulator's serial port and pncollect: slow, and not to be trusted."""

    def __init__(self, machine, path, damaged, lost):
        self.machine, self.damaged, self.lost = machine, damaged, lost
        self.random = random.Random(1)
        self.clean = b""
        self.hits = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)
        self.peer = None

    def accept(self, limit):
        self.listener.settimeout(limit)
        self.peer, _ = self.listener.accept()
        self.peer.setblocking(False)

    def noise(self, data):
        out = bytearray()
        for byte in data:
            r = self.random.random()
            self.hits += r < self.damaged + self.lost
            if r < self.damaged:
                byte ^= 1 << self.random.randrange(8)
            if not self.damaged <= r < self.damaged + self.lost:
                out.append(byte)
        return bytes(out)

    def pass_on(self, seconds):
        """What the line carries in @seconds. False when pncollect has hung up."""
        budget = int(RATE * seconds)
        try:
            down = self.machine.serial.recv(budget)
        except BlockingIOError:
            down = None
        if down == b"":
            return False
        if down:
            self.clean += down
            self.machine.raw.write(down)
            self.machine.raw.flush()
            self.send(self.peer, self.noise(down))
        try:
            up = self.peer.recv(budget)
        except BlockingIOError:
            return True
        if up:
            self.send(self.machine.serial, self.noise(up))
        return up != b""

    @staticmethod
    def send(to, data):
        to.setblocking(True)
        try:
            to.sendall(data)
        except (BrokenPipeError, ConnectionError):
            pass
        to.setblocking(False)

    def run(self, process, limit):
        """Until pncollect ends; its exit status."""
        end = time.monotonic() + limit * harness.SLOW
        last = time.monotonic()
        while process.poll() is None and time.monotonic() < end:
            with selectors.DefaultSelector() as ready:
                ready.register(self.machine.serial, selectors.EVENT_READ)
                ready.register(self.peer, selectors.EVENT_READ)
                ready.select(0.5)
            time.sleep(TICK)
            now = time.monotonic()
            if not self.pass_on(min(now - last, 0.2)):
                break
            last = now
        try:
            return process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            return None

    def close(self):
        for s in (self.peer, self.listener):
            if s:
                s.close()


def collect(t, m, damaged, lost, *options, limit=240):
    """pncollect at the machine's line until it ends; (exit status, its directory, its words, the line)."""
    out = t.path("collected")
    shutil.rmtree(out, ignore_errors=True)
    line = BadLine(m, os.path.join(m.tmp, "line"), damaged, lost)
    command = [t.built("tools/pncollect"), "-o", out, *options, "unix:" + os.path.join(m.tmp, "line")]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True) as process:
        try:
            line.accept(10)
            status = line.run(process, limit)
            words = process.stderr.read()
        finally:
            if process.poll() is None:
                process.kill()
            line.close()
    return status, out, words, line


def read(path):
    with open(path, "rb") as f:
        return f.read()


def check_records(t, got, clean):
    """Every record that was on the line before the noise, byte for byte, in order, once."""
    lines = got.splitlines()
    numbers = [json.loads(line)["seq"] for line in lines]
    t.check(numbers == list(range(1, len(numbers) + 1)), f"records are out of order: {numbers}")
    written = {}
    for line in clean.split(b"\n"):
        if line.startswith(b'{"pnb"'):
            written[json.loads(line)["seq"]] = line.rstrip(b"\r")
    for n, line in zip(numbers, lines):
        t.check(written.get(n) == line, f"record {n} is not as it was written: {line!r}")


def bad_line(t):
    config = demo.guest("alpha", "192M") + demo.guest("beta", "192M")
    m = t.boot(t.iso(config, "paging=nested stats=500ms"), cpus=2, clock="typed")
    status, out, words, line = collect(t, m, 1 / 3000, 1 / 30000, "--wait", "all", "--timeout", "400")
    t.check(status == 0, f"pncollect ended with {status}: {words}")
    said = re.search(r"(\d+) records, (\d+) damaged lines, (\d+) requests, (\d+) lost", words)
    t.check(said and int(said.group(4)) == 0, f"pncollect says: {words}")
    t.check(line.hits > 10 and int(said.group(3)) > 0, f"the line was not bad enough: {words}")
    results = read(out + "/results.jsonl")
    check_records(t, results, line.clean)
    for name in ("alpha", "beta"):
        t.check(name + " pass" in words, f"no result of {name}: {words}")
        log = read(f"{out}/{name}.log").decode("ascii", "replace").splitlines()
        clean = SerialLog(line.clean).lines(name)
        t.check(len(set(log) & set(clean)) > 0.9 * len(set(clean)),
                f"{name}.log lacks most of what {name} printed")
    # The raw log holds all of it: taken apart later it gives the same.
    again = t.path("again")
    shutil.rmtree(again, ignore_errors=True)
    done = subprocess.run([t.built("tools/pncollect"), "split", out + "/serial.raw", "-o", again],
                          capture_output=True, text=True, check=False)
    t.check(done.returncode == 0, f"pncollect split: {done.returncode} {done.stderr}")
    t.check(read(again + "/results.jsonl") == results, "pncollect split found other records")


def trace(t):
    m = t.boot(t.iso(demo.guest(), "paging=nested trace=exits"), clock="typed")
    status, out, words, _ = collect(t, m, 0, 0, "--wait", "all", "--timeout", "300")
    t.check(status == 0, f"pncollect ended with {status}: {words}")
    m.log = SerialLog()
    m.send(b"\x1dT")
    m.wait_record("trace", 60, event="end")
    raw = t.path("trace.raw")
    with open(raw, "wb") as f:
        f.write(read(out + "/serial.raw") + b"\r\n" + read(m.log_path)[-4 << 20:])
    done = subprocess.run([t.built("tools/pncollect"), "trace", raw], capture_output=True, text=True,
                          check=False)
    t.check(done.returncode == 0, f"pncollect trace: {done.returncode} {done.stdout[-2000:]}{done.stderr}")
    entries = re.findall(r"^\d+ cpu0 #\d+ alpha (\w+) \d+ rip=0x", done.stdout, re.M)
    t.check(len(entries) > 4000, f"only {len(entries)} entries")
    stats = [json.loads(line) for line in read(out + "/results.jsonl").splitlines()]
    stats = [r for r in stats if r["type"] == "stats" and r["guest"] == "alpha"][-1]["exits"]
    for reason, (count, _) in stats.items():
        row = re.search(rf"^{reason} +(\d+) .* (\d+) +(\d+)$", done.stdout, re.M)
        t.check(row and int(row.group(2)) == int(row.group(3)) == count,
                f"totals of {reason}: {row and row.group(0)}, stats has {count}")
        t.check(int(row.group(1)) == entries.count(reason), f"entries of {reason}: {row.group(0)}")
    t.check("I/O ports" in done.stdout and "0x03f" in done.stdout, "no table of ports")


# --- without an emulator ------------------------------------------------------------------------------


def record(seq, kind, members):
    head = f'{{"pnb":1,"seq":{seq},"t_us":{seq * 1000},"type":"{kind}"{members}'.encode()
    return head + b',"crc":"%08x"}' % zlib.crc32(head) + b"\r\n"


START = record(1, "guest", ',"name":"alpha","event":"start"')
PASS = record(2, "result", ',"guest":"alpha","status":"pass"')
FAIL = record(2, "result", ',"guest":"alpha","status":"fail"')


def statuses(t):
    """Each exit status from a raw log that deserves it."""
    damaged = START.replace(b"start", b"stort") + PASS
    for what, data, options, want in (
            ("pass", START + PASS, ["--wait", "alpha"], 0),
            ("all pass", START + PASS, ["--wait", "all"], 0),
            ("fail", START + FAIL, ["--wait", "all"], 1),
            ("bad option", START, ["--baud", "no"], 2),
            ("not come", START, ["--wait", "alpha"], 3),
            ("other guest", START + PASS, ["--wait", "beta"], 3),
            ("a hole", START + record(3, "result", ',"guest":"alpha","status":"pass"'), [], 4),
            ("the first damaged", damaged, [], 4),
            ("from the middle", PASS, [], 0),
            ("nothing", b"", [], 0)):
        raw = t.path("raw")
        with open(raw, "wb") as f:
            f.write(data)
        done = subprocess.run([t.built("tools/pncollect"), "-q", "--force", "-o", t.path("out"),
                               *options, raw], capture_output=True, text=True, check=False)
        t.check(done.returncode == want,
                f"{what}: exit status {done.returncode}, expected {want}: {done.stderr}")
    kept = subprocess.run([t.built("tools/pncollect"), "-o", t.path("out"), t.path("raw")],
                          capture_output=True, text=True, check=False)
    t.check(kept.returncode == 2 and "--force" in kept.stderr, "an earlier collection was overwritten")


def read_until(fd, what, limit=10):
    data, end = b"", time.monotonic() + limit
    while what not in data and time.monotonic() < end:
        with selectors.DefaultSelector() as ready:
            ready.register(fd, selectors.EVENT_READ)
            if ready.select(0.2):
                data += os.read(fd, 4096)
    return data


def terminal(t):
    """A serial port: text is typed once the hypervisor is heard, never before; a damaged record is asked
    for until it comes; the damaged answer too."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    name = os.ttyname(theirs)
    out = t.path("out")
    with subprocess.Popen([t.built("tools/pncollect"), "--force", "-o", out, "--send", "ls\\n", "-w", "all",
                           "-t", "60", name], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          text=True) as process:
        try:
            os.write(ours, b"GNU GRUB\r\n")
            early = read_until(ours, b"\n", 1)
            t.check(early == b"", f"typed into the loader: {early!r}")
            os.write(ours, b"hv| Penumbra\r\n" + START)
            typed = read_until(ours, b"ls\n")
            t.check(typed == b"ls\n", f"--send typed {typed!r}")
            os.write(ours, b"alpha| lo\r\r\n" + PASS.replace(b"pass", b"pbss") + b"alpha| login\r\n")
            asked = read_until(ours, b"\n")
            t.check(asked == b"\x1dr2-2\n", f"asked {asked!r} for record 2")
            os.write(ours, PASS.replace(b"alpha", b"alphb"))
            asked = read_until(ours, b"\n", 20)
            t.check(asked == b"\x1dr2-2\n", f"asked {asked!r} for record 2 again")
            os.write(ours, PASS)
            status = process.wait(10)
            words = process.stderr.read()
        finally:
            if process.poll() is None:
                process.kill()
            os.close(ours)
            os.close(theirs)
    t.check(status == 0, f"pncollect ended with {status}: {words}")
    t.check(read(out + "/results.jsonl") == (START + PASS).replace(b"\r", b""), "results.jsonl is wrong")
    t.check(read(out + "/alpha.log") == b"login\n", "alpha.log is wrong")
    t.check(read(out + "/console.log") == b"GNU GRUB\n", "console.log is wrong")


def from_pipe(t, command, feed):
    """A line that is a pipe to its standard input."""
    return subprocess.run([*command, "-"], input=feed, capture_output=True, check=False, timeout=60)


def from_fifo(t, command, feed):
    path = t.path("fifo")
    if os.path.exists(path):
        os.unlink(path)
    os.mkfifo(path)
    threading.Thread(target=lambda: open(path, "wb").write(feed), daemon=True).start()
    return subprocess.run([*command, path], capture_output=True, check=False, timeout=60)


def from_tcp(t, command, feed):
    def serve():
        with listener.accept()[0] as peer:
            peer.sendall(feed)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        return subprocess.run([*command, f"tcp:127.0.0.1:{listener.getsockname()[1]}"], stdin=subprocess.DEVNULL,
                              capture_output=True, check=False, timeout=60)


def sources(t):
    """Each kind of line but those of the other tests: a file, a serial port, a socket of the machine's."""
    for source in (from_pipe, from_fifo, from_tcp):
        out = t.path("out")
        shutil.rmtree(out, ignore_errors=True)
        done = source(t, [t.built("tools/pncollect"), "-o", out, "-w", "all"], START + b"alpha| here\r\n" + PASS)
        t.check(done.returncode == 0, f"{source.__name__}: exit status {done.returncode}: {done.stderr}")
        t.check(read(out + "/alpha.log") == b"here\n", f"{source.__name__}: alpha.log is wrong")


def status_line(t):
    """A person at a terminal sees guests and counts change while the line is read."""
    ours, theirs = os.openpty()
    with subprocess.Popen([t.built("tools/pncollect"), "--force", "-o", t.path("out"), "-w", "all", "-"],
                          stdin=subprocess.PIPE, stderr=theirs) as process:
        try:
            process.stdin.write(START)
            process.stdin.flush()
            said = read_until(ours, b" 1 records, 0 damaged, 0 lost")
            t.check(b"\r" in said and b" 1 records" in said and b"alpha" in said, f"the status line says {said!r}")
            process.stdin.write(PASS)
            process.stdin.close()
            t.check(process.wait(10) == 0 and b"alpha pass; 2 records" in read_until(ours, b"2 records"),
                    "no summary at the end")
        finally:
            if process.poll() is None:
                process.kill()
            os.close(ours)
            os.close(theirs)


def local(t):
    statuses(t)
    terminal(t)
    sources(t)
    status_line(t)


def run(t, test):
    {"bad_line": bad_line, "trace": trace, "local": local}[test](t)
