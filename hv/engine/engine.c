/* Choice of the engine at boot, and the names of exits.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/engine.h"
#include "engine/cpu_source.h"
#include "lib/errno.h"
#include "lib/str.h"

extern const struct engine_ops *const __start_engines[];
extern const struct engine_ops *const __stop_engines[];

const char *const exit_reason_name[EXIT_REASONS] = {
	[EXIT_NONE] = "none",	  [EXIT_INTR] = "intr",
	[EXIT_NMI] = "nmi",	  [EXIT_WINDOW] = "window",
	[EXIT_CPUID] = "cpuid",	  [EXIT_HLT] = "hlt",
	[EXIT_PAUSE] = "pause",	  [EXIT_IO] = "io",
	[EXIT_RDMSR] = "rdmsr",	  [EXIT_WRMSR] = "wrmsr",
	[EXIT_CR] = "cr",	  [EXIT_DR] = "dr",
	[EXIT_NESTED] = "nested", [EXIT_EXCEPTION] = "exception",
	[EXIT_RDTSC] = "rdtsc",	  [EXIT_RDPMC] = "rdpmc",
	[EXIT_INVLPG] = "invlpg", [EXIT_CACHE] = "cache",
	[EXIT_XSETBV] = "xsetbv", [EXIT_VIRT] = "virt",
	[EXIT_MWAIT] = "mwait",	  [EXIT_IRET] = "iret",
	[EXIT_TASK] = "task",	  [EXIT_SHUTDOWN] = "shutdown",
	[EXIT_INIT] = "init",	  [EXIT_INVALID] = "invalid",
	[EXIT_APIC] = "apic",	  [EXIT_UNKNOWN] = "unknown",
};

static int host_rdmsr(void *ctx, u32 msr, u64 *value)
{
	(void)ctx;
	return rdmsr_safe(msr, value);
}

static struct cpuid host_cpuid(void *ctx, u32 leaf, u32 subleaf)
{
	(void)ctx;
	return cpuid(leaf, subleaf);
}

static struct cpu_source host = {.rdmsr = host_rdmsr, .cpuid = host_cpuid};

const struct cpu_source *engine_cpu(void)
{
	return &host;
}

void engine_pretend(u32 lacks)
{
	host.lacks = lacks;
}

const struct engine_ops *engine_select(const char *choice, struct engine_caps *caps, char *why,
				       size_t why_len)
{
	size_t used = 0;

	if (why_len)
		why[0] = 0;
	for (const struct engine_ops *const *e = __start_engines; e < __stop_engines; e++) {
		char reason[256] = "";

		if (strcmp(choice, "auto") != 0 && strcmp(choice, (*e)->name) != 0)
			continue;
		memset(caps, 0, sizeof(*caps));
		if ((*e)->probe(caps, reason, sizeof(reason)) == 0)
			return *e;
		if (used < why_len)
			used += snprintf(why + used, why_len - used, "%s%s: %s", used ? "; " : "",
					 (*e)->name, reason);
	}
	if (!used)
		snprintf(why, why_len, "engine=%s is not built into this hypervisor", choice);
	return NULL;
}
