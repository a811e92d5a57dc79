/* 8254 against a model that really counts: one call per clock pulse, a direct transcription of the
 * data sheet's mode descriptions, driven by the same random programs in all modes, BCD and binary.
 * Would catch counts, OUT, null-count or latches wrong by a single clock; and for channel 0 lost,
 * doubled or bunched ticks.
 *
 * SRCS: hv/dev/pit8254.c hv/dev/bus.c hv/lib/timerq.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/pit8254.h"

#include "board_host.h"
#include "unit.h"

static struct board_host b;
static struct pit pit;
static struct pin irq0;
static enum pit_tick tick;
static u64 clk;

static enum pit_tick tick_state(void *ctx)
{
	(void)ctx;
	return tick;
}

static void setup(void)
{
	struct irq_line line = pin_line(&irq0);

	board_host_init(&b, NULL, 0);
	memset(&irq0, 0, sizeof(irq0));
	tick = PIT_TICK_TAKEN;
	clk = pit_clock(b.f.now);
	b.f.now = pit_clock_ns(clk);
	CHECK_EQ(pit_init(&pit, &b.bus, &b.f.host, &line, tick_state, NULL), 0);
	irq0.rises = 0;
}

/* --- the model: channel 2, clock by clock ----------------------------------------------------- */

static struct {
	unsigned mode, bits, rw, n; /* n: count register */
	bool bcd, gate, out, null;
	bool written;	   /* a count was written since the control word */
	bool load;	   /* the next clock loads the counter */
	bool counting;	   /* loaded */
	bool strobe;	   /* modes 0, 1, 4, 5: OUT has yet to act on zero */
	unsigned ce, left; /* counter; mode 3: clocks left of this half */
	u16 frozen;	   /* shown while nothing was loaded */
	bool wmsb, rmsb, clatched, slatched;
	u8 wlsb, status;
	u16 latch;
} m;

static unsigned model_mod(void)
{
	return m.bcd ? 10000 : 65536;
}

static u16 model_shown(void)
{
	unsigned v = m.ce % model_mod();

	if (!m.counting)
		return m.frozen;
	if (!m.bcd)
		return (u16)v;
	return (u16)(v / 1000 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10);
}

static void model_half(bool out)
{
	m.out = out;
	m.left = out ? (m.n + 1) / 2 : m.n / 2;
	m.ce = m.n & ~1u;
	m.null = false;
}

static void model_load(void)
{
	m.load = false;
	m.counting = true;
	m.null = false;
	m.strobe = true;
	m.ce = m.n;
	if (m.mode == 3)
		model_half(true);
	else
		m.out = m.mode >= 2;
}

static void model_clock(void)
{
	if (m.load) {
		model_load();
		return;
	}
	if (!m.counting || (!m.gate && m.mode != 1 && m.mode != 5))
		return;
	switch (m.mode) {
	case 2:
		if (m.ce == 1) {
			m.ce = m.n;
			m.null = false;
			m.out = true;
		} else if (--m.ce == 1) {
			m.out = false;
		}
		return;
	case 3:
		m.ce -= 2;
		if (--m.left == 0)
			model_half(!m.out);
		return;
	}
	if (m.mode >= 4)
		m.out = true;
	m.ce = (m.ce % model_mod() + model_mod() - 1) % model_mod();
	if (m.ce == 0 && m.strobe) {
		m.out = m.mode < 2;
		m.strobe = false;
	}
}

static bool model_out(void)
{
	return m.out || (!m.gate && (m.mode == 2 || m.mode == 3));
}

static void model_control(u8 v)
{
	m.frozen = model_shown();
	m.bits = v >> 1 & 7;
	m.mode = m.bits >= 6 ? m.bits - 4 : m.bits;
	m.rw = v >> 4 & 3;
	m.bcd = v & 1;
	m.out = m.mode != 0;
	m.written = m.load = m.counting = m.wmsb = m.rmsb = m.clatched = m.slatched = false;
	m.null = true;
}

static void model_count(u16 raw)
{
	unsigned n = raw;

	if (m.bcd)
		n = ((raw >> 12) * 1000u + (raw >> 8 & 15) * 100u + (raw >> 4 & 15) * 10u +
		     (raw & 15)) %
		    10000;
	if (!n)
		n = model_mod();
	if ((m.mode == 2 || m.mode == 3) && n == 1)
		n = 2;
	m.n = n;
	m.null = true;
	if (m.mode == 0 || m.mode == 4 || ((m.mode & 2) && !m.written)) {
		m.load = true;
		if (m.mode == 0)
			m.out = false;
	}
	m.written = true;
}

static void model_write(u8 v)
{
	if (m.rw == 1) {
		model_count(v);
	} else if (m.rw == 2) {
		model_count((u16)(v << 8));
	} else if (m.wmsb) {
		m.wmsb = false;
		model_count((u16)(v << 8 | m.wlsb));
	} else {
		m.wlsb = v;
		m.wmsb = true;
		if (m.mode == 0) {
			m.frozen = model_shown();
			m.out = m.load = m.counting = false;
		}
	}
}

static void model_gate(bool gate)
{
	if (gate && !m.gate && m.mode != 0 && m.mode != 4 && m.written)
		m.load = true;
	if (!gate && (m.mode == 2 || m.mode == 3))
		m.out = true;
	m.gate = gate;
}

static u8 model_read(void)
{
	u16 v = m.clatched ? m.latch : model_shown();
	bool msb = m.rw == 2 || (m.rw == 3 && m.rmsb);

	if (m.slatched) {
		m.slatched = false;
		return m.status;
	}
	if (m.rw == 3)
		m.rmsb = !m.rmsb;
	if (m.rw != 3 || msb)
		m.clatched = false;
	return (u8)(msb ? v >> 8 : v);
}

static void model_latch(bool count, bool status)
{
	if (count && !m.clatched) {
		m.latch = model_shown();
		m.clatched = true;
	}
	if (status && !m.slatched) {
		m.status = (u8)(model_out() << 7 | m.null << 6 | m.rw << 4 | m.bits << 1 | m.bcd);
		m.slatched = true;
	}
}

static void both_clock(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		model_clock();
	clk += n;
	board_run_until(&b, pit_clock_ns(clk));
}

static u8 random_count(u64 *seed, bool small)
{
	u32 r = board_random(seed);

	return (u8)(small ? r % 12 : r);
}

static void random_step(u64 *seed, bool small)
{
	u32 r = board_random(seed);
	u8 v = (u8)(r >> 16);

	switch (r % 8) {
	case 0:
		if (r & 0x300)
			break;
		v = (u8)(0x80 | (1 + (v >> 4) % 3) << 4 | (v & 0xf));
		out8(&b, PIT_PORT_CONTROL, v);
		model_control(v);
		break;
	case 1:
		v = random_count(seed, small);
		if (m.rw == 3 && m.wmsb && small)
			v = 0;
		out8(&b, 0x42, v);
		model_write(v);
		break;
	case 2:
		out8(&b, 0x61, v & 1);
		model_gate(v & 1);
		break;
	case 3:
		CHECK_EQ(in8(&b, 0x42), model_read());
		break;
	case 4:
		out8(&b, PIT_PORT_CONTROL, 0x80);
		model_latch(true, false);
		break;
	case 5:
		out8(&b, PIT_PORT_CONTROL, 0xc8 | (v & 0x30));
		model_latch(!(v & 0x20), !(v & 0x10));
		break;
	default:
		both_clock(small ? v % 16 : v * 40u);
		break;
	}
	CHECK_EQ(!!(in8(&b, 0x61) & PORT61_OUT2), model_out());
}

TEST(random_programs_match_the_counting_model)
{
	u64 seed = 7;

	for (unsigned round = 0; round < 300 && !unit_failures; round++) {
		setup();
		memset(&m, 0, sizeof(m));
		out8(&b, PIT_PORT_CONTROL, 0xb0);
		model_control(0xb0);
		for (unsigned i = 0; i < 1000 && !unit_failures; i++)
			random_step(&seed, round % 4 != 0);
		if (unit_failures)
			printf("# round %u, mode %u, n %u, bcd %u\n", round, m.mode, m.n, m.bcd);
	}
}

/* --- channel 0 -------------------------------------------------------------------------------- */

static void start(unsigned mode, unsigned n)
{
	out8(&b, PIT_PORT_CONTROL, (u8)(0x30 | mode << 1));
	out8(&b, 0x40, (u8)n);
	out8(&b, 0x40, (u8)(n >> 8));
}

TEST(ticks_come_at_the_programmed_rate)
{
	for (unsigned mode = 2; mode <= 3; mode++) {
		setup();
		start(mode, 11932); /* 99.998 Hz */
		irq0.rises = 0;
		board_run(&b, 10 * NSEC_PER_SEC);
		CHECK_EQ(irq0.rises, 10ull * PIT_HZ / 11932);
		CHECK_EQ(b.fired, irq0.rises);
	}
}

TEST(one_shots_fire_once_and_on_time)
{
	setup();
	start(0, 1193);
	CHECK(!irq0.level);
	board_run(&b, 999 * NSEC_PER_USEC);
	CHECK_EQ(irq0.rises, 0);
	board_run(&b, 3 * NSEC_PER_USEC);
	CHECK_EQ(irq0.rises, 1);
	board_run(&b, NSEC_PER_SEC);
	CHECK_EQ(irq0.rises, 1);
	start(4, 1193);
	clk = pit_clock(b.f.now);
	irq0.rises = 0;
	board_run_until(&b, pit_clock_ns(clk + 1 + 1193 + 1) - 1); /* load, count, strobe */
	CHECK_EQ(irq0.rises, 0);
	board_run(&b, 1);
	CHECK_EQ(irq0.rises, 1);
	board_run(&b, NSEC_PER_SEC);
	CHECK_EQ(irq0.rises, 1);
	CHECK_EQ(timerq_next(&b.f.q), TIMER_OFF);
}

TEST(a_new_rate_takes_over_at_the_period_end)
{
	setup();
	start(2, 10000);
	board_run_until(&b, pit_clock_ns(clk + 5000));
	out8(&b, 0x40, 2000 & 0xff);
	out8(&b, 0x40, 2000 >> 8);
	irq0.rises = 0;
	board_run_until(&b, pit_clock_ns(clk + 10000));
	CHECK_EQ(irq0.rises, 0);
	board_run_until(&b, pit_clock_ns(clk + 10001));
	CHECK_EQ(irq0.rises, 1);
	board_run_until(&b, pit_clock_ns(clk + 10001 + 2000 * 7));
	CHECK_EQ(irq0.rises, 8);
}

/* Ticks of a guest that was not running are kept and handed over later, none lost or invented. */
TEST(ticks_not_taken_are_made_up_for)
{
	u64 until;

	setup();
	start(2, 1193);
	irq0.rises = 0;
	tick = PIT_TICK_WAITING;
	board_run(&b, 100 * NSEC_PER_MSEC);
	CHECK_EQ(irq0.rises, 0);
	tick = PIT_TICK_TAKEN;
	until = b.f.now + 100 * NSEC_PER_MSEC;
	board_run_until(&b, until);
	CHECK_EQ(irq0.rises, (pit_clock(until) - clk - 1) / 1193);
	CHECK_EQ(pit.backlog, 0);
	CHECK_EQ(pit.lost_ticks, 0);
}

TEST(the_backlog_is_bounded_and_a_masked_timer_has_none)
{
	setup();
	start(2, 1193);
	tick = PIT_TICK_WAITING;
	board_run(&b, 5 * NSEC_PER_SEC);
	CHECK_EQ(pit.backlog, PIT_BACKLOG_MAX);
	CHECK(pit.lost_ticks > 3000);
	tick = PIT_TICK_MASKED;
	board_run(&b, NSEC_PER_SEC);
	CHECK_EQ(pit.backlog, 0);
}

TEST(the_fastest_rate_is_no_timer_storm)
{
	setup();
	start(2, 2);
	board_run(&b, NSEC_PER_SEC);
	CHECK(b.fired <= NSEC_PER_SEC / PIT_MIN_EDGE_NS + 1);
	CHECK(b.fired >= 1000);
}

TEST(reset_leaves_no_timer_armed)
{
	setup();
	start(2, 1193);
	CHECK(timerq_next(&b.f.q) != TIMER_OFF);
	pit_reset(&pit);
	CHECK_EQ(timerq_next(&b.f.q), TIMER_OFF);
}

TEST(port61_toggles_refresh_and_keeps_its_bits)
{
	unsigned toggles = 0;
	u8 last;

	setup();
	out8(&b, 0x61, 0xff);
	CHECK_EQ(in8(&b, 0x61) & 0xcf, 0x0f);
	last = in8(&b, 0x61) & PORT61_REFRESH;
	for (unsigned i = 0; i < 1000; i++) {
		u8 v;

		board_run(&b, NSEC_PER_USEC);
		v = in8(&b, 0x61) & PORT61_REFRESH;
		toggles += v != last;
		last = v;
	}
	CHECK(toggles >= 65 && toggles <= 67); /* every 15.09 us */
	CHECK(pit.port61_reads > 1000);
}

TEST(the_clock_is_exact_over_years)
{
	u64 t = 40ull * 365 * 86400 * NSEC_PER_SEC;

	CHECK_EQ(pit_clock(t), 40ull * 365 * 86400 * PIT_HZ);
	for (u64 c = 1000000007; c < 1000001000; c++) {
		CHECK_EQ(pit_clock(pit_clock_ns(c)), c);
		CHECK_EQ(pit_clock(pit_clock_ns(c) - 1), c - 1);
	}
}
