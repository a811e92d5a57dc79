/* The trace on the serial line: as text for a person, as `trace` records for programs
 * (docs/serial.md).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_TRACELOG_H
#define HV_CORE_TRACELOG_H

#include "core/partition.h"

/* What a reader must know of the trace: the record trace event=start. Nothing without a trace. Boot
 * CPU, once the guests are built. */
void tracelog_begin(void);
/* How many exits of @p went through the rings: the record trace event=counts. */
void tracelog_counts(const struct partition *p);
/* The latest entries of every CPU as lines. CPU 0. */
void tracelog_show(void);
/* Send all entries that the rings hold now as records trace event=data, as fast as the line has
 * nothing else to do, then event=end. CPU 0; one export at a time. */
void tracelog_export(void);

#endif
