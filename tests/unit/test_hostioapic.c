/* The control partition's IOAPICs. These tests would catch: a level interrupt lost or repeated over
 * masking, reprogramming, a flip to edge or a shared virtual source; the real entry unmasked before
 * the EOI or never again; an edge lost between its arrival and a mask; the hypervisor's own pins
 * touched; SMI or INIT sent; a chip's registers answered for another.
 *
 * SRCS: hv/dev/hostioapic.c hv/dev/lapic.c hv/dev/lapic_regs.c hv/dev/lapic_timer.c
 * SRCS: hv/dev/lapic_ipi.c hv/lib/timerq.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "dev/lapic.h"
#include "fake_host.h"
#include "hostioapic_model.h"
#include "lib/errno.h"

#define LEVEL  0x8000u
#define LOW    0x2000u
#define MASKED 0x10000u
#define IRR    0x4000u

struct rig {
	struct hostioapic h;
	struct apic_msg last;
	unsigned sent, programmed;
	unsigned accept;
	u32 gsi;
	bool masked, level, low; /* the entry programmed last */
};

static void on_program(void *ctx, u32 gsi, bool masked, bool level, bool low)
{
	struct rig *r = ctx;

	r->programmed++;
	r->gsi = gsi;
	r->masked = masked;
	r->level = level;
	r->low = low;
}

static unsigned on_deliver(void *ctx, const struct apic_msg *msg)
{
	struct rig *r = ctx;

	r->last = *msg;
	r->sent++;
	return r->accept;
}

static const struct hostioapic_ops ops = {.program = on_program, .deliver = on_deliver};

static void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	r->accept = 1;
	hostioapic_init(&r->h, &ops, r);
	CHECK_EQ(hostioapic_add(&r->h, 0xfec00000, 8, 0, 0x170020), 0);
	CHECK_EQ(hostioapic_add(&r->h, 0xfec01000, 9, 24, 0x1f0011), 0);
}

static void wr(struct rig *r, unsigned chip, u8 reg, u32 v)
{
	hostioapic_mmio_ops.write(&r->h.chip[chip], 0x00, 4, reg);
	hostioapic_mmio_ops.write(&r->h.chip[chip], 0x10, 4, v);
}

static u32 rd(struct rig *r, unsigned chip, u8 reg)
{
	hostioapic_mmio_ops.write(&r->h.chip[chip], 0x00, 4, reg);
	return (u32)hostioapic_mmio_ops.read(&r->h.chip[chip], 0x10, 4);
}

static void rte(struct rig *r, unsigned pin, u32 v)
{
	wr(r, pin / 24, (u8)(0x10 + pin % 24 * 2), v);
}

static u32 rte_read(struct rig *r, unsigned pin)
{
	return rd(r, pin / 24, (u8)(0x10 + pin % 24 * 2));
}

TEST(each_chip_has_its_own_registers)
{
	struct rig r;

	rig_init(&r);
	CHECK_EQ(rd(&r, 0, 0), 8u << 24);
	CHECK_EQ(rd(&r, 1, 0), 9u << 24);
	CHECK_EQ(rd(&r, 0, 1), 0x170020);
	CHECK_EQ(rd(&r, 1, 1), 0x1f0011);
	wr(&r, 1, 0x11, 0xff00aa55);
	CHECK_EQ(rd(&r, 1, 0x11), 0xff000000);
	CHECK_EQ(rd(&r, 0, 0x11), 0);
	wr(&r, 0, 0x10, 0xffffffff);
	CHECK_EQ(rd(&r, 0, 0x10), 0x1afff);    /* delivery status and Remote IRR are read-only */
	CHECK_EQ(rd(&r, 0, 0x40), 0xffffffff); /* past the last of 24 */
	CHECK_EQ(rd(&r, 1, 0x40), MASKED);
	CHECK_EQ(rd(&r, 1, 0x50), 0xffffffff);
	wr(&r, 1, 0x50, 0);
	wr(&r, 0, 0xff, 0);
	CHECK_EQ(hostioapic_mmio_ops.read(&r.h.chip[0], 0x11, 1), 0xff);
	CHECK_EQ(hostioapic_mmio_ops.read(&r.h.chip[0], 0x20, 8), 0);
	hostioapic_reset(&r.h);
	CHECK_EQ(rd(&r, 0, 0x10), MASKED);
}

TEST(impossible_chips_are_refused)
{
	struct rig r;

	rig_init(&r);
	CHECK_EQ(hostioapic_add(&r.h, 0, 1, 55, 0x170020), -EEXIST);
	CHECK_EQ(hostioapic_add(&r.h, 0, 1, 0xfffffff0, 0x170020), -EINVAL);
	CHECK_EQ(hostioapic_add(&r.h, 0, 1, 56, 0xef0020), -EINVAL);
	CHECK_EQ(hostioapic_isolate(&r.h, 56), -ENOENT);
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(hostioapic_add(&r.h, 0, 1, 56 + i * 120, 0x770020), 0);
	CHECK_EQ(hostioapic_add(&r.h, 0, 1, 1000, 0x770020), -ENOSPC);
	hostioapic_arrived(&r.h, 5000);
	hostioapic_line(&r.h, 5000, 0, true);
	hostioapic_line(&r.h, 1, 8, true);
	CHECK_EQ(r.sent, 0);
}

TEST(only_mask_trigger_and_polarity_reach_the_real_entry)
{
	struct rig r;

	rig_init(&r);
	rte(&r, 30, 0x50 | LEVEL | LOW | MASKED);
	CHECK_EQ(r.programmed, 0);
	rte(&r, 30, 0x50 | LEVEL | LOW);
	CHECK_EQ(r.programmed, 1);
	CHECK(r.gsi == 30 && !r.masked && r.level && r.low);
	rte(&r, 30, 0x51 | LEVEL | LOW); /* another vector is ours alone */
	wr(&r, 1, 0x10 + 6 * 2 + 1, 0x03000000);
	CHECK_EQ(r.programmed, 1);
	hostioapic_arrived(&r.h, 30);
	CHECK(r.sent == 1 && r.last.vector == 0x51 && r.last.dest == 3 && r.last.level);
	rte(&r, 30, 0x51 | LEVEL | LOW | MASKED);
	CHECK_EQ(r.programmed, 1); /* it is masked already: held */
	hostioapic_eoi(&r.h, 0x51);
	CHECK_EQ(r.programmed, 1);
	rte(&r, 30, 0x51 | LEVEL | LOW);
	CHECK(r.programmed == 2 && !r.masked);
}

TEST(level_is_unmasked_at_the_eoi_only)
{
	struct rig r;

	rig_init(&r);
	rte(&r, 16, 0x60 | LEVEL);
	hostioapic_arrived(&r.h, 16);
	CHECK(r.sent == 1 && r.programmed == 1);
	CHECK_EQ(rte_read(&r, 16), 0x60 | LEVEL | IRR);
	hostioapic_eoi(&r.h, 0x61);
	rte(&r, 16, 0x60 | LEVEL | MASKED);
	rte(&r, 16, 0x60 | LEVEL);
	CHECK_EQ(r.programmed, 1);
	hostioapic_mmio_ops.write(&r.h.chip[0], 0x40, 4, 0x60);
	CHECK(r.programmed == 2 && !r.masked);
	CHECK_EQ(r.sent, 1); /* whether it is still asserted only the wire knows */
	CHECK_EQ(rte_read(&r, 16), 0x60 | LEVEL);
}

TEST(a_chip_without_eoi_register_has_none)
{
	struct rig r;

	rig_init(&r);
	rte(&r, 30, 0x60 | LEVEL);
	hostioapic_arrived(&r.h, 30);
	hostioapic_mmio_ops.write(&r.h.chip[1], 0x40, 4, 0x60);
	CHECK_EQ(rte_read(&r, 30), 0x60 | LEVEL | IRR);
	rte(&r, 30, 0x60 | MASKED); /* the way without one */
	rte(&r, 30, 0x60 | LEVEL);
	CHECK_EQ(rte_read(&r, 30), 0x60 | LEVEL);
	CHECK(r.programmed == 2 && !r.masked && r.level);
}

TEST(virtual_and_real_source_share_a_line)
{
	struct rig r;

	rig_init(&r);
	rte(&r, 16, 0x60 | LEVEL | LOW);
	hostioapic_line(&r.h, 16, 0, true);
	CHECK_EQ(r.sent, 1);
	hostioapic_line(&r.h, 16, 1, true);
	hostioapic_arrived(&r.h, 16);
	CHECK_EQ(r.sent, 1);
	hostioapic_eoi(&r.h, 0x60); /* both: the real one may come again, the virtual one is sent */
	CHECK_EQ(r.sent, 2);
	CHECK(r.programmed == 2 && !r.masked);
	hostioapic_line(&r.h, 16, 0, false);
	hostioapic_eoi(&r.h, 0x60);
	CHECK_EQ(r.sent, 3); /* source 1 */
	hostioapic_line(&r.h, 16, 1, false);
	hostioapic_eoi(&r.h, 0x60);
	CHECK_EQ(r.sent, 3);
}

TEST(an_edge_on_its_way_outlives_the_mask)
{
	struct rig r;

	rig_init(&r);
	rte(&r, 3, 0x33);
	rte(&r, 3, 0x33 | MASKED);
	hostioapic_arrived(&r.h, 3);
	CHECK_EQ(r.sent, 0);
	rte(&r, 3, 0x33);
	CHECK_EQ(r.sent, 1);
	rte(&r, 3, 0x33 | MASKED);
	rte(&r, 3, 0x33);
	CHECK_EQ(r.sent, 1);
	hostioapic_arrived(&r.h, 3);
	hostioapic_arrived(&r.h, 3);
	CHECK_EQ(r.sent, 3);
}

TEST(virtual_edges_rise)
{
	struct rig r;

	rig_init(&r);
	rte(&r, 4, 0x34);
	hostioapic_line(&r.h, 4, 2, true);
	hostioapic_line(&r.h, 4, 2, true);
	CHECK_EQ(r.sent, 1);
	hostioapic_line(&r.h, 4, 2, false);
	hostioapic_line(&r.h, 4, 2, true);
	CHECK_EQ(r.sent, 2);
}

TEST(isolated_pins_never_reach_the_real_entry)
{
	struct rig r;

	rig_init(&r);
	CHECK_EQ(hostioapic_isolate(&r.h, 4), 0);
	rte(&r, 4, 0x34);
	rte(&r, 4, 0x35 | LEVEL | LOW);
	CHECK_EQ(r.programmed, 0);
	hostioapic_arrived(&r.h, 4);
	CHECK_EQ(r.sent, 0);
	hostioapic_line(&r.h, 4, 0, true);
	CHECK_EQ(r.sent, 1);
	hostioapic_eoi(&r.h, 0x35);
	CHECK_EQ(r.sent, 2);
	CHECK_EQ(r.programmed, 0);
	rte(&r, 5, 0x36);
	CHECK_EQ(r.programmed, 1);
	CHECK_EQ(hostioapic_isolate(&r.h, 5), 0);
	CHECK(r.programmed == 2 && r.masked && r.gsi == 5);
	hostioapic_rejoin(&r.h, 5);
	CHECK(r.programmed == 3 && !r.masked && r.gsi == 5);
	hostioapic_arrived(&r.h, 5);
	CHECK_EQ(r.sent, 3);
}

TEST(odd_modes)
{
	static const u8 bad[] = {APIC_SMI, APIC_RESERVED, APIC_INIT, APIC_STARTUP};
	struct rig r;

	rig_init(&r);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		rte(&r, 7, 0x40 | (u32)bad[i] << 8);
		hostioapic_line(&r.h, 7, 0, true);
		hostioapic_line(&r.h, 7, 0, false);
		hostioapic_arrived(&r.h, 7);
	}
	rte(&r, 7, 0x0f); /* no local APIC takes vector 15 */
	hostioapic_line(&r.h, 7, 0, true);
	CHECK(r.sent == 0 && r.programmed == 0);
	CHECK_EQ(r.h.refused, 9);
	rte(&r, 8, 0x400 | LEVEL); /* NMI is an edge */
	CHECK(r.programmed == 1 && !r.masked && !r.level);
	hostioapic_arrived(&r.h, 8);
	CHECK(r.sent == 1 && r.last.mode == APIC_NMI && !r.last.level);
	rte(&r, 9, 0x700); /* the real 8259 is silent, the virtual one asks */
	CHECK_EQ(r.programmed, 1);
	hostioapic_line(&r.h, 9, 0, true);
	CHECK(r.sent == 2 && r.last.mode == APIC_EXTINT);
}

TEST(a_level_without_taker_is_tried_again)
{
	struct rig r;

	rig_init(&r);
	r.accept = 0;
	rte(&r, 16, 0x60 | LEVEL);
	hostioapic_arrived(&r.h, 16);
	hostioapic_line(&r.h, 17, 0, true);
	rte(&r, 17, 0x70 | LEVEL);
	CHECK(r.sent == 2 && r.programmed == 2);
	CHECK_EQ(rte_read(&r, 16), 0x60 | LEVEL);
	r.accept = 1;
	hostioapic_retry(&r.h);
	CHECK_EQ(r.sent, 3);
	CHECK(r.programmed == 3 && r.gsi == 16 && !r.masked);
}

/* --- with a local APIC, wired as the control partition's board does --------------------------- */

struct machine {
	struct rig r; /* first: the context of both */
	struct fake_host f;
	struct lapic l;
	unsigned ended;
};

static unsigned to_lapic(void *ctx, const struct apic_msg *msg)
{
	struct machine *m = ctx;
	struct lapic *all[] = {&m->l};

	return lapic_route(all, 1, NULL, msg);
}
static void lapic_quiet(void *ctx)
{
	(void)ctx;
}
static void lapic_base_quiet(void *ctx, gpa_t base, bool mapped)
{
	(void)ctx, (void)base, (void)mapped;
}
static void lapic_takes(void *ctx)
{
	hostioapic_retry(&((struct machine *)ctx)->r.h);
}
static void lapic_ended(void *ctx, u8 vector)
{
	((struct machine *)ctx)->ended++;
	hostioapic_eoi(&((struct machine *)ctx)->r.h, vector);
}

static const struct hostioapic_ops wired_ops = {.program = on_program, .deliver = to_lapic};
static const struct lapic_ops wired_lapic_ops = {
	.notify = lapic_quiet,
	.eoi = lapic_ended,
	.base_changed = lapic_base_quiet,
	.accepts = lapic_takes,
};

static struct machine *machine_new(void)
{
	struct machine *m = calloc(1, sizeof(*m));
	struct lapic_config cfg = {.id = 3, .bsp = true, .phys_bits = 40};

	fake_host_init(&m->f, NULL, 0);
	hostioapic_init(&m->r.h, &wired_ops, m);
	CHECK_EQ(hostioapic_add(&m->r.h, 0xfec00000, 8, 0, 0x170020), 0);
	lapic_init(&m->l, &m->f.host, &cfg, &wired_lapic_ops, m);
	return m;
}

/* The line came up before the partition had a local APIC to speak of: nothing else will ever touch
 * the pin, so what is refused then and not sent at the enabling is lost for good. */
TEST(a_level_from_before_the_local_apic_is_enabled_arrives)
{
	struct machine *m = machine_new();

	wr(&m->r, 0, 0x10 + 16 * 2 + 1, 3u << 24);
	rte(&m->r, 16, 0x60 | LEVEL);
	hostioapic_arrived(&m->r.h, 16);
	CHECK_EQ(rte_read(&m->r, 16), 0x60 | LEVEL);
	lapic_mmio_ops.write(&m->l, 0xf0, 4, 0x1ff);
	CHECK_EQ(m->r.programmed, 2); /* unmasked: the real line asks again */
	CHECK(!m->r.masked && m->r.gsi == 16);
	hostioapic_arrived(&m->r.h, 16);
	CHECK_EQ(lapic_pending(&m->l), 0x60);
	lapic_ack(&m->l, 0x60);
	lapic_mmio_ops.write(&m->l, 0xb0, 4, 0);
	CHECK_EQ(m->ended, 1);
	CHECK_EQ(rte_read(&m->r, 16), 0x60 | LEVEL);
	free(m);
}

TEST(a_virtual_level_follows_the_local_apics_address)
{
	struct machine *m = machine_new();

	wr(&m->r, 0, 0x10 + 17 * 2 + 1, 5u << 24);
	rte(&m->r, 17, 0x70 | LEVEL);
	hostioapic_line(&m->r.h, 17, 0, true);
	lapic_mmio_ops.write(&m->l, 0xf0, 4, 0x1ff);
	CHECK_EQ(lapic_pending(&m->l), -1);
	lapic_mmio_ops.write(&m->l, 0x20, 4, 5u << 24);
	CHECK_EQ(lapic_pending(&m->l), 0x70);
	CHECK_EQ(rte_read(&m->r, 17), 0x70 | LEVEL | IRR);
	free(m);
}

TEST(the_old_vectors_eoi_frees_a_reprogrammed_entry)
{
	struct rig r;

	rig_init(&r);
	rte(&r, 16, 0x60 | LEVEL);
	hostioapic_arrived(&r.h, 16);
	rte(&r, 16, 0x70 | LEVEL);
	CHECK_EQ(rte_read(&r, 16), 0x70 | LEVEL | IRR);
	hostioapic_eoi(&r.h, 0x60);
	CHECK_EQ(rte_read(&r, 16), 0x70 | LEVEL);
	CHECK(r.programmed == 2 && !r.masked);
}

TEST(reset_masks_the_real_entries)
{
	struct rig r;

	rig_init(&r);
	rte(&r, 3, 0x33);
	rte(&r, 16, 0x60 | LEVEL);
	hostioapic_arrived(&r.h, 16);
	hostioapic_reset(&r.h);
	CHECK(r.programmed == 3 && r.gsi == 3 && r.masked);
	CHECK_EQ(rte_read(&r, 16), MASKED);
}

/* --- random programs against the model -------------------------------------------------------- */

static u8 random_byte(void *ctx)
{
	u64 *s = ctx;

	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return (u8)(*s >> 24);
}

TEST(random_programs_lose_and_invent_nothing)
{
	for (u64 seed = 1; seed <= 20000; seed++) {
		struct model m;
		u64 s = seed * 0x9e3779b97f4a7c15ull;
		const char *error = model_run(&m, MODEL_STEPS, random_byte, &s);

		if (!error)
			continue;
		printf("# seed %llu: %s\n", (unsigned long long)seed, error);
		CHECK(!error);
		return;
	}
}
