/* What of the real machine's address space the control partition reaches directly: everything that
 * is not RAM and that the hypervisor neither owns nor traps.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/hv.h"
#include "core/partition.h"
#include "firmware/console.h"
#include "lib/cpuops.h"
#include "paging/paging.h"
#include "penumbra/platform.h"

static bool overlaps(u64 a, u64 a_len, u64 b, u64 b_len)
{
	return a < b + b_len && b < a + a_len;
}

static bool touches_ram(const struct boot_info *bi, hpa_t base, u64 len)
{
	for (unsigned i = 0; i < bi->nregions; i++) {
		const struct boot_region *r = &bi->region[i];

		if ((r->type == MEM_RAM || r->type == MEM_BAD) &&
		    overlaps(base, len, r->base, r->len))
			return true;
	}
	return false;
}

/* Pages of chips that only the hypervisor may touch, whether they are trapped now or not. */
static bool touches_ours(const struct boot_info *bi, hpa_t base, u64 len)
{
	const struct boot_acpi *a = &bi->acpi;
	hpa_t uart = console_mmio();

	if (overlaps(base, len, rdmsr(MSR_APIC_BASE) & APIC_BASE_ADDR, PAGE_SIZE) ||
	    overlaps(base, len, PC_LAPIC_BASE, PAGE_SIZE))
		return true;
	for (unsigned i = 0; i < a->nioapics; i++)
		if (overlaps(base, len, ALIGN_DOWN(a->ioapic[i].base, PAGE_SIZE), PAGE_SIZE))
			return true;
	return uart && overlaps(base, len, ALIGN_DOWN(uart, PAGE_SIZE), PAGE_SIZE);
}

/* @but: registers that do not count. */
static bool touches_trapped(const struct bus *bus, gpa_t base, u64 len, const void *but)
{
	for (unsigned i = 0; i < bus->nmmio; i++)
		if (bus->mmio[i].dev != but &&
		    overlaps(base, len, ALIGN_DOWN(bus->mmio[i].base, PAGE_SIZE),
			     ALIGN_UP(bus->mmio[i].len, PAGE_SIZE)))
			return true;
	return false;
}

static bool free_of_us(const struct partition *p, gpa_t gpa, u64 len, const void *but)
{
	const struct boot_info *bi = hv_boot_info();

	if (gpa + len < gpa || gpa + len > BIT(p->phys_bits))
		return false;
	return !touches_ram(bi, gpa, len) && !touches_ours(bi, gpa, len) &&
	       !touches_trapped(&p->board.bus, gpa, len, but);
}

bool control_may_reach(void *ctx, gpa_t gpa, u64 len)
{
	return free_of_us(ctx, gpa, len, NULL);
}

bool control_may_decode(const struct partition *p, gpa_t gpa, u64 len)
{
	const struct pci_dev *own = p->ctl.pci.own;

	return free_of_us(p, gpa, len, own ? own->bar[0].dev : NULL);
}

void control_reach_changed(struct partition *p)
{
	if (!p->vcpu.paging || !p->nested.root)
		return;
	nested_map_drop_devices(&p->nested);
	p->vcpu.paging->flush(&p->vcpu);
}
