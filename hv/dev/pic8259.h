/* The two cascaded 8259A interrupt controllers of a PC, with PIIX3's edge/level registers.
 *
 * Follows the 8259A data sheet: ICW1-ICW4, OCW1-OCW3, poll, special mask mode, rotation, automatic
 * EOI, special fully nested mode, and the default IR7 when a request has gone by acknowledge time.
 * The slave sits on IR2 of the master.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_PIC8259_H
#define HV_DEV_PIC8259_H

#include "dev/dev.h"

#define PIC_MASTER_CMD	0x20
#define PIC_MASTER_DATA 0x21
#define PIC_SLAVE_CMD	0xa0
#define PIC_SLAVE_DATA	0xa1
#define PIC_ELCR1	0x4d0
#define PIC_ELCR2	0x4d1

/* Command port: bit 4 set selects ICW1, bits 4:3 = 00 OCW2, 01 OCW3. */
#define PIC_ICW1	0x10u
#define PIC_ICW1_IC4	0x01u /* ICW4 follows */
#define PIC_ICW1_SINGLE 0x02u /* no ICW3 */
#define PIC_ICW1_LTIM	0x08u /* all inputs level-triggered */
#define PIC_ICW4_AEOI	0x02u
#define PIC_ICW4_SFNM	0x10u
#define PIC_OCW3	0x08u
#define PIC_OCW3_RR	0x02u /* bits 1:0: 10 read IRR, 11 read ISR */
#define PIC_OCW3_RIS	0x01u
#define PIC_OCW3_POLL	0x04u
#define PIC_OCW3_SMM	0x20u /* value, taken when ESMM is set */
#define PIC_OCW3_ESMM	0x40u
#define PIC_OCW2_LEVEL	0x07u /* level, when SL */
#define PIC_OCW2_EOI	0x20u
#define PIC_OCW2_SL	0x40u
#define PIC_OCW2_ROTATE 0x80u

#define PIC_CASCADE_IR	 2
#define PIC_POLL_PENDING 0x80u

struct pic_chip {
	u8 irr;	      /* requests: latched edges, or level inputs as they are */
	u8 isr;	      /* in service */
	u8 imr;	      /* masked */
	u8 lines;     /* input pins now */
	u8 elcr;      /* 1: level-triggered */
	u8 elcr_mask; /* inputs whose ELCR bit can be written */
	u8 vector_base;
	u8 lowest;    /* input of lowest priority; the highest is the next one */
	u8 init_step; /* ICW expected next at the data port; 0: initialised */
	bool need_icw4, single, ltim;
	bool aeoi, rotate_on_aeoi, sfnm, special_mask;
	bool poll, read_isr;
	bool slave;
};

struct pic {
	struct pic_chip chip[2]; /* master, slave */
	struct irq_line out;	 /* the master's INT pin */
	bool out_level;
};

/* @out is driven with the INT pin's level at every change. 0, or the bus's error. */
int pic_init(struct pic *p, struct bus *bus, const struct irq_line *out);
/* Power-on state: uninitialised, nothing requested, INT low. Input pins keep their levels. */
void pic_reset(struct pic *p);
/* Drive input @line (0-15; 2 is the cascade and is ignored). */
void pic_set_irq(struct pic *p, unsigned line, bool level);
static inline bool pic_pending(const struct pic *p)
{
	return p->out_level;
}
/* The CPU's INTA cycles: moves the highest request to in-service and returns its vector. Without
 * one, the default vector of IR7 (or IR15), which is put into no ISR bit. */
u8 pic_ack(struct pic *p);
/* True while the request of @line is latched and not masked (the cascade's mask included). */
bool pic_line_waiting(const struct pic *p, unsigned line);
bool pic_line_masked(const struct pic *p, unsigned line);

#endif
