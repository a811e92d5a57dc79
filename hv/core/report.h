/* Records about the machine and its guests (docs/serial.md).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_REPORT_H
#define HV_CORE_REPORT_H

#include "core/cmdline.h"
#include "core/partition.h"
#include "penumbra/bootinfo.h"

void report_boot(const struct boot_info *bi, const struct engine_ops *engine,
		 const struct engine_caps *caps);
/* @event: start bios reset exit crash timeout. @detail may be NULL. */
void report_guest(const struct partition *p, const char *event, const char *detail);
/* A crash, with the guest's registers and the bytes at RIP. */
void report_crash(const struct partition *p);
/* @periodic: may be dropped when the line is busy. */
void report_stats(const struct partition *p, bool periodic);
void report_result(const struct partition *p, unsigned results);
/* Before the first result: how many there will be, in the formats that want to know. @results:
 * RESULTS_ bits. */
void report_plan(unsigned guests, unsigned results);
/* Something is wrong: @guest may be NULL; @where names file:line, key or subsystem. */
void report_error(const char *guest, const char *where, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* What this machine has and lacks, in words (hwcheck). */
void report_hwcheck(void);
/* One log line for each guest. */
void report_partitions(void);
/* Result of a guest that never started. */
void report_not_started(const char *guest, enum paging_kind asked, unsigned results);

#endif
