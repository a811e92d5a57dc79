#!/bin/bash
# SPDX-License-Identifier: MIT
# Makes a bootable CD of a stock kernel and an initramfs: ISOLINUX, El Torito without emulation, and
# an MBR so that the same file boots as a hard disk.
#   linux-cd.sh OUT KERNEL INITRD DATA "KERNEL COMMAND LINE"
set -euo pipefail
out=$1 kernel=$2 initrd=$3 data=$4 cmdline=$5
tree=$(mktemp -d "${TMPDIR:-/tmp}/cd.XXXXXX")
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/isolinux" "$tree/demo"
cp "$kernel" "$tree/isolinux/linux"
cp "$initrd" "$tree/isolinux/initrd.gz"
cp "$data" "$tree/demo/data.bin"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$tree/isolinux/"
cat >"$tree/isolinux/isolinux.cfg" <<-CFG
SERIAL 0 115200
DEFAULT linux
PROMPT 0
SAY Starting Linux from the CD
LABEL linux
 KERNEL linux
 INITRD initrd.gz
 APPEND $cmdline
CFG
mkdir -p "$(dirname "$out")"
find "$tree" -exec touch -hd @0 {} +
xorriso -as mkisofs -quiet -o "$out.part" -V DEMO -J -R --modification-date=1970010100000000 \
	-isohybrid-mbr /usr/lib/ISOLINUX/isohdpfx.bin -b isolinux/isolinux.bin -c isolinux/boot.cat \
	-no-emul-boot -boot-load-size 4 -boot-info-table "$tree" 2>"$out.log" ||
	{ cat "$out.log" >&2; exit 1; }
rm -f "$out.log"
mv "$out.part" "$out"
