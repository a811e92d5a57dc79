#!/bin/sh
# Record what the bench loads touch (touch.h), one file each: at most 24 MiB, at most 60 seconds.
#   record.sh SIM TOOL-DIRECTORY LOADS TCC TCC-SOURCE OUT-DIRECTORY [NAME...]
# SPDX-License-Identifier: MIT
set -eu
sim=$1 tools=$2 loads=$3 tcc=$4 source=$5 out=$6
shift 6
wanted=" $* "
include=/usr/include/$(uname -m)-linux-musl

mkdir -p "$out"
"$sim" --memory-list | while read -r name load param rounds lines millions; do
	case $wanted in
	*" $name "* | '  ') ;;
	*) continue ;;
	esac
	if [ "$load" = tcc ]; then
		set -- "$tcc" -nostdinc "-I$source" "-I$source/include" "-I$include" "-I$(dirname "$tcc")" \
			-DONE_SOURCE=1 -DTCC_TARGET_X86_64=1 -c -o /dev/null "$source/tcc.c"
	else
		set -- "$loads" "$load" "$param" "$rounds"
	fi
	echo "  TOUCH   $out/$name.touch"
	rm -f "$out/$name.part"
	# It ends when the trace is long enough, whatever the program thinks of that.
	VALGRIND_LIB=$tools timeout 60 valgrind -q --tool=touch --trace-children=yes "--to=$out/$name.part" \
		"--lines=$lines" "--take=$millions" --most=24 "$@" >/dev/null 2>"$out/$name.log" </dev/null || true
	mv "$out/$name.part" "$out/$name.touch"
done
