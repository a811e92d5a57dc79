/* AML assembler.
 *
 * SPDX-License-Identifier: MIT
 */
#include "aml.h"

#define OP_NAME		  0x08
#define OP_BYTE		  0x0a
#define OP_WORD		  0x0b
#define OP_DWORD	  0x0c
#define OP_STRING	  0x0d
#define OP_SCOPE	  0x10
#define OP_BUFFER	  0x11
#define OP_PACKAGE	  0x12
#define OP_METHOD	  0x14
#define OP_DUAL		  0x2e
#define OP_MULTI	  0x2f
#define OP_EXT		  0x5b
#define OP_IF		  0xa0
#define EXT_REGION	  0x80
#define EXT_FIELD	  0x81
#define EXT_DEVICE	  0x82
#define EXT_PROCESSOR	  0x83
#define REGION_PCI_CONFIG 0x02
#define FIELD_BYTE_ACC	  0x01

/* PkgLength is always written in its 3-byte form: patched in place when the block ends. */
#define PKG_LEN_BYTES 3

void aml_byte(struct aml *a, u8 v)
{
	if (a->len >= a->cap) {
		a->overflow = true;
		return;
	}
	a->buf[a->len++] = v;
}

static void word(struct aml *a, u32 v)
{
	aml_byte(a, v);
	aml_byte(a, v >> 8);
}

static void dword(struct aml *a, u32 v)
{
	word(a, v);
	word(a, v >> 16);
}

static u32 block(struct aml *a)
{
	u32 mark = a->len;

	for (u32 i = 0; i < PKG_LEN_BYTES; i++)
		aml_byte(a, 0);
	return mark;
}

void aml_end(struct aml *a, u32 mark)
{
	u32 n = a->len - mark;

	if (a->overflow || n >= 1u << 20)
		return;
	a->buf[mark] = 0x80 | (n & 0x0f);
	a->buf[mark + 1] = n >> 4;
	a->buf[mark + 2] = n >> 12;
}

static const char *segment(struct aml *a, const char *s)
{
	for (u32 i = 0; i < 4; i++)
		aml_byte(a, *s && *s != '.' ? *s++ : '_');
	return *s == '.' ? s + 1 : s;
}

void aml_path(struct aml *a, const char *path)
{
	u32 segments = 1;

	if (*path == '\\')
		aml_byte(a, *path++);
	if (!*path) {
		aml_byte(a, AML_NULL_NAME);
		return;
	}
	for (const char *s = path; *s; s++)
		segments += *s == '.';
	if (segments == 2) {
		aml_byte(a, OP_DUAL);
	} else if (segments > 2) {
		aml_byte(a, OP_MULTI);
		aml_byte(a, segments);
	}
	while (*path)
		path = segment(a, path);
}

void aml_int(struct aml *a, u32 v)
{
	if (v < 2) {
		aml_byte(a, v); /* ZeroOp, OneOp */
	} else if (v < 0x100) {
		aml_byte(a, OP_BYTE);
		aml_byte(a, v);
	} else if (v < 0x10000) {
		aml_byte(a, OP_WORD);
		word(a, v);
	} else {
		aml_byte(a, OP_DWORD);
		dword(a, v);
	}
}

void aml_string(struct aml *a, const char *s)
{
	aml_byte(a, OP_STRING);
	do
		aml_byte(a, *s);
	while (*s++);
}

static u32 hex(char c)
{
	return c <= '9' ? c - '0' : c - 'A' + 10;
}

/* Three letters of 5 bits and four hex digits, stored big-endian (ACPI 6.x §19.3.4). */
void aml_eisaid(struct aml *a, const char *id)
{
	aml_byte(a, OP_DWORD);
	aml_byte(a, (id[0] - '@') << 2 | (id[1] - '@') >> 3);
	aml_byte(a, (id[1] - '@') << 5 | (id[2] - '@'));
	aml_byte(a, hex(id[3]) << 4 | hex(id[4]));
	aml_byte(a, hex(id[5]) << 4 | hex(id[6]));
}

void aml_name(struct aml *a, const char *name)
{
	aml_byte(a, OP_NAME);
	aml_path(a, name);
}

u32 aml_scope(struct aml *a, const char *path)
{
	u32 mark;

	aml_byte(a, OP_SCOPE);
	mark = block(a);
	aml_path(a, path);
	return mark;
}

u32 aml_device(struct aml *a, const char *name)
{
	u32 mark;

	aml_byte(a, OP_EXT);
	aml_byte(a, EXT_DEVICE);
	mark = block(a);
	aml_path(a, name);
	return mark;
}

u32 aml_method(struct aml *a, const char *name, u32 nargs)
{
	u32 mark;

	aml_byte(a, OP_METHOD);
	mark = block(a);
	aml_path(a, name);
	aml_byte(a, nargs);
	return mark;
}

u32 aml_package(struct aml *a, u32 elements)
{
	u32 mark;

	aml_byte(a, OP_PACKAGE);
	mark = block(a);
	aml_byte(a, elements);
	return mark;
}

u32 aml_if(struct aml *a)
{
	aml_byte(a, OP_IF);
	return block(a);
}

void aml_processor(struct aml *a, const char *name, u8 id)
{
	u32 mark;

	aml_byte(a, OP_EXT);
	aml_byte(a, EXT_PROCESSOR);
	mark = block(a);
	aml_path(a, name);
	aml_byte(a, id);
	dword(a, 0); /* no P_BLK: HLT is the only idle state */
	aml_byte(a, 0);
	aml_end(a, mark);
}

void aml_pci_config_field(struct aml *a, const char *region, u32 offset, const char *const *names,
			  u32 n)
{
	u32 mark;

	aml_byte(a, OP_EXT);
	aml_byte(a, EXT_REGION);
	aml_path(a, region);
	aml_byte(a, REGION_PCI_CONFIG);
	aml_int(a, offset);
	aml_int(a, n);
	aml_byte(a, OP_EXT);
	aml_byte(a, EXT_FIELD);
	mark = block(a);
	aml_path(a, region);
	aml_byte(a, FIELD_BYTE_ACC);
	for (u32 i = 0; i < n; i++) {
		segment(a, names[i]);
		aml_byte(a, 8); /* bits */
	}
	aml_end(a, mark);
}

/* --- resources ----------------------------------------------------------------------------- */
/* BufferSize is a word constant, patched when the template ends; its mark is the PkgLength's. */
#define RES_SIZE_BYTES 3

u32 aml_resources(struct aml *a)
{
	u32 mark;

	aml_byte(a, OP_BUFFER);
	mark = block(a);
	aml_byte(a, OP_WORD);
	word(a, 0);
	return mark;
}

void aml_end_resources(struct aml *a, u32 mark)
{
	u32 size;

	aml_byte(a, 0x79); /* end tag; checksum 0: not checked */
	aml_byte(a, 0);
	if (a->overflow)
		return;
	size = a->len - (mark + PKG_LEN_BYTES + RES_SIZE_BYTES);
	a->buf[mark + PKG_LEN_BYTES + 1] = size;
	a->buf[mark + PKG_LEN_BYTES + 2] = size >> 8;
	aml_end(a, mark);
}

void aml_res_io(struct aml *a, u16 base, u8 len)
{
	aml_byte(a, 0x47);
	aml_byte(a, 1); /* decodes 16 bits */
	word(a, base);
	word(a, base);
	aml_byte(a, 1);
	aml_byte(a, len);
}

void aml_res_irq(struct aml *a, u32 irq)
{
	aml_byte(a, 0x22); /* edge, high, exclusive */
	word(a, 1u << irq);
}

void aml_res_level_irqs(struct aml *a, const u8 *irqs, u32 n)
{
	aml_byte(a, 0x89);
	word(a, 2 + n * 4);
	aml_byte(a, 0x09); /* consumer, level, active high, shared */
	aml_byte(a, n);
	for (u32 i = 0; i < n; i++)
		dword(a, irqs[i]);
}

#define SPACE_MEM 0
#define SPACE_IO  1
#define SPACE_BUS 2
/* General flags: minimum and maximum fixed, positive decode, producer. */
#define SPACE_FIXED 0x0c

static void word_space(struct aml *a, u8 type, u8 specific, u16 min, u16 max)
{
	aml_byte(a, 0x88);
	word(a, 13);
	aml_byte(a, type);
	aml_byte(a, SPACE_FIXED);
	aml_byte(a, specific);
	word(a, 0);
	word(a, min);
	word(a, max);
	word(a, 0);
	word(a, max - min + 1);
}

void aml_res_bus(struct aml *a, u16 min, u16 max)
{
	word_space(a, SPACE_BUS, 0, min, max);
}

void aml_res_io_window(struct aml *a, u16 min, u16 max)
{
	word_space(a, SPACE_IO, 0x03, min, max); /* whole range, ISA and not */
}

void aml_res_mem_window(struct aml *a, u32 min, u32 max, bool cacheable)
{
	aml_byte(a, 0x87);
	word(a, 23);
	aml_byte(a, SPACE_MEM);
	aml_byte(a, SPACE_FIXED);
	aml_byte(a, 0x01 | (cacheable ? 0x02 : 0)); /* read-write */
	dword(a, 0);
	dword(a, min);
	dword(a, max);
	dword(a, 0);
	dword(a, max - min + 1);
}
