/* The MADT as the control partition sees it (ACPI specification 6.4 §5.2.12).
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/acpi_table.h"
#include "lib/errno.h"

#define MADT_ENTRIES ((u32)sizeof(struct acpi_madt))

struct madt_cpu {
	u32 apic_id, uid;
	bool found;
};

/* The smallest length of an entry of @type; 0: a type that is not passed on, because it names
 * CPUs, wakes them, or is unknown. */
static unsigned madt_min_len(u8 type)
{
	switch (type) {
	case MADT_LAPIC:
		return sizeof(struct madt_lapic);
	case MADT_IOAPIC:
		return sizeof(struct madt_ioapic);
	case MADT_ISO:
		return sizeof(struct madt_iso);
	case MADT_NMI:
		return sizeof(struct madt_nmi);
	case MADT_LAPIC_NMI:
		return sizeof(struct madt_lapic_nmi);
	case MADT_LAPIC_ADDR:
		return sizeof(struct madt_lapic_addr);
	case MADT_X2APIC:
		return sizeof(struct madt_x2apic);
	case MADT_X2APIC_NMI:
		return sizeof(struct madt_x2apic_nmi);
	default:
		return 0;
	}
}

/* @e is the enabled CPU that the partition has: *@uid. */
static bool madt_is_cpu(const u8 *e, u32 apic_id, u32 *uid)
{
	const struct madt_lapic *c = (const struct madt_lapic *)e;
	const struct madt_x2apic *x = (const struct madt_x2apic *)e;

	if (e[0] == MADT_LAPIC && c->apic_id == apic_id && (c->flags & MADT_CPU_ENABLED)) {
		*uid = c->uid;
		return true;
	}
	if (e[0] == MADT_X2APIC && x->apic_id == apic_id && (x->flags & MADT_CPU_ENABLED)) {
		*uid = x->uid;
		return true;
	}
	return false;
}

/* NMI pins of local APICs: those of all, or of the CPU there is. Others pass. */
static bool madt_passes(const u8 *e, const struct madt_cpu *c)
{
	u32 uid;

	if (e[0] == MADT_LAPIC_NMI) {
		uid = ((const struct madt_lapic_nmi *)e)->uid;
		return uid == MADT_ALL_CPUS || uid == c->uid;
	}
	if (e[0] == MADT_X2APIC_NMI) {
		uid = ((const struct madt_x2apic_nmi *)e)->uid;
		return uid == MADT_ALL_X2APIC || uid == c->uid;
	}
	return true;
}

/* The entry at @t + @off of a table of @len bytes; NULL: it claims no length or too much. */
static const u8 *madt_entry(const u8 *t, u32 off, u32 len)
{
	if (len - off < 2 || t[off + 1] < 2 || t[off + 1] > len - off ||
	    t[off + 1] < madt_min_len(t[off]))
		return NULL;
	return t + off;
}

static int madt_find_cpu(const u8 *t, u32 len, struct madt_cpu *c)
{
	for (u32 off = MADT_ENTRIES; off < len; off += t[off + 1]) {
		const u8 *e = madt_entry(t, off, len);

		if (!e)
			return -EINVAL;
		if (madt_min_len(e[0]) && !c->found)
			c->found = madt_is_cpu(e, c->apic_id, &c->uid);
	}
	return c->found ? 0 : -ENOENT;
}

/* Squeeze the entries together in place, leaving one CPU. Returns the new length. */
static u32 madt_squeeze(u8 *t, u32 len, const struct madt_cpu *c)
{
	bool have = false;
	u32 to = MADT_ENTRIES, n;

	for (u32 off = MADT_ENTRIES; off < len; off += n) {
		bool cpu = t[off] == MADT_LAPIC || t[off] == MADT_X2APIC, keep;
		u32 uid;

		n = t[off + 1];
		if (!madt_min_len(t[off]))
			continue;
		keep = cpu ? !have && madt_is_cpu(t + off, c->apic_id, &uid)
			   : madt_passes(t + off, c);
		if (!keep)
			continue;
		have |= cpu;
		memmove(t + to, t + off, n);
		to += n;
	}
	return to;
}

int acpi_madt_keep_cpu(u8 *t, u32 *len, u32 apic_id)
{
	struct madt_cpu c = {.apic_id = apic_id};
	int err = *len < MADT_ENTRIES ? -EINVAL : madt_find_cpu(t, *len, &c);

	if (err)
		return err;
	*len = madt_squeeze(t, *len, &c);
	((struct acpi_header *)t)->length = *len;
	return 0;
}

u32 acpi_madt_isa_irqs(const u8 *t, u32 len)
{
	u32 used = 0;

	for (u32 off = MADT_ENTRIES; off < len; off += t[off + 1]) {
		const u8 *e = madt_entry(t, off, len);
		const struct madt_iso *iso = (const struct madt_iso *)e;
		u32 gsi;

		if (!e)
			break;
		if (e[0] != MADT_ISO && e[0] != MADT_NMI)
			continue;
		if (e[0] == MADT_ISO && iso->irq < ACPI_ISA_IRQS)
			used |= (u32)BIT(iso->irq);
		gsi = e[0] == MADT_ISO ? iso->gsi : ((const struct madt_nmi *)e)->gsi;
		if (gsi < ACPI_ISA_IRQS)
			used |= (u32)BIT(gsi);
	}
	return used;
}
