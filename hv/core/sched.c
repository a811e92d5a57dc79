/* Per-CPU scheduler loop; see sched.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/sched.h"
#include "core/clock.h"
#include "core/cpu.h"
#include "core/irq.h"
#include "core/log.h"
#include "core/own_time.h"
#include "core/partition.h"
#include "core/timer.h"
#include "core/vcpu_run.h"
#include "firmware/lapic.h"
#include "lib/cpuops.h"
#include "trace/trace.h"

static void kick_interrupt(unsigned vector, struct trap_frame *f)
{
	(void)vector, (void)f;
	this_cpu()->attention = true;
}

void sched_add(struct vcpu *v, unsigned cpu)
{
	struct cpu *c = &cpus[cpu];

	v->cpu = cpu;
	if (c->run_queue) {
		v->next = c->run_queue->next;
		c->run_queue->next = v;
	} else {
		v->next = v;
		c->run_queue = v;
	}
}

void sched_add_running(struct vcpu *v, unsigned cpu)
{
	struct cpu *c = &cpus[cpu];

	v->cpu = cpu;
	v->next = __atomic_load_n(&c->incoming, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&c->incoming, &v->next, v, false, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
	sched_kick(v);
}

static void take_incoming(struct cpu *c)
{
	struct vcpu *v = __atomic_exchange_n(&c->incoming, NULL, __ATOMIC_ACQUIRE), *next;

	for (; v; v = next) {
		next = v->next;
		sched_add(v, c->id);
	}
}

void sched_kick(struct vcpu *v)
{
	v->kick = 1;
	if (v->cpu == this_cpu()->id)
		this_cpu()->attention = true;
	else
		lapic_send_ipi(cpus[v->cpu].apic_id, VECTOR_KICK);
}

void sched_add_first(struct vcpu *v, unsigned cpu)
{
	sched_add(v, cpu);
	cpus[cpu].first = v;
	cpus[cpu].first_only = true;
}

void sched_first_done(void)
{
	this_cpu()->first_only = false;
	this_cpu()->attention = true;
}

static bool can_run(const struct vcpu *v)
{
	return v->state == VCPU_RUNNABLE || (v->state == VCPU_HALTED && vcpu_wakes(v));
}

/* The vCPU with precedence, when it is its turn out of turn. */
static struct vcpu *first_in_need(const struct cpu *c)
{
	struct vcpu *f = c->first;

	return f && can_run(f) && vcpu_wakes(f) ? f : NULL;
}

/* The next vCPU in turn that can run, starting behind the one that ran last. */
static struct vcpu *next_in_turn(const struct cpu *c)
{
	struct vcpu *v = c->run_queue;

	if (!v)
		return NULL;
	do {
		v = v->next;
		if (can_run(v))
			return v;
	} while (v != c->run_queue);
	return NULL;
}

static struct vcpu *sched_pick(const struct cpu *c)
{
	struct vcpu *v = first_in_need(c);

	if (!v && c->first_only)
		v = can_run(c->first) ? c->first : NULL;
	else if (!v)
		v = next_in_turn(c);
	if (v)
		v->state = VCPU_RUNNABLE;
	return v;
}

/* May the vCPU that runs keep the CPU although the first one wants it? See SCHED_GRACE_NS. */
static bool in_grace(struct cpu *c)
{
	u64 now = clock_ns();

	if (!c->grace_end_ns) {
		c->grace_last_ns = now + SCHED_GRACE_NS;
		c->grace_end_ns = MIN(now + c->first_turn_ns, c->grace_last_ns);
	}
	if (now >= c->grace_end_ns)
		return false;
	if (!c->grace.queued)
		timer_set(&c->grace, c->grace_end_ns);
	return true;
}

/* The timer stays as it is set: in_grace() looks when it fires. */
void sched_first_asked(void)
{
	struct cpu *c = this_cpu();

	if (c->grace_end_ns)
		c->grace_end_ns = MIN(clock_ns() + c->first_turn_ns, c->grace_last_ns);
}

static bool sched_shared(const struct vcpu *v)
{
	for (const struct vcpu *o = v->next; o != v; o = o->next)
		if (can_run(o))
			return true;
	return false;
}

bool sched_must_yield(const struct vcpu *v)
{
	struct cpu *c = this_cpu();

	if (v->state != VCPU_RUNNABLE)
		return true;
	if (v != c->first && (c->first_only || (first_in_need(c) && !in_grace(c))))
		return true;
	return !c->first_only && clock_ns() >= v->slice_end_ns && sched_shared(v);
}

void sched_turn_over(struct vcpu *v)
{
	if (!sched_shared(v))
		return;
	v->slice_end_ns = 0;
	this_cpu()->attention = true;
}

static void time_over(void *arg, u64 now_ns)
{
	(void)arg, (void)now_ns;
	this_cpu()->attention = true;
}

static void service_requests(struct cpu *c)
{
	struct vcpu *v;

	if (c->incoming)
		take_incoming(c);
	v = c->run_queue;
	if (!v)
		return;
	do {
		v = v->next;
		if (v->kick) {
			v->kick = 0;
			v->part->ops->service(v->part);
		}
	} while (v != c->run_queue);
}

void cpu_service(void)
{
	struct cpu *c = this_cpu();

	while (c->attention) {
		c->attention = false;
		timer_service();
		log_service();
		service_requests(c);
	}
}

/* Interrupts are let in only here and in vcpu_run(): a wake-up between the test and HLT is kept by
 * STI's shadow. An APIC whose interrupt line to the CPU went unheard (seen where entries with a
 * virtual interrupt race with a device) is asked again: a sleep must not hang on one edge. */
static void sched_idle(struct cpu *c)
{
	u64 start;

	trace_settle(c->id);
	if (c->attention)
		return;
	timer_before_sleep();
	lapic_recheck();
	start = clock_ns();
	irq_wait();
	c->idle_ns += clock_ns() - start;
	c->idle_waits++;
}

static void sched_switch_to(struct cpu *c, struct vcpu *v)
{
	if (c->current != v) {
		if (c->current) {
			vcpu_unload(c->current);
			own_time_stop(c->current->part);
			/* The deadline that is programmed may have been one of its own. */
			c->attention = true;
		}
		vcpu_load(v);
		c->current = v;
	}
	own_time_go_on(v->part);
	c->run_queue = v;
	if (v == c->first)
		c->grace_end_ns = 0;
	v->slice_end_ns = clock_ns() + SCHED_SLICE_NS;
	if (v->next != v) {
		c->slice.fire = c->grace.fire = time_over;
		timer_set(&c->slice, v->slice_end_ns);
	}
}

/* A turn of the first one may take several runs: it ends when that one halts. */
static void note_turn(struct cpu *c, const struct vcpu *v, u64 ran_ns)
{
	if (v != c->first)
		return;
	c->first_ran_ns += ran_ns;
	if (v->state == VCPU_RUNNABLE)
		return;
	c->first_turn_ns = (3 * c->first_turn_ns + c->first_ran_ns) / 4;
	c->first_ran_ns = 0;
}

static void sched_run(struct cpu *c, struct vcpu *v)
{
	u64 start = clock_ns();

	sched_switch_to(c, v);
	vcpu_run(v);
	note_turn(c, v, clock_ns() - start);
	if (v->part->ops->cpu_leaves)
		v->part->ops->cpu_leaves(v->part);
}

void sched_loop(void)
{
	struct cpu *c = this_cpu();

	irq_register(VECTOR_KICK, kick_interrupt);
	c->attention = true;
	for (;;) {
		struct vcpu *v;

		cpu_service();
		v = sched_pick(c);
		if (v)
			sched_run(c, v);
		else
			sched_idle(c);
	}
}
