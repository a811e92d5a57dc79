/* Hostile ACPI tables: the input is physical memory around a root pointer whose sums the fuzzer is
 * spared from finding (sums of the root pointer, root table, MADT and FADT are set right where
 * their lengths allow). Whatever stands there, patching ends, stays inside its buffer and what it
 * maps, and a success is a set of tables with good sums and one CPU.
 *
 * SRCS: hv/core/acpi_patch.c hv/core/acpi_madt.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/acpi_patch.h"
#include "fuzz.h"
#include "penumbra/acpi.h"

#define MEM_MAX	 0x4000u
#define BASE	 0x1000000ull /* of the input */
#define BUF_SIZE 0x8000u
#define BUF_GPA	 0x2000000ull

struct memory {
	u8 *mem, *window;
	size_t size;
};

static const void *map(void *ctx, hpa_t hpa, size_t len)
{
	struct memory *m = ctx;

	free(m->window);
	m->window = NULL;
	if (hpa < BASE || hpa - BASE > m->size || len > m->size - (hpa - BASE))
		return NULL;
	/* Exact, and gone at the next call, as the contract says. */
	m->window = malloc(len ? len : 1);
	memcpy(m->window, m->mem + (hpa - BASE), len);
	return m->window;
}

static u64 get(const u8 *p, unsigned size)
{
	u64 v = 0;

	memcpy(&v, p, size);
	return v;
}

static void seal(struct memory *m, u64 at, u64 len, u64 sum_at)
{
	if (at >= m->size || len > m->size - at || sum_at >= len)
		return;
	m->mem[at + sum_at] = 0;
	m->mem[at + sum_at] = (u8)-acpi_sum(m->mem + at, len);
}

/* Root pointer at 0, root table at 64, then what its first two entries point to. */
static void help(struct memory *m)
{
	u64 root = 64;

	if (m->size < 256)
		return;
	memcpy(m->mem, "RSD PTR ", 8);
	m->mem[15] = 2;
	memcpy(m->mem + 24, &(u64){BASE + root}, 8);
	memcpy(m->mem + root, "XSDT", 4);
	for (unsigned i = 0; i < 2; i++) {
		u64 hpa = get(m->mem + root + 36 + i * 8, 8), at = hpa % m->size;

		hpa = BASE + at;
		memcpy(m->mem + root + 36 + i * 8, &hpa, 8);
		if (m->size - at >= 36)
			seal(m, at, get(m->mem + at + 4, 4), 9);
	}
	seal(m, root, get(m->mem + root + 4, 4), 9);
	seal(m, 0, 20, 8);
	seal(m, 0, 36, 32);
}

static void check_madt(const u8 *t, u32 apic_id)
{
	u32 len = (u32)get(t + 4, 4), cpus = 0;

	for (u32 off = 44; off < len; off += t[off + 1]) {
		MUST(t[off + 1] >= 2 && t[off + 1] <= len - off);
		if (t[off] == 0)
			MUST(t[off + 3] == apic_id);
		else if (t[off] == 9)
			MUST(get(t + off + 4, 4) == apic_id);
		cpus += t[off] == 0 || t[off] == 9;
	}
	MUST(cpus == 1);
}

static void check(const struct acpi_patch *p)
{
	const u8 *buf = p->buf, *r = buf + (p->new_rsdp - BUF_GPA), *x;
	u32 n;
	unsigned madts = 0;

	MUST(p->new_rsdp >= BUF_GPA && p->new_rsdp - BUF_GPA + 36 <= p->used);
	MUST(!acpi_sum(r, 20) && !acpi_sum(r, 36));
	x = buf + (get(r + 24, 8) - BUF_GPA);
	n = (u32)get(x + 4, 4);
	MUST(x >= buf && (size_t)(x - buf) + n <= p->used && !acpi_sum(x, n));
	for (u32 i = 36; i < n; i += 8) {
		u64 at = get(x + i, 8) - BUF_GPA;

		if (at >= p->used)
			continue;
		MUST(at + get(buf + at + 4, 4) <= p->used);
		if (memcmp(buf + at, "APIC", 4) != 0)
			continue;
		MUST(!acpi_sum(buf + at, get(buf + at + 4, 4)));
		check_madt(buf + at, p->apic_id);
		madts++;
	}
	MUST(madts == 1);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct memory m = {.size = size < MEM_MAX ? size : MEM_MAX};
	struct acpi_patch p = {
		.src = {.map = map, .ctx = &m},
		.rsdp = BASE,
		.apic_id = size ? data[size - 1] : 0,
		.buf_gpa = BUF_GPA,
		.buf_len = BUF_SIZE,
	};
	int irq;

	m.mem = malloc(m.size ? m.size : 1);
	if (m.size)
		memcpy(m.mem, data, m.size);
	p.buf = malloc(BUF_SIZE);
	help(&m);
	if (!acpi_patch(&p))
		check(&p);
	else
		MUST(p.why && strlen(p.bad) == 4);
	irq = acpi_free_isa_irq(&p.src, BASE, 0);
	MUST(irq < 16);
	free(p.buf);
	free(m.mem);
	free(m.window);
	return 0;
}
