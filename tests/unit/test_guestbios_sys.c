/* INT 15h of the guest BIOS, run on the host. Would catch: a memory map that a loader cannot walk
 * or that writes beside the caller's buffer; memory sizes that disagree; a block move with wrong
 * addresses; a wait that ends early or never; an unknown function that looks like success.
 *
 * SRCS: guestbios/rom/sys.c tests/unit/guestbios_host.c
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>

#include "unit.h"

#include "../../guestbios/post/e820.h"
#include "../../guestbios/rom/bios16.h"
#include "../../guestbios/rom/disk.h"

#define SMAP 0x534d4150u

void int15(struct regs *r);
void copy_flat(u32 dst, u32 src, u32 bytes);

const u8 config_table[10];
static unsigned logged, events, syncs;
static u32 copied[3];

void copy_flat(u32 dst, u32 src, u32 bytes)
{
	copied[0] = dst;
	copied[1] = src;
	copied[2] = bytes;
}

void text_sync(void)
{
	syncs++;
}

void channel_event(u8 event)
{
	events |= 1u << event;
}

void log_call(u8 vector, struct regs *r)
{
	(void)vector;
	(void)r;
	logged++;
}

void unsupported(u8 vector, struct regs *r)
{
	log_call(vector, r);
	r->ah = 0x86;
	set_cf(r, true);
}

static void start(u64 low, u64 high)
{
	host_reset();
	logged = events = syncs = 0;
	shared.low_ram = low;
	shared.high_ram = high;
	shared.e820_count = e820_build(shared.e820, low, high);
	shared.ram_top = e820_tables_base(low);
	shared.tsc_khz = 1000000;
}

static struct regs call(struct regs r)
{
	int15(&r);
	return r;
}

static void walk_map(u32 size, u32 got)
{
	struct regs r = {.es = 0x2000, .edi = 0x10};
	u32 n = 0;

	start(512 * MIB, GIB);
	do {
		memset(&host_mem[0x20000], 0xee, 64);
		r.eax = 0xe820;
		r.ecx = size;
		r.edx = SMAP;
		r = call(r);
		CHECK(!(r.flags & FLAG_CF));
		CHECK_EQ(r.eax, SMAP);
		CHECK_EQ(r.ecx, got);
		CHECK(memcmp(&host_mem[0x20010], &shared.e820[n], 20) == 0);
		CHECK_EQ(host_mem[0x20010 + got], 0xee);
		n++;
	} while (r.ebx && n < 20);
	CHECK_EQ(n, shared.e820_count);
}

TEST(memory_map_in_both_sizes)
{
	walk_map(20, 20);
	walk_map(24, 24);
	walk_map(64, 24);
	CHECK_EQ(host_mem[0x20010 + 20], 1);
}

TEST(memory_map_refuses_bad_calls)
{
	struct regs r;

	start(512 * MIB, 0);
	r = call((struct regs){.eax = 0xe820, .ecx = 20, .edx = 0});
	CHECK(r.flags & FLAG_CF);
	r = call((struct regs){.eax = 0xe820, .ecx = 16, .edx = SMAP});
	CHECK(r.flags & FLAG_CF);
	r = call((struct regs){.eax = 0xe820, .ecx = 20, .edx = SMAP, .ebx = 99});
	CHECK(r.flags & FLAG_CF);
}

TEST(other_size_calls_agree_with_the_map)
{
	struct regs r;

	start(512 * MIB, 0);
	r = call((struct regs){.ax = 0xe801});
	CHECK_EQ(r.ax, 0x3c00);
	CHECK_EQ(16 * MIB + r.bx * 65536ull, shared.ram_top);
	CHECK(r.ax == r.cx && r.bx == r.dx);
	r = call((struct regs){.ax = 0x8800});
	CHECK_EQ(r.ax, 0xfc00);
	start(8 * MIB, 0);
	r = call((struct regs){.ax = 0xe801});
	CHECK_EQ(r.ax * KIB + MIB, shared.ram_top);
	CHECK_EQ(r.bx, 0);
	r = call((struct regs){.ax = 0x8800});
	CHECK_EQ(r.ax * KIB + MIB, shared.ram_top);
	CHECK_EQ(syncs, 2);
}

TEST(block_move_reads_its_table)
{
	struct regs r = {.ax = 0x8700, .cx = 0x8000, .es = 0x2000, .esi = 0x100};

	start(512 * MIB, 0);
	far_set_u32(0x2000, 0x112, 0x93123456);
	far_set_u8(0x2000, 0x117, 0x12);
	far_set_u32(0x2000, 0x11a, 0x93abcdef);
	far_set_u8(0x2000, 0x11f, 0x01);
	r = call(r);
	CHECK(!(r.flags & FLAG_CF));
	CHECK_EQ(r.ah, 0);
	CHECK_EQ(copied[1], 0x12123456);
	CHECK_EQ(copied[0], 0x01abcdef);
	CHECK_EQ(copied[2], 0x10000);
	r = call((struct regs){.ax = 0x8700, .cx = 0x8001, .es = 0x2000, .esi = 0x100});
	CHECK(r.flags & FLAG_CF);
}

TEST(wait_lasts_as_long_as_asked)
{
	u64 before;

	start(512 * MIB, 0);
	before = host_tsc;
	call((struct regs){.ax = 0x8600, .cx = 0, .dx = 50000}); /* 50 ms at 1 GHz */
	CHECK(host_tsc - before >= 50000000 && host_tsc - before < 60000000);
}

static jmp_buf off;

static void power_off_now(void)
{
	longjmp(off, 1); /* the BIOS waits for ever: the machine is off */
}

TEST(apm_power_off_tells_the_hypervisor)
{
	start(512 * MIB, 0);
	host_wait = power_off_now;
	if (!setjmp(off))
		call((struct regs){.ax = 0x5307, .bx = 1, .cx = 3});
	CHECK_EQ(events, 1u << BIOS_EVENT_POWER_OFF);
}

TEST(unknown_functions_fail_and_are_logged)
{
	struct regs r;

	start(512 * MIB, 0);
	r = call((struct regs){.ax = 0xe980});
	CHECK(r.flags & FLAG_CF);
	CHECK_EQ(r.ah, 0x86);
	r = call((struct regs){.ax = 0x5399});
	CHECK(r.flags & FLAG_CF);
	CHECK_EQ(logged, 2);
	r = call((struct regs){.ax = 0xec00, .bx = 2, .flags = FLAG_CF});
	CHECK(!(r.flags & FLAG_CF));
	CHECK_EQ(logged, 2);
	r = call((struct regs){.ax = 0x4f1e, .flags = FLAG_CF}); /* keep the key */
	CHECK(r.flags & FLAG_CF);
}

TEST(apm_is_there_for_real_mode)
{
	struct regs r;

	start(512 * MIB, 0);
	r = call((struct regs){.ax = 0x5300});
	CHECK(!(r.flags & FLAG_CF));
	CHECK_EQ(r.ax, 0x0102);
	CHECK_EQ(r.bx, 0x504d);
	r = call((struct regs){.ax = 0x5303});
	CHECK(r.flags & FLAG_CF);
}
