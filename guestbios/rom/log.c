/* What the BIOS does not implement: said once per (vector, AX) on the channel's LOG, with
 * registers.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bios16.h"

#define LOG_MAX 20

static u32 seen[LOG_MAX];
static u8 seen_count;
static char log_line[128];
static u8 log_len;

static void put(char c)
{
	if (log_len < sizeof(log_line) - 1)
		log_line[log_len++] = c;
}

static void put_hex(u32 v, u8 digits)
{
	while (digits--) {
		u8 d = v >> (digits * 4) & 15;

		put(d < 10 ? '0' + d : 'A' + d - 10);
	}
}

static void put_rom(const char *s)
{
	for (u8 c; (c = rom_u8(s)); s++)
		put(c);
}

static void put_reg(const char *rom_name, u32 v, u8 digits)
{
	put_rom(rom_name);
	put_hex(v, digits);
}

#define PUT_REG(name, v, digits)                                                                   \
	do {                                                                                       \
		ROM char text_[] = name;                                                           \
		put_reg(text_, v, digits);                                                         \
	} while (0)

static bool first_time(u32 key)
{
	for (u8 i = 0; i < seen_count; i++)
		if (seen[i] == key)
			return false;
	if (seen_count == LOG_MAX)
		return false;
	seen[seen_count++] = key;
	return true;
}

void log_call(u8 vector, struct regs *r)
{
	if (!first_time((u32)vector << 16 | r->ax))
		return;
	log_len = 0;
	PUT_REG("INT ", vector, 2);
	PUT_REG("h not implemented: EAX=", r->eax, 8);
	PUT_REG(" EBX=", r->ebx, 8);
	PUT_REG(" ECX=", r->ecx, 8);
	PUT_REG(" EDX=", r->edx, 8);
	PUT_REG(" SI=", r->esi & 0xffff, 4);
	PUT_REG(" DI=", r->edi & 0xffff, 4);
	PUT_REG(" DS=", r->ds, 4);
	PUT_REG(" ES=", r->es, 4);
	PUT_REG(" at ", r->cs, 4);
	PUT_REG(":", r->ip, 4);
	log_line[log_len++] = '\n';
	outsb(BIOSCHAN_PORT_LOG, log_line, log_len);
}

void unsupported(u8 vector, struct regs *r)
{
	log_call(vector, r);
	r->ah = 0x86;
	set_cf(r, true);
}

/* Faults of real-mode programs: returning would run the same instruction again for ever, silently.
 */
void exception_00(struct regs *r);
void exception_00(struct regs *r)
{
	log_call(0x00, r);
}
void exception_06(struct regs *r);
void exception_06(struct regs *r)
{
	log_call(0x06, r);
}
