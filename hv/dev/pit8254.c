/* 8254 interval timer. See pit8254.h.
 *
 * A channel is the clock `start` that loaded its count `n`, and from that everything follows by
 * arithmetic: elapsed clocks e = now - start give count and OUT. Only what changes the course of a
 * counter (a write, a gate edge) changes `start`. A new count of the periodic modes waits in
 * `next_n` until the period ends; catch_up() applies it when the time has come.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/pit8254.h"

#include "dev/port8.h"
#include "lib/str.h"

u64 pit_clock(u64 ns)
{
	return ns / NSEC_PER_SEC * PIT_HZ + ns % NSEC_PER_SEC * PIT_HZ / NSEC_PER_SEC;
}

u64 pit_clock_ns(u64 clk)
{
	return clk / PIT_HZ * NSEC_PER_SEC + (clk % PIT_HZ * NSEC_PER_SEC + PIT_HZ - 1) / PIT_HZ;
}

static u64 clock_now(const struct pit *p)
{
	return pit_clock(dev_now(p->host));
}

/* --- one channel as a function of time -------------------------------------------------------- */

static bool periodic(const struct pit_channel *c)
{
	return c->mode == 2 || c->mode == 3;
}

/* Modes whose counting stands still while the gate is low; 1 and 5 only start by it. */
static bool gate_stops(const struct pit_channel *c)
{
	return c->mode != 1 && c->mode != 5;
}

/* Clocks since the load, as of clock @t >= start; a low gate freezes them. */
static u64 elapsed(const struct pit_channel *c, u64 t)
{
	if (!c->gate && gate_stops(c))
		t = MIN(t, MAX(c->stop, c->start));
	return t - c->start;
}

/* Mode 3: clocks of a half period with OUT at @level. An odd count spends its extra clock high. */
static u32 half_len(u32 n, bool level)
{
	return level ? (n + 1) / 2 : n / 2;
}

/* Mode 3: which half @e falls into, and how far. */
static bool square_phase(const struct pit_channel *c, u64 e, u32 *into)
{
	u32 first = half_len(c->n, c->phase);

	*into = (u32)(e % c->n);
	if (*into < first)
		return c->phase;
	*into -= first;
	return !c->phase;
}

/* The clock that ends the present period (mode 2) or half period (mode 3), after clock @t. */
static u64 period_end(const struct pit_channel *c, u64 t)
{
	u64 e, whole;
	u32 first;

	if (t < c->start)
		t = c->start;
	e = t - c->start;
	whole = e - e % c->n;
	first = c->mode == 3 ? half_len(c->n, c->phase) : c->n;
	return c->start + whole + (e - whole < first ? first : c->n);
}

/* Load a waiting count whose period has ended by @t. */
static void catch_up(struct pit_channel *c, u64 t)
{
	u64 end;
	u32 into;

	if (!c->next_pending || !periodic(c) || !c->armed || !c->gate)
		return;
	end = period_end(c, c->next_written);
	if (t < end)
		return;
	c->phase = c->mode == 3 ? square_phase(c, end - c->start, &into) : true;
	c->start = end;
	c->n = c->next_n;
	c->next_pending = false;
}

static u32 modulus(const struct pit_channel *c)
{
	return c->bcd ? 10000 : 65536;
}

static u32 running_count(const struct pit_channel *c, u64 e)
{
	u32 m = modulus(c), into;

	switch (c->mode) {
	case 2:
		return c->n - (u32)(e % c->n);
	case 3:
		square_phase(c, e, &into);
		return (c->n & ~1u) - 2 * into;
	default:
		return (c->n + m - (u32)(e % m)) % m;
	}
}

static u16 to_bcd(u32 v)
{
	return (u16)(v % 10 | v / 10 % 10 << 4 | v / 100 % 10 << 8 | v / 1000 % 10 << 12);
}

/* The count as the data port shows it. */
static u16 count_at(struct pit_channel *c, u64 t)
{
	u32 count;

	catch_up(c, t);
	if (!c->armed || t < c->start)
		return c->hold;
	count = running_count(c, elapsed(c, t));
	return c->bcd ? to_bcd(count) : (u16)count;
}

static bool out_at(struct pit_channel *c, u64 t)
{
	u64 e;
	u32 into;

	catch_up(c, t);
	if (periodic(c) && !c->gate)
		return true;
	if (!c->armed || t < c->start)
		return c->hold_out;
	e = elapsed(c, t);
	switch (c->mode) {
	case 0:
	case 1:
		return e >= c->n;
	case 2:
		return e % c->n != c->n - 1;
	case 3:
		return square_phase(c, e, &into);
	default:
		return e != c->n;
	}
}

/* A written count that the counting element has not taken over yet. */
static bool null_count(struct pit_channel *c, u64 t)
{
	catch_up(c, t);
	if (c->halted)
		return false;
	return c->next_pending || !c->armed || (c->fresh && t < c->start);
}

/* --- what changes a channel ------------------------------------------------------------------- */

/* Have the counting element load @n with the next clock. */
static void load(struct pit_channel *c, u64 t, u32 n, bool out)
{
	bool unseen = c->armed && c->fresh && t < c->start; /* of a load that this one replaces */

	c->hold = count_at(c, t);
	c->hold_out = out;
	c->start = t + 1;
	c->n = n;
	c->phase = true;
	c->armed = true;
	c->halted = false;
	c->fresh = c->next_pending || unseen;
	c->next_pending = false;
}

static void write_control(struct pit_channel *c, u64 t, u8 value)
{
	c->hold = count_at(c, t);
	c->mode_bits = value >> PIT_CW_MODE_SHIFT & 7;
	c->mode = c->mode_bits > 5 ? c->mode_bits - 4 : c->mode_bits;
	c->rw = value >> PIT_CW_RW_SHIFT & 3;
	c->bcd = value & PIT_CW_BCD;
	c->hold_out = c->mode != 0;
	c->armed = false;
	c->halted = false;
	c->next_n = 0;
	c->next_pending = false;
	c->write_msb = c->read_msb = false;
	c->count_latched = c->status_latched = false;
}

/* 0 stands for the full modulus. One is no legal count of the periodic modes: taken as two. */
static u32 decode_count(const struct pit_channel *c, u16 raw)
{
	u32 n = raw;

	if (c->bcd)
		n = ((raw >> 12) * 1000u + (raw >> 8 & 15) * 100u + (raw >> 4 & 15) * 10u +
		     (raw & 15)) %
		    10000;
	if (!n)
		n = modulus(c);
	return periodic(c) && n == 1 ? 2 : n;
}

/* A complete count arrived. Modes 0 and 4 start over; modes 2 and 3 do so when idle; modes 1 and 5
 * wait for their trigger. */
static void write_count(struct pit_channel *c, u64 t, u16 raw)
{
	u32 n = decode_count(c, raw);

	if (c->armed && t < c->start) { /* the coming load takes the newest count */
		c->n = c->next_n = n;
		c->fresh = true;
		return;
	}
	if (c->mode == 1 || c->mode == 5 || (periodic(c) && c->armed)) {
		catch_up(c, t);
		c->next_written = c->next_pending ? c->next_written : t;
		c->next_n = n;
		c->next_pending = true;
		return;
	}
	c->next_n = n;
	c->next_pending = true;
	load(c, t, n, c->mode != 0 && out_at(c, t));
}

static void write_data(struct pit_channel *c, u64 t, u8 value)
{
	switch (c->rw) {
	case 1:
		write_count(c, t, value);
		return;
	case 2:
		write_count(c, t, (u16)(value << 8));
		return;
	}
	if (c->write_msb) {
		c->write_msb = false;
		write_count(c, t, (u16)(value << 8 | c->write_lsb));
		return;
	}
	c->write_lsb = value;
	c->write_msb = true;
	if (c->mode == 0) { /* the first byte stops counting and drops OUT at once */
		c->halted = !null_count(c, t);
		c->hold = count_at(c, t);
		c->hold_out = false;
		c->armed = false;
	}
}

static void gate_rise(struct pit_channel *c, u64 t)
{
	u64 end;

	if (c->mode == 0 || c->mode == 4) {
		end = MAX(c->stop, c->start);
		if (c->armed && t > end)
			c->start += t - end;
		c->gate = true;
		return;
	}
	if (c->next_n)
		load(c, t, c->next_n, periodic(c) || out_at(c, t));
	c->gate = true;
}

static void set_gate(struct pit_channel *c, u64 t, bool gate)
{
	if (gate == c->gate)
		return;
	if (gate) {
		gate_rise(c, t);
		return;
	}
	catch_up(c, t);
	c->gate = false;
	c->stop = t;
}

/* --- ports ------------------------------------------------------------------------------------ */

static void latch_count(struct pit_channel *c, u64 t)
{
	if (c->count_latched)
		return;
	c->latch = count_at(c, t);
	c->count_latched = true;
}

static void latch_status(struct pit_channel *c, u64 t)
{
	if (c->status_latched)
		return;
	c->status = (u8)((out_at(c, t) ? PIT_STATUS_OUT : 0) |
			 (null_count(c, t) ? PIT_STATUS_NULL : 0) | c->rw << PIT_CW_RW_SHIFT |
			 c->mode_bits << PIT_CW_MODE_SHIFT | c->bcd);
	c->status_latched = true;
}

static void read_back(struct pit *p, u64 t, u8 value)
{
	for (unsigned i = 0; i < 3; i++) {
		if (!(value & (2u << i)))
			continue;
		if (!(value & PIT_READBACK_NO_COUNT))
			latch_count(&p->ch[i], t);
		if (!(value & PIT_READBACK_NO_STATUS))
			latch_status(&p->ch[i], t);
	}
}

static u8 read_data(struct pit_channel *c, u64 t)
{
	u16 count;
	bool msb;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	count = c->count_latched ? c->latch : count_at(c, t);
	msb = c->rw == 2 || (c->rw == 3 && c->read_msb);
	if (c->rw == 3)
		c->read_msb = !c->read_msb;
	if (c->rw != 3 || msb)
		c->count_latched = false;
	return (u8)(msb ? count >> 8 : count);
}

/* --- channel 0's interrupt -------------------------------------------------------------------- */

/* The first rising edge of OUT that follows from the present load, or TIMER_OFF. The trigger modes
 * have none: channel 0's gate never moves. */
static u64 first_rise(const struct pit_channel *c)
{
	if (!c->armed || !c->gate)
		return TIMER_OFF;
	switch (c->mode) {
	case 0:
	case 2:
		return c->start + c->n;
	case 3:
		return c->start + (c->phase ? c->n : half_len(c->n, false));
	case 4:
		return c->start + c->n + 1;
	default:
		return TIMER_OFF;
	}
}

/* Rising edges up to clock @t, with the count now in force. */
static u64 rises_until(const struct pit_channel *c, u64 t)
{
	u64 first = first_rise(c);

	if (first == TIMER_OFF || t < first)
		return 0;
	return periodic(c) ? (t - first) / c->n + 1 : 1;
}

/* The first rising edge after @t, or TIMER_OFF. */
static u64 next_rise(const struct pit_channel *c, u64 t)
{
	u64 first = first_rise(c);

	if (first == TIMER_OFF || first > t)
		return first;
	return periodic(c) ? first + rises_until(c, t) * c->n : TIMER_OFF;
}

/* Rising edges since the last call, a change of count in between included. */
static u64 count_rises(struct pit *p, u64 t)
{
	struct pit_channel *c = &p->ch[0];
	u64 n = 0, from = p->edges_until;

	if (c->next_pending && periodic(c) && c->armed) {
		u64 end = period_end(c, c->next_written);

		if (t >= end && from < end) {
			n = rises_until(c, end) - rises_until(c, from);
			from = end;
		}
		catch_up(c, t);
	}
	p->edges_until = t;
	return n + rises_until(c, t) - rises_until(c, from);
}

/* When to look again: the next edge, sooner to work off a backlog, never at storm rate. */
static void arm(struct pit *p, u64 t)
{
	struct pit_channel *c = &p->ch[0];
	u64 edge = next_rise(c, t);
	u64 now = dev_now(p->host);
	u64 deadline = edge;

	if (edge != TIMER_OFF && c->next_pending && periodic(c))
		edge = MIN(edge, period_end(c, c->next_written));
	if (edge != TIMER_OFF)
		deadline = pit_clock_ns(edge);
	if (p->backlog) {
		u64 period = periodic(c) && c->armed ? pit_clock_ns(c->n) : NSEC_PER_MSEC;

		deadline = MIN(deadline, now + period / 4);
	}
	if (deadline != TIMER_OFF)
		deadline = MAX(deadline, p->last_edge_ns + PIT_MIN_EDGE_NS);
	dev_timer_set(p->host, &p->timer, deadline);
}

static void pulse(struct pit *p)
{
	p->last_edge_ns = dev_now(p->host);
	irq_line_set(&p->irq0, false);
	irq_line_set(&p->irq0, true);
}

/* Hand on @n new edges: at most one at a time, the rest waits in the backlog. A masked timer is not
 * owed anything. */
static void deliver(struct pit *p, u64 n)
{
	enum pit_tick state = PIT_TICK_TAKEN;
	u64 owed = p->backlog + n;

	if (!owed)
		return;
	if (p->tick_state)
		state = p->tick_state(p->tick_ctx);
	if (state != PIT_TICK_WAITING) {
		pulse(p);
		owed--;
	}
	if (state == PIT_TICK_MASKED)
		owed = 0;
	if (owed > PIT_BACKLOG_MAX) {
		p->lost_ticks += owed - PIT_BACKLOG_MAX;
		owed = PIT_BACKLOG_MAX;
	}
	p->backlog = (unsigned)owed;
}

static void edge_due(void *arg, u64 now_ns)
{
	struct pit *p = arg;
	u64 t = clock_now(p);

	(void)now_ns;
	deliver(p, count_rises(p, t));
	arm(p, t);
}

/* Around every change of channel 0: account for edges so far, then follow the new course. The line
 * between two edges of a periodic mode is left high, which no edge-triggered input can tell. */
static void before_change(struct pit *p, u64 t)
{
	deliver(p, count_rises(p, t));
}

static void after_change(struct pit *p, u64 t)
{
	struct pit_channel *c = &p->ch[0];

	if (!periodic(c))
		p->backlog = 0;
	irq_line_set(&p->irq0, out_at(c, t) || periodic(c));
	arm(p, t);
}

/* --- ports, continued ------------------------------------------------------------------------- */

static u8 read8(void *dev, u16 port)
{
	struct pit *p = dev;

	if (port == PIT_PORT_CONTROL)
		return 0xff; /* write-only */
	p->counter_reads++;
	return read_data(&p->ch[port & 3], clock_now(p));
}

static void channel_write(struct pit *p, unsigned i, u64 t, bool control, u8 value)
{
	if (i == 0)
		before_change(p, t);
	if (control)
		write_control(&p->ch[i], t, value);
	else
		write_data(&p->ch[i], t, value);
	if (i == 0)
		after_change(p, t);
}

static void write8(void *dev, u16 port, u8 value)
{
	struct pit *p = dev;
	u64 t = clock_now(p);
	unsigned select = value >> PIT_CW_SELECT_SHIFT;

	if (port != PIT_PORT_CONTROL)
		channel_write(p, port & 3, t, false, value);
	else if (select == 3)
		read_back(p, t, value);
	else if (!(value >> PIT_CW_RW_SHIFT & 3))
		latch_count(&p->ch[select], t);
	else
		channel_write(p, select, t, true, value);
}

static u8 port61_read8(void *dev, u16 port)
{
	struct pit *p = dev;
	u64 t = clock_now(p);

	(void)port;
	p->port61_reads++;
	return (u8)(p->port61 | (t / PORT61_REFRESH_CLOCKS & 1 ? PORT61_REFRESH : 0) |
		    (out_at(&p->ch[2], t) ? PORT61_OUT2 : 0));
}

static void port61_write8(void *dev, u16 port, u8 value)
{
	struct pit *p = dev;

	(void)port;
	p->port61 = value & 0x0f;
	set_gate(&p->ch[2], clock_now(p), value & PORT61_GATE2);
}

static u32 pit_port_read(void *dev, u16 port, unsigned size)
{
	return port8_read(read8, dev, port, size);
}

static void pit_port_write(void *dev, u16 port, unsigned size, u32 value)
{
	port8_write(write8, dev, port, size, value);
}

static u32 port61_read(void *dev, u16 port, unsigned size)
{
	return port8_read(port61_read8, dev, port, size);
}

static void port61_write(void *dev, u16 port, unsigned size, u32 value)
{
	port8_write(port61_write8, dev, port, size, value);
}

static const struct port_ops pit_ops = {.read = pit_port_read, .write = pit_port_write};
static const struct port_ops port61_ops = {.read = port61_read, .write = port61_write};

/* The data sheet leaves power-on state open; as if mode 3 had been asked for without a count. */
void pit_reset(struct pit *p)
{
	memset(p->ch, 0, sizeof(p->ch));
	for (unsigned i = 0; i < 3; i++) {
		p->ch[i].mode = p->ch[i].mode_bits = 3;
		p->ch[i].rw = 3;
		p->ch[i].gate = i != 2;
		p->ch[i].hold_out = true;
	}
	p->port61 = 0;
	p->backlog = 0;
	p->edges_until = clock_now(p);
	p->last_edge_ns = 0;
	dev_timer_set(p->host, &p->timer, TIMER_OFF);
	irq_line_set(&p->irq0, true);
}

int pit_init(struct pit *p, struct bus *bus, const struct dev_host *host,
	     const struct irq_line *irq0, enum pit_tick (*tick_state)(void *ctx), void *tick_ctx)
{
	int err;

	memset(p, 0, sizeof(*p));
	p->host = host;
	p->irq0 = *irq0;
	p->tick_state = tick_state;
	p->tick_ctx = tick_ctx;
	p->timer.fire = edge_due;
	p->timer.arg = p;
	pit_reset(p);
	err = bus_add_port(bus, PIT_PORT_COUNTER0, 4, &pit_ops, p);
	if (!err)
		err = bus_add_port(bus, PIT_PORT_SYSTEM_B, 1, &port61_ops, p);
	return err;
}
