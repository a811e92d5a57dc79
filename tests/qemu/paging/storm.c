/* A guest whose output may not depend on how its memory is translated: a long pseudo-random program
 * of page-table changes and accesses, always with the flush that the architecture asks for, so that
 * every access has one right outcome. Outcomes and memory are folded into sums, which are said
 * every CHUNK steps and at the end of each mode.
 *
 * Three address spaces share a handful of last-level tables. Tables are frames like others: pages
 * of the window map them, writes go through such pages too, and a table that nothing refers to
 * becomes data and a table again. A and D are left out of the sums: when they are set is the CPU's
 * business within bounds.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging.h"

#define STEPS	   8000u
#define CHUNK	   1000u
#define SPACES	   3u
#define DIRECTORY  3u  /* entries of each space's window */
#define SLOTS	   16u /* entries of a table that are in use */
#define FLEX	   24u /* frames that are data or a table */
#define TABLES	   8u  /* tables there are at least */
#define DEBUG_EXIT 0xf4
#define AD	   ((u32)(PTE_A | PTE_D))
#define RET	   0xc3u

void main(void);

static struct {
	ulong root[SPACES];
	unsigned space; /* in CR3 */
	bool is_table[FLEX];
	bool globals; /* in the second half there are global pages: only CR4.PGE flushes those */
	bool wp, smep, pge;
	u32 random, sum, accesses, faults, table_writes;
} storm;

static u32 pick(u32 n)
{
	u32 x = storm.random;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	storm.random = x;
	return (x >> 3) % n;
}

static void fold(u32 value)
{
	storm.sum = (storm.sum << 5 | storm.sum >> 27) ^ value;
	storm.sum *= 0x01000193u;
}

/* --- the window ------------------------------------------------------------------------------- */

static unsigned table_entries(void)
{
	return PAGE / mode->entry_bytes;
}

/* Used entries lie all over the table. */
static unsigned slot_index(unsigned slot)
{
	return slot * (table_entries() / SLOTS) + (slot & 1);
}

static u64 window_va(unsigned p, unsigned slot)
{
	return mode->test_va + ((u64)p << mode->shift[2]) + (u64)slot_index(slot) * PAGE;
}

static void *directory_entry_of(ulong table, unsigned p)
{
	u64 va = window_va(p, 0);

	for (unsigned level = mode->levels; level > 2; level--)
		table = (ulong)(entry_read(entry_at(table, level, va)) & PTE_ADDR);
	return entry_at(table, 2, va);
}

static void *directory_entry(unsigned space, unsigned p)
{
	return directory_entry_of(storm.root[space], p);
}

/* Which of the flexible frames a directory entry refers to as its table; FLEX: none. */
static unsigned table_of(u64 pde)
{
	ulong pa = (ulong)(pde & PTE_ADDR);

	if (!(pde & PTE_P) || (pde & PTE_PS) || pa < FRAME(0) || pa >= FRAME(FLEX))
		return FLEX;
	return (unsigned)((pa - FRAME(0)) / PAGE);
}

static unsigned references(unsigned space, unsigned table)
{
	unsigned n = 0;

	for (unsigned p = 0; p < DIRECTORY; p++)
		n += table_of(entry_read(directory_entry(space, p))) == table;
	return n;
}

static bool is_linked(unsigned table)
{
	for (unsigned space = 0; space < SPACES; space++)
		if (references(space, table))
			return true;
	return false;
}

/* --- flushes ---------------------------------------------------------------------------------- */

static void forget(void)
{
	if (storm.globals)
		flush_all();
	else
		flush();
}

/* What page @slot of @table was may be cached; nothing else has changed. */
static void forget_page(unsigned table, unsigned slot)
{
	unsigned n = references(storm.space, table);

	if (n > 1 || pick(4) == 0) {
		forget();
		return;
	}
	for (unsigned p = 0; p < DIRECTORY; p++)
		if (table_of(entry_read(directory_entry(storm.space, p))) == table)
			invlpg(window_va(p, slot));
	/* Global pages of another space stay cached for when it comes back. */
	if (storm.globals)
		forget();
}

/* --- steps ------------------------------------------------------------------------------------ */

static unsigned pick_frame(bool table)
{
	unsigned n = pick(FLEX);

	for (unsigned i = 0; i < FLEX && storm.is_table[n] != table; i++)
		n = (n + 1) % FLEX;
	return n;
}

static u64 random_entry(void)
{
	u64 e = FRAME(pick_frame(pick(5) == 0));

	e |= pick(12) ? PTE_P : 0;
	e |= pick(4) ? PTE_W : 0;
	e |= pick(6) ? PTE_U : 0;
	e |= pick(2) ? PTE_A : 0;
	e |= (e & PTE_A) && pick(2) ? PTE_D : 0;
	e |= storm.globals && !pick(8) ? PTE_G : 0;
	if (cpu.nxe && !pick(8))
		e |= PTE_NX;
	return e;
}

static void lock_or(void *entry, u32 bits)
{
	asm volatile("lock orl %1, %0" : "+m"(*(volatile u32 *)entry) : "ri"(bits) : "memory");
}

static void lock_and(void *entry, u32 bits)
{
	asm volatile("lock andl %1, %0" : "+m"(*(volatile u32 *)entry) : "ri"(bits) : "memory");
}

static void exchange(void *entry, u32 value)
{
	asm volatile("xchg %1, %0" : "+m"(*(volatile u32 *)entry), "+r"(value)::"memory");
}

static void write_halves(void *entry, u64 value)
{
	if (mode->entry_bytes == 8)
		((volatile u32 *)entry)[1] = (u32)(value >> 32);
	((volatile u32 *)entry)[0] = (u32)value;
}

/* In the middle of it the entry is absent. */
static void write_by_exchange(void *entry, u64 value)
{
	exchange(entry, 0);
	if (mode->entry_bytes == 8)
		((volatile u32 *)entry)[1] = (u32)(value >> 32);
	exchange(entry, (u32)value);
}

static void write_bytes(void *entry, u64 value)
{
	const u8 *from = (const u8 *)&value;
	unsigned n = mode->entry_bytes;

	asm volatile("std; rep movsb; cld"
		     : "+c"(n)
		     : "S"(from + n - 1), "D"((u8 *)entry + n - 1)
		     : "memory");
}

static void change_entry(void *entry, u64 value)
{
	switch (pick(6)) {
	case 0:
		write_halves(entry, value);
		break;
	case 1:
		write_by_exchange(entry, value);
		break;
	case 2:
		lock_and(entry, ~(u32)(pick(2) ? PTE_W : PTE_P));
		break;
	case 3:
		/* Only on what has been an entry: the frame is one of ours. */
		if (entry_read(entry))
			lock_or(entry, (u32)(pick(2) ? PTE_W : PTE_U));
		break;
	case 4:
		write_bytes(entry, value);
		break;
	default:
		entry_write(entry, value);
	}
}

static void step_entry(void)
{
	unsigned table = pick_frame(true), slot = pick(SLOTS);
	void *entry = entry_at(FRAME(table), 1, window_va(0, slot));
	u64 before = entry_read(entry);

	change_entry(entry, random_entry());
	/* Absent entries are not cached. */
	if ((before & PTE_P) || pick(2))
		forget_page(table, slot);
}

/* As a kernel copies or clears them: several at once. */
static void step_entries(void)
{
	unsigned table = pick_frame(true), bytes = 16 * mode->entry_bytes;
	unsigned from = pick(PAGE / bytes) * bytes, words = bytes / 4;
	u8 *at = (u8 *)at_phys(FRAME(table)) + from;

	if (pick(2)) {
		asm volatile("rep stosl" : "+c"(words), "+D"(at) : "a"(0) : "memory");
	} else {
		const u8 *other = (const u8 *)at_phys(FRAME(pick_frame(true))) + from;

		asm volatile("rep movsl" : "+c"(words), "+D"(at), "+S"(other)::"memory");
	}
	forget();
}

static void step_directory(void)
{
	unsigned space = pick(SPACES);
	void *entry = directory_entry(space, pick(DIRECTORY));
	u64 rights = PTE_P | (pick(8) ? PTE_W : 0) | (pick(8) ? PTE_U : 0);

	switch (pick(10)) {
	case 0:
		entry_write(entry, 0);
		break;
	case 1:
		entry_write(entry, (pick(2) ? LARGE_A : LARGE_B) | rights | PTE_PS);
		break;
	default:
		entry_write(entry, FRAME(pick_frame(true)) | rights);
	}
	forget();
}

/* Where @va leads, rights aside. False: nowhere. */
static bool resolve(u64 va, ulong *pa)
{
	ulong table = storm.root[storm.space];

	for (unsigned level = mode->levels; level; level--) {
		u64 e = entry_read(entry_at(table, level, va));
		u64 mask = (1ull << mode->shift[level]) - 1;

		if (!(e & PTE_P))
			return false;
		if (level == 1 || (level == 2 && (e & PTE_PS))) {
			*pa = (ulong)((e & PTE_ADDR & ~mask) | (va & mask));
			return true;
		}
		table = (ulong)(e & PTE_ADDR);
	}
	return false;
}

static bool leads_to_table(u64 va)
{
	ulong pa;

	return resolve(va, &pa) && pa >= FRAME(0) && pa < FRAME(FLEX) &&
	       storm.is_table[(pa - FRAME(0)) / PAGE];
}

/* A table behind a page of the window: what is written must be an entry. */
static void write_table(u64 va, bool user)
{
	u64 e = random_entry() & ~PTE_NX;

	va += slot_index(pick(SLOTS)) * mode->entry_bytes;
	attempt(va, WRITE, user, false, (u32)e);
	storm.table_writes += !seen.fault;
	forget();
}

static void step_access(void)
{
	u64 va = window_va(pick(DIRECTORY), pick(SLOTS));
	unsigned kind = pick(KINDS);
	bool user = pick(2), table = leads_to_table(va);

	if (kind == FETCH && table)
		kind = READ;
	if (kind == WRITE && table) {
		write_table(va, user);
	} else {
		/* Each page of data begins with RET. */
		va += kind == FETCH ? 0 : 16 + 4 * pick(1000);
		attempt(va, kind, user, false, pick(~0u));
		if (kind == READ && !seen.fault)
			fold(seen.value & ~AD);
	}
	fold(seen.fault);
	storm.accesses++;
	if (seen.fault) {
		storm.faults++;
		fold((u32)seen.cr2);
		fold((u32)(seen.cr2 >> 32));
	}
}

static void make_table(unsigned frame)
{
	u32 *word = at_phys(FRAME(frame));

	for (unsigned i = 0; i < PAGE / 4; i++)
		word[i] = 0;
	for (unsigned i = 0; i < SLOTS; i++)
		entry_write(entry_at(FRAME(frame), 1, window_va(0, i)), random_entry());
	storm.is_table[frame] = true;
}

static void make_data(unsigned frame)
{
	u32 *word = at_phys(FRAME(frame));

	for (unsigned i = 0; i < PAGE / 4; i++)
		word[i] = pick(~0u);
	mark(FRAME(frame));
	storm.is_table[frame] = false;
}

static void step_role(void)
{
	unsigned n = 0, frame = pick(FLEX);

	for (unsigned i = 0; i < FLEX; i++)
		n += storm.is_table[i];
	if (!storm.is_table[frame])
		make_table(frame);
	else if (n > TABLES && !is_linked(frame))
		make_data(frame);
	/* As data it was cached and not flushed; as a table it is written from now on. */
	forget();
}

static void step_space(void)
{
	storm.space = pick(SPACES);
	set_cr3(storm.root[storm.space]);
	if (storm.globals)
		forget();
}

static void step_control(void)
{
	switch (pick(4)) {
	case 0:
		set_wp(storm.wp = !storm.wp);
		break;
	case 1:
		if (cpu.has_smep)
			set_smep(storm.smep = !storm.smep);
		break;
	case 2:
		set_pge(storm.pge = !storm.pge);
		break;
	default:
		forget();
		invlpg(window_va(pick(DIRECTORY), pick(SLOTS)));
	}
}

static void step(void)
{
	unsigned n = pick(100);

	if (n < 60)
		step_access();
	else if (n < 80)
		step_entry();
	else if (n < 84)
		step_entries();
	else if (n < 89)
		step_directory();
	else if (n < 92)
		step_role();
	else if (n < 98)
		step_space();
	else
		step_control();
}

/* --- begin, sums ------------------------------------------------------------------------------ */

/* Tables of its own from the window's top-level entry down, everything else shared. */
static ulong new_space(ulong model)
{
	ulong own = new_table(), kept = root;

	for (unsigned i = 0; i < PAGE / 4; i++)
		at_phys(own)[i] = at_phys(model)[i];
	root = own;
	for (unsigned p = 0; p < DIRECTORY; p++) {
		if (p == 0 && mode->levels > 2)
			entry_write(entry_at(own, mode->levels, mode->test_va), 0);
		map(window_va(p, 0), FRAME(0), PTE_P | PTE_W | PTE_U, 1);
		entry_write(directory_entry_of(own, p),
			    FRAME(pick(TABLES)) | PTE_P | PTE_W | PTE_U);
	}
	root = kept;
	return own;
}

static void begin_storm(void)
{
	storm.random = 0x2545f491;
	storm.sum = storm.accesses = storm.faults = storm.table_writes = 0;
	storm.space = 0;
	storm.globals = storm.smep = false;
	storm.wp = storm.pge = true;
	for (ulong pa = LARGE_A; pa < KERNEL_END; pa += PAGE)
		*at_phys(pa) = RET;
	for (unsigned i = 0; i < FLEX; i++)
		make_data(i);
	for (unsigned i = 0; i < TABLES; i++)
		make_table(i);
	for (unsigned i = 0; i < SPACES; i++)
		storm.root[i] = new_space(root);
	set_cr3(storm.root[0]);
}

static void say_sum(const char *what, u32 n, u32 value)
{
	say("storm: ");
	say(mode->name);
	say(what);
	say_hex(n);
	say(" ");
	say_hex(value);
	say("\n");
}

/* Of all memory from the first table up. */
static u32 memory_sum(void)
{
	u32 sum = 0x811c9dc5;

	for (ulong pa = POOL; pa < KERNEL_END; pa += 4) {
		sum = (sum << 5 | sum >> 27) ^ (*at_phys(pa) & ~AD);
		sum *= 0x01000193u;
	}
	return sum;
}

void storm_run(void)
{
	begin_storm();
	for (unsigned i = 1; i <= STEPS; i++) {
		storm.globals = i > STEPS / 2;
		step();
		if (i % CHUNK == 0)
			say_sum(" step ", i, storm.sum);
	}
	if (storm.smep)
		set_smep(false);
	set_wp(true);
	set_pge(true);
	say_sum(" faults of accesses ", storm.faults, storm.accesses);
	say_sum(" tables written by themselves, memory ", storm.table_writes, memory_sum());
}

void main(void)
{
	say_begin();
	say("storm: begin\n");
	for (u32 *word = at_phys(POOL); word < at_phys(KERNEL_END); word++)
		*word = 0;
	cpu_init();
	storm_modes();
	say("storm: end\n");
	outb(DEBUG_EXIT, 0x10);
}
