/* pnctl's requests to guests: their life. See ctl_int.h.
 *
 * A request is checked here and done on the guest's CPU; what that makes of it shows in `list` and
 * in records.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/ctl_int.h"
#include "core/hv.h"
#include "core/log.h"
#include "core/partition_paging.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "paging/paging.h"

static const char *const state_name[] = {
	[PARTITION_BUILT] = "built",	 [PARTITION_RUNNING] = "running",
	[PARTITION_PAUSED] = "paused",	 [PARTITION_ENDED] = "ended",
	[PARTITION_WAITING] = "waiting", [PARTITION_SPARE] = "destroyed",
};

static struct partition *find(const char *name)
{
	for (unsigned i = 0; i < npartitions; i++)
		if (partitions[i]->state != PARTITION_SPARE &&
		    !strcmp(partitions[i]->cfg.name, name))
			return partitions[i];
	return NULL;
}

static void guest_names(char *buf, size_t size)
{
	size_t at = 0;

	str_copy(buf, "none", size);
	for (unsigned i = 0; i < npartitions && at < size; i++)
		at += (size_t)snprintf(buf + at, size - at, "%s%s", i ? ", " : "",
				       partitions[i]->cfg.name);
}

struct partition *ctl_guest(struct ctl *c)
{
	struct partition *p = find(c->name);
	char names[PARTITION_MAX_GUESTS * (CONFIG_NAME_MAX + 2)];

	if (p)
		return p;
	guest_names(names, sizeof(names));
	if (!c->name[0])
		ctl_end(c, -EINVAL, "the name of a guest is wanted; guests: %s", names);
	else if (!strcmp(c->name, "control"))
		ctl_end(c, -EINVAL,
			"control is the control partition, which has no such request; guests: %s",
			names);
	else
		ctl_end(c, -ENOENT, "no guest named %s; guests: %s", c->name, names);
	return NULL;
}

static void wrong_state(struct ctl *c, const struct partition *p, const char *wanted)
{
	ctl_end(c, -EBUSY, "%s is %s: %s", p->cfg.name, state_name[p->state], wanted);
}

/* A guest of the config that boot left out is built now. */
static struct partition *build(struct ctl *c)
{
	const struct config *config = hv_config();

	for (unsigned i = 0; i < config->nguests; i++) {
		const struct guest_config *g = &config->guest[i];

		if (strcmp(g->name, c->name) || find(c->name))
			continue;
		if (partition_create(g) == 0)
			return find(c->name);
		ctl_end(c, -EINVAL, "%s cannot be built: its error records say why", g->name);
		return NULL;
	}
	return ctl_guest(c);
}

static void start(struct ctl *c)
{
	struct partition *p = build(c);

	if (!p)
		return;
	if (p->state != PARTITION_BUILT && p->state != PARTITION_ENDED) {
		wrong_state(c, p, "start is for one that is built or has ended");
		return;
	}
	partition_request(p, REQUEST_AGAIN);
	ctl_ok(c);
}

static bool lives(const struct partition *p)
{
	return p->state == PARTITION_RUNNING || p->state == PARTITION_PAUSED;
}

static void stop_guest(struct ctl *c)
{
	struct partition *p = ctl_guest(c);

	if (!p)
		return;
	if (c->req.arg > 1)
		ctl_end(c, -EINVAL, "stop: 0 is the power button, 1 at once");
	else if (!lives(p) && p->state != PARTITION_WAITING)
		wrong_state(c, p, "there is nothing to stop");
	else if (!c->req.arg && p->state != PARTITION_RUNNING)
		wrong_state(c, p, "nobody there to see the power button; stop at once, or resume");
	else {
		partition_request(p, c->req.arg ? REQUEST_KILL : REQUEST_BUTTON);
		ctl_ok(c);
	}
}

/* @request to a guest that is in @state. */
static void ask(struct ctl *c, enum partition_state state, u32 request, const char *wanted)
{
	struct partition *p = ctl_guest(c);

	if (!p)
		return;
	if (p->state != state) {
		wrong_state(c, p, wanted);
		return;
	}
	partition_request(p, request);
	ctl_ok(c);
}

static void reset(struct ctl *c)
{
	ask(c, PARTITION_RUNNING, REQUEST_RESET, "reset is for one that runs");
}

static void pause(struct ctl *c)
{
	ask(c, PARTITION_RUNNING, REQUEST_HOLD, "pause is for one that runs");
}

static void resume(struct ctl *c)
{
	ask(c, PARTITION_PAUSED, REQUEST_RESUME, "resume is for one that is paused");
}

static void destroy(struct ctl *c)
{
	struct partition *p = ctl_guest(c);

	if (!p)
		return;
	partition_request(p, REQUEST_DESTROY);
	ctl_ok(c);
}

static void paging(struct ctl *c)
{
	static const enum paging_kind kind[] = {[CHAN_PAGING_ADAPTIVE] = PAGING_ADAPTIVE,
						[CHAN_PAGING_NESTED] = PAGING_NESTED,
						[CHAN_PAGING_SHADOW] = PAGING_SHADOW};
	static const u32 request[] = {[PAGING_ADAPTIVE] = REQUEST_ADAPTIVE,
				      [PAGING_NESTED] = REQUEST_NESTED,
				      [PAGING_SHADOW] = REQUEST_SHADOW};
	struct partition *p = ctl_guest(c);
	const char *why;

	if (!p)
		return;
	if (c->req.arg >= ARRAY_SIZE(kind)) {
		ctl_end(c, -EINVAL, "paging: 0 adaptive, 1 nested, 2 shadow, not %llu",
			(unsigned long long)c->req.arg);
		return;
	}
	if (!paging_possible(kind[c->req.arg], &why)) {
		ctl_end(c, -ENOSYS, "paging mode %s %s: %s stays %s",
			paging_kind_name[kind[c->req.arg]], why, p->cfg.name,
			partition_paging_name(p));
		return;
	}
	if (!lives(p)) {
		wrong_state(c, p, "paging is for one that runs");
		return;
	}
	partition_request(p, request[kind[c->req.arg]]);
	ctl_ok(c);
}

static void power(struct ctl *c)
{
	if (c->req.arg > 1) {
		ctl_end(c, -EINVAL, "power: 0 is off, 1 reboot");
		return;
	}
	ctl_ok(c);
	ctl_flush(c);
	hv_end_machine(c->req.arg ? EXIT_REBOOT : EXIT_POWEROFF);
}

static void line(struct ctl *c)
{
	int rc;

	if (c->req.arg > CHAN_LINE_MS_MAX) {
		ctl_end(c, -EINVAL, "line: at most %u ms", CHAN_LINE_MS_MAX);
		return;
	}
	rc = log_transfer(0, c->req.arg * NSEC_PER_MSEC);
	if (rc == -EBUSY)
		ctl_end(c, rc,
			"what is typed does not go to the control partition: Ctrl-] 0 first");
	else if (rc)
		ctl_end(c, rc, "the serial line is busy");
	else
		ctl_ok(c);
}

/* --- dispatch --------------------------------------------------------------------------------- */

static void (*const handler[])(struct ctl *c) = {
	[CHAN_CTL_LIST] = ctl_list,
	[CHAN_CTL_START] = start,
	[CHAN_CTL_STOP] = stop_guest,
	[CHAN_CTL_RESET] = reset,
	[CHAN_CTL_PAUSE] = pause,
	[CHAN_CTL_RESUME] = resume,
	[CHAN_CTL_DESTROY] = destroy,
	[CHAN_CTL_STATS] = ctl_stats,
	[CHAN_CTL_PAGING] = paging,
	[CHAN_CTL_CONFIG_CHECK] = ctl_config_check,
	[CHAN_CTL_CONFIG_LOAD] = ctl_config_load,
	[CHAN_CTL_TRACE] = ctl_trace,
	[CHAN_CTL_SCREEN] = ctl_screen,
	[CHAN_CTL_RECORDS] = ctl_records,
	[CHAN_CTL_INFO] = ctl_info,
	[CHAN_CTL_POWER] = power,
	[CHAN_CTL_LINE] = line,
};

void ctl_handle(struct ctl *c)
{
	u32 op = c->req.op;

	if (op < ARRAY_SIZE(handler) && handler[op])
		handler[op](c);
	else
		ctl_end(c, -ENOSYS, "request %u is unknown to this hypervisor", op);
}
