/* Records about the machine and its guests; see report.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/report.h"
#include "core/clock.h"
#include "core/cpu.h"
#include "core/hv.h"
#include "core/log.h"
#include "core/partition_paging.h"
#include "core/tracelog.h"
#include "core/vcpu_run.h"
#include "core/version.h"
#include "lib/cpuops.h"
#include "lib/str.h"
#include "mem/frames.h"
#include "paging/paging.h"

static const char *const status_name[] = {
	[STATUS_NONE] = "none",
	[STATUS_PASS] = "pass",
	[STATUS_FAIL] = "fail",
	[STATUS_TIMEOUT] = "timeout",
};

static void cpu_brand(char *buf)
{
	for (unsigned i = 0; i < 3; i++) {
		struct cpuid c = cpuid(0x80000002u + i, 0);

		memcpy(buf + 16 * i, &c, 16);
	}
	buf[48] = 0;
}

static void cpu_vendor(char *buf)
{
	struct cpuid c = cpuid(0, 0);

	memcpy(buf, &c.ebx, 4);
	memcpy(buf + 4, &c.edx, 4);
	memcpy(buf + 8, &c.ecx, 4);
	buf[12] = 0;
}

/* Bytes of RAM by owner; "total" is their sum, made from the memory map alone. */
static void report_ledger(struct record *r)
{
	record_object(r, "memory");
	record_u64(r, "total", frames_total());
	record_u64(r, "low", frames_owned(OWNER_LOW));
	record_u64(r, "hypervisor", frames_owned(OWNER_HYPERVISOR));
	record_u64(r, "control", frames_owned(OWNER_CONTROL));
	record_u64(r, "modules", frames_owned(OWNER_MODULES));
	record_object(r, "guests"); /* which may have any of these names */
	for (unsigned i = 0; i < npartitions; i++)
		record_u64(r, partitions[i]->cfg.name,
			   frames_owned(OWNER_GUEST0 + partitions[i]->index));
	record_close(r);
	record_u64(r, "free", frames_owned(OWNER_FREE));
	record_close(r);
}

void report_boot(const struct boot_info *bi, const struct engine_ops *engine,
		 const struct engine_caps *caps)
{
	struct record r;
	char brand[49], vendor[13];

	cpu_brand(brand);
	cpu_vendor(vendor);
	record_begin(&r, "boot");
	record_str(&r, "version", PENUMBRA_VERSION);
	record_str(&r, "cpu", brand[0] ? brand : vendor);
	record_str(&r, "vendor", vendor);
	record_u64(&r, "cpus", ncpus);
	record_str(&r, "engine", engine->name);
	record_object(&r, "features");
	record_u64(&r, "nested", caps->nested);
	record_u64(&r, "nested_1g", caps->nested_1g);
	record_u64(&r, "shadow", caps->shadow);
	record_u64(&r, "flush_by_tag", caps->flush_by_tag);
	record_u64(&r, "next_rip", caps->next_rip);
	record_u64(&r, "decode", caps->decode);
	record_u64(&r, "clean_bits", caps->clean_bits);
	record_u64(&r, "pause_filter", caps->pause_filter);
	record_u64(&r, "tags", caps->tags);
	record_close(&r);
	record_u64(&r, "tsc_khz", bi->tsc_khz);
	record_str(&r, "tsc_source", bi->tsc_source);
	record_u64(&r, "iommu", 0);
	record_u64(&r, "efi", bi->efi);
	record_str(&r, "loader", bi->loader);
	record_u64(&r, "debug", PN_DEBUG);
	report_ledger(&r);
	record_send(&r, false);
}

/* A record about what @p did: it pays for the room on the line. */
static void send_for(const struct partition *p, struct record *r)
{
	record_send(r, false);
	log_charge(p->src_vga, r->len);
}

static const char *asked_name(const struct partition *p)
{
	return paging_kind_name[p->cfg.paging];
}

void report_guest(const struct partition *p, const char *event, const char *detail)
{
	struct record r;

	record_begin(&r, "guest");
	record_str(&r, "name", p->cfg.name);
	record_str(&r, "event", event);
	record_str(&r, "asked", asked_name(p));
	record_str(&r, "paging", p->vcpu.paging ? partition_paging_name(p) : "none");
	record_str(&r, "detail", detail ? detail : "");
	send_for(p, &r);
}

static void report_registers(struct record *r, const struct vcpu *v)
{
	static const char *const name[GPR_COUNT] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
						    "rsi", "rdi", "r8",	 "r9",	"r10", "r11",
						    "r12", "r13", "r14", "r15"};
	static const char *const seg[SEG_COUNT] = {"es", "cs", "ss",   "ds",
						   "fs", "gs", "ldtr", "tr"};
	struct vcpu_sregs s;
	char text[64];

	v->engine->get_sregs(v, &s);
	record_object(r, "regs");
	record_hex(r, "rip", v->rip);
	record_hex(r, "rflags", v->rflags);
	for (unsigned i = 0; i < GPR_COUNT; i++)
		record_hex(r, name[i], v->gpr[i]);
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		snprintf(text, sizeof(text), "%04x:%llx/%x/%x", s.seg[i].sel,
			 (unsigned long long)s.seg[i].base, s.seg[i].limit, s.seg[i].attr);
		record_str(r, seg[i], text);
	}
	record_hex(r, "gdt", s.gdt.base);
	record_hex(r, "idt", s.idt.base);
	record_hex(r, "cr0", s.cr0);
	record_hex(r, "cr2", s.cr2);
	record_hex(r, "cr3", s.cr3);
	record_hex(r, "cr4", s.cr4);
	record_hex(r, "efer", s.efer);
	record_close(r);
}

void report_crash(const struct partition *p)
{
	struct record r;
	u8 bytes[15];
	char hex[2 * sizeof(bytes) + 1] = "";
	unsigned n = vcpu_fetch(&p->vcpu, bytes);

	for (unsigned i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	record_begin(&r, "guest");
	record_str(&r, "name", p->cfg.name);
	record_str(&r, "event", "crash");
	record_str(&r, "asked", asked_name(p));
	record_str(&r, "paging", partition_paging_name(p));
	record_str(&r, "detail", p->end_detail);
	report_registers(&r, &p->vcpu);
	record_str(&r, "code", hex);
	send_for(p, &r);
}

static void report_exits(struct record *r, const struct partition *p)
{
	u64 total = 0;

	record_object(r, "exits");
	for (unsigned i = 0; i < EXIT_REASONS; i++) {
		if (!p->exits.count[i])
			continue;
		record_array(r, exit_reason_name[i]);
		record_u64(r, NULL, p->exits.count[i]);
		record_u64(r, NULL, p->exits.cycles[i]);
		record_close(r);
		total += p->exits.count[i];
	}
	record_close(r);
	record_u64(r, "exits_total", total);
}

static void report_timers(struct record *r, const struct timer_late *l)
{
	static const char *const name[TIMER_LATE_CLASSES] = {"to_10", "to_100", "to_1000",
							     "to_10000", "more"};

	record_object(r, "timer_late_us");
	record_u64(r, "n", l->count);
	record_u64(r, "mean", l->count ? l->total_ns / l->count / NSEC_PER_USEC : 0);
	record_u64(r, "max", l->max_ns / NSEC_PER_USEC);
	for (unsigned i = 0; i < TIMER_LATE_CLASSES; i++)
		record_u64(r, name[i], l->classes[i]);
	record_close(r);
}

/* What only a guest's board counts, and what only the control partition's does. */
static void report_pc(struct record *r, const struct partition *p)
{
	record_u64(r, "polled_reads", pc_polled_reads(&p->pc));
	record_u64(r, "bios_disk_requests", p->pc.bioschan.disk_requests);
	record_u64(r, "bios_disk_bytes", p->pc.bioschan.disk_bytes);
}

static void report_control(struct record *r, const struct partition *p)
{
	record_u64(r, "msis", p->ctl.msis);
	record_u64(r, "gsis", p->ctl.gsis);
	record_u64(r, "pci_refused", p->ctl.pci.refused);
}

/* Of each path of shadow paging: how often, then cycles: mean, standard deviation, least, most. */
static void report_paths(struct record *r, const struct shadow_stats *st)
{
	record_object(r, "paths");
	for (unsigned i = 0; i < SHADOW_PATHS; i++) {
		const struct shadow_timing *t = &st->path[i];

		if (!t->count)
			continue;
		record_array(r, shadow_path_name[i]);
		record_u64(r, NULL, t->count);
		record_u64(r, NULL, shadow_path_mean(t));
		record_u64(r, NULL, shadow_path_deviation(t));
		record_u64(r, NULL, t->min);
		record_u64(r, NULL, t->max);
		record_close(r);
	}
	record_close(r);
}

static void report_shadow(struct record *r, const struct shadow_paging *s)
{
	struct shadow_stats st;

	shadow_get_stats(s->tables, &st);
	record_object(r, "shadow");
	record_str(r, "policy", s->setup.policy == SHADOW_VTLB ? "vtlb" : "auto");
	record_u64(r, "tables", st.tables);
	record_u64(r, "synced", st.synced);
	record_u64(r, "out_of_sync", st.out_of_sync);
	record_u64(r, "pool_used", st.pool_used);
	record_u64(r, "pool_pages", st.pool_pages);
	record_u64(r, "prefetched", st.prefetched);
	record_u64(r, "large_leaves", st.large_leaves);
	record_u64(r, "went_out_of_sync", st.went_out_of_sync);
	record_u64(r, "root_hits", st.root_hits);
	record_u64(r, "root_misses", st.root_misses);
	record_u64(r, "mode_changes", s->mode_changes);
	record_u64(r, "audits", s->audits);
	record_u64(r, "violations", s->violations);
	report_paths(r, &st);
	record_close(r);
}

/* ms in each paging mode. */
static void report_modes(struct record *r, const struct partition *p, u64 now_ns)
{
	record_object(r, "modes");
	for (unsigned i = 0; i < PAGING_KINDS; i++) {
		u64 ns = partition_mode_ns(p, i, now_ns);

		if (ns)
			record_u64(r, paging_kind_name[i], ns / NSEC_PER_MSEC);
	}
	record_close(r);
}

/* Sums since the start, as far as they are known. */
static void report_estimates(struct record *r, const struct partition *p)
{
	const struct estimate_totals *t = &p->estimate.totals;
	const struct looks *l = &p->looks;

	record_object(r, "estimates");
	record_u64(r, "ms", t->ns / NSEC_PER_MSEC);
	record_u64(r, "ticks", t->ticks);
	record_u64(r, "faults", t->faults);
	record_u64(r, "cr3_writes", t->cr3_writes);
	record_u64(r, "invlpgs", t->invlpgs);
	record_u64(r, "table_writes", t->table_writes);
	record_u64(r, "walks", t->walks);
	record_u64(r, "pages", l->rounds ? l->pages / l->rounds : 0);
	record_array(r, "heard");
	for (unsigned kind = 0; kind < WATCH_KINDS; kind++)
		record_u64(r, NULL, p->vcpu.watch.count[kind]);
	record_close(r);
	record_u64(r, "rounds", l->rounds);
	record_object(r, "cost"); /* cycles of ours for */
	record_u64(r, "windows", t->window_cycles);
	record_u64(r, "tables", t->table_cycles);
	record_u64(r, "looks", l->cycles);
	record_close(r);
	record_close(r);
}

void report_stats(const struct partition *p, bool periodic)
{
	const struct vcpu *v = &p->vcpu;
	struct record r;

	record_begin(&r, "stats");
	record_str(&r, "guest", p->cfg.name);
	record_str(&r, "paging", partition_paging_name(p));
	record_u64(&r, "ran_us", mul_div(vcpu_cycles(v), 1000, hv_boot_info()->tsc_khz));
	record_u64(&r, "guest_cycles", vcpu_guest_cycles(v));
	report_exits(&r, p);
	if (p->index)
		report_pc(&r, p);
	else
		report_control(&r, p);
	record_u64(&r, "emulated", p->emulated);
	record_u64(&r, "msr_read_gp", p->msrs.unknown_reads);
	record_u64(&r, "msr_write_gp", p->msrs.unknown_writes);
	record_u64(&r, "port_unclaimed",
		   p->board.bus.unclaimed_port_reads + p->board.bus.unclaimed_port_writes);
	record_u64(&r, "mmio_unclaimed",
		   p->board.bus.unclaimed_mmio_reads + p->board.bus.unclaimed_mmio_writes);
	record_u64(&r, "resets", p->resets);
	record_array(&r, "leaves");
	for (unsigned level = 1; level <= 3; level++)
		record_u64(&r, NULL, p->nested.leaves[level]);
	record_close(&r);
	record_u64(&r, "nested_tables", p->nested.tables);
	if (p->index) {
		report_modes(&r, p, clock_ns());
		record_u64(&r, "switches", p->switches);
	}
	if (v->shadow)
		report_shadow(&r, v->shadow);
	if (p->adaptive.ticks)
		adaptive_stats(&r, p);
	if (v->mixed)
		partition_spaces_stats(&r, p);
	if (p->estimate.totals.ticks)
		report_estimates(&r, p);
	record_u64(&r, "cpu", v->cpu);
	report_timers(&r, &cpus[v->cpu].late);
	record_u64(&r, "records_dropped", log_records_dropped());
	record_send(&r, periodic);
	if (!periodic)
		tracelog_counts(p);
}

/* KTAP numbers results in the order of their appearance. */
static void result_ktap(const char *guest, enum partition_status status, u64 timeout_ns)
{
	static unsigned results;
	unsigned n = __atomic_add_fetch(&results, 1, __ATOMIC_RELAXED);

	if (status == STATUS_TIMEOUT)
		log_plain("not ok %u %s # TIMEOUT %llu seconds", n, guest,
			  (unsigned long long)(timeout_ns / NSEC_PER_SEC));
	else
		log_plain("%s %u %s", status == STATUS_PASS ? "ok" : "not ok", n, guest);
}

static void result_lava(const char *guest, enum partition_status status, u64 ms)
{
	log_plain("<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=%s RESULT=%s MEASUREMENT=%llu UNITS=ms>",
		  guest, status == STATUS_PASS ? "pass" : "fail", (unsigned long long)ms);
}

void report_plan(unsigned guests, unsigned results)
{
	if (!(results & RESULTS_KTAP))
		return;
	log_plain("KTAP version 1");
	log_plain("1..%u", guests);
}

static void result_lines(const char *guest, enum partition_status status, unsigned results,
			 u64 timeout_ns, u64 ms)
{
	if (results & RESULTS_KTAP)
		result_ktap(guest, status, timeout_ns);
	if (results & RESULTS_LAVA)
		result_lava(guest, status, ms);
}

void report_result(const struct partition *p, unsigned results)
{
	u64 ms = (p->ended_ns - p->started_ns) / NSEC_PER_MSEC;
	struct record r;

	record_begin(&r, "result");
	record_str(&r, "guest", p->cfg.name);
	record_str(&r, "status", status_name[p->status]);
	record_str(&r, "asked", asked_name(p));
	record_str(&r, "paging", partition_paging_name(p));
	record_str(&r, "detail", p->end_detail);
	record_u64(&r, "ms", ms);
	report_modes(&r, p, p->ended_ns);
	record_u64(&r, "switches", p->switches);
	send_for(p, &r);
	result_lines(p->cfg.name, p->status, results, p->cfg.timeout_ns, ms);
}

void report_not_started(const char *guest, enum paging_kind asked, unsigned results)
{
	struct record r;

	record_begin(&r, "result");
	record_str(&r, "guest", guest);
	record_str(&r, "status", "fail");
	record_str(&r, "asked", paging_kind_name[asked]);
	record_str(&r, "paging", "none");
	record_str(&r, "detail", "not started");
	record_u64(&r, "ms", 0);
	record_send(&r, false);
	result_lines(guest, STATUS_FAIL, results, 0, 0);
}

void report_error(const char *guest, const char *where, const char *fmt, ...)
{
	struct record r;
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	record_begin(&r, "error");
	if (guest)
		record_str(&r, "guest", guest);
	record_str(&r, "where", where);
	record_str(&r, "message", text);
	record_send(&r, false);
}

void report_partitions(void)
{
	static const char *const state[] = {"built", "running", "paused",
					    "ended", "waiting", "destroyed"};

	for (unsigned i = 0; i < npartitions; i++) {
		const struct partition *p = partitions[i];

		hv_log(LOG_WARN, "%u %s %s paging=%s cpu=%u memory=%llu KiB", p->index, p->cfg.name,
		       state[p->state], partition_paging_name(p), p->vcpu.cpu,
		       (unsigned long long)((p->p2m.low_bytes + p->p2m.high_bytes) / KIB));
	}
}

static void check(bool has, const char *name, const char *without)
{
	hv_log(LOG_WARN, "hwcheck: %-28s %s", name, has ? "yes" : without);
}

void report_hwcheck(void)
{
	const struct engine_caps *c = hv_engine_caps();
	const struct boot_info *bi = hv_boot_info();
	char brand[49];

	cpu_brand(brand);
	hv_log(LOG_WARN, "hwcheck: %s, %u CPUs, %llu MiB RAM, TSC %u kHz by %s", brand, ncpus,
	       (unsigned long long)(frames_total() / MIB), bi->tsc_khz, bi->tsc_source);
	hv_log(LOG_WARN, "hwcheck: engine %s, %u TLB tags", hv_engine()->name, c->tags);
	check(c->nested, "nested paging", "no: guests run by shadow paging, no control partition");
	check(c->shadow, "shadow paging", "no: not built for this CPU yet");
	check(c->nested_1g, "1 GiB nested pages", "no: 2 MiB pages serve, with longer walks");
	check(c->flush_by_tag, "flush by tag", "no: flushes drop every tag");
	check(c->next_rip, "next instruction pointer", "no: lengths are decoded, slower exits");
	check(c->decode, "decode assists", "no: operands are decoded, slower exits");
	check(c->clean_bits, "state caching (clean bits)", "no: every entry loads everything");
	check(c->pause_filter, "pause filter", "no: spinning guests keep their slice");
	check(bi->acpi.rsdp != 0, "ACPI", "no: one CPU, no power-off");
	check(bi->acpi.nioapics != 0, "I/O APIC", "no: the console is polled");
	check(bi->acpi.pm_timer_port != 0, "ACPI PM timer", "no: the PIT calibrates the TSC");
	check(cpuid(0x80000007u, 0).edx & BIT(8), "invariant TSC",
	      "no: clocks may drift when the CPU changes speed");
	hv_log(LOG_WARN, "hwcheck: guests can run on this machine");
}
