/* The boot sequence in C: from the loader's information to hv_main().
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/clock.h"
#include "core/cmdline.h"
#include "core/cpu.h"
#include "core/irq.h"
#include "core/panic.h"
#include "firmware/acpi.h"
#include "firmware/boot.h"
#include "firmware/console.h"
#include "firmware/firmware.h"
#include "firmware/ioapic.h"
#include "firmware/lapic.h"
#include "firmware/multiboot.h"
#include "firmware/relocate.h"
#include "firmware/smp.h"
#include "firmware/tsc.h"
#include "lib/cpuops.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "mem/frames.h"
#include "mem/hostmap.h"

#define SAY_PREFIX	"hv| "
#define CONSOLE_DEFAULT "com1"

void firmware_start(u32 magic, u32 info, u32 base);

static struct boot_info boot_info;
static struct multiboot_extra extra;
static bool verbose;

static void say(const char *fmt, va_list ap)
{
	char line[256] = SAY_PREFIX;
	int n = vsnprintf(line + 4, sizeof(line) - 5, fmt, ap);

	n = MIN(n + 4, (int)sizeof(line) - 2);
	line[n++] = '\n';
	console_write(line, (size_t)n);
}

void firmware_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

/* The same, only with `verbose` on the command line. */
__attribute__((format(printf, 1, 2))) static void step(const char *fmt, ...)
{
	va_list ap;

	if (!verbose)
		return;
	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

/* Say why this machine cannot be used, and halt. */
__attribute__((format(printf, 1, 2))) static _Noreturn void refuse(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	firmware_say("Penumbra cannot run on this machine. Halted.");
	for (;;)
		hlt();
}

/* --- the few command-line words needed before the parser runs -------------------------------- */

/* The last word @key or @key=value; its value into @buf. */
static bool find_word(const char *cmdline, const char *key, char *buf, size_t size)
{
	size_t keylen = strlen(key);
	bool found = false;

	for (const char *p = cmdline; *p;) {
		const char *end = strchr(p, ' ');
		size_t len = end ? (size_t)(end - p) : strlen(p);

		if (len >= keylen && !memcmp(p, key, keylen) &&
		    (len == keylen || p[keylen] == '=')) {
			size_t skip = MIN(keylen + 1, len), n = MIN(len - skip, size - 1);

			memcpy(buf, p + skip, n);
			buf[n] = 0;
			found = true;
		}
		p += len + (end != NULL);
	}
	return found;
}

static void start_console(struct boot_info *bi)
{
	char value[64];
	struct console_param p;
	bool bad = false;

	if (!find_word(bi->cmdline, "console", value, sizeof(value)) ||
	    (bad = cmdline_parse_console(value, &p) != 0))
		cmdline_parse_console(CONSOLE_DEFAULT, &p);
	verbose = find_word(bi->cmdline, "verbose", value, sizeof(value));
	console_init(bi, &p);
	firmware_say("Penumbra, started by %s%s", bi->loader[0] ? bi->loader : "an unnamed loader",
		     bi->efi ? " (EFI)" : "");
	if (bad)
		firmware_say("console= is not understood; using " CONSOLE_DEFAULT);
}

/* --- memory ---------------------------------------------------------------------------------- */

/* Before hostmap_init() the first 4 GiB are mapped one to one. */
static const void *low_view(void *ctx, hpa_t pa, u64 len)
{
	(void)ctx;
	return pa && pa < 4 * GIB && len <= 4 * GIB - pa ? (const void *)pa : NULL;
}

static const char *region_name(enum mem_type t)
{
	static const char *const names[] = {[MEM_RAM] = "RAM",
					    [MEM_RESERVED] = "reserved",
					    [MEM_ACPI] = "ACPI",
					    [MEM_NVS] = "NVS",
					    [MEM_BAD] = "bad"};

	return names[t];
}

static void describe_memory(const struct boot_info *bi)
{
	for (unsigned i = 0; i < bi->nregions; i++)
		step("  %012llx-%012llx %s", (unsigned long long)bi->region[i].base,
		     (unsigned long long)(bi->region[i].base + bi->region[i].len - 1),
		     region_name(bi->region[i].type));
	for (unsigned i = 0; i < bi->nmodules; i++)
		step("  module %s at %llx, %llu bytes", bi->module[i].name,
		     (unsigned long long)bi->module[i].base, (unsigned long long)bi->module[i].len);
}

static void start_memory(struct boot_info *bi)
{
	if (frames_init(bi))
		firmware_say("memory map has too many pieces: some memory is not used");
	if (bi->modules_dropped)
		firmware_say("%u modules beyond the first %u are ignored", bi->modules_dropped,
			     BOOT_MAX_MODULES);
	step("memory map:");
	describe_memory(bi);
	if (hostmap_init(bi))
		refuse("not enough memory below 4 GiB for page tables");
	console_map();
	step("image at %llx, %llu KiB; %llu MiB of RAM; console %s",
	     (unsigned long long)bi->image_base, (unsigned long long)bi->image_len / 1024,
	     (unsigned long long)frames_total() / MIB, console_name());
}

/* --- ACPI ------------------------------------------------------------------------------------ */

static int acpi_phys_read(void *ctx, hpa_t pa, void *buf, size_t len)
{
	(void)ctx;
	return phys_read(pa, buf, len);
}

/* Without a MADT: the boot CPU alone. */
static void default_cpu(struct boot_acpi *a)
{
	if (!a->ncpus)
		a->cpu[a->ncpus++] = (struct boot_cpu){.apic_id = cpus[0].apic_id};
	for (unsigned i = 0; i < a->ncpus; i++)
		a->cpu[i].bsp = a->cpu[i].apic_id == cpus[0].apic_id;
}

static void start_acpi(struct boot_info *bi)
{
	const struct acpi_mem m = {.read = acpi_phys_read};
	/* The loader's copy lies in its information block; ours in the image is as good. */
	hpa_t rsdp = extra.rsdp_len ? va_hpa(extra.rsdp) : acpi_find_rsdp(&m);
	const struct boot_acpi *a = &bi->acpi;

	if (acpi_parse(&bi->acpi, &m, rsdp))
		firmware_say("no usable ACPI tables: one CPU, no power-off");
	step("ACPI: %u CPUs, %u IOAPICs, PM timer 0x%x, HPET %llx, ECAM %llx, S5 0x%x", a->ncpus,
	     a->nioapics, a->pm_timer_port, (unsigned long long)a->hpet_base,
	     (unsigned long long)a->ecam_base, a->slp_typ_s5);
}

/* --- processors and time ---------------------------------------------------------------------- */

static void panic_stop_interrupt(unsigned vector, struct trap_frame *f)
{
	(void)vector, (void)f;
	panic_stop_check();
}

static void start_cpus(struct boot_info *bi)
{
	if (tsc_calibrate(bi))
		firmware_say("no timer answers: assuming a TSC of 1 GHz");
	step("TSC %u kHz by %s", bi->tsc_khz, bi->tsc_source);
	if (host_lapic_init(bi))
		refuse("this CPU has no local APIC");
	pic_mask();
	lapic_init_cpu();
	cpus[0].apic_id = lapic_id();
	default_cpu(&bi->acpi);
	for (unsigned i = 0; i < bi->acpi.ncpus; i++)
		if (bi->acpi.cpu[i].bsp)
			cpus[0].acpi_uid = bi->acpi.cpu[i].acpi_uid;
	lapic_timer_calibrate();
	if (host_ioapic_init(bi))
		refuse("no memory to map the I/O APICs");
	irq_register(VECTOR_PANIC_STOP, panic_stop_interrupt);
	smp_start(bi);
	step("%u of %u CPUs up, local APIC %s, timer %s", ncpus, bi->acpi.ncpus,
	     lapic_is_x2apic() ? "x2APIC" : "xAPIC", lapic_timer_kind());
}

static void enter_main(void *bi)
{
	hv_main(bi);
	for (;;)
		hlt();
}

/* From entry.S: @magic and @info are the loader's EAX and EBX, @base where the image lies. */
void firmware_start(u32 magic, u32 info, u32 base)
{
	struct boot_info *bi = &boot_info;
	const struct phys_view view = {.at = low_view};
	int err;

	cpu_init_boot();
	bi->image_base = base;
	bi->image_len = image_size();
	bi->tsc_at_entry = boot_tsc;
	err = multiboot_parse(bi, &extra, magic, info, &view);
	start_console(bi);
	if (err)
		refuse("the boot loader gave no %s (%d)",
		       err == -ENOENT ? "memory map" : "usable information", err);
	if (base == IMAGE_LINK_BASE && image_move_high(bi))
		firmware_say("no room to move the hypervisor high: staying at %x", base);
	start_memory(bi);
	start_acpi(bi);
	start_cpus(bi);
	if (cpu_alloc_stacks(&cpus[0]))
		refuse("no memory for stacks");
	cpu_load(&cpus[0]);
	tsc_refine(bi);
	ASSERT(hostmap_audit() == 0);
	step("handing over after %llu us", (unsigned long long)clock_ns() / NSEC_PER_USEC);
	boot_call_on_stack(cpus[0].stack_top, enter_main, bi);
}
