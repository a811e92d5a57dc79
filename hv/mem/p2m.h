/* A guest's physical memory: which host memory lies behind each guest-physical page, and of which
 * kind.
 *
 * RAM comes in 2 MiB chunks (whole 1 GiB runs where the allocator had them), so the table is an
 * array indexed by gpa >> 21. Only the first 2 MiB have structure below that: video memory, ROMs.
 * The map is fixed while the guest runs, but for the ROM pages' write permission.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_MEM_P2M_H
#define HV_MEM_P2M_H

#include "mem/hostmap.h"
#include "penumbra/types.h"

#define P2M_CHUNK_SHIFT 21
#define P2M_CHUNK	(1ull << P2M_CHUNK_SHIFT)
#define P2M_WINDOW	0xa0000ull /* where low pages may be other than RAM: up to 1 MiB */
#define P2M_WINDOW_SIZE (MIB - P2M_WINDOW)
#define P2M_LOW_PAGES	512 /* 4 KiB pages with a kind of their own */

/* P2M_DEVICE: no memory of the guest's; the real device at the same address may be reached. */
enum p2m_kind { P2M_NONE, P2M_RAM, P2M_ROM, P2M_DEVICE };

struct p2m {
	hpa_t *chunk; /* per 2 MiB of guest-physical space; 0 where there is no RAM */
	u8 **va;      /* the same as pointers of the hypervisor's; NULL where there is no RAM */
	u64 nchunks;
	u64 low_bytes, high_bytes;  /* RAM below the PCI hole, RAM from 4 GiB up */
	u8 low_kind[P2M_LOW_PAGES]; /* enum p2m_kind */
	/* A second view of the top of the first chunk's BIOS image, below 4 GiB. */
	gpa_t alias_base, alias_target;
	u64 alias_len;
	unsigned owner; /* enum frame_owner of its RAM */
	u64 gen;	/* counts losses here and in tables made from it: paging/ledger.h */
	/* An identity map: chunk 0 is none; below 2 MiB those pages are RAM of which @low_kind says
	 * so. */
	bool identity;
	/* Of an identity map: may the guest reach real devices in all of [@gpa, @gpa + @len)? NULL:
	 * nowhere. */
	bool (*device)(void *ctx, gpa_t gpa, u64 len);
	void *device_ctx;
	/* Told of every write to RAM that is not the guest CPU's own, after it. NULL: nobody asks.
	 */
	void (*written)(void *ctx, gpa_t gpa, u64 len);
	void *written_ctx;
};

/* Allocate @bytes (rounded down to chunks, at least one) for guest @owner, low RAM first up to the
 * PCI hole, the rest from 4 GiB. All memory is zeroed. -ENOMEM frees what it took. */
int p2m_init(struct p2m *m, u64 bytes, unsigned owner);
/* A map of host memory at its own addresses: [@base, @base + @len), whole chunks above the first
 * that @owner holds already, and those whole pages below 640 KiB that are @owner's. Nothing is
 * zeroed, nor freed by p2m_free(). -EINVAL, -ENOMEM. */
int p2m_init_identity(struct p2m *m, hpa_t base, u64 len, unsigned owner);
void p2m_free(struct p2m *m);

/* Set the kind of the pages in [@base, @base + @len), 4 KiB aligned, within P2M_WINDOW. Taking
 * memory or write permission away counts a generation. */
void p2m_set_low_kind(struct p2m *m, gpa_t base, u64 len, enum p2m_kind kind);

/* Kind of the page at @gpa and its host-physical address. */
enum p2m_kind p2m_lookup(const struct p2m *m, gpa_t gpa, hpa_t *hpa);

/* RAM in the first chunk of an identity map: what the two below are not quick at. */
void *p2m_low_ptr(const struct p2m *m, gpa_t gpa);

/* Hypervisor pointer for reading whatever memory lies at @gpa, ROM or RAM; NULL when none (the
 * alias of the BIOS below 4 GiB and the first chunk of an identity map count as none here). */
static inline const void *p2m_peek(const struct p2m *m, gpa_t gpa)
{
	u64 i = gpa >> P2M_CHUNK_SHIFT;

	if (__builtin_expect(i >= m->nchunks || !m->va[i], 0))
		return NULL;
	return m->va[i] + (gpa & (P2M_CHUNK - 1));
}

/* Hypervisor pointer to the guest RAM at @gpa, NULL when it is no RAM. Valid to the end of its 4
 * KiB page at least. ROM counts only for p2m_ptr_read(). */
static inline void *p2m_ptr(const struct p2m *m, gpa_t gpa)
{
	u64 i = gpa >> P2M_CHUNK_SHIFT;

	if (__builtin_expect(i >= m->nchunks || !m->va[i], 0))
		return p2m_low_ptr(m, gpa);
	/* Kinds other than RAM exist only in the window of video memory and ROMs. */
	if (__builtin_expect(gpa - P2M_WINDOW < P2M_WINDOW_SIZE, 0) &&
	    m->low_kind[gpa >> PAGE_SHIFT] != P2M_RAM)
		return NULL;
	return m->va[i] + (gpa & (P2M_CHUNK - 1));
}
/* The same for reading: ROM too. */
const void *p2m_ptr_read(const struct p2m *m, gpa_t gpa);

/* Whoever has written RAM through p2m_ptr() for a device or in the CPU's place says so here. */
static inline void p2m_written(const struct p2m *m, gpa_t gpa, u64 len)
{
	if (__builtin_expect(m->written != NULL, 0))
		m->written(m->written_ctx, gpa, len);
}

/* Copy between the hypervisor and guest RAM. -EFAULT, nothing copied, when any page is not RAM (or,
 * for reads, ROM). */
int p2m_read(const struct p2m *m, gpa_t gpa, void *buf, size_t len);
int p2m_write(struct p2m *m, gpa_t gpa, const void *buf, size_t len);

#endif
