/* The hypervisor's command line (DESIGN §3): key=value words. Unknown keys and bad values are reported
 * and ignored.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_CMDLINE_H
#define HV_CORE_CMDLINE_H

#include "core/config.h"

enum console_kind { CONSOLE_UART, CONSOLE_PCI, CONSOLE_VGA, CONSOLE_NONE };
struct console_param {
	enum console_kind kind;
	u16 port;  /* I/O port of a UART */
	u32 baud;  /* 0: leave as the firmware set it */
	u8 bits, stop;
	char parity; /* 'n' 'e' 'o' */
};

enum exit_action { EXIT_STAY, EXIT_POWEROFF, EXIT_REBOOT, EXIT_QEMU };
enum engine_choice { ENGINE_AUTO, ENGINE_SVM, ENGINE_VMX };
enum log_level { LOG_WARN, LOG_INFO, LOG_DEBUG };
enum trace_level { TRACE_OFF, TRACE_EXITS, TRACE_ALL };

#define RESULTS_JSON 1u
#define RESULTS_KTAP 2u
#define RESULTS_LAVA 4u

#define CMDLINE_MAX_OVERRIDES 64
struct guest_override {
	char guest[CONFIG_NAME_MAX];
	char key[32];
	char value[CONFIG_PATH_MAX];
};

struct cmdline {
	enum paging_kind paging;
	char policy[16];
	enum engine_choice engine;
	bool nested, unrestricted, vpid; /* false: pretend the CPU lacks it */
	struct console_param console;
	unsigned results;
	u64 stats_ns; /* 0: off */
	enum log_level log;
	enum trace_level trace;
	char guests[256]; /* comma list; empty: all with start = yes */
	bool control;
	char shadow[16];
	char pmu[48];
	char paging_per_as[8];
	u64 screen_ns; /* 0: off */
	enum exit_action exit;
	bool hwcheck; /* the `hwcheck` menu entry */
	bool verbose; /* firmware: say every step on every console */
	struct guest_override override[CMDLINE_MAX_OVERRIDES];
	unsigned noverrides;
	unsigned errors;
};

struct cmdline_report {
	/* @word is the offending word, @message says what would be right. */
	void (*error)(void *ctx, const char *word, const char *message);
	void *ctx;
};

void cmdline_parse(struct cmdline *c, const char *text, const struct cmdline_report *rep);
/* Parse "com1,115200,8n1" and friends (console=). 0 or -EINVAL. Used early by firmware too. */
int cmdline_parse_console(const char *value, struct console_param *p);
/* "250ms", "10s" -> ns; "64M" -> bytes. 0 or -EINVAL (also on overflow). */
int parse_duration(const char *s, u64 *ns);
int parse_size(const char *s, u64 *bytes);

#endif
