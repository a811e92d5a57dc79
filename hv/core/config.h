/* penumbra.conf (docs/config.md). Parsed at boot from a module, or at run time from what pnctl
 * sends; errors are named by file, line, key and what would be right. A guest with an error does
 * not start, the rest does.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_CONFIG_H
#define HV_CORE_CONFIG_H

#include "dev/models.h"
#include "penumbra/types.h"

#define CONFIG_MAX_GUESTS 32 /* parsed; how many can run is the partition code's limit */
#define CONFIG_NAME_MAX	  17
#define CONFIG_PATH_MAX	  128

enum paging_kind { PAGING_ADAPTIVE, PAGING_NESTED, PAGING_SHADOW, PAGING_KINDS };
extern const char *const paging_kind_name[PAGING_KINDS];

enum media_kind { MEDIA_NONE, MEDIA_MODULE, MEDIA_FILE, MEDIA_DEV };
struct media {
	enum media_kind kind;
	char path[CONFIG_PATH_MAX];
};

enum boot_order { ORDER_NONE, ORDER_CDROM, ORDER_DISK, ORDER_FLOPPY }; /* = enum bios_boot_dev */
enum on_exit { ON_EXIT_STOP, ON_EXIT_RESTART };

struct guest_config {
	char name[CONFIG_NAME_MAX];
	u64 memory; /* bytes; default 256 MiB */
	unsigned cpus;
	enum paging_kind paging;
	bool paging_set; /* the config named a mode: overrides the command line's default */
	struct media cdrom, disk, floppy;
	enum boot_order boot[4]; /* ends with ORDER_NONE */
	char nic[32];		 /* "none" */
	enum disk_model disk_model;
	enum nic_model nic_model;
	bool serial_mux;
	bool vga;
	bool start;
	enum on_exit on_exit;
	u64 timeout_ns; /* 0: none */
	unsigned line;	/* of its section header */
	bool bad;	/* an error was reported: does not start */
};

struct config {
	u64 control_memory; /* 0: default */
	struct guest_config guest[CONFIG_MAX_GUESTS];
	unsigned nguests;
	unsigned errors;
};

/* Where errors go: one call per error. @guest is the section's guest name or NULL, @key the key or
 * NULL. @message is complete but for file and line: "memory: expected a size such as 512M ...". */
struct config_report {
	void (*error)(void *ctx, const char *file, unsigned line, const char *guest,
		      const char *key, const char *message);
	void *ctx;
};

/* Parse @len bytes (need not end in NUL) named @file. Always leaves a usable @c. */
void config_parse(struct config *c, const char *file, const char *text, size_t len,
		  const struct config_report *rep);
/* Is @name a guest's name: [a-z][a-z0-9-]{0,15} and not reserved? NULL if so, else what would be
 * right. */
const char *config_name_error(const char *name);
/* Apply one "key = value" to guest @g as the config would (command line NAME.key=value). 0 or
 * -EINVAL with
 * @why saying what would be right. */
int config_guest_set(struct guest_config *g, const char *key, const char *value, char *why,
		     size_t why_len);

#endif
