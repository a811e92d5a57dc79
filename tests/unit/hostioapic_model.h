/* A world round hostioapic: wires, real redirection entries, an interrupt handler that only notes
 * what came, a local APIC, and a partition that does anything. Steps come from a stream of bytes,
 * random ones in the unit test, the fuzzer's in the fuzzer. After each step model_check() says
 * which promise is broken, or NULL.
 *
 * Vectors name their pin and trigger mode (as if no software shared a vector between pins), so that
 * every message can be led back to its cause.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_HOSTIOAPIC_MODEL_H
#define TESTS_HOSTIOAPIC_MODEL_H

#include "dev/hostioapic.h"
#include "lib/str.h"

#define MODEL_PINS	 6 /* two chips with three each */
#define MODEL_CHIP_PINS	 3
#define MODEL_GSI2	 24 /* of the second chip */
#define MODEL_FIRST	 0x20
#define MODEL_PER_PIN	 8
#define MODEL_STEPS	 400
#define MODEL_RTE_LOW	 0x2000u
#define MODEL_RTE_IRR	 0x4000u
#define MODEL_RTE_LEVEL	 0x8000u
#define MODEL_RTE_MASKED 0x10000u

struct model_pin {
	bool wire;		 /* voltage */
	bool masked, level, low; /* the real entry */
	bool noted;		 /* arrived, the hypervisor has not yet looked */
	bool edge;		 /* a real edge came that no message stands for yet */
	bool rising;		 /* a virtual source is just raising the pin */
	/* An edge was noted, then the pin became level: it is held without its entry being masked,
	 * until the next arrival or programming. */
	bool stray;
	bool cause;	 /* a real interrupt came that no message stands for yet */
	unsigned budget; /* level arrivals that events since then account for */
	u8 sources;
};

struct model {
	struct hostioapic h;
	struct model_pin pin[MODEL_PINS];
	bool irr[256], isr[256];
	bool lapic_on;
	const char *error;
};

static inline u32 model_gsi(unsigned n)
{
	return n < MODEL_CHIP_PINS ? n : MODEL_GSI2 + n - MODEL_CHIP_PINS;
}
static inline unsigned model_index(u32 gsi)
{
	return gsi < MODEL_CHIP_PINS ? gsi : gsi - MODEL_GSI2 + MODEL_CHIP_PINS;
}
static inline void model_fail(struct model *m, const char *what)
{
	if (!m->error)
		m->error = what;
}

static inline bool model_asserted(const struct model_pin *p)
{
	return p->wire != p->low;
}

/* The real chip and the hypervisor's handler: mask a level pin, note it. */
static inline void model_hw_arrive(struct model *m, struct model_pin *p)
{
	if (p->level) {
		if (!p->budget)
			model_fail(m, "a level interrupt storms");
		else
			p->budget--;
		p->masked = true;
		p->stray = false;
	}
	p->cause = true;
	p->noted = true;
}

static inline void model_hw_level(struct model *m, struct model_pin *p)
{
	if (p->level && !p->masked && model_asserted(p))
		model_hw_arrive(m, p);
}

static inline void model_program(void *ctx, u32 gsi, bool masked, bool level, bool low)
{
	struct model *m = ctx;
	struct model_pin *p = &m->pin[model_index(gsi)];

	p->masked = masked;
	p->stray = false;
	p->level = level;
	p->low = low;
}

static inline unsigned model_deliver(void *ctx, const struct apic_msg *msg)
{
	struct model *m = ctx;
	struct model_pin *p;

	if (msg->mode == APIC_NMI || msg->mode == APIC_EXTINT)
		return 1;
	if (msg->mode > APIC_LOWEST || msg->vector < MODEL_FIRST ||
	    msg->vector >= MODEL_FIRST + MODEL_PINS * MODEL_PER_PIN) {
		model_fail(m, "a message of a forbidden kind");
		return 0;
	}
	p = &m->pin[(msg->vector - MODEL_FIRST) / MODEL_PER_PIN];
	if (msg->level != (msg->vector & 1))
		model_fail(m, "the message has the wrong trigger mode");
	if (!m->lapic_on)
		return 0;
	if (!p->cause && !(msg->level ? p->sources != 0 : p->rising))
		model_fail(m, "an interrupt without cause");
	/* What is only noted so far is sent, whatever its trigger mode is by then. */
	if (!p->noted)
		p->cause = false;
	m->irr[msg->vector] = true;
	return 1;
}

static const struct hostioapic_ops model_ops = {
	.program = model_program,
	.deliver = model_deliver,
};

static inline void model_init(struct model *m)
{
	memset(m, 0, sizeof(*m));
	for (unsigned i = 0; i < MODEL_PINS; i++)
		m->pin[i].masked = true;
	m->lapic_on = true;
	hostioapic_init(&m->h, &model_ops, m);
	if (hostioapic_add(&m->h, 0xfec00000, 1, 0, (MODEL_CHIP_PINS - 1) << 16 | 0x20) ||
	    hostioapic_add(&m->h, 0xfec10000, 2, MODEL_GSI2, (MODEL_CHIP_PINS - 1) << 16 | 0x11))
		model_fail(m, "set-up");
}

static inline struct hostioapic_pin *model_pin(struct model *m, unsigned n)
{
	return &m->h.pin[n];
}

static inline void model_write(struct model *m, unsigned n, bool high, u32 v)
{
	struct hostioapic_chip *c = &m->h.chip[n / MODEL_CHIP_PINS];

	hostioapic_mmio_ops.write(c, 0x00, 4, 0x10 + n % MODEL_CHIP_PINS * 2 + high);
	hostioapic_mmio_ops.write(c, 0x10, 4, v);
}

/* Every event that may let a real level interrupt come once more. */
static inline void model_allow_all(struct model *m)
{
	for (unsigned i = 0; i < MODEL_PINS; i++)
		m->pin[i].budget++;
}

static inline void model_wire(struct model *m, unsigned n, bool high)
{
	struct model_pin *p = &m->pin[n];
	bool was = model_asserted(p);

	p->wire = high;
	if (was || !model_asserted(p))
		return;
	p->budget++;
	if (!p->level && !p->masked)
		model_hw_arrive(m, p);
}

/* The hypervisor looks at what its handler noted. Edges that came together are one. */
static inline void model_look(struct model *m)
{
	for (unsigned i = 0; i < MODEL_PINS; i++) {
		if (!m->pin[i].noted)
			continue;
		m->pin[i].noted = false;
		m->pin[i].stray = m->pin[i].level && !m->pin[i].masked;
		hostioapic_arrived(&m->h, model_gsi(i));
	}
}

static inline void model_take(struct model *m)
{
	for (unsigned v = 255; v >= MODEL_FIRST && !m->isr[v]; v--) {
		if (!m->irr[v])
			continue;
		m->irr[v] = false;
		m->isr[v] = true;
		return;
	}
}

static inline void model_end(struct model *m)
{
	for (unsigned v = 255; v >= MODEL_FIRST; v--) {
		if (!m->isr[v])
			continue;
		m->isr[v] = false;
		if (v & 1) {
			m->pin[(v - MODEL_FIRST) / MODEL_PER_PIN].budget++;
			hostioapic_eoi(&m->h, (u8)v);
		}
		return;
	}
}

/* An entry as a partition would write it: vector of the pin and the trigger mode. */
static inline u32 model_entry(unsigned n, u8 bits)
{
	bool level = bits & 1;
	u32 v = MODEL_FIRST + n * MODEL_PER_PIN + (bits >> 1 & 3) * 2 + level;
	u32 mode = (bits & 0xe0) == 0xe0 ? (u32)(bits >> 2 & 7) << 8 : 0;

	v |= mode | (level ? MODEL_RTE_LEVEL : 0);
	v |= bits & 0x08 ? MODEL_RTE_LOW : 0;
	v |= bits & 0x10 ? MODEL_RTE_MASKED : 0;
	/* With NMI and the like the trigger bit means nothing, and the vector is not looked at. */
	return v;
}

static inline void model_line(struct model *m, unsigned n, unsigned source, bool level)
{
	struct model_pin *p = &m->pin[n];
	u8 was = p->sources;

	p->sources = (u8)(level ? was | 1u << source : was & ~(1u << source));
	p->rising = !was && p->sources;
	hostioapic_line(&m->h, model_gsi(n), source, level);
	p->rising = false;
}

static inline void model_step(struct model *m, u8 (*next)(void *), void *ctx)
{
	u8 op = next(ctx), arg = next(ctx);
	unsigned n = op / 16 % MODEL_PINS;
	struct hostioapic_pin *p = model_pin(m, n);

	switch (op % 16) {
	case 0:
	case 1:
	case 2:
		model_wire(m, n, arg & 1);
		break;
	case 3:
		model_line(m, n, arg >> 1 & 1, arg & 1);
		break;
	case 4:
		m->pin[n].budget++;
		model_write(m, n, false, model_entry(n, arg));
		break;
	case 5: /* mask or unmask what is there */
		m->pin[n].budget++;
		model_write(m, n, false,
			    ((u32)p->rte & ~MODEL_RTE_MASKED) | (arg & 1 ? MODEL_RTE_MASKED : 0));
		break;
	case 6: /* another CPU, which here is the same one */
		m->pin[n].budget++;
		model_write(m, n, true, (u32)arg << 24);
		break;
	case 7:
		model_allow_all(m);
		hostioapic_mmio_ops.write(&m->h.chip[n / MODEL_CHIP_PINS], 0x40, 4, p->sent);
		break;
	case 8:
		m->lapic_on = arg & 3;
		model_allow_all(m);
		if (m->lapic_on)
			hostioapic_retry(&m->h);
		break;
	case 9:
		if (arg == 0xff) {
			hostioapic_reset(&m->h);
			memset(m->irr, 0, sizeof(m->irr));
			memset(m->isr, 0, sizeof(m->isr));
		}
		break;
	case 10:
	case 11:
		model_take(m);
		break;
	case 12:
	case 13:
		model_end(m);
		break;
	default:
		model_look(m);
		break;
	}
	for (unsigned i = 0; i < MODEL_PINS; i++)
		model_hw_level(m, &m->pin[i]);
}

/* A level line that stays asserted is pending, in service, masked by the partition, or has no local
 * APIC to go to. */
static inline void model_check_pin(struct model *m, unsigned n)
{
	const struct hostioapic_pin *p = model_pin(m, n);
	const struct model_pin *w = &m->pin[n];
	bool level = (p->rte & MODEL_RTE_LEVEL) && (p->rte >> 8 & 7) <= APIC_LOWEST;
	bool low = p->rte & MODEL_RTE_LOW;
	bool served = (p->rte & MODEL_RTE_IRR) && (m->irr[p->sent] || m->isr[p->sent]);

	if ((p->rte & MODEL_RTE_IRR) && !served)
		model_fail(m, "Remote IRR is set and no EOI will come");
	if ((p->rte & MODEL_RTE_MASKED) && !w->masked && !w->stray)
		model_fail(m, "masked by the partition, but not in the real entry");
	if (!level || (p->rte & MODEL_RTE_MASKED) || served || !m->lapic_on)
		return;
	if (w->sources)
		model_fail(m, "a virtual level is lost");
	if (w->wire != low && !w->noted)
		model_fail(m, "a real level is lost");
}

/* Once the hypervisor has looked, not in the middle. The real chip answers an unmasking at once. */
static inline void model_settle(struct model *m)
{
	for (unsigned i = 0; i < MODEL_PINS; i++)
		model_hw_level(m, &m->pin[i]);
	model_look(m);
}

static inline const char *model_run(struct model *m, unsigned steps, u8 (*next)(void *), void *ctx)
{
	model_init(m);
	for (unsigned s = 0; s < steps && !m->error; s++) {
		model_step(m, next, ctx);
		for (unsigned i = 0; i < MODEL_PINS; i++)
			model_check_pin(m, i);
	}
	model_settle(m);
	for (unsigned i = 0; i < MODEL_PINS; i++)
		model_check_pin(m, i);
	return m->error;
}

#endif
