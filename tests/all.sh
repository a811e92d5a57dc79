#!/bin/bash
# SPDX-License-Identifier: MIT
# Every test that CI runs: unit, fuzz, lint, emulator. Last line: "N passed, N failed", the sum over the
# stages; a stage that ends without its own count is one test.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
passed=0 failed=0 skipped=0
mkdir -p build

# The last "N passed, N failed" that a stage printed.
count() { # WORD
	sed -n "s/.*\b\([0-9][0-9]*\) $1\b.*/\1/p" build/test-stage.log | tail -n 1
}

stage() { # TARGET
	local rc p f s
	echo "== $1"
	make --no-print-directory -j"$(nproc)" "$1" 2>&1 </dev/null | tee build/test-stage.log
	rc=${PIPESTATUS[0]}
	p=$(count passed) f=$(count failed) s=$(count skipped)
	if [ -z "$p" ]; then
		p=$((rc == 0)) f=$((rc != 0))
	elif [ "$rc" -ne 0 ] && [ "${f:-0}" -eq 0 ]; then
		f=1 # it failed beside its count: a compiler error, a missing target
	fi
	passed=$((passed + p)) failed=$((failed + ${f:-0})) skipped=$((skipped + ${s:-0}))
	grep '^SKIP: ' build/test-stage.log >>build/test-skips.log
}

: >build/test-skips.log
for s in lint unit fuzz qemu; do
	stage "$s"
done
echo "== all"
cat build/test-skips.log
[ "$skipped" -eq 0 ] || echo "$skipped skipped, named above"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
