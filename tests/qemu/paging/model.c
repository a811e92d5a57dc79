/* What must come of an access, by rule (SDM vol. 3 sections 4.3 to 4.8): nothing here looks at what
 * the CPU did.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging.h"

#define BITS(high, low) ((~0ull >> (63 - (high))) & (~0ull << (low)))

static bool is_large(unsigned level, u64 entry)
{
	if (level == 1 || level == 4 || is_pdpte(level) || !(entry & PTE_PS))
		return false;
	return mode->levels > 2 || cpu.pse;
}

/* 32-bit paging: PSE-36 gives bits 13 to 20 of a 4 MiB page's entry to addresses above 4 GiB. */
static u64 reserved_two_level(unsigned level, u64 entry)
{
	unsigned width = cpu.maxphy < 40 ? cpu.maxphy : 40;

	if (!is_large(level, entry))
		return 0;
	return cpu.has_pse36 ? BITS(21, width - 19) : BITS(21, 13);
}

static u64 reserved(unsigned level, u64 entry)
{
	u64 mask = 0;

	if (mode->levels == 2)
		return reserved_two_level(level, entry);
	if (mode->levels == 3)
		mask = BITS(62, 52);
	if (cpu.maxphy < 52)
		mask |= BITS(51, cpu.maxphy);
	if (!cpu.nxe)
		mask |= PTE_NX;
	if (level == 4 || (level == 3 && !cpu.has_1g))
		mask |= PTE_PS;
	if (is_large(level, entry))
		mask |= BITS(mode->shift[level] - 1, 13);
	return mask;
}

static u32 code_of(unsigned kind, bool user)
{
	u32 code = user ? PF_U : 0;

	if (kind == WRITE)
		code |= PF_W;
	if (kind == FETCH && (cpu.smep || (mode->levels > 2 && cpu.nxe)))
		code |= PF_I;
	return code;
}

static bool supervisor_may(unsigned kind, u64 rights, bool ac)
{
	bool user_page = rights & PTE_U;

	if (kind == FETCH)
		return !(rights & PTE_NX) && !(user_page && cpu.smep);
	if (user_page && cpu.smap && !ac)
		return false;
	return kind == READ || (rights & PTE_W) || !cpu.wp;
}

static bool user_may(unsigned kind, u64 rights)
{
	if (!(rights & PTE_U))
		return false;
	if (kind == WRITE)
		return rights & PTE_W;
	return kind == READ || !(rights & PTE_NX);
}

struct verdict model(const struct spot *s, unsigned kind, bool user, bool ac)
{
	u64 rights = PTE_W | PTE_U;
	u32 code = code_of(kind, user);

	for (unsigned level = mode->levels; level >= s->leaf; level--) {
		u64 entry = get(s, level);

		if (!(entry & PTE_P))
			return (struct verdict){FAULT(VEC_PF, code), level + 1, false};
		if (is_pdpte(level))
			continue;
		if (entry & reserved(level, entry))
			return (struct verdict){FAULT(VEC_PF, code | PF_P | PF_RSVD), level + 1,
						false};
		rights &= entry | PTE_NX;
		rights |= entry & PTE_NX;
	}
	if (user ? user_may(kind, rights) : supervisor_may(kind, rights, ac))
		return (struct verdict){NO_FAULT, s->leaf, true};
	return (struct verdict){FAULT(VEC_PF, code | PF_P), s->leaf, false};
}
