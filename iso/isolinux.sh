# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: MIT
# ISOLINUX for mkiso.sh: the fallback where GRUB does not get along with a machine's BIOS.  mboot.c32
# loads the same ELF by its Multiboot1 header; a module's name is its file name there.

label() { # NAME COMMAND-LINE
	local n
	printf 'LABEL %s\n KERNEL mboot.c32\n APPEND penumbra.elf %s' "$1" "$2"
	for n in "${names[@]}"; do
		printf ' --- %s' "$n"
	done
	printf '\n'
}

isolinux_cfg() {
	printf 'SERIAL 0 115200\nDEFAULT %s\nPROMPT %d\nTIMEOUT %d\n' \
		"$([ -n "$cmdline" ] && echo custom || echo adaptive)" "$((wait > 0))" "$((wait * 10))"
	printf 'SAY Penumbra: adaptive nested shadow verbose safe hwcheck\n'
	[ -z "$cmdline" ] || label custom "$cmdline"
	label adaptive 'paging=adaptive'
	label nested 'paging=nested'
	label shadow 'paging=shadow'
	label verbose 'paging=adaptive verbose log=debug'
	label safe "console=vga verbose paging=nested control=off${first_guest:+ guests=$first_guest}"
	label hwcheck 'hwcheck verbose'
}

make_medium() { # TREE OUT
	local dir=$1/isolinux
	mv "$boot" "$dir"
	cp /usr/lib/ISOLINUX/isolinux.bin "$dir/"
	cp /usr/lib/syslinux/modules/bios/{ldlinux,libcom32,mboot}.c32 "$dir/"
	isolinux_cfg >"$dir/isolinux.cfg"
	xorriso -as mkisofs -o "$2" -V PENUMBRA -J -R -isohybrid-mbr /usr/lib/ISOLINUX/isohdpfx.bin \
		-b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 \
		-boot-info-table "$1"
}
