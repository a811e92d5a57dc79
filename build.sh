#!/bin/bash
# SPDX-License-Identifier: MIT
# Penumbra's front door: installs what is missing, fetches sources, builds, runs, tests.
#   ./build.sh                        build/penumbra.iso
#   ./build.sh run [CONFIG=f]         and boot it in QEMU: the demo guest, serial on the terminal
#   ./build.sh iso CONFIG=f OUT=x.iso [CMDLINE="..."] [LOADER=grub|isolinux]
#   ./build.sh test                   every test; last line "N passed, N failed"
#   ./build.sh bench                  the benchmark, within an hour (BENCH_MINUTES=n: in n; BENCH=full: without limit)
#   ./build.sh bench PART [OPTION...] one part of it: loops, disk, switch or adaptive
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
# A closed or absent standard input must not reach make, apt or an emulator.
if ! { true <&0; } 2>/dev/null; then exec </dev/null; fi
jobs=$(nproc)

usage() {
	sed -n 's/^# \{0,1\}\( *.\/build.sh.*\)/\1/p' build.sh >&2
	exit 2
}

# Packages of tools/packages.txt up to stage $1 that are not installed.
missing_packages() {
	local last=$1 stage package state
	while read -r stage package _; do
		case $stage in '' | \#*) continue ;; esac
		[ "$last" != build ] || [ "$stage" = build ] || continue
		[ "$last" != run ] || [ "$stage" != test ] || continue
		state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
		[ "$state" = installed ] || echo "$package"
	done <tools/packages.txt
}

install_packages() {
	local need line
	mapfile -t need < <(missing_packages "$1")
	[ ${#need[@]} -gt 0 ] || return 0
	line="apt-get install -y --no-install-recommends ${need[*]}"
	if [ "$(id -u)" != 0 ]; then
		echo "Missing packages. As root:" >&2
		echo "  apt-get update && $line" >&2
		exit 1
	fi
	echo "  APT     ${need[*]}"
	export DEBIAN_FRONTEND=noninteractive
	compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null || apt_get update
	# Old lists name files that are gone: one renewal, then it must work.
	apt_get install -y --no-install-recommends "${need[@]}" ||
		{ apt_get update && apt_get install -y --no-install-recommends "${need[@]}"; } ||
		{ cat "$apt_log" >&2; exit 1; }
}

apt_get() {
	apt_log=${apt_log:-$(mktemp)}
	apt-get "$@" </dev/null >"$apt_log" 2>&1
}

run_make() {
	make -s --no-print-directory -j"$jobs" "$@"
}

# KEY=VALUE arguments; file names are relative to the directory build.sh was called from.
parse_arguments() {
	local word
	for word in "$@"; do
		case $word in
		CONFIG=* | OUT=*) declare -g "${word%%=*}=$(absolute "${word#*=}")" ;;
		CMDLINE=* | LOADER=*) declare -g "$word" ;;
		*) echo "build.sh: unknown argument: $word" >&2; usage ;;
		esac
	done
}

absolute() {
	case $1 in /* | '') echo "$1" ;; *) echo "$caller/$1" ;; esac
}

# Media are made by the script itself: paths with blanks are no matter for make.
make_iso() { # CONFIG OUT CMDLINE LOADER
	local option=()
	[ -z "$3" ] || option=(--cmdline "$3")
	echo "  ISO     $2"
	iso/mkiso.sh --elf build/penumbra.elf --module build/guestbios.bin --module build/vmlinuz \
		--module build/rootfs.cpio.gz --search build/guests \
		--config "$1" --out "$2" --loader "$4" ${option[@]+"${option[@]}"}
}

command_run() {
	CONFIG='' OUT=''
	parse_arguments "$@"
	install_packages run
	run_make all
	make_iso "${CONFIG:-configs/demo.conf}" build/run.iso "${CMDLINE:-paging=adaptive exit=qemu}" grub
	exec /usr/bin/python3 -B tools/run-iso.py build/run.iso
}

command_iso() {
	CONFIG='' OUT='' CMDLINE='' LOADER=grub
	parse_arguments "$@"
	[ -n "$CONFIG" ] && [ -n "$OUT" ] || { echo "build.sh iso: CONFIG=f and OUT=x.iso are needed" >&2; exit 2; }
	install_packages build
	run_make build/penumbra.elf build/guestbios.bin build/vmlinuz build/rootfs.cpio.gz build/guests/demo.iso
	make_iso "$CONFIG" "$OUT" "$CMDLINE" "$LOADER"
}

command_bench() {
	local part=all
	case ${1:-} in loops | disk | switch | adaptive) part=$1; shift ;; esac
	install_packages test
	run_make all
	run_make bench-images
	case $part in
	all) bench_all "$@" ;;
	*) bench_part "$part" "$@" ;;
	esac
}

bench_part() { # PART [OPTION...]
	local part=$1
	shift
	case $part in
	loops) run_make bench BENCH_ARGS="$*" ;;
	disk) run_make bench-disk BENCH_DISK_ARGS="$*" ;;
	switch) run_make bench-switch BENCH_SWITCH_ARGS="$*" ;;
	adaptive) run_make bench-adaptive BENCH_ADAPTIVE_ARGS="$*" ;;
	esac
}

# An hour less a reserve, from the script's start on, building included. Each part gets a share of what is really left, by its weight
# among those to come; what it does not use is the others'.
BENCH_SECONDS=$((${BENCH_MINUTES:-57} * 60))
bench_weight() {
	case $1 in loops) echo 10 ;; disk) echo 8 ;; switch) echo 8 ;; adaptive) echo 30 ;; esac
}
bench_all() {
	local parts=(loops disk switch adaptive) part p left given weights failed=0 options
	while [ ${#parts[@]} -gt 0 ]; do
		part=${parts[0]} weights=0
		for p in "${parts[@]}"; do weights=$((weights + $(bench_weight "$p"))); done
		parts=("${parts[@]:1}")
		left=$((BENCH_SECONDS - SECONDS))
		given=$((left * $(bench_weight "$part") / weights / 6)) # tenths of minutes
		[ "$given" -ge 10 ] || given=10
		given=$((given / 10)).$((given % 10))
		options=(--minutes "$given")
		case $part in loops) options+=("$@") ;; switch) options+=(--rounds 3) ;; esac
		echo "  BENCH   $part: $given of $((left / 60)) minutes left${BENCH:+, BENCH=$BENCH}" >&2
		bench_part "$part" "${options[@]}" || failed=1
	done
	return "$failed"
}

case ${1:-} in
'')
	install_packages build
	run_make all
	echo "build/penumbra.iso: write it to a USB stick or a CD, or boot it with ./build.sh run"
	;;
run) shift; command_run "$@" ;;
iso) shift; command_iso "$@" ;;
test)
	install_packages test
	run_make all || { echo "0 passed, 1 failed"; exit 1; }
	exec tests/all.sh
	;;
bench)
	shift
	command_bench "$@"
	;;
*) usage ;;
esac
