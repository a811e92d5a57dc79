/* INT 05h, 11h, 12h, 14h, 17h and 1Ah's clock.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bios16.h"
#include "pcibios.h"

void int05(struct regs *r);
void int05(struct regs *r) /* no printer */
{
	(void)r;
	far_set_u8(0x50, 0, 0xff);
}

void int11(struct regs *r);
void int11(struct regs *r)
{
	r->ax = bda.equip;
}

void int12(struct regs *r);
void int12(struct regs *r)
{
	r->ax = bda.base_kb;
}

void int17(struct regs *r);
void int17(struct regs *r) /* time-out, not selected */
{
	r->ah = 0x01;
}

/* --- COM1 ---------------------------------------------------------------------------------- */
#define UART_DATA      0
#define UART_IER       1
#define UART_LCR       3
#define UART_MCR       4
#define UART_LSR       5
#define UART_MSR       6
#define LCR_DLAB       0x80
#define LSR_DATA       0x01
#define LSR_THRE       0x20
#define SERIAL_TIMEOUT 0x80
#define SERIAL_TICKS   18

ROM u16 divisors[8] = {1047, 768, 384, 192, 96, 48, 24, 12};

static bool wait_line(u16 port, u8 bit)
{
	u32 start = bda.ticks;

	while (!(inb(port + UART_LSR) & bit)) {
		irq_window();
		if (bda.ticks - start > SERIAL_TICKS)
			return false;
	}
	return true;
}

static void serial_init(u16 port, u8 setup)
{
	u16 divisor = rom_u16(&divisors[setup >> 5]);

	outb(port + UART_LCR, LCR_DLAB);
	outb(port + UART_DATA, divisor);
	outb(port + UART_IER, divisor >> 8);
	outb(port + UART_LCR, setup & 0x1f);
	outb(port + UART_IER, 0);
}

void int14(struct regs *r);
void int14(struct regs *r)
{
	u16 port = r->dx < 4 ? bda.com[r->dx] : 0;

	if (!port) {
		r->ah = SERIAL_TIMEOUT;
		return;
	}
	switch (r->ah) {
	case 0:
		serial_init(port, r->al);
		break;
	case 1:
		if (!wait_line(port, LSR_THRE)) {
			r->ah = SERIAL_TIMEOUT;
			return;
		}
		outb(port + UART_DATA, r->al);
		r->ah = inb(port + UART_LSR);
		return;
	case 2:
		if (!wait_line(port, LSR_DATA)) {
			r->ah = SERIAL_TIMEOUT;
			return;
		}
		r->ah = inb(port + UART_LSR) & 0x1e;
		r->al = inb(port + UART_DATA);
		return;
	case 3:
		break;
	default:
		log_call(0x14, r);
		return;
	}
	r->ah = inb(port + UART_LSR);
	r->al = inb(port + UART_MSR);
}

/* --- clock --------------------------------------------------------------------------------- */
static void clock_settled(void)
{
	while (cmos_read(0x0a) & 0x80)
		irq_window();
}

static void rtc_call(struct regs *r)
{
	u8 b;

	set_cf(r, false);
	switch (r->ah) {
	case 2:
		clock_settled();
		r->ch = cmos_read(4);
		r->cl = cmos_read(2);
		r->dh = cmos_read(0);
		r->dl = cmos_read(0x0b) & 1;
		break;
	case 3:
		b = (cmos_read(0x0b) & 0x60) | 0x02 | (r->dl & 1);
		cmos_write(0x0b, b | 0x80);
		cmos_write(4, r->ch);
		cmos_write(2, r->cl);
		cmos_write(0, r->dh);
		cmos_write(0x0b, b);
		break;
	case 4:
		clock_settled();
		r->ch = cmos_read(0x32);
		r->cl = cmos_read(9);
		r->dh = cmos_read(8);
		r->dl = cmos_read(7);
		break;
	case 5:
		b = cmos_read(0x0b);
		cmos_write(0x0b, b | 0x80);
		cmos_write(0x32, r->ch);
		cmos_write(9, r->cl);
		cmos_write(8, r->dh);
		cmos_write(7, r->dl);
		cmos_write(0x0b, b & 0x7f);
		break;
	case 6:
		b = cmos_read(0x0b);
		if (b & 0x20) { /* an alarm is set already */
			set_cf(r, true);
			break;
		}
		cmos_write(5, r->ch);
		cmos_write(3, r->cl);
		cmos_write(1, r->dh);
		outb(0xa1, inb(0xa1) & ~0x01);
		cmos_write(0x0b, b | 0x20);
		break;
	case 7:
		cmos_write(0x0b, cmos_read(0x0b) & ~0x20);
		break;
	}
	r->ah = 0;
}

void int1a(struct regs *r);
void int1a(struct regs *r)
{
	u32 ticks;

	switch (r->ah) {
	case 0:
		ticks = bda.ticks;
		r->cx = ticks >> 16;
		r->dx = ticks;
		r->al = bda.midnight;
		bda.midnight = 0;
		r->ah = 0;
		set_cf(r, false);
		break;
	case 1:
		bda.ticks = (u32)r->cx << 16 | r->dx;
		bda.midnight = 0;
		r->ah = 0;
		set_cf(r, false);
		break;
	case 2:
	case 3:
	case 4:
	case 5:
	case 6:
	case 7:
		rtc_call(r);
		break;
	case 0xb1: {
		struct pci_call c = {r->eax, r->ebx, r->ecx, r->edx, r->edi, r->esi, false};

		if (r->al == PCIBIOS_GET_ROUTING) {
			pci_get_routing(r);
			break;
		}
		pci_bios_call(&c);
		r->eax = c.eax;
		r->ebx = c.ebx;
		r->ecx = c.ecx;
		r->edx = c.edx;
		set_cf(r, c.cf);
		break;
	}
	default:
		unsupported(0x1a, r);
	}
}
