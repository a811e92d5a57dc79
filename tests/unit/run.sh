#!/bin/sh
# Run unit-test programs; print each failing one whole, a line per program otherwise. A test that
# could not run here is a line "SKIP: unit/PROGRAM: TEST: why", not a pass.
# Last line: "N passed, N failed, N skipped" over all single tests. SPDX-License-Identifier: MIT
pass=0 fail=0 skip=0
for t in "$@"; do
	name=unit/${t##*/}
	out=$("$t" 2>&1)
	rc=$?
	skipped=$(printf '%s\n' "$out" | grep -c '^ok .* # SKIP ')
	ok=$(($(printf '%s\n' "$out" | grep -c '^ok ') - skipped))
	bad=$(printf '%s\n' "$out" | grep -c '^not ok ')
	# A crash (sanitizer report) counts as one failure even when every finished test was fine.
	if [ $rc -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
	if [ $rc -eq 0 ] && [ $((ok + skipped)) -eq 0 ]; then bad=1; out="$t ran no test"; fi
	pass=$((pass + ok)) fail=$((fail + bad)) skip=$((skip + skipped))
	if [ "$bad" -ne 0 ]; then printf '%s\n' "$out"; fi
	printf '%s\n' "$out" | sed -n "s|^ok \(.*\) # SKIP |SKIP: $name: \1: |p"
	printf '%-32s %s ok, %s not ok\n' "$name" "$ok" "$bad"
done
echo "unit: $pass passed, $fail failed, $skip skipped"
[ $fail -eq 0 ]
