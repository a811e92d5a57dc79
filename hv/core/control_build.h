/* Building the control partition; see control_build.c. Private to control*.c.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_CONTROL_BUILD_H
#define HV_CORE_CONTROL_BUILD_H

#include "core/config.h"
#include "core/linux_boot.h"
#include "core/partition.h"

/* Memory, tables, board and vCPU, with the kernel loaded and about to run its first instruction.
 * NULL after an error record. */
struct partition *control_build(const struct config *c, const struct boot_module *kernel,
				const struct boot_module *rootfs, const struct partition_ops *ops);

#endif
