/* Distribution of text to UART, screen and memory.
 *
 * SPDX-License-Identifier: MIT
 */
#include "firmware/console.h"
#include "firmware/ioapic.h"
#include "firmware/pcicfg.h"
#include "firmware/screen.h"
#include "firmware/uart.h"
#include "lib/cpuops.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "mem/hostmap.h"

#define VGA_TEXT_BASE	 0xb8000
#define VGA_TEXT_COLS	 80
#define VGA_TEXT_ROWS	 25
#define PCI_CLASS_SERIAL 0x0700 /* class and subclass; any programming interface */
#define PCI_SERIAL_BYTES 4096

struct memconsole memconsole = {
	.magic = "PENUMBRA-CONSOL",
	.size = MEMCONSOLE_SIZE,
};

static struct {
	struct console_param param;
	struct host_uart uart;
	struct boot_fb fb;
	bool screen; /* text goes there now */
	hpa_t mmio;  /* of a memory-mapped UART */
	u32 bdf;     /* of a PCI UART */
	const struct boot_info *bi;
	char name[16];
} con;

static void mem_write(const char *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		memconsole.buf[memconsole.total++ % MEMCONSOLE_SIZE] = buf[i];
}

/* --- set-up --------------------------------------------------------------------------------- */

/* Without word from the loader: a PC started by a BIOS is in text mode 3. */
static void choose_fb(const struct boot_info *bi)
{
	con.fb = bi->fb;
	if (con.fb.base || bi->efi)
		return;
	con.fb = (struct boot_fb){.base = VGA_TEXT_BASE,
				  .pitch = VGA_TEXT_COLS * 2,
				  .width = VGA_TEXT_COLS,
				  .height = VGA_TEXT_ROWS,
				  .bpp = 16,
				  .text = true};
}

void console_init(const struct boot_info *bi, const struct console_param *p)
{
	con.bi = bi;
	con.param = *p;
	con.bdf = PCICFG_NONE;
	str_copy(con.name, "none", sizeof(con.name));
	if (p->kind == CONSOLE_VGA)
		str_copy(con.name, "vga", sizeof(con.name));
	if (p->kind == CONSOLE_UART) {
		con.uart.port = p->port;
		if (uart_setup(&con.uart, p))
			snprintf(con.name, sizeof(con.name), "com 0x%x", p->port);
	}
	choose_fb(bi);
	/* Text memory is cheap and always within reach; a framebuffer waits for its mapping. */
	if (con.fb.base && con.fb.text && con.fb.base + screen_bytes(&con.fb) <= 4 * GIB)
		con.screen = screen_init(&con.fb, (void *)con.fb.base);
}

static bool pci_uart_use(u32 bdf)
{
	u64 bar = pcicfg_read32(bdf, PCICFG_BAR0), base;

	pcicfg_write16(bdf, PCICFG_COMMAND,
		       pcicfg_read16(bdf, PCICFG_COMMAND) | PCICFG_COMMAND_IO |
			       PCICFG_COMMAND_MEMORY);
	if (bar & PCICFG_BAR_IO) {
		con.uart.port = (u16)(bar & ~3ull);
		return con.uart.port && uart_setup(&con.uart, &con.param);
	}
	base = bar & ~15ull;
	if ((bar & PCICFG_BAR_TYPE) == PCICFG_BAR_64)
		base |= (u64)pcicfg_read32(bdf, PCICFG_BAR0 + 4) << 32;
	con.mmio = base;
	con.uart.mmio = base ? mmio_map(base, PCI_SERIAL_BYTES) : NULL;
	/* Byte-wide registers are the rule for class 0700; LPSS parts space them by four. */
	for (con.uart.stride = 1; con.uart.mmio && con.uart.stride <= 4; con.uart.stride *= 4)
		if (uart_setup(&con.uart, &con.param))
			return true;
	return false;
}

static void pci_uart_find(void)
{
	u32 bdf = pcicfg_find_class(PCI_CLASS_SERIAL);

	if (bdf == PCICFG_NONE || !pci_uart_use(bdf))
		return;
	con.bdf = bdf;
	snprintf(con.name, sizeof(con.name), "pci %02x:%02x.%x", bdf >> 8 & 0xff, bdf >> 3 & 0x1f,
		 bdf & 7);
}

/* What was said before this device was there. */
static void replay(void (*out)(const char *buf, size_t len))
{
	if (memconsole.total <= MEMCONSOLE_SIZE)
		out(memconsole.buf, memconsole.total);
}

static void uart_out(const char *buf, size_t len)
{
	uart_write(&con.uart, buf, len);
}

void console_map(void)
{
	if (con.fb.base) {
		u64 bytes = screen_bytes(&con.fb);
		void *va = con.fb.text ? mmio_map(con.fb.base, bytes)
				       : mmio_map_wc(con.fb.base, bytes);

		if (va && con.screen) {
			screen_move(va);
		} else if (va && screen_init(&con.fb, va)) {
			con.screen = true;
			replay(screen_write);
		}
	}
	if (con.param.kind == CONSOLE_PCI) {
		pci_uart_find();
		if (con.uart.present)
			replay(uart_out);
	}
}

/* --- writing and reading -------------------------------------------------------------------- */

void console_write_raw(const char *buf, size_t len)
{
	mem_write(buf, len);
	if (con.uart.present)
		uart_write(&con.uart, buf, len);
	if (con.screen)
		screen_write(buf, len);
}

void console_flush(void)
{
	if (con.uart.present)
		uart_flush(&con.uart);
}

void console_write(const char *buf, size_t len)
{
	while (len) {
		const char *nl = memchr(buf, '\n', len);
		size_t n = nl ? (size_t)(nl - buf) : len;

		console_write_raw(buf, n);
		if (!nl)
			return;
		console_write_raw("\r\n", 2);
		buf += n + 1;
		len -= n + 1;
	}
}

unsigned console_tx_room(void)
{
	if (!con.uart.present)
		return MEMCONSOLE_SIZE;
	return uart_tx_ready(&con.uart) ? con.uart.fifo : 0;
}

void console_tx(const char *buf, unsigned n)
{
	mem_write(buf, n);
	if (con.uart.present)
		uart_tx(&con.uart, buf, n);
	if (con.screen)
		screen_write(buf, n);
}

int console_rx(void)
{
	return con.uart.present ? uart_getc(&con.uart) : -1;
}

/* Interrupt on received bytes, on an empty transmitter. */
static void irq_enable_on(bool rx, bool tx)
{
	if (con.uart.present)
		uart_irq_enable(&con.uart, rx, tx);
}

static int isa_irq(void)
{
	if (!con.uart.present)
		return -1;
	switch (con.uart.port) {
	case 0x3f8:
	case 0x3e8:
		return 4;
	case 0x2f8:
	case 0x2e8:
		return 3;
	default:
		return -1;
	}
}

int console_gsi(void)
{
	int irq = isa_irq();

	return irq < 0 ? -1 : (int)con.bi->acpi.isa[irq].gsi;
}

int console_route_irq(unsigned vector, u32 apic_id)
{
	int irq = isa_irq(), err;
	const struct boot_isa_irq *i;

	if (irq < 0)
		return -ENODEV;
	i = &con.bi->acpi.isa[irq];
	err = ioapic_route(i->gsi, vector, apic_id, i->active_low, i->level);
	if (err)
		return -ENODEV;
	ioapic_mask(i->gsi, false);
	irq_enable_on(true, false);
	return 0;
}

u16 console_port(void)
{
	return con.uart.present ? con.uart.port : 0;
}

hpa_t console_mmio(void)
{
	return con.uart.present && !con.uart.port ? con.mmio : 0;
}

u32 console_pci(void)
{
	return con.bdf;
}

const char *console_name(void)
{
	return con.name;
}

void console_screen_stop(const char *rest, size_t len)
{
	char text[80];
	int n;

	if (!con.uart.present || !con.screen)
		return;
	n = snprintf(text, sizeof(text), "\r\nOutput goes on by the serial line (%s).\r\n",
		     con.name);
	screen_write(rest, len);
	screen_write(text, (size_t)n);
	con.screen = false;
}

void console_panic(void)
{
	if (!con.screen) {
		con.screen = true;
		screen_redraw();
	}
	irq_enable_on(false, false);
}
