/* What the parts of the paging kernel share: the access that may fault, the tables, the model of
 * what must come of it, and the lines that say so. One CPU, interrupts off. Physical memory up to
 * KERNEL_END is mapped as it is, in 4 KiB pages of the supervisor (va == pa there).
 *
 * Levels are counted as the manual does from the leaf: 1 PTE, 2 PDE, 3 PDPTE, 4 PML4E.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_QEMU_PAGING_H
#define TESTS_QEMU_PAGING_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned long ulong;
typedef _Bool bool;
#define true 1
#define false 0

#define PAGE	   4096u
#define POOL	   0x200000u /* tables are taken from here */
#define POOL_END   0x400000u
#define FRAMES	   0x800000u  /* 4 KiB pages: FRAME(n) */
#define LARGE_A	   0x1000000u /* two frames for pages of 2 and 4 MiB */
#define LARGE_B	   0x1400000u
#define KERNEL_END 0x1800000u
#define FRAME(n)   (FRAMES + (n)*PAGE)
#define OTHER	   FRAME(16)

/* Entries. */
#define PTE_P	 0x1ull
#define PTE_W	 0x2ull
#define PTE_U	 0x4ull
#define PTE_A	 0x20ull
#define PTE_D	 0x40ull
#define PTE_PS	 0x80ull
#define PTE_G	 0x100ull
#define PTE_NX	 (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull

/* Page-fault error code (SDM vol. 3 section 4.7). */
#define PF_P	0x1
#define PF_W	0x2
#define PF_U	0x4
#define PF_RSVD 0x8
#define PF_I	0x10

#define VEC_UD 6
#define VEC_DF 8
#define VEC_GP 13
#define VEC_PF 14

#define CR0_WP	  0x10000u
#define CR0_PG	  0x80000000u
#define CR4_PSE	  0x10u
#define CR4_PAE	  0x20u
#define CR4_PGE	  0x80u
#define CR4_SMEP  0x100000u
#define CR4_SMAP  0x200000u
#define EFLAGS_AC 0x40000u

/* --- the CPU: cpu.c, stubs.S, start32.S or start64.S ------------------------------------------ */

/* What the model must know of the CPU's state; the setters below keep it. */
struct cpu {
	bool wp, smep, smap, nxe, pse;
	bool has_smep, has_smap, has_nx, has_1g, has_pse36;
	u8 maxphy;
};
extern struct cpu cpu;

void cpu_init(void);
void set_wp(bool on);
void set_smep(bool on);
void set_smap(bool on);
void set_nxe(bool on);
void set_pse(bool on);
void set_pge(bool on);
void flush(void);     /* MOV CR3 with its own value */
void flush_all(void); /* CR4.PGE toggled: global translations too */
void invlpg(u64 va);
void outb(u16 port, u8 value);
u8 inb(u16 port);
ulong get_cr0(void);
void set_cr0(ulong value);
ulong get_cr3(void);
void set_cr3(ulong value);
ulong get_cr4(void);
void set_cr4(ulong value);
/* The word at physical address @pa, read with paging off; paging is on again afterwards. */
u32 read_unpaged(ulong pa);

/* Kinds of access. The stub of each stands in stubs.S; a page that is fetched from holds RET. */
enum { READ, WRITE, FETCH, KINDS };
/* What came of the last run. */
#define NO_FAULT 0u
extern struct seen {
	u32 fault; /* NO_FAULT, or vector << 16 | error code | FAULTED */
	u64 cr2, ip;
	u32 value; /* what was read */
} seen;
#define FAULTED	      0x80000000u
#define FAULT(v, err) (FAULTED | (u32)(v) << 16 | (err))
#define CR2_NONE      0x5a5a5000u /* in CR2 before each run */

/* A way to make an access of that kind; @user: NULL where there is none at CPL 3. */
struct way {
	const char *name;
	unsigned kind;
	void (*kernel)(void);
	const u8 *user;
	u32 (*prepare)(u32 token); /* WRITE: what it will write; NULL: @token, which is in AX */
	u32 (*read)(void);	   /* READ: what was read; NULL: it is in AX */
	u32 mask;		   /* of the word: what is read or written */
};
extern const struct way plain[KINDS];
void attempt_by(const struct way *way, u64 va, bool user, bool ac, u32 value);
/* Where the MOVS of stubs.S that go to a device find it. */
extern ulong run_device;

/* One plain access of 4 bytes. @user: at CPL 3. WRITE stores @value. @ac: with EFLAGS.AC. */
void attempt(u64 va, unsigned kind, bool user, bool ac, u32 value);
/* What a read at CPL 0 gives: the value, or the fault. */
u32 look(u64 va);
u32 store(u64 va, u32 value);
/* Run a routine at CPL 0 (or a stub of stubs.S at CPL 3) until it is done or faults. */
void run_kernel(void (*routine)(void), ulong cx, ulong ax);
void run_user(const u8 *stub);
extern const u8 user_stubs[], user_stubs_end[], user_read[], user_write[], user_fetch[];
extern const u8 user_int81[], user_ud[], user_outs[], user_ins[];
void kernel_outs(void), kernel_ins(void), kernel_to_device(void), kernel_from_device(void);
void kernel_read(void), kernel_write(void), kernel_fetch(void), kernel_int81(void);
void kernel_ud(void), kernel_cr3(void), kernel_load_es(void);
/* The IDT and the GDT are used at another address until the next load_tables(). */
void load_tables(void);
void load_idt_at(u64 va);
void load_gdt_at(u64 va);
/* A copy of the IDT / GDT into frames at @pa. */
void copy_idt(ulong pa);
void copy_gdt(ulong pa);
/* Where INT 81h from CPL 3 finds its stack; 0: where it was. */
void set_int81_stack(u64 top);
extern const unsigned gate_size;

/* --- tables: tables.c ------------------------------------------------------------------------- */

struct mode {
	const char *name;
	u8 levels, entry_bytes;
	u8 shift[5]; /* [level]: lowest address bit of its index */
	u64 test_va; /* a top-level entry of its own for what is tested ... */
	u64 user_va; /* ... and for the code at CPL 3 */
};
extern const struct mode *mode;
extern ulong root;
extern const struct mode two_level, pae, four_level;

/* Physical base of a fresh, empty table. */
ulong new_table(void);
/* New tables of @mode: the kernel, the user stubs. Not loaded. */
void tables_begin(const struct mode *m);
void *entry_at(ulong table, unsigned level, u64 va);
u64 entry_read(const void *entry);
void entry_write(void *entry, u64 value);
void map(u64 va, u64 pa, u64 flags, unsigned leaf);
/* PAE's PDPTE: loaded by MOV CR3, without rights and A. */
bool is_pdpte(unsigned level);

/* The way to one page: pointers to its entries and what stands in them when all is allowed. */
struct spot {
	u64 va;
	unsigned leaf;
	void *at[5];
	u64 base[5];
};
struct spot spot_at(u64 va, u64 pa, unsigned leaf);
void spot_reset(const struct spot *s);
u64 get(const struct spot *s, unsigned level);
void put(const struct spot *s, unsigned level, u64 value);
/* The page of the test area that other parts do not use: @n 0..15; frame FRAME(n). */
struct spot spot_new(unsigned n);
/* What stands at the beginning of each frame: RET in its first byte, and which it is. */
u32 mark_of(ulong pa);
void mark(ulong pa);
u32 *at_phys(ulong pa);

/* --- the model: model.c ----------------------------------------------------------------------- */

/* What must come of an access by SDM vol. 3 sections 4.3-4.8. */
struct verdict {
	u32 fault;	  /* as in struct seen */
	unsigned reached; /* the lowest level whose entry is used */
	bool used;	  /* A is set in all entries */
};
struct verdict model(const struct spot *s, unsigned kind, bool user, bool ac);

/* --- the serial line: say.c --------------------------------------------------------------------
 */

void say_begin(void);
void say(const char *text);
void say_hex(u64 value);

/* --- a mode on and off: on32.c or on64.c -------------------------------------------------------
 */

/* tables_begin() and the CPU's registers: WP, global pages, no-execute where there is. */
void mode_on(const struct mode *m);
/* Not in the 64-bit image. */
void mode_off(void);

/* --- storm.c, in images of its own -------------------------------------------------------------
 */

void storm_run(void);	/* in the mode that is on */
void storm_modes(void); /* storm32.c or storm64.c */

/* --- estimate.c, likewise --- */

void estimate_run(void);
void estimate_modes(void); /* estimate32.c or estimate64.c */

/* --- lines: main.c ---------------------------------------------------------------------------- */

/* A point may be made of many checks: begin() names it (strings up to NULL), check() compares,
 * end() prints "ok NAME" or "not ok NAME; WHAT: got, expected" with the first difference. */
void begin(const char *first, ...);
void check(const char *what, u64 got, u64 want);
void check_either(const char *what, u64 got, u64 want, u64 other);
void end(void);
/* A point of one check. */
void expect(const char *name, u64 got, u64 want);
void expect_either(const char *name, u64 got, u64 want, u64 other);

/* --- the points ------------------------------------------------------------------------------- */

void test_mode(void); /* mode32.c or mode64.c */
void test_common(void);
void test_rights(void);	  /* rights.c */
void test_reserved(void); /* reserved.c */
void test_stale(void);	  /* stale.c */
void test_reuse(void);	  /* reuse.c */
void test_delivery(void); /* delivery.c */
void test_soft_delivery(
	void);		 /* of INT n: what one emulator cannot do for a guest, so it comes last */
void test_devices(void); /* devices.c */
/* One access and all its consequences against the model. */
void access_by(const struct way *way, const struct spot *s, bool user, bool ac);
void access_checked(const struct spot *s, unsigned kind, bool user, bool ac);
/* That under each combination of rights; @state ends the point's name. */
void point_rights(const struct way *way, const struct spot *s, bool user, bool ac,
		  const char *state);
/* Page faults for reserved bits whose error code had no P, or that set A in the entry that has
 * them. */
extern unsigned rsvd_without_p, rsvd_with_a;

#endif
