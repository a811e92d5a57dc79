/* i440FX, PIIX3 and PIIX4 PM functions: see piix.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/piix.h"
#include "lib/str.h"
#include "penumbra/platform.h"

#define VENDOR_INTEL 0x8086

/* --- i440FX --- */

/* Segment 0 is 0xf0000 (PAM0 high nibble); 1..12 are 16 KiB each from 0xc0000, low nibble first. */
static unsigned pam_attr(const struct i440fx *h, unsigned seg)
{
	unsigned nibble = seg + 1; /* PAM0's low nibble is reserved */
	u8 reg = h->pci.cfg[I440FX_PAM0 + nibble / 2];

	return (nibble & 1 ? reg >> 4 : reg) & (PAM_READ | PAM_WRITE);
}

static void pam_report(struct i440fx *h)
{
	for (unsigned seg = 0; seg < I440FX_PAM_SEGMENTS; seg++) {
		unsigned attr = pam_attr(h, seg);

		if (attr == h->pam_seen[seg])
			continue;
		h->pam_seen[seg] = (u8)attr;
		if (!h->pam)
			continue;
		if (seg == 0)
			h->pam(h->ctx, 0xf0000, 0x10000, attr);
		else
			h->pam(h->ctx, 0xc0000 + (seg - 1) * 0x4000, 0x4000, attr);
	}
}

static void i440fx_written(struct pci_dev *d, unsigned off, unsigned len)
{
	if (off < I440FX_PAM0 + I440FX_PAM_COUNT && off + len > I440FX_PAM0)
		pam_report(container_of(d, struct i440fx, pci));
}

void i440fx_reset(struct i440fx *h)
{
	pci_dev_reset(&h->pci);
	pci_set16(&h->pci, PCI_COMMAND, PCI_COMMAND_MEM | PCI_COMMAND_MASTER);
	memset(&h->pci.cfg[I440FX_PAM0], 0, I440FX_PAM_COUNT);
	h->pci.cfg[I440FX_SMRAM] = 0x02;
	pam_report(h);
}

int i440fx_init(struct i440fx *h, struct pci_bus *b,
		void (*pam)(void *ctx, gpa_t base, u32 len, unsigned attr), void *ctx)
{
	memset(h, 0, sizeof(*h));
	pci_dev_init(&h->pci, VENDOR_INTEL, 0x1237, 0x060000, 0x02);
	pci_set16(&h->pci, PCI_STATUS, 0x0280);
	h->pci.wmask[PCI_COMMAND] = 0; /* always a master, memory always on */
	h->pci.wmask[I440FX_PAM0] = 0x30;
	memset(&h->pci.wmask[I440FX_PAM0 + 1], 0x33, I440FX_PAM_COUNT - 1);
	h->pci.wmask[I440FX_SMRAM] = 0x78;
	h->pci.written = i440fx_written;
	h->pam = pam;
	h->ctx = ctx;
	i440fx_reset(h);
	return pci_bus_add(b, PC_PCI_HOST_SLOT, 0, &h->pci);
}

/* --- PIIX3 --- */

#define PIRQ_DISABLED 0x80u
/* IRQs that PIRQRC may name: 3-7, 9-12, 14, 15. */
#define PIRQ_ALLOWED 0xdef8u

static u16 pirq_target(const struct piix3 *p, unsigned pirq)
{
	u8 rc = p->pci.cfg[PIIX3_PIRQRC + pirq];

	return rc & PIRQ_DISABLED ? 0 : (u16)(1u << (rc & 0xf)) & PIRQ_ALLOWED;
}

static void piix3_route(struct piix3 *p)
{
	u16 now = 0, changed;

	for (unsigned i = 0; i < 4; i++)
		if (p->pirq[i])
			now |= pirq_target(p, i);
	changed = now ^ p->isa_asserted;
	p->isa_asserted = now;
	for (unsigned irq = 0; irq < 16; irq++)
		if (changed >> irq & 1)
			p->isa_irq(p->ctx, irq, now >> irq & 1);
}

static void piix3_pirq(void *ctx, unsigned pirq, bool level)
{
	struct piix3 *p = ctx;

	p->pirq[pirq & 3] = level;
	piix3_route(p);
}

static void piix3_written(struct pci_dev *d, unsigned off, unsigned len)
{
	if (off < PIIX3_PIRQRC + 4 && off + len > PIIX3_PIRQRC)
		piix3_route(container_of(d, struct piix3, pci));
}

static u8 piix3_rcr_read(void *ctx)
{
	return ((struct piix3 *)ctx)->rcr;
}

/* The CPU is reset by the rising edge of RST_CPU, hard or soft as SRST says (82371SB §2.5.6). */
static void piix3_rcr_write(void *ctx, u8 value)
{
	struct piix3 *p = ctx;
	bool rise = !(p->rcr & PIIX3_RCR_RCPU) && (value & PIIX3_RCR_RCPU);

	p->rcr = value & (PIIX3_RCR_SRST | PIIX3_RCR_RCPU);
	if (rise)
		p->host->ops->machine_event(p->host->ctx, MACHINE_RESET_CF9, p->rcr);
}

void piix3_reset(struct piix3 *p)
{
	u8 *cfg = p->pci.cfg;

	pci_dev_reset(&p->pci);
	pci_set16(&p->pci, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEM | PCI_COMMAND_MASTER);
	cfg[0x4c] = 0x4d; /* ISA I/O recovery timer */
	cfg[0x4e] = 0x03; /* XBCS: RTC and keyboard decoded */
	cfg[0x4f] = 0x00;
	memset(&cfg[PIIX3_PIRQRC], PIRQ_DISABLED, 4);
	cfg[0x69] = 0x02; /* top of memory */
	cfg[0x70] = 0x80; /* motherboard device IRQ: off */
	p->rcr = 0;
	piix3_route(p);
}

int piix3_init(struct piix3 *p, const struct dev_host *host, struct pci_bus *b,
	       void (*isa_irq)(void *ctx, unsigned irq, bool level), void *ctx)
{
	u8 *wmask = p->pci.wmask;

	memset(p, 0, sizeof(*p));
	pci_dev_init(&p->pci, VENDOR_INTEL, 0x7000, 0x060100, 0x00);
	pci_set16(&p->pci, PCI_STATUS, 0x0280);
	wmask[PCI_COMMAND] = 0; /* a positive decoder that cannot be switched off */
	wmask[0x4c] = 0x7f;
	wmask[0x4e] = 0xff;
	wmask[0x4f] = 0x01;
	memset(&wmask[PIIX3_PIRQRC], 0x8f, 4);
	wmask[0x69] = 0xfe;
	wmask[0x70] = 0xef;
	p->pci.written = piix3_written;
	p->host = host;
	p->isa_irq = isa_irq;
	p->ctx = ctx;
	piix3_reset(p);
	b->pirq = piix3_pirq;
	b->pirq_ctx = p;
	b->reset_ctl_read = piix3_rcr_read;
	b->reset_ctl_write = piix3_rcr_write;
	b->reset_ctl_ctx = p;
	return pci_bus_add(b, PC_PCI_ISA_SLOT, 0, &p->pci);
}

/* --- PIIX4 power management --- */

#define PIIX4_PMBASE	0x40
#define PIIX4_PMREGMISC 0x80
#define PIIX4_SMBBASE	0x90

void piix4_pm_reset(struct piix4_pm *p)
{
	pci_dev_reset(&p->pci);
	p->pci.cfg[PCI_INTERRUPT_LINE] = PC_IRQ_SCI;
}

int piix4_pm_init(struct piix4_pm *p, struct pci_bus *b)
{
	memset(p, 0, sizeof(*p));
	pci_dev_init(&p->pci, VENDOR_INTEL, 0x7113, 0x068000, 0x03);
	pci_set16(&p->pci, PCI_STATUS, 0x0280);
	p->pci.wmask[PCI_COMMAND] = PCI_COMMAND_IO;
	p->pci.intx_pin = 1;
	pci_set32(&p->pci, PIIX4_PMBASE, PC_PORT_PM_BASE | 1);
	p->pci.cfg[PIIX4_PMREGMISC] = 1;
	pci_set32(&p->pci, PIIX4_SMBBASE, 1); /* no SMBus host */
	piix4_pm_reset(p);
	return pci_bus_add(b, PC_PCI_ISA_SLOT, 3, &p->pci);
}
