/* Trace entries out of a raw log, printed, with totals per guest and reason.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PNCOLLECT_TRACE_H
#define PNCOLLECT_TRACE_H

/* Read the raw log or results.jsonl at @path ("-": standard input). 0 or a negative error number
 * after a message. */
int trace_command(const char *path);

#endif
