/* Storage and hooks behind guestbios_host.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "../../guestbios/rom/bios16.h"

u8 host_mem[0x110000];
struct bios_shared shared;
char host_text[8192];
unsigned host_text_len, host_exits;
u8 host_in[256];
unsigned host_in_pos;
void (*host_wait)(void);
u64 host_tsc;

const u8 font8x8_low[1024], font8x8_high[1024], font8x16[4096], video_static[16];

void outb(u16 port, u8 v)
{
	(void)port;
	(void)v;
	host_exits++;
}
void outw(u16 port, u16 v)
{
	(void)port;
	(void)v;
	host_exits++;
}
void outl(u16 port, u32 v)
{
	(void)port;
	(void)v;
	host_exits++;
}
u8 inb(u16 port)
{
	(void)port;
	host_exits++;
	return host_in[host_in_pos++ & 255];
}
u16 inw(u16 port)
{
	return inb(port);
}
u32 inl(u16 port)
{
	return inb(port);
}

void outsb(u16 port, const void *buf, u32 n)
{
	host_exits++;
	if (port != BIOSCHAN_PORT_TEXT || host_text_len + n >= sizeof(host_text))
		return;
	memcpy(host_text + host_text_len, buf, n);
	host_text_len += n;
	host_text[host_text_len] = 0;
}

void irq_window_wait(void)
{
	if (host_wait)
		host_wait();
}

void irq_window(void)
{
}

void call_int(u8 vector, u16 *ax, bool *cf)
{
	(void)vector;
	(void)ax;
	(void)cf;
}

/* A machine after POST: BDA of mode 3, blank screen, no drives. */
void host_reset(void)
{
	memset(host_mem, 0, sizeof(host_mem));
	memset(&shared, 0, sizeof(shared));
	host_text_len = host_exits = host_in_pos = 0;
	host_text[0] = 0;
	host_wait = NULL;
	bda.columns = 80;
	bda.rows_minus1 = 24;
	bda.page_size = 0x1000;
	bda.char_height = 16;
	bda.video_mode = 3;
	bda.kbd_start = bda.kbd_head = bda.kbd_tail = 0x1e;
	bda.kbd_end = 0x3e;
	for (u32 i = 0; i < 0x4000; i++)
		far_set_u16(TEXT_SEG, i * 2, 0x0720);
}
