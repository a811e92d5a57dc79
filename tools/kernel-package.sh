#!/bin/bash
# SPDX-License-Identifier: MIT
# Unpacks one of Debian's stock kernel packages into DIR and prints "PACKAGE VERSION".
#   kernel-package.sh FLAVOUR ARCH DIR     (cloud-amd64 amd64 | amd64 amd64 | 686 i386 | 686-pae i386)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
flavour=$1 arch=$2 dir=$3

# The meta package names the current kernel.  Where the archive's index runs ahead of what the mirror
# holds, an older kernel of the same flavour does as well.
meta=$("$here/apt.sh" depends "linux-image-$flavour:$arch" '^linux-image-[0-9]') || meta=
for package in $meta $("$here/apt.sh" search "^linux-image-[0-9.-]+-$flavour(-unsigned)?$:$arch" | tac); do
	if version=$("$here/apt.sh" deb "$package:$arch" "$dir" 2>/dev/null); then break; fi
done
image=("$dir"/boot/vmlinuz-*)
[ -f "${image[0]}" ] || { echo "kernel-package: no kernel of flavour $flavour ($arch) to be had" >&2; exit 1; }
echo "$package $version"
