/* Local APIC: see lapic.h.
 *
 * Everything that changes IRR, ISR, TPR or the enable bits ends in lapic_update(), which keeps PPR
 * and the one vector that is deliverable, so that asking costs a field read.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/lapic.h"
#include "lib/errno.h"
#include "lib/str.h"

/* Register numbers: offset >> 4, which is also the x2APIC MSR minus 800h. */
#define REG_ID		0x02u
#define REG_VERSION	0x03u
#define REG_TPR		0x08u
#define REG_APR		0x09u
#define REG_PPR		0x0au
#define REG_EOI		0x0bu
#define REG_RRD		0x0cu
#define REG_LDR		0x0du
#define REG_DFR		0x0eu
#define REG_SVR		0x0fu
#define REG_ISR		0x10u
#define REG_TMR		0x18u
#define REG_IRR		0x20u
#define REG_ESR		0x28u
#define REG_ICR		0x30u
#define REG_ICR_HIGH	0x31u
#define REG_LVT_TIMER	0x32u
#define REG_LVT_LAST	0x37u
#define REG_TIMER_INIT	0x38u
#define REG_TIMER_COUNT 0x39u
#define REG_TIMER_DIV	0x3eu
#define REG_SELF_IPI	0x3fu

#define X2APIC_MSR_BASE 0x800u
#define X2APIC_MSR_END	0x8ffu

/* Integrated APIC, six LVT entries, EOI-broadcast suppression. */
#define VERSION_VALUE (BIT(24) | (LAPIC_LVT_COUNT - 1) << 16 | 0x14u)

#define SVR_ENABLE	     BIT(8)
#define SVR_NO_EOI_BROADCAST BIT(12)
#define SVR_WRITABLE	     (0xffu | SVR_ENABLE | BIT(9) | SVR_NO_EOI_BROADCAST)

#define ESR_SEND_VECTOR BIT(5)
#define ESR_RECV_VECTOR BIT(6)
#define ESR_REGISTER	BIT(7)

#define LVT_MODE(v)	  ((v) >> 8 & 7)
#define LVT_PENDING	  BIT(12)
#define LVT_REMOTE_IRR	  BIT(14)
#define LVT_LEVEL	  BIT(15)
#define LVT_MASKED	  BIT(16)
#define LVT_TIMER_MODE(v) ((v) >> 17 & 3)
#define TIMER_ONESHOT	  0u
#define TIMER_PERIODIC	  1u
#define TIMER_DEADLINE	  2u

#define ICR_LOGICAL	 BIT(11)
#define ICR_ASSERT	 BIT(14)
#define ICR_LEVEL	 BIT(15)
#define ICR_WRITABLE	 0x000ccfffu
#define ICR_SHORTHAND(v) ((v) >> 18 & 3)

#define DFR_ONES 0x0fffffffu
#define DFR_FLAT 0xfu

#define FIRST_VECTOR 16u

/* --- priorities --------------------------------------------------------------------------------
 */

static int highest(const u32 *map)
{
	for (int i = 7; i >= 0; i--)
		if (map[i])
			return i * 32 + 31 - __builtin_clz(map[i]);
	return -1;
}

static void lapic_update(struct lapic *l)
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
	lapic_update(l);
}

void lapic_set_cr8(struct lapic *l, u8 cr8)
{
	lapic_set_tpr(l, (u8)(cr8 << 4));
}

/* --- errors ------------------------------------------------------------------------------------
 */

static bool lvt_fire(struct lapic *l, enum lapic_lvt which);

static void lapic_error(struct lapic *l, u32 bit)
{
	bool first = !(l->esr_pending & bit);

	l->esr_pending |= bit;
	/* An illegal vector in the error LVT itself is noted once and raises nothing more. */
	if (first)
		lvt_fire(l, LAPIC_LVT_ERROR);
}

/* --- accepting and finishing interrupts --------------------------------------------------------
 */

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
	if (vector > l->irr_max) {
		l->irr_max = vector;
		lapic_update(l);
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
	lapic_update(l);
}

/* A level-triggered local pin sends again when it is still asserted (SDM §11.5.1, Remote IRR). */
static void lint_eoi(struct lapic *l, unsigned pin, u8 vector)
{
	u32 *lvt = &l->lvt[LAPIC_LVT_LINT0 + pin];

	if (!(*lvt & LVT_REMOTE_IRR) || (u8)*lvt != vector)
		return;
	*lvt &= ~(u32)LVT_REMOTE_IRR;
	if (l->lint_level[pin])
		lvt_fire(l, LAPIC_LVT_LINT0 + pin);
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
	lapic_update(l);
	if (!(l->tmr[vector >> 5] & bit))
		return;
	lint_eoi(l, 0, vector);
	lint_eoi(l, 1, vector);
	if (!(l->svr & SVR_NO_EOI_BROADCAST))
		l->ops->eoi(l->ctx, vector);
}

/* --- local vector table ------------------------------------------------------------------------
 */

/* Deliver what LVT entry @which says. False when it is masked or asks for nothing. */
static bool lvt_fire(struct lapic *l, enum lapic_lvt which)
{
	u32 lvt = l->lvt[which];
	u32 mode =
		which == LAPIC_LVT_TIMER || which == LAPIC_LVT_ERROR ? APIC_FIXED : LVT_MODE(lvt);
	bool pin = which == LAPIC_LVT_LINT0 || which == LAPIC_LVT_LINT1;
	bool level = pin && (lvt & LVT_LEVEL);

	if ((lvt & LVT_MASKED) || !lapic_enabled(l))
		return false;
	if (mode == APIC_NMI)
		l->ops->nmi(l->ctx);
	else if (mode == APIC_INIT)
		l->ops->init(l->ctx);
	else if (mode == APIC_FIXED) {
		if (level)
			l->lvt[which] |= LVT_REMOTE_IRR;
		lapic_set_irr(l, (u8)lvt, level);
	}
	return true;
}

void lapic_raise_lvt(struct lapic *l, enum lapic_lvt which)
{
	lvt_fire(l, which);
	/* SDM §11.5.1: a counter overflow masks its entry until the handler unmasks it. */
	if (which == LAPIC_LVT_PERF)
		l->lvt[which] |= LVT_MASKED;
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
		lvt_fire(l, LAPIC_LVT_LINT0 + pin);
}

bool lapic_accepts_extint(const struct lapic *l)
{
	u32 lvt = l->lvt[LAPIC_LVT_LINT0];

	if (!lapic_enabled(l))
		return true;
	return !(lvt & LVT_MASKED) && LVT_MODE(lvt) == APIC_EXTINT;
}

/* --- timer -------------------------------------------------------------------------------------
 */

static u32 timer_mode(const struct lapic *l)
{
	return LVT_TIMER_MODE(l->lvt[LAPIC_LVT_TIMER]);
}

/* ns per count: 2, 4 … 128, 1 for the encodings 0, 1 … 7 of bits 3,1,0. */
static u32 timer_divisor(const struct lapic *l)
{
	u32 code = (l->timer_div & 3) | (l->timer_div >> 1 & 4);

	return code == 7 ? 1 : 2u << code;
}

static u64 timer_period(const struct lapic *l)
{
	return (u64)l->timer_init * timer_divisor(l);
}

/* When the count that is running at @now reaches 0: past expiries of a periodic count are skipped.
 */
static u64 timer_next_end(const struct lapic *l, u64 now)
{
	u64 period = timer_period(l);

	if (l->timer_end == TIMER_OFF || now < l->timer_end)
		return l->timer_end;
	if (timer_mode(l) != TIMER_PERIODIC || !period)
		return TIMER_OFF;
	return l->timer_end + ((now - l->timer_end) / period + 1) * period;
}

static u32 timer_count(const struct lapic *l)
{
	u64 now = dev_now(l->host);
	u64 end = timer_mode(l) == TIMER_DEADLINE ? TIMER_OFF : timer_next_end(l, now);

	if (end == TIMER_OFF)
		return 0;
	return (u32)((end - now + timer_divisor(l) - 1) / timer_divisor(l));
}

static void deadline_check(struct lapic *l)
{
	if (!l->tsc_deadline)
		return;
	if (l->host->ops->guest_tsc(l->host->ctx) < l->tsc_deadline) {
		u64 at = l->host->ops->tsc_to_ns(l->host->ctx, l->tsc_deadline);

		/* Rounding between the clocks may wake us a tick early. */
		dev_timer_set(l->host, &l->timer, MAX(at, dev_now(l->host) + 1));
		return;
	}
	l->tsc_deadline = 0;
	dev_timer_set(l->host, &l->timer, TIMER_OFF);
	lvt_fire(l, LAPIC_LVT_TIMER);
}

/* Expiries up to now happen now, under the settings that are about to change. */
static void timer_settle(struct lapic *l)
{
	u64 now = dev_now(l->host);

	if (timer_mode(l) == TIMER_DEADLINE) {
		deadline_check(l);
		return;
	}
	if (l->timer_end == TIMER_OFF || now < l->timer_end)
		return;
	lvt_fire(l, LAPIC_LVT_TIMER);
	l->timer_end = timer_next_end(l, now);
}

/* Arm the machine's timer for what the registers say. A masked count needs none: it is computed. */
static void timer_arm(struct lapic *l)
{
	u64 at = TIMER_OFF, now = dev_now(l->host);

	if (timer_mode(l) == TIMER_DEADLINE) {
		if (l->tsc_deadline)
			at = l->host->ops->tsc_to_ns(l->host->ctx, l->tsc_deadline);
	} else {
		l->timer_end = timer_next_end(l, now);
		if (!(l->lvt[LAPIC_LVT_TIMER] & LVT_MASKED))
			at = l->timer_end;
	}
	dev_timer_set(l->host, &l->timer, at);
}

static void timer_fire(void *arg, u64 now_ns)
{
	struct lapic *l = arg;

	timer_settle(l);
	if (timer_mode(l) == TIMER_DEADLINE || l->timer_end == TIMER_OFF)
		return;
	if (!(l->lvt[LAPIC_LVT_TIMER] & LVT_MASKED))
		dev_timer_set(l->host, &l->timer, MAX(l->timer_end, now_ns + LAPIC_MIN_PERIOD_NS));
}

static void timer_write_init(struct lapic *l, u32 value)
{
	if (timer_mode(l) == TIMER_DEADLINE)
		return;
	timer_settle(l);
	l->timer_init = value;
	l->timer_end = value ? dev_now(l->host) + timer_period(l) : TIMER_OFF;
	timer_arm(l);
}

/* The count that remains goes on at the new rate. */
static void timer_write_div(struct lapic *l, u32 value)
{
	u32 left;

	timer_settle(l);
	left = timer_count(l);
	l->timer_div = value & 0xb;
	l->timer_end = left ? dev_now(l->host) + (u64)left * timer_divisor(l) : TIMER_OFF;
	timer_arm(l);
}

static void timer_write_lvt(struct lapic *l, u32 value)
{
	u32 old = timer_mode(l);

	if (LVT_TIMER_MODE(value) > TIMER_DEADLINE ||
	    (LVT_TIMER_MODE(value) == TIMER_DEADLINE && !l->cfg.tsc_deadline))
		value &= ~(3u << 17);
	timer_settle(l);
	l->lvt[LAPIC_LVT_TIMER] = value;
	if ((old == TIMER_DEADLINE) != (timer_mode(l) == TIMER_DEADLINE)) {
		l->timer_end = TIMER_OFF;
		l->timer_init = 0;
		l->tsc_deadline = 0;
	}
	timer_arm(l);
}

void lapic_set_tsc_deadline(struct lapic *l, u64 tsc)
{
	if (timer_mode(l) != TIMER_DEADLINE || !lapic_enabled(l))
		return;
	timer_settle(l);
	l->tsc_deadline = tsc;
	timer_arm(l);
	deadline_check(l);
}

void lapic_tsc_changed(struct lapic *l)
{
	if (timer_mode(l) != TIMER_DEADLINE)
		return;
	timer_arm(l);
	deadline_check(l);
}

/* --- interprocessor interrupts and routing ------------------------------------------------------
 */

static bool match_logical(const struct lapic *l, u32 dest, bool wide)
{
	u8 ldr = (u8)(l->ldr >> 24);

	if (lapic_x2apic(l)) {
		if (!wide) /* an 8-bit sender reaches cluster 0 */
			return !(l->ldr >> 16) && (l->ldr & dest & 0xff);
		return dest >> 16 == l->ldr >> 16 && (dest & l->ldr & 0xffff);
	}
	if (l->dfr >> 28 == DFR_FLAT)
		return ldr & dest;
	return (dest >> 4 & 0xf) == ldr >> 4 && (ldr & dest & 0xf);
}

bool lapic_match(const struct lapic *l, const struct apic_msg *msg)
{
	u32 broadcast = msg->wide ? UINT32_MAX : 0xff;
	u32 dest = msg->wide ? msg->dest : msg->dest & 0xff;

	if (!lapic_enabled(l))
		return false;
	if (dest == broadcast)
		return true;
	if (msg->logical)
		return match_logical(l, dest, msg->wide);
	return dest == l->id;
}

void lapic_deliver(struct lapic *l, const struct apic_msg *msg)
{
	switch (msg->mode) {
	case APIC_FIXED:
	case APIC_LOWEST:
		if (l->soft_enabled)
			lapic_set_irr(l, msg->vector, msg->level);
		break;
	case APIC_NMI:
		l->ops->nmi(l->ctx);
		break;
	case APIC_INIT:
		l->ops->init(l->ctx);
		break;
	case APIC_STARTUP:
		l->ops->startup(l->ctx, (gpa_t)msg->vector << 12);
		break;
	default: /* SMI and ExtINT have no receiver on this board */
		break;
	}
}

static bool addressed(const struct lapic *l, const struct lapic *from, const struct apic_msg *msg)
{
	switch (msg->shorthand) {
	case APIC_SELF:
		return l == from;
	case APIC_ALL:
		return lapic_enabled(l);
	case APIC_OTHERS:
		return l != from && lapic_enabled(l);
	default:
		return lapic_match(l, msg);
	}
}

static bool takes(const struct lapic *l, const struct apic_msg *msg)
{
	return l->soft_enabled || (msg->mode != APIC_FIXED && msg->mode != APIC_LOWEST);
}

unsigned lapic_route(struct lapic *const *all, unsigned n, const struct lapic *from,
		     const struct apic_msg *msg)
{
	struct lapic *lowest = NULL;
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++) {
		struct lapic *l = all[i];

		if (!addressed(l, from, msg) || !takes(l, msg))
			continue;
		count++;
		if (msg->mode != APIC_LOWEST)
			lapic_deliver(l, msg);
		else if (!lowest || l->ppr < lowest->ppr)
			lowest = l;
	}
	if (lowest) {
		lapic_deliver(lowest, msg);
		return 1;
	}
	return count;
}

static void icr_send(struct lapic *l)
{
	u32 low = (u32)l->icr;
	struct apic_msg msg = {
		.dest = lapic_x2apic(l) ? (u32)(l->icr >> 32) : (u32)(l->icr >> 56),
		.wide = lapic_x2apic(l),
		.logical = low & ICR_LOGICAL,
		.shorthand = ICR_SHORTHAND(low),
		.mode = LVT_MODE(low),
		.vector = (u8)low,
	};

	if (msg.mode == APIC_RESERVED || msg.mode == APIC_EXTINT)
		return;
	/* INIT level de-assert only resynchronised arbitration IDs of the first APICs. */
	if (msg.mode == APIC_INIT && (low & ICR_LEVEL) && !(low & ICR_ASSERT))
		return;
	/* Only fixed and lowest-priority messages carry an interrupt vector. */
	if (msg.mode <= APIC_LOWEST && msg.vector < FIRST_VECTOR) {
		lapic_error(l, ESR_SEND_VECTOR);
		return;
	}
	/* A CPU cannot start itself: with SELF only fixed delivery is defined (SDM table 11-3). */
	if (msg.shorthand == APIC_SELF && msg.mode != APIC_FIXED)
		return;
	l->ops->send(l->ctx, l, &msg);
}

/* --- registers ----------------------------------------------------------------------------------
 */

static const u32 lvt_writable[LAPIC_LVT_COUNT] = {
	[LAPIC_LVT_TIMER] = 0x000700ff, [LAPIC_LVT_THERMAL] = 0x000107ff,
	[LAPIC_LVT_PERF] = 0x000107ff,	[LAPIC_LVT_LINT0] = 0x0001a7ff,
	[LAPIC_LVT_LINT1] = 0x0001a7ff, [LAPIC_LVT_ERROR] = 0x000100ff,
};

static void write_lvt(struct lapic *l, unsigned n, u32 value)
{
	value &= lvt_writable[n];
	if (!(l->svr & SVR_ENABLE))
		value |= LVT_MASKED;
	if (n == LAPIC_LVT_TIMER) {
		timer_write_lvt(l, value);
		return;
	}
	if (value & LVT_LEVEL)
		value |= l->lvt[n] & LVT_REMOTE_IRR;
	l->lvt[n] = value;
	if (n != LAPIC_LVT_LINT0 && n != LAPIC_LVT_LINT1)
		return;
	if (!l->lint_level[n - LAPIC_LVT_LINT0])
		return;
	/* A pin that is up: the owner may now take the 8259, a level input may now get through. */
	if (n == LAPIC_LVT_LINT0 && lapic_accepts_extint(l))
		l->ops->notify(l->ctx);
	else if ((value & LVT_LEVEL) && !(value & LVT_REMOTE_IRR) && LVT_MODE(value) == APIC_FIXED)
		lvt_fire(l, n);
}

static void set_soft_enabled(struct lapic *l)
{
	l->soft_enabled = lapic_enabled(l) && (l->svr & SVR_ENABLE);
	lapic_update(l);
}

/* Disabling by software masks every LVT entry; they stay masked until written (SDM §11.4.7.2). */
static void write_svr(struct lapic *l, u32 value)
{
	l->svr = value & SVR_WRITABLE;
	if (!(l->svr & SVR_ENABLE)) {
		timer_settle(l);
		for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
			l->lvt[i] |= LVT_MASKED;
		timer_arm(l);
	}
	set_soft_enabled(l);
}

static u32 read_id(const struct lapic *l)
{
	return lapic_x2apic(l) ? l->id : l->id << 24;
}

/* Returns false for a register that does not exist. */
static bool reg_read(struct lapic *l, unsigned reg, u32 *v)
{
	*v = 0;
	if (reg >= REG_ISR && reg < REG_ESR) {
		const u32 *map = reg < REG_TMR ? l->isr : reg < REG_IRR ? l->tmr : l->irr;

		*v = map[reg & 7];
		return true;
	}
	if (reg >= REG_LVT_TIMER && reg <= REG_LVT_LAST) {
		*v = l->lvt[reg - REG_LVT_TIMER];
		return true;
	}
	switch (reg) {
	case REG_ID:
		*v = read_id(l);
		return true;
	case REG_VERSION:
		*v = VERSION_VALUE;
		return true;
	case REG_TPR:
		*v = l->tpr;
		return true;
	case REG_PPR:
		*v = l->ppr;
		return true;
	case REG_LDR:
		*v = l->ldr;
		return true;
	case REG_DFR:
		*v = l->dfr;
		return true;
	case REG_SVR:
		*v = l->svr;
		return true;
	case REG_ESR:
		*v = l->esr;
		return true;
	case REG_ICR:
		*v = (u32)l->icr;
		return true;
	case REG_ICR_HIGH:
		*v = (u32)(l->icr >> 32);
		return true;
	case REG_TIMER_INIT:
		*v = l->timer_init;
		return true;
	case REG_TIMER_COUNT:
		*v = timer_count(l);
		return true;
	case REG_TIMER_DIV:
		*v = l->timer_div;
		return true;
	case REG_APR:
	case REG_EOI:
	case REG_RRD:
		return true;
	default:
		return false;
	}
}

static void esr_latch(struct lapic *l)
{
	l->esr = l->esr_pending;
	l->esr_pending = 0;
}

/* Registers that both interfaces write alike. False when there is no such register. */
static bool reg_write(struct lapic *l, unsigned reg, u32 v)
{
	if (reg >= REG_LVT_TIMER && reg <= REG_LVT_LAST) {
		write_lvt(l, reg - REG_LVT_TIMER, v);
		return true;
	}
	switch (reg) {
	case REG_TPR:
		lapic_set_tpr(l, (u8)v);
		return true;
	case REG_EOI:
		lapic_eoi_fast(l);
		return true;
	case REG_SVR:
		write_svr(l, v);
		return true;
	case REG_ESR:
		esr_latch(l);
		return true;
	case REG_TIMER_INIT:
		timer_write_init(l, v);
		return true;
	case REG_TIMER_DIV:
		timer_write_div(l, v);
		return true;
	default:
		return false;
	}
}

/* --- xAPIC page ---------------------------------------------------------------------------------
 */

static void xapic_write(struct lapic *l, unsigned reg, u32 v)
{
	switch (reg) {
	case REG_ID:
		l->id = v >> 24;
		break;
	case REG_LDR:
		l->ldr = v & 0xff000000u;
		break;
	case REG_DFR:
		l->dfr = v | DFR_ONES;
		break;
	case REG_ICR:
		l->icr = (l->icr & ~0xffffffffull) | (v & ICR_WRITABLE);
		icr_send(l);
		break;
	case REG_ICR_HIGH:
		l->icr = (u32)l->icr | (u64)(v & 0xff000000u) << 32;
		break;
	case REG_VERSION:
	case REG_APR:
	case REG_PPR:
	case REG_RRD:
	case REG_TIMER_COUNT:
		break; /* read-only */
	default:
		if (reg >= REG_ISR && reg < REG_ESR)
			break;
		if (!reg_write(l, reg, v))
			lapic_error(l, ESR_REGISTER);
	}
}

static bool xapic_page_on(const struct lapic *l)
{
	return lapic_enabled(l) && !lapic_x2apic(l);
}

/* Registers are 32 bits wide on 16-byte borders; the bytes between read as zero (SDM §11.4.1 leaves
 * other accesses undefined). */
static u64 lapic_mmio_read(void *dev, u64 off, unsigned size)
{
	struct lapic *l = dev;
	unsigned byte = off & 0xf;
	u32 v;

	if (!xapic_page_on(l))
		return UINT64_MAX;
	if (off >= LAPIC_MMIO_SIZE || byte >= 4)
		return 0;
	if (!reg_read(l, (unsigned)off >> 4, &v))
		lapic_error(l, ESR_REGISTER);
	v >>= byte * 8;
	return size >= 4 ? v : v & ((1u << size * 8) - 1);
}

static void lapic_mmio_write(void *dev, u64 off, unsigned size, u64 value)
{
	struct lapic *l = dev;

	if (!xapic_page_on(l) || off >= LAPIC_MMIO_SIZE || (off & 0xf) || size < 4)
		return;
	xapic_write(l, (unsigned)off >> 4, (u32)value);
}

const struct mmio_ops lapic_mmio_ops = {
	.read = lapic_mmio_read,
	.write = lapic_mmio_write,
};

/* --- x2APIC MSRs --------------------------------------------------------------------------------
 */

int lapic_msr_read(struct lapic *l, u32 msr, u64 *value)
{
	unsigned reg = msr - X2APIC_MSR_BASE;
	u32 v;

	if (!lapic_enabled(l) || !lapic_x2apic(l))
		return -EINVAL;
	if (msr < X2APIC_MSR_BASE || msr > X2APIC_MSR_END)
		return -EINVAL;
	switch (reg) {
	case REG_ICR:
		*value = l->icr;
		return 0;
	case REG_ICR_HIGH: /* part of the 64-bit ICR */
	case REG_APR:
	case REG_RRD:
	case REG_DFR:
	case REG_EOI: /* write-only */
		return -EINVAL;
	default:
		if (!reg_read(l, reg, &v))
			return -EINVAL;
		*value = v;
		return 0;
	}
}

/* Bits of register @reg that a WRMSR may set; 0 also for those that must be written as zero. */
static u64 x2apic_writable(unsigned reg)
{
	if (reg >= REG_LVT_TIMER && reg <= REG_LVT_LAST)
		return lvt_writable[reg - REG_LVT_TIMER] | LVT_PENDING | LVT_REMOTE_IRR;
	switch (reg) {
	case REG_TPR:
	case REG_SELF_IPI:
		return 0xff;
	case REG_SVR:
		return SVR_WRITABLE;
	case REG_ICR:
		return 0xffffffff00000000ull | ICR_WRITABLE | LVT_PENDING;
	case REG_TIMER_INIT:
		return UINT32_MAX;
	case REG_TIMER_DIV:
		return 0xb;
	default:
		return 0;
	}
}

static void x2apic_self_ipi(struct lapic *l, u8 vector)
{
	l->icr = vector | (u64)APIC_SELF << 18;
	icr_send(l);
}

int lapic_msr_write(struct lapic *l, u32 msr, u64 value)
{
	unsigned reg = msr - X2APIC_MSR_BASE;

	if (!lapic_enabled(l) || !lapic_x2apic(l))
		return -EINVAL;
	if (msr < X2APIC_MSR_BASE || msr > X2APIC_MSR_END || (value & ~x2apic_writable(reg)))
		return -EINVAL;
	switch (reg) {
	case REG_ICR:
		l->icr = value & (0xffffffff00000000ull | ICR_WRITABLE);
		icr_send(l);
		return 0;
	case REG_SELF_IPI:
		x2apic_self_ipi(l, (u8)value);
		return 0;
	default:
		return reg_write(l, reg, (u32)value) ? 0 : -EINVAL;
	}
}

/* --- APIC_BASE and resets ------------------------------------------------------------------------
 */

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
	l->icr = 0;
	for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
		l->lvt[i] = LVT_MASKED;
	if (l->cfg.bsp)
		l->lvt[LAPIC_LVT_LINT0] = APIC_EXTINT << 8;
	l->timer_init = l->timer_div = 0;
	l->timer_end = TIMER_OFF;
	l->tsc_deadline = 0;
	dev_timer_set(l->host, &l->timer, TIMER_OFF);
	set_soft_enabled(l);
}

/* In x2APIC mode the logical ID follows from the ID (SDM §11.12.10.2). */
static void x2apic_derive(struct lapic *l)
{
	l->id = l->cfg.id;
	l->ldr = (l->id >> 4) << 16 | 1u << (l->id & 0xf);
	l->icr = 0;
}

static void report_base(struct lapic *l)
{
	l->ops->base_changed(l->ctx, l->base & ~(PAGE_SIZE - 1), xapic_page_on(l));
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
	set_soft_enabled(l);
	report_base(l);
	return 0;
}

void lapic_reset_init(struct lapic *l)
{
	lapic_clear(l);
	if (lapic_x2apic(l))
		x2apic_derive(l);
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
	l->timer.fire = timer_fire;
	l->timer.arg = l;
	lapic_reset(l);
}
