/* A small AML assembler (ACPI specification 6.x, chapter 20): appends terms to a buffer. Pure.
 *
 * Blocks (Scope, Device, Method, Package, Buffer, If, Field) open with a call that returns a mark
 * and close with aml_end(mark). Overflow is remembered and nothing more is written.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GUESTBIOS_AML_H
#define GUESTBIOS_AML_H

#include "penumbra/types.h"

struct aml {
	u8 *buf;
	u32 len, cap;
	bool overflow;
};

/* Paths: up to 4 segments separated by '.', optional leading '\\'; segments are padded with '_'. */
u32 aml_scope(struct aml *a, const char *path);
u32 aml_device(struct aml *a, const char *name);
u32 aml_method(struct aml *a, const char *name, u32 nargs);
u32 aml_package(struct aml *a, u32 elements);
u32 aml_if(struct aml *a);
u32 aml_resources(struct aml *a); /* Buffer whose content is a resource template */
void aml_end(struct aml *a, u32 mark);
void aml_end_resources(struct aml *a, u32 mark);

void aml_name(struct aml *a, const char *name); /* Name(name, next term) */
void aml_path(struct aml *a, const char *path);
void aml_int(struct aml *a, u32 v);
void aml_string(struct aml *a, const char *s);
void aml_eisaid(struct aml *a, const char *id); /* "PNP0A03" */
void aml_byte(struct aml *a, u8 v);
void aml_processor(struct aml *a, const char *name, u8 id);

/* OperationRegion(name, PCI_Config, offset, len), then Field(region, ByteAcc) of 8-bit `names`. */
void aml_pci_config_field(struct aml *a, const char *region, u32 offset, const char *const *names,
			  u32 n);

/* Opcodes that take their operands as following terms. */
#define AML_STORE	       0x70
#define AML_AND		       0x7b
#define AML_OR		       0x7d
#define AML_RETURN	       0xa4
#define AML_CREATE_DWORD_FIELD 0x8a
#define AML_ARG0	       0x68
#define AML_LOCAL0	       0x60
#define AML_NULL_NAME	       0x00

/* --- resource descriptors (ACPI 6.x §6.4), inside aml_resources() -------------------------- */
void aml_res_io(struct aml *a, u16 base, u8 len);
void aml_res_irq(struct aml *a, u32 irq);
void aml_res_level_irqs(struct aml *a, const u8 *irqs, u32 n); /* extended, level, high, shared */
void aml_res_bus(struct aml *a, u16 min, u16 max);
void aml_res_io_window(struct aml *a, u16 min, u16 max);
void aml_res_mem_window(struct aml *a, u32 min, u32 max, bool cacheable);

#endif
