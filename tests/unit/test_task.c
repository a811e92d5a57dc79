/* Would catch: a task switch that changes the old task before it is sure to succeed, a fault that
 * is told of the wrong task, an error code pushed with the wrong rights or outside the stack, a
 * switch that reaches outside of what a TSS and the tables hold. That the points of the manual are
 * met is tests/qemu/test_tasks.py's.
 *
 * SRCS: hv/emul/task.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "emul/task.h"
#include "lib/errno.h"
#include "unit.h"

#define MEMORY	 0x4000u
#define GDT	 0x1000u
#define OLD_TSS	 0x2000u
#define NEW_TSS	 0x2100u
#define OLD_SEL	 0x18
#define NEW_SEL	 0x20
#define USER_CS	 0x2b
#define USER_SS	 0x33
#define DOWN_SS	 0x38
#define STACK	 0x3000u
#define NEVER	 1000u
#define TSS_EIP	 0x20
#define TSS_ESP	 0x38
#define TSS_CS	 0x4c
#define TSS_SS	 0x50
#define TSS_LINK 0

static struct world {
	u8 memory[MEMORY];
	unsigned accesses, fails_at; /* the access that takes #PF */
	unsigned user_writes;
	u64 cr3;
} w;

static int access(struct emul_fault *f, gva_t gva, unsigned len)
{
	if (w.accesses++ == w.fails_at || gva >= MEMORY || gva + len > MEMORY) {
		*f = (struct emul_fault){.vector = VEC_PF, .has_error = true, .cr2 = gva};
		return -EFAULT;
	}
	return 0;
}

static int w_read(struct task *t, gva_t gva, void *buf, unsigned len, bool will_write,
		  struct emul_fault *f)
{
	int err = access(f, gva, len);

	(void)t, (void)will_write;
	if (!err)
		memcpy(buf, w.memory + gva, len);
	return err;
}

static int w_write(struct task *t, gva_t gva, const void *buf, unsigned len, bool user,
		   struct emul_fault *f)
{
	int err = access(f, gva, len);

	(void)t;
	w.user_writes += user;
	if (!err)
		memcpy(w.memory + gva, buf, len);
	return err;
}

static int w_set_cr3(struct task *t, u64 cr3)
{
	(void)t;
	w.cr3 = cr3;
	return cr3 & 1 ? -EINVAL : 0;
}

static const struct task_ops ops = {.read = w_read, .write = w_write, .set_cr3 = w_set_cr3};

static void put32(u32 at, u32 value)
{
	memcpy(w.memory + at, &value, 4);
}

static u32 get32(u32 at)
{
	u32 value;

	memcpy(&value, w.memory + at, 4);
	return value;
}

static void put_desc(u16 sel, u32 base, u32 limit, u8 type, u8 flags)
{
	u64 raw = (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)type << 40 |
		  (u64)(limit >> 16 & 15) << 48 | (u64)flags << 52 | (u64)(base >> 24) << 56;

	memcpy(w.memory + GDT + (sel & ~7u), &raw, 8);
}

/* An old task in ring 0 and a new one in ring 3, which has never run. */
static void begin(struct task *t)
{
	memset(&w, 0, sizeof(w));
	w.fails_at = NEVER;
	put_desc(0x08, 0, 0xfffff, 0x9a, 0xc);
	put_desc(0x10, 0, 0xfffff, 0x92, 0xc);
	put_desc(OLD_SEL, OLD_TSS, 103, 0x8b, 0);
	put_desc(NEW_SEL, NEW_TSS, 103, 0x89, 0);
	put_desc(USER_CS, 0, 0xfffff, 0xfa, 0xc);
	put_desc(USER_SS, 0, 0xfffff, 0xf2, 0xc);
	put_desc(DOWN_SS, 0, STACK - 0x100, 0x96, 4);
	put32(NEW_TSS + TSS_EIP, 0x1234);
	put32(NEW_TSS + TSS_ESP, STACK);
	put32(NEW_TSS + TSS_CS, USER_CS);
	put32(NEW_TSS + TSS_SS, USER_SS);
	*t = (struct task){.ops = &ops, .rip = 0x500, .rflags = RFLAGS_FIXED};
	t->s.cr0 = CR0_PE | CR0_ET;
	t->s.gdt = (struct segment){.base = GDT, .limit = 0x3f};
	t->s.seg[SEG_CS] = (struct segment){.sel = 0x08, .attr = 0xc9b, .limit = ~0u};
	t->s.seg[SEG_SS] = (struct segment){.sel = 0x10, .attr = 0xc93, .limit = ~0u};
	t->s.seg[SEG_TR] =
		(struct segment){.sel = OLD_SEL, .attr = 0x8b, .limit = 103, .base = OLD_TSS};
	for (unsigned i = 0; i < 8; i++)
		t->gpr[i] = 0x100 + i;
}

static const struct task_cause call = {.source = TASK_CALL};
static const struct task_cause trap = {
	.source = TASK_GATE, .external = true, .has_error = true, .error = 0xabcd};

TEST(a_call_enters_the_new_ring)
{
	struct task t;

	begin(&t);
	CHECK_EQ(task_switch(&t, NEW_SEL, &call), 0);
	CHECK(t.switched);
	CHECK_EQ(t.s.cpl, 3);
	CHECK_EQ(t.rip, 0x1234);
	CHECK_EQ(t.s.seg[SEG_TR].sel, NEW_SEL);
	CHECK_EQ(t.s.seg[SEG_TR].attr & 0xf, 0xb);
	CHECK_EQ(get32(NEW_TSS + TSS_LINK) & 0xffff, OLD_SEL);
	CHECK_EQ(get32(OLD_TSS + TSS_EIP), 0x500);
	CHECK_EQ(get32(OLD_TSS + TSS_ESP), 0x100 + GPR_RSP);
	CHECK_EQ(get32(OLD_TSS + TSS_SS), 0x10);
	CHECK_EQ(w.cr3, 0); /* paging is off */
}

TEST(an_error_code_is_pushed_with_the_rights_of_the_new_ring)
{
	struct task t;

	begin(&t);
	CHECK_EQ(task_switch(&t, NEW_SEL, &trap), 0);
	CHECK_EQ(t.gpr[GPR_RSP], STACK - 4);
	CHECK_EQ(get32(STACK - 4), 0xabcd);
	CHECK_EQ(w.user_writes, 1);
}

/* Whatever access faults, the guest sees one task or the other, whole. */
TEST(a_page_fault_at_any_access_is_of_one_task)
{
	struct task t, old;
	unsigned n, before = 0;

	begin(&t);
	CHECK_EQ(task_switch(&t, NEW_SEL, &trap), 0);
	n = w.accesses;
	CHECK(n > 8);
	for (unsigned i = 0; i < n; i++) {
		begin(&t);
		old = t;
		w.fails_at = i;
		CHECK_EQ(task_switch(&t, NEW_SEL, &trap), -EFAULT);
		CHECK_EQ(t.fault.vector, VEC_PF);
		if (t.switched) {
			CHECK_EQ(t.s.seg[SEG_TR].sel, NEW_SEL);
			CHECK_EQ(t.rip, 0x1234);
			continue;
		}
		before++;
		CHECK(!memcmp(t.gpr, old.gpr, sizeof(t.gpr)) && t.rip == old.rip &&
		      t.rflags == old.rflags && !memcmp(&t.s, &old.s, sizeof(t.s)));
	}
	CHECK(before >= 4 && before < n);
}

TEST(a_bad_selector_changes_nothing)
{
	static const struct {
		u16 sel;
		enum task_source source;
		u8 vector;
	} bad[] = {{0x10, TASK_CALL, VEC_GP},	 {OLD_SEL, TASK_JMP, VEC_GP},
		   {NEW_SEL, TASK_IRET, VEC_TS}, {0x48, TASK_CALL, VEC_GP},
		   {0x48, TASK_IRET, VEC_TS},	 {NEW_SEL | 4, TASK_CALL, VEC_GP}};
	struct world kept;
	struct task t;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct task_cause c = {.source = bad[i].source};

		begin(&t);
		kept = w;
		CHECK_EQ(task_switch(&t, bad[i].sel, &c), -EFAULT);
		CHECK(!t.switched);
		CHECK_EQ(t.fault.vector, bad[i].vector);
		CHECK_EQ(t.fault.error, bad[i].sel & ~3u);
		CHECK(!memcmp(kept.memory, w.memory, MEMORY));
	}
}

TEST(an_event_that_is_no_instruction_says_so_in_the_error_code)
{
	struct task t;

	begin(&t);
	CHECK_EQ(task_switch(&t, 0x48, &trap), -EFAULT);
	CHECK_EQ(t.fault.error, 0x48 | 1);
}

/* A stack that grows down: valid above its limit only. */
TEST(an_error_code_does_not_leave_its_stack)
{
	struct task t;

	begin(&t);
	put32(NEW_TSS + TSS_CS, 0x08);
	put32(NEW_TSS + TSS_SS, DOWN_SS);
	CHECK_EQ(task_switch(&t, NEW_SEL, &trap), 0);
	CHECK_EQ(get32(STACK - 4), 0xabcd);
	begin(&t);
	put32(NEW_TSS + TSS_CS, 0x08);
	put32(NEW_TSS + TSS_SS, DOWN_SS);
	put32(NEW_TSS + TSS_ESP, STACK - 0x100 + 4);
	CHECK_EQ(task_switch(&t, NEW_SEL, &trap), -EFAULT);
	CHECK(t.switched);
	CHECK_EQ(t.fault.vector, VEC_SS);
	CHECK_EQ(t.gpr[GPR_RSP], STACK - 0x100 + 4);
}

TEST(a_cr3_that_is_refused_is_the_new_tasks_fault)
{
	struct task t;

	begin(&t);
	t.s.cr0 |= CR0_PG;
	put32(NEW_TSS + 0x1c, 0x3001);
	CHECK_EQ(task_switch(&t, NEW_SEL, &call), -EFAULT);
	CHECK(t.switched);
	CHECK_EQ(t.fault.vector, VEC_GP);
}

/* Tables and TSSs full of noise: no access but through the ops, and always an answer. */
TEST(noise_is_survived)
{
	struct task t;

	srand(1);
	for (unsigned round = 0; round < 20000; round++) {
		struct task_cause c = {.source = (enum task_source)(rand() & 3),
				       .has_error = rand() & 1};
		int err;

		begin(&t);
		for (unsigned i = 0; i < 6; i++)
			w.memory[GDT + 0x18 + rand() % 0x28] ^= (u8)(1u << (rand() & 7));
		for (unsigned i = 0; i < 6; i++)
			w.memory[NEW_TSS + rand() % 104] = (u8)rand();
		err = task_switch(&t, NEW_SEL, &c);
		CHECK(err == 0 || err == -EFAULT);
		CHECK(err || t.switched);
	}
}
