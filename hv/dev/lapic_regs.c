/* Registers of the local APIC as software sees them: xAPIC page and x2APIC MSRs (SDM vol. 3
 * §11.4.1, §11.12.1.2).
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/lapic_int.h"
#include "lib/errno.h"

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

#define DFR_ONES 0x0fffffffu
#define ICR_HIGH 0xff000000u /* of its upper half */

#define WORDS 4u /* of the page, from one register to the next */

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
		lapic_timer_write_lvt(l, value);
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
		lapic_lvt_fire(l, n);
}

/* Disabling by software masks every LVT entry; they stay masked until written (SDM §11.4.7.2). */
static void write_svr(struct lapic *l, u32 value)
{
	l->svr = value & SVR_WRITABLE;
	if (!(l->svr & SVR_ENABLE)) {
		lapic_timer_settle(l);
		for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
			l->lvt[i] |= LVT_MASKED;
		lapic_timer_arm(l);
	}
	lapic_soft_enable(l);
}

/* The high half of ICR, which a CPU that shares the page writes on its own. */
static void take_icr_high(struct lapic *l)
{
	if (l->page && lapic_page_on(l))
		l->icr = (u32)l->icr | (u64)(l->page[REG_ICR_HIGH * WORDS] & ICR_HIGH) << 32;
}

void lapic_set_icr(struct lapic *l, u64 value)
{
	l->icr = value;
	if (l->page)
		l->page[REG_ICR_HIGH * WORDS] = (u32)(value >> 32);
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
		take_icr_high(l);
		*v = (u32)(l->icr >> 32);
		return true;
	case REG_TIMER_INIT:
		*v = l->timer_init;
		return true;
	case REG_TIMER_COUNT:
		*v = lapic_timer_count(l);
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
		lapic_timer_write_init(l, v);
		return true;
	case REG_TIMER_DIV:
		lapic_timer_write_div(l, v);
		return true;
	default:
		return false;
	}
}

/* --- xAPIC page --- */

static void xapic_write(struct lapic *l, unsigned reg, u32 v)
{
	switch (reg) {
	case REG_ID:
		l->id = v >> 24;
		lapic_accepts(l);
		break;
	case REG_LDR:
		l->ldr = v & 0xff000000u;
		lapic_accepts(l);
		break;
	case REG_DFR:
		l->dfr = v | DFR_ONES;
		lapic_accepts(l);
		break;
	case REG_ICR:
		take_icr_high(l);
		l->icr = (l->icr & ~0xffffffffull) | (v & ICR_WRITABLE);
		lapic_icr_send(l);
		break;
	case REG_ICR_HIGH:
		lapic_set_icr(l, (u32)l->icr | (u64)(v & ICR_HIGH) << 32);
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

/* --- the shared page --- */

static void show(struct lapic *l, unsigned reg)
{
	u32 v;

	if (reg != REG_TPR && reg_read(l, reg, &v))
		l->page[reg * WORDS] = v;
}

void lapic_show_vector(struct lapic *l, u8 vector)
{
	unsigned word = vector >> 5;

	if (!l->page)
		return;
	l->page[(REG_ISR + word) * WORDS] = l->isr[word];
	l->page[(REG_TMR + word) * WORDS] = l->tmr[word];
	l->page[(REG_IRR + word) * WORDS] = l->irr[word];
}

void lapic_show_lvt(struct lapic *l, enum lapic_lvt which)
{
	if (l->page)
		show(l, REG_LVT_TIMER + which);
}

void lapic_show(struct lapic *l)
{
	for (unsigned reg = REG_ID; l->page && reg < REG_SELF_IPI; reg++)
		show(l, reg);
}

void lapic_share(struct lapic *l, u32 *page)
{
	l->page = page;
	lapic_set_icr(l, l->icr);
	lapic_show(l);
}

/* Whether a register took what was written to it. The timer's mode and the enable bit change
 * others too. */
static void show_written(struct lapic *l, unsigned reg)
{
	if (reg == REG_SVR || reg == REG_LVT_TIMER)
		lapic_show(l);
	else
		show(l, reg);
}

void lapic_wrote(struct lapic *l, unsigned offset)
{
	unsigned reg = offset >> 4;

	if (!l->page || offset >= LAPIC_MMIO_SIZE || !lapic_page_on(l))
		return;
	xapic_write(l, reg, l->page[reg * WORDS]);
	show_written(l, reg);
}

/* --- accesses --- */

/* Registers are 32 bits wide on 16-byte borders; the bytes between read as zero (SDM §11.4.1 leaves
 * other accesses undefined). */
static u64 lapic_mmio_read(void *dev, u64 off, unsigned size)
{
	struct lapic *l = dev;
	unsigned byte = off & 0xf;
	u32 v;

	if (!lapic_page_on(l))
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

	if (!lapic_page_on(l) || off >= LAPIC_MMIO_SIZE || (off & 0xf) || size < 4)
		return;
	xapic_write(l, (unsigned)off >> 4, (u32)value);
	if (l->page)
		show_written(l, (unsigned)off >> 4);
}

const struct mmio_ops lapic_mmio_ops = {
	.read = lapic_mmio_read,
	.write = lapic_mmio_write,
};

/* --- x2APIC MSRs --- */

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
	lapic_icr_send(l);
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
		lapic_icr_send(l);
		return 0;
	case REG_SELF_IPI:
		x2apic_self_ipi(l, (u8)value);
		return 0;
	default:
		return reg_write(l, reg, (u32)value) ? 0 : -EINVAL;
	}
}
