/* What is mounted where.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PENUMBRAD_MOUNTS_H
#define PENUMBRAD_MOUNTS_H

#include <sys/types.h>

#include "penumbra/types.h"

/* Is the block device @dev, one of its partitions, or the disk that it is a partition of mounted?
 * Then @where (of @size bytes) says what and where, as "sdb1 at /data"; @writable whether any of
 * them is mounted read-write. */
bool mounts_use_device(dev_t dev, char *where, size_t size, bool *writable);

#endif
