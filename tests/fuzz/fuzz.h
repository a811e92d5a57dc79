/* What fuzz targets share: the entry point's prototype and a check that ends the run.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "penumbra/types.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#define MUST(cond)                                                                                 \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #cond);        \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* The input as a program: bytes taken from the front, zeros when it is used up. */
struct program {
	const u8 *p, *end;
};

static inline u8 take(struct program *prog)
{
	return prog->p < prog->end ? *prog->p++ : 0;
}

#endif
