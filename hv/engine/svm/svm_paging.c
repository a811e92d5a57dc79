/* By which tables the guest runs, and what the CPU has cached of them. APM vol. 2 §15.16, §15.25.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/svm/svm.h"

/* Of this tag from now on; what was to be flushed of another one stays owed to it. */
static void use_tag(struct vcpu *v, struct svm_vcpu *s, unsigned tag)
{
	if (tag == v->tag)
		return;
	if (s->flush)
		s->flush_later |= BIT(v->tag);
	s->flush = s->flush_later & BIT(tag);
	s->flush_later &= ~(u32)BIT(tag);
	/* Another tag may have run under the same id since. */
	if (s->shares)
		s->flush = true;
	v->tag = tag;
	s->vmcb->asid = v->tags[tag].id;
	s->clean &= ~(u32)CLEAN_ASID;
}

void svm_set_translation(struct vcpu *v, const struct translation *t)
{
	struct svm_vcpu *s = svm_of(v);
	struct vmcb *c = s->vmcb;
	struct vcpu_code guest;

	/* Another root and nothing else is what a switch of address spaces mostly is. */
	if (t->kind == TRANSLATION_SHADOW && s->tr.kind == t->kind &&
	    s->tr.long_mode == t->long_mode && s->tr.unpaged == t->unpaged) {
		use_tag(v, s, t->tag);
		s->tr = *t;
		c->cr3 = t->root;
		s->clean &= ~(u32)CLEAN_CR;
		return;
	}
	svm_get_code(v, &guest);
	use_tag(v, s, t->tag);
	s->tr = *t;
	if (t->kind == TRANSLATION_SHADOW) {
		s->cr3 = guest.cr3;
		s->cr4 = guest.cr4;
		c->cr3 = t->root;
		c->np_enable = 0;
		v->live.cr3 = &s->cr3;
	} else {
		c->cr3 = guest.cr3;
		c->cr4 = guest.cr4;
		c->nested_cr3 = t->root;
		c->np_enable = 1;
		v->live.cr3 = &c->cr3;
	}
	s->clean &= ~(u32)CLEAN_NESTED;
	svm_load_modes(s, guest.cr0);
}

void svm_flush_tag(struct vcpu *v, unsigned tag)
{
	struct svm_vcpu *s = svm_of(v);

	if (tag == v->tag)
		s->flush = true;
	else
		s->flush_later |= BIT(tag);
}

/* Not before it runs, but at once: a tag that waits for its flush needs nothing. */
void svm_flush_page(struct vcpu *v, unsigned tag, gva_t gva)
{
	const struct svm_vcpu *s = svm_of(v);
	bool waits = tag == v->tag ? s->flush : s->flush_later & BIT(tag);

	if (!waits)
		asm volatile("invlpga %0, %1" : : "a"(gva), "c"(v->tags[tag].id) : "memory");
}
