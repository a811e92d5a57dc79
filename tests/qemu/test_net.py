# SPDX-License-Identifier: MIT
"""Guests' networks: two guests through the switch, and one through a bridge to an outside host (QEMU's user
network and a server of this test). What was taken is given back, so data go both ways. Catches frames that are lost,
torn or reordered beyond what TCP mends, a port that does not come up, a chip that its driver does not accept, a chip
and a driver that wait for each other. Throughput stands beside that of the same kernel on the machine itself: two of
them on a cable, or one against the same server."""
import hashlib
import random
import re
import socket
import threading
import time

import ioguest

TIER = "ci"
SECONDS = 75
MIB = 1 << 20
# The RTL8139's driver copies and rings for each frame: less is asked of it, but at night.
VARIATIONS = {
    "switch-virtio": {"what": "switch", "model": "virtio", "size": 64 * MIB, "back": 4 * MIB},
    "switch-rtl8139": {"what": "switch", "model": "rtl8139", "size": MIB, "back": MIB},
    "bridge-virtio": {"what": "bridge", "model": "virtio", "size": 64 * MIB, "back": 4 * MIB},
    "bridge-rtl8139": {"what": "bridge", "model": "rtl8139", "size": MIB, "back": MIB},
    "switch-virtio-64": {"what": "switch", "model": "virtio", "size": 64 * MIB, "seconds": 200},
    "switch-rtl8139-64": {"what": "switch", "model": "rtl8139", "size": 64 * MIB, "seconds": 800},
    "bridge-virtio-64": {"what": "bridge", "model": "virtio", "size": 64 * MIB, "seconds": 200},
    "bridge-rtl8139-64": {"what": "bridge", "model": "rtl8139", "size": 64 * MIB, "seconds": 800},
    "switch-virtio-shadow": {"what": "switch", "model": "virtio", "size": 8 * MIB, "paging": "paging=shadow"},
    "bridge-virtio-shadow": {"what": "bridge", "model": "virtio", "size": 8 * MIB, "paging": "paging=shadow"},
}
NIGHTLY = tuple(v for v in VARIATIONS if v.endswith(("-64", "-shadow")))
MODULES = "for m in lo eth0; do ip link set $m up; done\n"
BACK = 8  # port at which it is given back
TAKE = """n=0; until io recv %s %d /tmp/file; do n=$((n+1)); [ $n = 60 ] && break; sleep 1; done
sha256sum </tmp/file
echo net: taken
"""
GIVE_BACK = f"""truncate -s %d /tmp/file
io send {BACK} /tmp/file
sleep 600
"""
# Noise, in memory, that both ends can tell.
GIVER = MODULES + """ip addr add 10.1.1.1/24 dev eth0
head -c %d /dev/urandom >/tmp/file
sha256sum </tmp/file
head -c %d /tmp/file | sha256sum
io send 7 /tmp/file
rm /tmp/file
""" + TAKE % ("10.1.1.2", BACK) + "sleep 600\n"
TAKER = MODULES + """ip addr add %s dev eth0
n=0; until ping -c 1 -W 2 %s >/dev/null; do n=$((n+1)); [ $n = 60 ] && break; done
ping -c 3 -W 5 %s
""" + TAKE + GIVE_BACK


def run(t, what, model, size, back=None, paging="paging=nested"):
    globals()["run_" + what](t, model, size, back or size, paging)


def guest(name, image, nic, model):
    return f"[guest {name}]\nmemory = 256M\ncdrom = module:{image}\nboot = cdrom\nnic = {nic}\nnic_model = {model}\n"


def rate(lines):
    for line in lines:
        word = line.split()
        if word[:3] == ["BENCH", "recv", "kib_per_s"]:
            return float(word[3])
    return 0.0


def check_taken(t, lines, digest, size, who):
    text = "\n".join(lines)
    t.check(f"BENCH recv bytes {size}" in text, f"{who} did not get {size} bytes")
    t.check(digest in text.split(f"BENCH recv bytes {size}")[1], f"what {who} got is not what was sent")


def check_pings(t, lines, who):
    t.check(re.search(r"^3 packets transmitted, 3 packets received", "\n".join(lines), re.M), f"{who} lost pings")


# --- guest to guest ---


def check_pair(t, giver, taker, size, back):
    """There and back. The rates."""
    digests = [line.split()[0] for line in giver if re.match("[0-9a-f]{64} ", line)]
    check_pings(t, taker, "the taker")
    check_taken(t, taker, digests[0], size, "the taker")
    check_taken(t, giver, digests[1], back, "the giver")
    return rate(taker), rate(giver)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def native_pair(t, giver, taker, size, back):
    """Two machines on a cable."""
    cable = f"127.0.0.1:{free_port()}"
    a, b = (ioguest.native(t, name, script, extra=["-netdev", f"socket,id=n,{end}={cable}", "-device",
                                                   f"virtio-net-pci,netdev=n,mac=52:54:00:12:34:{mac}"])
            for name, script, end, mac in (("giver", giver, "listen", "01"), ("taker", taker, "connect", "02")))
    b.wait_for(lambda: "\nnet: taken\n" in b.text, 120, "the first half of the native run")
    a.wait_for(lambda: "\nnet: taken\n" in a.text, 120, "the second half of the native run")
    for m in (a, b):
        m.pump(0)
        m.stop()
    return check_pair(t, a.text.split("\n"), b.text.split("\n"), size, back)


def run_switch(t, model, size, back, paging):
    giver = GIVER % (size, back)
    taker = TAKER % ("10.1.1.2/24", "10.1.1.1", "10.1.1.1", "10.1.1.1", 7, back)
    native = native_pair(t, giver, taker, size, back)
    images = [ioguest.cd(t, name, script) for name, script in (("giver", giver), ("taker", taker))]
    iso = t.iso(guest("alpha", images[0], "switch", model) + guest("beta", images[1], "switch", model), paging,
                modules=ioguest.MODULES, search=("qemu",))
    m = t.boot(iso, clock="real", cpus=2, vga=False)
    m.wait_line("beta", "^net: taken", 60 + patience(size))
    m.wait_line("alpha", "^net: taken", patience(back))
    guests = check_pair(t, m.log.lines("alpha"), m.log.lines("beta"), size, back)
    for way, ours, theirs in zip(("there", "back"), guests, native):
        print(f"switch, {model}, {way}: {ours:.0f} KiB/s, native {theirs:.0f}, ratio {ours / max(theirs, 1):.3f}")
    t.check_log(m)


def patience(size):
    return 60 + size / (200 << 10)


# --- outside ---


class Server:
    """The outside host: gives @size bytes to all who connect."""

    def __init__(self, size):
        self.data = random.Random(size).randbytes(size)
        self.digest = hashlib.sha256(self.data).hexdigest()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                one, _ = self.socket.accept()
                with one:
                    one.sendall(self.data)
            except OSError:
                return


def fetch_back(t, port, data, limit):
    """What the guest gives back must be @data. KiB/s, by the host's clock."""
    with socket.create_connection(("127.0.0.1", port), timeout=limit) as s:
        first, pieces = None, []
        while piece := s.recv(1 << 16):
            first = first or time.monotonic()
            pieces.append(piece)
        took = time.monotonic() - (first or 0)
    got = b"".join(pieces)
    t.check(len(got) == len(data), f"the server got {len(got)} bytes back of {len(data)}")
    t.check(got == data, "what the server got back is not what it gave")
    return len(data) / 1024 / took


def outside(t, m, lines, has_line, port, server, back):
    """One who takes from the server and gives @back bytes back: its rates."""
    limit = patience(len(server.data))
    m.wait_for(lambda: has_line(f"send: listening on {BACK}"), 60 + limit, "the first half")
    check_pings(t, lines(), "the one who takes")
    check_taken(t, lines(), server.digest, len(server.data), "the one who takes")
    return rate(lines()), fetch_back(t, port, server.data[:back], limit)


def run_bridge(t, model, size, back, paging):
    server, port = Server(size), free_port()
    nic = ["-netdev", f"user,id=n,hostfwd=tcp:127.0.0.1:{port}-10.0.2.20:{BACK}", "-device", "virtio-net-pci,netdev=n"]
    script = TAKER % ("10.0.2.20/24", "10.0.2.2", "10.0.2.2", "10.0.2.2", server.port, back)
    alone = ioguest.native(t, "native", script, extra=nic)
    native = outside(t, alone, lambda: alone.text.split("\n"), lambda line: f"\n{line}\n" in alone.text, port, server,
                     back)
    alone.stop()
    taker = ioguest.cd(t, "taker", script)
    m = t.boot(t.iso(guest("alpha", taker, "bridge:eth0", model), paging, modules=ioguest.MODULES, search=("qemu",)),
               clock="real", cpus=2, vga=False, extra=nic)
    guests = outside(t, m, lambda: m.log.lines("alpha"), lambda line: m.log.has_line("alpha", line), port, server,
                     back)
    for way, ours, theirs in zip(("to the guest", "from the guest"), guests, native):
        print(f"bridge, {model}, {way}: {ours:.0f} KiB/s, native {theirs:.0f}, ratio {ours / max(theirs, 1):.3f}")
    t.check_log(m)
