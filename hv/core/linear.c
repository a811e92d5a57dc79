/* Guest memory by linear address; see linear.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/linear.h"
#include "core/partition.h"
#include "core/vcpu_run.h"
#include "lib/errno.h"
#include "lib/str.h"

#define MAX_PIECES 2 /* an access of up to 4096 bytes touches at most two pages */

struct piece {
	gpa_t gpa;
	unsigned len;
};

void linear_init(struct linear *l, struct vcpu *v)
{
	l->v = v;
	vcpu_walk_mem(v, &l->mem);
	vcpu_walk_regs(v, &l->walk);
}

static int translate(struct linear *l, gva_t gva, u32 access, gpa_t *gpa, struct emul_fault *f)
{
	struct walk_result res;

	if (!(l->walk.cr0 & CR0_PG)) {
		*gpa = (u32)gva;
		return 0;
	}
	if (l->walk.cpl == 3 && !(access & WALK_IMPLICIT))
		access |= PFEC_U;
	if (walk_gva(&l->mem, &l->walk, gva, access, &res) != 0) {
		*f = (struct emul_fault){
			.vector = VEC_PF, .has_error = true, .error = res.error_code, .cr2 = gva};
		return -EFAULT;
	}
	*gpa = res.gpa;
	return 0;
}

/* Every page is translated, with its permission check, before a byte moves. Returns the pieces or
 * an error. */
static int split(struct linear *l, gva_t gva, unsigned len, u32 access, struct piece *piece,
		 struct emul_fault *f)
{
	int n = 0;

	while (len) {
		unsigned here = MIN(len, (unsigned)(PAGE_SIZE - (gva & (PAGE_SIZE - 1))));
		int err = translate(l, gva, access, &piece[n].gpa, f);

		if (err)
			return err;
		piece[n++].len = here;
		gva += here;
		len -= here;
	}
	return n;
}

/* Device accesses are made in naturally aligned units of at most 8 bytes, as a CPU's bus would;
 * those of a string instruction in its items. */
static unsigned mmio_unit(gpa_t gpa, unsigned len, unsigned item)
{
	for (unsigned size = item ? item : 8; size > 1; size /= 2)
		if (size <= len && !(gpa & (size - 1)))
			return size;
	return 1;
}

static void mmio_read(struct partition *p, gpa_t gpa, u8 *buf, unsigned len, unsigned item)
{
	while (len) {
		unsigned size = mmio_unit(gpa, len, item);
		const struct mmio_range *r = bus_find_mmio(&p->board.bus, gpa);
		u64 value = r ? r->ops->read(r->dev, gpa - r->base, size) : ~0ull;

		p->board.bus.unclaimed_mmio_reads += !r;
		memcpy(buf, &value, size);
		buf += size;
		gpa += size;
		len -= size;
	}
}

static void mmio_write(struct partition *p, gpa_t gpa, const u8 *buf, unsigned len, unsigned item)
{
	while (len) {
		unsigned size = mmio_unit(gpa, len, item);
		const struct mmio_range *r = bus_find_mmio(&p->board.bus, gpa);
		u64 value = 0;

		memcpy(&value, buf, size);
		if (r)
			r->ops->write(r->dev, gpa - r->base, size, value);
		p->board.bus.unclaimed_mmio_writes += !r;
		buf += size;
		gpa += size;
		len -= size;
	}
}

static void phys_read_any(struct partition *p, gpa_t gpa, u8 *buf, unsigned len, unsigned item)
{
	const void *ram = p2m_ptr_read(&p->p2m, gpa);

	if (ram)
		memcpy(buf, ram, len);
	else
		mmio_read(p, gpa, buf, len, item);
}

/* Writes to ROM are dropped, as the board does. */
static void phys_write_any(struct partition *p, gpa_t gpa, const u8 *buf, unsigned len,
			   unsigned item)
{
	void *ram = p2m_ptr(&p->p2m, gpa);

	if (ram) {
		memcpy(ram, buf, len);
		p2m_written(&p->p2m, gpa, len);
	} else if (!p2m_ptr_read(&p->p2m, gpa)) {
		mmio_write(p, gpa, buf, len, item);
	}
}

int linear_read(struct linear *l, gva_t gva, void *buf, unsigned len, u32 access, unsigned item,
		struct emul_fault *f)
{
	struct piece piece[MAX_PIECES];
	int n = split(l, gva, len, access, piece, f);

	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		phys_read_any(l->v->part, piece[i].gpa, buf, piece[i].len, item);
		buf = (u8 *)buf + piece[i].len;
	}
	return 0;
}

int linear_write(struct linear *l, gva_t gva, const void *buf, unsigned len, u32 access,
		 unsigned item, struct emul_fault *f)
{
	struct piece piece[MAX_PIECES];
	int n = split(l, gva, len, access | PFEC_W, piece, f);

	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		phys_write_any(l->v->part, piece[i].gpa, buf, piece[i].len, item);
		buf = (const u8 *)buf + piece[i].len;
	}
	return 0;
}

bool linear_is_ram(struct linear *l, gva_t gva, struct emul_fault *f)
{
	gpa_t gpa;

	return translate(l, gva, PFEC_W, &gpa, f) == 0 && p2m_ptr(&l->v->part->p2m, gpa);
}
