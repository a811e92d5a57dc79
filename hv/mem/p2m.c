/* Guest-physical to host-physical map; see p2m.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mem/p2m.h"
#include "lib/bulk.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "mem/frames.h"
#include "penumbra/platform.h"

#define CHUNKS_PER_GIB (GIB / P2M_CHUNK)

static bool p2m_take_gib(struct p2m *m, u64 first, unsigned owner)
{
	hpa_t hpa = frames_alloc_chunk(GIB, owner);

	if (!hpa)
		return false;
	for (u64 i = 0; i < CHUNKS_PER_GIB; i++)
		m->chunk[first + i] = hpa + i * P2M_CHUNK;
	return true;
}

/* Fill the chunks [@from, @to): whole aligned gigabytes in one piece where there are such. The
 * first gigabyte has ROM and video pages inside and gains nothing from being whole. */
static int p2m_fill(struct p2m *m, u64 from, u64 to, unsigned owner)
{
	for (u64 i = from; i < to;) {
		if (i && i % CHUNKS_PER_GIB == 0 && to - i >= CHUNKS_PER_GIB &&
		    p2m_take_gib(m, i, owner)) {
			i += CHUNKS_PER_GIB;
			continue;
		}
		m->chunk[i] = frames_alloc_chunk(P2M_CHUNK, owner);
		if (!m->chunk[i])
			return -ENOMEM;
		i++;
	}
	return 0;
}

/* Words, not bytes: a CPU without fast string stores takes one step for each. */
static void zero_chunk(void *chunk)
{
	u64 words = P2M_CHUNK / 8;

	asm volatile("rep stosq" : "+D"(chunk), "+c"(words) : "a"(0) : "memory");
}

static void p2m_zero(const struct p2m *m)
{
	for (u64 i = 0; i < m->nchunks; i++) {
		if (!m->chunk[i])
			continue;
		m->va[i] = hpa_va(m->chunk[i]);
		zero_chunk(m->va[i]);
	}
}

/* Pages for both tables: addresses and pointers. */
static u64 table_size(const struct p2m *m)
{
	return ALIGN_UP(m->nchunks * (sizeof(*m->chunk) + sizeof(*m->va)), PAGE_SIZE) / PAGE_SIZE;
}

int p2m_init(struct p2m *m, u64 bytes, unsigned owner)
{
	u64 low = MIN(ALIGN_DOWN(MAX(bytes, P2M_CHUNK), P2M_CHUNK), (u64)PC_PCI_HOLE_START);
	u64 high = bytes > low ? ALIGN_DOWN(bytes - low, P2M_CHUNK) : 0;
	u64 end = high ? PC_HIGH_RAM_BASE + high : low;
	u64 table_pages;
	hpa_t table;
	int err;

	memset(m, 0, sizeof(*m));
	m->owner = owner;
	m->nchunks = end >> P2M_CHUNK_SHIFT;
	table_pages = table_size(m);
	table = frames_alloc(table_pages, 1, OWNER_HYPERVISOR);
	if (!table)
		return -ENOMEM;
	m->chunk = hpa_va(table);
	m->va = (u8 **)(m->chunk + m->nchunks);
	memset(m->chunk, 0, table_pages * PAGE_SIZE);
	err = p2m_fill(m, 0, low >> P2M_CHUNK_SHIFT, owner);
	if (!err && high)
		err = p2m_fill(m, PC_HIGH_RAM_BASE >> P2M_CHUNK_SHIFT, m->nchunks, owner);
	if (err) {
		p2m_free(m);
		return err;
	}
	m->low_bytes = low;
	m->high_bytes = high;
	memset(m->low_kind, P2M_RAM, sizeof(m->low_kind));
	p2m_zero(m);
	return 0;
}

/* Whole pages of conventional memory that @m's owner holds. */
static void p2m_find_low(struct p2m *m)
{
	hpa_t base;
	u64 len;
	unsigned owner;

	for (unsigned i = 0; frames_extent(i, &base, &len, &owner) && base < P2M_WINDOW; i++) {
		if (owner != m->owner)
			continue;
		for (hpa_t a = base; a < base + len && a < P2M_WINDOW; a += PAGE_SIZE)
			m->low_kind[a >> PAGE_SHIFT] = P2M_RAM;
	}
}

int p2m_init_identity(struct p2m *m, hpa_t base, u64 len, unsigned owner)
{
	hpa_t table;

	memset(m, 0, sizeof(*m));
	if ((base | len) & (P2M_CHUNK - 1) || base < P2M_CHUNK || !len)
		return -EINVAL;
	m->owner = owner;
	m->identity = true;
	m->nchunks = (base + len) >> P2M_CHUNK_SHIFT;
	m->low_bytes = len;
	table = frames_alloc(table_size(m), 1, OWNER_HYPERVISOR);
	if (!table)
		return -ENOMEM;
	m->chunk = hpa_va(table);
	m->va = (u8 **)(m->chunk + m->nchunks);
	memset(m->chunk, 0, table_size(m) * PAGE_SIZE);
	for (u64 i = base >> P2M_CHUNK_SHIFT; i < m->nchunks; i++) {
		m->chunk[i] = i << P2M_CHUNK_SHIFT;
		m->va[i] = hpa_va(m->chunk[i]);
	}
	memset(m->low_kind, P2M_NONE, sizeof(m->low_kind));
	p2m_find_low(m);
	return 0;
}

void p2m_free(struct p2m *m)
{
	u64 table_pages = table_size(m);

	if (!m->chunk)
		return;
	for (u64 i = 0; i < m->nchunks && !m->identity; i++)
		if (m->chunk[i])
			frames_free(m->chunk[i], P2M_CHUNK / PAGE_SIZE, m->owner);
	frames_free(va_hpa(m->chunk), table_pages, OWNER_HYPERVISOR);
	m->chunk = NULL;
	m->nchunks = 0;
}

/* Rights grow from nothing over ROM to RAM. */
static unsigned rights(unsigned kind)
{
	return kind == P2M_RAM ? 2 : kind == P2M_ROM;
}

void p2m_set_low_kind(struct p2m *m, gpa_t base, u64 len, enum p2m_kind kind)
{
	for (gpa_t a = base; a < base + len && a < P2M_CHUNK; a += PAGE_SIZE) {
		u8 *k = &m->low_kind[a >> PAGE_SHIFT];

		if (rights(kind) < rights(*k))
			m->gen++;
		*k = (u8)kind;
	}
}

void *p2m_low_ptr(const struct p2m *m, gpa_t gpa)
{
	if (!m->identity || gpa >= P2M_CHUNK || m->low_kind[gpa >> PAGE_SHIFT] != P2M_RAM)
		return NULL;
	return hpa_va(gpa);
}

/* Where the identity map @m has no chunk: low memory or a device. */
static __attribute__((noinline)) enum p2m_kind lookup_other(const struct p2m *m, gpa_t gpa,
							    hpa_t *hpa)
{
	*hpa = gpa;
	if (gpa < P2M_CHUNK && m->low_kind[gpa >> PAGE_SHIFT] != P2M_NONE)
		return (enum p2m_kind)m->low_kind[gpa >> PAGE_SHIFT];
	if (m->device && m->device(m->device_ctx, ALIGN_DOWN(gpa, PAGE_SIZE), PAGE_SIZE))
		return P2M_DEVICE;
	return P2M_NONE;
}

enum p2m_kind p2m_lookup(const struct p2m *m, gpa_t gpa, hpa_t *hpa)
{
	enum p2m_kind kind = P2M_RAM;
	u64 i;

	if (m->alias_len && gpa - m->alias_base < m->alias_len) {
		gpa = m->alias_target + (gpa - m->alias_base);
		kind = P2M_ROM;
	}
	i = gpa >> P2M_CHUNK_SHIFT;
	if (i >= m->nchunks || !m->chunk[i])
		return m->identity ? lookup_other(m, gpa, hpa) : P2M_NONE;
	*hpa = m->chunk[i] + (gpa & (P2M_CHUNK - 1));
	if (i == 0 && m->low_kind[gpa >> PAGE_SHIFT] != P2M_RAM)
		kind = (enum p2m_kind)m->low_kind[gpa >> PAGE_SHIFT];
	return kind;
}

const void *p2m_ptr_read(const struct p2m *m, gpa_t gpa)
{
	hpa_t hpa;
	enum p2m_kind kind = p2m_lookup(m, gpa, &hpa);

	return kind == P2M_RAM || kind == P2M_ROM ? hpa_va(hpa) : NULL;
}

/* The end of the address space is no memory, so a range up to it or past it is refused. */
static bool range_wraps(gpa_t gpa, size_t len)
{
	return len && gpa + len <= gpa;
}

/* The common case, without a look at each page: all of it in one chunk above the first. */
static u8 *within_chunk(const struct p2m *m, gpa_t gpa, size_t len)
{
	u64 i = gpa >> P2M_CHUNK_SHIFT, at = gpa & (P2M_CHUNK - 1);

	return i && i < m->nchunks && m->va[i] && len <= P2M_CHUNK - at ? m->va[i] + at : NULL;
}

int p2m_read(const struct p2m *m, gpa_t gpa, void *buf, size_t len)
{
	const u8 *whole = within_chunk(m, gpa, len);

	if (whole) {
		bulk_copy(buf, whole, len);
		return 0;
	}
	if (range_wraps(gpa, len))
		return -EFAULT;
	for (u64 a = ALIGN_DOWN(gpa, PAGE_SIZE); a < gpa + len; a += PAGE_SIZE)
		if (!p2m_ptr_read(m, a))
			return -EFAULT;
	while (len) {
		size_t n = MIN(len, PAGE_SIZE - (gpa & (PAGE_SIZE - 1)));

		bulk_copy(buf, p2m_ptr_read(m, gpa), n);
		buf = (u8 *)buf + n;
		gpa += n;
		len -= n;
	}
	return 0;
}

int p2m_write(struct p2m *m, gpa_t gpa, const void *buf, size_t len)
{
	u8 *whole = within_chunk(m, gpa, len);

	if (whole) {
		bulk_copy(whole, buf, len);
		p2m_written(m, gpa, len);
		return 0;
	}
	if (range_wraps(gpa, len))
		return -EFAULT;
	for (u64 a = ALIGN_DOWN(gpa, PAGE_SIZE); a < gpa + len; a += PAGE_SIZE)
		if (!p2m_ptr(m, a))
			return -EFAULT;
	while (len) {
		size_t n = MIN(len, PAGE_SIZE - (gpa & (PAGE_SIZE - 1)));

		bulk_copy(p2m_ptr(m, gpa), buf, n);
		p2m_written(m, gpa, n);
		buf = (const u8 *)buf + n;
		gpa += n;
		len -= n;
	}
	return 0;
}
