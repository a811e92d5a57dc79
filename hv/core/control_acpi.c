/* The firmware's ACPI tables for the control partition: reads physical memory of any kind for
 * acpi_patch.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/acpi_patch.h"
#include "core/control_board.h"
#include "core/cpu.h"
#include "core/hv.h"
#include "core/partition.h"
#include "core/report.h"
#include "lib/errno.h"
#include "mem/frames.h"
#include "mem/hostmap.h"

#define WINDOW_BYTES (256 * KIB) /* the longest table that can be looked at */

/* A look through a buffer: tables can lie where the direct map has nothing. */
static const void *window_map(void *ctx, hpa_t hpa, size_t len)
{
	return len <= WINDOW_BYTES && phys_read(hpa, ctx, len) == 0 ? ctx : NULL;
}

static void *window_open(void)
{
	hpa_t w = frames_alloc(WINDOW_BYTES / PAGE_SIZE, 1, OWNER_HYPERVISOR);

	return w ? hpa_va(w) : NULL;
}

static void window_close(void *w)
{
	if (w)
		frames_free(va_hpa(w), WINDOW_BYTES / PAGE_SIZE, OWNER_HYPERVISOR);
}

gpa_t control_acpi_tables(struct partition *p, hpa_t at, u64 len)
{
	void *w = window_open();
	struct acpi_patch a = {
		.src = {.map = window_map, .ctx = w},
		.rsdp = hv_boot_info()->acpi.rsdp,
		.apic_id = cpus[0].apic_id,
		.buf = hpa_va(at),
		.buf_gpa = at,
		.buf_len = len,
		.reachable = control_may_reach,
		.ctx = p,
		.why = "there is none",
	};
	int err = w && a.rsdp ? acpi_patch(&a) : -ENOENT;

	window_close(w);
	if (!err)
		return a.new_rsdp;
	report_error(p->cfg.name, "acpi", "table %s: %s: the control partition starts without ACPI",
		     a.bad[0] ? a.bad : "RSDP", a.why);
	return 0;
}

int control_acpi_free_irq(void)
{
	void *w = window_open();
	struct acpi_source src = {.map = window_map, .ctx = w};
	hpa_t rsdp = hv_boot_info()->acpi.rsdp;
	int irq = w && rsdp ? acpi_free_isa_irq(&src, rsdp, 0) : -ENOENT;

	window_close(w);
	return irq;
}
