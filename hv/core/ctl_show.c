/* pnctl's questions: partitions, counters, screens, records, the machine. See ctl_int.h.
 *
 * Counters of running partitions are read while their CPUs count on: each is right, together they
 * may be an instant apart.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/clock.h"
#include "core/control.h"
#include "core/cpu.h"
#include "core/ctl_int.h"
#include "core/hv.h"
#include "core/log.h"
#include "core/partition_paging.h"
#include "core/version.h"
#include "lib/cpuops.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "mem/frames.h"
#include "paging/paging.h"

/* --- list ------------------------------------------------------------------------------------- */

static u32 state_of(const struct partition *p)
{
	static const u32 state[] = {
		[PARTITION_BUILT] = CHAN_GUEST_BUILT,	  [PARTITION_RUNNING] = CHAN_GUEST_RUNNING,
		[PARTITION_PAUSED] = CHAN_GUEST_PAUSED,	  [PARTITION_ENDED] = CHAN_GUEST_ENDED,
		[PARTITION_WAITING] = CHAN_GUEST_WAITING, [PARTITION_SPARE] = CHAN_GUEST_ENDED,
	};

	return state[p->state];
}

static u32 status_of(const struct partition *p)
{
	static const u32 status[] = {
		[STATUS_NONE] = CHAN_STATUS_NONE,
		[STATUS_PASS] = CHAN_STATUS_PASS,
		[STATUS_FAIL] = CHAN_STATUS_FAIL,
		[STATUS_TIMEOUT] = CHAN_STATUS_TIMEOUT,
	};

	return status[p->status];
}

static u32 paging_number(const char *name)
{
	if (!strcmp(name, paging_kind_name[PAGING_SHADOW]))
		return CHAN_PAGING_SHADOW;
	return strcmp(name, paging_kind_name[PAGING_ADAPTIVE]) ? CHAN_PAGING_NESTED
							       : CHAN_PAGING_ADAPTIVE;
}

static u64 exits_of(const struct partition *p, u64 *cycles)
{
	u64 n = 0;

	*cycles = 0;
	for (unsigned i = 0; i < EXIT_REASONS; i++) {
		n += p->exits.count[i];
		*cycles += p->exits.cycles[i];
	}
	return n;
}

static u64 up_us(const struct partition *p)
{
	u64 end = p->state == PARTITION_ENDED ? p->ended_ns : clock_ns();

	return p->started_ns && end > p->started_ns ? (end - p->started_ns) / NSEC_PER_USEC : 0;
}

static void list_one(struct ctl *c, const struct partition *p)
{
	u64 khz = MAX(clock_tsc_hz() / 1000, 1ull), cycles;
	u64 run = p->vcpu.run_cycles;
	struct chan_ctl_guest g = {
		.index = p->index,
		.state = state_of(p),
		.status = status_of(p),
		.paging = paging_number(partition_paging_name(p)),
		.asked = paging_number(paging_kind_name[p->cfg.paging]),
		.cpu = p->vcpu.cpu,
		.memory = p->p2m.low_bytes + p->p2m.high_bytes,
		.up_us = up_us(p),
		.resets = p->resets,
	};

	g.exits = exits_of(p, &cycles);
	g.guest_us = run > cycles ? (run - cycles) / khz * 1000 : 0;
	str_copy(g.name, p->cfg.name, sizeof(g.name));
	if (p->state == PARTITION_ENDED || p->state == PARTITION_WAITING)
		str_copy(g.detail, p->end_detail, sizeof(g.detail));
	ctl_row(c, &g, sizeof(g));
}

void ctl_list(struct ctl *c)
{
	list_one(c, c->control);
	for (unsigned i = 0; i < npartitions; i++)
		list_one(c, partitions[i]);
	ctl_ok(c);
}

/* --- stats ------------------------------------------------------------------------------------ */

static void count(struct ctl *c, const char *name, u64 n, u64 cycles)
{
	struct chan_ctl_count row = {.count = n, .cycles = cycles};

	str_copy(row.name, name, sizeof(row.name));
	ctl_row(c, &row, sizeof(row));
}

static void plain(struct ctl *c, const char *name, u64 n)
{
	count(c, name, n, UINT64_MAX);
}

static void exit_counts(struct ctl *c, const struct partition *p)
{
	char name[sizeof(((struct chan_ctl_count *)0)->name)];
	u64 total, cycles;

	for (unsigned i = 0; i < EXIT_REASONS; i++) {
		if (!p->exits.count[i])
			continue;
		snprintf(name, sizeof(name), "exits.%s", exit_reason_name[i]);
		count(c, name, p->exits.count[i], p->exits.cycles[i]);
	}
	total = exits_of(p, &cycles);
	count(c, "exits_total", total, cycles);
	plain(c, "run_cycles", p->vcpu.run_cycles);
	plain(c, "emulated", p->emulated);
	plain(c, "nested_tables", p->nested.tables);
	plain(c, "denied_reads", p->board.bus.unclaimed_mmio_reads);
	plain(c, "denied_writes", p->board.bus.unclaimed_mmio_writes);
}

/* Time in each mode, and what the policy did. */
static void paging_counts(struct ctl *c, const struct partition *p)
{
	const struct adaptive *a = &p->adaptive;
	char name[sizeof(((struct chan_ctl_count *)0)->name)];
	u64 now = p->state == PARTITION_ENDED ? p->ended_ns : clock_ns();

	for (unsigned i = 0; i < PAGING_KINDS; i++) {
		u64 ns = partition_mode_ns(p, (enum paging_kind)i, now);

		snprintf(name, sizeof(name), "%s.ms", paging_kind_name[i]);
		if (ns)
			plain(c, name, ns / NSEC_PER_MSEC);
	}
	plain(c, "switches", p->switches);
	if (a->ticks)
		plain(c, "adaptive.ticks", a->ticks);
	for (unsigned i = 0; i < POLICY_REASONS; i++) {
		snprintf(name, sizeof(name), "adaptive.%s", policy_reason_name[i]);
		if (a->by_reason[i])
			plain(c, name, a->by_reason[i]);
	}
}

static void drive_counts(struct ctl *c, const struct partition *p)
{
	static const char *const key[] = {"cdrom", "disk", "floppy"};
	char name[sizeof(((struct chan_ctl_count *)0)->name)];

	for (unsigned i = 0; i < ARRAY_SIZE(key); i++) {
		const struct blk_chan *m = p->served[i];

		if (!m)
			continue;
		snprintf(name, sizeof(name), "%s.requests", key[i]);
		plain(c, name, m->requests);
		snprintf(name, sizeof(name), "%s.bytes", key[i]);
		plain(c, name, m->bytes);
		snprintf(name, sizeof(name), "%s.errors", key[i]);
		plain(c, name, m->errors);
		snprintf(name, sizeof(name), "%s.resent", key[i]);
		plain(c, name, m->resent);
	}
}

/* The port goes when the guest ends, on another CPU: its numbers are taken in one look. */
static void nic_counts(struct ctl *c, const struct partition *p)
{
	const struct net_chan *n = p->state == PARTITION_RUNNING ? p->nic : NULL;

	if (!n)
		return;
	plain(c, "nic.sent", n->sent);
	plain(c, "nic.sent_bytes", n->sent_bytes);
	plain(c, "nic.received", n->received);
	plain(c, "nic.received_bytes", n->received_bytes);
	plain(c, "nic.lost", n->lost);
}

void ctl_stats(struct ctl *c)
{
	const struct partition *p =
		strcmp(c->name, c->control->cfg.name) ? ctl_guest(c) : c->control;

	if (!p)
		return;
	exit_counts(c, p);
	plain(c, "resets", p->resets);
	if (p == c->control) {
		plain(c, "channel.attaches", c->ch.attaches);
		plain(c, "channel.violations", c->ch.violations);
		plain(c, "channel.bad_answers", c->blk.bad_answers);
		plain(c, "console.typed_lost", c->con.typed_lost);
	} else {
		plain(c, "triple_faults", p->triple_faults);
		if (p->started_ns)
			paging_counts(c, p);
		drive_counts(c, p);
		nic_counts(c, p);
	}
	ctl_ok(c);
}

/* --- screen, records -------------------------------------------------------------------------- */

static void screen_line(void *ctx, unsigned row, const char *text)
{
	(void)row;
	ctl_line(ctx, text, strlen(text));
}

void ctl_screen(struct ctl *c)
{
	struct partition *p = ctl_guest(c);

	if (!p)
		return;
	if (!p->cfg.vga)
		ctl_end(c, -ENODEV, "%s has no screen (vga = off)", p->cfg.name);
	else if (p->state != PARTITION_RUNNING && p->state != PARTITION_PAUSED &&
		 !(p->state == PARTITION_ENDED && p->pc.cfg.vram))
		ctl_end(c, -EBUSY, "%s has not started: its screen is off", p->cfg.name);
	else if (!pc_screen_read(&p->pc, screen_line, c))
		ctl_end(c, -ENODEV, "%s shows graphics, which has no text", p->cfg.name);
	else
		ctl_ok(c);
}

void ctl_records(struct ctl *c)
{
	u64 seq = MAX(c->req.arg, 1ull);
	bool any = false;

	if (c->req.arg2 < c->req.arg) {
		ctl_end(c, -EINVAL, "records: from %llu to %llu is no range",
			(unsigned long long)c->req.arg, (unsigned long long)c->req.arg2);
		return;
	}
	for (; !c->overflow; seq++) {
		static char line[RECORD_MAX];
		unsigned len = log_record(&seq, line);

		if (!len || seq > c->req.arg2)
			break;
		ctl_line(c, line, len);
		any = true;
	}
	if (any)
		ctl_ok(c);
	else
		ctl_end(c, -ENOENT, "no record from %llu to %llu is kept",
			(unsigned long long)c->req.arg, (unsigned long long)c->req.arg2);
}

/* --- info ------------------------------------------------------------------------------------- */

static void cpu_name(char buf[49])
{
	for (unsigned i = 0; i < 3; i++) {
		struct cpuid id = cpuid(0x80000002u + i, 0);

		memcpy(buf + 16 * i, &id, 16);
	}
	buf[48] = '\0';
}

static void memory(struct ctl *c, const char *owner, u64 bytes)
{
	ctl_text(c, "memory.%s %llu", owner, (unsigned long long)bytes);
}

void ctl_info(struct ctl *c)
{
	const struct engine_caps *e = hv_engine_caps();
	char cpu[49];

	cpu_name(cpu);
	ctl_text(c, "version %s", PENUMBRA_VERSION);
	ctl_text(c, "cpu %s", cpu);
	ctl_text(c, "cpus %u", ncpus);
	ctl_text(c, "engine %s nested=%u nested_1g=%u tags=%u", hv_engine()->name, e->nested,
		 e->nested_1g, e->tags);
	ctl_text(c, "tsc_khz %llu", (unsigned long long)(clock_tsc_hz() / 1000));
	ctl_text(c, "up_us %llu", (unsigned long long)(clock_ns() / NSEC_PER_USEC));
	for (unsigned i = 0; i < ncpus; i++)
		ctl_text(c, "idle.%u us=%llu waits=%llu", i,
			 (unsigned long long)(cpus[i].idle_ns / NSEC_PER_USEC),
			 (unsigned long long)cpus[i].idle_waits);
	memory(c, "total", frames_total());
	memory(c, "low", frames_owned(OWNER_LOW));
	memory(c, "hypervisor", frames_owned(OWNER_HYPERVISOR));
	memory(c, "control", frames_owned(OWNER_CONTROL));
	memory(c, "modules", frames_owned(OWNER_MODULES));
	for (unsigned i = 0; i < npartitions; i++) {
		char owner[8 + CONFIG_NAME_MAX];

		snprintf(owner, sizeof(owner), "guests.%s", partitions[i]->cfg.name);
		memory(c, owner, frames_owned(OWNER_GUEST0 + partitions[i]->index));
	}
	memory(c, "free", frames_owned(OWNER_FREE));
	ctl_ok(c);
}
