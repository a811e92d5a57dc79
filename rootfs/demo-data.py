#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Write the file that the demo guest reads from its CD, and its "crc32 bytes" beside it.

    demo-data.py DATA SUM BYTES
"""
import hashlib
import sys
import zlib

path, sum_path, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
blocks = (hashlib.sha256(n.to_bytes(8, "little")).digest() for n in range((size + 31) // 32))
data = b"".join(blocks)[:size]
with open(path, "wb") as f:
    f.write(data)
with open(sum_path, "w", encoding="ascii") as f:
    f.write(f"{zlib.crc32(data):08x} {size}\n")
