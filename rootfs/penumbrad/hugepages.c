/* The area's memory: 2 MiB pages of the kernel's pool.
 *
 * Pages of the pool are never swapped or moved, and when the daemon dies they go back to the pool,
 * not to other programs: until the hypervisor has heard of the death it may still write to them. A
 * page that a transfer in flight still uses stays out of the pool until the transfer has ended, so
 * that the next daemon's memory is not written to by the last one's transfers.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../lib/say.h"
#include "transport.h"

#define POOL	    "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define MAP_HUGE_2M (21 << 26)

static long pool_read(const char *file)
{
	char path[128], text[32] = "";
	long n = -1;
	int fd;

	snprintf(path, sizeof(path), POOL "%s", file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (read(fd, text, sizeof(text) - 1) > 0)
		n = atol(text);
	close(fd);
	return n;
}

static int pool_grow(long by)
{
	char text[32];
	long total = pool_read("nr_hugepages");
	int fd, rc = 0;

	if (total < 0)
		return (int)total;
	fd = open(POOL "nr_hugepages", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	snprintf(text, sizeof(text), "%ld", total + by);
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

int hugepages_map(unsigned n, u8 **base)
{
	long missing = (long)n - pool_read("free_hugepages");
	int rc = missing > 0 ? pool_grow(missing) : 0;
	void *p;

	if (rc)
		return rc;
	if (pool_read("free_hugepages") < (long)n)
		return -ENOMEM;
	/* Shared, and not inherited: a child must never get copies in our place. */
	p = mmap(NULL, (size_t)n * CHAN_PAGE_SIZE, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2M | MAP_POPULATE, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	madvise(p, (size_t)n * CHAN_PAGE_SIZE, MADV_DONTFORK);
	if (mlock(p, (size_t)n * CHAN_PAGE_SIZE))
		say("cannot lock the channel's memory: %s", strerror(errno));
	*base = p;
	return 0;
}

u64 hugepages_address(const void *p)
{
	u64 entry = 0;
	off_t at = (off_t)((uintptr_t)p / PAGE_SIZE * sizeof(entry));
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	if (pread(fd, &entry, sizeof(entry), at) != sizeof(entry))
		entry = 0;
	close(fd);
	/* Linux Documentation/admin-guide/mm/pagemap.rst: bit 63 present, 54:0 frame number. */
	if (!(entry & BIT(63)))
		return 0;
	return (entry & (BIT(55) - 1)) << PAGE_SHIFT;
}
