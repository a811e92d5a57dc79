#!/bin/bash
# SPDX-License-Identifier: MIT
# Packs the initramfs of the loads: our program as init, and a C compiler with its own source and libc's headers, which it compiles.
#   image.sh OUT LOADS TCC TCC-SOURCE CONFIG.H LIBC-HEADERS
# The same input gives the same bytes.
set -euo pipefail
out=$1 loads=$2 tcc=$3 source=$4 config=$5 headers=$6
tree=$(mktemp -d "${TMPDIR:-/tmp}/loads.XXXXXX")
trap 'rm -rf "$tree"' EXIT
umask 022
mkdir -p "$tree"/{dev,tcc/src}
cp "$loads" "$tree/init"
cp "$tcc" "$tree/tcc/tcc"
cp "$source"/*.[ch] "$source"/*.def "$config" "$tree/tcc/src/"
cp -rL "$source/include" "$tree/tcc/src/include"
cp -rL "$headers" "$tree/tcc/include"
cp "$source/COPYING" "$tree/tcc/src/"
chmod -R go-w,a+rX "$tree"
chmod 755 "$tree/init" "$tree/tcc/tcc"
"$(dirname "${BASH_SOURCE[0]}")/../../rootfs/pack-initramfs.sh" "$tree" "$out"
