#!/bin/bash
# SPDX-License-Identifier: MIT
# The control partition's kernel: Debian's stock linux-image-amd64 and the drivers of LIST.
#   control-kernel.sh LIST DIR
# Leaves DIR/vmlinuz, DIR/modules/VERSION/... and, last, DIR/version.
set -euo pipefail
list=$1 dir=$2
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")/../tools" && pwd)
part=$dir.part
package=$dir.package

# The package is kept: a change of the list alone needs no network.
if [ ! -f "$package/version" ]; then
	rm -rf "$package"
	version=$("$tools/kernel-package.sh" amd64 amd64 "$package")
	echo "$version" >"$package/version"
fi
rm -rf "$part" "$dir"
mkdir -p "$part/modules"
cp "$package"/boot/vmlinuz-* "$part/vmlinuz"
/usr/bin/python3 "$tools/kernel-modules.py" --tree "$package/lib/modules" "$part/modules" "$list"
cp "$package/version" "$part/version"
mv "$part" "$dir"
