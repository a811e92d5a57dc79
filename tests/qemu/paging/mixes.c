/* Two address spaces in turn, one that walks its tables much and one that faults much: at first
 * some ms each, so that modes of their own pay, in the end for some dozens of us, so that loads of
 * CR3 cost more than anything could gain. Nothing the guest sees may depend on their modes.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging.h"

#define DEBUG_EXIT  0xf4
#define SWEPT	    0x400000u
#define SWEPT_END   KERNEL_END
#define PAGES	    ((SWEPT_END - SWEPT) / PAGE)
#define TURNS	    150u
#define TOUCHES	    16000u /* a turn */
#define SPIN	    16u	   /* between two: an emulator's walk takes long */
#define FAULTS	    2000u
#define SHORT_TURNS 3000u
#define SHORT	    100u /* touches in one of those */

void main(void);

static ulong walker, faulter;

/* Tables of its own for all that the first one maps. */
static ulong another_space(void)
{
	ulong first = root, other = new_table();

	root = other;
	for (ulong pa = 0; pa < KERNEL_END; pa += PAGE)
		map(pa, pa, PTE_P | PTE_W, 1);
	(void)spot_at(mode->test_va, FRAME(0), 1);
	root = first;
	return other;
}

/* The same order always: whoever checks counts. */
static void touch(u32 n)
{
	static u32 random = 1;

	while (n--) {
		random = random * 1664525 + 1013904223;
		++*(volatile u32 *)at_phys(SWEPT + (random >> 8) % PAGES * PAGE + 64);
		for (unsigned i = 0; i < SPIN; i++)
			asm volatile("");
	}
}

static u32 fault(u32 n)
{
	u64 empty = mode->test_va + PAGE;
	u32 good = 0;

	while (n--) {
		look(empty);
		good += seen.fault == FAULT(VEC_PF, 0) && seen.cr2 == empty;
	}
	return good;
}

static void say_count(const char *what, u32 n)
{
	say("mixes: ");
	say(what);
	say(" ");
	say_hex(n);
	say("\n");
}

static void clear_counts(void)
{
	for (u32 i = 0; i < PAGES; i++)
		*(volatile u32 *)at_phys(SWEPT + i * PAGE + 64) = 0;
}

/* Of all pages, each by its place. */
static u32 checksum(void)
{
	u32 sum = 0;

	for (u32 i = 0; i < PAGES; i++)
		sum = sum * 31 + *(volatile u32 *)at_phys(SWEPT + i * PAGE + 64);
	return sum;
}

static void turns(const char *what, u32 n, u32 touches, u32 faults)
{
	u32 good = 0;

	say("mixes: ");
	say(what);
	say("\n");
	while (n--) {
		set_cr3(walker);
		touch(touches);
		set_cr3(faulter);
		good += fault(faults);
	}
	say_count("faults", good);
	say_count("checksum", checksum());
}

void main(void)
{
	say_begin();
	cpu_init();
	mode_on(&four_level);
	walker = root;
	faulter = another_space();
	clear_counts();
	turns("long", TURNS, TOUCHES, FAULTS);
	turns("short", SHORT_TURNS, SHORT, 1);
	say("mixes: end\n");
	outb(DEBUG_EXIT, 0x10);
}
