#!/bin/bash
# SPDX-License-Identifier: MIT
# Packs a directory as an initramfs; its files' times become 0, so the same files give the same bytes.
#   pack-initramfs.sh TREE OUT
set -euo pipefail
tree=$1 out=$2
mkdir -p "$(dirname "$out")"
out=$(cd "$(dirname "$out")" && pwd)/$(basename "$out")
find "$tree" -exec touch -hd @0 {} +
cd "$tree"
find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible --quiet | gzip -9n >"$out.part"
mv "$out.part" "$out"
