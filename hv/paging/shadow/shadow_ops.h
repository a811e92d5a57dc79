/* Shadow paging of a vCPU: the tables (shadow.h), the CPU that walks them and the events of both
 * brought together as one paging mode.
 *
 * While the guest has paging off, or on without CR0.WP (shadow entries cannot say "writable for the
 * supervisor only"), it runs on nested tables inside this mode where the CPU has them; else the
 * shadow tables map its addresses as they are.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_SHADOW_SHADOW_OPS_H
#define HV_PAGING_SHADOW_SHADOW_OPS_H

#include "paging/paging.h"
#include "paging/shadow/shadow.h"

struct shadow_setup {
	enum shadow_policy policy;
	struct p2m *p2m;
	unsigned pool_pages;
	bool has_nested; /* v->nested is built */
	u64 audit_every; /* entries, 0: never by itself */
	/* What the guest's CPUID shows it. */
	u8 maxphyaddr;
	bool has_1g, pml4_g_rsvd;
	bool filters_faults; /* the CPU can: translation.filter_faults */
	/* The bytes at RIP: how many, and where (perhaps in @buf, of 15 bytes). */
	const u8 *(*fetch)(struct vcpu *v, u8 *buf, unsigned *n);
	/* A violation that an audit found. */
	void (*say)(void *vcpu, const char *text);
};

enum shadow_running { SHADOW_OFF, SHADOW_NESTED, SHADOW_TABLES, SHADOW_FROZEN };

struct shadow_paging {
	struct shadow_setup setup;
	struct shadow *tables;
	/* What the CPU walks; OFF: another mode's; FROZEN: so too, but see below. */
	enum shadow_running running;
	struct walk_regs regs; /* of TABLES: as of the last change of CR3 or mode */
	u64 mode_changes;      /* between nested and shadow tables by what the guest did */
	u64 until_audit, audits, violations;
};

/* Make @v->shadow = @s ready for paging_shadow. -ENOMEM. @has_1g of the CPU, @phys_bits its
 * addresses. */
int shadow_paging_init(struct vcpu *v, struct shadow_paging *s, const struct shadow_setup *setup,
		       bool has_1g, u8 phys_bits);
/* Give everything back; @v must be in no mode or another one. One that was never made is fine. */
void shadow_paging_free(struct vcpu *v);
/* Memory kinds in [@gpa, @gpa + @len) of the map below changed, whichever mode @v is in. */
void shadow_paging_changed(struct vcpu *v, gpa_t gpa, u64 len);
/* For a mode in which only some address spaces run on the tables (shadow_set_guard()): the guest
 * goes from one that does to one that does not, and the other way. @loads: it is loading CR3, which
 * the engine has already. Who runs the guest meanwhile sets its translation. */
void shadow_paging_freeze(struct vcpu *v, bool loads);
void shadow_paging_thaw(struct vcpu *v);
/* Count an entry, and audit when it is time for one. */
void shadow_paging_entry(struct vcpu *v);

#endif
