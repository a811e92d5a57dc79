/* INT 15h: memory size and map, A20, block move, waits, APM, configuration.
 *
 * SPDX-License-Identifier: MIT
 */
#include "disk.h"

#define PORT_92	      0x92
#define PORT_92_A20   0x02
#define PORT_92_RESET 0x01
#define TICK_US	      54925u

extern const u8 config_table[];
void copy_flat(u32 dst, u32 src, u32 bytes);

/* --- memory size --------------------------------------------------------------------------- */
/* KiB above 1 MiB, as far as 16 bits tell; old programs must not see the hole at 64 MiB. */
static void memory_88(struct regs *r)
{
	u32 kb = shared.ram_top > MIB ? (shared.ram_top - MIB) >> 10 : 0;

	r->ax = kb > 0xfc00 ? 0xfc00 : kb;
	set_cf(r, false);
}

/* KiB from 1 to 16 MiB, and 64 KiB blocks from 16 MiB up. */
static void memory_e801(struct regs *r, bool wide)
{
	u32 top = shared.ram_top, low = 0, high = 0;

	if (top > 16 * MIB) {
		low = 15 * 1024;
		high = (top - 16 * MIB) >> 16;
	} else if (top > MIB) {
		low = (top - MIB) >> 10;
	}
	if (wide) {
		r->eax = r->ecx = low;
		r->ebx = r->edx = high;
	} else {
		r->ax = r->cx = low;
		r->bx = r->dx = high;
	}
	set_cf(r, false);
}

#define SMAP 0x534d4150u

static void memory_e820(struct regs *r)
{
	u32 i = r->ebx, n = r->ecx;

	if (r->edx != SMAP || n < 20 || i >= shared.e820_count) {
		r->ah = 0x86;
		set_cf(r, true);
		return;
	}
	far_write(r->es, r->edi & 0xffff, &shared.e820[i], 20);
	if (n >= 24) { /* ACPI 3.0 attributes: enabled */
		far_set_u32(r->es, (r->edi & 0xffff) + 20, 1);
		n = 24;
	} else {
		n = 20;
	}
	r->ecx = n;
	r->eax = SMAP;
	r->ebx = i + 1 < shared.e820_count ? i + 1 : 0;
	set_cf(r, false);
}

/* --- A20 ----------------------------------------------------------------------------------- */
static void a20(struct regs *r)
{
	u8 v;

	r->ah = 0;
	set_cf(r, false);
	switch (r->al) {
	case 0:
	case 1:
		v = inb(PORT_92) & ~PORT_92_RESET;
		outb(PORT_92, r->al ? v | PORT_92_A20 : v & ~PORT_92_A20);
		break;
	case 2:
		r->al = inb(PORT_92) & PORT_92_A20 ? 1 : 0;
		break;
	case 3:
		r->bx = 0x0003; /* by the keyboard controller and by port 92h */
		break;
	default:
		unsupported(0x15, r);
	}
}

/* --- block move ---------------------------------------------------------------------------- */
static u32 descriptor_base(u16 seg, u32 off)
{
	return (far_u32(seg, off + 2) & 0xffffff) | (u32)far_u8(seg, off + 7) << 24;
}

/* 87h: CX words between the areas of the third and fourth descriptor of the table at ES:SI. */
static void block_move(struct regs *r)
{
	u32 si = r->esi & 0xffff;
	u32 src = descriptor_base(r->es, si + 0x10), dst = descriptor_base(r->es, si + 0x18);
	u8 gate = inb(PORT_92);

	if (r->cx > 0x8000) {
		r->ah = 2;
		set_cf(r, true);
		return;
	}
	if (!(gate & PORT_92_A20))
		outb(PORT_92, (gate | PORT_92_A20) & ~PORT_92_RESET);
	copy_flat(dst, src, r->cx * 2u);
	if (!(gate & PORT_92_A20))
		outb(PORT_92, gate & ~PORT_92_RESET);
	r->ah = 0;
	set_cf(r, false);
	set_zf(r, true);
}

/* --- waits --------------------------------------------------------------------------------- */
/* The TSC measures; whole ticks are slept through. */
static void wait_us(u32 us)
{
	u64 cycles = (u64)us * (shared.tsc_khz / 1000), start = rdtsc();
	u32 per_tick = TICK_US * (shared.tsc_khz / 1000);

	while (rdtsc() - start < cycles) {
		u64 left = cycles - (rdtsc() - start);

		if ((s64)left > per_tick)
			tick_wait();
		else
			irq_window();
	}
}

/* 83h: set bit 7 of a byte of the caller's after a while. The RTC counts 976 us periods. */
#define RTC_B	0x0b
#define RTC_PIE 0x40

static void unmask_rtc(void)
{
	outb(0xa1, inb(0xa1) & ~0x01);
}

static void event_wait(struct regs *r)
{
	if (r->al == 1) {
		bda.wait_active = 0;
		cmos_write(RTC_B, cmos_read(RTC_B) & ~RTC_PIE);
		set_cf(r, false);
		return;
	}
	if (r->al != 0 || bda.wait_active) {
		r->ah = r->al ? 0x86 : 0x83;
		set_cf(r, true);
		return;
	}
	bda.wait_seg = r->es;
	bda.wait_off = r->bx;
	bda.wait_count = (u32)r->cx << 16 | r->dx;
	bda.wait_active = 1;
	unmask_rtc();
	cmos_write(RTC_B, cmos_read(RTC_B) | RTC_PIE);
	r->ah = 0;
	set_cf(r, false);
}

/* INT 70h: periodic interrupts count down 83h's wait, the alarm goes to INT 4Ah. */
void int70(struct regs *r);
void int70(struct regs *r)
{
	u8 why = cmos_read(0x0c);

	(void)r;
	if (why & 0x40 && bda.wait_active) {
		u32 left = bda.wait_count;

		bda.wait_count = left > 976 ? left - 976 : 0;
		if (left <= 976) {
			far_set_u8(bda.wait_seg, bda.wait_off,
				   far_u8(bda.wait_seg, bda.wait_off) | 0x80);
			bda.wait_active = 0;
			cmos_write(RTC_B, cmos_read(RTC_B) & ~RTC_PIE);
		}
	}
	outb(0xa0, 0x20);
	outb(0x20, 0x20);
	if (why & 0x20) {
		u16 ax = 0;
		bool cf = false;

		call_int(0x4a, &ax, &cf);
	}
}

/* --- APM 1.2, real-mode interface only ------------------------------------------------------ */
#define APM_NOT_CONNECTED 0x03
#define APM_BAD_DEVICE	  0x09
#define APM_BAD_STATE	  0x0a
#define APM_NO_EVENTS	  0x80

static void apm_result(struct regs *r, u8 error)
{
	r->ah = error;
	set_cf(r, error != 0);
}

static void apm_power(struct regs *r)
{
	if (r->cx == 3 && r->bx == 1) {
		text_sync();
		channel_event(BIOS_EVENT_POWER_OFF);
		for (;;)
			irq_window_wait();
	}
	apm_result(r, r->cx > 3 ? APM_BAD_STATE : r->cx == 3 ? APM_BAD_DEVICE : 0);
}

static void apm(struct regs *r)
{
	switch (r->al) {
	case 0x00:
		r->bx = 'P' << 8 | 'M';
		r->cx = 0;
		r->ax = 0x0102;
		set_cf(r, false);
		break;
	case 0x01:
	case 0x04:
	case 0x08:
	case 0x0d:
	case 0x0f:
	case 0x10:
		apm_result(r, 0);
		break;
	case 0x05: /* idle */
		irq_window_wait();
		apm_result(r, 0);
		break;
	case 0x06:
		apm_result(r, 0);
		break;
	case 0x07:
		apm_power(r);
		break;
	case 0x0a: /* on line power, no battery */
		r->bx = 0x01ff;
		r->cx = 0x80ff;
		r->dx = 0xffff;
		apm_result(r, 0);
		break;
	case 0x0b:
		apm_result(r, APM_NO_EVENTS);
		break;
	case 0x0e:
		r->ax = 0x0102;
		set_cf(r, false);
		break;
	default:
		unsupported(0x15, r);
	}
}

/* --- dispatch ------------------------------------------------------------------------------ */
static void long_ax_call(struct regs *r)
{
	switch (r->ax) {
	case 0xe801:
		memory_e801(r, false);
		break;
	case 0xe881:
		memory_e801(r, true);
		break;
	case 0xe820:
		memory_e820(r);
		break;
	default:
		unsupported(0x15, r);
	}
}

/* A loader that asks for memory is about to leave: what it printed should be out by then. */
static bool asks_for_memory(u8 ah)
{
	return ah == 0x88 || ah == 0xe8 || ah == 0xec;
}

void int15(struct regs *r);
void int15(struct regs *r)
{
	if (asks_for_memory(r->ah))
		text_sync();
	switch (r->ah) {
	case 0x24:
		a20(r);
		break;
	case 0x4f: /* keyboard intercept: CF stays set, take the key */
		break;
	case 0x53:
		apm(r);
		break;
	case 0x80: /* device open, close, program end, SysRq, busy, interrupt complete: nothing
		      hooked */
	case 0x81:
	case 0x82:
	case 0x85:
	case 0x90:
	case 0x91:
		r->ah = 0;
		set_cf(r, false);
		break;
	case 0x83:
		event_wait(r);
		break;
	case 0x86:
		wait_us((u32)r->cx << 16 | r->dx);
		r->ah = 0;
		set_cf(r, false);
		break;
	case 0x87:
		block_move(r);
		break;
	case 0x88:
		memory_88(r);
		break;
	case 0xc0:
		r->es = ROM_SEG;
		r->bx = rom_offset(config_table);
		r->ah = 0;
		set_cf(r, false);
		break;
	case 0xc1:
		r->es = EBDA_SEG;
		r->ah = 0;
		set_cf(r, false);
		break;
	case 0xe8:
		long_ax_call(r);
		break;
	case 0xec: /* the loader tells which mode its kernel runs in: nothing depends on it */
		if (r->al == 0) {
			r->ah = 0;
			set_cf(r, false);
		} else {
			unsupported(0x15, r);
		}
		break;
	default: /* 89h among them: the caller can enter protected mode better itself */
		unsupported(0x15, r);
	}
}
