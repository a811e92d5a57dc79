# Checks the linked image from `readelf -lW`: one flat run in the file and in physical memory (what
# Multiboot1's address fields promise), and no segment both writable and executable.
#
# SPDX-License-Identifier: MIT
function hex(s,    i, v) {
	v = 0
	for (i = 3; i <= length(s); i++)
		v = v * 16 + index("0123456789abcdef", substr(s, i, 1)) - 1
	return v
}
$1 == "LOAD" {
	delta = hex($4) - hex($2)
	if (!n++)
		first = delta
	else if (delta != first) {
		print "segment at " $4 " is not where a flat load puts it"
		bad = 1
	}
	if ($0 ~ /W *E/) {
		print "segment at " $4 " is writable and executable"
		bad = 1
	}
}
END {
	if (!n) {
		print "no segments"
		bad = 1
	}
	exit bad
}
