/* Physical interrupts of the control partition's devices.
 *
 * MSIs arrive on CPU 0 under the vector that the partition chose, which is what it gets. Entries of
 * the real IOAPICs carry vectors of the hypervisor's own, because an MSI may use any of the others:
 * there are fewer of them than pins, so edges get one for each as long as there are some, and
 * levels share theirs: a pin's own entry tells which of them has sent.
 *
 * Handlers note what came; the partition's service hands it to the virtual chips, outside of
 * interrupt context.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/cpu.h"
#include "core/irq.h"
#include "core/partition.h"
#include "core/sched.h"
#include "firmware/ioapic.h"
#include "lib/cpuops.h"
#include "lib/errno.h"

static struct control_board
	*the_board; /* of the one control partition: handlers have no argument */

static void notice(struct control_board *b)
{
	b->part->vcpu.kick = 1;
	this_cpu()->attention = true;
}

static void msi_interrupt(unsigned vector, struct trap_frame *f)
{
	struct control_board *b = the_board;

	(void)f;
	__atomic_or_fetch(&b->msi[vector / 32], 1u << (vector % 32), __ATOMIC_RELAXED);
	notice(b);
}

/* A level must be quiet before the EOI that follows: mask it until the partition has served it. */
static void level_arrived(struct control_route *r)
{
	ioapic_mask(r->gsi, true);
	r->live = false;
	r->arrived = true;
}

/* The live routes with @vector: of levels those that @any or that are in service. How many came. */
static unsigned routes_arrived(struct control_board *b, unsigned vector, bool any)
{
	unsigned came = 0;

	for (unsigned i = 0; i < b->nroutes; i++) {
		struct control_route *r = &b->route[i];

		if (r->vector != vector || !r->live)
			continue;
		if (!r->level)
			r->arrived = true;
		else if (any || ioapic_in_service(r->gsi))
			level_arrived(r);
		else
			continue;
		came++;
	}
	return came;
}

/* Not every IOAPIC shows by Remote IRR what it has sent: then it may be any of the vector's, and
 * one too many costs its driver a look. */
static void gsi_interrupt(unsigned vector, struct trap_frame *f)
{
	(void)f;
	if (!routes_arrived(the_board, vector, false))
		routes_arrived(the_board, vector, true);
	notice(the_board);
}

/* Levels share the lower vectors. An edge takes the one with the fewest users. */
static u8 choose_vector(const struct control_board *b, u32 gsi, bool level)
{
	unsigned users[VECTOR_GSI_LAST + 1] = {0}, best = VECTOR_GSI_EDGE;

	if (level)
		return (u8)(VECTOR_GSI_FIRST + gsi % (VECTOR_GSI_EDGE - VECTOR_GSI_FIRST));
	for (unsigned i = 0; i < b->nroutes; i++)
		users[b->route[i].vector]++;
	for (unsigned v = VECTOR_GSI_EDGE; v <= VECTOR_GSI_LAST; v++)
		if (users[v] < users[best])
			best = v;
	return (u8)best;
}

static struct control_route *find_route(struct control_board *b, u32 gsi)
{
	for (unsigned i = 0; i < b->nroutes; i++)
		if (b->route[i].gsi == gsi)
			return &b->route[i];
	return NULL;
}

void control_irq_program(void *ctx, u32 gsi, bool masked, bool level, bool active_low)
{
	struct control_board *b = ctx;
	struct control_route *r = find_route(b, gsi);

	if (!r)
		return;
	if (masked) {
		ioapic_mask(gsi, true);
		r->live = false;
		return;
	}
	if (!r->vector || r->level != level)
		r->vector = choose_vector(b, gsi, level);
	r->level = level;
	if (ioapic_route(gsi, r->vector, cpus[0].apic_id, active_low, level) != 0)
		return;
	r->live = true;
	ioapic_mask(gsi, false);
}

static int add_routes(struct control_board *b)
{
	for (unsigned i = 0; i < b->ioapic.nchips; i++) {
		const struct hostioapic_chip *c = &b->ioapic.chip[i];

		for (unsigned pin = 0; pin < c->pins; pin++) {
			if (b->nroutes == HOSTIOAPIC_PINS)
				return -ENOSPC;
			b->route[b->nroutes++].gsi = c->gsi_base + pin;
		}
	}
	return 0;
}

int control_irq_init(struct control_board *b)
{
	int err = add_routes(b);

	the_board = b;
	for (unsigned v = VECTOR_FIRST_IRQ; v < VECTOR_TIMER && !err; v++)
		err = irq_register(v, msi_interrupt);
	for (unsigned v = VECTOR_GSI_FIRST; v <= VECTOR_GSI_LAST && !err; v++)
		err = irq_register(v, gsi_interrupt);
	return err;
}

bool control_irq_live(const struct control_board *b)
{
	for (unsigned i = 0; i < b->nroutes; i++)
		if (b->route[i].live)
			return true;
	return false;
}

void control_irq_service(struct control_board *b)
{
	for (unsigned w = 0; w < ARRAY_SIZE(b->msi); w++) {
		u32 bits = b->msi[w] ? __atomic_exchange_n(&b->msi[w], 0, __ATOMIC_RELAXED) : 0;

		for (; bits; bits &= bits - 1, b->msis++)
			lapic_set_irr(&b->board.lapic, (u8)(w * 32 + (unsigned)__builtin_ctz(bits)),
				      false);
	}
	for (unsigned i = 0; i < b->nroutes; i++) {
		if (!b->route[i].arrived)
			continue;
		b->route[i].arrived = false;
		b->gsis++;
		hostioapic_arrived(&b->ioapic, b->route[i].gsi);
	}
}
