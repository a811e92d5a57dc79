/* Faults that come in the middle of something: while an event is delivered (IDT, GDT or stack out
 * of reach), and in an access of which one half is there.
 *
 * SPDX-License-Identifier: MIT
 */
#include "sizes.h"

#define BEYOND	   0x1000 /* a selector beyond the GDT's limit */
#define GATE_SPLIT 0x80

/* Two pages side by side, low and high; frames side by side too. */
static struct spot low, high;

static void both_reset(void)
{
	spot_reset(&low);
	spot_reset(&high);
}

static void take_away(const struct spot *s)
{
	put(s, 1, 0);
	invlpg(s->va);
}

static void make_read_only(const struct spot *s)
{
	put(s, 1, s->base[1] & ~PTE_W);
	invlpg(s->va);
}

/* --- IDT -------------------------------------------------------------------------------------- */

/* The IDT across both pages: gate @first is the first on the high one. */
static u64 split_idt(unsigned first)
{
	copy_idt(FRAME(6) - first * gate_size);
	load_idt_at(high.va - first * gate_size);
	return high.va - first * gate_size;
}

static void check_gate(const char *what, u64 idt, unsigned vector)
{
	check(what, seen.fault, FAULT(VEC_PF, 0));
	check("CR2 is in the gate", seen.cr2 - (idt + vector * gate_size) < gate_size, 1);
}

static void test_int(void)
{
	u64 idt = split_idt(GATE_SPLIT);

	begin("INT n with its gate absent", (char *)0);
	run_user(user_int81);
	check("with it", seen.fault, NO_FAULT);
	take_away(&high);
	run_kernel(kernel_int81, 0, 0);
	check_gate("cpl0", idt, 0x81);
	check("IP", seen.ip, (ulong)kernel_int81);
	run_user(user_int81);
	check_gate("cpl3", idt, 0x81);
	check("IP", seen.ip, mode->user_va + (ulong)(user_int81 - user_stubs));
	spot_reset(&high);
	run_user(user_int81);
	check("with it again", seen.fault, NO_FAULT);
	check("A of its page", get(&high, 1), high.base[1] | PTE_A);
	load_tables();
	both_reset();
	end();
}

static void test_exceptions(void)
{
	u64 idt = split_idt(VEC_UD + 1);

	begin("an exception's gate absent", (char *)0);
	take_away(&low);
	run_kernel(kernel_ud, 0, 0);
	check_gate("#UD at cpl0", idt, VEC_UD);
	run_user(user_ud);
	check_gate("#UD at cpl3", idt, VEC_UD);
	spot_reset(&low);
	run_user(user_ud);
	check("#UD", seen.fault, FAULT(VEC_UD, 0));
	idt = split_idt(VEC_PF);
	take_away(&low);
	run_kernel(kernel_load_es, BEYOND, 0);
	check_gate("#GP", idt, VEC_GP);
	load_tables();
	both_reset();
	end();
}

static void test_double(void)
{
	struct spot absent = spot_new(13);

	begin("a page fault's gate absent is #DF", (char *)0);
	split_idt(VEC_PF);
	take_away(&absent);
	take_away(&high);
	check("cpl0", look(absent.va), FAULT(VEC_DF, 0));
	attempt(absent.va, WRITE, true, false, 0);
	check("cpl3", seen.fault, FAULT(VEC_DF, 0));
	spot_reset(&high);
	check("with it", look(absent.va), FAULT(VEC_PF, 0));
	check("its CR2", seen.cr2, absent.va);
	load_tables();
	both_reset();
	spot_reset(&absent);
	end();
}

/* --- stack ------------------------------------------------------------------------------------ */

static void check_stack(const char *what, u64 page, u32 code)
{
	run_user(user_int81);
	check(what, seen.fault, FAULT(VEC_PF, code));
	check("CR2 is in the page", seen.cr2 & ~0xfffull, page);
	check("IP", seen.ip, mode->user_va + (ulong)(user_int81 - user_stubs));
}

static void test_stack(void)
{
	begin("an event's stack", (char *)0);
	set_int81_stack(high.va + PAGE);
	take_away(&high);
	check_stack("absent", high.va, PF_W);
	make_read_only(&high);
	check_stack("read-only", high.va, PF_P | PF_W);
	check("no D", get(&high, 1) & PTE_D, 0);
	put(&high, 1, high.base[1] & ~PTE_U);
	invlpg(high.va);
	run_user(user_int81);
	check("present", seen.fault, NO_FAULT);
	check("D", get(&high, 1) & (PTE_A | PTE_D), PTE_A | PTE_D);
	set_int81_stack(high.va + 16);
	take_away(&low);
	check_stack("half absent", low.va, PF_W);
	put(&low, 1, low.base[1] & ~PTE_U);
	run_user(user_int81);
	check("both present", seen.fault, NO_FAULT);
	set_int81_stack(0);
	both_reset();
	end();
}

/* --- GDT -------------------------------------------------------------------------------------- */

static void test_gdt(void)
{
	u64 descriptor = high.va;

	begin("a descriptor's page", (char *)0);
	copy_gdt(FRAME(6) - 0x20);
	load_gdt_at(high.va - 0x20);
	take_away(&high);
	run_kernel(kernel_load_es, 0x23, 0);
	check("absent", seen.fault, FAULT(VEC_PF, 0));
	check("CR2 is in the descriptor", seen.cr2 - descriptor < 8, 1);
	run_user(user_int81);
	check("IRET, absent", seen.fault, FAULT(VEC_PF, 0));
	check("CR2 is in the descriptor", seen.cr2 - descriptor < 8, 1);
	at_phys(FRAME(6))[1] &= ~0x100u; /* not accessed */
	make_read_only(&high);
	run_kernel(kernel_load_es, 0x23, 0);
	check("read-only", seen.fault, FAULT(VEC_PF, PF_P | PF_W));
	check("CR2 is in the descriptor", seen.cr2 - descriptor < 8, 1);
	spot_reset(&high);
	run_kernel(kernel_load_es, 0x23, 0);
	check("writable", seen.fault, NO_FAULT);
	check("accessed", at_phys(FRAME(6))[1] & 0x100, 0x100);
	check("D of its page", get(&high, 1), high.base[1] | PTE_A | PTE_D);
	load_tables();
	both_reset();
	end();
}

/* --- across a page's end ---------------------------------------------------------------------- */

static void check_cross(const char *what, unsigned kind, bool user, u64 cr2, u32 code)
{
	attempt(high.va - 2, kind, user, false, 0);
	check(what, seen.fault, FAULT(VEC_PF, code));
	check("CR2", seen.cr2, cr2);
}

static void test_cross_data(void)
{
	begin("data across a page's end", (char *)0);
	at_phys(FRAME(6))[-1] = 0x22221111;
	at_phys(FRAME(6))[0] = 0x44443333;
	check("both", look(high.va - 2), 0x33332222);
	take_away(&high);
	check_cross("high absent, read", READ, false, high.va, 0);
	check_cross("high absent, write", WRITE, true, high.va, PF_W | PF_U);
	take_away(&low);
	check_cross("both absent", READ, true, high.va - 2, PF_U);
	spot_reset(&high);
	check_cross("low absent, read", READ, false, high.va - 2, 0);
	check_cross("low absent, write", WRITE, false, high.va - 2, PF_W);
	both_reset();
	make_read_only(&high);
	check_cross("high read-only", WRITE, false, high.va, PF_P | PF_W);
	check("no half of it is written", at_phys(FRAME(6))[-1], 0x22221111);
	check("D of the high page", get(&high, 1) & PTE_D, 0);
	both_reset();
	put(&high, 1, high.base[1] & ~PTE_U);
	invlpg(high.va);
	check_cross("high is the supervisor's", READ, true, high.va, PF_P | PF_U);
	both_reset();
	check("write", store(high.va - 2, 0x88887777), NO_FAULT);
	check("low half", at_phys(FRAME(6))[-1], 0x77771111);
	check("high half", at_phys(FRAME(6))[0], 0x44448888);
	check("D of both", get(&low, 1) & get(&high, 1) & PTE_D, PTE_D);
	both_reset();
	end();
}

/* MOV imm32, EAX; RET, of which @before bytes stand on the low page. */
static u64 put_code(unsigned before)
{
	static const u8 code[] = {0xb8, 0x78, 0x56, 0x34, 0x12, 0xc3};

	for (unsigned i = 0; i < sizeof(code); i++)
		((u8 *)at_phys(FRAME(6)))[(int)i - (int)before] = code[i];
	return high.va - before;
}

static void check_fetch(const char *what, u64 va, bool user, u64 cr2, u32 code)
{
	u32 fetch = mode->levels > 2 && cpu.nxe ? PF_I : 0;

	attempt(va, FETCH, user, false, 0);
	check(what, seen.fault, FAULT(VEC_PF, code | fetch));
	check("CR2", seen.cr2, cr2);
	check("IP", seen.ip, va);
}

static void check_fetched(u64 va)
{
	attempt(va, FETCH, true, false, 0);
	check("both", seen.fault, NO_FAULT);
	check("its value", seen.value, 0x12345678);
}

static void make_nx(const struct spot *s)
{
	put(s, 1, s->base[1] | PTE_NX);
	invlpg(s->va);
}

static void check_fetch_nx(u64 va)
{
	if (mode->levels == 2 || !cpu.nxe)
		return;
	make_nx(&high);
	check_fetch("high NX", va, false, high.va, PF_P);
	both_reset();
}

static void test_cross_fetch(void)
{
	u64 va = put_code(3);

	begin("an instruction across a page's end", (char *)0);
	take_away(&high);
	check_fetch("high absent", va, true, high.va, PF_U);
	take_away(&low);
	check_fetch("both absent", va, true, va, PF_U);
	spot_reset(&high);
	check_fetch("low absent", va, false, va, 0);
	both_reset();
	check_fetch_nx(va);
	check_fetched(va);
	end();
}

/* The same after it was run: what the CPU kept of it must not be used. */
static void test_cross_fetch_again(void)
{
	u64 va = put_code(2);

	begin("an instruction across a page's end, run before", (char *)0);
	check_fetched(va);
	take_away(&high);
	check_fetch("high absent", va, true, high.va, PF_U);
	spot_reset(&high);
	check_fetched(va);
	take_away(&low);
	check_fetch("low absent", va, false, va, 0);
	both_reset();
	check_fetch_nx(va);
	check_fetched(va);
	end();
}

static void both_begin(void)
{
	low = spot_new(5);
	high = spot_new(6);
}

static void both_end(void)
{
	mark(FRAME(5));
	mark(FRAME(6));
}

void test_delivery(void)
{
	both_begin();
	test_exceptions();
	test_double();
	test_gdt();
	test_cross_data();
	test_cross_fetch();
	test_cross_fetch_again();
	both_end();
}

void test_soft_delivery(void)
{
	both_begin();
	test_int();
	test_stack();
	both_end();
}
