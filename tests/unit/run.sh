#!/bin/sh
# Run unit-test programs; print each failing one whole, a line per program otherwise.
# Last line: "N passed, N failed" over all single tests. SPDX-License-Identifier: MIT
pass=0 fail=0
for t in "$@"; do
	out=$("$t" 2>&1)
	rc=$?
	ok=$(printf '%s\n' "$out" | grep -c '^ok ')
	bad=$(printf '%s\n' "$out" | grep -c '^not ok ')
	# A crash (sanitizer report) counts as one failure even when every finished test was fine.
	if [ $rc -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
	if [ $rc -eq 0 ] && [ "$ok" -eq 0 ]; then bad=1; out="$t ran no test"; fi
	pass=$((pass + ok)) fail=$((fail + bad))
	if [ "$bad" -ne 0 ]; then printf '%s\n' "$out"; fi
	printf '%-32s %s ok, %s not ok\n' "unit/${t##*/}" "$ok" "$bad"
done
echo "unit: $pass passed, $fail failed"
[ $fail -eq 0 ]
