/* The control partition's IOAPICs and PCI configuration space. The first input byte chooses.
 * IOAPICs run in the unit test's model: no level interrupt lost, none without cause, no storm.
 * Configuration space runs over the unit test's bus: whatever is written, no real function decodes
 * RAM or what the hypervisor owns, a hidden function is never touched, and news of our own BAR fit
 * together.
 *
 * SRCS: hv/dev/hostioapic.c hv/dev/hostpci.c hv/dev/hostpci_bar.c hv/dev/pci.c hv/dev/bus.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "../unit/hostioapic_model.h"
#include "../unit/hostpci_world.h"
#include "fuzz.h"

static u8 next_byte(void *ctx)
{
	return take(ctx);
}

static void ioapics(struct program *p)
{
	struct model m;
	const char *error;

	/* Two bytes a step; the model goes on with zeros, which only moves a wire. */
	error = model_run(&m, (unsigned)MIN(p->end - p->p, 8192) / 2, next_byte, p);
	if (error)
		fprintf(stderr, "%s\n", error);
	MUST(!error);
}

static u32 take32(struct program *p)
{
	u32 v = take(p);

	v |= (u32)take(p) << 8;
	v |= (u32)take(p) << 16;
	return v | (u32)take(p) << 24;
}

static u32 take_sbdf(struct world *w, struct program *p)
{
	u8 pick = take(p);

	if (pick == 0xff)
		return take32(p);
	return pick & 1 ? w->h.own_sbdf : w->fn[pick / 2 % w->nfns].sbdf;
}

static void pci_step(struct world *w, struct program *p)
{
	u8 op = take(p);
	unsigned size = 1u << (op >> 3 & 3);
	u32 sbdf = take_sbdf(w, p);
	u64 off = (u64)(sbdf & 0xffff) << 12 | take(p);

	switch (op & 7) {
	case 0:
		hostpci_port_ops.write(&w->h, 0xcf8, 4, 0x80000000 | sbdf << 8 | (off & 0xff));
		break;
	case 1:
		hostpci_port_ops.write(&w->h, (u16)(0xcf8 + (off & 7)), MIN(size, 4u), take32(p));
		break;
	case 2:
		MUST(size >= 4 ||
		     hostpci_port_ops.read(&w->h, (u16)(0xcf8 + (off & 7)), size) >> 8 * size == 0);
		break;
	case 3:
		hostpci_ecam_ops.read(&w->h.window[sbdf >> 16 & 1], off, size);
		break;
	case 4:
		pci_set_intx(&w->own, op & 0x80);
		break;
	default:
		hostpci_ecam_ops.write(&w->h.window[sbdf >> 16 & 1], off, size,
				       take32(p) * 0x100000001ull);
		break;
	}
}

static void pci(struct program *p)
{
	struct world w;
	struct world_fn uart;

	world_init(&w);
	uart = *world_find(&w, WORLD_UART);
	MUST(world_add_own(&w, WORLD_OWN) > 0);
	while (p->p < p->end && !w.error)
		pci_step(&w, p);
	if (w.error)
		fprintf(stderr, "%s\n", w.error);
	MUST(!w.error);
	MUST(!memcmp(&uart, world_find(&w, WORLD_UART), sizeof(uart)));
	MUST(world_find(&w, WORLD_PIC)->dword[1] & PCI_COMMAND_MEM);
	MUST(world_find(&w, WORLD_PIC)->dword[4] == WORLD_IOAPIC);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct program p = {data, data + size};

	if (take(&p) & 1)
		ioapics(&p);
	else
		pci(&p);
	return 0;
}
