/* Samples as lines of text, so that a policy's decisions can be repeated elsewhere.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/adaptive/sample.h"

#include "lib/errno.h"
#include "lib/str.h"

const char *const policy_mode_name[POLICY_MODES] = {
	[POLICY_NESTED] = "nested", [POLICY_SHADOW] = "shadow"};

const char *const policy_reason_name[POLICY_REASONS] = {
	[REASON_STAY] = "stay",		[REASON_IDLE] = "idle",	    [REASON_UNKNOWN] = "unknown",
	[REASON_FAILSAFE] = "failsafe", [REASON_DSP_1] = "dsp1",    [REASON_DSP_2] = "dsp2",
	[REASON_DSP_3] = "dsp3",	[REASON_DSP_4] = "dsp4",    [REASON_DSP_5] = "dsp5",
	[REASON_DSP_6] = "dsp6",	[REASON_DSP_7] = "dsp7",    [REASON_DSP_8] = "dsp8",
	[REASON_SETTLE] = "settle",	[REASON_REGRET] = "regret", [REASON_EXPLORE] = "explore",
	[REASON_TRIAL] = "trial",	[REASON_KEEP] = "keep",	    [REASON_REVERT] = "revert",
	[REASON_VOID] = "void"};

#define KEY_MAX 16

/* Keys with a plain number come first; the others may have a confidence. */
#define PLAIN(field)                                                                               \
	{                                                                                          \
#field, offsetof(struct policy_sample, field), true                                \
	}
#define MEASURE(field)                                                                             \
	{                                                                                          \
#field, offsetof(struct policy_sample, field), false                               \
	}
static const struct sample_key {
	const char *name;
	size_t offset;
	bool plain;
} keys[] = {
	PLAIN(ns),	  PLAIN(unhalted),	  MEASURE(instructions),  MEASURE(faults),
	MEASURE(walks),	  MEASURE(walk_cycles),	  MEASURE(shadow_cycles), MEASURE(cr3_writes),
	MEASURE(invlpgs), MEASURE(table_writes),  MEASURE(progress),	  MEASURE(leaves),
	MEASURE(spaces),  MEASURE(switch_cycles),
};
#define KEY_NS	     0
#define KEY_UNHALTED 1
#define KEY_MODE     ARRAY_SIZE(keys) /* the one that is no number */

_Static_assert(offsetof(struct policy_measure, value) == 0, "a key's value is at its offset");

#define FIRST_MEASURE 2 /* behind ns and unhalted */

const struct policy_measure *sample_measure(const struct policy_sample *x, unsigned i,
					    const char **name)
{
	if (i >= ARRAY_SIZE(keys) - FIRST_MEASURE)
		return NULL;
	*name = keys[FIRST_MEASURE + i].name;
	return (const void *)((const char *)x + keys[FIRST_MEASURE + i].offset);
}

static int take_u64(const char **s, u64 *value)
{
	const char *p = *s;
	u64 v = 0;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (u64)(*p - '0'), &v))
			return -EINVAL;
	if (p == *s)
		return -EINVAL;
	*s = p;
	*value = v;
	return 0;
}

/* ",CONFIDENCE" if there; 100 if not. */
static int take_confidence(const char **s, u8 *confidence)
{
	u64 v = 100;

	if (**s == ',') {
		++*s;
		if (take_u64(s, &v) || v > 100)
			return -EINVAL;
	}
	*confidence = (u8)v;
	return 0;
}

static int take_mode(const char **s, enum policy_mode *mode)
{
	for (unsigned m = 0; m < POLICY_MODES; m++) {
		size_t len = strlen(policy_mode_name[m]);

		if (!strncmp(*s, policy_mode_name[m], len)) {
			*s += len;
			*mode = (enum policy_mode)m;
			return 0;
		}
	}
	return -EINVAL;
}

/* "KEY=" at *@s: its number; *@s is then behind the =. */
static int take_key(const char **s, size_t *key, char *name)
{
	const char *end = strchr(*s, '=');
	size_t len = end ? (size_t)(end - *s) : KEY_MAX;

	str_copy(name, *s, MIN(len, KEY_MAX - 1) + 1);
	if (len >= KEY_MAX)
		return -EINVAL;
	*s = end + 1;
	*key = KEY_MODE;
	if (!strcmp(name, "mode"))
		return 0;
	for (*key = 0; *key < ARRAY_SIZE(keys); ++*key)
		if (!strcmp(name, keys[*key].name))
			return 0;
	return -EINVAL;
}

static int take_value(const char **s, struct policy_sample *x, size_t key)
{
	void *field;

	if (key == KEY_MODE)
		return take_mode(s, &x->mode);
	field = (char *)x + keys[key].offset;
	if (take_u64(s, field))
		return -EINVAL;
	return keys[key].plain ? 0
			       : take_confidence(s, &((struct policy_measure *)field)->confidence);
}

static int complete(u32 seen, char *why, size_t size)
{
	static const struct {
		size_t key;
		const char *name;
	} needed[] = {{KEY_NS, "ns"}, {KEY_UNHALTED, "unhalted"}, {KEY_MODE, "mode"}};

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (!(seen & BIT(needed[i].key))) {
			snprintf(why, size, "%s= is missing", needed[i].name);
			return -EINVAL;
		}
	return 0;
}

int sample_parse(struct policy_sample *x, const char *line, char *why, size_t size)
{
	char name[KEY_MAX];
	u32 seen = 0;
	size_t key;

	memset(x, 0, sizeof(*x));
	for (;;) {
		while (*line == ' ')
			line++;
		if (!*line)
			return complete(seen, why, size);
		if (take_key(&line, &key, name)) {
			snprintf(why, size, "%s: unknown key", name);
			return -EINVAL;
		}
		if (seen & BIT(key)) {
			snprintf(why, size, "%s= stands twice", name);
			return -EINVAL;
		}
		seen |= (u32)BIT(key);
		if (take_value(&line, x, key) || (*line && *line != ' ')) {
			snprintf(why, size, "%s: expected %s", name,
				 key == KEY_MODE   ? "nested or shadow"
				 : keys[key].plain ? "a number"
						   : "NUMBER or NUMBER,CONFIDENCE (0 to 100)");
			return -EINVAL;
		}
	}
}

size_t sample_format(const struct policy_sample *x, char *buf, size_t size)
{
	size_t len = (size_t)snprintf(buf, size, "mode=%s", policy_mode_name[x->mode]);

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const void *field = (const char *)x + keys[i].offset;
		const struct policy_measure *m = field;
		unsigned long long value = *(const u64 *)field;
		char *at = buf + MIN(len, size);
		size_t left = size - MIN(len, size);

		if (keys[i].plain)
			len += (size_t)snprintf(at, left, " %s=%llu", keys[i].name, value);
		else if (m->confidence)
			len += (size_t)snprintf(at, left, " %s=%llu,%u", keys[i].name, value,
						m->confidence);
	}
	return len;
}
