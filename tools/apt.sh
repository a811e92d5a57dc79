#!/bin/bash
# SPDX-License-Identifier: MIT
# Packages without installing anything: a private apt configuration under build/, made from the
# machine's own sources, usable by an ordinary user and leaving /etc and /var alone.
#
#   apt.sh source NAME VERSION DIR   unpack a source package (VERSION if still there, else newest)
#   apt.sh deb NAME[:ARCH] DIR [VERSION]   unpack a binary package (not installed) into DIR
#   apt.sh depends NAME[:ARCH] RE    first dependency of NAME that matches the extended RE
#   apt.sh search RE:ARCH            package names matching the extended RE, newest version last
#
# Downloads are verified by apt against the archive's signed indices.  Prints the version it used.
# PN_BUILD is the build directory (default: build/ beside tools/).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${PN_BUILD:-$here/../build}
mkdir -p "$build"
build=$(cd "$build" && pwd)
[ $# -ge 2 ] || { echo "usage: apt.sh source|deb|depends|search NAME ARG..." >&2; exit 2; }

# A foreign architecture gets indices of its own, so that the common case fetches only one set.
arch=$(dpkg --print-architecture)
case $2 in *:*) want=${2##*:} ;; *) want=$arch ;; esac
world=$build/apt/$want

setup_world() {
	mkdir -p "$world/lists/partial" "$world/archives/partial" "$world/parts"
	# Source packages are the same for all architectures: the native one's index has them.
	local types="deb"
	[ "$want" != "$arch" ] || types="deb deb-src"
	/usr/bin/python3 "$here/apt-sources.py" "$types" >"$world/sources.new"
	if ! cmp -s "$world/sources.new" "$world/debian.sources"; then
		mv "$world/sources.new" "$world/debian.sources"
		rm -f "$world/.updated"
	fi
	rm -f "$world/sources.new"
	ln -sf ../debian.sources "$world/parts/debian.sources"
	# Hooks of the machine's configuration concern its own caches, hence the clearing.
	cat >"$world/apt.conf" <<-CONF
	Dir::Etc::sourcelist "/dev/null";
	Dir::Etc::sourceparts "$world/parts";
	Dir::State::lists "$world/lists";
	Dir::Cache::archives "$world/archives";
	Dir::Cache::pkgcache "";
	Dir::Cache::srcpkgcache "";
	APT::Architecture "$want";
	#clear APT::Architectures;
	APT::Architectures { "$want"; };
	#clear APT::Update::Pre-Invoke;
	#clear APT::Update::Post-Invoke;
	#clear APT::Update::Post-Invoke-Success;
	#clear DPkg::Post-Invoke;
	APT::Sandbox::User "";
	Acquire::Languages "none";
	Acquire::Retries "3";
	CONF
}

# Runs apt with the private configuration; its output is shown only when it fails.
quiet_apt() {
	local log=$world/apt.log
	"$@" >"$log" 2>&1 </dev/null || { [ "${quiet_fail:-0}" = 1 ] || cat "$log" >&2; return 1; }
}
update() {
	echo "  APT     index of the Debian archive ($want)" >&2
	# One index that a mirror serves out of step must not stop the others: apt leaves it unused,
	# and what is found in those that verified is as good as ever.
	if ! quiet_fail=1 quiet_apt apt-get -c "$world/apt.conf" update; then
		compgen -G "$world/lists/*_Packages*" >/dev/null || { cat "$world/apt.log" >&2; return 1; }
		sed -n 's/^E: Failed to fetch \([^ ]*\).*/  NOTE    not usable: \1/p' "$world/apt.log" >&2
	fi
	touch "$world/.updated"
	fresh=1
}

# Runs "$@"; an index older than the archive is renewed once before giving up.
with_index() {
	[ -f "$world/.updated" ] || update
	if quiet_fail=1 "$@"; then return 0; fi
	[ "${fresh:-0}" = 1 ] || update
	"$@"
}

fetch_source() { # NAME VERSION
	local old=$PWD
	cd "$incoming"
	rm -f ./*
	quiet_fail=1 quiet_apt apt-get -c "$world/apt.conf" source --download-only --only-source "$1=$2" ||
		quiet_apt apt-get -c "$world/apt.conf" source --download-only --only-source "$1" ||
		{ cd "$old"; return 1; }
	cd "$old"
}

fetch_deb() { # NAME[:ARCH] [VERSION]
	local old=$PWD
	cd "$incoming"
	rm -f ./*
	{ [ -n "${2:-}" ] && quiet_fail=1 quiet_apt apt-get -c "$world/apt.conf" download "$1=$2"; } ||
		quiet_apt apt-get -c "$world/apt.conf" download "$1" || { cd "$old"; return 1; }
	cd "$old"
}

list_depends() { # NAME[:ARCH] RE
	depends=$(apt-cache -c "$world/apt.conf" show --no-all-versions "$1" 2>/dev/null |
		sed -n 's/^Depends: //p' | tr ',' '\n' | sed 's/^ *//; s/ .*//' |
		grep -E -m1 -- "$2")
}

list_names() { # RE
	apt-cache -c "$world/apt.conf" pkgnames | grep -E -- "$1" | sed 's/:.*//' | sort -V
}

# One at a time: two makes may ask at once, also for the first set-up.
mkdir -p "$world"
exec 9>"$world/lock"
flock 9
setup_world
incoming=$world/incoming
mkdir -p "$incoming"
case $1 in
source)
	dest=$4
	with_index fetch_source "$2" "$3"
	rm -rf "$dest"
	mkdir -p "$(dirname "$dest")"
	# apt has checked every file against the signed index, so dpkg-source need not again.
	dpkg-source --no-check --no-copy -x "$incoming"/*.dsc "$dest" >"$world/apt.log" 2>&1 ||
		{ cat "$world/apt.log" >&2; exit 1; }
	sed -n 's/^Version: //p' "$incoming"/*.dsc | head -n 1
	rm -rf "$incoming"
	;;
deb)
	dest=$3
	with_index fetch_deb "$2" "${4:-}"
	rm -rf "$dest"
	mkdir -p "$dest"
	dpkg-deb -x "$incoming"/*.deb "$dest"
	dpkg-deb -f "$incoming"/*.deb Version
	rm -rf "$incoming"
	;;
depends)
	with_index list_depends "$2" "$3"
	echo "$depends"
	;;
search)
	with_index list_names "${2%:*}"
	;;
*)
	echo "apt.sh: unknown command '$1'" >&2
	exit 2
	;;
esac
