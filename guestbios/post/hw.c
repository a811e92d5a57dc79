/* The board's chips as an OS or boot loader expects to find them after POST.
 *
 * SPDX-License-Identifier: MIT
 */
#include "post.h"

/* --- 8259A pair ---------------------------------------------------------------------------- */
#define PIC1_CMD  0x20
#define PIC1_DATA 0x21
#define PIC2_CMD  0xa0
#define PIC2_DATA 0xa1
#define PIC_ELCR2 0x4d1

static void pic_init(void)
{
	outb(PIC1_CMD, 0x11); /* ICW1: edge, cascade, ICW4 */
	outb(PIC1_DATA, 0x08);
	outb(PIC1_DATA, 0x04);
	outb(PIC1_DATA, 0x01);
	outb(PIC2_CMD, 0x11);
	outb(PIC2_DATA, 0x70);
	outb(PIC2_DATA, 0x02);
	outb(PIC2_DATA, 0x01);
	outb(PIC1_DATA, 0xf8); /* timer, keyboard, cascade */
	outb(PIC2_DATA, 0xff);
	/* SCI and the PCI lines are level-triggered. */
	outb(PIC_ELCR2, 1 << (PC_IRQ_SCI - 8) | 1 << (PC_PIRQ_A_IRQ - 8) |
				1 << (PC_PIRQ_B_IRQ - 8) | 1 << (PC_PIRQ_C_IRQ - 8) |
				1 << (PC_PIRQ_D_IRQ - 8));
}

/* --- 8254 ---------------------------------------------------------------------------------- */
#define PIT_CH0	 0x40
#define PIT_MODE 0x43

static void pit_init(void)
{
	outb(PIT_MODE, 0x36); /* channel 0, both bytes, square wave: 65536 counts, 18.2 Hz */
	outb(PIT_CH0, 0);
	outb(PIT_CH0, 0);
}

/* --- 8042 ---------------------------------------------------------------------------------- */
#define KBC_DATA 0x60
#define KBC_CMD	 0x64
#define KBC_OBF	 0x01

static void kbc_init(void)
{
	for (u32 i = 0; i < 16 && inb(KBC_CMD) & KBC_OBF; i++)
		inb(KBC_DATA); /* left from before a reset */
	outb(KBC_CMD, 0xaa);   /* self-test: answers 55h */
	inb(KBC_DATA);
	outb(KBC_CMD, 0x60); /* command byte: IRQ 1, system flag, mouse off, translate */
	outb(KBC_DATA, 0x65);
	outb(KBC_CMD, 0xae);  /* keyboard on */
	outb(KBC_DATA, 0xf4); /* scanning on: answers FAh */
	inb(KBC_DATA);
}

/* --- local APIC: virtual wire --------------------------------------------------------------- */
#define LAPIC_SVR   0xf0
#define LAPIC_LINT0 0x350
#define LAPIC_LINT1 0x360

static void lapic_init(void)
{
	volatile u32 *apic = phys(PC_LAPIC_BASE);

	apic[LAPIC_SVR / 4] = 0x1ff;   /* enabled, spurious vector FFh */
	apic[LAPIC_LINT0 / 4] = 0x700; /* ExtINT: the 8259A pair */
	apic[LAPIC_LINT1 / 4] = 0x400; /* NMI */
}

/* --- MTRRs: RAM write-back, PCI hole uncached ------------------------------------------------ */
#define MSR_MTRR_CAP	  0xfe
#define MSR_MTRR_PHYSBASE 0x200
#define MSR_MTRR_PHYSMASK 0x201
#define MSR_MTRR_FIX64K	  0x250
#define MSR_MTRR_FIX16K	  0x258 /* 80000, A0000 */
#define MSR_MTRR_FIX4K	  0x268 /* C0000 up, eight of them */
#define MSR_MTRR_DEF	  0x2ff
#define MTRR_WB		  0x0606060606060606ull
#define MTRR_WP		  0x0505050505050505ull
#define CPUID1_EDX_MTRR	  BIT(12)

static void wrmsr(u32 msr, u64 v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)));
}

static u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (u64)hi << 32 | lo;
}

static void cpuid(u32 leaf, u32 *a, u32 *d)
{
	u32 b, c = 0;

	__asm__ volatile("cpuid" : "=a"(*a), "=b"(b), "+c"(c), "=d"(*d) : "a"(leaf));
}

static u32 phys_bits(void)
{
	u32 a, d;

	cpuid(0x80000000, &a, &d);
	if (a < 0x80000008)
		return 36;
	cpuid(0x80000008, &a, &d);
	return a & 0xff;
}

static void mtrr_init(void)
{
	u32 a, d, hole = -PC_PCI_HOLE_START;
	u64 cap;

	cpuid(1, &a, &d);
	if (!(d & CPUID1_EDX_MTRR))
		return;
	cap = rdmsr(MSR_MTRR_CAP);
	if (cap & 0x100) {
		wrmsr(MSR_MTRR_FIX64K, MTRR_WB);
		wrmsr(MSR_MTRR_FIX16K, MTRR_WB);
		wrmsr(MSR_MTRR_FIX16K + 1, 0);
		for (u32 i = 0; i < 8; i++)
			wrmsr(MSR_MTRR_FIX4K + i, i < 4 ? 0 : MTRR_WP);
	}
	if (cap & 0xff) {
		wrmsr(MSR_MTRR_PHYSBASE, PC_PCI_HOLE_START);
		wrmsr(MSR_MTRR_PHYSMASK, ((BIT(phys_bits()) - 1) & ~(u64)(hole - 1)) | BIT(11));
	}
	wrmsr(MSR_MTRR_DEF, 0x806 | (cap & 0x100 ? 0x400 : 0));
}

void hw_init_early(void)
{
	pic_init();
	pit_init();
	kbc_init();
	lapic_init();
	mtrr_init();
}

/* --- MC146818 ------------------------------------------------------------------------------ */
static void cmos_write16(u8 reg, u32 v)
{
	cmos_write(reg, v);
	cmos_write(reg + 1, v >> 8);
}

void hw_init_clock(const struct bios_config *cfg)
{
	u32 kb = (u32)(cfg->low_ram >> 10) - 1024;
	u32 above16 = cfg->low_ram > 16 * MIB ? (u32)((cfg->low_ram - 16 * MIB) >> 16) : 0;

	cmos_write(0x0a, 0x26); /* 32 kHz base, 976 us periodic rate */
	cmos_write(0x0b, 0x02); /* 24 hours, BCD, no interrupts */
	cmos_read(0x0c);
	/* Memory sizes where AT software looks. */
	cmos_write16(0x15, 640);
	cmos_write16(0x17, kb > 0xffff ? 0xffff : kb);
	cmos_write16(0x30, kb > 0xffff ? 0xffff : kb);
	cmos_write16(0x34, above16);
}

static u32 bcd(u8 v)
{
	return (v >> 4) * 10 + (v & 15);
}

/* 65536 counts of 1193182 Hz to a tick: 18.2065 per second. */
u32 clock_ticks(void)
{
	u32 seconds = (bcd(cmos_read(4)) * 60 + bcd(cmos_read(2))) * 60 + bcd(cmos_read(0));

	return (u32)((u64)seconds * 1193182 >> 16);
}

/* --- VGA: mode 3 --------------------------------------------------------------------------- */
#define VGA_MISC  0x3c2
#define VGA_SEQ	  0x3c4
#define VGA_GC	  0x3ce
#define VGA_CRTC  0x3d4
#define VGA_AC	  0x3c0
#define VGA_STAT  0x3da
#define VGA_MASK  0x3c6
#define VGA_DAC_W 0x3c8
#define VGA_DAC	  0x3c9

#define REG(index, value) ((index) | (value) << 8)

/* IBM VGA technical reference, mode 3+: 720x400, 9x16 cells. Index and data go out as one word. */
static const u16 seq_regs[] = {REG(0, 3), REG(1, 0), REG(2, 3), REG(3, 0), REG(4, 2)};
static const u16 gc_regs[] = {REG(0, 0),    REG(1, 0),	  REG(2, 0), REG(3, 0),	  REG(4, 0),
			      REG(5, 0x10), REG(6, 0x0e), REG(7, 0), REG(8, 0xff)};
static const u16 crtc_regs[] = {
	REG(0x11, 0x0e), REG(0x00, 0x5f), REG(0x01, 0x4f), REG(0x02, 0x50), REG(0x03, 0x82),
	REG(0x04, 0x55), REG(0x05, 0x81), REG(0x06, 0xbf), REG(0x07, 0x1f), REG(0x08, 0x00),
	REG(0x09, 0x4f), REG(0x0a, 0x0d), REG(0x0b, 0x0e), REG(0x0c, 0x00), REG(0x0d, 0x00),
	REG(0x0e, 0x00), REG(0x0f, 0x00), REG(0x10, 0x9c), REG(0x11, 0x8e), REG(0x12, 0x8f),
	REG(0x13, 0x28), REG(0x14, 0x1f), REG(0x15, 0x96), REG(0x16, 0xb9), REG(0x17, 0xa3)};
static const u8 ac_regs[] = {0x00, 0x00, 0x01, 0x01, 0x02, 0x02, 0x03, 0x03, 0x04, 0x04, 0x05,
			     0x05, 0x06, 0x14, 0x07, 0x07, 0x08, 0x38, 0x09, 0x39, 0x0a, 0x3a,
			     0x0b, 0x3b, 0x0c, 0x3c, 0x0d, 0x3d, 0x0e, 0x3e, 0x0f, 0x3f, 0x10,
			     0x0c, 0x11, 0x00, 0x12, 0x0f, 0x13, 0x08, 0x14, 0x00, 0x20};

/* The 64 EGA colours: bits 0-2 are the strong, 3-5 the weak half of blue, green, red. */
static void dac_init(void)
{
	u8 rgb[64 * 3];

	for (u32 i = 0; i < 64; i++)
		for (u32 c = 0; c < 3; c++)
			rgb[i * 3 + 2 - c] = (i >> c & 1) * 0x2a + (i >> (c + 3) & 1) * 0x15;
	outb(VGA_MASK, 0xff);
	outb(VGA_DAC_W, 0);
	outsb(VGA_DAC, rgb, sizeof(rgb));
}

void vga_init(void)
{
	u32 *text = phys(PC_VGA_TEXT_BASE);

	outb(VGA_MISC, 0x67);
	outsw(VGA_SEQ, seq_regs, ARRAY_SIZE(seq_regs));
	outsw(VGA_CRTC, crtc_regs, ARRAY_SIZE(crtc_regs));
	outsw(VGA_GC, gc_regs, ARRAY_SIZE(gc_regs));
	inb(VGA_STAT); /* the attribute controller's next write is an index */
	outsb(VGA_AC, ac_regs, sizeof(ac_regs));
	dac_init();
	for (u32 i = 0; i < PC_VGA_TEXT_SIZE / 4; i++)
		text[i] = 0x07200720;
}
