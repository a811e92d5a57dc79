/* Log files on a medium that may be slow, full, or gone.
 *
 * What is written goes to a buffer and from there by the aio to the file, so the event loop never
 * waits for the medium. Trouble is said once for all files, what comes meanwhile is counted, and
 * writing goes on when the medium takes it again.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PENUMBRAD_LOGFILE_H
#define PENUMBRAD_LOGFILE_H

#include <sys/types.h>

#include "aio.h"

#define LOG_BUFFER   32768u
#define LOG_NAME_MAX 40

struct logfile;

struct logs {
	struct loop *loop;
	struct aio *aio;
	char dir[256];
	dev_t ram_dev; /* file system that is no medium; 0: none */
	u64 max_size;  /* a file that has reached it becomes NAME.1 */
	bool stopped;  /* and said */
	u64 retry_ns;  /* not before, unless something was mounted */
	struct loop_timer gather;
	struct logfile *files;
	u64 written, lost; /* bytes */
};

struct logfile {
	struct logs *logs;
	char name[LOG_NAME_MAX]; /* "alpha.log"; empty: not known yet, everything waits */
	bool sync;		 /* on the medium as soon as may be, rather than in batches */
	bool mark_gaps;		 /* a line in the file tells of lost bytes */
	bool dirty, reopen;
	int fd; /* -1: none */
	u64 size;
	u64 lost; /* bytes since the last that was written */
	struct aio_req io;
	bool busy; /* io is under way */
	u8 *fill, *out;
	u32 filled;
	struct logfile *next;
};

void logs_init(struct logs *l, struct loop *loop, struct aio *aio, const char *dir, u64 max_size,
	       dev_t ram_dev);
/* Something was mounted or unmounted: look again. */
void logs_media_changed(struct logs *l);
/* Nothing under way, nothing to write? */
bool logs_idle(const struct logs *l);
void logs_flush(struct logs *l);
void logs_close(struct logs *l);

/* NULL: no memory; the other functions take that. */
struct logfile *logfile_new(struct logs *l, const char *name, bool sync, bool mark_gaps);
/* The name is known, or another from now on. */
void logfile_name(struct logfile *f, const char *name);
void logfile_write(struct logfile *f, const void *data, size_t len);

#endif
