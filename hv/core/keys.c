/* Hypervisor keys; see keys.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/keys.h"
#include "core/control.h"
#include "core/hv.h"
#include "core/log.h"
#include "core/partition.h"
#include "core/report.h"
#include "core/tracelog.h"
#include "lib/str.h"

static void key_help(const char *arg);

static void request_all(u32 request)
{
	for (unsigned i = 0; i < npartitions; i++)
		if (partitions[i]->state != PARTITION_ENDED)
			partition_request(partitions[i], request);
}

static void key_stats(const char *arg)
{
	(void)arg;
	request_all(REQUEST_STATS);
	if (control_partition)
		partition_request(control_partition, REQUEST_STATS);
}

static void key_screen(const char *arg)
{
	(void)arg;
	request_all(REQUEST_SCREEN);
}

static void key_pause(const char *arg)
{
	(void)arg;
	request_all(REQUEST_PAUSE);
}

static void key_mode(const char *arg)
{
	(void)arg;
	request_all(REQUEST_TOGGLE);
}

static void key_adaptive(const char *arg)
{
	(void)arg;
	request_all(REQUEST_ADAPTIVE);
}

static void key_audit(const char *arg)
{
	(void)arg;
	request_all(REQUEST_AUDIT);
}

static const char *parse_number(const char *s, u64 *n)
{
	*n = 0;
	while (*s >= '0' && *s <= '9')
		*n = *n * 10 + (u64)(*s++ - '0');
	return s;
}

/* "FROM-TO" or "FROM", numbers of @what. False after an error record. */
static bool parse_range(char key, const char *arg, const char *what, u64 *from, u64 *to)
{
	const char *rest = parse_number(arg, from);

	*to = *from;
	if (*rest == '-')
		rest = parse_number(rest + 1, to);
	if (rest != arg && !*rest && *to >= *from)
		return true;
	report_error(NULL, "serial", "key %c wants a range of %s numbers such as 3-9", key, what);
	return false;
}

static void key_repeat(const char *arg)
{
	u64 from, to;

	if (parse_range('r', arg, "record", &from, &to))
		record_repeat(from, to);
}

static void request_of(char key, const char *arg, u32 request)
{
	u64 from, to;

	if (!parse_range(key, arg, "guest", &from, &to))
		return;
	for (unsigned i = 0; i < npartitions; i++)
		if (partitions[i]->index >= from && partitions[i]->index <= to)
			partition_request(partitions[i], request | REQUEST_BY_KEY);
}

static void key_nested(const char *arg)
{
	request_of('N', arg, REQUEST_NESTED);
}

static void key_shadow(const char *arg)
{
	request_of('S', arg, REQUEST_SHADOW);
}

static void key_policy(const char *arg)
{
	request_of('P', arg, REQUEST_ADAPTIVE);
}

static void key_list(const char *arg)
{
	(void)arg;
	report_partitions();
}

static void key_trace(const char *arg)
{
	(void)arg;
	tracelog_show();
}

static void key_export(const char *arg)
{
	(void)arg;
	tracelog_export();
}

static const struct {
	char key;
	void (*act)(const char *arg);
	const char *help;
} keys[] = {
	{'h', key_help, "this list"},
	{'l', key_list, "list the guests"},
	{'s', key_stats, "stats records of all guests and of the control partition"},
	{'v', key_screen, "changed lines of the guests' text screens"},
	{'t', key_trace, "the latest trace entries of every CPU"},
	{'T', key_export, "the whole trace as records, for pncollect trace"},
	{'p', key_pause, "pause or resume all guests"},
	{'a', key_audit, "audit the translations of all guests"},
	{'m', key_mode, "all guests to the other paging mode: nested or shadow"},
	{'A', key_adaptive, "the policy chooses the paging mode of all guests (again)"},
	{'N', key_nested, "FROM-TO Enter: these guests to nested paging"},
	{'S', key_shadow, "FROM-TO Enter: these guests to shadow paging"},
	{'P', key_policy, "FROM-TO Enter: the policy chooses the paging mode of these guests"},
	{'r', key_repeat, "FROM-TO Enter: repeat records"},
};

static void key_help(const char *arg)
{
	(void)arg;
	hv_log(LOG_WARN, "Ctrl-] 0, 1, 2 ...: focus the control partition or a guest; - none");
	hv_log(LOG_WARN, "Ctrl-] Ctrl-]: a Ctrl-] for the partition");
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
		hv_log(LOG_WARN, "Ctrl-] %c: %s", keys[i].key, keys[i].help);
}

void hypervisor_key(char key, const char *arg)
{
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].key == key) {
			keys[i].act(arg);
			return;
		}
	hv_log(LOG_WARN, "Ctrl-] %c is no key of the hypervisor; Ctrl-] h lists them", key);
}
