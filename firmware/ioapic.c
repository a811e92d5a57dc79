/* Index and data windows, two 32-bit halves per redirection entry.
 *
 * SPDX-License-Identifier: MIT
 */
#include "firmware/ioapic.h"
#include "dev/ioapic_regs.h"
#include "lib/cpuops.h"
#include "lib/errno.h"
#include "lib/spinlock.h"
#include "mem/hostmap.h"

#define IOAPIC_BYTES 0x20
#define MAX_IOAPICS  8

#define PIC1_COMMAND 0x20
#define PIC1_DATA    0x21
#define PIC2_COMMAND 0xa0
#define PIC2_DATA    0xa1
#define PIC_ICW1     0x11 /* edge, cascaded, ICW4 follows */
#define PIC_ICW4     0x01 /* 8086 mode */
#define PIC1_BASE    0x20
#define PIC2_BASE    0x28

static struct ioapic {
	volatile u8 *regs;
	u32 gsi_base;
	unsigned pins;
} ioapics[MAX_IOAPICS];
static unsigned nioapics;
static struct spinlock lock;

static u32 reg_read(const struct ioapic *io, u32 reg)
{
	*(volatile u32 *)(io->regs + IOAPIC_INDEX) = reg;
	return *(volatile u32 *)(io->regs + IOAPIC_DATA);
}

static void reg_write(const struct ioapic *io, u32 reg, u32 v)
{
	*(volatile u32 *)(io->regs + IOAPIC_INDEX) = reg;
	*(volatile u32 *)(io->regs + IOAPIC_DATA) = v;
}

/* Masked for good, but at vectors of their own: a spurious IRQ 7 must not look like an exception.
 */
void pic_mask(void)
{
	outb(PIC1_COMMAND, PIC_ICW1);
	outb(PIC1_DATA, PIC1_BASE);
	outb(PIC1_DATA, 1 << 2);
	outb(PIC1_DATA, PIC_ICW4);
	outb(PIC2_COMMAND, PIC_ICW1);
	outb(PIC2_DATA, PIC2_BASE);
	outb(PIC2_DATA, 2);
	outb(PIC2_DATA, PIC_ICW4);
	outb(PIC1_DATA, 0xff);
	outb(PIC2_DATA, 0xff);
}

int host_ioapic_init(const struct boot_info *bi)
{
	for (unsigned i = 0; i < bi->acpi.nioapics && nioapics < MAX_IOAPICS; i++) {
		struct ioapic *io = &ioapics[nioapics];

		io->regs = mmio_map(bi->acpi.ioapic[i].base, IOAPIC_BYTES);
		if (!io->regs)
			return -ENOMEM;
		io->gsi_base = bi->acpi.ioapic[i].gsi_base;
		io->pins = IOAPIC_VERSION_PINS(reg_read(io, IOAPIC_REG_VERSION));
		for (unsigned pin = 0; pin < io->pins; pin++)
			reg_write(io, IOAPIC_REG_RTE + 2 * pin, RTE_MASKED);
		nioapics++;
	}
	return 0;
}

/* The chip that @gsi belongs to; *@reg: the low half of its entry. */
static const struct ioapic *find(u32 gsi, u32 *reg)
{
	for (unsigned i = 0; i < nioapics; i++) {
		const struct ioapic *io = &ioapics[i];

		if (gsi >= io->gsi_base && gsi - io->gsi_base < io->pins) {
			*reg = IOAPIC_REG_RTE + 2 * (gsi - io->gsi_base);
			return io;
		}
	}
	return NULL;
}

int ioapic_route(u32 gsi, unsigned vector, u32 apic_id, bool active_low, bool level)
{
	u32 reg, low = (u32)((vector & 0xff) | RTE_MASKED);
	const struct ioapic *io = find(gsi, &reg);

	if (!io)
		return -ENOENT;
	if (apic_id > 0xff)
		return -ERANGE;
	if (active_low)
		low |= RTE_LOW;
	if (level)
		low |= RTE_LEVEL;
	spin_lock(&lock);
	reg_write(io, reg, RTE_MASKED);
	reg_write(io, reg + 1, apic_id << (RTE_DEST_SHIFT - 32));
	reg_write(io, reg, low);
	spin_unlock(&lock);
	return 0;
}

int ioapic_mask(u32 gsi, bool masked)
{
	u32 reg, low;
	const struct ioapic *io = find(gsi, &reg);

	if (!io)
		return -ENOENT;
	spin_lock(&lock);
	low = reg_read(io, reg) & ~(u32)RTE_MASKED;
	reg_write(io, reg, low | (masked ? (u32)RTE_MASKED : 0));
	spin_unlock(&lock);
	return 0;
}

bool ioapic_in_service(u32 gsi)
{
	u32 reg, low;
	const struct ioapic *io = find(gsi, &reg);

	if (!io)
		return false;
	spin_lock(&lock);
	low = reg_read(io, reg);
	spin_unlock(&lock);
	return low & RTE_REMOTE_IRR;
}

u32 ioapic_version(u32 gsi_base)
{
	u32 reg, version;
	const struct ioapic *io = find(gsi_base, &reg);

	if (!io || io->gsi_base != gsi_base)
		return 0;
	spin_lock(&lock);
	version = reg_read(io, IOAPIC_REG_VERSION);
	spin_unlock(&lock);
	return version;
}
