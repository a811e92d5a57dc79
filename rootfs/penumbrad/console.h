/* What the partitions and the hypervisor print: kept for `pnctl console`, logged, passed on.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PENUMBRAD_CONSOLE_H
#define PENUMBRAD_CONSOLE_H

#include "area.h"
#include "logfile.h"

#define CONSOLE_PARTITIONS 33 /* the control partition and the guests of one config */
#define CONSOLE_HISTORY	   65536u
#define CONSOLE_RECORD_MAX 8192u

struct partition_text {
	char name[CHAN_NAME_SIZE]; /* empty: not known yet */
	u8 *history;		   /* ring of CONSOLE_HISTORY bytes */
	u32 at, kept;
	struct logfile *serial, *screen;
};

struct console {
	struct area *area;
	struct logs *logs;
	struct partition_text *part[CONSOLE_PARTITIONS];
	struct logfile *hv, *records;
	u8 record[CONSOLE_RECORD_MAX + 1]; /* and its LF */
	u32 record_len;
	/* Serial output of partition @index has come. May be NULL. */
	void (*live)(void *arg, unsigned index, const u8 *data, size_t len);
	/* A partition without a name has said something: who is it? */
	void (*who)(void *arg);
	void *arg;
};

void console_init(struct console *c, struct area *area, struct logs *logs);
void console_service(struct console *c);
/* Partition @index is called @name. A new one in an old one's place starts with no history. */
void console_name(struct console *c, unsigned index, const char *name);
/* Index of the partition called @name, or -1. */
int console_find(const struct console *c, const char *name);
/* Hand the history of @index to @give, in one or two parts. */
void console_history(const struct console *c, unsigned index,
		     void (*give)(void *arg, const u8 *data, size_t len), void *arg);
void console_close(struct console *c);

#endif
