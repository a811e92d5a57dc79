/* Edit distance between short words, for suggestions in error messages.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/nearest.h"

#include "lib/str.h"

#define NEAREST_LEN   24 /* longer words get no suggestion */
#define NEAREST_EDITS 2

/* Row by row through the usual matrix: row[j] is the distance of the first i letters of @a to the
 * first j of @b. */
static unsigned edit_distance(const char *a, const char *b)
{
	u8 row[NEAREST_LEN + 1];
	size_t m = strlen(a), n = strlen(b);

	for (size_t j = 0; j <= n; j++)
		row[j] = (u8)j;
	for (size_t i = 1; i <= m; i++) {
		u8 diagonal = row[0];

		row[0] = (u8)i;
		for (size_t j = 1; j <= n; j++) {
			u8 change = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			row[j] = MIN(change, 1 + MIN(row[j], row[j - 1]));
		}
	}
	return row[n];
}

const char *nearest_name(const char *word, const void *table, size_t n, size_t stride)
{
	const char *best = NULL;
	unsigned best_edits = NEAREST_EDITS + 1;

	if (strlen(word) > NEAREST_LEN)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		const char *name = *(const char *const *)((const char *)table + i * stride);
		size_t len = strlen(name);
		unsigned edits;

		if (len > NEAREST_LEN)
			continue;
		edits = edit_distance(word, name);
		if (edits < best_edits && edits * 2 < len) {
			best = name;
			best_edits = edits;
		}
	}
	return best;
}
