/* Log files.
 *
 * SPDX-License-Identifier: MIT
 */
#include "logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/say.h"

#define GATHER_NS (200 * NSEC_PER_MSEC) /* lines of a guest are written in batches */
#define RETRY_NS  (10 * NSEC_PER_SEC)	/* after trouble */

static void gather_over(void *arg);
static void kick(struct logfile *f);

void logs_init(struct logs *l, struct loop *loop, struct aio *aio, const char *dir, u64 max_size,
	       dev_t ram_dev)
{
	*l = (struct logs){.loop = loop, .aio = aio, .max_size = max_size, .ram_dev = ram_dev};
	text_copy(l->dir, sizeof(l->dir), dir, sizeof(l->dir));
	l->gather = (struct loop_timer){.fire = gather_over, .arg = l};
}

/* --- trouble --- */

static void stop(struct logs *l, const char *what, int error)
{
	l->retry_ns = loop_now() + RETRY_NS;
	if (l->stopped)
		return;
	l->stopped = true;
	say("logs in %s have stopped: %s: %s", l->dir, what, strerror(-error));
}

static void goes_on(struct logs *l)
{
	if (!l->stopped)
		return;
	l->stopped = false;
	say("logs in %s go on", l->dir);
}

static bool may_try(const struct logs *l)
{
	return !l->stopped || loop_now() >= l->retry_ns;
}

/* --- files --- */

static void file_close(struct logfile *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	f->reopen = false;
	f->dirty = false;
}

/* The directory lies on a medium, not in the initramfs. */
static int prepare_dir(const struct logs *l)
{
	char parent[sizeof(l->dir)];
	struct stat st;
	char *slash;

	text_copy(parent, sizeof(parent), l->dir, sizeof(parent));
	slash = strrchr(parent, '/');
	if (slash && slash != parent)
		*slash = '\0';
	if (stat(parent, &st))
		return -errno;
	if (l->ram_dev && st.st_dev == l->ram_dev)
		return -ENOMEDIUM;
	return mkdir(l->dir, 0755) && errno != EEXIST ? -errno : 0;
}

static int file_open(struct logfile *f)
{
	const struct logs *l = f->logs;
	char path[sizeof(l->dir) + LOG_NAME_MAX + 2];
	struct stat st;
	int rc = prepare_dir(l);

	if (rc)
		return rc;
	snprintf(path, sizeof(path), "%s/%s", l->dir, f->name);
	f->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (f->fd < 0)
		return -errno;
	if (fstat(f->fd, &st)) {
		rc = -errno;
		file_close(f);
		return rc;
	}
	f->size = (u64)st.st_size;
	return 0;
}

static void rotate(struct logfile *f)
{
	const struct logs *l = f->logs;
	char path[sizeof(l->dir) + LOG_NAME_MAX + 2], old[sizeof(path) + 2];

	file_close(f);
	snprintf(path, sizeof(path), "%s/%s", l->dir, f->name);
	snprintf(old, sizeof(old), "%s.1", path);
	if (rename(path, old))
		say("cannot rename %s: %s", path, strerror(errno));
}

/* --- writing --- */

static void discard(struct logfile *f, u32 bytes)
{
	f->lost += bytes;
	f->logs->lost += bytes;
}

static void trouble(struct logfile *f, const char *what, int error)
{
	stop(f->logs, what, error);
	file_close(f);
}

static void io_done(struct aio_req *io, int result)
{
	struct logfile *f = container_of(io, struct logfile, io);

	f->busy = false;
	if (result) {
		if (io->op == AIO_WRITE)
			discard(f, io->len - io->moved);
		trouble(f, f->name, result);
		return;
	}
	if (io->op == AIO_WRITE) {
		f->size += io->len;
		f->logs->written += io->len;
		f->dirty = true;
	} else {
		f->dirty = false;
	}
	goes_on(f->logs);
	if (f->sync || f->filled >= LOG_BUFFER / 2)
		kick(f);
}

static void submit(struct logfile *f, enum aio_op op, u32 len)
{
	f->io = (struct aio_req){.op = op,
				 .fd = f->fd,
				 .buf = f->out,
				 .len = len,
				 .offset = f->size,
				 .done = io_done};
	f->busy = true;
	aio_submit(f->logs->aio, &f->io);
}

static void tell_gap(struct logfile *f)
{
	char line[80];
	int n;

	if (!f->lost)
		return;
	n = snprintf(line, sizeof(line), "\n[penumbrad: %llu bytes are missing here]\n",
		     (unsigned long long)f->lost);
	f->lost = 0;
	if (!f->mark_gaps || f->filled + (u32)n > LOG_BUFFER)
		return;
	memmove(f->fill + n, f->fill, f->filled);
	memcpy(f->fill, line, (size_t)n);
	f->filled += (u32)n;
}

static bool ready_to_write(struct logfile *f)
{
	int rc;

	if (!may_try(f->logs))
		return false;
	if (f->reopen)
		file_close(f);
	if (f->fd >= 0 && f->size >= f->logs->max_size)
		rotate(f);
	if (f->fd >= 0)
		return true;
	rc = file_open(f);
	if (rc)
		stop(f->logs, f->name, rc);
	return rc == 0;
}

/* Start what there is to do: write what is gathered, else sync what is written. */
static void kick(struct logfile *f)
{
	u8 *full;

	if (f->busy || !f->name[0])
		return;
	if (!f->filled) {
		if (f->dirty && f->fd >= 0)
			submit(f, AIO_FSYNC, 0);
		return;
	}
	if (!ready_to_write(f)) {
		discard(f, f->filled);
		f->filled = 0;
		return;
	}
	tell_gap(f);
	full = f->fill;
	f->fill = f->out;
	f->out = full;
	submit(f, AIO_WRITE, f->filled);
	f->filled = 0;
}

void logs_flush(struct logs *l)
{
	for (struct logfile *f = l->files; f; f = f->next)
		kick(f);
}

static bool anything_left(const struct logs *l)
{
	for (const struct logfile *f = l->files; f; f = f->next) {
		if (f->name[0] && (f->filled || f->dirty || f->busy))
			return true;
	}
	return false;
}

/* Runs on until everything is written and synced, then sleeps. */
static void gather_over(void *arg)
{
	struct logs *l = arg;

	logs_flush(l);
	if (anything_left(l))
		loop_timer_arm(l->loop, &l->gather, GATHER_NS);
}

void logfile_write(struct logfile *f, const void *data, size_t len)
{
	u32 n;

	if (!f)
		return;
	n = (u32)MIN(len, (size_t)(LOG_BUFFER - f->filled));
	memcpy(f->fill + f->filled, data, n);
	f->filled += n;
	discard(f, (u32)(len - n));
	if (f->sync || f->filled >= LOG_BUFFER / 2)
		kick(f);
	if (!f->sync && !f->logs->gather.due_ns)
		loop_timer_arm(f->logs->loop, &f->logs->gather, GATHER_NS);
}

/* --- their life --- */

struct logfile *logfile_new(struct logs *l, const char *name, bool sync, bool mark_gaps)
{
	struct logfile *f = calloc(1, sizeof(*f) + 2 * LOG_BUFFER);

	if (!f)
		return NULL;
	f->logs = l;
	f->fd = -1;
	f->sync = sync;
	f->mark_gaps = mark_gaps;
	f->fill = (u8 *)(f + 1);
	f->out = f->fill + LOG_BUFFER;
	text_copy(f->name, sizeof(f->name), name, sizeof(f->name));
	f->next = l->files;
	l->files = f;
	return f;
}

void logfile_name(struct logfile *f, const char *name)
{
	if (!f || !strcmp(f->name, name))
		return;
	text_copy(f->name, sizeof(f->name), name, sizeof(f->name));
	f->reopen = true;
	if (!f->logs->gather.due_ns)
		loop_timer_arm(f->logs->loop, &f->logs->gather, GATHER_NS);
}

void logs_media_changed(struct logs *l)
{
	for (struct logfile *f = l->files; f; f = f->next)
		f->reopen = f->fd >= 0;
	l->retry_ns = 0;
}

bool logs_idle(const struct logs *l)
{
	for (const struct logfile *f = l->files; f; f = f->next) {
		if (f->busy || (f->filled && f->name[0]))
			return false;
	}
	return true;
}

void logs_close(struct logs *l)
{
	loop_timer_cancel(l->loop, &l->gather);
	while (l->files) {
		struct logfile *f = l->files;

		l->files = f->next;
		file_close(f);
		free(f);
	}
}
