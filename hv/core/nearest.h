/* "Did you mean": the known name nearest to a mistyped one.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_NEAREST_H
#define HV_CORE_NEAREST_H

#include "penumbra/types.h"

/* @table has @n entries of @stride bytes, each starting with a `const char *` name. Returns the
 * nearest one at most two edits (letter put in, left out, changed) and less than half of its length
 * away, or NULL. */
const char *nearest_name(const char *word, const void *table, size_t n, size_t stride);

#endif
