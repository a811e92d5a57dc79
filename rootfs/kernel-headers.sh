#!/bin/bash
# SPDX-License-Identifier: MIT
# Fills DIR with links to the kernel's user-space headers alone: musl has none of its own, and the
# directory that holds them also holds another libc's headers.
#   kernel-headers.sh DIR
set -euo pipefail
mkdir -p "$1"
for part in linux asm-generic mtd misc; do
	ln -sfn "/usr/include/$part" "$1/$part"
done
ln -sfn "/usr/include/$(gcc -print-multiarch)/asm" "$1/asm"
