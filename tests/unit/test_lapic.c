/* Local APIC: would catch a wrong priority decision (against a brute-force model over random
 * programs), a stale cache of the highest vector, lost or doubled timer interrupts in each mode, a
 * wrong count register, bad x2APIC fault rules, misrouted interprocessor interrupts, lost level
 * EOIs.
 *
 * SRCS: hv/dev/lapic.c hv/dev/lapic_regs.c hv/dev/lapic_timer.c hv/dev/lapic_ipi.c hv/lib/timerq.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/lapic.h"

#include "fake_host.h"
#include "unit.h"

#define NCPU 3

struct rig {
	struct fake_host f;
	struct lapic l[NCPU];
	struct lapic *all[NCPU];
	struct cpu {
		struct rig *rig;
		unsigned notified, nmis, inits, eois, bases, accepts;
		gpa_t startup, base;
		bool mapped;
		u8 eoi_vector;
	} cpu[NCPU];
};

static void on_notify(void *ctx)
{
	((struct cpu *)ctx)->notified++;
}
static void on_send(void *ctx, struct lapic *from, const struct apic_msg *msg)
{
	struct rig *r = ((struct cpu *)ctx)->rig;

	lapic_route(r->all, NCPU, from, msg);
}
static void on_eoi(void *ctx, u8 vector)
{
	struct cpu *c = ctx;

	c->eois++;
	c->eoi_vector = vector;
}
static void on_nmi(void *ctx)
{
	((struct cpu *)ctx)->nmis++;
}
static void on_init(void *ctx)
{
	((struct cpu *)ctx)->inits++;
}
static void on_startup(void *ctx, gpa_t gpa)
{
	((struct cpu *)ctx)->startup = gpa;
}
static void on_base(void *ctx, gpa_t base, bool mapped)
{
	struct cpu *c = ctx;

	c->bases++;
	c->base = base;
	c->mapped = mapped;
}

static void on_accepts(void *ctx)
{
	((struct cpu *)ctx)->accepts++;
}

static const struct lapic_ops ops = {
	.notify = on_notify,
	.send = on_send,
	.eoi = on_eoi,
	.nmi = on_nmi,
	.init = on_init,
	.startup = on_startup,
	.base_changed = on_base,
	.accepts = on_accepts,
};

static void wr(struct lapic *l, unsigned off, u32 v)
{
	lapic_mmio_ops.write(l, off, 4, v);
}

/* The timer under LVT entry @lvt, a count of @count bus clocks undivided. */
static void start_timer(struct lapic *l, u32 lvt, u32 count)
{
	wr(l, 0x3e0, 0xb);
	wr(l, 0x320, lvt);
	wr(l, 0x380, count);
}
static u32 rd(struct lapic *l, unsigned off)
{
	return (u32)lapic_mmio_ops.read(l, off, 4);
}

/* Three CPUs, software-enabled. */
static struct rig *rig_new(void)
{
	struct rig *r = calloc(1, sizeof(*r));

	fake_host_init(&r->f, NULL, 0);
	for (unsigned i = 0; i < NCPU; i++) {
		struct lapic_config cfg = {.id = i,
					   .bsp = i == 0,
					   .x2apic = true,
					   .tsc_deadline = true,
					   .phys_bits = 40};

		r->cpu[i].rig = r;
		r->all[i] = &r->l[i];
		lapic_init(&r->l[i], &r->f.host, &cfg, &ops, &r->cpu[i]);
		wr(&r->l[i], 0xf0, 0x1ff);
	}
	return r;
}

/* --- reference model: what the manual says, computed from scratch each time --- */

struct model {
	bool irr[256], isr[256];
	u8 tpr;
};

static int model_highest(const bool *map)
{
	for (int v = 255; v >= 0; v--)
		if (map[v])
			return v;
	return -1;
}
static u8 model_ppr(const struct model *m)
{
	int isrv = model_highest(m->isr);

	if (isrv < 0)
		isrv = 0;
	return m->tpr >> 4 >= isrv >> 4 ? m->tpr : (u8)(isrv & 0xf0);
}
static int model_pending(const struct model *m)
{
	int v = model_highest(m->irr);

	return v >= 0 && v >> 4 > model_ppr(m) >> 4 ? v : -1;
}

TEST(priorities_follow_the_reference_model)
{
	struct rig *r = rig_new();
	struct lapic *l = &r->l[0];
	struct model m = {0};

	srand(42);
	for (unsigned i = 0; i < 200000 && !unit_failures; i++) {
		int v = 16 + rand() % 240;

		switch (rand() % 5) {
		case 0:
		case 1:
			lapic_set_irr(l, (u8)v, false);
			m.irr[v] = true;
			break;
		case 2:
			m.tpr = rand() % 4 ? 0 : (u8)rand();
			wr(l, 0x80, m.tpr);
			break;
		case 3:
			v = model_pending(&m);
			CHECK_EQ(lapic_pending(l), v);
			if (v >= 0) {
				lapic_ack(l, (u8)v);
				m.irr[v] = false;
				m.isr[v] = true;
			}
			break;
		case 4:
			lapic_eoi_fast(l);
			v = model_highest(m.isr);
			if (v >= 0)
				m.isr[v] = false;
			break;
		}
		CHECK_EQ(lapic_pending(l), model_pending(&m));
		CHECK_EQ(rd(l, 0xa0), model_ppr(&m));
		CHECK_EQ(rd(l, 0x200 + (v & 255) / 32 * 16) >> (v & 31) & 1, m.irr[v & 255]);
		CHECK_EQ(rd(l, 0x100 + (v & 255) / 32 * 16) >> (v & 31) & 1, m.isr[v & 255]);
	}
	free(r);
}

TEST(notifies_when_something_becomes_deliverable)
{
	struct rig *r = rig_new();
	struct lapic *l = &r->l[0];

	r->cpu[0].notified = 0;
	lapic_set_irr(l, 0x31, false);
	CHECK_EQ(r->cpu[0].notified, 1);
	lapic_set_irr(l, 0x30, false);
	CHECK_EQ(r->cpu[0].notified, 1);
	lapic_ack(l, 0x31);
	CHECK_EQ(lapic_pending(l), -1);
	lapic_eoi_fast(l);
	CHECK_EQ(lapic_pending(l), 0x30);
	CHECK_EQ(r->cpu[0].notified, 2);
	lapic_set_cr8(l, 3);
	CHECK_EQ(lapic_pending(l), -1);
	CHECK_EQ(rd(l, 0x80), 0x30);
	lapic_set_cr8(l, 2);
	CHECK_EQ(r->cpu[0].notified, 3);
	CHECK_EQ(lapic_cr8(l), 2);
	free(r);
}

TEST(software_disable_masks_and_refuses)
{
	struct rig *r = rig_new();
	struct lapic *l = &r->l[0];

	wr(l, 0x320, 0x40);
	lapic_set_irr(l, 0x50, false);
	wr(l, 0xf0, 0xff);
	CHECK_EQ(lapic_pending(l), -1);
	CHECK_EQ(rd(l, 0x320), 0x10040);
	wr(l, 0x320, 0x41); /* the mask cannot be cleared now */
	CHECK_EQ(rd(l, 0x320), 0x10041);
	CHECK(!lapic_accepts_extint(l));
	struct apic_msg msg = {.dest = 0, .mode = APIC_FIXED, .vector = 0x60};
	CHECK_EQ(lapic_route(r->all, NCPU, NULL, &msg), 0);
	wr(l, 0xf0, 0x1ff);
	CHECK_EQ(lapic_pending(l), 0x50); /* what was pending is held, not lost */
	free(r);
}

/* Who was refused must hear of every change that may make it welcome, and of nothing else: each
 * costs a walk over all pins. */
TEST(tells_when_refused_messages_may_be_taken)
{
	struct rig *r = rig_new();
	struct lapic *l = &r->l[0];
	unsigned *told = &r->cpu[0].accepts;

	CHECK_EQ(*told, 1);
	wr(l, 0xf0, 0x1ff); /* it is on already */
	wr(l, 0xf0, 0x1fe);
	CHECK_EQ(*told, 1);
	wr(l, 0xf0, 0xff);
	wr(l, 0xd0, 0x01000000); /* nobody gets in, whatever the address */
	CHECK_EQ(*told, 1);
	wr(l, 0xf0, 0x1ff);
	CHECK_EQ(*told, 2);
	wr(l, 0x20, 0x05000000);
	CHECK_EQ(*told, 3);
	wr(l, 0xd0, 0x02000000);
	CHECK_EQ(*told, 4);
	wr(l, 0xe0, 0x0fffffff);
	CHECK_EQ(*told, 5);
	CHECK_EQ(lapic_base_write(l, l->base | LAPIC_BASE_X2APIC), 0);
	CHECK_EQ(lapic_msr_write(l, 0x80f, 0xff), 0);
	CHECK_EQ(*told, 5);
	CHECK_EQ(lapic_msr_write(l, 0x80f, 0x1ff), 0);
	CHECK_EQ(*told, 6);
	lapic_reset(l);
	CHECK_EQ(*told, 6);
	free(r);
}

TEST(level_eoi_reaches_ioapics_unless_suppressed)
{
	struct rig *r = rig_new();
	struct lapic *l = &r->l[0];

	lapic_set_irr(l, 0x40, true);
	CHECK_EQ(rd(l, 0x1a0), 1);
	lapic_ack(l, 0x40);
	wr(l, 0xb0, 0);
	CHECK_EQ(r->cpu[0].eois, 1);
	CHECK_EQ(r->cpu[0].eoi_vector, 0x40);
	lapic_set_irr(l, 0x40, false); /* the same vector as an edge */
	lapic_ack(l, 0x40);
	wr(l, 0xb0, 0);
	CHECK_EQ(r->cpu[0].eois, 1);
	wr(l, 0xf0, 0x11ff);
	lapic_set_irr(l, 0x40, true);
	lapic_ack(l, 0x40);
	wr(l, 0xb0, 0);
	CHECK_EQ(r->cpu[0].eois, 1);
	wr(l, 0xb0, 0); /* nothing in service */
	free(r);
}

static unsigned take_all(struct lapic *l)
{
	unsigned n = 0;

	for (int v; (v = lapic_pending(l)) >= 0; n++) {
		lapic_ack(l, (u8)v);
		lapic_eoi_fast(l);
	}
	return n;
}

TEST(oneshot_timer_counts_and_fires_once)
{
	struct rig *r = rig_new();
	struct lapic *l = &r->l[0];

	wr(l, 0x3e0, 0x3); /* divide by 16 */
	wr(l, 0x320, 0x40);
	wr(l, 0x380, 1000);
	CHECK_EQ(rd(l, 0x390), 1000);
	fake_advance(&r->f, 8000);
	CHECK_EQ(rd(l, 0x390), 500);
	fake_advance(&r->f, 7999);
	CHECK_EQ(lapic_pending(l), -1);
	CHECK_EQ(rd(l, 0x390), 1);
	fake_advance(&r->f, 1);
	CHECK_EQ(lapic_pending(l), 0x40);
	CHECK_EQ(rd(l, 0x390), 0);
	CHECK_EQ(take_all(l), 1);
	fake_advance(&r->f, 1000000);
	CHECK_EQ(take_all(l), 0);
	CHECK_EQ(rd(l, 0x380), 1000);
	free(r);
}

TEST(divide_configuration_encodes_all_values)
{
	static const struct {
		u32 reg, div;
	} t[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};
	struct rig *r = rig_new();

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		wr(&r->l[0], 0x3e0, t[i].reg);
		wr(&r->l[0], 0x380, 1u << 20);
		fake_advance(&r->f, 1000 * t[i].div);
		CHECK_EQ(rd(&r->l[0], 0x390), (1 << 20) - 1000);
	}
	free(r);
}

TEST(changing_the_divider_keeps_the_count)
{
	struct rig *r = rig_new();
	struct lapic *l = &r->l[0];

	start_timer(l, 0x40, 1000);
	fake_advance(&r->f, 600);
	wr(l, 0x3e0, 0x0); /* 400 left at 2 ns each */
	CHECK_EQ(rd(l, 0x390), 400);
	fake_advance(&r->f, 799);
	CHECK_EQ(lapic_pending(l), -1);
	fake_advance(&r->f, 1);
	CHECK_EQ(lapic_pending(l), 0x40);
	free(r);
}

TEST(periodic_timer_keeps_its_phase)
{
	struct rig *r = rig_new();
	struct lapic *l = &r->l[0];
	unsigned n = 0;

	start_timer(l, 0x20040, 1000000);
	for (unsigned i = 0; i < 10; i++) {
		fake_advance(&r->f, 999999);
		CHECK_EQ(take_all(l), 0);
		fake_advance(&r->f, 1);
		n += take_all(l);
	}
	CHECK_EQ(n, 10);
	r->f.now += 3500000; /* the vCPU was away for three periods and a half */
	fake_run(&r->f);
	CHECK_EQ(take_all(l), 1);
	CHECK_EQ(rd(l, 0x390), 500000);
	fake_advance(&r->f, 500000);
	CHECK_EQ(take_all(l), 1);
	free(r);
}

TEST(fastest_periodic_timer_is_bounded)
{
	struct rig *r = rig_new();
	struct lapic *l = &r->l[0];
	unsigned fired = 0;

	start_timer(l, 0x20040, 1);
	for (u64 end = r->f.now + 1000000; timerq_next(&r->f.q) <= end; fired++) {
		r->f.now = MAX(r->f.now, timerq_next(&r->f.q));
		fake_run(&r->f);
	}
	CHECK(fired >= 10 && fired <= 1000000 / LAPIC_MIN_PERIOD_NS + 2);
	free(r);
}

TEST(masked_timer_counts_without_a_host_timer)
{
	struct rig *r = rig_new();
	struct lapic *l = &r->l[0];

	start_timer(l, 0x10040, 1000);
	CHECK_EQ(timerq_next(&r->f.q), TIMER_OFF);
	fake_advance(&r->f, 300);
	CHECK_EQ(rd(l, 0x390), 700);
	wr(l, 0x320, 0x40); /* unmasked in time */
	fake_advance(&r->f, 700);
	CHECK_EQ(take_all(l), 1);
	wr(l, 0x320, 0x10040);
	wr(l, 0x380, 1000);
	fake_advance(&r->f, 2000);
	wr(l, 0x320, 0x40); /* too late */
	fake_advance(&r->f, 5000);
	CHECK_EQ(take_all(l), 0);
	wr(l, 0x320, 0x30040); /* masked periodic, unmasked in the third period */
	wr(l, 0x380, 1000);
	fake_advance(&r->f, 2400);
	CHECK_EQ(rd(l, 0x390), 600);
	wr(l, 0x320, 0x20040);
	CHECK_EQ(take_all(l), 0);
	fake_advance(&r->f, 600);
	CHECK_EQ(take_all(l), 1);
	free(r);
}

TEST(late_host_timer_loses_no_expiry_to_a_register_write)
{
	struct rig *r = rig_new();
	struct lapic *l = &r->l[0];

	start_timer(l, 0x40, 1000);
	r->f.now += 1500;   /* due, but the queue has not run */
	wr(l, 0x320, 0x41); /* the expiry was under vector 40h */
	CHECK_EQ(lapic_pending(l), 0x40);
	fake_run(&r->f);
	CHECK_EQ(take_all(l), 1);
	free(r);
}

/* Time passes while a register write is carried out: a count that ends there must not be lost. */
TEST(count_that_ends_during_a_register_write_fires_once)
{
	for (u32 count = 1; count < 400; count++) {
		struct rig *r = rig_new();
		struct lapic *l = &r->l[0];

		r->f.tick = 37;
		start_timer(l, 0x40, count);
		if (count & 1)
			wr(l, 0x3e0, 0x0);
		if (count & 2)
			wr(l, 0x320, 0x40);
		r->f.tick = 0;
		fake_advance(&r->f, 2000);
		CHECK_EQ(take_all(l), 1);
		free(r);
	}
}

TEST(tsc_deadline_fires_once_at_its_time)
{
	struct rig *r = rig_new();
	struct lapic *l = &r->l[0];
	u64 tsc;

	lapic_set_tsc_deadline(l, 123); /* ignored outside the mode */
	CHECK_EQ(lapic_tsc_deadline(l), 0);
	wr(l, 0x320, 0x40040);
	tsc = fake_tsc(&r->f) + 10001;
	lapic_set_tsc_deadline(l, tsc);
	CHECK_EQ(lapic_tsc_deadline(l), tsc);
	wr(l, 0x380, 77); /* ignored in the mode */
	CHECK_EQ(rd(l, 0x390), 0);
	fake_advance(&r->f, 3999);
	CHECK_EQ(lapic_pending(l), -1);
	fake_advance(&r->f, 3);
	CHECK(fake_tsc(&r->f) >= tsc);
	CHECK_EQ(take_all(l), 1);
	CHECK_EQ(lapic_tsc_deadline(l), 0);
	lapic_set_tsc_deadline(l, 5); /* long past: at once */
	CHECK_EQ(take_all(l), 1);
	lapic_set_tsc_deadline(l, fake_tsc(&r->f) + 100);
	lapic_set_tsc_deadline(l, 0); /* disarm */
	lapic_set_tsc_deadline(l, fake_tsc(&r->f) + 100);
	wr(l, 0x320, 0x40); /* leaving the mode disarms */
	fake_advance(&r->f, 100000);
	CHECK_EQ(take_all(l), 0);
	free(r);
}

TEST(far_deadline_does_not_wrap)
{
	struct rig *r = rig_new();

	wr(&r->l[0], 0x320, 0x40040);
	lapic_set_tsc_deadline(&r->l[0], UINT64_MAX);
	fake_advance(&r->f, 1000000);
	CHECK_EQ(lapic_pending(&r->l[0]), -1);
	free(r);
}

TEST(ipi_shorthands_and_destinations)
{
	struct rig *r = rig_new();
	struct lapic *l = r->l;

	wr(&l[0], 0x310, 2u << 24);
	wr(&l[0], 0x300, 0x41);
	CHECK_EQ(lapic_pending(&l[2]), 0x41);
	CHECK_EQ(lapic_pending(&l[1]), -1);
	wr(&l[0], 0x300, 0x40042); /* self */
	CHECK_EQ(lapic_pending(&l[0]), 0x42);
	CHECK_EQ(lapic_pending(&l[1]), -1);
	wr(&l[0], 0x300, 0xc0043); /* others */
	CHECK_EQ(lapic_pending(&l[0]), 0x42);
	CHECK_EQ(lapic_pending(&l[1]), 0x43);
	CHECK_EQ(lapic_pending(&l[2]), 0x43);
	wr(&l[1], 0x300, 0x80044); /* all */
	for (unsigned i = 0; i < NCPU; i++)
		CHECK_EQ(lapic_pending(&l[i]), 0x44);
	wr(&l[0], 0x310, 0xffu << 24); /* physical broadcast */
	wr(&l[0], 0x300, 0x45);
	for (unsigned i = 0; i < NCPU; i++)
		CHECK_EQ(lapic_pending(&l[i]), 0x45);
	wr(&l[0], 0x310, 1u << 24);
	wr(&l[0], 0x300, 0x4400);
	CHECK_EQ(r->cpu[1].nmis, 1);
	wr(&l[0], 0x300, 0xc500);
	CHECK_EQ(r->cpu[1].inits, 1);
	wr(&l[0], 0x300, 0x8500); /* INIT de-assert */
	CHECK_EQ(r->cpu[1].inits, 1);
	wr(&l[0], 0x300, 0x469a);
	CHECK_EQ(r->cpu[1].startup, 0x9a000);
	free(r);
}

TEST(logical_flat_and_cluster_modes)
{
	struct rig *r = rig_new();
	struct lapic *l = r->l;
	struct apic_msg msg = {.logical = true, .mode = APIC_FIXED, .vector = 0x51};

	for (unsigned i = 0; i < NCPU; i++)
		wr(&l[i], 0xd0, 1u << (24 + i));
	msg.dest = 0x6;
	CHECK_EQ(lapic_route(r->all, NCPU, NULL, &msg), 2);
	CHECK_EQ(lapic_pending(&l[0]), -1);
	CHECK_EQ(lapic_pending(&l[1]), 0x51);
	for (unsigned i = 0; i < NCPU; i++) {
		wr(&l[i], 0xe0, 0x0fffffff);
		wr(&l[i], 0xd0, (0x10 | 1u << i) << 24); /* cluster 1 */
	}
	msg.dest = 0x15;
	CHECK_EQ(lapic_route(r->all, NCPU, NULL, &msg), 2);
	msg.dest = 0x25; /* another cluster */
	CHECK_EQ(lapic_route(r->all, NCPU, NULL, &msg), 0);
	msg.dest = 0xff;
	CHECK_EQ(lapic_route(r->all, NCPU, NULL, &msg), 3);
	free(r);
}

TEST(lowest_priority_takes_the_least_busy)
{
	struct rig *r = rig_new();
	struct apic_msg msg = {.dest = 0xff, .mode = APIC_LOWEST, .vector = 0x61};

	wr(&r->l[0], 0x80, 0x50);
	wr(&r->l[1], 0x80, 0x20);
	wr(&r->l[2], 0x80, 0x30);
	CHECK_EQ(lapic_route(r->all, NCPU, NULL, &msg), 1);
	CHECK_EQ(lapic_pending(&r->l[1]), 0x61);
	CHECK_EQ(lapic_pending(&r->l[0]), -1);
	CHECK_EQ(lapic_pending(&r->l[2]), -1);
	free(r);
}

TEST(errors_are_latched_and_raise_the_error_interrupt)
{
	struct rig *r = rig_new();
	struct lapic *l = &r->l[0];

	wr(l, 0x370, 0x70);
	wr(l, 0x300, 0x40005); /* vector 5 to self */
	CHECK_EQ(lapic_pending(l), 0x70);
	CHECK_EQ(rd(l, 0x280), 0);
	wr(l, 0x280, 0);
	CHECK_EQ(rd(l, 0x280), 0x20);
	struct apic_msg msg = {.dest = 0, .mode = APIC_FIXED, .vector = 3};
	lapic_route(r->all, NCPU, NULL, &msg);
	rd(l, 0x40); /* no such register */
	wr(l, 0x280, 0);
	CHECK_EQ(rd(l, 0x280), 0xc0);
	wr(l, 0x280, 0);
	CHECK_EQ(rd(l, 0x280), 0);
	wr(l, 0x370, 5); /* an error vector that is an error itself must not recurse */
	wr(l, 0x300, 0x40005);
	free(r);
}

TEST(local_pins)
{
	struct rig *r = rig_new();
	struct lapic *l = &r->l[0];

	CHECK(lapic_accepts_extint(l)); /* virtual wire after reset, BSP only */
	CHECK(!lapic_accepts_extint(&r->l[1]));
	wr(l, 0x360, 0x400);
	lapic_lint(l, 1, true);
	lapic_lint(l, 1, true);
	CHECK_EQ(r->cpu[0].nmis, 1);
	lapic_lint(l, 1, false);
	wr(l, 0x360, 0x10400);
	lapic_lint(l, 1, true);
	CHECK_EQ(r->cpu[0].nmis, 1);
	wr(l, 0x350, 0x8055); /* LINT0: fixed, level */
	CHECK(!lapic_accepts_extint(l));
	lapic_lint(l, 0, true);
	CHECK_EQ(lapic_pending(l), 0x55);
	CHECK_EQ(rd(l, 0x350), 0xc055);
	lapic_ack(l, 0x55);
	wr(l, 0xb0, 0); /* still up: again */
	CHECK_EQ(lapic_pending(l), 0x55);
	lapic_ack(l, 0x55);
	lapic_lint(l, 0, false);
	wr(l, 0xb0, 0);
	CHECK_EQ(lapic_pending(l), -1);
	CHECK_EQ(rd(l, 0x350), 0x8055);
	free(r);
}

TEST(apic_base_transitions)
{
	struct rig *r = rig_new();
	struct lapic *l = &r->l[1];
	const u64 en = LAPIC_BASE_ENABLE, x2 = LAPIC_BASE_X2APIC;
	u64 v;

	CHECK_EQ(l->base, 0xfee00000u | en);
	CHECK_EQ(r->l[0].base, 0xfee00000u | en | LAPIC_BASE_BSP);
	CHECK_EQ(lapic_base_write(l, 0xfee00000u | x2), -EINVAL);
	CHECK_EQ(lapic_base_write(l, 0xfee00000u | en | 1), -EINVAL);
	CHECK_EQ(lapic_base_write(l, BIT(40) | en), -EINVAL);
	CHECK_EQ(lapic_base_write(l, 0xfed00000u | en), 0);
	CHECK_EQ(r->cpu[1].base, 0xfed00000);
	CHECK(r->cpu[1].mapped);
	CHECK_EQ(lapic_msr_read(l, 0x802, &v), -EINVAL);
	CHECK_EQ(lapic_base_write(l, 0xfee00000u | en | x2), 0);
	CHECK(!r->cpu[1].mapped);
	CHECK_EQ(lapic_mmio_ops.read(l, 0x30, 4), UINT64_MAX);
	CHECK_EQ(lapic_base_write(l, 0xfee00000u | en), -EINVAL);
	CHECK_EQ(lapic_base_write(l, 0xfee00000u), 0);
	CHECK(lapic_accepts_extint(l)); /* pins reach the CPU directly */
	CHECK_EQ(lapic_base_write(l, 0xfee00000u | en | x2), -EINVAL);
	CHECK_EQ(lapic_base_write(l, 0xfee00000u | en), 0);
	CHECK_EQ(rd(l, 0xf0), 0xff); /* back from power-up state */
	lapic_base_write(l, 0xfee00000u | en | x2);
	lapic_reset_init(l);
	CHECK(lapic_x2apic(l));
	lapic_reset(l);
	CHECK(!lapic_x2apic(l));
	free(r);
}

TEST(x2apic_msrs_fault_as_the_manual_says)
{
	static const u32 no_read[] = {0x800, 0x80b, 0x80c, 0x80e, 0x831,
				      0x83f, 0x82f, 0x8ff, 0x7ff};
	struct rig *r = rig_new();
	struct lapic *l = &r->l[2];
	u64 v;

	lapic_base_write(l, l->base | LAPIC_BASE_X2APIC);
	lapic_msr_write(l, 0x80f, 0x1ff);
	for (unsigned i = 0; i < ARRAY_SIZE(no_read); i++)
		CHECK_EQ(lapic_msr_read(l, no_read[i], &v), -EINVAL);
	CHECK_EQ(lapic_msr_read(l, 0x802, &v), 0);
	CHECK_EQ(v, 2);
	CHECK_EQ(lapic_msr_read(l, 0x80d, &v), 0);
	CHECK_EQ(v, 4);
	CHECK_EQ(lapic_msr_write(l, 0x802, 5), -EINVAL);
	CHECK_EQ(lapic_msr_write(l, 0x80d, 5), -EINVAL);
	CHECK_EQ(lapic_msr_write(l, 0x80b, 1), -EINVAL);
	CHECK_EQ(lapic_msr_write(l, 0x80b, 0), 0);
	CHECK_EQ(lapic_msr_write(l, 0x828, 1), -EINVAL);
	CHECK_EQ(lapic_msr_write(l, 0x808, 0x100), -EINVAL);
	CHECK_EQ(lapic_msr_write(l, 0x808, 0x20), 0);
	CHECK_EQ(lapic_msr_write(l, 0x83f, 0x66), 0);
	CHECK_EQ(lapic_pending(l), 0x66);
	CHECK_EQ(lapic_msr_write(l, 0x830, 0x4100000066ull), 0);
	CHECK_EQ(lapic_msr_write(l, 0x830, (1ull << 32) | 0x67), 0);
	CHECK_EQ(lapic_pending(&r->l[1]), 0x67);
	CHECK_EQ(lapic_msr_write(l, 0x830, (0x7ull << 32) | 0x868), 0); /* logical, cluster 0 */
	CHECK_EQ(lapic_pending(l), 0x68);
	CHECK_EQ(lapic_msr_read(l, 0x830, &v), 0);
	CHECK_EQ(v, (0x7ull << 32) | 0x868);
	free(r);
}

/* Any MMIO access leaves the caches consistent with the register contents. */
TEST(random_register_traffic_keeps_the_caches_right)
{
	struct rig *r = rig_new();
	struct lapic *l = &r->l[0];

	srand(7);
	for (unsigned i = 0; i < 200000 && !unit_failures; i++) {
		static const u8 sizes[] = {1, 2, 4, 4, 4, 8};
		u64 off = (u64)(rand() % 0x40) << 4 | (rand() % 8 ? 0 : rand() % 16);
		unsigned size = sizes[rand() % 6];
		int irr = -1, isr = -1;

		if (rand() % 3)
			lapic_mmio_ops.write(l, off, size, (u64)rand() << (rand() % 20));
		else
			lapic_mmio_ops.read(l, off, size);
		if (lapic_pending(l) >= 0 && rand() % 2)
			lapic_ack(l, (u8)lapic_pending(l));
		fake_advance(&r->f, (u64)rand() % 1000);
		for (int v = 0; v < 256; v++) {
			irr = l->irr[v / 32] >> (v & 31) & 1 ? v : irr;
			isr = l->isr[v / 32] >> (v & 31) & 1 ? v : isr;
		}
		CHECK_EQ(l->irr_max, irr);
		CHECK_EQ(l->isr_max, isr);
		CHECK(lapic_pending(l) < 0 || lapic_pending(l) == irr);
	}
	free(r);
}

/* --- a page that the CPU shares --- */

/* As the SDM has it for APIC-register virtualization (vol. 3 §30.4): what the CPU reads and writes
 * there by itself. */
static bool cpu_reads(unsigned reg)
{
	return reg == 0x02 || reg == 0x03 || reg == 0x08 || reg == 0x0b || reg == 0x28 ||
	       reg == 0x3e || (reg >= 0x0d && reg < 0x28) || (reg >= 0x30 && reg <= 0x38);
}
static bool cpu_writes(unsigned reg)
{
	return reg == 0x02 || reg == 0x08 || reg == 0x0b || reg == 0x28 || reg == 0x3e ||
	       (reg >= 0x0d && reg <= 0x0f) || (reg >= 0x30 && reg <= 0x38);
}

static void cpu_write(struct lapic *l, u32 *page, unsigned reg, u32 v)
{
	if (!cpu_writes(reg)) {
		lapic_mmio_ops.write(l, reg << 4, 4, v);
	} else if (reg == 0x08) {
		page[reg * 4] = v & 0xff;
		lapic_set_tpr(l, (u8)v);
	} else if (reg == 0x31) {
		page[reg * 4] = v & 0xff000000u;
	} else {
		page[reg * 4] = v;
		lapic_wrote(l, reg << 4);
	}
}

static u32 cpu_read(struct lapic *l, const u32 *page, unsigned reg)
{
	return cpu_reads(reg) ? page[reg * 4] : (u32)lapic_mmio_ops.read(l, reg << 4, 4);
}

/* One APIC through the page, one through MMIO, the same program: no read tells them apart. Some
 * accesses to the first go by MMIO too, as those do that the CPU leaves to software. */
TEST(a_shared_page_shows_what_the_registers_hold)
{
	struct rig *a = rig_new(), *b = rig_new();
	struct lapic *l = &a->l[0], *m = &b->l[0];
	static u32 page[1024];

	srand(11);
	memset(page, 0xa5, sizeof(page));
	page[0x08 * 4] = 0;
	lapic_share(l, page);
	for (unsigned i = 0; i < 200000 && !unit_failures; i++) {
		unsigned reg = 2 + (unsigned)rand() % 0x3d;
		u32 v = (u32)rand() << (rand() % 20);
		bool by_cpu = reg == 0x08 || rand() % 4;

		/* The enable bit mostly stays on, or nothing ever happens. */
		if (reg == 0x0f && rand() % 8)
			v |= 0x100;
		switch (rand() % 8) {
		default:
			if (by_cpu)
				cpu_write(l, page, reg, v);
			else
				lapic_mmio_ops.write(l, reg << 4, 4, v);
			lapic_mmio_ops.write(m, reg << 4, 4, v);
			break;
		case 0:
			lapic_set_irr(l, (u8)v, v & 0x100);
			lapic_set_irr(m, (u8)v, v & 0x100);
			break;
		case 1:
			lapic_lint(l, v & 1, v & 2);
			lapic_lint(m, v & 1, v & 2);
			break;
		case 2:
			if (rand() % 64)
				break;
			page[0x08 * 4] = 0;
			lapic_reset_init(l);
			lapic_reset_init(m);
			break;
		}
		CHECK_EQ(lapic_pending(l), lapic_pending(m));
		if (lapic_pending(l) >= 0 && rand() % 2) {
			lapic_ack(m, (u8)lapic_pending(m));
			lapic_ack(l, (u8)lapic_pending(l));
		}
		fake_advance(&a->f, 500);
		fake_advance(&b->f, 500);
		for (unsigned r = 2; r < 0x3f; r++)
			if (r != 0x0b && !(r >= 0x29 && r < 0x30)) /* no register there */
				CHECK_EQ(cpu_read(l, page, r),
					 (u32)lapic_mmio_ops.read(m, r << 4, 4));
	}
	CHECK_EQ(a->cpu[0].eois, b->cpu[0].eois);
	free(a);
	free(b);
}

TEST(a_shared_page_is_left_alone_where_it_is_not_decoded)
{
	struct rig *r = rig_new();
	struct lapic *l = &r->l[0];
	static u32 page[1024];

	lapic_share(l, page);
	CHECK_EQ(page[0x0f * 4], 0x1ff);
	lapic_base_write(l, l->base | LAPIC_BASE_X2APIC);
	page[0x0f * 4] = 0xff;
	lapic_wrote(l, 0xf0);
	CHECK(l->soft_enabled);
	lapic_wrote(l, 0x1000); /* nor beyond it */
	lapic_reset(l);
	CHECK_EQ(page[0x0f * 4], 0xff);
	CHECK_EQ(page[0x32 * 4], 0x10000);
	free(r);
}
