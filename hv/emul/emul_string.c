/* String instructions and port I/O.
 *
 * A REP instruction moves runs of items. Registers are committed after each run, so a fault finds
 * them on an iteration boundary, and EMUL_REP_MAX iterations end the step. A run of more than one
 * item happens only going up, within one page on each side, and only once a single item has gone
 * through the same pages: then the run cannot fault half-way, and no read of a device is repeated.
 *
 * SPDX-License-Identifier: MIT
 */
#include "emul/emul_int.h"

#define RUN_BYTES 64u  /* of one memory op */
#define IO_BYTES  512u /* of one bulk port transfer: a disk sector */
#define NO_PAGE	  (~0ull)

static gva_t page_of(gva_t gva)
{
	return gva >> PAGE_SHIFT;
}

/* Port instructions have no 64-bit items. */
static unsigned item_size(const struct emul_run *r)
{
	return r->e->item;
}

static unsigned source_seg(const struct emul_run *r)
{
	return r->i.override == EMUL_NOREG ? SEG_DS : r->i.override;
}

static void advance(struct emul_run *r, unsigned reg, u64 items)
{
	u64 bytes = items * item_size(r), val = emul_wide_read(r->e, reg, r->i.asize);

	val = r->e->rflags & EFL_DF ? val - bytes : val + bytes;
	emul_wide_write(r->e, reg, r->i.asize, val);
}

/* How many items starting at @off, whose linear address is @gva, lie in its page and below the
 * end of the address size; 1 when even one does not. */
static u64 span(const struct emul_run *r, u64 off, gva_t gva, unsigned bytes)
{
	u64 to_end = size_mask(r->i.asize) - off, fit = bytes - 1;

	if (r->e->rflags & EFL_DF)
		return 1;
	fit = MIN(fit, PAGE_SIZE - 1 - (gva & (PAGE_SIZE - 1)));
	fit = MIN(fit, to_end);
	fit = (fit + 1) / item_size(r);
	return fit ? fit : 1;
}

/* Is a run of @n items at @seg:@off within the segment? */
static bool run_fits(struct emul_run *r, unsigned seg, u64 off, u64 n, bool write)
{
	gva_t gva;

	return emul_linear(r, seg, off, (unsigned)(n * item_size(r)), write, &gva) == 0;
}

/* Repeat @fn while the count lasts. It gets the most items to do, commits its index registers and
 * says how many it did (also when it fails) and whether the comparison ended the loop. */
typedef int (*run_fn)(struct emul_run *r, u64 max, u64 *did, bool *stop);

static int repeat(struct emul_run *r, run_fn fn)
{
	u64 left, did = 0, budget = EMUL_REP_MAX;
	bool stop = false;
	int rc = 0;

	r->warm_src = r->warm_dst = NO_PAGE;
	if (!(r->i.prefix & (PFX_REP | PFX_REPNE)))
		return fn(r, 1, &did, &stop);
	left = emul_wide_read(r->e, GPR_RCX, r->i.asize);
	while (left && !stop && !rc) {
		if (!budget)
			return -EAGAIN;
		did = 0;
		rc = fn(r, MIN(left, budget), &did, &stop);
		if (!did)
			continue;
		left -= did;
		budget -= did;
		emul_wide_write(r->e, GPR_RCX, r->i.asize, left);
	}
	return rc;
}

/* --- moves ------------------------------------------------------------------------------------ */

/* A copy onto bytes that the same run still has to read must go item by item. Two linear addresses
 * of one frame agree in their page offset, so the offsets tell, whatever the mapping. */
static u64 without_overlap(const struct emul_run *r, gva_t src, gva_t dst, u64 n)
{
	u64 ahead = (dst - src) & (PAGE_SIZE - 1);

	if (ahead == 0 || ahead >= n * item_size(r))
		return n;
	return MAX(ahead / item_size(r), 1);
}

static u64 movs_run(struct emul_run *r, u64 si, u64 di, gva_t src, gva_t dst, u64 max)
{
	u64 n;

	if (max == 1 || page_of(src) != r->warm_src || page_of(dst) != r->warm_dst)
		return 1;
	n = MIN(max, span(r, si, src, RUN_BYTES));
	n = MIN(n, span(r, di, dst, RUN_BYTES));
	n = without_overlap(r, src, dst, n);
	if (n > 1 &&
	    (!run_fits(r, source_seg(r), si, n, false) || !run_fits(r, SEG_ES, di, n, true)))
		return 1;
	return n;
}

static int movs_items(struct emul_run *r, u64 max, u64 *did, bool *stop)
{
	u64 si = emul_wide_read(r->e, GPR_RSI, r->i.asize);
	u64 di = emul_wide_read(r->e, GPR_RDI, r->i.asize), n;
	unsigned size = item_size(r);
	u8 buf[RUN_BYTES];
	gva_t src, dst;
	int rc = emul_linear(r, source_seg(r), si, size, false, &src);

	(void)stop;
	if (!rc)
		rc = emul_linear(r, SEG_ES, di, size, true, &dst);
	if (rc)
		return rc;
	n = movs_run(r, si, di, src, dst, max);
	rc = emul_load(r, src, buf, (unsigned)n * size, EMUL_READ);
	if (!rc)
		rc = emul_store(r, dst, buf, (unsigned)n * size);
	if (rc)
		return rc;
	r->warm_src = page_of(src);
	r->warm_dst = page_of(dst);
	advance(r, GPR_RSI, n);
	advance(r, GPR_RDI, n);
	*did = n;
	return 0;
}

static void fill(u8 *buf, u64 val, unsigned size, u64 n)
{
	for (u64 k = 0; k < n; k++)
		memcpy(buf + k * size, &val, size);
}

static int stos_items(struct emul_run *r, u64 max, u64 *did, bool *stop)
{
	u64 di = emul_wide_read(r->e, GPR_RDI, r->i.asize), n = 1;
	unsigned size = item_size(r);
	u8 buf[RUN_BYTES];
	gva_t dst;
	int rc = emul_linear(r, SEG_ES, di, size, true, &dst);

	(void)stop;
	if (rc)
		return rc;
	if (max > 1 && page_of(dst) == r->warm_dst)
		n = MIN(max, span(r, di, dst, RUN_BYTES));
	if (n > 1 && !run_fits(r, SEG_ES, di, n, true))
		n = 1;
	fill(buf, r->e->gpr[GPR_RAX], size, n);
	rc = emul_store(r, dst, buf, (unsigned)n * size);
	if (rc)
		return rc;
	r->warm_dst = page_of(dst);
	advance(r, GPR_RDI, n);
	*did = n;
	return 0;
}

static int lods_items(struct emul_run *r, u64 max, u64 *did, bool *stop)
{
	u64 si = emul_wide_read(r->e, GPR_RSI, r->i.asize), val = 0;
	int rc = emul_load_seg(r, source_seg(r), si, &val, item_size(r));

	(void)max;
	(void)stop;
	if (rc)
		return rc;
	emul_reg_write(r, GPR_RAX, item_size(r), val);
	advance(r, GPR_RSI, 1);
	*did = 1;
	return 0;
}

/* --- comparisons ------------------------------------------------------------------------------ */

/* Flags of @x - @y; REPE stops on a difference, REPNE on equality. */
static void compare(struct emul_run *r, u64 x, u64 y, bool *stop)
{
	struct alu a = {.dst = x, .src = y, .size = item_size(r), .flags = r->e->rflags};

	alu_sub(&a);
	emul_set_flags(r->e, a.flags);
	*stop = (x == y) == !!(r->i.prefix & PFX_REPNE);
}

static int scas_items(struct emul_run *r, u64 max, u64 *did, bool *stop)
{
	u64 di = emul_wide_read(r->e, GPR_RDI, r->i.asize), val = 0;
	int rc = emul_load_seg(r, SEG_ES, di, &val, item_size(r));

	(void)max;
	if (rc)
		return rc;
	compare(r, emul_reg_read(r, GPR_RAX, item_size(r)), val, stop);
	advance(r, GPR_RDI, 1);
	*did = 1;
	return 0;
}

static int cmps_items(struct emul_run *r, u64 max, u64 *did, bool *stop)
{
	u64 si = emul_wide_read(r->e, GPR_RSI, r->i.asize), x = 0;
	u64 di = emul_wide_read(r->e, GPR_RDI, r->i.asize), y = 0;
	int rc = emul_load_seg(r, source_seg(r), si, &x, item_size(r));

	(void)max;
	if (!rc)
		rc = emul_load_seg(r, SEG_ES, di, &y, item_size(r));
	if (rc)
		return rc;
	compare(r, x, y, stop);
	advance(r, GPR_RSI, 1);
	advance(r, GPR_RDI, 1);
	*did = 1;
	return 0;
}

/* --- ports ------------------------------------------------------------------------------------ */

static u16 dx(const struct emul_run *r)
{
	return (u16)r->e->gpr[GPR_RDX];
}

static u64 read_port(struct emul_run *r, u8 *buf, u64 n)
{
	struct emul *e = r->e;
	unsigned size = item_size(r), got = 0;
	u32 val;

	if (n > 1 && e->ops->io_read_rep)
		got = e->ops->io_read_rep(e, dx(r), size, buf, (unsigned)n);
	if (got)
		return MIN(got, n);
	val = e->ops->io_read(e, dx(r), size);
	memcpy(buf, &val, size);
	return 1;
}

static u64 write_port(struct emul_run *r, const u8 *buf, u64 n)
{
	struct emul *e = r->e;
	unsigned size = item_size(r), put = 0;
	u32 val = 0;

	if (n > 1 && e->ops->io_write_rep)
		put = e->ops->io_write_rep(e, dx(r), size, buf, (unsigned)n);
	if (put)
		return MIN(put, n);
	memcpy(&val, buf, size);
	e->ops->io_write(e, dx(r), size, val);
	return 1;
}

/* Store @bytes in memory ops' portions; *@stored tells how far it came. */
static int store_run(struct emul_run *r, gva_t gva, const u8 *buf, u64 bytes, u64 *stored)
{
	unsigned part;
	int rc = 0;

	for (*stored = 0; *stored < bytes && !rc;) {
		part = (unsigned)MIN(bytes - *stored, RUN_BYTES);
		rc = emul_store(r, gva + *stored, buf + *stored, part);
		if (!rc)
			*stored += part;
	}
	return rc;
}

static int load_run(struct emul_run *r, gva_t gva, u8 *buf, u64 bytes)
{
	unsigned part;
	int rc = 0;

	for (u64 at = 0; at < bytes && !rc; at += part) {
		part = (unsigned)MIN(bytes - at, RUN_BYTES);
		rc = emul_load(r, gva + at, buf + at, part, EMUL_READ);
	}
	return rc;
}

/* The destination is probed first: a page fault after the port was read would lose what it gave. */
static int ins_items(struct emul_run *r, u64 max, u64 *did, bool *stop)
{
	u64 di = emul_wide_read(r->e, GPR_RDI, r->i.asize), n = 1, stored;
	unsigned size = item_size(r);
	u8 buf[IO_BYTES];
	gva_t dst;
	int rc = emul_linear(r, SEG_ES, di, size, true, &dst);

	(void)stop;
	if (!rc)
		rc = emul_load(r, dst, buf, size, EMUL_RMW_READ);
	if (rc)
		return rc;
	if (max > 1)
		n = MIN(max, span(r, di, dst, IO_BYTES));
	if (n > 1 && !run_fits(r, SEG_ES, di, n, true))
		n = 1;
	n = read_port(r, buf, n);
	rc = store_run(r, dst, buf, n * size, &stored);
	*did = stored / size;
	advance(r, GPR_RDI, *did);
	return rc;
}

static int outs_items(struct emul_run *r, u64 max, u64 *did, bool *stop)
{
	u64 si = emul_wide_read(r->e, GPR_RSI, r->i.asize), n = 1;
	unsigned size = item_size(r);
	u8 buf[IO_BYTES];
	gva_t src;
	int rc = emul_linear(r, source_seg(r), si, size, false, &src);

	(void)stop;
	if (rc)
		return rc;
	/* Reading ahead is for bulk transfers only. */
	if (max > 1 && r->e->ops->io_write_rep)
		n = MIN(max, span(r, si, src, IO_BYTES));
	if (n > 1 && !run_fits(r, source_seg(r), si, n, false))
		n = 1;
	rc = load_run(r, src, buf, n * size);
	if (rc)
		return rc;
	/* What was read is sent, however little the port takes at a time. */
	while (*did < n)
		*did += write_port(r, buf + *did * size, n - *did);
	advance(r, GPR_RSI, *did);
	return 0;
}

static u16 port_of(const struct emul_run *r)
{
	return r->i.opcode & 8 ? dx(r) : (u8)r->i.imm;
}

int emul_in(struct emul_run *r)
{
	unsigned size = MIN(r->i.osize, 4);

	emul_reg_write(r, GPR_RAX, size, r->e->ops->io_read(r->e, port_of(r), size));
	return 0;
}

int emul_out(struct emul_run *r)
{
	unsigned size = MIN(r->i.osize, 4);
	u32 val = (u32)emul_reg_read(r, GPR_RAX, size);

	r->e->ops->io_write(r->e, port_of(r), size, val);
	return 0;
}

/* --- handlers --------------------------------------------------------------------------------- */

static int run_string(struct emul_run *r, run_fn fn, unsigned size)
{
	int rc;

	r->e->item = (u8)size;
	rc = repeat(r, fn);
	r->e->item = 0;
	return rc;
}

int emul_movs(struct emul_run *r)
{
	return run_string(r, movs_items, r->i.osize);
}

int emul_stos(struct emul_run *r)
{
	return run_string(r, stos_items, r->i.osize);
}

int emul_lods(struct emul_run *r)
{
	return run_string(r, lods_items, r->i.osize);
}

int emul_scas(struct emul_run *r)
{
	return run_string(r, scas_items, r->i.osize);
}

int emul_cmps(struct emul_run *r)
{
	return run_string(r, cmps_items, r->i.osize);
}

int emul_ins(struct emul_run *r)
{
	return run_string(r, ins_items, MIN(r->i.osize, 4));
}

int emul_outs(struct emul_run *r)
{
	return run_string(r, outs_items, MIN(r->i.osize, 4));
}
