/* A guest's life, from power-on to the result record.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/clock.h"
#include "core/ctl.h"
#include "core/hv.h"
#include "core/log.h"
#include "core/media.h"
#include "core/partition_int.h"
#include "core/partition_paging.h"
#include "core/report.h"
#include "core/sched.h"
#include "core/timer.h"
#include "core/vcpu_run.h"
#include "lib/cpuops.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "mem/hostmap.h"
#include "paging/paging.h"
#include "penumbra/platform.h"

#define TRIPLE_FAULT_LIMIT  5
#define TRIPLE_FAULT_GAP_NS (10 * NSEC_PER_SEC)
#define DEBUG_EXIT_PASS	    0x10

/* --- ends and resets -------------------------------------------------------------------------- */

void partition_end(struct partition *p, enum partition_status status, const char *event,
		   const char *fmt, ...)
{
	va_list ap;

	if (p->end_wanted || p->state == PARTITION_ENDED)
		return;
	va_start(ap, fmt);
	vsnprintf(p->end_detail, sizeof(p->end_detail), fmt, ap);
	va_end(ap);
	p->status = status;
	p->end_event = event;
	p->end_wanted = true;
	p->vcpu.state = VCPU_STOPPED;
	sched_kick(&p->vcpu);
}

static void power_off(struct partition *p)
{
	if (p->said_not_ok)
		partition_end(p, STATUS_FAIL, "exit", "powered off after a line of failure");
	else
		partition_end(p, STATUS_PASS, "exit", "powered off");
}

static void debug_exit(struct partition *p, u32 value)
{
	if (value == DEBUG_EXIT_PASS && !p->said_not_ok)
		partition_end(p, STATUS_PASS, "exit", "wrote 0x10 to port 0xf4");
	else
		partition_end(p, STATUS_FAIL, "exit", "wrote 0x%x to port 0xf4%s", value,
			      p->said_not_ok ? " after a line of failure" : "");
}

static const char *const reset_cause_name[] = {
	[MACHINE_RESET_8042] = "keyboard controller",
	[MACHINE_RESET_CF9] = "port CF9",
	[MACHINE_RESET_PORT92] = "port 92",
	[MACHINE_RESET_ACPI] = "ACPI",
};

void partition_want_reset(struct partition *p, const char *cause)
{
	p->reset_wanted = cause;
	p->vcpu.state = VCPU_STOPPED;
	sched_kick(&p->vcpu);
}

static void machine_event(struct partition *p, enum machine_event ev, u32 value)
{
	switch (ev) {
	case MACHINE_POWER_OFF:
		power_off(p);
		break;
	case MACHINE_DEBUG_EXIT:
		debug_exit(p, value);
		break;
	default:
		partition_want_reset(p, reset_cause_name[ev]);
	}
}

/* Five triple faults, each within ten seconds of the one before, are a crash. */
static void triple_fault(struct partition *p)
{
	u64 now = clock_ns();

	if (p->triple_faults && now - p->last_triple_ns < TRIPLE_FAULT_GAP_NS)
		p->triple_run++;
	else
		p->triple_run = 1;
	p->triple_faults++;
	p->last_triple_ns = now;
	if (p->triple_run >= TRIPLE_FAULT_LIMIT) {
		partition_end(p, STATUS_FAIL, "crash", "%u triple faults in a row",
			      TRIPLE_FAULT_LIMIT);
		return;
	}
	partition_want_reset(p, "triple fault");
}

/* Software that jumps to the reset vector to reboot finds the chips as it left them: the board is
 * reset before POST goes on. */
void partition_post_began(struct partition *p)
{
	if (p->posted)
		partition_want_reset(p, "jump to the reset vector");
	else
		report_guest(p, "bios", "POST");
	p->posted = true;
}

/* --- power-on, reset, end -------------------------------------------------------------------- */

/* Video memory below the text page, option ROM space and the BIOS are read-only; the rest of the
 * first 2 MiB is RAM. Empty ROM space reads as ones. */
static void load_rom(struct partition *p)
{
	const struct boot_module *bios = hv_bios_module();
	u8 *low = p2m_ptr(&p->p2m, 0);

	p2m_set_low_kind(&p->p2m, PC_LOW_RAM_END, MIB - PC_LOW_RAM_END, P2M_ROM);
	p2m_set_low_kind(&p->p2m, PC_VGA_TEXT_BASE, PC_VGA_TEXT_SIZE, P2M_RAM);
	memset(low + PC_LOW_RAM_END, 0xff, PC_VGA_TEXT_BASE - PC_LOW_RAM_END);
	memset(low + PC_VGA_TEXT_BASE + PC_VGA_TEXT_SIZE, 0xff,
	       PC_BIOS_BASE - PC_VGA_TEXT_BASE - PC_VGA_TEXT_SIZE);
	memcpy(low + PC_BIOS_BASE, hpa_va(bios->base), PC_BIOS_SIZE);
}

static void reset_cpu(struct partition *p)
{
	struct vcpu *v = &p->vcpu;
	u32 id[4];

	p->cpuid_dynamic = (struct cpuid_dynamic){.cr4 = v->live.cr4, .xcr0 = 1, .apic_id = v->id};
	v->engine->vcpu_reset(v);
	vcpu_fpu_reset(v);
	guest_msrs_reset(&p->msrs);
	p->posted = false;
	p->tsc_offset = -rdtsc();
	v->engine->set_tsc_offset(v, p->tsc_offset);
	cpuid_query(&p->cpuid, &p->cpuid_dynamic, 1, 0, id);
	v->gpr[GPR_RDX] = id[0]; /* family, model, stepping */
	v->paging->flush(v);
}

void partition_reset(struct partition *p, const char *cause)
{
	pc_reset(&p->pc);
	load_rom(p);
	partition_low_changed(p, 0, MIB);
	reset_cpu(p);
	p->watch_serial = p->watch_vga = (struct line_watch){0};
	p->bios_len = 0;
	p->resets++;
	report_guest(p, "reset", cause);
	p->vcpu.state = VCPU_RUNNABLE;
}

static void timed_out(void *arg, u64 now_ns)
{
	struct partition *p = arg;

	(void)now_ns;
	partition_end(p, STATUS_TIMEOUT, "timeout", "timeout of %llu ms",
		      (unsigned long long)(p->cfg.timeout_ns / NSEC_PER_MSEC));
}

static void screen_line(void *ctx, unsigned row, const char *text)
{
	const struct partition *p = ctx;

	(void)row;
	log_write(p->src_vga, text, strlen(text));
	log_write(p->src_vga, "\n", 1);
	ctl_output(p->index, true, text, strlen(text));
	ctl_output(p->index, true, "\n", 1);
}

void partition_show_screen(struct partition *p)
{
	pc_screen_changed(&p->pc, screen_line, p);
}

static void screen_due(void *arg, u64 now_ns)
{
	struct partition *p = arg;

	partition_show_screen(p);
	timer_set(&p->screen, now_ns + hv_cmdline()->screen_ns);
}

static void stats_due(void *arg, u64 now_ns)
{
	struct partition *p = arg;

	report_stats(p, true);
	timer_set(&p->stats_timer, now_ns + hv_cmdline()->stats_ns);
}

static void start_timers(struct partition *p)
{
	const struct cmdline *c = hv_cmdline();
	u64 now = clock_ns();

	p->timeout = (struct timer){.fire = timed_out, .arg = p};
	p->screen = (struct timer){.fire = screen_due, .arg = p};
	p->stats_timer = (struct timer){.fire = stats_due, .arg = p};
	if (p->cfg.timeout_ns)
		timer_set(&p->timeout, now + p->cfg.timeout_ns);
	if (c->screen_ns && p->cfg.vga)
		timer_set(&p->screen, now + c->screen_ns);
	if (c->stats_ns)
		timer_set(&p->stats_timer, now + c->stats_ns);
}

static void stop_timers(struct partition *p)
{
	timer_set(&p->timeout, TIMER_OFF);
	timer_set(&p->screen, TIMER_OFF);
	timer_set(&p->stats_timer, TIMER_OFF);
	timer_set(&p->input_retry, TIMER_OFF);
	estimate_stop(p);
}

static void power_on(struct partition *p)
{
	struct vcpu *v = &p->vcpu;

	p->status = STATUS_NONE;
	p->said_not_ok = false;
	p->reset_wanted = NULL;
	p->held = false;
	p->bios_len = 0;
	p->tsc_khz = (u32)(clock_tsc_hz() / 1000);
	partition_msr_init(p);
	if (partition_build_board(p) != 0) {
		partition_end(p, STATUS_FAIL, "crash", "the board could not be built");
		return;
	}
	partition_serve_apic(p);
	load_rom(p);
	partition_low_changed(p, 0, MIB);
	reset_cpu(p);
	if (v->paging->enter(v) != 0) {
		partition_end(p, STATUS_FAIL, "crash", "no memory for paging=%s", v->paging->name);
		return;
	}
	v->engine->moved(v);
	p->state = PARTITION_RUNNING;
	p->started_ns = clock_ns();
	partition_paging_begin(p);
	partition_adaptive_begin(p);
	start_timers(p);
	estimate_power_on(p);
	v->state = VCPU_RUNNABLE;
	report_guest(p, "start", NULL);
}

void partition_finish(struct partition *p)
{
	p->end_wanted = false;
	p->ended_ns = clock_ns();
	if (p->cfg.vga)
		partition_show_screen(p);
	stop_timers(p);
	timer_set(&p->adaptive.timer, TIMER_OFF);
	if (strcmp(p->end_event, "crash") == 0)
		report_crash(p);
	else
		report_guest(p, p->end_event, p->end_detail);
	report_stats(p, false);
	report_result(p, hv_cmdline()->results);
	pc_reset(&p->pc);
	media_close(p);
	if (p->cfg.on_exit == ON_EXIT_RESTART && !p->no_restart) {
		p->state = PARTITION_BUILT;
		partition_request(p, REQUEST_START);
		return;
	}
	p->state = PARTITION_ENDED;
	hv_guest_ended(p->status == STATUS_PASS);
}

void partition_cannot_start(struct partition *p)
{
	media_close(p);
	p->state = PARTITION_ENDED;
	p->status = STATUS_FAIL;
	p->started_ns = p->ended_ns = clock_ns();
	str_copy(p->end_detail, "not started", sizeof(p->end_detail));
	report_not_started(p->cfg.name, p->cfg.paging, hv_cmdline()->results);
	hv_guest_ended(false);
}

void partition_start_or_wait(struct partition *p, int err)
{
	if (err == -EAGAIN)
		p->state = PARTITION_WAITING;
	else if (err)
		partition_cannot_start(p);
	else
		power_on(p);
}

static bool type(struct partition *p, u8 byte)
{
	return pc_input(&p->pc, byte);
}

static void cpu_leaves(struct partition *p)
{
	if (p->state != PARTITION_RUNNING)
		return;
	if (p->vcpu.state == VCPU_HALTED)
		media_guest_halted(p);
	pc_cpu_leaves(&p->pc);
}

const struct partition_ops guest_ops = {
	.cpu_leaves = cpu_leaves,
	.service = partition_service,
	.triple_fault = triple_fault,
	.machine_event = machine_event,
	.type = type,
};
