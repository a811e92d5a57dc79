/* Patched copies of the host's ACPI tables: see acpi_patch.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/acpi_patch.h"
#include "core/acpi_table.h"
#include "lib/errno.h"
#include "lib/str.h"

#define TABLE_ALIGN 16
#define LOW_END	    0x100000000ull
#define FADT_MIN    offsetof(struct acpi_fadt, reset_reg)

/* What becomes of a table; one that is not listed is passed on. */
enum action { KEEP, DROP, PATCH_MADT, PATCH_FADT };
static const struct rule {
	char signature[5];
	enum action action;
} rules[] = {
	{"APIC", PATCH_MADT},
	{"FACP", PATCH_FADT},
	/* Remapping of DMA and interrupts is the hypervisor's. */
	{"DMAR", DROP},
	{"IVRS", DROP},
	{"VIOT", DROP},
	/* The hypervisor owns the timers: it may use this one, and an IRQ of it as PIT or RTC
	 * replacement would come to nobody. */
	{"HPET", DROP},
	/* CPUs and memory that the partition does not have. */
	{"SRAT", DROP},
	{"SLIT", DROP},
	{"MSCT", DROP},
	{"HMAT", DROP},
	{"PMTT", DROP},
	{"MPST", DROP},
	{"PPTT", DROP},
	{"CPEP", DROP},
	/* Performance and idle states are of whole packages, on which guests run too. */
	{"PCCT", DROP},
	{"LPIT", DROP},
	/* Machine checks and NMIs arrive at the hypervisor; injecting errors hurts the guests. */
	{"BERT", DROP},
	{"HEST", DROP},
	{"ERST", DROP},
	{"EINJ", DROP},
	/* They name the UART that the hypervisor has. */
	{"SPCR", DROP},
	{"DBGP", DROP},
	{"DBG2", DROP},
	/* Points into memory that the boot loader has given back. */
	{"BGRT", DROP},
	/* On purpose: ECAM is trapped; the TPM and its MMIO are the partition's; a watchdog is
	 * armed only by a program of the partition that opens it. */
	{"MCFG", KEEP},
	{"TPM2", KEEP},
	{"TCPA", KEEP},
	{"WDAT", KEEP},
};

/* --- reading ---------------------------------------------------------------------------------- */

static int fail(struct acpi_patch *p, int err, const char *sig, const char *why)
{
	/* Signatures come from the firmware: printable, or it is not shown. */
	for (unsigned i = 0; i < 4; i++)
		p->bad[i] = sig[i] >= ' ' && sig[i] <= '~' ? sig[i] : '?';
	p->bad[4] = 0;
	p->why = why;
	return err;
}

/* Header of the table at @hpa; its length is sane, nothing else is checked yet. */
static int head_read(const struct acpi_source *s, hpa_t hpa, struct acpi_header *h)
{
	const void *t = hpa ? s->map(s->ctx, hpa, sizeof(*h)) : NULL;

	if (!t)
		return -ENOENT;
	memcpy(h, t, sizeof(*h));
	if (h->length < sizeof(*h) || h->length > ACPI_TABLE_MAX || hpa + h->length < hpa)
		return -EINVAL;
	return 0;
}

/* The whole table of @len bytes, whose sum is good; NULL: not. */
static const u8 *table_map(const struct acpi_source *s, hpa_t hpa, u32 len)
{
	const u8 *t = s->map(s->ctx, hpa, len);

	/* The length is read again with the rest: it must be the one that was checked. */
	return t && acpi_get(t + 4, 4) == len && acpi_sum(t, len) == 0 ? t : NULL;
}

/* The root pointer into @r; a bad second half leaves the first. */
static int root_read(const struct acpi_source *s, hpa_t hpa, struct acpi_rsdp *r)
{
	const void *t = hpa ? s->map(s->ctx, hpa, ACPI_RSDP_V1_LEN) : NULL;

	memset(r, 0, sizeof(*r));
	if (!t)
		return -ENOENT;
	memcpy(r, t, ACPI_RSDP_V1_LEN);
	if (memcmp(r->signature, ACPI_RSDP_SIGNATURE, 8) != 0 || acpi_sum(r, ACPI_RSDP_V1_LEN) != 0)
		return -ENOENT;
	if (r->revision < 2)
		return 0;
	t = s->map(s->ctx, hpa, sizeof(*r));
	if (!t || acpi_sum(t, sizeof(*r)) != 0)
		r->revision = 0;
	else
		memcpy(r, t, sizeof(*r));
	return 0;
}

/* The root table: *@size is the size of its entries. */
static int root_table(const struct acpi_source *s, hpa_t rsdp, hpa_t *table, u32 *len,
		      unsigned *size)
{
	struct acpi_rsdp r;
	struct acpi_header h;

	if (root_read(s, rsdp, &r))
		return -ENOENT;
	for (unsigned wide = r.revision >= 2; wide < 2; wide = wide ? 0 : 2) {
		hpa_t at = wide ? r.xsdt : r.rsdt;

		if (head_read(s, at, &h) || !acpi_sig_is(&h, wide ? "XSDT" : "RSDT") ||
		    !table_map(s, at, h.length))
			continue;
		*table = at;
		*len = h.length;
		*size = wide ? 8 : 4;
		return 0;
	}
	return -ENOENT;
}

static hpa_t root_entry(const struct acpi_source *s, hpa_t table, unsigned size, unsigned i)
{
	const u8 *t = s->map(s->ctx, table + sizeof(struct acpi_header) + (u64)i * size, size);

	return t ? acpi_get(t, size) : 0;
}

/* --- the buffer ------------------------------------------------------------------------------- */

static void *buf_alloc(struct acpi_patch *p, size_t len)
{
	size_t at = ALIGN_UP(p->used, (size_t)TABLE_ALIGN);

	if (at > p->buf_len || len > p->buf_len - at)
		return NULL;
	p->used = at + len;
	return (u8 *)p->buf + at;
}

static gpa_t buf_gpa(const struct acpi_patch *p, const void *at)
{
	return p->buf_gpa + (u64)((const u8 *)at - (const u8 *)p->buf);
}

/* A copy of the table at @hpa, checked after it was copied: what is used is what was checked. A bad
 * sum counts only where the table is used here (@strict): operating systems warn and go on. */
static int table_copy(struct acpi_patch *p, hpa_t hpa, const struct acpi_header *h, bool strict,
		      u8 **copy)
{
	const void *t;

	*copy = buf_alloc(p, h->length);
	if (!*copy)
		return fail(p, -ENOSPC, h->signature, "no room for a copy");
	t = p->src.map(p->src.ctx, hpa, h->length);
	if (!t)
		return fail(p, -EINVAL, h->signature, "cannot be read");
	memcpy(*copy, t, h->length);
	if (memcmp(*copy, h, sizeof(*h)) != 0 || (strict && acpi_sum(*copy, h->length) != 0))
		return fail(p, -EINVAL, h->signature, "bad checksum");
	return 0;
}

static bool is_reachable(const struct acpi_patch *p, hpa_t hpa, u64 len)
{
	return !p->reachable || p->reachable(p->ctx, hpa, len);
}

/* --- the two that change ---------------------------------------------------------------------- */

static int patch_madt(struct acpi_patch *p, u8 *t, u32 len)
{
	int err = acpi_madt_keep_cpu(t, &len, p->apic_id);

	if (err == -ENOENT)
		return fail(p, -EINVAL, "APIC", "does not list this CPU");
	if (err)
		return fail(p, err, "APIC", "an entry is cut off");
	acpi_seal(t, len);
	return 0;
}

/* The DSDT is reached through here only: where the partition cannot read it, it gets a copy. */
static int fadt_dsdt(struct acpi_patch *p, struct acpi_fadt *f, u32 len)
{
	bool wide = len >= offsetof(struct acpi_fadt, x_pm1a_evt) && f->x_dsdt;
	hpa_t dsdt = wide ? f->x_dsdt : f->dsdt;
	struct acpi_header h;
	gpa_t moved;
	u8 *copy;
	int err = head_read(&p->src, dsdt, &h);

	if (err || !acpi_sig_is(&h, "DSDT"))
		return fail(p, -EINVAL, "DSDT", "not there");
	if (is_reachable(p, dsdt, h.length))
		return 0;
	err = table_copy(p, dsdt, &h, false, &copy);
	if (err)
		return err;
	moved = buf_gpa(p, copy);
	if (wide)
		f->x_dsdt = moved;
	f->dsdt = moved < LOW_END ? (u32)moved : 0;
	if (!wide && moved >= LOW_END)
		return fail(p, -EINVAL, "DSDT", "its copy lies beyond the reach of an old FACP");
	p->copied++;
	return 0;
}

/* CPUs idle and slow down by HLT and the hypervisor's will: the port methods would stop a CPU on
 * which guests run too, and announcing them to SMM would make the firmware expect that. */
static int patch_fadt(struct acpi_patch *p, u8 *t, u32 len)
{
	struct acpi_fadt *f = (struct acpi_fadt *)t;
	int err;

	if (len < FADT_MIN)
		return fail(p, -EINVAL, "FACP", "too short");
	f->flags = (f->flags & ~(u32)FADT_CLUSTER) | (u32)FADT_PHYSICAL;
	f->pstate = 0;
	f->cst = 0;
	f->duty_width = 0;
	f->c2_latency = FADT_LATENCY_NO;
	f->c3_latency = FADT_LATENCY_NO;
	err = fadt_dsdt(p, f, len);
	acpi_seal(t, len);
	return err;
}

/* --- the whole -------------------------------------------------------------------------------- */

struct list {
	gpa_t at[ACPI_PATCH_TABLES_MAX];
	unsigned n;
	bool low; /* all below 4 GiB */
	bool madt, fadt;
};

static enum action action_for(const struct acpi_header *h)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++)
		if (acpi_sig_is(h, rules[i].signature))
			return rules[i].action;
	return KEEP;
}

static void note_removed(struct acpi_patch *p, const struct acpi_header *h)
{
	size_t n = strlen(p->removed_sigs);

	p->removed++;
	if (n + 6 > sizeof(p->removed_sigs))
		return;
	if (n)
		p->removed_sigs[n++] = ' ';
	memcpy(p->removed_sigs + n, h->signature, 4);
	p->removed_sigs[n + 4] = 0;
}

static int add_copy(struct acpi_patch *p, struct list *l, hpa_t hpa, const struct acpi_header *h,
		    enum action action)
{
	u8 *copy;
	int err = table_copy(p, hpa, h, action != KEEP, &copy);

	if (!err && action == PATCH_MADT)
		err = patch_madt(p, copy, h->length);
	if (!err && action == PATCH_FADT)
		err = patch_fadt(p, copy, h->length);
	if (err)
		return err;
	p->copied++;
	l->at[l->n++] = buf_gpa(p, copy);
	return 0;
}

/* One entry of the root table. Only the first MADT and FADT count, as everywhere. */
static int add_table(struct acpi_patch *p, struct list *l, hpa_t hpa)
{
	struct acpi_header h;
	enum action action;
	bool *seen;
	int err = head_read(&p->src, hpa, &h);

	if (err == -ENOENT)
		return fail(p, -EINVAL, "RSDT", "an entry points nowhere");
	if (err)
		return fail(p, err, h.signature, "impossible length");
	action = action_for(&h);
	seen = action == PATCH_MADT ? &l->madt : action == PATCH_FADT ? &l->fadt : NULL;
	if (action == DROP || (seen && *seen)) {
		note_removed(p, &h);
		return 0;
	}
	if (seen)
		*seen = true;
	if (action != KEEP || !is_reachable(p, hpa, h.length))
		return add_copy(p, l, hpa, &h, action);
	l->at[l->n++] = hpa;
	p->kept++;
	return 0;
}

static void put_head(u8 *t, const char *sig, u32 len)
{
	struct acpi_header h = {.length = len, .revision = 1, .oem_revision = 1};

	memcpy(h.signature, sig, 4);
	memcpy(h.oem_id, "PNUMBR", 6);
	memcpy(h.oem_table_id, "CONTROL ", 8);
	memcpy(h.creator, "PNUM", 4);
	h.creator_revision = 1;
	memcpy(t, &h, sizeof(h));
}

/* XSDT (@size 8) or RSDT (4): its address, 0: no room. */
static gpa_t put_root_table(struct acpi_patch *p, const struct list *l, unsigned size)
{
	u32 len = (u32)sizeof(struct acpi_header) + l->n * size;
	u8 *t = buf_alloc(p, len);

	if (!t)
		return 0;
	put_head(t, size == 8 ? "XSDT" : "RSDT", len);
	for (unsigned i = 0; i < l->n; i++)
		acpi_put(t + sizeof(struct acpi_header) + (size_t)i * size, size, l->at[i]);
	acpi_seal(t, len);
	return buf_gpa(p, t);
}

static int put_roots(struct acpi_patch *p, struct list *l)
{
	struct acpi_rsdp r = {.revision = 2, .length = sizeof(r)};
	void *at = buf_alloc(p, sizeof(r));

	l->low = p->buf_gpa + p->buf_len <= LOW_END;
	for (unsigned i = 0; i < l->n; i++)
		l->low &= l->at[i] < LOW_END;
	r.xsdt = put_root_table(p, l, 8);
	if (l->low)
		r.rsdt = (u32)put_root_table(p, l, 4);
	if (!at || !r.xsdt || (l->low && !r.rsdt))
		return fail(p, -ENOSPC, "XSDT", "no room");
	memcpy(r.signature, ACPI_RSDP_SIGNATURE, 8);
	memcpy(r.oem_id, "PNUMBR", 6);
	r.checksum = (u8)-acpi_sum(&r, ACPI_RSDP_V1_LEN);
	r.ext_checksum = (u8)-acpi_sum(&r, sizeof(r));
	memcpy(at, &r, sizeof(r));
	p->new_rsdp = buf_gpa(p, at);
	return 0;
}

int acpi_patch(struct acpi_patch *p)
{
	struct list l = {0};
	hpa_t table;
	u32 len;
	unsigned size, n;
	int err;

	p->new_rsdp = 0;
	p->used = 0;
	p->kept = p->copied = p->removed = 0;
	p->removed_sigs[0] = 0;
	p->bad[0] = 0;
	p->why = NULL;
	if (root_table(&p->src, p->rsdp, &table, &len, &size))
		return fail(p, -ENOENT, "RSDP", "no root pointer or root table");
	n = (len - (u32)sizeof(struct acpi_header)) / size;
	if (n > ACPI_PATCH_TABLES_MAX)
		return fail(p, -EINVAL, "XSDT", "too many tables");
	for (unsigned i = 0; i < n; i++) {
		hpa_t hpa = root_entry(&p->src, table, size, i);

		/* Empty entries occur and mean nothing. */
		err = hpa ? add_table(p, &l, hpa) : 0;
		if (err)
			return err;
	}
	if (!l.madt || !l.fadt)
		return fail(p, -EINVAL, l.madt ? "FACP" : "APIC", "not there");
	return put_roots(p, &l);
}

/* --- a free ISA IRQ --------------------------------------------------------------------------- */

static u32 fadt_sci(const u8 *t, u32 len)
{
	const struct acpi_fadt *f = (const struct acpi_fadt *)t;

	if (len < offsetof(struct acpi_fadt, smi_cmd) || f->sci_irq >= ACPI_ISA_IRQS)
		return 0;
	return (u32)BIT(f->sci_irq);
}

int acpi_free_isa_irq(const struct acpi_source *src, hpa_t rsdp, u16 taken)
{
	static const u8 order[] = {10, 11, 5, 7, 15, 6, 3};
	u32 used = taken, len;
	unsigned size, n;
	bool madt = false;
	hpa_t table;

	if (root_table(src, rsdp, &table, &len, &size))
		return -ENOENT;
	n = MIN((len - (u32)sizeof(struct acpi_header)) / size, ACPI_PATCH_TABLES_MAX);
	for (unsigned i = 0; i < n; i++) {
		hpa_t hpa = root_entry(src, table, size, i);
		struct acpi_header h;
		const u8 *t = head_read(src, hpa, &h) ? NULL : table_map(src, hpa, h.length);

		if (t && acpi_sig_is(&h, "APIC") && h.length >= sizeof(h)) {
			used |= acpi_madt_isa_irqs(t, h.length);
			madt = true;
		} else if (t && acpi_sig_is(&h, "FACP")) {
			used |= fadt_sci(t, h.length);
		}
	}
	for (unsigned i = 0; madt && i < ARRAY_SIZE(order); i++)
		if (!(used & BIT(order[i])))
			return order[i];
	return -ENOENT;
}
