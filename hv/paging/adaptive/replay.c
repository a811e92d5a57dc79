/* Recorded samples again: see replay.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/adaptive/replay.h"

#include "lib/errno.h"
#include "lib/str.h"

#define KHZ_MAX 100000000ull

/* The next line that is neither empty nor a comment, without its end. 0, -ENOENT, or -EINVAL: too
 * long. */
static int next_line(struct replay *r, char line[TRACE_LINE_MAX])
{
	while (r->at < r->end) {
		const char *start = r->at;
		size_t len;

		while (r->at < r->end && *r->at != '\n')
			r->at++;
		len = (size_t)(r->at - start);
		r->at += r->at < r->end;
		r->line++;
		if (len && start[len - 1] == '\r')
			len--;
		if (!len || *start == '#')
			continue;
		if (len >= TRACE_LINE_MAX)
			return -EINVAL;
		memcpy(line, start, len);
		line[len] = '\0';
		return 0;
	}
	return -ENOENT;
}

static int take_khz(const char *s, u64 *khz)
{
	u64 v = 0;

	if (!*s)
		return -EINVAL;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || v > KHZ_MAX)
			return -EINVAL;
		v = v * 10 + (u64)(*s - '0');
	}
	if (!v || v > KHZ_MAX)
		return -EINVAL;
	*khz = v;
	return 0;
}

/* "KEY=VALUE" */
static int take_param(char *s, struct policy_params *p, char *why, size_t size)
{
	char *value = strchr(s, '=');

	if (!value) {
		snprintf(why, size, "expected " TRACE_PARAM "KEY=VALUE");
		return -EINVAL;
	}
	*value++ = '\0';
	return policy_param_set(p, s, value, why, size) ? -EINVAL : 0;
}

int replay_begin(struct replay *r, const char *text, u64 len, struct policy_params *p, char *why,
		 size_t size)
{
	char line[TRACE_LINE_MAX];
	u64 khz;

	*r = (struct replay){.at = text, .end = text + len};
	if (next_line(r, line) || strncmp(line, TRACE_HEADER, strlen(TRACE_HEADER)) != 0 ||
	    take_khz(line + strlen(TRACE_HEADER), &khz)) {
		snprintf(why, size, "expected \"" TRACE_HEADER "NUMBER\" as the first line");
		return -EINVAL;
	}
	policy_params_init(p, khz);
	for (;;) {
		struct replay before = *r;

		if (next_line(r, line) || strncmp(line, TRACE_PARAM, strlen(TRACE_PARAM)) != 0) {
			*r = before;
			return 0;
		}
		if (take_param(line + strlen(TRACE_PARAM), p, why, size))
			return -EINVAL;
	}
}

int replay_next(struct replay *r, struct policy_sample *x, char *why, size_t size)
{
	char line[TRACE_LINE_MAX];
	int err = next_line(r, line);

	if (err == -EINVAL)
		snprintf(why, size, "line %u: too long", r->line);
	if (err)
		return err;
	return sample_parse(x, line, why, size);
}
