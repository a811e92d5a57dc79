/* Shared by the emulator's tests: guest memory that is this process's own, so that the same bytes
 * can be run by the emulator and by the CPU; and a small random number generator.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_EMUL_HARNESS_H
#define TESTS_EMUL_HARNESS_H

#include <sys/mman.h>

#include "emul/emul.h"
#include "lib/errno.h"
#include "unit.h"

#define FLAGS_STATUS 0x8d5u
#define CF	     0x001u
#define PF	     0x004u
#define AF	     0x010u
#define ZF	     0x040u
#define SF	     0x080u
#define DF	     0x400u
#define OF	     0x800u

/* Guest-linear ranges that exist. Everything else gives #PF. */
struct range {
	u64 base, len;
	bool read_only;
};

struct world {
	struct emul e;
	struct range range[4];
	unsigned nranges;
	u8 vec[16][32];
	/* What the ops were asked: */
	unsigned reads, writes, fetches, swaps, port_reads, port_writes;
	unsigned longest;    /* bytes of the longest access */
	unsigned fail_swaps; /* so many compare-and-swaps lose first */
	u32 port_value;
	u16 port;
	unsigned port_size;
	u8 last_item; /* what emul.item said at the last data access */
	bool bulk;    /* the bulk port ops take everything */
};

static u64 rng_state = 88172645463325252ull;
static inline u64 rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state * 2685821657736338717ull;
}
static inline unsigned rng_below(unsigned n)
{
	return (unsigned)(rng() >> 33) % n;
}

static inline struct world *world_of(struct emul *e)
{
	return e->ctx;
}

static int world_fault(u64 gva, u32 error, struct emul_fault *f)
{
	*f = (struct emul_fault){.vector = 14, .has_error = true, .error = error, .cr2 = gva};
	return -EFAULT;
}

static int world_check(struct world *w, u64 gva, unsigned len, u32 error, struct emul_fault *f)
{
	CHECK(len >= 1 && len <= 64);
	w->last_item = w->e.item;
	if (len > w->longest)
		w->longest = len;
	for (unsigned k = 0; k < len; k++) {
		bool found = false;

		for (unsigned i = 0; i < w->nranges; i++) {
			struct range *r = &w->range[i];

			if (gva + k - r->base >= r->len)
				continue;
			if (r->read_only && (error & 2))
				return world_fault(gva + k, error | 1, f);
			found = true;
		}
		if (!found)
			return world_fault(gva + k, error, f);
	}
	return 0;
}

static int world_read(struct emul *e, gva_t gva, void *buf, unsigned len, enum emul_access a,
		      struct emul_fault *f)
{
	struct world *w = world_of(e);
	int rc = world_check(w, gva, len, a == EMUL_RMW_READ ? 2 : a == EMUL_FETCH ? 16 : 0, f);

	if (rc)
		return rc;
	if (a == EMUL_FETCH)
		w->fetches++;
	else
		w->reads++;
	memcpy(buf, (void *)gva, len);
	return 0;
}

static int world_write(struct emul *e, gva_t gva, const void *buf, unsigned len,
		       struct emul_fault *f)
{
	int rc = world_check(world_of(e), gva, len, 2, f);

	if (rc)
		return rc;
	world_of(e)->writes++;
	memcpy((void *)gva, buf, len);
	return 0;
}

static int world_cmpxchg(struct emul *e, gva_t gva, void *old, const void *new_val, unsigned len,
			 struct emul_fault *f)
{
	struct world *w = world_of(e);
	int rc = world_check(w, gva, len, 2, f);

	if (rc)
		return rc;
	w->swaps++;
	if (w->fail_swaps) {
		w->fail_swaps--;
		((u8 *)gva)[0]++;
	}
	if (memcmp((void *)gva, old, len) != 0) {
		memcpy(old, (void *)gva, len);
		return 1;
	}
	memcpy((void *)gva, new_val, len);
	return 0;
}

static u32 world_io_read(struct emul *e, u16 port, unsigned size)
{
	struct world *w = world_of(e);

	w->port_reads++;
	w->port = port;
	w->port_size = size;
	return w->port_value++;
}

static void world_io_write(struct emul *e, u16 port, unsigned size, u32 value)
{
	struct world *w = world_of(e);

	w->port_writes++;
	w->port = port;
	w->port_size = size;
	w->port_value = value;
}

static unsigned world_io_read_rep(struct emul *e, u16 port, unsigned size, void *buf,
				  unsigned count)
{
	struct world *w = world_of(e);

	if (!w->bulk)
		return 0;
	w->port_reads++;
	w->port = port;
	for (unsigned k = 0; k < count; k++) {
		memcpy((u8 *)buf + k * size, &w->port_value, size);
		w->port_value++;
	}
	return count;
}

static unsigned world_io_write_rep(struct emul *e, u16 port, unsigned size, const void *buf,
				   unsigned count)
{
	struct world *w = world_of(e);

	if (!w->bulk)
		return 0;
	w->port_writes++;
	w->port = port;
	for (unsigned k = 0; k < count * size; k++)
		w->port_value = w->port_value * 31 + ((const u8 *)buf)[k];
	return count;
}

static void world_vec_read(struct emul *e, unsigned reg, void *buf, unsigned len)
{
	CHECK(reg < 16 && (len == 16 || len == 32));
	memcpy(buf, world_of(e)->vec[reg], len);
}

static void world_vec_write(struct emul *e, unsigned reg, const void *buf, unsigned len)
{
	CHECK(reg < 16 && (len == 16 || len == 32));
	memcpy(world_of(e)->vec[reg], buf, len);
}

static const struct emul_ops world_ops = {
	.read = world_read,
	.write = world_write,
	.cmpxchg = world_cmpxchg,
	.io_read = world_io_read,
	.io_write = world_io_write,
	.io_read_rep = world_io_read_rep,
	.io_write_rep = world_io_write_rep,
	.vec_read = world_vec_read,
	.vec_write = world_vec_write,
};

enum world_mode { W_REAL, W_PROT16, W_PROT32, W_COMPAT32, W_LONG };

static inline void world_segments(struct emul *e, u16 data_attr, u16 code_attr, u32 limit)
{
	for (unsigned s = 0; s < 6; s++)
		e->seg[s] = (struct segment){.sel = 0x10, .attr = data_attr, .limit = limit};
	e->seg[SEG_CS].attr = code_attr;
}

static inline void world_init(struct world *w, enum world_mode mode)
{
	struct emul *e = &w->e;

	memset(w, 0, sizeof(*w));
	emul_init();
	e->ops = &world_ops;
	e->ctx = w;
	e->rflags = RFLAGS_FIXED;
	e->cr4 = CR4_OSFXSR | CR4_OSXSAVE;
	e->cr0 = CR0_PE;
	switch (mode) {
	case W_REAL:
		e->cr0 = 0;
		world_segments(e, 0x93, 0x93, 0xffff);
		break;
	case W_PROT16:
		world_segments(e, 0x93, 0x9b, 0xffff);
		break;
	case W_PROT32:
		world_segments(e, 0xc93, 0xc9b, 0xffffffff);
		break;
	case W_COMPAT32:
		world_segments(e, 0xc93, 0xc9b, 0xffffffff);
		e->efer = EFER_LMA | EFER_LME;
		break;
	case W_LONG:
		world_segments(e, 0xc93, 0xa9b, 0xffffffff);
		e->efer = EFER_LMA | EFER_LME;
		break;
	}
}

static inline void world_add(struct world *w, const void *base, u64 len, bool read_only)
{
	w->range[w->nranges++] = (struct range){(u64)base, len, read_only};
}

/* Memory below 4 GiB, reachable by every address size but 16 bits. */
static inline u8 *low_pages(size_t len, int prot)
{
	u8 *p = mmap(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return p;
}

#endif
