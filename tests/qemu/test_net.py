# SPDX-License-Identifier: MIT
"""Guests' networks: two guests through the switch, and one through a bridge to an outside host (QEMU's user
network and a server of this test). Catches frames that are lost, torn or reordered beyond what TCP mends, a port
that does not come up, a chip that its driver does not accept, a chip and a driver that wait for each other. Throughput
stands beside that of the same kernel on the machine itself, against the same server."""
import hashlib
import random
import re
import socket
import threading

import ioguest

TIER = "ci"
SECONDS = 60
MIB = 1 << 20
# The RTL8139's driver copies and rings for each frame: less is asked of it.
VARIATIONS = {
    "switch-virtio": {"what": "switch", "model": "virtio", "size": 64 * MIB},
    "switch-rtl8139": {"what": "switch", "model": "rtl8139", "size": MIB},
    "bridge-virtio": {"what": "bridge", "model": "virtio", "size": 64 * MIB},
    "bridge-rtl8139": {"what": "bridge", "model": "rtl8139", "size": MIB},
}
MODULES = "for m in lo eth0; do ip link set $m up; done\n"
# Noise that both ends can tell; a file of it in memory.
GIVER = MODULES + """ip addr add 10.1.1.1/24 dev eth0
head -c %d /dev/urandom >/tmp/file
sha256sum </tmp/file
io send 7 /tmp/file
echo net: given
sleep 600
"""
TAKER = MODULES + """ip addr add %s dev eth0
n=0; until ping -c 1 -W 2 %s >/dev/null; do n=$((n+1)); [ $n = 60 ] && break; done
ping -c 3 -W 5 %s
n=0; until io recv %s %d /tmp/file; do n=$((n+1)); [ $n = 20 ] && break; sleep 1; done
sha256sum </tmp/file
echo net: taken
sleep 600
"""


def run(t, what, model, size):
    globals()["run_" + what](t, model, size)


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
    t.check(re.search(r"^3 packets transmitted, 3 packets received", text, re.M), f"{who} lost pings")
    t.check(f"BENCH recv bytes {size}" in text, f"{who} did not get {size} bytes")
    t.check(digest in text, f"what {who} got is not what was sent")


def run_switch(t, model, size):
    giver = ioguest.cd(t, "giver", GIVER % size)
    taker = ioguest.cd(t, "taker", TAKER % ("10.1.1.2/24", "10.1.1.1", "10.1.1.1", "10.1.1.1", 7))
    iso = t.iso(guest("alpha", giver, "switch", model) + guest("beta", taker, "switch", model), "paging=nested",
                modules=ioguest.MODULES, search=("qemu",))
    m = t.boot(iso, clock="real", cpus=2, vga=False)
    m.wait_line("beta", "^net: taken", 200)
    digest = next(line for line in m.log.lines("alpha") if re.match("[0-9a-f]{64} ", line)).split()[0]
    check_taken(t, m.log.lines("beta"), digest, size, "beta")
    print(f"switch, {model}: {rate(m.log.lines('beta')):.0f} KiB/s from guest to guest")
    t.check_log(m)


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


NIC = ["-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n"]


def run_bridge(t, model, size):
    server = Server(size)
    script = TAKER % ("10.0.2.20/24", "10.0.2.2", "10.0.2.2", "10.0.2.2", server.port)
    alone = ioguest.native(t, "native", script, extra=NIC)
    alone.wait_for(lambda: "\nnet: taken\n" in alone.text, 120, "the native run's end")
    alone.stop()
    check_taken(t, alone.text.split("\n"), server.digest, size, "the kernel on the machine itself")
    taker = ioguest.cd(t, "taker", script)
    m = t.boot(t.iso(guest("alpha", taker, "bridge:eth0", model), "paging=nested", modules=ioguest.MODULES,
                     search=("qemu",)), clock="real", cpus=2, vga=False, extra=NIC)
    m.wait_line("alpha", "^net: taken", 200)
    check_taken(t, m.log.lines("alpha"), server.digest, size, "alpha")
    native, guests = rate(alone.text.split("\n")), rate(m.log.lines("alpha"))
    print(f"bridge, {model}: {guests:.0f} KiB/s, native {native:.0f}, ratio {guests / max(native, 1):.3f}")
    t.check_log(m)
