/* What others ask of a guest (requests, typed bytes), served on its own CPU before the next entry,
 * and its share of the serial line.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/clock.h"
#include "core/cpu.h"
#include "core/ctl.h"
#include "core/hv.h"
#include "core/log.h"
#include "core/media.h"
#include "core/partition_int.h"
#include "core/partition_paging.h"
#include "core/report.h"
#include "core/sched.h"
#include "core/timer.h"
#include "paging/paging.h"
#include "trace/trace.h"

#define INPUT_RETRY_NS (5 * NSEC_PER_MSEC)

/* --- the serial line's room ------------------------------------------------------------------ */

bool partition_hold_back(struct partition *p)
{
	if (log_room(p->src_vga))
		return false;
	p->held = true;
	if (p->vcpu.state == VCPU_RUNNABLE)
		p->vcpu.state = VCPU_STOPPED;
	this_cpu()->attention = true;
	return true;
}

void partition_let_go(struct partition *p)
{
	bool stopped = p->end_wanted || p->reset_wanted;

	if (!log_room(p->src_vga))
		return;
	p->held = false;
	if (p->state == PARTITION_RUNNING && !stopped)
		p->vcpu.state = VCPU_RUNNABLE;
	if (p->state == PARTITION_PAUSED && !stopped)
		p->paused_state = VCPU_RUNNABLE;
	sched_kick(&p->vcpu);
}

/* --- input ------------------------------------------------------------------------------------ */

static void input_again(void *arg, u64 now_ns)
{
	struct partition *p = arg;

	(void)now_ns;
	p->vcpu.kick = 1;
	this_cpu()->attention = true;
}

void partition_take_input(struct partition *p)
{
	while (p->input_tail != p->input_head) {
		if (!p->ops->type(p, p->input[p->input_tail % PARTITION_INPUT_SIZE])) {
			p->input_retry.fire = input_again;
			p->input_retry.arg = p;
			timer_set(&p->input_retry, clock_ns() + INPUT_RETRY_NS);
			return;
		}
		__atomic_store_n(&p->input_tail, p->input_tail + 1, __ATOMIC_RELEASE);
	}
}

bool partition_input(struct partition *p, u8 byte)
{
	u32 head = p->input_head;

	if (head - __atomic_load_n(&p->input_tail, __ATOMIC_ACQUIRE) == PARTITION_INPUT_SIZE)
		return false;
	p->input[head % PARTITION_INPUT_SIZE] = byte;
	__atomic_store_n(&p->input_head, head + 1, __ATOMIC_RELEASE);
	sched_kick(&p->vcpu);
	return true;
}

/* --- requests -------------------------------------------------------------------------------- */

void partition_request(struct partition *p, u32 request)
{
	__atomic_or_fetch(&p->requests, request, __ATOMIC_RELEASE);
	sched_kick(&p->vcpu);
}

static void hold(struct partition *p)
{
	p->state = PARTITION_PAUSED;
	p->paused_state = p->vcpu.state;
	p->vcpu.state = VCPU_STOPPED;
	hv_log(LOG_WARN, "%s paused", p->cfg.name);
}

static void resume(struct partition *p)
{
	p->state = PARTITION_RUNNING;
	p->vcpu.state = p->paused_state;
	hv_log(LOG_WARN, "%s resumed", p->cfg.name);
}

static void pause_by(struct partition *p, u32 requests)
{
	if (p->state == PARTITION_RUNNING && (requests & (REQUEST_PAUSE | REQUEST_HOLD)))
		hold(p);
	else if (p->state == PARTITION_PAUSED && (requests & (REQUEST_PAUSE | REQUEST_RESUME)))
		resume(p);
}

static void audit(struct partition *p)
{
	unsigned wrong = p->vcpu.paging->audit(&p->vcpu);

	if (wrong)
		report_error(p->cfg.name, "audit", "%u wrong translations", wrong);
	else
		hv_log(LOG_WARN, "%s audit: every translation is right", p->cfg.name);
}

/* Starts and resets are told in records: a guest makes them only as fast as the line takes those.
 */
static void start_when_room(struct partition *p)
{
	if (p->state != PARTITION_BUILT)
		return;
	if (partition_hold_back(p))
		__atomic_or_fetch(&p->requests, REQUEST_START, __ATOMIC_RELAXED);
	else
		partition_start_or_wait(p, media_open(p));
}

static void reset_when_room(struct partition *p)
{
	const char *cause = p->reset_wanted;

	if (!cause || p->state != PARTITION_RUNNING || partition_hold_back(p))
		return;
	p->reset_wanted = NULL;
	partition_reset(p, cause);
}

/* A guest that has ended starts again; one that never ran only earlier than it would. */
static void start_again(struct partition *p)
{
	if (p->state == PARTITION_ENDED) {
		p->state = PARTITION_BUILT;
		hv_guest_started();
	}
	p->no_restart = false;
	start_when_room(p);
}

static void end_by_request(struct partition *p, const char *detail)
{
	p->no_restart = true;
	if (p->state == PARTITION_BUILT || p->state == PARTITION_WAITING)
		partition_cannot_start(p);
	else if (p->state == PARTITION_RUNNING || p->state == PARTITION_PAUSED)
		partition_end(p, STATUS_FAIL, "exit", "%s", detail);
}

static void channel_news(struct partition *p)
{
	if (p->state == PARTITION_WAITING)
		partition_start_or_wait(p, media_poll(p));
	else if (p->state == PARTITION_RUNNING || p->state == PARTITION_PAUSED)
		media_service(p);
}

void partition_change_engine(struct partition *p)
{
	trace_settle(p->vcpu.cpu);
	p->vcpu.engine = hv_engine();
}

/* Requests that mean something in any state. */
static void life(struct partition *p, u32 r)
{
	if (r & REQUEST_START)
		start_when_room(p);
	if (r & REQUEST_AGAIN)
		start_again(p);
	if (r & REQUEST_END)
		end_by_request(p, "the control partition ended the machine");
	if (r & REQUEST_KILL)
		end_by_request(p, "stopped by pnctl");
	if (r & REQUEST_DESTROY)
		end_by_request(p, "destroyed by pnctl");
	if (r & REQUEST_ENGINE)
		partition_change_engine(p);
	if (r & REQUEST_CHANNEL)
		channel_news(p);
	p->destroy_wanted |= !!(r & REQUEST_DESTROY);
}

static void press(struct partition *p, u32 r)
{
	if (r & REQUEST_BUTTON) {
		p->no_restart = true;
		acpi_pm_power_button(&p->pc.pm);
	}
	if ((r & REQUEST_RESET) && p->state == PARTITION_RUNNING)
		partition_want_reset(p, "pnctl");
}

static void change_paging(struct partition *p, u32 r)
{
	const char *why = r & REQUEST_BY_KEY ? "key" : "pnctl";

	if (r & (REQUEST_NESTED | REQUEST_SHADOW | REQUEST_TOGGLE))
		partition_adaptive_stop(p);
	if (r & REQUEST_NESTED)
		partition_switch_paging(p, PAGING_NESTED, why);
	if (r & REQUEST_SHADOW)
		partition_switch_paging(p, PAGING_SHADOW, why);
	if (r & REQUEST_TOGGLE)
		partition_toggle_paging(p);
	if (r & REQUEST_ADAPTIVE)
		partition_adaptive_start(p);
}

static void serve(struct partition *p)
{
	u32 r = __atomic_exchange_n(&p->requests, 0, __ATOMIC_ACQUIRE);

	life(p, r);
	if (p->end_wanted) {
		partition_finish(p);
		return;
	}
	if (p->state != PARTITION_RUNNING && p->state != PARTITION_PAUSED)
		return;
	press(p, r);
	pause_by(p, r);
	reset_when_room(p);
	change_paging(p, r);
	if (r & REQUEST_SCREEN)
		partition_show_screen(p);
	if (r & REQUEST_STATS)
		report_stats(p, false);
	if (r & REQUEST_AUDIT)
		audit(p);
	partition_take_input(p);
}

void partition_service(struct partition *p)
{
	serve(p);
	if (!p->destroy_wanted || p->state != PARTITION_ENDED)
		return;
	p->destroy_wanted = false;
	__atomic_store_n(&p->state, PARTITION_SPARE, __ATOMIC_RELEASE);
	ctl_wake();
}
