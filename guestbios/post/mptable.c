/* MP table: processors, ISA and PCI bus, IOAPIC, interrupt assignments.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mptable.h"
#include "penumbra/acpi.h"
#include "penumbra/platform.h"

#define HEADER_LEN   44
#define ENTRY_CPU    0
#define ENTRY_BUS    1
#define ENTRY_IOAPIC 2
#define ENTRY_IOINT  3
#define ENTRY_LINT   4
#define BUS_PCI	     0
#define BUS_ISA	     1
#define INT_VECTORED 0
#define INT_NMI	     1
#define INT_EXTINT   3
#define LEVEL_HIGH   0x0d
#define CPU_ENABLED  1
#define CPU_BOOT     2
/* PCI slots with an entry per pin: as many as fit the table's place. */
#define PCI_SLOTS 7

struct writer {
	u8 *buf;
	u32 len, cap, entries;
	bool overflow;
};

static void put(struct writer *w, const u8 *bytes, u32 n)
{
	if (n > w->cap - w->len) {
		w->overflow = true;
		return;
	}
	for (u32 i = 0; i < n; i++)
		w->buf[w->len++] = bytes[i];
}

static void entry(struct writer *w, const u8 *bytes, u32 n)
{
	put(w, bytes, n);
	w->entries++;
}

static void put_text(u8 *dst, const char *text, u32 n)
{
	for (u32 i = 0; i < n; i++)
		dst[i] = text[i];
}

static void put32(u8 *dst, u32 v)
{
	for (u32 i = 0; i < 4; i++)
		dst[i] = v >> (i * 8);
}

static void cpu_entry(struct writer *w, u32 i)
{
	/* Family 6, FPU and APIC: the feature words are hints of the 1990s. */
	u8 e[20] = {ENTRY_CPU, i,    0x14, CPU_ENABLED | (i ? 0 : CPU_BOOT), 0, 0x06, 0,
		    0,	       0x01, 0x02};

	entry(w, e, sizeof(e));
}

static void bus_entry(struct writer *w, u8 id, const char *name)
{
	u8 e[8] = {ENTRY_BUS, id};

	put_text(e + 2, name, 6);
	entry(w, e, sizeof(e));
}

static void ioapic_entry(struct writer *w, u8 id)
{
	u8 e[8] = {ENTRY_IOAPIC, id, 0x11, 1};

	put32(e + 4, PC_IOAPIC_BASE);
	entry(w, e, sizeof(e));
}

struct mp_int {
	u8 entry, type, flags, bus, irq, apic, pin;
};

static void int_entry(struct writer *w, const struct mp_int *i)
{
	u8 e[8] = {i->entry, i->type, i->flags, 0, i->bus, i->irq, i->apic, i->pin};

	entry(w, e, sizeof(e));
}

static void pci_ints(struct writer *w, u8 apic)
{
	static const u8 irq[4] = {PC_PIRQ_A_IRQ, PC_PIRQ_B_IRQ, PC_PIRQ_C_IRQ, PC_PIRQ_D_IRQ};

	for (u32 i = 0; i < PCI_SLOTS * 4; i++) {
		u32 dev = i / 4 + 1, pin = i & 3;
		struct mp_int e = {ENTRY_IOINT,	   INT_VECTORED, LEVEL_HIGH,	      BUS_PCI,
				   dev << 2 | pin, apic,	 irq[(dev + pin) & 3]};

		int_entry(w, &e);
	}
}

static void isa_ints(struct writer *w, u8 apic)
{
	for (u32 irq = 0; irq < 16; irq++) {
		bool pci = irq == PC_PIRQ_A_IRQ || irq == PC_PIRQ_C_IRQ;
		struct mp_int e = {ENTRY_IOINT,	 INT_VECTORED, irq == PC_IRQ_SCI ? LEVEL_HIGH : 0,
				   BUS_ISA,	 irq,	       apic,
				   irq ? irq : 2};

		if (irq != 2 && !pci)
			int_entry(w, &e);
	}
}

static void local_ints(struct writer *w)
{
	struct mp_int ext = {ENTRY_LINT, INT_EXTINT, 0, BUS_ISA, 0, 0, 0};
	struct mp_int nmi = {ENTRY_LINT, INT_NMI, 0, BUS_ISA, 0, 0xff, 1};

	int_entry(w, &ext);
	int_entry(w, &nmi);
}

static void header(struct writer *w)
{
	u8 *h = w->buf;

	put_text(h, "PCMP", 4);
	h[4] = w->len;
	h[5] = w->len >> 8;
	h[6] = 4; /* revision 1.4 */
	h[7] = 0;
	put_text(h + 8, "PENUMBRA", 8);
	put_text(h + 16, "GUEST PC    ", 12);
	put32(h + 28, 0);
	put32(h + 32, w->entries << 16);
	put32(h + 36, PC_LAPIC_BASE);
	put32(h + 40, 0);
	h[7] = -acpi_sum(h, w->len);
}

static void floating_pointer(u8 *p, u32 gpa)
{
	put_text(p, "_MP_", 4);
	put32(p + 4, gpa);
	for (u32 i = 8; i < MP_POINTER_LEN; i++)
		p[i] = 0;
	p[8] = 1;
	p[9] = 4;
	p[10] = -acpi_sum(p, MP_POINTER_LEN);
}

bool mptable_build(u8 *table, u32 room, u32 gpa, u8 *pointer, u32 ncpus)
{
	struct writer w = {.buf = table, .len = HEADER_LEN, .cap = room};
	u8 apic = PC_IOAPIC_ID;

	if (room < HEADER_LEN)
		return false;
	for (u32 i = 0; i < ncpus && !w.overflow; i++)
		cpu_entry(&w, i);
	bus_entry(&w, BUS_PCI, "PCI   ");
	bus_entry(&w, BUS_ISA, "ISA   ");
	ioapic_entry(&w, apic);
	isa_ints(&w, apic);
	pci_ints(&w, apic);
	local_ints(&w);
	if (w.overflow)
		return false;
	header(&w);
	floating_pointer(pointer, gpa);
	return true;
}
