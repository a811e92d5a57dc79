/* 16550A against its data sheet. Would catch: wrong interrupt priorities, a THRE interrupt
 * missing, repeated or without an edge, FIFO triggers and character time-out, loop-back, bytes
 * lost, doubled or reordered when the line holds them back.
 *
 * SRCS: hv/dev/uart16550.c hv/dev/bus.c hv/lib/timerq.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/uart16550.h"

#include "board_host.h"
#include "unit.h"

static struct board_host b;
static struct uart uart;
static struct pin irq;
static u8 sent[4096];
static unsigned nsent, calls;
static bool room;

static void line_tx(void *ctx, const u8 *buf, unsigned n)
{
	(void)ctx;
	calls++;
	for (unsigned i = 0; i < n && nsent < sizeof(sent); i++)
		sent[nsent++] = buf[i];
}

static bool line_room(void *ctx)
{
	(void)ctx;
	return room;
}

static const struct uart_line_ops line_ops = {.tx = line_tx, .tx_room = line_room};

static u8 get(unsigned reg)
{
	return in8(&b, (u16)(0x3f8 + reg));
}

static void put(unsigned reg, u8 value)
{
	out8(&b, (u16)(0x3f8 + reg), value);
}

static void setup(void)
{
	struct irq_line line = pin_line(&irq);

	board_host_init(&b, NULL, 0);
	memset(&irq, 0, sizeof(irq));
	nsent = calls = 0;
	room = true;
	CHECK_EQ(uart_init(&uart, &b.bus, &b.f.host, 0x3f8, &line, &line_ops, NULL), 0);
	put(UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
	put(UART_LCR, 3);
}

TEST(registers_read_back_as_a_probe_expects)
{
	setup();
	put(UART_SCR, 0x5a);
	CHECK_EQ(get(UART_SCR), 0x5a);
	put(UART_IER, 0xff);
	CHECK_EQ(get(UART_IER), 0x0f);
	put(UART_IER, 0);
	put(UART_IIR, UART_FCR_ENABLE);
	CHECK_EQ(get(UART_IIR), 0xc1);
	put(UART_IIR, 0);
	CHECK_EQ(get(UART_IIR), 0x01);
	put(UART_LCR, 0x83);
	put(UART_RBR, 0x0c);
	put(UART_IER, 0x01);
	CHECK_EQ(get(UART_RBR), 0x0c);
	CHECK_EQ(get(UART_IER), 0x01);
	put(UART_LCR, 0x03);
	CHECK_EQ(get(UART_IER), 0x00);
	CHECK_EQ(get(UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	CHECK_EQ(get(UART_MSR) & 0xf0, UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD);
}

TEST(bytes_leave_at_once_and_in_order)
{
	setup();
	for (unsigned i = 0; i < 100; i++) {
		CHECK_EQ(get(UART_LSR) & UART_LSR_THRE, UART_LSR_THRE);
		put(UART_RBR, (u8)i);
	}
	CHECK_EQ(nsent, 100);
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ(sent[i], i);
}

TEST(thre_interrupts_on_enable_on_write_and_not_after_iir)
{
	setup();
	put(UART_IER, UART_IER_THRE);
	CHECK(irq.level);
	CHECK_EQ(get(UART_IIR), UART_IIR_THRE);
	CHECK(!irq.level); /* reading it took it back */
	CHECK_EQ(get(UART_IIR), UART_IIR_NONE);
	put(UART_IER, UART_IER_THRE); /* no rise of the enable: no interrupt */
	CHECK(!irq.level);
	put(UART_IER, 0);
	put(UART_IER, UART_IER_THRE);
	CHECK_EQ(get(UART_IIR), UART_IIR_THRE);
	put(UART_RBR, 'a');
	CHECK(irq.level);
	irq.rises = 0;
	put(UART_RBR, 'b'); /* the pin must fall and rise for an edge input */
	CHECK_EQ(irq.rises, 1);
	CHECK_EQ(get(UART_IIR), UART_IIR_THRE);
}

TEST(polled_output_does_not_touch_the_pin)
{
	setup();
	irq.sets = 0;
	for (unsigned i = 0; i < 50; i++)
		put(UART_RBR, 'x');
	CHECK_EQ(irq.sets, 0);
}

TEST(a_full_line_holds_the_guest_back)
{
	setup();
	put(UART_IIR, UART_FCR_ENABLE);
	put(UART_IER, UART_IER_THRE);
	get(UART_IIR);
	room = false;
	for (unsigned i = 0; i < 16; i++)
		put(UART_RBR, (u8)('a' + i));
	CHECK_EQ(nsent, 0);
	CHECK_EQ(get(UART_LSR) & (UART_LSR_THRE | UART_LSR_TEMT), 0);
	CHECK_EQ(get(UART_IIR) & 0x0f, UART_IIR_NONE);
	CHECK(uart_tx_held(&uart));
	uart_tx_kick(&uart); /* still no room */
	CHECK_EQ(nsent, 0);
	room = true;
	uart_tx_kick(&uart);
	CHECK_EQ(nsent, 16);
	CHECK_EQ(calls, 1);
	CHECK(irq.level);
	CHECK_EQ(get(UART_LSR) & UART_LSR_THRE, UART_LSR_THRE);
	put(UART_RBR, 'q');
	CHECK(nsent == 17 && sent[16] == 'q' && sent[15] == 'p');
	/* without FIFOs there is one holding register */
	put(UART_IIR, 0);
	room = false;
	put(UART_RBR, '1');
	put(UART_RBR, '2');
	room = true;
	uart_tx_kick(&uart);
	CHECK(nsent == 18 && sent[17] == '1');
}

TEST(string_output_moves_whole_runs)
{
	char text[100];
	const struct port_range *r;

	setup();
	for (unsigned i = 0; i < sizeof(text); i++)
		text[i] = (char)i;
	r = bus_find_port(&b.bus, 0x3f8);
	CHECK_EQ(r->ops->write_rep(r->dev, 0x3f8, 1, text, 100), 100);
	CHECK_EQ(nsent, 100);
	CHECK_EQ(calls, 7); /* FIFO-sized */
	CHECK(!memcmp(sent, text, 100));
	CHECK_EQ(r->ops->write_rep(r->dev, 0x3f9, 1, text, 100), 0);
	CHECK_EQ(r->ops->write_rep(r->dev, 0x3f8, 2, text, 50), 0);
	room = false;
	CHECK_EQ(r->ops->write_rep(r->dev, 0x3f8, 1, text, 100), 0);
}

TEST(received_bytes_interrupt_at_the_trigger_level)
{
	static const u8 level[4] = {1, 4, 8, 14};

	for (unsigned i = 0; i < 4; i++) {
		setup();
		put(UART_IIR, (u8)(UART_FCR_ENABLE | i << 6));
		put(UART_IER, UART_IER_RX);
		for (unsigned n = 1; n <= 16; n++) {
			CHECK(uart_rx(&uart, (u8)n));
			CHECK_EQ(irq.level, n >= level[i]);
		}
		CHECK(!uart_rx(&uart, 0)); /* full: the sender keeps it */
		CHECK_EQ(get(UART_LSR) & UART_LSR_OE, 0);
		for (unsigned n = 1; n <= 16; n++) {
			CHECK_EQ(get(UART_IIR) & 0x0f,
				 17 - n >= level[i] ? UART_IIR_RX : UART_IIR_NONE);
			CHECK_EQ(get(UART_RBR), n);
		}
		CHECK_EQ(get(UART_LSR) & UART_LSR_DR, 0);
		CHECK(!irq.level);
	}
}

TEST(a_few_bytes_time_out_after_four_characters)
{
	setup();
	put(UART_IIR, UART_FCR_ENABLE | 0xc0);
	put(UART_IER, UART_IER_RX);
	uart_rx(&uart, 'a');
	board_run(&b, 300 * NSEC_PER_USEC); /* 4 x 86.8 us at 115200 */
	uart_rx(&uart, 'b');		    /* starts over */
	board_run(&b, 340 * NSEC_PER_USEC);
	CHECK(!irq.level);
	board_run(&b, 10 * NSEC_PER_USEC);
	CHECK(irq.level);
	CHECK_EQ(get(UART_IIR), UART_IIR_TIMEOUT | UART_IIR_FIFO);
	get(UART_RBR);
	CHECK(!irq.level);
	board_run(&b, 400 * NSEC_PER_USEC);
	CHECK(irq.level); /* one is still there */
	get(UART_RBR);
	board_run(&b, NSEC_PER_SEC);
	CHECK(!irq.level);
	CHECK_EQ(timerq_next(&b.f.q), TIMER_OFF);
}

TEST(priorities_are_line_receiver_transmitter_modem)
{
	setup();
	put(UART_MCR, UART_MCR_OUT2 | UART_MCR_LOOP);
	get(UART_MSR);
	put(UART_IER, 0x0f);
	put(UART_MCR, UART_MCR_OUT2 | UART_MCR_LOOP | UART_MCR_RTS); /* delta CTS */
	put(UART_LCR, 3 | UART_LCR_BREAK);			     /* BI, and a NUL arrives */
	CHECK_EQ(get(UART_IIR), UART_IIR_LINE);
	CHECK_EQ(get(UART_LSR) & (UART_LSR_BI | UART_LSR_DR), UART_LSR_BI | UART_LSR_DR);
	CHECK_EQ(get(UART_LSR) & UART_LSR_BI, 0); /* cleared by reading */
	CHECK_EQ(get(UART_IIR), UART_IIR_RX);
	CHECK_EQ(get(UART_RBR), 0);
	CHECK_EQ(get(UART_IIR), UART_IIR_THRE);
	CHECK_EQ(get(UART_IIR), UART_IIR_MODEM);
	CHECK(irq.level);
	CHECK_EQ(get(UART_MSR) & 0x1f, UART_MSR_CTS | 1);
	CHECK_EQ(get(UART_IIR), UART_IIR_NONE);
	CHECK(!irq.level);
}

TEST(loop_back_returns_data_and_modem_lines)
{
	setup();
	put(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS); /* the classic 1A test */
	CHECK_EQ(get(UART_MSR) & 0xf0, UART_MSR_DCD | UART_MSR_CTS);
	put(UART_RBR, 0x42);
	CHECK_EQ(nsent, 0);
	CHECK_EQ(get(UART_LSR) & UART_LSR_DR, UART_LSR_DR);
	CHECK_EQ(get(UART_RBR), 0x42);
	put(UART_RBR, 1);
	put(UART_RBR, 2);
	CHECK_EQ(get(UART_LSR) & UART_LSR_OE, UART_LSR_OE);
	CHECK_EQ(get(UART_RBR), 2); /* overrun replaces the holding register */
	CHECK(!uart_rx(&uart, 'x'));
	/* RI: only its end counts */
	get(UART_MSR);
	put(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS | UART_MCR_OUT1);
	CHECK_EQ(get(UART_MSR) & UART_MSR_DELTA, 0);
	put(UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	CHECK_EQ(get(UART_MSR) & UART_MSR_DELTA, 4);
}

TEST(out2_gates_the_interrupt)
{
	setup();
	put(UART_MCR, 0);
	put(UART_IER, UART_IER_THRE);
	CHECK(!irq.level);
	put(UART_MCR, UART_MCR_OUT2);
	CHECK(irq.level);
}

TEST(the_receiver_counts_as_used_once_enabled_or_read)
{
	setup();
	get(UART_LSR);
	put(UART_RBR, 'x');
	put(UART_IER, UART_IER_THRE);
	put(UART_LCR, 0x83);
	get(UART_RBR); /* the divisor */
	put(UART_LCR, 0x03);
	CHECK(!uart_receiver_used(&uart));
	put(UART_IER, UART_IER_RX);
	CHECK(uart_receiver_used(&uart));
	uart_reset(&uart);
	CHECK(!uart_receiver_used(&uart));
	get(UART_RBR);
	CHECK(uart_receiver_used(&uart));
}

TEST(switching_fifos_empties_them)
{
	setup();
	put(UART_IIR, UART_FCR_ENABLE);
	uart_rx(&uart, 'a');
	put(UART_IIR, UART_FCR_ENABLE | UART_FCR_CLEAR_RX);
	CHECK_EQ(get(UART_LSR) & UART_LSR_DR, 0);
	uart_rx(&uart, 'b');
	put(UART_IIR, 0);
	CHECK_EQ(get(UART_LSR) & UART_LSR_DR, 0);
	CHECK(uart_rx(&uart, 'c'));
	CHECK(!uart_rx(&uart, 'd'));
	CHECK_EQ(get(UART_RBR), 'c');
}

TEST(clearing_the_transmitter_drops_what_is_held)
{
	setup();
	put(UART_IIR, UART_FCR_ENABLE);
	put(UART_IER, UART_IER_THRE);
	get(UART_IIR);
	put(UART_IIR, UART_FCR_ENABLE | UART_FCR_CLEAR_TX); /* nothing held: nothing happens */
	CHECK(!irq.level);
	room = false;
	put(UART_RBR, 'x');
	CHECK_EQ(get(UART_LSR) & UART_LSR_THRE, 0);
	put(UART_IIR, UART_FCR_ENABLE | UART_FCR_CLEAR_RX); /* the other one */
	CHECK_EQ(get(UART_LSR) & UART_LSR_THRE, 0);
	put(UART_IIR, UART_FCR_ENABLE | UART_FCR_CLEAR_TX);
	CHECK_EQ(get(UART_LSR) & UART_LSR_THRE, UART_LSR_THRE);
	CHECK(irq.level);
	room = true;
	uart_tx_kick(&uart);
	CHECK_EQ(nsent, 0);
}

TEST(a_break_inside_the_fifo_shows_at_its_turn)
{
	setup();
	put(UART_IIR, UART_FCR_ENABLE);
	put(UART_MCR, UART_MCR_OUT2 | UART_MCR_LOOP);
	put(UART_RBR, 'a');
	CHECK_EQ(get(UART_LSR) & UART_LSR_FIFO_ERR, 0);
	put(UART_LCR, 3 | UART_LCR_BREAK);
	put(UART_LCR, 3);
	CHECK_EQ(get(UART_LSR) & (UART_LSR_FIFO_ERR | UART_LSR_BI), UART_LSR_FIFO_ERR);
	CHECK_EQ(get(UART_RBR), 'a');
	CHECK_EQ(get(UART_LSR) & (UART_LSR_FIFO_ERR | UART_LSR_BI),
		 UART_LSR_FIFO_ERR | UART_LSR_BI);
	CHECK_EQ(get(UART_LSR) & (UART_LSR_FIFO_ERR | UART_LSR_BI), 0);
	CHECK_EQ(get(UART_RBR), 0);
}

/* Random accesses and line states: everything accepted arrives once, in order; pin and IIR agree.
 */
TEST(random_programs_lose_nothing)
{
	u64 seed = 5;
	u8 next_in = 0, next_out = 0, want_in = 0;
	bool pin_was;

	setup();
	put(UART_IIR, UART_FCR_ENABLE | 0x80);
	for (unsigned i = 0; i < 200000 && !unit_failures; i++) {
		u32 r = board_random(&seed);

		switch (r % 7) {
		case 0:
			room = r & 0x100;
			uart_tx_kick(&uart);
			break;
		case 1:
			if (get(UART_LSR) & UART_LSR_THRE)
				put(UART_RBR, next_out++);
			break;
		case 2:
			if (uart_rx(&uart, next_in))
				next_in++;
			break;
		case 3:
			if (get(UART_LSR) & UART_LSR_DR)
				CHECK_EQ(get(UART_RBR), want_in++);
			break;
		case 4:
			put(UART_IER, (u8)(r >> 8));
			break;
		case 5:
			get(UART_IIR);
			break;
		default:
			board_run(&b, r % 400 * NSEC_PER_USEC);
			break;
		}
		pin_was = irq.level; /* before IIR takes a THRE interrupt back */
		CHECK_EQ(pin_was, !(get(UART_IIR) & UART_IIR_NONE));
		for (unsigned k = 1; k < nsent; k++)
			CHECK_EQ(sent[k], (u8)(sent[k - 1] + 1));
		if (nsent > 64) {
			sent[0] = sent[nsent - 1];
			nsent = 1;
		}
	}
}
