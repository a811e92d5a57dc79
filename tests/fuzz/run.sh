#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs fuzzers, two at a time, FUZZ_SECONDS each: run.sh OUT PROGRAM...
# A crash prints the report and the input that causes it. Last line: "fuzz: N passed, N failed".
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# One fuzzer. Findings are kept under OUT for the next run; the seeds are only read.
run_one() { # OUT PROGRAM
	local out=$1 program=$2 name=${2##*/fuzz_}
	local log=$out/$name.log crash=$out/crash/$name- corpus=("$out/corpus/$name")
	mkdir -p "${corpus[0]}" "$out/crash"
	[ -d "$here/corpus/$name" ] && corpus+=("$here/corpus/$name")
	rm -f "$crash"*
	nice "$program" -max_total_time="${FUZZ_SECONDS:-20}" -timeout=10 -rss_limit_mb=2048 \
		-print_final_stats=1 -artifact_prefix="$crash" "${corpus[@]}" >"$log" 2>&1 </dev/null
	local rc=$? runs
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	if [ $rc -eq 0 ] && [ "${runs:-0}" -gt 100 ]; then
		printf '%-32s ok, %s runs\n' "fuzz/$name" "$runs"
		return 0
	fi
	{
		printf '%-32s FAILED, exit status %s, %s runs\n' "fuzz/$name" "$rc" "${runs:-no}"
		grep -v '^#[0-9]*[[:space:]]*\(NEW\|REDUCE\|pulse\|RELOAD\)' "$log" | head -n 60
		for input in "$crash"*; do
			[ -f "$input" ] || continue
			echo "input: $input (repeat: $program $input)"
			od -A x -t x1z -v "$input" | head -n 32
		done
	} >"$out/$name.report"
	cat "$out/$name.report"
	return 1
}

if [ "$1" = --one ]; then
	run_one "$2" "$3"
	exit
fi

out=$1
shift
fail=0
while [ $# -gt 0 ]; do
	pids=()
	for program in "${@:1:2}"; do
		bash "${BASH_SOURCE[0]}" --one "$out" "$program" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || fail=$((fail + 1))
	done
	total=$((${total:-0} + ${#pids[@]}))
	shift "${#pids[@]}"
done
echo "fuzz: $((${total:-0} - fail)) passed, $fail failed"
[ "$fail" -eq 0 ] && [ "${total:-0}" -gt 0 ]
