# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: MIT
# GRUB for mkiso.sh (which sets $here, $boot, $names, $cmdline, $wait, $first_guest): menu and medium.

# Only what the menu uses is put on the medium and loaded: a full set costs 15 MB and seconds.
grub_modules="normal multiboot2 linux loopback iso9660 part_msdos part_gpt fat serial terminal
 test echo reboot halt search search_fs_file search_label configfile ls cat"
grub_video="all_video efi_gop vbe vga video_bochs video_cirrus"

entry() { # TITLE COMMAND-LINE
	printf "menuentry '%s' {\n\tpenumbra%s\n}\n" "$1" "$(quoted "$2")"
}

native_entry() {
	local image
	for image in "${names[@]}"; do
		[ "$image" = demo.iso ] || [ "$image" = linux-cloud-amd64.iso ] || continue
		cat <<-CFG
		menuentry 'Native: the bundled Linux without Penumbra' {
			loopback image /boot/$image
			linux (image)/isolinux/linux console=tty0 console=ttyS0,115200 demo.nocd
			initrd (image)/isolinux/initrd.gz
		}
		CFG
		return
	done
}

grub_cfg() {
	cat <<-CFG
	set timeout=$wait
	set default=0
	if serial --unit=0 --speed=115200; then
		terminal_input serial console
		terminal_output serial console
	fi
	if [ "\$grub_platform" = efi ]; then
		insmod all_video
	fi
	function penumbra {
		echo 'Penumbra is loading ...'
		multiboot2 /boot/penumbra.elf "\$@"
	CFG
	printf '\tmodule2 /boot/%s %s\n' $(for n in "${names[@]}"; do echo "$n" "$n"; done)
	printf '}\n'
	[ -z "$cmdline" ] || entry "Penumbra: $cmdline" "$cmdline"
	entry 'Penumbra: adaptive paging' 'paging=adaptive'
	entry 'Penumbra: nested paging' 'paging=nested'
	entry 'Penumbra: shadow paging' 'paging=shadow'
	entry 'Verbose: every step on serial line and screen' 'paging=adaptive verbose log=debug'
	entry 'Safe: on the screen, nested paging, one guest' \
		"console=vga verbose paging=nested control=off${first_guest:+ guests=$first_guest}"
	entry 'hwcheck: what this machine has and lacks, no guest' 'hwcheck verbose'
	native_entry
	cat <<-CFG
	menuentry 'Reboot' {
		reboot
	}
	CFG
}

make_medium() { # TREE OUT
	mkdir -p "$1/boot/grub"
	grub_cfg >"$1/boot/grub/grub.cfg"
	# grub-mkrescue wants the same list for BIOS and EFI; a name that one lacks it must not see.
	local dir all=''
	for m in $grub_modules $grub_video; do
		for dir in /usr/lib/grub/i386-pc /usr/lib/grub/x86_64-efi; do
			[ -f "$dir/$m.mod" ] && all="$all $m"
		done
	done
	grub-mkrescue -o "$2" --install-modules="$(pruned $all)" --locales= --fonts= --themes= "$1" -- \
		-volid PENUMBRA
}

# Modules that both platforms have; the video drivers of one platform come with all_video there.
pruned() {
	printf '%s\n' "$@" | sort | uniq -d | tr '\n' ' '
}
