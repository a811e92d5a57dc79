/* A unit-test program: TEST(name) { CHECK(...); } and nothing else; main() runs them all. A test
 * that the system cannot run says SKIP("why").
 *
 * The first comment of every test file says what its tests would catch. A line "SRCS: a.c b.c" in
 * it lists the sources under test (paths from the repository's root); tests/unit/unit.mk builds
 * from that.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "penumbra/types.h"

struct unit_test {
	const char *name;
	void (*fn)(void);
	struct unit_test *next;
};

static struct unit_test *unit_head, **unit_tail = &unit_head;
static unsigned unit_failures;
static const char *unit_skipped; /* why this test cannot run here */

#define TEST(id)                                                                                   \
	static void id(void);                                                                      \
	static struct unit_test unit_##id = {#id, id, NULL};                                       \
	__attribute__((constructor)) static void unit_register_##id(void)                          \
	{                                                                                          \
		*unit_tail = &unit_##id;                                                           \
		unit_tail = &unit_##id.next;                                                       \
	}                                                                                          \
	static void id(void)

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			printf("# %s:%d: expected %s\n", __FILE__, __LINE__, #cond);               \
			unit_failures++;                                                           \
		}                                                                                  \
	} while (0)

#define CHECK_EQ(got, want)                                                                        \
	do {                                                                                       \
		long long got_ = (long long)(got), want_ = (long long)(want);                      \
		if (got_ != want_) {                                                               \
			printf("# %s:%d: %s is %lld (0x%llx), expected %lld (0x%llx)\n", __FILE__, \
			       __LINE__, #got, got_, got_, want_, want_);                          \
			unit_failures++;                                                           \
		}                                                                                  \
	} while (0)

#define CHECK_STR(got, want)                                                                       \
	do {                                                                                       \
		const char *got_ = (got), *want_ = (want);                                         \
		if (strcmp(got_, want_) != 0) {                                                    \
			printf("# %s:%d: %s is \"%s\", expected \"%s\"\n", __FILE__, __LINE__,     \
			       #got, got_, want_);                                                 \
			unit_failures++;                                                           \
		}                                                                                  \
	} while (0)

/* Leave the test: this system lacks what it needs. */
#define SKIP(why)                                                                                  \
	do {                                                                                       \
		unit_skipped = (why);                                                              \
		return;                                                                            \
	} while (0)

int main(int argc, char **argv)
{
	unsigned failed = 0;

	for (struct unit_test *t = unit_head; t; t = t->next) {
		if (argc > 1 && strcmp(argv[1], t->name) != 0)
			continue;
		unit_failures = 0;
		unit_skipped = NULL;
		t->fn();
		printf("%s %s%s%s\n", unit_failures ? "not ok" : "ok", t->name,
		       unit_skipped ? " # SKIP " : "", unit_skipped ? unit_skipped : "");
		failed += unit_failures != 0;
	}
	return failed != 0;
}

#endif
