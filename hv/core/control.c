/* The control partition's life: started before the guests on its CPU, ready when its init says so,
 * ended by its own power-off (which is the machine's) or by a crash, which the guests survive.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/control.h"
#include "core/clock.h"
#include "core/cmdline.h"
#include "core/control_build.h"
#include "core/ctl.h"
#include "core/hv.h"
#include "core/log.h"
#include "core/report.h"
#include "core/sched.h"
#include "core/timer.h"
#include "lib/cpuops.h"
#include "lib/str.h"
#include "paging/paging.h"

#define NAME	       "control"
#define KERNEL_MODULE  "vmlinuz"
#define ROOTFS_MODULE  "rootfs.cpio.gz"
#define READY_LIMIT_NS (60 * NSEC_PER_SEC)

struct partition *control_partition;

static bool ready, guests_run;
static struct timer ready_limit;

/* --- readiness -------------------------------------------------------------------------------- */

/* The guests on its CPU may run; once. */
static void let_guests_run(void)
{
	if (guests_run)
		return;
	guests_run = true;
	timer_set(&ready_limit, TIMER_OFF);
	sched_first_done();
	partitions_start(true);
}

void control_ready(void)
{
	char detail[48];

	if (ready || !control_partition)
		return;
	snprintf(
		detail, sizeof(detail), "after %llu ms",
		(unsigned long long)((clock_ns() - control_partition->started_ns) / NSEC_PER_MSEC));
	report_guest(control_partition, "ready", detail);
	ready = true;
	let_guests_run();
}

static void not_ready(void *arg, u64 now_ns)
{
	(void)arg, (void)now_ns;
	report_error(NAME, "control", "not ready after %llu s: the guests no longer wait for it",
		     READY_LIMIT_NS / NSEC_PER_SEC);
	let_guests_run();
}

/* --- life ------------------------------------------------------------------------------------- */

static void stats_due(void *arg, u64 now_ns)
{
	struct partition *p = arg;

	report_stats(p, true);
	timer_set(&p->stats_timer, now_ns + hv_cmdline()->stats_ns);
}

static void power_on(struct partition *p)
{
	u64 stats_ns = hv_cmdline()->stats_ns;
	struct vcpu *v = &p->vcpu;

	v->paging->enter(v);
	v->engine->moved(v);
	p->state = PARTITION_RUNNING;
	p->started_ns = clock_ns();
	v->state = VCPU_RUNNABLE;
	report_guest(p, "start", NULL);
	ready_limit.fire = not_ready;
	timer_set(&ready_limit, clock_ns() + READY_LIMIT_NS);
	p->stats_timer = (struct timer){.fire = stats_due, .arg = p};
	if (stats_ns)
		timer_set(&p->stats_timer, clock_ns() + stats_ns);
}

/* Its end is told; its counters stand still. */
static void tell_stats(struct partition *p)
{
	timer_set(&p->stats_timer, TIMER_OFF);
	report_stats(p, false);
}

static void finish(struct partition *p)
{
	p->end_wanted = false;
	p->ended_ns = clock_ns();
	p->state = PARTITION_ENDED;
	if (strcmp(p->end_event, "crash") == 0)
		report_crash(p);
	else
		report_guest(p, p->end_event, p->end_detail);
	tell_stats(p);
	hv_log(LOG_WARN, "the control partition has ended; guests go on without its devices");
	ctl_stop();
	control_board_stop(p);
	let_guests_run();
	hv_control_ended();
}

static void service(struct partition *p)
{
	u32 r = __atomic_exchange_n(&p->requests, 0, __ATOMIC_ACQUIRE);

	if ((r & REQUEST_START) && p->state == PARTITION_BUILT)
		power_on(p);
	if (p->end_wanted) {
		finish(p);
		return;
	}
	if (p->state != PARTITION_RUNNING)
		return;
	if (r & REQUEST_ENGINE)
		partition_change_engine(p);
	if (r & REQUEST_CHANNEL)
		ctl_poll();
	else if (r & REQUEST_INTX)
		channel_update_intx(ctl_channel());
	if (r & REQUEST_STATS)
		report_stats(p, false);
	control_irq_service(&p->ctl);
	partition_take_input(p);
}

static void triple_fault(struct partition *p)
{
	partition_end(p, STATUS_FAIL, "crash", "triple fault");
}

/* It owns the machine's devices, so its power switch is the machine's. A system that restarts in
 * order has masked its interrupts before; one that panics pulls the reset line as it is, and that
 * is no reason to take the guests down with it. */
static void machine_event(struct partition *p, enum machine_event ev, u32 value)
{
	(void)value;
	if (ev != MACHINE_POWER_OFF && control_irq_live(&p->ctl)) {
		partition_end(p, STATUS_FAIL, "crash", "reset itself without shutting down");
		return;
	}
	/* Linux pulls the same line again within microseconds, then others: nothing of it must run
	 * on while the guests end. */
	p->vcpu.state = VCPU_STOPPED;
	sched_kick(&p->vcpu);
	report_guest(p, "exit",
		     ev == MACHINE_POWER_OFF ? "powered the machine off" : "restarted the machine");
	tell_stats(p);
	hv_end_machine(ev == MACHINE_POWER_OFF ? EXIT_POWEROFF : EXIT_REBOOT);
}

static bool type(struct partition *p, u8 byte)
{
	return uart_rx(&p->ctl.uart, byte);
}

static const struct partition_ops control_ops = {
	.service = service,
	.triple_fault = triple_fault,
	.machine_event = machine_event,
	.type = type,
};

/* --- start ------------------------------------------------------------------------------------ */

static bool modules_there(const struct boot_module *kernel, const struct boot_module *rootfs,
			  bool demanded)
{
	if (kernel && rootfs)
		return true;
	if (kernel || rootfs || demanded)
		report_error(NAME, kernel ? ROOTFS_MODULE : KERNEL_MODULE,
			     "no module of that name was loaded: guests run without the control "
			     "partition");
	else
		hv_log(LOG_WARN, "no control partition: modules " KERNEL_MODULE
				 " and " ROOTFS_MODULE " were not loaded");
	return false;
}

void control_create(const struct config *c, const struct cmdline *cmdline)
{
	const struct boot_module *kernel = hv_find_module(KERNEL_MODULE);
	const struct boot_module *rootfs = hv_find_module(ROOTFS_MODULE);

	if (!cmdline->control || !modules_there(kernel, rootfs, cmdline->control_demanded))
		return;
	control_partition = control_build(c, kernel, rootfs, &control_ops);
	if (control_partition)
		sched_add_first(&control_partition->vcpu, 0);
}

void control_start(void)
{
	if (control_partition)
		partition_request(control_partition, REQUEST_START);
}
