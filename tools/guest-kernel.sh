#!/bin/bash
# SPDX-License-Identifier: MIT
# Takes one of Debian's stock kernels out of its package, with the few drivers that a guest's
# initramfs needs to read a CD or a disk.
#   guest-kernel.sh FLAVOUR ARCH DIR     (cloud-amd64 amd64 | amd64 amd64 | 686 i386 | 686-pae i386)
# Leaves DIR/vmlinuz, DIR/modules/{*.ko,order} and DIR/version.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
flavour=$1 arch=$2 dir=$3
drivers="ata_piix ata_generic sr_mod sd_mod isofs"
part=$dir.part
rm -rf "$part"

# The meta package names the current kernel.  Where the archive's index runs ahead of what the mirror
# holds, an older kernel of the same flavour does as well.
meta=$("$here/apt.sh" depends "linux-image-$flavour:$arch" '^linux-image-[0-9]') || meta=
for package in $meta $("$here/apt.sh" search "^linux-image-[0-9.-]+-$flavour(-unsigned)?$:$arch" | tac); do
	if version=$("$here/apt.sh" deb "$package:$arch" "$part" 2>/dev/null); then break; fi
done
image=("$part"/boot/vmlinuz-*)
[ -f "${image[0]}" ] || { echo "guest-kernel: no kernel of flavour $flavour ($arch) to be had" >&2; exit 1; }
rm -rf "$dir"
mkdir -p "$dir/modules"
cp "${image[0]}" "$dir/vmlinuz"
# shellcheck disable=SC2086 # a list of words
/usr/bin/python3 "$here/kernel-modules.py" "$part/lib/modules" "$dir/modules" $drivers
echo "$package $version" >"$dir/version"
rm -rf "$part"
