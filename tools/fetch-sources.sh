#!/bin/bash
# SPDX-License-Identifier: MIT
# Unpacks the Debian packages of sources.manifest into DIR (default build/src), records the versions
# used in DIR/versions.txt and touches DIR/.fetched.  What is already there is not fetched again, so
# a warm cache needs no network.
#   fetch-sources.sh [DIR]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=${1:-$here/../build/src}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
export PN_BUILD=${PN_BUILD:-$dir/..}

fetch() { # NAME KIND PACKAGE VERSION -> prints the version used
	local part=$dir/.part-$1
	rm -rf "$part" "${dir:?}/$1"
	case $2 in
	source)
		"$here/apt.sh" source "$3" "$4" "$part"
		mv "$part" "$dir/$1"
		;;
	headers)
		"$here/apt.sh" deb "$3" "$part" "$4"
		mkdir -p "$dir/$1"
		mv "$part/usr/include" "$dir/$1/include"
		cp "$part/usr/share/doc/$3/copyright" "$dir/$1/"
		rm -rf "$part"
		;;
	*)
		echo "sources.manifest: unknown kind '$2' of $1" >&2
		return 1
		;;
	esac
}

exec 8>"$dir/.lock"
flock 8
grep -Ev '^(#|$)' "$here/sources.manifest" | while read -r name kind package version _; do
	# The mark names what was asked for: a changed manifest line is fetched anew.
	mark="$kind $package $version"
	if [ -d "$dir/$name" ] && [ "$(head -n 1 "$dir/.$name" 2>/dev/null)" = "$mark" ]; then
		continue
	fi
	printf '  %-7s %s\n' FETCH "$package"
	rm -f "$dir/.$name"
	used=$(fetch "$name" "$kind" "$package" "$version")
	[ "$used" = "$version" ] || echo "  NOTE    $package: tested with $version, using $used"
	printf '%s\n%s %s %s\n' "$mark" "$name" "$package" "$used" >"$dir/.$name.new"
	mv "$dir/.$name.new" "$dir/.$name"
done
grep -Ev '^(#|$)' "$here/sources.manifest" | while read -r name _; do
	sed -n 2p "$dir/.$name"
done >"$dir/versions.txt"
touch "$dir/.fetched"
