#!/bin/bash
# SPDX-License-Identifier: MIT
# Packs the initramfs of guests that work their disk and network: busybox, io, drivers of the stock kernel. What
# such a guest does is /etc/rc in a second archive behind this one.
#   image.sh OUT PACKAGE BUSYBOX IO      (PACKAGE: an unpacked kernel package)
# The same input gives the same bytes.
set -euo pipefail
out=$1 package=$2 busybox=$3 io=$4
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
drivers="virtio_pci virtio_blk virtio_net 8139cp 8139too ata_piix sd_mod af_packet e1000"
tree=$(mktemp -d "${TMPDIR:-/tmp}/io.XXXXXX")
trap 'rm -rf "$tree"' EXIT
umask 022
mkdir -p "$tree"/{bin,dev,etc,proc,sys,tmp,lib/modules}
cp "$busybox" "$tree/bin/busybox"
cp "$io" "$tree/bin/io"
cp "$here/init" "$tree/init"
# shellcheck disable=SC2086 # a list of words
/usr/bin/python3 "$here/../../tools/kernel-modules.py" "$package/lib/modules" "$tree/lib/modules" $drivers
for applet in $("$busybox" --list); do
	[ -e "$tree/bin/$applet" ] || ln -s busybox "$tree/bin/$applet"
done
chmod -R go-w,a+rX "$tree"
chmod 755 "$tree/init" "$tree"/bin/{busybox,io}
"$here/../../rootfs/pack-initramfs.sh" "$tree" "$out"
