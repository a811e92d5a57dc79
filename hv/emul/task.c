/* Hardware task switches; see task.h.
 *
 * Up to commit() nothing changes, and what is wrong is the old task's fault. From then on the new
 * task is the current one: its segments are checked one after the other, and the first bad one is
 * its own fault.
 *
 * SPDX-License-Identifier: MIT
 */
#include "emul/task.h"
#include "lib/errno.h"
#include "lib/str.h"

#define TSS32_BYTES   104u
#define TSS16_BYTES   44u
#define TYPE_TSS      0x1u /* system type: available TSS, with … */
#define TYPE_BUSY     0x2u /* … busy, … */
#define TYPE_32	      0x8u /* … 32-bit */
#define TYPE_LDT      0x2u
#define TYPE_CODE     0x8u /* code or data type bits */
#define TYPE_CONFORM  0x4u
#define TYPE_RW	      0x2u /* data: writable, code: readable */
#define TYPE_ACCESSED 0x1u

#define DESC_TYPE_BYTE 5 /* holds type, S, DPL, P */
#define SEL_TI	       4u
#define SEL_RPL	       3u
#define ERROR_EXT      1u

#define RFLAGS_NT   BIT(14)
#define RFLAGS_TASK 0x3f7fd7ull /* what a TSS may set */
#define DR7_LOCAL   0x155ull	/* breakpoints of the old task */
#define VM86_ATTR   0xf3u	/* present, DPL 3, writable, accessed */

/* A task as a TSS holds it, whatever its width. */
struct image {
	u32 cr3, eip, eflags;
	u32 gpr[8];
	u16 sel[6]; /* by SEG_* */
	u16 ldt, link;
	bool trap;
};

struct descriptor {
	u16 sel;
	gva_t at;
	struct segment seg;
};

/* Where a TSS has it: (offset, width of registers). Segment selectors are 16 bits in both,
 * @sel_step apart. */
static const struct layout {
	u8 bytes, width, eip, gpr, sel, sel_step, sels, ldt;
} layouts[2] = {
	{.bytes = TSS16_BYTES,
	 .width = 2,
	 .eip = 0x0e,
	 .gpr = 0x12,
	 .sel = 0x22,
	 .sel_step = 2,
	 .sels = 4,
	 .ldt = 0x2a},
	{.bytes = TSS32_BYTES,
	 .width = 4,
	 .eip = 0x20,
	 .gpr = 0x28,
	 .sel = 0x48,
	 .sel_step = 4,
	 .sels = 6,
	 .ldt = 0x60},
};
#define TSS32_CR3  0x1c
#define TSS32_TRAP 0x64

static const struct layout *layout_of(const struct segment *tss)
{
	return &layouts[!!(tss->attr & TYPE_32)];
}

static int fault(struct task *t, u8 vector, u32 error)
{
	t->fault = (struct emul_fault){.vector = vector, .has_error = true, .error = error};
	return -EFAULT;
}

/* --- descriptors -------------------------------------------------------------------------------
 */

static struct segment unpack(u16 sel, u64 raw)
{
	struct segment g = {.sel = sel,
			    .attr = (u16)((raw >> 40 & 0xff) | (raw >> 44 & 0xf00)),
			    .limit = (u32)((raw & 0xffff) | (raw >> 32 & 0xf0000)),
			    .base = (raw >> 16 & 0xffffff) | (raw >> 32 & 0xff000000)};

	if (g.attr & SEG_ATTR_G)
		g.limit = g.limit << 12 | 0xfff;
	return g;
}

/* The descriptor that @sel names, in the GDT or the current LDT; @vector if there is none. */
static int read_descriptor(struct task *t, u16 sel, u8 vector, u32 error, struct descriptor *d)
{
	const struct segment *table = sel & SEL_TI ? &t->s.seg[SEG_LDTR] : &t->s.gdt;
	u64 raw;
	int err;

	if (((sel & SEL_TI) && !(table->attr & SEG_ATTR_P)) || (sel | 7u) > table->limit)
		return fault(t, vector, error);
	d->sel = sel;
	d->at = table->base + (sel & ~7u);
	err = t->ops->read(t, d->at, &raw, sizeof(raw), false, &t->fault);
	if (!err)
		d->seg = unpack(sel, raw);
	return err;
}

static int set_type(struct task *t, const struct descriptor *d, u16 attr)
{
	u8 byte = (u8)attr;

	return t->ops->write(t, d->at + DESC_TYPE_BYTE, &byte, 1, false, &t->fault);
}

static unsigned type_of(const struct segment *g)
{
	return g->attr & (SEG_ATTR_S | SEG_ATTR_TYPE);
}

static unsigned dpl_of(const struct segment *g)
{
	return g->attr >> SEG_ATTR_DPL_SHIFT & 3;
}

/* --- the TSS -----------------------------------------------------------------------------------
 */

static u32 get(const u8 *tss, unsigned at, unsigned width)
{
	u32 value = 0;

	memcpy(&value, tss + at, width);
	return value;
}

static void put(u8 *tss, unsigned at, unsigned width, u32 value)
{
	memcpy(tss + at, &value, width);
}

static void unpack_tss(const struct layout *l, const u8 *tss, struct image *m)
{
	memset(m, 0, sizeof(*m));
	m->eip = get(tss, l->eip, l->width);
	m->eflags = get(tss, l->eip + l->width, l->width);
	for (unsigned i = 0; i < 8; i++)
		m->gpr[i] = get(tss, l->gpr + i * l->width, l->width);
	for (unsigned i = 0; i < l->sels; i++)
		m->sel[i] = (u16)get(tss, l->sel + i * l->sel_step, 2);
	m->ldt = (u16)get(tss, l->ldt, 2);
	m->link = (u16)get(tss, 0, 2);
	if (l->width == 4) {
		m->cr3 = get(tss, TSS32_CR3, 4);
		m->trap = tss[TSS32_TRAP] & 1;
	}
}

/* The part of the old TSS that a switch writes: from EIP to the last segment. CR3, LDT and stacks
 * stay. */
static void pack_tss(const struct layout *l, const struct task *t, u64 rflags, u8 *tss)
{
	put(tss, l->eip, l->width, (u32)t->rip);
	put(tss, l->eip + l->width, l->width, (u32)rflags);
	for (unsigned i = 0; i < 8; i++)
		put(tss, l->gpr + i * l->width, l->width, (u32)t->gpr[i]);
	for (unsigned i = 0; i < l->sels; i++)
		put(tss, l->sel + i * l->sel_step, 2, t->s.seg[i].sel);
}

/* --- before the switch -------------------------------------------------------------------------
 */

/* The vector of a bad TSS selector depends on who named it: the back link of a TSS, or code and
 * gates. */
static int find_tss(struct task *t, u16 sel, const struct task_cause *c, struct descriptor *d)
{
	u8 bad = c->source == TASK_IRET ? VEC_TS : VEC_GP;
	u32 error = (sel & ~SEL_RPL) | (c->external ? ERROR_EXT : 0);
	unsigned busy = c->source == TASK_IRET ? TYPE_BUSY : 0;
	int err;

	if (sel & SEL_TI)
		return fault(t, bad, error);
	err = read_descriptor(t, sel, bad, error, d);
	if (err)
		return err;
	if ((type_of(&d->seg) & ~TYPE_32) != (TYPE_TSS | busy))
		return fault(t, bad, error);
	if (!(d->seg.attr & SEG_ATTR_P))
		return fault(t, VEC_NP, error);
	if (d->seg.limit < layout_of(&d->seg)->bytes - 1u)
		return fault(t, VEC_TS, error);
	return 0;
}

static int read_tss(struct task *t, const struct descriptor *d, bool nests, struct image *m)
{
	const struct layout *l = layout_of(&d->seg);
	u8 tss[TSS32_BYTES];
	int err = t->ops->read(t, d->seg.base, tss, l->bytes, nests, &t->fault);

	if (!err)
		unpack_tss(l, tss, m);
	return err;
}

/* Into the old TSS; it is as long as the switch to it demanded. */
static int save_old(struct task *t, u64 rflags)
{
	const struct segment *tr = &t->s.seg[SEG_TR];
	const struct layout *l = layout_of(tr);
	unsigned from = l->eip, bytes = l->sel + l->sels * l->sel_step - from;
	u8 tss[TSS32_BYTES];
	int err = t->ops->read(t, tr->base + from, tss + from, bytes, true, &t->fault);

	if (err)
		return err;
	pack_tss(l, t, rflags, tss);
	return t->ops->write(t, tr->base + from, tss + from, bytes, false, &t->fault);
}

/* Busy marks and the link back. The pages were reached for reading before; a table that cannot be
 * written is the guest's own page fault. */
static int mark(struct task *t, const struct descriptor *d, const struct task_cause *c)
{
	struct descriptor old;
	u16 link = t->s.seg[SEG_TR].sel;
	int err = 0;

	if (c->source == TASK_JMP || c->source == TASK_IRET) {
		err = read_descriptor(t, link, VEC_TS, link & ~SEL_RPL, &old);
		if (!err)
			err = set_type(t, &old, old.seg.attr & (u16)~TYPE_BUSY);
	} else {
		err = t->ops->write(t, d->seg.base, &link, sizeof(link), false, &t->fault);
	}
	if (!err && c->source != TASK_IRET)
		err = set_type(t, d, d->seg.attr | TYPE_BUSY);
	return err;
}

/* --- the new task ------------------------------------------------------------------------------
 */

static int load_ldt(struct task *t, u16 sel)
{
	struct descriptor d;
	int err;

	t->s.seg[SEG_LDTR] = (struct segment){.sel = sel};
	if (!(sel & ~SEL_RPL))
		return 0;
	if (sel & SEL_TI)
		return fault(t, VEC_TS, sel & ~SEL_RPL);
	err = read_descriptor(t, sel, VEC_TS, sel & ~SEL_RPL, &d);
	if (err)
		return err;
	if (type_of(&d.seg) != TYPE_LDT || !(d.seg.attr & SEG_ATTR_P))
		return fault(t, VEC_TS, sel & ~SEL_RPL);
	t->s.seg[SEG_LDTR] = d.seg;
	return 0;
}

static bool code_fits(const struct task *t, const struct segment *g)
{
	if (!(g->attr & SEG_ATTR_S) || !(g->attr & TYPE_CODE))
		return false;
	return g->attr & TYPE_CONFORM ? dpl_of(g) <= t->s.cpl : dpl_of(g) == t->s.cpl;
}

static bool stack_fits(const struct task *t, const struct segment *g)
{
	return (type_of(g) & ~(TYPE_ACCESSED | TYPE_CONFORM)) == (SEG_ATTR_S | TYPE_RW) &&
	       (g->sel & SEL_RPL) == t->s.cpl && dpl_of(g) == t->s.cpl;
}

static bool data_fits(const struct task *t, const struct segment *g)
{
	bool code = g->attr & TYPE_CODE;

	if (!(g->attr & SEG_ATTR_S) || (code && !(g->attr & TYPE_RW)))
		return false;
	return (code && (g->attr & TYPE_CONFORM)) ||
	       dpl_of(g) >= MAX((unsigned)t->s.cpl, g->sel & SEL_RPL);
}

static int load_segment(struct task *t, unsigned seg, u16 sel)
{
	struct descriptor d;
	u32 error = sel & ~SEL_RPL;
	bool fits;
	int err;

	if (!(sel & ~SEL_RPL))
		return seg == SEG_CS || seg == SEG_SS ? fault(t, VEC_TS, error) : 0;
	err = read_descriptor(t, sel, VEC_TS, error, &d);
	if (err)
		return err;
	fits = seg == SEG_CS   ? code_fits(t, &d.seg)
	       : seg == SEG_SS ? stack_fits(t, &d.seg)
			       : data_fits(t, &d.seg);
	if (!fits)
		return fault(t, VEC_TS, error);
	if (!(d.seg.attr & SEG_ATTR_P))
		return fault(t, seg == SEG_SS ? VEC_SS : VEC_NP, error);
	if (!(d.seg.attr & TYPE_ACCESSED)) {
		d.seg.attr |= TYPE_ACCESSED;
		err = set_type(t, &d, d.seg.attr);
	}
	if (!err)
		t->s.seg[seg] = d.seg;
	return err;
}

static void load_vm86(struct task *t, const struct image *m)
{
	for (unsigned i = 0; i < ARRAY_SIZE(m->sel); i++)
		t->s.seg[i] = (struct segment){.sel = m->sel[i],
					       .attr = VM86_ATTR,
					       .limit = 0xffff,
					       .base = (u64)m->sel[i] << 4};
}

static int load_segments(struct task *t, const struct image *m)
{
	static const u8 order[] = {SEG_CS, SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS};
	int err = load_ldt(t, m->ldt);

	for (unsigned i = 0; i < ARRAY_SIZE(order) && !err; i++)
		err = load_segment(t, order[i], m->sel[order[i]]);
	return err;
}

/* Everything that cannot fail. The segments have their selectors and nothing else yet; but a CPU is
 * entered with a code segment, also to take the fault of a bad one. */
static void commit(struct task *t, const struct descriptor *d, const struct image *m,
		   const struct task_cause *c)
{
	t->switched = true;
	t->s.seg[SEG_TR] = d->seg;
	t->s.seg[SEG_TR].attr |= TYPE_BUSY;
	t->s.cr0 |= CR0_TS;
	t->s.dr7 &= ~DR7_LOCAL;
	t->rip = m->eip;
	t->rflags = (m->eflags & RFLAGS_TASK) | RFLAGS_FIXED;
	if (c->source == TASK_CALL || c->source == TASK_GATE)
		t->rflags |= RFLAGS_NT;
	for (unsigned i = 0; i < ARRAY_SIZE(m->gpr); i++)
		t->gpr[i] = m->gpr[i];
	for (unsigned i = 0; i < ARRAY_SIZE(m->sel); i++)
		t->s.seg[i] = (struct segment){.sel = m->sel[i]};
	t->s.cpl = t->rflags & RFLAGS_VM ? 3 : m->sel[SEG_CS] & SEL_RPL;
	t->s.seg[SEG_CS].attr = (u16)(SEG_ATTR_P | SEG_ATTR_S | TYPE_CODE | TYPE_RW |
				      TYPE_ACCESSED | t->s.cpl << SEG_ATTR_DPL_SHIFT);
	t->trap = m->trap;
}

/* Is [@at, @at + @width) inside the stack segment? One that grows down has its limit below. */
static bool on_stack(const struct segment *ss, u32 at, unsigned width)
{
	u32 top = ss->attr & SEG_ATTR_DB ? 0xffffffffu : 0xffff, last = at + width - 1;
	bool down = !(ss->attr & TYPE_CODE) && (ss->attr & TYPE_CONFORM);

	if (last < at || last > top)
		return false;
	return down ? at > ss->limit : last <= ss->limit;
}

static int push_error(struct task *t, u32 error, unsigned width)
{
	const struct segment *ss = &t->s.seg[SEG_SS];
	u32 mask = ss->attr & SEG_ATTR_DB ? 0xffffffffu : 0xffff;
	u32 sp = ((u32)t->gpr[GPR_RSP] - width) & mask;
	int err;

	if (!on_stack(ss, sp, width))
		return fault(t, VEC_SS, 0);
	err = t->ops->write(t, (u32)(ss->base + sp), &error, width, true, &t->fault);
	if (!err)
		t->gpr[GPR_RSP] = ((u32)t->gpr[GPR_RSP] & ~mask) | sp;
	return err;
}

static int enter(struct task *t, const struct descriptor *d, const struct image *m,
		 const struct task_cause *c)
{
	const struct layout *l = layout_of(&d->seg);
	int err = 0;

	if (l->width == 4 && (t->s.cr0 & CR0_PG)) {
		if (t->ops->set_cr3(t, m->cr3))
			return fault(t, VEC_GP, 0);
		t->s.cr3 = m->cr3;
	}
	if (t->rflags & RFLAGS_VM) {
		err = load_ldt(t, m->ldt);
		load_vm86(t, m);
	} else {
		err = load_segments(t, m);
	}
	if (!err && c->has_error)
		err = push_error(t, c->error, l->width);
	if (!err && t->rip > t->s.seg[SEG_CS].limit)
		err = fault(t, VEC_GP, 0);
	return err;
}

int task_switch(struct task *t, u16 selector, const struct task_cause *cause)
{
	u64 rflags = cause->source == TASK_IRET ? t->rflags & ~(u64)RFLAGS_NT : t->rflags;
	bool nests = cause->source == TASK_CALL || cause->source == TASK_GATE;
	struct descriptor d;
	struct image m;
	int err;

	t->switched = t->trap = false;
	err = find_tss(t, selector, cause, &d);
	if (!err)
		err = read_tss(t, &d, nests, &m);
	if (!err)
		err = save_old(t, rflags);
	if (!err)
		err = mark(t, &d, cause);
	if (err)
		return err;
	commit(t, &d, &m, cause);
	return enter(t, &d, &m, cause);
}
