/* Opening images and devices, with every reason why not in words.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include "medium.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/say.h"
#include "mounts.h"

struct opening {
	struct medium *m;
	const struct chan_blk_open *want;
	const struct medium_search *search;
	const struct medium *const *others;
	size_t nothers;
	char *why;
	size_t why_size;
};

/* @rc, with the reason why left for whoever asked. */
#define refuse(o, rc, ...) (snprintf((o)->why, (o)->why_size, __VA_ARGS__), (rc))

static bool has_dotdot(const char *path)
{
	for (const char *p = path; (p = strstr(p, "..")); p += 2) {
		if ((p == path || p[-1] == '/') && (p[2] == '/' || p[2] == '\0'))
			return true;
	}
	return false;
}

/* The first place that has the file; what the last failing place said otherwise. */
static int find_file(struct opening *o, struct stat *st)
{
	const char *path = o->want->path;
	int rc = -ENOENT;

	while (*path == '/')
		path++;
	if (!*path || has_dotdot(path))
		return refuse(o, -EINVAL, "\"%s\" is no path of an image", o->want->path);
	for (const char *const *dir = o->search->dirs; *dir; dir++) {
		snprintf(o->m->path, sizeof(o->m->path), "%s/%s", *dir, path);
		if (stat(o->m->path, st)) {
			if (errno != ENOENT && errno != ENOTDIR)
				rc = -errno;
			continue;
		}
		if (o->search->ram_dev && st->st_dev == o->search->ram_dev)
			continue;
		return 0;
	}
	return refuse(o, rc, "no image /%s on any medium: %s", path, strerror(-rc));
}

static const char *other_user(const struct opening *o)
{
	for (size_t i = 0; i < o->nothers; i++) {
		const struct medium *x = o->others[i];

		if (x->used && x != o->m && x->dev == o->m->dev && x->ino == o->m->ino &&
		    !(x->readonly && o->m->readonly))
			return x->guest;
	}
	return NULL;
}

static int take_lock(struct opening *o)
{
	const char *other = other_user(o);

	if (other)
		return refuse(o, -EBUSY, "%s is in use by guest %s%s", o->m->path, other,
			      o->m->readonly ? ", which writes to it" : "");
	if (!flock(o->m->fd, (o->m->readonly ? LOCK_SH : LOCK_EX) | LOCK_NB))
		return 0;
	if (errno == EWOULDBLOCK)
		return refuse(o, -EAGAIN, "%s is locked by another program", o->m->path);
	return refuse(o, -errno, "cannot lock %s: %s", o->m->path, strerror(errno));
}

/* Read-write if that is wanted and the medium can, else read-only, which is said. */
static int open_fd(struct opening *o, int flags, int rw_flags)
{
	struct medium *m = o->m;

	m->readonly = o->want->want_readonly != 0;
	m->fd = -1;
	if (!m->readonly) {
		m->fd = open(m->path, O_RDWR | O_CLOEXEC | flags | rw_flags);
		if (m->fd < 0 && (errno == EROFS || errno == EACCES || errno == EPERM)) {
			say("%s: %s is read-only: %s", m->guest, m->path, strerror(errno));
			m->readonly = true;
		}
	}
	if (m->readonly)
		m->fd = open(m->path, O_RDONLY | O_CLOEXEC | flags);
	return m->fd < 0 ? -errno : 0;
}

static int open_file(struct opening *o)
{
	struct stat st;
	int rc = find_file(o, &st);

	if (rc)
		return rc;
	if (!S_ISREG(st.st_mode))
		return refuse(o, -EINVAL, "%s is no file%s", o->m->path,
			      S_ISBLK(st.st_mode) ? ": use dev:" : "");
	rc = open_fd(o, 0, 0);
	if (rc)
		return refuse(o, rc, "cannot open %s: %s", o->m->path, strerror(-rc));
	if (fstat(o->m->fd, &st))
		return refuse(o, -errno, "cannot look at %s: %s", o->m->path, strerror(errno));
	o->m->dev = st.st_dev;
	o->m->ino = st.st_ino;
	o->m->size = (u64)st.st_size;
	return 0;
}

static int device_busy(struct opening *o, dev_t dev)
{
	char where[256] = "";
	bool writable;

	if (!mounts_use_device(dev, where, sizeof(where), &writable))
		return 0;
	if (!o->m->readonly)
		return refuse(o, -EBUSY, "%s is mounted (%s): a guest may not write to it",
			      o->m->path, where);
	if (writable)
		return refuse(o, -EBUSY, "%s is mounted read-write (%s): its content changes",
			      o->m->path, where);
	return 0;
}

/* O_DIRECT for devices: the guest caches already, and memory is small here. But where sectors are
 * larger than the guest's, only the page cache can take its requests apart. */
static void choose_direct(struct medium *m, u32 guest_block)
{
	int sector = 0, flags = fcntl(m->fd, F_GETFL);

	if (ioctl(m->fd, BLKSSZGET, &sector) || sector <= 0 || (u32)sector > guest_block)
		return;
	m->direct = flags >= 0 && !fcntl(m->fd, F_SETFL, flags | O_DIRECT);
}

static int open_device(struct opening *o)
{
	struct medium *m = o->m;
	struct stat st;
	int rc, readonly = 0;

	text_copy(m->path, sizeof(m->path), o->want->path, sizeof(o->want->path));
	if (stat(m->path, &st))
		return refuse(o, -errno, "no device %s: %s", m->path, strerror(errno));
	if (!S_ISBLK(st.st_mode))
		return refuse(o, -ENOTBLK, "%s is no disk", m->path);
	m->dev = st.st_rdev;
	m->readonly = o->want->want_readonly != 0;
	rc = device_busy(o, st.st_rdev);
	if (rc)
		return rc;
	rc = open_fd(o, 0, O_EXCL);
	if (rc == -EBUSY) {
		const char *other = other_user(o);

		if (other)
			return refuse(o, rc, "%s is in use by guest %s", m->path, other);
		return refuse(o, -EAGAIN, "%s, or a part of it, is in use", m->path);
	}
	if (rc)
		return refuse(o, rc, "cannot open %s: %s", m->path, strerror(-rc));
	if (ioctl(m->fd, BLKGETSIZE64, &m->size))
		return refuse(o, -errno, "%s tells no size: %s", m->path, strerror(errno));
	if (!m->readonly && !ioctl(m->fd, BLKROGET, &readonly) && readonly)
		m->readonly = true;
	choose_direct(m, o->want->block);
	return 0;
}

static int open_any(struct opening *o)
{
	u32 block = o->want->block;
	int rc;

	if (block != 512 && block != 2048)
		return refuse(o, -EINVAL, "sectors of %u bytes", block);
	if (o->want->kind == MEDIUM_FILE)
		rc = open_file(o);
	else if (o->want->kind == MEDIUM_DEVICE)
		rc = open_device(o);
	else
		return refuse(o, -EINVAL, "medium of unknown kind %u", o->want->kind);
	if (!rc)
		rc = take_lock(o);
	if (rc)
		return rc;
	/* What a last, incomplete sector holds, no guest can ask for. */
	o->m->size -= o->m->size % block;
	if (!o->m->size)
		return refuse(o, -ENODATA, "%s is empty", o->m->path);
	return 0;
}

int medium_open(struct medium *m, const struct chan_blk_open *want,
		const struct medium_search *search, const struct medium *const *others, size_t n,
		char *why, size_t why_size)
{
	struct opening o = {m, want, search, others, n, why, why_size};
	int rc;

	*m = (struct medium){.fd = -1, .kind = (enum medium_kind)want->kind};
	text_clean(m->guest, sizeof(m->guest), want->guest, sizeof(want->guest));
	rc = open_any(&o);
	if (rc && m->fd >= 0)
		close(m->fd);
	m->used = rc == 0;
	return rc;
}

void medium_close(struct medium *m)
{
	close(m->fd);
	m->used = false;
}
