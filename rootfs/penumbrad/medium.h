/* A medium of a guest: an image file or a device, open and locked.
 *
 * Locks are the kernel's (flock, O_EXCL), so they end with the daemon however it ends, but not
 * before its last transfer has.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PENUMBRAD_MEDIUM_H
#define PENUMBRAD_MEDIUM_H

#include <sys/types.h>

#include "penumbra/channel.h"

#define MEDIA_MAX	64
#define MEDIUM_PATH_MAX 512

enum medium_kind { MEDIUM_FILE = 1, MEDIUM_DEVICE = 2 };

struct medium_counts {
	u64 reads, writes, flushes, read_bytes, written_bytes, errors;
};

struct medium {
	bool used;
	u32 id; /* the hypervisor's */
	enum medium_kind kind;
	char guest[CHAN_NAME_SIZE];
	char path[MEDIUM_PATH_MAX]; /* where it was found */
	int fd;
	dev_t dev; /* identity: of the file's file system, or of the device */
	ino_t ino; /* 0: a device */
	u64 size;
	bool readonly, direct;
	u32 said; /* errors that the log has had, bit per enum medium_error of blk.c */
	struct medium_counts counts;
};

/* Where relative and absolute paths of `file:` are looked for. */
struct medium_search {
	const char *const *dirs; /* tried in this order, each with the path behind it; NULL ends */
	dev_t ram_dev;		 /* file system whose files are no images: the initramfs; 0: none */
};

/* Open what @want names, which is already terminated and clean, into @m. @others (@n of them) are
 * the media that are open: none may share a writable one. 0, or -errno and in @why what is wrong.
 * -EAGAIN: somebody outside this program has it locked, perhaps our predecessor whose transfers are
 * not over. */
int medium_open(struct medium *m, const struct chan_blk_open *want,
		const struct medium_search *search, const struct medium *const *others, size_t n,
		char *why, size_t why_size);
void medium_close(struct medium *m);

#endif
