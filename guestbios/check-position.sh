#!/bin/sh
# The 32-bit PCI BIOS runs wherever its caller mapped F0000: its object may hold nothing but code with
# relative calls. Usage: check-position.sh OBJECT
# SPDX-License-Identifier: MIT
set -eu
fail() {
	echo "$1: $2" >&2
	exit 1
}
if objdump -r "$1" | grep -E 'R_386_[^P]' | grep -v 'debug'; then
	fail "$1" "absolute relocation in position-independent code"
fi
sizes=$(size -A "$1" | awk '$1 ~ /^\.(data|rodata|bss)/ { n += $2 } END { print n + 0 }')
[ "$sizes" = 0 ] || fail "$1" "constants or variables in position-independent code"
