/* A guest that checks paging by itself: it knows by rule what every access must bring (model.c) and
 * says "ok NAME" or "not ok NAME; WHAT: got, expected" for each point, as a machine of its own and
 * as a guest. One image is 32-bit (two levels and PAE), one 64-bit (four levels).
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging.h"

#define DEBUG_EXIT 0xf4

void main(void);

static unsigned points, checks, failures;
static struct {
	const char *words[8];
	const char *what; /* of the first difference; NULL: none */
	u64 got, want;
	unsigned differences;
} point;

static void say_name(void)
{
	say(mode->name);
	for (unsigned i = 0; point.words[i]; i++) {
		say(" ");
		say(point.words[i]);
	}
}

void begin(const char *first, ...)
{
	__builtin_va_list list;
	unsigned n = 0;

	__builtin_va_start(list, first);
	for (const char *word = first; word && n < 7; word = __builtin_va_arg(list, const char *))
		point.words[n++] = word;
	__builtin_va_end(list);
	point.words[n] = 0;
	point.what = 0;
	point.differences = 0;
}

void check_either(const char *what, u64 got, u64 want, u64 other)
{
	checks++;
	if (got == want || got == other)
		return;
	if (!point.differences++) {
		point.what = what;
		point.got = got;
		point.want = want;
	}
}

void check(const char *what, u64 got, u64 want)
{
	check_either(what, got, want, want);
}

void end(void)
{
	points++;
	if (point.differences) {
		failures++;
		say("not ok ");
		say_name();
		say("; ");
		say(point.what);
		say(": ");
		say_hex(point.got);
		say(", expected ");
		say_hex(point.want);
		say(", differences ");
		say_hex(point.differences);
	} else {
		say("ok ");
		say_name();
	}
	say("\n");
}

void expect_either(const char *name, u64 got, u64 want, u64 other)
{
	begin(name, (char *)0);
	check_either("value", got, want, other);
	end();
}

void expect(const char *name, u64 got, u64 want)
{
	expect_either(name, got, want, want);
}

void test_common(void)
{
	test_rights();
	test_reserved();
	test_stale();
	test_reuse();
	test_delivery();
	test_devices();
}

void main(void)
{
	say_begin();
	say("paging: begin\n");
	cpu_init();
	test_mode();
	say("paging: ");
	say_hex(points);
	say(" points, ");
	say_hex(checks);
	say(" checks, ");
	say_hex(failures);
	say(" failures\n");
	outb(DEBUG_EXIT, failures ? 0x11 : 0x10);
}
