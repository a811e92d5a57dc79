# SPDX-License-Identifier: MIT
"""XMODEM with CRC-16 over a machine's serial line: the far end of the control partition's rx and sx."""
import harness

SOH, STX, EOT, ACK, NAK, CAN = 0x01, 0x02, 0x04, 0x06, 0x15, 0x18


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


class Line:
    """Bytes of a machine, in order."""

    def __init__(self, m):
        self.m, self.at = m, len(raw(m))

    def byte(self, limit=20):
        self.m.wait_for(lambda: len(raw(self.m)) > self.at, limit, "byte of XMODEM")
        self.at += 1
        return raw(self.m)[self.at - 1]

    def until(self, wanted, limit=20):
        while (c := self.byte(limit)) not in wanted:
            pass
        return c

    def bytes(self, count):
        return bytes(self.byte() for _ in range(count))

    def prompt(self):
        """The shell's, after a transfer: what is typed before it is lost when the terminal changes back."""
        said = b""
        while not said.endswith(b"penumbra# "):
            said += self.bytes(1)


def raw(m):
    with open(m.log_path, "rb") as f:
        return f.read()


def send(m, data, command):
    """Type @command (rx FILE) and send @data to it."""
    line = Line(m)
    m.send(command + "\r")
    line.until(b"\n")
    line.until((ord("C"),))
    for n, at in enumerate(range(0, len(data), 128), 1):
        block = data[at:at + 128].ljust(128, b"\x1a")
        frame = bytes([SOH, n & 255, ~n & 255]) + block + crc16(block).to_bytes(2, "big")
        m.send(frame)
        if line.until((ACK, NAK, CAN)) != ACK:
            raise harness.Failure(f"block {n} was refused")
    m.send(bytes([EOT]))
    line.until((ACK,))
    line.prompt()


def receive(m, command):
    """Type @command (sx FILE) and take what it sends, filling included."""
    line, data = Line(m), b""
    m.send(command + "\r")
    line.until(b"\n")
    m.send("C")
    while (kind := line.until((SOH, STX, EOT, CAN))) in (SOH, STX):
        number = line.bytes(2)
        block, crc = line.bytes(128 if kind == SOH else 1024), line.bytes(2)
        if number[0] != 255 - number[1] or crc16(block) != int.from_bytes(crc, "big"):
            raise harness.Failure(f"a block of sx is wrong: {number.hex()} {crc.hex()}")
        data += block
        m.send(bytes([ACK]))
    m.send(bytes([ACK]))
    line.prompt()
    return data
