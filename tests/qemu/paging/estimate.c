/* A guest whose paging load is known: it faults, loads CR3, invalidates pages, changes entries of a
 * last-level table and touches pages, each so often as it says at the end, spread evenly in time.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging.h"

#define DEBUG_EXIT 0xf4
#define PIC_1	   0x21 /* masks */
#define PIC_2	   0xa1
#define ROUNDS	   10000u
#define SPIN	   5000u
#define TOUCHES	   64u /* pages a round */
#define STRIDE	   3u  /* of SWEPT..SWEPT_END each third page */
#define SWEPT	   0x200000u
#define SWEPT_END  KERNEL_END
#define CHANGES	   4u	/* rounds for each change of an entry */
#define ENTRIES	   510u /* of the table that are changed; the last one stays empty */

void main(void);

/* With interrupts on, of which there are none: not every emulator leaves a guest that has them off
 * when the host's time has come, and windows would end with events then. */
static void spin(void)
{
	asm volatile("sti");
	for (unsigned i = 0; i < SPIN; i++)
		asm volatile("");
	asm volatile("cli");
}

static void touch(u32 *at)
{
	for (unsigned i = 0; i < TOUCHES; i++) {
		(void)*(volatile u32 *)at_phys(*at);
		*at += STRIDE * PAGE;
		if (*at >= SWEPT_END)
			*at = SWEPT;
	}
}

static void say_count(const char *what, u32 n)
{
	say("estimate: ");
	say(mode->name);
	say(" ");
	say(what);
	say(" ");
	say_hex(n);
	say("\n");
}

void estimate_run(void)
{
	struct spot window = spot_at(mode->test_va, FRAME(0), 1);
	u64 empty = mode->test_va + (u64)(ENTRIES + 1) * PAGE;
	u32 at = SWEPT, faults = 0;

	look(window.va);
	for (u32 i = 0; i < ROUNDS; i++) {
		look(empty);
		faults += seen.fault == FAULT(VEC_PF, 0) && (u32)seen.cr2 == (u32)empty;
		flush();
		invlpg(window.va);
		if (i % CHANGES == 0)
			entry_write((u8 *)window.at[1] +
					    (1 + i / CHANGES % ENTRIES) * mode->entry_bytes,
				    FRAME(i / CHANGES) | PTE_P);
		touch(&at);
		spin();
	}
	say_count("faults", faults);
	say_count("cr3_writes", ROUNDS);
	say_count("invlpgs", ROUNDS);
	say_count("table_writes", ROUNDS / CHANGES);
	say_count("touches", ROUNDS * TOUCHES);
	say_count("pages", (SWEPT_END - SWEPT + STRIDE * PAGE - 1) / (STRIDE * PAGE));
}

void main(void)
{
	say_begin();
	say("estimate: begin\n");
	outb(PIC_1, 0xff);
	outb(PIC_2, 0xff);
	cpu_init();
	estimate_modes();
	say("estimate: end\n");
	outb(DEBUG_EXIT, 0x10);
}
