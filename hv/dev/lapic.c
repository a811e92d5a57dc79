/* Local APIC: see lapic.h.
 *
 * Everything that changes IRR, ISR, TPR or the enable bits ends in update(), which keeps PPR
 * and the one vector that is deliverable, so that asking costs a field read. Registers are in
 * lapic_regs.c, the timer in lapic_timer.c, messages between APICs in lapic_ipi.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/lapic_int.h"
#include "lib/errno.h"
#include "lib/str.h"

/* --- priorities --- */

static int highest(const u32 *map)
{
	for (int i = 7; i >= 0; i--)
		if (map[i])
			return i * 32 + 31 - __builtin_clz(map[i]);
	return -1;
}

/* Recompute PPR and the deliverable vector after IRR, ISR, TPR or the enable bits changed. */
static void update(struct lapic *l)
{
	u8 served = l->isr_max < 0 ? 0 : (u8)l->isr_max;
	int was = l->deliverable;

	l->ppr = (l->tpr & 0xf0) >= (served & 0xf0) ? l->tpr : served & 0xf0;
	l->deliverable = -1;
	if (l->soft_enabled && l->irr_max >= 0 && (l->irr_max & 0xf0) > (l->ppr & 0xf0))
		l->deliverable = l->irr_max;
	if (l->deliverable > was)
		l->ops->notify(l->ctx);
}

void lapic_set_tpr(struct lapic *l, u8 tpr)
{
	l->tpr = tpr;
	update(l);
}

void lapic_set_cr8(struct lapic *l, u8 cr8)
{
	lapic_set_tpr(l, (u8)(cr8 << 4));
}

void lapic_accepts(struct lapic *l)
{
	if (l->soft_enabled && l->ops->accepts)
		l->ops->accepts(l->ctx);
}

void lapic_soft_enable(struct lapic *l)
{
	bool was = l->soft_enabled;

	l->soft_enabled = lapic_enabled(l) && (l->svr & SVR_ENABLE);
	update(l);
	if (!was)
		lapic_accepts(l);
}

/* --- errors --- */

void lapic_error(struct lapic *l, u32 bit)
{
	bool first = !(l->esr_pending & bit);

	l->esr_pending |= bit;
	/* An illegal vector in the error LVT itself is noted once and raises nothing more. */
	if (first)
		lapic_lvt_fire(l, LAPIC_LVT_ERROR);
}

/* --- accepting and finishing interrupts --- */

void lapic_set_irr(struct lapic *l, u8 vector, bool level)
{
	u32 bit = 1u << (vector & 31);
	unsigned word = vector >> 5;

	if (vector < FIRST_VECTOR) {
		lapic_error(l, ESR_RECV_VECTOR);
		return;
	}
	l->irr[word] |= bit;
	l->tmr[word] = level ? l->tmr[word] | bit : l->tmr[word] & ~bit;
	lapic_show_vector(l, vector);
	if (vector > l->irr_max) {
		l->irr_max = vector;
		update(l);
	}
}

void lapic_ack(struct lapic *l, u8 vector)
{
	u32 bit = 1u << (vector & 31);

	l->irr[vector >> 5] &= ~bit;
	l->isr[vector >> 5] |= bit;
	l->irr_max = (s16)highest(l->irr);
	if (vector > l->isr_max)
		l->isr_max = vector;
	lapic_show_vector(l, vector);
	update(l);
}

/* A level-triggered local pin sends again when it is still asserted (SDM §11.5.1, Remote IRR). */
static void lint_eoi(struct lapic *l, unsigned pin, u8 vector)
{
	u32 *lvt = &l->lvt[LAPIC_LVT_LINT0 + pin];

	if (!(*lvt & LVT_REMOTE_IRR) || (u8)*lvt != vector)
		return;
	*lvt &= ~(u32)LVT_REMOTE_IRR;
	lapic_show_lvt(l, LAPIC_LVT_LINT0 + pin);
	if (l->lint_level[pin])
		lapic_lvt_fire(l, LAPIC_LVT_LINT0 + pin);
}

void lapic_eoi_fast(struct lapic *l)
{
	u8 vector;
	u32 bit;

	if (l->isr_max < 0)
		return;
	vector = (u8)l->isr_max;
	bit = 1u << (vector & 31);
	l->isr[vector >> 5] &= ~bit;
	l->isr_max = (s16)highest(l->isr);
	lapic_show_vector(l, vector);
	update(l);
	if (!(l->tmr[vector >> 5] & bit))
		return;
	lint_eoi(l, 0, vector);
	lint_eoi(l, 1, vector);
	if (!(l->svr & SVR_NO_EOI_BROADCAST))
		l->ops->eoi(l->ctx, vector);
}

/* --- local vector table and pins --- */

void lapic_lvt_fire(struct lapic *l, enum lapic_lvt which)
{
	u32 lvt = l->lvt[which];
	u32 mode =
		which == LAPIC_LVT_TIMER || which == LAPIC_LVT_ERROR ? APIC_FIXED : LVT_MODE(lvt);
	bool pin = which == LAPIC_LVT_LINT0 || which == LAPIC_LVT_LINT1;
	bool level = pin && (lvt & LVT_LEVEL);

	if ((lvt & LVT_MASKED) || !lapic_enabled(l))
		return;
	if (mode == APIC_NMI)
		l->ops->nmi(l->ctx);
	else if (mode == APIC_INIT)
		l->ops->init(l->ctx);
	else if (mode == APIC_FIXED) {
		if (level) {
			l->lvt[which] |= LVT_REMOTE_IRR;
			lapic_show_lvt(l, which);
		}
		lapic_set_irr(l, (u8)lvt, level);
	}
}

void lapic_lint(struct lapic *l, unsigned pin, bool level)
{
	u32 lvt;
	bool rise;

	if (pin > 1)
		return;
	rise = level && !l->lint_level[pin];
	l->lint_level[pin] = level;
	if (!lapic_enabled(l)) { /* the pins are the CPU's INTR and NMI then (SDM §11.4.3) */
		if (rise)
			(pin ? l->ops->nmi : l->ops->notify)(l->ctx);
		return;
	}
	lvt = l->lvt[LAPIC_LVT_LINT0 + pin];
	if (LVT_MODE(lvt) == APIC_EXTINT) {
		if (rise && lapic_accepts_extint(l))
			l->ops->notify(l->ctx);
		return;
	}
	if (rise && !(lvt & LVT_REMOTE_IRR))
		lapic_lvt_fire(l, LAPIC_LVT_LINT0 + pin);
}

bool lapic_accepts_extint(const struct lapic *l)
{
	u32 lvt = l->lvt[LAPIC_LVT_LINT0];

	if (!lapic_enabled(l))
		return true;
	return !(lvt & LVT_MASKED) && LVT_MODE(lvt) == APIC_EXTINT;
}

/* --- APIC_BASE and resets --- */

/* Everything but APIC_BASE, ID and what the pins do. */
static void lapic_clear(struct lapic *l)
{
	memset(l->irr, 0, sizeof(l->irr));
	memset(l->isr, 0, sizeof(l->isr));
	memset(l->tmr, 0, sizeof(l->tmr));
	l->irr_max = l->isr_max = l->deliverable = -1;
	l->tpr = l->ppr = 0;
	l->ldr = 0;
	l->dfr = UINT32_MAX;
	l->svr = 0xff;
	l->esr = l->esr_pending = 0;
	lapic_set_icr(l, 0);
	for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
		l->lvt[i] = LVT_MASKED;
	if (l->cfg.bsp)
		l->lvt[LAPIC_LVT_LINT0] = APIC_EXTINT << 8;
	l->timer_init = l->timer_div = 0;
	l->timer_end = TIMER_OFF;
	l->tsc_deadline = 0;
	dev_timer_set(l->host, &l->timer, TIMER_OFF);
	lapic_soft_enable(l);
}

/* In x2APIC mode the logical ID follows from the ID (SDM §11.12.10.2). */
static void x2apic_derive(struct lapic *l)
{
	l->id = l->cfg.id;
	l->ldr = (l->id >> 4) << 16 | 1u << (l->id & 0xf);
	lapic_set_icr(l, 0);
}

static void report_base(struct lapic *l)
{
	lapic_show(l);
	l->ops->base_changed(l->ctx, l->base & ~(PAGE_SIZE - 1), lapic_page_on(l));
}

int lapic_base_write(struct lapic *l, u64 value)
{
	const u64 modes = LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC;
	u64 settable = (BIT(l->cfg.phys_bits) - PAGE_SIZE) | LAPIC_BASE_BSP | LAPIC_BASE_ENABLE;
	u64 old = l->base & modes, new = value &modes;

	if (l->cfg.x2apic)
		settable |= LAPIC_BASE_X2APIC;
	if (value & ~settable)
		return -EINVAL;
	/* SDM §11.12.5: x2APIC only from xAPIC, left only by disabling. */
	if (new == LAPIC_BASE_X2APIC)
		return -EINVAL;
	if (new == modes && old == 0)
		return -EINVAL;
	if (new == LAPIC_BASE_ENABLE && old == modes)
		return -EINVAL;
	if (value == l->base)
		return 0;
	l->base = value;
	if (!(new &LAPIC_BASE_ENABLE) && old) {
		l->id = l->cfg.id;
		lapic_clear(l);
	} else if (new == modes && old != modes) {
		x2apic_derive(l);
	}
	lapic_soft_enable(l);
	report_base(l);
	return 0;
}

void lapic_reset_init(struct lapic *l)
{
	lapic_clear(l);
	if (lapic_x2apic(l))
		x2apic_derive(l);
	lapic_show(l);
}

void lapic_reset(struct lapic *l)
{
	l->base = 0xfee00000u | LAPIC_BASE_ENABLE | (l->cfg.bsp ? LAPIC_BASE_BSP : 0);
	l->id = l->cfg.id;
	lapic_clear(l);
	report_base(l);
}

void lapic_init(struct lapic *l, const struct dev_host *host, const struct lapic_config *cfg,
		const struct lapic_ops *ops, void *ctx)
{
	memset(l, 0, sizeof(*l));
	l->host = host;
	l->ops = ops;
	l->ctx = ctx;
	l->cfg = *cfg;
	l->timer.fire = lapic_timer_fire;
	l->timer.arg = l;
	lapic_reset(l);
}
