#!/bin/bash
# SPDX-License-Identifier: MIT
# Makes a bootable Penumbra medium: hybrid (CD and USB), BIOS and UEFI by GRUB, or BIOS by ISOLINUX.
#
#   mkiso.sh --out X.iso --elf penumbra.elf --config F [--module FILE[=NAME]]... [--cmdline "..."]
#            [--loader grub|isolinux] [--search DIR]... [--allow-missing] [--keep-config]
#
# --module   another file for the hypervisor (guestbios.bin); NAME defaults to the file's own name
# --cmdline  the default entry's hypervisor command line; then the menu does not wait
# --search   where images are looked for when they are not beside the config file
# --allow-missing  leaves out images that are not there (the hypervisor then says so)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out='' elf='' config='' cmdline='' wait=3 loader=grub
modules=() pack=()
while [ $# -gt 0 ]; do
	case $1 in
	--allow-missing) pack+=("$1"); shift; continue ;;
	esac
	[ $# -ge 2 ] || { echo "mkiso: $1 needs a value" >&2; exit 2; }
	case $1 in
	--out) out=$2 ;;
	--elf) elf=$2 ;;
	--config) config=$2 ;;
	--cmdline) cmdline=$2; wait=0 ;;
	--loader) loader=$2 ;;
	--module) modules+=("$2") ;;
	--search) pack+=("$1" "$2") ;;
	*) echo "mkiso: unknown option $1" >&2; exit 2 ;;
	esac
	shift 2
done
[ -n "$out" ] && [ -n "$elf" ] && [ -n "$config" ] || { echo "mkiso: --out, --elf and --config are needed" >&2; exit 2; }
case $loader in grub | isolinux) ;; *) echo "mkiso: LOADER is grub or isolinux, not '$loader'" >&2; exit 2 ;; esac
for f in "$elf" "$config"; do
	[ -f "$f" ] || { echo "mkiso: no such file: $f" >&2; exit 1; }
done

tree=$(mktemp -d "${TMPDIR:-/tmp}/mkiso.XXXXXX")
trap 'rm -rf "$tree"' EXIT
boot=$tree/cd/boot
mkdir -p "$boot"
cp "$elf" "$boot/penumbra.elf"
list=$(/usr/bin/python3 "$here/pack-config.py" "$config" "$boot" ${pack[@]+"${pack[@]}"})
first_guest=$(sed -n '1s/^guests \([^ ]*\).*/\1/p' <<<"$list")

# Every module is loaded under its own name: the first word of its command line.
names=(penumbra.conf)
for m in ${modules[@]+"${modules[@]}"}; do
	file=${m%%=*} name=${m#*=}
	[ "$name" != "$m" ] || name=$(basename "$file")
	[ -f "$file" ] || { echo "mkiso: no such module: $file" >&2; exit 1; }
	cp "$file" "$boot/$name"
	names+=("$name")
done
while read -r name _; do
	[ -z "$name" ] || names+=("$name")
done < <(tail -n +2 <<<"$list")

# Words that a boot loader would take apart are kept whole.
quoted() {
	local word
	for word in $1; do
		printf " '%s'" "${word//\'/}"
	done
}

# shellcheck source=iso/grub.sh
. "$here/$loader.sh"
mkdir -p "$(dirname "$out")"
make_medium "$tree/cd" "$out.part" >"$tree/log" 2>&1 || { cat "$tree/log" >&2; rm -f "$out.part"; exit 1; }
mv "$out.part" "$out"
