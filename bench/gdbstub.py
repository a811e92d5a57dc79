# SPDX-License-Identifier: MIT
"""The few packets of GDB's remote protocol that the benchmark needs: stop a machine at an address.

Breakpoints are on linear addresses, whoever executes there: firmware, hypervisor or guest.  Memory is not read,
because the stub does not translate a guest's addresses."""
import socket
import time

RIP, CS = slice(16 * 8, 17 * 8), slice(17 * 8 + 4, 17 * 8 + 8)  # in the answer to `g`
CONNECT_SECONDS = 30


class GdbStub:
    def __init__(self, path, process):
        self.socket = socket.socket(socket.AF_UNIX)
        end = time.monotonic() + CONNECT_SECONDS
        while True:
            try:
                self.socket.connect(path)
                break
            except OSError:
                if time.monotonic() > end or process.poll() is not None:
                    raise
                time.sleep(0.02)
        self.buffer = b""
        self.ask("?")

    def close(self):
        self.socket.close()

    def send(self, text):
        body = text.encode("ascii")
        self.socket.sendall(b"$%s#%02x" % (body, sum(body) % 256))

    def receive(self):
        """The next packet's text, acknowledged."""
        while True:
            start = self.buffer.find(b"$")
            end = self.buffer.find(b"#", start)
            if start >= 0 and 0 <= end <= len(self.buffer) - 3:
                body, self.buffer = self.buffer[start + 1:end], self.buffer[end + 3:]
                self.socket.sendall(b"+")
                return body.decode("ascii")
            piece = self.socket.recv(65536)
            if not piece:
                raise ConnectionError("the emulator closed its debugger stub")
            self.buffer += piece

    def ask(self, text):
        self.send(text)
        return self.receive()

    def where(self):
        """CS and RIP."""
        state = bytes.fromhex(self.ask("g"))
        return (int.from_bytes(state[CS], "little"), int.from_bytes(state[RIP], "little"))

    def monitor(self, command):
        """One command to QEMU's monitor; its answer."""
        self.send("qRcmd," + command.encode("ascii").hex())
        text = ""
        while True:
            packet = self.receive()
            if packet == "OK":
                return text
            text += bytes.fromhex(packet[1:]).decode("ascii", "replace")

    def run_to(self, address, there, limit):
        """Continue until @address is executed with there(cs, rip) true."""
        self.socket.settimeout(limit)
        if self.ask(f"Z1,{address:x},1") != "OK":
            raise ConnectionError(f"no breakpoint at {address:#x}")
        while True:
            self.ask("c")
            if there(*self.where()):
                break
            # Off the breakpoint first, or it would be hit again.
            self.ask(f"z1,{address:x},1")
            self.ask("s")
            self.ask(f"Z1,{address:x},1")
        self.ask(f"z1,{address:x},1")

    def detach(self):
        self.ask("D")
