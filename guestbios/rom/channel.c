/* The hypervisor's end of INT 13h: one request, one exit.
 *
 * SPDX-License-Identifier: MIT
 */
#include "disk.h"
#include "penumbra/platform.h"

#define PIC1_DATA 0x21

/* Asleep, if the timer runs; the end of the request wakes us by an interrupt that nobody else uses
 * and whose vector does nothing. */
static void wait_disk(volatile struct bios_disk_req *r)
{
	u8 mask = inb(PIC1_DATA);

	outb(PIC1_DATA, mask & ~(1 << PC_IRQ_BIOS));
	while (r->status == BIOS_DISK_PENDING)
		tick_wait();
	inb(BIOSCHAN_PORT_DISK);
	outb(PIC1_DATA, mask);
}

void channel_disk(struct bios_disk_req *req)
{
	volatile struct bios_disk_req *r = req;

	r->status = BIOS_DISK_PENDING;
	outl(BIOSCHAN_PORT_DISK, EBDA_PHYS + (u32)req);
	if (r->status == BIOS_DISK_PENDING)
		wait_disk(r);
}

void channel_event(u8 event)
{
	outb(BIOSCHAN_PORT_EVENT, event);
}
