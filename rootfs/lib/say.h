/* What a program of the control partition says about itself: whole lines on standard error.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef ROOTFS_LIB_SAY_H
#define ROOTFS_LIB_SAY_H

#include "penumbra/types.h"

/* The word before each line, such as "pnctl"; NULL: none, whoever started us puts it there. */
extern const char *say_name;

/* One line, without its LF. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Copy with truncation, always terminated; returns false when @src did not fit. @src has at most
 * @src_max bytes and need not be terminated: fields of the other side's structures. */
bool text_copy(char *dst, size_t size, const char *src, size_t src_max);
/* The same, with everything that is not printable ASCII replaced by '?'. */
bool text_clean(char *dst, size_t size, const char *src, size_t src_max);

#endif
