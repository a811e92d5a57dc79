/* The hypervisor's start and end.
 *
 * firmware/ calls hv_main() on the boot CPU with the console up, memory known and all CPUs started;
 * the others wait in hv_ap_main() until the guests are built.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/calibrate.h"
#include "core/clock.h"
#include "core/config.h"
#include "core/control.h"
#include "core/cpu.h"
#include "core/ctl.h"
#include "core/hv.h"
#include "core/log.h"
#include "core/nearest.h"
#include "core/panic.h"
#include "core/partition.h"
#include "core/partition_paging.h"
#include "core/pmu_start.h"
#include "core/report.h"
#include "core/sched.h"
#include "core/timer.h"
#include "core/tracelog.h"
#include "core/version.h"
#include "emul/emul.h"
#include "engine/cpu_source.h"
#include "engine/pmu.h"
#include "firmware/console.h"
#include "firmware/firmware.h"
#include "firmware/power.h"
#include "firmware/rtc.h"
#include "firmware/smp.h"
#include "lib/bulk.h"
#include "lib/cpuops.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "mem/frames.h"
#include "trace/trace.h"

#define CONFIG_MODULE "penumbra.conf"
#define BIOS_MODULE   "guestbios.bin"
#define MIN_RAM	      (384 * MIB)

#define COPY_PAGES 16 /* what a copy is timed with: within the caches, longer than its start */

#define WRITE_BACK_NS (10 * NSEC_PER_SEC)

#define QEMU_EXIT_PORT 0xf4
#define QEMU_PASS      0x10
#define QEMU_FAIL      0x11

#define CPUID_1_EDX_PSE	 BIT(3)
#define CPUID_1_EDX_PGE	 BIT(13)
#define CPUID_7_EBX_SMEP BIT(7)
#define CPUID_7_EBX_SMAP BIT(20)
#define CPUID_7_ECX_PKU	 BIT(3)

static struct {
	const struct boot_info *bi;
	struct cmdline cmdline;
	struct config config;
	struct policy_params policy;
	const struct engine_ops *engine;
	const struct engine_ops *bare; /* @engine without audits and trace */
	struct engine_caps caps;
	unsigned running; /* guests started and not ended */
	bool failed;	  /* some guest did not pass */
	u64 leave_by_ns;  /* clock_ns(): the end waits for the guests' media until then; 0: no */
	bool ending;	  /* the control partition ends the machine, as exit= of @cmdline says */
	u64 boot_seconds; /* wall clock at clock_ns() 0, since 1970; 0: unknown */
} hv;

const struct cmdline *hv_cmdline(void)
{
	return &hv.cmdline;
}

const struct boot_info *hv_boot_info(void)
{
	return hv.bi;
}

const struct engine_ops *hv_engine(void)
{
	return hv.engine;
}

const struct engine_caps *hv_engine_caps(void)
{
	return &hv.caps;
}

void hv_set_engine(const struct engine_ops *engine)
{
	hv.engine = engine;
}

const struct config *hv_config(void)
{
	return &hv.config;
}

const struct policy_params *hv_policy_params(void)
{
	return &hv.policy;
}

const struct boot_module *hv_find_module(const char *name)
{
	for (unsigned i = 0; i < hv.bi->nmodules; i++)
		if (strcmp(hv.bi->module[i].name, name) == 0)
			return &hv.bi->module[i];
	return NULL;
}

const struct boot_module *hv_bios_module(void)
{
	const struct boot_module *m = hv_find_module(BIOS_MODULE);

	return m && m->len == PC_BIOS_SIZE ? m : NULL;
}

/* Civil date from days since 1970-01-01, counted in 400-year eras that begin in March. */
static void civil_from_days(u64 days, u16 *year, u8 *month, u8 *day)
{
	u64 z = days + 719468, era = z / 146097, doe = z % 146097;
	u64 yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	u64 doy = doe - (365 * yoe + yoe / 4 - yoe / 100), m = (5 * doy + 2) / 153;

	*day = (u8)(doy - (153 * m + 2) / 5 + 1);
	*month = (u8)(m < 10 ? m + 3 : m - 9);
	*year = (u16)(yoe + era * 400 + (*month <= 2));
}

void hv_wall_clock(u16 *year, u8 *month, u8 *day, u8 *hour, u8 *min, u8 *sec)
{
	u64 now = hv.boot_seconds + clock_ns() / NSEC_PER_SEC;

	*year = 0;
	if (!hv.boot_seconds)
		return;
	civil_from_days(now / 86400, year, month, day);
	*hour = (u8)(now / 3600 % 24);
	*min = (u8)(now / 60 % 60);
	*sec = (u8)(now % 60);
}

/* --- the end ---------------------------------------------------------------------------------- */

static _Noreturn void halt(void)
{
	for (;;)
		asm volatile("cli; hlt");
}

static _Noreturn void leave(enum exit_action action)
{
	log_drain_last();
	if (action == EXIT_QEMU) {
		outb(QEMU_EXIT_PORT, hv.failed ? QEMU_FAIL : QEMU_PASS);
		hv_log(LOG_WARN, "exit=qemu: nothing happened at port 0xf4; powering off");
		log_drain();
	}
	if (action == EXIT_REBOOT)
		firmware_reboot(hv.bi);
	firmware_power_off(hv.bi);
	hv_log(LOG_WARN, "the machine cannot be powered off by ACPI; it may be switched off");
	log_drain();
	halt();
}

/* The media of the guests are closed by now, at our end: the daemon answers when their data are
 * written back. The CPU of the control partition waits for that, any other would hold it up. */
static void all_ended(void)
{
	if (hv.cmdline.exit == EXIT_STAY && !hv.ending) {
		hv_log(LOG_INFO, "every guest has ended; exit=stay");
	} else if (ctl_writes_back()) {
		__atomic_store_n(&hv.leave_by_ns, clock_ns() + WRITE_BACK_NS, __ATOMIC_RELEASE);
		ctl_wake();
	} else {
		leave(hv.cmdline.exit);
	}
}

bool hv_leave_when_written(void)
{
	u64 by = __atomic_load_n(&hv.leave_by_ns, __ATOMIC_ACQUIRE);
	bool late = clock_ns() >= by;

	if (!by)
		return false;
	/* One was started meanwhile: its end is the next occasion. */
	if (__atomic_load_n(&hv.running, __ATOMIC_ACQUIRE)) {
		hv.leave_by_ns = 0;
		return false;
	}
	if (ctl_writes_back() && !late)
		return true;
	if (late)
		report_error("control", "disk",
			     "the guests' disks are not closed after %llu s: the machine ends, "
			     "what they wrote last may be lost",
			     WRITE_BACK_NS / NSEC_PER_SEC);
	leave(hv.cmdline.exit);
}

void hv_guest_failed(void)
{
	hv.failed = true;
}

void hv_end_machine(enum exit_action action)
{
	hv.cmdline.exit = action;
	hv.ending = true;
	if (!hv.running)
		all_ended();
	for (unsigned i = 0; i < npartitions; i++)
		partition_request(partitions[i], REQUEST_END);
}

void hv_control_ended(void)
{
	if (!hv.running)
		all_ended();
}

void hv_guest_started(void)
{
	__atomic_add_fetch(&hv.running, 1, __ATOMIC_ACQ_REL);
}

void hv_guest_ended(bool passed)
{
	if (!passed)
		hv.failed = true;
	if (__atomic_sub_fetch(&hv.running, 1, __ATOMIC_ACQ_REL) == 0)
		all_ended();
}

static void panic_record(const char *reason)
{
	trace_dump(panic_printf);
	log_panic(reason);
	if (hv.cmdline.exit == EXIT_QEMU)
		outb(QEMU_EXIT_PORT, QEMU_FAIL);
}

/* --- the start -------------------------------------------------------------------------------- */

struct pending_error {
	char where[64];
	char guest[CONFIG_NAME_MAX];
	char message[256];
};

/* Errors of the command line come before the log can number records: kept until then. */
#define MAX_PENDING 16
static struct pending_error pending[MAX_PENDING];
static unsigned npending;

static void keep_error(const char *where, const char *guest, const char *message)
{
	struct pending_error *e = &pending[npending];

	if (npending == MAX_PENDING)
		return;
	npending++;
	str_copy(e->where, where, sizeof(e->where));
	str_copy(e->guest, guest ? guest : "", sizeof(e->guest));
	str_copy(e->message, message, sizeof(e->message));
}

static void cmdline_error(void *ctx, const char *word, const char *message)
{
	(void)ctx;
	keep_error(word, NULL, message);
}

static void flush_errors(void)
{
	for (unsigned i = 0; i < npending; i++)
		report_error(pending[i].guest[0] ? pending[i].guest : NULL, pending[i].where, "%s",
			     pending[i].message);
	npending = 0;
}

static void config_error(void *ctx, const char *file, unsigned line, const char *guest,
			 const char *key, const char *message)
{
	char where[64];

	(void)ctx;
	snprintf(where, sizeof(where), "%s:%u%s%s", file, line, key && *key ? ":" : "",
		 key ? key : "");
	report_error(guest, where, "%s", message);
}

static struct guest_config *find_guest(const char *name)
{
	for (unsigned i = 0; i < hv.config.nguests; i++)
		if (strcmp(hv.config.guest[i].name, name) == 0)
			return &hv.config.guest[i];
	return NULL;
}

/* policy.KEY=value: a threshold of the paging policies. */
static void apply_policy(const struct guest_override *o)
{
	char why[128];
	int err = policy_param_set(&hv.policy, o->key, o->value, why, sizeof(why));
	const char *near = err != -ENOENT
				   ? NULL
				   : nearest_name(o->key, policy_param_table, policy_param_count,
						  sizeof(policy_param_table[0]));

	if (near)
		report_error(NULL, "command line", "policy.%s: %s; did you mean %s?", o->key, why,
			     near);
	else if (err)
		report_error(NULL, "command line", "policy.%s=%s: %s", o->key, o->value, why);
}

void hv_policy_overrides(struct policy_params *p)
{
	char why[128];

	for (unsigned i = 0; i < hv.cmdline.noverrides; i++) {
		const struct guest_override *o = &hv.cmdline.override[i];

		if (strcmp(o->guest, "policy") == 0)
			policy_param_set(p, o->key, o->value, why, sizeof(why));
	}
}

bool hv_policy_is_set(const char *key)
{
	for (unsigned i = 0; i < hv.cmdline.noverrides; i++)
		if (strcmp(hv.cmdline.override[i].guest, "policy") == 0 &&
		    strcmp(hv.cmdline.override[i].key, key) == 0)
			return true;
	return false;
}

/* What a tick must have is said for the usual length of one. */
static void scale_to_tick(struct policy_params *p)
{
	if (!hv_policy_is_set("min_unhalted"))
		p->min_unhalted = mul_div(p->min_unhalted, p->tick, 100 * NSEC_PER_MSEC);
	if (!hv_policy_is_set("min_instructions"))
		p->min_instructions = mul_div(p->min_instructions, p->tick, 100 * NSEC_PER_MSEC);
}

/* NAME.key=value from the command line, then the default paging mode for those that named none. */
static void apply_overrides(void)
{
	policy_params_init(&hv.policy, hv.bi->tsc_khz);
	for (unsigned i = 0; i < hv.cmdline.noverrides; i++) {
		const struct guest_override *o = &hv.cmdline.override[i];
		struct guest_config *g = find_guest(o->guest);
		char why[128];

		if (strcmp(o->guest, "policy") == 0)
			apply_policy(o);
		else if (!g)
			report_error(NULL, "command line", "%s.%s: the config has no guest %s",
				     o->guest, o->key, o->guest);
		else if (config_guest_set(g, o->key, o->value, why, sizeof(why)) != 0)
			report_error(g->name, "command line", "%s.%s=%s: %s", o->guest, o->key,
				     o->value, why);
	}
	scale_to_tick(&hv.policy);
	for (unsigned i = 0; i < hv.config.nguests; i++)
		if (!hv.config.guest[i].paging_set)
			hv.config.guest[i].paging = hv.cmdline.paging;
}

static void load_config(void)
{
	static const struct config_report rep = {.error = config_error};
	const struct boot_module *m = hv_find_module(CONFIG_MODULE);
	const struct boot_module *bios = hv_find_module(BIOS_MODULE);

	if (!m)
		report_error(NULL, CONFIG_MODULE, "no module of that name was loaded");
	else
		config_parse(&hv.config, CONFIG_MODULE, hpa_va(m->base), m->len, &rep);
	if (!bios)
		report_error(NULL, BIOS_MODULE, "no module of that name was loaded");
	else if (bios->len != PC_BIOS_SIZE)
		report_error(NULL, BIOS_MODULE,
			     "the module has %llu bytes, %u are right: truncated?",
			     (unsigned long long)bios->len, PC_BIOS_SIZE);
	apply_overrides();
}

/* The paging features that guests mostly have on: SMEP and SMAP for their own sake (no page of the
 * hypervisor's is the user's), all of them so that an exit is no change of paging mode, for which a
 * TLB might have to be emptied once more. */
static u64 paging_features(void)
{
	u32 edx = cpuid(1, 0).edx, ebx = cpuid(0, 0).eax >= 7 ? cpuid(7, 0).ebx : 0;

	return (edx & CPUID_1_EDX_PSE ? CR4_PSE : 0) | (edx & CPUID_1_EDX_PGE ? CR4_PGE : 0) |
	       (ebx & CPUID_7_EBX_SMEP ? CR4_SMEP : 0) | (ebx & CPUID_7_EBX_SMAP ? CR4_SMAP : 0);
}

/* Guests may use x87, SSE and XSAVE at once: the state switch needs them on in the host. */
static void set_modes(void)
{
	u64 cr4 = read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT | paging_features();

	if (cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE)
		cr4 |= CR4_OSXSAVE;
	/* To read the guest's keys; they do not reach pages that are not the user's. */
	if (cpuid(0, 0).eax >= 7 && (cpuid(7, 0).ecx & CPUID_7_ECX_PKU))
		cr4 |= CR4_PKE;
	write_cr4(cr4);
	write_cr0(read_cr0() & ~(CR0_EM | CR0_TS));
}

static int cpu_start(void)
{
	set_modes();
	timer_init_cpu();
	return hv.engine->cpu_enable(this_cpu()->id);
}

static _Noreturn void refuse(const char *fmt, const char *detail)
{
	report_error(NULL, "machine", fmt, detail);
	hv.failed = true;
	if (hv.cmdline.exit != EXIT_STAY)
		leave(hv.cmdline.exit);
	log_drain();
	firmware_say("Penumbra stops here.\n");
	halt();
}

static void pick_engine(void)
{
	char why[384];

	engine_pretend((hv.cmdline.nested ? 0 : CPU_LACKS_NESTED) |
		       (hv.cmdline.unrestricted ? 0 : CPU_LACKS_UNRESTRICTED) |
		       (hv.cmdline.vpid ? 0 : CPU_LACKS_TAGS) |
		       (hv.cmdline.msr_controls ? 0 : CPU_LACKS_MSR_CONTROLS) |
		       (hv.cmdline.apic_page ? 0 : CPU_LACKS_APIC_PAGE));
	hv.engine = engine_select(hv.cmdline.engine, &hv.caps, why, sizeof(why));
	if (!hv.engine)
		refuse("this machine cannot run guests: %s", why);
	if (!hv.caps.nested && !(hv.caps.shadow && hv.caps.shadow_unpaged))
		refuse("this machine cannot run guests: %s",
		       "the CPU has no nested paging, and real mode needs it");
	hv.bare = hv.engine;
}

static void start_trace(void)
{
	static const enum trace_what what[] = {[TRACE_OFF] = TRACE_WHAT_NONE,
					       [TRACE_EXITS] = TRACE_WHAT_EXITS,
					       [TRACE_ALL] = TRACE_WHAT_ALL,
					       [TRACE_POLICY] = TRACE_WHAT_NONE};

	hv.engine = trace_engine(hv.engine, ncpus, what[hv.cmdline.trace]);
	if (what[hv.cmdline.trace] != TRACE_WHAT_NONE && !trace_on())
		report_error(NULL, "trace", "no memory for its rings");
}

static bool some_guest_adapts(void)
{
	const char *why;

	if (!paging_possible(PAGING_ADAPTIVE, &why))
		return false;
	for (unsigned i = 0; i < hv.config.nguests; i++)
		if (hv.config.guest[i].paging == PAGING_ADAPTIVE)
			return true;
	return false;
}

static void start_pmu(void)
{
	bool on = strcmp(hv.cmdline.pmu, "on") == 0;

	if (on || (strcmp(hv.cmdline.pmu, "auto") == 0 && some_guest_adapts()))
		pmu_start_boot(hv.bare->pmu, on);
}

static void wrap_engine(void)
{
	hv.bare = pmu_counted_engine(hv.bare);
	hv.engine = adaptive_engine(paging_audited_engine(hv.bare));
}

/* Before there are guests: theirs are the CPU and its tags afterwards. */
static void calibrate_machine(void)
{
	bool wanted = strcmp(hv.cmdline.calibrate, "auto") ? !strcmp(hv.cmdline.calibrate, "on")
							   : some_guest_adapts();

	if (!wanted)
		return;
	calibrate(hv.bare, &hv.caps, hv.bi->tsc_khz);
	calibration_priors(hv_calibration(), &hv.policy, hv_policy_is_set);
}

/* Before there are guests: a vCPU's XCR0 would be in effect. */
static void choose_copy(void)
{
	hpa_t a = frames_alloc(2 * COPY_PAGES, 1, OWNER_HYPERVISOR);
	u8 *buf = hpa_va(a);

	if (!a)
		return;
	bulk_choose(buf, buf + COPY_PAGES * PAGE_SIZE, COPY_PAGES * PAGE_SIZE);
	frames_free(a, 2 * COPY_PAGES, OWNER_HYPERVISOR);
}

void hv_ap_main(struct cpu *c)
{
	(void)c;
	if (cpu_start() != 0)
		panic("CPU %u: cannot switch the engine on", this_cpu()->id);
	pmu_start_other(hv.bare->pmu);
	sched_loop();
}

static void start_guests(void)
{
	hv.running = npartitions;
	report_boot(hv.bi, hv.engine, &hv.caps);
	smp_release();
	tracelog_begin();
	log_enable_input();
	if (!npartitions && (hv.failed || !control_partition)) {
		report_error(NULL, "guests", "no guest was started");
		hv.failed = true;
		all_ended();
	}
	if (npartitions || control_partition)
		log_leave_screen();
	partitions_start(false);
	control_start();
}

void hv_main(struct boot_info *bi)
{
	static const struct cmdline_report rep = {.error = cmdline_error};

	hv.bi = bi;
	panic_hook = panic_record;
	cmdline_parse(&hv.cmdline, bi->cmdline, &rep);
	timer_init_cpu();
	log_init(&hv.cmdline);
	hv.boot_seconds = firmware_rtc_seconds();
	if (hv.boot_seconds)
		hv.boot_seconds -= clock_ns() / NSEC_PER_SEC;
	hv_log(LOG_WARN, "Penumbra %s on %u CPUs, %llu MiB RAM", PENUMBRA_VERSION, ncpus,
	       (unsigned long long)(frames_total() / MIB));
	flush_errors();
	if (frames_total() < MIN_RAM)
		refuse("%s", "too little memory: 512 MiB are needed");
	pick_engine();
	if (cpu_start() != 0)
		refuse("%s", "no memory to switch the engine on");
	load_config();
	start_pmu();
	wrap_engine();
	start_trace();
	emul_init();
	if (hv.cmdline.hwcheck) {
		report_hwcheck();
		leave(hv.cmdline.exit);
	}
	choose_copy();
	calibrate_machine();
	control_create(&hv.config, &hv.cmdline);
	partitions_create(&hv.config);
	start_guests();
	sched_loop();
}
