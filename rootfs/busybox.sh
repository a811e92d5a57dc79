#!/bin/bash
# SPDX-License-Identifier: MIT
# Builds a static busybox against musl from Debian's unpacked source.
#   busybox.sh SOURCE-DIR CONFIG OUT
# The work happens in a directory without blanks in its name, because busybox's own make needs one.
set -euo pipefail
src=$1 config=$2 out=$3
work=$(mktemp -d "${TMPDIR:-/tmp}/busybox.XXXXXX")
trap 'rm -rf "$work"' EXIT
cp -r "$src" "$work/src"
cp "$config" "$work/fragment"

"$(dirname "${BASH_SOURCE[0]}")/kernel-headers.sh" "$work/include"

# The date in its version text is the source's, so that two builds are equal.
SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -l "$work/src/debian/changelog" -S Timestamp)
export SOURCE_DATE_EPOCH

build() {
	make -C "$work/src" -s CC="musl-gcc" HOSTCC=gcc SKIP_STRIP=n \
		EXTRA_CFLAGS="-idirafter $work/include" "$@"
}
{
	build allnoconfig
	sed -n 'h; s/^\(CONFIG_[A-Z0-9_]*\)=.*/^# \1 is not set$/p; g; s/^\(CONFIG_[A-Z0-9_]*\)=.*/^\1=/p' \
		"$work/fragment" >"$work/names"
	grep -vf "$work/names" "$work/src/.config" >"$work/config"
	grep '^CONFIG_' "$work/fragment" | cat "$work/config" - >"$work/src/.config"
	# New questions get their default; `yes` ends by a broken pipe, which is no failure.
	(yes "" || true) | build oldconfig
	# One job: the caller's make decides about parallelism of the whole build.
	MAKEFLAGS='' build -j"$(nproc)" busybox
} >"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2; exit 1; }

# What the fragment asks for must have survived, or a renamed option goes unseen.
if lost=$(grep '^CONFIG_' "$config" | grep -vxFf "$work/src/.config"); then
	printf 'busybox.config: not taken: %s\n' "$lost" >&2
	exit 1
fi
mkdir -p "$(dirname "$out")"
cp "$work/src/busybox" "$out"
