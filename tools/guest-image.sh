#!/bin/bash
# SPDX-License-Identifier: MIT
# Boot programs that Debian packages hold, as images for tests. Nothing is installed.
#   guest-image.sh NAME OUT
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
name=$1 out=$2
mkdir -p "$(dirname "$out")"
work=$(mktemp -d "${TMPDIR:-/tmp}/guest-image.XXXXXX")
trap 'rm -rf "$work"' EXIT

take() { # PACKAGE FILE-PATTERN: the one file of the package goes to OUT
	"$here/apt.sh" deb "$1" "$work/x" >/dev/null
	# shellcheck disable=SC2206 # a pattern
	local found=("$work"/x/$2)
	[ -f "${found[0]}" ] || { echo "guest-image: $1 has no $2" >&2; exit 1; }
	cp "${found[0]}" "$out.part"
}

floppy() {
	truncate -s 1440K "$out.part"
}

# A CD on which GRUB carries out the commands of standard input; everything goes to the serial line.
grub_script() {
	local dir=$work/cd/boot/grub
	mkdir -p "$dir"
	{
		echo "serial --unit=0 --speed=115200"
		echo "terminal_input serial console"
		echo "terminal_output serial console"
		cat
	} >"$dir/grub.cfg"
	grub-mkrescue -d /usr/lib/grub/i386-pc -o "$out.part" --locales= --fonts= --themes= "$work/cd" \
		>"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
}

# GRUB runs its own tests and says what the BIOS told it.
grub_selftest() {
	grub_script <<-'CFG'
	echo SELFTEST-BEGIN
	lsmmap
	lspci
	date
	lsacpi
	functional_test
	echo SELFTEST-END
	halt
	CFG
}

# The segments that the chipset can make RAM (i440FX's PAM): opened, written, locked, written in vain, opened
# again. Each value read is one line.
grub_pam() {
	grub_script <<-'CFG'
	echo PAM-BEGIN
	setpci -s 0:0.0 5a.b=33
	write_byte 0xc0000 0x5a
	read_byte 0xc0000
	setpci -s 0:0.0 5a.b=11
	write_byte 0xc0000 0xa5
	read_byte 0xc0000
	setpci -s 0:0.0 5a.b=33
	write_byte 0xc0000 0xa6
	read_byte 0xc0000
	echo PAM-END
	halt
	CFG
}

grub_legacy() {
	"$here/apt.sh" deb grub-legacy "$work/x" >/dev/null
	floppy
	cat "$work"/x/usr/lib/grub/*/stage1 "$work"/x/usr/lib/grub/*/stage2 |
		dd of="$out.part" conv=notrunc status=none
}

# COM32 programs go back and forth between real and protected mode and ask the BIOS many things.
syslinux_floppy() {
	local modules=/usr/lib/syslinux/modules/bios
	floppy
	mformat -i "$out.part" -f 1440 ::
	syslinux --install "$out.part"
	cat >"$work/syslinux.cfg" <<-'CFG'
	SERIAL 0 115200
	PROMPT 1
	TIMEOUT 10
	DEFAULT meminfo
	LABEL meminfo
	 COM32 meminfo.c32
	CFG
	mcopy -i "$out.part" "$work/syslinux.cfg" "$modules"/{libcom32,libutil,meminfo}.c32 ::
}

case $name in
memtest-ia32.iso) take memtest86+ usr/lib/memtest86+/memtest86+ia32.iso ;;
memtest-x64.iso) take memtest86+ usr/lib/memtest86+/memtest86+x64.iso ;;
grub-rescue.iso) take grub-rescue-pc usr/lib/grub-rescue/grub-rescue-cdrom.iso ;;
grub-rescue.img) take grub-rescue-pc usr/lib/grub-rescue/grub-rescue-floppy.img ;;
ipxe.iso) take ipxe usr/lib/ipxe/ipxe.iso ;;
grub-selftest.iso) grub_selftest ;;
grub-pam.iso) grub_pam ;;
grub-legacy.img) grub_legacy ;;
syslinux.img) syslinux_floppy ;;
*) echo "guest-image: no recipe for $name" >&2; exit 2 ;;
esac
mv "$out.part" "$out"
