/* INT 1Ah/B10Eh: the interrupt routing of $PIR, as a program asks for it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bios16.h"
#include "pcibios.h"

extern const u8 pir_slots[], pir_slots_end[];

#define SUCCESS	     0x00
#define BUFFER_SMALL 0x89

/* ES:DI is a structure: buffer's size (word), far pointer to it. */
void pci_get_routing(struct regs *r)
{
	u32 di = r->edi & 0xffff;
	u32 room = far_u16(r->es, di), need = pir_slots_end - pir_slots;
	u16 off = far_u16(r->es, di + 2), seg = far_u16(r->es, di + 4);

	far_set_u16(r->es, di, need);
	r->ah = room < need ? BUFFER_SMALL : SUCCESS;
	set_cf(r, room < need);
	if (room < need)
		return;
	for (u32 i = 0; i < need; i += 2)
		far_set_u16(seg, off + i, rom_u16(pir_slots + i));
	r->bx = 0x0c00; /* IRQs 10 and 11 are PCI's alone */
}
