/* Memory operands out of ModRM and SIB fields, for both decoders. APM vol. 3 ch. 1.4.
 *
 * SPDX-License-Identifier: MIT
 */
#include "emul/emul_int.h"

static void set_mem16(struct emul_insn *i, u8 modrm)
{
	static const u8 base[8] = {GPR_RBX, GPR_RBX, GPR_RBP, GPR_RBP,
				   GPR_RSI, GPR_RDI, GPR_RBP, GPR_RBX};
	static const u8 index[8] = {GPR_RSI,	GPR_RDI,    GPR_RSI,	GPR_RDI,
				    EMUL_NOREG, EMUL_NOREG, EMUL_NOREG, EMUL_NOREG};
	unsigned rm = modrm & 7;

	if (rm == 6 && modrm >> 6 == 0)
		return;
	i->base = base[rm];
	i->index = index[rm];
}

static void set_sib(struct emul_insn *i, unsigned mod, unsigned sib, u8 rex)
{
	unsigned index = (sib >> 3 & 7) | (rex & 2) << 2;

	if (index != GPR_RSP) {
		i->index = (u8)index;
		i->scale = (u8)(sib >> 6);
	}
	if ((sib & 7) != 5 || mod != 0)
		i->base = (u8)((sib & 7) | (rex & 1) << 3);
}

void emul_set_mem(struct emul_insn *i, bool long64, u8 modrm, int sib, u8 rex, s64 disp)
{
	unsigned mod = modrm >> 6, rm = modrm & 7;

	i->disp = disp;
	if (i->asize == 2)
		set_mem16(i, modrm);
	else if (sib >= 0)
		set_sib(i, mod, (unsigned)sib, rex);
	else if (rm == 5 && mod == 0)
		i->rip_rel = long64;
	else
		i->base = (u8)(rm | (rex & 1) << 3);
}
