/* IDE channels that firmware left off, as the control partition's init switches them on: catches a
 * channel that stays off (its disks are never found), timings that are lost, and a write to another
 * function's registers, or to one that is off on purpose.
 *
 * SRCS: rootfs/init/piix.c
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include <stdarg.h>
#include <unistd.h>

#include "rootfs/init/init.h"

void note(const char *format, ...)
{
	(void)format;
}

/* A function's configuration space. */
static FILE *function(u16 vendor, u16 device, u16 command, u16 primary, u16 secondary)
{
	const u16 head[] = {vendor, device, command}, timing[] = {primary, secondary};
	FILE *file = tmpfile();

	CHECK(file && !ftruncate(fileno(file), 256));
	CHECK(pwrite(fileno(file), head, sizeof(head), 0) == sizeof(head));
	CHECK(pwrite(fileno(file), timing, sizeof(timing), 0x40) == sizeof(timing));
	return file;
}

static void expect(FILE *file, unsigned on, u16 primary, u16 secondary)
{
	u16 timing[2];

	CHECK_EQ(piix_switch_on(fileno(file)), on);
	CHECK(pread(fileno(file), timing, sizeof(timing), 0x40) == sizeof(timing));
	CHECK_EQ(timing[0], primary);
	CHECK_EQ(timing[1], secondary);
	fclose(file);
}

TEST(channels_that_are_off_come_on)
{
	expect(function(0x8086, 0x7010, 7, 0, 0), 3, 0x8000, 0x8000);
	expect(function(0x8086, 0x7111, 5, 0, 0xe373), 1, 0x8000, 0xe373);
	expect(function(0x8086, 0x7010, 1, 0xa307, 0x4000), 2, 0xa307, 0xc000);
	expect(function(0x8086, 0x7010, 1, 0x8000, 0x8000), 0, 0x8000, 0x8000);
}

TEST(nothing_else_is_touched)
{
	expect(function(0x8086, 0x7010, 6, 0, 0), 0, 0, 0);	 /* decodes no ports */
	expect(function(0x8086, 0x2922, 7, 0, 0), 0, 0, 0);	 /* AHCI */
	expect(function(0x1022, 0x7010, 7, 0, 0), 0, 0, 0);	 /* another vendor's */
	expect(function(0xffff, 0xffff, 0xffff, 0, 0), 0, 0, 0); /* nothing answers */
}

TEST(a_function_that_cannot_be_read_is_left_alone)
{
	FILE *file = tmpfile();

	CHECK_EQ(piix_switch_on(fileno(file)), 0);
	fclose(file);
	CHECK_EQ(piix_switch_on(-1), 0);
}
