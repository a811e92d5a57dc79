/* Just enough JSON for records: integers, strings, arrays, objects; no blanks outside strings.
 *
 * Texts are spans, never NUL-terminated. Nothing is allocated, nesting is bounded.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PNCOLLECT_JSON_H
#define PNCOLLECT_JSON_H

#include "penumbra/types.h"

#define JSON_MAX_DEPTH 16

struct span {
	const char *p;
	size_t len;
};

/* Is @text exactly one value? */
bool json_valid(struct span text);
/* The value of member @key of the valid object @object. */
bool json_member(struct span object, const char *key, struct span *value);
/* Walk a valid object or array: start with the text, *@rest.p one past the opening bracket is kept
 * by the walk. For arrays @key is empty. */
struct json_walk {
	const char *p, *end;
};
struct json_walk json_walk(struct span container);
bool json_next(struct json_walk *w, struct span *key, struct span *value);
/* A string value without its quotes, escapes undone, cut to @size - 1 bytes, NUL-terminated. False
 * (and an empty text) when @value is no string. */
bool json_text(struct span value, char *buf, size_t size);
/* An unsigned integer value; false when it is none or does not fit. */
bool json_u64(struct span value, u64 *n);

#endif
