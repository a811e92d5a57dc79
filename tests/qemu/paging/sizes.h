/* The page sizes of the mode, each with a page of its own in the test area.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_QEMU_PAGING_SIZES_H
#define TESTS_QEMU_PAGING_SIZES_H

#include "paging.h"

/* The largest leaf's level. */
unsigned sizes_max(void);
const char *size_name(unsigned leaf);
/* The page of that size: its spot's address has a mark in its frame. */
struct spot size_spot(unsigned leaf);
const char *level_name(unsigned level);

#endif
