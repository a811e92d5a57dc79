/* Loads bound by page faults.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loads.h"

#define CHURN_PAGES 8192u /* touched in a round */
#define ALLOC_BYTES (24u * MIB)
#define BURST_PAGES 16384u /* what 100 % would be */
#define BURST_WORK  6000000u
#define HEAP_PAGES  8192u
#define BRK_CALLS   20000u

static uint64_t touch(uint8_t *p, unsigned n, uint64_t sum)
{
	for (unsigned i = 0; i < n; i++) {
		sum += p[(size_t)i * PAGE]; /* fresh memory reads zero */
		p[(size_t)i * PAGE] = (uint8_t)(i + 1);
	}
	for (unsigned i = 0; i < n; i++)
		sum += p[(size_t)i * PAGE];
	return sum;
}

static uint64_t map_touch_unmap(unsigned n)
{
	uint8_t *p = pages(n);
	uint64_t sum = touch(p, n, 0);

	munmap(p, (size_t)n * PAGE);
	return sum;
}

uint64_t churn(const char *param)
{
	unsigned n = number(param);
	uint64_t sum = SUM_START;

	for (unsigned done = 0; done < CHURN_PAGES; done += n)
		sum = sum_number(sum, map_touch_unmap(n));
	return sum;
}

/* Above the allocator's threshold each is a mapping of its own. */
uint64_t allocloop(const char *param)
{
	size_t bytes = (size_t)number(param) * 1024;
	uint64_t sum = SUM_START;

	for (size_t done = 0; done < ALLOC_BYTES; done += bytes) {
		uint8_t *p = malloc(bytes);

		if (!p)
			die("malloc");
		memset(p, (int)(done / bytes), bytes);
		sum = sum_bytes(sum, p + bytes - 16, 16);
		free(p);
	}
	return sum;
}

static uint64_t quiet(unsigned n)
{
	uint64_t state = 1, sum = SUM_START;

	while (n--)
		sum += next_random(&state);
	return sum;
}

uint64_t burst(const char *param)
{
	unsigned share = number(param);
	uint64_t sum = quiet(BURST_WORK / 100 * (100 - share));

	for (unsigned done = 0; done < BURST_PAGES / 100 * share; done += 128)
		sum = sum_number(sum, map_touch_unmap(128));
	return sum;
}

/* --- the heap ------------------------------------------------------------------------------------
 */

/* By the system call: libc's allocator must not notice, so the old end is set again. */
static uint8_t *set_break(uint8_t *end)
{
	return (uint8_t *)syscall(SYS_brk, end);
}

uint64_t page_test(const char *param)
{
	unsigned n = number(param);
	uint8_t *end = set_break(NULL);
	uint64_t sum = SUM_START;

	for (unsigned done = 0; done < HEAP_PAGES; done += n) {
		if (set_break(end + (size_t)n * PAGE) != end + (size_t)n * PAGE)
			die("brk");
		sum = sum_number(sum, touch(end, n, 0));
		set_break(end);
	}
	return sum;
}

uint64_t brk_test(const char *param)
{
	size_t bytes = (size_t)number(param) * PAGE;
	uint8_t *end = set_break(NULL);
	uint64_t sum = SUM_START;

	for (unsigned i = 0; i < BRK_CALLS; i += 2) {
		sum = sum_number(sum, (uint64_t)(set_break(end + bytes) - end));
		set_break(end);
	}
	return sum;
}
