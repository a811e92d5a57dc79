/* JSON as records have it; see json.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "json.h"

#include <string.h>

static const char *skip_value(const char *p, const char *end, unsigned depth);

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Records escape the quote, the backslash and \u00XX, nothing else. */
static const char *skip_escape(const char *p, const char *end)
{
	if (p < end && (*p == '"' || *p == '\\'))
		return p + 1;
	if (end - p < 5 || memcmp(p, "u00", 3) || hex_digit(p[3]) < 0 || hex_digit(p[4]) < 0)
		return NULL;
	return p + 5;
}

static const char *skip_string(const char *p, const char *end)
{
	if (p == end || *p++ != '"')
		return NULL;
	while (p && p < end && *p != '"') {
		if (*p < ' ' || *p > '~')
			return NULL;
		p = *p == '\\' ? skip_escape(p + 1, end) : p + 1;
	}
	return p && p < end ? p + 1 : NULL;
}

static const char *skip_integer(const char *p, const char *end)
{
	const char *start;

	p += p < end && *p == '-';
	start = p;
	while (p < end && is_digit(*p))
		p++;
	if (p == start || (*start == '0' && p != start + 1))
		return NULL;
	return p;
}

static const char *skip_key(const char *p, const char *end)
{
	p = skip_string(p, end);
	return p && p < end && *p == ':' ? p + 1 : NULL;
}

/* An object or array, @p behind its opening bracket. */
static const char *skip_container(const char *p, const char *end, char closer, unsigned depth)
{
	if (p < end && *p == closer)
		return p + 1;
	while (p && p < end) {
		if (closer == '}')
			p = skip_key(p, end);
		if (p)
			p = skip_value(p, end, depth);
		if (!p || p == end)
			return NULL;
		if (*p == closer)
			return p + 1;
		p = *p == ',' ? p + 1 : NULL;
	}
	return NULL;
}

static const char *skip_value(const char *p, const char *end, unsigned depth)
{
	if (p == end || depth == JSON_MAX_DEPTH)
		return NULL;
	if (*p == '"')
		return skip_string(p, end);
	if (*p == '{')
		return skip_container(p + 1, end, '}', depth + 1);
	if (*p == '[')
		return skip_container(p + 1, end, ']', depth + 1);
	return skip_integer(p, end);
}

bool json_valid(struct span text)
{
	return text.len && skip_value(text.p, text.p + text.len, 0) == text.p + text.len;
}

struct json_walk json_walk(struct span container)
{
	struct json_walk w = {container.p, container.p};

	if (container.len >= 2 && (*container.p == '{' || *container.p == '['))
		w = (struct json_walk){container.p + 1, container.p + container.len};
	return w;
}

bool json_next(struct json_walk *w, struct span *key, struct span *value)
{
	const char *p = w->p, *after;
	bool keyed;

	if (w->end - p < 2)
		return false;
	p += *p == ',';
	after = skip_string(p, w->end);
	keyed = after && after < w->end && *after == ':';
	*key = keyed ? (struct span){p + 1, (size_t)(after - p) - 2} : (struct span){p, 0};
	if (keyed)
		p = after + 1;
	after = skip_value(p, w->end, 1);
	if (!after)
		return false;
	*value = (struct span){p, (size_t)(after - p)};
	w->p = after;
	return true;
}

bool json_member(struct span object, const char *key, struct span *value)
{
	struct json_walk w = json_walk(object);
	struct span k;

	while (json_next(&w, &k, value))
		if (k.len == strlen(key) && !memcmp(k.p, key, k.len))
			return true;
	return false;
}

bool json_text(struct span value, char *buf, size_t size)
{
	const char *p = value.p + 1, *end = value.p + value.len - 1;
	size_t n = 0;

	buf[0] = '\0';
	if (value.len < 2 || *value.p != '"')
		return false;
	while (p < end && n + 1 < size) {
		char c = *p++;

		if (c == '\\' && *p == 'u') {
			c = (char)(hex_digit(p[3]) * 16 + hex_digit(p[4]));
			p += 5;
		} else if (c == '\\') {
			c = *p++;
		}
		buf[n++] = c;
	}
	buf[n] = '\0';
	return true;
}

bool json_u64(struct span value, u64 *n)
{
	*n = 0;
	for (size_t i = 0; i < value.len; i++) {
		unsigned digit = (unsigned)(value.p[i] - '0');

		if (digit > 9 || *n > (UINT64_MAX - digit) / 10)
			return false;
		*n = *n * 10 + digit;
	}
	return value.len > 0;
}
