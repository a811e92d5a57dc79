/* Building partitions from the config: what can start starts, what cannot is named in an error
 * record.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/control.h"
#include "core/cpu.h"
#include "core/hv.h"
#include "core/log.h"
#include "core/media.h"
#include "core/partition.h"
#include "core/partition_paging.h"
#include "core/report.h"
#include "core/sched.h"
#include "core/vcpu_run.h"
#include "lib/cpuops.h"
#include "lib/str.h"
#include "mem/frames.h"
#include "paging/paging.h"

#define ISO_PVD_OFFSET 0x8000u
#define ISO_SIZE_FIELD 80u
#define ISO_SECTOR     2048u
#define DISK_SECTOR    512u

struct partition *partitions[PARTITION_MAX_GUESTS];
unsigned npartitions;

/* Taken down: record, vCPU, place on its CPU and on the serial line wait for the next guest. */
static struct partition *spare[PARTITION_MAX_GUESTS];
static unsigned nspare;
static unsigned nmade; /* guests' records, in use or spare */
static bool cpus_run;  /* vCPUs can no longer be queued from here */

/* A CD image that says it is longer than the module was cut short on its way here. */
static bool iso_truncated(const u8 *data, u64 len, u64 *wanted)
{
	u32 sectors;

	if (len < ISO_PVD_OFFSET + ISO_SECTOR || memcmp(data + ISO_PVD_OFFSET + 1, "CD001", 5))
		return false;
	memcpy(&sectors, data + ISO_PVD_OFFSET + ISO_SIZE_FIELD, sizeof(sectors));
	*wanted = (u64)sectors * ISO_SECTOR;
	return *wanted > len;
}

/* 0, or -EINVAL with an error record naming what is wrong with the image. */
static int attach_medium(struct partition *p, unsigned i, const struct media *m)
{
	const struct boot_module *mod;
	unsigned sector = i == 0 ? ISO_SECTOR : DISK_SECTOR;
	u64 wanted;
	void *data;

	if (m->kind != MEDIA_MODULE)
		return 0;
	mod = hv_find_module(m->path);
	if (!mod) {
		report_error(p->cfg.name, media_key[i], "no module named %s was loaded", m->path);
		return -EINVAL;
	}
	if (mod->len < sector) {
		report_error(p->cfg.name, media_key[i],
			     "image %s has %llu bytes, at least %u are needed", m->path,
			     (unsigned long long)mod->len, sector);
		return -EINVAL;
	}
	data = hpa_va(mod->base);
	if (i == 0 && iso_truncated(data, mod->len, &wanted)) {
		report_error(p->cfg.name, media_key[i],
			     "image %s is truncated: %llu bytes of the %llu its volume has",
			     m->path, (unsigned long long)mod->len, (unsigned long long)wanted);
		return -EINVAL;
	}
	blk_ram_init(&p->media[i], &p->host, data, ALIGN_DOWN(mod->len, sector), i == 0);
	return 0;
}

static void host_cpuid(void *ctx, u32 leaf, u32 sub, u32 out[4])
{
	struct cpuid c = cpuid(leaf, sub);

	(void)ctx;
	memcpy(out, &c, sizeof(c));
}

void partition_build_cpuid(struct partition *p)
{
	struct cpuid_params params = {
		.x2apic = true, .tsc_deadline = true, .tsc_khz = hv_boot_info()->tsc_khz};

	if (read_cr4() & CR4_OSXSAVE) {
		struct cpuid c = cpuid(0xd, 0);

		params.xcr0 = ((u64)c.edx << 32 | c.eax) & XCR0_KNOWN;
	}
	cpuid_policy_build(&p->cpuid, host_cpuid, NULL, &params);
	p->phys_bits = p->cpuid.phys_bits;
}

static int build_memory(struct partition *p)
{
	u64 had = frames_owned(OWNER_FREE);

	if (p2m_init(&p->p2m, p->cfg.memory, OWNER_GUEST0 + p->index) != 0) {
		report_error(p->cfg.name, "memory", "memory = %llu MiB: only %llu MiB are free",
			     (unsigned long long)(p->cfg.memory / MIB),
			     (unsigned long long)(had / MIB));
		return -ENOMEM;
	}
	p->p2m.alias_base = PC_BIOS_ALIAS;
	p->p2m.alias_target = PC_BIOS_BASE;
	p->p2m.alias_len = PC_BIOS_SIZE;
	return partition_build_nested(p);
}

int partition_build_vcpu(struct partition *p)
{
	struct vcpu *v = &p->vcpu;
	int err;

	v->part = p;
	v->guest = (u8)p->index;
	v->exit_cycles = p->exits.cycles;
	v->engine = hv_engine();
	v->state = VCPU_STOPPED;
	err = v->fpu ? 0 : vcpu_fpu_init(v);
	if (!err && !v->engine_data)
		err = v->engine->vcpu_init(v);
	if (err) {
		report_error(p->cfg.name, "cpus", "no room for another virtual CPU (%d)", err);
		return err;
	}
	return partition_build_paging(p);
}

static void lapic_placed(void *owner)
{
	struct partition *p = owner;

	nested_map_place(&p->nested, p->board.lapic_at,
			 p->board.lapic_mapped ? p->vcpu.apic_access : 0);
	p->vcpu.apic_at = p->board.lapic_at;
	p->vcpu.paging->flush(&p->vcpu);
}

void partition_serve_apic(struct partition *p)
{
	if (!p->vcpu.apic_access)
		return;
	lapic_share(&p->board.lapic, p->vcpu.apic_page);
	p->board.owner = p;
	p->board.lapic_placed = lapic_placed;
	lapic_placed(p);
}

static void add_sources(struct partition *p)
{
	char name[CONFIG_NAME_MAX + 4];

	snprintf(name, sizeof(name), "%s:vga", p->cfg.name);
	if (p->src_serial) {
		log_rename_source(p->src_serial, p->cfg.name);
		log_rename_source(p->src_vga, name);
		return;
	}
	p->src_serial = log_add_source(p->cfg.name);
	p->src_vga = log_add_source(name);
	log_set_partition(p->index, p->src_serial);
}

struct partition *partition_new(const struct partition_ops *ops, unsigned index)
{
	u64 pages = ALIGN_UP(sizeof(struct partition), PAGE_SIZE) / PAGE_SIZE;
	hpa_t hpa = frames_alloc(pages, 1, OWNER_HYPERVISOR);
	struct partition *p;

	if (!hpa)
		return NULL;
	p = hpa_va(hpa);
	memset(p, 0, pages * PAGE_SIZE);
	p->ops = ops;
	p->index = index;
	return p;
}

static void free_memory(struct partition *p)
{
	partition_free_paging(p);
	p2m_free(&p->p2m);
}

/* All zero again but for what the next guest takes over. The vCPU stays in its CPU's queue, which
 * that CPU goes through at any moment, so it is changed by members. */
static void renew(struct partition *p)
{
	int serial = p->src_serial, vga = p->src_vga;
	struct vcpu *v = &p->vcpu;
	unsigned index = p->index;
	u8 *from = (u8 *)&p->cfg, *vcpu = (u8 *)v, *end = (u8 *)(p + 1);

	memset(from, 0, (size_t)(vcpu - from));
	memset(v + 1, 0, (size_t)(end - (u8 *)(v + 1)));
	p->index = index;
	p->src_serial = serial;
	p->src_vga = vga;
	v->event = (struct vcpu_event){.type = EVENT_NONE};
	v->controls = 0;
	v->int_shadow = false;
	v->run_cycles = v->run_since = 0;
}

static struct partition *new_guest(void)
{
	struct partition *p;

	if (nspare) {
		p = spare[--nspare];
		renew(p);
		return p;
	}
	p = partition_new(&guest_ops, nmade + 1);
	nmade += p != NULL;
	return p;
}

/* A guest's record is not given back: without a vCPU it is spare too. */
static void put_spare(struct partition *p)
{
	free_memory(p);
	p->state = PARTITION_SPARE;
	spare[nspare++] = p;
}

void partition_forget(struct partition *p)
{
	unsigned i = 0;

	while (i < npartitions && partitions[i] != p)
		i++;
	if (i == npartitions)
		return;
	npartitions--;
	for (; i < npartitions; i++)
		partitions[i] = partitions[i + 1];
	put_spare(p);
}

static void place(struct partition *p)
{
	/* CPU 0 also does the talking: leave it to the last. */
	unsigned cpu = p->index % ncpus;

	if (p->vcpu.next)
		return;
	if (cpus_run)
		sched_add_running(&p->vcpu, cpu);
	else
		sched_add(&p->vcpu, cpu);
}

static int build_guest(const struct guest_config *g)
{
	struct partition *p = new_guest();
	int err = p ? 0 : -ENOMEM;

	if (err) {
		report_error(g->name, "memory", "no memory left for the guest's control data");
		return err;
	}
	p->cfg = *g;
	partition_host_init(p);
	if (g->cpus > 1)
		report_error(g->name, "cpus", "cpus = %u: 1 is what is built; starting with 1",
			     g->cpus);
	err = attach_medium(p, 0, &g->cdrom);
	err = attach_medium(p, 1, &g->disk) ? -EINVAL : err;
	err = attach_medium(p, 2, &g->floppy) ? -EINVAL : err;
	partition_build_cpuid(p);
	if (!err)
		err = build_memory(p);
	if (!err)
		err = partition_build_vcpu(p);
	if (err) {
		put_spare(p);
		return err;
	}
	add_sources(p);
	partitions[npartitions++] = p;
	place(p);
	return 0;
}

static bool in_list(const char *list, const char *name)
{
	size_t n = strlen(name);

	while (*list) {
		const char *end = strchr(list, ',');
		size_t len = end ? (size_t)(end - list) : strlen(list);

		if (len == n && strncmp(list, name, n) == 0)
			return true;
		list += len + (end != NULL);
	}
	return false;
}

static bool wanted(const struct guest_config *g)
{
	const struct cmdline *c = hv_cmdline();

	return c->guests[0] ? in_list(c->guests, g->name) : g->start;
}

static bool create_one(const struct guest_config *g)
{
	if (g->bad)
		return false;
	if (!hv_bios_module())
		return false;
	if (npartitions == PARTITION_MAX_GUESTS) {
		report_error(g->name, "guest", "at most %u guests can run at once",
			     PARTITION_MAX_GUESTS);
		return false;
	}
	return build_guest(g) == 0;
}

/* A guest that starts again has any number of results: then no plan is told. */
static void plan_results(const struct config *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->nguests; i++) {
		if (wanted(&c->guest[i]) && c->guest[i].on_exit == ON_EXIT_RESTART)
			return;
		n += wanted(&c->guest[i]);
	}
	report_plan(n, hv_cmdline()->results);
}

void partitions_create(const struct config *c)
{
	plan_results(c);
	for (unsigned i = 0; i < c->nguests; i++) {
		const struct guest_config *g = &c->guest[i];

		if (wanted(g) && !create_one(g)) {
			report_not_started(g->name, g->paging, hv_cmdline()->results);
			hv_guest_failed();
		}
	}
}

int partition_create(const struct guest_config *g)
{
	if (!create_one(g))
		return -EINVAL;
	hv_guest_started();
	return 0;
}

void partitions_start(bool beside_control)
{
	cpus_run = true;
	for (unsigned i = 0; i < npartitions; i++)
		if (beside_control ==
		    (control_partition && partitions[i]->vcpu.cpu == control_partition->vcpu.cpu))
			partition_request(partitions[i], REQUEST_START);
}
