/* A partition's paging mode (partition_paging.c). On the partition's own CPU unless said otherwise.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_PARTITION_PAGING_H
#define HV_CORE_PARTITION_PAGING_H

#include "core/partition.h"

/* Can this machine do @kind? If not, @why says so in words that go behind its name. Any CPU. */
bool paging_possible(enum paging_kind kind, const char **why);
/* While @p is built: nested tables, where the CPU has nested paging; then, with a vCPU, the mode
 * that the config asks for or the nearest one, with a record about the difference. -ENOMEM. */
int partition_build_nested(struct partition *p);
int partition_build_paging(struct partition *p);
/* What the two above took; @p will not run again. */
void partition_free_paging(struct partition *p);
/* Kinds of low pages changed in @p->p2m; the caller flushes. */
void partition_low_changed(struct partition *p, gpa_t base, u64 len);
/* Power-on: times of modes are counted from here. */
void partition_paging_begin(struct partition *p);
/* How long @p has run in @kind up to @now_ns. */
u64 partition_mode_ns(const struct partition *p, enum paging_kind kind, u64 now_ns);
/* Translate by @kind (nested or shadow) from here on; nothing the guest can see changes. -ENOMEM
 * after a record: @p runs on as it did. */
int partition_change_paging(struct partition *p, enum paging_kind kind);
/* The same with a record, in which @why stands. */
int partition_switch_paging(struct partition *p, enum paging_kind kind, const char *why);
/* May a record about @p's paging be sent now? They are few in a second. */
bool partition_paging_tell(struct partition *p);
/* What its records call the way it translates: "adaptive" where a policy chooses. */
const char *partition_paging_name(const struct partition *p);
/* The other one of nested and shadow, if the machine can. */
void partition_toggle_paging(struct partition *p);
/* Boot CPU, before there are vCPUs: @engine, or one that audits shadow tables at entries where
 * shadow= wants it. */
const struct engine_ops *paging_audited_engine(const struct engine_ops *engine);

#endif
