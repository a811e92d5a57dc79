# nm -n of the first link -> assembler source of the sorted symbol table (hv/core/ksyms.c).
# Offsets count from text_start; only the low 32 bits of addresses are needed for that.
#
# SPDX-License-Identifier: MIT
function low32(hex,    i, v) {
	v = 0
	for (i = length(hex) - 7; i <= length(hex); i++)
		v = v * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
	return v
}
BEGIN { n = 0; at = 0 }
$3 == "text_start" { base = low32($1); seen = 1; next }
$3 == "text_code_end" { seen = 0 }
seen && $2 ~ /^[tT]$/ { off[n] = low32($1) - base; name[n++] = $3 }
END {
	print "\t.section .ksyms, \"a\""
	print "\t.globl ksym_table, ksym_count, ksym_names"
	print "\t.balign 8\nksym_table:"
	for (i = 0; i < n; i++) {
		print "\t.long " off[i] ", " at
		at += length(name[i]) + 1
	}
	print "ksym_count:\n\t.long " n "\nksym_names:"
	for (i = 0; i < n; i++)
		print "\t.asciz \"" name[i] "\""
	print "\t.section .note.GNU-stack, \"\", @progbits"
}
