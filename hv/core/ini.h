/* Lines of an INI file: sections, keys and values, comments taken off (grammar of docs/config.md).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_INI_H
#define HV_CORE_INI_H

#include "penumbra/types.h"

#define INI_LINE_MAX 512 /* bytes of one line, without its end */

enum ini_kind { INI_END, INI_SECTION, INI_KEY, INI_ERROR };

/* A reader's position and the line it stands on. */
struct ini {
	const char *text;
	size_t len, pos;
	unsigned line;	   /* number of the current line, from 1 */
	char *key;	   /* INI_KEY: the key; INI_SECTION: what stands between the brackets */
	char *value;	   /* INI_KEY: the value, may be empty */
	const char *error; /* INI_ERROR: what is wrong with the line and what would be right */
	bool in_section_header; /* INI_ERROR: the line was meant to be a section header */
	char buf[INI_LINE_MAX + 1];
};

/* Read @len bytes at @text, which must stay and need not end in NUL. */
void ini_open(struct ini *ini, const char *text, size_t len);
/* The next line that says something; its strings live until the next call. Always ends: every call
 * consumes at least one line. */
enum ini_kind ini_next(struct ini *ini);

#endif
