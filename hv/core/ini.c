/* INI reader. Works on any bytes: what it cannot take is an error with its line number, never cut
 * or skipped silently, and reading goes on with the next line.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/ini.h"

#include "lib/str.h"

#define UTF8_BOM "\xef\xbb\xbf"

void ini_open(struct ini *ini, const char *text, size_t len)
{
	memset(ini, 0, sizeof(*ini));
	ini->text = text;
	ini->len = len;
	if (len >= 3 && !memcmp(text, UTF8_BOM, 3))
		ini->pos = 3;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_control(char c)
{
	return ((u8)c < 0x20 && c != '\t') || c == 0x7f;
}

/* Blanks off both ends, in place. */
static char *trim(char *s)
{
	char *end = s + strlen(s);

	while (is_blank(*s))
		s++;
	while (end > s && is_blank(end[-1]))
		end--;
	*end = '\0';
	return s;
}

static enum ini_kind fail(struct ini *ini, const char *error)
{
	ini->error = error;
	return INI_ERROR;
}

/* Copy the next line without its LF or CR LF to the buffer. Returns what is wrong with it or NULL.
 */
static const char *take_line(struct ini *ini)
{
	const char *start = ini->text + ini->pos;
	const char *lf = memchr(start, '\n', ini->len - ini->pos);
	size_t len = lf ? (size_t)(lf - start) : ini->len - ini->pos;

	ini->pos += len + (lf != NULL);
	ini->line++;
	ini->buf[0] = '\0';
	if (len && start[len - 1] == '\r')
		len--;
	if (len > INI_LINE_MAX)
		return "line too long: expected at most 512 bytes";
	for (size_t i = 0; i < len; i++)
		if (is_control(start[i]))
			return start[i] ? "control character in the line: expected text"
					: "NUL byte in the line: expected text";
	memcpy(ini->buf, start, len);
	ini->buf[len] = '\0';
	return NULL;
}

/* A # starts a comment at the start of the line or after a blank. */
static void cut_comment(char *s)
{
	for (char *p = s; *p; p++)
		if (*p == '#' && (p == s || is_blank(p[-1]))) {
			*p = '\0';
			return;
		}
}

static enum ini_kind section(struct ini *ini, char *s)
{
	char *close = strchr(s, ']');

	if (!close || close[1]) {
		ini->in_section_header = true;
		return fail(ini,
			    "expected a section header such as [guest alpha] alone on its line");
	}
	*close = '\0';
	ini->key = trim(s + 1);
	return INI_SECTION;
}

static enum ini_kind key_value(struct ini *ini, char *s)
{
	char *equals = strchr(s, '=');

	if (*s == ';')
		return fail(ini, "a comment starts with #, not ;");
	if (!equals || equals == s)
		return fail(ini, "expected key = value, [section] or # comment");
	*equals = '\0';
	ini->key = trim(s);
	ini->value = trim(equals + 1);
	return INI_KEY;
}

enum ini_kind ini_next(struct ini *ini)
{
	while (ini->pos < ini->len) {
		const char *error = take_line(ini);
		char *s;

		ini->in_section_header = false;
		if (error)
			return fail(ini, error);
		cut_comment(ini->buf);
		s = trim(ini->buf);
		if (*s)
			return *s == '[' ? section(ini, s) : key_value(ini, s);
	}
	return INI_END;
}
