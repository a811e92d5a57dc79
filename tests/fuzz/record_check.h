/* Is a line a valid record? A small checker, written against docs/serial.md and sharing no code
 * with hv/chan/records.c but the CRC, whose own test is tests/unit/test_crc32.c.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_FUZZ_RECORD_CHECK_H
#define TESTS_FUZZ_RECORD_CHECK_H

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/crc32.h"

struct json {
	const char *p, *end;
};

static bool json_take(struct json *j, char c)
{
	if (j->p == j->end || *j->p != c)
		return false;
	j->p++;
	return true;
}

static bool json_string(struct json *j)
{
	if (!json_take(j, '"'))
		return false;
	while (j->p < j->end && *j->p != '"') {
		if (*j->p < 0x20 || *j->p > 0x7e)
			return false;
		if (*j->p++ != '\\')
			continue;
		if (j->p == j->end)
			return false;
		if (*j->p == 'u') {
			if (j->end - j->p < 5 || j->p[1] != '0' || j->p[2] != '0' ||
			    !isxdigit((u8)j->p[3]) || !isxdigit((u8)j->p[4]))
				return false;
			j->p += 5;
		} else if (*j->p == '"' || *j->p == '\\') {
			j->p++;
		} else {
			return false;
		}
	}
	return json_take(j, '"');
}

static bool json_integer(struct json *j)
{
	json_take(j, '-');
	if (j->p == j->end || !isdigit((u8)*j->p))
		return false;
	if (json_take(j, '0'))
		return j->p == j->end || !isdigit((u8)*j->p);
	while (j->p < j->end && isdigit((u8)*j->p))
		j->p++;
	return true;
}

static bool json_value(struct json *j, unsigned depth);

/* Members up to and including @close, its opening bracket already taken. */
static bool json_members(struct json *j, char close, unsigned depth)
{
	if (json_take(j, close))
		return true;
	do {
		if (close == '}' && !(json_string(j) && json_take(j, ':')))
			return false;
		if (!json_value(j, depth))
			return false;
	} while (json_take(j, ','));
	return json_take(j, close);
}

static bool json_value(struct json *j, unsigned depth)
{
	if (depth > 16 || j->p == j->end)
		return false;
	if (json_take(j, '{'))
		return json_members(j, '}', depth + 1);
	if (json_take(j, '['))
		return json_members(j, ']', depth + 1);
	return *j->p == '"' ? json_string(j) : json_integer(j);
}

static bool record_text(const char **p, const char *text)
{
	size_t n = strlen(text);

	if (strncmp(*p, text, n) != 0)
		return false;
	*p += n;
	return true;
}

static bool record_number(const char **p, u64 *v)
{
	char *end;

	if (!isdigit((u8) * *p))
		return false;
	*v = strtoull(*p, &end, 10);
	*p = end;
	return true;
}

/* @line of @len bytes, ending in NUL besides. NULL and *@seq, or what is wrong with it. */
static const char *record_check(const char *line, size_t len, u64 *seq)
{
	struct json j = {line, line + len};
	const char *p = line;
	char crc[32];
	u64 t_us;

	if (strlen(line) != len)
		return "NUL byte";
	if (!record_text(&p, "{\"pnb\":1,\"seq\":") || !record_number(&p, seq) ||
	    !record_text(&p, ",\"t_us\":") || !record_number(&p, &t_us) ||
	    !record_text(&p, ",\"type\":\""))
		return "head";
	if (!json_value(&j, 0) || j.p != j.end)
		return "JSON";
	if (len < 18)
		return "length";
	snprintf(crc, sizeof(crc), ",\"crc\":\"%08x\"}", crc32(0, line, len - 18));
	return strcmp(line + len - 18, crc) == 0 ? NULL : "crc";
}

#endif
