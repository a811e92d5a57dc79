# SPDX-License-Identifier: MIT
"""A serial log taken apart: records, checked, and each partition's lines (docs/serial.md).

    log = SerialLog(data)              # bytes so far; feed() adds more
    log.records                        # valid records, in the order of their first arrival
    log.of_type("result")              # those of one type
    log.lines("alpha")                 # what alpha printed, prefix removed, one str per line
    log.errors                         # what broke the format: bad JSON, crc, seq, bytes

Python's standard library only.
"""

import json
import re
import zlib

RECORD_START = b'{"pnb"'
_CRC = re.compile(rb',"crc":"([0-9a-f]{8})"\}$')
_HEAD = re.compile(rb'\{"pnb":1,"seq":(0|[1-9][0-9]*),"t_us":(0|[1-9][0-9]*),"type":"([a-z_]+)"')
_PREFIX = re.compile(rb"([a-z][a-z0-9-]{0,15}(?::vga)?)\| (.*)\Z", re.S)
_BLANK_OUTSIDE_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"|( )')


class RecordError(ValueError):
    """A line that looks like a record and is not one; the text says what is wrong."""


def _no_float(text):
    raise RecordError(f"number {text} is not an integer")


def _no_duplicates(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise RecordError("a key occurs twice in one object")
    return members


def _check_values(value):
    if isinstance(value, dict):
        for member in value.values():
            _check_values(member)
    elif isinstance(value, list):
        for member in value:
            _check_values(member)
    elif isinstance(value, bool) or not isinstance(value, (int, str)):
        raise RecordError(f"value {value!r} is neither integer, string, array nor object")


def parse_record(line):
    """One line (bytes, without its CR LF) as a dict. Raises RecordError if any rule is broken."""
    odd = [byte for byte in line if not 0x20 <= byte <= 0x7E]
    if odd:
        raise RecordError(f"byte 0x{odd[0]:02x} is not printable ASCII")
    if not _HEAD.match(line):
        raise RecordError("does not begin with pnb, seq, t_us, type")
    crc = _CRC.search(line)
    if not crc:
        raise RecordError("does not end with crc")
    want = zlib.crc32(line[: crc.start()])
    if int(crc.group(1), 16) != want:
        raise RecordError(f"crc is {crc.group(1).decode()}, expected {want:08x}")
    text = line.decode("ascii")
    try:
        record = json.loads(text, parse_float=_no_float, parse_constant=_no_float,
                            object_pairs_hook=_no_duplicates)
    except RecordError:
        raise
    except ValueError as why:
        raise RecordError(f"not JSON: {why}") from why
    _check_values(record)
    if any(m.group(1) for m in _BLANK_OUTSIDE_STRINGS.finditer(text)):
        raise RecordError("blank outside a string")
    return record


class SerialLog:
    """Parses as it is fed; cheap to ask again after each feed()."""

    def __init__(self, data=b""):
        self.records = []
        self.errors = []
        self._lines = []  # (name or None, text, interrupted)
        self._by_seq = {}  # seq -> the record's bytes
        self._rest = b""
        if data:
            self.feed(data)

    @classmethod
    def read(cls, path):
        with open(path, "rb") as log:
            return cls(log.read())

    def feed(self, data):
        """More bytes from the line. Text after the last LF waits for the rest of its line."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            self._line(line)

    def of_type(self, kind, **members):
        """Records of one type whose members have the given values: of_type("guest", name="alpha")."""
        return [r for r in self.records
                if r["type"] == kind and all(r.get(k) == v for k, v in members.items())]

    def names(self):
        """Sources that printed something, in order of appearance; None for unprefixed text."""
        return list(dict.fromkeys(name for name, _, _ in self._lines))

    def lines(self, name):
        """Lines of one source: "alpha", "alpha:vga", "control", "hv"; None for unprefixed text (the
        focused partition, the loader, the firmware). A partial line that was interrupted and came
        again whole is listed once."""
        mine = [(text, cut) for who, text, cut in self._lines if who == name]
        found = []
        for i, (text, cut) in enumerate(mine):
            again = i + 1 < len(mine) and mine[i + 1][0].startswith(text)
            if not (cut and again):
                found.append(text)
        return found

    def partial(self):
        """(name, text) of the unfinished last line: a prompt, for instance."""
        name, text, _ = self._split(self._rest)
        return name, text

    def has_line(self, name, text):
        """True when a line of @name (or its unfinished last line) contains @text."""
        return any(text in line for line in self.lines(name)) or (
            self.partial()[0] == name and text in self.partial()[1])

    def missing(self):
        """Record numbers that never arrived between the first and the last."""
        if not self._by_seq:
            return []
        have = self._by_seq
        return [seq for seq in range(min(have), max(have) + 1) if seq not in have]

    def check(self):
        """errors, plus one for each gap in seq: what a test asserts to be empty at its end."""
        return self.errors + [f"record {seq} never arrived" for seq in self.missing()]

    # Interrupted partial lines end in CR CR LF.
    @staticmethod
    def _split(line):
        body = line.rstrip(b"\r")
        cut = len(line) - len(body) > 1
        named = _PREFIX.match(body)
        name, body = (named.group(1).decode(), named.group(2)) if named else (None, body)
        return name, body.decode("utf-8", "backslashreplace"), cut

    def _line(self, line):
        if line.startswith(RECORD_START):
            self._record(line)
        else:
            self._lines.append(self._split(line))

    def _record(self, line):
        shown = line.decode("ascii", "backslashreplace")
        if not line.endswith(b"\r"):
            self.errors.append(f"record does not end in CR LF: {shown}")
        line = line.rstrip(b"\r")
        try:
            record = parse_record(line)
        except RecordError as why:
            self.errors.append(f"{why}: {shown}")
            return
        seq = record["seq"]
        if seq == 0:  # not numbered, not kept: bulk data with a numbering of its own
            self.records.append(record)
            return
        if seq in self._by_seq:
            if self._by_seq[seq] != line:
                self.errors.append(f"record {seq} came again with other bytes: {shown}")
            return
        self._by_seq[seq] = line
        self.records.append(record)


if __name__ == "__main__":
    import sys

    for path in sys.argv[1:]:
        serial = SerialLog.read(path)
        for record in serial.records:
            print(record)
        for problem in serial.check():
            print(f"{path}: {problem}", file=sys.stderr)
