/* Writes to tables that are kept in step.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/shadow/shadow_int.h"

bool sh_table_write(struct shadow *s, gpa_t gpa)
{
	sh_go_out_of_sync(s, gpa);
	return false;
}

static void take_range(struct shadow *s, struct sh_page *p, u64 from, u64 to)
{
	unsigned size = sh_source_size(p);
	u64 base = sh_key_quad(p->key) * sh_sources(p) * size;

	for (unsigned gi = 0; gi < sh_sources(p); gi++) {
		u64 at = base + gi * size, e;

		if (at + size <= from || at >= to)
			continue;
		e = sh_guest(p, gi);
		if (e != sh_src(p, gi))
			sh_take(s, p, gi, e);
	}
}

void sh_table_written(struct shadow *s, gpa_t gpa, u64 len)
{
	gpa_t table = ALIGN_DOWN(gpa, PAGE_SIZE);
	u64 from = gpa - table;
	struct sh_page *p;

	for (p = sh_next_of(s, table, NULL); p; p = sh_next_of(s, table, p))
		take_range(s, p, from, from + len);
}

bool shadow_store(struct shadow *s, const struct walk_regs *g, const struct shadow_insn *i,
		  gva_t gva, gpa_t gpa)
{
	(void)g, (void)i, (void)gva;
	sh_begin(s);
	if (*sh_frame(s, gpa) & SH_FRAME_SYNC)
		sh_go_out_of_sync(s, ALIGN_DOWN(gpa, PAGE_SIZE));
	sh_commit(s);
	return false;
}
