/* The hypervisor's end of INT 13h: one request, one exit.
 *
 * SPDX-License-Identifier: MIT
 */
#include "disk.h"

void channel_disk(struct bios_disk_req *req)
{
	volatile struct bios_disk_req *r = req;

	r->status = BIOS_DISK_PENDING;
	outl(BIOSCHAN_PORT_DISK, EBDA_PHYS + (u32)req);
	while (r->status == BIOS_DISK_PENDING)
		tick_wait();
}

void channel_event(u8 event)
{
	outb(BIOSCHAN_PORT_EVENT, event);
}
