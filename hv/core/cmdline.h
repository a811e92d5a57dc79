/* The hypervisor's command line (docs/config.md): key=value words. Unknown keys and bad values are
 * reported and ignored.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_CMDLINE_H
#define HV_CORE_CMDLINE_H

#include "core/config.h"

enum console_kind { CONSOLE_UART, CONSOLE_PCI, CONSOLE_VGA, CONSOLE_NONE };
struct console_param {
	enum console_kind kind;
	u16 port; /* I/O port of a UART */
	u32 baud; /* 0: leave as the firmware set it */
	u8 bits, stop;
	char parity; /* 'n' 'e' 'o' */
};

enum exit_action { EXIT_STAY, EXIT_POWEROFF, EXIT_REBOOT, EXIT_QEMU };
enum log_level { LOG_WARN, LOG_INFO, LOG_DEBUG };
enum trace_level { TRACE_OFF, TRACE_EXITS, TRACE_ALL, TRACE_POLICY };

#define RESULTS_JSON 1u
#define RESULTS_KTAP 2u
#define RESULTS_LAVA 4u

/* NAME.key=value of a guest, kept as text until the config is read: the value is judged by
 * config_guest_set() then. policy.KEY=value is kept the same way under the name "policy", which no
 * guest can have. The last of several for the same key stays. */
#define CMDLINE_MAX_OVERRIDES 64
struct guest_override {
	char guest[CONFIG_NAME_MAX];
	char key[32];
	char value[CONFIG_PATH_MAX];
};

struct cmdline {
	enum paging_kind paging;
	char policy[32];
	char engine[8]; /* one of the words that engine= takes; "auto": any */
	/* false: pretend the CPU lacks it */
	bool nested, unrestricted, vpid, msr_controls, apic_page;
	struct console_param console;
	unsigned results;
	u64 stats_ns; /* 0: off */
	enum log_level log;
	enum trace_level trace;
	char guests[256]; /* comma list; empty: all with start = yes */
	bool control;
	bool control_demanded; /* by a word of its own, not by default */
	char shadow[16];
	char pmu[48];
	char paging_per_as[32];
	char calibrate[8];
	bool watch_always; /* hear of all that a nested guest does with its tables */
	u64 watch_ns;	   /* estimate in ticks of this, whatever decides; 0: where needed */
	u64 screen_ns;	   /* 0: off */
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

/* Always leaves a usable @c: defaults where nothing (valid) was said; of several words for one key
 * the last valid one counts. A first word that is the loader's file name ("/boot/penumbra.elf") is
 * passed over. @rep may be NULL. */
void cmdline_parse(struct cmdline *c, const char *text, const struct cmdline_report *rep);
/* Parse console=: (com1..com4 | 0xPORT | pci)[,BAUD|auto[,8n1]] | vga | none. 0, or -EINVAL with @p
 * as it was. Pure: firmware uses it before anything else runs. */
int cmdline_parse_console(const char *value, struct console_param *p);
/* "250ms", "10s", "0" -> ns; "64M", "1G", "4096" -> bytes; decimal digits. 0 or -EINVAL (also on
 * overflow), then the result is as it was. */
int parse_duration(const char *s, u64 *ns);
int parse_size(const char *s, u64 *bytes);
int parse_decimal(const char *s, u64 *value);

#endif
