#!/bin/bash
# SPDX-License-Identifier: MIT
# Takes one of Debian's stock kernels out of its package, with the few drivers that a guest's
# initramfs needs to read a CD or a disk.
#   guest-kernel.sh FLAVOUR ARCH DIR     (cloud-amd64 amd64 | amd64 amd64 | 686 i386 | 686-pae i386)
# Leaves DIR/vmlinuz, DIR/modules/{*.ko,order} and DIR/version.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
flavour=$1 arch=$2 dir=$3
drivers="ata_piix ata_generic sr_mod sd_mod isofs virtio_pci virtio_blk"
part=$dir.part
rm -rf "$part"

version=$("$here/kernel-package.sh" "$flavour" "$arch" "$part")
rm -rf "$dir"
mkdir -p "$dir/modules"
cp "$part"/boot/vmlinuz-* "$dir/vmlinuz"
# shellcheck disable=SC2086 # a list of words
/usr/bin/python3 "$here/kernel-modules.py" "$part/lib/modules" "$dir/modules" $drivers
echo "$version" >"$dir/version"
rm -rf "$part"
