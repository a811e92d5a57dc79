/* Guest control registers and EFER: the checks a CPU makes before it accepts a value (APM vol. 2
 * §3.1, §14.6), then the engine.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/vcpu_run.h"
#include "lib/cpuops.h"
#include "paging/paging.h"

#define CR0_DEFINED                                                                                \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)
#define EFER_CHANGED_BITS (EFER_SCE | EFER_LME | EFER_NXE | EFER_FFXSR)
#define PAGING_EFER	  0x80u

int vcpu_write_cr0(struct vcpu *v, u64 value)
{
	struct vcpu_sregs r;

	v->engine->get_sregs(v, &r);
	if (value >> 32 || ((value & CR0_PG) && !(value & CR0_PE)) ||
	    ((value & CR0_NW) && !(value & CR0_CD)))
		return -EINVAL;
	/* Reserved bits below 32 are ignored; ET reads as one. */
	value = (value & CR0_DEFINED) | CR0_ET;
	if ((value & CR0_PG) && !(r.cr0 & CR0_PG) && (r.efer & EFER_LME)) {
		if (!(r.cr4 & CR4_PAE) || (r.seg[SEG_CS].attr & SEG_ATTR_L))
			return -EINVAL;
	}
	if (value == r.cr0)
		return 0;
	v->engine->set_cr(v, 0, value);
	v->paging->cr_write(v, 0, r.cr0, value);
	return 0;
}

int vcpu_write_efer(struct vcpu *v, u64 value)
{
	struct vcpu_sregs r;
	u64 allowed = EFER_CHANGED_BITS | EFER_LMA;

	v->engine->get_sregs(v, &r);
	if (value & ~allowed)
		return -EINVAL;
	if ((r.cr0 & CR0_PG) && ((value ^ r.efer) & EFER_LME))
		return -EINVAL;
	v->engine->set_efer(v, (value & ~EFER_LMA) | (r.efer & EFER_LMA));
	v->paging->cr_write(v, PAGING_EFER, r.efer, value);
	return 0;
}
