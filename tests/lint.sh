#!/bin/bash
# SPDX-License-Identifier: MIT
# The checks of `make lint`. Each prints "ok NAME" or "not ok NAME" with what is wrong.
# Last line: "lint: N passed, N failed".
set -uo pipefail
: "${B:=build}" "${SRC:=build/src}" "${MAKE:=make}" "${ZYDIS_INC:=}"
passed=0 failed=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT

# Tracked and new files, but not what git ignores; without git (an unpacked archive) everything.
sources() { # PATTERN...
	if git rev-parse --git-dir >/dev/null 2>&1; then
		git ls-files -co --exclude-standard -- "$@"
	else
		local p
		for p in "$@"; do
			find . -path ./build -prune -o -name "${p##*/}" -print
		done
	fi | while read -r f; do [ -f "$f" ] && echo "$f"; done
}

check() { # NAME COMMAND...
	local name=$1
	shift
	if "$@" >"$out" 2>&1; then
		passed=$((passed + 1))
		echo "ok $name"
	else
		failed=$((failed + 1))
		echo "not ok $name"
		grep -vE '^  (CC|AS|LD) ' "$out" | sed 's/^/    /' | head -n 40
	fi
}

# A listing that must be empty.
none() { # MESSAGE COMMAND...
	local message=$1 found
	shift
	found=$("$@")
	[ -z "$found" ] && return 0
	printf '%s:\n%s\n' "$message" "$found"
	return 1
}

format() {
	sources '*.c' '*.h' | xargs -d '\n' clang-format --dry-run -Werror
}

# comparePointers: the ends of a link-time array are two objects to it.
static_check() {
	checked_by_cppcheck unix64 -DPN_DEBUG=1 -- 'hv/*.c' 'firmware/*.c' 'bench/nano/*.c' &&
		checked_by_cppcheck unix64 -DPN_HOST -- 'tools/*.c' 'rootfs/*.c' 'bench/io/*.c' 'bench/linux/*.c' 'bench/loads/*.c' &&
		checked_by_cppcheck unix32 -Iguestbios -- 'guestbios/*.c'
}
checked_by_cppcheck() { # PLATFORM OPTION -- PATTERN...
	local platform=$1 option=$2
	shift 3
	sources "$@" |
		xargs -d '\n' cppcheck --quiet --std=c11 --platform="$platform" --error-exitcode=1 --inline-suppr \
			--enable=warning,portability --suppress=missingInclude --suppress=missingIncludeSystem \
			--suppress=comparePointers --max-configs=1 \
			-j "$(nproc)" "$option" -D__x86_64__=1 -D__GNUC__=12 -Iinclude -Ihv -I. 2>&1
}

# Flags as the hypervisor's own objects have them; a header of the BIOS is compiled as its 32-bit half,
# one of a program as that.
one_header() {
	local flags="-std=gnu11 -fsyntax-only -ffreestanding -mgeneral-regs-only -Wall -Wextra -Wundef -Werror"
	case $1 in
	guestbios/*) flags="$flags -m32 -Iguestbios" ;;
	tools/* | rootfs/*) flags="-std=gnu11 -fsyntax-only -DPN_HOST -Wall -Wextra -Wundef -Werror" ;;
	tests/*) flags="-std=gnu11 -fsyntax-only -DPN_HOST -Wall -Wextra -Wno-unused-function -Itests/unit" ;;
	esac
	# shellcheck disable=SC2086 # lists of words
	printf '#include "%s"\n' "$1" |
		gcc $flags -DPN_DEBUG=1 -I. -Iinclude -Ihv $ZYDIS_INC -x c - 2>&1 ||
		echo "$1 does not compile alone"
}
export -f one_header

headers() {
	none "headers that need another header before them" headers_list
}
headers_list() {
	sources 'include/*.h' 'hv/*.h' 'firmware/*.h' 'guestbios/*.h' 'bench/*.h' 'tools/*.h' 'rootfs/*.h' 'tests/*.h' |
		xargs -d '\n' -P "$(nproc)" -I{} bash -c 'one_header "$1"' _ {}
}

# lib < mem < engine < paging < emul < dev < chan < trace < core: no include of a higher floor. The shared headers
# of engine/ and paging/ are the borders themselves.
layers() {
	none "a lower layer includes a higher one" layers_list
}
layers_list() {
	local order="lib mem engine paging emul dev chan trace core" low high seen
	for low in $order; do
		seen=0
		for high in $order; do
			[ "$seen" = 0 ] || grep -rnE "^#include \"(hv/)?$high/" "hv/$low" 2>/dev/null
			[ "$low" != "$high" ] || seen=1
		done
	done
	grep -rnE '^#include "(hv/)?(mem|engine|paging|emul|dev|chan|core)/' include 2>/dev/null
}

vendor_words() {
	none "vendor words outside hv/engine/{svm,vmx}" vendor_list
}
# The command line's grammar names the engines (engine=svm|vmx), the image's layout takes a list from each: those lines are the
# places outside them. CR4_VMXE is the architecture's name of a bit that guests must not set.
vendor_list() {
	sources '*.c' '*.h' '*.S' '*.lds' '*.mk' Makefile | grep -vE '^(hv/engine/(svm|vmx)/|docs/|tests/)' |
		xargs -d '\n' grep -nEi '(^|[^[:alnum:]])[a-z_]*(svm|vmx|vmcb|vmcs)|\<(ept|eptp|npt|asid|vt-x|amd-v|vmrun|vm(read|write|launch|resume)|inv(ept|vpid))\>' /dev/null |
		grep -vE '^hv/core/cmdline\.c:[0-9]+:(#define ENGINE_EXPECTED|static const char \*const engine_words\[\])' |
		grep -vE '^Makefile:[0-9]+:.*hv/engine/(svm|vmx)/|^firmware/hot\.lds:[0-9]+:INCLUDE hv/engine/|CR4_VMXE'
}

# A name there that is no function any more would only cost time, which nobody would see.
hot_names() {
	none "names in hot.lds that no function has" hot_list
}
hot_list() {
	local name
	grep -ohE '\.text\.[a-zA-Z0-9_?*]+' firmware/hot.lds hv/engine/*/hot.lds | cut -c7- | sort -u | sed 's,?,.,g; s,\*,[a-z_]*,g' |
		while read -r name; do
			grep -rqE "\<$name[[:space:]]*[(:]" hv firmware --include='*.c' --include='*.S' || echo "$name"
		done
}

# What both vendors' engines say in the same lines belongs above them.
like_lines() {
	none "more than 20 like lines in both engines" /usr/bin/python3 -B tests/likelines.py hv/engine/svm hv/engine/vmx 20
}

# Nothing of one machine in the tree: neither where it was built nor where packages came from.
foreign_names() {
	none "paths or hosts of one machine" foreign_list
}
foreign_list() {
	sources '*' | grep -vE '^(LICENSE|tests/lint\.sh)$' |
		xargs -d '\n' grep -nIE '/(home|root|work)/[a-z]|(deb|security|snapshot|archive|ftp|mirror)[a-z0-9.-]*\.(debian|ubuntu)\.(org|com)|pypi\.org|npmjs|crates\.io' /dev/null
}

# In the head comment, which may be a long one.
spdx() {
	none "files without an SPDX line" spdx_list
}
spdx_list() {
	sources '*.c' '*.h' '*.S' '*.sh' '*.py' '*.lds' build.sh |
		while read -r f; do head -n 40 "$f" | grep -q 'SPDX-License-Identifier' || echo "$f"; done
}

unfinished() {
	none "unfinished work" unfinished_list
}
unfinished_list() {
	sources '*.c' '*.h' '*.S' '*.sh' '*.py' '*.mk' | grep -v '^tests/lint\.sh$' |
		xargs -d '\n' grep -nwE 'TODO|FIXME|XXX|HACK' /dev/null
}

scripts() {
	local f
	for f in $(sources '*.sh' .ci/run); do
		bash -n "$f" || return 1
	done
	sources '*.py' | xargs -d '\n' /usr/bin/python3 -c '
import ast, sys
for path in sys.argv[1:]:
    ast.parse(open(path, encoding="utf-8").read(), path)'
}

other_compiler() {
	# The assembler half and GNU extensions differ: hypervisor and BIOS are built, not only parsed.
	"$MAKE" --no-print-directory -j"$(nproc)" CC=clang B="$B/clang" SRC="$SRC" "$B/clang/penumbra.elf" \
		"$B/clang/guestbios.bin" "$B/clang/tools/pncollect" "$B/clang/tools/pnpolicy" "$B/clang/sim/sim" </dev/null
}
this_compiler() {
	"$MAKE" --no-print-directory -j"$(nproc)" CC=gcc B="$B" SRC="$SRC" "$B/penumbra.elf" "$B/guestbios.bin" \
		"$B/tools/pncollect" "$B/tools/pnpolicy" "$B/sim/sim" </dev/null
}

check format format
check headers headers
check layers layers
check vendor-words vendor_words
check hot-names hot_names
check like-lines like_lines
check foreign-names foreign_names
check spdx spdx
check unfinished unfinished
check scripts scripts
check build-gcc this_compiler
check build-clang other_compiler
check cppcheck static_check
echo "lint: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
