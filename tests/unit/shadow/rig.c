/* The shadow's test machine: accesses, faults and stores; see rig.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "shadow/rig.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/x86.h"

#define ATTEMPTS 400 /* exits of one instruction; it needs one for each level and page */

void rig_fail_at(struct rig *r, int line, const char *format, ...)
{
	va_list ap;

	if (r->failed)
		return;
	r->failed = true;
	r->kind = line;
	va_start(ap, format);
	vsnprintf(r->message, sizeof(r->message), format, ap);
	va_end(ap);
}

static const char *access_name(const struct ref_access *a)
{
	static const char *const names[] = {"supervisor read",	"supervisor write",
					    "supervisor fetch", "user read",
					    "user write",	"user fetch"};

	if (a->implicit)
		return a->write ? "implicit write" : "implicit read";
	return names[(a->fetch ? 2 : a->write) + (a->user ? 3 : 0)];
}

static struct walk_regs regs_for(const struct rig *r, const struct ref_access *a)
{
	struct walk_regs g = r->g;

	g.cpl = a->user || (a->implicit && !a->inner) ? 3 : 0;
	g.pdpte = ref_mode_of(&g) == REF_PAE ? r->pdpte : NULL;
	return g;
}

static void check_cpu(struct rig *r)
{
	if (r->mmu.broken)
		rig_fail(r, "the CPU was given %s", r->mmu.broken);
}

/* --- accessed and dirty bits --- */

/* Record what the entries of @w have become: nothing but the bits that the walk sets. Of an access
 * that faults, accessed bits may be set, need not. */
static void check_marks(struct rig *r, gva_t gva, const struct ref_walk *w)
{
	for (unsigned i = 0; i < w->steps; i++) {
		gpa_t qword = w->step[i].entry & ~7ull;
		u64 changed = world_changed(qword), may = 0;

		for (unsigned j = 0; j < w->steps && changed; j++)
			if ((w->step[j].entry & ~7ull) == qword)
				may |= (w->mark[j] | PTE_A) << (w->step[j].entry & 4) * 8;
		if (changed & ~may)
			rig_fail(r, "gva %llx: entry at gpa %llx: bits %llx changed, %llx may",
				 (unsigned long long)gva, (unsigned long long)w->step[i].entry,
				 (unsigned long long)changed, (unsigned long long)may);
	}
}

/* A guest on its own CPU: the walk sets its bits itself. */
static void set_marks(struct rig *r, const struct ref_walk *w)
{
	for (unsigned i = 0; i < w->steps; i++) {
		u64 v;

		if (w->mark[i] || r->setup.mixed == MIXED_WALKS)
			rig_foreign_write(r, w->step[i].entry, true);
		if (!w->mark[i] || !world_read(NULL, w->step[i].entry, w->step[i].bytes, &v))
			continue;
		v |= w->mark[i];
		world_store(w->step[i].entry, &v, w->step[i].bytes);
	}
}

static bool marks_missing(const struct ref_walk *w)
{
	for (unsigned i = 0; i < w->steps; i++)
		if (w->mark[i] && world_is_ram(w->step[i].entry))
			return true;
	return false;
}

/* --- one access --- */

static void check_guest_fault(struct rig *r, gva_t gva, const struct ref_access *a,
			      const struct ref_walk *w, u32 error, const char *how)
{
	if (w->result == REF_FAULT && w->error == error)
		return;
	if (w->result == REF_FAULT)
		rig_fail(r, "%s at gva %llx: #PF %s with error %x, not %x", access_name(a),
			 (unsigned long long)gva, how, error, w->error);
	else
		rig_fail(r, "%s at gva %llx: #PF %s with error %x, but gpa %llx is there",
			 access_name(a), (unsigned long long)gva, how, error,
			 (unsigned long long)w->gpa);
}

/* CR0.WP is 0 and the supervisor writes to a page that the user may only read, under SMAP or keys:
 * no entry has these rights, so that the shadow may ask for the write to be emulated. */
static bool beyond_hardware(const struct rig *r, const struct ref_access *a,
			    const struct ref_walk *w)
{
	if ((r->g.cr0 & CR0_WP) || !a->write || a->user || !w->leaf.rights.user)
		return false;
	return (r->g.cr4 & CR4_PKE) || ((r->g.cr4 & CR4_SMAP) && !w->leaf.rights.write);
}

static enum rig_end check_device(struct rig *r, gva_t gva, const struct ref_access *a, gpa_t gpa)
{
	struct walk_regs g = regs_for(r, a);
	struct ref_walk w;
	hpa_t hpa;
	enum p2m_kind kind = p2m_lookup(&world_p2m, gpa, &hpa);
	bool emulated;

	r->n.devices++;
	ref_translate(&g, world_read, NULL, gva, a, &w);
	emulated = w.result == REF_OK && kind == P2M_RAM && beyond_hardware(r, a, &w);
	if (a->inner) /* taken for an explicit one: see rig_fault() */
		return RIG_DEVICE;
	if (w.result != REF_OK || w.gpa != gpa)
		rig_fail(r, "%s at gva %llx: said to be a device at gpa %llx, is %llx (result %d)",
			 access_name(a), (unsigned long long)gva, (unsigned long long)gpa,
			 (unsigned long long)w.gpa, w.result);
	else if ((kind == P2M_RAM || (kind == P2M_ROM && !a->write)) && !emulated)
		rig_fail(r, "%s at gva %llx: gpa %llx is memory, no device", access_name(a),
			 (unsigned long long)gva, (unsigned long long)gpa);
	else if (marks_missing(&w))
		rig_fail(r, "%s at gva %llx: a device, but accessed or dirty bits are missing",
			 access_name(a), (unsigned long long)gva);
	r->n.emulated += emulated;
	return emulated ? RIG_EMULATE : RIG_DEVICE;
}

/* The CPU faulted. */
static enum rig_end rig_fault(struct rig *r, gva_t gva, const struct ref_access *a, u32 error,
			      gpa_t *gpa)
{
	struct walk_regs g = regs_for(r, a);
	struct shadow_outcome out;
	struct ref_walk w, e;

	ref_translate(&g, world_read, NULL, gva, a, &w);
	e = w;
	if (a->inner) {
		/* The error code does not tell such an access from an explicit one: the shadow may
		 * do the same as for that one, until it finds out. */
		struct ref_access as_explicit = {.write = a->write};

		ref_translate(&g, world_read, NULL, gva, &as_explicit, &e);
		memcpy(w.mark, e.mark, sizeof(w.mark));
	}
	if (r->setup.filters_faults && !(error & PFEC_P)) {
		r->n.direct_faults++;
		if (oracle_permits_fault(&r->oracle, &g, gva, a, error))
			return RIG_FAULTED;
		check_guest_fault(r, gva, a, &w, error, "unseen by the hypervisor");
		return RIG_FAULTED;
	}
	out = shadow_fault(r->s, &g, gva, error);
	check_cpu(r);
	check_marks(r, gva, &w);
	*gpa = out.gpa;
	switch (out.result) {
	case SHADOW_RETRY:
		r->n.retries++;
		return RIG_RESTART;
	case SHADOW_GUEST:
		r->n.faults++;
		check_guest_fault(r, gva, a, &w, out.error, "given to the guest");
		return RIG_FAULTED;
	case SHADOW_MMIO:
		return check_device(r, gva, a, out.gpa);
	default:
		if (out.result != SHADOW_STORE || !a->write || e.result != REF_OK ||
		    e.gpa != out.gpa || !world_is_ram(e.gpa))
			rig_fail(r,
				 "%s at gva %llx: outcome %d at gpa %llx, but it is %llx (result "
				 "%d)",
				 access_name(a), (unsigned long long)gva, out.result,
				 (unsigned long long)out.gpa, (unsigned long long)w.gpa, w.result);
		return RIG_STORE;
	}
}

/* The CPU translated @gva to @hpa: may it? */
static void check_hit(struct rig *r, const struct walk_regs *g, gva_t gva,
		      const struct ref_access *a, hpa_t hpa)
{
	struct ref_walk w;
	hpa_t should = 0;
	enum p2m_kind kind = P2M_NONE;

	r->n.hits++;
	ref_translate(g, world_read, NULL, gva, a, &w);
	if (w.result == REF_OK)
		kind = p2m_lookup(&world_p2m, w.gpa, &should);
	if (w.result == REF_OK && should == hpa && !marks_missing(&w) &&
	    (kind == P2M_RAM || (kind == P2M_ROM && !a->write)))
		return;
	if (oracle_permits(&r->oracle, g, gva, a, hpa))
		return;
	if (w.result == REF_OK && should == hpa && marks_missing(&w))
		rig_fail(r, "%s at gva %llx: gpa %llx reached without accessed or dirty bits set",
			 access_name(a), (unsigned long long)gva, (unsigned long long)w.gpa);
	else
		rig_fail(r,
			 "%s at gva %llx: hpa %llx reached%s; now: result %d gpa %llx hpa %llx "
			 "error %x",
			 access_name(a), (unsigned long long)gva, (unsigned long long)hpa,
			 world_host_is_guest(hpa) ? "" : " (not the guest's)", w.result,
			 (unsigned long long)w.gpa, (unsigned long long)should, w.error);
}

/* Once on the guest's own CPU: no shadow. */
static enum rig_end native_once(struct rig *r, const struct walk_regs *g, gva_t gva,
				const struct ref_access *a, hpa_t *hpa)
{
	struct ref_walk w;
	enum p2m_kind kind;

	ref_translate(g, world_read, NULL, gva, a, &w);
	if (w.result != REF_OK)
		return RIG_FAULTED;
	set_marks(r, &w);
	kind = p2m_lookup(&world_p2m, w.gpa, hpa);
	if (kind == P2M_RAM && a->write)
		rig_foreign_write(r, w.gpa, false);
	return kind == P2M_RAM || (kind == P2M_ROM && !a->write) ? RIG_DONE : RIG_DEVICE;
}

/* One try of one access. */
static enum rig_end access_once(struct rig *r, gva_t gva, const struct ref_access *a, u32 luck,
				hpa_t *hpa, gpa_t *gpa)
{
	struct walk_regs g = regs_for(r, a);
	u32 error;

	if (ref_mode_of(&g) != REF_LONG)
		gva = (u32)gva;
	if (r->nested)
		return native_once(r, &g, gva, a, hpa);
	if (!r->mmu.loaded) {
		rig_fail(r, "no root was loaded");
		return RIG_BROKEN;
	}
	if (fakemmu_access(&r->mmu, &g, gva, a, luck, hpa, &error)) {
		check_cpu(r);
		check_hit(r, &g, gva, a, *hpa);
		return r->failed ? RIG_BROKEN : RIG_DONE;
	}
	check_cpu(r);
	return rig_fault(r, gva, a, error, gpa);
}

/* All of @gva at once, each with its host address. RIG_STORE: @at is the one, *@gpa its address. */
static enum rig_end access_all(struct rig *r, const gva_t *gva, unsigned n,
			       const struct ref_access *a, u32 luck, hpa_t *hpa, unsigned *at,
			       gpa_t *gpa)
{
	enum rig_end end = RIG_DONE;
	u64 guarded = r->n.guarded;

	for (*at = 0; *at < n && end == RIG_DONE && !r->failed;) {
		end = access_once(r, gva[*at], a, luck, &hpa[*at], gpa);
		if (end == RIG_DONE)
			++*at;
	}
	/* What was reached first may be guarded by now: the CPU would fault again. */
	if (r->frozen && end == RIG_DONE && a->write && r->n.guarded != guarded)
		end = RIG_RESTART;
	return r->failed ? RIG_BROKEN : end;
}

/* --- stores --- */

/* The bytes of an instruction's operand, where they lie. */
struct operand {
	gva_t gva[2];
	hpa_t hpa[2];
	unsigned pieces, len[2];
};

static void operand_at(struct operand *o, gva_t gva, unsigned size)
{
	o->gva[0] = gva;
	o->len[0] = MIN(size, (unsigned)(PAGE_SIZE - gva % PAGE_SIZE));
	o->pieces = o->len[0] < size ? 2 : 1;
	o->gva[1] = gva + o->len[0];
	o->len[1] = size - o->len[0];
}

static void operand_read(const struct operand *o, u8 *bytes)
{
	memcpy(bytes, hpa_va(o->hpa[0]), o->len[0]);
	if (o->pieces == 2)
		memcpy(bytes + o->len[0], hpa_va(o->hpa[1]), o->len[1]);
}

static void operand_write(const struct operand *o, const u8 *bytes)
{
	for (unsigned i = 0; i < o->pieces; i++) {
		memcpy(hpa_va(o->hpa[i]), bytes + (i ? o->len[0] : 0), o->len[i]);
		world_stored(o->hpa[i], o->len[i]);
	}
}

/* The guest's CPU carries the instruction out. */
static void store_native(struct rig *r, const struct store_insn_test *t, struct store_cpu *cpu,
			 const struct operand *o)
{
	u8 bytes[16] = {0};
	u64 unsure = 0;

	r->n.natives++;
	operand_read(o, bytes);
	store_execute(t, cpu, bytes, &unsure);
	operand_write(o, bytes);
}

static bool same_cpu(const struct store_cpu *a, const struct store_cpu *b, u64 unsure)
{
	return !memcmp(a->gpr, b->gpr, sizeof(a->gpr)) && a->rip == b->rip &&
	       !((a->rflags ^ b->rflags) & ~unsure);
}

static void tell_store(struct rig *r, const struct store_insn_test *t, const char *what, gva_t gva)
{
	char hex[3 * 15 + 1] = "";

	for (unsigned i = 0; i < t->len; i++)
		sprintf(hex + 3 * i, "%02x ", t->bytes[i]);
	rig_fail(r, "store of %u bytes at gva %llx by %s(%u bit): %s", t->size,
		 (unsigned long long)gva, hex, t->width, what);
}

/* The shadow says it has carried out one turn at least: compare with ours. */
static void check_stored(struct rig *r, const struct store_insn_test *t,
			 const struct store_cpu *before, struct store_cpu *cpu, gva_t gva,
			 gpa_t gpa)
{
	struct store_cpu want = *before;
	u64 turns = t->rep ? before->gpr[1] - cpu->gpr[1] : 1, unsure = 0;
	hpa_t hpa;
	u8 bytes[16];

	if (turns < 1 || turns > 512 || gpa % PAGE_SIZE + turns * t->size > PAGE_SIZE) {
		tell_store(r, t, "no turn, or more than the page holds", gva);
		return;
	}
	for (u64 i = 0; i < turns && !r->failed; i++, gpa += t->size) {
		world_recorded(gpa, bytes, t->size);
		store_execute(t, &want, bytes, &unsure);
		p2m_lookup(&world_p2m, gpa, &hpa);
		if (memcmp(hpa_va(hpa), bytes, t->size))
			tell_store(r, t, "memory is not what the instruction makes of it", gva);
		world_stored(hpa, t->size);
	}
	if (!same_cpu(&want, cpu, unsure))
		tell_store(r, t, "registers are not what the instruction makes of them", gva);
	r->n.stores++;
}

/* shadow_store(): RIG_DONE, or RIG_RESTART when it leaves the store to the CPU. */
static enum rig_end store_by_shadow(struct rig *r, const struct store_insn_test *t,
				    struct store_cpu *cpu, const struct ref_access *a, gva_t gva,
				    gpa_t gpa)
{
	struct walk_regs g = regs_for(r, a);
	struct store_cpu after = *cpu;
	struct shadow_insn insn = {after.gpr, &after.rip, &after.rflags,
				   t->bytes,  t->len,	  t->width};

	/* The hypervisor fetches as many bytes as there are, not as many as there have to be. */
	insn.len = sizeof(t->bytes);
	if (!shadow_store(r->s, &g, &insn, gva, gpa)) {
		check_cpu(r);
		r->n.stores_refused++;
		if (!same_cpu(cpu, &after, 0))
			tell_store(r, t, "refused, but registers changed", gva);
		return RIG_RESTART;
	}
	check_cpu(r);
	check_stored(r, t, cpu, &after, gva, gpa);
	*cpu = after;
	return RIG_DONE;
}

/* An instruction that loads a segment register and whose write to the descriptor is asked to be
 * carried out: that is no store that the shadow can know. */
static enum rig_end touch_by_shadow(struct rig *r, const struct ref_access *a, gva_t gva, gpa_t gpa)
{
	static const struct store_insn_test load_ds = {
		.bytes = {0x8e, 0xd8}, .len = 2, .width = 32};
	struct store_cpu cpu = {.rip = 0x1000, .rflags = 2};

	return store_by_shadow(r, &load_ds, &cpu, a, gva, gpa);
}

enum rig_end rig_touch(struct rig *r, const gva_t *gva, unsigned n, const struct ref_access *a,
		       u32 luck)
{
	hpa_t hpa[32];
	unsigned at;
	gpa_t gpa;

	for (unsigned i = 0; i < ATTEMPTS; i++) {
		enum rig_end end = access_all(r, gva, n, a, i ? 0xff00 : luck, hpa, &at, &gpa);

		if (end == RIG_STORE)
			end = touch_by_shadow(r, a, gva[at], gpa);
		if (end == RIG_DONE && at < n)
			rig_fail(r, "%s at gva %llx: not a store, but carried out", access_name(a),
				 (unsigned long long)gva[at]);
		if (end != RIG_RESTART)
			return end;
	}
	rig_fail(r, "%s at gva %llx and %u more: no progress", access_name(a),
		 (unsigned long long)gva[0], n - 1);
	return RIG_BROKEN;
}

/* The hypervisor's emulator carries it out, page by page, and tells the shadow. */
static enum rig_end store_emulated(struct rig *r, const struct store_insn_test *t,
				   struct store_cpu *cpu, const struct ref_access *a,
				   struct operand *o)
{
	struct walk_regs g = regs_for(r, a);
	struct ref_walk w[2];

	for (unsigned i = 0; i < o->pieces; i++) {
		ref_translate(&g, world_read, NULL, o->gva[i], a, &w[i]);
		if (w[i].result != REF_OK)
			return RIG_FAULTED;
		if (p2m_lookup(&world_p2m, w[i].gpa, &o->hpa[i]) != P2M_RAM)
			return RIG_DEVICE;
		set_marks(r, &w[i]);
	}
	store_native(r, t, cpu, o);
	for (unsigned i = 0; i < o->pieces; i++)
		shadow_written(r->s, w[i].gpa, o->len[i]);
	return RIG_DONE;
}

/* One turn of the instruction, or several if the shadow likes. */
static enum rig_end store_turn(struct rig *r, const struct store_insn_test *t,
			       struct store_cpu *cpu, const struct ref_access *a, gva_t gva,
			       u32 luck)
{
	struct operand o;
	unsigned at;
	gpa_t gpa = 0;

	operand_at(&o, gva, t->size);
	for (unsigned i = 0; i < ATTEMPTS; i++) {
		enum rig_end end =
			access_all(r, o.gva, o.pieces, a, i ? 0xff00 : luck, o.hpa, &at, &gpa);

		if (end == RIG_DONE)
			store_native(r, t, cpu, &o);
		if (end == RIG_EMULATE)
			end = store_emulated(r, t, cpu, a, &o);
		if (end == RIG_STORE)
			end = store_by_shadow(r, t, cpu, a, o.gva[at], gpa);
		if (r->failed)
			return RIG_BROKEN;
		if (end != RIG_RESTART)
			return end;
	}
	rig_fail(r, "store at gva %llx: no progress", (unsigned long long)gva);
	return RIG_BROKEN;
}

static unsigned code_width(const struct rig *r, u32 luck)
{
	if (ref_mode_of(&r->g) == REF_LONG)
		return (luck >> 28 & 3) == 3 ? 32 : 64;
	return (luck >> 28 & 7) == 7 ? 16 : 32;
}

/* What lies there, as the guest would have read it before. */
static void old_value(struct rig *r, gva_t gva, const struct ref_access *a, u64 old[2])
{
	struct walk_regs g = regs_for(r, a);
	struct ref_access look = {0};
	struct ref_walk w;

	g.cr4 &= ~(CR4_SMAP | CR4_PKE);
	memset(old, 0, 2 * sizeof(*old));
	for (unsigned i = 0; i < 2; i++) {
		ref_translate(&g, world_read, NULL, gva + 8 * i, &look, &w);
		if (w.result == REF_OK && w.gpa % PAGE_SIZE <= PAGE_SIZE - 8 && world_is_ram(w.gpa))
			world_recorded(w.gpa, &old[i], 8);
	}
}

enum rig_end rig_store(struct rig *r, gva_t gva, const struct ref_access *a, enum store_kind kind,
		       unsigned form, unsigned size, const u64 want[2], unsigned repeat, u32 luck)
{
	unsigned width = code_width(r, luck);
	struct store_insn_test t;
	struct store_cpu cpu;
	enum rig_end end;
	u64 old[2];

	if (width != 64 && gva >> 32)
		width = 64;
	old_value(r, gva, a, old);
	store_make(&t, &cpu, kind, form, width, size, gva, old, want, repeat);
	do {
		end = store_turn(r, &t, &cpu, a, gva, luck);
		gva = cpu.gpr[7]; /* of a repeated one, what comes next */
	} while (end == RIG_DONE && t.rep && cpu.gpr[1]);
	return end;
}
