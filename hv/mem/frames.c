/* The extent list. Kept small by merging: a machine with two guests needs some dozens of entries.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mem/frames.h"
#include "lib/errno.h"
#include "lib/panic.h"
#include "lib/spinlock.h"
#include "lib/str.h"

#define FRAMES_MAX_EXTENTS 2048

struct extent {
	hpa_t base;
	u64 len;
	u32 owner;
};

static struct extent ext[FRAMES_MAX_EXTENTS];
static unsigned next;
static struct spinlock lock;

static hpa_t extent_end(const struct extent *e)
{
	return e->base + e->len;
}

static void extent_insert(unsigned at, hpa_t base, u64 len, unsigned owner)
{
	memmove(&ext[at + 1], &ext[at], (next - at) * sizeof(ext[0]));
	ext[at] = (struct extent){.base = base, .len = len, .owner = owner};
	next++;
}

static void extent_remove(unsigned at)
{
	next--;
	memmove(&ext[at], &ext[at + 1], (next - at) * sizeof(ext[0]));
}

/* Cut extent @at in two at address @where, which lies strictly inside. */
static void extent_split(unsigned at, hpa_t where)
{
	hpa_t end = extent_end(&ext[at]);

	extent_insert(at + 1, where, end - where, ext[at].owner);
	ext[at].len = where - ext[at].base;
}

static void extent_merge(unsigned at)
{
	if (at + 1 < next && ext[at].owner == ext[at + 1].owner &&
	    extent_end(&ext[at]) == ext[at + 1].base) {
		ext[at].len += ext[at + 1].len;
		extent_remove(at + 1);
	}
}

/* Give [base, end), which lies inside extent @at, to @owner. The caller saw to room for two. */
static void extent_assign(unsigned at, hpa_t base, hpa_t end, unsigned owner)
{
	if (base > ext[at].base)
		extent_split(at++, base);
	if (end < extent_end(&ext[at]))
		extent_split(at, end);
	ext[at].owner = owner;
	extent_merge(at);
	if (at)
		extent_merge(at - 1);
}

static bool room_for_split(void)
{
	return next + 2 <= FRAMES_MAX_EXTENTS;
}

/* Index of the extent that holds @addr, or @next. */
static unsigned extent_find(hpa_t addr)
{
	unsigned lo = 0, hi = next;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (extent_end(&ext[mid]) <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < next && ext[lo].base <= addr ? lo : next;
}

/* The first extent that ends above @addr. */
static unsigned extent_from(hpa_t addr)
{
	unsigned i = 0;

	while (i < next && extent_end(&ext[i]) <= addr)
		i++;
	return i;
}

static u64 claim_locked(hpa_t base, hpa_t end, unsigned from, unsigned to)
{
	u64 taken = 0;
	hpa_t pos = base;

	while (pos < end) {
		unsigned i = extent_from(pos);
		hpa_t lo, hi;

		if (i == next || ext[i].base >= end || !room_for_split())
			break;
		lo = MAX(ext[i].base, pos);
		hi = MIN(extent_end(&ext[i]), end);
		if (ext[i].owner == from) {
			extent_assign(i, lo, hi, to);
			taken += hi - lo;
		}
		pos = hi;
	}
	return taken;
}

u64 frames_claim(hpa_t base, u64 len, unsigned from, unsigned to)
{
	hpa_t lo = ALIGN_UP(base, PAGE_SIZE), hi = ALIGN_DOWN(base + len, PAGE_SIZE);
	u64 taken;

	spin_lock(&lock);
	taken = claim_locked(lo, hi, from, to);
	spin_unlock(&lock);
	return taken;
}

static void reserve(hpa_t base, u64 len, unsigned owner)
{
	claim_locked(ALIGN_DOWN(base, PAGE_SIZE), ALIGN_UP(base + len, PAGE_SIZE), OWNER_FREE,
		     owner);
}

int frames_init(const struct boot_info *bi)
{
	int err = 0;

	next = 0;
	for (unsigned i = 0; i < bi->nregions; i++) {
		const struct boot_region *r = &bi->region[i];
		hpa_t lo = ALIGN_UP(r->base, PAGE_SIZE);
		hpa_t hi = ALIGN_DOWN(r->base + r->len, PAGE_SIZE);

		if (r->type != MEM_RAM || lo >= hi)
			continue;
		/* Leave room to split what was taken over. */
		if (next >= FRAMES_MAX_EXTENTS / 2) {
			err = -ENOSPC;
			break;
		}
		extent_insert(next, lo, hi - lo, OWNER_FREE);
		if (next > 1)
			extent_merge(next - 2);
	}
	reserve(0, FRAMES_LOW_END, OWNER_LOW);
	reserve(bi->image_base, bi->image_len, OWNER_HYPERVISOR);
	for (unsigned i = 0; i < bi->nmodules; i++)
		reserve(bi->module[i].base, bi->module[i].len, OWNER_MODULES);
	return err;
}

hpa_t frames_alloc_below(u64 pages, u64 align, hpa_t limit, unsigned owner)
{
	u64 len = pages * PAGE_SIZE;
	hpa_t base = 0;

	if (!pages || pages > UINT64_MAX / PAGE_SIZE || !align || (align & (align - 1)) ||
	    owner == OWNER_FREE)
		return 0;
	spin_lock(&lock);
	for (unsigned i = next; i-- > 0 && room_for_split();) {
		hpa_t end = MIN(extent_end(&ext[i]), limit);

		if (ext[i].owner != OWNER_FREE || end < len)
			continue;
		base = ALIGN_DOWN(end - len, align * PAGE_SIZE);
		if (base >= ext[i].base) {
			extent_assign(i, base, base + len, owner);
			break;
		}
		base = 0;
	}
	spin_unlock(&lock);
	return base;
}

hpa_t frames_alloc(u64 pages, u64 align, unsigned owner)
{
	return frames_alloc_below(pages, align, UINT64_MAX, owner);
}

hpa_t frames_alloc_chunk(u64 size, unsigned owner)
{
	return frames_alloc(size / PAGE_SIZE, size / PAGE_SIZE, owner);
}

/* True when all of [base, end) is RAM; @from: of that owner only. */
static bool range_is(hpa_t base, hpa_t end, unsigned from)
{
	while (base < end) {
		unsigned i = extent_find(base);

		if (i == next || ext[i].owner != from)
			return false;
		base = extent_end(&ext[i]);
	}
	return true;
}

int frames_reassign(hpa_t base, u64 len, unsigned from, unsigned to)
{
	int err = 0;

	if ((base | len) & (PAGE_SIZE - 1) || base + len < base)
		return -EINVAL;
	spin_lock(&lock);
	if (!range_is(base, base + len, from))
		err = -EBUSY;
	else if (!room_for_split())
		err = -ENOSPC;
	else
		claim_locked(base, base + len, from, to);
	spin_unlock(&lock);
	return err;
}

void frames_free(hpa_t base, u64 pages, unsigned owner)
{
	int err = frames_reassign(base, pages * PAGE_SIZE, owner, OWNER_FREE);

	/* -ENOSPC leaves the frames with their owner: lost, but the ledger stays true. */
	ASSERT(owner != OWNER_FREE && err != -EBUSY && err != -EINVAL);
}

u64 frames_owned(unsigned owner)
{
	u64 sum = 0;

	spin_lock(&lock);
	for (unsigned i = 0; i < next; i++)
		if (ext[i].owner == owner)
			sum += ext[i].len;
	spin_unlock(&lock);
	return sum;
}

u64 frames_total(void)
{
	u64 sum = 0;

	spin_lock(&lock);
	for (unsigned i = 0; i < next; i++)
		sum += ext[i].len;
	spin_unlock(&lock);
	return sum;
}

bool frames_extent(unsigned i, hpa_t *base, u64 *len, unsigned *owner)
{
	bool there;

	spin_lock(&lock);
	there = i < next;
	if (there) {
		*base = ext[i].base;
		*len = ext[i].len;
		*owner = ext[i].owner;
	}
	spin_unlock(&lock);
	return there;
}
