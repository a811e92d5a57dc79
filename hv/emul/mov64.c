/* Plain moves to and from memory; see mov64.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "emul/mov64.h"
#include "lib/str.h"

#define OPERAND_SIZE 0x66u
#define REX_MASK     0xf0u
#define REX_BYTE     0x40u
#define NO_INDEX     4u

static s64 signed32(const u8 *p)
{
	s32 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static const u8 *take_displacement(const u8 *p, unsigned mod, bool wide, u64 *ea)
{
	if (mod == 1) {
		*ea += (u64)(s64)(s8)*p;
		return p + 1;
	}
	if (mod == 2 || wide) {
		*ea += (u64)signed32(p);
		return p + 4;
	}
	return p;
}

/* SIB byte: *@ea += base + index; true when a displacement stands in for the base. */
static bool add_sib(u8 sib, unsigned mod, u8 rex, const u64 *gpr, u64 *ea)
{
	unsigned index = (sib >> 3 & 7) | (rex & REX_X) << 2;
	unsigned base = (sib & 7) | (rex & REX_B) << 3;

	if (index != NO_INDEX)
		*ea += gpr[index] << (sib >> 6);
	if ((sib & 7) == 5 && mod == 0)
		return true;
	*ea += gpr[base];
	return false;
}

/* ModRM and what belongs to it. NULL: no memory operand. @rip_rel: the address of the next
 * instruction is still to be added. */
static const u8 *take_memory(const u8 *p, u8 rex, const u64 *gpr, u64 *ea, bool *rip_rel)
{
	u8 modrm = *p++;
	unsigned mod = modrm >> 6, rm = modrm & 7;
	bool wide = false;

	*ea = 0;
	*rip_rel = false;
	if (mod == 3)
		return NULL;
	if (rm == 4)
		wide = add_sib(*p++, mod, rex, gpr, ea);
	else if (rm == 5 && mod == 0)
		wide = *rip_rel = true;
	else
		*ea = gpr[rm | (rex & REX_B) << 3];
	return take_displacement(p, mod, wide, ea);
}

/* Direction and sizes by the opcode; *@imm: bytes of immediate. */
static inline bool classify(const u8 **p, unsigned osize, struct mov64 *m, unsigned *imm)
{
	*imm = 0;
	m->width = (u8)osize;
	m->store = false;
	switch (*(*p)++) {
	case 0x88:
		m->store = true;
		m->size = 1;
		return true;
	case 0x89:
		m->store = true;
		m->size = (u8)osize;
		return true;
	case 0x8a:
		m->size = m->width = 1;
		return true;
	case 0x8b:
		m->size = (u8)osize;
		return true;
	case 0xc6:
		m->store = true;
		m->size = 1;
		*imm = 1;
		return true;
	case 0xc7:
		m->store = true;
		m->size = (u8)osize;
		*imm = osize == 2 ? 2 : 4;
		return true;
	case 0x0f:
		m->size = **p == 0xb6 ? 1 : 2;
		return (*(*p)++ & 0xfe) == 0xb6;
	default:
		return false;
	}
}

static u64 immediate(const u8 *p, unsigned bytes)
{
	if (bytes == 1)
		return *p;
	if (bytes == 2)
		return p[0] | (u64)p[1] << 8;
	return (u64)signed32(p);
}

bool mov64_decode(const u8 *bytes, const u64 *gpr, u64 rip, struct mov64 *m)
{
	const u8 *p = bytes;
	unsigned osize = 4, imm;
	u8 rex = 0, modrm;
	bool rip_rel;

	if (*p == OPERAND_SIZE) {
		osize = 2;
		p++;
	}
	if ((*p & REX_MASK) == REX_BYTE)
		rex = *p++;
	if (rex & REX_W)
		osize = 8;
	if (!classify(&p, osize, m, &imm))
		return false;
	modrm = *p;
	m->reg = (modrm >> 3 & 7) | (rex & REX_R) << 1;
	p = take_memory(p, rex, gpr, &m->gva, &rip_rel);
	/* AH..BH, and encodings of C6 and C7 that are other instructions. */
	if (!p || (!rex && !imm && (m->store ? m->size : m->width) == 1 && m->reg >= 4) ||
	    (imm && (modrm >> 3 & 7)))
		return false;
	m->value = imm ? immediate(p, imm) : gpr[m->reg];
	m->len = (u8)(p - bytes + imm);
	if (rip_rel)
		m->gva += rip + m->len;
	return true;
}

void mov64_load(const struct mov64 *m, u64 *gpr, u64 value)
{
	u64 mask = BIT(8 * m->size - 1) * 2 - 1;
	u64 keep = m->width >= 4 ? 0 : ~(BIT(8 * m->width) - 1);

	gpr[m->reg] = (gpr[m->reg] & keep) | (value & mask);
}
