/* pnctl config check and load. See ctl_int.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/ctl_int.h"
#include "core/hv.h"
#include "lib/errno.h"
#include "lib/str.h"

#define FILE_NAME "config"

static void error_row(void *ctx, const char *file, unsigned line, const char *guest,
		      const char *key, const char *message)
{
	(void)key;
	ctl_text(ctx, "%s:%u: %s%s%s", file, line, guest ? guest : "", guest ? ": " : "", message);
}

static const struct config *parse(struct ctl *c)
{
	static struct config config;
	struct config_report rep = {.error = error_row, .ctx = c};

	config_parse(&config, FILE_NAME, c->text, c->text_len, &rep);
	for (unsigned i = 0; i < config.nguests; i++)
		if (!config.guest[i].paging_set)
			config.guest[i].paging = hv_cmdline()->paging;
	return &config;
}

static void end_with(struct ctl *c, unsigned errors)
{
	if (errors)
		ctl_end(c, -EINVAL, "%u error%s", errors, errors == 1 ? "" : "s");
	else
		ctl_ok(c);
}

void ctl_config_check(struct ctl *c)
{
	end_with(c, parse(c)->errors);
}

static struct partition *existing(const char *name)
{
	for (unsigned i = 0; i < npartitions; i++)
		if (!strcmp(partitions[i]->cfg.name, name))
			return partitions[i];
	return NULL;
}

/* 1 for an error, told in a row. One that is there stays as it is: its disks may be in use. */
static unsigned load_one(struct ctl *c, const struct guest_config *g)
{
	if (g->bad)
		return 0; /* counted where it was read */
	if (existing(g->name)) {
		ctl_text(c, "%s is there already and stays as it is: destroy it first", g->name);
		return 1;
	}
	if (partition_create(g) != 0) {
		ctl_text(c, "%s cannot be built: its error records say why", g->name);
		return 1;
	}
	if (g->start)
		partition_request(existing(g->name), REQUEST_AGAIN);
	return 0;
}

void ctl_config_load(struct ctl *c)
{
	const struct config *config = parse(c);
	unsigned errors = config->errors;

	for (unsigned i = 0; i < config->nguests; i++)
		errors += load_one(c, &config->guest[i]);
	end_with(c, errors);
}
