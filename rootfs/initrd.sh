#!/bin/bash
# SPDX-License-Identifier: MIT
# Packs the demo guest's initramfs: busybox, our init and self-check, the drivers of one kernel.
#   initrd.sh OUT KERNEL-DIR BUSYBOX INIT SELFCHECK DATA.CRC
# The same input gives the same bytes.
set -euo pipefail
out=$1 kernel=$2 busybox=$3 init=$4 selfcheck=$5 sum=$6
tree=$(mktemp -d "${TMPDIR:-/tmp}/initrd.XXXXXX")
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/{bin,dev,etc,proc,sys,lib,tmp}
cp "$busybox" "$tree/bin/busybox"
cp "$init" "$tree/init"
cp "$selfcheck" "$tree/bin/selfcheck"
cp "$sum" "$tree/etc/data.crc"
cp -r "$kernel/modules" "$tree/lib/modules"
chmod 755 "$tree/init" "$tree"/bin/*
for applet in sh cat ls dmesg mount umount grep head sleep poweroff reboot setsid cttyhack true ps free; do
	ln -s busybox "$tree/bin/$applet"
done
"$(dirname "${BASH_SOURCE[0]}")/pack-initramfs.sh" "$tree" "$out"
