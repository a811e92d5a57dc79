/* Loads bound by TLB misses.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>

#include "loads.h"

#define CHASE_STEPS    800000u
#define GUPS_UPDATES   600000u
#define STENCIL_ROW    MIB
#define STENCIL_SWEEPS 60u
#define STREAM_BYTES   (960ull * MIB)
#define LINE	       64u

/* --- chase --------------------------------------------------------------------------------------
 */

static struct {
	void **first;
	uint8_t *base;
} chain;

/* Where in its page a step's entry lies varies, so that cache sets do not decide the result. */
static void **entry(unsigned page)
{
	return (void **)(chain.base + (size_t)page * PAGE + page % (PAGE / LINE) * LINE);
}

/* One random cycle through all pages. */
void chase_prepare(const char *param)
{
	unsigned n = number(param) * (MIB / PAGE);
	unsigned *order = malloc(n * sizeof(*order));
	uint64_t seed = 88172645463325252ull;

	if (!order || !n)
		die("chase");
	chain.base = pages(n);
	for (unsigned i = 0; i < n; i++)
		order[i] = i;
	for (unsigned i = n - 1; i; i--) {
		unsigned j = (unsigned)(next_random(&seed) % (i + 1)), t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
	for (unsigned i = 0; i < n; i++)
		*entry(order[i]) = entry(order[(i + 1) % n]);
	chain.first = entry(order[0]);
	free(order);
}

uint64_t chase(const char *param)
{
	void **at = chain.first;

	(void)param;
	for (unsigned i = 0; i < CHASE_STEPS; i++)
		at = *at;
	return sum_number(SUM_START, (uint64_t)((uint8_t *)at - chain.base));
}

/* --- gups ---------------------------------------------------------------------------------------
 */

static struct {
	uint64_t *at;
	uint64_t words;
} table;

void gups_prepare(const char *param)
{
	table.words = (uint64_t)number(param) * MIB / sizeof(uint64_t);
	table.at = (uint64_t *)pages(table.words * sizeof(uint64_t) / PAGE);
	for (uint64_t i = 0; i < table.words; i++)
		table.at[i] = i;
}

/* Updates by XOR: twice the same sequence leaves the table as it was. */
uint64_t gups(const char *param)
{
	uint64_t sum = SUM_START;

	(void)param;
	for (unsigned pass = 0; pass < 2; pass++) {
		uint64_t seed = 2463534242ull;

		for (unsigned i = 0; i < GUPS_UPDATES / 2; i++) {
			uint64_t r = next_random(&seed);

			table.at[r % table.words] ^= r;
		}
		for (uint64_t i = 0; i < table.words; i += table.words / 64)
			sum = sum_number(sum, table.at[i]);
	}
	return sum;
}

/* --- stencil ------------------------------------------------------------------------------------
 */

static uint8_t *arrays;

void stencil_prepare(const char *param)
{
	unsigned n = number(param);

	arrays = pages((size_t)n * STENCIL_ROW / PAGE);
	for (size_t i = 0; i < (size_t)n * STENCIL_ROW; i += PAGE)
		memset(arrays + i, (int)(i / PAGE % 251), PAGE);
}

/* At each point one word of every array: as many pages at once as there are arrays. */
uint64_t stencil(const char *param)
{
	unsigned n = number(param);
	uint64_t sum = SUM_START;

	for (unsigned sweep = 0; sweep < STENCIL_SWEEPS; sweep++) {
		uint64_t point = 0;

		for (size_t at = sweep % (PAGE / LINE) * LINE; at < STENCIL_ROW; at += PAGE)
			for (unsigned i = 0; i < n; i++)
				point += *(uint64_t *)(arrays + (size_t)i * STENCIL_ROW + at) ^ i;
		sum = sum_number(sum, point);
	}
	return sum;
}

/* --- stream4k -----------------------------------------------------------------------------------
 */

static struct {
	uint8_t *at;
	size_t bytes;
} stream;

void stream4k_prepare(const char *param)
{
	stream.bytes = (size_t)number(param) * MIB;
	stream.at = pages(stream.bytes / PAGE);
	for (size_t i = 0; i < stream.bytes; i += PAGE)
		stream.at[i] = (uint8_t)(i / PAGE);
}

uint64_t stream4k(const char *param)
{
	uint64_t sum = 0;

	(void)param;
	for (uint64_t done = 0; done < STREAM_BYTES; done += LINE)
		sum += stream.at[done % stream.bytes] + done;
	return sum_number(SUM_START, sum);
}
