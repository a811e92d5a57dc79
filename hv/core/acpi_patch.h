/* ACPI tables of the real machine as the control partition may see them (ACPI specification 6.4
 * ch. 5).
 *
 * A new root pointer, XSDT and (if every table lies below 4 GiB) RSDT are built in a buffer. They
 * point to the firmware's own tables where those stay as they are, and to copies where they do
 * not; tables that name what the partition does not have are left out. What happens to which
 * table, and why, is the list in acpi_patch.c. AML is passed on unread.
 *
 * Pure: tables are read through a callback. Everything in them is checked before use; each table
 * is read once into the buffer before it is judged.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_ACPI_PATCH_H
#define HV_CORE_ACPI_PATCH_H

#include "penumbra/types.h"

#define ACPI_PATCH_TABLES_MAX 256

struct acpi_source {
	/* @len bytes at host-physical @hpa, readable until the next call; NULL: not there. */
	const void *(*map)(void *ctx, hpa_t hpa, size_t len);
	void *ctx;
};

struct acpi_patch {
	/* in */
	struct acpi_source src;
	hpa_t rsdp;    /* the firmware's root pointer */
	u32 apic_id;   /* the only CPU that the MADT shall list */
	void *buf;     /* where the copies go, 16-byte aligned */
	gpa_t buf_gpa; /* the address of @buf in the partition */
	size_t buf_len;
	/* Optional: can the partition read this? What it cannot is copied. NULL: all. */
	bool (*reachable)(void *ctx, hpa_t hpa, u64 len);
	void *ctx;
	/* out */
	gpa_t new_rsdp;
	size_t used; /* bytes of @buf */
	u32 kept, copied, removed;
	char removed_sigs[160]; /* "DMAR HPET ...", as far as they fit */
	char bad[5];		/* on error: the signature of the table concerned */
	const char *why;	/* on error: what is wrong with it */
};

/* 0; -ENOENT: no root pointer or root table; -EINVAL: a table is malformed; -ENOSPC: @buf is too
 * small. On error p->bad and p->why are set and nothing in @buf may be used. */
int acpi_patch(struct acpi_patch *p);

/* An ISA IRQ that no override of the MADT names, that is no override's target, not the SCI, not in
 * @taken (bit n: IRQ n) and not one that a PC uses in spite of that: 10, 11, 5, 7, 15, 6 or 3, in
 * this order. Its GSI is its number. -ENOENT: none, or no MADT. */
int acpi_free_isa_irq(const struct acpi_source *src, hpa_t rsdp, u16 taken);

#endif
