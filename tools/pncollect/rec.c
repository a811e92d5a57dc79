/* Checking records; see rec.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "rec.h"

#include <string.h>

#include "lib/crc32.h"

#define START "{\"pnb\""
#define TAIL  (sizeof(",\"crc\":\"12345678\"}") - 1)

bool rec_claims(struct span line)
{
	return line.len >= sizeof(START) - 1 && !memcmp(line.p, START, sizeof(START) - 1);
}

static bool contains(struct span line, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= line.len; i++)
		if (!memcmp(line.p + i, word, n))
			return true;
	return false;
}

bool rec_traces(struct span line)
{
	return contains(line, START) || contains(line, "\"crc\":\"") ||
	       contains(line, ",\"t_us\":");
}

static bool read_hex(const char *p, u32 *n)
{
	*n = 0;
	for (unsigned i = 0; i < 8; i++) {
		char c = p[i];
		u32 digit;

		if (c >= '0' && c <= '9')
			digit = (u32)(c - '0');
		else if (c >= 'a' && c <= 'f')
			digit = (u32)(c - 'a') + 10;
		else
			return false;
		*n = *n << 4 | digit;
	}
	return true;
}

static bool check_crc(struct span line, u32 *crc)
{
	const char *tail = line.p + line.len - TAIL;

	return line.len > TAIL && !memcmp(tail, ",\"crc\":\"", 8) && read_hex(tail + 8, crc) &&
	       crc32(0, line.p, line.len - TAIL) == *crc;
}

/* pnb, seq, t_us and type come first, in this order. */
static bool read_head(struct rec *r)
{
	static const char *const key[] = {"pnb", "seq", "t_us", "type"};
	struct json_walk w = json_walk(r->line);
	struct span k, v[ARRAY_SIZE(key)];
	u64 pnb;

	for (unsigned i = 0; i < ARRAY_SIZE(key); i++)
		if (!json_next(&w, &k, &v[i]) || k.len != strlen(key[i]) ||
		    memcmp(k.p, key[i], k.len))
			return false;
	return json_u64(v[0], &pnb) && pnb == 1 && json_u64(v[1], &r->seq) && r->seq < UINT64_MAX &&
	       json_u64(v[2], &r->t_us) && json_text(v[3], r->type, sizeof(r->type)) && r->type[0];
}

const char *rec_parse(struct span line, struct rec *r)
{
	*r = (struct rec){.line = line};
	if (!rec_claims(line))
		return "does not start as a record does";
	if (line.len > REC_MAX)
		return "is too long";
	if (!check_crc(line, &r->crc))
		return "has a wrong crc";
	if (!json_valid(line))
		return "is not JSON";
	if (!read_head(r))
		return "does not begin with pnb, seq, t_us, type";
	return NULL;
}

bool rec_text(const struct rec *r, const char *key, char *buf, size_t size)
{
	struct span value;

	buf[0] = '\0';
	return json_member(r->line, key, &value) && json_text(value, buf, size);
}

bool rec_u64(const struct rec *r, const char *key, u64 *n)
{
	struct span value;

	return json_member(r->line, key, &value) && json_u64(value, n);
}
